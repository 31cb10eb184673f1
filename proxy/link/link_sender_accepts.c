/* link_sender_accepts.c - what the far archive accepts, so that devices are
 * answered here as they would be there.
 *
 * One list for each called AE title, and one for all others. What devices want
 * is looked up in it: what it names is accepted; what was accepted before and
 * is not named any more is refused; of the rest nothing is known, for nobody
 * may have asked the archive. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/capability.h"
#include "proxy/lib/mem.h"
#include "proxy/link/link_sender_int.h"

enum {
	LISTS_MAX = 64,   /* called AE titles */
	PAIRS_MAX = 8192, /* of one list; what is beyond is not known of */
	WANTED_MAX = 1024,
};

struct pairs {
	struct link_pair *v; /* sorted once it is valid */
	size_t n, cap;
};

/* The lists of one called AE title. */
struct tx_accepts {
	struct list node; /* in sender.accepts */
	char called[LINK_AE_MAX + 1];
	uint32_t serial;
	bool coming; /* next is not whole */
	struct pairs valid, next;
};

static int by_pair(const void *x, const void *y)
{
	const struct link_pair *a = x, *b = y;
	int c = strcmp(a->abstract, b->abstract);

	return c != 0 ? c : strcmp(a->transfer, b->transfer);
}

static struct tx_accepts *find(const struct link_sender *s, const char *called)
{
	LIST_EACH(n, tmp, &s->accepts)
	{
		struct tx_accepts *a = CONTAINER_OF(n, struct tx_accepts, node);

		if (strcmp(a->called, called) == 0)
			return a;
	}
	return NULL;
}

/* NULL: out of memory, or too many. */
static struct tx_accepts *find_or_add(struct link_sender *s, const char *called)
{
	struct tx_accepts *a = find(s, called);

	if (a != NULL || s->n_accepts == LISTS_MAX)
		return a;
	a = mem_zalloc(sizeof(*a));
	if (a == NULL)
		return NULL;
	(void)snprintf(a->called, sizeof(a->called), "%s", called);
	list_push_back(&s->accepts, &a->node);
	s->n_accepts++;
	return a;
}

static void clear(struct pairs *p)
{
	mem_free(p->v);
	*p = (struct pairs){.v = NULL};
}

void link_accepts_free(struct link_sender *s)
{
	struct list *n;

	while ((n = list_pop_front(&s->accepts)) != NULL) {
		struct tx_accepts *a = CONTAINER_OF(n, struct tx_accepts, node);

		clear(&a->valid);
		clear(&a->next);
		mem_free(a);
	}
	s->n_accepts = 0;
}

static void add(struct pairs *p, const struct link_pair *pair)
{
	size_t cap = p->cap > 0 ? 2 * p->cap : 64;
	struct link_pair *v;

	if (p->n == PAIRS_MAX)
		return;
	if (p->n == p->cap) {
		v = mem_realloc(p->v, cap * sizeof(*v));
		if (v == NULL)
			return;
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n++] = *pair;
}

/* ---- looking up -----------------------------------------------------------
 */

static bool names(const struct pairs *p, const struct capability_pair *c)
{
	struct link_pair key;

	if (p->n == 0)
		return false;
	(void)snprintf(key.abstract, sizeof(key.abstract), "%s", c->abstract);
	(void)snprintf(key.transfer, sizeof(key.transfer), "%s",
		       c->transfer_syntax);
	return bsearch(&key, p->v, p->n, sizeof(key), by_pair) != NULL;
}

static void mirror(struct link_sender *s, const struct pairs *p,
		   const char *calling, const char *called,
		   const struct capability_pair *wanted)
{
	struct capabilities *c = s->env.destination->capabilities;
	struct capability_key key = {.destination = s->config->name,
				     .calling_ae = calling,
				     .called_ae = called,
				     .abstract = wanted->abstract,
				     .transfer_syntax =
					 wanted->transfer_syntax};

	if (names(p, wanted))
		capability_learn(c, &key, true);
	else if (capability_lookup(c, &key, NULL) == CAPABILITY_ACCEPTED)
		capability_learn(c, &key, false);
}

static void on_aes(void *arg, const char *calling, const char *called)
{
	struct link_sender *s = arg;
	const struct tx_accepts *a = find(s, called);
	struct capability_pair *wanted;
	size_t n;

	if (a == NULL)
		a = find(s, "");
	if (a == NULL || a->valid.n == 0)
		return;
	wanted = mem_zarray(WANTED_MAX, sizeof(*wanted));
	if (wanted == NULL)
		return;
	n = capability_due(s->env.destination->capabilities, s->config->name,
			   calling, called, 0, wanted, WANTED_MAX);
	for (size_t i = 0; i < n; i++)
		mirror(s, &a->valid, calling, called, &wanted[i]);
	mem_free(wanted);
}

void link_accepts_apply(struct link_sender *s)
{
	if (s->env.destination->capabilities == NULL || list_empty(&s->accepts))
		return;
	capability_each_aes(s->env.destination->capabilities, s->config->name,
			    on_aes, s);
}

/* The archive, asked there for this one, does not take it. */
void link_accepts_refused(struct link_sender *s, const struct task *t)
{
	struct capability_key key = {.destination = s->config->name,
				     .calling_ae = t->calling_ae,
				     .called_ae = t->called_ae,
				     .abstract = t->item.sop_class,
				     .transfer_syntax =
					 t->item.transfer_syntax};

	if (s->env.destination->capabilities != NULL)
		capability_learn(s->env.destination->capabilities, &key, false);
}

/* ---- taking in ------------------------------------------------------------
 */

static void whole(struct link_sender *s, struct tx_accepts *a)
{
	clear(&a->valid);
	a->valid = a->next;
	a->next = (struct pairs){.v = NULL};
	a->coming = false;
	if (a->valid.n > 0)
		qsort(a->valid.v, a->valid.n, sizeof(*a->valid.v), by_pair);
	link_accepts_apply(s);
}

void link_accepts_take(struct link_sender *s, const struct link_frame *f)
{
	char called[LINK_AE_MAX + 1];
	struct link_bytes at = f->accepts.list;
	struct link_pair pair;
	struct tx_accepts *a;

	link_text(f->accepts.called_ae, called, sizeof(called));
	a = find_or_add(s, called);
	if (a == NULL)
		return;
	if (!a->coming || a->serial != f->accepts.serial)
		clear(&a->next);
	a->serial = f->accepts.serial;
	a->coming = true;
	while (link_accepts_next(&at, &pair))
		add(&a->next, &pair);
	if ((f->flags & LINK_F_MORE) == 0)
		whole(s, a);
}
