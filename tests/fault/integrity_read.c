/* Destinations: each object is read by its id as soon as it is acknowledged,
 * and compared; then its fate is decided. Some are kept and looked at again. */
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/tree.h"
#include "tests/fault/integrity.h"

enum { CHUNKS_MAX = INTEGRITY_LENGTH_MAX / CHUNK_LEN + 1, PATIENCE = 3000 };

struct reader {
	struct integrity *w;
	struct dice dice;
	struct event event;
	uint8_t *block;
	/* The last answer: */
	struct ledger_transfer t;
	struct place places[CHUNKS_MAX];
};

void integrity_compare(const struct integrity *w, uint32_t n, uint32_t index,
		       const uint8_t *p, size_t len)
{
	uint64_t at = (uint64_t)index * CHUNK_LEN, length;
	uint8_t want[4096];

	length = integrity_length(w, n) - at;
	if (len != (length < CHUNK_LEN ? length : CHUNK_LEN))
		integrity_fail("chunk %u of object %u has %zu bytes", index, n,
			       len);
	for (size_t i = 0; i < len; i += sizeof(want)) {
		size_t now = len - i < sizeof(want) ? len - i : sizeof(want);

		integrity_fill(n, at + i, want, now);
		if (memcmp(want, p + i, now) != 0)
			integrity_fail("chunk %u of object %u has other bytes "
				       "from %zu on",
				       index, n, i);
	}
}

/* ---- places ----------------------------------------------------------------
 */

static void on_transfer(void *arg, const struct ledger_transfer *t)
{
	struct reader *r = arg;

	r->t = *t;
	if (t->n > CHUNKS_MAX)
		integrity_fail("more chunks than there are");
	if (t->n > 0)
		memcpy(r->places, t->places, t->n * sizeof(*t->places));
	event_set(&r->event, t->e);
}

static void ask(struct reader *r, const struct transfer_id *id)
{
	if (ledger_transfer(r->w->ledger, id, 0, CHUNKS_MAX, on_transfer, r) !=
	    ERR_OK)
		integrity_fail("the ledger takes no questions");
	(void)event_wait(&r->event);
}

/* The ledger is a little behind the spool. */
static void find(struct reader *r, uint32_t n, const struct transfer_id *id)
{
	uint64_t length = integrity_length(r->w, n);

	ask(r, id);
	for (int i = 0; r->t.seq == 0 && i < PATIENCE; i++) {
		dice_pause(&r->dice, 20000);
		ask(r, id);
	}
	if (r->t.seq == 0)
		integrity_fail("object %u is not in the ledger: %s", n,
			       err_text(r->t.e));
	if (r->t.length != length ||
	    r->t.n != (length + CHUNK_LEN - 1) / CHUNK_LEN)
		integrity_fail("object %u has %zu chunks in the ledger", n,
			       r->t.n);
}

/* ---- reading ---------------------------------------------------------------
 */

static enum err read_with_leaf(struct reader *r, const struct transfer_id *id,
			       uint32_t index, size_t *len)
{
	uint8_t leaf[SEAL_HASH_LEN];
	struct spool_chunk c = {.instance = NULL};
	enum err e = spool_read_whole(r->w->spool, r->places[index], id, index,
				      false, r->block, &c);

	if (e != ERR_OK)
		return e;
	*len = c.len;
	if (tree_leaf_of(r->block, c.len, leaf) != ERR_OK)
		integrity_fail("out of memory");
	if (memcmp(leaf, c.leaf, sizeof(leaf)) != 0)
		integrity_fail("a chunk has another leaf than its record says");
	return ERR_OK;
}

static enum err read_chunk(struct reader *r, const struct transfer_id *id,
			   uint32_t index, size_t *len)
{
	enum err e = ERR_AGAIN;

	if (dice_one_in(&r->dice, 8))
		return read_with_leaf(r, id, index, len);
	if (dice_one_in(&r->dice, 2))
		e = spool_read_now(r->w->spool, r->places[index], id, index,
				   r->block, len);
	if (e != ERR_OK)
		e = spool_read_chunk(r->w->spool, r->places[index], id, index,
				     r->block, len);
	return e;
}

/* Compaction may move it between the answer and the reading. */
static void look_at_chunk(struct reader *r, uint32_t n,
			  const struct transfer_id *id, uint32_t index)
{
	size_t len = 0;
	enum err e = read_chunk(r, id, index, &len);

	for (int i = 0; e == ERR_NOTFOUND && i < 50; i++) {
		find(r, n, id);
		e = read_chunk(r, id, index, &len);
	}
	if (e != ERR_OK)
		integrity_fail("chunk %u of object %u, segment %08x offset %u: "
			       "%s",
			       index, n, r->places[index].segment,
			       r->places[index].offset, err_text(e));
	integrity_compare(r->w, n, index, r->block, len);
}

static void note_place(struct reader *r, uint32_t n)
{
	struct object *o = &r->w->objects[n];

	if (r->t.n == 0)
		return;
	if (o->segment != 0 && o->segment != r->places[0].segment)
		atomic_fetch_add(&r->w->moved, 1);
	o->segment = r->places[0].segment;
}

