#include "proxy/recent.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/list.h"
#include "proxy/lib/mem.h"

struct entry {
	struct list node;
	char calling_ae[17], called_ae[17];
	struct capability_pair pair;
};

struct recent {
	pthread_mutex_t lock;
	struct list entries; /* latest first */
	size_t n;
};

enum err recent_new(struct recent **out)
{
	struct recent *r = mem_zalloc(sizeof(*r));

	if (r == NULL)
		return ERR_NOMEM;
	pthread_mutex_init(&r->lock, NULL);
	list_init(&r->entries);
	*out = r;
	return ERR_OK;
}

void recent_free(struct recent *r)
{
	struct list *node;

	if (r == NULL)
		return;
	while ((node = list_pop_front(&r->entries)) != NULL)
		mem_free(CONTAINER_OF(node, struct entry, node));
	pthread_mutex_destroy(&r->lock);
	mem_free(r);
}

static bool same_aes(const struct entry *e, const char *calling_ae,
		     const char *called_ae)
{
	return strcmp(e->calling_ae, calling_ae) == 0 &&
	       strcmp(e->called_ae, called_ae) == 0;
}

static bool same(const struct entry *e, const struct capability_key *key)
{
	return strcmp(e->pair.transfer_syntax, key->transfer_syntax) == 0 &&
	       strcmp(e->pair.abstract, key->abstract) == 0 &&
	       same_aes(e, key->calling_ae, key->called_ae);
}

/* The entry of key, or a fresh or the oldest one made to be it, in no list;
 * NULL: out of memory. */
static struct entry *take(struct recent *r, const struct capability_key *key)
{
	struct entry *e;

	LIST_EACH(it, tmp, &r->entries)
	{
		e = CONTAINER_OF(it, struct entry, node);
		if (same(e, key)) {
			list_remove(it);
			return e;
		}
	}
	if (r->n == RECENT_MAX) {
		e = CONTAINER_OF(r->entries.prev, struct entry, node);
		list_remove(&e->node);
	} else {
		e = mem_zalloc(sizeof(*e));
		if (e == NULL)
			return NULL;
		r->n++;
	}
	(void)snprintf(e->calling_ae, sizeof(e->calling_ae), "%s",
		       key->calling_ae);
	(void)snprintf(e->called_ae, sizeof(e->called_ae), "%s",
		       key->called_ae);
	(void)snprintf(e->pair.abstract, sizeof(e->pair.abstract), "%s",
		       key->abstract);
	(void)snprintf(e->pair.transfer_syntax, sizeof(e->pair.transfer_syntax),
		       "%s", key->transfer_syntax);
	return e;
}

void recent_use(struct recent *r, const struct capability_key *key)
{
	struct entry *e;

	pthread_mutex_lock(&r->lock);
	e = take(r, key);
	if (e != NULL)
		list_push_front(&r->entries, &e->node);
	pthread_mutex_unlock(&r->lock);
}

size_t recent_list(struct recent *r, const char *calling_ae,
		   const char *called_ae, struct capability_pair *out,
		   size_t max)
{
	size_t n = 0;

	pthread_mutex_lock(&r->lock);
	LIST_EACH(it, tmp, &r->entries)
	{
		const struct entry *e = CONTAINER_OF(it, struct entry, node);

		if (n == max)
			break;
		if (same_aes(e, calling_ae, called_ae))
			out[n++] = e->pair;
	}
	pthread_mutex_unlock(&r->lock);
	return n;
}
