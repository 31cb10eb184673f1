#include "proxy/dicom/identify.h"

#include <assert.h>
#include <string.h>

#include "proxy/dicom/charset.h"
#include "proxy/dicom/identify_inflate.h"
#include "proxy/dicom/vr.h"
#include "proxy/lib/mem.h"
#include "proxy/lib/rd.h"

enum { UNDEFINED = 0xFFFFFFFF };
#define ITEM         0xFFFEE000u
#define ITEM_END     0xFFFEE00Du
#define SEQUENCE_END 0xFFFEE0DDu
#define SERIES_TAG   0x0020000Eu
#define DEPTH_MAX    (1u << 20) /* no file of this world nests so deep */

/* The values kept, where in raw, and how many bytes of each. */
enum {
	CHARSET,
	SOP_CLASS,
	SOP_INSTANCE,
	ACCESSION,
	MODALITY,
	NAME,
	ID,
	STUDY,
	SERIES
};

static const struct {
	uint32_t tag;
	uint16_t at, size;
} slots[IDENTIFY_N_VALUES] = {
    [CHARSET] = {0x00080005, 0, 256},       [SOP_CLASS] = {0x00080016, 256, 72},
    [SOP_INSTANCE] = {0x00080018, 328, 72}, [ACCESSION] = {0x00080050, 400, 64},
    [MODALITY] = {0x00080060, 464, 32},     [NAME] = {0x00100010, 496, 512},
    [ID] = {0x00100020, 1008, 256},         [STUDY] = {0x0020000D, 1264, 72},
    [SERIES] = {SERIES_TAG, 1336, 72},
};

_Static_assert(1336 + 72 == IDENTIFY_RAW, "the slots fill raw");

void identify_init(struct identify *id, enum ts_kind kind)
{
	memset(id, 0, sizeof(*id));
	id->explicit_vr = kind != TS_IMPLICIT_LE;
	id->big = kind == TS_EXPLICIT_BE;
	id->deflated = kind == TS_DEFLATED_LE;
	id->slot = -1;
	id->need = 8;
}

static void stop(struct identify *id, bool damaged)
{
	id->done = true;
	id->damaged = id->damaged || damaged;
}

/* ---- numbers and tags ---- */

static uint16_t u16_at(const struct identify *id, size_t at)
{
	struct rd r = rd_init(id->head + at, 2);

	return id->big ? rd_u16(&r) : rd_u16le(&r);
}

static uint32_t u32_at(const struct identify *id, size_t at)
{
	struct rd r = rd_init(id->head + at, 4);

	return id->big ? rd_u32(&r) : rd_u32le(&r);
}

static uint32_t tag_of(const struct identify *id)
{
	return (uint32_t)u16_at(id, 0) << 16 | u16_at(id, 2);
}

/* ---- how it is encoded ---- */

/* Whether the element in head has a VR. Inside an UN of undefined length it
 * should not (PS3.5 6.2.2), but some writers leave it as it was. */
static bool has_vr(const struct identify *id)
{
	if (!id->explicit_vr)
		return false;
	return id->implicit_at == 0 || vr_kind(id->head + 4) != VR_UNKNOWN;
}

enum shape { SHORT_LENGTH, LONG_LENGTH, NO_VR };

/* VRs that are none: two capitals are a VR of the future (long form, its
 * reserved bytes zero) or a private invention (short form). Else it is an
 * implicit element gone astray if that gives a sensible length, or a short
 * one with a spoilt VR. */
static enum shape shape_of_unknown(const uint8_t *h, bool big)
{
	bool low = big ? h[4] == 0 && h[5] == 0 : h[6] == 0 && h[7] == 0;

	if (vr_is_shaped(h + 4))
		return h[6] == 0 && h[7] == 0 ? LONG_LENGTH : SHORT_LENGTH;
	if (memcmp(h + 4, "\xff\xff\xff\xff", 4) == 0)
		return NO_VR;
	return low && h[4] != ' ' && h[4] != '?' && h[4] != '-' ? NO_VR
								: SHORT_LENGTH;
}

/* Judge by the first element: its group (2, 4 or 8) tells the byte order; a VR
 * read as an implicit length would be above 16,704, which no first element
 * has. */
static void look_at_first(struct identify *id)
{
	const uint8_t *h = id->head;
	bool known = vr_kind(h + 4) != VR_UNKNOWN;

	id->started = true;
	if (id->big ? h[1] == 0 && h[0] != 0 : h[0] == 0 && h[1] != 0)
		id->big = !id->big;
	id->explicit_vr =
	    known || (id->explicit_vr && shape_of_unknown(h, id->big) != NO_VR);
	if (!known && tag_of(id) > SERIES_TAG)
		stop(id, true); /* bytes of another kind */
}

