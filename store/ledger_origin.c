/* ledger_origin.c - what came over links: answers, and who is told.
 *
 * The state of an instance follows from its deliveries and is kept in its row
 * as well, so that what is to be told is found by an index. */
#include "store/ledger_origin.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_in.h"

/* ---- owners -------------------------------------------------------------- */

int64_t ledger_owner_find(const struct mirror *m,
			  const uint8_t owner[LEDGER_OWNER_LEN])
{
	for (size_t i = 0; i < m->n_owners; i++)
		if (memcmp(m->owners[i].owner, owner, LEDGER_OWNER_LEN) == 0)
			return m->owners[i].id;
	return 0;
}

static const uint8_t *owner_by_id(const struct mirror *m, int64_t id)
{
	for (size_t i = 0; i < m->n_owners; i++)
		if (m->owners[i].id == id)
			return m->owners[i].owner;
	return NULL;
}

static enum err owner_add(struct ledger *l, const uint8_t *owner, int64_t id)
{
	struct mirror *m = &l->m;
	sqlite3_stmt *st = l->st[ST_OWNER];
	struct mirror_owner *o;

	if ((m->n_owners & (m->n_owners - 1)) == 0) {
		size_t cap = m->n_owners != 0 ? m->n_owners * 2 : 1;
		void *more = mem_realloc(m->owners, cap * sizeof(*m->owners));

		if (more == NULL)
			return ERR_NOMEM;
		m->owners = more;
	}
	o = &m->owners[m->n_owners++];
	o->id = id;
	memcpy(o->owner, owner, LEDGER_OWNER_LEN);
	db_bind_int(st, 1, id);
	db_bind_blob(st, 2, owner, LEDGER_OWNER_LEN);
	return db_run(st);
}

enum err ledger_owner_get(struct ledger *l,
			  const uint8_t owner[LEDGER_OWNER_LEN], int64_t *id)
{
	*id = ledger_owner_find(&l->m, owner);
	if (*id != 0)
		return ERR_OK;
	for (size_t i = 0; i < l->m.n_owners; i++)
		if (l->m.owners[i].id > *id)
			*id = l->m.owners[i].id;
	(*id)++;
	return owner_add(l, owner, *id);
}

/* ---- one instance ----------------------------------------------------------
 */

/* What its deliveries say together. */
struct verdict {
	bool taken_back, waiting, delivered;
	int stuck_rank;
};

static enum origin_stuck stuck_of(enum delivery_state s, sqlite3_stmt *st)
{
	switch (s) {
	case DELIVERY_QUARANTINED:
		return ORIGIN_STUCK_QUARANTINED;
	case DELIVERY_HELD:
		return ORIGIN_STUCK_HELD;
	case DELIVERY_DISCARDED:
		return ORIGIN_STUCK_DISCARDED;
	case DELIVERY_QUEUED: /* tried and failed? */
		return sqlite3_column_int(st, 4) > 0 &&
			       sqlite3_column_type(st, 9) != SQLITE_NULL
			   ? ORIGIN_STUCK_RETRYING
			   : ORIGIN_STUCK_NOT;
	case DELIVERY_DELIVERED:
	case DELIVERY_WITHDRAWN:
	case DELIVERY_UNCOMMITTED:
	case DELIVERY_COMMITTED:
	case DELIVERY_ARRIVED:
		break;
	}
	return ORIGIN_STUCK_NOT;
}

/* Of several the one that a person must see first; what is discarded cannot
 * change any more. */
static const int stuck_ranks[] = {
    [ORIGIN_STUCK_NOT] = 0,         [ORIGIN_STUCK_RETRYING] = 1,
    [ORIGIN_STUCK_DISCARDED] = 2,   [ORIGIN_STUCK_HELD] = 3,
    [ORIGIN_STUCK_QUARANTINED] = 4,
};

static uint16_t status_of(sqlite3_stmt *st)
{
	int status = sqlite3_column_int(st, 5);

	return status > 0 ? (uint16_t)status : 0;
}

static void judge_stuck(struct verdict *v, struct ledger_origin *o,
			enum delivery_state s, sqlite3_stmt *st)
{
	enum origin_stuck stuck = stuck_of(s, st);

	if (stuck_ranks[stuck] <= v->stuck_rank)
		return;
	v->stuck_rank = stuck_ranks[stuck];
	o->stuck = (uint8_t)stuck;
	o->status = status_of(st);
	DB_TEXT(st, 9, o->text);
}

static void judge_delivered(struct verdict *v, struct ledger_origin *o,
			    sqlite3_stmt *st)
{
	char text[LEDGER_TEXT_LEN];

	DB_TEXT(st, 9, text);
	if (strcmp(text, LEDGER_FLAGGED) == 0)
		o->flagged = true;
	if (!v->delivered && v->stuck_rank == 0)
		o->status = status_of(st);
	v->delivered = true;
}

