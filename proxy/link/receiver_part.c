/* receiver_part.c - the end of a transfer that outlived its link. */
#include "proxy/lib/mem.h"
#include "proxy/link/receiver_int.h"

/* Its link ended before: nobody is told. What the ledger does not have yet must
 * still be known here. */
struct parting {
	struct msg msg;
	struct rx_transfer *t;
};

static void on_parted(struct msg *m)
{
	struct parting *p = CONTAINER_OF(m, struct parting, msg);

	rx_finishing_remove(p->t);
	rx_transfer_free(p->t);
	mem_free(p);
}

static void on_barrier(void *arg, enum err e)
{
	struct parting *p = arg;

	(void)e;
	/* else link_receiver_free() finds it */
	if (!rx_home_post(p->t->home, &p->msg))
		mem_free(p);
}

void rx_part(struct rx_transfer *t)
{
	struct parting *p = mem_zalloc(sizeof(*p));

	if (t->done_e == ERR_OK && p != NULL) {
		p->msg.run = on_parted;
		p->t = t;
		if (ledger_barrier(t->home->receiver->opt.ledger, on_barrier,
				   p) == ERR_OK)
			return;
	}
	mem_free(p);
	rx_finishing_remove(t);
	rx_transfer_free(t);
}
