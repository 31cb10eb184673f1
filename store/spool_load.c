#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/spool_int.h"

/* Looking at the directory as it is found. Nothing is written but the data key
 * of an empty spool, and nothing is removed but files that were being made.
 *
 * Each segment's first record tells its sequence and epoch; only the newest
 * segment with records, and segments whose first record is damaged, are walked
 * whole. Payloads are verified later, by the tail, where no flush mark vouches
 * for them. */

struct loader {
	struct spool *s;
	char *why; /* SPOOL_WHY_LEN */
	bool have_id;
	uint8_t key_id[SEAL_KEY_ID_LEN]; /* of the segments */
	uint64_t max_sequence;
	uint32_t max_epoch, max_number;
	struct segment *newest;       /* NULL: none */
	struct segment_extent extent; /* of it */
};

static enum err fail(struct loader *l, enum err e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static enum err fail(struct loader *l, enum err e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(l->why, SPOOL_WHY_LEN, fmt, ap);
	va_end(ap);
	return e;
}

static enum err open_directory(struct loader *l)
{
	struct spool *s = l->s;

	s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return fail(l, ERR_IO,
			    "cannot open the spool directory %.150s: %s; make "
			    "it, owned by this user, mode 700",
			    s->path, strerror(errno));
	s->lock_fd = openat(s->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return fail(l, ERR_IO,
			    "cannot write in the spool directory %.150s: %s; "
			    "it must belong to this user",
			    s->path, strerror(errno));
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return fail(l, ERR_BUSY,
			    "the spool %.150s is in use by another process; "
			    "stop that one first",
			    s->path);
	return ERR_OK;
}

/* ---- the segments -------------------------------------------------------- */

/* What a file says of itself. */
struct facts {
	bool any;
	uint8_t key_id[SEAL_KEY_ID_LEN];
	uint8_t spool_id[RECORD_ID_LEN];
	uint32_t number, epoch;
	uint64_t sequence; /* every record has a higher one */
};

static void facts_of_head(const struct segment_head *h, struct facts *f)
{
	f->any = true;
	memcpy(f->key_id, h->key_id, sizeof(f->key_id));
	memcpy(f->spool_id, h->spool_id, sizeof(f->spool_id));
	f->number = h->number;
	f->epoch = h->epoch;
	f->sequence = h->sequence;
}

/* Without a readable segment head, the first record's head that reads. */
static void facts_of_record(int fd, off_t size, struct facts *f)
{
	uint8_t page[RECORD_PAGE];
	struct record_head h;
	size_t copy;

	for (off_t at = RECORD_PAGE; at < size && !f->any; at += RECORD_PAGE) {
		if (pread(fd, page, sizeof(page), at) != sizeof(page) ||
		    record_page_head(page, &h, &copy) != ERR_OK)
			continue;
		f->any = true;
		memcpy(f->key_id, h.key_id, sizeof(f->key_id));
		memcpy(f->spool_id, h.spool_id, sizeof(f->spool_id));
		f->number = h.segment;
		f->epoch = h.epoch;
	}
}

static void read_facts(int fd, off_t size, const char *name, struct facts *f)
{
	uint8_t page[RECORD_PAGE];
	struct segment_head h;

	memset(f, 0, sizeof(*f));
	if (pread(fd, page, sizeof(page), 0) == sizeof(page) &&
	    segment_head_decode(page, &h) == ERR_OK) {
		facts_of_head(&h, f);
		return;
	}
	facts_of_record(fd, size, f);
	log_event(LOG_WARN, "segment-head-damaged", "file=%s records=%s", name,
		  f->any ? "found" : "none");
}

static enum err check_facts(struct loader *l, const char *name,
			    const struct facts *f)
{
	char have[SEAL_KEY_ID_TEXT], other[SEAL_KEY_ID_TEXT];

	if (!l->have_id) {
		l->have_id = true;
		memcpy(l->s->id, f->spool_id, sizeof(l->s->id));
		memcpy(l->key_id, f->key_id, sizeof(l->key_id));
		return ERR_OK;
	}
	if (memcmp(l->key_id, f->key_id, sizeof(l->key_id)) != 0)
		return fail(
		    l, ERR_NOKEY,
		    "%s is sealed with key %s, others with %s: segments "
		    "of two spools are mixed; keep each in its own "
		    "directory",
		    name, seal_key_id_text(f->key_id, other),
		    seal_key_id_text(l->key_id, have));
	if (memcmp(l->s->id, f->spool_id, sizeof(l->s->id)) != 0)
		return fail(l, ERR_INVAL,
			    "%s belongs to another spool: move it away", name);
	return ERR_OK;
}

/* First and last sequence of a segment, as far as they can be told. */
static void read_extent(struct loader *l, struct segment *g)
{
	struct segment_place at = spool_segment_place(l->s, g);
	struct segment_extent x;
	uint8_t page[RECORD_PAGE];
	struct record_head h;
	size_t copy;

	if (segment_read_head(g->fd, &at, RECORD_PAGE, page, &h, &copy) !=
	    ERR_OK) {
		segment_walk(g->fd, &at, g->size, &x);
		if (!x.any)
			return;
		h = x.head;
	}
	g->first = h.sequence;
	g->first_is_whole = h.offset == RECORD_PAGE;
	g->epoch = h.epoch;
	g->previous = h.previous;
}

static enum err keep_segment(struct loader *l, int fd, off_t size,
			     const struct facts *f)
{
	struct spool *s = l->s;
	struct segment *g = mem_zalloc(sizeof(*g));
	enum err e;

	if (g == NULL)
		return ERR_NOMEM;
	g->number = f->number;
	g->size = (uint32_t)size;
	g->fd = fd;
	g->old = true;
	g->epoch = f->epoch;
	read_extent(l, g);
	g->fd = -1;
	if (f->sequence > l->max_sequence)
		l->max_sequence = f->sequence;
	if (g->epoch > l->max_epoch)
		l->max_epoch = g->epoch;
	if (g->first == 0) { /* never begun */
		mem_free(g);
		return spool_segment_find(s, f->number) == NULL ? ERR_AGAIN
								: ERR_OK;
	}
	e = spool_segment_insert(s, g);
	if (e != ERR_OK)
		mem_free(g);
	return e;
}

/* A free file of another size (the option was changed) is of no use. */
static enum err load_free(struct loader *l, const char *name, uint32_t number)
{
	struct stat st;

	if (fstatat(l->s->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    st.st_size != (off_t)l->s->segment_size) {
		(void)unlinkat(l->s->dir, name, 0);
		return ERR_OK;
	}
	return spool_free_push(l->s, number);
}

static enum err free_unbegun(struct loader *l, const char *name,
			     uint32_t number)
{
	char to[SEGMENT_NAME_LEN];

	segment_name(SEGMENT_FREE, number, to);
	if (renameat(l->s->dir, name, l->s->dir, to) != 0)
		return fail(l, ERR_IO, "cannot rename %s: %s", name,
			    strerror(errno));
	return load_free(l, to, number);
}

/* The head is of another number. A segment that was recycled when the power
 * went may have its new head under its old name, but no record yet; with
 * records it is a file that someone renamed. */
static enum err other_number(struct loader *l, const char *name,
			     uint32_t number, int fd, off_t size,
			     const struct facts *f)
{
	struct segment_place at = {.number = f->number, .size = (uint32_t)size};
	struct segment_extent x;

	memcpy(at.spool_id, f->spool_id, sizeof(at.spool_id));
	segment_walk(fd, &at, at.size, &x);
	if (!x.any && f->number > number) {
		if (f->number > l->max_number)
			l->max_number = f->number;
		return free_unbegun(l, name, number);
	}
	return fail(l, ERR_INVAL,
		    "%s holds segment %08x: give it back its name, "
		    "segment-%08x.spool",
		    name, f->number, f->number);
}

static enum err take_segment(struct loader *l, const char *name,
			     uint32_t number, int fd, off_t size)
{
	struct facts f;
	enum err e;

	read_facts(fd, size, name, &f);
	if (!f.any)
		return free_unbegun(l, name, number);
	e = check_facts(l, name, &f);
	if (e != ERR_OK)
		return e;
	if (f.number != number)
		return other_number(l, name, number, fd, size, &f);
	e = keep_segment(l, fd, size, &f);
	return e == ERR_AGAIN ? free_unbegun(l, name, number) : e;
}

static bool size_good(const struct spool *s, off_t size)
{
	return size % RECORD_PAGE == 0 && size >= 2 * RECORD_PAGE &&
	       size <= UINT32_MAX && s->segment_size > 0;
}

static enum err load_segment(struct loader *l, const char *name,
			     uint32_t number)
{
	struct stat st;
	enum err e;
	int fd = openat(l->s->dir, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0) {
		e = fail(l, ERR_IO, "cannot open %s: %s", name,
			 strerror(errno));
	} else {
		/* A file that was cut off is read as far as it goes. */
		st.st_size -= st.st_size % RECORD_PAGE;
		if (size_good(l->s, st.st_size))
			e = take_segment(l, name, number, fd, st.st_size);
		else
			e = free_unbegun(l, name, number);
	}
	if (fd >= 0)
		(void)close(fd);
	return e;
}

static enum err load_file(struct loader *l, const char *name)
{
	enum segment_state state;
	uint32_t number;

	if (!segment_parse(name, &state, &number))
		return ERR_OK;
	if (number > l->max_number)
		l->max_number = number;
	switch (state) {
	case SEGMENT_NEW:
		(void)unlinkat(l->s->dir, name, 0);
		return ERR_OK;
	case SEGMENT_FREE:
		return load_free(l, name, number);
	case SEGMENT_NAMED:
		return load_segment(l, name, number);
	}
	return ERR_OK;
}

static enum err load_files(struct loader *l)
{
	DIR *names = opendir(l->s->path);
	const struct dirent *name;
	enum err e = ERR_OK;

	if (names == NULL)
		return fail(l, ERR_IO, "cannot list %.150s: %s", l->s->path,
			    strerror(errno));
	errno = 0;
	while (e == ERR_OK && (name = readdir(names)) != NULL) {
		e = load_file(l, name->d_name);
		errno = 0;
	}
	if (e == ERR_OK && errno != 0)
		e = fail(l, ERR_IO, "cannot list %.150s: %s", l->s->path,
			 strerror(errno));
	(void)closedir(names);
	return e;
}

/* ---- sequences and key ------------------------------------------------------
 */

/* The newest segment is walked whole: nothing was written after it. */
static enum err find_end(struct loader *l)
{
	struct spool *s = l->s;
	struct segment *g;
	struct segment_place at;

	if (s->n_segments == 0)
		return ERR_OK;
	g = s->segments[s->n_segments - 1];
	if (spool_segment_hold(s, g) != ERR_OK)
		return fail(l, ERR_IO, "cannot open segment %08x", g->number);
	at = spool_segment_place(s, g);
	segment_walk(g->fd, &at, g->size, &l->extent);
	spool_segment_drop(s, g);
	l->newest = g;
	if (l->extent.last > l->max_sequence)
		l->max_sequence = l->extent.last;
	return ERR_OK;
}

static enum err load_key(struct loader *l, const char *key_path)
{
	struct spool *s = l->s;
	char path[4096], have[SEAL_KEY_ID_TEXT], want[SEAL_KEY_ID_TEXT];
	char why[SEAL_WHY_LEN];
	enum err e;

	if (key_path != NULL)
		(void)snprintf(path, sizeof(path), "%s", key_path);
	else
		(void)snprintf(path, sizeof(path), "%s/data.key", s->path);
	e = seal_key_open(path, !l->have_id, &s->key, why);
	if (e == ERR_NOKEY && l->have_id && access(path, F_OK) != 0)
		return fail(l, e,
			    "the data key %.90s is missing; what is in the "
			    "spool is sealed with key %s: restore it from a "
			    "backup",
			    path, seal_key_id_text(l->key_id, want));
	if (e != ERR_OK)
		return fail(l, e, "%s", why);
	if (l->have_id &&
	    memcmp(seal_key_id(s->key), l->key_id, SEAL_KEY_ID_LEN) != 0)
		return fail(l, ERR_NOKEY,
			    "the data key %.90s is key %s, but the spool is "
			    "sealed with key %s: restore that one",
			    path, seal_key_id_text(seal_key_id(s->key), have),
			    seal_key_id_text(l->key_id, want));
	return ERR_OK;
}

enum err spool_load(struct spool *s, const struct spool_options *o,
		    char why[SPOOL_WHY_LEN])
{
	struct loader l = {.s = s, .why = why};
	enum err e = open_directory(&l);

	if (e == ERR_OK)
		e = load_files(&l);
	if (e == ERR_OK)
		e = find_end(&l);
	if (e == ERR_OK)
		e = load_key(&l, o->key_path);
	if (e == ERR_OK && !l.have_id &&
	    seal_random(s->id, sizeof(s->id)) != ERR_OK)
		e = fail(&l, ERR_IO, "no random numbers to be had");
	if (e == ERR_NOMEM)
		return fail(&l, e, "out of memory");
	if (e != ERR_OK)
		return e;
	s->epoch = l.max_epoch + 1;
	s->next_number = l.max_number + 1;
	s->loaded = l.max_sequence;
	s->durable = l.max_sequence;
	s->writer.sequence = l.max_sequence + 1;
	if (l.have_id) /* no number is ever given out twice */
		s->writer.sequence += SEQUENCE_SLACK;
	s->writer.epoch = s->epoch;
	if (l.newest == NULL ||
	    (l.extent.partial_from == 0 && !l.extent.partial))
		return ERR_OK;
	e = spool_partial_load(s, l.newest, &l.extent);
	if (e != ERR_OK)
		return fail(&l, e, "out of memory for unfinished transfers");
	return ERR_OK;
}