static void judge(struct verdict *v, struct ledger_origin *o,
		  enum delivery_state s, sqlite3_stmt *st)
{
	if (sqlite3_column_int64(st, 10) > o->at_ms)
		o->at_ms = sqlite3_column_int64(st, 10);
	switch (s) {
	case DELIVERY_DELIVERED:
	case DELIVERY_COMMITTED:
		judge_delivered(v, o, st);
		break;
	case DELIVERY_WITHDRAWN:
		if (sqlite3_column_type(st, 8) == SQLITE_NULL)
			v->taken_back = true;
		break;
	case DELIVERY_QUEUED:
	case DELIVERY_UNCOMMITTED:
	case DELIVERY_ARRIVED:
	case DELIVERY_HELD:
	case DELIVERY_QUARANTINED:
		v->waiting = true;
		break;
	case DELIVERY_DISCARDED:
		break;
	}
	judge_stuck(v, o, s, st);
}

static enum origin_state state_of(const struct verdict *v)
{
	if (v->taken_back)
		return ORIGIN_NONE;
	if (v->stuck_rank > stuck_ranks[ORIGIN_STUCK_RETRYING])
		return ORIGIN_STUCK;
	return v->delivered && !v->waiting ? ORIGIN_DELIVERED : ORIGIN_ARRIVED;
}

static void clear(struct ledger_origin *o)
{
	struct instance_origin name = o->origin;

	*o = (struct ledger_origin){.origin = name};
}

static enum err read_deliveries(struct ledger *l, struct ledger_origin *o)
{
	sqlite3_stmt *st = l->st[ST_DELIVERIES_OF];
	struct verdict v = {0};
	bool row;
	enum err e;

	db_bind_u64(st, 1, o->seq << LEDGER_DELIVERY_BITS);
	e = db_row(st, &row);
	while (e == ERR_OK && row) {
		unsigned s = (unsigned)sqlite3_column_int(st, 2);

		if (s >= DELIVERY_N_STATES)
			e = ERR_CORRUPT;
		else
			judge(&v, o, (enum delivery_state)s, st);
		if (e == ERR_OK)
			e = db_row(st, &row);
	}
	(void)sqlite3_reset(st);
	o->state = state_of(&v);
	return e;
}

static bool read_blob(sqlite3_stmt *st, int i, void *out, size_t n)
{
	if ((size_t)sqlite3_column_bytes(st, i) != n)
		return false;
	memcpy(out, sqlite3_column_blob(st, i), n);
	return true;
}

static enum err read_row(struct ledger *l, sqlite3_stmt *st,
			 struct ledger_origin *o)
{
	const uint8_t *owner = owner_by_id(&l->m, sqlite3_column_int64(st, 4));

	if (owner == NULL ||
	    !read_blob(st, 0, o->transfer.b, sizeof(o->transfer.b)) ||
	    !read_blob(st, 3, o->root, sizeof(o->root)) ||
	    !read_blob(st, 5, o->origin.id.b, sizeof(o->origin.id.b)))
		return ERR_CORRUPT;
	memcpy(o->origin.peer, owner, sizeof(o->origin.peer));
	o->length = db_u64(st, 1);
	o->chunks = (uint32_t)db_u64(st, 2);
	o->noted = sqlite3_column_int(st, 6) != 0;
	return ERR_OK;
}

/* The instance of this sequence; ORIGIN_NONE if it came over no link. */
static enum err read_origin(struct ledger *l, uint64_t seq,
			    struct ledger_origin *o)
{
	sqlite3_stmt *st = l->st[ST_LINK_ROW];
	bool row;
	enum err e;

	clear(o);
	db_bind_u64(st, 1, seq);
	e = db_row(st, &row);
	if (e != ERR_OK || !row)
		return e;
	row = sqlite3_column_type(st, 4) != SQLITE_NULL;
	if (row)
		e = read_row(l, st, o);
	(void)sqlite3_reset(st);
	if (e != ERR_OK || !row)
		return e;
	o->seq = seq;
	e = read_deliveries(l, o);
	if (e == ERR_OK && o->state == ORIGIN_NONE)
		clear(o);
	if (o->state == ORIGIN_DELIVERED)
		o->text[0] = '\0';
	return e;
}

/* ---- telling ---------------------------------------------------------------
 */

static enum err remember(struct ledger *l, uint64_t seq)
{
	if (l->o.on_origin == NULL)
		return ERR_OK;
	if (l->n_changed == l->cap_changed) {
		size_t cap = l->cap_changed != 0 ? l->cap_changed * 2 : 64;
		void *more = mem_realloc(l->changed, cap * sizeof(*l->changed));

		if (more == NULL)
			return ERR_NOMEM;
		l->changed = more;
		l->cap_changed = cap;
	}
	l->changed[l->n_changed++] = seq;
	return ERR_OK;
}

