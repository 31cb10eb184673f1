#include "proxy/probe_call.h"

#include <stdio.h>

#include "proxy/lib/mem.h"

/* ---- on the worker ----------------------------------------------------- */

static void on_step(void *arg, bool ok, const char *step, const char *text)
{
	struct probe_call *c = arg;

	if (!ok)
		(void)snprintf(c->error, sizeof(c->error), "%s: %s", step,
			       text);
}

static void on_pair(void *arg, const struct capability_pair *pair,
		    bool accepted)
{
	struct probe_call *c = arg;

	if (c->pair != NULL)
		c->pair(c, pair, accepted);
}

static void on_answer(struct msg *m);

static void come_back(struct probe_call *c)
{
	worker_load_add(c->worker, -1);
	c->probe = NULL;
	c->msg.run = on_answer;
	(void)mailbox_post(c->main, &c->msg);
}

static void on_done(void *arg, bool answered, bool echoed)
{
	struct probe_call *c = arg;

	c->answered = answered;
	c->echoed = echoed;
	come_back(c);
}

static void on_ask(struct msg *m)
{
	static const struct probe_events events = {
	    .step = on_step, .pair = on_pair, .done = on_done};
	struct probe_call *c = CONTAINER_OF(m, struct probe_call, msg);

	worker_load_add(c->worker, 1);
	if (c->canceled ||
	    probe_start(&c->request, &events, c, &c->probe) != ERR_OK)
		come_back(c);
}

static void on_cancel_done(struct msg *m);

static void on_cancel(struct msg *m)
{
	struct probe_call *c = CONTAINER_OF(m, struct probe_call, cancel_msg);

	c->canceled = true;
	if (c->probe != NULL)
		probe_cancel(c->probe);
	m->run = on_cancel_done;
	(void)mailbox_post(c->main, m);
}

/* ---- on the main loop -------------------------------------------------- */

static void try_done(struct probe_call *c)
{
	if (!c->asking && !c->canceling)
		c->done(c);
}

static void on_cancel_done(struct msg *m)
{
	struct probe_call *c = CONTAINER_OF(m, struct probe_call, cancel_msg);

	c->canceling = false;
	try_done(c);
}

static void on_answer(struct msg *m)
{
	struct probe_call *c = CONTAINER_OF(m, struct probe_call, msg);

	c->asking = false;
	try_done(c);
}

static struct worker *least_loaded(const struct probe_call *c)
{
	struct worker *best = c->workers[0];

	for (size_t i = 1; i < c->n_workers; i++) {
		if (worker_load(c->workers[i]) < worker_load(best))
			best = c->workers[i];
	}
	return best;
}

bool probe_call_start(struct probe_call *c, const struct probe_request *r)
{
	c->worker = least_loaded(c);
	c->request = *r;
	c->request.worker = c->worker;
	c->answered = c->echoed = false;
	c->error[0] = '\0';
	c->msg.run = on_ask;
	c->asking = worker_post(c->worker, &c->msg);
	return c->asking;
}

void probe_call_cancel(struct probe_call *c)
{
	if (!c->asking || c->canceling)
		return;
	c->cancel_msg.run = on_cancel;
	c->canceling = worker_post(c->worker, &c->cancel_msg);
}
