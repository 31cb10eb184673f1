/* commitment_read.c - what ledger and spool show: see commitment_int.h. */
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/commitment_int.h"
#include "proxy/dicom/command.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"

enum {
	PAGE = 200,           /* messages read at one go */
	ROWS_MAX = 4096,      /* of one transaction; more is not looked at */
	REQUESTS_MAX = 10000, /* looked after at once; later ones wait */
	SCAN_MAX = 2000000,   /* instances looked through for unknown ones */
};

/* Instances received that long before the request are not waited for: they
 * count as unknown, and the archive has the say. */
#define SCAN_BACK_MS (90 * INT64_C(86400000))

/* ---- the view ----------------------------------------------------------- */

static void say_unread(struct commitment *c, const char *why)
{
	if (!c->view_failed)
		log_event(LOG_WARN, "commitment-unread", "detail=\"%s\"", why);
	c->view_failed = true;
}

enum err read_open(struct commitment *c)
{
	char why[LEDGER_WHY_LEN];
	enum err e;

	if (c->view != NULL)
		return ERR_OK;
	e = ledger_view_open(c->config->records.path, &c->view, why);
	if (e != ERR_OK) {
		c->view = NULL;
		say_unread(c, why);
	}
	return e;
}

enum err read_failed(struct commitment *c, enum err e)
{
	if (e == ERR_OK) {
		c->view_failed = false;
		return e;
	}
	if (e == ERR_IO || e == ERR_BUSY) {
		say_unread(c, ledger_view_why(c->view));
		ledger_view_close(c->view);
		c->view = NULL;
	}
	return e;
}

/* ---- pages of messages -------------------------------------------------- */

struct page {
	bool (*take)(void *arg, const struct view_message *m);
	void *arg;
	uint64_t last; /* sequence of the last row */
	unsigned messages;
	bool stopped;
};

static bool on_row(void *arg, const struct view_message *m)
{
	struct page *p = arg;

	p->messages += m->seq != p->last;
	p->last = m->seq;
	p->stopped = !p->take(p->arg, m);
	return !p->stopped;
}

static enum err read_pages(struct commitment *c, struct view_message_filter f,
			   bool (*take)(void *, const struct view_message *),
			   void *arg)
{
	struct page p = {.take = take, .arg = arg};
	enum err e = read_open(c);

	if (e != ERR_OK)
		return e;
	f.limit = PAGE;
	do {
		f.after_seq = p.last;
		p.messages = 0;
		e = ledger_view_messages(c->view, &f, on_row, &p);
	} while (e == ERR_OK && p.messages == PAGE && !p.stopped);
	return read_failed(c, e);
}

/* ---- requests ----------------------------------------------------------- */

bool read_is_ours(const struct view_message *m)
{
	return strcmp(m->listener, COMMITMENT_LISTENER) == 0;
}

void read_link(const struct transfer_id *id, char out[65])
{
	char text[TRANSFER_TEXT_LEN];

	snprintf(out, 65, "commitment:%s", transfer_id_text(id, text));
}

static struct request *find_request(struct commitment *c, uint64_t seq)
{
	LIST_EACH(n, tmp, &c->requests)
	{
		struct request *r = CONTAINER_OF(n, struct request, node);

		if (r->m.seq == seq)
			return r;
	}
	return NULL;
}

void read_forget_refs(struct commitment *c, struct request *r)
{
	c->n_kept -= r->refs.n;
	commit_free(&r->refs);
	mem_free(r->uids);
	r->uids = NULL;
	r->newest = 0;
}

void read_forget(struct commitment *c, struct request *r)
{
	read_forget_refs(c, r);
	list_remove(&r->node);
	c->n_requests--;
	mem_free(r);
}

static struct request *add_request(struct commitment *c,
				   const struct view_message *m)
{
	struct request *r;

	if (c->n_requests >= REQUESTS_MAX)
		return NULL;
	r = mem_zalloc(sizeof(*r));
	if (r == NULL)
		return NULL;
	list_push_back(&c->requests, &r->node);
	c->n_requests++;
	read_link(&m->transfer, r->link);
	r->seen_ns = clock_mono_ns();
	r->age_ms = clock_wall_ms() - m->received_ms;
	if (r->age_ms < 0)
		r->age_ms = 0;
	return r;
}

