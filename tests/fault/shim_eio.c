/* shim_eio.c - LD_PRELOAD: a disk that fails on order.
 *
 * EIO_DIR   only files below this directory are touched
 * EIO_ORDER names a file; while it exists its words say what fails with EIO:
 *           "write" (pwrite, pwritev, write), "flush" (fsync, fdatasync),
 *           "read" (pread, preadv, read); or "stall": writes and flushes
 *           wait as long as the order says so
 *
 * The file is looked at by each call, so that a test turns failures on and off
 * in a running daemon. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static bool below_dir(int fd)
{
	const char *dir = getenv("EIO_DIR");
	char link[64], path[4096];
	ssize_t n;

	if (dir == NULL)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	return n > 0 && (size_t)n > strlen(dir) &&
	       strncmp(path, dir, strlen(dir)) == 0;
}

/* Raw system calls: this must not meet its own wrappers. */
static bool ordered(const char *word)
{
	const char *name = getenv("EIO_ORDER");
	char text[64] = "";
	long fd, n;

	if (name == NULL)
		return false;
	fd = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	n = syscall(SYS_read, fd, text, sizeof(text) - 1);
	syscall(SYS_close, fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return strstr(text, word) != NULL;
}

static bool fails(int fd, const char *word)
{
	int saved = errno;
	bool yes = ordered(word) && below_dir(fd);

	while (strcmp(word, "read") != 0 && ordered("stall") && below_dir(fd))
		usleep(10000);
	errno = yes ? EIO : saved;
	return yes;
}

/* The next definition of a function, looked up once. */
#define NEXT(type, name)                                                       \
	static type *next;                                                     \
	if (next == NULL) {                                                    \
		void *sym = dlsym(RTLD_NEXT, name);                            \
		memcpy(&next, &sym, sizeof(next));                             \
	}

typedef ssize_t rw_fn(int, void *, size_t);
typedef ssize_t w_fn(int, const void *, size_t);
typedef ssize_t pw_fn(int, const void *, size_t, off_t);
typedef ssize_t prw_fn(int, void *, size_t, off_t);
typedef ssize_t pv_fn(int, const struct iovec *, int, off_t);
typedef int flush_fn(int);

ssize_t write(int fd, const void *p, size_t n)
{
	NEXT(w_fn, "write")
	return fails(fd, "write") ? -1 : next(fd, p, n);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	NEXT(pw_fn, "pwrite")
	return fails(fd, "write") ? -1 : next(fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	NEXT(pw_fn, "pwrite64")
	return fails(fd, "write") ? -1 : next(fd, p, n, at);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	NEXT(pv_fn, "pwritev")
	return fails(fd, "write") ? -1 : next(fd, v, n, at);
}

int fsync(int fd)
{
	NEXT(flush_fn, "fsync")
	return fails(fd, "flush") ? -1 : next(fd);
}

int fdatasync(int fd)
{
	NEXT(flush_fn, "fdatasync")
	return fails(fd, "flush") ? -1 : next(fd);
}

ssize_t read(int fd, void *p, size_t n)
{
	NEXT(rw_fn, "read")
	return fails(fd, "read") ? -1 : next(fd, p, n);
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
	NEXT(prw_fn, "pread")
	return fails(fd, "read") ? -1 : next(fd, p, n, at);
}

ssize_t pread64(int fd, void *p, size_t n, off_t at)
{
	NEXT(prw_fn, "pread64")
	return fails(fd, "read") ? -1 : next(fd, p, n, at);
}

ssize_t preadv(int fd, const struct iovec *v, int n, off_t at)
{
	NEXT(pv_fn, "preadv")
	return fails(fd, "read") ? -1 : next(fd, v, n, at);
}
