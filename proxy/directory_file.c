#include "proxy/directory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/dicom/identify.h"
#include "proxy/dicom/part10.h"
#include "proxy/directory.h"
#include "proxy/lib/mem.h"

/* What is being written. */
struct file {
	const struct directory_file *env;
	struct task *task;
	int base; /* the directory; -1 */
	int fd;   /* the temporary file; -1 */
	char part[64];
	uint8_t *chunk; /* CHUNK_LEN bytes */
	uint64_t written;
	struct identify identify;
	bool more; /* identify wants more */
	struct identity who;
	enum failure fail;
	int error; /* errno of it, or 0 */
};

static bool fail_with(struct file *f, enum failure why, int error)
{
	f->fail = why;
	f->error = error;
	return false;
}

static bool fail_errno(struct file *f)
{
	switch (errno) {
	case ENOSPC:
	case EDQUOT:
		return fail_with(f, FAIL_DIRECTORY_FULL, errno);
	case EACCES:
	case EPERM:
	case EROFS:
	case ENOENT:
	case ENOTDIR:
		return fail_with(f, FAIL_DIRECTORY_DENIED, errno);
	default:
		return fail_with(f, FAIL_DIRECTORY_IO, errno);
	}
}

static bool write_all(struct file *f, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(f->fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return fail_errno(f);
		p += k;
		n -= (size_t)k;
	}
	return true;
}

/* ---- places ------------------------------------------------------------ */

struct question {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool done;
	enum err e;
	struct task *task;
	uint32_t n;
};

static void on_places(void *arg, enum err e, const struct place *places,
		      size_t n)
{
	struct question *q = arg;

	pthread_mutex_lock(&q->lock);
	q->e = e;
	q->n = n <= LEDGER_PLACES_MAX ? (uint32_t)n : 0;
	if (e == ERR_OK)
		memcpy(q->task->places, places, q->n * sizeof(places[0]));
	q->done = true;
	pthread_cond_signal(&q->answered);
	pthread_mutex_unlock(&q->lock);
}

static enum err ask_places(struct file *f, uint32_t first)
{
	struct task *t = f->task;
	uint32_t left = t->item.chunks - first;
	struct question q = {.lock = PTHREAD_MUTEX_INITIALIZER,
			     .answered = PTHREAD_COND_INITIALIZER,
			     .task = t};
	enum err e;

	if (t->places == NULL)
		t->places = mem_zarray(LEDGER_PLACES_MAX, sizeof(*t->places));
	if (t->places == NULL)
		return ERR_NOMEM;
	e = ledger_places(f->env->ledger, t->item.seq, first,
			  left < LEDGER_PLACES_MAX ? left : LEDGER_PLACES_MAX,
			  on_places, &q);
	if (e != ERR_OK)
		return e;
	pthread_mutex_lock(&q.lock);
	while (!q.done)
		pthread_cond_wait(&q.answered, &q.lock);
	pthread_mutex_unlock(&q.lock);
	if (q.e != ERR_OK)
		return q.e;
	t->places_first = first;
	t->n_places = q.n;
	return q.n > 0 ? ERR_OK : ERR_NOTFOUND;
}

static enum err read_at(struct file *f, uint32_t index, bool fresh, size_t *len)
{
	struct task *t = f->task;
	struct place place = t->item.first;
	bool known =
	    index >= t->places_first && index - t->places_first < t->n_places;

	if (fresh || (!known && index > 0)) {
		enum err e = ask_places(f, index);

		if (e != ERR_OK)
			return e;
		known = true;
	}
	if (known)
		place = t->places[index - t->places_first];
	return spool_read_chunk(f->env->spool, place, &t->item.transfer, index,
				f->chunk, len);
}

/* Compaction may have moved the record: once more with fresh places. */
static enum err read_chunk(struct file *f, uint32_t index, size_t *len)
{
	enum err e = read_at(f, index, false, len);

	if (e == ERR_CORRUPT || e == ERR_NOTFOUND || e == ERR_IO)
		e = read_at(f, index, true, len);
	return e;
}

/* ---- content ----------------------------------------------------------- */

static bool write_head(struct file *f)
{
	const struct ledger_item *li = &f->task->item;
	uint8_t bytes[PART10_META_MAX];
	struct wr w = wr_init(bytes, sizeof(bytes));
	struct part10_meta meta = {0};

	(void)snprintf(meta.sop_class, sizeof(meta.sop_class), "%s",
		       li->sop_class);
	(void)snprintf(meta.sop_instance, sizeof(meta.sop_instance), "%s",
		       li->sop_instance);
	(void)snprintf(meta.transfer_syntax, sizeof(meta.transfer_syntax), "%s",
		       li->transfer_syntax);
	(void)snprintf(meta.impl_version, sizeof(meta.impl_version), "%s",
		       UID_OUR_VERSION);
	(void)snprintf(meta.source_ae, sizeof(meta.source_ae), "%s",
		       li->calling_ae);
	if (part10_meta_encode(&meta, &w) != ERR_OK)
		return fail_with(f, FAIL_UNSENDABLE, 0);
	return write_all(f, bytes, w.len);
}

