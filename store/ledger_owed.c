/* ledger_owed.c - what the audit has yet to say of instances: the count. */
#include "store/ledger_owed.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/ledger_in.h"

enum {
	COVERS_MAX = 8192, /* rows of the audit that wait to be taken off */
	PARTS = 64         /* series looked at at once */
};

/* What a row of the audit says. */
struct cover {
	struct list node;
	enum audit_kind kind;
	uint64_t association;
	char destination[INSTANCE_NAME_LEN];
	char study[INSTANCE_UID_LEN];
	uint64_t instances, bytes;
	uint64_t upto; /* of the spool: there, when it was said */
};

/* ---- the process before ------------------------------------------------ */

void ledger_owed_init(struct ledger *l)
{
	struct ledger_owed *o = &l->owed;

	o->past = spool_durable(l->spool);
	o->from_ms = audit_began(l->audit);
	o->todo = audit_unclean(l->audit) ? OWED_WRITE : OWED_FORGET;
}

static void free_covers(struct list *covers)
{
	LIST_EACH(it, tmp, covers)
	{
		list_remove(it);
		mem_free(CONTAINER_OF(it, struct cover, node));
	}
}

void ledger_owed_free(struct ledger *l)
{
	free_covers(&l->owed.committed);
	free_covers(&l->owed.synced);
	free_covers(&l->owed.taken);
}

/* Above those of all processes before; the last of them is one below. */
enum err ledger_owed_load(struct ledger *l)
{
	if (l->owed.run != 0)
		return ERR_OK;
	return db_integer(l->db, "SELECT coalesce(max(run),0)+2 FROM owed",
			  &l->owed.run);
}

/* ---- counting ----------------------------------------------------------- */

static enum err write_slot(struct ledger *l, const struct mirror_owed *o)
{
	sqlite3_stmt *st = l->st[ST_OWED_ADD];

	db_bind_int(st, 1, o->run);
	db_bind_int(st, 2, (int64_t)o->kind);
	db_bind_int(st, 3, o->whom);
	db_bind_int(st, 4, o->series);
	db_bind_u64(st, 5, o->instances);
	db_bind_u64(st, 6, o->bytes);
	db_bind_int(st, 7, o->first_ms);
	db_bind_int(st, 8, o->last_ms);
	return db_run(st);
}

enum err ledger_owed_flush(struct ledger *l)
{
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < l->m.n_owed; i++)
		e = write_slot(l, &l->m.owed[i]);
	l->m.n_owed = 0;
	return e;
}

static struct mirror_owed *find(struct mirror *m, const struct mirror_owed *o)
{
	for (size_t i = m->n_owed; i > 0; i--) {
		struct mirror_owed *s = &m->owed[i - 1];

		if (s->series == o->series && s->whom == o->whom &&
		    s->kind == o->kind && s->run == o->run)
			return s;
	}
	return NULL;
}

static enum err add(struct ledger *l, const struct mirror_owed *o)
{
	struct mirror *m = &l->m;
	struct mirror_owed *s = find(m, o);
	enum err e;

	if (s == NULL) {
		e = m->n_owed == OWED_SLOTS ? ledger_owed_flush(l) : ERR_OK;
		m->owed[m->n_owed++] = *o;
		return e;
	}
	s->instances += o->instances;
	s->bytes += o->bytes;
	if (o->first_ms < s->first_ms)
		s->first_ms = o->first_ms;
	if (o->last_ms > s->last_ms)
		s->last_ms = o->last_ms;
	return ERR_OK;
}

/* A record that the process before left, which is of no interest any more: its
 * end was a stop, or it is on record by now. Of a ledger that is made anew,
 * what that process did not do. */
static bool is_old(const struct ledger *l, int64_t at_ms)
{
	if (l->m.at > l->owed.past)
		return false;
	return l->owed.todo != OWED_WRITE ||
	       (l->rebuilding && at_ms < l->owed.from_ms);
}

static enum err count(struct ledger *l, struct mirror_owed *o, int64_t at_ms,
		      uint64_t bytes)
{
	if (is_old(l, at_ms))
		return ERR_OK;
	o->run = l->m.at > l->owed.past ? l->owed.run : l->owed.run - 1;
	o->instances = 1;
	o->bytes = bytes;
	o->first_ms = o->last_ms = at_ms;
	return add(l, o);
}

enum err ledger_owed_received(struct ledger *l, const struct instance *in,
			      int64_t origin, int64_t series)
{
	struct mirror_owed o = {
	    .kind = OWED_RECEIVED, .whom = origin, .series = series};

	if (in->association == 0 || instance_is_message(in->command))
		return ERR_OK;
	return count(l, &o, in->received_ms, in->length);
}

enum err ledger_owed_sent(struct ledger *l, int64_t destination, int64_t series,
			  uint64_t bytes, int64_t at_ms)
{
	struct mirror_owed o = {
	    .kind = OWED_SENT, .whom = destination, .series = series};

	return count(l, &o, at_ms, bytes);
}

/* ---- rows of the audit --------------------------------------------------- */

