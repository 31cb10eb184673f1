/* relay_kit.h - a device, the association that serves it, and two destinations
 * behind that, all on one loop: with a real configuration, spool and ledger,
 * over loopback. Bytes that come are kept as they came. */
#ifndef TESTS_UNIT_RELAY_KIT_H
#define TESTS_UNIT_RELAY_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/association.h"
#include "proxy/dicom/assoc.h"
#include "proxy/dicom/command.h"
#include "proxy/dicom/pdu.h"
#include "proxy/lib/buf.h"
#include "proxy/net/listener.h"
#include "proxy/net/stream.h"
#include "tests/unit/ledger_fixture.h"
#include "tests/unit/relay_message.h"

enum { RIS, PACS, FARS };

/* Any of the peers that the test plays. */
struct end {
	struct stream *s;    /* the newest connection; NULL: closed */
	struct buf in, data; /* not yet framed; P-DATA-TF PDUs as they came */
	bool open;           /* associated */
	unsigned n_old;      /* connections before it that still close */
	unsigned n_release_rq, n_release_rp, n_abort, n_closed, n_rejected;
	struct pdu_reject reject;
};

struct far {
	struct end end;
	struct listener *l;
	unsigned n_conns, n_rq;
	uint32_t max_pdu;
	bool silent;           /* no answer to the RQ */
	bool rejects;          /* for good */
	bool no_roles;         /* item 54 is not answered */
	uint8_t refused;       /* a context that it does not take */
	bool no_rp;            /* keeps the release waiting */
	struct assoc *rq, *ac; /* of the last association */
};

#define DEVICE  (&kit.device)
#define AT_RIS  (&kit.far[RIS].end)
#define AT_PACS (&kit.far[PACS].end)

struct kit {
	struct fixture fixture;
	struct worker *w;
	struct config *config;
	struct destination **destinations;
	struct admission *admission;
	struct capabilities *capabilities;
	struct association_env env;
	struct tls_context *tls[1];
	atomic_uint n_open;
	struct listener *l;
	struct far far[FARS];
	struct end device;
	struct assoc *rq, *ac; /* what the device proposed and got */
	int live;
};

extern struct kit kit;

int kit_setup(void **state);
int kit_teardown(void **state);

void kit_turn(void);
#define UNTIL(condition)                                                       \
	do {                                                                   \
		for (int i_ = 0; !(condition); i_++) {                         \
			if (i_ > 600000)                                       \
				fail_msg("never: %s", #condition);             \
			kit_turn();                                            \
		}                                                              \
	} while (0)
void kit_for(unsigned ms);

/* The device connects and proposes its contexts; "LIVE" or "CULVERT". */
void kit_request(const char *called);
/* And is accepted. */
void kit_associate(const char *called);
uint8_t kit_result(uint8_t context_id);

/* ---- messages ---- */

void kit_put(struct end *e, const void *p, size_t n);
/* In pieces cut at random, some with a turn of the loop between them. */
void kit_put_cut(struct end *e, const void *p, size_t n, unsigned seed);
/* Both at once. */
void kit_send(struct end *e, uint8_t context_id, const struct command *c,
	      size_t n);
void kit_control(struct end *e, enum pdu_type type);

/* Wait for it. */
void kit_await(struct end *e, struct got *g);
/* Wait for a response and check it. */
void kit_await_response(struct end *e, uint8_t context_id, uint16_t field,
			uint16_t id, uint16_t status);
/* Wait for a message and compare it, byte by byte. */
void kit_await_bytes(struct end *e, const struct buf *bytes);
void kit_await_request(struct end *e, uint16_t field, uint16_t id);

/* ---- what many tests do ---- */

/* The device asks a query; a destination answers, with a data set while it is
 * pending. */
void kit_ask(uint8_t context_id, uint16_t id);
void kit_answer(struct end *far, uint8_t context_id, uint16_t id,
		uint16_t status);
/* The device stores into the spool. */
void kit_store(uint16_t id, size_t n);
/* A C-GET that the PACS has; its end, success. */
void kit_begin_get(uint16_t id);
void kit_end_get(uint16_t id);
/* A destination's connection ends. */
void kit_cut_off(struct end *far);
/* The device releases; everybody has left. */
void kit_release(void);

#endif
