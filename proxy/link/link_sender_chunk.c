/* link_sender_chunk.c - which chunk is read, which frame is sent next.
 *
 * A few chunks are in memory, in slots; two slots are for urgent ones only.
 * Frames of an urgent chunk go before those of the others, which have one in
 * seventeen whatever waits. Large transfers of one class take turns, so that a
 * very large one does not keep the others. */
#include <assert.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/link/link_sender_int.h"

uint32_t link_chunk_len(const struct link_tx *tx, uint32_t index)
{
	uint64_t at = (uint64_t)index * CHUNK_LEN;

	if (link_ahead_is(tx)) /* the last one is not among them */
		return CHUNK_LEN;
	return tx->length - at < CHUNK_LEN ? (uint32_t)(tx->length - at)
					   : CHUNK_LEN;
}

/* ---- maps -------------------------------------------------------------- */

static void set_bit(uint8_t *map, uint32_t i, uint32_t *n)
{
	*n += !link_bit(map, i);
	map[i / 8] |= (uint8_t)(1u << (i % 8));
}

static void clear_bit(uint8_t *map, uint32_t i, uint32_t *n)
{
	*n -= link_bit(map, i);
	map[i / 8] &= (uint8_t) ~(1u << (i % 8));
}

void link_chunk_set_sent(struct link_tx *tx, uint32_t index)
{
	set_bit(tx->work->sent, index, &tx->work->n_sent);
}

void link_chunk_again(struct link_tx *tx, uint32_t index)
{
	struct tx_work *w = tx->work;

	clear_bit(w->sent, index, &w->n_sent);
	clear_bit(w->have, index, &w->n_have);
	tx->s->now.again += link_chunk_len(tx, index);
	if (index < w->next)
		w->next = index;
}

/* n comes from the far end. */
void link_chunk_set_have(struct link_tx *tx, uint32_t first, uint32_t n)
{
	struct tx_work *w = tx->work;

	for (uint32_t i = first; i < tx->chunks && i - first < n; i++) {
		set_bit(w->have, i, &w->n_have);
		set_bit(w->sent, i, &w->n_sent);
	}
}

void link_chunk_begin_map(struct link_tx *tx)
{
	struct tx_work *w = tx->work;

	memset(w->have, 0, tx->chunks / 8 + 1);
	memset(w->sent, 0, tx->chunks / 8 + 1);
	w->n_have = w->n_sent = w->next = 0;
}

void link_chunk_end_map(struct link_tx *tx)
{
	struct link_sender *s = tx->s;

	LIST_EACH(n, tmp, &tx->work->flights)
	link_chunk_set_sent(tx, CONTAINER_OF(n, struct tx_flight, node)->index);
	for (unsigned i = 0; i < TX_SLOTS; i++) {
		const struct tx_read *r = &s->slots[i].read;

		if (r->tx == tx)
			link_chunk_set_sent(tx, r->index);
	}
}

/* The first that is not sent; tx->chunks: none. */
static uint32_t next_unsent(struct link_tx *tx)
{
	struct tx_work *w = tx->work;

	while (w->next < tx->chunks && link_bit(w->sent, w->next))
		w->next++;
	return w->next;
}

/* ---- flights ----------------------------------------------------------- */

void link_chunk_answered(struct link_tx *tx, uint32_t first, uint32_t n,
			 bool durable)
{
	struct link_window *w = &tx->s->window;
	uint64_t now = link_sender_now_us();

	LIST_EACH(node, tmp, &tx->work->flights)
	{
		struct tx_flight *f =
		    CONTAINER_OF(node, struct tx_flight, node);

		if (f->index < first || f->index - first >= n)
			continue;
		if (!f->out)
			continue; /* its slot has it still */
		list_remove(&f->node);
		if (durable)
			link_window_acked(w, now, &f->mark);
		else
			link_window_dropped(w, &f->mark);
		mem_free(f);
	}
}

/* ---- slots ------------------------------------------------------------- */

struct tx_slot *link_slot_free(struct link_sender *s, bool urgent)
{
	unsigned n = urgent ? TX_SLOTS : TX_SLOTS - TX_SLOTS_URGENT;

