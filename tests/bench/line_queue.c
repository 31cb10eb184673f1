#include "tests/bench/line_queue.h"

#include <stdlib.h>

struct line_piece *line_piece_get(struct line_queue *q)
{
	struct line_piece *p = q->spare;

	if (p)
		q->spare = p->next;
	else
		p = malloc(sizeof(*p) + q->mtu);
	if (!p)
		abort();
	p->next = NULL;
	p->n = p->sent = 0;
	return p;
}

void line_piece_put(struct line_queue *q, struct line_piece *p)
{
	p->next = q->spare;
	q->spare = p;
}

bool line_queue_room(const struct line_queue *q)
{
	return q->waiting + q->mtu <= q->limit;
}

static void account(struct line_stat *s, const struct line_queue *q, size_t n,
		    uint64_t began, uint64_t took)
{
	if (n > 0 && s->bytes == 0)
		s->first = began;
	s->bytes += n;
	s->busy += took;
	s->last = q->free_at;
	if (q->waiting > s->most_queued)
		s->most_queued = q->waiting;
}

void line_queue_enter(struct line_queue *q, struct line_piece *p, uint64_t now)
{
	uint64_t took = (uint64_t)((double)p->n * 8e3 / q->mbit);
	uint64_t began;

	if (q->free_at < now)
		q->free_at = now;
	began = q->free_at;
	q->free_at += took;
	p->leaves = q->free_at;
	p->arrives = p->leaves + q->delay;
	p->next = NULL;
	if (q->end)
		q->end->next = p;
	else
		q->first = p;
	q->end = p;
	if (!q->queued)
		q->queued = p;
	q->waiting += p->n;
	if (p->n > 0)
		account(&q->stat, q, p->n, began, took);
}

static void leave(struct line_queue *q, uint64_t now)
{
	while (q->queued && q->queued->leaves <= now) {
		q->waiting -= q->queued->n;
		q->flying += q->queued->n;
		q->queued = q->queued->next;
	}
}

struct line_piece *line_queue_take(struct line_queue *q, uint64_t now)
{
	struct line_piece *p;

	leave(q, now);
	p = q->first;
	if (!p || p->arrives > now)
		return NULL;
	q->first = p->next;
	if (!q->first)
		q->end = NULL;
	p->next = NULL;
	q->flying -= p->n;
	q->stat.delivered += p->n;
	return p;
}

uint64_t line_queue_next(const struct line_queue *q)
{
	uint64_t at = q->first ? q->first->arrives : UINT64_MAX;

	if (q->queued && !line_queue_room(q) && q->queued->leaves < at)
		at = q->queued->leaves;
	return at;
}

size_t line_queue_inside(const struct line_queue *q)
{
	return q->waiting + q->flying;
}

void line_queue_cut(struct line_queue *q, uint64_t now)
{
	uint64_t idle = q->free_at > now ? q->free_at - now : 0;

	q->stat.lost += line_queue_inside(q);
	/* What waited was never sent: it did not keep the line busy. */
	if (idle > q->stat.busy)
		idle = q->stat.busy;
	q->stat.busy -= idle;
	if (q->stat.last > now)
		q->stat.last = now > q->stat.first ? now : q->stat.first;
	while (q->first) {
		struct line_piece *p = q->first;

		q->first = p->next;
		line_piece_put(q, p);
	}
	q->end = q->queued = NULL;
	q->waiting = q->flying = 0;
	q->free_at = now;
}

void line_queue_shift(struct line_queue *q, uint64_t ns)
{
	for (struct line_piece *p = q->first; p; p = p->next) {
		p->leaves += ns;
		p->arrives += ns;
	}
	q->free_at += ns;
	if (q->stat.bytes > 0)
		q->stat.last += ns;
}

void line_queue_rate(struct line_queue *q, double mbit)
{
	q->mbit = mbit;
}

void line_queue_reset(struct line_queue *q)
{
	q->stat = (struct line_stat){0};
}

double line_queue_share(const struct line_queue *q)
{
	const struct line_stat *s = &q->stat;

	if (s->bytes == 0 || s->last <= s->first)
		return 0;
	return (double)s->busy / (double)(s->last - s->first);
}

void line_queue_free(struct line_queue *q)
{
	line_queue_cut(q, 0);
	while (q->spare) {
		struct line_piece *p = q->spare;

		q->spare = p->next;
		free(p);
	}
}
