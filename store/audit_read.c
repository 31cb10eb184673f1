#include "store/audit_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/audit_read_int.h"

struct audit_reader {
	struct audit_filter filter;
	struct audit_file *files; /* in the order they begin to matter */
	size_t n, cap;
	struct audit_file *given; /* whose row was given out last */
	uint64_t looked;          /* numbers, since the last ERR_AGAIN */
	uint64_t begun_ns;        /* that, or when it was opened */
	int64_t position;
	int64_t first, last;
	char why[AUDIT_WHY_LEN];
};

/* ---- opening ----------------------------------------------------------------
 */

static int by_first(const void *a, const void *b)
{
	const struct audit_file *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static int by_last(const void *a, const void *b)
{
	const struct audit_file *x = a, *y = b;

	return x->last > y->last ? -1 : x->last < y->last;
}

/* Only the numbers that are asked for. */
static void narrow(const struct audit_filter *filter, struct audit_file *f)
{
	if (filter->from_seq != 0 && f->first < filter->from_seq)
		f->first = filter->from_seq;
	if (filter->to_seq != 0 && f->last > filter->to_seq)
		f->last = filter->to_seq;
	f->done = f->last == 0 || f->first > f->last ||
		  !audit_file_matters(f->name, filter);
	f->next = filter->backwards ? f->last : f->first;
}

static void widen(struct audit_reader *r, const struct audit_file *f)
{
	if (f->first != 0 && (r->first == 0 || f->first < r->first))
		r->first = f->first;
	if (f->last > r->last)
		r->last = f->last;
}

static struct audit_file *file_new(struct audit_reader *r)
{
	if (r->n == r->cap) {
		size_t cap = r->cap == 0 ? 16 : 2 * r->cap;
		struct audit_file *grown =
		    mem_realloc(r->files, cap * sizeof(*grown));

		if (grown == NULL)
			return NULL;
		r->files = grown;
		r->cap = cap;
	}
	memset(&r->files[r->n], 0, sizeof(r->files[0]));
	return &r->files[r->n++];
}

static enum err add(void *arg, const char *name, const char *path)
{
	struct audit_reader *r = arg;
	struct audit_file *f = file_new(r);
	enum err e;

	if (f == NULL)
		return ERR_NOMEM;
	snprintf(f->path, sizeof(f->path), "%s", path);
	snprintf(f->name, sizeof(f->name), "%.60s", name);
	e = audit_file_open(f, NULL, r->why);
	if (e == ERR_OK)
		e = audit_file_span(f);
	audit_file_close(f);
	if (e == ERR_CORRUPT) {
		f->damaged = true;
		return ERR_OK;
	}
	if (e != ERR_OK)
		return e;
	widen(r, f);
	narrow(&r->filter, f);
	return ERR_OK;
}

enum err audit_read_open(const char *dir, const struct audit_filter *filter,
			 struct audit_reader **out, char why[AUDIT_WHY_LEN])
{
	struct audit_reader *r = mem_zalloc(sizeof(*r));
	enum err e;

	if (r == NULL)
		return ERR_NOMEM;
	if (filter != NULL)
		r->filter = *filter;
	snprintf(r->why, sizeof(r->why), "%.200s: cannot be read", dir);
	e = audit_month_each(dir, add, r);
	if (e == ERR_OK && r->n == 0) {
		e = ERR_NOTFOUND;
		snprintf(r->why, sizeof(r->why),
			 "%.180s holds no audit (audit-YYYY-MM.db)", dir);
	}
	if (e != ERR_OK) {
		if (why != NULL)
			memcpy(why, r->why, AUDIT_WHY_LEN);
		audit_read_close(r);
		return e;
	}
	r->why[0] = '\0';
	r->begun_ns = clock_mono_ns();
	qsort(r->files, r->n, sizeof(r->files[0]),
	      r->filter.backwards ? by_last : by_first);
	*out = r;
	return ERR_OK;
}

void audit_read_close(struct audit_reader *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++)
		audit_file_close(&r->files[i]);
	mem_free(r->files);
	mem_free(r);
}

void audit_read_pause(struct audit_reader *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct audit_file *f = &r->files[i];

		/* the row that waits, or was given out, is a copy */
		if (f->stepping)
			(void)sqlite3_reset(f->rows);
		f->stepping = false;
	}
}

void audit_read_span(const struct audit_reader *r, int64_t *first,
		     int64_t *last)
{
	*first = r->first;
	*last = r->last;
}

