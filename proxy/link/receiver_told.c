/* receiver_told.c - DELIVERED and UNDELIVERED out of the ledger: what was said
 * before this link, page by page, and what happens while it is open.
 *
 * They go over any connection: an outcome of an instance that has arrived may
 * overtake every other frame of it (PROTOCOL.md, "Order"). */
#include "proxy/lib/mem.h"
#include "proxy/link/receiver_int.h"

/* ---- what happens ------------------------------------------------------ */

struct told {
	struct msg msg;
	struct rx_home *home;
	uint64_t serial;
	struct ledger_origin origin;
};

static void on_told(struct msg *m)
{
	struct told *t = CONTAINER_OF(m, struct told, msg);
	struct rx_session *s = rx_session_by_serial(t->home, t->serial);

	if (s != NULL && s->opened && !s->ending) {
		rx_tell_origin(rx_session_wire(s), &t->origin, false);
		rx_mend(s, &t->origin);
	}
	mem_free(t);
}

/* Under the directory's lock, ledger thread. */
static void post(struct rx_session *s, void *arg)
{
	const struct ledger_origin *o = arg;
	struct told *t = mem_zalloc(sizeof(*t));

	if (t == NULL)
		return; /* the next link tells it */
	t->msg.run = on_told;
	t->home = s->home;
	t->serial = s->serial;
	t->origin = *o;
	if (!rx_home_post(t->home, &t->msg))
		mem_free(t);
}

void rx_told_post(struct link_receiver *r, const struct ledger_origin *o)
{
	struct ledger_origin copy = *o;

	rx_directory_each(r, o->origin.peer, post, &copy);
}

/* ---- what was not noted ------------------------------------------------ */

static void on_page(struct msg *m)
{
	struct rx_ask *a = CONTAINER_OF(m, struct rx_ask, msg);
	struct rx_session *s = a->session;

	if (s != NULL) {
		s->page = NULL;
		s->trouble = s->trouble || a->e != ERR_OK;
		for (size_t i = 0; i < a->n; i++) {
			rx_tell_origin(rx_session_wire(s), &a->answers[i],
				       false);
			rx_mend(s, &a->answers[i]);
			s->paged_to = a->answers[i].seq;
		}
		s->paged = a->e == ERR_OK && a->n < a->max;
	}
	rx_ask_free(a);
	if (s != NULL)
		rx_told_pump(s);
}

void rx_told_pump(struct rx_session *s)
{
	struct rx_wire *w = rx_session_wire(s);

	if (!s->ready || s->paged || s->page != NULL || s->trouble ||
	    s->ending || w == NULL || link_conn_room(w->conn) == 0)
		return; /* on_room, or a tick, comes back to it */
	s->page = rx_ask_new(s, RX_PAGE, on_page);
	if (s->page != NULL &&
	    ledger_origins_told(s->home->receiver->opt.ledger, s->owner,
				s->paged_to, RX_PAGE, rx_ask_answered,
				s->page) == ERR_OK)
		return;
	rx_ask_free(s->page);
	s->page = NULL;
	s->trouble = true;
}
