/* leg_open.c - opening a leg: endpoints in turn, each with its part of the time
 * that is left, until one accepts, one rejects for good, or none is left.
 *
 * An attempt that failed leaves its stream behind (leg_line) when that has
 * still something to say or to wait for: the next attempt does not wait. */
#include <stdio.h>
#include <string.h>

#include "proxy/leg_int.h"
#include "proxy/lib/mem.h"

/* ---- why not ----------------------------------------------------------- */

static void note_cause(struct leg_opening *o, const struct verdict *v,
		       const char *detail)
{
	if (o->refusal.rejected)
		return; /* the peer's own word says more than a failure */
	o->refusal.code = v->code;
	o->refusal.cause = v->cause;
	o->refusal.remedy = v->remedy;
	(void)snprintf(o->detail, sizeof(o->detail), "%s", detail);
}

static void refuse(struct leg *l)
{
	struct leg_opening *o = l->opening;

	l->ul = UL_STA1;
	o->attempt_at = 0;
	if (o->refusal.code == NULL) {
		struct verdict v =
		    outcome_verdict(FATE_RETRY, true, CONDITION_CIRCUIT_OPEN);

		note_cause(o, &v, "");
	}
	o->refusal.detail = o->detail;
	leg_tell_soon(l, NEWS_REFUSED);
}

/* ---- one attempt ------------------------------------------------------- */

static bool tried(const struct destination_round *r, size_t i)
{
	return (r->tried[i / 8] & 1u << i % 8) != 0;
}

/* Endpoints that this round may still come to, the present one included. */
static unsigned candidates(const struct leg *l)
{
	const struct destination_round *r = &l->opening->round;
	size_t n = l->destination->config->endpoints.n;
	struct destination_health h;
	unsigned count = 1;

	for (size_t i = 0; n > 1 && i < n; i++) {
		if (!tried(r, i) && destination_health(l->destination, i, &h) &&
		    h.circuit != CIRCUIT_OPEN)
			count++;
	}
	return count;
}

static enum err dial(struct leg *l, const char *endpoint, uint64_t ms)
{
	const struct destination *d = l->destination;
	const char *name = d->config->tls.server_name;
	size_t cap = l->opening->out_cap;
	struct stream_options o = {.tls = d->tls,
				   .server_name = name[0] != '\0' ? name : NULL,
				   .connect_ms = ms,
				   .handshake_ms = ms,
				   .finish_ms = LEG_FINISH_MS,
				   .out_cap = cap,
				   .low_water = cap / 4 + 1};
	struct leg_line *line = mem_zalloc(sizeof(*line));
	enum err e = ERR_NOMEM;

	if (line == NULL)
		return e;
	line->leg = l;
	e = stream_connect(l->worker, endpoint, &o, &leg_stream_events, line,
			   &l->stream);
	if (e != ERR_OK) {
		l->stream = NULL;
		mem_free(line);
		return e;
	}
	l->line = line;
	return ERR_OK;
}

static enum failure not_dialled(enum err e)
{
	if (e == ERR_NOMEM)
		return FAIL_NO_MEMORY;
	return e == ERR_CANCELED ? FAIL_STOPPED : FAIL_RESOLVE;
}

/* False: this endpoint cannot even be tried. */
static bool attempt(struct leg *l, uint64_t now)
{
	struct leg_opening *o = l->opening;
	uint64_t left = o->until - now, ms = left / candidates(l);
	char endpoint[DESTINATION_ENDPOINT_LEN];
	struct verdict v;
	enum err e;

	destination_endpoint(l->destination->config, o->endpoint, endpoint);
	ms = ms > 0 ? ms : 1;
	l->ul = UL_STA1;
	e = dial(l, endpoint, ms);
	if (e != ERR_OK) {
		v = outcome_of_failure(not_dialled(e));
		note_cause(o, &v, endpoint);
		leg_record_failed(l, &v, "");
		return false;
	}
	o->attempt_at = now + ms;
	leg_event(l, UL_EVT1);
	leg_arm(l);
	return true;
}

