/* ledger_view_uid.c - where the instances with these UIDs are.
 *
 * An index on UIDs would cost every instance a page write; storage commitment
 * asks rarely and soon after. So the newest rows are looked through instead,
 * against a hash table of the UIDs asked for. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_map.h"
#include "store/ledger_view_in.h"

enum { PAGE = 1000 };

struct hit {
	uint64_t seq;
	uint32_t at; /* the first entry of the set with this UID */
};

struct search {
	struct ledger_view *v;
	const struct view_uid_scan *scan;
	struct view_uid *set;
	size_t n, missing;
	struct ledger_map heads; /* hash of a UID -> 1 + its last entry */
	uint32_t *next;          /* 1 + the entry before with this hash */
	bool *met;               /* in this scan */

	uint64_t before, newest, rows;
	bool end;
	size_t n_hits;
	struct hit hits[PAGE];
};

/* ---- the table ------------------------------------------------------------
 */

/* 0 is no key. */
static uint64_t key_of(const char *uid)
{
	uint64_t h = ledger_hash(uid);

	return h != 0 ? h : 1;
}

static enum err fill_table(struct search *s)
{
	s->next = mem_zarray(s->n + 1, sizeof(*s->next));
	s->met = mem_zarray(s->n + 1, sizeof(*s->met));
	if (s->next == NULL || s->met == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < s->n; i++) {
		uint64_t key = key_of(s->set[i].uid);
		uint64_t *head = ledger_map_get(&s->heads, key);

		s->next[i] = head != NULL ? (uint32_t)*head : 0;
		if (ledger_map_set(&s->heads, key, i + 1) != ERR_OK)
			return ERR_NOMEM;
	}
	return ERR_OK;
}

/* 1 + the first entry with this UID; 0: nobody asks for it, or it was met. */
static uint32_t wanted(const struct search *s, const char *uid)
{
	const uint64_t *head = ledger_map_get(&s->heads, key_of(uid));
	uint32_t at = head != NULL ? (uint32_t)*head : 0;

	while (at != 0 && strcmp(s->set[at - 1].uid, uid) != 0)
		at = s->next[at - 1];
	return at != 0 && !s->met[at - 1] ? at : 0;
}

/* ---- states
 * ------------------------------------------------------------------
 */

/* How much is left to do or gone wrong: the highest is the worst. */
static unsigned badness(enum delivery_state state)
{
	switch (state) {
	case DELIVERY_QUARANTINED:
		return 8;
	case DELIVERY_HELD:
		return 7;
	case DELIVERY_QUEUED:
		return 6;
	case DELIVERY_ARRIVED:
		return 5;
	case DELIVERY_UNCOMMITTED:
		return 4;
	case DELIVERY_DISCARDED:
		return 3;
	case DELIVERY_WITHDRAWN:
		return 2;
	case DELIVERY_DELIVERED:
		return 1;
	case DELIVERY_COMMITTED:
		return 0;
	}
	return 8;
}

static enum err prepare_state(struct search *s, sqlite3_stmt **st)
{
	enum err e = view_prepare(s->v,
				  "SELECT d.state,o.device FROM deliveries d"
				  " CROSS JOIN destinations t"
				  " ON t.id=d.destination"
				  " CROSS JOIN instances i ON i.seq=d.id>>5"
				  " CROSS JOIN origins o ON o.id=i.origin"
				  " WHERE d.id BETWEEN ?1*32 AND ?1*32+31"
				  " AND (?2 IS NULL OR t.name=?2)",
				  st);

	if (e == ERR_OK)
		db_bind_text(*st, 2, s->scan->destination);
	return e;
}

/* The answer about the instance seq; found is false if it does not count. */
static enum err state_of(sqlite3_stmt *st, uint64_t seq, struct view_uid *out)
{
	bool row;
	enum err e;

	out->found = false;
	db_bind_u64(st, 1, seq);
	e = db_row(st, &row);
	while (e == ERR_OK && row) {
		unsigned state = (unsigned)sqlite3_column_int(st, 0);

		if (state < DELIVERY_N_STATES &&
		    (!out->found ||
		     badness((enum delivery_state)state) > badness(out->state)))
			out->state = (enum delivery_state)state;
		out->found = true;
		out->seq = seq;
		DB_TEXT(st, 1, out->device);
		e = db_row(st, &row);
	}
	(void)sqlite3_reset(st);
	return e;
}

/* All entries with the UID of the one at at. */
static void answer(struct search *s, size_t at, const struct view_uid *with)
{
	for (size_t i = at + 1; i != 0; i = s->next[i - 1]) {
		struct view_uid *u = &s->set[i - 1];

		if (s->met[i - 1] || strcmp(u->uid, s->set[at].uid) != 0)
			continue;
		s->met[i - 1] = true;
		s->missing--;
		u->found = true;
		u->seq = with->seq;
		u->state = with->state;
		memcpy(u->device, with->device, sizeof(u->device));
	}
}

