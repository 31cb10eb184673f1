/* line_fault.h - what goes wrong on the emulated line, and when: cuts after so
 * many bytes or at given times, standstills, flipped bits. Times are seconds
 * from the first byte after the start, or after line_faults_restart(). */
#ifndef TESTS_BENCH_LINE_FAULT_H
#define TESTS_BENCH_LINE_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINE_TIMES = 256 };

enum line_way { LINE_UP, LINE_DOWN, LINE_WAYS };

struct line_span {
	double from, to;
};

struct line_faults {
	/* the caller's */
	uint64_t cut_every, flip_every;                 /* bytes; 0: never */
	bool cut_ways[LINE_WAYS], flip_ways[LINE_WAYS]; /* what counts */
	uint64_t cuts_most;                             /* 0: no end */
	uint64_t seed;
	struct line_span cut_at[LINE_TIMES]; /* from counts; ascending */
	struct line_span holes[LINE_TIMES];  /* ascending */
	size_t n_cut_at, n_holes;
	/* its own */
	uint64_t cut_count, cuts, next_cut;
	uint64_t flip_left[LINE_WAYS], flips, random;
	uint64_t begun; /* ns; 0: no byte yet */
	uint64_t hole_until, hole_since;
	size_t next_hole;
};

/* "1,2.5,7" or, with spans, "10-70,90-95": at most LINE_TIMES, ascending.
 * False for anything else. */
bool line_times_parse(const char *text, bool spans, struct line_span *v,
		      size_t *n);
/* "up", "down" or "both". */
bool line_ways_parse(const char *text, bool v[LINE_WAYS]);

void line_faults_start(struct line_faults *f);
/* Times and byte counts begin anew; what is random goes on. */
void line_faults_restart(struct line_faults *f);

/* b[0..n) enters: flip bits in it, count it. */
void line_faults_enter(struct line_faults *f, enum line_way w, uint8_t *b,
		       size_t n, uint64_t now);

/* True once for each cut that is due. */
bool line_faults_cut(struct line_faults *f, uint64_t now);

/* The line stands still from now on for so many seconds. */
void line_faults_hole(struct line_faults *f, double seconds, uint64_t now);

/* True while the line stands still. When a standstill is over, *over is how
 * long it was, once; else 0. */
bool line_faults_still(struct line_faults *f, uint64_t now, uint64_t *over);

/* When time brings the next change, UINT64_MAX for never. */
uint64_t line_faults_next(const struct line_faults *f);

#endif
