/* throttle.h - no more TLS handshakes a second than a listener may have.
 *
 * A handshake costs a millisecond of processor time, and a connection memory,
 * before it is known who calls. So beyond the limit nothing is accepted: what
 * calls waits in the kernel's queue, which is bounded, and beyond that its SYN
 * is not answered. Peers that mean it get in later. Accepting and holding back
 * the handshake would cost a descriptor and buffers for each; closing at once
 * would have them call again at once. A peer that has left while it waited
 * costs no token.
 *
 * Main loop's thread. */
#ifndef PROXY_THROTTLE_H
#define PROXY_THROTTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "proxy/lib/err.h"

struct admission;
struct listener;
struct throttle; /* opaque */

/* Both are borrowed until throttle_close(); listener as in admission. */
enum err throttle_open(uv_loop_t *loop, struct admission *admission,
		       size_t index, struct listener *listener,
		       struct throttle **out) MUST_CHECK;
/* Before the listener is closed. NULL is fine. */
void throttle_close(struct throttle *t);

/* A connection was accepted. False: its peer has left already, close it. t NULL
 * is a listener without TLS. */
bool throttle_accepted(struct throttle *t, int fd);

#endif
