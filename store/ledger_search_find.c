/* ledger_search_find.c - which deliveries fit a filter, nearest first.
 *
 * Three ways, by what is given: from the series of a study, an accession number
 * or a patient; from the index of what is not finished; else block after block.
 * The first two take the nearest of each of several streams. */
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_search_in.h"

/* So many waiting ones may be looked through. */
enum { WAITING_MAX = 50000 };

struct search {
	struct ledger_view *v;
	const struct search_filter *f;
	int64_t destination; /* 0: any */
	int64_t low, high;   /* ids between them */
	struct search_ids *ids;
};

/* ---- statements --------------------------------------------------------- */

#define FITS(id)                                                               \
	" AND " id ">?1 AND " id "<?2"                                         \
	" AND (?3 IS NULL OR d.destination=?3)"                                \
	" AND (?4 IS NULL OR d.state=?4)"                                      \
	" AND i.received_ms>=?5 AND i.received_ms<?6"                          \
	" AND (?7 IS NULL OR o.device=?7)"                                     \
	" AND (?8 IS NULL OR o.calling_ae=?8)"
#define OF_INSTANCE                                                            \
	" CROSS JOIN instances i ON i.seq=d.id>>5"                             \
	" CROSS JOIN origins o ON o.id=i.origin"

/* In both ways. */
#define TWO(sql, order)                                                        \
	{                                                                      \
		[SEARCH_OLDER] = sql " ORDER BY " order(" DESC") " LIMIT ?9",  \
		[SEARCH_NEWER] = sql " ORDER BY " order("") " LIMIT ?9"        \
	}
#define BY_ID(way)    "d.id" way
#define BY_SEQ(way)   "i.seq" way ",d.id" way
#define BY_BLOCK(way) "b.block" way

static const char *const sql_block[] = TWO(
    "SELECT d.id FROM deliveries d" OF_INSTANCE " WHERE 1" FITS("d.id"), BY_ID);
static const char *const sql_series[] =
    TWO("SELECT d.id FROM instances i INDEXED BY instances_series"
	" CROSS JOIN deliveries d ON d.id>=i.seq*32 AND d.id<i.seq*32+32"
	" CROSS JOIN origins o ON o.id=i.origin"
	" WHERE i.series=?10 AND i.seq>=?1>>5 AND i.seq<=?2>>5" FITS("+d.id"),
	BY_SEQ);
static const char *const sql_open[] =
    TWO("SELECT d.id FROM deliveries d INDEXED BY deliveries_open" OF_INSTANCE
	" WHERE d.destination=?10 AND d.state=?4 AND d.state<=2"
	" AND d.priority=?11" FITS("d.id"),
	BY_ID);
#define WAITING(index, state)                                                  \
	TWO("SELECT d.id FROM deliveries d INDEXED BY " index OF_INSTANCE      \
	    " WHERE d.destination=?10 AND d.state=" state FITS("d.id"),        \
	    BY_ID)
static const char *const sql_uncommitted[] =
    WAITING("deliveries_uncommitted", "6");
static const char *const sql_arrived[] = WAITING("deliveries_arrived", "8");

static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
	db_bind_text(st, i, search_given(text));
}

static enum err prepare(const struct search *s, const char *const sql[2],
			sqlite3_stmt **st)
{
	const struct search_filter *f = s->f;
	enum err e = view_prepare(s->v, sql[f->way], st);

	if (e != ERR_OK)
		return e;
	if (s->destination != 0)
		db_bind_int(*st, 3, s->destination);
	if (f->has_state)
		db_bind_int(*st, 4, (int64_t)f->state);
	db_bind_int(*st, 5, f->from_ms);
	db_bind_int(*st, 6, search_to(f->to_ms));
	bind_text(*st, 7, f->device);
	bind_text(*st, 8, f->calling_ae);
	db_bind_int(*st, 9, s->ids->limit + 1);
	return ERR_OK;
}

/* ---- keeping the nearest ------------------------------------------------ */

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int by_id_down(const void *a, const void *b)
{
	return by_id(b, a);
}

/* Only what is nearer than the farthest counts from now on. */
static void keep_nearest(struct search *s)
{
	struct search_ids *ids = s->ids;

	qsort(ids->v, ids->n, sizeof(*ids->v),
	      ids->way == SEARCH_OLDER ? by_id_down : by_id);
	if (ids->n <= ids->limit)
		return;
	ids->n = ids->limit + 1;
	if (ids->way == SEARCH_OLDER)
		s->low = (int64_t)ids->v[ids->limit];
	else
		s->high = (int64_t)ids->v[ids->limit];
}

