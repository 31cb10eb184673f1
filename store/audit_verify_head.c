/* audit_verify_head.c - heads against the rows.
 *
 * A head stands in the file of the row it covers. Their numbers count through
 * all files; one file after the other holds a stretch of them. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/audit_verify_int.h"

#define PRUNED "audit-pruned.db"

enum {
	COVER_MS = 5 * 60 * 1000, /* rows without a head, at most */
	PROGRESS_EVERY = 128
};

struct stretch {
	struct audit_check *c;
	int64_t number; /* wanted */
	char name[64];
	sqlite3 *db;
	sqlite3_stmt *head, *row;
};

/* ---- one head --------------------------------------------------------------
 */

/* False: not to be believed. */
static bool look_signature(struct audit_check *c, const struct audit_head *h,
			   const char *file)
{
	const struct seal_verifier *key = audit_check_key(c, h->key_id);
	char id[SEAL_KEY_ID_TEXT];

	if (c->has_log && memcmp(c->log, h->log, sizeof(h->log)) != 0) {
		audit_check_say(c, AUDIT_FAULT_FILE_FOREIGN, h->seq, file,
				"the head of row %lld is of another audit than "
				"the rows",
				(long long)h->seq);
		return false;
	}
	if (key == NULL) {
		audit_check_say(c, AUDIT_FAULT_HEAD_KEY, h->seq, file,
				"the head of row %lld is signed with the key "
				"%s, which is not given",
				(long long)h->seq,
				seal_key_id_text(h->key_id, id));
		return false;
	}
	if (audit_head_check(key, h) == ERR_OK)
		return true;
	audit_check_say(c, AUDIT_FAULT_HEAD_FORGED, h->seq, file,
			"head %lld (row %lld) was changed: its signature is no "
			"good",
			(long long)h->number, (long long)h->seq);
	return false;
}

static void say_differs(struct audit_check *c, const struct audit_head *h,
			int64_t good, const char *file)
{
	audit_check_say(c, AUDIT_FAULT_HEAD_DIFFERS, good + 1, file,
			"head %lld signed another hash for row %lld: rows from "
			"%lld on were changed, taken out or put in, and the "
			"chain made anew",
			(long long)h->number, (long long)h->seq,
			(long long)good + 1);
}

static void say_truncated(struct audit_check *c, const struct audit_head *h,
			  const char *file)
{
	audit_check_say(c, AUDIT_FAULT_TRUNCATED, h->seq, file,
			"head %lld knows row %lld, which is not there any more",
			(long long)h->number, (long long)h->seq);
}

/* ---- heads among the rows --------------------------------------------------
 */

static void stretch_close(struct stretch *s)
{
	(void)sqlite3_finalize(s->head);
	(void)sqlite3_finalize(s->row);
	s->head = s->row = NULL;
	db_close(s->db);
	s->db = NULL;
}

static bool stretch_open(struct stretch *s, const char *path)
{
	struct db_options o = {.path = path,
			       .read_only = true,
			       .cache_bytes = AUDIT_CACHE,
			       .busy_ms = 1000};

	if (audit_db_open(&o, &s->db, NULL) != ERR_OK)
		return false;
	if (db_prepare(s->db,
		       "SELECT number,seq,chain,wall_ms,node,log,key_id,sig "
		       "FROM heads WHERE number>=? ORDER BY number LIMIT 1",
		       &s->head) == ERR_OK &&
	    db_prepare(s->db, "SELECT chain FROM audit WHERE seq=?", &s->row) ==
		ERR_OK)
		return true;
	stretch_close(s); /* from before there were heads */
	return false;
}

/* The next head of the open file. False: none up to heads_to. *good: it has
 * the shape of one. */
static bool stretch_next(struct stretch *s, struct audit_head *h, bool *good)
{
	bool row = false;

	db_bind_int(s->head, 1, s->number);
	if (db_row(s->head, &row) != ERR_OK || !row)
		return false;
	memset(h, 0, sizeof(*h));
	*good = audit_head_column(s->head, h);
	h->number = sqlite3_column_int64(s->head, 0);
	h->seq = sqlite3_column_int64(s->head, 1);
	(void)sqlite3_reset(s->head);
	return h->number <= s->c->heads_to;
}

