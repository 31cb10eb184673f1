/* link_sender_ahead.c - cut-through: chunks that are sent ahead of an instance
 * that still comes in (scheduler_early.c).
 *
 * Its task is early (task.h). It is offered without length and root; chunks
 * counts those that are durable here but the last one, and grows. When the
 * instance is whole, the task goes back, and the ordinary one offers the same
 * id as a whole: the answer says how much is there already. When it will never
 * be whole, it is withdrawn. */
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/link/link_sender_int.h"

enum { ASK_MS = 20 }; /* between questions to the ledger */

/* A question to the ledger: how far has it come? */
struct ahead_question {
	struct msg msg;
	struct link_sender *s;
	uint64_t flight; /* of the task */
	uint32_t first, n;
	struct place places[LEDGER_PLACES_MAX];
};

/* ---- growing ----------------------------------------------------------- */

static enum err grow(struct link_tx *tx, uint32_t chunks)
{
	struct tx_work *w = tx->work;
	size_t n = chunks / 8 + 1, old = tx->chunks / 8 + 1;
	uint8_t *have;

	if (n > 1) {
		have = mem_zalloc(2 * n);
		if (have == NULL)
			return ERR_NOMEM;
		memcpy(have, w->have, old);
		memcpy(have + n, w->sent, old);
		if (w->have != &w->small[0])
			mem_free(w->have);
		w->have = have;
		w->sent = have + n;
	}
	tx->chunks = chunks;
	return ERR_OK;
}

static struct link_tx *tx_of(struct link_sender *s, uint64_t flight)
{
	LIST_EACH(n, tmp, &s->ahead)
	{
		struct tx_work *w = CONTAINER_OF(n, struct tx_work, ahead);

		if (w->task->flight == flight)
			return w->tx;
	}
	return NULL;
}

/* ---- asking ------------------------------------------------------------ */

static void take(struct link_tx *tx, const struct ahead_question *q)
{
	struct task *t = tx->work->task;

	t->places_asked = false;
	if (q->n == 0)
		return;
	memcpy(t->places, q->places, q->n * sizeof(q->places[0]));
	t->places_first = q->first;
	t->n_places = q->n;
	if (q->first + q->n - 1 > tx->chunks &&
	    grow(tx, q->first + q->n - 1) == ERR_OK)
		link_tx_place(tx);
}

static void on_answer(struct msg *m)
{
	struct ahead_question *q = CONTAINER_OF(m, struct ahead_question, msg);
	struct link_sender *s = q->s;
	struct link_tx *tx = tx_of(s, q->flight);

	s->in_flight--;
	if (tx != NULL)
		take(tx, q);
	mem_free(q);
	link_sender_pump(s);
	link_sender_settled(s);
}

/* On the ledger's thread. */
static void on_transfer(void *arg, const struct ledger_transfer *t)
{
	struct ahead_question *q = arg;

	if (t->e == ERR_OK && t->n <= LEDGER_PLACES_MAX) {
		q->n = (uint32_t)t->n;
		memcpy(q->places, t->places, t->n * sizeof(q->places[0]));
	}
	(void)worker_post(q->s->env.worker, &q->msg);
}

static enum err ask(struct link_tx *tx, uint32_t first)
{
	struct link_sender *s = tx->s;
	struct task *t = tx->work->task;
	struct ahead_question *q = mem_zalloc(sizeof(*q));
	enum err e = ERR_NOMEM;

	if (t->places == NULL)
		t->places = mem_zarray(LEDGER_PLACES_MAX, sizeof(*t->places));
	if (q != NULL && t->places != NULL) {
		q->msg.run = on_answer;
		q->s = s;
		q->flight = t->flight;
		q->first = first;
		e = ledger_transfer(s->env.ledger, &tx->id, first,
				    LEDGER_PLACES_MAX, on_transfer, q);
	}
	if (e != ERR_OK) {
		mem_free(q);
		return e;
	}
	s->in_flight++;
	t->places_asked = true;
	return ERR_OK;
}

/* Not more often than every ASK_MS. True: asked. */
static bool ask_soon(struct link_tx *tx, uint32_t first)
{
	struct task *t = tx->work->task;
	uint64_t now = clock_mono_ns();

	if (t->places_asked)
		return true;
	if (now < t->ask_at_ns) {
		link_sender_pace_in(tx->s, t->ask_at_ns - now);
		return false;
	}
	t->ask_at_ns = now + ASK_MS * UINT64_C(1000000);
	if (ask(tx, first) == ERR_OK)
		return true;
	link_sender_pace_in(tx->s, ASK_MS * UINT64_C(1000000));
	return false;
}

enum err link_ahead_place(struct link_tx *tx, uint32_t index, struct place *out)
{
	struct task *t = tx->work->task;

	if (index >= t->places_first && index - t->places_first < t->n_places) {
		*out = t->places[index - t->places_first];
		return ERR_OK;
	}
	(void)ask_soon(tx, index);
	return ERR_AGAIN;
}

void link_ahead_next(struct link_sender *s)
{
	LIST_EACH(n, tmp, &s->ahead)
	{
		struct link_tx *tx = CONTAINER_OF(n, struct tx_work, ahead)->tx;

		if (tx->state == LINK_TX_SENDING &&
		    tx->work->n_sent == tx->chunks)
			(void)ask_soon(tx, tx->chunks);
	}
}

/* ---- beginning and end ------------------------------------------------- */

void link_ahead_give(struct link_tx *tx)
{
	list_push_back(&tx->s->ahead, &tx->work->ahead);
	tx->chunks = 0;
}

static void give_back(struct link_tx *tx)
{
	struct verdict v = outcome_of_failure(FAIL_STOPPED);

	link_report_task(tx, TASK_RETURNED, &v, NULL);
	link_tx_free(tx);
}

static void on_note(struct msg *m)
{
	struct lane_note *note = CONTAINER_OF(m, struct lane_note, msg);
	struct link_sender *s = note->owner;
	struct link_tx *tx = tx_of(s, note->flight);

	if (tx != NULL && note->whole) {
		give_back(tx);
	} else if (tx != NULL) {
		tx->why = LINK_WITHDRAW_ABORTED;
		link_tx_event(tx, LINK_TX_EV_WITHDRAW, NULL);
	}
	mem_free(note);
	link_sender_pump_soon(s);
}

void link_ahead_tell(void *lane, struct lane_note *note)
{
	struct link_sender *s = lane;

	note->owner = s;
	note->msg.run = on_note;
	if (!worker_post(s->env.worker, &note->msg))
		mem_free(note); /* it is stopping: the task comes back */
}
