/* auditing.h - questions about the audit itself, as the daemon answers them and
 * the commands where they may read the files.
 *
 *   audit-heads   "device": the heads that came from it over its link; rows are
 *                 {"head":TEXT} or, of a row that holds none, {"seq":N}
 *   audit-verify  "heads": [TEXT], kept elsewhere; "keys": [PEM] to believe
 *                 (none: the daemon's own); "all": each fault is a row, not
 *                 only the first AUDITING_SHOWN; answers "report"
 *
 * Neither opens what is sealed. */
#ifndef PROXY_AUDITING_H
#define PROXY_AUDITING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "proxy/reading.h"
#include "store/audit_head.h"
#include "store/seal_sign.h"

enum {
	AUDITING_KEYS_MAX = 16,
	AUDITING_HEADS_MAX = 100000,
	AUDITING_HEADS_ASKED = 1500, /* what a line of the socket holds */
	AUDITING_SHOWN = 20
};

/* The heads in the directory records that came from device. As reading_ask().
 */
json_t *auditing_heads(const char *records, const char *device,
		       reading_row_fn *row, void *arg);

/* What a check is given; all zero at first. */
struct auditing {
	const char *dir;
	struct seal_verifier *keys[AUDITING_KEYS_MAX];
	size_t n_keys;
	struct audit_head *heads; /* n_heads, with room for room */
	size_t n_heads, room;
	bool all;
	/* {"fault":WORD, "seq":N, "file":NAME, "text":SENTENCE} */
	reading_row_fn *row;
	/* As of audit_verify_options. */
	bool (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	uint64_t shown;
	bool gone; /* row said false */
};

/* ERR_LIMIT: too many; ERR_INVAL: no head as culvert audit head prints it;
 * ERR_NOMEM. */
enum err auditing_add_head(struct auditing *a, const char *text,
			   size_t len) MUST_CHECK;
/* {"ok":true, "report":{...}}: "whole" says how it went. As reading_ask(). */
json_t *auditing_check(struct auditing *a);
/* Keys and heads. */
void auditing_free(struct auditing *a);

#endif
