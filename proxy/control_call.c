/* control_call.c - what belongs to the main loop is posted there and waited
 * for. */
#include <string.h>
#include <time.h>

#include "proxy/control_int.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/net/mailbox.h"

enum {
	ANSWER_SECONDS = 10, /* longest wait for the main loop */
	LOOK_MS = 50,        /* a stop is noticed within */
};

/* Two owners: the thread that waits and the loop that answers. */
struct control_call {
	struct msg msg;
	struct control *control;
	control_call_fn *fn; /* on the main loop */
	pthread_mutex_t lock;
	pthread_cond_t answered;
	unsigned owners;
	bool done;
	json_t *answer;
	_Alignas(max_align_t) unsigned char arg[]; /* the caller's copy */
};

static void call_drop(struct control_call *c)
{
	unsigned left;

	pthread_mutex_lock(&c->lock);
	left = --c->owners;
	pthread_mutex_unlock(&c->lock);
	if (left > 0)
		return;
	control_drop(c->control);
	json_decref(c->answer);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->answered);
	mem_free(c);
}

void control_call_answer(struct control_call *c, json_t *answer)
{
	pthread_mutex_lock(&c->lock);
	c->answer = answer;
	c->done = true;
	pthread_cond_signal(&c->answered);
	pthread_mutex_unlock(&c->lock);
	call_drop(c);
}

const struct control_options *control_call_options(const struct control_call *c)
{
	return &c->control->opt;
}

int64_t control_call_started_ms(const struct control_call *c)
{
	return c->control->started_ms;
}

static struct control_call *call_new(struct control *ctl, control_call_fn *fn,
				     const void *arg, size_t size)
{
	struct control_call *c = mem_zalloc(sizeof(*c) + size);
	pthread_condattr_t attr;

	if (c == NULL)
		return NULL;
	c->control = ctl;
	atomic_fetch_add(&ctl->owners, 1);
	c->fn = fn;
	if (size > 0)
		memcpy(c->arg, arg, size);
	c->owners = 1;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->answered, &attr);
	pthread_condattr_destroy(&attr);
	return c;
}

static void on_call(struct msg *m)
{
	struct control_call *c = CONTAINER_OF(m, struct control_call, msg);

	if (atomic_load(&c->control->stopping))
		control_call_answer(c, control_error("the daemon is stopping"));
	else
		c->fn(c, c->arg);
}

static void wait_a_little(struct control_call *c)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LOOK_MS * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	(void)pthread_cond_timedwait(&c->answered, &c->lock, &until);
}

/* Post, wait, and take the answer. Consumes c. Never NULL unless memory is
 * out. */
static json_t *call_wait(struct control_call *c)
{
	uint64_t end_ns = clock_mono_ns() + ANSWER_SECONDS * 1000000000ull;
	json_t *answer;

	c->msg.run = on_call;
	c->owners = 2;
	if (!mailbox_post(c->control->opt.mailbox, &c->msg)) {
		c->owners = 1;
		call_drop(c);
		return control_error("the daemon is stopping");
	}
	pthread_mutex_lock(&c->lock);
	/* control_stop() waits for this thread on the loop that would answer */
	while (!c->done && clock_mono_ns() < end_ns &&
	       !atomic_load(&c->control->stopping))
		wait_a_little(c);
	answer = c->done ? c->answer
			 : control_error("no answer in time; the order may "
					 "still take effect");
	if (c->done)
		c->answer = NULL; /* one owner: the counts are not shared */
	pthread_mutex_unlock(&c->lock);
	call_drop(c);
	return answer;
}

void control_on_main(struct control_connection *k, control_call_fn *fn,
		     const void *arg, size_t size)
{
	struct control_call *c = call_new(k->control, fn, arg, size);

	control_answer(k, c != NULL ? call_wait(c) : NULL);
}
