/* shim_powerloss.c - LD_PRELOAD: what reaches the disk, in order.
 *
 * POWERLOSS_DIR  everything below this directory (which begins empty) is
 *                recorded
 * POWERLOSS_LOG  into this file (powerloss_log.h)
 * POWERLOSS_IGNORE_FSYNC  flushes of this kind are left out, as if the call
 *                were missing in the code: "data" (fdatasync of a segment),
 *                "head" (of a segment before it gets its name), "key", "dir",
 *                "wal"
 *
 * A write is recorded before it is made, a flush when it begins and when it has
 * ended: so what is recorded before the beginning of a flush that ended is on
 * the disk, and everything else may or may not be. The program marks what it
 * has acknowledged by powerloss_mark(). */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/fault/powerloss_log.h"

enum { PATH_LEN = 512, FILES = 4096 };

void powerloss_mark(const void *p, size_t n);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char dir[PATH_LEN];
static size_t dir_len;

/* Which of our numbers an inode has now. */
static struct {
	ino_t inode;
	uint32_t number;
} files[FILES];
static uint32_t n_files;

#define REAL(name)              real_##name
#define DECLARE(ret, name, ...) static ret (*REAL(name))(__VA_ARGS__)
DECLARE(int, openat, int, const char *, int, ...);
DECLARE(ssize_t, write, int, const void *, size_t);
DECLARE(ssize_t, pwrite, int, const void *, size_t, off_t);
DECLARE(ssize_t, pwritev, int, const struct iovec *, int, off_t);
DECLARE(int, ftruncate, int, off_t);
DECLARE(int, fallocate, int, int, off_t, off_t);
DECLARE(int, renameat, int, const char *, int, const char *);
DECLARE(int, linkat, int, const char *, int, const char *, int);
DECLARE(int, unlinkat, int, const char *, int);
DECLARE(int, fsync, int);
DECLARE(int, fdatasync, int);

/* POSIX's way around a cast that ISO C does not have. */
#define LOAD(name) *(void **)&REAL(name) = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void start(void)
{
	const char *d = getenv("POWERLOSS_DIR"), *l = getenv("POWERLOSS_LOG");

	LOAD(openat);
	LOAD(write);
	LOAD(pwrite);
	LOAD(pwritev);
	LOAD(ftruncate);
	LOAD(fallocate);
	LOAD(renameat);
	LOAD(linkat);
	LOAD(unlinkat);
	LOAD(fsync);
	LOAD(fdatasync);
	if (d == NULL || l == NULL || realpath(d, dir) == NULL)
		return;
	dir_len = strlen(dir);
	log_fd = REAL(openat)(AT_FDCWD, l,
			      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* ---- the log
 * ----------------------------------------------------------------- */

static void log_bytes(const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t done = REAL(write)(log_fd, at, n);

		if (done <= 0)
			abort();
		at += done;
		n -= (size_t)done;
	}
}

static void log_entry(struct powerloss_entry *e, const void *data,
		      const char *path, const char *other)
{
	e->path_len = path != NULL ? (uint16_t)(strlen(path) + 1) : 0;
	e->other_len = other != NULL ? (uint16_t)(strlen(other) + 1) : 0;
	log_bytes(e, sizeof(*e));
	if (path != NULL)
		log_bytes(path, e->path_len);
	if (other != NULL)
		log_bytes(other, e->other_len);
	if (data != NULL)
		log_bytes(data, e->len);
}

/* ---- names and files
 * ------------------------------------------------------------ */

/* The path of name below our directory; false: it is elsewhere. */
static bool ours(int at, const char *name, char out[PATH_LEN])
{
	char link[64], full[2 * PATH_LEN];
	ssize_t n = 0;

	if (log_fd < 0)
		return false;
	if (name[0] != '/') {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
		if (at == AT_FDCWD)
			snprintf(link, sizeof(link), "/proc/self/cwd");
		n = readlink(link, full, PATH_LEN - 1);
		if (n < 0)
			return false;
		full[n++] = '/';
	}
	snprintf(full + n, sizeof(full) - (size_t)n, "%s", name);
	if (strncmp(full, dir, dir_len) != 0 || full[dir_len] != '/')
		return false;
	snprintf(out, PATH_LEN, "%.*s", PATH_LEN - 1, full + dir_len + 1);
	return true;
}

/* The path of an open file; "" is the directory itself. */
static bool ours_fd(int fd, char out[PATH_LEN])
{
	char link[64], full[PATH_LEN];
	ssize_t n;

	if (log_fd < 0 || fd == log_fd)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, full, sizeof(full) - 1);
	if (n < 0)
		return false;
	full[n] = '\0';
	if (strncmp(full, dir, dir_len) != 0 ||
	    (full[dir_len] != '/' && full[dir_len] != '\0'))
		return false;
	snprintf(out, PATH_LEN, "%s",
		 full + dir_len + (full[dir_len] == '/' ? 1 : 0));
	return true;
}

