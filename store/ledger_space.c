/* ledger_space.c - which segments of the spool are still needed.
 *
 * A segment is dead when no live or unfinished transfer has a record in it, no
 * delivery of a live instance has its last outcome in it, and everything in it
 * was tailed. It goes back to the spool after a synced commit.
 *
 * While space is short, segments that hold little of what is needed are
 * emptied: the spool copies the records, the tail reports the copies. */
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger_in.h"

enum {
	RECORD_HEAD = 4096,
	SEGMENTS_MAX = 16384,   /* looked at in one round */
	RECYCLE_MAX = 64,       /* in one round */
	MOVES_MAX = 32,         /* records in one round */
	MOVE_USED_PERCENT = 50, /* of the quota in use: begin to empty */
	MOVE_LIVE_PERCENT = 25, /* of a segment alive: worth emptying */
	MOVE_AGAIN_MS = 10000
};

static uint64_t record_bytes(uint32_t length)
{
	return RECORD_HEAD +
	       ((uint64_t)length + RECORD_HEAD - 1) / RECORD_HEAD * RECORD_HEAD;
}

/* mirror_segment_get() came before, so these cannot fail. */
void space_pin(struct mirror *m, const struct place *p, uint32_t length)
{
	struct mirror_segment *s = mirror_segment_get(m, p->segment);

	if (s == NULL)
		return;
	s->chunks++;
	s->bytes += record_bytes(length);
}

void space_unpin(struct mirror *m, const struct place *p, uint32_t length)
{
	struct mirror_segment *s = mirror_segment_get(m, p->segment);
	uint64_t bytes = record_bytes(length);

	if (s == NULL || s->chunks == 0)
		return;
	s->chunks--;
	s->bytes -= bytes < s->bytes ? bytes : s->bytes;
	if (s->chunks == 0)
		m->space_dirty = true;
}

void space_pin_outcome(struct mirror *m, uint32_t segment)
{
	struct mirror_segment *s = mirror_segment_get(m, segment);

	if (s != NULL)
		s->outcomes++;
}

void space_unpin_outcome(struct mirror *m, uint32_t segment)
{
	struct mirror_segment *s = mirror_segment_get(m, segment);

	if (s == NULL || s->outcomes == 0)
		return;
	s->outcomes--;
	if (s->outcomes == 0)
		m->space_dirty = true;
}

static struct mirror_segment *known(struct mirror *m, uint32_t number)
{
	for (size_t i = 0; i < m->n_segments; i++)
		if (m->segments[i].number == number)
			return &m->segments[i];
	return NULL;
}

static void forget(struct mirror *m, uint32_t number)
{
	struct mirror_segment *s = known(m, number);

	if (s == NULL)
		return;
	*s = m->segments[--m->n_segments];
}

/* ---- recycling --------------------------------------------------------- */

/* What is read and committed: nothing beyond it may be judged. */
static uint64_t horizon(const struct mirror *m)
{
	return m->position < m->applied ? m->position : m->applied;
}

/* The end of a segment of an earlier start is not known; the next one's first
 * record says as much. */
static uint64_t last_of(const struct spool_segment_info *s, size_t i, size_t n)
{
	if (s[i].last != 0)
		return s[i].last;
	for (size_t k = i + 1; k < n; k++)
		if (s[k].first != 0)
			return s[k].first - 1;
	return UINT64_MAX;
}

static enum err synced_commit(struct ledger *l)
{
	enum err e = db_exec(l->db, "PRAGMA synchronous=FULL");

	if (e == ERR_OK)
		e = db_run(l->st[ST_BEGIN]);
	if (e != ERR_OK)
		return e;
	l->in_transaction = true;
	e = db_run(l->st[ST_SYNCED]);
	if (e == ERR_OK)
		e = db_run(l->st[ST_COMMIT]);
	if (e != ERR_OK)
		return e; /* rolled back by the caller */
	l->in_transaction = false;
	return db_exec(l->db, "PRAGMA synchronous=NORMAL");
}

static enum err recycle(struct ledger *l, const uint32_t *dead, size_t n)
{
	enum err e;

