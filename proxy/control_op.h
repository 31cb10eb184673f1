/* control_op.h - how an operation of the control socket is written.
 *
 * Each has a row in one table (control_ops.c) and a row in the table of rights
 * (policy/roles.c); one without rights is nobody's. Before run is called the
 * caller's role has been looked at, and what the row says is on record has
 * been made durable. run answers by control_answer() or control_refuse(), once,
 * on the connection's own thread: it may wait, read files, and stream bytes
 * behind its answer with control_send_bytes() (a peer that does not read for
 * CONTROL_IO_SECONDS ends it). What belongs to the main loop is called there
 * by control_on_main().
 *
 * A long operation looks at control_stopping() at least every 100 ms. */
#ifndef PROXY_CONTROL_OP_H
#define PROXY_CONTROL_OP_H

#include <jansson.h>
#include <stdbool.h>

#include "proxy/control.h"
#include "proxy/control_io.h"
#include "proxy/control_peer.h"
#include "store/audit.h"

struct control_connection {
	struct control *control;
	const struct control_options *opt;
	int fd;
	struct control_peer peer; /* who asks, and what roles they hold */
	char role[ROLE_TEXT_LEN]; /* for the record: those that gave the right
				   */
};

/* Whether an operation goes on record before it runs. */
enum control_record {
	CONTROL_SILENT, /* it changes nothing, and shows what its role sees */
	CONTROL_ACTION, /* AUDIT_MANUAL_ACTION */
	CONTROL_EXPORT  /* AUDIT_EXPORT */
};

enum { CONTROL_KEYS_MAX = 10 };

struct control_op {
	const char *name; /* as in {"op":name} and in policy/roles.c */
	enum control_record record;
	/* The members of the request that go on record, of type string,
	 * integer or boolean; "destination" and "study" have columns of their
	 * own. Never one that may hold a patient's value. */
	const char *keys[CONTROL_KEYS_MAX];
	void (*run)(struct control_connection *k, const json_t *request);
};

/* NULL: no such operation. The i-th, or NULL after the last. */
const struct control_op *control_op_find(const char *name);
const struct control_op *control_op_at(size_t i);

/* Look at the rights, put it on record, run it. The answer is sent. */
void control_dispatch(struct control_connection *k, const json_t *request);

/* Send answer, which is consumed; NULL: memory is out. */
void control_answer(struct control_connection *k, json_t *answer);
/* Send {"ok":false,"error":text}: "cause; remedy". */
void control_refuse(struct control_connection *k, const char *text);

/* The same, of one whose role does not reach so far, and on record: op is an
 * operation's name or "". The command that asked ends with CLI_DENIED. */
void control_refuse_rights(struct control_connection *k, const char *op,
			   const char *text);
/* A line ahead of the answer: {key:value}, value is borrowed. ERR_IO: nobody
 * listens any more. */
enum err control_ahead(struct control_connection *k, const char *key,
		       const json_t *value) MUST_CHECK;

/* A member that is a string, or "". Valid as long as request. */
const char *control_text(const json_t *request, const char *key);
/* The daemon stops: end soon. */
bool control_stopping(const struct control_connection *k);

/* Put e on record as the caller's (user and the role are filled in; detail is
 * as given) and wait until it is durable. False: it could not be written, the
 * caller has been told, and nothing may be done. For what the row in the table
 * cannot say, as how many were found. */
bool control_on_record(struct control_connection *k,
		       struct audit_event *e) MUST_CHECK;

/* ---- calls on the main loop --------------------------------------------- */

struct control_call; /* opaque */

/* On the main loop. Answers now or later, by control_call_answer(), once; arg
 * points at a copy, which is valid until then. */
typedef void control_call_fn(struct control_call *c, void *arg);

/* Post fn, wait for what it answers and send that. arg's size bytes are copied.
 * When no answer comes in time the caller is told so. */
void control_on_main(struct control_connection *k, control_call_fn *fn,
		     const void *arg, size_t size);
/* Main loop only. answer is consumed. */
void control_call_answer(struct control_call *c, json_t *answer);
const struct control_options *
control_call_options(const struct control_call *c);
/* Since when the daemon runs, wall clock. */
int64_t control_call_started_ms(const struct control_call *c);

/* ---- the operations, by file ----------------------------------------------
 */

typedef void control_run_fn(struct control_connection *k,
			    const json_t *request);

control_run_fn control_run_status; /* control_reload.c */
control_run_fn control_run_reload;
control_run_fn control_run_order;        /* control_order.c */
control_run_fn control_run_read;         /* control_read.c */
control_run_fn control_run_export;       /* control_export.c */
control_run_fn control_run_audit_export; /* control_export_tables.c */
control_run_fn control_run_transfers_export;
control_run_fn control_run_receipt;     /* control_receipt.c */
control_run_fn control_run_search_key;  /* control_search.c */
control_run_fn control_run_web_event;   /* control_web.c */
control_run_fn control_run_audit_prune; /* control_audit.c */
control_run_fn control_run_audit_hold;
control_run_fn control_run_audit_erase;
control_run_fn control_run_audit_clock;
control_run_fn control_run_audit_head;
control_run_fn control_run_audit_key; /* control_verify.c */
control_run_fn control_run_audit_heads;
control_run_fn control_run_audit_verify;
control_run_fn control_run_report; /* control_report.c */

#endif
