/* directory.c - a lane whose instances become files: life and names. The file
 * itself is written by directory_file.c. */
#include "proxy/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/dicom/uid.h"
#include "proxy/directory_file.h"
#include "proxy/lib/mem.h"

struct directory {
	struct directory_env env;
	unsigned n; /* tasks at the pool or on their way back */
	atomic_bool stop;
	void (*closed)(void *arg);
	void *arg;
};

struct work {
	struct job job;
	struct msg msg;
	struct directory *directory;
	struct task *task;
};

/* ---- names ------------------------------------------------------------- */

/* A big-endian 128-bit number in decimal, after "0.". */
static void decimal_name(const struct transfer_id *id,
			 char out[DIRECTORY_NAME_LEN])
{
	uint8_t n[TRANSFER_ID_LEN];
	char digits[48];
	size_t at = sizeof(digits);
	bool more;

	memcpy(n, id->b, sizeof(n));
	digits[--at] = '\0';
	do { /* divide by ten */
		unsigned rest = 0;

		more = false;
		for (size_t i = 0; i < sizeof(n); i++) {
			unsigned v = rest << 8 | n[i];

			n[i] = (uint8_t)(v / 10);
			rest = v % 10;
			more = more || n[i] != 0;
		}
		digits[--at] = (char)('0' + rest);
	} while (more);
	(void)snprintf(out, DIRECTORY_NAME_LEN, "0.%s", digits + at);
}

char *directory_name(const char *text, const struct transfer_id *id,
		     char out[DIRECTORY_NAME_LEN])
{
	if (uid_valid(text))
		(void)snprintf(out, DIRECTORY_NAME_LEN, "%s", text);
	else
		decimal_name(id, out);
	return out;
}

/* ---- at start ---------------------------------------------------------- */

static void clean(DIR *dir)
{
	struct dirent *e;

	while ((e = readdir(dir)) != NULL) {
		if (strncmp(e->d_name, DIRECTORY_PART,
			    strlen(DIRECTORY_PART)) == 0)
			(void)unlinkat(dirfd(dir), e->d_name, 0);
	}
}

enum err directory_prepare(const char *path, char *why, size_t why_size)
{
	DIR *dir;

	if (mkdir(path, 0750) != 0 && errno != EEXIST) {
		(void)snprintf(why, why_size,
			       "cannot make %s: %s: make it, owned by the "
			       "daemon's user",
			       path, strerror(errno));
		return ERR_IO;
	}
	dir = opendir(path);
	if (dir == NULL || faccessat(dirfd(dir), ".", W_OK | X_OK, 0) != 0) {
		(void)snprintf(why, why_size,
			       "cannot use %s: %s: check its owner and mode",
			       path, strerror(errno));
		if (dir != NULL)
			(void)closedir(dir);
		return ERR_IO;
	}
	clean(dir);
	(void)closedir(dir);
	return ERR_OK;
}

/* ---- work -------------------------------------------------------------- */

static void try_end(struct directory *d)
{
	void (*closed)(void *arg) = d->closed;
	void *arg = d->arg;

	if (closed == NULL || d->n > 0)
		return;
	mem_free(d);
	closed(arg);
}

static void on_written(struct msg *m)
{
	struct work *w = CONTAINER_OF(m, struct work, msg);
	struct directory *d = w->directory;
	struct task *t = w->task;

	mem_free(w);
	t->done(&t->msg);
	d->n--;
	try_end(d);
}

/* On a thread of the pool. */
static void work_run(struct job *j)
{
	struct work *w = CONTAINER_OF(j, struct work, job);
	struct directory *d = w->directory;
	struct directory_file f = {.path = d->env.destination->config->path,
				   .spool = d->env.spool,
				   .ledger = d->env.ledger,
				   .stop = &d->stop};

	directory_file_write(&f, w->task);
	(void)mailbox_post(d->env.main, &w->msg);
}

static void on_refused(struct msg *m)
{
	struct task *t = CONTAINER_OF(m, struct task, msg);
	struct directory *d = t->owner;

	t->done(m);
	d->n--;
	try_end(d);
}

static void refuse(struct directory *d, struct task *t, enum failure f)
{
	t->owner = d;
	t->end = TASK_ANSWERED;
	t->verdict = outcome_of_failure(f);
	t->msg.run = on_refused;
	(void)mailbox_post(d->env.main, &t->msg);
}

static void directory_give(void *lane, struct task *t)
{
	struct directory *d = lane;
	struct work *w;

	d->n++;
	if (instance_is_message(t->item.command)) {
		refuse(d, t, FAIL_DIRECTORY_MESSAGE);
		return;
	}
	w = mem_zalloc(sizeof(*w));
	if (w != NULL) {
		w->job.run = work_run;
		w->msg.run = on_written;
		w->directory = d;
		w->task = t;
	}
	if (w == NULL || reader_submit(d->env.writers, &w->job) != ERR_OK) {
		mem_free(w);
		refuse(d, t, FAIL_NO_MEMORY);
	}
}

static void directory_close(void *lane, void (*closed)(void *arg), void *arg)
{
	struct directory *d = lane;

	atomic_store(&d->stop, true);
	d->closed = closed;
	d->arg = arg;
	try_end(d);
}

static bool directory_is_open(const void *lane)
{
	(void)lane;
	return true;
}

const struct lane_ops directory_ops = {.give = directory_give,
				       .close = directory_close,
				       .is_open = directory_is_open};

enum err directory_new(const struct directory_env *env, struct directory **out)
{
	struct directory *d = mem_zalloc(sizeof(*d));

	if (d == NULL)
		return ERR_NOMEM;
	d->env = *env;
	*out = d;
	return ERR_OK;
}
