/* ledger_study.c - lists of studies.
 *
 * A study stands where its first series does; no row of its own is kept. Sums
 * come from its series, states from its deliveries. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_search_in.h"

enum {
	COUNT_OF_STUDY = 20000, /* deliveries counted, at most */
	COUNT_OF_PAGE = 100000
};

struct studies {
	struct ledger_view *v;
	const struct study_filter *f;
	int64_t low, high; /* sequences between them */
	view_study_fn *fn;
	void *arg;
	struct search_ids ids;
	char uid[SEARCH_STUDIES_MAX + 1][65];
	unsigned counted;
};

/* ---- which -------------------------------------------------------------- */

#define STUDY_FITS                                                             \
	" AND s.study IS NOT NULL AND s.first>?1 AND s.first<?2"               \
	" AND s.first_ms>=?3 AND s.first_ms<?4"                                \
	" AND (?5 IS NULL OR s.device=?5)"                                     \
	" AND NOT EXISTS(SELECT 1 FROM series e INDEXED BY series_study"       \
	" WHERE e.study=s.study AND e.first<s.first) ORDER BY s.first"
#define STUDY_OF(index, column)                                                \
	"SELECT DISTINCT s.first,s.study FROM series x INDEXED BY " index      \
	" CROSS JOIN series s INDEXED BY series_study ON s.study=x.study"      \
	" WHERE " column " AND (?6 IS NULL OR x.study=?6)"                     \
	" AND (?7 IS NULL OR x.accession=?7)"                                  \
	" AND (?8 IS NULL OR x.patient=?8)" STUDY_FITS
#define TWO(sql)                                                               \
	{                                                                      \
		[SEARCH_OLDER] = sql " DESC LIMIT ?9", [SEARCH_NEWER] =        \
							   sql " LIMIT ?9"     \
	}

static const char *const sql_first[] =
    TWO("SELECT s.first,s.study FROM series s INDEXED BY series_first"
	" WHERE 1" STUDY_FITS);
static const char *const sql_device[] =
    TWO("SELECT s.first,s.study FROM series s INDEXED BY series_device"
	" WHERE s.device=?5" STUDY_FITS);
static const char *const sql_study[] =
    TWO(STUDY_OF("series_study", "x.study=?6"));
static const char *const sql_accession[] =
    TWO(STUDY_OF("series_accession", "x.accession=?7"));
static const char *const sql_patient[] =
    TWO(STUDY_OF("series_patient", "x.patient=?8"));

static const char *sql_of(const struct study_filter *f)
{
	if (search_given(f->study) != NULL)
		return sql_study[f->way];
	if (f->accession != 0)
		return sql_accession[f->way];
	if (f->patient != 0)
		return sql_patient[f->way];
	if (search_given(f->device) != NULL)
		return sql_device[f->way];
	return sql_first[f->way];
}

static enum err prepare(struct studies *s, sqlite3_stmt **st)
{
	const struct study_filter *f = s->f;
	enum err e = view_prepare(s->v, sql_of(f), st);

	if (e != ERR_OK)
		return e;
	db_bind_int(*st, 1, s->low);
	db_bind_int(*st, 2, s->high);
	db_bind_int(*st, 3, f->from_ms);
	db_bind_int(*st, 4, search_to(f->to_ms));
	db_bind_text(*st, 5, search_given(f->device));
	db_bind_text(*st, 6, search_given(f->study));
	if (f->accession != 0)
		db_bind_int(*st, 7, f->accession);
	if (f->patient != 0)
		db_bind_int(*st, 8, f->patient);
	db_bind_int(*st, 9, s->ids.limit + 1);
	return ERR_OK;
}

static enum err find(struct studies *s)
{
	struct search_ids *ids = &s->ids;
	sqlite3_stmt *st;
	enum err e = prepare(s, &st);

	if (e != ERR_OK)
		return e;
	e = view_row(s->v, &st);
	while (e == ERR_OK && st != NULL) {
		ids->v[ids->n] = db_u64(st, 0);
		DB_TEXT(st, 1, s->uid[ids->n]);
		ids->n++;
		e = view_row(s->v, &st);
	}
	return e;
}

/* ---- what of each ------------------------------------------------------- */

static enum err read_sums(struct studies *s, struct view_study *out)
{
	sqlite3_stmt *st;
	enum err e = view_prepare(
	    s->v,
	    "SELECT min(first),device,calling_ae,min(first_ms),max(last_ms),"
	    "sum(instances),sum(bytes),count(DISTINCT series) FROM series"
	    " INDEXED BY series_study WHERE study=?",
	    &st);

	if (e != ERR_OK)
		return e;
	db_bind_text(st, 1, out->study);
	e = view_row(s->v, &st);
	if (e != ERR_OK || st == NULL)
		return e;
	DB_TEXT(st, 1, out->device);
	DB_TEXT(st, 2, out->calling_ae);
	out->first_ms = sqlite3_column_int64(st, 3);
	out->last_ms = sqlite3_column_int64(st, 4);
	out->instances = db_u64(st, 5);
	out->bytes = db_u64(st, 6);
	out->series = (unsigned)db_u64(st, 7);
	view_done(&st);
	return ERR_OK;
}

