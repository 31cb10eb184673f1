/* ledger_write.c - posted writes become rows. */
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/ledger_in.h"

enum { REFUSAL_MERGE_MS = 3600 * 1000 };

static enum err write_context(struct ledger *l, uint64_t association,
			      const struct ledger_context *c)
{
	sqlite3_stmt *st = l->st[ST_CONTEXT];

	db_bind_u64(st, 1, association);
	db_bind_int(st, 2, c->id);
	db_bind_int(st, 3, c->result);
	db_bind_text(st, 4, c->abstract);
	db_bind_text(st, 5, c->accepted);
	db_bind_text(st, 6, c->proposed);
	return db_run(st);
}

static void bind_tls(sqlite3_stmt *st, const struct ledger_association *a)
{
	db_bind_text(st, 12, a->tls_version);
	db_bind_text(st, 13, a->tls_suite);
	db_bind_text(st, 14, a->tls_group);
	db_bind_text(st, 15, a->fingerprint);
	db_bind_text(st, 16, a->subject);
}

static enum err count_association(struct ledger *l,
				  const struct ledger_association *a)
{
	struct mirror_device *d;
	enum err e;

	if (a->direction != LEDGER_IN || a->device[0] == '\0')
		return ERR_OK;
	e = mirror_device_get(&l->m, a->device, &d);
	if (e != ERR_OK)
		return e;
	d->associations++;
	if (a->begun_ms > d->last_ms)
		d->last_ms = a->begun_ms;
	d->dirty = true;
	return ERR_OK;
}

static enum err write_association(struct ledger *l,
				  const struct ledger_association *a)
{
	sqlite3_stmt *st = l->st[ST_ASSOCIATION];
	enum err e;

	db_bind_u64(st, 1, a->id);
	db_bind_int(st, 2, (int64_t)a->direction);
	db_bind_text(st, 3, a->party);
	db_bind_text(st, 4, a->device);
	db_bind_text(st, 5, a->peer);
	db_bind_text(st, 6, a->local);
	db_bind_text(st, 7, a->calling_ae);
	db_bind_text(st, 8, a->called_ae);
	db_bind_text(st, 9, a->impl_class);
	db_bind_text(st, 10, a->impl_version);
	db_bind_int(st, 11, a->max_pdu);
	bind_tls(st, a);
	db_bind_int(st, 17, a->begun_ms);
	db_bind_text(st, 18, a->result);
	db_bind_int(st, 19, (int64_t)a->n_contexts);
	e = db_run(st);
	for (size_t i = 0; e == ERR_OK && i < a->n_contexts; i++)
		e = write_context(l, a->id, &a->contexts[i]);
	return e == ERR_OK ? count_association(l, a) : e;
}

static enum err write_end(struct ledger *l,
			  const struct ledger_association_end *a)
{
	sqlite3_stmt *st = l->st[ST_ASSOCIATION_END];

	db_bind_u64(st, 1, a->id);
	db_bind_int(st, 2, a->ended_ms);
	db_bind_u64(st, 3, a->duration_ns);
	db_bind_u64(st, 4, a->bytes_in);
	db_bind_u64(st, 5, a->bytes_out);
	db_bind_int(st, 6, a->stores);
	db_bind_int(st, 7, a->echos);
	db_bind_int(st, 8, a->others);
	db_bind_int(st, 9, a->failures);
	db_bind_text(st, 10, a->why);
	return db_run(st);
}

/* ---- refusals ----------------------------------------------------------- */

static uint64_t refusal_key(const struct ledger_refusal *r)
{
	uint64_t h = ledger_hash(r->listener);

	h = ledger_mix(h ^ ledger_hash(r->peer));
	h = ledger_mix(h ^ ledger_hash(r->calling_ae));
	h = ledger_mix(h ^ ledger_hash(r->called_ae));
	return ledger_mix(h ^ ledger_hash(r->reason));
}

static enum err refusal_add(struct ledger *l, const struct ledger_refusal *r,
			    struct mirror_refusal *slot)
{
	sqlite3_stmt *st = l->st[ST_REFUSAL_ADD];
	enum err e;