static uint32_t find_file(ino_t inode)
{
	for (uint32_t i = n_files; i > 0; i--)
		if (files[i - 1].inode == inode)
			return files[i - 1].number;
	return 0;
}

static uint32_t number_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? find_file(st.st_ino) : 0;
}

static uint32_t new_file(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || n_files == FILES)
		abort();
	files[n_files].inode = st.st_ino;
	files[n_files].number = n_files + 1;
	return ++n_files;
}

/* ---- opening
 * ---------------------------------------------------------------------- */

static int open_logged(int at, const char *name, int flags, mode_t mode)
{
	struct powerloss_entry e = {.op = POWERLOSS_CREATE};
	char path[PATH_LEN];
	bool existed;
	int fd;

	if ((flags & (O_CREAT | O_TRUNC)) == 0 || !ours(at, name, path))
		return REAL(openat)(at, name, flags, mode);
	pthread_mutex_lock(&lock);
	existed = faccessat(at, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	fd = REAL(openat)(at, name, flags, mode);
	if (fd >= 0 && !existed) {
		e.file = new_file(fd);
		log_entry(&e, NULL, path, NULL);
	} else if (fd >= 0 && (flags & O_TRUNC) != 0) {
		e.op = POWERLOSS_SIZE;
		e.file = number_of(fd);
		log_entry(&e, NULL, NULL, NULL);
	}
	pthread_mutex_unlock(&lock);
	return fd;
}

#define OPEN_MODE(flags)                                                       \
	mode_t mode = 0;                                                       \
	if (((flags) & (O_CREAT | O_TMPFILE)) != 0) {                          \
		va_list ap;                                                    \
		va_start(ap, flags);                                           \
		mode = va_arg(ap, mode_t);                                     \
		va_end(ap);                                                    \
	}

int open(const char *name, int flags, ...)
{
	OPEN_MODE(flags)
	return open_logged(AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...)
{
	OPEN_MODE(flags)
	return open_logged(AT_FDCWD, name, flags, mode);
}

int openat(int at, const char *name, int flags, ...)
{
	OPEN_MODE(flags)
	return open_logged(at, name, flags, mode);
}

int openat64(int at, const char *name, int flags, ...)
{
	OPEN_MODE(flags)
	return open_logged(at, name, flags, mode);
}

/* ---- writing
 * ------------------------------------------------------------------------ */

static bool all_zero(const uint8_t *p, size_t n)
{
	return n > 0 && p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static void log_write(int fd, const void *p, size_t n, off_t at)
{
	struct powerloss_entry e = {
	    .op = POWERLOSS_WRITE, .offset = (uint64_t)at, .len = n};
	char path[PATH_LEN];

	if (!ours_fd(fd, path))
		return;
	pthread_mutex_lock(&lock);
	e.file = number_of(fd);
	if (all_zero(p, n)) {
		e.op = POWERLOSS_ZERO;
		p = NULL;
	}
	if (e.file != 0)
		log_entry(&e, p, NULL, NULL);
	pthread_mutex_unlock(&lock);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	log_write(fd, p, n, at);
	return REAL(pwrite)(fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return pwrite(fd, p, n, at);
}

ssize_t write(int fd, const void *p, size_t n)
{
	char path[PATH_LEN];

	if (ours_fd(fd, path))
		log_write(fd, p, n, lseek(fd, 0, SEEK_CUR));
	return REAL(write)(fd, p, n);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	char path[PATH_LEN];
	size_t all = 0, done = 0;
	uint8_t *p;

	if (!ours_fd(fd, path))
		return REAL(pwritev)(fd, v, n, at);
	for (int i = 0; i < n; i++)
		all += v[i].iov_len;
	p = malloc(all + 1);
	if (p == NULL)
		abort();
	for (int i = 0; i < n; done += v[i++].iov_len)
		memcpy(p + done, v[i].iov_base, v[i].iov_len);
	log_write(fd, p, all, at);
	free(p);
	return REAL(pwritev)(fd, v, n, at);
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off_t at)
{
	return pwritev(fd, v, n, at);
}

static void log_size(int fd, off_t size)
{
	struct powerloss_entry e = {.op = POWERLOSS_SIZE,
				    .offset = (uint64_t)size};
	char path[PATH_LEN];

	if (!ours_fd(fd, path))
		return;
	pthread_mutex_lock(&lock);
	e.file = number_of(fd);
	if (e.file != 0)
		log_entry(&e, NULL, NULL, NULL);
	pthread_mutex_unlock(&lock);
}

int ftruncate(int fd, off_t size)
{
	log_size(fd, size);
	return REAL(ftruncate)(fd, size);
}

int ftruncate64(int fd, off_t size)
{
	return ftruncate(fd, size);
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
	struct stat st;

	if (mode == 0 && fstat(fd, &st) == 0 && st.st_size < at + len)
		log_size(fd, at + len);
	return REAL(fallocate)(fd, mode, at, len);
}

int fallocate64(int fd, int mode, off_t at, off_t len)
{
	return fallocate(fd, mode, at, len);
}

/* ---- names
 * ---------------------------------------------------------------------------
 */

int renameat(int from_at, const char *from, int to_at, const char *to)
{
	struct powerloss_entry e = {.op = POWERLOSS_RENAME};
	char a[PATH_LEN], b[PATH_LEN];
	int status;

	if (!ours(from_at, from, a) || !ours(to_at, to, b))
		return REAL(renameat)(from_at, from, to_at, to);
	pthread_mutex_lock(&lock);
	status = REAL(renameat)(from_at, from, to_at, to);
	if (status == 0)
		log_entry(&e, NULL, a, b);
	pthread_mutex_unlock(&lock);
	return status;
}

int rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
	struct powerloss_entry e = {.op = POWERLOSS_LINK};
	char a[PATH_LEN], b[PATH_LEN];
	int status;

	if (!ours(from_at, from, a) || !ours(to_at, to, b))
		return REAL(linkat)(from_at, from, to_at, to, flags);
	pthread_mutex_lock(&lock);
	status = REAL(linkat)(from_at, from, to_at, to, flags);
	if (status == 0)
		log_entry(&e, NULL, a, b);
	pthread_mutex_unlock(&lock);
	return status;
}

int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int at, const char *name, int flags)
{
	struct powerloss_entry e = {.op = POWERLOSS_UNLINK};
	char path[PATH_LEN];
	int status;

	if (!ours(at, name, path))
		return REAL(unlinkat)(at, name, flags);
	pthread_mutex_lock(&lock);
	status = REAL(unlinkat)(at, name, flags);
	if (status == 0)
		log_entry(&e, NULL, path, NULL);
	pthread_mutex_unlock(&lock);
	return status;
}

int unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

/* ---- flushing
 * -------------------------------------------------------------------------- */

static const char *flush_kind(const char *path, bool directory)
{
	size_t n = strlen(path);

	if (directory)
		return "dir";
	if (strncmp(path, "segment-", 8) == 0)
		return "data";
	if (strncmp(path, "free-", 5) == 0)
		return "head";
	if (n > 4 && strcmp(path + n - 4, ".new") == 0)
		return "key";
	if (n > 4 && strcmp(path + n - 4, "-wal") == 0)
		return "wal";
	return "other";
}

static int flush_logged(int fd, int (*call)(int))
{
	struct powerloss_entry e = {.op = POWERLOSS_FLUSH_BEGIN};
	const char *ignore = getenv("POWERLOSS_IGNORE_FSYNC");
	char path[PATH_LEN];
	static uint64_t ticket;
	struct stat st;
	bool directory;
	int status;

	if (!ours_fd(fd, path) || fstat(fd, &st) != 0)
		return call(fd);
	directory = S_ISDIR(st.st_mode);
	if (ignore != NULL && strcmp(ignore, flush_kind(path, directory)) == 0)
		return 0;
	pthread_mutex_lock(&lock);
	e.file = directory ? 0 : number_of(fd);
	e.offset = ++ticket;
	log_entry(&e, NULL, directory ? path : NULL, NULL);
	pthread_mutex_unlock(&lock);
	status = call(fd);
	if (status != 0)
		return status;
	pthread_mutex_lock(&lock);
	e.op = POWERLOSS_FLUSH_END;
	log_entry(&e, NULL, NULL, NULL);
	pthread_mutex_unlock(&lock);
	return status;
}

int fsync(int fd)
{
	return flush_logged(fd, REAL(fsync));
}

int fdatasync(int fd)
{
	return flush_logged(fd, REAL(fdatasync));
}

void powerloss_mark(const void *p, size_t n)
{
	struct powerloss_entry e = {.op = POWERLOSS_MARK, .len = n};

	if (log_fd < 0)
		return;
	pthread_mutex_lock(&lock);
	log_entry(&e, p, NULL, NULL);
	pthread_mutex_unlock(&lock);
}
