#include "tests/unit/fake_commitment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct commitment engine = {.lock = PTHREAD_MUTEX_INITIALIZER};

enum err commitment_report(struct commitment *c,
			   const struct commitment_report *r,
			   commitment_done_fn *done, void *arg)
{
	bool keep;

	if (c->e != ERR_OK)
		return c->e;
	pthread_mutex_lock(&c->lock);
	free(c->data);
	c->data = malloc(r->len + 1);
	memcpy(c->data, r->data, r->len);
	c->len = r->len;
	c->event_type = r->event_type;
	(void)snprintf(c->from, sizeof(c->from), "%s", r->from);
	(void)snprintf(c->transfer_syntax, sizeof(c->transfer_syntax), "%s",
		       r->transfer_syntax);
	c->done = done;
	c->arg = arg;
	keep = c->keep;
	c->n++;
	pthread_mutex_unlock(&c->lock);
	if (!keep)
		done(arg, c->status);
	return ERR_OK;
}

void commitment_wake(struct commitment *c)
{
	(void)c;
}
