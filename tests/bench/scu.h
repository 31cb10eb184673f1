/* scu.h - one association of the bench's clients, from the connection to its
 * release. Belongs to one thread. */
#ifndef TESTS_BENCH_SCU_H
#define TESTS_BENCH_SCU_H

#include "tests/bench/dcm.h"
#include "tests/bench/wire.h"

struct scu_options {
	const char *host, *port, *called, *calling;
	const char *abstract; /* of its only context, in explicit VR */
	uint64_t pdu;         /* our maximum, both ways */
	const struct wire_tls *tls;
};

struct scu {
	struct wire *wire;
	uint32_t max_pdu; /* the smaller of ours and the peer's */
	char info[128];   /* as wire_info() */
	char why[256];    /* the first failure; "": none */
};

/* All of these: false, and s->why, on failure. */

/* Connect and associate. scu_close() is needed in any case. */
bool scu_open(struct scu *s, const struct scu_options *o);
/* The next message: its command; its data set, if it has one, is dropped. */
bool scu_response(struct scu *s, uint16_t field, struct dcm_command *out);
/* A-RELEASE-RQ, and the answer to it. */
bool scu_release(struct scu *s);
/* Note why, unless an earlier failure is noted. Returns false. */
bool scu_fail(struct scu *s, const char *why);
void scu_close(struct scu *s);

#endif
