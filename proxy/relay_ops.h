/* relay_ops.h - DIMSE requests that were passed on and are not yet answered.
 *
 * Each ends exactly once: with the status of its final response, or without
 * one. Then it goes on record: a row of the ledger and, for what the standard
 * wants in the audit (PS3.15 A.5.3: queries, retrievals, procedure steps), an
 * audit event; a query's identifier goes there sealed. C-ECHO and C-STORE,
 * which come in thousands, are summed up by context and status. */
#ifndef PROXY_RELAY_OPS_H
#define PROXY_RELAY_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/association_record.h"
#include "proxy/dicom/command.h"
#include "proxy/lib/buf.h"
#include "proxy/lib/err.h"
#include "proxy/lib/list.h"

struct ledger;

enum {
	RELAY_OPS_MAX = 64, /* outstanding at once, of one leg */
	RELAY_SUMS = 4,     /* kinds summed up at once, of one leg */
};

struct relay_op {
	struct list node;
	struct command rq;
	uint8_t context_id;
	bool from_leg; /* the destination asks, the device answers */
	uint64_t begun_ns;
	int64_t begun_ms;
	uint32_t responses;    /* pending ones so far */
	uint64_t bytes;        /* of data sets, both ways */
	struct buf identifier; /* of a query, as encoded */
	bool too_long;         /* to be kept */
};

struct relay_sum {
	uint32_t n;
	uint16_t field;
	uint8_t context_id;
	bool from_leg;
	int32_t status;
	uint64_t bytes, duration_ns;
	int64_t begun_ms;
	char sop_class[UID_SIZE];
};

/* Of one leg. names are borrowed. */
struct relay_ops {
	struct list list;
	unsigned n_device, n_leg; /* asked by the device, by the leg */
	struct relay_sum sums[RELAY_SUMS];
	const struct association_facts *facts;
	struct ledger *ledger;
	const char *destination;
};

void relay_ops_init(struct relay_ops *o, const struct association_facts *f,
		    struct ledger *ledger, const char *destination);
/* What is outstanding ends without a status, sums are written. */
void relay_ops_end(struct relay_ops *o);

/* A request is passed on. ERR_LIMIT: too many; ERR_NOMEM. */
enum err relay_op_begin(struct relay_ops *o, const struct command *rq,
			uint8_t context_id, bool from_leg,
			struct relay_op **out) MUST_CHECK;
/* The one that a response in this context belongs to: by message id, or, as
 * some peers answer with a wrong one, the only one there is. NULL: none. */
struct relay_op *relay_op_find(struct relay_ops *o, uint8_t context_id,
			       bool from_leg, uint16_t responded_id);
/* Bytes of its data set pass, or of those of its responses: these are only
 * counted. */
void relay_op_data(struct relay_op *op, const uint8_t *p, size_t n);
void relay_op_answer_data(struct relay_op *op, size_t n);
/* It is over; freed. status -1: without an answer. */
void relay_op_end(struct relay_ops *o, struct relay_op *op, int32_t status);

/* Silence of the destination that is allowed with what is outstanding, in ms;
 * 0: nothing is owed. */
uint64_t relay_ops_patience(const struct relay_ops *o,
			    const struct config_destination *d);

/* What a request is answered with when its destination cannot (PS3.4 C.4,
 * PS3.7 annex C): failures that a device takes for "later". */
uint16_t relay_failure_status(uint16_t field);

#endif
