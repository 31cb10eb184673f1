/* identify.h - read the identifiers of a data set as it streams by.
 *
 * Takes the bytes of a data set (as in C-STORE, no file meta) in pieces of any
 * size and keeps eight values of its top level. Stops after (0020,000E): the
 * rest is not looked at. Nested sequences are skipped, whatever their depth,
 * with a counter and no recursion.
 *
 * No I/O, no clock. State is about 2 KiB and fixed; only deflated data sets
 * allocate (some 40 KiB by mem.h, from the first bytes to identify_end()), and
 * iconv does for the length of identify_end(). One thread at a time. Input is
 * hostile and can fail nothing: what cannot be followed is `damaged`. The
 * values are patient data: never log them. */
#ifndef PROXY_DICOM_IDENTIFY_H
#define PROXY_DICOM_IDENTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/dicom/uid.h"

enum {
	IDENTIFY_MAX_INFLATED = 16 << 20, /* bytes looked at, when deflated */

	IDENTITY_MODALITY_SIZE = 17,
	IDENTITY_ACCESSION_SIZE = 65, /* 16 characters of UTF-8 */
	IDENTITY_PATIENT_ID_SIZE = 193,
	IDENTITY_PATIENT_NAME_SIZE = 385,
};

/* Bits of has: the element was there and could be read (it may be empty). */
enum {
	IDENTITY_SOP_CLASS = 1u << 0,    /* (0008,0016) */
	IDENTITY_SOP_INSTANCE = 1u << 1, /* (0008,0018) */
	IDENTITY_ACCESSION = 1u << 2,    /* (0008,0050) */
	IDENTITY_MODALITY = 1u << 3,     /* (0008,0060) */
	IDENTITY_PATIENT_NAME = 1u << 4, /* (0010,0010) */
	IDENTITY_PATIENT_ID = 1u << 5,   /* (0010,0020) */
	IDENTITY_STUDY = 1u << 6,        /* (0020,000D) */
	IDENTITY_SERIES = 1u << 7,       /* (0020,000E) */
};

/* All text is valid UTF-8, NUL-terminated, trimmed, without control
 * characters, cut between characters where it is too long. What the declared
 * character set (0008,0005) cannot explain is '?'. UIDs and modality are
 * printable ASCII; if they are not, or too long, their bit is not set. */
struct identity {
	uint32_t has;
	bool damaged; /* not a data set, or its end came inside an element */
	char sop_class[UID_SIZE], sop_instance[UID_SIZE];
	char study[UID_SIZE], series[UID_SIZE];
	char modality[IDENTITY_MODALITY_SIZE];
	char accession[IDENTITY_ACCESSION_SIZE];
	char patient_id[IDENTITY_PATIENT_ID_SIZE];
	char patient_name[IDENTITY_PATIENT_NAME_SIZE];
};

struct inflater; /* private */

enum { IDENTIFY_N_VALUES = 9, IDENTIFY_RAW = 1408 };

/* Private. */
struct identify {
	bool big, explicit_vr, deflated;
	bool started; /* the first element was seen */
	bool done, damaged;
	uint8_t head[12]; /* an element header that arrived in parts */
	uint8_t n_head, need;
	int8_t slot;          /* value now collected, or -1 */
	uint32_t skip;        /* value bytes left, kept or not */
	uint32_t depth;       /* open undefined lengths; odd: in a sequence */
	uint32_t implicit_at; /* depth of an UN read as implicit; 0: none */
	uint16_t seen;        /* slots taken, a bit each */
	uint16_t overlong;    /* slots whose value was cut */
	uint16_t len[IDENTIFY_N_VALUES];
	uint8_t raw[IDENTIFY_RAW];
	struct inflater *inflater;
};

/* kind: of the negotiated transfer syntax. Data sets that are plainly encoded
 * otherwise (seen at their first element) are read as what they are. */
void identify_init(struct identify *id, enum ts_kind kind);

/* Feed the next n bytes. Returns whether it wants more; once false, further
 * bytes are ignored. */
bool identify_feed(struct identify *id, const uint8_t *bytes, size_t n);

/* No more bytes come, or none are wanted: fill *out, free what was allocated.
 * Exactly once after identify_init(); id is then dead. out may be NULL. When
 * identify_feed() still wanted more, the end is taken as that of the data
 * set: inside an element that is damage. */
void identify_end(struct identify *id, struct identity *out);

#endif
