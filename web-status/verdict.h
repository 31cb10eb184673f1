/* verdict.h - is all well, and if not, what comes first? */
#ifndef WEB_STATUS_VERDICT_H
#define WEB_STATUS_VERDICT_H

#include "web-status/facts.h"
#include "web-status/show.h"

enum { VERDICT_MAX = 24 };

/* One thing that is not as it should be. */
struct trouble {
	enum level level; /* LEVEL_WARN or LEVEL_BAD */
	enum word head;   /* {1}: subject, {2}: number */
	enum word remedy;
	char subject[CONFIG_PATH_LEN];
	char number[16];
	char detail[512]; /* what the daemon says itself; "" nothing */
};

struct verdict {
	enum level level; /* LEVEL_OK: nothing to do */
	size_t n;         /* the gravest first */
	struct trouble at[VERDICT_MAX];
	uint64_t waiting; /* instances queued, of all destinations */
	size_t destinations;
};

/* status NULL: the daemon does not answer. Pure but for certificates and
 * disks, which facts.h looks at. */
void verdict_of(const struct config *cfg, const json_t *status,
		struct verdict *out);

/* The band at the top: one line, what to do first, and what else there is
 * (but for brief). */
void verdict_show(const struct page *p, const struct verdict *v, bool brief);

#endif
