/* destination_echo.c - `culvert echo`: a probe on a loop of its own. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "proxy/destination.h"
#include "proxy/directory.h"
#include "proxy/lib/mem.h"
#include "proxy/link/link_echo.h"
#include "proxy/net/tls.h"
#include "proxy/probe.h"

struct echo {
	destination_step_fn *step;
	void *arg;
	bool failed; /* a step was not ok */
	bool done, answered, echoed;
	uv_timer_t deadline;
	struct probe *probe;
};

static void on_step(void *arg, bool ok, const char *step, const char *text)
{
	struct echo *e = arg;

	e->failed = e->failed || !ok;
	e->step(e->arg, ok, step, text);
}

static void on_done(void *arg, bool answered, bool echoed)
{
	struct echo *e = arg;

	e->done = true;
	e->answered = answered;
	e->echoed = echoed;
	uv_close((uv_handle_t *)&e->deadline, NULL);
}

static void on_deadline(uv_timer_t *t)
{
	struct echo *e = CONTAINER_OF(t, struct echo, deadline);

	on_step(e, false, "deadline",
		"the destination did not answer in time: check its load, "
		"address and firewalls between");
	probe_cancel(e->probe);
}

static enum err ask(struct echo *e, const struct probe_request *r,
		    uint64_t deadline_ms)
{
	static const struct probe_events events = {.step = on_step,
						   .done = on_done};
	uv_loop_t *loop = worker_loop(r->worker);
	enum err err = probe_start(r, &events, e, &e->probe);

	if (err != ERR_OK)
		return err;
	(void)uv_timer_init(loop, &e->deadline);
	(void)uv_timer_start(&e->deadline, on_deadline, deadline_ms, 0);
	while (!e->done)
		(void)uv_run(loop, UV_RUN_ONCE);
	(void)uv_run(loop, UV_RUN_NOWAIT); /* let the timer close */
	return ERR_OK;
}

static enum err echo_endpoint(struct destination *d, size_t endpoint,
			      const char *calling, const char *called,
			      uint64_t deadline_ms, struct echo *e)
{
	struct probe_request r = {.destination = d,
				  .endpoint = endpoint,
				  .calling_ae = calling,
				  .called_ae = called};
	enum err err = worker_new(0, &r.worker);

	if (err != ERR_OK)
		return err;
	err = ask(e, &r, deadline_ms);
	worker_stop(r.worker);
	if (err != ERR_OK)
		return err;
	return e->failed || !e->answered ? ERR_IO : ERR_OK;
}

static enum err echo_directory(const struct config_destination *c,
			       destination_step_fn *step, void *arg)
{
	char path[CONFIG_PATH_LEN + 32], why[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/.part-echo-%ld", c->path,
		       (long)getpid());
	f = fopen(path, "we");
	if (f == NULL || fclose(f) != 0) {
		(void)snprintf(why, sizeof(why),
			       "%s: check that it exists, its owner and mode",
			       strerror(errno));
		step(arg, false, "directory", why);
		return ERR_IO;
	}
	(void)unlink(path);
	step(arg, true, "directory", c->path);
	return ERR_OK;
}

enum err destination_echo(const struct config_destination *c,
			  const char *calling_ae, const char *called_ae,
			  uint64_t deadline_ms, destination_step_fn *step,
			  void *arg)
{
	struct echo e = {.step = step, .arg = arg};
	char calling[CONFIG_AE_LEN], called[CONFIG_AE_LEN];
	char why[TLS_WHY_LEN];
	struct destination *d;
	enum err err;

	if (c->protocol == CONFIG_DIRECTORY)
		return echo_directory(c, step, arg);
	destination_aes(c, calling_ae != NULL ? calling_ae : "CULVERT",
			called_ae != NULL ? called_ae : "ANY-SCP", calling,
			called);
	err = destination_open(c, &d, why);
	if (err != ERR_OK) {
		step(arg, false, "TLS material", why);
		return err;
	}
	for (size_t i = 0; i < c->endpoints.n; i++) {
		e = (struct echo){.step = step, .arg = arg};
		err =
		    c->protocol == CONFIG_LINK
			? link_echo(d, i, deadline_ms, step, arg)
			: echo_endpoint(d, i, calling, called, deadline_ms, &e);
		if (err == ERR_OK)
			break; /* as a sender does: the next only on failure */
	}
	destination_close(d);
	return err;
}
