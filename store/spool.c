#include "store/spool.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/spool_int.h"

enum {
	MIB = 1024 * 1024,
	SEGMENT_DEFAULT = 64 * MIB,
	SEGMENT_MAX = 1024 * MIB,
	BUFFERS_DEFAULT = 64 * MIB,
	BUFFERS_MIN = 4 * MIB,
	HIGH_DEFAULT = 90,
	LOW_DEFAULT = 80,
	OUTCOME_MS_DEFAULT = 200,
};
#define START_WAIT_NS (5ull * 1000 * 1000 * 1000)
static const uint64_t quota_default = 8192ull * MIB;

static enum err set_sizes(struct spool *s, const struct spool_options *o,
			  char why[SPOOL_WHY_LEN])
{
	uint64_t quota = o->quota != 0 ? o->quota : quota_default;
	size_t buffers = o->buffers != 0 ? o->buffers : BUFFERS_DEFAULT;

	s->segment_size = o->segment != 0 ? o->segment : SEGMENT_DEFAULT;
	if (s->segment_size < SPOOL_SEGMENT_MIN ||
	    s->segment_size > SEGMENT_MAX ||
	    s->segment_size % RECORD_PAGE != 0) {
		(void)snprintf(why, SPOOL_WHY_LEN,
			       "a spool segment has 2 MiB to 1 GiB, in whole "
			       "pages of 4 KiB");
		return ERR_INVAL;
	}
	if (quota / s->segment_size < SEGMENTS_MIN ||
	    quota / s->segment_size > UINT32_MAX / 2) {
		(void)snprintf(why, SPOOL_WHY_LEN,
			       "the spool quota must hold at least %d segments "
			       "of %zu MiB: raise it, or make segments smaller",
			       SEGMENTS_MIN, s->segment_size / MIB);
		return ERR_INVAL;
	}
	if (buffers < BUFFERS_MIN) {
		(void)snprintf(why, SPOOL_WHY_LEN,
			       "the spool needs at least 4 MiB of buffers");
		return ERR_INVAL;
	}
	s->segments_max = (uint32_t)(quota / s->segment_size);
	s->reserve = s->segments_max >= 8 ? 2 : 1;
	s->slabs_hard = buffers / SLAB_LEN;
	s->slabs_soft = s->slabs_hard - s->slabs_hard / 4;
	s->slabs_middle = s->slabs_hard - s->slabs_hard / 8;
	return ERR_OK;
}

/* The marks leave the reserve alone, and something below the low one. */
static enum err set_marks(struct spool *s, const struct spool_options *o,
			  char why[SPOOL_WHY_LEN])
{
	unsigned high = o->high_water != 0 ? o->high_water : HIGH_DEFAULT;
	unsigned low = o->low_water != 0 ? o->low_water : LOW_DEFAULT;

	if (o->low_water == 0 && low > high)
		low = high;
	if (high > 100 || low > high) {
		(void)snprintf(why, SPOOL_WHY_LEN,
			       "low_water <= high_water <= 100 (per cent of "
			       "the quota) is needed");
		return ERR_INVAL;
	}
	s->segments_high = (uint32_t)((uint64_t)s->segments_max * high / 100);
	if (s->segments_high > s->segments_max - s->reserve)
		s->segments_high = s->segments_max - s->reserve;
	if (s->segments_high < 2)
		s->segments_high = 2;
	s->segments_low = (uint32_t)((uint64_t)s->segments_max * low / 100);
	if (s->segments_low >= s->segments_high)
		s->segments_low = s->segments_high - 1;
	s->outcome_ms = o->outcome_ms != 0 ? o->outcome_ms : OUTCOME_MS_DEFAULT;
	s->on_durable = o->on_durable;
	s->on_durable_arg = o->arg;
	return ERR_OK;
}

