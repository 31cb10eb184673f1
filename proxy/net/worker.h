/* worker.h - a thread with a loop of its own; connections live on one.
 *
 * What is created on a worker is used on its thread only. Other threads reach
 * it by worker_post(). A worker can also do without a thread, so that tests
 * and commands run its loop themselves. */
#ifndef PROXY_NET_WORKER_H
#define PROXY_NET_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "proxy/lib/err.h"
#include "proxy/lib/list.h"
#include "proxy/net/mailbox.h"

struct worker;

/* Sizes of the buffers that all streams of a worker share, in bytes. */
enum {
	WORKER_READ_SIZE = 256 * 1024, /* what one read(2) may bring */
	WORKER_PLAIN_SIZE = 64 * 1024, /* deciphered bytes of one on_read */
};

/* Called on the loop's thread when worker_stop() begins, before the streams
 * that are still open are closed with ERR_CANCELED. It must close every handle
 * that its owner has on the loop. The hook is out of the list when fn runs. */
struct worker_hook {
	struct list node;
	void (*fn)(struct worker_hook *h);
};

/* A worker with a thread, already running. index: for thread name and logs.
 * ERR_NOMEM, ERR_IO (no descriptors or threads to be had). */
enum err worker_start(unsigned index, struct worker **out) MUST_CHECK;

/* A worker without a thread: the caller runs worker_loop() by uv_run() on a
 * thread of its choice, always the same. Same errors. */
enum err worker_new(unsigned index, struct worker **out) MUST_CHECK;

/* Run the hooks, close every stream, run the mailbox empty, wait until all
 * handles are closed and requests have ended (a name look-up in flight is
 * waited for), free. With a thread: call from another thread. Without: from
 * the thread that ran the loop. No one may post once this returns. */
void worker_stop(struct worker *w);

uv_loop_t *worker_loop(struct worker *w);
unsigned worker_index(const struct worker *w);
/* True on the thread that runs the loop. */
bool worker_is_current(const struct worker *w);

/* From any thread; see mailbox_post(). */
bool worker_post(struct worker *w, struct msg *m);

/* On the loop's thread, or before anything runs on it. */
void worker_hook_add(struct worker *w, struct worker_hook *h);
/* Safe on a hook whose fn has run. */
void worker_hook_remove(struct worker_hook *h);

/* The load: whatever the owner counts (associations). From any thread. */
void worker_load_add(struct worker *w, int delta);
int worker_load(const struct worker *w);

#endif
