/* link_sender_read.c - places and bytes from the spool.
 *
 * What is in the page cache is opened at once, the rest on the reader's
 * threads. A read that fails is repeated once with fresh places: compaction may
 * have moved the record. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/link/link_sender_int.h"

/* ---- places ------------------------------------------------------------ */

static void keep_places(struct link_tx *tx, const struct tx_places *a)
{
	struct task *t = tx->work->task;

	t->places_asked = false;
	t->n_places = a->n;
	t->places_first = a->first;
	if (a->n > 0)
		memcpy(t->places, a->places, a->n * sizeof(a->places[0]));
	else
		t->failed_index = UINT32_MAX; /* cannot be had */
}

static void on_places_posted(struct msg *m)
{
	struct tx_places *a = CONTAINER_OF(m, struct tx_places, msg);
	struct link_sender *s = a->s;

	list_remove(&a->node);
	s->in_flight--;
	if (a->tx != NULL)
		keep_places(a->tx, a);
	mem_free(a);
	link_sender_pump(s);
	link_sender_settled(s);
}

/* On the ledger's thread. */
static void on_places(void *arg, enum err e, const struct place *places,
		      size_t n)
{
	struct tx_places *a = arg;

	if (e == ERR_OK && n <= LEDGER_PLACES_MAX) {
		a->n = (uint32_t)n;
		memcpy(a->places, places, n * sizeof(a->places[0]));
	}
	(void)worker_post(a->s->env.worker, &a->msg);
}

static enum err ask_places(struct link_tx *tx, uint32_t first)
{
	struct link_sender *s = tx->s;
	struct task *t = tx->work->task;
	uint32_t left = tx->chunks - first;
	unsigned n = left < LEDGER_PLACES_MAX ? left : LEDGER_PLACES_MAX;
	struct tx_places *a = mem_zalloc(sizeof(*a));
	enum err e = ERR_NOMEM;

	if (t->places == NULL)
		t->places = mem_zarray(LEDGER_PLACES_MAX, sizeof(*t->places));
	if (t->places != NULL && a != NULL) {
		a->msg.run = on_places_posted;
		a->s = s;
		a->tx = tx;
		a->first = first;
		e = ledger_places(s->env.ledger, t->item.seq, first, n,
				  on_places, a);
	}
	if (e != ERR_OK) {
		mem_free(a);
		return e;
	}
	list_push_back(&s->questions, &a->node);
	s->in_flight++;
	t->places_asked = true;
	return ERR_OK;
}

enum err link_read_place(struct link_tx *tx, uint32_t index, struct place *out)
{
	struct task *t = tx->work->task;
	enum err e;

	if (t->failed_index == UINT32_MAX)
		return ERR_NOTFOUND;
	if (t->early)
		return link_ahead_place(tx, index, out);
	if (index >= t->places_first && index - t->places_first < t->n_places) {
		*out = t->places[index - t->places_first];
		return ERR_OK;
	}
	if (index == 0 && !t->places_stale) {
		*out = t->item.first;
		return ERR_OK;
	}
	if (t->places_asked)
		return ERR_AGAIN;
	/* One answer has all of them, if they are few. */
	e = ask_places(tx, tx->chunks <= LEDGER_PLACES_MAX ? 0 : index);
	return e == ERR_OK || e == ERR_BUSY ? ERR_AGAIN : e;
}

bool link_read_again(struct link_tx *tx, uint32_t index)
{
	struct task *t = tx->work->task;

	if (t->failed_index == index + 1 || t->failed_index == UINT32_MAX)
		return false;
	t->failed_index = index + 1;
	t->places_stale = true;
	t->n_places = 0;
	return true;
}

void link_read_forget(struct link_tx *tx)
{
	struct link_sender *s = tx->s;
	struct task *t = tx->work->task;

	LIST_EACH(n, tmp, &s->questions)
	{
		struct tx_places *a = CONTAINER_OF(n, struct tx_places, node);

		if (a->tx == tx)
			a->tx = NULL;
	}
	for (unsigned i = 0; i < TX_METAS; i++) {
		struct tx_read *r = &s->metas[i];

		if (r->tx != tx)
			continue;
		r->tx = NULL;
		if (r->state == READ_DONE)
			r->state = READ_NONE;
	}
	mem_free(t->places);
	t->places = NULL;
	t->n_places = 0;
	t->places_asked = false;
}

/* ---- bytes ------------------------------------------------------------- */

static void on_read_posted(struct msg *m)
{
	struct tx_read *r = CONTAINER_OF(m, struct tx_read, msg);
	struct link_sender *s = r->s;

	s->in_flight--;
	r->state = READ_DONE;
	link_sender_pump(s);
	link_sender_settled(s);
}

/* On a reader's thread. */
static void read_run(struct job *j)
{
	struct tx_read *r = CONTAINER_OF(j, struct tx_read, job);

	r->e = spool_read_whole(r->s->env.spool, r->place, &r->id, r->index,
				false, r->data, &r->chunk);
	(void)worker_post(r->s->env.worker, &r->msg);
}

void link_read_begin(struct tx_read *r, const struct place *place)
{
	enum err e;

	r->place = *place;
	r->id = r->tx->id;
	r->job.run = read_run;
	r->msg.run = on_read_posted;
	r->state = READ_DONE;
	r->e = spool_read_whole(r->s->env.spool, r->place, &r->id, r->index,
				true, r->data, &r->chunk);
	if (r->e == ERR_OK)
		return;
	r->state = READ_UNDER_WAY; /* the reader's from here on */
	r->s->in_flight++;
	e = reader_submit(r->s->env.reader, &r->job);
	if (e == ERR_OK)
		return;
	r->state = READ_DONE;
	r->s->in_flight--;
	r->e = e; /* it is tried again: link_read_again() */
}
