/* receipt.h - a signed page about one study: which instances, their hashes,
 * when they came and went, over which TLS, to whom, and how it stands.
 *
 * A receipt is JSON: a first line {"receipt":, the statement on lines of its
 * own, and a last line with the key and the signature over the statement:
 *
 *   sed '1d;$d' receipt.json > statement
 *   openssl dgst -sha256 -verify pub -signature sig statement
 *
 * The page is that JSON, shown and embedded in HTML that needs nothing from
 * elsewhere. Its last line is a comment with a signature of its own, over all
 * lines before it, so that also a later version can check it:
 *
 *   sed '$d' receipt.html > page; sed -n '$s/^<!-- signature \(.*\) -->/\1/p'
 *       receipt.html | base64 -d > sig */
#ifndef PROXY_RECEIPT_H
#define PROXY_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/buf.h"
#include "proxy/lib/err.h"
#include "store/seal_sign.h"

enum {
	RECEIPT_MAX = 48 * 1024 * 1024, /* bytes, of JSON or page */
	RECEIPT_ROWS_MAX = 50000        /* deliveries */
};

struct receipt_job {
	/* All borrowed. */
	const char *records; /* records.path */
	const char *node;
	const char *user;
	const char *study;
	struct seal_signer *signer;
	/* For the patient's name and numbers; NULL: left out. */
	const struct seal_key *key;
	const uint8_t *spool;
};

/* The JSON into out, which buf_init() made with RECEIPT_MAX. ERR_NOTFOUND: no
 * such study; ERR_LIMIT: too large, export its transfers instead; others as of
 * ledger_view.h and seal_sign(). why in words. */
enum err receipt_make(const struct receipt_job *j, struct buf *out,
		      char why[256]) MUST_CHECK;

/* The page of a receipt. ERR_INVAL: it is none; as seal_sign(). */
enum err receipt_html(const void *json, size_t n, struct seal_signer *signer,
		      struct buf *out) MUST_CHECK;

struct receipt_verdict {
	bool good;
	bool own_key; /* checked with the key inside */
	bool page;    /* it was HTML */
	char key_id[17];
	char study[65], node[65], made[32], status[80];
	uint64_t instances;
	char why[256]; /* what is wrong */
};

/* Input is hostile. key NULL: the one inside. ERR_NOMEM only. */
enum err receipt_check(const void *text, size_t n,
		       const struct seal_verifier *key,
		       struct receipt_verdict *out) MUST_CHECK;

/* Private to the two files. */
#define RECEIPT_FIRST "{\"receipt\":\n"
#define RECEIPT_OPEN  "<script type=\"application/json\" id=\"receipt\">\n"
#define RECEIPT_CLOSE "</script>\n"

#endif
