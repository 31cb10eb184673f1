/* control.h - the daemon's Unix socket: what `culvert status` and `culvert
 * queue` speak to.
 *
 * One request is one line of JSON, one answer one line of JSON. Ahead of the
 * answer there may come lines without "ok": rows of what was asked for
 * ({"row":{...}}, proxy/reading.h) and how far long work has come
 * ({"progress":{"done":N,"total":M}}, 0: not known). An export is followed by
 * the bytes it announces.
 *
 *   {"op":"status"}
 *   {"op":"retry"|"hold"|"release"|"discard", "destination":D, "transfer":T}
 *   {"op":"redirect", "destination":D, "transfer":T, "to":D2}
 *   {"op":"export", "transfer":T}
 *   {"op":"reload"}
 *   {"op":"search-key", "accession":TEXT} or "patient": the value it is found
 *     by (store/ledger_search.h)
 *
 *   {"ok":true, ...} or {"ok":false, "error":"cause; remedy"}
 *
 * Everybody on the machine may connect; what they may ask is decided by the
 * groups that the kernel says they are in (control_peer.h) and by the one table
 * of rights (policy/roles.h). Every action is an audit row before it takes
 * effect; those refused are on record, too. The process of the status page is
 * served only what pages need (control_page.h). Each connection has a thread,
 * with a deadline; a few are served at a time, and one user has no more than
 * half of them. How an operation is added: control_op.h. */
#ifndef PROXY_CONTROL_H
#define PROXY_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/lib/err.h"
#include "proxy/reload.h"

struct commitment;
struct config;
struct control; /* opaque */
struct destination;
struct ledger;
struct mailbox;
struct repositories;
struct scheduler;
struct seal_signer;
struct shaping;
struct spool;

/* All borrowed; must outlive it. */
struct control_options {
	const struct config *config;
	struct spool *spool;
	struct ledger *ledger;
	struct seal_signer *signer; /* any thread */
	struct scheduler *scheduler;
	struct destination *const *destinations; /* by index in config */
	struct commitment *commitment;
	struct mailbox
	    *mailbox; /* the main loop's: scheduler calls run there */
	struct repositories *repositories; /* any thread; NULL: none */
	struct shaping *shaping;           /* looked at on the main loop only */
	int (*associations)(void *arg); /* inbound ones open now; any thread */
	/* reload_start(), on the main loop */
	void (*reload)(void *arg, const char *by, reload_done_fn *done,
		       void *done_arg);
	void *arg;
};

/* Make the socket at config->control.path and serve it. ERR_EXISTS: another
 * daemon answers there; ERR_IO, ERR_NOMEM. why gets a sentence. */
enum err control_start(const struct control_options *opt, struct control **out,
		       char why[256]) MUST_CHECK;

/* Stop taking requests, end the open ones, remove the socket, free. Called on
 * the main loop's thread, before the scheduler stops; the mailbox still
 * works. NULL is fine. */
void control_stop(struct control *c);

/* ---- the client's side ------------------------------------------------ */

struct json_t;

/* Ask the daemon at path. answer (new reference, jansson) is set on ERR_OK
 * only. ERR_NOTFOUND: nobody answers there; ERR_DENIED: no permission;
 * ERR_IO. fd (NULL: not wanted) keeps the connection open for what follows
 * the answer; the caller closes it. */
enum err control_ask(const char *path, const struct json_t *request,
		     struct json_t **answer, int *fd, char why[256]) MUST_CHECK;

/* The same, for what has lines ahead of its answer: each is given to ahead
 * (NULL: none is wanted), borrowed. The daemon must send one every
 * CONTROL_IO_SECONDS; the answer may take as long as the work does.
 * ERR_CANCELED: ahead said false. */
enum err control_ask_long(const char *path, const struct json_t *request,
			  bool (*ahead)(void *arg, const struct json_t *line),
			  void *arg, struct json_t **answer,
			  char why[256]) MUST_CHECK;

#endif
