/* window.h - how much may be under way on a link: bandwidth x delay, measured,
 * within configured bounds (PROTOCOL.md, "Window"); and when a line is silent.
 *
 * Pure: no I/O, no allocation; the clock is given, monotonic, in microseconds.
 * One thread. Lengths are bytes of chunks.
 *
 * A chunk is under way from its first frame until the far end answers for it.
 * Each answer gives a sample of the rate (what was answered between the chunk's
 * start and its answer) and of the delay (from its last frame to its answer:
 * the line, the queues, the far disk). The window is
 *
 *   2 x highest rate of late x lowest delay of late + 2 chunks
 *
 * Of late is ten rounds, and for the rate not more than three seconds (or ten
 * delays): with a long queue rounds are long. Twice, because answers come in
 * lumps, as the far disk flushes; two chunks, because one is being sent while
 * another waits for its flush. A window that is full makes queues, and queues
 * hide the lowest delay; so when none as low was seen for ten seconds, what is
 * under way shrinks below rate x delay for one round, and the delay is measured
 * anew. */
#ifndef PROXY_LINK_WINDOW_H
#define PROXY_LINK_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

enum {
	LINK_WINDOW_MIN = 2 << 20, /* bytes: below it no estimate goes */
	LINK_WINDOW_START = 8 << 20,
	LINK_WINDOW_SLOTS = 10, /* rounds over which the highest rate counts */
};

struct link_window_config {
	uint64_t ceiling; /* bytes; the lower of configured and the peer's */
	uint64_t start;   /* bytes; 0: LINK_WINDOW_START */
	/* Of the ceiling, kept for urgent chunks; bytes; 0: none. */
	uint64_t urgent;
};

/* What a chunk carries from its start to its answer. */
struct link_window_mark {
	uint64_t begun_us;
	uint64_t ended_us;    /* its last frame was handed on */
	uint64_t answered;    /* bytes answered when it began */
	uint64_t answered_us; /* when that was */
	uint32_t len;
	bool limited; /* nothing waited when it began: rate is not the line's */
};

/* Fields are private. */
struct link_window {
	struct link_window_config config;
	uint64_t in_flight; /* bytes */
	uint64_t answered;  /* bytes, in all */
	uint64_t answered_us;
	uint64_t rates[LINK_WINDOW_SLOTS];    /* bytes/s, highest of a round */
	uint64_t rated_us[LINK_WINDOW_SLOTS]; /* when each was last raised */
	uint32_t slot;
	uint64_t round_ends; /* the round is over when answered reaches it */
	uint64_t delay_us;   /* lowest; 0: none yet */
	uint64_t delay_seen_us;
	bool draining;           /* shrunk, to measure the delay */
	uint64_t drained_us;     /* when that was reached; 0: not yet */
	uint64_t drain_delay_us; /* lowest since; 0: none */
};

/* The ceiling is raised to one chunk, if lower; start is kept within it. */
void link_window_init(struct link_window *w,
		      const struct link_window_config *config);

/* Whether a chunk of len bytes may begin. True when nothing is under way. */
bool link_window_admits(const struct link_window *w, uint32_t len, bool urgent);

/* A chunk begins. limited: there is nothing else to send now. */
void link_window_begin(struct link_window *w, uint64_t now_us, uint32_t len,
		       bool limited, struct link_window_mark *mark);
/* Its last frame was handed to the connection. */
void link_window_end(struct link_window_mark *mark, uint64_t now_us);
/* It is durable at the far end. */
void link_window_acked(struct link_window *w, uint64_t now_us,
		       const struct link_window_mark *mark);
/* It is not: bad, refused, its connection lost. No sample. */
void link_window_dropped(struct link_window *w,
			 const struct link_window_mark *mark);

/* Call when the line was lost or came back: what was measured is forgotten,
 * what is under way is not. */
void link_window_restart(struct link_window *w);
/* The ceiling changed (reload). What is under way may be above it for a while.
 */
void link_window_ceiling(struct link_window *w, uint64_t ceiling);

/* Bytes that may be under way now. */
uint64_t link_window_size(const struct link_window *w);
uint64_t link_window_in_flight(const struct link_window *w);
/* Bytes per second and microseconds; 0: not known yet. */
uint64_t link_window_rate(const struct link_window *w);
uint64_t link_window_delay(const struct link_window *w);

/* ---- silence ------------------------------------------------------------- */

enum {
	LINK_SILENCE_US = 1000000, /* beside two round trips */
	LINK_PROBE_US = 1000000,   /* between two probe connections */
	LINK_PING_MIN_US = 100000, /* between two PINGs */
};

/* Of one connection. Fields are private. */
struct link_silence {
	uint64_t rtt_us;   /* smoothed; 0: none yet */
	uint64_t heard_us; /* when something came */
	uint64_t asked_us; /* first PING not answered yet; 0: none */
	uint64_t pinged_us;
	uint64_t probe_us; /* last probe; 0: none in this silence */
};

void link_silence_init(struct link_silence *s, uint64_t now_us);
/* Anything came. */
void link_silence_heard(struct link_silence *s, uint64_t now_us);
/* PONG came; sent_us: its stamp. One from the future is not counted. */
void link_silence_pong(struct link_silence *s, uint64_t now_us,
		       uint64_t sent_us);
/* Whether a PING is due, when something is unanswered; if so it counts as sent.
 */
bool link_silence_ping(struct link_silence *s, uint64_t now_us);
/* Whether a probe connection is due; if so it counts as opened. */
bool link_silence_probe(struct link_silence *s, uint64_t now_us);
/* Nothing came for two round trips and a second, though a PING was sent. */
bool link_silent(const struct link_silence *s, uint64_t now_us);
/* Nothing at all came for three keepalives: the connection is given up. */
bool link_silence_dead(const struct link_silence *s, uint64_t now_us,
		       uint32_t keepalive_ms);

#endif
