#include "store/segment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/mem.h"

enum {
	ZERO_PIECE = 1024 * 1024,  /* bytes written at once */
	PAUSE_US = 4000,           /* between pieces, without hurry */
	PAUSE_LONG_US = 100000,    /* and while others flush */
	RESYNC_PIECE = 256 * 1024, /* bytes looked through at once */
};

static const char *const prefixes[] = {
    [SEGMENT_NEW] = "new-",
    [SEGMENT_FREE] = "free-",
    [SEGMENT_NAMED] = "segment-",
};

char *segment_name(enum segment_state state, uint32_t number,
		   char out[SEGMENT_NAME_LEN])
{
	(void)snprintf(out, SEGMENT_NAME_LEN, "%s%08x.spool", prefixes[state],
		       number);
	return out;
}

static bool parse_number(const char *s, uint32_t *number)
{
	uint32_t n = 0;

	for (int i = 0; i < 8; i++) {
		char c = s[i];

		if (c >= '0' && c <= '9')
			n = n << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			n = n << 4 | (uint32_t)(c - 'a' + 10);
		else
			return false;
	}
	*number = n;
	return strcmp(s + 8, ".spool") == 0;
}

bool segment_parse(const char *name, enum segment_state *state,
		   uint32_t *number)
{
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		size_t n = strlen(prefixes[i]);

		if (strncmp(name, prefixes[i], n) != 0)
			continue;
		*state = (enum segment_state)i;
		return parse_number(name + n, number);
	}
	return false;
}

enum err segment_errno(int number)
{
	if (number == ENOSPC || number == EDQUOT || number == EFBIG)
		return ERR_NOSPACE;
	return ERR_IO;
}

static enum err write_all(int fd, const uint8_t *p, size_t n, off_t at)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return segment_errno(done < 0 ? errno : ENOSPC);
		p += done;
		n -= (size_t)done;
		at += done;
	}
	return ERR_OK;
}

static bool canceled(const struct segment_pace *pace)
{
	return atomic_load(&pace->stop) || atomic_load(&pace->spare);
}

static void rest(const struct segment_pace *pace, unsigned *work)
{
	unsigned now = atomic_load(&pace->work);

	if (!atomic_load(&pace->hurry))
		(void)usleep(now == *work ? PAUSE_US : PAUSE_LONG_US);
	*work = now;
}

/* Each piece goes to the disk before the next one is written, so that other
 * flushes do not wait behind a whole segment of zeros. */
static enum err write_zeros(int fd, size_t size,
			    const struct segment_pace *pace)
{
	uint8_t *zeros = mem_zalloc(ZERO_PIECE);
	unsigned work = atomic_load(&pace->work);
	enum err e = ERR_OK;

	if (zeros == NULL)
		return ERR_NOMEM;
	for (size_t at = 0; at < size && e == ERR_OK; at += ZERO_PIECE) {
		size_t n = size - at < ZERO_PIECE ? size - at : ZERO_PIECE;

		if (canceled(pace))
			e = ERR_CANCELED;
		else
			e = write_all(fd, zeros, n, (off_t)at);
		(void)sync_file_range(fd, (off_t)at, (off_t)n,
				      SYNC_FILE_RANGE_WAIT_BEFORE |
					  SYNC_FILE_RANGE_WRITE |
					  SYNC_FILE_RANGE_WAIT_AFTER);
		rest(pace, &work);
	}
	mem_free(zeros);
	return e;
}

static enum err fill_new(int fd, size_t size, const struct segment_pace *pace)
{
	enum err e;

	if (fallocate(fd, 0, 0, (off_t)size) != 0 && errno != EOPNOTSUPP)
		return segment_errno(errno);
	e = write_zeros(fd, size, pace);
	if (e == ERR_OK && fsync(fd) != 0)
		e = segment_errno(errno);
	return e;
}

