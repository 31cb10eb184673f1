/* association_int.h - one inbound association, for the files that make it up:
 *
 *   association.c        life, state machine, PDUs, stream events
 *   association_rq.c     A-ASSOCIATE-RQ: who is it, what does it get
 *   association_dimse.c  messages: where does each go
 *   association_here.c   those that end here: C-ECHO, C-STORE, DIMSE-N
 *   association_pace.c   how fast the device is read
 *   relay.h              those that pass on
 *
 * The table of PS3.8 (ul_fsm.h) decides; association_step() is the one place
 * that changes state. A message is a command and the data set that may follow.
 * One is served here at a time; several may be under way on legs, as far as
 * the window goes that was agreed. */
#ifndef PROXY_ASSOCIATION_INT_H
#define PROXY_ASSOCIATION_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/association.h"
#include "proxy/association_record.h"
#include "proxy/dicom/command.h"
#include "proxy/dicom/pdu.h"
#include "proxy/dicom/ul_fsm.h"
#include "proxy/lib/buf.h"
#include "proxy/message_scp.h"
#include "proxy/negotiate.h"
#include "proxy/net/stream.h"
#include "proxy/relay.h"
#include "proxy/relay_run.h"
#include "proxy/store_scp.h"

enum { SUMMARY_LEN = 200, FIRST_BYTES = 4 };

/* PDU length of an AC: fixed part, one item of at most 80 bytes a context, as
 * many roles, user information and the opaque items. */
enum {
	AC_ROOM = 1024 + ASSOC_MAX_CONTEXTS * 160 + ASSOC_MAX_ITEM_BYTES,
	LATE_MAX = 64 * 1024, /* our own messages that wait for their turn */
};

/* Where in a message the peer is. */
enum message { MESSAGE_NONE, MESSAGE_COMMAND, MESSAGE_DATA };

/* Where the message goes. */
enum message_way {
	MESSAGE_UNDECIDED, /* its command is not complete */
	MESSAGE_HERE,      /* served here */
	MESSAGE_LEG,       /* passes on */
	MESSAGE_DROP,      /* swallowed, and answered with a failure */
};

/* Why the device is not read; several at once. */
enum {
	PAUSE_STORE = 1 << 0, /* the spool is behind */
	PAUSE_LEG = 1 << 1,   /* a destination is */
	PAUSE_STALL = 1 << 2, /* a leg is opened again */
	PAUSE_RATE = 1 << 3,  /* it has sent as much as it may */
};

/* From the request to the answer (Sta3). About 500 KiB, mostly untouched. */
struct acceptance {
	struct assoc *rq;
	struct assoc ac;
	struct negotiation n;
	struct agreed_context agreed[ASSOC_MAX_CONTEXTS];
	uint8_t pdu[AC_ROOM];
};

struct association {
	struct list node; /* of env->open */
	struct association_env *env;
	struct stream *stream; /* NULL once the end is certain */
	enum ul_state state;
	size_t listener; /* index */
	int device;      /* index; -1 until admitted */
	uint64_t begun_ns;
	struct association_facts facts; /* for the ledger */
	char why[SUMMARY_LEN];          /* how it ended, first word wins */
	bool refused;                   /* it is on record as that */
	bool leaving;                   /* Sta13 has its deadline */
	bool released;                  /* and it was asked for that */

	uint8_t first[FIRST_BYTES];
	uint8_t n_first;
	bool speaks_dicom;
	struct buf hold; /* A-ASSOCIATE-RQ in parts */
	struct pdu_stream pdus;

	struct acceptance *pending; /* Sta3 */
	struct agreed_context *contexts;
	size_t n_contexts;
	uint32_t told_max_pdu; /* in the A-ASSOCIATE-AC */
	bool recorded;         /* its row was begun */

	/* The message that comes. */
	enum message message;
	enum message_way way;
	uint8_t context_id;
	struct buf command;
	struct command rq;
	int32_t answer;      /* of a dropped one: its status; -1: none */
	const char *comment; /* static; NULL: none */
	uint64_t last_pdu;   /* the PDU that the last one ended in */

	/* The one that is served here, until it is answered. */
	struct store_op *store;
	struct message_op *request;
	struct command served;
	uint8_t served_context;

