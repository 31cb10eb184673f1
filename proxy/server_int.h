/* server_int.h - what the files of the server share.
 *
 * server_start.c builds it, server.c watches while it runs, server_stop.c takes
 * it apart. */
#ifndef PROXY_SERVER_INT_H
#define PROXY_SERVER_INT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "proxy/early.h"
#include "proxy/lib/err.h"
#include "proxy/link/frame.h"
#include "proxy/net/mailbox.h"
#include "proxy/shaping.h"
#include "store/audit.h"
#include "store/spool.h"

enum { SERVER_WHY_LEN = 768, SERVER_WORKERS_MAX = 64 };

struct acceptor;
struct admission;
struct capabilities;
struct commitment;
struct config;
struct control;
struct destination;
struct handshakes;
struct ledger;
struct link_receiver;
struct reload;
struct repositories;
struct repository_opener;
struct sampler;
struct scheduler;
struct seal_signer;
struct web_child;
struct worker;

enum phase { PHASE_RUNNING, PHASE_DRAINING, PHASE_SETTLING, PHASE_STOPPED };

struct server {
	const struct config *config;
	struct spool *spool;
	struct seal_signer *signer; /* of heads and exports */
	struct ledger *ledger;
	struct repositories *repositories; /* NULL: none */
	struct repository_opener *opener;  /* theirs; NULL: not needed */
	struct capabilities *capabilities;
	struct destination **destinations; /* by index in config */
	struct commitment *commitment;
	uv_loop_t loop;
	bool loop_open;
	struct mailbox mailbox;
	bool mailbox_open;
	/* Half of them carry devices, the others deliveries, so that no device
	 * waits while a chunk is sealed for an archive. */
	struct worker *workers[2 * SERVER_WORKERS_MAX];
	size_t n_workers;
	pthread_mutex_t scheduler_lock; /* the ledger thread asks, too */
	struct scheduler *scheduler;    /* NULL before and after it runs */
	struct scheduler *ending;       /* while it stops */
	struct early_desk early;
	struct handshakes *handshakes;
	struct admission *admission;
	uint8_t epoch[LINK_ID_LEN];  /* of this start, for links */
	struct link_receiver *links; /* under scheduler_lock, too */
	struct acceptor *acceptor;
	struct reload *reload;
	struct control *control;
	struct sampler *sampler;
	struct web_child *web;

	enum phase phase;
	uint64_t drain_began_ms;
	bool hurry;       /* a second signal came */
	int records_lock; /* descriptor, -1: none */
	uv_signal_t signals[3];
	uv_timer_t tick, drain, hours;
	struct shaping shaping;
	int64_t clock_offset_ms; /* wall minus monotonic, at the last tick */
	char alert[SPOOL_WHY_LEN];
	char why[SERVER_WHY_LEN];
};

uint64_t server_mono_ms(void);
void server_audit(struct server *s, enum audit_kind kind,
		  enum audit_outcome outcome, const char *key,
		  const char *text);
/* Returns the one before. */
struct scheduler *server_swap_scheduler(struct server *s,
					struct scheduler *next);

/* Listeners come last: nobody is let in before all is ready. What has been
 * built is server_take_apart()'s, also on an error, which is logged. */
enum err server_start(struct server *s) MUST_CHECK;
/* Put the limits of the hour in force, and again when they change. */
void server_on_hours(uv_timer_t *t);

void server_on_stop(uv_signal_t *sig, int number);
/* What is left once the loop has run out, or after a failed start. */
void server_take_apart(struct server *s);

#endif
