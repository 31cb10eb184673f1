/* option.h - the one table of everything that can be configured.
 *
 * A path is written as in the file, with NAME for a name of the user's and N
 * for a place in a list: "listeners.NAME.limits.rate", "routes.N.forward". Its
 * first component says which struct the offset is in: config_listener,
 * config_device, config_destination, config_repository, config_route, or else
 * config. Internal to policy. */
#ifndef POLICY_OPTION_H
#define POLICY_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "policy/config.h"

enum option_type {
	/* Fields of option.width bytes, unsigned. */
	OPTION_NUMBER,
	OPTION_PERCENT,
	OPTION_SIZE,
	OPTION_DURATION,
	OPTION_BANDWIDTH,
	OPTION_ENUM, /* one of words */
	OPTION_SET,  /* one or more of words, or-ed */
	/* Character arrays of option.width bytes. */
	OPTION_NAME,
	OPTION_AE,
	OPTION_PATH,
	OPTION_HOST,
	OPTION_TEXT,
	OPTION_ZONE, /* of the time zone database */
	/* Structs of their own. */
	OPTION_RATE,
	OPTION_ADDRESS,  /* struct config_endpoint, numeric */
	OPTION_ENDPOINT, /* the same, any host; port 0: not given */
	/* Lists; a single value stands for a list of one. */
	OPTION_AES,
	OPTION_NETWORKS,
	OPTION_ENDPOINTS,
	OPTION_SYNTAXES,
	OPTION_TEXTS,
	OPTION_FINGERPRINTS,
	OPTION_LISTENERS,
	OPTION_DEVICES,
	OPTION_DESTINATIONS,
	OPTION_NUMBERS,
	OPTION_TIMETABLE, /* entries are maps of days, hours, limit */
	/* Struct config_refs as OPTION_DESTINATIONS, but of one at most. */
	OPTION_DESTINATION
};

enum option_flags {
	OPTION_REQUIRED = 1u << 0,
	OPTION_LIVE = 1u << 1,  /* a reload takes it up, others a restart */
	OPTION_ANY_AE = 1u << 2 /* "*" is taken for an AE title */
};

struct option_word {
	const char *word; /* NULL ends the list */
	unsigned value;
	const char *later; /* not NULL: known, and why it is an error */
};

struct option {
	const char *path;
	enum option_type type;
	unsigned flags;
	size_t offset, width;
	const char *initial; /* as in the file, "a, b" for lists; or NULL */
	const char *initial_text; /* what the reference says instead */
	uint64_t min, max;        /* numbers, sizes, durations; max 0: none */
	const struct option_word *words;
	const char *example; /* value only */
	const char *help;
};

/* The i-th option in the order of the reference, or NULL after the last. */
const struct option *option_at(size_t i);
size_t option_count(void);
/* NULL if there is none. */
const struct option *option_find(const char *path);
/* Whether path is a map that holds options: "spool", "listeners.NAME.tls". */
bool option_is_group(const char *path);

/* The struct that holds it, as the part of the path before the field:
 * "listeners.NAME." and so on, "" for struct config itself. */
const char *option_scope(const char *path);

/* "duration", "AE title or list of them", ... */
const char *option_type_text(enum option_type t);

/* The value that it has in the struct at base, as in the file;
 * nothing for one that is not set. */
void option_print(FILE *out, const struct option *o, const void *base);

/* A key of a later version: what it is, or NULL. */
const char *option_later(const char *path);

#endif