static struct spool *spool_new(const char *path)
{
	struct spool *s = mem_zalloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	s->path = mem_strdup(path);
	if (s->path == NULL) {
		mem_free(s);
		return NULL;
	}
	s->dir = -1;
	s->lock_fd = -1;
	list_init(&s->queue);
	list_init(&s->puts);
	list_init(&s->waiters);
	list_init(&s->partials);
	list_init(&s->slabs);
	list_init(&s->writer.pending);
	list_init(&s->writer.written);
	pthread_mutex_init(&s->callback_lock, NULL);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->prepare, NULL);
	pthread_cond_init(&s->ready, NULL);
	pthread_cond_init(&s->durable_cond, NULL);
	return s;
}

static void free_segments(struct spool *s)
{
	for (size_t i = 0; i < s->n_segments; i++) {
		if (s->segments[i]->fd >= 0)
			(void)close(s->segments[i]->fd);
		mem_free(s->segments[i]);
	}
	for (size_t i = 0; i < s->n_ready; i++)
		(void)close(s->readies[i].fd);
	mem_free(s->segments);
	mem_free(s->frees);
}

static void spool_free(struct spool *s)
{
	struct list *n;

	while ((n = list_pop_front(&s->slabs)) != NULL)
		mem_free(CONTAINER_OF(n, struct slab, link));
	free_segments(s);
	partials_free(s);
	mem_free(s->outcomes.at);
	seal_free(s->writer.life);
	seal_key_close(s->key);
	if (s->lock_fd >= 0)
		(void)close(s->lock_fd);
	if (s->dir >= 0)
		(void)close(s->dir);
	pthread_cond_destroy(&s->durable_cond);
	pthread_cond_destroy(&s->ready);
	pthread_cond_destroy(&s->prepare);
	pthread_cond_destroy(&s->work);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->callback_lock);
	mem_free(s->path);
	mem_free(s);
}

/* The first thing this epoch says: what is unfinished stays so, save partial
 * transfers. */
static enum err note_restart(struct spool *s)
{
	struct outcome o = {.kind = OUTCOME_KEPT, .at_ms = clock_wall_ms()};
	enum err e = ERR_OK;

	LIST_EACH(n, tmp, &s->partials)
	{
		o.id = CONTAINER_OF(n, struct partial, link)->id;
		if (e == ERR_OK)
			e = spool_outcome_add(s, &o);
	}
	memset(&o.id, 0, sizeof(o.id));
	o.kind = OUTCOME_RESTART;
	return e == ERR_OK ? spool_outcome_add(s, &o) : e;
}

static void stop_helper(struct spool *s)
{
	pthread_mutex_lock(&s->lock);
	atomic_store(&s->pace.stop, true);
	pthread_cond_broadcast(&s->prepare);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->helper_thread, NULL);
}

static enum err start_threads(struct spool *s)
{
	if (pthread_create(&s->helper_thread, NULL, spool_helper_main, s) != 0)
		return ERR_NOMEM;
	if (pthread_create(&s->writer_thread, NULL, spool_writer_main, s) == 0)
		return ERR_OK;
	stop_helper(s);
	return ERR_NOMEM;
}

/* Which partial transfers are kept is on the disk before anybody goes on with
 * one. A disk that refuses is met again soon enough. */
static void wait_for_start(struct spool *s)
{
	uint64_t until = clock_mono_ns() + START_WAIT_NS;
	struct timespec t = {.tv_sec = (time_t)(until / 1000000000u),
			     .tv_nsec = (long)(until % 1000000000u)};

	pthread_mutex_lock(&s->lock);
	while (s->n_partials > 0 && s->durable == s->loaded &&
	       s->failed_ns == 0)
		if (pthread_cond_clockwait(&s->durable_cond, &s->lock,
					   CLOCK_MONOTONIC, &t) != 0)
			break;
	pthread_mutex_unlock(&s->lock);
}

static void log_open(const struct spool *s)
{
	log_event(LOG_INFO, "spool-open",
		  "segments=%zu of=%u sequence=%llu epoch=%u", s->n_segments,
		  s->segments_max, (unsigned long long)s->durable, s->epoch);
}