struct best {
	struct stretch *s;
	int64_t number;
	char name[64], path[AUDIT_PATH_LEN];
};

static enum err look_for(void *arg, const char *name, const char *path)
{
	struct best *b = arg;
	struct stretch s = {.c = b->s->c, .number = b->s->number};
	struct audit_head h;
	bool good;

	if (!stretch_open(&s, path))
		return ERR_OK;
	if (stretch_next(&s, &h, &good) &&
	    (b->number == 0 || h.number < b->number)) {
		b->number = h.number;
		snprintf(b->name, sizeof(b->name), "%.63s", name);
		snprintf(b->path, sizeof(b->path), "%s", path);
	}
	stretch_close(&s);
	return ERR_OK;
}

/* Open the file that goes on. *more false: no head is left. */
static enum err change_file(struct stretch *s, bool *more)
{
	struct best b = {.s = s};
	enum err e;

	stretch_close(s);
	e = audit_month_each(s->c->o->dir, look_for, &b);
	if (e != ERR_OK)
		return e;
	*more = b.number != 0;
	if (!*more)
		return ERR_OK;
	memcpy(s->name, b.name, sizeof(s->name));
	return stretch_open(s, b.path) ? ERR_OK : ERR_IO;
}

static void look_number(struct stretch *s, const struct audit_head *h)
{
	int64_t last = h->number - 1;

	if (h->number == s->number)
		return;
	/* some went with the months that were pruned */
	if (s->c->pruned != NULL && last <= audit_pruned_heads(s->c->pruned))
		return;
	audit_check_say(s->c, AUDIT_FAULT_HEAD_MISSING, 0, s->name,
			s->number == last ? "head %lld was taken out"
					  : "heads %lld to %lld were taken out",
			(long long)s->number, (long long)last);
}

/* What the row has: 0 the same, 1 another, 2 there is none. */
static int compare(struct stretch *s, const struct audit_head *h)
{
	bool row = false;
	int result = 2;

	db_bind_int(s->row, 1, h->seq);
	if (db_row(s->row, &row) != ERR_OK || !row)
		return 2;
	result = sqlite3_column_bytes(s->row, 0) == AUDIT_CHAIN_LEN &&
			 memcmp(sqlite3_column_blob(s->row, 0), h->chain,
				AUDIT_CHAIN_LEN) == 0
		     ? 0
		     : 1;
	(void)sqlite3_reset(s->row);
	return result;
}

static void look_head(struct stretch *s, const struct audit_head *h)
{
	struct audit_verify_report *r = s->c->r;
	int found;

	r->heads++;
	if (!look_signature(s->c, h, s->name))
		return;
	found = compare(s, h);
	if (found == 1)
		say_differs(s->c, h, r->head_last, s->name);
	else if (found == 2)
		say_truncated(s->c, h, s->name);
	if (found != 0)
		return;
	if (h->seq > r->head_last) {
		r->head_last = h->seq;
		r->head_last_ms = h->wall_ms;
	}
}

static enum err walk(struct stretch *s)
{
	bool more = true, good;
	struct audit_head h;
	enum err e = change_file(s, &more);

	while (e == ERR_OK && more) {
		if (s->c->r->heads % PROGRESS_EVERY == 0 &&
		    !audit_check_goes_on(s->c))
			return ERR_CANCELED;
		/* at the end of a stretch, another file may have the next */
		if (!stretch_next(s, &h, &good) || h.number != s->number) {
			e = change_file(s, &more);
			if (e != ERR_OK || !more || !stretch_next(s, &h, &good))
				break;
			look_number(s, &h);
		}
		if (good)
			look_head(s, &h);
		else
			audit_check_say(s->c, AUDIT_FAULT_HEAD_FORGED, h.seq,
					s->name,
					"head %lld was changed: it holds what "
					"no head does",
					(long long)h.number);
		s->number = h.number + 1;
	}
	return e;
}

