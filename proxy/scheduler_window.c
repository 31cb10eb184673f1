/* scheduler_window.c - what of a destination's queue is in memory.
 *
 * Items of one UID form a chain by arrival: only its head may be sent. A chain
 * loses its head when that is finished; when the head leaves unfinished the
 * rest leaves with it, and comes again from the ledger, which tells
 * (earlier_open) whether an earlier one is still open. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/scheduler_int.h"

struct item *window_find(const struct dest *d, uint64_t delivery)
{
	return idmap_get(&d->by_id, delivery);
}

/* ---- finished ones ----------------------------------------------------- */

static void done_count(struct idmap *uids, uint64_t uid, intptr_t by)
{
	intptr_t n = (intptr_t)idmap_get(uids, uid) + by;

	if (n <= 0)
		idmap_remove(uids, uid);
	else if (idmap_put(uids, uid, (void *)n) != ERR_OK)
		return; /* then a later one waits a little longer */
}

static void done_forget(struct dest *d, const struct done *x)
{
	if (idmap_get(&d->done_ids, x->delivery) != (const void *)x)
		return; /* forgotten before */
	idmap_remove(&d->done_ids, x->delivery);
	done_count(&d->done_uids, x->uid_hash, -1);
}

static void done_add(struct dest *d, const struct item *it)
{
	struct done *x;

	if (d->done == NULL)
		d->done = mem_zarray(DONE_MAX, sizeof(*d->done));
	if (d->done == NULL)
		return; /* at worst it is sent twice */
	x = &d->done[d->done_at];
	d->done_at = (d->done_at + 1) % DONE_MAX;
	if (d->n_done == DONE_MAX)
		done_forget(d, x);
	else
		d->n_done++;
	x->delivery = it->li.delivery;
	x->uid_hash = it->li.uid_hash;
	if (idmap_put(&d->done_ids, x->delivery, x) == ERR_OK)
		done_count(&d->done_uids, x->uid_hash, 1);
}

bool window_is_done(const struct dest *d, uint64_t delivery)
{
	return idmap_get(&d->done_ids, delivery) != NULL;
}

void window_forget_done(struct dest *d, uint64_t delivery)
{
	const struct done *x = idmap_get(&d->done_ids, delivery);

	if (x != NULL)
		done_forget(d, x);
}

/* ---- the two heaps ----------------------------------------------------- */

/* Static, so that the order needs no upkeep: a level is worth AGING_MS. */
static int64_t order_of(const struct item *it)
{
	int64_t level = it->li.priority;

	if (level < 0)
		level = 0;
	if (level >= LEVELS)
		level = LEVELS - 1;
	return it->li.received_ms - level * AGING_MS;
}

static void leave_heaps(struct dest *d, struct item *it)
{
	if (it->state == ITEM_READY)
		heap_remove(&d->ready, &it->heap);
	else if (it->state == ITEM_WAITING)
		heap_remove(&d->waiting, &it->heap);
}

void window_ready(struct dest *d, struct item *it)
{
	leave_heaps(d, it);
	it->heap.key = order_of(it);
	it->heap.tie = it->li.seq;
	it->state = ITEM_READY;
	if (heap_push(&d->ready, &it->heap) != ERR_OK) {
		it->state = ITEM_BLOCKED;
		fetch_rescan(d, RESCAN_MS);
		window_drop(d, it, false);
	}
}

void window_wait(struct dest *d, struct item *it, uint64_t until_ms)
{
	leave_heaps(d, it);
	it->heap.key = (int64_t)until_ms;
	it->heap.tie = it->li.seq;
	it->state = ITEM_WAITING;
	if (heap_push(&d->waiting, &it->heap) != ERR_OK) {
		it->state = ITEM_BLOCKED;
		fetch_rescan(d, RESCAN_MS);
		window_drop(d, it, false);
	}
}

void window_wake(struct dest *d, uint64_t now_ms)
{
	struct heap_node *n;

	while ((n = heap_first(&d->waiting)) != NULL &&
	       n->key <= (int64_t)now_ms)
		window_ready(d, CONTAINER_OF(n, struct item, heap));
}

/* ---- in ---------------------------------------------------------------- */

/* Whether the open earlier delivery of which the ledger speaks is one that it
 * does not know yet to be finished. When nothing was left out of the window it
 * can be no other. */
static bool earlier_is_done(const struct dest *d, const struct ledger_item *li)
{
	return d->rescan_at_ms == 0 && list_empty(&d->holds) &&
	       idmap_get(&d->done_uids, li->uid_hash) != NULL;
}

/* Put it into the chain of its UID. */
static enum err chain(struct dest *d, struct item *it)
{
	struct item *head = idmap_get(&d->by_uid, it->li.uid_hash);

