/* scheduler_fetch.c - filling the window from the ledger.
 *
 * The ledger answers in strict order of priority. So that a stream of high
 * ones cannot keep the low ones out of the window for ever, each level has a
 * cursor and a share of its own. One question is out at a time. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/scheduler_int.h"

/* An answer on its way from the ledger's thread. */
struct batch {
	struct msg msg;
	struct dest *d;
	unsigned level; /* asked for */
	enum err e;
	struct ledger_cursor next;
	bool end;
	int64_t next_due_ms;
	size_t n;
	struct ledger_item items[];
};

static unsigned level_of(int32_t priority)
{
	if (priority < 0)
		return 0;
	return priority < LEVELS ? (unsigned)priority : LEVELS - 1;
}

static size_t window_size(const struct dest *d)
{
	return d->by_id.n;
}

/* ---- taking in --------------------------------------------------------- */

/* Tell whoever looks at the queue why it does not move. */
static void note_skipped(struct dest *d, const struct ledger_item *li,
			 const struct hold *h)
{
	struct ledger_attempt a = {.delivery = li->delivery,
				   .attempts = li->attempts,
				   .remote_status = -1};

	(void)snprintf(a.error, sizeof(a.error), "%s", h->why);
	ledger_attempt(d->s->opt.ledger, &a);
}

static void take(struct dest *d, const struct ledger_item *li)
{
	struct item *it;
	struct hold *h;
	enum err e;

	if (window_find(d, li->delivery) != NULL ||
	    window_is_done(d, li->delivery))
		return;
	e = window_add(d, li, level_of(li->priority), &it);
	if (e != ERR_OK) {
		fetch_rescan(d, RESCAN_MS);
		return;
	}
	h = hold_of(d, it);
	if (h != NULL && hold_take(d, h, it))
		note_skipped(d, li, h);
	else if (h == NULL)
		early_meet(d, it);
}

/* Go down to level: what is passed over has nothing. False: that level has a
 * cursor of its own, further on; it is asked for by itself. */
static bool descend(struct dest *d, unsigned *at, unsigned level)
{
	bool fresh = true;

	while (*at > level) {
		d->levels[*at].end = true;
		(*at)--;
		fresh = !d->levels[*at].begun;
	}
	return fresh;
}

static void advance(struct dest *d, unsigned level, struct ledger_cursor to)
{
	d->levels[level].begun = true;
	d->levels[level].after = to;
}

/* The answer began at level b->level and may go down from there. */
static void take_all(struct dest *d, const struct batch *b)
{
	unsigned at = b->level;

	for (size_t i = 0; i < b->n; i++) {
		const struct ledger_item *li = &b->items[i];

		if (!descend(d, &at, level_of(li->priority)))
			return;
		take(d, li);
		advance(d, at,
			(struct ledger_cursor){.priority = li->priority,
					       .delivery = li->delivery});
	}
	/* rows that are not due lie between the last item and next */
	if (b->next.priority != INT32_MAX) {
		if (!descend(d, &at, level_of(b->next.priority)))
			return;
		advance(d, at, b->next);
	}
	if (b->end) {
		for (unsigned i = 0; i <= at; i++)
			d->levels[i].end = true;
	}
}

static bool at_end(const struct dest *d)
{
	for (unsigned i = 0; i < LEVELS; i++) {
		if (!d->levels[i].end)
			return false;
	}
	return true;
}

static bool all_read(const struct dest *d)
{
	return at_end(d) && d->rescan_at_ms == 0;
}

bool fetch_is_done(const struct dest *d)
{
	return !d->fetching && at_end(d) && !atomic_load(&d->hinted);
}

static void on_batch(struct msg *m)
{
	struct batch *b = CONTAINER_OF(m, struct batch, msg);
	struct dest *d = b->d;
	int64_t wait;

	d->fetching = false;
	d->s->pending--;
	if (b->e == ERR_OK && !d->stopped) {
		take_all(d, b);
		if (b->next_due_ms != 0) {
			wait = b->next_due_ms - clock_wall_ms();
			fetch_rescan(d, wait > 0 ? (uint64_t)wait : 0);
		}
		if (all_read(d))
			hold_prune(d);
	} else if (b->e == ERR_IO) {
		fetch_rescan(d, RESCAN_MS);
	}
	mem_free(b);
	run_dest(d);
	sched_settled(d->s);
}

