/* audit_message.h - a row of the audit as a DICOM audit message.
 *
 * PS3.15 A.5: XML in UTF-8, one line, no declaration, valid against the schema
 * of A.5.1. Every kind of store/audit.h has its EventID (A.5.3); kinds of which
 * DICOM knows nothing become Security Alert (110113) or Application Activity
 * (110100). Each message has one object of its own, the record: its id is
 * "NODE#SEQ", and what the row says beside is its details, in base64.
 *
 * Pure: no I/O, no allocation, no clock. Text may be anything: bytes that are
 * not valid UTF-8 or that XML does not allow become U+FFFD. No patient data
 * but what stands in audit_facts.identity. */
#ifndef PROXY_AUDIT_MESSAGE_H
#define PROXY_AUDIT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

enum {
	AUDIT_MESSAGE_MAX = 32 * 1024, /* RFC 5425 4.3.1: all take 8,192, and
					* should take more */
	/* With a cap of this the shortest form always fits. */
	AUDIT_MESSAGE_LEAST = 24 * 1024,
	/* Texts of audit_facts are taken up to here, in bytes. */
	AUDIT_MESSAGE_TEXT_MAX = 256,
	AUDIT_MESSAGE_DETAIL_MAX = 4096,
	AUDIT_MESSAGE_QUERY_MAX = 4096
};

/* Who reports. Borrowed, NULL or "" for none; node is required. */
struct audit_message_source {
	const char *node; /* AuditSourceID, and the application's UserID */
	const char *site; /* AuditEnterpriseSiteID */
};

/* Of the patient, opened: only where the configuration allows it. */
struct audit_message_identity {
	const char *patient_id;
	const char *patient_name;
	const char *accession;
};

/* A row, as store/audit.h describes it. Text: borrowed, NULL or "" for none. */
struct audit_facts {
	uint64_t seq;
	int64_t wall_ms;
	int kind;    /* enum audit_kind; others are told as they are */
	int outcome; /* 0, 4, 8, 12; others count as 8 */
	uint64_t association;
	const char *listener, *device, *destination;
	const char *peer, *local; /* "10.1.4.20:51234" */
	const char *calling_ae, *called_ae;
	const char *fingerprint, *study, *user;
	const char *detail;   /* JSON object text */
	const uint8_t *chain; /* 32 bytes, or NULL */
	/* Opened; NULL: withheld, and so is the query. */
	const struct audit_message_identity *identity;
	const uint8_t *query; /* identifier of a query, as it came; or NULL */
	size_t query_len;     /* at most AUDIT_MESSAGE_QUERY_MAX */
};

/* The message of a row into out[0..cap), no NUL at the end; *len: its bytes. A
 * message that is longer than want leaves out, until it is not: the query, the
 * record's details but the event, then what participants are called beside
 * their ids; what is left may still be longer than want. 0: want is cap.
 * ERR_LIMIT: it does not fit; not with a cap of AUDIT_MESSAGE_LEAST. */
enum err audit_message_row(const struct audit_message_source *source,
			   const struct audit_facts *row, size_t want,
			   char *out, size_t cap, size_t *len) MUST_CHECK;

/* A signed head of the audit's chain, as Application Activity: the statement
 * and its signature are the object's details "head" and "signature". seq: of
 * the head. Its record's id is "NODE#head-SEQ". */
enum err audit_message_head(const struct audit_message_source *source,
			    int64_t wall_ms, uint64_t seq,
			    const char *statement, const uint8_t *signature,
			    size_t signature_len, char *out, size_t cap,
			    size_t *len) MUST_CHECK;

/* 4 (warning) when the row's outcome is no success, else 5 (notice): the
 * severity of RFC 5424. */
unsigned audit_message_severity(int outcome);

#endif
