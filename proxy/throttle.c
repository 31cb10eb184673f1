#include "proxy/throttle.h"

#include <sys/socket.h>

#include "proxy/admission.h"
#include "proxy/lib/mem.h"
#include "proxy/net/listener.h"

/* Of its own, as its handle outlives the listener by a turn. */
struct throttle {
	uv_timer_t timer;
	struct admission *admission;
	size_t index;
	struct listener *listener;
};

enum err throttle_open(uv_loop_t *loop, struct admission *admission,
		       size_t index, struct listener *listener,
		       struct throttle **out)
{
	struct throttle *t = mem_zalloc(sizeof(*t));

	if (t == NULL)
		return ERR_NOMEM;
	t->admission = admission;
	t->index = index;
	t->listener = listener;
	(void)uv_timer_init(loop, &t->timer);
	*out = t;
	return ERR_OK;
}

static void on_closed(uv_handle_t *h)
{
	mem_free(CONTAINER_OF((uv_timer_t *)h, struct throttle, timer));
}

void throttle_close(struct throttle *t)
{
	if (t != NULL)
		uv_close((uv_handle_t *)&t->timer, on_closed);
}

static void on_timer(uv_timer_t *timer)
{
	struct throttle *t = CONTAINER_OF(timer, struct throttle, timer);
	unsigned waiting = listener_waiting(t->listener);

	if (waiting > 0)
		admission_waited(t->admission, t->index, waiting);
	listener_resume(t->listener);
}

static bool has_left(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

bool throttle_accepted(struct throttle *t, int fd)
{
	uint64_t wait_ms;

	if (t == NULL)
		return true;
	if (has_left(fd))
		return false;
	wait_ms = admission_handshake(t->admission, t->index);
	if (wait_ms > 0) {
		listener_pause(t->listener);
		(void)uv_timer_start(&t->timer, on_timer, wait_ms, 0);
	}
	return true;
}
