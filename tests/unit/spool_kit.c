#include "tests/unit/spool_kit.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/lib/mem.h"

#define CHECK(x)                                                               \
	do {                                                                   \
		if (!(x)) {                                                    \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,     \
				#x);                                           \
			abort();                                               \
		}                                                              \
	} while (0)

char *kit_dir(char out[KIT_PATH_LEN])
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	(void)snprintf(out, KIT_PATH_LEN, "%s/culvert-test-XXXXXX", base);
	CHECK(mkdtemp(out) != NULL);
	return out;
}

typedef void file_fn(const char *path, const char *name, void *arg);

static void each_file(const char *dir, file_fn *fn, void *arg)
{
	char path[KIT_PATH_LEN + 256];
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort);

	CHECK(n >= 0);
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			(void)snprintf(path, sizeof(path), "%s/%s", dir,
				       names[i]->d_name);
			fn(path, names[i]->d_name, arg);
		}
		free(names[i]);
	}
	free(names);
}

static void remove_one(const char *path, const char *name, void *arg)
{
	(void)name;
	(void)arg;
	CHECK(remove(path) == 0);
}

void kit_remove(const char *dir)
{
	each_file(dir, remove_one, NULL);
	CHECK(rmdir(dir) == 0);
}

static void copy_one(const char *path, const char *name, void *arg)
{
	char to[KIT_PATH_LEN + 256];
	static uint8_t block[65536];
	struct stat st;
	ssize_t n;
	int in = open(path, O_RDONLY), out;

	(void)snprintf(to, sizeof(to), "%s/%s", (const char *)arg, name);
	if (in < 0 && errno == ENOENT)
		return; /* a spool at work renames and removes free files */
	CHECK(in >= 0 && fstat(in, &st) == 0);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC, st.st_mode & 0777);
	CHECK(out >= 0);
	while ((n = read(in, block, sizeof(block))) > 0)
		CHECK(write(out, block, (size_t)n) == n);
	CHECK(close(in) == 0 && close(out) == 0);
}

void kit_copy(const char *from, const char *to)
{
	each_file(from, copy_one, (void *)(uintptr_t)to);
}

struct nth {
	unsigned left;
	char *out;
};

static void find_segment(const char *path, const char *name, void *arg)
{
	struct nth *nth = arg;

	if (strncmp(name, "segment-", 8) != 0 || nth->out == NULL)
		return;
	if (nth->left-- > 0)
		return;
	(void)snprintf(nth->out, KIT_PATH_LEN, "%.127s", path);
	nth->out = NULL;
}

char *kit_segment_path(const char *dir, unsigned n, char out[KIT_PATH_LEN])
{
	struct nth nth = {.left = n, .out = out};

	each_file(dir, find_segment, &nth);
	CHECK(nth.out == NULL);
	return out;
}

void kit_flip(const char *path, long offset, unsigned bit)
{
	uint8_t b;
	int fd = open(path, O_RDWR);

	CHECK(fd >= 0 && pread(fd, &b, 1, offset) == 1);
	b ^= (uint8_t)(1u << bit);
	CHECK(pwrite(fd, &b, 1, offset) == 1 && close(fd) == 0);
}

struct spool_options kit_options(const char *dir)
{
	return (struct spool_options){
	    .path = dir,
	    .segment = KIT_SEGMENT,
	    .quota = 16 * KIT_SEGMENT,
	    .buffers = 8 * 1024 * 1024,
	    .outcome_ms = 5,
	};
}

struct spool *kit_open(const struct spool_options *o)
{
	char why[SPOOL_WHY_LEN];
	struct spool *s = NULL;

	if (spool_open(o, &s, why) != ERR_OK) {
		fprintf(stderr, "spool_open: %s\n", why);
		abort();
	}
	return s;
}

void kit_instance(unsigned n, struct instance *out)
{
	memset(out, 0, sizeof(*out));
	(void)snprintf(out->sop_instance, sizeof(out->sop_instance),
		       "1.2.826.0.1.3680043.10.1599.%u", n);
	(void)snprintf(out->patient_name, sizeof(out->patient_name),
		       "Test^Patient%u", n);
	(void)INSTANCE_SET(out->sop_class, "1.2.840.10008.5.1.4.1.1.2");
	(void)INSTANCE_SET(out->transfer_syntax, "1.2.840.10008.1.2.1");
	(void)INSTANCE_SET(out->device, "ct-room-2");
	(void)INSTANCE_SET(out->destinations[0], "cloud");
	out->n_destinations = 1;
	out->association = n;
	out->received_ms = 1700000000000 + n;
}

void kit_fill(uint8_t *p, size_t n, unsigned seed)
{
	uint32_t x = seed * 2654435761u + 12345u;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (uint8_t)(x >> 24);
	}
}

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done, writable;
	enum err e;
	struct instance stored;
};

