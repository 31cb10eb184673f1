/* audit_head.h - a signed statement of where the audit stood at a moment.
 *
 * Whoever keeps one outside of this machine can tell that a row up to it was
 * changed, taken away or put in, by whoever had all rights here. The text that
 * is signed:
 *
 *   culvert audit head 1
 *   node: edge-01
 *   log: 00112233445566778899aabbccddeeff
 *   number: 17
 *   seq: 4711
 *   chain: <64 hexadecimal digits>
 *   time: 2026-05-04T09:15:27.123Z
 *   key: 0011223344556677
 *
 * and, in a file, one more line behind it:
 *
 *   signature: <base64 of the DER signature>
 *
 * Text, parsing and checking are pure. */
#ifndef STORE_AUDIT_HEAD_H
#define STORE_AUDIT_HEAD_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/audit_row.h"
#include "store/seal_sign.h"

enum {
	AUDIT_NODE_LEN = 65,
	AUDIT_HEAD_TEXT_LEN = 512, /* of the statement, with the NUL */
	AUDIT_HEAD_FILE_LEN = 640  /* with its signature */
};

struct audit_head {
	char node[AUDIT_NODE_LEN];
	uint8_t log[AUDIT_LOG_LEN];
	int64_t number; /* 1, 2, ... in one log */
	int64_t seq;    /* the last row it covers */
	uint8_t chain[AUDIT_CHAIN_LEN];
	int64_t wall_ms;
	uint8_t key_id[SEAL_KEY_ID_LEN];
	uint8_t sig[SEAL_SIGNATURE_MAX];
	size_t sig_len;
};

/* The statement, with a NUL. Returns its length. */
size_t audit_head_text(const struct audit_head *h,
		       char out[AUDIT_HEAD_TEXT_LEN]);
/* The statement and its signature. Returns the length. */
size_t audit_head_file(const struct audit_head *h,
		       char out[AUDIT_HEAD_FILE_LEN]);
/* The reverse, of hostile text. ERR_INVAL: not such a file. The signature is
 * not checked. */
enum err audit_head_parse(const char *text, size_t len,
			  struct audit_head *out) MUST_CHECK;

/* Sets key_id and signs. As seal_sign(). */
enum err audit_head_sign(struct seal_signer *s,
			 struct audit_head *h) MUST_CHECK;
/* ERR_CORRUPT: the signature is not this key's over this statement. */
enum err audit_head_check(const struct seal_verifier *v,
			  const struct audit_head *h) MUST_CHECK;

/* The newest head among the month files in dir. ERR_NOTFOUND: there is none;
 * ERR_IO, ERR_NOMEM. */
enum err audit_head_newest(const char *dir, struct audit_head *out) MUST_CHECK;

#endif
