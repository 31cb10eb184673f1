/* export_verify.h - is an export what was written, all of it and in order?
 *
 * Needs the file, its manifest and the public key; no database, no private
 * key. Bytes of the file are pushed in; memory is constant, and all input is
 * hostile. Goes on after a finding, so that the first row that is wrong is
 * named and the others are counted.
 *
 * What it cannot see: rows that a filtered export leaves out (only what the
 * manifest counts is known), and anything, where the manifest is missing, that
 * was done by somebody who computed the hashes anew. */
#ifndef STORE_EXPORT_VERIFY_H
#define STORE_EXPORT_VERIFY_H

#include "store/export_manifest.h"

enum { EXPORT_FINDING_LEN = 320, EXPORT_FINDINGS = 8 };

struct export_finding {
	uint64_t row; /* of the file, 1 is the first; 0: not of a row */
	char text[EXPORT_FINDING_LEN];
};

struct export_verdict {
	bool good;
	uint64_t rows, bytes, bad_rows;
	bool has_manifest;
	bool own_key;   /* checked with the key that the manifest names, which
			 * says nothing of who made it */
	bool unchained; /* rows from before there was a chain */
	struct export_manifest manifest; /* valid if has_manifest */
	size_t n;                        /* findings that are kept */
	struct export_finding finding[EXPORT_FINDINGS];
};

/* A report: any file; only its manifest's bytes, hash and signature count. */
extern const struct export_table export_table_report;

struct export_verify_options {
	const struct export_table *table; /* _audit, _transfers or _report */
	const char *manifest;             /* its text; NULL: there is none */
	size_t manifest_len;
	const struct seal_verifier *key; /* NULL: the one in the manifest */
};

struct export_verify; /* opaque; one thread */

/* ERR_NOMEM. A manifest that is wrong is a finding. */
enum err export_verify_new(const struct export_verify_options *o,
			   struct export_verify **out) MUST_CHECK;
/* ERR_NOMEM only. */
enum err export_verify_feed(struct export_verify *v, const void *p,
			    size_t n) MUST_CHECK;
/* Borrowed until freed. */
const struct export_verdict *export_verify_end(struct export_verify *v);
void export_verify_free(struct export_verify *v); /* NULL is fine */

#endif
