#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/lib/mem.h"
#include "tests/fault/integrity.h"

atomic_uint integrity_round;

void integrity_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fprintf(stderr,
		      "integrity: round %u: ", atomic_load(&integrity_round));
	(void)vfprintf(stderr, fmt, ap);
	(void)fprintf(stderr, "\n");
	va_end(ap);
	_Exit(1);
}

void integrity_need(enum err e, const char *what, uint32_t n)
{
	if (e != ERR_OK)
		integrity_fail("%s of object %u: %s", what, n, err_text(e));
}

/* ---- dice ------------------------------------------------------------------
 */

static uint64_t mix(uint64_t v)
{
	v ^= v >> 30;
	v *= 0xbf58476d1ce4e5b9u;
	v ^= v >> 27;
	v *= 0x94d049bb133111ebu;
	return v ^ v >> 31;
}

struct dice dice_new(const struct integrity *w, unsigned thread)
{
	return (struct dice){
	    .state = mix(w->seed + ((uint64_t)w->round << 16) + thread)};
}

uint32_t dice_below(struct dice *d, uint32_t n)
{
	d->state += 0x9e3779b97f4a7c15u;
	return (uint32_t)(mix(d->state) >> 32) % n;
}

bool dice_one_in(struct dice *d, uint32_t n)
{
	return dice_below(d, n) == 0;
}

void dice_pause(struct dice *d, uint32_t most_us)
{
	long us = dice_below(d, most_us + 1);

	if (us > 0)
		(void)nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* ---- objects ---------------------------------------------------------------
 */

/* Around slices, slabs, pages and chunks, and anything. */
uint64_t integrity_length(const struct integrity *w, uint32_t n)
{
	static const uint32_t borders[] = {0,
					   1,
					   4096,
					   16384,
					   32768,
					   131072,
					   CHUNK_LEN,
					   65536,
					   CHUNK_LEN,
					   1,
					   2 * CHUNK_LEN,
					   CHUNK_LEN,
					   3 * CHUNK_LEN};
	struct dice d = {.state = mix(w->seed ^ mix(n))};
	uint32_t border = borders[dice_below(&d, ARRAY_LEN(borders))];

	switch (dice_below(&d, 8)) {
	case 0:
		return dice_below(&d, 3000);
	case 1:
		return dice_below(&d, INTEGRITY_LENGTH_MAX);
	case 2:
		return dice_below(&d, CHUNK_LEN + CHUNK_LEN / 2);
	case 3:
		return dice_below(&d, 100000);
	case 4:
		return border > 0 ? border - 1 : 0;
	case 5:
		return border + 1;
	case 6:
		return border + dice_below(&d, 20000);
	default:
		return border;
	}
}

/* Every 8 bytes say which object and where. */
static uint64_t word(uint32_t n, uint64_t i)
{
	return mix((uint64_t)n << 32 ^ i);
}

/* at is a multiple of 8. */
void integrity_fill(uint32_t n, uint64_t at, uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t v = word(n, (at + i) / 8);

		memcpy(p + i, &v, len - i < 8 ? len - i : 8);
	}
}

void integrity_describe(uint32_t n, struct instance *in)
{
	memset(in, 0, sizeof(*in));
	in->association = n;
	in->n_destinations = 1;
	(void)INSTANCE_SET(in->destinations[0], "cloud");
	(void)INSTANCE_SET(in->sop_class, "1.2.840.10008.5.1.4.1.1.2");
	(void)INSTANCE_SET(in->transfer_syntax, "1.2.840.10008.1.2.1");
	(void)snprintf(in->sop_instance, sizeof(in->sop_instance), "1.2.5.%u",
		       n);
}

uint32_t integrity_object_new(struct integrity *w)
{
	uint32_t n = 0;

	pthread_mutex_lock(&w->lock);
	if (w->n + 1 < INTEGRITY_OBJECTS) {
		n = ++w->n;
		w->objects[n].state = OBJECT_COMING;
	}
	pthread_mutex_unlock(&w->lock);
	return n;
}

void integrity_object_drop(struct integrity *w, uint32_t n)
{
	pthread_mutex_lock(&w->lock);
	w->objects[n].state = OBJECT_DROPPED;
	pthread_mutex_unlock(&w->lock);
}

void integrity_object_stored(struct integrity *w, uint32_t n,
			     const struct instance *stored)
{
	if (stored->length != integrity_length(w, n))
		integrity_fail("object %u was stored with %llu bytes", n,
			       (unsigned long long)stored->length);
	atomic_fetch_add(&w->stored, 1);
	atomic_fetch_add(&w->bytes, stored->length);
	pthread_mutex_lock(&w->lock);
	w->objects[n].state = OBJECT_STORED;
	w->objects[n].expected = DELIVERY_QUEUED;
	w->objects[n].id = stored->id;
	w->todo[w->todo_to++] = n; /* each once: there is room */
	pthread_mutex_unlock(&w->lock);
}

/* ---- events ----------------------------------------------------------------
 */

void event_init(struct event *v)
{
	memset(v, 0, sizeof(*v));
	(void)pthread_mutex_init(&v->lock, NULL);
	(void)pthread_cond_init(&v->cond, NULL);
}

void event_set(struct event *v, enum err e)
{
	pthread_mutex_lock(&v->lock);
	v->done = true;
	v->e = e;
	pthread_cond_signal(&v->cond);
	pthread_mutex_unlock(&v->lock);
}

enum err event_wait(struct event *v)
{
	enum err e;

	pthread_mutex_lock(&v->lock);
	while (!v->done)
		pthread_cond_wait(&v->cond, &v->lock);
	v->done = false;
	e = v->e;
	pthread_mutex_unlock(&v->lock);
	return e;
}
