/* control_order.c - orders to deliveries: retry, hold, release, discard,
 * redirect. */
#include <string.h>

#include "policy/config.h"
#include "proxy/control_op.h"
#include "proxy/lib/mem.h"
#include "proxy/scheduler.h"

enum order {
	ORDER_RETRY,
	ORDER_HOLD,
	ORDER_RELEASE,
	ORDER_DISCARD,
	ORDER_REDIRECT
};

struct order_call {
	enum order order;
	char destination[CONFIG_NAME_LEN], to[CONFIG_NAME_LEN];
	struct transfer_id transfer;
	bool has_transfer;
};

static void on_ordered(void *arg, enum err e, uint64_t n)
{
	json_t *answer;

	if (e == ERR_OK)
		answer =
		    json_pack("{s:b,s:I}", "ok", 1, "count", (json_int_t)n);
	else if (e == ERR_NOTFOUND)
		answer = control_error(
		    "no such destination or delivery, or none that this order "
		    "fits; see culvert queue list");
	else if (e == ERR_INVAL)
		answer = control_error("no such destination to redirect to, or "
				       "it is the same one");
	else if (e == ERR_BUSY)
		answer = control_error("it is being sent at this moment; try "
				       "again shortly");
	else
		answer = control_error(err_text(e));
	control_call_answer(arg, answer);
}

static void on_main(struct control_call *c, void *arg)
{
	const struct order_call *o = arg;
	struct scheduler *s = control_call_options(c)->scheduler;
	struct scheduler_scope what = {
	    .destination = o->destination[0] != '\0' ? o->destination : NULL,
	    .transfer = o->has_transfer ? &o->transfer : NULL};

	switch (o->order) {
	case ORDER_RETRY:
		scheduler_retry(s, what, on_ordered, c);
		return;
	case ORDER_HOLD:
		scheduler_hold(s, what, on_ordered, c);
		return;
	case ORDER_RELEASE:
		scheduler_release(s, what, on_ordered, c);
		return;
	case ORDER_DISCARD:
		scheduler_discard(s, what, on_ordered, c);
		return;
	case ORDER_REDIRECT:
		scheduler_redirect(s, what, o->to, on_ordered, c);
		return;
	}
}

static enum order order_of(const char *op)
{
	static const char *const names[] = {
	    [ORDER_RETRY] = "retry",
	    [ORDER_HOLD] = "hold",
	    [ORDER_RELEASE] = "release",
	    [ORDER_DISCARD] = "discard",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(op, names[i]) == 0)
			return (enum order)i;
	}
	return ORDER_REDIRECT;
}

static bool take_name(char out[CONFIG_NAME_LEN], const char *name)
{
	size_t n = strlen(name);

	if (n >= CONFIG_NAME_LEN)
		return false;
	memcpy(out, name, n + 1);
	return true;
}

void control_run_order(struct control_connection *k, const json_t *request)
{
	struct order_call o = {.order = order_of(control_text(request, "op"))};
	const char *transfer = control_text(request, "transfer");

	o.has_transfer = transfer[0] != '\0';
	if (o.has_transfer &&
	    transfer_id_parse(transfer, &o.transfer) != ERR_OK)
		control_refuse(k, "not a transfer id: 32 hexadecimal digits as "
				  "culvert queue list shows");
	else if (!take_name(o.destination,
			    control_text(request, "destination")) ||
		 !take_name(o.to, control_text(request, "to")))
		control_refuse(k, "no such destination");
	else if (o.destination[0] == '\0' && !o.has_transfer)
		control_refuse(k, "neither destination nor transfer given");
	else
		control_on_main(k, on_main, &o, sizeof(o));
}
