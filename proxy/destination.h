/* destination.h - a configured destination made ready for use: AE titles,
 * TLS material, endpoints with their health; and asking it for an echo. */
#ifndef PROXY_DESTINATION_H
#define PROXY_DESTINATION_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"
#include "proxy/lib/err.h"
#include "proxy/line_facts.h"

struct capabilities;
struct endpoints;
struct shaper;
struct ledger;
struct tls_context;

/* The AE titles used towards d for an instance that came with these: the
 * configured ones, else the device's own. Both results fit 17 bytes. */
void destination_aes(const struct config_destination *d, const char *calling_ae,
		     const char *called_ae, char out_calling[CONFIG_AE_LEN],
		     char out_called[CONFIG_AE_LEN]);

/* Where things go; one for the whole daemon, shared by senders, legs, probers
 * and whoever wants to know. Read-only after destinations_open() but for what
 * is known of the endpoints; any thread. */
struct destination {
	const struct config_destination *config; /* borrowed */
	struct tls_context *tls;                 /* NULL: plaintext */
	struct ledger *ledger;             /* borrowed, NULL in commands */
	struct capabilities *capabilities; /* borrowed, NULL in commands */
	struct shaper *shaper; /* borrowed, NULL: nothing is limited */
	size_t index;          /* in the configuration, for the shaper */
	pthread_mutex_t lock;  /* of endpoints; held for moments */
	struct endpoints *endpoints;
	struct line_facts line; /* any thread */
};

/* Load the TLS material of c, which is borrowed and must outlive the result.
 * ERR_NOMEM, ERR_INVAL, ERR_NOTFOUND, ERR_TLS as tls_client_new(); why is a
 * sentence with the remedy. */
enum err destination_open(const struct config_destination *c,
			  struct destination **out, char why[768]) MUST_CHECK;
void destination_close(struct destination *d); /* NULL is fine */

/* All destinations of cfg, by their index there, directories too (their tls is
 * NULL). Everything is borrowed. ERR_NOMEM; ERR_INVAL: TLS material is
 * unusable, why says whose. *out is untouched on failure. */
enum err destinations_open(const struct config *cfg, struct ledger *ledger,
			   struct capabilities *capabilities,
			   struct destination ***out, char why[768]) MUST_CHECK;
/* All of them keep to the limits of s, which must outlive them. Before they are
 * used. */
void destinations_shape(struct destination **destinations, size_t n,
			struct shaper *s);
/* out of destinations_open(); NULL is fine. */
void destinations_close(struct destination **destinations, size_t n);

/* "host:port" of endpoint i, brackets around IPv6 addresses. Returns out. */
enum { DESTINATION_ENDPOINT_LEN = CONFIG_HOST_LEN + 16 };
char *destination_endpoint(const struct config_destination *c, size_t i,
			   char out[DESTINATION_ENDPOINT_LEN]);

/* ---- endpoints ------------------------------------------------------------
 *
 * Each has a circuit: closed while it answers, open after breaker.failures
 * failures back to back, half-open after breaker.pause: then one attempt is
 * made, and its outcome closes the circuit or keeps it open. What opens or
 * closes a circuit is logged, once: endpoint-down, endpoint-up. */

/* One endpoint at least may be tried now. False: every circuit is open, and
 * who cannot wait has lost: refuse at once. Any thread. */
bool destination_available(struct destination *d);

/* An attempt to open an association, over all endpoints. Begin with {0}.
 * Copyable, owns nothing. */
struct destination_round {
	/* Go on to endpoints whose circuit is open when no other is left: for
	 * senders, who pace their rounds themselves. */
	bool insist;
	uint8_t tried[(CONFIG_LIST_MAX + 7) / 8]; /* one bit an endpoint */
};

/* The endpoint to try next, in the configured order or by weight; those that
 * failed lately come later, those with an open circuit not at all. Each comes
 * once in a round. A half-open one is given to one caller, who should tell
 * the outcome; it is given again when that does not happen within the time
 * that an association may take to open. DESTINATION_NONE: the round is over. */
#define DESTINATION_NONE SIZE_MAX
size_t destination_pick(struct destination *d, struct destination_round *round);

/* What came of it. why NULL: it answered with A-ASSOCIATE-AC or -RJ, as whoever
 * is busy is not down. Else it failed before that, in words for a person:
 * cause; remedy. Not for what happens to an association once it is open. */
void destination_mark(struct destination *d, size_t endpoint, const char *why);

enum circuit { CIRCUIT_CLOSED, CIRCUIT_OPEN, CIRCUIT_HALF_OPEN };
const char *circuit_name(enum circuit c); /* "closed", "open", "half-open" */

struct destination_health {
	char endpoint[DESTINATION_ENDPOINT_LEN];
	enum circuit circuit;
	uint32_t failures;   /* back to back, 0: it answers */
	uint32_t weight;     /* 1 when the order decides */
	uint64_t picked;     /* times it was tried since start */
	int64_t answered_ms; /* wall, 0 never */
	int64_t failed_ms;   /* wall, 0 never */
	int64_t echoed_ms;   /* wall, the last C-ECHO of ours, 0 never */
	char why[512];       /* the last failure; "" none since it answered */
};

/* False: no such endpoint. */
bool destination_health(struct destination *d, size_t endpoint,
			struct destination_health *out) MUST_CHECK;

/* For health.h: how long until endpoint should be asked for an echo, ms,
 * UINT64_MAX: never; and that it was asked. */
uint64_t destination_echo_in(struct destination *d, size_t endpoint);
void destination_echoed(struct destination *d, size_t endpoint);

/* ---- echo ---------------------------------------------------------------
 */

/* One line of what an echo found. text is "" or cause and remedy. */
typedef void destination_step_fn(void *arg, bool ok, const char *step,
				 const char *text);

/* For `culvert echo` and `culvert check --connect`: connect, TLS, associate,
 * C-ECHO, release, each told to step as it ends; the first failure is the
 * last step. A directory is tried by making and removing a file. calling_ae:
 * used when the configuration names none, NULL: "CULVERT"; called_ae
 * likewise, NULL: "ANY-SCP".
 *
 * Blocks, on any thread without a loop of its own, at most deadline_ms. ERR_OK
 * when every step was ok. */
enum err destination_echo(const struct config_destination *c,
			  const char *calling_ae, const char *called_ae,
			  uint64_t deadline_ms, destination_step_fn *step,
			  void *arg) MUST_CHECK;

#endif
