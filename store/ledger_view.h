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
	uint8_t root[32];     /* SHA-256 tree, as `culvert hash` prints */
	uint16_t command;     /* of a message; 0: an instance */
	uint16_t type;        /* action type id or event type id */
	char transaction[65]; /* of a message; "": none */
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

/* Finished with success only (delivered with nothing more to wait for, or
 * committed): what a receipt says. after as above. */
enum err ledger_view_receipts(struct ledger_view *v, const char *destination,
			      uint64_t after, unsigned limit,
			      view_delivery_fn *fn, void *arg) MUST_CHECK;

/* What is delivered to destination (NULL: any) and waits for its commitment, in
 * order of arrival. after: delivery id of the last row seen. */
enum err ledger_view_uncommitted(struct ledger_view *v, const char *destination,
				 uint64_t after, unsigned limit,
				 view_delivery_fn *fn, void *arg) MUST_CHECK;

/* ---- messages --------------------------------------------------------- */

/* A message at one destination: a message with two destinations makes two
 * rows. */
struct view_message {
	uint64_t seq;
	struct transfer_id transfer;
	uint16_t command;
	uint16_t type;
	char transaction[65]; /* "" for all but commitment */
	char sop_class[65];
	char sop_instance[65];
	char transfer_syntax[65];
	char listener[33];
	char device[33];
	char peer[64];
	char calling_ae[17];
	char called_ae[17];
	uint64_t association; /* inbound; 0: made here */
	int64_t received_ms;
	uint64_t length;
	uint32_t chunks;
	struct place first; /* of chunk 0, while the bytes are kept; the rest:
			     * ledger_view_places() */
	uint64_t delivery;
	char destination[33];
	enum delivery_state state;
};

typedef bool view_message_fn(void *arg, const struct view_message *m);

struct view_message_filter {
	const char *transaction; /* NULL: any */
	uint16_t command;        /* 0: any */
	bool open_only; /* deliveries queued, held or quarantined; found by an
			 * index: cheap however old the ledger is */
	uint64_t after_seq; /* of the last row seen; 0: first page */
	unsigned limit;     /* messages, 1..LEDGER_PAGE_MAX */
};

/* In order of arrival; all rows of one message are on one page. */
enum err ledger_view_messages(struct ledger_view *v,
			      const struct view_message_filter *f,
			      view_message_fn *fn, void *arg) MUST_CHECK;

/* The places of chunks first..first+n-1 of an instance or message, n at most
 * LEDGER_PLACES_MAX; *got is less at its end. ERR_NOTFOUND: none is kept.
 * See ledger_places() about places that are out of date. */
enum err ledger_view_places(struct ledger_view *v, uint64_t seq, uint32_t first,
			    unsigned n, struct place *places,
			    unsigned *got) MUST_CHECK;

/* ---- instances by UID -------------------------------------------------- */

struct view_uid {
	char uid[65]; /* SOP instance UID to look for; may repeat in the set */
	/* Answer: */
	bool found;
	uint64_t seq; /* of the newest instance with it */
	enum delivery_state state;
	char device[33];
};

struct view_uid_scan {
	/* The state is that of the delivery to here, and an instance without
	 * one does not count. NULL: the worst of all its deliveries, in this
	 * order: quarantined, held, queued, arrived, uncommitted, discarded,
	 * withdrawn, delivered, committed. */
	const char *destination;
	uint64_t after_seq;    /* only rows above; 0: all */
	int64_t not_before_ms; /* only what was received since; 0: all */
	uint64_t max_rows;     /* looked at most; 0: no bound */
};

/* Look through the instances (not messages) of every device, newest first,
 * until all of the set are found or a bound is met. Reads page by page, each a
 * short transaction.
 *
 * Entries that are found already (by an earlier call) have their state read
 * again, or are replaced by a newer instance above after_seq. So the first call
 * looks at everything, and later ones, with after_seq = *newest of the call
 * before, only at what is new.
 *
 * *newest (NULL is fine): the highest sequence looked at, for the next call.
 * ERR_LIMIT: max_rows was met with entries not found; answers are valid.
 * ERR_NOMEM. */
enum err ledger_view_instances_by_uid(struct ledger_view *v,
				      const struct view_uid_scan *scan,
				      struct view_uid *set, size_t n,
				      uint64_t *newest) MUST_CHECK;

/* ---- sealed identity --------------------------------------------------- */

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

/* ---- relayed operations ----------------------------------------------- */

struct view_operation {
	uint64_t id;
	struct ledger_operation o;
};
typedef bool view_operation_fn(void *arg, const struct view_operation *o);

/* Newest first; association 0: of any; before: id of the last row seen, 0: the
 * newest. */
enum err ledger_view_operations(struct ledger_view *v, uint64_t association,
				uint64_t before, unsigned limit,
				view_operation_fn *fn, void *arg) MUST_CHECK;

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
