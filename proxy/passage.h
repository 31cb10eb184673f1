/* passage.h - which studies are on their way to one destination, and when they
 * are through, for the audit.
 *
 * instances-begin when the first instance of a study is given to a line;
 * instances-transferred, with how many and how many bytes, when for a while
 * none of it was. A study that comes later again begins anew, one that is
 * tried in vain goes on being begun. Bounded: when
 * there are too many at once the one unused longest is written and makes room.
 * Main loop's thread. */
#ifndef PROXY_PASSAGE_H
#define PROXY_PASSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/task.h"
#include "store/ledger.h"

enum { PASSAGE_STUDIES = 32 };

struct passage_study {
	char study[65];  /* "" when the place is free */
	char device[33]; /* of the first instance */
	char calling_ae[17], called_ae[17];
	uint64_t last_ms; /* monotonic */
	uint64_t given;   /* to a line, not come back */
	uint64_t instances, bytes, flagged, failed;
};

/* All zero but for the first two is a good one. Both are borrowed. */
struct passage {
	struct ledger *ledger; /* NULL: nothing is written */
	const char *destination;
	struct passage_study studies[PASSAGE_STUDIES];
};

/* What became of an instance that was given to a line. */
enum passage_end {
	PASSAGE_DONE,    /* delivered, or in the far spool */
	PASSAGE_FLAGGED, /* delivered, with a warning */
	PASSAGE_NOT,     /* it was tried, and not taken */
	PASSAGE_BACK     /* it was not tried: given out again later */
};

/* Messages (li->command) are no instances: nothing is done for them. */
void passage_begin(struct passage *p, const struct task *t);
void passage_end(struct passage *p, const struct task *t, enum passage_end how);
/* Write those that are through; all of them: the daemon stops. */
void passage_flush(struct passage *p, bool all);

/* A row about one instance, or about all of a kind: quarantine, held,
 * released. li NULL, why "": nothing to say. */
void passage_note(struct passage *p, enum audit_kind kind,
		  const struct ledger_item *li, const char *why);

#endif