static enum shape shape_of(const struct identify *id)
{
	if (u16_at(id, 0) == 0xFFFE || !has_vr(id))
		return NO_VR;
	switch (vr_kind(id->head + 4)) {
	case VR_SHORT:
		return SHORT_LENGTH;
	case VR_LONG:
		return LONG_LENGTH;
	case VR_UNKNOWN:
		break;
	}
	return shape_of_unknown(id->head, id->big);
}

/* ---- structure ---- */

static void begin_value(struct identify *id, int slot, uint32_t len)
{
	id->slot = (int8_t)slot;
	id->skip = len;
	if (slot >= 0 && len > slots[slot].size)
		id->overlong |= (uint16_t)(1u << slot);
}

static void end_value(struct identify *id)
{
	if (id->slot < 0)
		return;
	id->seen |= (uint16_t)(1u << id->slot);
	if (id->slot == SERIES)
		stop(id, false);
	id->slot = -1;
}

static int slot_of(const struct identify *id, uint32_t tag)
{
	for (int i = 0; i < IDENTIFY_N_VALUES; i++) {
		if (slots[i].tag == tag && !(id->seen & 1u << i))
			return i;
	}
	return -1;
}

/* An element with items, of undefined length, begins at this depth. */
static void open_sequence(struct identify *id)
{
	bool un = has_vr(id) && memcmp(id->head + 4, "UN", 2) == 0;

	id->depth++;
	if (un && id->implicit_at == 0)
		id->implicit_at = id->depth;
	if (id->depth > DEPTH_MAX)
		stop(id, true);
}

static void close_levels(struct identify *id, uint32_t n)
{
	id->depth -= n;
	if (id->depth < id->implicit_at)
		id->implicit_at = 0;
}

static void on_element(struct identify *id, uint32_t len, int slot)
{
	if (len == UNDEFINED)
		open_sequence(id);
	else
		begin_value(id, slot, len);
}

static void on_top(struct identify *id, uint32_t tag, uint32_t len)
{
	uint16_t group = (uint16_t)(tag >> 16);

	if (tag == ITEM_END || tag == SEQUENCE_END)
		return; /* one too many: harmless */
	if (tag > SERIES_TAG) {
		stop(id, group == 0xFFFE);
		return;
	}
	if (group == 0) { /* a command set, or zeros: no data set has it */
		stop(id, true);
		return;
	}
	on_element(id, len, len == UNDEFINED ? -1 : slot_of(id, tag));
}

/* depth is odd: items are to come. */
static void in_sequence(struct identify *id, uint32_t tag, uint32_t len)
{
	if (tag == ITEM && len == UNDEFINED)
		id->depth++;
	else if (tag == ITEM)
		begin_value(id, -1, len);
	else if (tag == SEQUENCE_END)
		close_levels(id, 1);
	else if (tag != ITEM_END)
		stop(id, true);
}

/* depth is even: elements are to come. Delimiters that are missing are
 * supplied. */
static void in_item(struct identify *id, uint32_t tag, uint32_t len)
{
	if (tag == ITEM_END) {
		close_levels(id, 1);
	} else if (tag == SEQUENCE_END) {
		close_levels(id, 2);
	} else if (tag == ITEM) {
		close_levels(id, 1);
		in_sequence(id, tag, len);
	} else {
		on_element(id, len, -1);
	}
}

static void on_header(struct identify *id, uint32_t len)
{
	uint32_t tag = tag_of(id);

	id->n_head = 0;
	id->need = 8;
	if (id->depth == 0)
		on_top(id, tag, len);
	else if (id->depth % 2 == 1)
		in_sequence(id, tag, len);
	else
		in_item(id, tag, len);
	if (id->skip == 0)
		end_value(id);
}

/* head holds the bytes wanted: use them, or ask for four more. */
static void on_head(struct identify *id)
{
	if (id->need == 12) {
		on_header(id, u32_at(id, 8));
		return;
	}
	if (!id->started)
		look_at_first(id);
	if (id->done)
		return;
	switch (shape_of(id)) {
	case LONG_LENGTH:
		id->need = 12;
		break;
	case SHORT_LENGTH:
		on_header(id, u16_at(id, 6));
		break;
	case NO_VR:
		on_header(id, u32_at(id, 4));
		break;
	}
}

