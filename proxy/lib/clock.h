/* clock.h - the two clocks: monotonic for durations, wall for records. */
#ifndef PROXY_LIB_CLOCK_H
#define PROXY_LIB_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC. Never compare with wall time. */
uint64_t clock_mono_ns(void);
/* Milliseconds since the epoch, UTC. May step either way. */
int64_t clock_wall_ms(void);

enum { CLOCK_TEXT_LEN = 25 }; /* "2026-05-04T09:15:27.123Z" and a NUL */

/* RFC 3339 text of a wall time, UTC, with milliseconds. Returns out. */
char *clock_text(int64_t wall_ms, char out[CLOCK_TEXT_LEN]);

#endif
