#include "store/instance.h"

#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/lib/rd.h"
#include "proxy/lib/wr.h"

/* Encoding: a version byte, then (tag u8, length u16, value) until the end.
 * Numbers are big-endian. Empty text is left out. */
enum { ENCODING_VERSION = 1 };

/* Tags are stored: never renumber. */
enum tag {
	TAG_ID = 1,
	TAG_ASSOCIATION = 2,
	TAG_RECEIVED = 3,
	TAG_PRIORITY = 4,
	TAG_DEVICE_PRIORITY = 5,
	TAG_MOVE = 6, /* id u16, then the AE title */
	TAG_DESTINATION = 7,
	TAG_LENGTH = 8,
	TAG_CHUNKS = 9,
	TAG_ROOT = 10,
	TAG_COMMAND = 11, /* command u16, type u16: messages only */
	TAG_HELD = 12,    /* empty value: present or not */
	TAG_COMMIT = 13,
	TAG_ORIGIN = 14, /* peer, its transfer id */
	TAG_TOUCHED = 15,
	TAG_TEXT = 32, /* and above: rows of text_fields */
};

#define TEXT_FIELD(n, f)                                                       \
	{                                                                      \
		TAG_TEXT + (n), offsetof(struct instance, f),                  \
		    sizeof(((struct instance *)0)->f)                          \
	}

static const struct text_field {
	unsigned tag;
	size_t at;
	size_t size;
} text_fields[] = {
    TEXT_FIELD(0, listener),     TEXT_FIELD(1, device),
    TEXT_FIELD(2, peer),         TEXT_FIELD(3, calling_ae),
    TEXT_FIELD(4, called_ae),    TEXT_FIELD(5, sop_class),
    TEXT_FIELD(6, sop_instance), TEXT_FIELD(7, transfer_syntax),
    TEXT_FIELD(8, study),        TEXT_FIELD(9, series),
    TEXT_FIELD(10, modality),    TEXT_FIELD(11, accession),
    TEXT_FIELD(12, patient_id),  TEXT_FIELD(13, patient_name),
    TEXT_FIELD(14, transaction),
};

char *transfer_id_text(const struct transfer_id *id,
		       char out[TRANSFER_TEXT_LEN])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < TRANSFER_ID_LEN; i++) {
		out[2 * i] = digits[id->b[i] >> 4];
		out[2 * i + 1] = digits[id->b[i] & 15];
	}
	out[2 * TRANSFER_ID_LEN] = '\0';
	return out;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

enum err transfer_id_parse(const char *text, struct transfer_id *out)
{
	struct transfer_id id;