/* ---- heads from elsewhere --------------------------------------------------
 */

/* A row that is gone may be in a run. */
static bool in_run(struct audit_check *c, const struct audit_head *h,
		   const char *file)
{
	struct audit_run run;

	if (c->pruned == NULL ||
	    audit_pruned_next(c->pruned, h->seq, &run) != ERR_OK ||
	    run.first > h->seq)
		return false;
	if (run.last == h->seq &&
	    memcmp(run.chain, h->chain, sizeof(h->chain)) != 0)
		say_differs(c, h, run.first - 1, file);
	return true;
}

static enum err look_known(struct audit_check *c, const struct audit_head *h,
			   const char *file)
{
	struct audit_row row;
	int64_t good = 0;
	enum err e;

	if (!look_signature(c, h, file))
		return ERR_OK;
	e = audit_check_row(c, h->seq, &row);
	if (e == ERR_NOTFOUND) {
		if (!in_run(c, h, file))
			say_truncated(c, h, file);
		return ERR_OK;
	}
	if (e != ERR_OK)
		return e;
	if (row.has_chain &&
	    memcmp(row.chain, h->chain, sizeof(h->chain)) == 0) {
		if (h->seq > c->r->head_last) {
			c->r->head_last = h->seq;
			c->r->head_last_ms = h->wall_ms;
		}
		return ERR_OK;
	}
	for (size_t i = 0; i < c->o->n_known; i++)
		if (c->o->known[i].seq < h->seq && c->o->known[i].seq > good)
			good = c->o->known[i].seq;
	say_differs(c, h, good, file);
	return ERR_OK;
}

static enum err look_copy(struct audit_check *c)
{
	if (!c->has_last) {
		if (c->heads_to > 0)
			audit_check_say(c, AUDIT_FAULT_HEAD_MISSING, 0, PRUNED,
					"the copy of the newest head is gone");
		return ERR_OK;
	}
	/* a head is written, then its copy */
	if (c->last.number + 1 < c->heads_to)
		audit_check_say(c, AUDIT_FAULT_HEAD_MISSING, 0, PRUNED,
				"the copy of the newest head is an older one: "
				"head %lld instead of %lld",
				(long long)c->last.number,
				(long long)c->heads_to);
	return look_known(c, &c->last, PRUNED);
}

/* ---- what no head covers ---------------------------------------------------
 */

/* From row to the last one; by the clock that does not jump, if it can be. */
static int64_t span_ms(const struct audit_check *c, const struct audit_row *row)
{
	if (strcmp(c->last_boot, row->boot) != 0)
		return c->last_ms - row->wall_ms;
	return c->last_mono_ns > row->mono_ns
		   ? (int64_t)((c->last_mono_ns - row->mono_ns) / 1000000)
		   : 0;
}

static enum err look_rest(struct audit_check *c)
{
	struct audit_verify_report *r = c->r;
	struct audit_row row;
	int64_t first = r->head_last + 1;
	enum err e;

	if (first < r->chain_first)
		first = r->chain_first;
	if (!c->began || r->last < first)
		return ERR_OK;
	r->uncovered = (uint64_t)(r->last - first + 1);
	e = audit_check_row(c, first, &row);
	if (e == ERR_NOTFOUND)
		return ERR_OK; /* named already */
	if (e == ERR_OK && span_ms(c, &row) > COVER_MS)
		audit_check_say(c, AUDIT_FAULT_HEAD_MISSING, first, "",
				"no good head covers rows %lld to %lld, though "
				"one is signed each minute",
				(long long)first, (long long)r->last);
	return e;
}

enum err audit_check_heads(struct audit_check *c)
{
	struct stretch s = {.c = c, .number = 1};
	enum err e = walk(&s);

	stretch_close(&s);
	if (e == ERR_OK)
		e = look_copy(c);
	for (size_t i = 0; e == ERR_OK && i < c->o->n_known; i++)
		e = !audit_check_goes_on(c)
			? ERR_CANCELED
			: look_known(c, &c->o->known[i], "head from outside");
	return e == ERR_OK ? look_rest(c) : e;
}
