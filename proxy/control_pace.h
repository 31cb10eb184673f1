/* control_pace.h - how work on records gives way to images: at low priority,
 * with rests while they come in, and none at all while the ledger is behind. */
#ifndef PROXY_CONTROL_PACE_H
#define PROXY_CONTROL_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct control_connection;

struct control_pace {
	uint64_t since_ns;  /* the piece began */
	uint64_t looked_ns; /* at the spool */
	uint64_t stored;
	bool busy; /* images come in */
};

/* The calling thread steps back for the rest of its life. */
void control_pace_begin(struct control_pace *p);
/* Between two pieces of some milliseconds: may rest, for 250 ms, or for 5 s
 * while the ledger is far behind. */
void control_pace_keep(struct control_pace *p,
		       const struct control_connection *k);

#endif
