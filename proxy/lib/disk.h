/* disk.h - bytes to a descriptor, and a name to the disk. Any thread. */
#ifndef PROXY_LIB_DISK_H
#define PROXY_LIB_DISK_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/lib/err.h"

/* All of n bytes, however many calls it takes. False: errno says why, and some
 * may be written. */
bool disk_write(int fd, const void *p, size_t n) MUST_CHECK;

/* A file that was made, linked or renamed at path has its name after a loss of
 * power too. ERR_IO: errno says why. */
enum err disk_flush_directory_of(const char *path) MUST_CHECK;

#endif
