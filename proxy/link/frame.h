/* frame.h - the frames of the chunk link, culvert/1 (PROTOCOL.md).
 *
 * Pure: no I/O, no clock. Input is hostile. The one allocation is the growth
 * of a struct buf that the caller owns and bounds. Numbers are big-endian.
 *
 * A frame is a header of 8 bytes (type u8, flags u8, reserved u16, length u32)
 * and a body. No frame is longer than one TLS record (16,384 bytes). What the
 * encoder takes is exactly what the decoder takes. */
#ifndef PROXY_LINK_FRAME_H
#define PROXY_LINK_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/buf.h"
#include "proxy/lib/err.h"
#include "store/instance.h"

enum {
	LINK_VERSION = 1, /* the one we speak */
	LINK_HEADER_LEN = 8,
	LINK_FRAME_MAX = 16384, /* bytes, header included */
	LINK_BODY_MAX = LINK_FRAME_MAX - LINK_HEADER_LEN,
	LINK_DATA_HEAD = 32, /* what stands before DATA's payload */
	LINK_DATA_MAX = LINK_FRAME_MAX - LINK_DATA_HEAD, /* payload bytes */
	LINK_ID_LEN = 16, /* spool, epoch, session, transfer */
	LINK_HASH_LEN = 32,
	LINK_NODE_MAX = 32, /* bytes, without a NUL */
	LINK_TEXT_MAX = 200,
	LINK_HEAD_MAX = 639,        /* AUDIT_HEAD_FILE_LEN, without the NUL */
	LINK_HEAD_EVERY_MS = 10000, /* a dialler sends one, not sooner */
	LINK_HEAD_LEAST_MS = 5000,  /* one that comes sooner is dropped */
	LINK_UID_MAX = 64,
	LINK_AE_MAX = 16,
	LINK_RUN_LEN = 8,     /* bytes of a run */
	LINK_RUNS_MAX = 2000, /* in one HAVE or ACK */
	LINK_IDS_MAX = 1000,  /* in one QUERY or NOTED */
	LINK_PAIR_MIN = 4,
	LINK_CONNECTIONS_MAX = 16, /* of one link */
	LINK_CHUNK_LOG2 = 20,      /* of CHUNK_LEN */
	LINK_KEEPALIVE_MS = 15000, /* what 0 means */
	LINK_KEEPALIVE_MIN_MS = 1000,
	LINK_SKIPPABLE = 0x80, /* unknown types from here on are passed over */
};

#define LINK_ALPN       "culvert/1"
#define LINK_MAGIC      0x43564c54u /* "CVLT" */
#define LINK_CHUNKS_MAX 0xffffffffu /* of one transfer */

/* Who may send a type. DIALLER, ACCEPTOR: of the TCP connection; SENDER,
 * RECEIVER: of the transfer. */
enum link_from {
	LINK_FROM_EITHER,
	LINK_FROM_DIALLER,
	LINK_FROM_ACCEPTOR,
	LINK_FROM_SENDER,
	LINK_FROM_RECEIVER,
};

/* X(name, number, shortest body, longest body, flags that exist, from) */
#define LINK_TYPE_MAP(X)                                                       \
	X(HELLO, 0x01, 8, 1024, 0, EITHER)                                     \
	X(JOIN, 0x02, 22, 22, 0, DIALLER)                                      \
	X(JOINED, 0x03, 2, 2, 0, ACCEPTOR)                                     \
	X(PING, 0x04, 8, 8, 0, EITHER)                                         \
	X(PONG, 0x05, 8, 8, 0, EITHER)                                         \
	X(BYE, 0x06, 3, 203, 0x01, EITHER)                                     \
	X(OFFER, 0x10, 63, 1854, 0x03, SENDER)                                 \
	X(DATA, 0x11, 25, 16376, 0, SENDER)                                    \
	X(CHUNK_END, 0x12, 56, 56, 0, SENDER)                                  \
	X(ROOT, 0x13, 62, 1854, 0, SENDER)                                     \
	X(WITHDRAW, 0x14, 18, 18, 0, SENDER)                                   \
	X(QUERY, 0x15, 18, 16002, 0, SENDER)                                   \
	X(NOTED, 0x16, 18, 16002, 0, SENDER)                                   \
	X(HEAD, 0x17, 64, 639, 0, DIALLER)                                     \
	X(HAVE, 0x20, 18, 16018, 0x01, RECEIVER)                               \
	X(ACK, 0x21, 26, 16018, 0, RECEIVER)                                   \
	X(BAD, 0x22, 86, 86, 0, RECEIVER)                                      \
	X(ARRIVED, 0x23, 56, 56, 0, RECEIVER)                                  \
	X(DELIVERED, 0x24, 28, 28, 0, RECEIVER)                                \
	X(UNDELIVERED, 0x25, 21, 221, 0, RECEIVER)                             \
	X(REFUSED, 0x26, 23, 223, 0, RECEIVER)                                 \
	X(ACCEPTS, 0x27, 11, 16376, 0x01, RECEIVER)

