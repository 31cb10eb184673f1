/* receiver_directory.c - all links of the process, by owner and store. */
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/link/receiver_int.h"

enum { REPLACED_MS = 60 * 1000, REPLACED_ALERT = 10 };

/* ---- an older session has to go ---------------------------------------- */

struct replace {
	struct msg msg;
	struct rx_home *home;
	uint64_t serial;
};

static void on_replace(struct msg *m)
{
	struct replace *p = CONTAINER_OF(m, struct replace, msg);
	struct rx_session *s = rx_session_by_serial(p->home, p->serial);

	if (s != NULL) {
		rx_session_because(s, "replaced by a newer link of its store");
		rx_session_bye(s, LINK_BYE_REPLACED);
	}
	mem_free(p);
}

static bool is_of(const struct rx_session *s, const struct rx_session *other)
{
	return memcmp(s->owner, other->owner, RX_OWNER_LEN) == 0;
}

/* Two machines with one spool throw each other out. */
static void count_replaced(struct rx_session *s, const struct rx_session *old)
{
	uint64_t now = clock_mono_ns() / 1000000;

	s->replaced_ms = old->replaced_ms;
	s->replaced = old->replaced + 1;
	if (s->replaced_ms == 0 || now - s->replaced_ms > REPLACED_MS) {
		s->replaced_ms = now;
		s->replaced = 1;
	}
	if (s->replaced == REPLACED_ALERT + 1)
		log_event(LOG_ERROR, "link-replaced-often",
			  "device=%s per_minute=%d", s->facts.row.device,
			  REPLACED_ALERT);
}

bool rx_directory_enter(struct rx_session *s)
{
	struct link_receiver *r = s->home->receiver;
	struct replace *p = mem_zalloc(sizeof(*p));
	struct rx_session *old = NULL;
	unsigned n = 0;

	if (p == NULL)
		return false;
	pthread_mutex_lock(&r->lock);
	LIST_EACH(it, tmp, &r->directory)
	{
		struct rx_session *o =
		    CONTAINER_OF(it, struct rx_session, entry);

		if (is_of(o, s))
			old = o;
		else if (o->device == s->device)
			n++;
	}
	if (old != NULL) {
		count_replaced(s, old);
		p->msg.run = on_replace;
		p->home = old->home;
		p->serial = old->serial;
		list_remove(&old->entry);
		if (rx_home_post(p->home, &p->msg))
			p = NULL;
	}
	s->serial = ++r->serial;
	if (n < RX_SESSIONS_OF_OWNER)
		list_push_back(&r->directory, &s->entry);
	pthread_mutex_unlock(&r->lock);
	mem_free(p);
	return n < RX_SESSIONS_OF_OWNER;
}

void rx_directory_leave(struct rx_session *s)
{
	struct link_receiver *r = s->home->receiver;

	pthread_mutex_lock(&r->lock);
	list_remove(&s->entry);
	pthread_mutex_unlock(&r->lock);
}

void rx_directory_each(struct link_receiver *r,
		       const uint8_t owner[RX_OWNER_LEN],
		       void (*fn)(struct rx_session *s, void *arg), void *arg)
{
	pthread_mutex_lock(&r->lock);
	LIST_EACH(it, tmp, &r->directory)
	{
		struct rx_session *s =
		    CONTAINER_OF(it, struct rx_session, entry);

		if (memcmp(s->owner, owner, RX_OWNER_LEN) == 0)
			fn(s, arg);
	}
	pthread_mutex_unlock(&r->lock);
}

/* ---- transfers whose link ended too early ------------------------------ */

void rx_finishing_add(struct rx_transfer *t)
{
	struct link_receiver *r = t->home->receiver;

	pthread_mutex_lock(&r->lock);
	list_push_back(&r->finishing, &t->node);
	pthread_mutex_unlock(&r->lock);
}

void rx_finishing_remove(struct rx_transfer *t)
{
	struct link_receiver *r = t->home->receiver;

	pthread_mutex_lock(&r->lock);
	list_remove(&t->node);
	pthread_mutex_unlock(&r->lock);
}

bool rx_finishing_has(struct link_receiver *r,
		      const struct instance_origin *origin)
{
	bool has = false;

	pthread_mutex_lock(&r->lock);
	LIST_EACH(it, tmp, &r->finishing)
	{
		struct rx_transfer *t =
		    CONTAINER_OF(it, struct rx_transfer, node);

		has = has || instance_origin_equal(&t->origin, origin);
	}
	pthread_mutex_unlock(&r->lock);
	return has;
}
