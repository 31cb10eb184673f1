/* record.h - the bytes of spool format 1.
 *
 * Pure: no I/O, no clock; sealing goes through seal.h. Input from disk is
 * hostile. Numbers are big-endian.
 *
 * A segment file is a row of pages of 4 KiB. Page 0 is the segment's head. A
 * record begins at a page: one head page, then the sealed payload, padded to
 * whole pages. Both kinds of head stand twice in their page, at 0 and at 2048,
 * so that a flipped bit or a lost sector costs one copy only.
 *
 *   record head   clear header (196 bytes, its CRC-32C last), sealed metadata,
 *                 its tag
 *   metadata      key = HKDF(data key, salt of the segment's life), nonce =
 *                 sequence, additional data = the clear header without its CRC:
 *                 so the tag vouches for place, leaf, payload tag and the rest
 *   payload       key = HKDF(data key, payload salt || transfer id), nonce =
 *                 chunk index, additional data = format, kind, spool id,
 *                 transfer id, chunk index. It knows no place: it is sealed
 *                 while it arrives, and a copy elsewhere is verbatim.
 *
 * A segment number names one life of one file and is never used again, so a
 * record whose spool, segment and offset are those of the place where it stands
 * is of this life. */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/instance.h"
#include "store/seal.h"

enum {
	RECORD_PAGE = 4096,
	RECORD_COPY = 2048, /* where the second copy of a head stands */
	RECORD_FORMAT = 1,
	RECORD_CLEAR = 196, /* bytes of the clear header, CRC included */
	RECORD_SALT = 32,   /* of a segment's life */
	RECORD_PAYLOAD_SALT = 16,
	RECORD_PAYLOAD_MAX = CHUNK_LEN,
	RECORD_ID_LEN = 16,                              /* of the spool */
	RECORD_AAD = 40,                                 /* of a payload */
	RECORD_OUTCOME_MAX = 27 + 2 * INSTANCE_NAME_LEN, /* bytes of one */
};

enum record_kind { RECORD_CHUNK = 1, RECORD_OUTCOMES = 2 };

enum record_flag {
	RECORD_FIRST = 1, /* chunk 0 */
	RECORD_FINAL = 2, /* the last chunk; metadata is complete */
	RECORD_MOVED = 4, /* a copy made by compaction */
	/* Of a partial transfer (spool_partial.h): every record of it carries
	 * metadata, its chunks come in any order, and its final record is one
	 * of its own, without payload, behind the last index. */
	RECORD_PARTIAL = 8,
};

struct record_head {
	enum record_kind kind;
	uint8_t flags; /* enum record_flag */
	uint8_t key_id[SEAL_KEY_ID_LEN];
	uint8_t spool_id[RECORD_ID_LEN];
	uint8_t salt[RECORD_SALT]; /* of the segment's life */
	uint32_t segment;
	uint32_t offset;   /* of this page in the segment file */
	uint32_t previous; /* the segment before it in its epoch; 0: first */
	uint32_t epoch;    /* counts starts of the spool, and failed writes */
	uint32_t index;    /* chunk index */
	uint64_t sequence;
	uint64_t flushed; /* highest sequence known durable when written */
	/* Oldest segment that a partial transfer needed then; 0: none. */
	uint32_t partial_from;
	struct transfer_id id;
	uint8_t payload_salt[RECORD_PAYLOAD_SALT];
	uint32_t payload_len; /* bytes, <= RECORD_PAYLOAD_MAX */
	uint16_t meta_len;    /* bytes, <= INSTANCE_ENCODED_MAX */
	uint8_t leaf[SEAL_HASH_LEN];
	uint8_t payload_tag[SEAL_TAG_LEN];
};

/* Bytes a record takes in its segment, head page and padding included. */
static inline uint32_t record_span(uint32_t payload_len)
{
	return RECORD_PAGE +
	       (payload_len + RECORD_PAGE - 1) / RECORD_PAGE * RECORD_PAGE;
}

/* The clear header alone. Decoding:
 *   ERR_NOTFOUND     no record's head (magic)
 *   ERR_CORRUPT      CRC, or a field out of range
 *   ERR_UNSUPPORTED  a later format */
void record_head_encode(const struct record_head *h, uint8_t out[RECORD_CLEAR]);
enum err record_head_decode(const uint8_t in[RECORD_CLEAR],
			    struct record_head *out) MUST_CHECK;

/* The salt from which a record's payload key comes: 32 bytes at out. */
void record_payload_salt(const struct record_head *h, uint8_t out[32]);
/* Additional data of a payload. */
void record_payload_aad(const struct record_head *h, uint8_t out[RECORD_AAD]);
extern const char record_payload_info[]; /* HKDF info texts */
extern const char record_meta_info[];

/* Fill the head page: seal meta (h->meta_len bytes) with the life's key and
 * write both copies. */
enum err record_page_seal(const struct record_head *h, const uint8_t *meta,
			  struct seal *life,
			  uint8_t page[RECORD_PAGE]) MUST_CHECK;

/* The better copy of a head in a page: 0 or RECORD_COPY at *copy. Errors as
 * record_head_decode(), of the first copy. */
enum err record_page_head(const uint8_t page[RECORD_PAGE],
			  struct record_head *out, size_t *copy) MUST_CHECK;

/* Open the metadata of the head at copy; meta gets out->meta_len bytes.
 * ERR_CORRUPT: does not open. */
enum err record_page_meta(const uint8_t page[RECORD_PAGE], size_t copy,
			  const struct record_head *h, struct seal *life,
			  uint8_t meta[INSTANCE_ENCODED_MAX]) MUST_CHECK;

/* Open a payload in place or elsewhere (in == out is fine). s is rekeyed. */
enum err record_payload_open(const struct record_head *h,
			     const struct seal_key *key, struct seal *s,
			     const uint8_t *in, uint8_t *out) MUST_CHECK;

/* ---- outcomes -------------------------------------------------------- */

/* Append one; false when it does not fit in what is left of cap. */
bool record_outcome_encode(const struct outcome *o, uint8_t *out, size_t cap,
			   size_t *len);
/* Decode a whole payload. ERR_CORRUPT; ERR_LIMIT: more than max. Kinds this
 * version does not know are kept as they are. */
enum err record_outcomes_decode(const uint8_t *in, size_t len,
				struct outcome *out, size_t max,
				size_t *n) MUST_CHECK;

/* ---- the segment's head ----------------------------------------------- */

struct segment_head {
	uint8_t key_id[SEAL_KEY_ID_LEN];
	uint8_t spool_id[RECORD_ID_LEN];
	uint8_t salt[RECORD_SALT];
	uint32_t number;
	uint32_t epoch;    /* in which it was prepared */
	uint64_t size;     /* bytes of the file */
	uint64_t sequence; /* every record in it has a higher one */
};

void segment_head_encode(const struct segment_head *h,
			 uint8_t page[RECORD_PAGE]);
/* Errors as record_head_decode(): the better copy counts. */
enum err segment_head_decode(const uint8_t page[RECORD_PAGE],
			     struct segment_head *out) MUST_CHECK;

#endif
