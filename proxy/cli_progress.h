/* cli_progress.h - how far a long command is: one line on standard error, only
 * when that is a terminal, rewritten at most ten times a second.
 *
 *   checking spool  43%  12.1 GB of 28.0 GB  310.2 MB/s  51 s left
 *
 *	struct cli_progress p;
 *
 *	cli_progress_begin(&p, "checking spool", bytes, CLI_PROGRESS_BYTES);
 *	... cli_progress_to(&p, done); ...
 *	cli_progress_end(&p);
 *
 * One thread. Cheap enough to be told of every row. */
#ifndef PROXY_CLI_PROGRESS_H
#define PROXY_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

enum cli_progress_unit { CLI_PROGRESS_BYTES, CLI_PROGRESS_COUNT };

struct cli_progress {
	const char *what; /* borrowed */
	enum cli_progress_unit unit;
	uint64_t total; /* 0: not known, then without percentage */
	uint64_t done;
	int64_t began_ns, shown_ns;
	bool on, shown;
};

void cli_progress_begin(struct cli_progress *p, const char *what,
			uint64_t total, enum cli_progress_unit unit);
/* So far, in all. It may pass total and may fall. */
void cli_progress_to(struct cli_progress *p, uint64_t done);
/* Wipes the line, so that what follows stands alone. Also after an error. */
void cli_progress_end(struct cli_progress *p);

/* The line as text, cut to columns. For tests; returns out. */
char *cli_progress_text(const struct cli_progress *p, int64_t now_ns, char *out,
			unsigned columns);

#endif
