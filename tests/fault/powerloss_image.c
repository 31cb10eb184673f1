/* The disk as the log allows it at a moment.
 *
 * Everything recorded before the beginning of a flush that has ended is there.
 * Of what was recorded later, each file has nothing, everything, the first
 * calls (the last of them torn), whole calls at random, or sectors of 512 bytes
 * or pages of 4 KiB at random. Of names changed later, none, all, the first
 * ones, or some at random are changed. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "tests/fault/powerloss.h"
#include "tests/fault/powerloss_log.h"

enum { TICKETS = 16, NAME_LEN = 64, NAMES = 256 };

struct pending { /* a grown array of entry numbers */
	uint32_t *at;
	size_t n, room;
	/* Flushes begun: ticket, and how many calls it covers. */
	struct {
		uint64_t ticket;
		size_t covers;
	} tickets[TICKETS];
};

struct content {
	uint8_t *bytes;
	size_t size, room;
};

struct file {
	struct content durable;
	struct pending pending;
};

struct name {
	char path[NAME_LEN];
	uint32_t file;
};

struct names {
	struct name at[NAMES];
	size_t n;
};

struct image {
	const uint8_t *log;
	size_t log_len;
	const struct powerloss_entry **entries;
	size_t n_entries, now;
	struct file *files; /* by number */
	size_t n_files;
	struct names durable;
	struct pending names;
	uint8_t *state; /* of an instance: enum powerloss_event */
	size_t n_states;
};

static void *grown(void *p, size_t *room, size_t need, size_t size)
{
	size_t n = *room > 0 ? *room : 16;

	while (n < need)
		n *= 2;
	if (n == *room)
		return p;
	p = mem_realloc(p, n * size);
	if (p == NULL)
		powerloss_fail("out of memory");
	memset((uint8_t *)p + *room * size, 0, (n - *room) * size);
	*room = n;
	return p;
}

/* ---- the log
 * ------------------------------------------------------------------ */

static const char *path_of(const struct powerloss_entry *e)
{
	return (const char *)(e + 1);
}

static const char *other_of(const struct powerloss_entry *e)
{
	return path_of(e) + e->path_len;
}

static const uint8_t *data_of(const struct powerloss_entry *e)
{
	return (const uint8_t *)other_of(e) + e->other_len;
}

static size_t entry_size(const struct powerloss_entry *e)
{
	bool has_data = e->op == POWERLOSS_WRITE || e->op == POWERLOSS_MARK;

	return sizeof(*e) + e->path_len + e->other_len +
	       (has_data ? (size_t)e->len : 0);
}

/* Entries are copied out: they stand at any address in the log. */
static void index_log(struct image *im)
{
	size_t at = 0, room = 0, files = 0;

	while (im->log_len - at >= sizeof(struct powerloss_entry)) {
		struct powerloss_entry head, *e;
		size_t n;

		memcpy(&head, im->log + at, sizeof(head));
		n = entry_size(&head);
		if (n > im->log_len - at)
			break;
		e = mem_realloc(NULL, n);
		if (e == NULL)
			powerloss_fail("out of memory");
		memcpy(e, im->log + at, n);
		im->entries = grown(im->entries, &room, im->n_entries + 1,
				    sizeof(*im->entries));
		im->entries[im->n_entries++] = e;
		if (e->file > files)
			files = e->file;
		at += n;
	}
	im->n_files = files + 1;
	im->files = mem_zarray(im->n_files, sizeof(*im->files));
	if (im->files == NULL)
		powerloss_fail("out of memory");
}

struct image *image_open(const char *log_path)
{
	struct image *im = mem_zalloc(sizeof(*im));
	struct stat st;
	int fd = open(log_path, O_RDONLY);

