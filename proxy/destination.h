/* destination.h - a configured destination made ready for use: AE titles,
 * TLS material, endpoints with their health; and asking it for an echo. */
#ifndef PROXY_DESTINATION_H
#define PROXY_DESTINATION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"
#include "proxy/lib/err.h"

struct capabilities;
struct ledger;
struct tls_context;

/* The AE titles used towards d for an instance that came with these: the
 * configured ones, else the device's own. Both results fit 17 bytes. */
void destination_aes(const struct config_destination *d, const char *calling_ae,
		     const char *called_ae, char out_calling[CONFIG_AE_LEN],
		     char out_called[CONFIG_AE_LEN]);

/* Where instances go, shared by its senders, its prober and the scheduler.
 * Read-only after destination_open() but for the atomics; any thread. */
struct destination {
	const struct config_destination *config; /* borrowed */
	struct tls_context *tls;                 /* NULL: plaintext */
	struct ledger *ledger;             /* borrowed, NULL in commands */
	struct capabilities *capabilities; /* borrowed, NULL in commands */
	/* Monotonic ms until which an endpoint that failed is tried last. */
	_Atomic uint64_t *avoid_until; /* one an endpoint */
};

/* Load the TLS material of c, which is borrowed and must outlive the result.
 * ERR_NOMEM, ERR_INVAL, ERR_NOTFOUND, ERR_TLS as tls_client_new(); why is a
 * sentence with the remedy. */
enum err destination_open(const struct config_destination *c,
			  struct destination **out, char why[768]) MUST_CHECK;
void destination_close(struct destination *d); /* NULL is fine */

/* "host:port" of endpoint i, brackets around IPv6 addresses. Returns out. */
enum { DESTINATION_ENDPOINT_LEN = CONFIG_HOST_LEN + 16 };
char *destination_endpoint(const struct config_destination *c, size_t i,
			   char out[DESTINATION_ENDPOINT_LEN]);

/* Endpoint to try at attempt 0, 1, ... of one round: in the configured order,
 * those that failed lately last. */
size_t destination_pick(const struct destination *d, size_t attempt);
/* An endpoint could not be reached (true) or answered (false). */
void destination_mark(struct destination *d, size_t endpoint, bool failed);

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