	/* What is live; NULL: nothing. */
	struct relay *relay;
	struct relay_run run;
	struct buf backlog; /* input behind a message that waits for its leg */
	struct buf late;    /* our own answers that wait for their turn */
	bool stalled;       /* nothing more is parsed for now */
	unsigned pauses;    /* PAUSE_* */
	struct association_pacer *pacer; /* NULL: no limits here */
};

const struct config_listener *association_listener(const struct association *a);

/* Why it ends, for the record: the first word wins. */
void association_because(struct association *a, const char *why);
/* Drop the connection now. No PDU can be sent any more. */
void association_close(struct association *a, enum err why);
/* Put a refusal on record; tls: of a handshake. */
void association_refuse(struct association *a, const char *reason,
			const char *cause, const char *remedy, bool tls);
/* May close the association: look at a->state afterwards. */
void association_send(struct association *a, const void *p, size_t n);
/* Sta13: wait for the peer to close, at most ARTIM. */
void association_await_close(struct association *a);
/* Take the table's step for an event and do what needs no argument. Returns
 * the action, for the caller to do the rest. abort_reason: for an A-ABORT. */
enum ul_action association_step(struct association *a, enum ul_event event,
				uint8_t abort_reason);
/* The peer sent what cannot be read: Evt19. */
void association_protocol_error(struct association *a, const char *why,
				uint8_t reason);
/* Set the deadline that fits what is awaited now. */
void association_watch(struct association *a);
/* Everything owed was sent: A-RELEASE-RP. */
void association_answer_release(struct association *a);

/* Stop and go on reading, for a PAUSE_* reason. */
void association_pause(struct association *a, unsigned reason);
void association_resume(struct association *a, unsigned reason);
/* Parse input (again, from a backlog). */
void association_parse(struct association *a, const uint8_t *p, size_t n);
/* A-ABORT (user), close. */
void association_abort(struct association *a, const char *why);
/* Messages may pass. */
bool association_is_open(const struct association *a);
/* Something that was owed is done: release, drain, or set the deadline. */
void association_settled(struct association *a);

/* Write what a leg sent; *queued: bytes that wait then. False: it is gone. */
bool association_pass(struct association *a, const struct iovec *iov,
		      unsigned n, size_t *queued);
/* A leg's message is over: what is late may go. */
void association_turn_over(struct association *a);

/* association_pace.c */

/* Its device is known. */
void association_pace_begin(struct association *a);
/* n bytes came: pause when that is too much for now. */
void association_pace(struct association *a, size_t n);
void association_pace_end(struct association *a);

/* association_rq.c */
void association_on_rq(struct association *a, const uint8_t *body, size_t len);
/* Every leg was accepted or refused. */
void association_legs_ready(struct association *a);
void association_drop_pending(struct association *a);

/* association_dimse.c */
void association_on_pdv_begin(struct association *a, const struct pdv *pdv);
void association_on_pdv_data(struct association *a, const struct pdv *pdv,
			     const uint8_t *p, size_t n);
void association_on_pdv_end(struct association *a, const struct pdv *pdv);
/* The agreed context with this id, or NULL. */
const struct agreed_context *association_context(const struct association *a,
						 uint8_t id);
/* The leg that the message waits for is open again, or is not. */
void association_relay_decided(struct association *a, bool ok);
/* The message that passes cannot: swallow the rest, answer with status
 * (success: with nothing). */
void association_fail_message(struct association *a, uint16_t status);

/* association_here.c */

/* Serve the request a->rq in c. False: it is refused, a->answer is set. */
bool association_serve(struct association *a, const struct agreed_context *c);
void association_serve_data(struct association *a, const uint8_t *p, size_t n);
void association_serve_end(struct association *a);
/* Is one being served? */
bool association_serving(const struct association *a);
/* The connection ends: nobody waits for it any more. */
void association_serve_abort(struct association *a);
/* Send the response to rq, when its turn comes. */
void association_respond(struct association *a, const struct command *rq,
			 uint8_t context_id, uint16_t status,
			 const char *comment);
/* The same as a P-DATA-TF at out. Returns its length, 0: no room. */
size_t association_encode_response(const struct command *rq, uint8_t context_id,
				   uint16_t status, const char *comment,
				   uint8_t *out, size_t size);

#endif
