/* early.h - cut-through: tell the scheduler of large instances that still come
 * in, so that they may begin to travel (store_scp.h tells, scheduler_early.c
 * takes them).
 *
 * Of each: EARLY_LONGER as soon as it is longer than a destination's
 * cut_through, again at every higher one, then once EARLY_WHOLE (its final
 * record is durable) or EARLY_BROKEN (nothing of it will ever be delivered).
 * Nothing depends on it: what is not told, or not taken, is delivered when it
 * is whole, as ever.
 *
 * Never blocks; of the whole process EARLY_MAX are told of at once, further
 * ones are passed over. Costs nothing where nothing is long. */
#ifndef PROXY_EARLY_H
#define PROXY_EARLY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/instance.h"

struct config;
struct early; /* opaque: one instance that was told of */
struct mailbox;

enum { EARLY_MAX = 64 };

enum early_kind { EARLY_LONGER, EARLY_WHOLE, EARLY_BROKEN };

/* Valid during the call. */
struct early_news {
	enum early_kind kind;
	struct transfer_id transfer; /* as spool_put_id() says */
	/* EARLY_LONGER: it now has came bytes, it had before when it was told
	 * of last (0: never). known: without the identifiers that stand in its
	 * data set; NULL for the other kinds. */
	uint64_t before, came;
	const struct instance *known;
};

/* On the main loop. */
typedef void early_fn(void *arg, const struct early_news *news);

/* Fields are private. */
struct early_desk {
	struct mailbox *mailbox; /* the main loop's */
	atomic_uint n;           /* told of, not ended */
	early_fn *fn;            /* NULL: nobody listens */
	void *arg;
};

/* d must outlive the mailbox, and the workers. */
void early_desk_init(struct early_desk *d, struct mailbox *mailbox);
/* Who listens; fn NULL: nobody any more. On the main loop. */
void early_desk_listen(struct early_desk *d, early_fn *fn, void *arg);

/* The least cut_through of the destinations of in that is above bytes;
 * UINT64_MAX: there is none. */
uint64_t early_next(const struct config *c, const struct instance *in,
		    uint64_t bytes);

/* It is longer now: tell. *e is NULL at first and stays so when it is passed
 * over. Any thread, one at a time for one instance. */
void early_tell(struct early_desk *d, struct early **e,
		const struct instance *known, const struct transfer_id *id,
		uint64_t before, uint64_t came);
/* It has come to an end; *e is NULL after that. Idempotent. */
void early_end(struct early **e, bool whole);

#endif
