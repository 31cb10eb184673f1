/* assoc.h - A-ASSOCIATE-RQ and -AC (PS3.8 sections 9.3.2 and 9.3.3, PS3.7
 * annex D.3.3).
 *
 * Pure: no I/O, no allocation, no clock. Lenient in, strict out. Decoding
 * tells facts (which version, which application context, which AE titles);
 * whether they are acceptable is for the caller.
 *
 * struct assoc is about 360 KiB: allocate it with mem_zalloc(), which leaves
 * untouched pages unused, and free it when the negotiation is done. One thread
 * at a time. */
#ifndef PROXY_DICOM_ASSOC_H
#define PROXY_DICOM_ASSOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/dicom/pdu.h"
#include "proxy/dicom/uid.h"
#include "proxy/lib/err.h"
#include "proxy/lib/wr.h"

enum {
	AE_MAX = 16,
	AE_SIZE = AE_MAX + 1,

	ASSOC_MAX_CONTEXTS = 128, /* all odd ids */
	ASSOC_MAX_CONTEXT_TS = 64,
	ASSOC_MAX_TS = 4096, /* over all contexts */
	ASSOC_MAX_ROLES = 128,
	ASSOC_MAX_ITEMS = 256,       /* opaque sub-items 56..59 */
	ASSOC_MAX_ITEM_BYTES = 65536 /* in all of them together */
};

/* Result of a presentation context (PS3.8 table 9-18). */
enum {
	CONTEXT_ACCEPTED = 0,
	CONTEXT_USER_REJECTED = 1,
	CONTEXT_NO_REASON = 2,
	CONTEXT_ABSTRACT_SYNTAX = 3,
	CONTEXT_TRANSFER_SYNTAXES = 4,
};

/* RQ: id, abstract and the proposed transfer syntaxes; result is 0.
 * AC: id, result and, when accepted, one transfer syntax; abstract is "". */
struct assoc_context {
	uint8_t id; /* odd */
	uint8_t result;
	char abstract[UID_SIZE]; /* "" when missing or not a UID */
	uint16_t n_ts;
	uint16_t first_ts; /* private: read with assoc_ts() */
};

/* Sub-item 54: SCP/SCU role selection. */
struct assoc_role {
	char sop_class[UID_SIZE];
	bool scu, scp;
};

/* A sub-item 56, 57, 58 or 59 kept as it came. Private: use the accessors. */
struct assoc_item {
	uint8_t type;
	uint8_t second; /* reserved byte; for 57 the sub-item version */
	uint16_t len;
	uint32_t off; /* into item_bytes */
};

struct assoc {
	uint16_t version; /* protocol version bits, as sent */
	char called_ae[AE_SIZE], calling_ae[AE_SIZE]; /* trimmed; may be "" */
	uint8_t reserved[32];       /* of the RQ, for the echo in the AC */
	char app_context[UID_SIZE]; /* "" when missing */
	uint32_t max_pdu;           /* item 51; 0: no limit */
	char impl_class[UID_SIZE];  /* item 52; may be "" */
	char impl_version[AE_SIZE]; /* item 55; may be "" */
	bool has_async;             /* item 53 was there */
	uint16_t async_invoked;     /* 0: unlimited; 1 when absent */
	uint16_t async_performed;

	uint16_t n_contexts, n_ts, n_roles, n_items;

	/* What decoding left out, to be counted and logged. */
	uint16_t dropped_contexts; /* even or repeated id */
	uint16_t dropped_ts;       /* not a UID, or no room */
	uint16_t dropped_items;    /* roles and opaque items without room */
	uint16_t unknown_items;    /* of types we do not know */

	/* Facts of sub-item 58; its values are never shown. */
	uint8_t user_identity_type; /* 0: no user identity */
	bool user_identity_response_wanted;

	uint32_t n_item_bytes;
	struct assoc_context contexts[ASSOC_MAX_CONTEXTS];
	struct assoc_role roles[ASSOC_MAX_ROLES];
	struct assoc_item items[ASSOC_MAX_ITEMS];
	uint8_t item_bytes[ASSOC_MAX_ITEM_BYTES];
	char ts[ASSOC_MAX_TS][UID_SIZE];
};

/* ---- decode ---- */

/* Decode the body (without the 6-byte PDU header) of an A-ASSOCIATE-RQ or -AC.
 * Nothing in *out points into body. *out need not be initialised.
 *
 * Taken: AE titles and UIDs padded with spaces or NULs; any version; any
 * application context; unknown items and sub-items (skipped, counted);
 * missing items; item 51 missing or of length 0 (max_pdu = PDU_DEFAULT_MAX);
 * anything in reserved bytes; a context without abstract syntax ("", so
 * that nobody can accept it).
 *
 * Left out and counted: contexts with an even id, and the second and later
 * ones with the same id (so more than 128 cannot be), transfer syntaxes that
 * are no UIDs or do not fit. Such contexts are not answered.
 *
 *   ERR_OK
 *   ERR_PROTO  the fixed part is short, or a length disagrees with the
 *              length around it
 *
 * type is PDU_ASSOCIATE_RQ or PDU_ASSOCIATE_AC. On ERR_PROTO *out holds what
 * was read before (the AE titles, for the log). */
