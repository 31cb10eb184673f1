/* Data sets: cut anywhere, the same identity comes out; all text is valid
 * UTF-8 without control characters. First byte: the encoding; second: how to
 * cut. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/dicom/identify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			__builtin_trap();                                      \
	} while (0)

/* The length of the UTF-8 sequence at p, by RFC 3629; 0: none. */
static size_t utf8_at(const uint8_t *p)
{
	size_t n = p[0] < 0x80                    ? 1
		   : p[0] >= 0xC2 && p[0] <= 0xDF ? 2
		   : p[0] >= 0xE0 && p[0] <= 0xEF ? 3
		   : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4
						  : 0;

	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
	    (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
		return 0;
	return n;
}

static void check_text(const char *text, size_t size)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t n;

	CHECK(memchr(text, '\0', size) != NULL);
	for (; *p != '\0'; p += n) {
		n = utf8_at(p);
		CHECK(n > 0 && *p >= 0x20 && *p != 0x7F);
		CHECK(!(p[0] == 0xC2 && p[1] < 0xA0));
	}
}

static struct identity run(enum ts_kind kind, const uint8_t *data, size_t len,
			   size_t step)
{
	struct identify id;
	struct identity out;
	bool more = true;
	size_t n;

	identify_init(&id, kind);
	for (; len > 0 && more; data += n, len -= n) {
		uint8_t *piece;

		n = step < len ? step : len;
		piece = malloc(n);
		CHECK(piece != NULL);
		memcpy(piece, data, n);
		more = identify_feed(&id, piece, n);
		free(piece);
	}
	identify_end(&id, &out);
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct identity whole, cut;
	enum ts_kind kind;

	if (len < 2)
		return 0;
	kind = (enum ts_kind)(data[0] % 4);
	whole = run(kind, data + 2, len - 2, len);
	cut = run(kind, data + 2, len - 2, 1u + data[1] % 13);
	CHECK(memcmp(&whole, &cut, sizeof(whole)) == 0);
	check_text(whole.sop_class, sizeof(whole.sop_class));
	check_text(whole.sop_instance, sizeof(whole.sop_instance));
	check_text(whole.study, sizeof(whole.study));
	check_text(whole.series, sizeof(whole.series));
	check_text(whole.modality, sizeof(whole.modality));
	check_text(whole.accession, sizeof(whole.accession));
	check_text(whole.patient_id, sizeof(whole.patient_id));
	check_text(whole.patient_name, sizeof(whole.patient_name));
	return 0;
}
