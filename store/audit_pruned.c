#include "store/audit_pruned.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/audit_int.h"
#include "store/migrations.h"

struct audit_pruned {
	sqlite3 *db;
};

/* ---- statements of runs ---------------------------------------------------
 */

size_t audit_run_text(const struct audit_run *r, char out[AUDIT_RUN_TEXT_LEN])
{
	char log[2 * AUDIT_LOG_LEN + 1], key[SEAL_KEY_ID_TEXT];
	char prev[2 * AUDIT_CHAIN_LEN + 1], chain[2 * AUDIT_CHAIN_LEN + 1];
	int n = snprintf(
	    out, AUDIT_RUN_TEXT_LEN,
	    "culvert audit run 1\nlog: %s\nmonth: %s\nfirst: %lld\n"
	    "prev: %s\nlast: %lld\nchain: %s\ncount: %lld\nhead: %lld\n"
	    "key: %s\n",
	    seal_hex(r->log, sizeof(r->log), log), r->month,
	    (long long)r->first,
	    r->has_chain ? seal_hex(r->prev, sizeof(r->prev), prev) : "none",
	    (long long)r->last,
	    r->has_chain ? seal_hex(r->chain, sizeof(r->chain), chain) : "none",
	    (long long)r->count, (long long)r->head,
	    seal_key_id_text(r->key_id, key));

	return (size_t)n; /* all parts are bounded: it fits */
}

enum err audit_run_sign(struct seal_signer *s, struct audit_run *r)
{
	char text[AUDIT_RUN_TEXT_LEN];
	size_t n;

	memcpy(r->key_id, seal_signer_id(s), sizeof(r->key_id));
	n = audit_run_text(r, text);
	return seal_sign(s, text, n, r->sig, &r->sig_len);
}

enum err audit_run_check(const struct seal_verifier *v,
			 const struct audit_run *r)
{
	char text[AUDIT_RUN_TEXT_LEN];
	size_t n;

	if (memcmp(seal_verifier_id(v), r->key_id, sizeof(r->key_id)) != 0)
		return ERR_CORRUPT;
	n = audit_run_text(r, text);
	return seal_verify(v, text, n, r->sig, r->sig_len);
}

/* ---- opening --------------------------------------------------------------
 */

enum err audit_pruned_open(const char *dir, bool read_only,
			   struct audit_pruned **out, char why[AUDIT_WHY_LEN])
{
	char path[AUDIT_PATH_LEN];
	struct db_options o = {.path = path,
			       .read_only = read_only,
			       .cache_bytes = 1 << 16,
			       .busy_ms = 1000};
	struct audit_pruned *p = mem_zalloc(sizeof(*p));
	enum err e;

	if (p == NULL)
		return ERR_NOMEM;
	snprintf(path, sizeof(path), "%s/audit-pruned.db", dir);
	e = audit_db_open(&o, &p->db, why);
	if (e == ERR_OK && !read_only)
		e = db_exec(p->db, "PRAGMA synchronous=FULL");
	if (e == ERR_OK)
		e = read_only ? migrations_check(p->db, &migrations_pruned, why)
			      : migrations_run(p->db, &migrations_pruned, why);
	/* no version of its own: who only reads does not need it */
	if (e == ERR_OK && !read_only)
		e = db_exec(p->db,
			    "CREATE TABLE IF NOT EXISTS pending("
			    "study TEXT NOT NULL,before_ms INTEGER NOT NULL,"
			    "user TEXT NOT NULL,by INTEGER NOT NULL,"
			    "PRIMARY KEY(study,before_ms))");
	if (e != ERR_OK) {
		audit_pruned_close(p);
		return e;
	}
	*out = p;
	return ERR_OK;
}

void audit_pruned_close(struct audit_pruned *p)
{
	if (p == NULL)
		return;
	db_close(p->db);
	mem_free(p);
}

/* ---- the newest head ------------------------------------------------------
 */

enum err audit_pruned_last(struct audit_pruned *p, struct audit_head *out)
{
	sqlite3_stmt *st;
	bool row = false;
	enum err e = db_prepare(p->db,
				"SELECT number,seq,chain,wall_ms,node,log,"
				"key_id,sig FROM last",
				&st);

	if (e != ERR_OK)
		return e;
	e = db_row(st, &row);
	if (e == ERR_OK && (!row || !audit_head_column(st, out)))
		e = ERR_NOTFOUND;
	(void)sqlite3_finalize(st);
	return e;
}