enum err assoc_decode(const uint8_t *body, size_t len, enum pdu_type type,
		      struct assoc *out) MUST_CHECK;

/* ---- read ---- */

/* The context with this id, or NULL. */
const struct assoc_context *assoc_context(const struct assoc *a, uint8_t id);
/* Transfer syntax i < c->n_ts of a context of a. */
const char *assoc_ts(const struct assoc *a, const struct assoc_context *c,
		     size_t i);
/* Whether c proposes (or was given) this transfer syntax. */
bool assoc_has_ts(const struct assoc *a, const struct assoc_context *c,
		  const char *ts);
/* Requestor: the transfer syntax under which context id may be used: it was
 * proposed in rq and accepted in ac with one of its transfer syntaxes. NULL
 * when not (also when the acceptor chose what was not proposed). */
const char *assoc_accepted(const struct assoc *rq, const struct assoc *ac,
			   uint8_t id);
/* Role selection of a SOP class, or NULL. */
const struct assoc_role *assoc_role(const struct assoc *a,
				    const char *sop_class);
/* 1 to 16 characters, no control characters, no backslash, not all spaces
 * (PS3.5 VR AE); bytes above 7e are refused too. */
bool assoc_ae_valid(const char *ae);

/* ---- build ---- */

/* An empty one: version 1, the DICOM application context, our implementation
 * class and version, PDU_DEFAULT_MAX. Fields may then be set directly. */
void assoc_init(struct assoc *a);
/* An AC that answers rq: AE titles, reserved bytes, and all its contexts in
 * order, each CONTEXT_NO_REASON until assoc_answer() says otherwise. Roles and
 * opaque items are not carried over; max_pdu is PDU_DEFAULT_MAX. */
void assoc_init_answer(struct assoc *ac, const struct assoc *rq);
/* Set the result of context id of an AC. ts: the one chosen for
 * CONTEXT_ACCEPTED, else ignored (NULL is fine). The last answer counts.
 * ERR_NOTFOUND: no such context. ERR_INVAL: ts is no UID. */
enum err assoc_answer(struct assoc *ac, uint8_t id, uint8_t result,
		      const char *ts) MUST_CHECK;
/* Add a context to an RQ; assoc_add_ts() adds to the newest context.
 * ERR_LIMIT: full. ERR_INVAL: even or repeated id, or no UID. */
enum err assoc_add_context(struct assoc *a, uint8_t id,
			   const char *abstract) MUST_CHECK;
enum err assoc_add_ts(struct assoc *a, const char *ts) MUST_CHECK;
/* ERR_LIMIT: full. ERR_INVAL: no UID. */
enum err assoc_add_role(struct assoc *a, const char *sop_class, bool scu,
			bool scp) MUST_CHECK;
/* Carry the opaque sub-items of one type (0x56..0x59) over, unread.
 * ERR_LIMIT: no room; some may have been carried. */
enum err assoc_copy_items(struct assoc *to, const struct assoc *from,
			  uint8_t type) MUST_CHECK;
/* Those of them alone that name the abstract syntax of a context of to: 0x56
 * and 0x57, which begin with a class. */
enum err assoc_copy_class_items(struct assoc *to, const struct assoc *from,
				uint8_t type) MUST_CHECK;
/* Overwrite the opaque items (passcodes may be among them): before freeing. */
void assoc_wipe(struct assoc *a);

/* ---- encode ---- */

/* Append the whole PDU, header included, strictly: AE titles padded with
 * spaces, UIDs bare, reserved bytes zero (the AC echoes the RQ's 32 bytes),
 * items in ascending order. A rejected context of an AC carries the implicit
 * LE transfer syntax, which has no meaning there but must stand.
 *
 *   ERR_OK
 *   ERR_LIMIT  w is too small; its content is then of no use
 *   ERR_INVAL  RQ: an AE title that assoc_ae_valid() refuses, no context, or
 *              a context without abstract or transfer syntax; AC: an accepted
 *              context without transfer syntax; either: application context
 *              or implementation class not a UID */
enum err assoc_encode_rq(const struct assoc *a, struct wr *w) MUST_CHECK;
enum err assoc_encode_ac(const struct assoc *a, struct wr *w) MUST_CHECK;

#endif