	if (head == NULL || it->li.seq < head->li.seq) {
		/* A head that is under way already keeps its place. */
		if (head != NULL && head->state == ITEM_FLYING)
			return ERR_BUSY;
		if (idmap_put(&d->by_uid, it->li.uid_hash, it) != ERR_OK)
			return ERR_NOMEM;
		it->later = head;
		if (head != NULL && head->state != ITEM_BLOCKED) {
			leave_heaps(d, head);
			head->state = ITEM_BLOCKED;
		}
		return ERR_OK;
	}
	while (head->later != NULL && head->later->li.seq < it->li.seq)
		head = head->later;
	it->later = head->later;
	head->later = it;
	return ERR_OK;
}

/* So that an association is opened with all that the queue needs. */
static void announce(struct dest *d, const struct item *it)
{
	struct capability_key key = {.destination = d->config->name,
				     .calling_ae = it->calling_ae,
				     .called_ae = it->called_ae,
				     .abstract = it->li.sop_class,
				     .transfer_syntax = it->li.transfer_syntax};

	recent_use(d->recent, &key);
}

enum err window_add(struct dest *d, const struct ledger_item *li,
		    unsigned level, struct item **out)
{
	bool first = idmap_get(&d->by_uid, li->uid_hash) == NULL;
	struct item *it;
	enum err e;

	if (li->earlier_open && first && !earlier_is_done(d, li))
		return ERR_BUSY;
	it = mem_zalloc(sizeof(*it));
	if (it == NULL)
		return ERR_NOMEM;
	it->li = *li;
	it->level = level;
	it->state = ITEM_BLOCKED;
	destination_aes(d->config, li->calling_ae, li->called_ae,
			it->calling_ae, it->called_ae);
	e = idmap_put(&d->by_id, li->delivery, it);
	if (e == ERR_OK) {
		e = chain(d, it);
		if (e != ERR_OK)
			idmap_remove(&d->by_id, li->delivery);
	}
	if (e != ERR_OK) {
		mem_free(it);
		return e;
	}
	d->levels[level].n++;
	announce(d, it);
	*out = it;
	if (idmap_get(&d->by_uid, li->uid_hash) == it)
		window_ready(d, it);
	return ERR_OK;
}

/* ---- out --------------------------------------------------------------- */

static void release(struct dest *d, struct item *it)
{
	hold_forget(d, it);
	if (d->alone == it)
		d->alone = NULL;
	leave_heaps(d, it);
	idmap_remove(&d->by_id, it->li.delivery);
	d->levels[it->level].n--;
	mem_free(it);
}

/* The next of its UID may go. */
static void promote(struct dest *d, struct item *it)
{
	if (it->later == NULL)
		idmap_remove(&d->by_uid, it->li.uid_hash);
	else if (idmap_put(&d->by_uid, it->li.uid_hash, it->later) == ERR_OK)
		window_ready(d, it->later);
}

/* All from it on leave the chain; they come again from the ledger. */
static void cut(struct dest *d, struct item *it)
{
	struct item *head = idmap_get(&d->by_uid, it->li.uid_hash);
	struct item *rest = it->later;

	if (head == it)
		idmap_remove(&d->by_uid, it->li.uid_hash);
	while (head != it && head != NULL && head->later != it)
		head = head->later;
	if (head != it && head != NULL)
		head->later = NULL;
	while (rest != NULL) {
		struct item *next = rest->later;

		release(d, rest);
		rest = next;
		fetch_rescan(d, RESCAN_MS);
	}
}

void window_drop(struct dest *d, struct item *it, bool finished)
{
	struct item *head = idmap_get(&d->by_uid, it->li.uid_hash);

	assert(it->state != ITEM_FLYING);
	if (finished)
		done_add(d, it);
	if (finished && head == it) {
		promote(d, it);
	} else if (finished) { /* by an operator, out of the middle */
		while (head->later != it)
			head = head->later;
		head->later = it->later;
	} else {
		cut(d, it);
	}
	release(d, it);
}

void window_free(struct dest *d)
{
	/* nothing flies: the head of every chain is in a heap */
	while (d->ready.n + d->waiting.n > 0) {
		struct heap_node *n = heap_first(&d->ready);
		struct item *it;

		if (n == NULL)
			n = heap_first(&d->waiting);
		it = CONTAINER_OF(n, struct item, heap);
		cut(d, it);
		release(d, it);
	}
	heap_free(&d->ready);
	heap_free(&d->waiting);
	idmap_free(&d->by_id);
	idmap_free(&d->by_uid);
	idmap_free(&d->done_ids);
	idmap_free(&d->done_uids);
	mem_free(d->done);
	d->done = NULL;
}