/* The rows of one stream: at most limit + 1, sorted. */
static enum err take(struct search *s, sqlite3_stmt *st, int64_t low,
		     int64_t high)
{
	struct search_ids *ids = s->ids;
	size_t before = ids->n;
	bool row;
	enum err e;

	db_bind_int(st, 1, low);
	db_bind_int(st, 2, high);
	e = db_row(st, &row);
	while (e == ERR_OK && row) {
		ids->v[ids->n++] = db_u64(st, 0);
		e = db_row(st, &row);
	}
	(void)sqlite3_reset(st);
	if (e != ERR_OK)
		return view_failed(s->v, e);
	if (ids->n > before)
		keep_nearest(s);
	return ERR_OK;
}

/* ---- from series -------------------------------------------------------- */

#define SERIES_OF(index, column)                                               \
	"SELECT id FROM series INDEXED BY " index " WHERE " column             \
	" AND (?1 IS NULL OR study=?1) AND (?2 IS NULL OR accession=?2)"       \
	" AND (?3 IS NULL OR patient=?3)"

static enum err prepare_series(const struct search *s, sqlite3_stmt **st)
{
	const struct search_filter *f = s->f;
	const char *sql = SERIES_OF("series_patient", "patient=?3");
	enum err e;

	if (search_given(f->study) != NULL)
		sql = SERIES_OF("series_study", "study=?1");
	else if (f->accession != 0)
		sql = SERIES_OF("series_accession", "accession=?2");
	e = view_prepare(s->v, sql, st);
	if (e != ERR_OK)
		return e;
	bind_text(*st, 1, f->study);
	if (f->accession != 0)
		db_bind_int(*st, 2, f->accession);
	if (f->patient != 0)
		db_bind_int(*st, 3, f->patient);
	return ERR_OK;
}

static enum err from_series(struct search *s)
{
	sqlite3_stmt *series, *st;
	enum err e = prepare_series(s, &series);

	if (e != ERR_OK)
		return e;
	e = prepare(s, sql_series, &st);
	if (e != ERR_OK) {
		view_done(&series);
		return e;
	}
	e = view_row(s->v, &series);
	while (e == ERR_OK && series != NULL) {
		db_bind_int(st, 10, sqlite3_column_int64(series, 0));
		e = take(s, st, s->low, s->high);
		if (e == ERR_OK)
			e = view_row(s->v, &series);
	}
	view_done(&series);
	view_done(&st);
	return e;
}

/* ---- from what is not finished ------------------------------------------ */

static enum err of_priorities(struct search *s, sqlite3_stmt *st,
			      int64_t destination)
{
	sqlite3_stmt *next;
	int64_t priority = INT64_MAX;
	enum err e = view_prepare(
	    s->v,
	    "SELECT max(priority) FROM deliveries INDEXED BY deliveries_open"
	    " WHERE destination=?1 AND state=?2 AND state<=2 AND priority<?3",
	    &next);

	db_bind_int(st, 10, destination);
	while (e == ERR_OK) {
		bool row;

		db_bind_int(next, 1, destination);
		db_bind_int(next, 2, (int64_t)s->f->state);
		db_bind_int(next, 3, priority);
		e = db_row(next, &row);
		if (e != ERR_OK)
			e = view_failed(s->v, e);
		if (e != ERR_OK || !row ||
		    sqlite3_column_type(next, 0) == SQLITE_NULL)
			break;
		priority = sqlite3_column_int64(next, 0);
		(void)sqlite3_reset(next);
		db_bind_int(st, 11, priority);
		e = take(s, st, s->low, s->high);
	}
	view_done(&next);
	return e;
}

static const char *const *sql_of(enum delivery_state state)
{
	switch (state) {
	case DELIVERY_QUEUED:
	case DELIVERY_HELD:
	case DELIVERY_QUARANTINED:
		return sql_open;
	case DELIVERY_UNCOMMITTED:
		return sql_uncommitted;
	case DELIVERY_ARRIVED:
		return sql_arrived;
	case DELIVERY_DELIVERED:
	case DELIVERY_WITHDRAWN:
	case DELIVERY_DISCARDED:
	case DELIVERY_COMMITTED:
		return NULL;
	}
	return NULL;
}

static enum err of_destination(struct search *s, sqlite3_stmt *st, int64_t id)
{
	if (s->f->state <= DELIVERY_QUARANTINED)
		return of_priorities(s, st, id);
	db_bind_int(st, 10, id);
	return take(s, st, s->low, s->high);
}

static enum err from_waiting(struct search *s)
{
	sqlite3_stmt *ids, *st;
	enum err e = prepare(s, sql_of(s->f->state), &st);

	if (e != ERR_OK)
		return e;
	e = view_all(s->v, "SELECT id FROM destinations", &ids);
	while (e == ERR_OK && ids != NULL) {
		int64_t id = sqlite3_column_int64(ids, 0);

		if (s->destination == 0 || s->destination == id)
			e = of_destination(s, st, id);
		if (e == ERR_OK)
			e = view_row(s->v, &ids);
	}
	view_done(&ids);
	view_done(&st);
	return e;
}