enum link_type {
#define X(name, number, min, max, flags, from) LINK_##name = (number),
	LINK_TYPE_MAP(X)
#undef X
};

enum link_flag {
	LINK_F_LINK = 0x01,     /* BYE: the whole link, not one connection */
	LINK_F_COMPLETE = 0x01, /* OFFER: length, count and root are here */
	LINK_F_EAGER = 0x02,    /* OFFER: DATA follows without an answer */
	LINK_F_MORE = 0x01,     /* HAVE, ACCEPTS: the list goes on */
};

/* HELLO: what an end can do. Unknown bits are no error. */
enum link_feature {
	LINK_TAKES = 0x01,  /* this end takes offers */
	LINK_FOLLOW = 0x02, /* it takes offers without length and root */
	LINK_JOINS = 0x04,  /* more than one connection */
	LINK_HEADS = 0x08,  /* heads of the audit are kept for the dialler */
};

/* Numbers below are on the wire: never renumber. Numbers this version does not
 * know are passed on as they are.
 *
 * X(name, number, text) */
#define LINK_BYE_MAP(X)                                                        \
	X(SHUTDOWN, 1, "the peer is shutting down")                            \
	X(VERSION, 2, "no protocol version in common")                         \
	X(PROTOCOL, 3, "a frame that the protocol does not allow")             \
	X(LIMITS, 4, "limits that this end cannot work with")                  \
	X(UNDECLARED, 5, "the certificate is not of a declared device")        \
	X(SESSION, 6, "no such session: say HELLO again")                      \
	X(REPLACED, 7, "another connection took this one's place")             \
	X(TIMEOUT, 8, "nothing came in time")                                  \
	X(STORE, 9, "the store does not take anything at the moment")          \
	X(BUSY, 10, "too many links: try again later")                         \
	X(SELF, 11, "both ends are the same store")

/* What the sender does after a refusal:
 *   RETRY       the same again after retry_s
 *   HOLD        held with an alert, slow probe: a matter of configuration
 *   QUARANTINE  never again without a person
 *   AFRESH      the far end knows nothing of it: offer it
 *   GONE        the end that was asked for
 *
 * X(name, number, class, text) */
#define LINK_REFUSAL_MAP(X)                                                    \
	X(UNKNOWN, 1, AFRESH, "not known here")                                \
	X(WITHDRAWN, 2, GONE, "withdrawn, as was asked")                       \
	X(NO_SPACE, 3, RETRY, "no space in the far spool")                     \
	X(STORE, 4, RETRY, "the far store cannot write")                       \
	X(BUSY, 5, RETRY, "too many transfers are open")                       \
	X(EXPIRED, 6, AFRESH, "unfinished for too long")                       \
	X(NO_ROUTE, 7, HOLD, "no route at the far end takes it")               \
	X(NOT_ACCEPTED, 8, HOLD,                                               \
	  "the far archive does not accept the class or "                      \
	  "transfer syntax")                                                   \
	X(TOO_LARGE, 9, HOLD, "larger than the far end takes")                 \
	X(META, 10, QUARANTINE, "its metadata cannot be used")                 \
	X(ROOT, 11, QUARANTINE, "its chunks do not make its root")             \
	X(CONFLICT, 12, QUARANTINE, "known there with other content")          \
	X(NO_FOLLOW, 13, AFRESH, "offers without length are not taken")

#define LINK_BAD_MAP(X)                                                        \
	X(HASH, 1, "the leaf hash differs")                                    \
	X(LENGTH, 2, "the length differs")                                     \
	X(CONFLICT, 3, "another leaf is already durable")                      \
	X(LOST, 4, "was durable and does not open any more")

