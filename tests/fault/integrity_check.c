/* After a restart: the ledger knows exactly what was acknowledged and not given
 * up, in the state it was left in, and every byte of it reads. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "tests/fault/integrity.h"

enum { PAGE = LEDGER_FETCH_MAX };

struct checker {
	struct integrity *w;
	struct event event;
	uint8_t *block;
	struct ledger_fetched page;
	struct ledger_item items[PAGE];
	struct place places[LEDGER_PLACES_MAX];
	size_t n_places;
};

static void on_fetched(void *arg, const struct ledger_fetched *f)
{
	struct checker *c = arg;

	c->page = *f;
	if (f->n > 0)
		memcpy(c->items, f->items, f->n * sizeof(*f->items));
	event_set(&c->event, f->e);
}

static void on_places(void *arg, enum err e, const struct place *places,
		      size_t n)
{
	struct checker *c = arg;

	if (n > 0)
		memcpy(c->places, places, n * sizeof(*places));
	c->n_places = n;
	event_set(&c->event, e);
}

static void read_all(struct checker *c, uint32_t n,
		     const struct ledger_item *it)
{
	size_t len;

	if (it->chunks == 0)
		return;
	if (ledger_places(c->w->ledger, it->seq, 0, LEDGER_PLACES_MAX,
			  on_places, c) != ERR_OK)
		integrity_fail("the ledger takes no questions");
	integrity_need(event_wait(&c->event), "places", n);
	if (c->n_places < it->chunks)
		integrity_fail("object %u has %zu places", n, c->n_places);
	for (uint32_t i = 0; i < it->chunks; i++) {
		integrity_need(spool_read_chunk(c->w->spool, c->places[i],
						&it->transfer, i, c->block,
						&len),
			       "after a restart, a chunk", n);
		integrity_compare(c->w, n, i, c->block, len);
	}
}

/* That it was given up stood in a segment that is gone: its delivery only
 * repeats. When a part of it is gone as well, the ledger cannot know better
 * than to show it. */
static void deliver_again(struct checker *c, uint32_t n,
			  const struct ledger_item *it,
			  enum delivery_state state)
{
	struct outcome o = {.id = it->transfer, .kind = OUTCOME_DELIVERED};
	bool part = state == DELIVERY_QUARANTINED;

	if (!part)
		read_all(c, n, it);
	integrity_need(spool_outcome(c->w->spool, &o), "outcome", n);
	atomic_fetch_add(part ? &c->w->parts : &c->w->again, 1);
}

static void check_item(struct checker *c, const struct ledger_item *it,
		       enum delivery_state state)
{
	uint32_t n = (uint32_t)it->association;
	struct object *o = &c->w->objects[n];

	if (n == 0 || n > c->w->n || o->state == OBJECT_COMING ||
	    o->state == OBJECT_DROPPED)
		integrity_fail("object %u was never finished, and is %s", n,
			       delivery_state_text(state));
	/* A ledger made anew may have lost that it was given up. */
	if (o->state == OBJECT_GIVEN_UP && c->w->was_rebuilt) {
		deliver_again(c, n, it, state);
		return;
	}
	if (o->state != OBJECT_STORED || o->seen)
		integrity_fail("object %u is %s, but %s", n,
			       delivery_state_text(state),
			       o->seen ? "there twice" : "was given up");
	if (o->expected != state)
		integrity_fail("object %u is %s, and should be %s%s", n,
			       delivery_state_text(state),
			       delivery_state_text(o->expected),
			       c->w->was_rebuilt ? " (ledger made anew)" : "");
	o->seen = true;
	read_all(c, n, it);
}

static void check_state(struct checker *c, enum delivery_state state)
{
	struct ledger_query q = {.destination = "cloud",
				 .state = state,
				 .after = LEDGER_CURSOR_START,
				 .max = PAGE};

	do {
		if (ledger_fetch(c->w->ledger, &q, on_fetched, c) != ERR_OK)
			integrity_fail("the ledger takes no questions");
		integrity_need(event_wait(&c->event), "fetching", 0);
		q.after = c->page.next;
		for (size_t i = 0; i < c->page.n; i++)
			check_item(c, &c->items[i], state);
	} while (!c->page.end);
}

static void check_seen(struct integrity *w)
{
	for (uint32_t n = 1; n <= w->n; n++) {
		struct object *o = &w->objects[n];

		if (o->state == OBJECT_STORED && !o->seen)
			integrity_fail("object %u is gone (it was %s)", n,
				       delivery_state_text(o->expected));
		o->seen = false;
	}
}

void integrity_check(struct integrity *w)
{
	struct checker *c = mem_zalloc(sizeof(*c));

	if (c == NULL || (c->block = mem_zalloc(CHUNK_LEN)) == NULL)
		integrity_fail("out of memory");
	c->w = w;
	event_init(&c->event);
	check_state(c, DELIVERY_QUEUED);
	check_state(c, DELIVERY_HELD);
	check_state(c, DELIVERY_QUARANTINED);
	check_state(c, DELIVERY_ARRIVED);
	check_seen(w);
	mem_free(c->block);
	mem_free(c);
}