static enum err read_modalities(struct studies *s, struct view_study *out)
{
	sqlite3_stmt *st;
	enum err e = view_prepare(s->v,
				  "SELECT DISTINCT modality FROM series"
				  " INDEXED BY series_study WHERE study=?"
				  " AND modality IS NOT NULL ORDER BY 1",
				  &st);

	if (e != ERR_OK)
		return e;
	db_bind_text(st, 1, out->study);
	e = view_row(s->v, &st);
	while (e == ERR_OK && st != NULL) {
		char one[17];
		size_t n = strlen(out->modality);

		DB_TEXT(st, 0, one);
		if (n + 1 + strlen(one) < sizeof(out->modality))
			(void)snprintf(out->modality + n,
				       sizeof(out->modality) - n, "%s%s",
				       n > 0 ? "/" : "", one);
		e = view_row(s->v, &st);
	}
	return e;
}

static enum err count_states(struct studies *s, struct view_study *out)
{
	unsigned n = 0, left = COUNT_OF_PAGE - s->counted;
	unsigned max = left < COUNT_OF_STUDY ? left : COUNT_OF_STUDY;
	sqlite3_stmt *st;
	enum err e = view_prepare(
	    s->v,
	    "SELECT d.state FROM series s INDEXED BY series_study"
	    " CROSS JOIN instances i INDEXED BY instances_series"
	    " ON i.series=s.id"
	    " CROSS JOIN deliveries d ON d.id>=i.seq*32 AND d.id<i.seq*32+32"
	    " WHERE s.study=?1 LIMIT ?2",
	    &st);

	if (e != ERR_OK)
		return e;
	db_bind_text(st, 1, out->study);
	db_bind_int(st, 2, max);
	e = view_row(s->v, &st);
	while (e == ERR_OK && st != NULL) {
		unsigned state = (unsigned)sqlite3_column_int(st, 0);

		if (state < DELIVERY_N_STATES)
			out->count[state]++;
		n++;
		e = view_row(s->v, &st);
	}
	s->counted += n;
	out->partly_counted = n == max;
	return e;
}

static enum err give_one(struct studies *s, size_t at, bool *more)
{
	struct view_study out = {0};
	enum err e;

	memcpy(out.study, s->uid[at], sizeof(out.study));
	e = read_sums(s, &out);
	if (e == ERR_OK)
		e = read_modalities(s, &out);
	if (e == ERR_OK)
		e = count_states(s, &out);
	if (e == ERR_OK)
		*more = s->fn(s->arg, &out);
	return e;
}

static enum err give(struct studies *s, struct search_page *page)
{
	size_t n = s->ids.n < s->ids.limit ? s->ids.n : s->ids.limit;
	bool more = true;
	enum err e = ERR_OK;

	search_page_of(&s->ids, s->f->place, page);
	for (size_t i = 0; e == ERR_OK && more && i < n; i++) {
		e = give_one(s, s->f->way == SEARCH_OLDER ? i : n - 1 - i,
			     &more);
		page->rows++;
	}
	return e;
}

/* ---- the whole ---------------------------------------------------------- */

static enum err bound(struct studies *s)
{
	uint64_t first = 0, last = 0;
	int64_t low, high;
	enum err e;

	s->low = -1;
	s->high = INT64_MAX;
	if (s->f->place != 0 && s->f->way == SEARCH_OLDER)
		s->high = (int64_t)s->f->place;
	if (s->f->place != 0 && s->f->way == SEARCH_NEWER)
		s->low = (int64_t)s->f->place;
	if (s->f->from_ms == 0 && s->f->to_ms == 0)
		return ERR_OK;
	e = search_blocks_of(s->v, s->f->from_ms, s->f->to_ms, &first, &last);
	if (e != ERR_OK)
		return e;
	low = (int64_t)(first << LEDGER_BLOCK_BITS) - 1;
	high = (int64_t)((last + 1) << LEDGER_BLOCK_BITS);
	s->low = low > s->low ? low : s->low;
	s->high = high < s->high ? high : s->high;
	return ERR_OK;
}

static enum err search(struct studies *s, struct search_page *page)
{
	enum err e = bound(s);

	if (e == ERR_OK)
		e = find(s);
	if (e == ERR_OK)
		e = give(s, page);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

enum err ledger_search_studies(struct ledger_view *v,
			       const struct study_filter *f, view_study_fn *fn,
			       void *arg, struct search_page *page)
{
	struct studies *s = mem_zalloc(sizeof(*s));
	enum err e;

	if (s == NULL)
		return ERR_NOMEM;
	s->v = v;
	s->f = f;
	s->fn = fn;
	s->arg = arg;
	s->ids.way = f->way;
	s->ids.limit = f->limit;
	if (f->limit == 0 || f->limit > SEARCH_STUDIES_MAX)
		s->ids.limit = SEARCH_STUDIES_MAX;
	*page = (struct search_page){0};
	e = view_begin(v);
	if (e == ERR_OK)
		e = search(s, page);
	view_end(v);
	mem_free(s);
	return e;
}
