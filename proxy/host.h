/* host.h - what a daemon needs of the machine before it starts. */
#ifndef PROXY_HOST_H
#define PROXY_HOST_H

#include <stddef.h>

#include "proxy/lib/err.h"

struct config;

enum { HOST_USER_LEN = 65 };

/* The directory of an option is there, or is made: its last component only, as
 * a parent that is missing is more likely a disk that is not mounted than a
 * wish for a new directory. ERR_IO: why says so. */
enum err host_directory(const char *option, const char *path, char *why,
			size_t size) MUST_CHECK;

/* Hold the ledger in that directory: two daemons with two spools and one ledger
 * would write over each other. *fd holds it until it is closed; it may be set,
 * too, on an error. ERR_BUSY, ERR_IO: why says so. */
enum err host_lock_records(const char *path, int *fd, char *why,
			   size_t size) MUST_CHECK;

/* Files that root makes among those of the daemon's user would shut it out at
 * its next start. ERR_DENIED: root runs this, and the directory of the records,
 * or of the spool, belongs to somebody else; why says to whom. */
enum err host_refuse_root(const struct config *c, char *why,
			  size_t size) MUST_CHECK;
/* For commands that look or work in the daemon's place: in that case become
 * that user, for good, whose name is then in who ("" otherwise). Before there
 * are threads. ERR_IO: why says so. */
enum err host_become_owner(const struct config *c, char who[HOST_USER_LEN],
			   char *why, size_t size) MUST_CHECK;

/* Associations are descriptors: take as many as the system gives. */
void host_raise_descriptors(void);

/* A core file of this process has registers and the list of its files, and no
 * memory: images, names and keys are all over it. root may choose otherwise
 * while it runs, by /proc/PID/coredump_filter. */
void host_hide_memory(void);

#endif