/* With a device or an AE title to look for, only if they are few. */
static enum err is_for_waiting(struct search *s, bool *yes)
{
	const struct search_filter *f = s->f;
	sqlite3_stmt *st;
	enum err e;

	*yes = f->has_state && sql_of(f->state) != NULL;
	if (!*yes || (search_given(f->device) == NULL &&
		      search_given(f->calling_ae) == NULL))
		return ERR_OK;
	e = view_prepare(s->v,
			 "SELECT coalesce(sum(count),0) FROM totals"
			 " WHERE state=?1 AND (?2=0 OR destination=?2)",
			 &st);
	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, (int64_t)f->state);
	db_bind_int(st, 2, s->destination);
	e = view_row(s->v, &st);
	if (e == ERR_OK && st != NULL)
		*yes = sqlite3_column_int64(st, 0) <= WAITING_MAX;
	view_done(&st);
	return e;
}

/* ---- block after block -------------------------------------------------- */

#define MARKED(kind, name)                                                     \
	" AND (" name " IS NULL OR EXISTS(SELECT 1 FROM marks"                 \
	" WHERE kind=" kind " AND name=" name " AND block=b.block))"
#define BLOCK_FITS                                                             \
	"b.block>=?1 AND b.block<=?2 AND b.last_ms>=?3 AND "                   \
	"b.first_ms<?4" MARKED("1", "?5") MARKED("2", "?6") MARKED("3", "?7")  \
	    MARKED("4", "?8")

static const char *const sql_blocks[] =
    TWO("SELECT b.block FROM blocks b WHERE " BLOCK_FITS, BY_BLOCK);
/* Begin with the marks that are likely to be the fewest. */
#define BY_MARK(way) "m.block" way
static const char *const sql_marks[] =
    TWO("SELECT m.block FROM marks m CROSS JOIN blocks b ON b.block=m.block"
	" WHERE m.kind=?10 AND m.name=?11 AND m.block>=?1 AND m.block<=?2"
	" AND " BLOCK_FITS,
	BY_MARK);

static const char *mark_of_state(const struct search_filter *f)
{
	if (!f->has_state)
		return NULL;
	switch (f->state) {
	case DELIVERY_DELIVERED:
		return "3";
	case DELIVERY_WITHDRAWN:
		return "4";
	case DELIVERY_DISCARDED:
		return "5";
	case DELIVERY_COMMITTED:
		return "7";
	case DELIVERY_QUEUED:
	case DELIVERY_HELD:
	case DELIVERY_QUARANTINED:
	case DELIVERY_UNCOMMITTED:
	case DELIVERY_ARRIVED:
		return NULL;
	}
	return NULL;
}

static enum err prepare_blocks(const struct search *s, sqlite3_stmt **st)
{
	const struct search_filter *f = s->f;
	const char *const names[] = {
	    search_given(f->device), search_given(f->calling_ae),
	    mark_of_state(f), search_given(f->destination)};
	static const int kinds[] = {MARK_DEVICE, MARK_CALLING_AE, MARK_STATE,
				    MARK_DESTINATION};
	size_t by = 0;
	enum err e;

	while (by < ARRAY_LEN(names) && names[by] == NULL)
		by++;
	e = view_prepare(
	    s->v, (by < ARRAY_LEN(names) ? sql_marks : sql_blocks)[f->way], st);
	if (e != ERR_OK)
		return e;
	db_bind_int(*st, 1, (s->low + 1) >> 5 >> LEDGER_BLOCK_BITS);
	db_bind_int(*st, 2, (s->high - 1) >> 5 >> LEDGER_BLOCK_BITS);
	db_bind_int(*st, 3, f->from_ms);
	db_bind_int(*st, 4, search_to(f->to_ms));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (i != by)
			db_bind_text(*st, 4 + kinds[i], names[i]);
	db_bind_int(*st, 9, SEARCH_BLOCKS + 1);
	if (by < ARRAY_LEN(names)) {
		db_bind_int(*st, 10, kinds[by]);
		db_bind_text(*st, 11, names[by]);
	}
	return ERR_OK;
}

static enum err take_block(struct search *s, sqlite3_stmt *st, uint64_t block)
{
	int64_t low = (int64_t)(block << LEDGER_BLOCK_BITS << 5) - 1;
	int64_t high = (int64_t)((block + 1) << LEDGER_BLOCK_BITS << 5);

	db_bind_int(st, 9, (int64_t)(s->ids->limit + 1 - s->ids->n));
	return take(s, st, low > s->low ? low : s->low,
		    high < s->high ? high : s->high);
}