/* On the ledger's thread. */
static void on_fetched(void *arg, const struct ledger_fetched *f)
{
	struct batch *b = arg;
	struct batch *big = b;

	b->e = f->e;
	b->next = f->next;
	b->end = f->end;
	b->next_due_ms = f->next_due_ms;
	if (f->e == ERR_OK && f->n > 0) {
		big = mem_realloc(b, sizeof(*b) + f->n * sizeof(b->items[0]));
		if (big == NULL) {
			big = b;
			big->e = ERR_IO; /* asked again later */
		} else {
			memcpy(big->items, f->items,
			       f->n * sizeof(f->items[0]));
			big->n = f->n;
		}
	}
	(void)mailbox_post(big->d->s->opt.mailbox, &big->msg);
}

/* ---- asking ------------------------------------------------------------ */

static struct ledger_cursor cursor_of(const struct dest *d, unsigned level)
{
	const struct level *l = &d->levels[level];

	if (l->begun)
		return l->after;
	if (level == LEVELS - 1)
		return LEDGER_CURSOR_START;
	return (struct ledger_cursor){.priority = (int32_t)level};
}

/* A level that was never read, above one that was, is most likely empty: look
 * before asking for a page. */
static unsigned page_of(const struct dest *d, unsigned level)
{
	if (d->levels[level].begun)
		return LEDGER_FETCH_MAX;
	for (unsigned i = 0; i < level; i++) {
		if (d->levels[i].begun)
			return 1;
	}
	return LEDGER_FETCH_MAX;
}

static enum err ask(struct dest *d, unsigned level)
{
	struct ledger_query q = {.state = DELIVERY_QUEUED,
				 .after = cursor_of(d, level),
				 .max = page_of(d, level),
				 .now_ms = clock_wall_ms()};
	struct batch *b = mem_zalloc(sizeof(*b));
	enum err e;

	if (b == NULL)
		return ERR_NOMEM;
	(void)snprintf(q.destination, sizeof(q.destination), "%s",
		       d->config->name);
	b->msg.run = on_batch;
	b->d = d;
	b->level = level;
	e = ledger_fetch(d->s->opt.ledger, &q, on_fetched, b);
	if (e != ERR_OK) {
		mem_free(b);
		return e;
	}
	d->fetching = true;
	d->s->pending++;
	return ERR_OK;
}

static void start_over(struct dest *d)
{
	for (unsigned i = 0; i < LEVELS; i++) {
		d->levels[i].begun = false;
		d->levels[i].end = false;
	}
	d->rescan_at_ms = 0;
	hold_count_again(d);
}

void fetch_more(struct dest *d)
{
	if (d->fetching || d->stopped || window_size(d) >= WINDOW_MAX)
		return;
	if (d->rescan_at_ms != 0 && d->rescan_at_ms <= sched_now())
		start_over(d);
	if (atomic_exchange(&d->hinted, false)) {
		if (d->old_hints_until_ms > sched_now())
			start_over(d);
		fetch_again(d);
	}
	for (unsigned i = LEVELS; i-- > 0;) {
		const struct level *l = &d->levels[i];

		if (l->end || l->n > LEVEL_MAX - LEDGER_FETCH_MAX)
			continue;
		if (ask(d, i) != ERR_OK)
			fetch_rescan(d, RESCAN_MS);
		return;
	}
}

void fetch_again(struct dest *d)
{
	for (unsigned i = 0; i < LEVELS; i++)
		d->levels[i].end = false;
}

void fetch_rescan(struct dest *d, uint64_t ms)
{
	uint64_t at = sched_now() + ms;

	if (d->rescan_at_ms == 0 || at < d->rescan_at_ms)
		d->rescan_at_ms = at;
}
