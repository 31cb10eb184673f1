#include "tests/bench/dcm.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define APPLICATION_CONTEXT "1.2.840.10008.3.1.1.1"
#define IMPLEMENTATION      "1.2.826.0.1.3680043.10.1599.7"

/* An output that cannot overflow: it stops instead. */
struct out {
	uint8_t *b;
	size_t n, cap;
};

static void put(struct out *o, const void *p, size_t n)
{
	assert(n <= o->cap - o->n);
	memcpy(o->b + o->n, p, n);
	o->n += n;
}

static void put8(struct out *o, unsigned v)
{
	uint8_t b = (uint8_t)v;

	put(o, &b, 1);
}

static void put_be16(struct out *o, unsigned v)
{
	put8(o, v >> 8);
	put8(o, v & 0xff);
}

static void put_be(struct out *o, uint32_t v)
{
	put_be16(o, v >> 16);
	put_be16(o, v & 0xffff);
}

static void put_le16(struct out *o, unsigned v)
{
	put8(o, v & 0xff);
	put8(o, v >> 8);
}

static void put_le32(struct out *o, uint32_t v)
{
	put_le16(o, v & 0xffff);
	put_le16(o, v >> 16);
}

uint32_t dcm_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

void dcm_put_be32(uint8_t *p, uint32_t v)
{
	struct out o = {.b = p, .cap = 4};

	put_be(&o, v);
}

static unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static unsigned le16(const uint8_t *p)
{
	return (unsigned)p[1] << 8 | p[0];
}

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)le16(p + 2) << 16 | le16(p);
}

void dcm_pdata_header(uint8_t out[12], uint32_t n, uint8_t context,
		      bool command, bool last)
{
	struct out o = {.b = out, .cap = 12};

	put8(&o, DCM_PDATA);
	put8(&o, 0);
	put_be(&o, n + DCM_PDV_HEADER);
	put_be(&o, n + 2);
	put8(&o, context);
	put8(&o, (command ? 1u : 0u) | (last ? 2u : 0u));
}

/* --- association --- */

static void item(struct out *o, unsigned type, const void *p, size_t n)
{
	put8(o, type);
	put8(o, 0);
	put_be16(o, (unsigned)n);
	put(o, p, n);
}

static void text_item(struct out *o, unsigned type, const char *s)
{
	item(o, type, s, strlen(s));
}

static void user_information(struct out *o, uint32_t max_pdu)
{
	uint8_t b[128], max[4];
	struct out u = {.b = b, .cap = sizeof(b)};

	dcm_put_be32(max, max_pdu);
	item(&u, 0x51, max, 4);
	text_item(&u, 0x52, IMPLEMENTATION);
	text_item(&u, 0x55, "BENCH_1");
	item(o, 0x50, u.b, u.n);
}

static void put_ae(struct out *o, const char *ae)
{
	char b[17];

	snprintf(b, sizeof(b), "%-16.16s", ae);
	put(o, b, 16);
}

static size_t finish_pdu(struct out *o)
{
	dcm_put_be32(o->b + 2, (uint32_t)(o->n - DCM_PDU_HEADER));
	return o->n;
}

size_t dcm_associate_rq(uint8_t out[DCM_SMALL], const char *called,
			const char *calling, const char *abstract,
			uint32_t max_pdu)
{
	static const uint8_t zero[32], id[4] = {1};
	struct out o = {.b = out, .cap = DCM_SMALL};
	uint8_t b[200];
	struct out c = {.b = b, .cap = sizeof(b)};

	put(&o, (const uint8_t[]){DCM_RQ, 0, 0, 0, 0, 0, 0, 1, 0, 0}, 10);
	put_ae(&o, called);
	put_ae(&o, calling);
	put(&o, zero, 32);
	text_item(&o, 0x10, APPLICATION_CONTEXT);
	put(&c, id, 4);
	text_item(&c, 0x30, abstract);
	text_item(&c, 0x40, DCM_EXPLICIT_LE);
	item(&o, 0x20, c.b, c.n);
	user_information(&o, max_pdu);
	return finish_pdu(&o);
}

/* The next item of p[*at..n): its body, or NULL at the end or when cut. */
static const uint8_t *next_item(const uint8_t *p, size_t n, size_t *at,
				unsigned *type, size_t *len)
{
	const uint8_t *i = p + *at;

	if (n - *at < 4)
		return NULL;
	*type = i[0];
	*len = be16(i + 2);
	if (*len > n - *at - 4)
		return NULL;
	*at += 4 + *len;
	return i + 4;
}

static void read_user_information(const uint8_t *p, size_t n,
				  struct dcm_ac *out)
{
	size_t at = 0, len;
	unsigned type;
	const uint8_t *b;

