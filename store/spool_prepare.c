#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "store/spool_int.h"

#define AHEAD_RETRY_NS (30ull * 1000 * 1000 * 1000)

/* What the helper does next; decided under lock, done without it. */
enum task { TASK_NONE, TASK_REUSE, TASK_CREATE, TASK_AHEAD, TASK_REMOVE };

static size_t files(const struct spool *s)
{
	return s->n_segments + s->n_ready + s->n_free;
}

/* With nothing else to do, free files are made at leisure, so that a burst
 * finds segments that need no more zeros. */
static bool may_go_ahead(const struct spool *s)
{
	size_t want = s->segments_max / 8;

	if (want > AHEAD_MAX)
		want = AHEAD_MAX;
	return s->n_ready == READY_TARGET && s->n_free < want &&
	       files(s) < s->segments_max &&
	       clock_mono_ns() >= s->ahead_again_ns;
}

static enum task choose(struct spool *s)
{
	if (s->n_free > FREE_MAX ||
	    (s->n_free > 0 && files(s) > s->segments_max))
		return TASK_REMOVE;
	if (may_go_ahead(s))
		return TASK_AHEAD;
	if (s->n_ready == READY_TARGET ||
	    (s->prepare_again_ns != 0 && clock_mono_ns() < s->prepare_again_ns))
		return TASK_NONE;
	if (s->n_free > 0)
		return TASK_REUSE;
	if (files(s) < s->segments_max)
		return TASK_CREATE;
	if (s->n_ready == 0 && s->prepare_err == ERR_OK) {
		s->prepare_err = ERR_NOSPACE; /* the quota is used up */
		pthread_cond_broadcast(&s->ready);
	}
	return TASK_NONE;
}

static void remove_file(struct spool *s, uint32_t number)
{
	char name[SEGMENT_NAME_LEN];

	segment_name(SEGMENT_FREE, number, name);
	if (unlinkat(s->dir, name, 0) != 0)
		log_event(LOG_WARN, "segment-remove-failed",
			  "segment=%08x detail=\"%s\"", number,
			  strerror(errno));
}

/* A free file becomes a segment that may be begun. */
static enum err begin(struct spool *s, uint32_t free_number,
		      struct segment_head h, struct ready_segment *out)
{
	enum err e = seal_random(h.salt, sizeof(h.salt));

	if (e != ERR_OK)
		return e;
	memcpy(h.key_id, seal_key_id(s->key), sizeof(h.key_id));
	memcpy(h.spool_id, s->id, sizeof(h.spool_id));
	out->number = h.number;
	memcpy(out->salt, h.salt, sizeof(out->salt));
	return segment_begin(s->dir, free_number, &h, &out->fd);
}

/* Unless it has its new name already: then the next start finds it. */
static void put_back(struct spool *s, uint32_t number)
{
	char name[SEGMENT_NAME_LEN];

	segment_name(SEGMENT_FREE, number, name);
	if (faccessat(s->dir, name, F_OK, 0) != 0 ||
	    spool_free_push(s, number) != ERR_OK)
		log_event(LOG_WARN, "segment-forgotten", "segment=%08x",
			  number);
}

static void note_result(struct spool *s, enum err e,
			const struct ready_segment *ready)
{
	if (e == ERR_OK) {
		s->readies[s->n_ready++] = *ready;
		s->prepare_err = ERR_OK;
		s->prepare_again_ns = 0;
	} else if (e != ERR_CANCELED) {
		if (s->prepare_err == ERR_OK)
			log_event(LOG_ERROR, "segment-prepare-failed",
				  "detail=\"%s\"", err_text(e));
		s->prepare_err = e;
		s->prepare_again_ns = clock_mono_ns() + RETRY_MS * 1000000ull;
	}
	pthread_cond_broadcast(&s->ready);
}

