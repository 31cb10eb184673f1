/* audit.h - who did what, append-only, one database a month.
 *
 * audit-YYYY-MM.db (UTC month of the event) holds the rows; triggers refuse
 * UPDATE and DELETE. Rows are in order of seq, which goes on from month to
 * month; wall time is for people. Each row carries the hash of its fields and
 * of the row before (audit_row.h), and once a minute the newest hash is signed
 * (audit_head.h). audit-pruned.db keeps what is known of months that are gone,
 * and a copy of the newest head. Never rebuilt: a lost file is named in an
 * alert and an audit-gap event, and the chain goes on behind what was lost.
 *
 * Events are posted by ledger_audit(); the functions that take a struct audit
 * belong to the ledger thread. */
#ifndef STORE_AUDIT_H
#define STORE_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

/* The whole vocabulary; the numbers stand in the database. */
#define AUDIT_EVENT_MAP(X)                                                     \
	X(1, START, "start")                                                   \
	X(2, STOP, "stop")                                                     \
	X(3, CONFIG_LOADED, "config-loaded")                                   \
	X(4, CONFIG_REFUSED, "config-refused")                                 \
	X(10, ASSOCIATION_ACCEPTED, "association-accepted")                    \
	X(11, ASSOCIATION_REFUSED, "association-refused")                      \
	X(12, ASSOCIATION_ENDED, "association-ended")                          \
	X(13, TLS_FAILED, "tls-failed")                                        \
	X(20, INSTANCES_BEGIN, "instances-begin")                              \
	X(21, INSTANCES_RECEIVED, "instances-received")                        \
	X(22, INSTANCES_TRANSFERRED, "instances-transferred")                  \
	X(23, QUARANTINE, "quarantine")                                        \
	X(24, HELD, "held")                                                    \
	X(25, RELEASED, "released")                                            \
	X(30, MANUAL_ACTION, "manual-action")                                  \
	X(31, EXPORT, "export")                                                \
	X(40, SPOOL_ALERT, "spool-alert")                                      \
	X(41, LEDGER_REBUILT, "ledger-rebuilt")                                \
	X(42, CLOCK_STEP, "clock-step")                                        \
	X(43, AUDIT_GAP, "audit-gap")                                          \
	X(50, QUERY, "query")                                                  \
	X(51, RETRIEVE, "retrieve")                                            \
	X(52, PROCEDURE_STEP, "procedure-step")                                \
	X(53, COMMITMENT_REQUESTED, "commitment-requested")                    \
	X(54, COMMITMENT_REPORTED, "commitment-reported")                      \
	X(55, MESSAGE_REFUSED, "message-refused")                              \
	X(56, RELAYED, "relayed")                                              \
	X(57, TLS_ACCEPTED, "tls-accepted")                                    \
	X(58, CONFIG_CHANGED, "config-changed")                                \
	X(60, PRUNED, "audit-pruned")                                          \
	X(61, ERASED, "audit-erased")                                          \
	X(62, TRANSFERS_PRUNED, "transfers-pruned")                            \
	X(63, SIGNING_KEY_MADE, "signing-key-made")                            \
	X(64, HEAD_RECEIVED, "head-received")                                  \
	X(70, LOGIN, "login")                                                  \
	X(71, LOGIN_FAILED, "login-failed")                                    \
	X(72, LOGOUT, "logout")

enum audit_kind {
#define X(number, name, text) AUDIT_##name = (number),
	AUDIT_EVENT_MAP(X)
#undef X
};

/* The word that stands in the database; never NULL. */
const char *audit_kind_text(enum audit_kind k);

/* PS3.15 A.5: EventOutcomeIndicator. */
enum audit_outcome {
	AUDIT_SUCCESS = 0,
	AUDIT_MINOR = 4,
	AUDIT_SERIOUS = 8,
	AUDIT_MAJOR = 12
};

/* AUDIT_SEALED_LEN: bytes, enough for a sealed identifier of 4,096. */
enum { AUDIT_DETAIL_LEN = 1024, AUDIT_SEALED_LEN = 4352 };

/* All text is NUL-terminated; "" is stored as NULL. No patient data anywhere
 * but in sealed. */