	if (n == 0)
		return ERR_OK;
	e = synced_commit(l);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < n; i++) {
		enum err r = spool_recycle(l->spool, dead[i], horizon(&l->m));

		if (r == ERR_OK || r == ERR_NOTFOUND)
			forget(&l->m, dead[i]);
		else
			l->m.space_dirty = true; /* again later */
	}
	return ERR_OK;
}

/* ---- emptying ----------------------------------------------------------- */

static enum err repeat_outcomes_in(struct ledger *l, uint32_t segment)
{
	sqlite3_stmt *st;
	bool row;
	enum err e = db_prepare(l->db,
				"SELECT DISTINCT id>>5 FROM deliveries"
				" WHERE outcome_segment=? LIMIT 1000",
				&st);

	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, segment);
	e = db_row(st, &row);
	while (e == ERR_OK && row) {
		e = ledger_repeat_outcomes(l, db_u64(st, 0));
		if (e == ERR_OK)
			e = db_row(st, &row);
	}
	(void)sqlite3_finalize(st);
	return e;
}

struct live_record {
	uint64_t seq;
	uint32_t index;
	struct place place;
	struct transfer_id id;
};

static enum err live_records(struct ledger *l, uint32_t segment,
			     struct live_record out[MOVES_MAX], size_t *n)
{
	sqlite3_stmt *st;
	bool row;
	enum err e = db_prepare(l->db,
				"SELECT c.instance,c.idx,c.offset,i.transfer"
				" FROM chunks c JOIN instances i"
				" ON i.seq=c.instance WHERE c.segment=?"
				" LIMIT ?",
				&st);

	*n = 0;
	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, segment);
	db_bind_int(st, 2, MOVES_MAX);
	e = db_row(st, &row);
	while (e == ERR_OK && row && *n < MOVES_MAX) {
		struct live_record *r = &out[(*n)++];

		r->seq = db_u64(st, 0);
		r->index = (uint32_t)db_u64(st, 1);
		r->place = (struct place){segment, (uint32_t)db_u64(st, 2)};
		if (sqlite3_column_bytes(st, 3) == TRANSFER_ID_LEN)
			memcpy(r->id.b, sqlite3_column_blob(st, 3),
			       TRANSFER_ID_LEN);
		e = db_row(st, &row);
	}
	(void)sqlite3_finalize(st);
	return e;
}

/* A record that does not open keeps its segment; the instance is for a person
 * to judge. */
static enum err not_movable(struct ledger *l, struct mirror_segment *s,
			    const struct live_record *r, enum err why)
{
	enum err e = ledger_begin(l);

	s->stuck = true;
	log_event(LOG_ERROR, "spool-record-damaged",
		  "segment=%u offset=%u detail=\"%s\"", r->place.segment,
		  r->place.offset, err_text(why));
	if (e != ERR_OK)
		return e;
	return ledger_quarantine(l, r->seq,
				 "a record of it in the spool is damaged "
				 "(found while freeing space): have it sent "
				 "again");
}

static enum err empty_segment(struct ledger *l, struct mirror_segment *s)
{
	struct live_record records[MOVES_MAX];
	size_t n;
	enum err e = live_records(l, s->number, records, &n);

	s->asked_ns = clock_mono_ns();
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; e == ERR_OK && i < n; i++) {
		enum err r = spool_move(l->spool, records[i].place,
					&records[i].id, records[i].index);

		if (r == ERR_CORRUPT || r == ERR_NOTFOUND)
			e = not_movable(l, s, &records[i], r);
		else if (r != ERR_OK)
			break; /* again in a later round */
	}
	return e;
}

static bool space_is_short(struct ledger *l)
{
	struct spool_stats st;

	spool_stats(l->spool, &st);
	return st.used * 100 >= st.quota * MOVE_USED_PERCENT;
}

static bool worth_emptying(const struct spool_segment_info *info,
			   const struct mirror_segment *s)
{
	uint64_t now = clock_mono_ns();

	if (info->current || s->stuck || s->chunks == 0 ||
	    s->bytes * 100 > info->used * MOVE_LIVE_PERCENT)
		return false;
	return s->asked_ns == 0 ||
	       now - s->asked_ns > MOVE_AGAIN_MS * 1000000ULL;
}

