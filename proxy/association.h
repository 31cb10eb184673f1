/* association.h - one inbound association, from accept to close: the acceptor
 * of PS3.8 section 9.2 and the SCP of Verification and Storage.
 *
 * It lives and dies on one worker. Whatever a peer sends ends at most its own
 * association, with a line that names cause and remedy. */
#ifndef PROXY_ASSOCIATION_H
#define PROXY_ASSOCIATION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "proxy/lib/err.h"
#include "proxy/lib/list.h"

struct admission;
struct capabilities;
struct commitment;
struct config;
struct destination;
struct early_desk;
struct ledger;
struct shaper;
struct spool;
struct tls_context;
struct worker;

/* What every association of a worker shares. Borrowed; outlives them. */
struct association_env {
	const struct config *config;
	struct spool *spool;
	struct ledger *ledger;
	struct capabilities *capabilities;
	struct destination *const *destinations; /* by index in config */
	struct commitment *commitment;           /* NULL: none is served */
	struct shaper *shaper;                   /* NULL: nothing is limited */
	struct early_desk *early; /* hears of long instances; or NULL */
	struct admission *admission;
	struct tls_context *const *tls; /* by listener; NULL: plaintext */
	struct worker *worker;
	atomic_uint *n_open; /* of the process */
	struct list open;    /* of this worker, its thread only */
	bool draining;       /* take no more: its thread only */
};

/* Take over a socket that a listener accepted, on the worker's thread.
 * admission_connect() has passed for it; the association gives that back.
 * On error (ERR_NOMEM, ERR_IO) fd is closed and the place given back. */
enum err association_begin(struct association_env *env, int fd,
			   size_t listener) MUST_CHECK;

/* End those that are idle, and the others when their message is answered; on
 * the worker's thread. force: those too get their A-ABORT now, and whoever has
 * got one is cut off; so the second call with force ends them all. */
void association_drain(struct association_env *env, bool force);

#endif
