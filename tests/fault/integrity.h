/* integrity.h - the spool under everything at once: puts of any length in any
 * pieces, broken off or not, partial transfers with their chunks in any order,
 * the real ledger beside it with outcomes, recycling and moving. Whatever was
 * acknowledged is read back and compared while others write, and once more
 * after the spool was closed and opened again.
 *
 * An object's bytes and length follow from its number; its number stands in the
 * record as the association. */
#ifndef TESTS_FAULT_INTEGRITY_H
#define TESTS_FAULT_INTEGRITY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/ledger.h"
#include "store/spool.h"
#include "store/spool_partial.h"

enum {
	INTEGRITY_OBJECTS = 1 << 17,
	INTEGRITY_SEGMENT = 4 * 1024 * 1024,
	INTEGRITY_SEGMENTS = 36, /* in the quota */
	INTEGRITY_LENGTH_MAX = 6 * 1024 * 1024,
	INTEGRITY_SLOTS = 6, /* partial transfers at once */
};

enum object_state {
	OBJECT_COMING,   /* not acknowledged */
	OBJECT_DROPPED,  /* never will be */
	OBJECT_STORED,   /* acknowledged, and its bytes are still needed */
	OBJECT_GIVEN_UP, /* its bytes may go */
};

struct object {
	enum object_state state;
	enum delivery_state expected; /* in the ledger, while stored */
	bool seen;                    /* by the check after a restart */
	struct transfer_id id;
	uint32_t segment; /* of its first chunk, when last looked at; 0: not */
};

/* A partial transfer that lives through rounds. */
struct slot {
	uint32_t n; /* object; 0: free */
	struct spool_partial_put *put;
	struct integrity *w;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	/* Bits: chunks under way, put at any time, told durable. */
	uint64_t sent, ever, told;
	bool done;
	enum err e;
};

struct integrity {
	const char *dir;
	uint64_t seed;
	unsigned round;
	struct spool *spool;
	struct ledger *ledger;
	struct slot slots[INTEGRITY_SLOTS];
	bool alone;        /* one put at a time, and no partial transfers */
	bool was_rebuilt;  /* the ledger, at the start of the round */
	atomic_bool stop;  /* the round is over */
	atomic_bool stuck; /* something found the spool full */
	atomic_uint put_threads, flying;

	pthread_mutex_t lock; /* all below */
	uint32_t n;           /* objects so far; number 0 is none */
	struct object *objects;
	uint32_t *todo; /* stored, not looked at yet: first in first out */
	size_t todo_from, todo_to;
	uint32_t *kept; /* looked at, and kept for longer */
	size_t n_kept;

	/* What was done. */
	atomic_uint_least64_t stored, bytes, aborted, looks, moved, resumed;
	atomic_uint_least64_t partials, abandoned, full, outcomes, rebuilt,
	    again, parts;
};

/* ---- integrity_common.c ----------------------------------------------------
 */

extern atomic_uint integrity_round; /* for messages */
/* Ends the program with a message, leaving the directory. */
void integrity_fail(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));
void integrity_need(enum err e, const char *what, uint32_t n);

/* Every thread has its own. */
struct dice {
	uint64_t state;
};
struct dice dice_new(const struct integrity *w, unsigned thread);
uint32_t dice_below(struct dice *d, uint32_t n); /* 0..n-1 */
bool dice_one_in(struct dice *d, uint32_t n);
void dice_pause(struct dice *d, uint32_t most_us); /* perhaps none */

uint64_t integrity_length(const struct integrity *w, uint32_t n);
void integrity_fill(uint32_t n, uint64_t at, uint8_t *p, size_t len);
void integrity_describe(uint32_t n, struct instance *in);

uint32_t integrity_object_new(struct integrity *w); /* 0: no more */
void integrity_object_drop(struct integrity *w, uint32_t n);
/* For on_done(): acknowledged; somebody will look at it. */
void integrity_object_stored(struct integrity *w, uint32_t n,
			     const struct instance *stored);

/* A thing to wait for. */
struct event {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	enum err e;
};
void event_init(struct event *v);
void event_set(struct event *v, enum err e);
enum err event_wait(struct event *v); /* and reset */

/* ---- the others ------------------------------------------------------------
 */

/* integrity_put.c: until stop. */
void *integrity_put_many(void *arg);
/* integrity_partial.c: until stop; all slots are closed then. */
void *integrity_partial_many(void *arg);
/* What a restart left of the slots. */
void integrity_partial_check(struct integrity *w);
/* Give all up at once. */
void integrity_partial_expire(struct integrity *w);
/* integrity_read.c: until stop, and nothing is left to be looked at. */
void *integrity_look_many(void *arg);
void integrity_barrier(struct integrity *w);
/* integrity_check.c: after a restart, everything is there. */
void integrity_check(struct integrity *w);

/* Fails unless these are the bytes of chunk index of object n. */
void integrity_compare(const struct integrity *w, uint32_t n, uint32_t index,
		       const uint8_t *p, size_t len);

#endif
