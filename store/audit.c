#include "store/audit.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/audit_int.h"

const char *audit_kind_text(enum audit_kind k)
{
	switch (k) {
#define X(number, name, text)                                                  \
	case AUDIT_##name:                                                     \
		return text;
		AUDIT_EVENT_MAP(X)
#undef X
	}
	return "unknown";
}

const char *audit_why(const struct audit *a)
{
	return a->why;
}

void audit_say(struct audit *a, const char *what)
{
	snprintf(a->why, sizeof(a->why), "%.160s: %.80s", a->path,
		 what != NULL ? what : sqlite3_errmsg(a->db));
}

static void month_of(int64_t wall_ms, char out[AUDIT_MONTH_LEN])
{
	char text[CLOCK_TEXT_LEN];

	clock_text(wall_ms, text);
	memcpy(out, text, AUDIT_MONTH_LEN - 1);
	out[AUDIT_MONTH_LEN - 1] = '\0';
}

static void read_boot(char out[AUDIT_BOOT_LEN])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	out[0] = '\0';
	if (f == NULL)
		return;
	if (fgets(out, AUDIT_BOOT_LEN, f) != NULL)
		out[strcspn(out, "\n")] = '\0';
	(void)fclose(f);
}

/* ---- opening --------------------------------------------------------- */

enum err audit_open(const char *dir, struct audit **out,
		    char why[AUDIT_WHY_LEN])
{
	struct audit *a;
	enum err e;

	if (strlen(dir) >= AUDIT_DIR_LEN)
		return ERR_INVAL;
	a = mem_zalloc(sizeof(*a));
	if (a == NULL)
		return ERR_NOMEM;
	snprintf(a->dir, sizeof(a->dir), "%s", dir);
	a->unclean = true; /* of no rows nothing is known */
	a->began_ms = INT64_MAX;
	read_boot(a->boot);
	if (audit_pruned_open(dir, false, &a->pruned, why) != ERR_OK)
		a->pruned = NULL; /* what is lost with it, look() may find */
	e = audit_month_find(a);
	if (e != ERR_OK) {
		if (why != NULL)
			snprintf(why, AUDIT_WHY_LEN,
				 "%.200s: directory cannot be read", dir);
		audit_close(a);
		return e;
	}
	*out = a;
	return ERR_OK;
}

void audit_close(struct audit *a)
{
	if (a == NULL)
		return;
	audit_month_close(a);
	audit_pruned_close(a->pruned);
	mem_free(a);
}

/* ---- rows ------------------------------------------------------------ */

static void bind_row(struct audit *a, const struct audit_row *r)
{
	sqlite3_stmt *st = a->insert;
	bool sealed = r->sealed_is != AUDIT_SEALED_NONE;

	db_bind_int(st, 1, r->seq);
	db_bind_int(st, 2, r->wall_ms);
	db_bind_u64(st, 3, r->mono_ns);
	db_bind_text(st, 4, r->boot);
	db_bind_int(st, 5, r->kind);
	db_bind_int(st, 6, r->outcome);
	if (r->association != 0)
		db_bind_u64(st, 7, r->association);
	else
		(void)sqlite3_bind_null(st, 7);
	db_bind_text(st, 8, r->listener);
	db_bind_text(st, 9, r->device);
	db_bind_text(st, 10, r->destination);
	db_bind_text(st, 11, r->peer);
	db_bind_text(st, 12, r->local);
	db_bind_text(st, 13, r->calling_ae);
	db_bind_text(st, 14, r->called_ae);
	db_bind_text(st, 15, r->fingerprint);
	db_bind_text(st, 16, r->study);
	db_bind_text(st, 17, r->user);
	db_bind_text(st, 18, r->detail);
	db_bind_blob(st, 19, r->prev_chain, sizeof(r->prev_chain));
	db_bind_blob(st, 20, r->chain, sizeof(r->chain));
	db_bind_blob(st, 21, r->commitment, sealed ? AUDIT_CHAIN_LEN : 0);
	db_bind_blob(st, 22, r->sealed_hash, sealed ? AUDIT_CHAIN_LEN : 0);
}

/* The row that follows what was added last, with its place in the chain. */
static void make_row(struct audit *a, const struct audit_event *e)
{
	struct audit_row *r = &a->row;

	audit_row_from(e, r);
	r->seq = a->added.seq + 1;
	memcpy(r->boot, a->boot, sizeof(r->boot));
	r->has_chain = true;
	if (a->added.has_chain)
		memcpy(r->prev_chain, a->added.chain, AUDIT_CHAIN_LEN);
	else
		audit_row_genesis(a->log, r->seq, r->prev_chain);
	audit_row_hash(r, r->prev_chain, r->chain);
}