	for (unsigned i = 0; i < n; i++) {
		if (s->slots[i].read.state == READ_NONE)
			return &s->slots[i];
	}
	return NULL;
}

static void free_flight(struct tx_slot *slot)
{
	if (slot->flight == NULL)
		return;
	list_remove(&slot->flight->node);
	link_window_dropped(&slot->read.s->window, &slot->flight->mark);
	mem_free(slot->flight);
	slot->flight = NULL;
}

static void empty(struct tx_slot *slot)
{
	struct tx_read *r = &slot->read;

	if (r->tx != NULL)
		r->tx->work->slots--;
	r->tx = NULL;
	slot->flight = NULL;
	slot->ready = false;
	shaper_leave(&slot->shape);
	if (r->state == READ_DONE)
		r->state = READ_NONE;
}

void link_slot_drop(struct tx_slot *slot)
{
	free_flight(slot);
	empty(slot);
}

void link_slot_take(struct tx_slot *slot, struct link_tx *tx, uint32_t index,
		    const struct place *place)
{
	struct tx_read *r = &slot->read;

	if (slot->data == NULL)
		slot->data = mem_zalloc(CHUNK_LEN);
	r->data = slot->data;
	r->tx = tx;
	r->index = index;
	r->chunk.instance =
	    tx->work->prepared == TX_READY ? NULL : &r->instance;
	slot->turn = ++tx->s->turns;
	slot->urgent = tx->urgent;
	slot->ready = false;
	slot->offset = 0;
	slot->flight = NULL;
	slot->wait_ns = 0;
	tx->work->slots++;
	link_chunk_set_sent(tx, index);
	if (slot->data == NULL) {
		r->state = READ_DONE;
		r->e = ERR_NOMEM;
		return;
	}
	link_read_begin(r, place);
}

static void note_lost(struct tx_work *w, uint32_t index)
{
	if (w->n_lost < TX_LOST)
		w->lost[w->n_lost++] = index;
}

void link_chunk_forget(struct link_tx *tx)
{
	struct link_sender *s = tx->s;

	LIST_EACH(n, tmp, &tx->work->flights)
	note_lost(tx->work, CONTAINER_OF(n, struct tx_flight, node)->index);
	for (unsigned i = 0; i < TX_SLOTS; i++) {
		if (s->slots[i].read.tx == tx)
			link_slot_drop(&s->slots[i]);
	}
	LIST_EACH(n, tmp, &tx->work->flights)
	{
		struct tx_flight *f = CONTAINER_OF(n, struct tx_flight, node);

		list_remove(&f->node);
		link_window_dropped(&s->window, &f->mark);
		mem_free(f);
	}
}

/* ---- reading ------------------------------------------------------------ */

static void unread(struct tx_slot *slot)
{
	struct link_tx *tx = slot->read.tx;
	uint32_t index = slot->read.index;
	enum err e = slot->read.e;

	empty(slot);
	if (tx->work->prepared == TX_READING)
		tx->work->prepared = TX_RAW;
	if (!link_read_again(tx, index)) {
		link_tx_unreadable(tx, e);
		return;
	}
	link_chunk_again(tx, index);
	link_tx_place(tx);
}

static void join_shaper(struct tx_slot *slot, const struct link_tx *tx)
{
	const struct link_sender *s = tx->s;
	const struct destination *d = s->env.destination;
	int device = -1;

	if (d->shaper == NULL)
		return;
	if (s->env.site != NULL)
		device = config_device_find(s->env.site,
					    tx->work->task->item.device);
	shaper_join(&slot->shape, d->shaper, SHAPER_OUT, d->index,
		    device >= 0 ? (size_t)device : SHAPER_NONE);
}

static void take_in(struct tx_slot *slot)
{
	struct link_tx *tx = slot->read.tx;
	struct tx_read *r = &slot->read;

	if (r->e == ERR_OK && r->chunk.len != link_chunk_len(tx, r->index))
		r->e = ERR_CORRUPT;
	if (r->e != ERR_OK) {
		unread(slot);
		return;
	}
	slot->ready = true;
	join_shaper(slot, tx);
	if (tx->work->prepared != TX_READING)
		return;
	link_offer_prepared(tx, r);
	mem_wipe(&r->instance, sizeof(r->instance));
	if (tx->work->prepared != TX_READY) { /* no memory: later */
		link_slot_drop(slot);
		link_chunk_again(tx, r->index);
	}
}

