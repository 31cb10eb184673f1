/* leg.c - the life of a leg: birth, what the owner asks, what it is told, the
 * end. */
#include "proxy/leg.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/leg_int.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"

#define COPY(to, from) (void)snprintf((to), sizeof(to), "%s", (from))

uint64_t leg_now(const struct leg *l)
{
	return uv_now(worker_loop(l->worker));
}

void leg_because(struct leg *l, const char *fmt, ...)
{
	char text[LEG_WHY_LEN];
	va_list ap;

	if (l->why != NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	l->why = mem_strdup(text);
}

void leg_note_bytes(struct leg *l)
{
	if (l->stream == NULL)
		return;
	l->bytes_in = stream_bytes_in(l->stream);
	l->bytes_out = stream_bytes_out(l->stream) + stream_queued(l->stream);
}

/* ---- the end ----------------------------------------------------------- */

void leg_opening_free(struct leg *l)
{
	struct leg_opening *o = l->opening;

	if (o == NULL)
		return;
	l->opening = NULL;
	buf_free(&o->hold);
	mem_wipe(o->rq, o->rq_len); /* a passcode may be in it (item 58) */
	mem_free(o);
}

static void on_timer_closed(uv_handle_t *h)
{
	struct leg *l = CONTAINER_OF((uv_timer_t *)h, struct leg, timer);

	worker_load_add(l->worker, -1);
	l->ev->on_gone(l->arg);
	mem_free(l->why);
	mem_free(l);
}

/* When all was told and nothing is open. */
static void try_end(struct leg *l)
{
	if (l->stream != NULL || l->closing ||
	    !(l->detached || l->news == NEWS_TOLD))
		return;
	l->closing = true;
	leg_record_end(l);
	leg_opening_free(l);
	buf_free(&l->held);
	uv_close((uv_handle_t *)&l->timer, on_timer_closed);
}

/* ---- telling ----------------------------------------------------------- */

static void tell_refused(struct leg *l)
{
	leg_record_refused(l);
	if (l->ev->on_refused != NULL)
		l->ev->on_refused(l->arg, &l->opening->refusal);
}

static void tell_lost(struct leg *l)
{
	if (l->ev->on_lost != NULL)
		l->ev->on_lost(l->arg,
			       l->why != NULL ? l->why : "the leg was lost");
}

static void tell(struct leg *l)
{
	enum leg_news news = l->news;

	if (l->detached || news == NEWS_NONE || news == NEWS_TOLD)
		return;
	l->news = NEWS_TOLD;
	switch (news) {
	case NEWS_REFUSED:
		tell_refused(l);
		break;
	case NEWS_RELEASED:
		if (l->ev->on_released != NULL)
			l->ev->on_released(l->arg);
		break;
	case NEWS_LOST:
		tell_lost(l);
		break;
	case NEWS_NONE:
	case NEWS_TOLD:
		break;
	}
}

void leg_enter(struct leg *l)
{
	l->busy++;
}

void leg_leave(struct leg *l)
{
	if (l->busy == 1) /* news come last, and with calls of the owner's */
		tell(l);
	l->busy--;
	if (l->busy == 0)
		try_end(l);
}

/* ---- the timer --------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static uint64_t next_deadline(const struct leg *l)
{
	uint64_t at = l->artim_at;

	if (l->posted)
		return leg_now(l);
	if (l->opening != NULL)
		at = sooner(at, l->opening->attempt_at);
	if (l->idle_ms != 0 && l->ul == UL_STA6)
		at = sooner(at, l->active_at + l->idle_ms);
	return at;
}

void leg_arm(struct leg *l)
{
	uint64_t at = next_deadline(l), now = leg_now(l);

	if (l->closing || at == 0 || (l->armed_at != 0 && l->armed_at <= at))
		return;
	l->armed_at = at > now ? at : now;
	(void)uv_timer_start(&l->timer, on_timer, l->armed_at - now, 0);
}

/* Run on_timer() on the next turn. */
static void post(struct leg *l)
{
	l->posted = true;
	leg_arm(l);
}

void leg_tell_soon(struct leg *l, enum leg_news news)
{
	if (l->detached || l->news != NEWS_NONE)
		return;
	l->news = news;
	if (l->busy == 0)
		post(l);
}

/* The peer is not to blame while we neither read nor have anything to send. */
static bool silent(struct leg *l, uint64_t now)
{
	uint64_t out = stream_bytes_out(l->stream);
	bool counts = !l->paused || stream_queued(l->stream) > 0;

	if (now < l->active_at + l->idle_ms)
		return false;
	if (counts && out == l->seen_out)
		return true;
	l->seen_out = out;
	l->active_at = now;
	return false;
}

static void give_held(struct leg *l)
{
	struct buf held = l->held;

	if (l->paused || buf_len(&held) == 0)
		return;
	buf_init(&l->held, LEG_HELD_MAX);
	leg_input(l, buf_data(&held), buf_len(&held));
	buf_free(&held);
}

static void deadlines(struct leg *l)
{
	uint64_t now = leg_now(l);

	if (l->opening != NULL && l->opening->attempt_at != 0 &&
	    now >= l->opening->attempt_at)
		leg_attempt_timed_out(l);
	else if (l->artim_at != 0 && now >= l->artim_at)
		leg_artim_passed(l);
	else if (l->ul == UL_STA6 && l->idle_ms != 0 && silent(l, now)) {
		leg_because(l, "no answer for %llu s",
			    (unsigned long long)l->idle_ms / 1000);
		leg_tell_soon(l, NEWS_LOST);
		leg_event(l, UL_EVT15);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct leg *l = CONTAINER_OF(timer, struct leg, timer);

	leg_enter(l);
	l->armed_at = 0;
	if (l->posted) {
		l->posted = false;
		give_held(l);
		if (l->stream != NULL && !l->paused)
			stream_read_resume(l->stream);
	}
	deadlines(l);
	leg_leave(l);
	leg_arm(l);
}

/* ---- birth ------------------------------------------------------------- */

static struct leg_opening *opening_new(const struct leg_request *r)
{
	struct leg_opening *o = mem_zalloc(sizeof(*o) + r->rq_len);

	if (o == NULL)
		return NULL;
	memcpy(o->rq, r->rq, r->rq_len);
	o->rq_len = r->rq_len;
	o->out_cap = r->out_cap != 0 ? r->out_cap : LEG_OUT_CAP;
	COPY(o->calling_ae, r->calling_ae);
	COPY(o->called_ae, r->called_ae);
	COPY(o->device, r->device != NULL ? r->device : "");
	buf_init(&o->hold, PDU_ASSOCIATE_MAX);
	return o;
}

static bool request_valid(const struct leg_request *r)
{
	struct pdu_header h;

	return pdu_header_decode(r->rq, r->rq_len, PDU_ASSOCIATE_MAX, &h) ==
		   ERR_OK &&
	       h.type == PDU_ASSOCIATE_RQ &&
	       h.body_len == r->rq_len - PDU_HEADER_LEN &&
	       r->destination->config->endpoints.n > 0;
}

enum err leg_open(const struct leg_request *r, const struct leg_events *ev,
		  void *arg, struct leg **out)
{
	struct leg *l;

	if (!request_valid(r))
		return ERR_INVAL;
	l = mem_zalloc(sizeof(*l));
	if (l == NULL)
		return ERR_NOMEM;
	l->opening = opening_new(r);
	if (l->opening == NULL) {
		mem_free(l);
		return ERR_NOMEM;
	}
	l->ev = ev;
	l->arg = arg;
	l->worker = r->worker;
	l->destination = r->destination;
	l->ledger = r->ledger;
	l->inbound = r->inbound;
	shaper_join(&l->shape_out, r->destination->shaper, SHAPER_OUT,
		    r->destination->index,
		    r->device_number > 0 ? r->device_number - 1 : SHAPER_NONE);
	shaper_join(&l->shape_in, r->destination->shaper, SHAPER_IN,
		    r->destination->index, SHAPER_NONE);
	buf_init(&l->held, LEG_HELD_MAX);
	(void)uv_timer_init(worker_loop(l->worker), &l->timer);
	worker_load_add(l->worker, 1);
	l->opening->until =
	    leg_now(l) +
	    (r->deadline_ms != 0 ? r->deadline_ms : LEG_DEADLINE_MS);
	*out = l;
	leg_try_next(l);
	return ERR_OK;
}

/* ---- what the owner asks ----------------------------------------------- */

bool leg_is_open(const struct leg *l)
{
	return l->ul == UL_STA6 && l->stream != NULL;
}

void leg_count_bytes(struct shaper_client *c, size_t n)
{
	uint64_t wait_ns;

	if (n > 0 && shaper_is_limited(c))
		(void)shaper_take(c, SHAPER_LIVE, n, clock_mono_ns(), &wait_ns);
}

enum err leg_write(struct leg *l, const struct iovec *iov, unsigned n)
{
	enum err e;

	if (!leg_is_open(l))
		return ERR_CLOSED;
	e = stream_write(l->stream, iov, n);
	for (unsigned i = 0; e == ERR_OK && i < n; i++)
		leg_count_bytes(&l->shape_out, iov[i].iov_len);
	leg_note_bytes(l);
	return e;
}

void leg_ack_at_once(struct leg *l)
{
	if (leg_is_open(l))
		stream_ack_at_once(l->stream);
}

size_t leg_queued(const struct leg *l)
{
	return l->stream != NULL ? stream_queued(l->stream) : 0;
}

void leg_pause(struct leg *l)
{
	if (l->detached)
		return;
	l->paused = true;
	if (l->ul == UL_STA6 && l->stream != NULL)
		stream_read_pause(l->stream);
}

void leg_resume(struct leg *l)
{
	if (!l->paused)
		return;
	l->paused = false;
	l->active_at = leg_now(l);
	if (buf_len(&l->held) > 0)
		post(l); /* that first */
	else if (l->stream != NULL)
		stream_read_resume(l->stream);
}

void leg_watch(struct leg *l, uint64_t idle_ms)
{
	l->idle_ms = idle_ms;
	l->active_at = leg_now(l);
	l->seen_out = l->stream != NULL ? stream_bytes_out(l->stream) : 0;
	leg_arm(l);
}

void leg_bad_pdu(struct leg *l, uint8_t reason)
{
	if (l->ul != UL_STA6 || l->detached)
		return;
	leg_because(l, "it sent an invalid PDU");
	l->abort_reason = reason;
	leg_event(l, UL_EVT19);
}

static void detach(struct leg *l)
{
	leg_resume(l); /* to see the answer */
	l->detached = true;
	if (l->stream == NULL && l->busy == 0)
		post(l);
}

void leg_release(struct leg *l)
{
	if (l->ul != UL_STA6) {
		leg_abort(l);
		return;
	}
	if (l->detached)
		return;
	leg_because(l, "released");
	detach(l);
	leg_event(l, UL_EVT11);
}

void leg_abort(struct leg *l)
{
	if (l->detached)
		return;
	leg_because(l,
		    l->opening != NULL ? "given up while opening" : "aborted");
	detach(l);
	if (l->opening != NULL)
		l->opening->attempt_at = 0;
	leg_event(l, UL_EVT15);
}

/* ---- facts ------------------------------------------------------------- */

uint64_t leg_id(const struct leg *l)
{
	return l->id;
}

const char *leg_peer(const struct leg *l)
{
	return l->peer;
}

void leg_count(struct leg *l, uint32_t stores, uint32_t echos, uint32_t others,
	       uint32_t failures)
{
	l->stores += stores;
	l->echos += echos;
	l->others += others;
	l->failures += failures;
}
