#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/unit/identify_kit.h"

const enum ts_kind draft_kinds[] = {TS_IMPLICIT_LE, TS_EXPLICIT_LE,
				    TS_EXPLICIT_BE};

const struct identity draft_ct = {
    .has = 0xFF,
    .sop_class = UID_CT_STORAGE,
    .sop_instance = "1.2.3.4",
    .study = "1.2.3",
    .series = "1.2.3.1",
    .modality = "CT",
    .accession = "A1001",
    .patient_id = "P0042",
    .patient_name = "DOE^JANE",
};

static void u16(struct draft *d, unsigned v)
{
	if (d->kind == TS_EXPLICIT_BE)
		wr_u16(&d->w, (uint16_t)v);
	else
		wr_u16le(&d->w, (uint16_t)v);
}

static void u32(struct draft *d, uint32_t v)
{
	if (d->kind == TS_EXPLICIT_BE)
		wr_u32(&d->w, v);
	else
		wr_u32le(&d->w, v);
}

void draft_begin(struct draft *d, enum ts_kind kind)
{
	d->kind = kind;
	d->w = wr_init(d->bytes, sizeof(d->bytes));
}

void draft_head(struct draft *d, uint32_t tag, const char *vr, int64_t len)
{
	uint32_t n = len == DRAFT_UNDEFINED ? 0xFFFFFFFF : (uint32_t)len;

	u16(d, tag >> 16);
	u16(d, tag & 0xFFFF);
	if (d->kind == TS_IMPLICIT_LE || vr == NULL) {
		u32(d, n);
		return;
	}
	wr_bytes(&d->w, vr, 2);
	if (vr[0] != '\0' && strstr("OB OW SQ UN UT", vr) != NULL) {
		u16(d, 0);
		u32(d, n);
	} else {
		u16(d, n);
	}
}

void draft_bytes(struct draft *d, uint32_t tag, const char *vr, const char *v,
		 size_t n)
{
	draft_head(d, tag, vr, (int64_t)(n + n % 2));
	wr_bytes(&d->w, v, n);
	wr_fill(&d->w, vr[0] == 'U' ? '\0' : ' ', n % 2);
}

void draft_text(struct draft *d, uint32_t tag, const char *vr, const char *v)
{
	draft_bytes(d, tag, vr, v, strlen(v));
}

void draft_group_8(struct draft *d, const char *charset)
{
	if (charset != NULL)
		draft_text(d, 0x00080005, "CS", charset);
	draft_text(d, 0x00080016, "UI", draft_ct.sop_class);
	draft_text(d, 0x00080018, "UI", draft_ct.sop_instance);
	draft_text(d, 0x00080020, "DA", "20260504");
	draft_text(d, 0x00080050, "SH", draft_ct.accession);
	draft_text(d, 0x00080060, "CS", draft_ct.modality);
}

void draft_group_20(struct draft *d)
{
	draft_text(d, 0x0020000D, "UI", draft_ct.study);
	draft_text(d, 0x0020000E, "UI", draft_ct.series);
}

void draft_rest(struct draft *d)
{
	draft_text(d, 0x00100010, "PN", draft_ct.patient_name);
	draft_text(d, 0x00100020, "LO", draft_ct.patient_id);
	draft_group_20(d);
}

void draft_all(struct draft *d)
{
	draft_group_8(d, NULL);
	draft_rest(d);
	draft_head(d, 0x7FE00010, "OW", 4);
	wr_u32(&d->w, 0x01020304);
}

size_t draft_deflate(const struct draft *d, int bits, uint8_t *out, size_t size)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)d->bytes,
		      .avail_in = (uInt)d->w.len,
		      .next_out = out,
		      .avail_out = (uInt)size};

	assert_int_equal(
	    deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(deflateEnd(&z), Z_OK);
	return size - z.avail_out;
}

struct identity identity_in_steps(enum ts_kind kind, const uint8_t *p, size_t n,
				  size_t step)
{
	struct identity out;
	struct identify id;
	bool more = true;

	identify_init(&id, kind);
	while (n > 0 && more) {
		size_t piece = n < step ? n : step;
		uint8_t *copy = malloc(piece);

		assert_non_null(copy);
		memcpy(copy, p, piece);
		more = identify_feed(&id, copy, piece);
		free(copy);
		p += piece;
		n -= piece;
	}
	identify_end(&id, &out);
	return out;
}

struct identity identity_of(const struct draft *d)
{
	struct identity whole, split;

	assert_true(wr_ok(&d->w));
	whole = identity_in_steps(d->kind, d->bytes, d->w.len, SIZE_MAX);
	for (size_t step = 1; step < 20; step++) {
		split = identity_in_steps(d->kind, d->bytes, d->w.len, step);
		assert_memory_equal(&whole, &split, sizeof(whole));
	}
	return whole;
}

void identity_is_ct(const struct identity *got)
{
	assert_int_equal(got->has, draft_ct.has);
	assert_false(got->damaged);
	assert_string_equal(got->sop_class, draft_ct.sop_class);
	assert_string_equal(got->sop_instance, draft_ct.sop_instance);
	assert_string_equal(got->study, draft_ct.study);
	assert_string_equal(got->series, draft_ct.series);
	assert_string_equal(got->modality, draft_ct.modality);
	assert_string_equal(got->accession, draft_ct.accession);
	assert_string_equal(got->patient_id, draft_ct.patient_id);
	assert_string_equal(got->patient_name, draft_ct.patient_name);
}