static bool on_request(void *arg, const struct view_message *m)
{
	struct commitment *c = arg;
	struct request *r;

	if (read_is_ours(m) || m->state != DELIVERY_HELD ||
	    m->transaction[0] == '\0')
		return true;
	r = find_request(c, m->seq);
	if (r == NULL)
		r = add_request(c, m);
	if (r == NULL)
		return false; /* a later reading finds it */
	r->m = *m;
	r->seen = true;
	return true;
}

enum err read_requests(struct commitment *c)
{
	struct view_message_filter f = {.command = N_ACTION_RQ,
					.open_only = true};
	enum err e;

	LIST_EACH(n, tmp, &c->requests)
	CONTAINER_OF(n, struct request, node)->seen = false;
	e = read_pages(c, f, on_request, c);
	if (e != ERR_OK)
		return e;
	LIST_EACH(n, tmp, &c->requests)
	{
		struct request *r = CONTAINER_OF(n, struct request, node);

		if (!r->seen)
			read_forget(c, r);
	}
	return ERR_OK;
}

/* ---- one transaction ---------------------------------------------------- */

struct rows {
	struct view_message *v;
	size_t n, cap;
	bool failed;
};

static bool on_transaction(void *arg, const struct view_message *m)
{
	struct rows *rows = arg;

	if (rows->n == rows->cap) {
		size_t cap = rows->cap == 0 ? 8 : rows->cap * 2;
		struct view_message *v = mem_realloc(rows->v, cap * sizeof(*v));

		if (v == NULL) {
			rows->failed = true;
			return false;
		}
		rows->v = v;
		rows->cap = cap;
	}
	rows->v[rows->n++] = *m;
	return rows->n < ROWS_MAX;
}

enum err read_transaction(struct commitment *c, const char *transaction,
			  struct view_message **out, size_t *n)
{
	struct view_message_filter f = {.transaction = transaction};
	struct rows rows = {0};
	enum err e = read_pages(c, f, on_transaction, &rows);

	if (e == ERR_OK && rows.failed)
		e = ERR_NOMEM;
	if (e != ERR_OK) {
		mem_free(rows.v);
		return e;
	}
	*out = rows.v;
	*n = rows.n;
	return ERR_OK;
}

/* The report for request m that is not delivered yet; NULL: none. */
static const struct view_message *open_report(const struct view_message *m,
					      const struct view_message *rows,
					      size_t n)
{
	char link[65];

	read_link(&m->transfer, link);
	for (size_t i = 0; i < n; i++) {
		if (rows[i].command == N_EVENT_REPORT_RQ &&
		    strcmp(rows[i].peer, link) == 0 &&
		    (rows[i].state == DELIVERY_QUEUED ||
		     rows[i].state == DELIVERY_HELD))
			return &rows[i];
	}
	return NULL;
}

static enum err read_set(struct commitment *c, const struct view_message *m,
			 struct commit_set *out)
{
	struct buf b;
	enum err e;

	buf_init(&b, (size_t)2 * COMMIT_DATA_MAX);
	e = io_read(c, m, &b);
	if (e == ERR_OK)
		e = commit_decode(buf_data(&b), buf_len(&b),
				  uid_ts_kind(m->transfer_syntax), out);
	buf_free(&b);
	return e;
}

/* Does the report m speak of just what r names? If that cannot be seen, r is
 * answered for itself. */
static bool answers(struct commitment *c, struct request *r,
		    const struct view_message *m)
{
	struct commit_set set;
	struct commit_index x;
	bool all;

	if (read_refs(c, r) != ERR_OK || read_set(c, m, &set) != ERR_OK)
		return false;
	all = set.n == r->refs.n && commit_index(&set, &x) == ERR_OK;
	if (all) {
		for (size_t i = 0; all && i < r->refs.n; i++)
			all = commit_index_find(
				  &x, r->refs.refs[i].sop_instance) != NULL;
		commit_index_free(&x);
	}
	commit_free(&set);
	return all;
}

static void stand_by_ours(struct request *r, const struct view_message *m,
			  struct commitment_facts *f)
{
	if (strcmp(m->peer, r->link) != 0)
		return;
	if (m->command == N_EVENT_REPORT_RQ)
		f->reported = true;
	if (m->command != N_ACTION_RQ)
		return;
	f->asked = commitment_asked(m->state);
	if (m->state == DELIVERY_DELIVERED && r->accepted_ms == 0)
		r->accepted_ms = f->now_ms;
}

