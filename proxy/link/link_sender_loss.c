/* link_sender_loss.c - what it means for transfers that a connection ended, or
 * that a link opened. */
#include "proxy/lib/mem.h"
#include "proxy/link/link_sender_int.h"

static bool is_on(const struct link_tx *tx, unsigned conn)
{
	const struct tx_work *w = tx->work;

	if (w == NULL || !w->open)
		return false;
	if (w->conn == conn)
		return true;
	LIST_EACH(n, tmp, &w->flights)
	{
		if (CONTAINER_OF(n, struct tx_flight, node)->conn == conn)
			return true;
	}
	return false;
}

static void lose(struct list *from, unsigned conn)
{
	struct list *n, *before;

	/* the latest first: each goes to the front of those that wait */
	for (n = from->prev; n != from; n = before) {
		struct link_tx *tx = CONTAINER_OF(n, struct link_tx, node);

		before = n->prev;
		if (is_on(tx, conn))
			link_tx_event(tx, LINK_TX_EV_LOST, NULL);
	}
}

void link_tx_lost(struct link_sender *s, unsigned conn)
{
	lose(&s->sending[0], conn);
	lose(&s->sending[1], conn);
	lose(&s->quiet, conn);
}

/* Each of them moves to the end of the same list, at most: look at as many as
 * there were. */
static void tell_all(struct list *l, enum link_tx_event ev)
{
	struct list mine;

	list_init(&mine);
	list_splice_back(&mine, l);
	while (!list_empty(&mine)) {
		struct link_tx *tx =
		    CONTAINER_OF(mine.next, struct link_tx, node);

		list_remove(&tx->node);
		list_push_back(l, &tx->node);
		link_tx_event(tx, ev, NULL);
	}
}

void link_tx_up(struct link_sender *s, bool void_)
{
	enum link_tx_event ev = void_ ? LINK_TX_EV_VOID : LINK_TX_EV_UP;

	tell_all(&s->asked, ev);
	tell_all(&s->arrived, ev);
	tell_all(&s->quiet, ev);
}