/* Everything on this side of block was looked at. */
static void cut_before(struct search_ids *ids, uint64_t block)
{
	uint64_t first = block << LEDGER_BLOCK_BITS << 5;

	ids->cut = true;
	ids->end = ids->way == SEARCH_OLDER
		       ? first + (1ULL << LEDGER_BLOCK_BITS << 5)
		       : first - 1;
}

static enum err from_blocks(struct search *s)
{
	sqlite3_stmt *blocks, *st;
	unsigned n = 0;
	enum err e = prepare_blocks(s, &blocks);

	if (e != ERR_OK)
		return e;
	e = prepare(s, sql_block, &st);
	if (e != ERR_OK) {
		view_done(&blocks);
		return e;
	}
	e = view_row(s->v, &blocks);
	while (e == ERR_OK && blocks != NULL && s->ids->n <= s->ids->limit) {
		uint64_t block = db_u64(blocks, 0);

		if (n++ == SEARCH_BLOCKS) {
			cut_before(s->ids, block);
			break;
		}
		e = take_block(s, st, block);
		if (e == ERR_OK)
			e = view_row(s->v, &blocks);
	}
	view_done(&blocks);
	view_done(&st);
	return e;
}

/* ---- the whole ---------------------------------------------------------- */

enum err search_blocks_of(struct ledger_view *v, int64_t from_ms, int64_t to_ms,
			  uint64_t *first, uint64_t *last)
{
	sqlite3_stmt *st;
	enum err e = view_prepare(v,
				  "SELECT min(block),max(block) FROM blocks"
				  " WHERE last_ms>=?1 AND first_ms<?2",
				  &st);

	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, from_ms);
	db_bind_int(st, 2, search_to(to_ms));
	e = view_row(v, &st);
	if (e == ERR_OK && st != NULL &&
	    sqlite3_column_type(st, 0) == SQLITE_NULL)
		e = ERR_NOTFOUND;
	if (e == ERR_OK && st != NULL) {
		*first = db_u64(st, 0);
		*last = db_u64(st, 1);
	}
	view_done(&st);
	return e;
}

static enum err bound_by_time(struct search *s)
{
	uint64_t first = 0, last = 0;
	int64_t low, high;
	enum err e;

	if (s->f->from_ms == 0 && s->f->to_ms == 0)
		return ERR_OK;
	e = search_blocks_of(s->v, s->f->from_ms, s->f->to_ms, &first, &last);
	if (e != ERR_OK)
		return e;
	low = (int64_t)(first << LEDGER_BLOCK_BITS << 5) - 1;
	high = (int64_t)((last + 1) << LEDGER_BLOCK_BITS << 5);
	s->low = low > s->low ? low : s->low;
	s->high = high < s->high ? high : s->high;
	return ERR_OK;
}

static enum err find_destination(struct search *s)
{
	sqlite3_stmt *st;
	enum err e;

	if (search_given(s->f->destination) == NULL)
		return ERR_OK;
	e = view_prepare(s->v, "SELECT id FROM destinations WHERE name=?", &st);
	if (e != ERR_OK)
		return e;
	db_bind_text(st, 1, s->f->destination);
	e = view_row(s->v, &st);
	if (e == ERR_OK && st == NULL)
		return ERR_NOTFOUND;
	if (e == ERR_OK)
		s->destination = sqlite3_column_int64(st, 0);
	view_done(&st);
	return e;
}

static enum err find(struct search *s)
{
	const struct search_filter *f = s->f;
	bool waiting = false;
	enum err e = find_destination(s);

	if (e == ERR_OK)
		e = bound_by_time(s);
	if (e != ERR_OK)
		return e;
	if (search_given(f->study) != NULL || f->accession != 0 ||
	    f->patient != 0)
		return from_series(s);
	e = is_for_waiting(s, &waiting);
	if (e != ERR_OK)
		return e;
	return waiting ? from_waiting(s) : from_blocks(s);
}

/* Block numbers of the highest ids must not overflow. */
#define ID_MAX (INT64_MAX >> 2)

enum err search_find(struct ledger_view *v, const struct search_filter *f,
		     struct search_ids *ids)
{
	struct search s = {
	    .v = v, .f = f, .low = -1, .high = ID_MAX, .ids = ids};
	enum err e;

	ids->way = f->way;
	ids->limit = view_limit(f->limit);
	ids->n = 0;
	ids->cut = false;
	ids->end = 0;
	if (f->place > ID_MAX)
		return f->way == SEARCH_OLDER ? ERR_INVAL : ERR_OK;
	if (f->place != 0 && f->way == SEARCH_OLDER)
		s.high = (int64_t)f->place;
	if (f->place != 0 && f->way == SEARCH_NEWER)
		s.low = (int64_t)f->place;
	e = find(&s);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}
