/* instance.h - what the store knows of one received instance or message.
 *
 * A message is a DIMSE request other than C-STORE that is kept and delivered
 * like an instance: N-ACTION, N-CREATE, N-SET, N-EVENT-REPORT. Its data set
 * stands where an instance's stands; it may be empty.
 *
 * Plain values: no pointers, no ownership. struct instance is sealed inside
 * the spool record of the instance and is the only source from which the
 * ledger is rebuilt. Its encoding is a list of (tag, length, value): a later
 * version adds tags, an older one skips what it does not know.
 *
 * The identifying fields (accession, patient_id, patient_name) never appear in
 * a log line and are stored sealed only. */
#ifndef STORE_INSTANCE_H
#define STORE_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

enum {
	TRANSFER_ID_LEN = 16,
	TRANSFER_TEXT_LEN = 33,      /* 32 hexadecimal digits and a NUL */
	CHUNK_LEN = 1024 * 1024,     /* bytes hashed and sealed as one unit */
	INSTANCE_DESTINATIONS = 16,  /* most destinations of one instance */
	INSTANCE_NAME_LEN = 33,      /* our own names, with the NUL */
	INSTANCE_UID_LEN = 65,       /* PS3.5 section 9.1: 64, with the NUL */
	INSTANCE_ENCODED_MAX = 1792, /* bytes: twice in a record's head page */
};

/* A random 128-bit name made at ingest; only it makes a retry free. */
struct transfer_id {
	uint8_t b[TRANSFER_ID_LEN];
};

/* Lower-case hexadecimal. Returns out. */
char *transfer_id_text(const struct transfer_id *id,
		       char out[TRANSFER_TEXT_LEN]);
/* ERR_INVAL unless text is exactly 32 hexadecimal digits; *out untouched. */
enum err transfer_id_parse(const char *text,
			   struct transfer_id *out) MUST_CHECK;
bool transfer_id_equal(const struct transfer_id *a,
		       const struct transfer_id *b);

/* Whose transfer it was before it came here, and its name there. */
struct instance_origin {
	uint8_t peer[32]; /* SHA-256 of the sender's certificate */
	struct transfer_id id;
};

bool instance_origin_equal(const struct instance_origin *a,
			   const struct instance_origin *b);

/* All text is NUL-terminated UTF-8 (UIDs, AE titles and names: ASCII). */
struct instance {
	struct transfer_id id;
	char listener[INSTANCE_NAME_LEN];
	char device[INSTANCE_NAME_LEN];
	char peer[65]; /* address text of the device */
	char calling_ae[17];
	char called_ae[17];
	char sop_class[INSTANCE_UID_LEN];    /* from the command set */
	char sop_instance[INSTANCE_UID_LEN]; /* from the command set */
	char transfer_syntax[INSTANCE_UID_LEN];
	char study[INSTANCE_UID_LEN];
	char series[INSTANCE_UID_LEN];
	char modality[17];
	char accession[65];
	char patient_id[97];
	char patient_name[193];
	uint64_t association; /* row id in the ledger */
	int64_t received_ms;  /* wall clock, Unix ms */
	uint16_t priority;    /* DICOM (0000,0700): 0 medium, 1 high, 2 low */
	int8_t device_priority;
	bool has_move; /* the next two are present (0000,1030), (0000,1031) */
	char move_originator[17];
	uint16_t move_originator_id;
	uint16_t command; /* (0000,0100) of a message; 0 or C-STORE-RQ: an
			   * instance */
	uint16_t type;    /* action type id or event type id, else 0 */
	char transaction[INSTANCE_UID_LEN]; /* commitment's (0008,1195) */
	bool held;       /* its deliveries begin held: see LEDGER_HELD_REASON */
	uint8_t commit;  /* 1 + index in destinations of the one that must
			  * commit before the bytes may go; 0: none */
	bool has_origin; /* it came over a link; the next two are set */
	struct instance_origin origin;
	int64_t touched_ms; /* of a chunk of a partial transfer: it came */
	uint8_t n_destinations;
	char destinations[INSTANCE_DESTINATIONS][INSTANCE_NAME_LEN];

	/* Filled by the spool when the instance is finished. */
	uint64_t length;  /* bytes of the data set */
	uint32_t chunks;  /* ceil(length / CHUNK_LEN); 0 for an empty one */
	uint8_t root[32]; /* tree.h */
};

enum { INSTANCE_C_STORE_RQ = 0x0001 }; /* PS3.7 table E.1-1 */

/* True for anything but an instance. */
static inline bool instance_is_message(uint16_t command)
{
	return command != 0 && command != INSTANCE_C_STORE_RQ;
}

/* Copy text into a fixed field, cut at a UTF-8 boundary. Returns false when
 * something was cut. size includes the NUL and is > 0. */
bool instance_set(char *field, size_t size, const char *text);
#define INSTANCE_SET(field, text) instance_set((field), sizeof(field), (text))

/* Encode into out[0..INSTANCE_ENCODED_MAX). Always fits: the fields are
 * bounded so that it does. Returns the length in bytes. */
size_t instance_encode(const struct instance *in,
		       uint8_t out[INSTANCE_ENCODED_MAX]);

/* ERR_CORRUPT: not an encoding of an instance (short, over-long field,
 * unterminated list). *out is then zeroed. Unknown tags are skipped. */
enum err instance_decode(const uint8_t *p, size_t len,
			 struct instance *out) MUST_CHECK;

/* What became of an instance at a destination. Values are stored: never
 * renumber. COMMITTED: the destination answers for its safekeeping (PS3.4
 * annex J). ARRIVED: it is whole in the store at the far end of a link. */
#define OUTCOME_MAP(X)                                                         \
	X(DELIVERED, 1, "delivered")                                           \
	X(DELIVERED_FLAGGED, 2, "delivered, flagged")                          \
	X(WITHDRAWN, 3, "withdrawn")                                           \
	X(HELD, 4, "held")                                                     \
	X(QUARANTINED, 5, "quarantined")                                       \
	X(RELEASED, 6, "released")                                             \
	X(REDIRECTED, 7, "redirected")                                         \
	X(DISCARDED, 8, "discarded")                                           \
	X(COMMITTED, 9, "committed")                                           \
	X(ARRIVED, 10, "arrived")                                              \
	X(ABANDONED, 100, "abandoned")                                         \
	X(RESTART, 101, "restart")                                             \
	X(KEPT, 102, "kept")

enum outcome_kind {
#define X(name, value, text) OUTCOME_##name = (value),
	OUTCOME_MAP(X)
#undef X
};

/* Static text, or "unknown". */
const char *outcome_text(enum outcome_kind kind);

/* ABANDONED, RESTART and KEPT are written by the spool itself, never by others:
 *   ABANDONED  the transfer broke off before its last chunk: its chunks are
 *              free. Says nothing of a transfer whose final record exists.
 *   KEPT       a partial transfer (spool_partial.h) lives through the RESTART
 *              that comes next.
 *   RESTART    (transfer id and names empty) every transfer that is without
 *              its final record at this sequence is abandoned, save those that
 *              were KEPT since the RESTART before. */
struct outcome {
	struct transfer_id id;
	enum outcome_kind kind;
	uint16_t status;                     /* DICOM status; 0 if none */
	int64_t at_ms;                       /* wall clock, Unix ms */
	char destination[INSTANCE_NAME_LEN]; /* empty: every destination */
	char target[INSTANCE_NAME_LEN];      /* REDIRECTED: the new one */
	/* Written again because the segment of the first one is to go; at_ms is
	 * the first one's. A newer one may stand before it in the spool. */
	bool repeated;
};

#endif