enum err segment_create(int dir, uint32_t number, size_t size,
			const struct segment_pace *pace)
{
	char making[SEGMENT_NAME_LEN], made[SEGMENT_NAME_LEN];
	enum err e;
	int fd;

	segment_name(SEGMENT_NEW, number, making);
	segment_name(SEGMENT_FREE, number, made);
	fd = openat(dir, making, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return segment_errno(errno);
	e = fill_new(fd, size, pace);
	if (close(fd) != 0 && e == ERR_OK)
		e = segment_errno(errno);
	if (e == ERR_OK && renameat(dir, making, dir, made) != 0)
		e = segment_errno(errno);
	if (e != ERR_OK)
		(void)unlinkat(dir, making, 0);
	return e;
}

static enum err write_head(int fd, const struct segment_head *h)
{
	uint8_t page[RECORD_PAGE];
	enum err e;

	segment_head_encode(h, page);
	e = write_all(fd, page, sizeof(page), 0);
	if (e == ERR_OK && fdatasync(fd) != 0)
		e = segment_errno(errno);
	return e;
}

enum err segment_begin(int dir, uint32_t free_number,
		       const struct segment_head *h, int *fd)
{
	char from[SEGMENT_NAME_LEN], to[SEGMENT_NAME_LEN];
	enum err e;

	segment_name(SEGMENT_FREE, free_number, from);
	segment_name(SEGMENT_NAMED, h->number, to);
	*fd = openat(dir, from, O_RDWR | O_CLOEXEC);
	if (*fd < 0)
		return segment_errno(errno);
	e = write_head(*fd, h);
	if (e == ERR_OK && renameat(dir, from, dir, to) != 0)
		e = segment_errno(errno);
	if (e == ERR_OK && fsync(dir) != 0)
		e = segment_errno(errno);
	if (e != ERR_OK)
		(void)close(*fd);
	return e;
}

static bool read_all(int fd, uint8_t *p, size_t n, off_t at)
{
	while (n > 0) {
		ssize_t got = pread(fd, p, n, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
		at += got;
	}
	return true;
}

static bool belongs(const struct segment_place *at, uint32_t offset,
		    const struct record_head *h)
{
	return memcmp(h->spool_id, at->spool_id, sizeof(h->spool_id)) == 0 &&
	       h->segment == at->number && h->offset == offset &&
	       record_span(h->payload_len) <= at->size - offset;
}

/* The copy that belongs here, the first one by preference. */
static bool find_head(const struct segment_place *at, uint32_t offset,
		      const uint8_t page[RECORD_PAGE], struct record_head *out,
		      size_t *copy)
{
	for (*copy = 0; *copy <= RECORD_COPY; *copy += RECORD_COPY)
		if (record_head_decode(page + *copy, out) == ERR_OK &&
		    belongs(at, offset, out))
			return true;
	return false;
}

enum err segment_read_head(int fd, const struct segment_place *at,
			   uint32_t offset, uint8_t page[RECORD_PAGE],
			   struct record_head *out, size_t *copy)
{
	if (offset > at->size || at->size - offset < RECORD_PAGE)
		return ERR_NOTFOUND;
	if (!read_all(fd, page, RECORD_PAGE, (off_t)offset))
		return ERR_IO;
	return find_head(at, offset, page, out, copy) ? ERR_OK : ERR_NOTFOUND;
}

/* Look through one piece; its end when nothing is found. */
static uint32_t resync_piece(const struct segment_place *at, uint32_t from,
			     uint32_t n, const uint8_t *piece)
{
	for (uint32_t i = 0; n - i >= RECORD_PAGE; i += RECORD_PAGE) {
		struct record_head h;
		size_t copy;

		if (find_head(at, from + i, piece + i, &h, &copy))
			return from + i;
	}
	return from + n;
}

static uint32_t resync_page(int fd, const struct segment_place *at,
			    uint32_t from)
{
	uint8_t page[RECORD_PAGE];
	struct record_head h;
	size_t copy;

	if (segment_read_head(fd, at, from, page, &h, &copy) == ERR_OK)
		return from;
	return from + RECORD_PAGE;
}

/* A piece that cannot be read as a whole is read page by page. */
uint32_t segment_resync(int fd, const struct segment_place *at, uint32_t from,
			uint32_t limit)
{
	uint8_t *piece = mem_zalloc(RESYNC_PIECE);

	assert(limit <= at->size);
	if (from > limit)
		from = limit;
	while (from < limit && limit - from >= RECORD_PAGE) {
		uint32_t n = limit - from;
		uint32_t end, found;

		n = n < RESYNC_PIECE ? n / RECORD_PAGE * RECORD_PAGE
				     : RESYNC_PIECE;
		if (piece == NULL || !read_all(fd, piece, n, (off_t)from)) {
			end = from + RECORD_PAGE;
			found = resync_page(fd, at, from);
		} else {
			end = from + n;
			found = resync_piece(at, from, n, piece);
		}
		from = found;
		if (found < end)
			break;
	}
	mem_free(piece);
	return limit - from >= RECORD_PAGE ? from : limit;
}

void segment_walk(int fd, const struct segment_place *at, uint32_t limit,
		  struct segment_extent *out)
{
	uint8_t page[RECORD_PAGE];
	struct record_head h;
	uint32_t offset = RECORD_PAGE;
	size_t copy;

	memset(out, 0, sizeof(*out));
	while (offset < limit) {
		if (segment_read_head(fd, at, offset, page, &h, &copy) !=
		    ERR_OK) {
			offset =
			    segment_resync(fd, at, offset + RECORD_PAGE, limit);
			continue;
		}
		if (!out->any)
			out->head = h;
		out->any = true;
		if (h.sequence > out->last) {
			out->last = h.sequence;
			out->partial_from = h.partial_from;
		}
		if (h.flags & RECORD_PARTIAL)
			out->partial = true;
		if (h.flushed > out->flushed)
			out->flushed = h.flushed;
		out->repaired += copy != 0;
		offset += record_span(h.payload_len);
		out->end = offset;
	}
}