static enum err answer_hits(struct search *s)
{
	sqlite3_stmt *st;
	enum err e;

	if (s->n_hits == 0)
		return ERR_OK;
	e = prepare_state(s, &st);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; e == ERR_OK && i < s->n_hits; i++) {
		struct view_uid u = {0};

		if (s->met[s->hits[i].at])
			continue; /* by a newer one of this page */
		e = state_of(st, s->hits[i].seq, &u);
		if (e == ERR_OK && u.found)
			answer(s, s->hits[i].at, &u);
	}
	if (e != ERR_OK)
		e = view_failed(s->v, e);
	view_done(&st);
	return e;
}

/* What was found by an earlier call and has no newer one. */
static enum err refresh(struct search *s)
{
	sqlite3_stmt *st = NULL;
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < s->n; i++) {
		if (s->met[i] || !s->set[i].found)
			continue;
		if (st == NULL)
			e = prepare_state(s, &st);
		if (e != ERR_OK)
			return e;
		e = state_of(st, s->set[i].seq, &s->set[i]);
	}
	if (e != ERR_OK)
		e = view_failed(s->v, e);
	view_done(&st);
	return e;
}

/* ---- looking through
 * --------------------------------------------------------- */

/* One row; false: too old to count. */
static bool take_row(struct search *s, sqlite3_stmt *st)
{
	const unsigned char *uid = sqlite3_column_text(st, 1);
	uint32_t at;

	s->before = db_u64(st, 0);
	s->rows++;
	if (s->before > s->newest)
		s->newest = s->before;
	if (sqlite3_column_int64(st, 2) < s->scan->not_before_ms)
		return false;
	at = uid != NULL ? wanted(s, (const char *)uid) : 0;
	if (at != 0)
		s->hits[s->n_hits++] = (struct hit){s->before, at - 1};
	return true;
}

static unsigned page_size(const struct search *s)
{
	uint64_t max = s->scan->max_rows;

	return max != 0 && max - s->rows < PAGE ? (unsigned)(max - s->rows)
						: PAGE;
}

static enum err look_through_page(struct search *s)
{
	unsigned limit = page_size(s), n = 0, young = 0;
	sqlite3_stmt *st;
	enum err e = view_prepare(s->v,
				  "SELECT seq,sop_instance,received_ms"
				  " FROM instances WHERE seq<? AND seq>?"
				  " AND command IS NULL"
				  " ORDER BY seq DESC LIMIT ?",
				  &st);

	if (e != ERR_OK)
		return e;
	s->n_hits = 0;
	db_bind_u64(st, 1, s->before);
	db_bind_u64(st, 2, s->scan->after_seq);
	db_bind_int(st, 3, limit);
	e = view_row(s->v, &st);
	while (e == ERR_OK && st != NULL) {
		young += take_row(s, st);
		n++;
		e = view_row(s->v, &st);
	}
	/* Clocks step: one old row says little, a page of them enough. */
	s->end = n < limit || young == 0;
	return e == ERR_OK ? answer_hits(s) : e;
}

static enum err look_through(struct search *s)
{
	while (s->missing > 0 && !s->end) {
		enum err e;

		if (page_size(s) == 0)
			return ERR_LIMIT;
		e = look_through_page(s);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

enum err ledger_view_instances_by_uid(struct ledger_view *v,
				      const struct view_uid_scan *scan,
				      struct view_uid *set, size_t n,
				      uint64_t *newest)
{
	struct search *s = mem_zalloc(sizeof(*s));
	enum err e, told;

	if (s == NULL)
		return ERR_NOMEM;
	s->v = v;
	s->scan = scan;
	s->set = set;
	s->n = s->missing = n;
	s->before = INT64_MAX;
	s->newest = scan->after_seq;
	told = e = fill_table(s);
	if (e == ERR_OK)
		told = e = look_through(s);
	if (e == ERR_OK || e == ERR_LIMIT)
		e = refresh(s);
	if (newest != NULL && (told == ERR_OK || told == ERR_LIMIT))
		*newest = s->newest; /* else older pages are not read yet */
	ledger_map_free(&s->heads);
	mem_free(s->next);
	mem_free(s->met);
	mem_free(s);
	if (e != ERR_OK || told != ERR_LIMIT)
		return e != ERR_OK ? e : told;
	for (size_t i = 0; i < n; i++)
		if (!set[i].found)
			return ERR_LIMIT;
	return ERR_OK;
}
