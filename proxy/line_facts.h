/* line_facts.h - the quality of the line to a destination, as TCP sees it.
 *
 * Whoever has a connection to it looks at most once a second, on its own
 * thread, and leaves what the kernel says; anybody may read. Of several
 * connections the last one that was looked at counts for the times, all of them
 * for retransmissions. */
#ifndef PROXY_LINE_FACTS_H
#define PROXY_LINE_FACTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct stream_tcp;

/* Zeroed: nothing is known. */
struct line_facts {
	atomic_uint_least64_t rtt_us, rtt_min_us, pmtu;
	atomic_uint_least64_t retransmitted; /* segments, since start */
	atomic_uint_least64_t looked_ns;     /* monotonic; 0: never */
};

/* Of one connection; zeroed when it begins. */
struct line_watch {
	uint64_t looked_ns;
	uint64_t retransmitted; /* of it, counted so far */
};

/* A second has passed. */
bool line_facts_due(const struct line_watch *w, uint64_t now_ns);
void line_facts_note(struct line_facts *f, struct line_watch *w,
		     const struct stream_tcp *tcp, uint64_t now_ns);

struct line_shown {
	uint64_t rtt_us, rtt_min_us, pmtu, retransmitted;
	uint64_t age_ms; /* since it was looked at; UINT64_MAX: never */
};
void line_facts_show(struct line_facts *f, uint64_t now_ns,
		     struct line_shown *out);

#endif