/* ---- bytes ---- */

static size_t take_head(struct identify *id, const uint8_t *p, size_t n)
{
	size_t take = id->need - id->n_head;

	if (take > n)
		take = n;
	memcpy(id->head + id->n_head, p, take);
	id->n_head = (uint8_t)(id->n_head + take);
	if (id->n_head == id->need)
		on_head(id);
	return take;
}

static void keep(struct identify *id, const uint8_t *p, size_t n)
{
	size_t room;

	if (id->slot < 0)
		return;
	room = slots[id->slot].size - id->len[id->slot];
	if (n > room)
		n = room;
	memcpy(id->raw + slots[id->slot].at + id->len[id->slot], p, n);
	id->len[id->slot] = (uint16_t)(id->len[id->slot] + n);
}

static size_t take_value(struct identify *id, const uint8_t *p, size_t n)
{
	size_t take = n < id->skip ? n : id->skip;

	keep(id, p, take);
	id->skip -= (uint32_t)take;
	if (id->skip == 0)
		end_value(id);
	return take;
}

static bool feed_plain(void *arg, const uint8_t *bytes, size_t n)
{
	struct identify *id = arg;
	size_t used;

	for (; n > 0 && !id->done; bytes += used, n -= used)
		used = id->skip > 0 ? take_value(id, bytes, n)
				    : take_head(id, bytes, n);
	return !id->done;
}

static bool inside_element(const struct identify *id)
{
	return id->n_head > 0 || id->skip > 0 || id->depth > 0;
}

static void feed_deflated(struct identify *id, const uint8_t *bytes, size_t n)
{
	enum err e = ERR_NOMEM;

	if (id->inflater == NULL)
		id->inflater = inflater_new();
	if (id->inflater != NULL)
		e = inflater_feed(id->inflater, bytes, n, IDENTIFY_MAX_INFLATED,
				  feed_plain, id);
	if (e != ERR_OK && !id->done)
		stop(id, e != ERR_CLOSED || inside_element(id));
}

bool identify_feed(struct identify *id, const uint8_t *bytes, size_t n)
{
	if (id->done || n == 0)
		return !id->done;
	if (id->deflated)
		feed_deflated(id, bytes, n);
	else
		(void)feed_plain(id, bytes, n);
	return !id->done;
}

/* ---- result ---- */

/* UIDs and the modality: printable ASCII that fits, or not readable. */
static void code_out(const struct identify *id, int slot, uint32_t bit,
		     struct identity *out, char *text, size_t size)
{
	if (!(id->seen & 1u << slot) || id->overlong & 1u << slot)
		return;
	if (!uid_text(id->raw + slots[slot].at, id->len[slot], text, size))
		return;
	for (const char *c = text; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~') {
			text[0] = '\0';
			return;
		}
	}
	out->has |= bit;
}

static void text_out(const struct identify *id, int slot, uint32_t bit,
		     struct identity *out, char *text, size_t size)
{
	if (!(id->seen & 1u << slot))
		return;
	charset_to_utf8(id->raw + slots[CHARSET].at, id->len[CHARSET],
			id->raw + slots[slot].at, id->len[slot], text, size);
	out->has |= bit;
}

#define CODE(slot, field)                                                      \
	code_out(id, slot, IDENTITY_##slot, out, out->field, sizeof(out->field))
#define TEXT(slot, bit, field)                                                 \
	text_out(id, slot, bit, out, out->field, sizeof(out->field))

static void results(const struct identify *id, struct identity *out)
{
	memset(out, 0, sizeof(*out));
	out->damaged = id->damaged || (!id->done && inside_element(id));
	CODE(SOP_CLASS, sop_class);
	CODE(SOP_INSTANCE, sop_instance);
	CODE(MODALITY, modality);
	CODE(STUDY, study);
	CODE(SERIES, series);
	TEXT(ACCESSION, IDENTITY_ACCESSION, accession);
	TEXT(NAME, IDENTITY_PATIENT_NAME, patient_name);
	TEXT(ID, IDENTITY_PATIENT_ID, patient_id);
}

void identify_end(struct identify *id, struct identity *out)
{
	/* Cut off within the deflated stream, however it looks inside. */
	if (id->inflater != NULL && !id->done)
		stop(id, true);
	if (out != NULL)
		results(id, out);
	inflater_free(id->inflater);
	mem_wipe(id->raw, sizeof(id->raw));
	id->inflater = NULL;
	id->done = true;
}
