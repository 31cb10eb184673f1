/* ledger_write.c - posted writes become rows. */
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/ledger_in.h"

enum { REFUSAL_MERGE_MS = 3600 * 1000 };

/* ---- rows -----------------------------------------------------------------
 */

/* What one column of a row gets. */
struct value {
	enum { VALUE_INT, VALUE_TEXT, VALUE_KEY } kind;
	int64_t number;
	const char *text; /* borrowed */
};

static struct value num(int64_t n)
{
	return (struct value){.kind = VALUE_INT, .number = n};
}

static struct value u64(uint64_t n)
{
	return num((int64_t)n);
}

/* "" is stored as NULL. */
static struct value text(const char *s)
{
	return (struct value){.kind = VALUE_TEXT, .text = s};
}

/* Parts of a key may be empty but not NULL. */
static struct value key_part(const char *s)
{
	return (struct value){.kind = VALUE_KEY, .text = s};
}

static void bind_value(sqlite3_stmt *st, int i, const struct value *v)
{
	switch (v->kind) {
	case VALUE_INT:
		db_bind_int(st, i, v->number);
		break;
	case VALUE_TEXT:
		db_bind_text(st, i, v->text);
		break;
	case VALUE_KEY:
		(void)sqlite3_bind_text(st, i, v->text, -1, SQLITE_STATIC);
		break;
	}
}

/* Bind ?1 to ?n and run the statement. */
static enum err write_row(sqlite3_stmt *st, const struct value *values,
			  size_t n)
{
	for (size_t i = 0; i < n; i++)
		bind_value(st, (int)i + 1, &values[i]);
	return db_run(st);
}

#define WRITE_ROW(st, values) write_row((st), (values), ARRAY_LEN(values))

/* ---- associations ---------------------------------------------------------
 */

static enum err write_context(struct ledger *l, uint64_t association,
			      const struct ledger_context *c)
{
	const struct value row[] = {
	    u64(association),  num(c->id),        num(c->result),
	    text(c->abstract), text(c->accepted), text(c->proposed),
	};

	return WRITE_ROW(l->st[ST_CONTEXT], row);
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
	const struct value row[] = {
	    u64(a->id),
	    num((int64_t)a->direction),
	    text(a->party),
	    text(a->device),
	    text(a->peer),
	    text(a->local),
	    text(a->calling_ae),
	    text(a->called_ae),
	    text(a->impl_class),
	    text(a->impl_version),
	    num(a->max_pdu),
	    text(a->tls_version),
	    text(a->tls_suite),
	    text(a->tls_group),
	    text(a->fingerprint),
	    text(a->subject),
	    num(a->begun_ms),
	    text(a->result),
	    num((int64_t)a->n_contexts),
	};
	enum err e = WRITE_ROW(l->st[ST_ASSOCIATION], row);

	for (size_t i = 0; e == ERR_OK && i < a->n_contexts; i++)
		e = write_context(l, a->id, &a->contexts[i]);
	return e == ERR_OK ? count_association(l, a) : e;
}

static enum err write_end(struct ledger *l,
			  const struct ledger_association_end *a)
{
	const struct value row[] = {
	    u64(a->id),       num(a->ended_ms),  u64(a->duration_ns),
	    u64(a->bytes_in), u64(a->bytes_out), num(a->stores),
	    num(a->echos),    num(a->others),    num(a->failures),
	    text(a->why),
	};

	return WRITE_ROW(l->st[ST_ASSOCIATION_END], row);
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
	const struct value row[] = {
	    num(r->at_ms),       text(r->listener),  text(r->peer),
	    text(r->calling_ae), text(r->called_ae), text(r->reason),
	    text(r->remedy),
	};
	enum err e = WRITE_ROW(l->st[ST_REFUSAL_ADD], row);

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
	const struct value again[] = {
	    num(slot->id),
	    num(1),
	    num(r->at_ms),
	};

	if (slot->id == 0 || slot->key != key || r->at_ms < slot->first_ms ||
	    r->at_ms - slot->first_ms >= REFUSAL_MERGE_MS)
		return refusal_add(l, r, slot);
	return WRITE_ROW(l->st[ST_REFUSAL_AGAIN], again);
}

/* ---- the rest ------------------------------------------------------------ */

static enum err write_capability(struct ledger *l,
				 const struct ledger_capability *c)
{
	const struct value row[] = {
	    key_part(c->destination), key_part(c->endpoint),
	    key_part(c->calling_ae),  key_part(c->called_ae),
	    key_part(c->abstract),    key_part(c->transfer_syntax),
	    num(c->accepted),         num(c->checked_ms),
	};

	return WRITE_ROW(l->st[ST_CAPABILITY], row);
}

static enum err write_attempt(struct ledger *l, const struct ledger_attempt *a)
{
	const struct value row[] = {
	    u64(a->delivery),      num(a->attempts), num(a->next_attempt_ms),
	    num(a->remote_status), text(a->error),
	};
	const struct value last_error[] = {
	    u64(a->delivery),
	    text(a->error),
	    num(clock_wall_ms()),
	};
	enum err e = WRITE_ROW(l->st[ST_ATTEMPT], row);

	if (e != ERR_OK || sqlite3_changes(l->db) == 0 || a->error[0] == '\0')
		return e;
	return WRITE_ROW(l->st[ST_DESTINATION_ERROR], last_error);
}

static enum err write_operation(struct ledger *l,
				const struct ledger_operation *o)
{
	const struct value row[] = {
	    u64(o->association),
	    text(o->destination),
	    text(o->device),
	    num(o->from_destination),
	    num(o->command),
	    text(o->sop_class),
	    text(o->sop_instance),
	    num(o->status),
	    num(o->responses),
	    u64(o->bytes),
	    num(o->begun_ms),
	    u64(o->duration_ns),
	    u64(o->count > 0 ? o->count : 1),
	};

	return WRITE_ROW(l->st[ST_OPERATION], row);
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
	case POST_NOTED:
		return ledger_origins_write_noted(l, p);
	case POST_SAMPLE:
		return ledger_rollup_write(l, &p->as.sample);
	case POST_AUDIT:
		return ERR_OK; /* not here: audit.c */
	}
	return ERR_OK;
}
