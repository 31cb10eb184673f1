#include "proxy/net/mailbox.h"

#include "proxy/lib/mem.h"

/* Taking the whole queue at once keeps the lock short and lets run post to
 * this same mailbox: what it posts runs on the next turn. */
static void drain(struct mailbox *mb)
{
	struct list batch, *n;

	list_init(&batch);
	uv_mutex_lock(&mb->lock);
	list_splice_back(&batch, &mb->queue);
	uv_mutex_unlock(&mb->lock);
	while ((n = list_pop_front(&batch)) != NULL) {
		struct msg *m = CONTAINER_OF(n, struct msg, node);

		m->run(m);
	}
}

static void on_async(uv_async_t *async)
{
	drain(CONTAINER_OF(async, struct mailbox, async));
}

enum err mailbox_init(struct mailbox *mb, uv_loop_t *loop)
{
	*mb = (struct mailbox){0};
	if (uv_mutex_init(&mb->lock) != 0)
		return ERR_IO;
	if (uv_async_init(loop, &mb->async, on_async) != 0) {
		uv_mutex_destroy(&mb->lock);
		return ERR_IO;
	}
	list_init(&mb->queue);
	return ERR_OK;
}

bool mailbox_post(struct mailbox *mb, struct msg *m)
{
	bool first, taken = false;

	uv_mutex_lock(&mb->lock);
	if (!mb->closed) {
		first = list_empty(&mb->queue);
		list_push_back(&mb->queue, &m->node);
		taken = true;
		/* Under the lock, so that no wake-up meets a closed handle. */
		if (first)
			uv_async_send(&mb->async);
	}
	uv_mutex_unlock(&mb->lock);
	return taken;
}

/* The lock stays usable: late posters must still be told no. */
static void on_async_closed(uv_handle_t *handle)
{
	struct mailbox *mb = CONTAINER_OF(handle, struct mailbox, async);

	if (mb->on_closed != NULL)
		mb->on_closed(mb->arg);
}

void mailbox_close(struct mailbox *mb, void (*on_closed)(void *arg), void *arg)
{
	uv_mutex_lock(&mb->lock);
	mb->closed = true;
	uv_mutex_unlock(&mb->lock);
	mb->on_closed = on_closed;
	mb->arg = arg;
	drain(mb);
	uv_close((uv_handle_t *)&mb->async, on_async_closed);
}