static enum err insert_row(struct audit *a)
{
	const struct audit_row *r = &a->row;
	enum err e = ERR_OK;

	if (r->sealed_len > 0) {
		db_bind_int(a->insert_sealed, 1, r->seq);
		db_bind_blob(a->insert_sealed, 2, r->sealed, r->sealed_len);
		e = db_run(a->insert_sealed);
	}
	bind_row(a, r);
	return e != ERR_OK ? e : db_run(a->insert);
}

/* The last head of a month stands in its own file. A clock that flutters about
 * the end of one does not cost a signature each time. */
static void sign_month_end(struct audit *a)
{
	if (a->db == NULL ||
	    (a->head_ns != 0 && clock_mono_ns() - a->head_ns < 1000000000ULL))
		return;
	if (audit_sign_now(a) != ERR_OK)
		log_event(LOG_WARN, "audit-unsigned", "detail=\"%s\"", a->why);
}

static enum err begin(struct audit *a, const char month[AUDIT_MONTH_LEN])
{
	enum err e;

	if (a->in_transaction)
		return strcmp(a->month, month) == 0 ? ERR_OK : ERR_AGAIN;
	if (strcmp(a->month, month) != 0) {
		sign_month_end(a);
		e = audit_month_open(a, month);
		if (e != ERR_OK)
			return e;
	}
	e = db_exec(a->db, "BEGIN IMMEDIATE");
	if (e != ERR_OK)
		audit_say(a, NULL);
	a->in_transaction = e == ERR_OK;
	return e;
}

enum err audit_append(struct audit *a, const struct audit_event *event)
{
	char month[AUDIT_MONTH_LEN];
	enum err e;

	if (event->sealed_len > AUDIT_SEALED_LEN)
		return ERR_INVAL;
	month_of(event->wall_ms, month);
	e = begin(a, month);
	if (e != ERR_OK)
		return e;
	make_row(a, event);
	e = insert_row(a);
	if (e != ERR_OK) {
		audit_say(a, NULL);
		return e;
	}
	a->added.seq = a->row.seq;
	a->added.has_chain = true;
	memcpy(a->added.chain, a->row.chain, AUDIT_CHAIN_LEN);
	return ERR_OK;
}

enum err audit_commit(struct audit *a)
{
	enum err e;

	if (!a->in_transaction)
		return ERR_OK;
	e = db_exec(a->db, "COMMIT");
	if (e != ERR_OK) {
		audit_say(a, NULL);
		audit_month_close(a);
		return e;
	}
	a->in_transaction = false;
	a->committed = a->added;
	a->unsynced = true;
	a->why[0] = '\0';
	return ERR_OK;
}

void audit_undo(struct audit *a)
{
	audit_month_close(a);
}

int64_t audit_seq(const struct audit *a)
{
	return a->committed.seq;
}

enum err audit_flush(struct audit *a)
{
	sqlite3_file *wal = NULL;

	if (a->db == NULL || a->in_transaction)
		return ERR_OK;
	/* a checkpoint would not flush what a reader keeps it from copying */
	if (sqlite3_file_control(a->db, "main", SQLITE_FCNTL_JOURNAL_POINTER,
				 &wal) == SQLITE_OK &&
	    wal != NULL && wal->pMethods != NULL &&
	    wal->pMethods->xSync(wal, SQLITE_SYNC_FULL) == SQLITE_OK)
		return ERR_OK;
	audit_say(a, "the log cannot be flushed");
	return ERR_IO;
}

enum err audit_sync(struct audit *a)
{
	enum err e;

	if (!a->unsynced || a->db == NULL || a->in_transaction)
		return ERR_OK;
	e = audit_flush(a);
	if (e != ERR_OK)
		return e;
	a->unsynced = false;
	/* so that the log does not grow; what a reader keeps from being copied
	 * is copied after the next rows */
	e = db_err(sqlite3_wal_checkpoint_v2(
	    a->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
	if (e != ERR_OK)
		audit_say(a, NULL);
	return e;
}

const char *audit_gap(struct audit *a)
{
	struct db_identity now;

	if (a->db != NULL && !a->in_transaction &&
	    (!db_identity(a->path, &now) || now.inode != a->identity.inode ||
	     now.device != a->identity.device)) {
		snprintf(a->gap, sizeof(a->gap),
			 "audit of %s was deleted or replaced while it was "
			 "written: rows up to %lld are lost",
			 a->month, (long long)a->committed.seq);
		log_event(LOG_ERROR, "audit-lost", "file=%s", a->path);
		audit_month_close(a);
	}
	if (a->gap[0] == '\0')
		return NULL;
	memcpy(a->told, a->gap, sizeof(a->told));
	a->gap[0] = '\0';
	return a->told;
}
