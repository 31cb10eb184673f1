/* relay_run.h - the bytes of a message on their way, as they came.
 *
 * A parser walks over input; what it has walked over is a run. When a message
 * is to be passed on, the run is written as it lies in the input, without a
 * copy. Bytes whose fate is not known when the input ends are kept, and go out
 * in front of the next run. Bytes are safe once it is certain that they belong
 * to P-DATA: the beginning of a PDU header may turn out to be an A-ABORT.
 *
 *   begin input --> take* (mark safe)* --> pass | drop | keep */
#ifndef PROXY_RELAY_RUN_H
#define PROXY_RELAY_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proxy/lib/buf.h"
#include "proxy/lib/err.h"

struct relay_run {
	struct buf kept;     /* of earlier inputs */
	size_t kept_safe;    /* bytes of them; all of them when safe > 0 */
	const uint8_t *from; /* in this input */
	size_t n;            /* bytes from there */
	size_t safe;         /* of them */
};

/* kept_max: most bytes that wait for a decision. */
void relay_run_init(struct relay_run *r, size_t kept_max);
void relay_run_free(struct relay_run *r);

/* The parser used n bytes at p, which follow those taken before. */
void relay_run_take(struct relay_run *r, const uint8_t *p, size_t n);
/* All kept and taken so far is P-DATA. */
void relay_run_safe(struct relay_run *r);

/* What may go out now, in order: the number of entries of iov filled (0..2).
 * relay_run_passed() when they were written. */
unsigned relay_run_out(const struct relay_run *r, struct iovec iov[2]);
void relay_run_passed(struct relay_run *r);
/* Bytes that relay_run_out() gives. */
size_t relay_run_ready(const struct relay_run *r);
/* Bytes kept and taken. */
size_t relay_run_held(const struct relay_run *r);

/* Forget everything up to here. */
void relay_run_drop(struct relay_run *r);
/* The input ends: copy what is left of it. ERR_LIMIT (kept_max), ERR_NOMEM. */
enum err relay_run_keep(struct relay_run *r) MUST_CHECK;

#endif
