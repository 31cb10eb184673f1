#include "store/audit_prune.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/audit_int.h"
#include "store/audit_read_int.h"
#include "store/audit_verify.h"

enum { RUNS_MAX = 4096 };

struct audit_prune {
	struct audit *a;
	char month[AUDIT_MONTH_LEN];
	struct audit_filter filter;
	struct audit_file file;
	struct audit_link link;
	struct audit_run *runs;
	size_t n, cap;
	uint64_t rows;
	int64_t head; /* the highest number of a head in it */
	char why[AUDIT_WHY_LEN];
};

struct audit_pruned *audit_beside(struct audit *a)
{
	if (a->pruned == NULL &&
	    audit_pruned_open(a->dir, false, &a->pruned, a->why) != ERR_OK)
		a->pruned = NULL;
	return a->pruned;
}

/* ---- which -----------------------------------------------------------------
 */

struct search {
	struct audit *a;
	int64_t cutoff_ms;
	char month[AUDIT_MONTH_LEN], path[AUDIT_PATH_LEN];
	const char *after; /* months up to here were looked at */
};

/* The first moment behind a month, UTC. */
static int64_t end_of(const char *month)
{
	struct tm tm = {.tm_mday = 1};

	if (sscanf(month, "%4d-%2d", &tm.tm_year, &tm.tm_mon) != 2)
		return INT64_MAX;
	tm.tm_year -= 1900; /* tm_mon counts from 0: this is the next one */
	return (int64_t)timegm(&tm) * 1000;
}

static enum err look(void *arg, const char *name, const char *path)
{
	struct search *s = arg;
	char month[AUDIT_MONTH_LEN];

	if (strlen(name) != sizeof("audit-2026-05.db") - 1)
		return ERR_OK;
	snprintf(month, sizeof(month), "%s", name + sizeof("audit-") - 1);
	if (strcmp(month, s->after) <= 0 || strcmp(month, s->a->month) == 0 ||
	    end_of(month) > s->cutoff_ms ||
	    (s->month[0] != '\0' && strcmp(month, s->month) >= 0))
		return ERR_OK;
	memcpy(s->month, month, sizeof(month));
	snprintf(s->path, sizeof(s->path), "%s", path);
	return ERR_OK;
}

struct held {
	sqlite3 *db;
	bool yes;
};

static bool on_hold(void *arg, const struct audit_hold *h)
{
	struct held *held = arg;
	sqlite3_stmt *st;
	bool row = true;

	if (h->study[0] != '\0' &&
	    db_prepare(held->db, "SELECT 1 FROM audit WHERE study=? LIMIT 1",
		       &st) == ERR_OK) {
		db_bind_text(st, 1, h->study);
		if (db_row(st, &row) != ERR_OK)
			row = true;
		(void)sqlite3_finalize(st);
	}
	held->yes = row;
	return !row;
}

/* In doubt it is held. */
static bool is_held(struct audit *a, sqlite3 *db)
{
	struct held held = {.db = db};
	struct audit_pruned *beside = audit_beside(a);

	return beside == NULL ||
	       audit_hold_each(beside, on_hold, &held) != ERR_OK || held.yes;
}

static enum err take(struct search *s, struct audit_prune **out)
{
	struct audit_prune *p = mem_zalloc(sizeof(*p));
	enum err e;

	if (p == NULL)
		return ERR_NOMEM;
	p->a = s->a;
	memcpy(p->month, s->month, sizeof(p->month));
	snprintf(p->file.path, sizeof(p->file.path), "%s", s->path);
	snprintf(p->file.name, sizeof(p->file.name), "audit-%s.db", s->month);
	p->filter.sealed = false;
	e = audit_file_open(&p->file, &p->filter, p->why);
	if (e == ERR_OK)
		e = audit_file_span(&p->file);
	if (e == ERR_OK &&
	    (p->file.last == s->a->committed.seq || is_held(s->a, p->file.db)))
		e = ERR_AGAIN;
	if (e == ERR_OK) {
		p->file.next = p->file.first;
		if (db_integer(p->file.db, "SELECT max(number) FROM heads",
			       &p->head) != ERR_OK)
			p->head = 0; /* from before there were any */
		*out = p;
		return ERR_OK;
	}
	if (e == ERR_CORRUPT)
		log_event(LOG_ERROR, "audit-prune-refused",
			  "month=%s detail=\"%s\"", p->month, p->why);
	audit_prune_free(p);
	return e == ERR_CORRUPT ? ERR_AGAIN : e;
}

enum err audit_prune_begin(struct audit *a, int64_t cutoff_ms,
			   struct audit_prune **out)
{
	char after[AUDIT_MONTH_LEN] = "";
	enum err e;

	*out = NULL;
	do { /* the next, when one may not go */
		struct search s = {
		    .a = a, .cutoff_ms = cutoff_ms, .after = after};

		e = audit_month_each(a->dir, look, &s);
		if (e != ERR_OK || s.month[0] == '\0')
			return e;
		e = take(&s, out);
		memcpy(after, s.month, sizeof(after));
	} while (e == ERR_AGAIN);
	return e;
}

/* ---- its rows --------------------------------------------------------------
 */