int64_t audit_read_position(const struct audit_reader *r)
{
	return r->position;
}

const char *audit_read_file(const struct audit_reader *r)
{
	return r->given != NULL ? r->given->name : "";
}

const char *audit_read_why(const struct audit_reader *r)
{
	return r->why;
}

/* ---- rows
 * --------------------------------------------------------------------- */

static enum err fail(struct audit_reader *r, struct audit_file *f, enum err e)
{
	snprintf(r->why, sizeof(r->why), "%.60s: %.150s", f->name,
		 f->db != NULL ? sqlite3_errmsg(f->db) : err_text(e));
	if (e == ERR_CORRUPT) {
		audit_file_close(f);
		f->done = true;
		r->given = f;
	}
	return e;
}

/* Never before something was looked at: it must come to an end. */
static bool is_spent(const struct audit_reader *r)
{
	const struct audit_filter *f = &r->filter;

	return (f->budget != 0 && r->looked >= f->budget) ||
	       (f->budget_ns != 0 && r->looked > 0 &&
		clock_mono_ns() - r->begun_ns >= f->budget_ns);
}

/* Bring the file's next row in, windows long. ERR_AGAIN: out of budget. */
static enum err fill(struct audit_reader *r, struct audit_file *f)
{
	bool got = false;
	enum err e = ERR_OK;

	if (f->db == NULL)
		e = audit_file_open(f, &r->filter, NULL);
	while (e == ERR_OK && !f->waiting && !f->done) {
		e = audit_file_row(f, &r->filter, &got);
		if (e != ERR_OK || got) {
			f->waiting = got;
			break;
		}
		if (is_spent(r))
			return ERR_AGAIN;
		e = audit_file_window(f, &r->filter, &got);
		if (e == ERR_OK && !got)
			f->done = true;
		if (got)
			r->looked += (uint64_t)llabs(
			    (long long)(f->until - f->next) + 1);
	}
	if (e == ERR_IO && f->db != NULL &&
	    sqlite3_errcode(f->db) == SQLITE_ERROR)
		e = ERR_CORRUPT;
	if (e != ERR_OK)
		return fail(r, f, e);
	if (f->done)
		audit_file_close(f);
	return ERR_OK;
}

/* Whether number a comes before b in the order asked for. */
static bool before(const struct audit_reader *r, int64_t a, int64_t b)
{
	return r->filter.backwards ? a > b : a < b;
}

/* The file whose row is next; NULL: none. Files are only opened when their
 * numbers come into reach. */
static enum err choose(struct audit_reader *r, struct audit_file **best)
{
	*best = NULL;
	for (size_t i = 0; i < r->n; i++) {
		struct audit_file *f = &r->files[i];
		enum err e;

		if (f->done)
			continue;
		if (*best != NULL && !f->waiting &&
		    before(r, (*best)->row->seq, f->next))
			continue;
		e = f->waiting ? ERR_OK : fill(r, f);
		if (e != ERR_OK)
			return e;
		if (f->waiting && (*best == NULL ||
				   before(r, f->row->seq, (*best)->row->seq)))
			*best = f;
	}
	return ERR_OK;
}

static struct audit_file *damaged(struct audit_reader *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->files[i].damaged)
			return &r->files[i];
	return NULL;
}

/* All before it have been looked at. */
static void reached(struct audit_reader *r)
{
	int64_t at = 0;

	for (size_t i = 0; i < r->n; i++) {
		const struct audit_file *f = &r->files[i];
		int64_t next = f->waiting ? f->row->seq : f->next;

		if (!f->done && (at == 0 || before(r, next, at)))
			at = next;
	}
	if (at != 0)
		r->position = r->filter.backwards ? at + 1 : at - 1;
}

enum err audit_read_next(struct audit_reader *r, const struct audit_row **row)
{
	struct audit_file *f = damaged(r);
	enum err e;

	*row = NULL;
	if (f != NULL) {
		f->damaged = false;
		return fail(r, f, ERR_CORRUPT);
	}
	e = choose(r, &f);
	if (e == ERR_AGAIN) {
		r->looked = 0;
		r->begun_ns = clock_mono_ns();
		reached(r);
	}
	if (e != ERR_OK || f == NULL)
		return e;
	f->waiting = false;
	r->given = f;
	r->position = f->row->seq;
	*row = f->row;
	return ERR_OK;
}