void link_chunk_settle(struct link_sender *s)
{
	for (unsigned i = 0; i < TX_SLOTS; i++) {
		struct tx_slot *slot = &s->slots[i];

		if (slot->read.state != READ_DONE || slot->ready)
			continue;
		if (slot->read.tx == NULL)
			slot->read.state = READ_NONE;
		else
			take_in(slot);
	}
}

/* The first few take turns. */
static struct link_tx *next_of(struct list *l)
{
	struct link_tx *tx;
	struct list *at = l->next;
	unsigned n = 0;

	if (list_empty(l))
		return NULL;
	tx = CONTAINER_OF(at, struct link_tx, node);
	while (n < TX_MIX && at != l) {
		at = at->next;
		n++;
	}
	list_remove(&tx->node);
	tx->node.prev = at->prev;
	tx->node.next = at;
	at->prev->next = &tx->node;
	at->prev = &tx->node;
	return tx;
}

enum fill { FILLED, FILL_LATER, FILL_NONE };

static enum fill fill_one(struct link_sender *s, bool urgent)
{
	struct tx_slot *slot = link_slot_free(s, urgent);
	struct link_tx *tx = slot != NULL ? next_of(&s->sending[urgent]) : NULL;
	struct place place;
	uint32_t index;
	enum err e;

	if (tx == NULL)
		return FILL_NONE;
	index = next_unsent(tx);
	if (index >= tx->chunks) {
		link_tx_place(tx);
		return FILLED;
	}
	e = link_read_place(tx, index, &place);
	if (e == ERR_AGAIN)
		return FILL_LATER;
	if (e != ERR_OK) {
		link_tx_unreadable(tx, e);
		return FILLED;
	}
	link_slot_take(slot, tx, index, &place);
	if (tx->work->n_sent == tx->chunks)
		link_tx_place(tx);
	return FILLED;
}

static void fill_class(struct link_sender *s, bool urgent)
{
	unsigned asked = 0;

	while (asked < TX_MIX) {
		enum fill f = fill_one(s, urgent);

		if (f == FILL_NONE)
			return;
		asked += f == FILL_LATER;
	}
}

void link_chunk_fill(struct link_sender *s)
{
	fill_class(s, true);
	fill_class(s, false);
	link_chunk_settle(s);
}

/* ---- sending ----------------------------------------------------------- */

static bool more_waits(const struct link_sender *s, const struct tx_slot * not )
{
	for (unsigned i = 0; i < TX_SLOTS; i++) {
		const struct tx_slot *o = &s->slots[i];

		if (o != not &&o->read.tx != NULL)
			return true;
	}
	return !list_empty(&s->sending[0]) || !list_empty(&s->sending[1]) ||
	       !list_empty(&s->waiting[0]) || !list_empty(&s->waiting[1]);
}

/* The first frame: a place in the window, and a connection. */
static bool begin(struct tx_slot *slot)
{
	struct tx_read *r = &slot->read;
	struct link_sender *s = r->s;
	struct tx_work *w = r->tx->work;
	int c = link_session_roomy(s->session);
	uint32_t len = (uint32_t)r->chunk.len;

	if (c < 0 || !link_window_admits(&s->window, len, slot->urgent))
		return false;
	slot->flight = mem_zalloc(sizeof(*slot->flight));
	if (slot->flight == NULL)
		return false;
	/* behind an OFFER that is not answered yet: on its connection */
	slot->conn = r->tx->state == LINK_TX_OFFERED ? w->conn : (unsigned)c;
	slot->flight->index = r->index;
	slot->flight->conn = slot->conn;
	list_push_back(&w->flights, &slot->flight->node);
	link_window_begin(&s->window, link_sender_now_us(), len,
			  !more_waits(s, slot), &slot->flight->mark);
	return true;
}

