/* log_repeat.h - which lines of the log are held back because they repeat.
 *
 * Lines with the same event, and the same destination, device, listener and
 * code, are one kind. LOG_REPEAT_MANY of a kind in LOG_REPEAT_NS are let
 * through; further ones are counted, and summed up in one line when the window
 * ends. Bounded: when the table is full, the kind unused longest gives way.
 * What concerns one thing once is never held back: what goes to quarantine,
 * the audit, the configuration, start and stop.
 *
 * Pure, no lock: log.c holds one. */
#ifndef PROXY_LIB_LOG_REPEAT_H
#define PROXY_LIB_LOG_REPEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_REPEAT_TABLE = 128, LOG_REPEAT_MANY = 20, LOG_REPEAT_KEY_LEN = 240 };
#define LOG_REPEAT_NS 10000000000ull

struct log_repeat {
	bool used;
	int level;
	char event[48];
	char key[LOG_REPEAT_KEY_LEN]; /* pairs that make the kind */
	uint64_t began_ns, last_ns;
	unsigned passed;
	uint64_t held;
};

struct log_repeats {
	struct log_repeat kinds[LOG_REPEAT_TABLE];
};

/* Whether the line may be written. What had to give way for it and has held
 * something back is put to *out (used, held > 0). */
bool log_repeat_pass(struct log_repeats *t, int level, const char *event,
		     const char *pairs, uint64_t now_ns,
		     struct log_repeat *out);

/* The next kind whose window has ended (all: any) and that held something
 * back, put to *out and begun anew; false: none. */
bool log_repeat_due(struct log_repeats *t, uint64_t now_ns, bool all,
		    struct log_repeat *out);

#endif
