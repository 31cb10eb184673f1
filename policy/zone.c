/* Time zones from TZif files. */
#include "policy/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy/zone_rule.h"
#include "proxy/lib/mem.h"
#include "proxy/lib/rd.h"

enum {
	TYPES_MAX = 256,
	RESERVED_LEN = 15,
	TYPE_LEN = 6,
	OFFSET_MAX = 26 * 3600, /* RFC 9636 section 3.2 */
};

struct transition {
	int64_t at;
	int32_t offset; /* from then on */
};

struct zone {
	int32_t first; /* offset before all transitions */
	bool has_rule; /* after the last one */
	struct zone_rule rule;
	size_t n;
	struct transition v[];
};

/* ---- the file ---------------------------------------------------------- */

struct header {
	uint8_t version; /* 0, '2', '3', ... */
	uint32_t isut, isstd, leap, time, type, chars;
};

static bool read_header(struct rd *r, struct header *h)
{
	const uint8_t *magic = rd_bytes(r, 4);

	h->version = rd_u8(r);
	(void)rd_bytes(r, RESERVED_LEN);
	h->isut = rd_u32(r);
	h->isstd = rd_u32(r);
	h->leap = rd_u32(r);
	h->time = rd_u32(r);
	h->type = rd_u32(r);
	h->chars = rd_u32(r);
	return rd_ok(r) && memcmp(magic, "TZif", 4) == 0 && h->type > 0 &&
	       h->type <= TYPES_MAX && h->time <= ZONE_FILE_MAX &&
	       h->leap <= ZONE_FILE_MAX && h->chars <= ZONE_FILE_MAX &&
	       h->isut <= TYPES_MAX && h->isstd <= TYPES_MAX;
}

/* The parts of a data block; all counts are small by now. */
struct block {
	struct rd times, kinds, types;
};

static bool read_block(struct rd *r, const struct header *h, size_t width,
		       struct block *b)
{
	b->times = rd_sub(r, h->time * width);
	b->kinds = rd_sub(r, h->time);
	b->types = rd_sub(r, (size_t)h->type * TYPE_LEN);
	(void)rd_bytes(r, h->chars);
	(void)rd_bytes(r, h->leap * (width + 4));
	(void)rd_bytes(r, h->isstd);
	(void)rd_bytes(r, h->isut);
	return rd_ok(r);
}

static bool read_offsets(struct block *b, const struct header *h,
			 int32_t offsets[TYPES_MAX])
{
	for (uint32_t i = 0; i < h->type; i++) {
		offsets[i] = (int32_t)rd_u32(&b->types);
		(void)rd_bytes(&b->types, 2); /* daylight, name */
		if (offsets[i] < -OFFSET_MAX || offsets[i] > OFFSET_MAX)
			return false;
	}
	return true;
}

static enum err make_zone(struct block *b, const struct header *h, size_t width,
			  struct zone **out)
{
	int32_t offsets[TYPES_MAX];
	struct zone *z;

	if (!read_offsets(b, h, offsets))
		return ERR_INVAL;
	z = mem_zalloc(sizeof(*z) + h->time * sizeof(z->v[0]));
	if (z == NULL)
		return ERR_NOMEM;
	z->first = offsets[0];
	z->n = h->time;
	for (size_t i = 0; i < z->n; i++) {
		uint8_t kind = rd_u8(&b->kinds);

		z->v[i].at = width == 8 ? (int64_t)rd_u64(&b->times)
					: (int32_t)rd_u32(&b->times);
		if (kind >= h->type ||
		    (i > 0 && z->v[i].at <= z->v[i - 1].at)) {
			zone_free(z);
			return ERR_INVAL;
		}
		z->v[i].offset = offsets[kind];
	}
	*out = z;
	return ERR_OK;
}

/* "\nRULE\n"; an empty one is no rule. */
static bool read_rule(struct rd *r, struct zone *z)
{
	const uint8_t *end;
	size_t len;

	if (rd_u8(r) != '\n' || !rd_ok(r))
		return false;
	end = memchr(r->p, '\n', r->left);
	if (end == NULL)
		return false;
	len = (size_t)(end - r->p);
	if (len == 0)
		return true;
	z->has_rule = zone_rule_parse((const char *)r->p, len, &z->rule);
	return z->has_rule;
}