struct audit_event {
	enum audit_kind kind;
	enum audit_outcome outcome;
	int64_t wall_ms;      /* 0: the time of the post */
	uint64_t mono_ns;     /* 0: the time of the post */
	uint64_t association; /* 0: none */
	char listener[33];
	char device[33];
	char destination[33];
	char peer[64];
	char local[64];
	char calling_ae[17];
	char called_ae[17];
	char fingerprint[65];
	char study[65];
	char user[65]; /* who: "uid 1000 alice" for manual actions */
	char detail[AUDIT_DETAIL_LEN]; /* JSON object text by audit_json_*() */
	uint16_t sealed_len;           /* at most AUDIT_SEALED_LEN; 0: none */
	const uint8_t *sealed;  /* made by store/seal.h; opaque here. Borrowed
				 * for the call */
	uint8_t commitment[32]; /* to what is sealed: audit_row.h */
	struct {
		uint64_t instances, bytes;
	} covers; /* of study, that the row counts; no column */
};

/* ---- bounded JSON object text --------------------------------------- */

/*	struct audit_json j = audit_json_begin(event.detail,
 *					       sizeof(event.detail));
 *	audit_json_text(&j, "reason", reason);
 *	audit_json_number(&j, "status", 0xa700);
 *	audit_json_end(&j);
 *
 * A member that does not fit whole is left out, and "cut":true is added at the
 * end, so the text is always valid JSON. Bytes that are not valid UTF-8 become
 * U+FFFD, control characters \u00XX. */
struct audit_json {
	char *base;
	size_t len, cap;
	bool cut;
};

/* cap at least 16 bytes. */
struct audit_json audit_json_begin(char *out, size_t cap);
void audit_json_text(struct audit_json *j, const char *key, const char *value);
void audit_json_number(struct audit_json *j, const char *key, int64_t value);
void audit_json_true(struct audit_json *j, const char *key);
void audit_json_end(struct audit_json *j); /* adds the NUL */

/* ---- the database (ledger thread) ------------------------------------ */

struct audit; /* opaque */

enum { AUDIT_WHY_LEN = 256 };

/* Look at the months in dir (copied) and go on from the highest seq. Months
 * are opened at the first row for them. ERR_IO, ERR_NOMEM; why (NULL is fine)
 * in words. */
enum err audit_open(const char *dir, struct audit **out,
		    char why[AUDIT_WHY_LEN]) MUST_CHECK;
struct seal_signer;
/* Who signs heads, as which node (copied). Before this, and with signer NULL,
 * there are none. signer is borrowed. */
void audit_identify(struct audit *a, const char *node,
		    struct seal_signer *signer);
/* Undoes what was not committed. NULL is fine. */
void audit_close(struct audit *a);

/* Add one row to the transaction, begun when there is none.
 *
 *   ERR_AGAIN  another month than the rows before: audit_commit(), repeat
 *   ERR_INVAL  the row itself is refused: drop it
 *   ERR_IO, ERR_NOSPACE, ERR_NOMEM, ERR_UNSUPPORTED (newer program)
 *
 * On any other error than the first two audit_undo() follows. */
enum err audit_append(struct audit *a, const struct audit_event *e) MUST_CHECK;
/* Make the rows since the last commit visible and safe from the death of the
 * process. On an error they are all undone: append them again. */
enum err audit_commit(struct audit *a) MUST_CHECK;
void audit_undo(struct audit *a);
/* Make what is committed safe from power loss, if there is something new. */
enum err audit_sync(struct audit *a) MUST_CHECK;
/* The same at once, without moving anything: one flush of the log. */
enum err audit_flush(struct audit *a) MUST_CHECK;
/* The number of the last row committed; 0: none. */
int64_t audit_seq(const struct audit *a);
/* Sign where the audit stands, if rows were committed since the last head and a
 * minute has passed; audit_sign_now() does not wait for the minute. Does
 * nothing inside a transaction. Errors as audit_append(). */
enum err audit_sign(struct audit *a) MUST_CHECK;
enum err audit_sign_now(struct audit *a) MUST_CHECK;
/* At the start, before the first row: sign what a daemon that was killed left
 * without a head, and make a gap of its end. */
enum err audit_sign_found(struct audit *a) MUST_CHECK;
/* After audit_sign_found(): the rows that were there do not end with a stop
 * that is signed; when the process that wrote them began, at the latest
 * (INT64_MAX: there are none). */
bool audit_unclean(const struct audit *a);
int64_t audit_began(const struct audit *a);
struct audit_head;
/* The newest head; NULL: none. Valid until the next call. */
const struct audit_head *audit_signed(const struct audit *a);
/* Look whether the open month is still there. Returns why it is not (lost,
 * replaced, damaged and moved aside) once, for an audit-gap event; else NULL.
 */
const char *audit_gap(struct audit *a);
/* Words for the last error; "" when there was none. */
const char *audit_why(const struct audit *a);

#endif
