/* ledger_owed_settle.c - rows that a process could not write any more, written
 * by the next one. */
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger_in.h"

enum { STEP = 128, RETRY_MS = 1000 };

/* clang-format off */
#define SUMS                                                                   \
	"s.study,sum(w.instances),sum(w.bytes),min(w.first_ms),"               \
	"max(w.last_ms)"

/* By association and study. Rows that are pruned already are long on record. */
static const char received_sql[] =
	"SELECT o.association," SUMS ",o.listener,o.device,o.peer,"
	"o.calling_ae,o.called_ae FROM owed w"
	" JOIN origins o ON o.id=w.whom JOIN series s ON s.id=w.series"
	" WHERE w.run<?1 AND w.kind=0 GROUP BY 1,2 ORDER BY 1,2 LIMIT ?2";
static const char received_delete[] =
	"DELETE FROM owed WHERE run<?1 AND kind=0"
	" AND whom IN (SELECT id FROM origins WHERE association=?2)"
	" AND (SELECT study FROM series WHERE id=owed.series) IS ?3";
/* By destination and study. */
static const char sent_sql[] =
	"SELECT w.whom," SUMS ",d.name,s.device FROM owed w"
	" JOIN destinations d ON d.id=w.whom JOIN series s ON s.id=w.series"
	" WHERE w.run<?1 AND w.kind=1 GROUP BY 1,2 ORDER BY 1,2 LIMIT ?2";
static const char sent_delete[] =
	"DELETE FROM owed WHERE run<?1 AND kind=1 AND whom=?2"
	" AND (SELECT study FROM series WHERE id=owed.series) IS ?3";
/* clang-format on */

/* A row that was made, and what finds its instances. */
struct key {
	int64_t whom;
	char study[INSTANCE_UID_LEN];
};

struct step {
	struct key keys[STEP];
	size_t n;
	struct audit_event event;
};

static void describe(struct audit_event *e, sqlite3_stmt *st)
{
	struct audit_json j = audit_json_begin(e->detail, sizeof(e->detail));
	char first[CLOCK_TEXT_LEN], last[CLOCK_TEXT_LEN];

	audit_json_number(&j, "instances", sqlite3_column_int64(st, 2));
	audit_json_number(&j, "bytes", sqlite3_column_int64(st, 3));
	audit_json_true(&j, "recovered");
	audit_json_text(&j, "first",
			clock_text(sqlite3_column_int64(st, 4), first));
	audit_json_text(&j, "last",
			clock_text(sqlite3_column_int64(st, 5), last));
	audit_json_end(&j);
	e->wall_ms = clock_wall_ms();
	e->mono_ns = clock_mono_ns();
	DB_TEXT(st, 1, e->study);
}

static void make_event(struct audit_event *e, sqlite3_stmt *st,
		       enum owed_kind kind)
{
	*e = (struct audit_event){.kind = AUDIT_INSTANCES_TRANSFERRED};
	describe(e, st);
	if (kind == OWED_SENT) {
		DB_TEXT(st, 6, e->destination);
		DB_TEXT(st, 7, e->device);
		return;
	}
	e->kind = AUDIT_INSTANCES_RECEIVED;
	e->association = db_u64(st, 0);
	DB_TEXT(st, 6, e->listener);
	DB_TEXT(st, 7, e->device);
	DB_TEXT(st, 8, e->peer);
	DB_TEXT(st, 9, e->calling_ae);
	DB_TEXT(st, 10, e->called_ae);
}

/* ERR_AGAIN: of another month than those before. */
static enum err append(struct ledger *l, const struct audit_event *event)
{
	enum err e = audit_append(l->audit, event);

	if (e != ERR_AGAIN)
		return e;
	e = audit_commit(l->audit);
	return e == ERR_OK ? audit_append(l->audit, event) : e;
}

static enum err write_rows(struct ledger *l, struct step *s, sqlite3_stmt *st,
			   enum owed_kind kind, enum err *audit)
{
	bool row;
	enum err e = db_row(st, &row);

	while (e == ERR_OK && row && s->n < STEP) {
		make_event(&s->event, st, kind);
		*audit = append(l, &s->event);
		if (*audit != ERR_OK)
			break;
		s->keys[s->n].whom = sqlite3_column_int64(st, 0);
		DB_TEXT(st, 1, s->keys[s->n].study);
		s->n++;
		l->owed.rows++;
		l->owed.instances += db_u64(st, 2);
		e = db_row(st, &row);
	}
	return e;
}

