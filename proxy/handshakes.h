/* handshakes.h - every TLS handshake on record, with what it proved.
 *
 * One audit row for each that succeeds, on both sides: tls-accepted. Of those
 * that fail, tls-failed: one row for the first of a peer in a minute, and one
 * with the count when the minute is over, so that a flood fills nothing. Any
 * thread. */
#ifndef PROXY_HANDSHAKES_H
#define PROXY_HANDSHAKES_H

#include <stdbool.h>

#include "proxy/lib/err.h"

struct handshakes; /* opaque */
struct ledger;
struct tls_context;

/* ledger is borrowed and must outlive it. ERR_NOMEM. */
enum err handshakes_new(struct ledger *ledger,
			struct handshakes **out) MUST_CHECK;
/* After the last stream. NULL is fine. */
void handshakes_free(struct handshakes *h);

/* Watch those of a listener or destination, before it is used. party is its
 * name, borrowed for as long. h or c NULL: nothing. */
void handshakes_watch(struct handshakes *h, const char *party,
		      struct tls_context *c);

/* Report what repeated: call it every few seconds, and with all at the end. */
void handshakes_flush(struct handshakes *h, bool all);

#endif