static bool write_data(struct file *f)
{
	for (uint32_t i = 0; i < f->task->item.chunks; i++) {
		size_t len = 0;
		enum err e;

		if (atomic_load(f->env->stop))
			return fail_with(f, FAIL_STOPPED, 0);
		e = read_chunk(f, i, &len);
		if (e != ERR_OK)
			return fail_with(
			    f, e == ERR_CORRUPT ? FAIL_CORRUPT : FAIL_READ, 0);
		if (f->more)
			f->more = identify_feed(&f->identify, f->chunk, len);
		if (!write_all(f, f->chunk, len))
			return false;
		f->written += len;
	}
	if (f->written != f->task->item.length)
		return fail_with(f, FAIL_CORRUPT, 0);
	return true;
}

/* ---- into place -------------------------------------------------------- */

/* The directory called name in at, made when missing; at is closed. -1. */
static int enter(struct file *f, int at, const char *name)
{
	int fd;

	if (mkdirat(at, name, 0750) == 0) {
		(void)fsync(at);
	} else if (errno != EEXIST) {
		(void)fail_errno(f);
		(void)close(at);
		return -1;
	}
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		(void)fail_errno(f);
	(void)close(at);
	return fd;
}

static bool place_file(struct file *f)
{
	const struct ledger_item *li = &f->task->item;
	char name[DIRECTORY_NAME_LEN], leaf[DIRECTORY_NAME_LEN + 4];
	int fd = fcntl(f->base, F_DUPFD_CLOEXEC, 0);
	bool ok;

	if (fd < 0)
		return fail_errno(f);
	fd = enter(f, fd, directory_name(f->who.study, &li->transfer, name));
	if (fd < 0)
		return false;
	fd = enter(f, fd, directory_name(f->who.series, &li->transfer, name));
	if (fd < 0)
		return false;
	directory_name(li->sop_instance, &li->transfer, name);
	(void)snprintf(leaf, sizeof(leaf), "%s.dcm", name);
	ok = renameat(f->base, f->part, fd, leaf) == 0 && fsync(fd) == 0;
	if (!ok)
		(void)fail_errno(f);
	(void)close(fd);
	return ok;
}

static bool open_part(struct file *f)
{
	char id[TRANSFER_TEXT_LEN];

	f->base = open(f->env->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->base < 0)
		return fail_errno(f);
	(void)snprintf(f->part, sizeof(f->part), DIRECTORY_PART "%s",
		       transfer_id_text(&f->task->item.transfer, id));
	f->fd =
	    openat(f->base, f->part,
		   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (f->fd < 0)
		return fail_errno(f);
	f->chunk = mem_zalloc(CHUNK_LEN);
	return f->chunk != NULL || fail_with(f, FAIL_NO_MEMORY, 0);
}

static bool write_file(struct file *f)
{
	enum ts_kind kind = uid_ts_kind(f->task->item.transfer_syntax);
	bool ok;

	if (!open_part(f))
		return false;
	identify_init(&f->identify, kind);
	f->more = true;
	ok = write_head(f) && write_data(f);
	identify_end(&f->identify, &f->who);
	if (!ok)
		return false;
	if (fdatasync(f->fd) != 0)
		return fail_errno(f);
	return place_file(f);
}

static void tidy(struct file *f, bool ok)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	if (!ok && f->fd >= 0)
		(void)unlinkat(f->base, f->part, 0);
	if (f->base >= 0)
		(void)close(f->base);
	mem_free(f->chunk);
	mem_free(f->task->places);
	f->task->places = NULL;
	mem_wipe(&f->who, sizeof(f->who));
}

void directory_file_write(const struct directory_file *env, struct task *t)
{
	struct file f = {.env = env, .task = t, .base = -1, .fd = -1};
	bool ok = write_file(&f);

	tidy(&f, ok);
	t->end = TASK_ANSWERED;
	t->verdict = ok ? outcome_of_status(0) : outcome_of_failure(f.fail);
	t->detail[0] = '\0';
	if (!ok && f.error != 0)
		(void)snprintf(t->detail, sizeof(t->detail), "%s",
			       strerror(f.error));
}
