/* server.c - see server.h. */
#include "web-status/server.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/net/worker.h"
#include "web-status/broker.h"
#include "web-status/data.h"
#include "web-status/events.h"
#include "web-status/gate.h"
#include "web-status/server_int.h"

enum { WATCH_MS = 1000, NICER = 5 };

/* What the loop waits for besides viewers. */
struct run {
	struct web_server *server;
	uv_signal_t signals[3];
	uv_timer_t watch;
	int parent; /* 0: none */
	struct stat users;
};

/* ---- while it runs ----------------------------------------------------- */

static void on_stop(uv_signal_t *sig, int number)
{
	log_event(LOG_INFO, "web-stopping", "signal=%d", number);
	uv_stop(sig->loop);
}

static void on_hup(uv_signal_t *sig, int number)
{
	struct run *run = sig->data;
	bool tls = gate_reload(run->server->gate);
	bool users = login_load_users(run->server);

	(void)number;
	log_event(LOG_INFO, "web-reloaded", "tls=%s users=%s",
		  tls ? "taken" : "kept", users ? "taken" : "kept");
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void watch_users(struct run *run)
{
	struct stat now;

	if (!run->server->login ||
	    stat(run->server->config->status.users, &now) != 0 ||
	    same_file(&now, &run->users))
		return;
	run->users = now;
	if (login_load_users(run->server))
		log_event(LOG_INFO, "web-users-read", "file=%s",
			  run->server->config->status.users);
}

static void on_watch(uv_timer_t *t)
{
	struct run *run = t->data;

	watch_users(run);
	if (run->parent != 0 && getppid() != run->parent) {
		log_event(LOG_INFO, "web-stopping",
			  "cause=\"the daemon has ended\"");
		uv_stop(t->loop);
	}
}

static void watch_start(struct run *run, uv_loop_t *loop)
{
	static const struct {
		int number;
		uv_signal_cb fn;
	} watched[] = {{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_hup}};

	for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
		uv_signal_init(loop, &run->signals[i]);
		run->signals[i].data = run;
		uv_signal_start(&run->signals[i], watched[i].fn,
				watched[i].number);
	}
	if (run->server->login)
		(void)!stat(run->server->config->status.users, &run->users);
	uv_timer_init(loop, &run->watch);
	run->watch.data = run;
	uv_timer_start(&run->watch, on_watch, WATCH_MS, WATCH_MS);
}

static void watch_stop(struct run *run)
{
	for (size_t i = 0; i < ARRAY_LEN(run->signals); i++)
		uv_close((uv_handle_t *)&run->signals[i], NULL);
	uv_close((uv_handle_t *)&run->watch, NULL);
}

/* ---- life -------------------------------------------------------------- */

static enum err make_parts(struct web_server *s)
{
	enum err e = worker_new(0, &s->worker);

	s->sessions = sessions_new(s->config->status.session.idle,
				   s->config->status.session.lifetime);
	s->lockout = lockout_new();
	if (e == ERR_OK && (s->sessions == NULL || s->lockout == NULL))
		e = ERR_NOMEM;
	if (e == ERR_OK && !login_load_users(s))
		e = ERR_INVAL;
	/* nobody comes in before the loop runs; a port below 1024 is the last
	 * thing that takes a capability */
	if (e == ERR_OK)
		e = gate_open(s, &s->gate);
	if (e == ERR_OK)
		e = sandbox_drop();
	if (e == ERR_OK)
		e = data_start(s->config, &s->data);
	if (e == ERR_OK)
		e = events_start(s, &s->events);
	if (e == ERR_OK)
		e = http_start(s);
	return e;
}

static void end_parts(struct web_server *s)
{
	atomic_store(&s->stopping, true);
	if (s->gate != NULL)
		gate_close(s->gate);
	if (s->events != NULL)
		events_stop(s->events);
	bodies_stop(s);
	http_stop(s);
	if (s->worker != NULL)
		worker_stop(s->worker);
	gate_free(s->gate);
	events_free(s->events);
	data_stop(s->data);
	lockout_free(s->lockout);
	sessions_free(s->sessions);
	users_free(s->users);
}

static struct web_server *server_new(const struct config *config)
{
	struct web_server *s = mem_zalloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	s->config = config;
	s->tls = config->status.tls.certificate[0] != '\0';
	s->login = config->status.users[0] != '\0';
	pthread_mutex_init(&s->hash_lock, NULL);
	pthread_mutex_init(&s->users_lock, NULL);
	pthread_mutex_init(&s->bodies_lock, NULL);
	list_init(&s->bodies);
	return s;
}

static void server_free(struct web_server *s)
{
	pthread_mutex_destroy(&s->hash_lock);
	pthread_mutex_destroy(&s->users_lock);
	pthread_mutex_destroy(&s->bodies_lock);
	mem_free(s);
}

static void serve(struct web_server *s, int parent)
{
	struct run run = {.server = s, .parent = parent};

	sandbox_enter(s->config);
	watch_start(&run, worker_loop(s->worker));
	log_event(LOG_INFO, "web-ready", "address=%s port=%u tls=%s login=%s",
		  s->config->status.address.host,
		  s->config->status.address.port, s->tls ? "yes" : "no",
		  s->login ? "yes" : "no");
	uv_run(worker_loop(s->worker), UV_RUN_DEFAULT);
	watch_stop(&run);
	end_parts(s);
}

int web_run(const struct config *config, int parent)
{
	struct web_server *s = server_new(config);
	enum err e;

	if (s == NULL)
		return EXIT_FAILURE;
	json_object_seed(0);
	/* images go first */
	(void)setpriority(PRIO_PROCESS, 0,
			  getpriority(PRIO_PROCESS, 0) + NICER);
	e = sandbox_begin(config);
	if (e == ERR_OK)
		e = make_parts(s);
	if (e == ERR_OK) {
		serve(s, parent);
		log_event(LOG_INFO, "web-stopped", "node=%s", config->node);
	} else {
		log_event(LOG_ERROR, "web-start", "detail=\"%s\"", err_text(e));
		end_parts(s);
	}
	broker_stop();
	server_free(s);
	return e == ERR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
