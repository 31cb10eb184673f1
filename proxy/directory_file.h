/* directory_file.h - one instance from the spool into one file.
 *
 * Blocks: for a thread of a pool. */
#ifndef PROXY_DIRECTORY_FILE_H
#define PROXY_DIRECTORY_FILE_H

#include <stdatomic.h>

#include "proxy/task.h"

/* Begin of the names of files that are not whole yet. */
#define DIRECTORY_PART ".part-"

struct directory_file {
	const char *path;
	struct spool *spool;
	struct ledger *ledger;
	const atomic_bool *stop; /* true: give up between two chunks */
};

/* Fills t's result: end, verdict, detail. */
void directory_file_write(const struct directory_file *f, struct task *t);

#endif
