/* relay_int.h - shared by relay*.c; not for others. */
#ifndef PROXY_RELAY_INT_H
#define PROXY_RELAY_INT_H

#include "proxy/association_int.h"
#include "proxy/leg.h"
#include "proxy/lib/buf.h"
#include "proxy/lib/list.h"
#include "proxy/relay.h"
#include "proxy/relay_ops.h"
#include "proxy/relay_run.h"

enum {
	RELAY_QUEUE_HIGH = 768 * 1024, /* bytes queued, then no more is read */
	/* Most bytes queued for a leg: what is high, what is kept, and what is
	 * read at one time. A quarter is low, and must be below what is high:
	 * only then on_drain() comes. */
	RELAY_LEG_CAP = 2560 * 1024,
	RELAY_HOLD_MAX = 256 * 1024,  /* of an answer, until it streams */
	RELAY_KEPT_MAX = 1024 * 1024, /* bytes without a decision */
	RELAY_LATE_MAX = 64 * 1024,   /* of our answers that wait */
	/* Fewer bytes of a message than this, in the time that an answer may
	 * take, are no better than silence. */
	RELAY_TRICKLE = 4096,
};

enum relay_leg_state {
	RELAY_LEG_OPENING, /* for the first time */
	RELAY_LEG_OPEN,
	RELAY_LEG_DOWN,
	RELAY_LEG_REOPENING, /* a message of the device waits for it */
};

/* How the message that comes from a leg goes on. */
enum relay_way {
	RELAY_WAY_UNKNOWN, /* its command is not complete */
	RELAY_WAY_WHOLE,   /* when it is complete */
	RELAY_WAY_STREAM,  /* as it comes; has the turn */
	RELAY_WAY_DROP,
};

struct relay_leg {
	struct relay *relay;
	int index;
	struct destination *destination;
	enum relay_leg_state state;
	struct leg *leg; /* NULL: there is none to talk to */
	unsigned n_legs; /* that are not gone yet */
	uint8_t *rq;     /* to open it again */
	size_t rq_len;
	char calling_ae[AE_SIZE], called_ae[AE_SIZE];
	struct relay_ops ops;
	bool choked; /* its queue is high: the device is not read */

	/* The message that comes. */
	struct pdu_stream in;
	struct buf hold; /* of in: never used, as only P-DATA comes */
	struct relay_run run;
	struct buf command;
	struct buf backlog; /* input while it waits for its turn */
	struct buf late;    /* our answers, while a message passes to it */
	enum message message;
	uint8_t context_id;
	enum relay_way way;
	struct relay_op *op; /* that it belongs to */
	int32_t final;       /* status of the final response; -1: is none */
	bool complete;       /* nothing of it is to come */
	bool begun;          /* part of it was written to the device */
	bool stalled;        /* waits for the turn */
	struct list node;    /* in relay->waiting */
	uint64_t due_ns;     /* when more must have come; 0: not begun */
	size_t came;         /* bytes since that was set */
};

struct relay {
	struct association *a; /* NULL: ended */
	struct relay_leg *legs;
	size_t n_legs;
	unsigned n_opening;
	bool was_rejected;
	struct pdu_reject reject;

	/* The message of the device that passes. */
	struct relay_leg *to;
	struct relay_op *op; /* NULL: C-CANCEL */
	int32_t final;       /* it is a response: its status; else -1 */

	struct relay_leg *turn; /* whose message the device gets now */
	struct list waiting;    /* for the turn */
	bool full;              /* the queue to the device is high */
	bool serving;           /* relay_next_turn() runs */
};

/* relay.c */

/* Open it once more. False: it cannot be. */
bool relay_reopen(struct relay_leg *l);
/* The leg is no more; why: for the comment of what it owed. */
void relay_leg_lost(struct relay_leg *l, const char *why);
/* It broke the protocol. */
void relay_leg_bad(struct relay_leg *l, uint8_t reason);
/* Write to it; a failure loses it. */
bool relay_leg_write(struct relay_leg *l, const struct iovec *iov, unsigned n);
/* The final response to op has passed. */
void relay_leg_answered(struct relay_leg *l, struct relay_op *op,
			int32_t status);
/* Set the silence that is allowed. */
void relay_leg_watch(struct relay_leg *l);

/* relay_down.c */
void relay_down_init(struct relay_leg *l);
void relay_down_read(struct relay_leg *l, const uint8_t *p, size_t n);
/* Forget the message that comes. */
void relay_down_reset(struct relay_leg *l);
/* The turn is free: whoever waits gets it. */
void relay_next_turn(struct relay *r);

#endif
