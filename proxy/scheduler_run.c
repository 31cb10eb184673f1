/* scheduler_run.c - who sends what next. */
#include <stdio.h>
#include <string.h>

#include "proxy/directory.h"
#include "proxy/lib/mem.h"
#include "proxy/scheduler_int.h"
#include "proxy/sender.h"
#include "proxy/shaper.h"

uint64_t run_backoff(struct scheduler *s, uint64_t first, uint64_t max,
		     unsigned n)
{
	uint64_t ms = first, spread;

	while (n-- > 0 && ms < max)
		ms *= 2;
	if (ms > max)
		ms = max;
	s->random ^= s->random << 13; /* xorshift: only to spread */
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	spread = ms * 2 / 5;
	return spread > 0 ? ms - spread / 2 + s->random % spread : ms;
}

/* ---- lanes ------------------------------------------------------------- */

static void sender_give_task(void *impl, struct task *t)
{
	sender_give(impl, t);
}

static void sender_close_lane(void *impl, void (*closed)(void *), void *arg)
{
	sender_close(impl, closed, arg);
}

static bool sender_open_lane(const void *impl)
{
	return sender_is_open(impl);
}

static void sender_tell_note(void *impl, struct lane_note *note)
{
	sender_tell(impl, note);
}

static const struct lane_ops sender_ops = {.give = sender_give_task,
					   .close = sender_close_lane,
					   .is_open = sender_open_lane,
					   .tell = sender_tell_note};

static struct worker *least_loaded(const struct scheduler *s)
{
	struct worker *best = s->opt.workers[0];

	for (size_t i = 1; i < s->opt.n_workers; i++) {
		if (worker_load(s->opt.workers[i]) < worker_load(best))
			best = s->opt.workers[i];
	}
	return best;
}

static enum err make_sender(struct lane *l, struct sender **out)
{
	struct dest *d = l->dest;
	struct sender_env env = {.destination = d->destination,
				 .worker = least_loaded(d->s),
				 .main = d->s->opt.mailbox,
				 .reader = d->s->reader,
				 .spool = d->s->opt.spool,
				 .ledger = d->s->opt.ledger,
				 .recent = d->recent,
				 .site = d->s->opt.config,
				 .commitment = d->s->opt.commitment,
				 .since_ms = d->s->started_ms};

	return sender_new(&env, out);
}

static enum err make_directory(struct lane *l, struct directory **out)
{
	struct dest *d = l->dest;
	struct directory_env env = {.destination = d->destination,
				    .main = d->s->opt.mailbox,
				    .writers = d->writers,
				    .spool = d->s->opt.spool,
				    .ledger = d->s->opt.ledger};

	return directory_new(&env, out);
}

enum err run_make_lane(struct lane *l)
{
	struct directory *directory;
	struct sender *sender;
	enum err e;

	if (l->impl != NULL)
		return ERR_OK;
	if (link_is(l->dest))
		return link_lane(l, least_loaded(l->dest->s));
	if (l->dest->config->protocol == CONFIG_DIRECTORY) {
		e = make_directory(l, &directory);
		l->ops = &directory_ops;
		l->impl = e == ERR_OK ? directory : NULL;
	} else {
		e = make_sender(l, &sender);
		l->ops = &sender_ops;
		l->impl = e == ERR_OK ? sender : NULL;
	}
	return e;
}

static bool is_open(const struct lane *l)
{
	return l->impl != NULL && l->ops->is_open(l->impl);
}

/* Lower is better. A lane with nothing to do comes before one with something;
 * then one whose association fits; then one that sent the study before. */
static unsigned cost(const struct lane *l, const struct item *it)
{
	unsigned c = l->n * 8;

	if (!is_open(l) && l->n == 0)
		c += 2;
	else if (strcmp(l->calling_ae, it->calling_ae) != 0 ||
		 strcmp(l->called_ae, it->called_ae) != 0)
		c += 4;
	if (strcmp(l->study, it->li.study) != 0)
		c += 1;
	return c;
}

/* How many lanes may take it. On a limited line a lane is busy for long, and
 * more of them do not make it faster: the last one is kept for what is urgent,
 * which then need not wait for an instance to end. */
static size_t lanes_for(const struct dest *d, const struct item *it)
{
	bool kept = d->n_lanes > 1 && shaper_limits(d->destination->shaper,
						    d->destination->index);

	if (d->trying) /* until it works again it is tried with one only */
		return 1;
	return kept && !task_is_urgent(&it->li) ? d->n_lanes - 1 : d->n_lanes;
}

/* depth: tasks that a lane may have with it. */
static struct lane *choose(struct dest *d, const struct item *it,
			   unsigned depth, uint64_t now_ms)
{
	size_t n = lanes_for(d, it);
	struct lane *best = NULL;

	if ((d->trying || it->isolate) && depth > 1)
		depth = 1;

	for (size_t i = 0; i < n; i++) {
		struct lane *l = &d->lanes[i];

		if (l->n >= depth || l->early || l->not_before_ms > now_ms)
			continue;
		if (best == NULL || cost(l, it) < cost(best, it))
			best = l;
	}
	return best;
}