enum err audit_pruned_set_last(struct audit_pruned *p,
			       const struct audit_head *h)
{
	sqlite3_stmt *st;
	enum err e = db_prepare(
	    p->db, "INSERT OR REPLACE INTO last VALUES(1,?,?,?,?,?,?,?,?)",
	    &st);

	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, h->number);
	db_bind_int(st, 2, h->seq);
	db_bind_blob(st, 3, h->chain, sizeof(h->chain));
	db_bind_int(st, 4, h->wall_ms);
	(void)sqlite3_bind_text(st, 5, h->node, -1, SQLITE_STATIC);
	db_bind_blob(st, 6, h->log, sizeof(h->log));
	db_bind_blob(st, 7, h->key_id, sizeof(h->key_id));
	db_bind_blob(st, 8, h->sig, h->sig_len);
	e = db_run(st);
	(void)sqlite3_finalize(st);
	if (e == ERR_OK)
		e = db_err(sqlite3_wal_checkpoint_v2(
		    p->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
	return e;
}

/* ---- runs -----------------------------------------------------------------
 */

static enum err add_run(sqlite3_stmt *st, const struct audit_run *r)
{
	db_bind_int(st, 1, r->first);
	db_bind_int(st, 2, r->last);
	db_bind_blob(st, 3, r->log, sizeof(r->log));
	db_bind_text(st, 4, r->month);
	db_bind_blob(st, 5, r->prev, r->has_chain ? AUDIT_CHAIN_LEN : 0);
	db_bind_blob(st, 6, r->chain, r->has_chain ? AUDIT_CHAIN_LEN : 0);
	db_bind_int(st, 7, r->count);
	db_bind_int(st, 8, r->head);
	db_bind_blob(st, 9, r->key_id, sizeof(r->key_id));
	db_bind_blob(st, 10, r->sig, r->sig_len);
	return db_run(st);
}

enum err audit_pruned_add(struct audit_pruned *p, const struct audit_run *runs,
			  size_t n)
{
	sqlite3_stmt *st;
	enum err e = db_exec(p->db, "BEGIN IMMEDIATE");

	if (e != ERR_OK)
		return e;
	/* one that was cut short between this and the end of the file */
	e = db_prepare(p->db,
		       "INSERT INTO runs SELECT ?1,?2,?3,?4,?5,?6,?7,?8,?9,?10 "
		       "WHERE NOT EXISTS(SELECT 1 FROM runs WHERE first=?1)",
		       &st);
	if (e == ERR_OK) {
		for (size_t i = 0; e == ERR_OK && i < n; i++)
			e = add_run(st, &runs[i]);
		(void)sqlite3_finalize(st);
	}
	if (e == ERR_OK)
		e = db_exec(p->db, "COMMIT");
	if (e != ERR_OK)
		(void)sqlite3_exec(p->db, "ROLLBACK", NULL, NULL, NULL);
	return e;
}

static bool take(sqlite3_stmt *st, int i, void *out, size_t n)
{
	if ((size_t)sqlite3_column_bytes(st, i) != n)
		return false;
	if (n > 0)
		memcpy(out, sqlite3_column_blob(st, i), n);
	return true;
}

/* What does not fit is left zero: the signature then fails. */
static void run_column(sqlite3_stmt *st, struct audit_run *r)
{
	int sig = sqlite3_column_bytes(st, 9);

	*r = (struct audit_run){.first = sqlite3_column_int64(st, 0),
				.last = sqlite3_column_int64(st, 1),
				.count = sqlite3_column_int64(st, 6),
				.head = sqlite3_column_int64(st, 7)};
	(void)take(st, 2, r->log, sizeof(r->log));
	DB_TEXT(st, 3, r->month);
	r->has_chain = take(st, 4, r->prev, sizeof(r->prev)) &&
		       take(st, 5, r->chain, sizeof(r->chain));
	(void)take(st, 8, r->key_id, sizeof(r->key_id));
	if (sig > 0 && sig <= SEAL_SIGNATURE_MAX &&
	    take(st, 9, r->sig, (size_t)sig))
		r->sig_len = (size_t)sig;
}

static enum err one_run(struct audit_pruned *p, const char *sql, int64_t seq,
			struct audit_run *out)
{
	sqlite3_stmt *st;
	bool row = false;
	enum err e = db_prepare(p->db, sql, &st);

	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, seq);
	e = db_row(st, &row);
	if (e == ERR_OK && !row)
		e = ERR_NOTFOUND;
	if (e == ERR_OK)
		run_column(st, out);
	(void)sqlite3_finalize(st);
	return e;
}

#define RUN_COLUMNS "first,last,log,month,prev,chain,count,head,key_id,sig"

enum err audit_pruned_next(struct audit_pruned *p, int64_t seq,
			   struct audit_run *out)
{
	return one_run(p,
		       "SELECT " RUN_COLUMNS " FROM runs WHERE last>=?"
		       " ORDER BY first LIMIT 1",
		       seq, out);
}

enum err audit_pruned_highest(struct audit_pruned *p, struct audit_run *out)
{
	return one_run(p,
		       "SELECT " RUN_COLUMNS " FROM runs WHERE first>=?"
		       " ORDER BY last DESC LIMIT 1",
		       0, out);
}

int64_t audit_pruned_heads(struct audit_pruned *p)
{
	int64_t n;

	return db_integer(p->db, "SELECT max(head) FROM runs", &n) == ERR_OK
		   ? n
		   : 0;
}

/* ---- holds ----------------------------------------------------------------
 */