	while ((b = next_item(p, n, &at, &type, &len)))
		if (type == 0x51 && len == 4)
			out->max_pdu = dcm_be32(b);
}

bool dcm_ac_decode(const uint8_t *body, size_t n, struct dcm_ac *out)
{
	size_t at = 68, len;
	unsigned type;
	const uint8_t *b;

	out->max_pdu = 0;
	out->result = 0xff;
	if (n < at)
		return false;
	while ((b = next_item(body, n, &at, &type, &len))) {
		if (type == 0x21 && len >= 4 && b[0] == 1)
			out->result = b[2];
		if (type == 0x50)
			read_user_information(b, len, out);
	}
	return at == n;
}

static bool accept_context(const uint8_t *p, size_t n, struct out *o)
{
	size_t at = 4, len;
	unsigned type;
	const uint8_t *b;
	uint8_t body[256];
	struct out c = {.b = body, .cap = sizeof(body)};

	if (n < 4)
		return false;
	while ((b = next_item(p, n, &at, &type, &len))) {
		if (type != 0x40 || len > 64)
			continue;
		put8(&c, p[0]);
		put(&c, "\0\0", 3);
		item(&c, 0x40, b, len);
		if (o->cap - o->n < c.n + 200)
			return false;
		item(o, 0x21, c.b, c.n);
		return true;
	}
	return false;
}

size_t dcm_accept_all(const uint8_t *rq, size_t n, uint32_t max_pdu,
		      uint8_t *out, size_t cap)
{
	struct out o = {.b = out, .cap = cap};
	size_t at = 68, len;
	unsigned type;
	const uint8_t *b;

	if (n < at || cap < 512)
		return 0;
	put(&o, (const uint8_t[]){DCM_AC, 0, 0, 0, 0, 0, 0, 1, 0, 0}, 10);
	put(&o, rq + 4, 64);
	text_item(&o, 0x10, APPLICATION_CONTEXT);
	while ((b = next_item(rq, n, &at, &type, &len)))
		if (type == 0x20 && !accept_context(b, len, &o))
			return 0;
	user_information(&o, max_pdu);
	return finish_pdu(&o);
}

/* --- DIMSE --- */

static void element(struct out *o, unsigned tag, const void *p, size_t n)
{
	put_le16(o, 0);
	put_le16(o, tag);
	put_le32(o, (uint32_t)(n + n % 2));
	put(o, p, n);
	if (n % 2)
		put8(o, 0);
}

static void element_us(struct out *o, unsigned tag, unsigned v)
{
	uint8_t b[2] = {(uint8_t)(v & 0xff), (uint8_t)(v >> 8)};

	element(o, tag, b, 2);
}

/* Where the command set begins, and its group length to be filled in. */
static void begin_command(struct out *o)
{
	o->n = 12;
	element(o, 0x0000, "\0\0\0", 4);
}

static size_t finish_command(struct out *o, uint8_t context)
{
	struct out length = {.b = o->b + 20, .cap = 4};

	put_le32(&length, (uint32_t)(o->n - 24));
	dcm_pdata_header(o->b, (uint32_t)(o->n - 12), context, true, true);
	return o->n;
}

size_t dcm_store_rq(uint8_t out[DCM_SMALL], uint16_t message,
		    const char *sop_class, const char *sop_instance)
{
	struct out o = {.b = out, .cap = DCM_SMALL};

	begin_command(&o);
	element(&o, 0x0002, sop_class, strlen(sop_class));
	element_us(&o, 0x0100, DCM_C_STORE_RQ);
	element_us(&o, 0x0110, message);
	element_us(&o, 0x0700, 0);
	element_us(&o, 0x0800, 1);
	element(&o, 0x1000, sop_instance, strlen(sop_instance));
	return finish_command(&o, 1);
}

size_t dcm_echo_rq(uint8_t out[DCM_SMALL], uint16_t message)
{
	struct out o = {.b = out, .cap = DCM_SMALL};

	begin_command(&o);
	element(&o, 0x0002, DCM_VERIFICATION, strlen(DCM_VERIFICATION));
	element_us(&o, 0x0100, DCM_C_ECHO_RQ);
	element_us(&o, 0x0110, message);
	element_us(&o, 0x0800, DCM_NO_DATA_SET);
	return finish_command(&o, 1);
}

static void uid(char out[65], const uint8_t *p, size_t n)
{
	if (n > 64)
		n = 64;
	memcpy(out, p, n);
	out[n] = '\0';
	while (n > 0 && (out[n - 1] == '\0' || out[n - 1] == ' '))
		out[--n] = '\0';
}

