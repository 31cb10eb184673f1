/* leg_kit.h - a worker, up to two scripted acceptors on its loop, and the
 * owner of a leg that checks the order of its events. */
#ifndef TESTS_UNIT_LEG_KIT_H
#define TESTS_UNIT_LEG_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"
#include "proxy/leg.h"
#include "proxy/lib/buf.h"
#include "proxy/net/listener.h"
#include "proxy/net/stream.h"

enum far_on_rq {
	FAR_ACCEPT,
	FAR_ACCEPT_WITH_DATA, /* AC and two messages in one write */
	FAR_REJECT,           /* with far.reject */
	FAR_SILENT,
	FAR_CLOSE,
	FAR_ABORT,
	FAR_GARBAGE,  /* bytes that are no PDU */
	FAR_BAD_AC,   /* an AC whose lengths disagree */
	FAR_LONG_AC,  /* an AC longer than anyone takes */
	FAR_DATA,     /* P-DATA instead of an answer */
	FAR_RELEASES, /* AC, then at once A-RELEASE-RQ */
};

enum far_on_release {
	FAR_RP,
	FAR_NO_RP,
	FAR_RQ_THEN_RP, /* collides, waits for our RP */
	FAR_DATA_THEN_RP,
	FAR_RELEASE_ABORT,
	FAR_RELEASE_FIN,
};

enum { FAR_CONNS = 4096 };

struct far_conn {
	struct far *far;
	struct stream *s; /* NULL: closed */
	struct buf in;
	bool collided;
};

struct far {
	struct listener *l;
	struct stream_options opts; /* .tls: its side of TLS */
	enum far_on_rq on_rq;
	enum far_on_release on_release;
	uint8_t reject[3];
	bool echo; /* P-DATA comes back */
	bool deaf; /* stops reading after the RQ */
	uint32_t max_pdu;
	struct far_conn *conns[FAR_CONNS];
	unsigned n_conns; /* ever */
	/* What came. */
	unsigned n_rq, n_release_rq, n_release_rp, n_abort, n_data, n_closed;
	uint8_t abort_source, abort_reason;
	size_t bytes; /* of P-DATA */
};

/* The owner of a leg. */
struct near {
	struct leg *l; /* NULL: gone, or never there */
	unsigned n_accepted, n_refused, n_drain, n_released, n_lost, n_gone;
	bool in_call, detached;
	struct leg_refusal refusal;
	char detail[512], why[512];
	uint8_t result; /* of context 1 */
	uint32_t max_pdu;
	struct buf got;
	/* Called in each event but on_gone, if set. */
	void (*probe)(struct near *n, const char *event);
};

struct leg_kit {
	struct worker *w;
	struct far far[2];
	struct near near;
	struct config_destination config;
	struct config_endpoint endpoints[3];
	struct destination *d;
	struct ledger *ledger;
	uint64_t deadline_ms;
	size_t out_cap;
	int live;
};

extern struct leg_kit kit;

/* tls: mutual TLS with the fixture's certificates. */
void leg_kit_begin(bool tls);
/* Everything is closed; nothing leaks. */
void leg_kit_end(void);
/* n endpoints: the far ones in order; then made ready. */
void leg_kit_destination(size_t n);

/* As the functions of leg.h, checking that no event comes inside. */
enum err near_open(struct near *n);
void near_release(struct near *n);
void near_abort(struct near *n);
enum err near_write(struct near *n, const void *p, size_t len);
void near_free(struct near *n);

struct far_conn *far_last(struct far *f);
void far_put(struct far_conn *c, const void *p, size_t n);
/* A P-DATA-TF PDU with a PDV of n bytes; returns its length. */
size_t leg_kit_pdata(uint8_t *out, size_t n);

void leg_kit_turn(void);
#define UNTIL(condition)                                                       \
	do {                                                                   \
		for (int i_ = 0; !(condition); i_++) {                         \
			if (i_ > 600000)                                       \
				fail_msg("never: %s", #condition);             \
			leg_kit_turn();                                        \
		}                                                              \
	} while (0)
/* Open a leg that is accepted. */
void leg_kit_established(void);

#endif
