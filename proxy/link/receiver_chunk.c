/* receiver_chunk.c - DATA and CHUNK_END into whole chunks.
 *
 * Memory grows with what has come, not with what a peer says will come; all of
 * it together is bounded by the window, beyond which nothing is read. */
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/link/receiver_int.h"
#include "store/tree.h"

enum {
	FIRST_ROOM = 16 * 1024,
	BOOKKEEPING = 512, /* bytes that a chunk counts for, beside its data */
};

/* ---- memory ------------------------------------------------------------ */

void rx_chunks_weigh(struct rx_session *s)
{
	uint64_t room =
	    s->window + CHUNK_LEN + (uint64_t)s->transfers_max * BOOKKEEPING;

	if (s->held > room)
		rx_session_pause(s, RX_PAUSE_MEMORY);
	else
		rx_session_resume(s, RX_PAUSE_MEMORY);
}

void rx_chunk_free(struct rx_chunk *c)
{
	struct rx_transfer *t = c->transfer;

	if (t->session != NULL) {
		t->session->held -= c->cap + BOOKKEEPING;
		t->session->n_chunks--;
		if (!list_empty(&c->by_store))
			t->n_waiting--;
	}
	list_remove(&c->by_transfer);
	list_remove(&c->by_wire);
	list_remove(&c->by_store);
	mem_free(c->data);
	mem_free(c);
}

/* More chunks than any mixture within the window needs. */
static bool too_many(const struct rx_session *s)
{
	return s->n_chunks >
	       2 * (s->transfers_max + s->window / CHUNK_LEN) + 64;
}

static struct rx_chunk *chunk_new(struct rx_transfer *t, struct rx_wire *w,
				  uint32_t index)
{
	struct rx_chunk *c = mem_zalloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	c->transfer = t;
	c->wire = w;
	c->index = index;
	list_init(&c->by_store);
	list_push_back(&t->chunks, &c->by_transfer);
	list_push_back(&w->chunks, &c->by_wire);
	t->session->held += BOOKKEEPING;
	t->session->n_chunks++;
	return c;
}

/* The most that chunk may have, as far as is known. */
static size_t most_of(const struct rx_transfer *t, uint32_t index)
{
	uint64_t from = (uint64_t)index * CHUNK_LEN;

	if (!t->complete || t->whole.length <= from ||
	    t->whole.length - from > CHUNK_LEN)
		return CHUNK_LEN;
	return (size_t)(t->whole.length - from);
}

static bool make_room(struct rx_chunk *c, size_t n)
{
	size_t cap = c->cap > 0 ? 2 * c->cap : FIRST_ROOM;
	size_t most = most_of(c->transfer, c->index);
	uint8_t *p;

	if (c->length + n <= c->cap)
		return true;
	if (cap > most)
		cap = most;
	if (cap < c->length + n)
		cap = c->length + n; /* LENGTH will say so */
	p = mem_realloc(c->data, cap);
	if (p == NULL)
		return false;
	c->transfer->session->held += cap - c->cap;
	c->data = p;
	c->cap = cap;
	return true;
}

/* ---- DATA -------------------------------------------------------------- */

static struct rx_chunk *find_on(struct rx_transfer *t, const struct rx_wire *w,
				uint32_t index)
{
	LIST_EACH(it, tmp, &t->chunks)
	{
		struct rx_chunk *c =
		    CONTAINER_OF(it, struct rx_chunk, by_transfer);

		if (c->index == index && c->wire == w)
			return c;
	}
	return NULL;
}

/* Begun anew: what is gathered of it, on whatever connection, is forgotten. */
static void forget(struct rx_transfer *t, uint32_t index)
{
	LIST_EACH(it, tmp, &t->chunks)
	{
		struct rx_chunk *c =
		    CONTAINER_OF(it, struct rx_chunk, by_transfer);

		if (c->index == index && c->wire != NULL)
			rx_chunk_free(c);
	}
}

static bool takes_data(const struct rx_transfer *t)
{
	return t != NULL &&
	       (t->state == LINK_RX_DECIDING || t->state == LINK_RX_RECEIVING);
}

