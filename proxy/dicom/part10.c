#include "proxy/dicom/part10.h"

#include <stdbool.h>
#include <string.h>

#include "proxy/dicom/vr.h"
#include "proxy/lib/mem.h"
#include "proxy/lib/rd.h"

/* ---- encode ---- */

static void put_text(struct wr *w, uint16_t element, const char vr[2],
		     const char *text)
{
	size_t n = strlen(text);

	if (n == 0)
		return;
	wr_u16le(w, 0x0002);
	wr_u16le(w, element);
	wr_bytes(w, vr, 2);
	wr_u16le(w, (uint16_t)(n + n % 2));
	wr_bytes(w, text, n);
	wr_fill(w, vr[0] == 'U' ? '\0' : ' ', n % 2);
}

/* (0002,0000) UL: bytes after it, of group 0002. */
static void put_group_length(struct wr *w, uint32_t n)
{
	wr_u16le(w, 0x0002);
	wr_u16le(w, 0x0000);
	wr_bytes(w, "UL", 2);
	wr_u16le(w, 4);
	wr_u32le(w, n);
}

enum { GROUP_LENGTH_SIZE = 12 };

static void put_version(struct wr *w)
{
	static const uint8_t element[] = {0x02, 0, 0x01, 0, 'O', 'B', 0,
					  0,    2, 0,    0, 0,   0,   1};

	wr_bytes(w, element, sizeof(element));
}

static void put_elements(struct wr *w, const struct part10_meta *m)
{
	put_version(w);
	put_text(w, 0x0002, "UI", m->sop_class);
	put_text(w, 0x0003, "UI", m->sop_instance);
	put_text(w, 0x0010, "UI", m->transfer_syntax);
	put_text(w, 0x0012, "UI",
		 m->impl_class[0] != '\0' ? m->impl_class : UID_OUR_CLASS);
	put_text(w, 0x0013, "SH", m->impl_version);
	put_text(w, 0x0016, "AE", m->source_ae);
	put_text(w, 0x0017, "AE", m->sending_ae);
	put_text(w, 0x0018, "AE", m->receiving_ae);
}

enum err part10_meta_encode(const struct part10_meta *meta, struct wr *w)
{
	struct wr length;
	size_t at;

	if (meta->sop_class[0] == '\0' || meta->sop_instance[0] == '\0' ||
	    meta->transfer_syntax[0] == '\0')
		return ERR_INVAL;
	wr_fill(w, 0, PART10_PREAMBLE);
	wr_bytes(w, "DICM", 4);
	at = w->len;
	put_group_length(w, 0);
	put_elements(w, meta);
	if (!wr_ok(w))
		return ERR_LIMIT;
	length = wr_init(w->base + at, GROUP_LENGTH_SIZE);
	put_group_length(&length, (uint32_t)(w->len - at - GROUP_LENGTH_SIZE));
	return ERR_OK;
}

/* ---- split ---- */

struct element {
	uint16_t number;
	uint32_t len;
	const uint8_t *value;
};

/* Read one element of group 0002; implicit VR is taken for what it is. */
static enum err read_element(struct rd *r, struct element *out)
{
	struct rd at = *r;
	const uint8_t *vr;

	(void)rd_u16le(&at);
	out->number = rd_u16le(&at);
	vr = rd_bytes(&at, 2);
	if (vr == NULL)
		return ERR_AGAIN;
	if (!vr_is_shaped(vr)) {
		uint32_t high = rd_u16le(&at);

		out->len = high << 16 | (uint32_t)vr[1] << 8 | vr[0];
	} else if (vr_kind(vr) == VR_LONG) {
		(void)rd_u16le(&at);
		out->len = rd_u32le(&at);
	} else {
		out->len = rd_u16le(&at);
	}
	if (!rd_ok(&at))
		return ERR_AGAIN;
	if (out->len > PART10_HEAD_MAX)
		return ERR_LIMIT;
	out->value = rd_bytes(&at, out->len);
	if (!rd_ok(&at))
		return ERR_AGAIN;
	*r = at;
	return ERR_OK;
}

static void keep(struct part10_meta *m, const struct element *el)
{
	const struct {
		uint16_t number;
		char *out;
		size_t size;
	} fields[] = {
	    {0x0002, m->sop_class, sizeof(m->sop_class)},
	    {0x0003, m->sop_instance, sizeof(m->sop_instance)},
	    {0x0010, m->transfer_syntax, sizeof(m->transfer_syntax)},
	    {0x0012, m->impl_class, sizeof(m->impl_class)},
	    {0x0013, m->impl_version, sizeof(m->impl_version)},
	    {0x0016, m->source_ae, sizeof(m->source_ae)},
	    {0x0017, m->sending_ae, sizeof(m->sending_ae)},
	    {0x0018, m->receiving_ae, sizeof(m->receiving_ae)},
	};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (fields[i].number == el->number && fields[i].out[0] == '\0')
			(void)uid_text(el->value, el->len, fields[i].out,
				       fields[i].size);
	}
}

/* Whether group 0002 goes on at p. At the place where the group length says
 * that it ends, an element must look like one to be believed: a deflated data
 * set may begin with any bytes. */
static bool goes_on(const uint8_t *p, size_t n, bool at_end)
{
	if (at_end && n < 6)
		return false;
	if (n >= 2 && (p[0] != 0x02 || p[1] != 0x00))
		return false;
	return !at_end || (p[3] <= 1 && vr_is_shaped(p + 4));
}

static enum err read_meta(struct rd *r, struct part10_meta *meta)
{
	struct element el;
	size_t end = SIZE_MAX; /* what is left where the group ends */
	enum err e;

	while (goes_on(r->p, r->left, r->left == end)) {
		e = read_element(r, &el);
		if (e != ERR_OK)
			return e;
		if (el.number == 0 && el.len == 4) {
			struct rd v = rd_init(el.value, 4);
			uint32_t n = rd_u32le(&v);

			end = n <= r->left ? r->left - n : SIZE_MAX;
		}
		keep(meta, &el);
	}
	return ERR_OK;
}

/* Where meta information or a bare data set begins. */
static enum err find_start(const uint8_t *head, size_t n, size_t *at)
{
	size_t magic = PART10_PREAMBLE + 4;

	*at = 0;
	if (n >= magic && memcmp(head + PART10_PREAMBLE, "DICM", 4) == 0)
		*at = magic;
	else if (n >= 4 && memcmp(head, "DICM", 4) == 0)
		*at = 4;
	else if (n < magic && (n < 2 || head[0] != 0x02 || head[1] != 0x00))
		return ERR_AGAIN;
	return ERR_OK;
}

enum err part10_split(const uint8_t *head, size_t n, struct part10_meta *meta,
		      size_t *data_set_offset)
{
	size_t looked = n < PART10_HEAD_MAX ? n : PART10_HEAD_MAX, at;
	struct rd r;
	enum err e;

	memset(meta, 0, sizeof(*meta));
	e = find_start(head, looked, &at);
	if (e != ERR_OK)
		return e;
	r = rd_init(head + at, looked - at);
	if (r.left >= 2 && (r.p[0] != 0x02 || r.p[1] != 0x00)) {
		*data_set_offset = at;
		return ERR_NOTFOUND;
	}
	e = read_meta(&r, meta);
	if (e == ERR_AGAIN && looked == PART10_HEAD_MAX)
		e = ERR_LIMIT;
	if (e == ERR_OK)
		*data_set_offset = looked - r.left;
	return e;
}
