/* control_int.h - what the files of the control socket share. */
#ifndef PROXY_CONTROL_INT_H
#define PROXY_CONTROL_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "proxy/control.h"
#include "proxy/control_op.h"

enum { CONTROL_CONNECTIONS = 16 /* served at once */ };

struct control_slot {
	struct control_connection k;
	pthread_t thread;
	uid_t uid;        /* who has it */
	atomic_bool done; /* the thread may be joined */
	bool used;
};

struct control {
	struct control_options opt;
	struct control_slot slots[CONTROL_CONNECTIONS];
	pthread_t thread;
	int listening;
	int stop; /* eventfd */
	atomic_bool stopping;
	atomic_bool verifying; /* one check of the audit at a time */
	atomic_uint owners;    /* itself, and each call still under way */
	int64_t started_ms;
	struct refusals *refusals; /* policy/limits.h: repeats are counted */
};

void control_drop(struct control *ctl);
/* control_ops.c: put what repeated on record, all of it or what is due. */
void control_refusals_flush(struct control *ctl, bool all);
/* control_listen.c: a socket at path that everybody may connect to. ERR_EXISTS,
 * ERR_INVAL, ERR_IO; why in words. */
enum err control_listen(const char *path, int *out, char why[256]) MUST_CHECK;

#endif
