/* listener.h - a listening socket on a loop that hands accepted sockets on. */
#ifndef PROXY_NET_LISTENER_H
#define PROXY_NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "proxy/lib/err.h"

struct listener; /* opaque; lives on its loop's thread */

enum { LISTENER_WHY_LEN = 256 };

/* A new connection. fd is non-blocking, close-on-exec, and the callee's from
 * here on (stream_accept() takes it over). peer is valid during the call. */
typedef void listener_accept_fn(void *arg, int fd, const struct sockaddr *peer);

/* Listen at "host:port"; host is numeric, port 0 lets the system choose one.
 * IPv6 sockets serve IPv6 only. backlog in connections.
 *
 *   ERR_INVAL   address does not parse, or is a name
 *   ERR_EXISTS  the port is taken
 *   ERR_DENIED  no permission (ports below 1024)
 *   ERR_NOTFOUND  the machine has no such address
 *   ERR_IO, ERR_NOMEM
 *
 * On error why has a sentence with cause and remedy, and *out is untouched. */
enum err listener_open(uv_loop_t *loop, const char *address, int backlog,
		       listener_accept_fn *fn, void *arg, struct listener **out,
		       char why[LISTENER_WHY_LEN]) MUST_CHECK;

/* Stop listening. fn is not called any more. on_closed (may be NULL) runs
 * once, later, when everything is freed. */
void listener_close(struct listener *l, void (*on_closed)(void *arg),
		    void *arg);

/* While paused connections wait in the kernel's backlog. Idempotent. */
void listener_pause(struct listener *l);
void listener_resume(struct listener *l);

/* Connections that the kernel holds, not accepted yet; 0: none, or unknown. */
unsigned listener_waiting(const struct listener *l);

/* The port in use, also when 0 was asked for. */
uint16_t listener_port(const struct listener *l);
/* Connections dropped because the process had no descriptor left. Counted
 * always, logged once per spell. */
uint64_t listener_starved(const struct listener *l);

#endif