/* Without memory it stays owed: then it may be written twice. */
void ledger_owed_row(struct ledger *l, const struct post *p)
{
	const struct audit_event *e = &p->as.audit;
	struct cover *c;

	if ((e->kind != AUDIT_INSTANCES_RECEIVED &&
	     e->kind != AUDIT_INSTANCES_TRANSFERRED &&
	     e->kind != AUDIT_ASSOCIATION_ENDED) ||
	    l->owed.n >= COVERS_MAX || (c = mem_zalloc(sizeof(*c))) == NULL)
		return;
	c->kind = e->kind;
	c->association = e->association;
	memcpy(c->destination, e->destination, sizeof(c->destination));
	memcpy(c->study, e->study, sizeof(c->study));
	c->instances = e->covers.instances;
	c->bytes = e->covers.bytes;
	c->upto = p->upto;
	list_push_back(&l->owed.committed, &c->node);
	l->owed.n++;
}

void ledger_owed_synced(struct ledger *l)
{
	list_splice_back(&l->owed.synced, &l->owed.committed);
}

/* What is owed of one series. */
struct part {
	int64_t whom, series;
	uint64_t instances, bytes;
};

static enum err read_parts(sqlite3_stmt *st, struct part v[PARTS], size_t *n)
{
	bool row;
	enum err e = db_row(st, &row);

	for (*n = 0; e == ERR_OK && row && *n < PARTS; (*n)++) {
		v[*n] = (struct part){
		    .whom = sqlite3_column_int64(st, 0),
		    .series = sqlite3_column_int64(st, 1),
		    .instances = db_u64(st, 2),
		    .bytes = db_u64(st, 3),
		};
		e = db_row(st, &row);
	}
	(void)sqlite3_reset(st);
	return e;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static enum err less(struct ledger *l, enum owed_kind kind,
		     const struct part *p, uint64_t *instances, uint64_t *bytes)
{
	bool whole = p->instances <= *instances;
	sqlite3_stmt *st = l->st[whole ? ST_OWED_DROP : ST_OWED_LESS];
	uint64_t b = least(p->bytes, *bytes);

	db_bind_int(st, 1, l->owed.run);
	db_bind_int(st, 2, (int64_t)kind);
	db_bind_int(st, 3, p->whom);
	db_bind_int(st, 4, p->series);
	if (!whole) {
		db_bind_u64(st, 5, *instances);
		db_bind_u64(st, 6, b);
	}
	*instances -= least(p->instances, *instances);
	*bytes -= b;
	return db_run(st);
}

/* A study has several series: which of them the row counts is not said. */
static enum err take_off(struct ledger *l, enum owed_kind kind,
			 sqlite3_stmt *st, const struct cover *c)
{
	uint64_t instances = c->instances, bytes = c->bytes;
	struct part v[PARTS];
	size_t n = PARTS;
	enum err e = ERR_OK;

	while (e == ERR_OK && n == PARTS && instances > 0) {
		e = read_parts(st, v, &n);
		for (size_t i = 0; e == ERR_OK && i < n && instances > 0; i++)
			e = less(l, kind, &v[i], &instances, &bytes);
	}
	return e;
}

/* Numbers of destinations are those of this connection. */
static int64_t destination_id(const struct mirror *m, const char *name)
{
	for (size_t i = 0; i < m->n_destinations; i++)
		if (strcmp(m->destinations[i].name, name) == 0)
			return m->destinations[i].id;
	return 0;
}

static enum err take_one(struct ledger *l, const struct cover *c)
{
	sqlite3_stmt *st;

	if (c->kind == AUDIT_ASSOCIATION_ENDED) {
		st = l->st[ST_OWED_END];
		db_bind_int(st, 1, l->owed.run);
		db_bind_u64(st, 2, c->association);
		return db_run(st);
	}
	if (c->kind == AUDIT_INSTANCES_RECEIVED) {
		st = l->st[ST_OWED_RECEIVED];
		db_bind_u64(st, 2, c->association);
	} else {
		st = l->st[ST_OWED_SENT];
		db_bind_int(st, 2, destination_id(&l->m, c->destination));
	}
	db_bind_int(st, 1, l->owed.run);
	db_bind_text(st, 3, c->study);
	return take_off(
	    l, c->kind == AUDIT_INSTANCES_RECEIVED ? OWED_RECEIVED : OWED_SENT,
	    st, c);
}

enum err ledger_owed_take(struct ledger *l)
{
	bool all = l->tail_empty && l->tail_retry_ns == 0;
	enum err e = ERR_OK;

	if (list_empty(&l->owed.synced))
		return ERR_OK;
	LIST_EACH(it, tmp, &l->owed.synced)
	{
		const struct cover *c = CONTAINER_OF(it, struct cover, node);

		if (!all && c->upto > l->m.position)
			continue;
		e = ledger_begin(l);
		if (e == ERR_OK)
			e = ledger_owed_flush(l);
		if (e == ERR_OK)
			e = take_one(l, c);
		if (e != ERR_OK)
			return e;
		l->batch++;
		list_remove(it);
		list_push_back(&l->owed.taken, it);
	}
	return ERR_OK;
}

void ledger_owed_taken(struct ledger *l)
{
	LIST_EACH(it, tmp, &l->owed.taken)
	l->owed.n--;
	free_covers(&l->owed.taken);
}

void ledger_owed_undo(struct ledger *l)
{
	list_splice_back(&l->owed.synced, &l->owed.taken);
}
