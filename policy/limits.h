/* limits.h - how much of it: associations at once, new ones per time, and
 * refusals that repeat.
 *
 * No I/O and no clock: callers pass monotonic milliseconds (any origin, never
 * going back). Objects marked "locked" may be used from any thread. */
#ifndef POLICY_LIMITS_H
#define POLICY_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"

/* A token bucket: at most n at once, refilled evenly over per_ms. One thread
 * at a time. */
struct limit_bucket {
	struct config_rate rate;
	uint64_t credit; /* tokens * per_ms */
	uint64_t last_ms;
};

/* Starts full. rate.n 0: never refuses. */
void limit_bucket_init(struct limit_bucket *b, struct config_rate rate,
		       uint64_t now_ms);
/* Another rate, with as great a share of the tokens as there was; full if there
 * was no rate before. Nothing happens when it is the same. */
void limit_bucket_change(struct limit_bucket *b, struct config_rate rate,
			 uint64_t now_ms);
/* Take one token if there is one. */
bool limit_bucket_take(struct limit_bucket *b, uint64_t now_ms);
/* Milliseconds until the next token; 0 if there is one now. */
uint64_t limit_bucket_wait(struct limit_bucket *b, uint64_t now_ms);

enum limit_verdict {
	LIMIT_PASS,
	LIMIT_LISTENER_FULL,  /* listeners.NAME.limits.associations */
	LIMIT_DEVICE_FULL,    /* per_device, or the device's own */
	LIMIT_DEVICE_TOO_FAST /* rate */
};

/* "listener-full", ...: stable, the names of their conditions. The
 * A-ASSOCIATE-RJ for all of them is 2/3/2 (transient, presentation provider,
 * local limit exceeded), PS3.8 table 9-21. */
const char *limit_verdict_name(enum limit_verdict v);

struct limits; /* counters for every listener and device; locked */

/* cfg must outlive it (names); its limits are copied. ERR_NOMEM. */
enum err limits_new(const struct config *cfg, uint64_t now_ms,
		    struct limits **out) MUST_CHECK;
/* Take up the limits of another configuration, by the names of listeners and
 * devices: those that it does not have keep theirs. Who is here already stays,
 * even above a new limit; a rate that changes keeps the credit that fits. */
void limits_take(struct limits *l, const struct config *fresh, uint64_t now_ms);
void limits_free(struct limits *l);

/* A handshake begins on a listener (limits.handshakes): takes a token, and
 * returns in how many ms there will be another, 0: there is one. */
uint64_t limits_handshake(struct limits *l, size_t listener, uint64_t now_ms);

/* A connection was accepted on a listener: takes a place unless it answers
 * LIMIT_LISTENER_FULL. */
enum limit_verdict limits_connect(struct limits *l, size_t listener);
/* The connection turned out to be device's: takes a place and a token, unless
 * refused. */
enum limit_verdict limits_associate(struct limits *l, size_t listener,
				    size_t device, uint64_t now_ms);
/* Give back what limits_connect() took, and limits_associate() if device is
 * not negative. */
void limits_disconnect(struct limits *l, size_t listener, int device);
/* How many there are now. */
uint32_t limits_listener_count(struct limits *l, size_t listener);
uint32_t limits_device_count(struct limits *l, size_t device);

/* Refusals that repeat. */

enum {
	REFUSAL_TABLE = 256,
	REFUSAL_NAMES = 8, /* pairs of AE titles of one address and reason */
	REFUSAL_WINDOW_MS = 60 * 1000,
};

struct refusal_key {
	char listener[CONFIG_NAME_LEN];
	char address[48]; /* numeric, no port */
	char calling_ae[CONFIG_AE_LEN];
	char called_ae[CONFIG_AE_LEN];
	char reason[33];
};

struct refusal {
	struct refusal_key key;
	uint64_t count;             /* repeats not reported yet */
	uint64_t first_ms, last_ms; /* of these */
};

struct refusals; /* bounded table; locked */

enum err refusals_new(struct refusals **out) MUST_CHECK;
void refusals_free(struct refusals *r);

/* Called with a finished run of repeats; the lock is held: no refusals_*()
 * from inside. */
typedef void refusal_fn(void *arg, const struct refusal *r);

/* Note one refusal. True: it is the first of its kind in a window, write it
 * down now. False: it was counted. When the table is full the entry unused
 * longest makes room, and report gets what it had counted. */
bool refusals_note(struct refusals *r, const struct refusal_key *key,
		   uint64_t now_ms, refusal_fn *report, void *arg);
/* What changes with every try must not make every try a kind of its own: once
 * an address has REFUSAL_NAMES kinds of one reason in the table, AE titles not
 * seen before become "*", and with a full table so does the address. Call it
 * before refusals_note(). */
void refusals_merge(struct refusals *r, struct refusal_key *key);
/* Report and drop every entry whose window has ended (all of them if all):
 * call it every few seconds, and at the end. */
void refusals_flush(struct refusals *r, uint64_t now_ms, bool all,
		    refusal_fn *report, void *arg);

#endif