enum err audit_hold_add(struct audit_pruned *p, const struct audit_hold *h,
			int64_t *id)
{
	sqlite3_stmt *st;
	enum err e = db_prepare(p->db,
				"INSERT INTO holds(study,reason,user,since_ms)"
				" VALUES(?,?,?,?)",
				&st);

	if (e != ERR_OK)
		return e;
	db_bind_text(st, 1, h->study);
	(void)sqlite3_bind_text(st, 2, h->reason, -1, SQLITE_STATIC);
	db_bind_text(st, 3, h->user);
	db_bind_int(st, 4, h->since_ms);
	e = db_run(st);
	(void)sqlite3_finalize(st);
	if (e == ERR_OK)
		*id = sqlite3_last_insert_rowid(p->db);
	return e;
}

enum err audit_hold_remove(struct audit_pruned *p, int64_t id)
{
	sqlite3_stmt *st;
	enum err e = db_prepare(p->db, "DELETE FROM holds WHERE id=?", &st);

	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, id);
	e = db_run(st);
	(void)sqlite3_finalize(st);
	if (e == ERR_OK && sqlite3_changes(p->db) == 0)
		e = ERR_NOTFOUND;
	return e;
}

enum err audit_hold_each(struct audit_pruned *p, audit_hold_fn *fn, void *arg)
{
	sqlite3_stmt *st;
	bool row = true;
	enum err e = db_prepare(p->db,
				"SELECT id,study,reason,user,since_ms "
				"FROM holds ORDER BY id",
				&st);

	if (e != ERR_OK)
		return e;
	while ((e = db_row(st, &row)) == ERR_OK && row) {
		struct audit_hold h = {.id = sqlite3_column_int64(st, 0),
				       .since_ms = sqlite3_column_int64(st, 4)};

		DB_TEXT(st, 1, h.study);
		DB_TEXT(st, 2, h.reason);
		DB_TEXT(st, 3, h.user);
		if (!fn(arg, &h))
			break;
	}
	(void)sqlite3_finalize(st);
	return e;
}

/* ---- erasing that is under way --------------------------------------------
 */

enum err audit_pending_set(struct audit_pruned *p,
			   const struct audit_pending *o)
{
	sqlite3_stmt *st;
	enum err e = db_prepare(
	    p->db, "INSERT OR REPLACE INTO pending VALUES(?,?,?,?)", &st);

	if (e != ERR_OK)
		return e;
	(void)sqlite3_bind_text(st, 1, o->study, -1, SQLITE_STATIC);
	db_bind_int(st, 2, o->before_ms);
	(void)sqlite3_bind_text(st, 3, o->user, -1, SQLITE_STATIC);
	db_bind_int(st, 4, o->by);
	e = db_run(st);
	(void)sqlite3_finalize(st);
	return e;
}

enum err audit_pending_get(struct audit_pruned *p, struct audit_pending *out)
{
	sqlite3_stmt *st;
	bool row = false;
	enum err e = db_prepare(
	    p->db, "SELECT study,before_ms,user,by FROM pending LIMIT 1", &st);

	if (e != ERR_OK)
		return e;
	e = db_row(st, &row);
	if (e == ERR_OK && !row)
		e = ERR_NOTFOUND;
	if (e == ERR_OK) {
		*out = (struct audit_pending){
		    .before_ms = sqlite3_column_int64(st, 1),
		    .by = sqlite3_column_int64(st, 3)};
		DB_TEXT(st, 0, out->study);
		DB_TEXT(st, 2, out->user);
	}
	(void)sqlite3_finalize(st);
	return e;
}

enum err audit_pending_remove(struct audit_pruned *p, const char *study,
			      int64_t before_ms)
{
	sqlite3_stmt *st;
	enum err e = db_prepare(
	    p->db, "DELETE FROM pending WHERE study=? AND before_ms=?", &st);

	if (e != ERR_OK)
		return e;
	(void)sqlite3_bind_text(st, 1, study, -1, SQLITE_STATIC);
	db_bind_int(st, 2, before_ms);
	e = db_run(st);
	(void)sqlite3_finalize(st);
	return e;
}

/* ---- the clock ------------------------------------------------------------
 */

enum err audit_clock_get(struct audit_pruned *p, char why[AUDIT_WHY_LEN])
{
	sqlite3_stmt *st;
	bool row = false;
	enum err e = db_prepare(p->db, "SELECT why FROM clock", &st);

	why[0] = '\0';
	if (e != ERR_OK)
		return e;
	e = db_row(st, &row);
	if (e == ERR_OK && row)
		db_text(st, 0, why, AUDIT_WHY_LEN);
	(void)sqlite3_finalize(st);
	return e;
}

enum err audit_clock_set(struct audit_pruned *p, const char *why)
{
	sqlite3_stmt *st;
	enum err e =
	    db_prepare(p->db, "INSERT OR REPLACE INTO clock VALUES(1,?)", &st);

	if (e != ERR_OK)
		return e;
	db_bind_text(st, 1, why);
	e = db_run(st);
	(void)sqlite3_finalize(st);
	return e;
}
