/* audit_row.h - one row of the audit as it was read, and its place in the
 * chain.
 *
 *   chain(row) = SHA-256(0x02 || prev || canonical(row))
 *
 * prev is the chain of the row with the number before, whichever month it is
 * in. Before the first row of a log: SHA-256(0x04 || log id || first seq as
 * u64). canonical(row) is every public field in the order of struct audit_row,
 * each as its length in bytes (u32) and its bytes; numbers have 8 bytes, all is
 * big-endian, NULL has length 0; then the commitment and the SHA-256 of the
 * sealed blob, 32 bytes each without a length, zero where nothing is sealed.
 *
 *   commitment = SHA-256(0x03 || salt || plaintext)
 *
 * The salt (16 bytes) is inside the sealed plaintext, in front of it: erasing
 * the blob erases both, and what is left says nothing of the plaintext.
 *
 * Pure: no I/O, no allocation. */
#ifndef STORE_AUDIT_ROW_H
#define STORE_AUDIT_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/audit.h"

enum {
	AUDIT_CHAIN_LEN = 32,
	AUDIT_LOG_LEN = 16, /* of a log's id: random, made with its first row */
	AUDIT_BOOT_LEN = 40,
	AUDIT_CANONICAL_MAX = 4096
};

enum audit_sealed {
	AUDIT_SEALED_NONE,
	AUDIT_SEALED_HERE,   /* the blob is there (read only if asked for) */
	AUDIT_SEALED_ERASED, /* gone, and row erased_by says why */
	AUDIT_SEALED_MISSING /* gone, and nothing says why */
};

/* Text is NUL-terminated; "" is NULL in the database. */
struct audit_row {
	int64_t seq;
	int64_t wall_ms; /* UTC, milliseconds since the epoch */
	uint64_t mono_ns;
	char boot[AUDIT_BOOT_LEN]; /* which boot mono_ns counts in */
	int32_t kind;              /* enum audit_kind, or of a newer program */
	int32_t outcome;           /* enum audit_outcome */
	uint64_t association;      /* 0: none */
	char listener[33];
	char device[33];
	char destination[33];
	char peer[64];
	char local[64];
	char calling_ae[17];
	char called_ae[17];
	char fingerprint[65];
	char study[65];
	char user[65];
	char detail[AUDIT_DETAIL_LEN]; /* JSON object text, or "" */

	enum audit_sealed sealed_is;
	uint8_t commitment[AUDIT_CHAIN_LEN];  /* zero: nothing sealed */
	uint8_t sealed_hash[AUDIT_CHAIN_LEN]; /* of the blob; zero: none */
	int64_t erased_by;                    /* seq; 0: not erased */
	const uint8_t *sealed; /* borrowed from the reader until the next row;
				* NULL: none, gone, or not asked for */
	size_t sealed_len;

	bool has_chain; /* false: written before there was a chain */
	uint8_t prev_chain[AUDIT_CHAIN_LEN];
	uint8_t chain[AUDIT_CHAIN_LEN];

	/* The first column that holds what Culvert never writes there (another
	 * type, too long, a NUL inside); NULL: none. Such a row was edited. */
	const char *malformed;
};

/* canonical(r) into out. Returns its length. */
size_t audit_row_canonical(const struct audit_row *r,
			   uint8_t out[AUDIT_CANONICAL_MAX]);
/* chain(r) after prev. r's own prev_chain and chain do not count. */
void audit_row_hash(const struct audit_row *r,
		    const uint8_t prev[AUDIT_CHAIN_LEN],
		    uint8_t out[AUDIT_CHAIN_LEN]);
/* What stands before the row first of log. */
void audit_row_genesis(const uint8_t log[AUDIT_LOG_LEN], int64_t first,
		       uint8_t out[AUDIT_CHAIN_LEN]);
/* The row that an event becomes, without seq, boot and chain. */
void audit_row_from(const struct audit_event *e, struct audit_row *out);

enum { AUDIT_SALT_LEN = 16 };

/* SHA-256(0x03 || salt || plain[0..n)); salted is both, salt first. */
void audit_commitment(const uint8_t *salted, size_t len,
		      uint8_t out[AUDIT_CHAIN_LEN]);

#endif