static struct audit_run *run_new(struct audit_prune *p)
{
	if (p->n == p->cap) {
		size_t cap = p->cap == 0 ? 8 : 2 * p->cap;
		struct audit_run *grown;

		if (p->cap >= RUNS_MAX)
			return NULL;
		grown = mem_realloc(p->runs, cap * sizeof(*grown));
		if (grown == NULL)
			return NULL;
		p->runs = grown;
		p->cap = cap;
	}
	return &p->runs[p->n++];
}

static bool goes_on(const struct audit_prune *p, const struct audit_row *r)
{
	const struct audit_run *last = p->n > 0 ? &p->runs[p->n - 1] : NULL;

	return last != NULL && last->last + 1 == r->seq &&
	       last->has_chain == r->has_chain;
}

static enum err add(struct audit_prune *p, const struct audit_row *r)
{
	struct audit_run *run;

	if (goes_on(p, r)) {
		run = &p->runs[p->n - 1];
	} else {
		run = run_new(p);
		if (run == NULL)
			return ERR_LIMIT;
		*run = (struct audit_run){.first = r->seq,
					  .head = p->head,
					  .has_chain = r->has_chain};
		memcpy(run->log, p->a->log, sizeof(run->log));
		memcpy(run->month, p->month, sizeof(run->month));
		memcpy(run->prev, r->prev_chain, sizeof(run->prev));
	}
	run->last = r->seq;
	run->count++;
	memcpy(run->chain, r->chain, sizeof(run->chain));
	p->rows++;
	return ERR_OK;
}

static enum err check(struct audit_prune *p, const struct audit_row *r)
{
	struct audit_finding f;

	if (r->has_chain &&
	    audit_link_row(&p->link, r, p->link.any && goes_on(p, r), &f) !=
		ERR_OK) {
		snprintf(p->why, sizeof(p->why),
			 "%s does not check, so it is kept: %.120s; see "
			 "culvert audit verify",
			 p->file.name, f.text);
		return ERR_CORRUPT;
	}
	return add(p, r);
}

enum err audit_prune_read(struct audit_prune *p, bool *done)
{
	enum err e = ERR_OK;
	bool got = false;

	*done = false;
	for (int n = 0; e == ERR_OK && n < AUDIT_PRUNE_ROWS; n++) {
		e = audit_file_row(&p->file, &p->filter, &got);
		if (e == ERR_OK && !got) {
			e = audit_file_window(&p->file, &p->filter, &got);
			if (e != ERR_OK || !got) {
				*done = e == ERR_OK;
				break;
			}
			continue;
		}
		if (e == ERR_OK)
			e = check(p, p->file.row);
	}
	if (e != ERR_OK && p->why[0] == '\0')
		snprintf(p->why, sizeof(p->why), "%s: %.180s", p->file.name,
			 sqlite3_errmsg(p->file.db));
	return e;
}

/* ---- the end ---------------------------------------------------------------
 */

void audit_prune_event(const struct audit_prune *p, const char *user,
		       struct audit_event *e)
{
	struct audit_json j;

	memset(e, 0, sizeof(*e));
	e->kind = AUDIT_PRUNED;
	snprintf(e->user, sizeof(e->user), "%s", user);
	j = audit_json_begin(e->detail, sizeof(e->detail));
	audit_json_text(&j, "month", p->month);
	audit_json_number(&j, "rows", (int64_t)p->rows);
	if (p->n > 0) {
		audit_json_number(&j, "first", p->runs[0].first);
		audit_json_number(&j, "last", p->runs[p->n - 1].last);
	}
	audit_json_end(&j);
}

static enum err drop(struct audit_prune *p)
{
	static const char *const suffix[] = {"", "-wal", "-shm"};
	char path[AUDIT_PATH_LEN + 8];

	audit_file_close(&p->file);
	for (size_t i = 0; i < ARRAY_LEN(suffix); i++) {
		snprintf(path, sizeof(path), "%s%s", p->file.path, suffix[i]);
		if (unlink(path) != 0 && errno != ENOENT) {
			snprintf(p->why, sizeof(p->why),
				 "cannot remove %.180s: %s", path,
				 strerror(errno));
			return ERR_IO;
		}
	}
	return ERR_OK;
}

enum err audit_prune_end(struct audit_prune *p)
{
	struct audit_pruned *beside = audit_beside(p->a);
	enum err e = p->a->signer != NULL && beside != NULL ? ERR_OK : ERR_IO;

	for (size_t i = 0; e == ERR_OK && i < p->n; i++)
		e = audit_run_sign(p->a->signer, &p->runs[i]);
	if (e == ERR_OK)
		e = audit_pruned_add(beside, p->runs, p->n);
	if (e != ERR_OK) {
		snprintf(p->why, sizeof(p->why),
			 "what stands for %s cannot be kept, so it stays",
			 p->file.name);
		return e;
	}
	return drop(p);
}

const char *audit_prune_why(const struct audit_prune *p)
{
	return p->why;
}

const char *audit_prune_month(const struct audit_prune *p)
{
	return p->month;
}

uint64_t audit_prune_rows(const struct audit_prune *p)
{
	return p->rows;
}

void audit_prune_free(struct audit_prune *p)
{
	if (p == NULL)
		return;
	audit_file_close(&p->file);
	mem_free(p->runs);
	mem_free(p);
}