/* *report: one on its way that may answer r, too. */
static void stand_by_other(const struct request *r,
			   const struct view_message *m,
			   struct commitment_facts *f,
			   const struct view_message *rows, size_t n,
			   const struct view_message **report)
{
	const struct view_message *open;

	if (m->command != N_ACTION_RQ || m->seq >= r->m.seq ||
	    strcmp(m->destination, r->m.destination) != 0)
		return;
	if (m->state == DELIVERY_HELD) {
		f->blocked = true;
	} else if (strcmp(m->device, r->m.device) == 0 &&
		   m->length == r->m.length) {
		open = open_report(m, rows, n);
		if (open != NULL)
			*report = open;
	}
}

enum err read_standing(struct commitment *c, struct request *r,
		       struct commitment_facts *f)
{
	const struct view_message *report = NULL;
	struct view_message *rows;
	size_t n;
	enum err e = read_transaction(c, r->m.transaction, &rows, &n);

	if (e != ERR_OK)
		return e;
	f->reported = r->reported;
	f->asked = r->asked ? ASKED_OPEN : ASKED_NOT;
	for (size_t i = 0; i < n; i++) {
		if (read_is_ours(&rows[i]))
			stand_by_ours(r, &rows[i], f);
		else
			stand_by_other(r, &rows[i], f, rows, n, &report);
	}
	if (report != NULL && !f->reported && f->asked == ASKED_NOT)
		f->covered = answers(c, r, report);
	f->accepted_ms = r->accepted_ms;
	f->repeats = r->repeats;
	mem_free(rows);
	return ERR_OK;
}

/* ---- named instances ---------------------------------------------------- */

static enum err make_uids(struct commitment *c, struct request *r)
{
	r->uids = mem_zarray(r->refs.n, sizeof(*r->uids));
	if (r->uids == NULL) {
		commit_free(&r->refs);
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < r->refs.n; i++)
		memcpy(r->uids[i].uid, r->refs.refs[i].sop_instance,
		       sizeof(r->uids[i].uid));
	r->newest = 0;
	c->n_kept += r->refs.n;
	return ERR_OK;
}

enum err read_refs(struct commitment *c, struct request *r)
{
	enum err e;

	if (r->refs.n > 0)
		return ERR_OK;
	e = read_set(c, &r->m, &r->refs);
	return e != ERR_OK ? e : make_uids(c, r);
}

/* Does any storage go where the request goes? Else what is sent elsewhere
 * counts. */
static bool storage_goes_to(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_routes; i++) {
		const struct config_refs *f = &config->routes[i].forward;

		for (size_t k = 0; k < f->n; k++) {
			if (strcmp(f->v[k].name, name) == 0)
				return true;
		}
	}
	return false;
}

static void count_named(struct request *r, struct commitment_facts *f)
{
	r->refs.n_failed = 0;
	for (size_t i = 0; i < r->refs.n; i++) {
		const struct view_uid *u = &r->uids[i];
		struct commit_ref *ref = &r->refs.refs[i];

		ref->reason = COMMIT_OK;
		switch (commitment_named(u->found, u->state)) {
		case NAMED_UNKNOWN:
			f->unknown++;
			break;
		case NAMED_WAITING:
			f->waiting++;
			break;
		case NAMED_ARRIVED:
			f->arrived++;
			break;
		case NAMED_LOST:
			f->lost++;
			ref->reason = COMMIT_PROCESSING_FAILURE;
			r->refs.n_failed++;
			break;
		}
	}
}

enum err read_named(struct commitment *c, struct request *r,
		    struct commitment_facts *f)
{
	const char *to = r->m.destination;
	struct view_uid_scan scan = {
	    .destination = storage_goes_to(c->config, to) ? to : NULL,
	    .after_seq = r->newest,
	    .not_before_ms = r->m.received_ms - SCAN_BACK_MS,
	    .max_rows = SCAN_MAX};
	enum err e = read_open(c);

	if (e != ERR_OK)
		return e;
	e = ledger_view_instances_by_uid(c->view, &scan, r->uids, r->refs.n,
					 &r->newest);
	if (e != ERR_OK && e != ERR_LIMIT)
		return read_failed(c, e);
	count_named(r, f);
	return ERR_OK;
}