void leg_try_next(struct leg *l)
{
	struct leg_opening *o = l->opening;
	uint64_t now = leg_now(l);

	o->attempt_at = 0;
	while (now < o->until) {
		o->endpoint = destination_pick(l->destination, &o->round);
		if (o->endpoint == DESTINATION_NONE)
			break;
		if (attempt(l, now))
			return;
	}
	refuse(l);
}

/* ---- its end ----------------------------------------------------------- */

/* The stream ends by itself from here on. */
static void leave_behind(struct leg *l, bool finish)
{
	l->artim_at = 0;
	if (l->stream == NULL)
		return;
	l->line->leg = NULL;
	if (finish)
		stream_finish(l->stream);
	else
		stream_close(l->stream, ERR_CANCELED);
	l->stream = NULL;
	l->line = NULL;
	l->ul = UL_STA1;
}

void leg_attempt_failed(struct leg *l, const struct verdict *v,
			const char *detail, bool finish)
{
	struct leg_opening *o = l->opening;

	if (l->detached)
		return;
	note_cause(o, v, detail);
	destination_mark(l->destination, o->endpoint,
			 detail[0] != '\0' ? detail : v->cause);
	leg_record_failed(l, v, detail);
	leave_behind(l, finish);
	leg_try_next(l);
}

void leg_attempt_rejected(struct leg *l, struct pdu_reject r)
{
	struct verdict v = outcome_of_reject(r.result, r.source, r.reason);
	struct leg_opening *o = l->opening;
	char detail[LEG_DETAIL_LEN];

	(void)snprintf(detail, sizeof(detail),
		       "rejected %u/%u/%u: %s, as %s to %s", r.result, r.source,
		       r.reason, pdu_reject_text(r), o->calling_ae,
		       o->called_ae);
	leg_record_rejected(l, r);
	o->refusal.rejected = false; /* the last rejection counts */
	note_cause(o, &v, detail);
	o->refusal.rejected = true;
	o->refusal.reject = r;
	destination_mark(l->destination, o->endpoint, NULL);
	leg_record_failed(l, &v, detail);
	leave_behind(l, false);
	if (r.result == REJECT_TRANSIENT)
		leg_try_next(l);
	else
		refuse(l);
}

static enum failure why_closed(const struct leg *l, enum err why)
{
	if (why == ERR_TLS)
		return FAIL_TLS;
	if (why == ERR_NOMEM)
		return FAIL_NO_MEMORY;
	if (why == ERR_CANCELED)
		return FAIL_STOPPED;
	if (l->ul == UL_STA5)
		return FAIL_ASSOCIATE_LOST;
	if (why == ERR_NOTFOUND)
		return FAIL_RESOLVE;
	if (why == ERR_TIMEOUT)
		return FAIL_CONNECT_TIMEOUT;
	return why == ERR_CLOSED && l->destination->tls != NULL ? FAIL_TLS
								: FAIL_CONNECT;
}

void leg_attempt_closed(struct leg *l, enum err why, const char *detail)
{
	struct verdict v = outcome_of_failure(why_closed(l, why));

	if (why == ERR_CANCELED) { /* we stop: nobody's fault */
		note_cause(l->opening, &v, detail);
		refuse(l);
	} else {
		leg_attempt_failed(l, &v, detail, false);
	}
}

void leg_attempt_timed_out(struct leg *l)
{
	bool connected = l->ul == UL_STA5;
	struct verdict v = outcome_of_failure(connected ? FAIL_ASSOCIATE_TIMEOUT
							: FAIL_CONNECT_TIMEOUT);
	char endpoint[DESTINATION_ENDPOINT_LEN], detail[LEG_DETAIL_LEN];

	destination_endpoint(l->destination->config, l->opening->endpoint,
			     endpoint);
	(void)snprintf(detail, sizeof(detail), "%s did not %s in time",
		       endpoint,
		       connected ? "answer the A-ASSOCIATE-RQ" : "connect");
	if (connected)
		leg_event(l, UL_EVT15); /* A-ABORT goes out */
	leg_attempt_failed(l, &v, detail, connected);
}
