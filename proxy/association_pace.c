/* association_pace.c - a device is read no faster than its limit (shaper.h).
 *
 * What has come is counted; when it was too much, the socket is not read until
 * it would not be. The peer's TCP window fills, and so it slows down. */
#include "proxy/association_int.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/net/worker.h"
#include "proxy/shaper.h"

/* Of its own, as its handle outlives the association by a turn. */
struct association_pacer {
	struct association *a; /* NULL: gone */
	struct shaper_client client;
	uv_timer_t timer;
};

void association_pace_begin(struct association *a)
{
	struct association_pacer *p;

	if (a->env->shaper == NULL || a->pacer != NULL)
		return;
	p = mem_zalloc(sizeof(*p));
	if (p == NULL)
		return; /* a limit is not worth an association */
	p->a = a;
	shaper_join(&p->client, a->env->shaper, SHAPER_IN, SHAPER_NONE,
		    (size_t)a->device);
	(void)uv_timer_init(worker_loop(a->env->worker), &p->timer);
	a->pacer = p;
}

static void on_closed(uv_handle_t *h)
{
	mem_free(
	    CONTAINER_OF((uv_timer_t *)h, struct association_pacer, timer));
}

void association_pace_end(struct association *a)
{
	struct association_pacer *p = a->pacer;

	if (p == NULL)
		return;
	a->pacer = NULL;
	p->a = NULL;
	uv_close((uv_handle_t *)&p->timer, on_closed);
}

static void on_timer(uv_timer_t *timer)
{
	struct association_pacer *p =
	    CONTAINER_OF(timer, struct association_pacer, timer);

	if (p->a != NULL && p->a->stream != NULL)
		association_pace(p->a, 0);
}

void association_pace(struct association *a, size_t n)
{
	struct association_pacer *p = a->pacer;
	uint64_t wait_ns;

	if (p == NULL)
		return;
	wait_ns = association_is_open(a)
		      ? shaper_count(&p->client, n, clock_mono_ns())
		      : 0;
	if (wait_ns > 0) {
		association_pause(a, PAUSE_RATE);
		uv_update_time(p->timer.loop);
		(void)uv_timer_start(&p->timer, on_timer,
				     (wait_ns + 999999) / 1000000, 0);
	} else if ((a->pauses & PAUSE_RATE) != 0) {
		association_resume(a, PAUSE_RATE);
	}
}
