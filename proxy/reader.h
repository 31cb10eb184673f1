/* reader.h - a few threads for work that blocks: spool reads, file writes.
 *
 * Jobs run in the order submitted, on any of the threads. A job says itself,
 * by posting to a mailbox or worker, that it is done. */
#ifndef PROXY_READER_H
#define PROXY_READER_H

#include <stddef.h>

#include "proxy/lib/err.h"
#include "proxy/lib/list.h"

struct reader; /* opaque */

/* Embed it in what is worked on. The pool's from reader_submit() until run
 * begins; run may free it or submit it again. */
struct job {
	struct list node;
	void (*run)(struct job *j);
};

/* threads >= 1; queue_max: jobs waiting at most. name: of the threads, 15
 * bytes at most are shown; borrowed for the call. ERR_NOMEM, ERR_IO (no thread
 * to be had). */
enum err reader_new(unsigned threads, size_t queue_max, const char *name,
		    struct reader **out) MUST_CHECK;

/* Any thread. ERR_BUSY: queue_max jobs wait; the job stays the caller's. */
enum err reader_submit(struct reader *r, struct job *j) MUST_CHECK;

/* Run what waits, end the threads, free. No one may submit any more. NULL is
 * fine. */
void reader_free(struct reader *r);

#endif
