/* ledger_view.h - reading the ledger, for the command line and the status page.
 *
 * A view has its own read-only connection and works whether the daemon runs or
 * not. Every call is one short transaction and returns at most one page, so
 * that the daemon can checkpoint its log; go on with the key of the last row.
 * Rows come by callback, valid during the call; formatting is the caller's.
 * Nothing here opens a seal: no patient data comes out.
 *
 * A view is for one thread. Every call returns ERR_IO when the database cannot
 * be read (text by ledger_view_why()), ERR_BUSY when it is being rebuilt at
 * this moment (try again). A row callback returns false to stop early. */
#ifndef STORE_LEDGER_VIEW_H
#define STORE_LEDGER_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/ledger.h"

struct ledger_view; /* opaque */

enum { LEDGER_PAGE_MAX = 1000 };

/* path: the directory given to ledger_open(). ERR_NOTFOUND: no ledger there;
 * ERR_UNSUPPORTED: made by another version of the program; ERR_IO; ERR_NOMEM.
 */
enum err ledger_view_open(const char *path, struct ledger_view **out,
			  char why[LEDGER_WHY_LEN]) MUST_CHECK;
void ledger_view_close(struct ledger_view *v); /* NULL is fine */
/* Why the last call failed, for a person. Valid until the next call. */
const char *ledger_view_why(const struct ledger_view *v);

/* ---- deliveries ------------------------------------------------------ */

struct view_delivery {
	uint64_t delivery;
	uint64_t seq;
	struct transfer_id transfer;
	enum delivery_state state;
	char destination[33];
	int32_t priority;
	uint32_t attempts;
	int32_t remote_status;   /* -1: none */
	int64_t next_attempt_ms; /* 0: at once */
	int64_t received_ms;
	int64_t changed_ms; /* of the last change of state; 0: none */
	char last_error[LEDGER_TEXT_LEN];
	char listener[33];
	char device[33];
	char peer[64];
	char calling_ae[17];
	char called_ae[17];
	char sop_class[65];
	char sop_instance[65];
	char transfer_syntax[65];
	char study[65];
	char series[65];
	char modality[17];
	uint64_t association; /* inbound */
	uint64_t length;
	uint32_t chunks;
	uint8_t root[32]; /* SHA-256 tree, as `culvert hash` prints */
};

struct view_filter {
	const char *destination; /* NULL: any; so below */
	const char *device;
	const char *study;
	bool any_state;            /* of all; else: */
	enum delivery_state state; /* exactly this one */
	uint64_t after; /* delivery id of the last row seen; 0: first page */
	unsigned limit; /* 1..LEDGER_PAGE_MAX */
};

typedef bool view_delivery_fn(void *arg, const struct view_delivery *d);

/* In order of arrival. */
enum err ledger_view_deliveries(struct ledger_view *v,
				const struct view_filter *f,
				view_delivery_fn *fn, void *arg) MUST_CHECK;

/* The deliveries of every instance whose transfer id begins with the hex digits
 * text, or the one delivery whose id is the decimal number text. ERR_NOTFOUND;
 * ERR_INVAL: neither; ERR_LIMIT: more than one instance matches (fn ran for
 * the first LEDGER_PAGE_MAX deliveries at most). */
enum err ledger_view_find(struct ledger_view *v, const char *text,
			  view_delivery_fn *fn, void *arg) MUST_CHECK;

/* Finished with success only: what a receipt says. after as above. */
enum err ledger_view_receipts(struct ledger_view *v, const char *destination,
			      uint64_t after, unsigned limit,
			      view_delivery_fn *fn, void *arg) MUST_CHECK;

/* The sealed identity of an instance into sealed (cap bytes), for an auditor
 * who has the key: store/ledger_identity.h. ERR_NOTFOUND, ERR_LIMIT. */
enum err ledger_view_identity(struct ledger_view *v, uint64_t seq,
			      uint8_t *sealed, size_t cap,
			      size_t *len) MUST_CHECK;

/* ---- associations ---------------------------------------------------- */

struct view_association {
	struct ledger_association
	    a; /* a.contexts is NULL, n_contexts the count */
	bool ended;
	struct ledger_association_end end; /* when ended */
	uint64_t instances;                /* received on it */
};

typedef bool view_association_fn(void *arg, const struct view_association *a);
typedef bool view_context_fn(void *arg, const struct ledger_context *c);

/* Newest first; before: id of the last row seen, 0: the newest. */
enum err ledger_view_associations(struct ledger_view *v, uint64_t before,
				  unsigned limit, view_association_fn *fn,
				  void *arg) MUST_CHECK;
/* One association, then each of its contexts. ERR_NOTFOUND. */
enum err ledger_view_association(struct ledger_view *v, uint64_t id,
				 view_association_fn *fn,
				 view_context_fn *context,
				 void *arg) MUST_CHECK;

/* ---- refusals, capabilities ------------------------------------------ */

struct view_refusal {
	uint64_t id;
	uint64_t count;
	int64_t last_ms;
	struct ledger_refusal first; /* at_ms: of the first */
};
typedef bool view_refusal_fn(void *arg, const struct view_refusal *r);

/* Newest first; before: id of the last row seen, 0: the newest. */
enum err ledger_view_refusals(struct ledger_view *v, uint64_t before,
			      unsigned limit, view_refusal_fn *fn,
			      void *arg) MUST_CHECK;

typedef bool view_capability_fn(void *arg, const struct ledger_capability *c);

/* All of one destination (NULL: of all). Not paged: bounded by configuration.
 */
enum err ledger_view_capabilities(struct ledger_view *v,
				  const char *destination,
				  view_capability_fn *fn, void *arg) MUST_CHECK;

/* ---- summary --------------------------------------------------------- */

struct view_destination {
	char name[33];
	uint64_t count[DELIVERY_N_STATES];
	uint64_t bytes[DELIVERY_N_STATES];
	int64_t oldest_queued_ms;         /* 0: none */
	int64_t last_delivered_ms;        /* 0: never */
	char last_error[LEDGER_TEXT_LEN]; /* the newest noted, or "" */
	int64_t last_error_ms; /* older than last_delivered_ms: it is over */
};
typedef bool view_destination_fn(void *arg, const struct view_destination *d);
enum err ledger_view_destinations(struct ledger_view *v,
				  view_destination_fn *fn,
				  void *arg) MUST_CHECK;

struct view_device {
	char name[33];
	int64_t last_seen_ms; /* last instance or association */
	uint64_t instances;
	uint64_t bytes;
	uint64_t associations;
};
typedef bool view_device_fn(void *arg, const struct view_device *d);
enum err ledger_view_devices(struct ledger_view *v, view_device_fn *fn,
			     void *arg) MUST_CHECK;

struct view_state {
	uint64_t applied;   /* spool sequence the ledger has seen */
	int64_t applied_ms; /* when it last moved */
	uint64_t instances;
	unsigned version; /* of the schema */
};
enum err ledger_view_state(struct ledger_view *v,
			   struct view_state *out) MUST_CHECK;

#endif
