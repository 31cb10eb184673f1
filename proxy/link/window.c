#include "proxy/link/window.h"

#include <assert.h>
#include <string.h>

#include "store/instance.h"

enum {
	SECOND_US = 1000000,
	DELAY_AGE_US = 10 * SECOND_US, /* a lowest delay older than this ... */
	RATE_AGE_US = 3 * SECOND_US,
	DRAIN_MIN_US = 200000, /* ... is measured anew for at least this */
};

/* So that rate x delay fits into 64 bits: 1 TB/s, one hour. */
static const uint64_t rate_max = 1000000000000u;
static const uint64_t delay_max = 3600ull * SECOND_US;

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t higher(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void link_window_init(struct link_window *w,
		      const struct link_window_config *config)
{
	memset(w, 0, sizeof(*w));
	w->config = *config;
	w->config.ceiling = higher(config->ceiling, CHUNK_LEN);
	if (w->config.start == 0)
		w->config.start = LINK_WINDOW_START;
}

void link_window_ceiling(struct link_window *w, uint64_t ceiling)
{
	w->config.ceiling = higher(ceiling, CHUNK_LEN);
}

void link_window_restart(struct link_window *w)
{
	memset(w->rates, 0, sizeof(w->rates));
	w->slot = 0;
	w->round_ends = w->answered;
	w->delay_us = w->delay_seen_us = 0;
	w->draining = false;
}

uint64_t link_window_rate(const struct link_window *w)
{
	uint64_t best = 0;

	for (size_t i = 0; i < LINK_WINDOW_SLOTS; i++)
		best = higher(best, w->rates[i]);
	return best;
}

uint64_t link_window_delay(const struct link_window *w)
{
	return w->delay_us;
}

uint64_t link_window_in_flight(const struct link_window *w)
{
	return w->in_flight;
}

/* Bytes on the line when it is full and no queue stands; 0: not known. */
static uint64_t product(const struct link_window *w)
{
	uint64_t ms = (w->delay_us + 999) / 1000;

	return link_window_rate(w) / 1000 * ms;
}

uint64_t link_window_size(const struct link_window *w)
{
	uint64_t full = product(w);
	uint64_t size;

	if (full == 0)
		return lower(w->config.start, w->config.ceiling);
	if (w->draining)
		size = higher(full / 4 * 3, CHUNK_LEN);
	else
		size =
		    higher(2 * full + 2 * (uint64_t)CHUNK_LEN, LINK_WINDOW_MIN);
	return lower(size, w->config.ceiling);
}

bool link_window_admits(const struct link_window *w, uint32_t len, bool urgent)
{
	uint64_t size = link_window_size(w);
	uint64_t keep = w->config.urgent;

	if (w->in_flight == 0)
		return true;
	if (urgent)
		size = lower(size + keep, w->config.ceiling);
	else if (keep < w->config.ceiling)
		size = lower(size, w->config.ceiling - keep);
	else
		size = 0;
	return w->in_flight < size && len <= size - w->in_flight;
}

void link_window_begin(struct link_window *w, uint64_t now_us, uint32_t len,
		       bool limited, struct link_window_mark *mark)
{
	assert(len <= CHUNK_LEN);
	/* After a pause the time of the last answer says nothing. */
	if (w->in_flight == 0)
		w->answered_us = now_us;
	*mark = (struct link_window_mark){
	    .begun_us = now_us,
	    .ended_us = now_us,
	    .answered = w->answered,
	    .answered_us = w->answered_us,
	    .len = len,
	    .limited = limited,
	};
	w->in_flight += len;
}

void link_window_end(struct link_window_mark *mark, uint64_t now_us)
{
	mark->ended_us = now_us;
}

/* A round ends when what began after its beginning is answered. */
static void next_round(struct link_window *w,
		       const struct link_window_mark *mark)
{
	if (mark->answered < w->round_ends)
		return;
	w->round_ends = w->answered;
	w->slot = (w->slot + 1) % LINK_WINDOW_SLOTS;
	w->rates[w->slot] = 0;
}

static void raise_rate(struct link_window *w, uint64_t now_us, uint64_t rate)
{
	uint64_t age = higher(RATE_AGE_US, 10 * w->delay_us);

	for (size_t i = 0; i < LINK_WINDOW_SLOTS; i++)
		if (now_us - w->rated_us[i] > age)
			w->rates[i] = 0;
	if (rate < w->rates[w->slot])
		return;
	w->rates[w->slot] = rate;
	w->rated_us[w->slot] = now_us;
}

static void sample_rate(struct link_window *w, uint64_t now_us,
			const struct link_window_mark *mark)
{
	uint64_t bytes = w->answered - mark->answered;
	uint64_t us =
	    now_us > mark->answered_us ? now_us - mark->answered_us : 1;
	uint64_t rate;

	if (bytes > UINT64_MAX / SECOND_US)
		return;
	rate = lower(bytes * SECOND_US / us, rate_max);
	/* Too little to do is no sign of a slow line. */
	if (mark->limited && rate < link_window_rate(w))
		return;
	next_round(w, mark);
	raise_rate(w, now_us, rate);
}

/* While shrunk: only chunks that began when the queue was gone count. */
static void drain(struct link_window *w, uint64_t now_us, uint64_t delay_us,
		  const struct link_window_mark *mark)
{
	if (w->drained_us == 0) {
		if (w->in_flight <= link_window_size(w))
			w->drained_us = now_us;
		return;
	}
	if (mark->begun_us < w->drained_us)
		return;
	if (w->drain_delay_us == 0 || delay_us < w->drain_delay_us)
		w->drain_delay_us = delay_us;
	if (now_us - w->drained_us < DRAIN_MIN_US)
		return;
	w->draining = false;
	w->delay_us = w->drain_delay_us;
	w->delay_seen_us = now_us;
}

static void sample_delay(struct link_window *w, uint64_t now_us,
			 const struct link_window_mark *mark)
{
	uint64_t us = now_us > mark->ended_us ? now_us - mark->ended_us : 1;

	us = lower(us, delay_max);
	if (w->delay_us == 0 || us <= w->delay_us) {
		w->delay_us = us;
		w->delay_seen_us = now_us;
	}
	if (w->draining) {
		drain(w, now_us, us, mark);
	} else if (now_us - w->delay_seen_us > DELAY_AGE_US) {
		w->draining = true;
		w->drained_us = w->drain_delay_us = 0;
	}
}

void link_window_acked(struct link_window *w, uint64_t now_us,
		       const struct link_window_mark *mark)
{
	assert(w->in_flight >= mark->len);
	w->in_flight -= mark->len;
	w->answered += mark->len;
	sample_rate(w, now_us, mark);
	sample_delay(w, now_us, mark);
	w->answered_us = now_us;
}

void link_window_dropped(struct link_window *w,
			 const struct link_window_mark *mark)
{
	assert(w->in_flight >= mark->len);
	w->in_flight -= mark->len;
}

/* ---- silence ------------------------------------------------------------- */

void link_silence_init(struct link_silence *s, uint64_t now_us)
{
	memset(s, 0, sizeof(*s));
	s->heard_us = now_us;
}

void link_silence_heard(struct link_silence *s, uint64_t now_us)
{
	s->heard_us = now_us;
	s->asked_us = 0;
	s->probe_us = 0;
}

void link_silence_pong(struct link_silence *s, uint64_t now_us,
		       uint64_t sent_us)
{
	uint64_t rtt;

	link_silence_heard(s, now_us);
	if (sent_us > now_us || now_us - sent_us > delay_max)
		return;
	rtt = higher(now_us - sent_us, 1);
	s->rtt_us = s->rtt_us == 0 ? rtt : (7 * s->rtt_us + rtt) / 8;
}

bool link_silence_ping(struct link_silence *s, uint64_t now_us)
{
	uint64_t every = higher(s->rtt_us, LINK_PING_MIN_US);

	if (s->pinged_us != 0 && now_us - s->pinged_us < every)
		return false;
	s->pinged_us = now_us;
	if (s->asked_us == 0)
		s->asked_us = now_us;
	return true;
}

bool link_silent(const struct link_silence *s, uint64_t now_us)
{
	return s->asked_us != 0 &&
	       now_us - s->asked_us > 2 * s->rtt_us + LINK_SILENCE_US;
}

bool link_silence_probe(struct link_silence *s, uint64_t now_us)
{
	if (!link_silent(s, now_us))
		return false;
	if (s->probe_us != 0 && now_us - s->probe_us < LINK_PROBE_US)
		return false;
	s->probe_us = now_us;
	return true;
}

bool link_silence_dead(const struct link_silence *s, uint64_t now_us,
		       uint32_t keepalive_ms)
{
	return now_us - s->heard_us > 3000 * (uint64_t)keepalive_ms;
}
