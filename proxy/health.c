#include "proxy/health.h"

#include <stdio.h>
#include <uv.h>

#include "proxy/capability.h"
#include "proxy/destination.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/probe_call.h"

enum { LOOK_MS = 500 }; /* between looks at who is due */

/* One endpoint. */
struct patient {
	struct health *health;
	size_t destination, endpoint;
	struct probe_call call;
	char calling_ae[CONFIG_AE_LEN], called_ae[CONFIG_AE_LEN];
	bool was_closed;
};

struct health {
	struct health_env env;
	uv_timer_t timer;
	struct patient *patients;
	size_t n, asking;
	bool closing;
	void (*closed)(void *arg);
	void *arg;
};

static struct destination *destination_of(const struct patient *p)
{
	return p->health->env.destinations[p->destination];
}

/* ---- the end ----------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
	struct health *h =
	    CONTAINER_OF((uv_timer_t *)handle, struct health, timer);
	void (*closed)(void *arg) = h->closed;
	void *arg = h->arg;

	mem_free(h->patients);
	mem_free(h);
	closed(arg);
}

static void try_end(struct health *h)
{
	if (h->closing && h->asking == 0)
		uv_close((uv_handle_t *)&h->timer, on_timer_closed);
}

/* ---- asking ------------------------------------------------------------ */

static bool is_closed(const struct patient *p)
{
	struct destination_health now;

	return destination_health(destination_of(p), p->endpoint, &now) &&
	       now.circuit == CIRCUIT_CLOSED;
}

static void on_echoed(struct probe_call *c)
{
	struct patient *p = CONTAINER_OF(c, struct patient, call);
	struct health *h = p->health;

	h->asking--;
	if (h->closing) {
		try_end(h);
		return;
	}
	destination_echoed(destination_of(p), p->endpoint);
	log_event(LOG_DEBUG, "endpoint-asked",
		  "destination=%s endpoint=%zu echoed=%d text=\"%s\"",
		  destination_of(p)->config->name, p->endpoint, c->echoed,
		  c->error);
	if (!p->was_closed && is_closed(p))
		h->env.back(h->env.arg, p->destination);
}

/* The first AE pair that devices use, for what is not configured. */
static void on_aes(void *arg, const char *calling_ae, const char *called_ae)
{
	struct patient *p = arg;

	if (p->calling_ae[0] != '\0')
		return;
	destination_aes(destination_of(p)->config, calling_ae, called_ae,
			p->calling_ae, p->called_ae);
}

static void choose_aes(struct patient *p)
{
	const struct destination *d = destination_of(p);

	p->calling_ae[0] = '\0';
	if (d->capabilities != NULL)
		capability_each_aes(d->capabilities, d->config->name, on_aes,
				    p);
	on_aes(p, "CULVERT", "ANY-SCP");
}

static void ask(struct patient *p)
{
	struct probe_request r = {.destination = destination_of(p),
				  .endpoint = p->endpoint,
				  .calling_ae = p->calling_ae,
				  .called_ae = p->called_ae};

	choose_aes(p);
	p->was_closed = is_closed(p);
	if (probe_call_start(&p->call, &r))
		p->health->asking++;
}

static void on_timer(uv_timer_t *t)
{
	struct health *h = CONTAINER_OF(t, struct health, timer);

	for (size_t i = 0; i < h->n; i++) {
		struct patient *p = &h->patients[i];

		if (!p->call.asking &&
		    destination_echo_in(destination_of(p), p->endpoint) == 0)
			ask(p);
	}
}

/* ---- birth ------------------------------------------------------------- */

static bool is_asked(const struct destination *d)
{
	return d->config->endpoints.n > 0 && d->config->health.interval > 0 &&
	       !d->config->implicit;
}

static size_t count(const struct health_env *env)
{
	size_t n = 0;

	for (size_t i = 0; i < env->n_destinations; i++) {
		if (is_asked(env->destinations[i]))
			n += env->destinations[i]->config->endpoints.n;
	}
	return n;
}

static void admit(struct health *h, size_t destination)
{
	const struct destination *d = h->env.destinations[destination];

	if (!is_asked(d))
		return;
	for (size_t i = 0; i < d->config->endpoints.n; i++) {
		h->patients[h->n++] = (struct patient){
		    .health = h,
		    .destination = destination,
		    .endpoint = i,
		    .call = {.main = h->env.main,
			     .workers = h->env.workers,
			     .n_workers = h->env.n_workers,
			     .done = on_echoed},
		};
	}
}

enum err health_new(const struct health_env *env, struct health **out)
{
	struct health *h = mem_zalloc(sizeof(*h));

	if (h == NULL)
		return ERR_NOMEM;
	h->env = *env;
	h->patients = mem_zarray(count(env) + 1, sizeof(*h->patients));
	if (h->patients == NULL) {
		mem_free(h);
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < env->n_destinations; i++)
		admit(h, i);
	(void)uv_timer_init(env->loop, &h->timer);
	if (h->n > 0)
		(void)uv_timer_start(&h->timer, on_timer, LOOK_MS, LOOK_MS);
	*out = h;
	return ERR_OK;
}

void health_close(struct health *h, void (*closed)(void *arg), void *arg)
{
	h->closing = true;
	h->closed = closed;
	h->arg = arg;
	(void)uv_timer_stop(&h->timer);
	for (size_t i = 0; i < h->n; i++)
		probe_call_cancel(&h->patients[i].call);
	try_end(h);
}
