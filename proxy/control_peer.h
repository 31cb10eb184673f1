/* control_peer.h - who is at the other end of the control socket.
 *
 * The kernel's word: the user and group of the process that connected
 * (SO_PEERCRED) and its supplementary groups at that moment (SO_PEERGROUPS).
 * Nothing that a caller says of itself counts, with one exception: root and
 * the daemon's own user may ask on behalf of somebody with less rights,
 *
 *   {"op":..., "as":{"user":"alice", "roles":["auditor"]}}
 *
 * as the process of the status page does. Any thread; the names of groups are
 * looked up in the system's databases, which may wait. */
#ifndef PROXY_CONTROL_PEER_H
#define PROXY_CONTROL_PEER_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "policy/roles.h"
#include "proxy/lib/err.h"

struct config;

enum { CONTROL_USER_LEN = 65 };

struct control_peer {
	uid_t uid;
	pid_t pid;
	bool own;       /* root or the daemon's own user, for themselves */
	bool page;      /* of the status page: control_page.h */
	unsigned roles; /* ROLE_*, or-ed */
	char user[CONTROL_USER_LEN]; /* "uid 1000 alice", for the records */
};

/* ERR_IO: the kernel does not say; nothing is granted. */
enum err control_peer_read(const struct config *config, int fd,
			   struct control_peer *out) MUST_CHECK;

/* Take request's "as", if there is one, into account: peer has then at most
 * those roles, and its user is named "alice by uid 998 culvert".
 * ERR_DENIED: not one who may speak for others; ERR_PROTO: not an "as". */
enum err control_peer_as(struct control_peer *peer,
			 const json_t *request) MUST_CHECK;

#endif