enum err spool_open(const struct spool_options *o, struct spool **out,
		    char why[SPOOL_WHY_LEN])
{
	struct spool *s = spool_new(o->path);
	enum err e;

	if (s == NULL) {
		(void)snprintf(why, SPOOL_WHY_LEN, "out of memory");
		return ERR_NOMEM;
	}
	e = set_sizes(s, o, why);
	if (e == ERR_OK)
		e = set_marks(s, o, why);
	if (e == ERR_OK)
		e = spool_load(s, o, why);
	if (e == ERR_OK) {
		log_open(s);
		e = note_restart(s);
		if (e == ERR_OK)
			e = start_threads(s);
		if (e == ERR_OK)
			wait_for_start(s);
		if (e != ERR_OK)
			(void)snprintf(why, SPOOL_WHY_LEN,
				       "no memory or no thread to be had");
	}
	if (e != ERR_OK) {
		spool_free(s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

void spool_close(struct spool *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->closing = true;
	pthread_cond_broadcast(&s->work);
	pthread_cond_broadcast(&s->durable_cond);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->writer_thread, NULL);
	stop_helper(s);
	assert(list_empty(&s->puts));
	spool_free(s);
}

const uint8_t *spool_id(const struct spool *s)
{
	return s->id;
}

const struct seal_key *spool_key(const struct spool *s)
{
	return s->key;
}

uint64_t spool_durable(struct spool *s)
{
	uint64_t durable;

	pthread_mutex_lock(&s->lock);
	durable = s->durable;
	pthread_mutex_unlock(&s->lock);
	return durable;
}

static void write_alert(const struct spool *s, char out[SPOOL_WHY_LEN])
{
	if (s->failed_ns != 0)
		(void)snprintf(out, SPOOL_WHY_LEN, "%s", s->failed_text);
	else if (s->full)
		(void)snprintf(out, SPOOL_WHY_LEN,
			       "the spool has reached its high-water mark (%u "
			       "of %u segments): new instances are refused "
			       "until deliveries free space; look at the "
			       "destinations, or raise the quota",
			       s->segments_high, s->segments_max);
	else if (s->n_ready == 0 && s->prepare_err == ERR_NOSPACE)
		(void)snprintf(out, SPOOL_WHY_LEN,
			       "no space for another segment under %.100s: "
			       "make room on that disk",
			       s->path);
	else if (s->n_ready == 0 && s->prepare_err != ERR_OK)
		(void)snprintf(out, SPOOL_WHY_LEN,
			       "cannot prepare a segment under %.100s (%s): "
			       "look after that disk",
			       s->path, err_text(s->prepare_err));
	else if (s->retired > 0)
		(void)snprintf(out, SPOOL_WHY_LEN,
			       "%u segment(s) were retired after an error; the "
			       "last: %.150s",
			       s->retired, s->failed_text);
	else
		out[0] = '\0';
}

void spool_stats(struct spool *s, struct spool_stats *out)
{
	uint64_t size = s->segment_size;

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&s->lock);
	out->quota = s->segments_max * size;
	out->used = s->n_segments * size;
	out->high = s->segments_high * size;
	out->low = s->segments_low * size;
	out->reserve = s->reserve * size;
	out->segments = (uint32_t)s->n_segments;
	out->spare = (uint32_t)(s->n_free + s->n_ready);
	out->retired = s->retired;
	out->puts = s->n_puts;
	out->queued = s->n_queue;
	out->outcomes = (uint32_t)s->outcomes.n;
	out->partials = s->n_partials;
	LIST_EACH(n, tmp, &s->partials)
	out->partial_bytes += CONTAINER_OF(n, struct partial, link)->bytes;
	out->buffers_used = s->slabs_used * (uint64_t)SLAB_LEN;
	out->buffers_limit = s->slabs_hard * (uint64_t)SLAB_LEN;
	out->stored = s->stored;
	out->stored_bytes = s->stored_bytes;
	out->records = s->records;
	out->flushes = s->flushes;
	out->prepare_flushes = s->prepare_flushes;
	out->sequence = s->durable;
	out->full =
	    s->full || (s->n_ready == 0 && s->prepare_err == ERR_NOSPACE);
	out->failed =
	    s->failed_ns != 0 || (s->n_ready == 0 && s->prepare_err == ERR_IO);
	write_alert(s, out->alert);
	pthread_mutex_unlock(&s->lock);
}