	if (strlen(text) != TRANSFER_TEXT_LEN - 1)
		return ERR_INVAL;
	for (size_t i = 0; i < TRANSFER_ID_LEN; i++) {
		int hi = digit_value(text[2 * i]);
		int lo = digit_value(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return ERR_INVAL;
		id.b[i] = (uint8_t)(hi << 4 | lo);
	}
	*out = id;
	return ERR_OK;
}

bool transfer_id_equal(const struct transfer_id *a, const struct transfer_id *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool instance_origin_equal(const struct instance_origin *a,
			   const struct instance_origin *b)
{
	return memcmp(a->peer, b->peer, sizeof(a->peer)) == 0 &&
	       transfer_id_equal(&a->id, &b->id);
}

bool instance_set(char *field, size_t size, const char *text)
{
	size_t n = strnlen(text, size);
	bool whole = n < size;

	if (!whole) {
		n = size - 1;
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(field, text, n);
	memset(field + n, 0, size - n);
	return whole;
}

static void put_value(struct wr *w, unsigned tag, const void *p, size_t n)
{
	wr_u8(w, (uint8_t)tag);
	wr_u16(w, (uint16_t)n);
	wr_bytes(w, p, n);
}

static void put_text(struct wr *w, unsigned tag, const char *s, size_t size)
{
	size_t n = strnlen(s, size - 1);

	if (n > 0)
		put_value(w, tag, s, n);
}

static void put_number(struct wr *w, unsigned tag, size_t n, uint64_t v)
{
	uint8_t b[8];

	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
	put_value(w, tag, b, n);
}

static void put_move(struct wr *w, const struct instance *in)
{
	size_t n =
	    strnlen(in->move_originator, sizeof(in->move_originator) - 1);

	if (!in->has_move)
		return;
	wr_u8(w, TAG_MOVE);
	wr_u16(w, (uint16_t)(2 + n));
	wr_u16(w, in->move_originator_id);
	wr_bytes(w, in->move_originator, n);
}

static void put_destinations(struct wr *w, const struct instance *in)
{
	size_t n = in->n_destinations;

	if (n > INSTANCE_DESTINATIONS)
		n = INSTANCE_DESTINATIONS;
	for (size_t i = 0; i < n; i++)
		put_value(w, TAG_DESTINATION, in->destinations[i],
			  strnlen(in->destinations[i], INSTANCE_NAME_LEN - 1));
}

static void put_origin(struct wr *w, const struct instance_origin *o)
{
	wr_u8(w, TAG_ORIGIN);
	wr_u16(w, sizeof(o->peer) + sizeof(o->id.b));
	wr_bytes(w, o->peer, sizeof(o->peer));
	wr_bytes(w, o->id.b, sizeof(o->id.b));
}

/* What most instances have not is left out. */
static void put_extras(struct wr *w, const struct instance *in)
{
	put_move(w, in);
	if (in->command != 0 || in->type != 0)
		put_number(w, TAG_COMMAND, 4,
			   (uint32_t)in->command << 16 | in->type);
	if (in->held)
		put_value(w, TAG_HELD, NULL, 0);
	if (in->commit != 0)
		put_number(w, TAG_COMMIT, 1, in->commit);
	if (in->has_origin)
		put_origin(w, &in->origin);
	if (in->touched_ms != 0)
		put_number(w, TAG_TOUCHED, 8, (uint64_t)in->touched_ms);
}

/* The sum of all fields at their longest is 1,721 bytes. */
size_t instance_encode(const struct instance *in,
		       uint8_t out[INSTANCE_ENCODED_MAX])
{
	struct wr w = wr_init(out, INSTANCE_ENCODED_MAX);

	wr_u8(&w, ENCODING_VERSION);
	put_value(&w, TAG_ID, in->id.b, sizeof(in->id.b));
	put_number(&w, TAG_ASSOCIATION, 8, in->association);
	put_number(&w, TAG_RECEIVED, 8, (uint64_t)in->received_ms);
	put_number(&w, TAG_PRIORITY, 2, in->priority);
	put_number(&w, TAG_DEVICE_PRIORITY, 1, (uint8_t)in->device_priority);
	put_number(&w, TAG_LENGTH, 8, in->length);
	put_number(&w, TAG_CHUNKS, 4, in->chunks);
	put_value(&w, TAG_ROOT, in->root, sizeof(in->root));
	put_extras(&w, in);
	put_destinations(&w, in);
	for (size_t i = 0; i < ARRAY_LEN(text_fields); i++)
		put_text(&w, text_fields[i].tag,
			 (const char *)in + text_fields[i].at,
			 text_fields[i].size);
	return w.len;
}

/* Text without a NUL inside that fits the field. */
static bool get_text(struct rd *v, char *field, size_t size)
{
	size_t n = v->left;
	const uint8_t *p = rd_bytes(v, n);

	if (p == NULL || n >= size || memchr(p, 0, n) != NULL)
		return false;
	memcpy(field, p, n);
	memset(field + n, 0, size - n); /* of the same tag before, too */
	return true;
}

static bool get_text_field(unsigned tag, struct rd *v, struct instance *out)
{
	for (size_t i = 0; i < ARRAY_LEN(text_fields); i++)
		if (text_fields[i].tag == tag)
			return get_text(v, (char *)out + text_fields[i].at,
					text_fields[i].size);
	return true; /* of a later version */
}

static bool get_destination(struct rd *v, struct instance *out)
{
	if (out->n_destinations >= INSTANCE_DESTINATIONS)
		return false;
	return get_text(v, out->destinations[out->n_destinations++],
			INSTANCE_NAME_LEN);
}

static bool get_bytes(struct rd *v, void *out, size_t n)
{
	const uint8_t *p = rd_bytes(v, n);

	if (p == NULL)
		return false;
	memcpy(out, p, n);
	return true;
}

static bool get_move(struct rd *v, struct instance *out)
{
	out->has_move = true;
	out->move_originator_id = rd_u16(v);
	return rd_ok(v) &&
	       get_text(v, out->move_originator, sizeof(out->move_originator));
}

static bool get_origin(struct rd *v, struct instance *out)
{
	out->has_origin = true;
	return get_bytes(v, out->origin.peer, sizeof(out->origin.peer)) &&
	       get_bytes(v, out->origin.id.b, sizeof(out->origin.id.b));
}

static bool get_extra(unsigned tag, struct rd *v, struct instance *out)
{
	if (tag == TAG_MOVE)
		return get_move(v, out);
	if (tag == TAG_ORIGIN)
		return get_origin(v, out);
	if (tag == TAG_HELD) {
		out->held = true;
	} else if (tag == TAG_TOUCHED) {
		out->touched_ms = (int64_t)rd_u64(v);
	} else if (tag == TAG_COMMAND) {
		out->command = rd_u16(v);
		out->type = rd_u16(v);
	} else if (tag == TAG_COMMIT) {
		out->commit = rd_u8(v);
		return rd_ok(v) && out->commit <= INSTANCE_DESTINATIONS;
	}
	return rd_ok(v);
}

static bool get_value(unsigned tag, struct rd *v, struct instance *out)
{
	if (tag >= TAG_TEXT)
		return get_text_field(tag, v, out);
	if (tag == TAG_ID)
		return get_bytes(v, out->id.b, sizeof(out->id.b));
	if (tag == TAG_ROOT)
		return get_bytes(v, out->root, sizeof(out->root));
	if (tag == TAG_DESTINATION)
		return get_destination(v, out);
	if (tag == TAG_ASSOCIATION)
		out->association = rd_u64(v);
	else if (tag == TAG_RECEIVED)
		out->received_ms = (int64_t)rd_u64(v);
	else if (tag == TAG_PRIORITY)
		out->priority = rd_u16(v);
	else if (tag == TAG_DEVICE_PRIORITY)
		out->device_priority = (int8_t)rd_u8(v);
	else if (tag == TAG_LENGTH)
		out->length = rd_u64(v);
	else if (tag == TAG_CHUNKS)
		out->chunks = rd_u32(v);
	else
		return get_extra(tag, v, out);
	return rd_ok(v);
}

enum err instance_decode(const uint8_t *p, size_t len, struct instance *out)
{
	struct rd r = rd_init(p, len);
	bool good;

	memset(out, 0, sizeof(*out));
	good = rd_u8(&r) == ENCODING_VERSION;
	while (good && rd_ok(&r) && r.left > 0) {
		unsigned tag = rd_u8(&r);
		struct rd v = rd_sub(&r, rd_u16(&r));

		good = rd_ok(&r) && get_value(tag, &v, out);
	}
	if (good && rd_ok(&r))
		return ERR_OK;
	memset(out, 0, sizeof(*out));
	return ERR_CORRUPT;
}

const char *outcome_text(enum outcome_kind kind)
{
	switch (kind) {
#define X(name, value, text)                                                   \
	case OUTCOME_##name:                                                   \
		return text;
		OUTCOME_MAP(X)
#undef X
	}
	return "unknown";
}
