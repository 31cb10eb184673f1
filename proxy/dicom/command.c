#include "proxy/dicom/command.h"

#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/lib/rd.h"

enum kind { TEXT_UI, TEXT_AE, TEXT_LO, NUMBER, TAGS };

/* One element of group 0000: where it lives in struct command. */
struct row {
	uint16_t element;
	uint8_t kind;
	uint8_t size; /* text: bytes with NUL; tags: entries */
	uint16_t at;
	uint16_t count_at; /* tags: where their number is */
};

#define UI(e, f)                                                               \
	{                                                                      \
		e, TEXT_UI, UID_SIZE, offsetof(struct command, f), 0           \
	}
#define AE(e, f)                                                               \
	{                                                                      \
		e, TEXT_AE, 17, offsetof(struct command, f), 0                 \
	}
#define LO(e, f)                                                               \
	{                                                                      \
		e, TEXT_LO, 65, offsetof(struct command, f), 0                 \
	}
#define US(e, f)                                                               \
	{                                                                      \
		e, NUMBER, 2, offsetof(struct command, f), 0                   \
	}
#define AT(e, f, max)                                                          \
	{                                                                      \
		e, TAGS, max, offsetof(struct command, f),                     \
		    offsetof(struct command, n_##f)                            \
	}

/* Ascending tags; row i stands for bit i of has. */
static const struct row rows[] = {
    UI(0x0002, affected_class),
    UI(0x0003, requested_class),
    US(0x0100, field),
    US(0x0110, message_id),
    US(0x0120, responded_id),
    AE(0x0600, move_destination),
    US(0x0700, priority),
    US(0x0800, data_set_type),
    US(0x0900, status),
    AT(0x0901, offending, COMMAND_MAX_OFFENDING),
    LO(0x0902, comment),
    US(0x0903, error_id),
    UI(0x1000, affected_instance),
    UI(0x1001, requested_instance),
    US(0x1002, event_type),
    AT(0x1005, attributes, COMMAND_MAX_ATTRIBUTES),
    US(0x1008, action_type),
    US(0x1020, remaining),
    US(0x1021, completed),
    US(0x1022, failed),
    US(0x1023, warning),
    AE(0x1030, originator_ae),
    US(0x1031, originator_id),
};

_Static_assert(ARRAY_LEN(rows) == 23 && CMD_ORIGINATOR_ID == 1u << 22,
	       "a row for each bit");

static void *field_of(struct command *c, uint16_t at)
{
	return (uint8_t *)c + at;
}

static const void *field_in(const struct command *c, uint16_t at)
{
	return (const uint8_t *)c + at;
}

/* ---- decode ---- */

static bool take_number(struct command *c, const struct row *row, struct rd v)
{
	uint16_t n = rd_u16le(&v);

	if (rd_ok(&v))
		memcpy(field_of(c, row->at), &n, sizeof(n));
	return rd_ok(&v);
}

static bool take_tags(struct command *c, const struct row *row, struct rd v)
{
	uint16_t n = 0;

	for (; n < row->size && v.left >= 4; n++) {
		uint32_t group = rd_u16le(&v), tag = group << 16 | rd_u16le(&v);

		memcpy(field_of(c, (uint16_t)(row->at + 4 * n)), &tag, 4);
	}
	memcpy(field_of(c, row->count_at), &n, sizeof(n));
	return true;
}

static bool take_text(struct command *c, const struct row *row, struct rd v)
{
	char *out = field_of(c, row->at);

	if (uid_text(v.p, v.left, out, row->size))
		return true;
	if (row->kind == TEXT_LO) /* for people: better cut than lost */
		return uid_text(v.p, row->size - 1u, out, row->size);
	return false;
}

static void take(struct command *c, size_t i, struct rd v)
{
	bool good = false;

	if (c->has & 1u << i)
		return;
	switch ((enum kind)rows[i].kind) {
	case TEXT_UI:
	case TEXT_AE:
	case TEXT_LO:
		good = take_text(c, &rows[i], v);
		break;
	case NUMBER:
		good = take_number(c, &rows[i], v);
		break;
	case TAGS:
		good = take_tags(c, &rows[i], v);
		break;
	}
	if (good)
		c->has |= 1u << i;
}

static void take_element(struct command *c, uint16_t element, struct rd v)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].element == element)
			take(c, i, v);
	}
}

enum err command_decode(const uint8_t *bytes, size_t len, struct command *out)
{
	struct rd r = rd_init(bytes, len), v;
	uint16_t group, element;

	memset(out, 0, sizeof(*out));
	while (r.left > 0) {
		if (r.left == 1 && r.p[0] == 0)
			break; /* padding of an odd fragment */
		group = rd_u16le(&r);
		element = rd_u16le(&r);
		v = rd_sub(&r, rd_u32le(&r));
		if (!rd_ok(&r))
			return ERR_PROTO;
		if (group == 0)
			take_element(out, element, v);
	}
	return out->has & CMD_FIELD ? ERR_OK : ERR_PROTO;
}

bool command_has_data_set(const struct command *c)
{
	if (c->has & CMD_DATA_SET_TYPE)
		return c->data_set_type != COMMAND_NO_DATA_SET;
	return c->field == C_STORE_RQ || c->field == C_FIND_RQ ||
	       c->field == C_MOVE_RQ || c->field == C_GET_RQ ||
	       c->field == N_SET_RQ;
}

/* ---- encode ---- */

static void put_head(struct wr *w, uint16_t element, size_t len)
{
	wr_u16le(w, 0);
	wr_u16le(w, element);
	wr_u32le(w, (uint32_t)len);
}

static void put_text(struct wr *w, const struct row *row, const char *text)
{
	size_t n = strlen(text);

	put_head(w, row->element, n + n % 2);
	wr_bytes(w, text, n);
	wr_fill(w, row->kind == TEXT_UI ? '\0' : ' ', n % 2);
}

static void put_tags(struct wr *w, const struct row *row,
		     const struct command *c)
{
	const uint8_t *tags = field_in(c, row->at);
	uint32_t tag;
	uint16_t n;

	memcpy(&n, field_in(c, row->count_at), sizeof(n));
	put_head(w, row->element, 4u * n);
	for (size_t i = 0; i < n; i++) {
		memcpy(&tag, tags + 4 * i, sizeof(tag));
		wr_u16le(w, (uint16_t)(tag >> 16));
		wr_u16le(w, (uint16_t)tag);
	}
}

static void put(struct wr *w, const struct row *row, const struct command *c)
{
	uint16_t n;

	switch ((enum kind)row->kind) {
	case TEXT_UI:
	case TEXT_AE:
	case TEXT_LO:
		put_text(w, row, field_in(c, row->at));
		break;
	case NUMBER:
		memcpy(&n, field_in(c, row->at), sizeof(n));
		put_head(w, row->element, 2);
		wr_u16le(w, n);
		break;
	case TAGS:
		put_tags(w, row, c);
		break;
	}
}

enum err command_encode(const struct command *c, struct wr *w)
{
	size_t start = w->len;
	struct wr length;

	if (!(c->has & CMD_FIELD))
		return ERR_INVAL;
	put_head(w, 0, 4);
	wr_u32le(w, 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (c->has & 1u << i)
			put(w, &rows[i], c);
	}
	if (!wr_ok(w))
		return ERR_LIMIT;
	length = wr_init(w->base + start + 8, 4);
	wr_u32le(&length, (uint32_t)(w->len - start - 12));
	return ERR_OK;
}
