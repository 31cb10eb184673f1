/* fake_far.h - the receiving end of a chunk link whose behaviour is scripted:
 * it keeps all in memory, checks every leaf and root, and says what it is told
 * to. Over TLS, on a thread of its own. */
#ifndef TESTS_UNIT_FAKE_FAR_H
#define TESTS_UNIT_FAKE_FAR_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/link/conn.h"
#include "proxy/net/listener.h"

enum { FAR_MAX = 512, FAR_CONNS = 64, FAR_AHEAD = 32 /* chunks */ };

enum far_state { FAR_GETTING, FAR_ARRIVED, FAR_DELIVERED, FAR_WITHDRAWN };

/* A transfer that was offered. Read it under lock. */
struct far_tx {
	struct transfer_id id;
	enum far_state state;
	unsigned offers, eager;
	bool follows; /* offered without length: FAR_AHEAD chunks of room */
	uint64_t length;
	uint32_t chunks;
	uint8_t root[LINK_HASH_LEN];
	uint8_t *bytes;        /* length, as far as they came */
	uint8_t *have, *twice; /* a byte for each chunk: came, came again */
	unsigned order;        /* of arriving, from 1 */
	bool noted;
	uint8_t withdrawn; /* reason */
};

struct far_conn {
	struct fake_far *far;
	struct link_conn *conn; /* NULL: gone */
	uint64_t data;          /* bytes of DATA on it */
};

struct fake_far {
	/* The script: set before, or change under lock. */
	_Atomic uint16_t refuse;   /* with this reason, */
	_Atomic uint32_t refuse_n; /* so many offers */
	_Atomic uint32_t retry_s;
	_Atomic uint32_t bad_index; /* chunk called bad, */
	_Atomic uint32_t bad_n;     /* so many times */
	_Atomic uint64_t cut_after; /* bytes of DATA, then the line is cut; */
	_Atomic uint32_t cuts;      /* so many times */
	_Atomic bool deaf;          /* HELLO is refused: BUSY */
	_Atomic bool mute;          /* ARRIVED is not said */
	_Atomic bool keep;          /* DELIVERED is not said */
	_Atomic uint16_t status;    /* with it */
	_Atomic uint16_t stuck;     /* UNDELIVERED is said instead */
	_Atomic uint32_t window, transfers;

	/* What happened. */
	_Atomic uint32_t hellos, joins, offers, queries, notes, withdraws, bads;
	_Atomic uint32_t arrived, open, most_open;
	_Atomic uint64_t data;
	_Atomic uint32_t wrong; /* leaf, root, order of frames */

	pthread_mutex_t lock;
	struct far_tx tx[FAR_MAX]; /* under lock */
	size_t n_tx;
	uint8_t spool[LINK_ID_LEN], epoch[LINK_ID_LEN]; /* under lock */

	/* Private. */
	struct worker *worker;
	struct listener *listener;
	struct tls_context *tls;
	struct far_conn conns[FAR_CONNS];
	struct msg msg;
	sem_t *done;
	const struct link_frame *to_say;
	uint16_t port;
	struct link_terms terms; /* its worker's */
};

void far_start(struct fake_far *f);
void far_stop(struct fake_far *f);
/* All connections are cut now. */
void far_cut(struct fake_far *f);
/* One of them. */
void far_cut_one(struct fake_far *f);
/* As a restart does it: cut, a new epoch. forget: the store is wiped. */
void far_restart(struct fake_far *f, bool forget);
/* Say DELIVERED for all that has arrived. */
void far_deliver(struct fake_far *f);
/* How many chunks of it came. */
unsigned far_chunks(struct fake_far *f, const struct transfer_id *id);
/* Say this frame. */
void far_say(struct fake_far *f, const struct link_frame *fr);
/* A copy of what is known of one; false: nothing. */
bool far_find(struct fake_far *f, const struct transfer_id *id,
	      struct far_tx *out);

#endif
