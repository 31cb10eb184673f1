/* ledger_audit.c - audit rows on the ledger thread, in their own database.
 *
 * Neither database waits for the other: when one fails its rows wait. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger_in.h"

enum { PATIENCE_S = 60, RETRY_MS = 1000 };

void ledger_audit_text(struct ledger *l, enum audit_kind kind,
		       enum audit_outcome outcome, const char *key,
		       const char *text)
{
	struct audit_event e = {.kind = kind, .outcome = outcome};
	struct audit_json j = audit_json_begin(e.detail, sizeof(e.detail));

	audit_json_text(&j, key, text);
	audit_json_end(&j);
	ledger_audit(l, &e);
}

bool ledger_audit_ok(const struct ledger *l)
{
	uint64_t patience =
	    l->o.audit_patience_s != 0 ? l->o.audit_patience_s : PATIENCE_S;

	return l->audit_failed_ns == 0 ||
	       clock_mono_ns() - l->audit_failed_ns < patience * 1000000000ULL;
}

static void failed(struct ledger *l)
{
	struct list all;
	uint64_t now = clock_mono_ns();

	audit_undo(l->audit);
	list_init(&all);
	list_splice_back(&all, &l->audit_written);
	list_splice_back(&all, &l->audit_todo);
	list_splice_back(&l->audit_todo, &all);
	if (l->audit_failed_ns == 0) {
		l->audit_failed_ns = now;
		log_event(LOG_ERROR, "audit-failing", "detail=\"%s\"",
			  audit_why(l->audit));
	}
	l->audit_retry_ns = now + RETRY_MS * 1000000ULL;
}

static bool anyone_waits(const struct ledger *l)
{
	LIST_EACH(it, tmp, &l->audit_written)
	{
		if (CONTAINER_OF(it, struct post, node)->sure != NULL)
			return true;
	}
	return false;
}

/* Tell those whose rows are durable now. When they cannot be flushed the rows
 * stay, and ledger_post_free() tells them so. */
static void settle(struct ledger *l)
{
	if (!anyone_waits(l))
		return;
	if (audit_flush(l->audit) != ERR_OK) {
		log_event(LOG_WARN, "audit-not-synced", "why=\"%s\"",
			  audit_why(l->audit));
		return;
	}
	LIST_EACH(it, tmp, &l->audit_written)
	{
		struct post *p = CONTAINER_OF(it, struct post, node);

		ledger_sure_settle(p->sure, ERR_OK);
		p->sure = NULL;
	}
}

static enum err commit(struct ledger *l)
{
	enum err e = audit_commit(l->audit);

	if (e != ERR_OK)
		return e;
	settle(l);
	LIST_EACH(it, tmp, &l->audit_written)
	{
		struct post *p = CONTAINER_OF(it, struct post, node);

		list_remove(it);
		ledger_owed_row(l, p);
		ledger_post_free(&l->posts, p);
	}
	if (l->audit_failed_ns != 0)
		log_event(LOG_INFO, "audit-recovered", "dir=%s", l->dir);
	l->audit_failed_ns = 0;
	l->audit_committed_ns = clock_mono_ns();
	return ERR_OK;
}

static void drop(struct ledger *l, struct post *p)
{
	log_event(LOG_ERROR, "audit-row-refused", "event=%s detail=\"%s\"",
		  audit_kind_text(p->as.audit.kind), audit_why(l->audit));
	list_remove(&p->node);
	ledger_post_free(&l->posts, p);
}

static enum err write_one(struct ledger *l, struct post *p)
{
	enum err e = audit_append(l->audit, &p->as.audit);

	if (e == ERR_AGAIN) { /* another month */
		e = commit(l);
		if (e == ERR_OK)
			e = audit_append(l->audit, &p->as.audit);
	}
	if (e == ERR_INVAL) {
		drop(l, p);
		return ERR_OK;
	}
	if (e != ERR_OK)
		return e;
	list_remove(&p->node);
	list_push_back(&l->audit_written, &p->node);
	return ERR_OK;
}

void ledger_audit_work(struct ledger *l)
{
	uint64_t now = clock_mono_ns();
	enum err e = ERR_OK;

	if (list_empty(&l->audit_todo) || now < l->audit_retry_ns)
		return;
	if (!l->stopping &&
	    now - l->audit_committed_ns < LEDGER_COMMIT_GAP_MS * 1000000ULL)
		return;
	LIST_EACH(it, tmp, &l->audit_todo)
	{
		e = write_one(l, CONTAINER_OF(it, struct post, node));
		if (e != ERR_OK)
			break;
	}
	if (e == ERR_OK)
		e = commit(l);
	if (e != ERR_OK)
		failed(l);
}

static void gap_event(struct ledger *l, const char *text, uint64_t rows)
{
	struct audit_event e = {.kind = AUDIT_AUDIT_GAP,
				.outcome = AUDIT_SERIOUS};
	struct audit_json j = audit_json_begin(e.detail, sizeof(e.detail));

	audit_json_text(&j, "gap", text);
	if (rows > 0)
		audit_json_number(&j, "rows", (int64_t)rows);
	audit_json_end(&j);
	ledger_audit(l, &e);
}

/* Rows that were dropped because the queue was full are owed a row. */
static void tell_dropped(struct ledger *l)
{
	uint64_t n;

	pthread_mutex_lock(&l->posts.mutex);
	n = l->posts.n < l->posts.max / 2 ? l->posts.untold : 0;
	if (n > 0)
		l->posts.untold = 0;
	pthread_mutex_unlock(&l->posts.mutex);
	if (n == 0)
		return;
	log_event(LOG_ERROR, "audit-gap", "rows=%llu", (unsigned long long)n);
	gap_event(l, "records dropped: the queue to the ledger was full", n);
}

void ledger_audit_show_head(struct ledger *l)
{
	const struct audit_head *h = audit_signed(l->audit);

	if (h == NULL || h->number == l->head.number) /* only we write it */
		return;
	(void)pthread_mutex_lock(&l->stats_mutex);
	l->head = *h;
	(void)pthread_mutex_unlock(&l->stats_mutex);
}

bool ledger_head(struct ledger *l, int64_t known, struct audit_head *out)
{
	bool news;

	(void)pthread_mutex_lock(&l->stats_mutex);
	news = l->head.number > 0 && l->head.number != known;
	if (news)
		*out = l->head;
	(void)pthread_mutex_unlock(&l->stats_mutex);
	return news;
}

void ledger_audit_tick(struct ledger *l)
{
	const char *gap = audit_gap(l->audit);
	enum err e;

	if (gap != NULL)
		gap_event(l, gap, 0);
	tell_dropped(l);
	e = audit_sign(l->audit);
	if (e == ERR_OK)
		e = audit_sync(l->audit);
	if (e == ERR_OK) {
		ledger_audit_show_head(l);
		ledger_owed_synced(l);
	}
	if (e != ERR_OK && l->audit_failed_ns == 0)
		failed(l);
}
