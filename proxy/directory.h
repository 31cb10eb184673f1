/* directory.h - a destination that is a directory: one Part 10 file an
 * instance (PS3.10), <path>/<study>/<series>/<SOP instance>.dcm.
 *
 * A name that is not [0-9.]{1,64} with a digit never reaches the file system:
 * "0.<transfer id in decimal>" stands in for it. A file is written under a
 * temporary name beside the studies, synced, renamed, and its directory
 * synced: what is delivered survives a power cut. A newer delivery of a UID
 * replaces the older file.
 *
 * A lane (lane.h): functions run on the main loop, the work on a pool. */
#ifndef PROXY_DIRECTORY_H
#define PROXY_DIRECTORY_H

#include "proxy/destination.h"
#include "proxy/lane.h"
#include "proxy/lib/err.h"
#include "proxy/reader.h"
#include "proxy/task.h"

struct directory; /* opaque */

/* Borrowed; must outlive it. */
struct directory_env {
	struct destination *destination;
	struct mailbox *main;
	struct reader *writers;
	struct spool *spool;
	struct ledger *ledger;
};

enum err directory_new(const struct directory_env *env,
		       struct directory **out) MUST_CHECK; /* ERR_NOMEM */
extern const struct lane_ops directory_ops;

/* Once at start, before any lane: make the directory when it is missing (not
 * its parents) and remove temporary files that a crash left. ERR_IO: it cannot
 * be used now; why says what to do. */
enum err directory_prepare(const char *path, char *why,
			   size_t why_size) MUST_CHECK;

/* The name that stands for text: itself when it is safe, else made from id.
 * Returns out. */
enum { DIRECTORY_NAME_LEN = 65 };
char *directory_name(const char *text, const struct transfer_id *id,
		     char out[DIRECTORY_NAME_LEN]);

#endif
