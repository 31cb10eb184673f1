#include "proxy/link/link_echo.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "proxy/lib/mem.h"
#include "proxy/link/conn.h"

struct echo {
	destination_step_fn *step;
	void *arg;
	struct link_conn *conn; /* NULL: closed */
	uv_timer_t deadline;
	bool failed, done;
};

static void tell(struct echo *e, bool ok, const char *step, const char *text)
{
	e->failed = e->failed || !ok;
	e->step(e->arg, ok, step, text);
}

static uint16_t on_up(void *arg, char text[LINK_TEXT_MAX + 1])
{
	struct echo *e = arg;
	struct tls_info tls;
	char words[192];

	(void)text;
	tell(e, true, "TCP", link_conn_peer(e->conn));
	if (link_conn_tls(e->conn, &tls)) {
		(void)snprintf(words, sizeof(words), "%s %s, %s", tls.version,
			       tls.suite, LINK_ALPN);
		tell(e, true, "TLS", words);
	}
	return 0;
}

static uint16_t on_hello(void *arg, const struct link_hello *theirs,
			 const struct link_terms *terms,
			 struct link_hello *ours, char text[LINK_TEXT_MAX + 1])
{
	struct echo *e = arg;
	char words[192];

	(void)ours;
	(void)text;
	(void)snprintf(words, sizeof(words),
		       "culvert/%u at \"%s\", window %llu MiB, %u transfers",
		       terms->version, theirs->node,
		       (unsigned long long)(terms->window >> 20),
		       terms->transfers);
	tell(e, terms->they_take, "link",
	     terms->they_take ? words
			      : "the far end takes no transfers: it needs a "
				"listener with protocol link");
	return 0;
}

static void on_open(void *arg)
{
	struct echo *e = arg;

	link_conn_bye(e->conn, LINK_BYE_SHUTDOWN, true, NULL);
}

static void on_closed(void *arg, const struct link_conn_end *end)
{
	struct echo *e = arg;

	if (!end->opened && !e->failed)
		tell(e, false, "link", end->text);
	e->conn = NULL;
	e->done = true;
	uv_close((uv_handle_t *)&e->deadline, NULL);
}

static const struct link_conn_events events = {.on_up = on_up,
					       .on_hello = on_hello,
					       .on_open = on_open,
					       .on_closed = on_closed};

static void on_deadline(uv_timer_t *t)
{
	struct echo *e = CONTAINER_OF(t, struct echo, deadline);

	tell(e, false, "deadline",
	     "the far end did not answer in time: check its load, address and "
	     "firewalls between");
	link_conn_drop(e->conn);
}

static enum err dial(struct echo *e, struct worker *w, struct destination *d,
		     size_t endpoint)
{
	const struct config_destination *c = d->config;
	struct link_hello h = {.version_min = LINK_VERSION,
			       .version_max = LINK_VERSION,
			       .window = c->link.window,
			       .transfers = c->link.transfers,
			       .keepalive_ms = LINK_KEEPALIVE_MS,
			       .connections = 1,
			       .chunk_log2 = LINK_CHUNK_LOG2,
			       .node = "culvert-check"};
	struct link_conn_options o = {
	    .tls = d->tls,
	    .server_name =
		c->tls.server_name[0] != '\0' ? c->tls.server_name : NULL,
	    .connect_ms = c->timeouts.connect,
	    .handshake_ms = c->timeouts.connect,
	    .hello = &h};
	char where[DESTINATION_ENDPOINT_LEN];

	if (uv_random(NULL, NULL, h.spool, sizeof(h.spool), 0, NULL) != 0 ||
	    uv_random(NULL, NULL, h.epoch, sizeof(h.epoch), 0, NULL) != 0)
		return ERR_IO;
	return link_conn_dial(w, destination_endpoint(c, endpoint, where), &o,
			      &events, e, &e->conn);
}

static void run(struct echo *e, uv_loop_t *loop, uint64_t deadline_ms)
{
	(void)uv_timer_init(loop, &e->deadline);
	(void)uv_timer_start(&e->deadline, on_deadline, deadline_ms, 0);
	while (!e->done)
		(void)uv_run(loop, UV_RUN_ONCE);
	(void)uv_run(loop, UV_RUN_NOWAIT); /* let the timer close */
}

enum err link_echo(struct destination *d, size_t endpoint, uint64_t deadline_ms,
		   destination_step_fn *step, void *arg)
{
	struct echo e = {.step = step, .arg = arg};
	struct worker *w;
	enum err err = worker_new(0, &w);

	if (err != ERR_OK)
		return err;
	err = dial(&e, w, d, endpoint);
	if (err == ERR_OK)
		run(&e, worker_loop(w), deadline_ms);
	worker_stop(w);
	if (err == ERR_OK && e.failed)
		err = ERR_IO;
	return err;
}
