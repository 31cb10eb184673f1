/* facts.h - what the page finds out by itself: certificates and disks.
 *
 * Files named in the configuration are read, public ones only. Any thread. */
#ifndef WEB_STATUS_FACTS_H
#define WEB_STATUS_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"

enum { FACT_CERTIFICATES_MAX = 128, FACT_LOOK_MS = 60 * 1000 };

struct fact_certificate {
	char used_by[80]; /* "destination cloud, own" */
	char path[CONFIG_PATH_LEN];
	char subject[256]; /* "" when it cannot be read */
	int64_t not_after_ms;
	int days_left; /* whole days; negative: expired */
	bool readable;
};

/* Every certificate that the configuration names, each file once, those that
 * end first before the others; read again once a minute. Returns how many. */
size_t facts_certificates(const struct config *cfg,
			  struct fact_certificate *out, size_t cap);

/* Bytes of the file system that holds path. False: cannot be told. */
bool facts_disk(const char *path, uint64_t *free_bytes, uint64_t *all_bytes);

#endif
