/* ledger_view_status.c - associations, refusals, capabilities, summaries. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_in.h"
#include "store/ledger_view_in.h"

/* ---- associations -----------------------------------------------------------
 */

#define ASSOCIATION_COLUMNS                                                    \
	"SELECT id,direction,party,device,peer,local,calling_ae,called_ae,"    \
	"impl_class,impl_version,max_pdu,tls_version,tls_suite,tls_group,"     \
	"fingerprint,subject,begun_ms,result,n_contexts,ended_ms,"             \
	"duration_ns,bytes_in,bytes_out,stores,echos,others,failures,why,"     \
	"(SELECT coalesce(sum(o.instances),0) FROM origins o"                  \
	" WHERE o.association=a.id) FROM associations a "

static void read_tls(sqlite3_stmt *st, struct ledger_association *a)
{
	DB_TEXT(st, 11, a->tls_version);
	DB_TEXT(st, 12, a->tls_suite);
	DB_TEXT(st, 13, a->tls_group);
	DB_TEXT(st, 14, a->fingerprint);
	DB_TEXT(st, 15, a->subject);
}

static void read_end(sqlite3_stmt *st, struct view_association *v)
{
	v->ended = sqlite3_column_type(st, 19) != SQLITE_NULL;
	if (!v->ended)
		return;
	v->end.id = v->a.id;
	v->end.ended_ms = sqlite3_column_int64(st, 19);
	v->end.duration_ns = db_u64(st, 20);
	v->end.bytes_in = db_u64(st, 21);
	v->end.bytes_out = db_u64(st, 22);
	v->end.stores = (uint32_t)db_u64(st, 23);
	v->end.echos = (uint32_t)db_u64(st, 24);
	v->end.others = (uint32_t)db_u64(st, 25);
	v->end.failures = (uint32_t)db_u64(st, 26);
	DB_TEXT(st, 27, v->end.why);
}

static void read_association(sqlite3_stmt *st, struct view_association *v)
{
	struct ledger_association *a = &v->a;

	*v = (struct view_association){0};
	a->id = db_u64(st, 0);
	a->direction = sqlite3_column_int(st, 1) == 0 ? LEDGER_IN : LEDGER_OUT;
	DB_TEXT(st, 2, a->party);
	DB_TEXT(st, 3, a->device);
	DB_TEXT(st, 4, a->peer);
	DB_TEXT(st, 5, a->local);
	DB_TEXT(st, 6, a->calling_ae);
	DB_TEXT(st, 7, a->called_ae);
	DB_TEXT(st, 8, a->impl_class);
	DB_TEXT(st, 9, a->impl_version);
	a->max_pdu = (uint32_t)db_u64(st, 10);
	read_tls(st, a);
	a->begun_ms = sqlite3_column_int64(st, 16);
	DB_TEXT(st, 17, a->result);
	a->n_contexts = (size_t)db_u64(st, 18);
	read_end(st, v);
	v->instances = db_u64(st, 28);
}

enum err ledger_view_associations(struct ledger_view *v, uint64_t before,
				  unsigned limit, view_association_fn *fn,
				  void *arg)
{
	struct view_association row;
	sqlite3_stmt *st;
	enum err e = view_page(v,
			       ASSOCIATION_COLUMNS "WHERE id<?"
						   " ORDER BY id DESC"
						   " LIMIT ?",
			       before, limit, &st);

	while (e == ERR_OK && st != NULL) {
		read_association(st, &row);
		e = view_next(v, &st, fn(arg, &row));
	}
	return e;
}

static enum err each_context(struct ledger_view *v, uint64_t id,
			     view_context_fn *fn, void *arg)
{
	sqlite3_stmt *st;
	enum err e = view_of(v,
			     "SELECT id,result,abstract,accepted,proposed"
			     " FROM contexts WHERE association=?"
			     " ORDER BY id",
			     id, &st);

	while (e == ERR_OK && st != NULL) {
		const unsigned char *proposed = sqlite3_column_text(st, 4);
		struct ledger_context c = {
		    .id = (uint8_t)sqlite3_column_int(st, 0),
		    .result = (uint8_t)sqlite3_column_int(st, 1),
		    .proposed = proposed != NULL ? (const char *)proposed : ""};

		DB_TEXT(st, 2, c.abstract);
		DB_TEXT(st, 3, c.accepted);
		e = view_next(v, &st, fn(arg, &c));
	}
	return e;
}

enum err ledger_view_association(struct ledger_view *v, uint64_t id,
				 view_association_fn *fn,
				 view_context_fn *context, void *arg)
{
	struct view_association row;
	sqlite3_stmt *st;
	bool more;
	enum err e = view_of(v, ASSOCIATION_COLUMNS "WHERE id=?", id, &st);

	if (e != ERR_OK || st == NULL)
		return e != ERR_OK ? e : ERR_NOTFOUND;
	read_association(st, &row);
	view_done(&st);
	more = fn(arg, &row);
	return more && context != NULL ? each_context(v, id, context, arg)
				       : ERR_OK;
}

/* ---- refusals, capabilities
 * -------------------------------------------------- */

static void read_refusal(sqlite3_stmt *st, struct view_refusal *r)
{
	*r = (struct view_refusal){.id = db_u64(st, 0),
				   .last_ms = sqlite3_column_int64(st, 2),
				   .count = db_u64(st, 3)};
	r->first.at_ms = sqlite3_column_int64(st, 1);
	DB_TEXT(st, 4, r->first.listener);
	DB_TEXT(st, 5, r->first.peer);
	DB_TEXT(st, 6, r->first.calling_ae);
	DB_TEXT(st, 7, r->first.called_ae);
	DB_TEXT(st, 8, r->first.reason);
	DB_TEXT(st, 9, r->first.remedy);
}