/* As far as it got, the audit is committed and on the disk. */
static enum err close_rows(struct ledger *l, enum err audit)
{
	if (audit == ERR_OK)
		audit = audit_commit(l->audit);
	if (audit == ERR_OK)
		audit = audit_flush(l->audit);
	if (audit == ERR_OK)
		return ERR_OK;
	log_event(LOG_WARN, "audit-not-synced", "why=\"%s\"",
		  audit_why(l->audit));
	audit_undo(l->audit);
	l->owed.retry_ns = clock_mono_ns() + RETRY_MS * 1000000ULL;
	return audit;
}

static enum err delete_rows(struct ledger *l, const struct step *s,
			    const char *sql)
{
	sqlite3_stmt *st;
	enum err e = db_prepare(l->db, sql, &st);

	if (e != ERR_OK)
		return e;
	for (size_t i = 0; e == ERR_OK && i < s->n; i++) {
		db_bind_int(st, 1, l->owed.run);
		db_bind_int(st, 2, s->keys[i].whom);
		db_bind_text(st, 3, s->keys[i].study);
		e = db_run(st);
	}
	(void)sqlite3_finalize(st);
	return e;
}

/* *more: there may be others of the kind. */
static enum err settle(struct ledger *l, struct step *s, enum owed_kind kind,
		       bool *more)
{
	sqlite3_stmt *st;
	enum err audit = ERR_OK;
	enum err e =
	    db_prepare(l->db, kind == OWED_SENT ? sent_sql : received_sql, &st);

	if (e != ERR_OK)
		return e;
	s->n = 0;
	db_bind_int(st, 1, l->owed.run);
	db_bind_int(st, 2, STEP);
	e = write_rows(l, s, st, kind, &audit);
	(void)sqlite3_finalize(st);
	if (e != ERR_OK)
		audit_undo(l->audit);
	*more = s->n > 0;
	if (e != ERR_OK || (s->n == 0 && audit == ERR_OK))
		return e;
	if (close_rows(l, audit) != ERR_OK) {
		*more = true;
		return ERR_OK;
	}
	e = ledger_begin(l);
	l->batch++;
	return e == ERR_OK ? delete_rows(l, s,
					 kind == OWED_SENT ? sent_delete
							   : received_delete)
			   : e;
}

static enum err forget(struct ledger *l)
{
	sqlite3_stmt *st;
	enum err e = db_prepare(l->db, "DELETE FROM owed WHERE run<?", &st);

	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, l->owed.run);
	e = ledger_begin(l);
	if (e == ERR_OK)
		e = db_run(st);
	(void)sqlite3_finalize(st);
	l->batch++;
	if (e != ERR_OK)
		return e;
	if (l->owed.rows > 0)
		log_event(LOG_INFO, "audit-rows-recovered",
			  "rows=%llu instances=%llu",
			  (unsigned long long)l->owed.rows,
			  (unsigned long long)l->owed.instances);
	l->owed.todo = OWED_DONE;
	return ERR_OK;
}

/* After the rows that a start itself makes, and those that wait. */
static bool is_time(const struct ledger *l)
{
	return l->owed.todo != OWED_DONE && l->m.caught_up &&
	       !l->in_transaction && list_empty(&l->audit_todo) &&
	       l->audit_failed_ns == 0 &&
	       (l->audit_committed_ns != 0 || l->owed.todo == OWED_FORGET) &&
	       clock_mono_ns() >= l->owed.retry_ns;
}

enum err ledger_owed_settle(struct ledger *l)
{
	struct step *s;
	bool more = false;
	enum err e = ERR_OK;

	if (!is_time(l))
		return ERR_OK;
	if (l->owed.todo == OWED_FORGET)
		return forget(l);
	s = mem_zalloc(sizeof(*s));
	if (s == NULL)
		return ERR_OK; /* another time */
	e = settle(l, s, OWED_RECEIVED, &more);
	if (e == ERR_OK && !more)
		e = settle(l, s, OWED_SENT, &more);
	if (e == ERR_OK && !more)
		e = forget(l);
	mem_free(s);
	return e;
}
