/* shaping_int.h - what the files of shaping share. */
#ifndef PROXY_SHAPING_INT_H
#define PROXY_SHAPING_INT_H

#include "proxy/shaping.h"

struct shaping_use {
	/* The latest first, as sampled_ns. */
	uint64_t passed[SHAPER_WAYS][SHAPING_SAMPLES];
};

/* Where a limit goes. */
struct shaping_place {
	const char *name;
	enum shaper_level level;
	size_t index;
};

struct shaping_place shaping_place(const struct shaping *s, size_t i);

#endif