/* Called and left under lock. */
static void prepare(struct spool *s, enum task task)
{
	uint32_t number = s->next_number++;
	uint32_t free_number = number;
	struct ready_segment ready = {.fd = -1};
	struct segment_head h = {.number = number,
				 .epoch = s->epoch,
				 .size = s->segment_size,
				 .sequence = s->durable};
	enum err e = ERR_OK;

	if (task == TASK_REUSE)
		free_number = s->frees[--s->n_free];
	s->preparing = true;
	atomic_store(&s->pace.hurry, true);
	atomic_store(&s->pace.spare, false);
	pthread_mutex_unlock(&s->lock);
	if (task == TASK_CREATE)
		e = segment_create(s->dir, number, s->segment_size, &s->pace);
	if (e == ERR_OK) {
		e = begin(s, free_number, h, &ready);
		task = TASK_REUSE; /* the file is there */
	}
	pthread_mutex_lock(&s->lock);
	s->preparing = false;
	s->prepare_flushes += 3;
	if (e != ERR_OK && task == TASK_REUSE)
		put_back(s, free_number);
	note_result(s, e, &ready);
}

/* Called and left under lock. A failure matters only once a segment is needed:
 * then it is met again. */
static void go_ahead(struct spool *s)
{
	uint32_t number = s->next_number++;
	enum err e;

	atomic_store(&s->pace.hurry, false);
	atomic_store(&s->pace.spare, false);
	s->going_ahead = true;
	pthread_mutex_unlock(&s->lock);
	e = segment_create(s->dir, number, s->segment_size, &s->pace);
	pthread_mutex_lock(&s->lock);
	s->going_ahead = false;
	s->prepare_flushes++;
	if (e == ERR_OK)
		put_back(s, number);
	else if (e != ERR_CANCELED)
		s->ahead_again_ns = clock_mono_ns() + AHEAD_RETRY_NS;
}

static void discard(struct spool *s)
{
	uint32_t number = s->frees[--s->n_free];

	pthread_mutex_unlock(&s->lock);
	remove_file(s, number);
	pthread_mutex_lock(&s->lock);
}

static void wait_for_task(struct spool *s)
{
	struct timespec t;

	if (s->prepare_again_ns == 0) {
		pthread_cond_wait(&s->prepare, &s->lock);
		return;
	}
	t.tv_sec = (time_t)(s->prepare_again_ns / 1000000000u);
	t.tv_nsec = (long)(s->prepare_again_ns % 1000000000u);
	(void)pthread_cond_clockwait(&s->prepare, &s->lock, CLOCK_MONOTONIC,
				     &t);
	if (clock_mono_ns() >= s->prepare_again_ns)
		s->prepare_again_ns = 0;
}

void *spool_helper_main(void *arg)
{
	struct spool *s = arg;

	(void)pthread_setname_np(pthread_self(), "culvert-helper");
	pthread_mutex_lock(&s->lock);
	while (!atomic_load(&s->pace.stop)) {
		enum task task = choose(s);

		switch (task) {
		case TASK_NONE:
			wait_for_task(s);
			break;
		case TASK_REMOVE:
			discard(s);
			break;
		case TASK_AHEAD:
			go_ahead(s);
			break;
		case TASK_REUSE:
		case TASK_CREATE:
			prepare(s, task);
			break;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* With the helper at work, or about to be, a segment may still come. */
static bool may_come(const struct spool *s)
{
	return s->preparing || s->prepare_err == ERR_OK;
}

enum err spool_take_ready(struct spool *s, bool reserve,
			  struct ready_segment *out)
{
	uint32_t limit = s->segments_max - (reserve ? 0 : s->reserve);
	enum err e = ERR_OK;

	pthread_mutex_lock(&s->lock);
	if (s->n_segments >= limit)
		e = ERR_NOSPACE;
	while (e == ERR_OK && s->n_ready == 0) {
		if (!may_come(s))
			e = s->prepare_err;
		else
			pthread_cond_wait(&s->ready, &s->lock);
	}
	if (e == ERR_OK) {
		*out = s->readies[0];
		s->n_ready--;
		atomic_store(&s->pace.hurry, true);
		/* one that is free is sooner ready than one that is made */
		atomic_store(&s->pace.spare, s->going_ahead && s->n_free > 0);
		memmove(s->readies, s->readies + 1,
			s->n_ready * sizeof(s->readies[0]));
		pthread_cond_signal(&s->prepare);
	}
	pthread_mutex_unlock(&s->lock);
	return e;
}