#define LINK_WITHDRAW_MAP(X)                                                   \
	X(ABORTED, 1, "the device broke it off")                               \
	X(QUARANTINED, 2, "quarantined at the sender")                         \
	X(DISCARDED, 3, "discarded by an operator")                            \
	X(REROUTED, 4, "goes another way")

#define LINK_STUCK_MAP(X)                                                      \
	X(RETRYING, 1, "not taken yet by the archive at the far end")          \
	X(HELD, 2, "held at the far end")                                      \
	X(QUARANTINED, 3, "quarantined at the far end")                        \
	X(DISCARDED, 4, "discarded at the far end")

enum link_bye {
#define X(name, number, text) LINK_BYE_##name = (number),
	LINK_BYE_MAP(X)
#undef X
};

enum link_refusal {
#define X(name, number, class, text) LINK_REFUSED_##name = (number),
	LINK_REFUSAL_MAP(X)
#undef X
};

enum link_refusal_class {
	LINK_RETRY,
	LINK_HOLD,
	LINK_QUARANTINE,
	LINK_AFRESH,
	LINK_GONE,
};

enum link_bad {
#define X(name, number, text) LINK_BAD_##name = (number),
	LINK_BAD_MAP(X)
#undef X
};

enum link_withdraw {
#define X(name, number, text) LINK_WITHDRAW_##name = (number),
	LINK_WITHDRAW_MAP(X)
#undef X
};

enum link_stuck {
#define X(name, number, text) LINK_STUCK_##name = (number),
	LINK_STUCK_MAP(X)
#undef X
};

enum link_outcome { LINK_OUT_DELIVERED = 1, LINK_OUT_FLAGGED = 2 };

/* ---- bodies ---------------------------------------------------------- */

/* Borrowed bytes: of the input that was decoded, or of the caller. */
struct link_bytes {
	const uint8_t *p;
	size_t len;
};

struct link_hello {
	uint16_t version_min, version_max;
	/* All of what follows is zero when LINK_VERSION is not between them. */
	uint32_t features; /* enum link_feature */
	uint8_t spool[LINK_ID_LEN];
	uint8_t epoch[LINK_ID_LEN];   /* of this opening of the store */
	uint8_t session[LINK_ID_LEN]; /* from the acceptor; else zero */
	uint64_t position;  /* highest durable sequence of its spool */
	uint64_t window;    /* bytes of chunks it takes unacknowledged */
	uint32_t transfers; /* it takes open at once */
	uint32_t keepalive_ms;
	uint8_t connections; /* 1..LINK_CONNECTIONS_MAX */
	uint8_t chunk_log2;
	char node[LINK_NODE_MAX + 1]; /* printable ASCII, >= 1 byte */
};

struct link_join {
	uint8_t session[LINK_ID_LEN];
	uint8_t number; /* 0..LINK_CONNECTIONS_MAX - 1 */
};

/* OFFER and ROOT. OFFER without LINK_F_COMPLETE: all zero but meta. */
struct link_content {
	uint64_t length; /* bytes of the data set */
	uint32_t chunks; /* ceil(length / CHUNK_LEN) */
	uint8_t root[LINK_HASH_LEN];
	struct link_bytes meta; /* instance_encode(); ROOT: may be empty */
};

struct link_data {
	uint32_t index;
	uint32_t offset;        /* in the chunk */
	struct link_bytes data; /* 1..LINK_DATA_MAX bytes */
};

struct link_chunk_end {
	uint32_t index;
	uint32_t length; /* 1..CHUNK_LEN */
	uint8_t leaf[LINK_HASH_LEN];
};

/* Chunks first..first + count - 1; count > 0. */
struct link_run {
	uint32_t first, count;
};

/* n runs as they are on the wire, rising, with a gap between any two. */
struct link_runs {
	const uint8_t *p; /* borrowed */
	uint32_t n;
};

/* n transfer ids as they are on the wire. */
struct link_ids {
	const uint8_t *p; /* borrowed */
	uint32_t n;
};

struct link_bad_chunk {
	uint32_t index;
	uint8_t reason;               /* enum link_bad */
	uint8_t said[LINK_HASH_LEN];  /* in CHUNK_END; LOST: the durable one */
	uint8_t found[LINK_HASH_LEN]; /* computed; LOST: zero */
};

