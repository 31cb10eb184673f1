/* prober.c - see prober.h. The table of what is wanted is the queue: a round
 * asks one AE pair at a time until nothing is due. */
#include "proxy/prober.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "proxy/capability.h"
#include "proxy/destination.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/probe_call.h"

enum {
	FIRST_MS = 500,           /* after the start, and after a kick */
	AGE_MS = 9 * 60 * 1000,   /* older is asked again */
	ROUND_MS = 60 * 1000,     /* between looks for what has grown old */
	FAIL_FIRST_MS = 2 * 1000, /* after an association that failed */
	FAIL_MAX_MS = 60 * 1000,
	AES_MAX = 64, /* AE pairs asked in one round */
};

struct aes {
	char calling_ae[17], called_ae[17];
};

struct prober {
	struct prober_env env;
	uv_timer_t timer;
	struct aes todo[AES_MAX];
	size_t n_todo;
	uint64_t fail_ms;
	bool closing;
	void (*closed)(void *arg);
	void *arg;

	/* One question. */
	struct probe_call call;
	struct aes aes;
	struct capability_pair pairs[PROBE_PAIRS];
	size_t n_pairs;
};

static void ask_next(struct prober *p);

/* ---- on the worker ----------------------------------------------------- */

static void on_pair(struct probe_call *c, const struct capability_pair *pair,
		    bool accepted)
{
	struct prober *p = CONTAINER_OF(c, struct prober, call);
	struct capability_key key = {.destination =
					 p->env.destination->config->name,
				     .calling_ae = p->aes.calling_ae,
				     .called_ae = p->aes.called_ae,
				     .abstract = pair->abstract,
				     .transfer_syntax = pair->transfer_syntax};

	capability_learn(p->env.destination->capabilities, &key, accepted);
}

/* ---- on the main loop -------------------------------------------------- */

static void on_timer_closed(uv_handle_t *h)
{
	struct prober *p = CONTAINER_OF((uv_timer_t *)h, struct prober, timer);
	void (*closed)(void *arg) = p->closed;
	void *arg = p->arg;

	mem_free(p);
	closed(arg);
}

static void try_end(struct prober *p)
{
	if (!p->closing || p->call.asking)
		return;
	uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}

static void on_aes(void *arg, const char *calling_ae, const char *called_ae)
{
	struct prober *p = arg;
	struct capability_pair one;
	struct aes *a;

	if (p->n_todo == AES_MAX ||
	    capability_due(p->env.destination->capabilities,
			   p->env.destination->config->name, calling_ae,
			   called_ae, AGE_MS, &one, 1) == 0)
		return;
	a = &p->todo[p->n_todo++];
	(void)snprintf(a->calling_ae, sizeof(a->calling_ae), "%s", calling_ae);
	(void)snprintf(a->called_ae, sizeof(a->called_ae), "%s", called_ae);
}

static void on_timer(uv_timer_t *t)
{
	struct prober *p = CONTAINER_OF(t, struct prober, timer);

	if (p->call.asking)
		return;
	if (p->n_todo == 0) /* else a pair failed: the others go on */
		capability_each_aes(p->env.destination->capabilities,
				    p->env.destination->config->name, on_aes,
				    p);
	ask_next(p);
}

static void sleep_for(struct prober *p, uint64_t ms)
{
	(void)uv_timer_start(&p->timer, on_timer, ms, 0);
}

static void on_answer(struct probe_call *c)
{
	struct prober *p = CONTAINER_OF(c, struct prober, call);
	const char *name = p->env.destination->config->name;

	if (p->closing) {
		try_end(p);
		return;
	}
	if (c->answered) {
		p->fail_ms = 0;
		log_event(LOG_DEBUG, "probed", "destination=%s pairs=%zu", name,
			  p->n_pairs);
		ask_next(p);
		return;
	}
	if (p->fail_ms == 0)
		log_event(LOG_WARN, "probe-failed",
			  "destination=%s text=\"%s\"", name, c->error);
	p->fail_ms = p->fail_ms == 0 ? FAIL_FIRST_MS : p->fail_ms * 2;
	if (p->fail_ms > FAIL_MAX_MS)
		p->fail_ms = FAIL_MAX_MS;
	sleep_for(p, p->fail_ms);
}

static void ask_next(struct prober *p)
{
	struct destination_round round = {.insist = true};
	struct probe_request r = {.destination = p->env.destination,
				  .calling_ae = p->aes.calling_ae,
				  .called_ae = p->aes.called_ae,
				  .pairs = p->pairs};

	if (p->n_todo == 0) {
		sleep_for(p, ROUND_MS);
		return;
	}
	p->aes = p->todo[--p->n_todo];
	p->n_pairs = capability_due(
	    p->env.destination->capabilities, p->env.destination->config->name,
	    p->aes.calling_ae, p->aes.called_ae, AGE_MS, p->pairs, PROBE_PAIRS);
	if (p->n_pairs == PROBE_PAIRS)
		p->n_todo++; /* there may be more of this pair */
	r.endpoint = destination_pick(p->env.destination, &round);
	r.n_pairs = p->n_pairs;
	(void)probe_call_start(&p->call, &r); /* else it is stopping */
}

enum err prober_new(const struct prober_env *env, struct prober **out)
{
	struct prober *p = mem_zalloc(sizeof(*p));

	if (p == NULL)
		return ERR_NOMEM;
	p->env = *env;
	p->call = (struct probe_call){.main = env->main,
				      .workers = env->workers,
				      .n_workers = env->n_workers,
				      .pair = on_pair,
				      .done = on_answer};
	(void)uv_timer_init(env->loop, &p->timer);
	sleep_for(p, FIRST_MS);
	*out = p;
	return ERR_OK;
}

void prober_kick(struct prober *p)
{
	if (!p->call.asking && !p->closing && p->fail_ms == 0)
		sleep_for(p, FIRST_MS);
}

void prober_close(struct prober *p, void (*closed)(void *arg), void *arg)
{
	p->closing = true;
	p->closed = closed;
	p->arg = arg;
	(void)uv_timer_stop(&p->timer);
	probe_call_cancel(&p->call);
	try_end(p);
}
