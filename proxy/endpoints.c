#include "proxy/endpoints.h"

#include "proxy/lib/mem.h"

enum { ECHO_FIRST_MS = 2000 }; /* after a failure; doubled by each */

/* ---- birth ------------------------------------------------------------- */

static uint32_t weight_of(const struct config_destination *c, size_t i)
{
	if (c->balance != CONFIG_WEIGHTED || i >= c->weights.n)
		return 1;
	return c->weights.v[i];
}

enum err endpoints_new(const struct config_destination *c, uint64_t now_ms,
		       struct endpoints **out)
{
	struct endpoints *e = mem_zalloc(sizeof(*e));
	uint64_t opening = c->timeouts.connect + c->timeouts.associate;

	if (e == NULL)
		return ERR_NOMEM;
	e->n = c->endpoints.n;
	e->weighted = c->balance == CONFIG_WEIGHTED;
	e->failures = c->breaker.failures > 0 ? c->breaker.failures : 1;
	e->pause_ms = c->breaker.pause;
	e->trial_ms = opening > e->pause_ms ? opening : e->pause_ms;
	/* A device is not asked: it may be off, and that is its good right. */
	e->interval_ms = c->implicit ? 0 : c->health.interval;
	e->v = mem_zarray(e->n + 1, sizeof(*e->v));
	if (e->v == NULL) {
		mem_free(e);
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < e->n; i++) {
		e->v[i].weight = weight_of(c, i);
		e->v[i].echo_ms = now_ms + e->interval_ms;
	}
	*out = e;
	return ERR_OK;
}

void endpoints_free(struct endpoints *e)
{
	if (e == NULL)
		return;
	mem_free(e->v);
	mem_free(e);
}

/* ---- order ------------------------------------------------------------- */

/* The lower the sooner. */
enum rank { RANK_GOOD, RANK_DOUBTFUL, RANK_TRIAL, RANK_OPEN, RANK_NEVER };

static enum rank rank_of(const struct endpoints *e, size_t i, uint64_t now_ms)
{
	const struct endpoint *p = &e->v[i];

	if (p->failures == 0)
		return RANK_GOOD;
	if (now_ms < p->until_ms)
		return p->open ? RANK_OPEN : RANK_DOUBTFUL;
	/* Only an attempt tells whether it is back, unless echoes do. */
	if (p->open && e->interval_ms > 0)
		return RANK_TRIAL;
	return RANK_GOOD;
}

static bool tried(const struct destination_round *r, size_t i)
{
	return (r->tried[i / 8] & (1u << (i % 8))) != 0;
}

static enum rank best_rank(const struct endpoints *e,
			   const struct destination_round *r, uint64_t now_ms)
{
	enum rank best = RANK_NEVER;

	for (size_t i = 0; i < e->n; i++) {
		enum rank rank = rank_of(e, i, now_ms);

		if (!tried(r, i) && rank < best)
			best = rank;
	}
	return best;
}

/* Smooth weighted turns: everyone's credit grows by its weight, the richest
 * pays for all. In any row of turns shares differ by less than one turn from
 * the weights. */
static size_t choose(struct endpoints *e, const struct destination_round *r,
		     enum rank rank, uint64_t now_ms)
{
	size_t best = DESTINATION_NONE;
	int64_t sum = 0;

	for (size_t i = 0; i < e->n; i++) {
		if (tried(r, i) || rank_of(e, i, now_ms) != rank)
			continue;
		if (!e->weighted)
			return i;
		sum += e->v[i].weight;
		e->v[i].credit += e->v[i].weight;
		if (best == DESTINATION_NONE ||
		    e->v[i].credit > e->v[best].credit)
			best = i;
	}
	if (best != DESTINATION_NONE)
		e->v[best].credit -= sum;
	return best;
}

size_t endpoints_pick(struct endpoints *e, struct destination_round *round,
		      uint64_t now_ms)
{
	enum rank rank = best_rank(e, round, now_ms);
	struct endpoint *p;
	size_t i;

	if (rank == RANK_NEVER || (rank == RANK_OPEN && !round->insist))
		return DESTINATION_NONE;
	i = choose(e, round, rank, now_ms);
	if (i == DESTINATION_NONE)
		return i;
	p = &e->v[i];
	round->tried[i / 8] |= (uint8_t)(1u << (i % 8));
	p->picked++;
	if (p->open && rank != RANK_OPEN) {
		p->trial = true; /* nobody else until it is told, or over */
		p->until_ms = now_ms + e->trial_ms;
	}
	return i;
}

bool endpoints_available(const struct endpoints *e, uint64_t now_ms)
{
	for (size_t i = 0; i < e->n; i++) {
		if (rank_of(e, i, now_ms) < RANK_OPEN)
			return true;
	}
	return false;
}

/* ---- outcomes ---------------------------------------------------------- */

static uint64_t echo_pause(const struct endpoints *e, const struct endpoint *p)
{
	uint64_t ms = ECHO_FIRST_MS;

	for (uint32_t n = 1; n < p->failures && ms < e->interval_ms; n++)
		ms *= 2;
	return ms < e->interval_ms ? ms : e->interval_ms;
}

static enum endpoint_change answered(struct endpoints *e, struct endpoint *p,
				     uint64_t now_ms)
{
	bool was_open = p->open;

	p->failures = 0;
	p->open = p->trial = false;
	p->until_ms = 0;
	p->echo_ms = now_ms + e->interval_ms;
	return was_open ? ENDPOINT_UP : ENDPOINT_SAME;
}

enum endpoint_change endpoints_mark(struct endpoints *e, size_t i, bool failed,
				    uint64_t now_ms)
{
	struct endpoint *p = &e->v[i];

	if (!failed)
		return answered(e, p, now_ms);
	if (p->failures < UINT32_MAX)
		p->failures++;
	p->trial = false;
	p->until_ms = now_ms + e->pause_ms;
	p->echo_ms = now_ms + echo_pause(e, p);
	if (p->open || p->failures < e->failures)
		return ENDPOINT_SAME;
	p->open = true;
	p->opened_ms = now_ms;
	return ENDPOINT_DOWN;
}

enum circuit endpoints_circuit(const struct endpoints *e, size_t i,
			       uint64_t now_ms)
{
	const struct endpoint *p = &e->v[i];

	if (!p->open)
		return CIRCUIT_CLOSED;
	return p->trial || now_ms >= p->until_ms ? CIRCUIT_HALF_OPEN
						 : CIRCUIT_OPEN;
}

uint64_t endpoints_echo_in(const struct endpoints *e, size_t i, uint64_t now_ms)
{
	const struct endpoint *p = &e->v[i];

	if (e->interval_ms == 0)
		return UINT64_MAX;
	return p->echo_ms > now_ms ? p->echo_ms - now_ms : 0;
}