struct link_arrived {
	uint64_t position; /* of its final record in the far spool */
	uint8_t root[LINK_HASH_LEN];
};

struct link_delivered {
	uint8_t outcome; /* enum link_outcome */
	uint16_t status; /* DICOM status of the far archive */
	uint64_t at_ms;  /* far wall clock, Unix ms */
};

/* BYE, UNDELIVERED, REFUSED: a number and words for a person. The encoder
 * writes '?' for what is not printable ASCII and cuts at LINK_TEXT_MAX; the
 * decoder takes nothing else. */
struct link_reason {
	uint16_t code;    /* link_bye, link_stuck (8 bits), link_refusal */
	uint16_t status;  /* UNDELIVERED: DICOM status, 0 if none */
	uint32_t retry_s; /* REFUSED: not before; 0: the sender's choice */
	struct link_bytes text;
};

struct link_accepts {
	uint32_t serial;             /* frames of one list have the same */
	uint32_t age_s;              /* since the archive was last asked */
	struct link_bytes called_ae; /* empty: for every called AE title */
	uint32_t pairs;              /* in this frame */
	struct link_bytes list;      /* link_accepts_next() */
};

struct link_frame {
	enum link_type type;
	uint8_t flags;
	struct transfer_id id; /* types 0x10..0x26 but QUERY, NOTED, HEAD */
	union {
		struct link_hello hello;
		struct link_join join;       /* JOIN, JOINED (number only) */
		uint64_t stamp;              /* PING, PONG */
		struct link_reason why;      /* BYE, UNDELIVERED, REFUSED */
		struct link_content content; /* OFFER, ROOT */
		struct link_data data;
		struct link_chunk_end end;
		uint8_t withdraw;       /* WITHDRAW: enum link_withdraw */
		struct link_ids ids;    /* QUERY, NOTED */
		struct link_bytes head; /* HEAD: as audit_head_file() */
		struct link_runs runs;  /* HAVE, ACK */
		struct link_bad_chunk bad;
		struct link_arrived arrived;
		struct link_delivered delivered;
		struct link_accepts accepts;
	};
};

/* ---- names ------------------------------------------------------------ */

/* Static text, never NULL; "unknown" for numbers of a later version. */
const char *link_type_name(uint8_t type);
const char *link_bye_text(uint16_t code);
const char *link_refusal_text(uint16_t code);
const char *link_bad_text(uint8_t reason);
const char *link_withdraw_text(uint8_t reason);
const char *link_stuck_text(uint8_t kind);

/* What to do after a refusal. Unknown numbers: LINK_HOLD. */
enum link_refusal_class link_refusal_class(uint16_t code);
/* Who sends a type. type is one of ours. */
enum link_from link_type_from(enum link_type type);

/* ---- one frame --------------------------------------------------------- */

struct link_header {
	uint8_t type; /* enum link_type, or >= LINK_SKIPPABLE */
	uint8_t flags;
	uint32_t body_len; /* bytes */
};

/* Decode the header at buf[0..len).
 *
 *   ERR_OK     *out is filled; a skippable unknown type has any flags
 *   ERR_AGAIN  len < LINK_HEADER_LEN
 *   ERR_PROTO  unknown type below 0x80, unknown flag, reserved bytes not zero,
 *              or a length that the type cannot have
 *
 * *out is untouched unless ERR_OK; *why (static) is set for ERR_PROTO. */
enum err link_header_decode(const uint8_t *buf, size_t len,
			    struct link_header *out,
			    const char **why) MUST_CHECK;

/* Decode a whole body. h comes from link_header_decode(), is not of a skippable
 * type, and body holds h->body_len bytes. Pointers in *out go into body.
 *
 *   ERR_PROTO  the body breaks a rule of its type; *why (static) says which;
 *              *out is unspecified */
enum err link_body_decode(const struct link_header *h, const uint8_t *body,
			  struct link_frame *out, const char **why) MUST_CHECK;

/* Encode header and body into out[0..cap); cap of LINK_FRAME_MAX always does.
 *
 *   ERR_OK     *len bytes were written
 *   ERR_INVAL  a field is outside of what the decoder takes
 *   ERR_LIMIT  cap is too small */
enum err link_frame_encode(const struct link_frame *f, uint8_t *out, size_t cap,
			   size_t *len) MUST_CHECK;

