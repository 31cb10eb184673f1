/* receiver_kit.h - the receiving end of links over a real spool and ledger, and
 * an edge that says frame by frame what a test wants, over plain TCP. */
#ifndef TESTS_UNIT_RECEIVER_KIT_H
#define TESTS_UNIT_RECEIVER_KIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"
#include "proxy/admission.h"
#include "proxy/capability.h"
#include "proxy/link/frame.h"
#include "proxy/link/receiver.h"
#include "proxy/net/worker.h"
#include "tests/unit/ledger_fixture.h"

enum { RK_MOST = 5 * CHUNK_LEN };

struct rk {
	struct fixture f;
	struct config *config;
	struct admission *admission;
	struct capabilities *capabilities;
	struct worker *workers[2];
	struct link_receiver *r;
	atomic_uint open; /* connections */
	uint8_t *data;    /* RK_MOST bytes */
	int listener;     /* descriptor */
	size_t next;      /* worker that takes the next connection */
};

/* A connection of an edge. */
struct edge {
	struct rk *k;
	int fd;
	uint8_t spool[LINK_ID_LEN];
	struct link_hello theirs; /* after edge_hello() */
	uint8_t frame[LINK_FRAME_MAX];
	struct link_frame f; /* the last one; points into frame */
	/* Of ACCEPTS that came in between. */
	unsigned n_accepts, n_pairs;
	char accepts_ae[LINK_AE_MAX + 1]; /* of the last one */
	struct link_pair pair;            /* its first */
};

/* What is sent. */
struct thing {
	struct instance in; /* with id */
	const uint8_t *data;
	uint64_t length;
	uint32_t chunks;
	uint8_t root[LINK_HASH_LEN];
};

extern struct rk rk;
int rk_setup(void **state);
int rk_teardown(void **state);
#define RK_TEST(t) cmocka_unit_test_setup_teardown(t, rk_setup, rk_teardown)

/* Stop everything, and start it again over the same directory. */
void rk_stop(void);
void rk_start(void);
/* link_receiver_drain(), and wait for it. */
void rk_drain(void);

/* The n-th thing of that length. */
struct thing rk_thing(unsigned n, uint64_t length);

/* from: "127.0.0.1" is device edge-1, "127.0.0.2" edge-2, others nobody. */
void edge_connect(struct edge *e, const char *from);
void edge_close(struct edge *e);
void edge_send(struct edge *e, const struct link_frame *f);
/* The next frame that is not PING, PONG or ACCEPTS; fails after 20 s. */
const struct link_frame *edge_next(struct edge *e);
/* The next one, which is of that type. */
const struct link_frame *edge_expect(struct edge *e, enum link_type type);
/* Nothing but the end comes: BYE with a reason, or 0 for none. */
void edge_ends(struct edge *e, uint16_t reason);
/* Nothing comes for ms. */
void edge_silent(struct edge *e, unsigned ms);

/* HELLO and its answer. store: a number that makes the edge's spool. */
void edge_hello(struct edge *e, unsigned store);
/* edge_connect() from 127.0.0.1 and edge_hello() of store 1. */
void edge_open(struct edge *e);
/* JOIN; JOINED is expected. */
void edge_join(struct edge *e, const struct edge *first, uint8_t number);

void edge_offer(struct edge *e, const struct thing *t, uint8_t flags);
void edge_root(struct edge *e, const struct thing *t);
void edge_data(struct edge *e, const struct thing *t, uint32_t index);
/* Only the first n bytes of chunk index, no CHUNK_END. */
void edge_part(struct edge *e, const struct thing *t, uint32_t index, size_t n);
void edge_end(struct edge *e, const struct thing *t, uint32_t index);
/* HAVE of these n chunks, from 0 on. */
void edge_has(struct edge *e, const struct thing *t, uint32_t n);
/* ACKs until chunks first..first+n-1 are named. */
void edge_acked(struct edge *e, const struct thing *t, uint32_t first,
		uint32_t n);
void edge_arrived(struct edge *e, const struct thing *t);
void edge_refused(struct edge *e, const struct thing *t, uint16_t code);
void edge_ids(struct edge *e, enum link_type type, const struct thing *t);

/* What the ledger says of a thing of the device's; it is in the ledger. */
struct ledger_origin rk_origin(const char *device, const struct thing *t);
/* Write down what became of it at "cloud". */
void rk_outcome(const struct thing *t, enum outcome_kind kind);
/* Transfers that the spool keeps unfinished. */
size_t rk_kept(void);

#endif