/* ---- giving ------------------------------------------------------------ */

static struct task *make_task(struct lane *l, const struct item *it)
{
	struct task *t = mem_zalloc(sizeof(*t));

	if (t == NULL || run_make_lane(l) != ERR_OK) {
		mem_free(t);
		return NULL;
	}
	t->item = it->li;
	memcpy(t->calling_ae, it->calling_ae, sizeof(t->calling_ae));
	memcpy(t->called_ae, it->called_ae, sizeof(t->called_ae));
	memcpy(l->calling_ae, it->calling_ae, sizeof(l->calling_ae));
	memcpy(l->called_ae, it->called_ae, sizeof(l->called_ae));
	memcpy(l->study, it->li.study, sizeof(l->study));
	t->lane = l;
	return t;
}

static void hand_over(struct lane *l, struct task *t)
{
	l->n++;
	l->bytes += t->item.length;
	passage_begin(&l->dest->passage, t);
	l->dest->in_flight++;
	l->ops->give(l->impl, t);
}

static enum err give(struct dest *d, struct lane *l, struct item *it)
{
	struct task *t = make_task(l, it);

	if (t == NULL)
		return ERR_NOMEM;
	t->done = result_done;
	heap_remove(&d->ready, &it->heap);
	it->state = ITEM_FLYING;
	hand_over(l, t);
	return ERR_OK;
}

struct lane *run_give_early(struct dest *d, const struct item *it,
			    uint64_t flight, void (*done)(struct msg *m))
{
	unsigned depth = link_is(d) ? link_depth(d, it) : 1;
	struct lane *l = choose(d, it, depth, sched_now());
	struct task *t = l != NULL ? make_task(l, it) : NULL;

	if (t == NULL)
		return NULL;
	t->early = true;
	t->flight = flight;
	t->done = done;
	hand_over(l, t);
	return l;
}

static void dispatch(struct dest *d, uint64_t now_ms)
{
	struct heap_node *n;

	while ((n = heap_first(&d->ready)) != NULL) {
		struct item *it = CONTAINER_OF(n, struct item, heap);
		struct lane *l;

		if (d->alone != NULL && d->alone->state == ITEM_FLYING)
			return; /* until it is through */
		if (early_bars(d, it))
			return;
		if (it->isolate)
			d->alone = it;
		if (d->alone != NULL && d->in_flight > 0)
			return; /* the others first */
		if (d->alone != NULL)
			it = d->alone;
		l = choose(d, it, link_is(d) ? link_depth(d, it) : LANE_DEPTH,
			   now_ms);
		if (l == NULL) {
			early_give_way(d);
			return;
		}
		if (give(d, l, it) != ERR_OK) {
			d->not_before_ms = now_ms + OPEN_FIRST_MS;
			return;
		}
	}
}

/* ---- when again -------------------------------------------------------- */

static void on_timer(uv_timer_t *t)
{
	run_dest(CONTAINER_OF(t, struct dest, timer));
}

static void sooner(uint64_t *at, uint64_t candidate)
{
	if (candidate != 0 && candidate < *at)
		*at = candidate;
}

static void set_timer(struct dest *d, uint64_t now_ms)
{
	const struct heap_node *n = heap_first(&d->waiting);
	uint64_t at = UINT64_MAX;

	if (n != NULL)
		sooner(&at, (uint64_t)n->key);
	if (!d->fetching)
		sooner(&at, d->rescan_at_ms);
	if (d->ready.n > 0 && d->not_before_ms > now_ms)
		sooner(&at, d->not_before_ms);
	for (size_t i = 0; d->ready.n > 0 && i < d->n_lanes; i++) {
		if (d->lanes[i].not_before_ms > now_ms)
			sooner(&at, d->lanes[i].not_before_ms);
	}
	if (!list_empty(&d->unposted))
		sooner(&at, now_ms + 100);
	sooner(&at, early_due(d, now_ms));
	if (at == UINT64_MAX)
		(void)uv_timer_stop(&d->timer);
	else
		(void)uv_timer_start(&d->timer, on_timer,
				     at > now_ms ? at - now_ms : 1, 0);
}

void run_all_now(struct dest *d)
{
	d->not_before_ms = 0;
	for (size_t i = 0; i < d->n_lanes; i++)
		d->lanes[i].not_before_ms = 0;
	window_wake(d, INT64_MAX);
	fetch_rescan(d, 0);
}

void run_dest(struct dest *d)
{
	uint64_t now;

	if (d->stopped)
		return;
	uv_update_time(d->s->opt.loop);
	now = sched_now();
	sched_flush_outcomes(d);
	window_wake(d, now);
	fetch_more(d);
	if (!d->held_by_operator && d->not_before_ms <= now &&
	    list_empty(&d->unposted))
		dispatch(d, now);
	early_run(d, now);
	set_timer(d, now);
}