static void look_at(struct reader *r, uint32_t n)
{
	struct transfer_id id = r->w->objects[n].id;

	find(r, n, &id);
	note_place(r, n);
	for (uint32_t i = 0; i < r->t.n; i++)
		look_at_chunk(r, n, &id, i);
	atomic_fetch_add(&r->w->looks, 1);
}

/* ---- fates -----------------------------------------------------------------
 */

static void say(struct reader *r, uint32_t n, enum outcome_kind kind)
{
	struct outcome o = {
	    .id = r->w->objects[n].id, .kind = kind, .at_ms = clock_wall_ms()};
	enum err e;

	(void)INSTANCE_SET(o.destination, "cloud");
	while ((e = spool_outcome(r->w->spool, &o)) == ERR_BUSY)
		dice_pause(&r->dice, 1000);
	integrity_need(e, "outcome", n);
	atomic_fetch_add(&r->w->outcomes, 1);
}

/* What is kept waits in some state. */
static void keep(struct reader *r, uint32_t n)
{
	static const struct {
		enum outcome_kind kind;
		enum delivery_state state;
	} steps[] = {{OUTCOME_HELD, DELIVERY_HELD},
		     {OUTCOME_QUARANTINED, DELIVERY_QUARANTINED},
		     {OUTCOME_ARRIVED, DELIVERY_ARRIVED},
		     {OUTCOME_ARRIVED, DELIVERY_ARRIVED},
		     {OUTCOME_RELEASED, DELIVERY_QUEUED}};
	struct integrity *w = r->w;
	uint32_t i = dice_below(&r->dice, 2 * ARRAY_LEN(steps));

	if (i < ARRAY_LEN(steps) && !w->alone) {
		w->objects[n].expected = steps[i].state;
		say(r, n, steps[i].kind);
	}
	pthread_mutex_lock(&w->lock);
	w->kept[w->n_kept++] = n;
	pthread_mutex_unlock(&w->lock);
}

static void give_up(struct reader *r, uint32_t n)
{
	static const enum outcome_kind ends[] = {
	    OUTCOME_DELIVERED, OUTCOME_DELIVERED, OUTCOME_DELIVERED_FLAGGED,
	    OUTCOME_DISCARDED, OUTCOME_WITHDRAWN};

	pthread_mutex_lock(&r->w->lock);
	r->w->objects[n].state = OBJECT_GIVEN_UP;
	pthread_mutex_unlock(&r->w->lock);
	say(r, n, ends[dice_below(&r->dice, ARRAY_LEN(ends))]);
}

/* One of so many is kept, rather the small ones: a segment with little of what
 * is needed is emptied. Fewer when there is no room. */
static void decide(struct reader *r, uint32_t n)
{
	bool small = integrity_length(r->w, n) < CHUNK_LEN / 4;
	uint32_t one_in = small ? 3 : 10;

	/* An outcome in the queue keeps a record from standing where it was
	 * written ahead: alone there are none but when it is full. */
	if (atomic_load(&r->w->stuck))
		one_in *= 3;
	else if (r->w->alone)
		one_in = 1;
	if (dice_one_in(&r->dice, one_in))
		keep(r, n);
	else
		give_up(r, n);
}

/* ---- the thread ------------------------------------------------------------
 */

static uint32_t take_kept(struct integrity *w, struct dice *d)
{
	size_t i;
	uint32_t n;

	if (w->n_kept < 8) { /* enough was given up */
		atomic_store(&w->stuck, false);
		return 0;
	}
	i = dice_below(d, (uint32_t)w->n_kept);
	n = w->kept[i];
	w->kept[i] = w->kept[--w->n_kept];
	return n;
}

/* 0: none for now. */
static uint32_t take(struct integrity *w, struct dice *d)
{
	bool stop = atomic_load(&w->stop);
	bool again =
	    atomic_load(&w->stuck) || (!w->alone && dice_one_in(d, 20));
	uint32_t n = 0;

	pthread_mutex_lock(&w->lock);
	if (w->todo_from < w->todo_to)
		n = w->todo[w->todo_from++];
	else if (!stop && again)
		n = take_kept(w, d);
	pthread_mutex_unlock(&w->lock);
	return n;
}

void *integrity_look_many(void *arg)
{
	struct integrity *w = arg;
	struct reader r = {.w = w, .block = mem_zalloc(CHUNK_LEN)};

	if (r.block == NULL)
		integrity_fail("out of memory");
	r.dice = dice_new(w, 100 + atomic_fetch_add(&w->put_threads, 1));
	event_init(&r.event);
	for (;;) {
		bool stop =
		    atomic_load(&w->stop) && atomic_load(&w->flying) == 0;
		uint32_t n = take(w, &r.dice);

		if (n == 0 && stop)
			break;
		if (n == 0) {
			dice_pause(&r.dice, 3000);
			continue;
		}
		look_at(&r, n);
		decide(&r, n);
	}
	mem_free(r.block);
	return NULL;
}

static void on_barrier(void *arg, enum err e)
{
	event_set(arg, e);
}

void integrity_barrier(struct integrity *w)
{
	struct event v;

	event_init(&v);
	integrity_need(ledger_barrier(w->ledger, on_barrier, &v), "barrier", 0);
	integrity_need(event_wait(&v), "barrier", 0);
}
