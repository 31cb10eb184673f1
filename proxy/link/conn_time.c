/* conn_time.c - the clock of a link's connection: deadlines, PING, silence; and
 * its facts. */
#include "proxy/lib/clock.h"
#include "proxy/link/conn_int.h"

enum {
	TICK_ASKING_MS = LINK_PING_MIN_US / 1000,
	TICK_MS = 500,
	TICK_PAUSED_MS = 250, /* and between two PINGs then */
	/* A tick that is so late was held up here: what came meanwhile has
	 * not been read yet. */
	LATE_US = 1500 * 1000,
	TUNE_US = 1000 * 1000,
	/* Of the line, in the kernel: 40 ms, within bounds. */
	NOTSENT_PER_SECOND = 25,
	NOTSENT_MIN = 32 * 1024,
	NOTSENT_MAX = 4 * 1024 * 1024,
};

uint64_t conn_now_us(void)
{
	return clock_mono_ns() / 1000;
}

/* ---- what a tick does ---------------------------------------------------
 */

static uint64_t quiet_max_us(const struct link_conn *c)
{
	if (stream_read_paused(c->stream))
		return TICK_PAUSED_MS * 1000 / 2;
	return 1000 * (uint64_t)c->terms.keepalive_ms;
}

static void ping(struct link_conn *c, uint64_t now_us)
{
	bool due;

	if (c->asking && !stream_read_paused(c->stream))
		due = link_silence_ping(&c->silence, now_us);
	else
		due = now_us - c->sent_us >= quiet_max_us(c);
	if (due)
		conn_put_stamp(c, LINK_PING, now_us);
}

/* Enough in the kernel to keep the line busy, no more: what is urgent must not
 * wait behind it. */
static void tune(struct link_conn *c, uint64_t now_us)
{
	struct stream_tcp tcp;
	uint64_t want;

	if (now_us - c->tuned_us < TUNE_US)
		return;
	c->tuned_us = now_us;
	if (!stream_tcp_info(c->stream, &tcp) || tcp.rate == 0)
		return;
	want = tcp.rate / NOTSENT_PER_SECOND;
	want = want < NOTSENT_MIN ? NOTSENT_MIN : want;
	want = want > NOTSENT_MAX ? NOTSENT_MAX : want;
	stream_set_notsent(c->stream, (uint32_t)want);
}

static void tick_open(struct link_conn *c, uint64_t now_us)
{
	if (stream_read_paused(c->stream) || now_us - c->ticked_us > LATE_US)
		link_silence_heard(&c->silence, now_us);
	if (link_silence_dead(&c->silence, now_us, c->terms.keepalive_ms)) {
		conn_event(c, LINK_CONN_EV_TIMEOUT);
		return;
	}
	tune(c, now_us);
	ping(c, now_us);
	if (!conn_ended(c) && c->asking &&
	    link_silence_probe(&c->silence, now_us) && c->ev->on_silent != NULL)
		c->ev->on_silent(c->arg);
}

static void on_timer(uv_timer_t *timer)
{
	struct link_conn *c = timer->data;
	uint64_t now_us = conn_now_us();

	if (c->state == LINK_CONN_OPEN)
		tick_open(c, now_us);
	else
		conn_event(c, LINK_CONN_EV_TIMEOUT);
	c->ticked_us = now_us;
}

/* ---- when -------------------------------------------------------------- */

void conn_timer_init(struct link_conn *c, struct worker *w)
{
	uv_timer_init(worker_loop(w), &c->timer);
	c->timer.data = c;
}

static uint64_t wanted_period(const struct link_conn *c)
{
	switch (c->state) {
	case LINK_CONN_HELLO_SENT:
	case LINK_CONN_JOIN_SENT:
	case LINK_CONN_FIRST:
		return c->first_ms;
	case LINK_CONN_OPEN:
		if (c->stream != NULL && stream_read_paused(c->stream))
			return TICK_PAUSED_MS;
		return c->asking ? TICK_ASKING_MS : TICK_MS;
	case LINK_CONN_START:
	case LINK_CONN_CLOSING: /* the stream has a deadline */
	case LINK_CONN_CLOSED:
	case LINK_CONN_N_STATES:
		break;
	}
	return 0;
}

void conn_timer_arm(struct link_conn *c)
{
	uint64_t ms = wanted_period(c);

	if (ms == c->period_ms || c->stream == NULL)
		return;
	c->period_ms = ms;
	if (ms == 0) {
		uv_timer_stop(&c->timer);
		return;
	}
	/* A tick that is due sooner stays: pauses come and go. */
	if (uv_is_active((uv_handle_t *)&c->timer) &&
	    uv_timer_get_due_in(&c->timer) <= ms) {
		uv_timer_set_repeat(&c->timer, ms);
		return;
	}
	c->ticked_us = conn_now_us();
	uv_timer_start(&c->timer, on_timer, ms, ms);
}

/* ---- asked for ----------------------------------------------------------
 */

void link_conn_asking(struct link_conn *c, bool on)
{
	if (c->asking == on)
		return;
	c->asking = on;
	conn_timer_arm(c);
}

void link_conn_pause(struct link_conn *c)
{
	if (c->stream == NULL)
		return;
	stream_read_pause(c->stream);
	conn_timer_arm(c);
}

void link_conn_resume(struct link_conn *c)
{
	if (c->stream == NULL || !stream_read_paused(c->stream))
		return;
	link_silence_heard(&c->silence, conn_now_us());
	stream_read_resume(c->stream);
	conn_timer_arm(c);
}

/* ---- facts -------------------------------------------------------------- */

enum link_conn_state link_conn_state(const struct link_conn *c)
{
	return c->state;
}

bool link_conn_open(const struct link_conn *c)
{
	return c->state == LINK_CONN_OPEN;
}

const struct link_terms *link_conn_terms(const struct link_conn *c)
{
	return &c->terms;
}

const char *link_conn_peer(const struct link_conn *c)
{
	return c->peer;
}

const char *link_conn_local(const struct link_conn *c)
{
	return c->local;
}

bool link_conn_tls(const struct link_conn *c, struct tls_info *out)
{
	return c->stream != NULL && stream_tls_info(c->stream, out);
}

const char *link_conn_note(const struct link_conn *c)
{
	return c->stream != NULL ? stream_note(c->stream) : "";
}

uint64_t link_conn_rtt_us(const struct link_conn *c)
{
	return c->silence.rtt_us;
}

void link_conn_figures(const struct link_conn *c, struct link_conn_figures *out)
{
	uint64_t now_us = conn_now_us();

	*out = (struct link_conn_figures){
	    .rtt_us = c->silence.rtt_us,
	    .frames_in = c->in.frames,
	    .frames_out = c->frames_out,
	    .skipped = c->in.skipped,
	    .heard_ms = (now_us - c->silence.heard_us) / 1000,
	};
	if (c->opened_us != 0)
		out->open_ms = (now_us - c->opened_us) / 1000;
	if (c->stream == NULL)
		return;
	out->bytes_in = stream_bytes_in(c->stream);
	out->bytes_out = stream_bytes_out(c->stream);
	out->have_tcp = stream_tcp_info(c->stream, &out->tcp);
}
