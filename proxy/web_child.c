#include "proxy/web_child.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"

enum {
	PAUSE_FIRST_MS = 1000,
	PAUSE_MAX_MS = 60 * 1000,
	LONG_LIFE_MS = 60 * 1000, /* then the pause is the first one again */
	KILL_MS = 3000,           /* from asking it to end to killing it */
};

/*  running --ends--> pausing --timer--> running
 *     \--stop--> ending --ends, or killed--> gone <--stop-- pausing */
enum state { CHILD_RUNNING, CHILD_PAUSING, CHILD_ENDING };

struct web_child {
	const struct config *config;
	uv_loop_t *loop;
	enum state state;
	bool alive; /* its number is its own, and may be signalled */
	uv_process_t process;
	uv_timer_t timer;
	uint64_t began_ms, pause_ms;
};

static void spawn(struct web_child *c);

static uint64_t now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

static void on_timer_closed(uv_handle_t *h)
{
	mem_free(h->data);
}

static void end(struct web_child *c)
{
	uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

static void on_again(uv_timer_t *t)
{
	spawn(t->data);
}

static void pause_child(struct web_child *c)
{
	uint64_t lived = now_ms() - c->began_ms;

	if (c->pause_ms == 0 || lived > LONG_LIFE_MS)
		c->pause_ms = PAUSE_FIRST_MS;
	else if (c->pause_ms < PAUSE_MAX_MS / 2)
		c->pause_ms *= 2;
	else
		c->pause_ms = PAUSE_MAX_MS;
	c->state = CHILD_PAUSING;
	uv_timer_start(&c->timer, on_again, c->pause_ms, 0);
}

static void on_process_closed(uv_handle_t *h)
{
	struct web_child *c = h->data;

	if (c->state == CHILD_ENDING)
		end(c);
	else
		pause_child(c);
}

static void on_exit_(uv_process_t *p, int64_t status, int sig)
{
	struct web_child *c = p->data;

	c->alive = false;
	if (c->state == CHILD_ENDING)
		log_event(LOG_INFO, "web-gone", "status=%d signal=%d",
			  (int)status, sig);
	else
		log_event(LOG_ERROR, "web-ended", "status=%d signal=%d",
			  (int)status, sig);
	uv_close((uv_handle_t *)p, on_process_closed);
}

static void spawn(struct web_child *c)
{
	char parent[32];
	char *args[] = {"culvert", "web",
			"-c",      (char *)(uintptr_t)c->config->file,
			parent,    NULL};
	uv_stdio_container_t stdio[3] = {
	    {.flags = UV_IGNORE},
	    {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
	    {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO}};
	uv_process_options_t o = {.exit_cb = on_exit_,
				  .file = "/proc/self/exe",
				  .args = args,
				  .stdio_count = 3,
				  .stdio = stdio};
	int rc;

	snprintf(parent, sizeof(parent), "--parent=%d", (int)getpid());
	c->began_ms = now_ms();
	c->state = CHILD_RUNNING;
	c->process.data = c;
	rc = uv_spawn(c->loop, &c->process, &o);
	c->alive = rc == 0;
	if (c->alive) {
		log_event(LOG_INFO, "web-started", "pid=%d", c->process.pid);
		return;
	}
	log_event(LOG_ERROR, "web-ended", "detail=\"it cannot be started: %s\"",
		  uv_strerror(rc));
	uv_close((uv_handle_t *)&c->process, on_process_closed);
}

enum err web_child_start(uv_loop_t *loop, const struct config *config,
			 struct web_child **out)
{
	struct web_child *c;

	*out = NULL;
	if (config->status.address.host[0] == '\0')
		return ERR_OK;
	c = mem_zalloc(sizeof(*c));
	if (c == NULL)
		return ERR_NOMEM;
	c->config = config;
	c->loop = loop;
	uv_timer_init(loop, &c->timer);
	c->timer.data = c;
	spawn(c);
	*out = c;
	return ERR_OK;
}

/* Not one that has ended, or never was, while its handle closes: its number is
 * another's by now, or 0, which is all of us. */
static void signal_child(struct web_child *c, int number)
{
	if (c->alive)
		uv_process_kill(&c->process, number);
}

void web_child_reload(struct web_child *c)
{
	if (c != NULL && c->state == CHILD_RUNNING)
		signal_child(c, SIGHUP);
}

static void on_patience(uv_timer_t *t)
{
	signal_child(t->data, SIGKILL);
}

void web_child_stop(struct web_child *c)
{
	if (c == NULL || c->state == CHILD_ENDING)
		return;
	if (c->state == CHILD_PAUSING) {
		c->state = CHILD_ENDING;
		end(c);
		return;
	}
	c->state = CHILD_ENDING;
	signal_child(c, SIGTERM);
	uv_timer_start(&c->timer, on_patience, KILL_MS, 0);
}
