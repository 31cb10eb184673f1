/* bucket.h - a token bucket of bytes, exact to the nanosecond.
 *
 * Pure: the caller has the clock (monotonic nanoseconds, any origin). One
 * thread at a time. A clock that goes back gives nothing. */
#ifndef PROXY_BUCKET_H
#define PROXY_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BUCKET_BURST_MAX = 64 * 1024 * 1024, BUCKET_WAIT_MAX = 1000000000 };

#define BUCKET_RATE_MAX 1000000000000ull /* bits per second */

struct bucket {
	uint64_t rate;  /* bits per second; 0: no limit */
	uint64_t burst; /* bytes; credit never exceeds it */
	int64_t credit; /* bytes times 8,000,000,000; may be a debt */
	uint64_t at_ns;
};

/* Take up a limit: at once, with what is left of the credit, as far as the new
 * burst has room for it. Where there was no limit before it begins empty. Both
 * are cut to their bounds. rate 0: none. */
void bucket_set(struct bucket *b, uint64_t rate, uint64_t burst,
		uint64_t now_ns);
/* Let credit grow to what it is now. */
void bucket_refill(struct bucket *b, uint64_t now_ns);
/* Whole bytes that it holds; negative: a debt. */
int64_t bucket_level(const struct bucket *b);
/* Take n bytes, whatever the level; a debt is never greater than burst. */
void bucket_take(struct bucket *b, uint64_t n);
/* Put back n bytes that were taken and not used. */
void bucket_put(struct bucket *b, uint64_t n);
/* Nanoseconds until so many bytes have come that bucket_level() would be n, 0:
 * it is. For more than burst: while others take of them, so that none is lost.
 * n is cut at BUCKET_WAIT_MAX. */
uint64_t bucket_wait(const struct bucket *b, int64_t n);

#endif
