/* sender_early.c - cut-through: an instance that leaves while it comes in
 * (scheduler_early.c).
 *
 * item.chunks counts the durable chunks but the last one: that stays until the
 * scheduler says that all of it is here, so that the last fragment, which makes
 * it an object at the other end, leaves only after its final record. When the
 * device pauses, the peer waits in the midst of a data set: for as long as we
 * would wait for its answer, no longer. */
#include "proxy/lane.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/sender_int.h"

enum { ASK_MS = 20 }; /* between questions to the ledger */

bool sender_early_has(const struct task *t)
{
	return !t->early || t->next < t->item.chunks;
}

/* It flows again: the deadline is that of the line. */
void sender_early_flows(struct sender *s)
{
	if (!s->starved)
		return;
	s->starved = false;
	s->progress = stream_bytes_out(s->stream);
	sender_timer(s, s->config->timeouts.response);
}

void sender_early_wait(struct sender *s, struct task *t)
{
	uint64_t now = clock_mono_ns();

	if (!s->starved) {
		s->starved = true;
		sender_timer(s, s->config->timeouts.response);
	}
	if (t->places_asked)
		return;
	if (now < t->ask_at_ns) {
		sender_pump_in(s, (t->ask_at_ns - now + 999999) / 1000000);
		return;
	}
	t->ask_at_ns = now + ASK_MS * 1000000ull;
	if (feed_ask_early(&s->feed, t) != ERR_OK)
		sender_pump_in(s, ASK_MS);
}

/* ---- what the scheduler says ------------------------------------------- */

static struct task *task_of(struct sender *s, uint64_t flight)
{
	LIST_EACH(n, tmp, &s->queue)
	{
		struct task *t = CONTAINER_OF(n, struct task, node);

		if (t->early && t->flight == flight)
			return t;
	}
	return NULL;
}

static void is_whole(struct sender *s, struct task *t,
		     const struct ledger_item *item)
{
	t->item = *item;
	t->early = false;
	feed_fill(&s->feed);
}

static void give_back(struct sender *s, struct task *t)
{
	struct verdict v = outcome_of_failure(FAIL_STOPPED);
	bool outstanding = sender_outstanding(s) == t;

	if (outstanding)
		s->phase = PHASE_NONE;
	sender_finish(s, t, TASK_RETURNED, &v, NULL);
	if (outstanding)
		sender_event(s, UL_EVT15);
}

static void on_note(struct msg *m)
{
	struct lane_note *note = CONTAINER_OF(m, struct lane_note, msg);
	struct sender *s = note->owner;
	struct task *t = task_of(s, note->flight);

	if (t != NULL && note->whole)
		is_whole(s, t, &note->item);
	else if (t != NULL)
		give_back(s, t);
	mem_free(note);
	if (t != NULL && s->stream != NULL && s->ul == UL_STA6)
		sender_pump(s);
}

void sender_tell(struct sender *s, struct lane_note *note)
{
	note->owner = s;
	note->msg.run = on_note;
	if (!worker_post(s->env.worker, &note->msg))
		mem_free(note); /* it is stopping: the task comes back */
}
