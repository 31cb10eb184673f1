/* line_queue.h - one direction of the emulated line: a FIFO of pieces.
 *
 * A piece enters when there is room, leaves at the line's rate when those
 * before it have left, and arrives the delay later. The clock is the caller's:
 * nothing here asks for the time, so that its arithmetic can be tested. Times
 * are ns of a monotonic clock. */
#ifndef TESTS_BENCH_LINE_QUEUE_H
#define TESTS_BENCH_LINE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINE_PIECE_MAX = 65536 };

struct line_piece {
	struct line_piece *next;
	uint64_t leaves, arrives;
	size_t connection; /* the caller's */
	size_t n, sent;    /* sent: the caller's */
	uint8_t b[];       /* mtu */
};

struct line_stat {
	uint64_t bytes;       /* entered */
	uint64_t delivered;   /* arrived */
	uint64_t lost;        /* entered, and cut off before they arrived */
	uint64_t first, last; /* when the first entered, and the last left */
	uint64_t busy;        /* ns of sending between these */
	uint64_t most_queued;
};

struct line_queue {
	double mbit;    /* 10^6 bits a second */
	uint64_t delay; /* one way */
	size_t limit;   /* bytes that may wait to leave */
	size_t mtu;     /* of a piece, at most */
	struct line_stat stat;
	/* its own: */
	struct line_piece *first, *end; /* on the line, oldest first */
	struct line_piece *queued;      /* the first that has not left yet */
	size_t waiting;                 /* bytes that have not left */
	size_t flying;                  /* bytes that left and are under way */
	uint64_t free_at;               /* when the last one has left */
	struct line_piece *spare;
};

/* An empty piece with room for mtu bytes. Aborts when there is no memory. */
struct line_piece *line_piece_get(struct line_queue *q);
void line_piece_put(struct line_queue *q, struct line_piece *p);

/* True when a piece of mtu bytes may enter. */
bool line_queue_room(const struct line_queue *q);

/* p->n bytes enter (0: a mark that keeps its place). q owns p. */
void line_queue_enter(struct line_queue *q, struct line_piece *p, uint64_t now);

/* The oldest piece that has arrived by now, or NULL. The caller owns it. */
struct line_piece *line_queue_take(struct line_queue *q, uint64_t now);

/* When something moves next: UINT64_MAX when nothing will. */
uint64_t line_queue_next(const struct line_queue *q);

/* Entered and not arrived. */
size_t line_queue_inside(const struct line_queue *q);

/* All that is on the line is lost; the line is free at now. */
void line_queue_cut(struct line_queue *q, uint64_t now);

/* The line stood still for ns: all that is on it comes so much later. */
void line_queue_shift(struct line_queue *q, uint64_t ns);

/* Another rate, for what enters from now on. */
void line_queue_rate(struct line_queue *q, double mbit);

/* Forget the numbers; what is on the line stays there and is not in them. */
void line_queue_reset(struct line_queue *q);

/* The share of the time between first and last in which the line sent; 0 when
 * nothing entered. */
double line_queue_share(const struct line_queue *q);

/* Frees all pieces. */
void line_queue_free(struct line_queue *q);

#endif