	db_bind_int(st, 1, r->at_ms);
	db_bind_text(st, 2, r->listener);
	db_bind_text(st, 3, r->peer);
	db_bind_text(st, 4, r->calling_ae);
	db_bind_text(st, 5, r->called_ae);
	db_bind_text(st, 6, r->reason);
	db_bind_text(st, 7, r->remedy);
	e = db_run(st);
	if (e != ERR_OK)
		return e;
	slot->key = refusal_key(r);
	slot->id = sqlite3_last_insert_rowid(l->db);
	slot->first_ms = r->at_ms;
	return ERR_OK;
}

/* A cache of the last ones: a miss only begins another row. */
static enum err write_refusal(struct ledger *l, const struct ledger_refusal *r)
{
	uint64_t key = refusal_key(r);
	struct mirror_refusal *slot = &l->m.refusals[key % LEDGER_CACHED];
	sqlite3_stmt *st = l->st[ST_REFUSAL_AGAIN];

	if (slot->id == 0 || slot->key != key || r->at_ms < slot->first_ms ||
	    r->at_ms - slot->first_ms >= REFUSAL_MERGE_MS)
		return refusal_add(l, r, slot);
	db_bind_int(st, 1, slot->id);
	db_bind_int(st, 2, 1);
	db_bind_int(st, 3, r->at_ms);
	return db_run(st);
}

/* ---- the rest ------------------------------------------------------------ */

/* Parts of a key may be empty but not NULL. */
static void bind_key(sqlite3_stmt *st, int i, const char *text)
{
	(void)sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

static enum err write_capability(struct ledger *l,
				 const struct ledger_capability *c)
{
	sqlite3_stmt *st = l->st[ST_CAPABILITY];

	bind_key(st, 1, c->destination);
	bind_key(st, 2, c->endpoint);
	bind_key(st, 3, c->calling_ae);
	bind_key(st, 4, c->called_ae);
	bind_key(st, 5, c->abstract);
	bind_key(st, 6, c->transfer_syntax);
	db_bind_int(st, 7, c->accepted);
	db_bind_int(st, 8, c->checked_ms);
	return db_run(st);
}

static enum err write_attempt(struct ledger *l, const struct ledger_attempt *a)
{
	sqlite3_stmt *st = l->st[ST_ATTEMPT];
	enum err e;

	db_bind_u64(st, 1, a->delivery);
	db_bind_int(st, 2, a->attempts);
	db_bind_int(st, 3, a->next_attempt_ms);
	db_bind_int(st, 4, a->remote_status);
	db_bind_text(st, 5, a->error);
	e = db_run(st);
	if (e != ERR_OK || sqlite3_changes(l->db) == 0 || a->error[0] == '\0')
		return e;
	st = l->st[ST_DESTINATION_ERROR];
	db_bind_u64(st, 1, a->delivery);
	db_bind_text(st, 2, a->error);
	db_bind_int(st, 3, clock_wall_ms());
	return db_run(st);
}

static enum err write_operation(struct ledger *l,
				const struct ledger_operation *o)
{
	sqlite3_stmt *st = l->st[ST_OPERATION];

	db_bind_u64(st, 1, o->association);
	db_bind_text(st, 2, o->destination);
	db_bind_text(st, 3, o->device);
	db_bind_int(st, 4, o->from_destination);
	db_bind_int(st, 5, o->command);
	db_bind_text(st, 6, o->sop_class);
	db_bind_text(st, 7, o->sop_instance);
	db_bind_int(st, 8, o->status);
	db_bind_int(st, 9, o->responses);
	db_bind_u64(st, 10, o->bytes);
	db_bind_int(st, 11, o->begun_ms);
	db_bind_u64(st, 12, o->duration_ns);
	db_bind_u64(st, 13, o->count > 0 ? o->count : 1);
	return db_run(st);
}

enum err ledger_write(struct ledger *l, const struct post *p)
{
	switch (p->kind) {
	case POST_ASSOCIATION:
		return write_association(l, &p->as.association);
	case POST_ASSOCIATION_END:
		return write_end(l, &p->as.end);
	case POST_REFUSAL:
		return write_refusal(l, &p->as.refusal);
	case POST_CAPABILITY:
		return write_capability(l, &p->as.capability);
	case POST_ATTEMPT:
		return write_attempt(l, &p->as.attempt);
	case POST_OPERATION:
		return write_operation(l, &p->as.operation);
	case POST_AUDIT:
		return ERR_OK; /* not here: audit.c */
	}
	return ERR_OK;
}
