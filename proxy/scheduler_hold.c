/* scheduler_hold.c - contexts and AE pairs that wait.
 *
 * A refused context, or a rejected pair of AE titles, is no fault of the
 * instances: they wait together, in the ledger, still queued. One of them, the
 * hold's probe, stays in the window and is tried now and then: the negotiation
 * is the test. When it gets through, the queue is read again from its
 * beginning. Holds do not outlive the process: the first try after a restart
 * finds them again. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/scheduler_int.h"

static bool covers(const struct hold *h, const struct item *it)
{
	if (strcmp(h->calling_ae, it->calling_ae) != 0 ||
	    strcmp(h->called_ae, it->called_ae) != 0)
		return false;
	return h->abstract[0] == '\0' ||
	       (strcmp(h->abstract, it->li.sop_class) == 0 &&
		strcmp(h->transfer_syntax, it->li.transfer_syntax) == 0);
}

struct hold *hold_of(const struct dest *d, const struct item *it)
{
	LIST_EACH(n, tmp, &d->holds)
	{
		struct hold *h = CONTAINER_OF(n, struct hold, node);

		if (covers(h, it))
			return h;
	}
	return NULL;
}

static void be_probe(struct dest *d, struct hold *h, struct item *it)
{
	h->probe = it;
	it->hold = h;
	window_wait(d, it,
		    sched_now() + run_backoff(d->s, d->config->retry.probe,
					      d->config->retry.probe, 0));
}

bool hold_take(struct dest *d, struct hold *h, struct item *it)
{
	if (h->probe == it)
		return false;
	if (it->state == ITEM_FLYING)
		return false; /* its own answer will tell */
	if (h->probe == NULL && it->state == ITEM_READY) {
		be_probe(d, h, it);
		return false;
	}
	h->skipped++;
	window_drop(d, it, false);
	return true;
}

/* Those in the window that fall under h leave it. */
static void sweep(struct dest *d, struct hold *h)
{
	struct heap *heaps[] = {&d->ready, &d->waiting};

	for (size_t k = 0; k < ARRAY_LEN(heaps); k++) {
		for (size_t i = 0; i < heaps[k]->n;) {
			struct item *it =
			    CONTAINER_OF(heaps[k]->nodes[i], struct item, heap);

			/* removal changes the order: look again at i, or
			 * begin anew when its chain took others along */
			if (it->hold == NULL && covers(h, it) &&
			    hold_take(d, h, it))
				i = 0;
			else
				i++;
		}
	}
}

static struct hold *make(struct dest *d, const struct item *it, bool pair,
			 const char *why)
{
	struct hold *h;

	if (d->n_holds == HOLDS_MAX)
		return NULL;
	h = mem_zalloc(sizeof(*h));
	if (h == NULL)
		return NULL;
	memcpy(h->calling_ae, it->calling_ae, sizeof(h->calling_ae));
	memcpy(h->called_ae, it->called_ae, sizeof(h->called_ae));
	if (!pair) {
		memcpy(h->abstract, it->li.sop_class, sizeof(h->abstract));
		memcpy(h->transfer_syntax, it->li.transfer_syntax,
		       sizeof(h->transfer_syntax));
	}
	h->since_ms = clock_wall_ms();
	(void)snprintf(h->why, sizeof(h->why), "%s", why);
	list_push_back(&d->holds, &h->node);
	d->n_holds++;
	log_event(LOG_ERROR, "held", "destination=%s text=\"%s\"",
		  d->config->name, why);
	passage_note(&d->passage, AUDIT_HELD, &it->li, why);
	return h;
}

void hold_begin(struct dest *d, struct item *it, bool pair, const char *why)
{
	struct hold *h = it->hold != NULL ? it->hold : hold_of(d, it);
	bool fresh = h == NULL;

	if (fresh)
		h = make(d, it, pair, why);
	if (h == NULL) { /* too many: it waits by itself */
		window_wait(d, it, sched_now() + d->config->retry.probe);
		return;
	}
	if (h->probe == NULL || h->probe == it) {
		be_probe(d, h, it);
	} else {
		h->skipped++;
		window_drop(d, it, false);
	}
	if (fresh)
		sweep(d, h);
}

static void unlink_hold(struct dest *d, struct hold *h)
{
	if (h->probe != NULL)
		h->probe->hold = NULL;
	list_remove(&h->node);
	d->n_holds--;
	mem_free(h);
}

void hold_release(struct dest *d, struct hold *h)
{
	log_event(LOG_INFO, "released",
		  "destination=%s calling=%s called=%s class=%s syntax=%s",
		  d->config->name, h->calling_ae, h->called_ae, h->abstract,
		  h->transfer_syntax);
	passage_note(&d->passage, AUDIT_RELEASED,
		     h->probe != NULL ? &h->probe->li : NULL, h->why);
	unlink_hold(d, h);
	fetch_rescan(d, 0);
}

void hold_forget(struct dest *d, struct item *it)
{
	struct hold *h = it->hold;

	if (h == NULL)
		return;
	it->hold = NULL;
	h->probe = NULL;
	/* another becomes its probe when the queue is read again */
	fetch_rescan(d, RESCAN_MS);
}

void hold_count_again(struct dest *d)
{
	LIST_EACH(n, tmp, &d->holds)
	CONTAINER_OF(n, struct hold, node)->skipped = 0;
}

void hold_prune(struct dest *d)
{
	LIST_EACH(n, tmp, &d->holds)
	{
		struct hold *h = CONTAINER_OF(n, struct hold, node);

		if (h->probe == NULL)
			unlink_hold(d, h);
	}
}

void hold_free_all(struct dest *d)
{
	struct list *n;

	while ((n = list_pop_front(&d->holds)) != NULL) {
		list_init(n);
		unlink_hold(d, CONTAINER_OF(n, struct hold, node));
	}
}
