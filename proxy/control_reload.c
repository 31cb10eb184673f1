/* control_reload.c - how things stand, and the configuration read again. */
#include <string.h>

#include "proxy/control_op.h"
#include "proxy/control_status.h"

static void on_status(struct control_call *c, void *arg)
{
	(void)arg;
	control_call_answer(c, control_status(control_call_options(c),
					      control_call_started_ms(c)));
}

void control_run_status(struct control_connection *k, const json_t *request)
{
	(void)request;
	control_on_main(k, on_status, NULL, 0);
}

static void on_reloaded(void *arg, const struct reload_result *result)
{
	control_call_answer(arg, control_reloaded(result));
}

static void on_reload(struct control_call *c, void *arg)
{
	const struct control_options *o = control_call_options(c);

	o->reload(o->arg, arg, on_reloaded, c);
}

void control_run_reload(struct control_connection *k, const json_t *request)
{
	(void)request;
	control_on_main(k, on_reload, k->peer.user, strlen(k->peer.user) + 1);
}
