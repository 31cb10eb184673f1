/* repository_try.c - one connection, for `culvert check --connect`. */
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "proxy/repository_int.h"

struct
try {
	repository_step_fn *step;
	void *arg;
	struct stream *stream;
	bool opened, done;
	enum err e;
};

static void on_open(void *arg)
{
	struct try *t = arg;
	struct tls_info info;
	char text[96] = "";

	t->opened = true;
	if (stream_tls_info(t->stream, &info))
		(void)snprintf(text, sizeof(text), "%s %s", info.version,
			       info.suite);
	t->step(t->arg, true, "connect", stream_peer(t->stream));
	t->step(t->arg, true, "TLS", text);
	stream_finish(t->stream);
}

static void on_closed(void *arg, enum err why, const char *detail)
{
	struct try *t = arg;

	t->done = true;
	if (t->opened)
		return;
	t->e = why == ERR_OK ? ERR_CLOSED : why;
	t->step(t->arg, false, why == ERR_TLS ? "TLS" : "connect", detail);
}

enum err repository_try(const struct config_repository *c,
			repository_step_fn *step, void *arg)
{
	static const struct stream_events events = {.on_open = on_open,
						    .on_closed = on_closed};
	struct try t = {.step = step, .arg = arg, .e = ERR_OK};
	struct stream_options o = {.server_name = c->tls.server_name[0] != '\0'
						      ? c->tls.server_name
						      : NULL,
				   .connect_ms = c->timeouts.connect,
				   .handshake_ms = c->timeouts.connect,
				   .finish_ms = 500};
	char why[TLS_WHY_LEN], endpoint[CONFIG_HOST_LEN + 16];
	struct worker *w;
	enum err e;

	if (c->protocol != CONFIG_SYSLOG_TLS)
		return ERR_OK; /* nobody would answer */
	e = repository_tls_context(c, &o.tls, why);
	if (e != ERR_OK) {
		step(arg, false, "TLS", why);
		return e;
	}
	e = worker_new(0, &w);
	if (e == ERR_OK) {
		repository_endpoint(c, endpoint);
		e = stream_connect(w, endpoint, &o, &events, &t, &t.stream);
		while (e == ERR_OK && !t.done)
			(void)uv_run(worker_loop(w), UV_RUN_ONCE);
		worker_stop(w);
	}
	tls_context_unref(o.tls);
	return e == ERR_OK ? t.e : e;
}
