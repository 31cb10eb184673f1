/* mailbox.h - messages from any thread to one loop.
 *
 * Many threads post, the loop's thread runs. Messages of one poster run in the
 * order posted. Wake-ups coalesce: a burst costs one. */
#ifndef PROXY_NET_MAILBOX_H
#define PROXY_NET_MAILBOX_H

#include <stdbool.h>
#include <uv.h>

#include "proxy/lib/err.h"
#include "proxy/lib/list.h"

/* Embed it in what is sent. Owned by the mailbox from mailbox_post() until run
 * begins; run may free it or post it again. */
struct msg {
	struct list node;
	void (*run)(struct msg *m);
};

/* Its memory must outlive every thread that may still post. */
struct mailbox {
	uv_async_t async;
	uv_mutex_t lock;
	struct list queue; /* under lock */
	bool closed;       /* under lock */
	void (*on_closed)(void *arg);
	void *arg;
};

/* On the loop's thread, or before it runs. ERR_IO: no descriptor to be had;
 * nothing to clean up. */
enum err mailbox_init(struct mailbox *mb, uv_loop_t *loop) MUST_CHECK;

/* From any thread. False: the mailbox is closed, m was not taken and stays the
 * caller's. */
bool mailbox_post(struct mailbox *mb, struct msg *m);

/* On the loop's thread. Runs what was posted before, then refuses; on_closed
 * (may be NULL) runs on a later turn, when the memory may be freed. */
void mailbox_close(struct mailbox *mb, void (*on_closed)(void *arg), void *arg);

#endif
