/* sender_pace.c - how much may leave now (shaper.h). */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/sender_int.h"

static enum shaper_class class_of(const struct task *t)
{
	return task_is_urgent(&t->item) ? SHAPER_URGENT : SHAPER_BULK;
}

void sender_pace_for(struct sender *s, const struct task *t)
{
	const struct destination *d = s->env.destination;
	int device;

	if (d->shaper == NULL)
		return;
	s->pace_class = class_of(t);
	if (s->shape.shaper != NULL && strcmp(s->device, t->item.device) == 0)
		return;
	device = s->env.site != NULL
		     ? config_device_find(s->env.site, t->item.device)
		     : -1;
	(void)snprintf(s->device, sizeof(s->device), "%s", t->item.device);
	shaper_leave(&s->shape);
	shaper_join(&s->shape, d->shaper, SHAPER_OUT, d->index,
		    device >= 0 ? (size_t)device : SHAPER_NONE);
}

size_t sender_fragment_max(const struct sender *s)
{
	bool limited = shaper_is_limited(&s->shape);

	return limited && s->payload_max > SHAPER_FRAME ? SHAPER_FRAME
							: s->payload_max;
}

static void on_pace(uv_timer_t *timer)
{
	struct sender *s = CONTAINER_OF(timer, struct sender, pace);

	if (s->stream != NULL && s->ul == UL_STA6)
		sender_pump(s);
}

void sender_pump_in(struct sender *s, uint64_t ms)
{
	uv_update_time(s->pace.loop);
	(void)uv_timer_start(&s->pace, on_pace, ms, 0);
}

size_t sender_pace(struct sender *s, size_t want)
{
	size_t most = sender_fragment_max(s), n;
	uint64_t wait_ns;

	s->pacing = false;
	if (want == 0 || !shaper_is_limited(&s->shape))
		return want;
	n = shaper_take(&s->shape, s->pace_class, want, clock_mono_ns(),
			&wait_ns);
	if (n == 0) {
		s->pacing = true;
		sender_pump_in(s, (wait_ns + 999999) / 1000000);
	} else if (n < want && n >= most) { /* whole fragments */
		shaper_return(&s->shape, n % most);
		n -= n % most;
	}
	return n;
}

void sender_pace_unsent(struct sender *s, size_t n)
{
	shaper_return(&s->shape, n);
}

void sender_pace_count(struct sender *s, size_t n)
{
	uint64_t wait_ns;

	if (n > 0 && shaper_is_limited(&s->shape))
		(void)shaper_take(&s->shape, SHAPER_LIVE, n, clock_mono_ns(),
				  &wait_ns);
}

void sender_pace_stop(struct sender *s)
{
	s->pacing = false;
	shaper_leave(&s->shape);
	if (s->timer_made)
		(void)uv_timer_stop(&s->pace);
}
