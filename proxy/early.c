#include "proxy/early.h"

#include <string.h>

#include "policy/config.h"
#include "proxy/lib/mem.h"
#include "proxy/net/mailbox.h"

struct telling {
	struct msg msg;
	struct early_desk *desk;
	struct early_news news;
	struct instance known;
};

/* The end is made with the beginning, so that it is told whatever happens. */
struct early {
	struct telling end;
};

void early_desk_init(struct early_desk *d, struct mailbox *mailbox)
{
	*d = (struct early_desk){.mailbox = mailbox};
}

void early_desk_listen(struct early_desk *d, early_fn *fn, void *arg)
{
	d->fn = fn;
	d->arg = arg;
}

/* ---- thresholds -------------------------------------------------------- */

uint64_t early_next(const struct config *c, const struct instance *in,
		    uint64_t bytes)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < in->n_destinations; i++) {
		int at = config_destination_find(c, in->destinations[i]);
		uint64_t n = at >= 0 ? c->destinations[at].cut_through : 0;

		if (n > bytes && n < next)
			next = n;
	}
	return next;
}

/* ---- telling ----------------------------------------------------------- */

static void hear(const struct telling *t)
{
	if (t->desk->fn != NULL)
		t->desk->fn(t->desk->arg, &t->news);
}

static void on_longer(struct msg *m)
{
	struct telling *t = CONTAINER_OF(m, struct telling, msg);

	hear(t);
	mem_free(t);
}

static void on_end(struct msg *m)
{
	struct early *e = CONTAINER_OF(m, struct early, end.msg);

	atomic_fetch_sub(&e->end.desk->n, 1);
	hear(&e->end);
	mem_free(e);
}

static bool take_place(struct early_desk *d)
{
	if (atomic_fetch_add(&d->n, 1) < EARLY_MAX)
		return true;
	atomic_fetch_sub(&d->n, 1);
	return false;
}

static struct early *begin(struct early_desk *d, const struct transfer_id *id)
{
	struct early *e;

	if (!take_place(d))
		return NULL;
	e = mem_zalloc(sizeof(*e));
	if (e == NULL) {
		atomic_fetch_sub(&d->n, 1);
		return NULL;
	}
	e->end.desk = d;
	e->end.msg.run = on_end;
	e->end.news.transfer = *id;
	return e;
}

void early_tell(struct early_desk *d, struct early **e,
		const struct instance *known, const struct transfer_id *id,
		uint64_t before, uint64_t came)
{
	struct telling *t;

	if (*e == NULL)
		*e = begin(d, id);
	if (*e == NULL)
		return;
	t = mem_zalloc(sizeof(*t));
	if (t == NULL)
		return;
	t->desk = d;
	t->msg.run = on_longer;
	t->known = *known;
	t->news = (struct early_news){.kind = EARLY_LONGER,
				      .transfer = *id,
				      .before = before,
				      .came = came,
				      .known = &t->known};
	if (!mailbox_post(d->mailbox, &t->msg))
		mem_free(t);
}

void early_end(struct early **e, bool whole)
{
	struct early *it = *e;

	if (it == NULL)
		return;
	*e = NULL;
	it->end.news.kind = whole ? EARLY_WHOLE : EARLY_BROKEN;
	if (mailbox_post(it->end.desk->mailbox, &it->end.msg))
		return;
	atomic_fetch_sub(&it->end.desk->n, 1);
	mem_free(it);
}
