/* ledger_erase.c - sealed values of series, out of the ledger for good.
 *
 * The values that they are found by go with them: who holds the key could
 * still ask whether a patient was here. */
#include "proxy/lib/mem.h"
#include "store/ledger_keep_in.h"

enum {
	BATCH = 1000,
	AROUND = 300, /* rows: more than the neighbours of a page hold */
};

/* ?1 the study or the moment, from ?2 on; of the second kind ?3 series are
 * looked at, which are numbered without holes. */
static const char of_study[] =
    "SELECT id FROM series INDEXED BY series_study WHERE study=?1 AND id>?2 "
    "AND identity IS NOT NULL ORDER BY id LIMIT ?3";
static const char before[] =
    "SELECT id FROM series WHERE id>?2 AND id<=?2+?3 AND last_ms<?1 AND "
    "identity IS NOT NULL ORDER BY id";

static enum err collect(struct ledger *l, const struct audit_erase *what,
			const struct erase_place *at, int64_t ids[BATCH],
			size_t *n)
{
	bool by_study = what->study[0] != '\0';
	sqlite3_stmt *st;
	bool row;
	enum err e = db_prepare(l->db, by_study ? of_study : before, &st);

	if (e != ERR_OK)
		return e;
	*n = 0;
	if (by_study)
		db_bind_text(st, 1, what->study);
	else
		db_bind_int(st, 1, what->before_ms);
	db_bind_int(st, 2, at->id);
	db_bind_int(st, 3, BATCH);
	while ((e = db_row(st, &row)) == ERR_OK && row)
		ids[(*n)++] = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	return e;
}

void ledger_series_forget(struct ledger *l, int64_t id)
{
	for (size_t i = 0; i < LEDGER_CACHED; i++)
		if (l->m.series[i].id == id)
			mem_wipe(&l->m.series[i], sizeof(l->m.series[i]));
}

/* SQL with the first and the last of the rows as ?1 and ?2. */
static enum err of_rows(struct ledger *l, const char *sql, int64_t from,
			int64_t to)
{
	sqlite3_stmt *st;
	enum err e = db_prepare(l->db, sql, &st);

	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, from);
	db_bind_int(st, 2, to);
	e = db_run(st);
	(void)sqlite3_finalize(st);
	return e;
}

/* When a row grows, SQLite lays out its page and the neighbours anew, and what
 * stood there before may stay in the part of a page that nobody uses: clearing
 * the row does not reach it. So the pages around are emptied, which clears them
 * (secure_delete), and filled again. */
static enum err fill_anew(struct ledger *l, int64_t from, int64_t to)
{
	static const char *const steps[] = {
	    "INSERT INTO temp.anew SELECT * FROM main.series "
	    "WHERE id BETWEEN ?1 AND ?2",
	    "DELETE FROM main.series WHERE id BETWEEN ?1 AND ?2",
	    "INSERT INTO main.series SELECT * FROM temp.anew "
	    "WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
	    "DELETE FROM temp.anew WHERE id BETWEEN ?1 AND ?2",
	};
	enum err e = db_exec(l->db, "CREATE TEMP TABLE IF NOT EXISTS anew AS "
				    "SELECT * FROM main.series WHERE 0");

	for (size_t i = 0; e == ERR_OK && i < ARRAY_LEN(steps); i++)
		e = of_rows(l, steps[i], from, to);
	return e;
}

/* Each run of rows that are near each other at once. */
static enum err leave_no_copy(struct ledger *l, const int64_t *ids, size_t n)
{
	enum err e = ERR_OK;

	for (size_t i = 0, k; e == ERR_OK && i < n; i = k + 1) {
		k = i;
		while (k + 1 < n && ids[k + 1] - ids[k] <= 2 * AROUND)
			k++;
		e = fill_anew(l, ids[i] - AROUND, ids[k] + AROUND);
	}
	return e;
}

static enum err clear(struct ledger *l, const int64_t *ids, size_t n)
{
	sqlite3_stmt *st;
	enum err e = db_prepare(l->db,
				"UPDATE series SET identity=NULL,"
				"accession=NULL,patient=NULL WHERE id=?1",
				&st);

	if (e != ERR_OK)
		return e;
	for (size_t i = 0; e == ERR_OK && i < n; i++) {
		db_bind_int(st, 1, ids[i]);
		e = db_run(st);
		ledger_series_forget(l, ids[i]);
	}
	(void)sqlite3_finalize(st);
	return e;
}

static enum err erase(struct ledger *l, const int64_t *ids, size_t n)
{
	enum err e = ledger_begin(l);

	/* what is counted in memory is in the rows before it is forgotten */
	if (e == ERR_OK)
		e = mirror_flush(l);
	if (e == ERR_OK)
		e = clear(l, ids, n);
	if (e == ERR_OK)
		e = leave_no_copy(l, ids, n);
	return e;
}

enum err ledger_erase_some(struct ledger *l, const struct audit_erase *what,
			   struct erase_place *at, uint64_t *values, bool *more)
{
	int64_t ids[BATCH], last;
	size_t n = 0;
	enum err e = ERR_OK;

	if (!at->flushed) { /* times of the newest series */
		e = ledger_begin(l);
		if (e == ERR_OK)
			e = mirror_flush(l);
		at->flushed = true;
	}
	if (e == ERR_OK)
		e = collect(l, what, at, ids, &n);
	if (e == ERR_OK && n > 0 && at->really)
		e = erase(l, ids, n);
	if (e != ERR_OK)
		return e;
	*values += n;
	last = at->id + BATCH;
	if (what->study[0] != '\0') {
		*more = n == BATCH;
		last = n > 0 ? ids[n - 1] : last;
	} else {
		*more = last < l->m.next_series;
	}
	at->id = last;
	return ERR_OK;
}

/* Committed, and copied out of the log, which is cut: what stood there is gone.
 */
bool ledger_erase_settled(struct ledger *l)
{
	return !l->in_transaction && ledger_cut_log(l) == ERR_OK;
}