static void on_done(void *arg, enum err e, const struct instance *stored)
{
	struct waiter *w = arg;

	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->e = e;
	w->stored = *stored;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static void on_writable(void *arg)
{
	struct waiter *w = arg;

	pthread_mutex_lock(&w->lock);
	w->writable = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static void wait_for(struct waiter *w, bool *flag)
{
	pthread_mutex_lock(&w->lock);
	while (!*flag)
		pthread_cond_wait(&w->cond, &w->lock);
	*flag = false;
	pthread_mutex_unlock(&w->lock);
}

static enum err put_all(struct spool_put *put, struct waiter *w,
			const uint8_t *p, size_t n)
{
	enum err e = ERR_OK;

	while (n > 0 && e == ERR_OK) {
		size_t now = n < 16384 ? n : 16384;

		e = spool_put_data(put, p, now);
		p += now;
		n -= now;
		if (e == ERR_OK && spool_put_full(put))
			wait_for(w, &w->writable);
	}
	return e;
}

enum err kit_put(struct spool *s, const struct instance *in, const uint8_t *p,
		 size_t n, struct instance *stored)
{
	struct waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER,
			   .cond = PTHREAD_COND_INITIALIZER};
	struct spool_put_events events = {
	    .on_writable = on_writable, .on_done = on_done, .arg = &w};
	struct spool_put *put;
	enum err e = spool_put_begin(s, in, &events, &put);

	if (e != ERR_OK)
		return e;
	e = put_all(put, &w, p, n);
	if (e != ERR_OK) {
		spool_put_abort(put);
		return e;
	}
	e = spool_put_finish(put, in);
	if (e != ERR_OK)
		return e;
	wait_for(&w, &w.done);
	if (stored != NULL)
		*stored = w.stored;
	return w.e;
}

static void keep(struct kit_records *out, const struct tail_record *r)
{
	out->at = mem_realloc(out->at, (out->n + 1) * sizeof(*out->at));
	CHECK(out->at != NULL);
	out->at[out->n++] = *r;
	if (r->n_outcomes == 0)
		return;
	out->outcomes =
	    mem_realloc(out->outcomes, (out->n_outcomes + r->n_outcomes) *
					   sizeof(*out->outcomes));
	CHECK(out->outcomes != NULL);
	memcpy(out->outcomes + out->n_outcomes, r->outcomes,
	       r->n_outcomes * sizeof(*out->outcomes));
	out->n_outcomes += r->n_outcomes;
}

void kit_tail(struct spool *s, uint64_t after, struct kit_records *out)
{
	struct tail_record *r = mem_zalloc(sizeof(*r));
	struct spool_tail *t;
	uint64_t last = after;
	enum err e;

	CHECK(r != NULL && spool_tail_open(s, after, &t) == ERR_OK);
	memset(out, 0, sizeof(*out));
	while ((e = spool_tail_next(t, r, 0)) == ERR_OK) {
		CHECK(r->sequence > last);
		last = r->sequence;
		keep(out, r);
	}
	CHECK(e == ERR_AGAIN);
	spool_tail_close(t);
	mem_free(r);
}

void kit_records_free(struct kit_records *r)
{
	mem_free(r->at);
	mem_free(r->outcomes);
}

const struct tail_record *kit_chunk(const struct kit_records *r,
				    const struct transfer_id *id,
				    uint32_t index)
{
	for (size_t i = r->n; i > 0; i--)
		if (r->at[i - 1].kind == TAIL_CHUNK &&
		    r->at[i - 1].index == index &&
		    transfer_id_equal(&r->at[i - 1].id, id))
			return &r->at[i - 1];
	return NULL;
}

const struct tail_record *kit_final(const struct kit_records *r, unsigned n)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->at[i].kind == TAIL_CHUNK && r->at[i].final &&
		    r->at[i].instance.association == n)
			return &r->at[i];
	return NULL;
}

enum err kit_verify(struct spool *s, const struct kit_records *r,
		    const struct instance *in, unsigned seed)
{
	uint8_t *want = mem_zalloc((size_t)in->length + 1);
	uint8_t *got = mem_zalloc(CHUNK_LEN);
	enum err e = ERR_OK;

	CHECK(want != NULL && got != NULL);
	kit_fill(want, (size_t)in->length, seed);
	for (uint32_t i = 0; i < in->chunks && e == ERR_OK; i++) {
		const struct tail_record *c = kit_chunk(r, &in->id, i);
		size_t len = 0;

		e = c == NULL
			? ERR_NOTFOUND
			: spool_read_chunk(s, c->place, &in->id, i, got, &len);
		if (e == ERR_OK &&
		    (len > in->length - (uint64_t)i * CHUNK_LEN ||
		     memcmp(got, want + (size_t)i * CHUNK_LEN, len) != 0))
			e = ERR_CORRUPT;
	}
	mem_free(want);
	mem_free(got);
	return e;
}
