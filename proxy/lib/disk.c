#include "proxy/lib/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

bool disk_write(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t w = write(fd, at, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return false;
		at += w;
		n -= (size_t)w;
	}
	return true;
}

enum err disk_flush_directory_of(const char *path)
{
	char copy[PATH_MAX];
	int fd, status, error;

	if (strlen(path) >= sizeof(copy)) {
		errno = ENAMETOOLONG;
		return ERR_IO;
	}
	memcpy(copy, path, strlen(path) + 1);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return ERR_IO;
	status = fsync(fd);
	error = errno;
	(void)close(fd);
	errno = error;
	return status == 0 ? ERR_OK : ERR_IO;
}
