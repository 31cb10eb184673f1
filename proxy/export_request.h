/* export_request.h - what is asked of an export: from a line of JSON, and as
 * the filter that its manifest names. Formats: export_frames.h. */
#ifndef PROXY_EXPORT_REQUEST_H
#define PROXY_EXPORT_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/audit_read.h"
#include "store/export_manifest.h"
#include "store/ledger_search.h"

enum { EXPORT_KINDS_MAX = 40 };

struct export_request {
	enum export_format format;
	bool bom, reveal, zip;
	int64_t from_ms, to_ms; /* since, and before; 0: open */
	int64_t from_seq, to_seq;
	char device[33], destination[33], study[65], user[65];
	int32_t kinds[EXPORT_KINDS_MAX];
	size_t n_kinds;
	bool has_state;
	enum delivery_state state;
	int32_t outcome_min; /* of audit.h, this or worse; 0: any */
};

/* ERR_INVAL: why says what is wrong, "cause; remedy". */
enum err export_request_parse(const json_t *j, struct export_request *out,
			      char why[256]) MUST_CHECK;

/* The JSON object of a manifest's "filter". */
void export_request_filter(const struct export_request *r,
			   char out[EXPORT_FILTER_LEN]);
/* Nothing but a range was asked for. */
bool export_request_is_range(const struct export_request *r);

#endif
