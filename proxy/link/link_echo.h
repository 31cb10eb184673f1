/* link_echo.h - asking the far end of a link whether it is there: TCP, TLS with
 * both certificates and the protocol's name, HELLO, BYE. For commands. */
#ifndef PROXY_LINK_LINK_ECHO_H
#define PROXY_LINK_LINK_ECHO_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/destination.h"
#include "proxy/lib/err.h"

/* Each step is told as it ends; the first failure is the last one. It says
 * HELLO as a store of its own, so that a link that is open stays open. Blocks,
 * on any thread without a loop, at most deadline_ms. ERR_OK when every step was
 * ok; ERR_IO, ERR_NOMEM. */
enum err link_echo(struct destination *d, size_t endpoint, uint64_t deadline_ms,
		   destination_step_fn *step, void *arg) MUST_CHECK;

#endif