/* The bytes before the payload of a DATA frame, for a payload that is sent from
 * where it lies. 0 < payload_len <= LINK_DATA_MAX, offset + payload_len <=
 * CHUNK_LEN. Returns LINK_DATA_HEAD. */
size_t link_data_head(uint8_t out[LINK_DATA_HEAD], const struct transfer_id *id,
		      uint32_t index, uint32_t offset, uint32_t payload_len);

/* ---- parts of bodies ----------------------------------------------------- */

/* i < runs.n. */
struct link_run link_run_at(struct link_runs runs, uint32_t i);

/* Runs of the set bits of map, chunk n at bit n % 8 of byte n / 8, from chunk
 * *from to chunks - 1. Writes up to max runs at out (LINK_RUN_LEN bytes each),
 * moves *from behind what was said (chunks: all of it), returns how many. */
uint32_t link_runs_from_map(const uint8_t *map, uint32_t chunks, uint32_t *from,
			    uint8_t *out, uint32_t max);

/* Chunks of a data set. False: more than LINK_CHUNKS_MAX. */
bool link_chunks(uint64_t length, uint32_t *chunks);

/* i < ids.n. */
struct transfer_id link_id_at(struct link_ids ids, uint32_t i);

/* One pair of an ACCEPTS list: UIDs, NUL-terminated. */
struct link_pair {
	char abstract[LINK_UID_MAX + 1];
	char transfer[LINK_UID_MAX + 1];
};

/* The pair at list->p; list then stands behind it. False: the end (or, for a
 * list that was not decoded by us, not a pair). */
bool link_accepts_next(struct link_bytes *list, struct link_pair *out);
/* Append a pair to a list of *len bytes. False: no room (cap), or not UIDs. */
bool link_accepts_put(uint8_t *list, size_t cap, size_t *len,
		      const char *abstract, const char *transfer);

/* ---- version and limits ----------------------------------------------------
 */

struct link_terms {
	uint16_t version;
	uint32_t features; /* of both, LINK_TAKES apart */
	bool we_take, they_take;
	uint64_t window;    /* bytes that we may have unacknowledged */
	uint32_t transfers; /* that we may have open */
	uint32_t keepalive_ms;
	uint8_t connections;
};

/* What two HELLOs agree on. 0: *out is filled; else the reason for our BYE:
 * LINK_BYE_VERSION, LINK_BYE_LIMITS, LINK_BYE_SELF. The same at both ends. */
uint16_t link_agree(const struct link_hello *ours,
		    const struct link_hello *theirs, struct link_terms *out);

/* Whether the other end may send a type on an open connection. they_dialled: it
 * made the TCP connection; terms: of this link. HELLO, JOIN and JOINED have
 * their place before (link_fsm.h). */
bool link_may_send(enum link_type type, bool they_dialled,
		   const struct link_terms *terms);

/* ---- the stream of a connection -------------------------------------------
 */

/* Fields are private, save the counters. */
struct link_stream {
	struct buf *hold; /* borrowed */
	struct link_header head;
	uint32_t skip; /* bytes of a skippable frame still to come */
	bool given;    /* what is in hold was reported */
	enum err failed;
	const char *why; /* after ERR_PROTO: static text, else NULL */
	uint64_t frames; /* whole ones, skipped ones included */
	uint64_t skipped;
};

/* hold: the caller's buffer, empty, which outlives s; LINK_FRAME_MAX as its
 * maximum does. */
void link_stream_init(struct link_stream *s, struct buf *hold);

/* Take input until there is one whole frame. Call again with the rest (bytes +
 * *used, n - *used).
 *
 *   ERR_OK     *out is filled. Its pointers go into bytes or hold and are valid
 *              until the next call for this stream or the end of bytes' life
 *   ERR_AGAIN  all n bytes were used, no frame is complete
 *   ERR_PROTO  as link_header_decode() and link_body_decode(); s->why
 *   ERR_NOMEM  hold could not grow
 *
 * *used is always set. PROTO and NOMEM are final: every later call returns
 * the same with nothing used. */
enum err link_stream_next(struct link_stream *s, const uint8_t *bytes, size_t n,
			  size_t *used, struct link_frame *out) MUST_CHECK;

/* Between two frames: a clean place for EOF. */
bool link_stream_idle(const struct link_stream *s);

#endif