void rx_on_data(struct rx_wire *w, const struct link_frame *f)
{
	struct rx_session *s = w->session;
	struct rx_transfer *t = rx_transfer_find(s, &f->id);
	struct rx_chunk *c;

	if (!takes_data(t))
		return;
	if (f->data.offset == 0) {
		forget(t, f->data.index);
		if (too_many(s)) {
			rx_wire_broken(w, "more chunks begun than the window "
					  "has room for");
			return;
		}
		c = chunk_new(t, w, f->data.index);
	} else {
		c = find_on(t, w, f->data.index);
		if (c == NULL)
			return; /* not begun on it, or forgotten */
		if (c->length != f->data.offset) {
			rx_wire_broken(w, "a gap or an overlap inside a chunk");
			return;
		}
	}
	if (c == NULL || !make_room(c, f->data.data.len)) {
		link_conn_bye(w->conn, LINK_BYE_STORE, false, "out of memory");
		return;
	}
	memcpy(c->data + c->length, f->data.data.p, f->data.data.len);
	c->length += (uint32_t)f->data.data.len;
	rx_chunks_weigh(s);
}

/* ---- CHUNK_END --------------------------------------------------------- */

#ifdef CULVERT_TEST_HOOKS
/* CULVERT_TEST_FLIP=N/M: of every M chunks that come, the Nth has a bit
 * flipped; with M above 1 not the one that was damaged last. */
static void damage(struct rx_chunk *c)
{
	static _Thread_local unsigned count;
	static _Thread_local struct transfer_id last_id;
	static _Thread_local uint32_t last_index;
	const char *text = getenv("CULVERT_TEST_FLIP");
	const struct transfer_id *id = &c->transfer->origin.id;
	unsigned n, m;
	char *end;

	if (text == NULL || c->length == 0)
		return;
	n = (unsigned)strtoul(text, &end, 10);
	m = *end == '/' ? (unsigned)strtoul(end + 1, NULL, 10) : 0;
	if (n == 0 || m == 0)
		return;
	if (m > 1 && transfer_id_equal(id, &last_id) && c->index == last_index)
		return;
	if (count++ % m != n - 1)
		return;
	c->data[c->length / 2] ^= 0x10;
	last_id = *id;
	last_index = c->index;
}
#else
static void damage(struct rx_chunk *c)
{
	(void)c;
}
#endif

static bool length_fits(const struct rx_transfer *t, const struct rx_chunk *c,
			uint32_t said)
{
	if (c->length != said || c->index >= SPOOL_PARTIAL_CHUNKS)
		return false;
	if (!t->complete)
		return true; /* the spool sees to it that only the last is short
			      */
	return c->index < t->whole.chunks && c->length == most_of(t, c->index);
}

void rx_chunk_bad(struct rx_chunk *c, enum link_bad reason,
		  const uint8_t said[LINK_HASH_LEN],
		  const uint8_t found[LINK_HASH_LEN])
{
	struct rx_transfer *t = c->transfer;
	struct link_bad_chunk bad = {.index = c->index,
				     .reason = (uint8_t)reason};

	memcpy(bad.said, said, sizeof(bad.said));
	memcpy(bad.found, found, sizeof(bad.found));
	t->session->n.bad++;
	atomic_fetch_add(&t->home->receiver->counts.chunks_bad, 1);
	rx_tell_bad(t->wire, &t->origin.id, &bad);
	rx_chunk_free(c);
}

/* False: it has not the length it should have, and is gone. Its leaf is looked
 * at when it goes to the spool (receiver_store.c), in the pass over it that
 * seals it. */
static bool has_its_length(struct rx_chunk *c, uint32_t said)
{
	uint8_t found[LINK_HASH_LEN];

	damage(c);
	if (length_fits(c->transfer, c, said))
		return true;
	if (tree_leaf_of(c->data, c->length, found) == ERR_OK)
		rx_chunk_bad(c, LINK_BAD_LENGTH, c->leaf, found);
	else
		rx_chunk_free(c);
	return false;
}

void rx_on_chunk_end(struct rx_wire *w, const struct link_frame *f)
{
	struct rx_session *s = w->session;
	struct rx_transfer *t = rx_transfer_find(s, &f->id);
	struct rx_chunk *c = NULL;

	if (takes_data(t))
		c = find_on(t, w, f->end.index);
	if (c == NULL)
		return;
	memcpy(c->leaf, f->end.leaf, sizeof(c->leaf));
	if (!has_its_length(c, f->end.length)) {
		rx_chunks_weigh(s);
		return;
	}
	c->wire = NULL;
	list_remove(&c->by_wire);
	if (t->state != LINK_RX_RECEIVING)
		return; /* eager: it waits for the decision */
	rx_store_line_up(c);
	rx_store_pump(s);
}

void rx_chunks_release(struct rx_transfer *t)
{
	LIST_EACH(it, tmp, &t->chunks)
	{
		struct rx_chunk *c =
		    CONTAINER_OF(it, struct rx_chunk, by_transfer);

		if (c->wire == NULL && list_empty(&c->by_store))
			rx_store_line_up(c);
	}
	rx_store_pump(t->session);
}