bool dcm_command_decode(const uint8_t *p, size_t n, struct dcm_command *out)
{
	memset(out, 0, sizeof(*out));
	out->data_set = DCM_NO_DATA_SET;
	while (n >= 8) {
		unsigned group = le16(p), tag = le16(p + 2);
		size_t len = le32(p + 4);
		const uint8_t *v = p + 8;
		uint16_t us;

		if (group != 0 || len > n - 8)
			return false;
		us = len >= 2 ? (uint16_t)le16(v) : 0;
		if (tag == 0x0002)
			uid(out->sop_class, v, len);
		else if (tag == 0x0100)
			out->field = us;
		else if (tag == 0x0110)
			out->message = us;
		else if (tag == 0x0120)
			out->answered = us;
		else if (tag == 0x0800)
			out->data_set = us;
		else if (tag == 0x0900)
			out->status = us;
		else if (tag == 0x1000)
			uid(out->sop_instance, v, len);
		p += 8 + len;
		n -= 8 + len;
	}
	return n == 0;
}

static size_t response(uint8_t out[DCM_SMALL], uint8_t context,
		       const struct dcm_command *rq, uint16_t status,
		       unsigned data_set)
{
	struct out o = {.b = out, .cap = DCM_SMALL};

	begin_command(&o);
	element(&o, 0x0002, rq->sop_class, strlen(rq->sop_class));
	element_us(&o, 0x0100, rq->field | 0x8000u);
	element_us(&o, 0x0120, rq->message);
	element_us(&o, 0x0800, data_set);
	element_us(&o, 0x0900, status);
	if (rq->sop_instance[0])
		element(&o, 0x1000, rq->sop_instance, strlen(rq->sop_instance));
	return finish_command(&o, context);
}

size_t dcm_response(uint8_t out[DCM_SMALL], uint8_t context,
		    const struct dcm_command *rq, uint16_t status)
{
	return response(out, context, rq, status, DCM_NO_DATA_SET);
}

/* --- data sets --- */

static void attribute(struct out *o, uint32_t tag, const char *vr,
		      const char *value)
{
	size_t n = strlen(value);

	put_le16(o, tag >> 16);
	put_le16(o, tag & 0xffff);
	put(o, vr, 2);
	put_le16(o, (unsigned)(n + n % 2));
	put(o, value, n);
	if (n % 2)
		put8(o, vr[0] == 'U' && vr[1] == 'I' ? 0 : ' ');
}

static void attribute_us(struct out *o, uint32_t tag, unsigned v)
{
	put_le16(o, tag >> 16);
	put_le16(o, tag & 0xffff);
	put(o, "US", 2);
	put_le16(o, 2);
	put_le16(o, v);
}

static void patient(struct out *o)
{
	attribute(o, 0x00100010, "PN", "Bench^Instance");
	attribute(o, 0x00100020, "LO", "BENCH-0001");
	attribute(o, 0x00100030, "DA", "");
	attribute(o, 0x00100040, "CS", "O");
}

static void image(struct out *o, uint32_t pixel_bytes)
{
	unsigned columns = pixel_bytes >= 512 * 512 * 2 ? 512 : 64;
	uint32_t rows = pixel_bytes / 2 / columns;

	attribute_us(o, 0x00280002, 1);
	attribute(o, 0x00280004, "CS", "MONOCHROME2");
	attribute_us(o, 0x00280010, rows > 65535 ? 65535 : rows);
	attribute_us(o, 0x00280011, columns);
	attribute_us(o, 0x00280100, 16);
	attribute_us(o, 0x00280101, 16);
	attribute_us(o, 0x00280102, 15);
	attribute_us(o, 0x00280103, 0);
	put_le16(o, 0x7fe0);
	put_le16(o, 0x0010);
	put(o, "OW\0", 4);
	put_le32(o, pixel_bytes);
}

/* The second PDU begins at out + n: room for its header; then finish_data(). */
static struct out begin_data(uint8_t *out, size_t n)
{
	return (struct out){.b = out + n, .n = 12, .cap = DCM_SMALL - n};
}

static size_t finish_data(struct out *o, uint8_t context)
{
	dcm_pdata_header(o->b, (uint32_t)(o->n - 12), context, false, true);
	return o->n;
}

static void worklist_step(struct out *o, bool match)
{
	struct out length;
	size_t at;

	put(o, "\x40\0\0\1SQ\0", 7);
	put8(o, 0);
	put_le32(o, 0xffffffff);
	put(o, "\xfe\xff\0\xe0", 4);
	at = o->n;
	put_le32(o, 0);
	attribute(o, 0x00080060, "CS", "CT");
	attribute(o, 0x00400001, "AE", match ? "CT2" : "");
	attribute(o, 0x00400002, "DA", "20240101");
	attribute(o, 0x00400003, "TM", match ? "120000" : "");
	attribute(o, 0x00400007, "LO", match ? "CT of the chest" : "");
	attribute(o, 0x00400009, "SH", match ? "S0001" : "");
	length = (struct out){.b = o->b + at, .cap = 4};
	put_le32(&length, (uint32_t)(o->n - at - 4));
	put(o, "\xfe\xff\xdd\xe0\0\0\0\0", 8);
}