	if (im == NULL || fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
		powerloss_fail("cannot read %s", log_path);
	im->log_len = (size_t)st.st_size;
	im->log = mmap(NULL, im->log_len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (im->log == MAP_FAILED)
		powerloss_fail("cannot map %s", log_path);
	index_log(im);
	(void)munmap((void *)(uintptr_t)im->log, im->log_len);
	(void)close(fd);
	return im;
}

void image_close(struct image *im)
{
	for (size_t i = 0; i < im->n_files; i++) {
		mem_free(im->files[i].durable.bytes);
		mem_free(im->files[i].pending.at);
	}
	for (size_t i = 0; i < im->n_entries; i++)
		mem_free((void *)(uintptr_t)im->entries[i]);
	mem_free(im->entries);
	mem_free(im->files);
	mem_free(im->names.at);
	mem_free(im->state);
	mem_free(im);
}

size_t image_entries(const struct image *im)
{
	return im->n_entries;
}

/* ---- applying calls
 * -------------------------------------------------------------- */

static void set_size(struct content *c, size_t size)
{
	c->bytes = grown(c->bytes, &c->room, size, 1);
	if (size < c->size)
		memset(c->bytes + size, 0, c->size - size);
	c->size = size;
}

/* Bytes from..to of a write. */
static void apply_part(struct content *c, const struct powerloss_entry *e,
		       size_t from, size_t to)
{
	size_t at = (size_t)e->offset + from;

	if (to > e->len)
		to = (size_t)e->len;
	if (from >= to)
		return;
	if (at + (to - from) > c->size)
		set_size(c, at + (to - from));
	if (e->op == POWERLOSS_ZERO)
		memset(c->bytes + at, 0, to - from);
	else
		memcpy(c->bytes + at, data_of(e) + from, to - from);
}

static void apply(struct content *c, const struct powerloss_entry *e)
{
	if (e->op == POWERLOSS_SIZE)
		set_size(c, (size_t)e->offset);
	else
		apply_part(c, e, 0, (size_t)e->len);
}

static struct name *find_name(struct names *n, const char *path)
{
	for (size_t i = 0; i < n->n; i++)
		if (strcmp(n->at[i].path, path) == 0)
			return &n->at[i];
	return NULL;
}

static void drop_name(struct names *n, const char *path)
{
	struct name *at = find_name(n, path);

	if (at != NULL)
		*at = n->at[--n->n];
}

static void set_name(struct names *n, const char *path, uint32_t file)
{
	struct name *at = find_name(n, path);

	if (at == NULL) {
		if (n->n == NAMES || strlen(path) >= NAME_LEN)
			powerloss_fail("too many names, or one too long");
		at = &n->at[n->n++];
		(void)snprintf(at->path, sizeof(at->path), "%s", path);
	}
	at->file = file;
}

static void apply_name(struct names *n, const struct powerloss_entry *e)
{
	const struct name *from = find_name(n, path_of(e));
	uint32_t file = from != NULL ? from->file : 0;

	if (e->op == POWERLOSS_CREATE)
		set_name(n, path_of(e), e->file);
	else if (e->op == POWERLOSS_UNLINK || e->op == POWERLOSS_RENAME)
		drop_name(n, path_of(e));
	/* What was never created here cannot be renamed. */
	if (file != 0 && (e->op == POWERLOSS_RENAME || e->op == POWERLOSS_LINK))
		set_name(n, other_of(e), file);
}

/* ---- going forward
 * ------------------------------------------------------------------ */

static void add_pending(struct pending *p, size_t entry)
{
	p->at = grown(p->at, &p->room, p->n + 1, sizeof(*p->at));
	p->at[p->n++] = (uint32_t)entry;
}

static void begin_flush(struct pending *p, uint64_t ticket)
{
	for (unsigned i = 0; i < TICKETS; i++) {
		if (p->tickets[i].ticket != 0)
			continue;
		p->tickets[i].ticket = ticket;
		p->tickets[i].covers = p->n;
		return;
	}
	powerloss_fail("too many flushes at once");
}

/* How many calls this flush has made durable; they leave the array. */
static size_t end_flush(struct pending *p, uint64_t ticket)
{
	for (unsigned i = 0; i < TICKETS; i++)
		if (p->tickets[i].ticket == ticket) {
			p->tickets[i].ticket = 0;
			return p->tickets[i].covers;
		}
	powerloss_fail("a flush ended that never began");
}

static void drop_pending(struct pending *p, size_t n)
{
	memmove(p->at, p->at + n, (p->n - n) * sizeof(*p->at));
	p->n -= n;
	for (unsigned i = 0; i < TICKETS; i++)
		p->tickets[i].covers -=
		    n < p->tickets[i].covers ? n : p->tickets[i].covers;
}

static void flushed(struct image *im, const struct powerloss_entry *e)
{
	bool names = e->file == 0;
	struct pending *p = names ? &im->names : &im->files[e->file].pending;
	size_t n = end_flush(p, e->offset);

	for (size_t i = 0; i < n; i++) {
		const struct powerloss_entry *call = im->entries[p->at[i]];

		if (names)
			apply_name(&im->durable, call);
		else
			apply(&im->files[e->file].durable, call);
	}
	drop_pending(p, n);
}

static void take_note(struct image *im, const struct powerloss_entry *e)
{
	struct powerloss_note note;

	memcpy(&note, data_of(e), sizeof(note));
	im->state = grown(im->state, &im->n_states, note.instance + 1, 1);
	/* The tail may see it, and give it up, before on_done() is through. */
	if (note.event > im->state[note.instance])
		im->state[note.instance] = (uint8_t)note.event;
}

static void step(struct image *im, size_t i)
{
	const struct powerloss_entry *e = im->entries[i];

	switch ((enum powerloss_op)e->op) {
	case POWERLOSS_CREATE:
	case POWERLOSS_RENAME:
	case POWERLOSS_LINK:
	case POWERLOSS_UNLINK:
		add_pending(&im->names, i);
		break;
	case POWERLOSS_SIZE:
	case POWERLOSS_WRITE:
	case POWERLOSS_ZERO:
		add_pending(&im->files[e->file].pending, i);
		break;
	case POWERLOSS_FLUSH_BEGIN:
		begin_flush(e->file == 0 ? &im->names
					 : &im->files[e->file].pending,
			    e->offset);
		break;
	case POWERLOSS_FLUSH_END:
		flushed(im, e);
		break;
	case POWERLOSS_MARK:
		take_note(im, e);
		break;
	}
}

void image_advance(struct image *im, size_t n)
{
	while (im->now < n)
		step(im, im->now++);
}

struct powerloss_acked image_acked(const struct image *im)
{
	struct powerloss_acked a = {.n = 0};

	a.at = mem_zarray(im->n_states + 1, sizeof(*a.at));
	if (a.at == NULL)
		powerloss_fail("out of memory");
	for (size_t i = 0; i < im->n_states; i++)
		if (im->state[i] == POWERLOSS_ACKED)
			a.at[a.n++] = (uint32_t)i;
	return a;
}

/* ---- one possible directory
 * -------------------------------------------------------------- */

enum fate { NOTHING, ALL, FIRST, SOME, SECTORS, PAGES, FATES };

static bool coin(unsigned *seed)
{
	return rand_r(seed) % 2 == 0;
}

static void apply_sectors(struct content *c, const struct powerloss_entry *e,
			  size_t sector, unsigned *seed)
{
	if (e->op == POWERLOSS_SIZE) {
		if (coin(seed))
			apply(c, e);
		return;
	}
	for (size_t at = 0; at < e->len;) {
		size_t n = sector - (size_t)(e->offset + at) % sector;

		if (coin(seed))
			apply_part(c, e, at, at + n);
		at += n;
	}
}

static void apply_fate(struct content *c, const struct powerloss_entry *e,
		       enum fate fate, unsigned *seed)
{
	switch (fate) {
	case NOTHING:
	case FATES:
		break;
	case ALL:
	case FIRST:
		apply(c, e);
		break;
	case SOME:
		if (coin(seed))
			apply(c, e);
		break;
	case SECTORS:
		apply_sectors(c, e, 512, seed);
		break;
	case PAGES:
		apply_sectors(c, e, 4096, seed);
		break;
	}
}

static void write_content(const char *path, const struct content *c)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)c->size) != 0 ||
	    write(fd, c->bytes, c->size) != (ssize_t)c->size || close(fd) != 0)
		powerloss_fail("cannot write %s", path);
}

