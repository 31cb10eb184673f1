/* shaper_world.h - senders in a time of their own, to be shaped, and a judge
 * who watches that no burst is larger than it may be. */
#ifndef TESTS_UNIT_SHAPER_WORLD_H
#define TESTS_UNIT_SHAPER_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/shaper.h"

#define MS    1000000ull
#define S     1000000000ull
#define KBIT  1000ull
#define MBIT  1000000ull
#define GBIT  1000000000ull
#define START (77 * S + 12345)

enum { KIB = 1024, ACTORS_MAX = 32 };

/* Somebody who has always more to send, and sleeps in whole milliseconds. */
struct actor {
	struct shaper_client client;
	enum shaper_class class_;
	size_t want;
	uint64_t wake_ns;
	uint64_t pause_ns; /* after each grant; 0: asks on at once */
	uint64_t sent;
	uint64_t longest_ns; /* from asking to the grant */
	uint64_t asked_ns;   /* 0: does not wait */
};

/* No more than rate * t + burst, in any stretch of time. */
struct judge {
	double rate, burst; /* bytes, a second */
	double level, most;
	uint64_t at_ns;
};

struct world {
	struct shaper *shaper;
	struct actor actors[ACTORS_MAX];
	size_t n;
	uint64_t now_ns;
	uint64_t sent;
	struct judge judge;
	unsigned random;
};
extern struct world w;

void world_judge_by(uint64_t rate, uint64_t burst);
void world_within_burst(void);
int world_begin(void **state);
int world_end(void **state);
struct actor *world_add(enum shaper_class class_, size_t destination,
			size_t device);
void world_limit(enum shaper_level level, size_t index, uint64_t rate,
		 uint64_t burst);
void world_run(uint64_t ns);
void world_about(uint64_t sent, uint64_t rate, double seconds, double percent);
uint64_t world_burst_of(uint64_t rate);

#endif