static void worklist_item(struct out *o, bool match)
{
	attribute(o, 0x00080005, "CS", "ISO_IR 100");
	attribute(o, 0x00080050, "SH", match ? "A0001" : "");
	attribute(o, 0x00100010, "PN", match ? "Bench^Instance" : "");
	attribute(o, 0x00100020, "LO", match ? "BENCH-0001" : "");
	attribute(o, 0x00100030, "DA", match ? "19700101" : "");
	attribute(o, 0x00100040, "CS", match ? "O" : "");
	attribute(o, 0x0020000d, "UI", match ? IMPLEMENTATION ".4.1" : "");
	worklist_step(o, match);
}

size_t dcm_find_rq(uint8_t out[DCM_SMALL], uint16_t message)
{
	struct out o = {.b = out, .cap = DCM_SMALL}, d;

	begin_command(&o);
	element(&o, 0x0002, DCM_WORKLIST, strlen(DCM_WORKLIST));
	element_us(&o, 0x0100, DCM_C_FIND_RQ);
	element_us(&o, 0x0110, message);
	element_us(&o, 0x0700, 0);
	element_us(&o, 0x0800, 1);
	finish_command(&o, 1);
	d = begin_data(out, o.n);
	worklist_item(&d, false);
	return o.n + finish_data(&d, 1);
}

size_t dcm_find_match(uint8_t out[DCM_SMALL], uint8_t context,
		      const struct dcm_command *rq)
{
	size_t n = response(out, context, rq, DCM_PENDING, 1);
	struct out d = begin_data(out, n);

	worklist_item(&d, true);
	return n + finish_data(&d, context);
}

static void make_uids(struct dcm_head *h, const char *prefix,
		      unsigned association, uint32_t instance,
		      uint32_t per_study)
{
	unsigned a = 100 + association;
	unsigned study = 1000000 + instance / per_study;

	snprintf(h->sop_instance, 65, "%.40s.%u.1.%u", prefix, a,
		 1000000 + instance);
	snprintf(h->study, 65, "%.40s.%u.2.%u", prefix, a, study);
	snprintf(h->series, 65, "%.40s.%u.3.%u", prefix, a, study);
}

void dcm_head_make(struct dcm_head *h, const char *prefix, unsigned association,
		   uint32_t instance, uint32_t per_study, uint32_t pixel_bytes)
{
	struct out o = {.b = h->b, .cap = sizeof(h->b)};
	char number[16];

	make_uids(h, prefix, association, instance, per_study);
	snprintf(number, sizeof(number), "%u", 1000000 + instance);
	attribute(&o, 0x00080005, "CS", "ISO_IR 100");
	attribute(&o, 0x00080016, "UI", DCM_CT_STORAGE);
	attribute(&o, 0x00080018, "UI", h->sop_instance);
	attribute(&o, 0x00080020, "DA", "20240101");
	attribute(&o, 0x00080030, "TM", "120000");
	attribute(&o, 0x00080050, "SH", "A0001");
	attribute(&o, 0x00080060, "CS", "CT");
	patient(&o);
	attribute(&o, 0x0020000d, "UI", h->study);
	attribute(&o, 0x0020000e, "UI", h->series);
	attribute(&o, 0x00200010, "SH", "1");
	attribute(&o, 0x00200011, "IS", "1");
	attribute(&o, 0x00200013, "IS", number);
	image(&o, pixel_bytes);
	h->n = o.n;
}

size_t dcm_file_meta(uint8_t out[DCM_SMALL], const struct dcm_head *h)
{
	struct out o = {.b = out, .cap = DCM_SMALL};
	struct out length;

	memset(out, 0, 128);
	o.n = 128;
	put(&o, "DICM", 4);
	put(&o, "\2\0\0\0UL\4\0\0\0\0", 12);
	put(&o, "\2\0\1\0OB\0\0\2\0\0\0\0\1", 14);
	attribute(&o, 0x00020002, "UI", DCM_CT_STORAGE);
	attribute(&o, 0x00020003, "UI", h->sop_instance);
	attribute(&o, 0x00020010, "UI", DCM_EXPLICIT_LE);
	attribute(&o, 0x00020012, "UI", IMPLEMENTATION);
	length = (struct out){.b = out + 140, .cap = 4};
	put_le32(&length, (uint32_t)(o.n - 144));
	return o.n;
}