enum err zone_parse(const uint8_t *bytes, size_t len, struct zone **out)
{
	struct rd r = rd_init(bytes, len);
	struct header h;
	struct block b;
	size_t width = 4;
	struct zone *z;
	enum err e;

	if (len > ZONE_FILE_MAX || !read_header(&r, &h) ||
	    !read_block(&r, &h, width, &b))
		return ERR_INVAL;
	if (h.version >= '2') { /* the same again, with times of 64 bits */
		width = 8;
		if (!read_header(&r, &h) || !read_block(&r, &h, width, &b))
			return ERR_INVAL;
	}
	e = make_zone(&b, &h, width, &z);
	if (e != ERR_OK)
		return e;
	if (width == 8 && !read_rule(&r, z)) {
		zone_free(z);
		return ERR_INVAL;
	}
	*out = z;
	return ERR_OK;
}

void zone_free(struct zone *z)
{
	mem_free(z);
}

/* ---- finding the file -------------------------------------------------- */

bool zone_name_ok(const char *name)
{
	size_t len = strlen(name), n;

	if (len == 0 || len >= ZONE_NAME_LEN)
		return false;
	for (;;) {
		n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "abcdefghijklmnopqrstuvwxyz0123456789_+-");
		if (n == 0 || (name[n] != '/' && name[n] != '\0'))
			return false;
		if (name[n] == '\0')
			return true;
		name += n + 1;
	}
}

/* ERR_LIMIT: longer than size. */
static enum err read_all(int fd, uint8_t *buf, size_t size, size_t *len)
{
	*len = 0;
	for (;;) {
		ssize_t n = read(fd, buf + *len, size - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_IO;
		if (n == 0)
			return ERR_OK;
		*len += (size_t)n;
		if (*len == size)
			return ERR_LIMIT;
	}
}

static enum err load_file(const char *path, struct zone **out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *buf;
	size_t len;
	enum err e;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? ERR_NOTFOUND
							   : ERR_IO;
	buf = mem_zalloc(ZONE_FILE_MAX + 1);
	e = buf != NULL ? read_all(fd, buf, ZONE_FILE_MAX + 1, &len)
			: ERR_NOMEM;
	(void)close(fd);
	if (e == ERR_OK)
		e = zone_parse(buf, len, out);
	else if (e == ERR_LIMIT)
		e = ERR_INVAL;
	mem_free(buf);
	return e;
}

static enum err make_utc(struct zone **out)
{
	struct zone *z = mem_zalloc(sizeof(*z));

	if (z == NULL)
		return ERR_NOMEM;
	*out = z;
	return ERR_OK;
}

enum err zone_load(const char *name, struct zone **out)
{
	char path[sizeof(ZONE_DIRECTORY) + 1 + ZONE_NAME_LEN];
	enum err e;

	if (name[0] == '\0') {
		e = load_file("/etc/localtime", out);
		return e == ERR_NOTFOUND ? make_utc(out) : e;
	}
	if (!zone_name_ok(name))
		return ERR_NOTFOUND;
	(void)snprintf(path, sizeof(path), "%s/%s", ZONE_DIRECTORY, name);
	return load_file(path, out);
}

/* ---- asking ------------------------------------------------------------ */

/* How many transitions are at or before t. */
static size_t passed(const struct zone *z, int64_t t)
{
	size_t low = 0, high = z->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (z->v[mid].at <= t)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int32_t zone_offset(const struct zone *z, int64_t t)
{
	size_t n;

	if (z == NULL)
		return 0;
	n = passed(z, t);
	if (n == z->n && z->has_rule)
		return zone_rule_offset(&z->rule, t);
	return n > 0 ? z->v[n - 1].offset : z->first;
}

int64_t zone_next(const struct zone *z, int64_t t)
{
	size_t n;

	if (z == NULL)
		return INT64_MAX;
	n = passed(z, t);
	if (n < z->n)
		return z->v[n].at;
	return z->has_rule ? zone_rule_next(&z->rule, t) : INT64_MAX;
}
