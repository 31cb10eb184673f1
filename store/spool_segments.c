#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/spool_int.h"

/* Index of the first segment whose number is >= number. */
static size_t position(const struct spool *s, uint32_t number)
{
	size_t lo = 0, hi = s->n_segments;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->segments[mid]->number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct segment *spool_segment_find(struct spool *s, uint32_t number)
{
	size_t i = position(s, number);

	if (i == s->n_segments || s->segments[i]->number != number)
		return NULL;
	return s->segments[i];
}

struct segment *spool_segment_after(struct spool *s, uint32_t number)
{
	size_t i =
	    number == UINT32_MAX ? s->n_segments : position(s, number + 1);

	return i < s->n_segments ? s->segments[i] : NULL;
}

enum err spool_segment_insert(struct spool *s, struct segment *segment)
{
	size_t i = position(s, segment->number);

	if (s->n_segments == s->segments_room) {
		size_t room = s->segments_room > 0 ? 2 * s->segments_room : 64;
		void *p = mem_realloc(s->segments, room * sizeof(*s->segments));

		if (p == NULL)
			return ERR_NOMEM;
		s->segments = p;
		s->segments_room = room;
	}
	memmove(s->segments + i + 1, s->segments + i,
		(s->n_segments - i) * sizeof(*s->segments));
	s->segments[i] = segment;
	s->n_segments++;
	spool_update_full(s);
	return ERR_OK;
}

static void remove_segment(struct spool *s, struct segment *segment)
{
	size_t i = position(s, segment->number);

	s->n_segments--;
	memmove(s->segments + i, s->segments + i + 1,
		(s->n_segments - i) * sizeof(*s->segments));
	spool_update_full(s);
}

enum err spool_segment_hold(struct spool *s, struct segment *segment)
{
	char name[SEGMENT_NAME_LEN];

	if (segment->fd < 0) {
		segment_name(SEGMENT_NAMED, segment->number, name);
		segment->fd = openat(s->dir, name, O_RDONLY | O_CLOEXEC);
		if (segment->fd < 0)
			return ERR_IO;
		s->open_files++;
	}
	segment->refs++;
	return ERR_OK;
}

static void close_segment(struct spool *s, struct segment *segment)
{
	if (segment->fd < 0)
		return;
	(void)close(segment->fd);
	segment->fd = -1;
	s->open_files--;
}

void spool_segment_drop(struct spool *s, struct segment *segment)
{
	assert(segment->refs > 0);
	segment->refs--;
	if (segment->refs == 0 && s->open_files > OPEN_FILES_MAX)
		close_segment(s, segment);
}

struct segment_place spool_segment_place(const struct spool *s,
					 const struct segment *segment)
{
	struct segment_place p = {.number = segment->number,
				  .size = segment->size};

	memcpy(p.spool_id, s->id, sizeof(p.spool_id));
	return p;
}

void spool_update_full(struct spool *s)
{
	bool was = s->full;

	if (s->n_segments >= s->segments_high)
		s->full = true;
	else if (s->n_segments <= s->segments_low)
		s->full = false;
	if (s->full == was)
		return;
	if (s->full)
		log_event(LOG_ERROR, "spool-full", "segments=%zu of=%u",
			  s->n_segments, s->segments_max);
	else
		log_event(LOG_INFO, "spool-taking-again", "segments=%zu of=%u",
			  s->n_segments, s->segments_max);
}

enum err spool_free_push(struct spool *s, uint32_t number)
{
	if (s->n_free == s->frees_room) {
		size_t room = s->frees_room > 0 ? 2 * s->frees_room : 32;
		void *p = mem_realloc(s->frees, room * sizeof(*s->frees));

		if (p == NULL)
			return ERR_NOMEM;
		s->frees = p;
		s->frees_room = room;
	}
	s->frees[s->n_free++] = number;
	return ERR_OK;
}

/* Not flushed: if the new name is lost in a power cut, the segment is in use
 * again and its owner frees it again. */
static enum err rename_free(struct spool *s, uint32_t number)
{
	char from[SEGMENT_NAME_LEN], to[SEGMENT_NAME_LEN];

	segment_name(SEGMENT_NAMED, number, from);
	segment_name(SEGMENT_FREE, number, to);
	if (renameat(s->dir, from, s->dir, to) != 0) {
		log_event(LOG_ERROR, "segment-rename-failed",
			  "segment=%08x detail=\"%s\"", number,
			  strerror(errno));
		return ERR_IO;
	}
	return ERR_OK;
}

static void forget(struct spool *s, struct segment *segment)
{
	close_segment(s, segment);
	remove_segment(s, segment);
	mem_free(segment);
	pthread_cond_signal(&s->prepare);
}

enum err spool_segment_unlink(struct spool *s, struct segment *segment)
{
	char name[SEGMENT_NAME_LEN];

	assert(segment->refs == 0);
	segment_name(SEGMENT_NAMED, segment->number, name);
	if (unlinkat(s->dir, name, 0) != 0)
		return ERR_IO;
	forget(s, segment);
	return ERR_OK;
}

/* A file on which writing failed, or of another size, is not used again. */
static enum err recycle(struct spool *s, struct segment *segment,
			uint64_t synced)
{
	uint64_t last = segment->last;
	enum err e;

	if (segment->old && last == 0)
		last = s->loaded;
	if (segment->current || segment->refs > 0 || last > synced)
		return ERR_BUSY;
	partials_forget_segment(s, segment->number);
	if (segment->retired || segment->size != s->segment_size)
		return spool_segment_unlink(s, segment);
	e = rename_free(s, segment->number);
	if (e != ERR_OK)
		return e;
	if (spool_free_push(s, segment->number) != ERR_OK)
		log_event(LOG_WARN, "segment-forgotten", "segment=%08x",
			  segment->number);
	forget(s, segment);
	return ERR_OK;
}

/* An open put keeps every segment from its first chunk on: its number is not
 * remembered, but the caller may free only what it knows to be dead, and a
 * transfer without its final record is alive to it. */
enum err spool_recycle(struct spool *s, uint32_t number, uint64_t synced)
{
	struct segment *segment;
	enum err e = ERR_NOTFOUND;

	pthread_mutex_lock(&s->lock);
	segment = spool_segment_find(s, number);
	if (segment != NULL)
		e = recycle(s, segment, synced);
	pthread_mutex_unlock(&s->lock);
	return e;
}

size_t spool_segments(struct spool *s, struct spool_segment_info *out,
		      size_t max)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->n_segments;
	for (size_t i = 0; i < n && i < max; i++) {
		const struct segment *g = s->segments[i];

		out[i] = (struct spool_segment_info){
		    .number = g->number,
		    .current = g->current,
		    .retired = g->retired,
		    .used = g->old ? g->size : g->end,
		    .first = g->first,
		    .last = g->last,
		};
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}
