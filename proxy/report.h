/* report.h - the ready reports: tables that somebody asks for every month.
 *
 * Each is made on the caller's thread, page by page, and leaves through a sink
 * as it is made, as CSV, JSON Lines, text or a page to print. With it goes a
 * signed manifest (store/export_manifest.h). No patient data is in any of
 * them. */
#ifndef PROXY_REPORT_H
#define PROXY_REPORT_H

#include <stdint.h>

#include "store/export_manifest.h"

struct config;

enum report_format { REPORT_CSV, REPORT_JSONL, REPORT_TEXT, REPORT_HTML };

bool report_format_parse(const char *text, enum report_format *out);
const char *report_format_suffix(enum report_format f);
const char *report_format_media(enum report_format f);

struct report_job {
	/* All borrowed. */
	const struct config *config;
	const char *name;
	const char *user;           /* who asked */
	struct seal_signer *signer; /* NULL: no signature, no report */
	int64_t from_ms, to_ms;     /* since, and before; 0: open */
	int64_t late_ms;            /* failures: what took longer is late */
	enum report_format format;
	export_sink_fn *sink; /* with arg, as the next */
	bool (*go_on)(void *arg, uint64_t done, uint64_t total);
	void *arg;

	struct export_manifest manifest; /* filled and signed, if ERR_OK */
	char why[256];                   /* of an error */
};

/* The i-th, or NULL after the last; its one line, too. */
const char *report_name(size_t i);
const char *report_title(const char *name); /* NULL: there is none */
const struct export_table *report_columns(const char *name); /* likewise */

/* ERR_NOTFOUND: no such report; ERR_CANCELED: go_on or the sink said so;
 * others: why says what is wrong. */
enum err report_make(struct report_job *j) MUST_CHECK;

/* ---- private to the reports
 * -------------------------------------------------- */

struct report_run; /* opaque */
struct report {
	const char *name;
	const char *title;
	struct export_table table;
	enum err (*run)(struct report_run *r, struct report_job *j);
};

enum err report_row(struct report_run *r,
		    const struct export_cell *cells) MUST_CHECK;
/* Sets job.why unless it is set; returns e. */
enum err report_failed(struct report_job *j, enum err e, const char *why);
bool report_in_range(const struct report_job *j, int64_t ms);

extern const struct report report_monthly, report_failures,
    report_reconciliation; /* report_transfers.c */
extern const struct report report_refused, report_changes; /* report_audit.c */
extern const struct report report_access,
    report_certificates; /* report_config.c
			  */

#endif
