/* receiver_pace.c - a link is read no faster than its device's limit, as
 * associations are (shaper.h). */
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/link/receiver_int.h"

/* Of its own, as its handle outlives the session by a turn. */
struct rx_pacer {
	struct rx_session *s; /* NULL: gone */
	struct shaper_client client;
	uv_timer_t timer;
};

void rx_pace_begin(struct rx_session *s)
{
	struct shaper *shaper = s->home->receiver->opt.shaper;
	struct rx_pacer *p;

	if (shaper == NULL)
		return;
	p = mem_zalloc(sizeof(*p));
	if (p == NULL)
		return; /* a limit is not worth a link */
	p->s = s;
	shaper_join(&p->client, shaper, SHAPER_IN, SHAPER_NONE, s->device);
	(void)uv_timer_init(worker_loop(s->home->worker), &p->timer);
	s->pacer = p;
}

static void on_closed(uv_handle_t *h)
{
	mem_free(CONTAINER_OF((uv_timer_t *)h, struct rx_pacer, timer));
}

void rx_pace_end(struct rx_session *s)
{
	struct rx_pacer *p = s->pacer;

	if (p == NULL)
		return;
	s->pacer = NULL;
	p->s = NULL;
	shaper_leave(&p->client);
	uv_close((uv_handle_t *)&p->timer, on_closed);
}

static void on_timer(uv_timer_t *timer)
{
	struct rx_pacer *p = CONTAINER_OF(timer, struct rx_pacer, timer);

	if (p->s != NULL)
		rx_pace(p->s, 0);
}

void rx_pace(struct rx_session *s, size_t bytes)
{
	struct rx_pacer *p = s->pacer;
	uint64_t wait_ns;

	if (p == NULL || (bytes > 0 && !shaper_is_limited(&p->client)))
		return;
	wait_ns = shaper_count(&p->client, bytes, clock_mono_ns());
	if (wait_ns == 0) {
		rx_session_resume(s, RX_PAUSE_RATE);
		return;
	}
	rx_session_pause(s, RX_PAUSE_RATE);
	if (uv_is_active((uv_handle_t *)&p->timer))
		return;
	uv_update_time(p->timer.loop);
	(void)uv_timer_start(&p->timer, on_timer, (wait_ns + 999999) / 1000000,
			     0);
}
