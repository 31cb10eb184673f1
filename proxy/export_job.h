/* export_job.h - an export from the first row to the signed manifest.
 *
 * Runs on the caller's thread, page by page, each a short read transaction;
 * between pages it asks whether to go on, and the caller may wait there. Memory
 * is constant. */
#ifndef PROXY_EXPORT_JOB_H
#define PROXY_EXPORT_JOB_H

#include "proxy/export_request.h"
#include "store/ledger_identity.h"
#include "store/spool.h"

struct export_job {
	/* All borrowed. */
	const char *records; /* records.path */
	const char *node;
	const char *user;
	const struct seal_key *key; /* opens what is sealed; NULL: cannot */
	const uint8_t *spool;       /* its id; likewise */
	struct seal_signer *signer; /* NULL: no signature, no export */
	export_sink_fn *sink;       /* with arg, as the next */
	/* Between pages; false: stop. done of total, as far as it is known. */
	bool (*go_on)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	struct export_request request;

	struct export_manifest manifest; /* filled */
	char why[256];                   /* of an error */
};

/* The file goes to the sink; the manifest is made and signed. ERR_CANCELED:
 * go_on said so, or a sink did; others: why says what is wrong. */
enum err export_job_audit(struct export_job *j) MUST_CHECK;
enum err export_job_transfers(struct export_job *j) MUST_CHECK;

/* ---- shared by both; private ------------------------------------------------
 */

struct export_run {
	struct export_job *job;
	const struct export_table *table;
	struct export *out;
	struct seal *seal; /* NULL: nothing is opened */
	struct ledger_identity identity;
	uint8_t salted[AUDIT_SALT_LEN + EXPORT_CELL_MAX];
	size_t salted_len;
	char *message; /* DICOM */
	struct export_cell cells[EXPORT_COLUMNS_MAX];
};

enum err export_run_begin(struct export_job *j, const struct export_table *t,
			  struct export_run **out) MUST_CHECK;
/* Ends the stream, if e is ERR_OK, and signs. Frees r. Returns e or why not. */
enum err export_run_end(struct export_run *r, enum err e) MUST_CHECK;
/* What is worth knowing of a query's identifier. */
void export_run_identify(struct export_run *r);

struct audit_row;
/* A row as a DICOM audit message; r->identity and r->salted when opened. */
enum err export_run_message(struct export_run *r, const struct audit_row *row,
			    bool opened) MUST_CHECK;
enum err export_job_failed(struct export_job *j, enum err e, const char *why);

#endif