enum err ledger_origin_changed(struct ledger *l, uint64_t seq)
{
	sqlite3_stmt *st = l->st[ST_LINK_STATE];
	struct ledger_origin o = {0};
	enum err e = read_origin(l, seq, &o);

	if (e != ERR_OK)
		return e;
	db_bind_u64(st, 1, seq);
	db_bind_int(st, 2, (int64_t)o.state);
	e = db_run(st);
	if (e != ERR_OK || o.state < ORIGIN_DELIVERED)
		return e;
	return remember(l, seq);
}

/* What was remembered but not committed is read as it is now. */
enum err ledger_origins_tell(struct ledger *l)
{
	struct ledger_origin o = {0};
	size_t i = 0;
	enum err e = ERR_OK;

	for (; i < l->n_changed; i++) {
		e = read_origin(l, l->changed[i], &o);
		if (e != ERR_OK)
			break;
		if (o.state >= ORIGIN_DELIVERED)
			l->o.on_origin(l->o.arg, &o);
	}
	if (i > 0) {
		l->n_changed -= i;
		memmove(l->changed, l->changed + i,
			l->n_changed * sizeof(*l->changed));
	}
	return e;
}

enum err ledger_origins_write_noted(struct ledger *l, const struct post *p)
{
	sqlite3_stmt *st = l->st[ST_LINK_NOTED];
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < p->as.noted.n; i++) {
		const struct instance_origin *v = &p->as.noted.v[i];
		int64_t owner = ledger_owner_find(&l->m, v->peer);

		if (owner == 0)
			continue;
		db_bind_int(st, 1, owner);
		db_bind_blob(st, 2, v->id.b, TRANSFER_ID_LEN);
		e = db_run(st);
	}
	return e;
}

/* ---- answers ---------------------------------------------------------------
 */

static enum err find(struct ledger *l, const struct instance_origin *name,
		     uint64_t *seq)
{
	sqlite3_stmt *st = l->st[ST_LINK_FIND];
	int64_t owner = ledger_owner_find(&l->m, name->peer);
	bool row;
	enum err e;

	*seq = 0;
	if (owner == 0)
		return ERR_OK;
	db_bind_int(st, 1, owner);
	db_bind_blob(st, 2, name->id.b, TRANSFER_ID_LEN);
	e = db_row(st, &row);
	if (e == ERR_OK && row)
		*seq = db_u64(st, 0);
	(void)sqlite3_reset(st);
	return e;
}

static enum err look_up(struct ledger *l, const struct instance_origin *names,
			size_t n, struct ledger_origin *out)
{
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < n; i++) {
		uint64_t seq;

		out[i].origin = names[i];
		e = find(l, &names[i], &seq);
		if (e == ERR_OK && seq != 0)
			e = read_origin(l, seq, &out[i]);
	}
	return e;
}

static enum err look_untold(struct ledger *l, const struct request *r,
			    struct ledger_origin *out, size_t *n)
{
	sqlite3_stmt *st = l->st[ST_LINK_UNTOLD];
	int64_t owner = ledger_owner_find(&l->m, r->as.told.owner);
	bool row;
	enum err e;

	if (owner == 0)
		return ERR_OK;
	db_bind_int(st, 1, owner);
	db_bind_u64(st, 2, r->as.told.after);
	db_bind_int(st, 3, (int64_t)r->as.told.max);
	e = db_row(st, &row);
	while (e == ERR_OK && row && *n < r->as.told.max) {
		e = read_origin(l, db_u64(st, 0), &out[(*n)++]);
		if (e == ERR_OK)
			e = db_row(st, &row);
	}
	(void)sqlite3_reset(st);
	return e;
}

static enum err told_as(enum err e)
{
	return e == ERR_OK || e == ERR_CANCELED || e == ERR_NOMEM ? e : ERR_IO;
}

enum err ledger_answer_origins(struct ledger *l, const struct request *r,
			       enum err why)
{
	size_t n = r->as.origins.n;
	struct ledger_origin *out = NULL;
	enum err e = why;

	if (e == ERR_OK) {
		out = mem_zarray(n, sizeof(*out));
		e = out != NULL ? look_up(l, (const void *)(r + 1), n, out)
				: ERR_NOMEM;
	}
	r->as.origins.fn(r->arg, told_as(e), out, e == ERR_OK ? n : 0);
	mem_free(out);
	return e;
}

enum err ledger_answer_told(struct ledger *l, const struct request *r,
			    enum err why)
{
	struct ledger_origin *out = NULL;
	size_t n = 0;
	enum err e = why;

	if (e == ERR_OK) {
		out = mem_zarray(r->as.told.max, sizeof(*out));
		e = out != NULL ? look_untold(l, r, out, &n) : ERR_NOMEM;
	}
	r->as.told.fn(r->arg, told_as(e), out, e == ERR_OK ? n : 0);
	mem_free(out);
	return e;
}
