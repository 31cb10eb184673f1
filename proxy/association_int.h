/* association_int.h - one inbound association, for the files that make it up:
 *
 *   association.c        life, state machine, PDUs, stream events
 *   association_rq.c     A-ASSOCIATE-RQ: who is it, what does it get
 *   association_dimse.c  messages: C-ECHO, C-STORE, and what is not served
 *
 * The table of PS3.8 (ul_fsm.h) decides; association_step() is the one place
 * that changes state. A message is a command and the data set that may follow;
 * one at a time, as no asynchronous window is ever agreed. */
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
#include "proxy/negotiate.h"
#include "proxy/net/stream.h"
#include "proxy/store_scp.h"

enum { SUMMARY_LEN = 200, FIRST_BYTES = 4 };

/* Where in a message the peer is. */
enum message { MESSAGE_NONE, MESSAGE_COMMAND, MESSAGE_DATA };

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

	uint8_t first[FIRST_BYTES];
	uint8_t n_first;
	bool speaks_dicom;
	struct buf hold; /* A-ASSOCIATE-RQ in parts */
	struct pdu_stream pdus;

	struct agreed_context *contexts;
	size_t n_contexts;

	enum message message;
	uint8_t context_id; /* of the message */
	struct buf command;
	struct command rq;
	struct store_op *op;     /* a C-STORE, until it is answered */
	uint16_t refused_status; /* answer after a data set nobody wants */
	const char *refused_comment;
	bool data_wanted; /* the data set goes to op */
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

/* association_rq.c */
void association_on_rq(struct association *a, const uint8_t *body, size_t len);

/* association_dimse.c */
void association_on_pdv_begin(struct association *a, const struct pdv *pdv);
void association_on_pdv_data(struct association *a, const struct pdv *pdv,
			     const uint8_t *p, size_t n);
void association_on_pdv_end(struct association *a, const struct pdv *pdv);

#endif