enum err ledger_view_refusals(struct ledger_view *v, uint64_t before,
			      unsigned limit, view_refusal_fn *fn, void *arg)
{
	struct view_refusal row;
	sqlite3_stmt *st;
	enum err e = view_page(v,
			       "SELECT id,first_ms,last_ms,count,listener,"
			       "peer,calling_ae,called_ae,reason,remedy"
			       " FROM refusals WHERE id<?"
			       " ORDER BY id DESC LIMIT ?",
			       before, limit, &st);

	while (e == ERR_OK && st != NULL) {
		read_refusal(st, &row);
		e = view_next(v, &st, fn(arg, &row));
	}
	return e;
}

static void read_capability(sqlite3_stmt *st, struct ledger_capability *c)
{
	*c = (struct ledger_capability){
	    .accepted = sqlite3_column_int(st, 6) != 0,
	    .checked_ms = sqlite3_column_int64(st, 7)};
	DB_TEXT(st, 0, c->destination);
	DB_TEXT(st, 1, c->endpoint);
	DB_TEXT(st, 2, c->calling_ae);
	DB_TEXT(st, 3, c->called_ae);
	DB_TEXT(st, 4, c->abstract);
	DB_TEXT(st, 5, c->transfer_syntax);
}

enum err ledger_view_capabilities(struct ledger_view *v,
				  const char *destination,
				  view_capability_fn *fn, void *arg)
{
	struct ledger_capability row;
	sqlite3_stmt *st;
	enum err e = view_prepare(v,
				  "SELECT * FROM capabilities"
				  " WHERE ?1 IS NULL OR destination=?1",
				  &st);

	if (e != ERR_OK)
		return e;
	db_bind_text(st, 1, destination);
	e = view_row(v, &st);
	while (e == ERR_OK && st != NULL) {
		read_capability(st, &row);
		e = view_next(v, &st, fn(arg, &row));
	}
	return e;
}

/* ---- summaries
 * ---------------------------------------------------------------- */

static enum err read_totals(struct ledger_view *v, int64_t id,
			    struct view_destination *d)
{
	sqlite3_stmt *st;
	enum err e = view_of(v,
			     "SELECT state,count,bytes,last_ms"
			     " FROM totals WHERE destination=?",
			     (uint64_t)id, &st);

	while (e == ERR_OK && st != NULL) {
		uint64_t s = db_u64(st, 0);

		if (s < DELIVERY_N_STATES) {
			d->count[s] = db_u64(st, 1);
			d->bytes[s] = db_u64(st, 2);
		}
		if ((s == DELIVERY_DELIVERED || s == DELIVERY_UNCOMMITTED) &&
		    sqlite3_column_int64(st, 3) > d->last_delivered_ms)
			d->last_delivered_ms = sqlite3_column_int64(st, 3);
		e = view_row(v, &st);
	}
	return e;
}

static enum err read_oldest(struct ledger_view *v, int64_t id,
			    struct view_destination *d)
{
	sqlite3_stmt *st;
	enum err e;

	if (d->count[DELIVERY_QUEUED] == 0)
		return ERR_OK;
	e = view_of(v, LEDGER_SQL_OLDEST, (uint64_t)id, &st);
	if (e == ERR_OK && st != NULL) {
		d->oldest_queued_ms = sqlite3_column_int64(st, 0);
		view_done(&st);
	}
	return e;
}

enum err ledger_view_destinations(struct ledger_view *v,
				  view_destination_fn *fn, void *arg)
{
	struct view_destination row;
	sqlite3_stmt *st;
	enum err e = view_all(v,
			      "SELECT id,name,error,error_ms"
			      " FROM destinations ORDER BY id",
			      &st);

	while (e == ERR_OK && st != NULL) {
		int64_t id = sqlite3_column_int64(st, 0);

		row = (struct view_destination){0};
		DB_TEXT(st, 1, row.name);
		DB_TEXT(st, 2, row.last_error);
		row.last_error_ms = sqlite3_column_int64(st, 3);
		e = read_totals(v, id, &row);
		if (e == ERR_OK)
			e = read_oldest(v, id, &row);
		if (e == ERR_OK)
			e = view_next(v, &st, fn(arg, &row));
		else
			view_done(&st);
	}
	return e;
}

enum err ledger_view_devices(struct ledger_view *v, view_device_fn *fn,
			     void *arg)
{
	struct view_device row;
	sqlite3_stmt *st;
	enum err e = view_all(v,
			      "SELECT name,last_ms,instances,bytes,"
			      "associations FROM devices ORDER BY name",
			      &st);

	while (e == ERR_OK && st != NULL) {
		row = (struct view_device){.last_seen_ms =
					       sqlite3_column_int64(st, 1),
					   .instances = db_u64(st, 2),
					   .bytes = db_u64(st, 3),
					   .associations = db_u64(st, 4)};
		DB_TEXT(st, 0, row.name);
		e = view_next(v, &st, fn(arg, &row));
	}
	return e;
}

enum err ledger_view_state(struct ledger_view *v, struct view_state *out)
{
	sqlite3_stmt *st;
	enum err e = view_all(v,
			      "SELECT applied,applied_ms,instances,"
			      "(SELECT user_version"
			      " FROM pragma_user_version)"
			      " FROM spool_state",
			      &st);
	if (e != ERR_OK || st == NULL)
		return e != ERR_OK ? e : ERR_BUSY;
	*out = (struct view_state){.applied = db_u64(st, 0),
				   .applied_ms = sqlite3_column_int64(st, 1),
				   .instances = db_u64(st, 2),
				   .version = (unsigned)db_u64(st, 3)};
	view_done(&st);
	return ERR_OK;
}
