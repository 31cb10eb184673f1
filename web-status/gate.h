/* gate.h - where viewers arrive: accepting, counting, deadlines, TLS.
 *
 * A connection is counted before anything else is done for it, TLS included,
 * and what is known of its other end is written down once, here: HTTP headers
 * are never asked who someone is. */
#ifndef WEB_STATUS_GATE_H
#define WEB_STATUS_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "proxy/net/address.h"
#include "proxy/net/tls.h"

struct web_gate;
struct web_server;

/* A connection. Lives until HTTP and, with TLS, the stream are done with it.
 * What is not atomic is set before HTTP sees it. */
struct web_peer;

enum err gate_open(struct web_server *s, struct web_gate **out) MUST_CHECK;
/* New TLS files for new connections; false: the old ones stay, and the log
 * says why. */
bool gate_reload(struct web_gate *g);
/* No more connections, on the loop's thread; those open stay for HTTP to end.
 */
void gate_close(struct web_gate *g);
/* After HTTP has ended and the loop has run out. NULL is fine. */
void gate_free(struct web_gate *g);

/* The address without a port; what its connections are counted under (the /64
 * of IPv6); the address it came to. */
const char *peer_address(const struct web_peer *p);
const char *peer_bucket(const struct web_peer *p);
const char *peer_local(const struct web_peer *p);
bool peer_on_loopback(const struct web_peer *p);
/* "" without a certificate. */
const char *peer_fingerprint(const struct web_peer *p);
const char *peer_subject(const struct web_peer *p);

/* ---- for HTTP, any thread ---------------------------------------------- */

/* The connection behind a socket that was handed over. */
struct web_peer *gate_peer(struct web_gate *g, int fd);
/* It ends unless moved on within ms; 0: no deadline. */
void peer_deadline(struct web_peer *p, uint64_t ms);
/* True once for each certificate and address, and again after an hour without
 * use: for the record of who came by certificate. */
bool peer_first_use(struct web_peer *p);
/* The request that is under way on it, or NULL. HTTP's thread only: what it
 * began and never says is completed is found here. */
struct web_request;
struct web_request *peer_request(const struct web_peer *p);
void peer_set_request(struct web_peer *p, struct web_request *r);
/* HTTP is done with it and is about to close its socket. */
void peer_http_done(struct web_peer *p);

#endif