/* ---- a round ------------------------------------------------------------ */

struct round {
	struct spool_segment_info *info;
	size_t n;
	uint32_t dead[RECYCLE_MAX];
	size_t n_dead;
};

static enum err judge(struct ledger *l, struct round *r, size_t i)
{
	const struct spool_segment_info *info = &r->info[i];
	struct mirror_segment *s = known(&l->m, info->number);

	if (info->current || last_of(r->info, i, r->n) > horizon(&l->m))
		return ERR_OK;
	if (s == NULL || (s->chunks == 0 && s->outcomes == 0)) {
		if (r->n_dead < RECYCLE_MAX)
			r->dead[r->n_dead++] = info->number;
		else
			l->m.space_dirty = true;
		return ERR_OK;
	}
	if (s->chunks == 0 &&
	    clock_mono_ns() - s->asked_ns > MOVE_AGAIN_MS * 1000000ULL) {
		s->asked_ns = clock_mono_ns();
		return repeat_outcomes_in(l, s->number);
	}
	return ERR_OK;
}

static enum err empty_one(struct ledger *l, const struct round *r)
{
	if (!space_is_short(l))
		return ERR_OK;
	for (size_t i = 0; i < r->n; i++) {
		struct mirror_segment *s = known(&l->m, r->info[i].number);

		if (s != NULL && worth_emptying(&r->info[i], s))
			return empty_segment(l, s);
	}
	return ERR_OK;
}

static enum err round_read(struct ledger *l, struct round *r)
{
	r->n = spool_segments(l->spool, NULL, 0);
	if (r->n > SEGMENTS_MAX)
		r->n = SEGMENTS_MAX;
	r->info = mem_zarray(r->n + 1, sizeof(*r->info));
	if (r->info == NULL)
		return ERR_NOMEM;
	if (r->n > 0) {
		size_t n = spool_segments(l->spool, r->info, r->n);

		r->n = n < r->n ? n : r->n;
	}
	return ERR_OK;
}

/* Outside a transaction; may leave one open. */
enum err ledger_space(struct ledger *l)
{
	struct round r = {0};
	enum err e;

	if (!l->m.caught_up)
		return ERR_OK;
	e = round_read(l, &r);
	l->m.space_dirty = false;
	for (size_t i = 0; e == ERR_OK && i < r.n; i++)
		e = judge(l, &r, i);
	if (e == ERR_OK)
		e = recycle(l, r.dead, r.n_dead);
	if (e == ERR_OK)
		e = empty_one(l, &r);
	mem_free(r.info);
	return e;
}

/* ---- segments that are gone ---------------------------------------------- */

static bool in_spool(const struct round *r, uint32_t number)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->info[i].number == number)
			return true;
	return false;
}

static enum err quarantine_missing(struct ledger *l, const struct round *r)
{
	sqlite3_stmt *st;
	uint64_t last = 0;
	bool row;
	enum err e = ledger_begin(l);

	if (e == ERR_OK)
		e = db_prepare(l->db, "SELECT instance,segment FROM chunks",
			       &st);
	if (e != ERR_OK)
		return e;
	e = db_row(st, &row);
	while (e == ERR_OK && row) {
		uint64_t seq = db_u64(st, 0);

		if (seq != last && !in_spool(r, (uint32_t)db_u64(st, 1))) {
			last = seq;
			e = ledger_quarantine(
			    l, seq,
			    "its segment is missing from the spool: have it "
			    "sent again");
		}
		if (e == ERR_OK)
			e = db_row(st, &row);
	}
	(void)sqlite3_finalize(st);
	return e;
}

enum err ledger_space_check(struct ledger *l)
{
	struct round r = {0};
	bool missing = false;
	enum err e = round_read(l, &r);

	for (size_t i = 0; e == ERR_OK && i < l->m.n_segments; i++) {
		if (l->m.segments[i].chunks == 0 ||
		    in_spool(&r, l->m.segments[i].number))
			continue;
		missing = true;
		log_event(LOG_ERROR, "spool-segment-missing", "segment=%u",
			  l->m.segments[i].number);
	}
	if (e == ERR_OK && missing)
		e = quarantine_missing(l, &r);
	mem_free(r.info);
	return e;
}