static void end(struct tx_slot *slot)
{
	struct tx_read *r = &slot->read;
	struct link_tx *tx = r->tx;
	struct link_sender *s = r->s;
	struct link_frame f = {
	    .type = LINK_CHUNK_END,
	    .id = tx->id,
	    .end = {.index = r->index, .length = (uint32_t)r->chunk.len}};

	memcpy(f.end.leaf, r->chunk.leaf, sizeof(f.end.leaf));
	(void)link_line_send(s, slot->conn, &f);
	link_window_end(&slot->flight->mark, link_sender_now_us());
	slot->flight->out = true;
	s->now.sent += r->chunk.len;
	empty(slot);
	link_tx_check_sent(tx);
}

static bool may_send(struct tx_slot *slot, uint64_t now_ns)
{
	const struct tx_read *r = &slot->read;
	struct link_conn *c;

	if (!slot->ready || r->tx == NULL || !r->tx->work->open ||
	    slot->wait_ns > now_ns)
		return false;
	if (slot->flight == NULL && !begin(slot))
		return false;
	c = link_line_conn(r->s, slot->conn);
	return c != NULL && link_conn_room(c) > 0;
}

static struct tx_slot *choose(struct link_sender *s, uint64_t now_ns)
{
	bool starved = s->urgent_frames >= TX_STARVE;
	struct tx_slot *best = NULL;

	for (unsigned i = 0; i < TX_SLOTS; i++) {
		struct tx_slot *o = &s->slots[i];
		bool first = o->urgent != starved;

		if (best != NULL && (best->urgent != starved) > first)
			continue;
		if (best != NULL && (best->urgent != starved) == first &&
		    best->turn < o->turn)
			continue;
		if (may_send(o, now_ns))
			best = o;
	}
	return best;
}

/* How much of want may leave now. */
static size_t pace(struct tx_slot *slot, size_t want, uint64_t now_ns)
{
	uint64_t wait_ns = 0;
	size_t n;

	if (!shaper_is_limited(&slot->shape))
		return want;
	n = shaper_take(&slot->shape,
			slot->urgent ? SHAPER_URGENT : SHAPER_BULK, want,
			now_ns, &wait_ns);
	if (n == 0) {
		slot->wait_ns = now_ns + wait_ns;
		link_sender_pace_in(slot->read.s, wait_ns);
	}
	return n;
}

static bool send_frame(struct tx_slot *slot, uint64_t now_ns)
{
	struct tx_read *r = &slot->read;
	size_t left = r->chunk.len - slot->offset;
	size_t n =
	    pace(slot, left < LINK_DATA_MAX ? left : LINK_DATA_MAX, now_ns);
	struct link_conn *c = link_line_conn(r->s, slot->conn);
	uint64_t before;

	if (n == 0)
		return true; /* another one may */
	before = link_conn_written(c);
	if (link_conn_send_data(c, &r->tx->id, r->index, slot->offset,
				r->data + slot->offset, (uint32_t)n) != ERR_OK)
		return false; /* the connection ends */
	link_line_count(r->s, c, before, n);
	slot->offset += (uint32_t)n;
	r->s->urgent_frames = slot->urgent ? r->s->urgent_frames + 1 : 0;
	if (slot->offset == r->chunk.len)
		end(slot);
	return true;
}

/* The timer is for the first of them only. */
static void wake_next(struct link_sender *s, uint64_t now_ns)
{
	uint64_t first = UINT64_MAX;

	for (unsigned i = 0; i < TX_SLOTS; i++)
		if (s->slots[i].ready && s->slots[i].wait_ns > now_ns &&
		    s->slots[i].wait_ns < first)
			first = s->slots[i].wait_ns;
	if (first != UINT64_MAX)
		link_sender_pace_in(s, first - now_ns);
}

bool link_chunk_send(struct link_sender *s)
{
	uint64_t now_ns = clock_mono_ns();
	struct tx_slot *slot = choose(s, now_ns);

	if (slot == NULL)
		wake_next(s, now_ns);
	return slot != NULL && send_frame(slot, now_ns);
}