static void write_file(struct image *im, const char *path, uint32_t number,
		       unsigned *seed)
{
	const struct file *f = &im->files[number];
	enum fate fate = (enum fate)(rand_r(seed) % FATES);
	struct content c = {NULL, 0, 0};
	size_t n = f->pending.n;

	set_size(&c, f->durable.size);
	if (f->durable.size > 0)
		memcpy(c.bytes, f->durable.bytes, f->durable.size);
	if (fate == FIRST && n > 0)
		n = (size_t)rand_r(seed) % n;
	for (size_t i = 0; i < n; i++)
		apply_fate(&c, im->entries[f->pending.at[i]], fate, seed);
	if (fate == FIRST && n < f->pending.n) {
		const struct powerloss_entry *e = im->entries[f->pending.at[n]];

		if (e->op != POWERLOSS_SIZE)
			apply_part(&c, e, 0,
				   (size_t)rand_r(seed) % (e->len + 1));
	}
	write_content(path, &c);
	mem_free(c.bytes);
}

static void choose_names(struct image *im, struct names *out, unsigned *seed)
{
	enum fate fate = (enum fate)(rand_r(seed) % (SOME + 1));
	size_t n = im->names.n;

	*out = im->durable;
	if (fate == NOTHING)
		n = 0;
	else if (fate == FIRST && n > 0)
		n = (size_t)rand_r(seed) % n;
	for (size_t i = 0; i < n; i++)
		if (fate != SOME || coin(seed))
			apply_name(out, im->entries[im->names.at[i]]);
}

void image_write(struct image *im, const char *dir, unsigned *seed)
{
	struct names *names = mem_zalloc(sizeof(*names));
	char path[256];

	if (names == NULL)
		powerloss_fail("out of memory");
	choose_names(im, names, seed);
	for (size_t i = 0; i < names->n; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir,
			       names->at[i].path);
		write_file(im, path, names->at[i].file, seed);
	}
	mem_free(names);
}
