/* Bytes of the spool as an attacker or a dying disk may leave them: pages,
 * instances, batches of outcomes, segment heads. What decodes encodes to the
 * same again. The first byte says what the rest is. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "store/crc32c.h"
#include "store/instance.h"
#include "store/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			__builtin_trap();                                      \
	} while (0)

enum { OUTCOMES = 64 };

static void try_instance(const uint8_t *p, size_t n)
{
	struct instance in, again;
	uint8_t bytes[INSTANCE_ENCODED_MAX];

	if (instance_decode(p, n, &in) != ERR_OK)
		return;
	CHECK(in.n_destinations <= INSTANCE_DESTINATIONS);
	CHECK(strnlen(in.patient_name, sizeof(in.patient_name)) <
	      sizeof(in.patient_name));
	n = instance_encode(&in, bytes);
	CHECK(instance_decode(bytes, n, &again) == ERR_OK);
	CHECK(memcmp(in.root, again.root, sizeof(in.root)) == 0);
	CHECK(strcmp(in.sop_instance, again.sop_instance) == 0);
	CHECK(in.length == again.length);
	CHECK(in.commit <= INSTANCE_DESTINATIONS && in.commit == again.commit);
	CHECK(in.command == again.command && in.type == again.type);
	CHECK(in.held == again.held);
	CHECK(strcmp(in.transaction, again.transaction) == 0);
}

static void try_outcomes(const uint8_t *p, size_t len)
{
	static struct outcome out[OUTCOMES];
	uint8_t again[RECORD_OUTCOME_MAX * OUTCOMES];
	size_t n, used = 0;

	if (record_outcomes_decode(p, len, out, OUTCOMES, &n) != ERR_OK)
		return;
	CHECK(n <= OUTCOMES);
	for (size_t i = 0; i < n; i++) {
		(void)outcome_text(out[i].kind);
		CHECK(record_outcome_encode(&out[i], again, sizeof(again),
					    &used));
	}
}

/* So that the checks behind the CRC are reached. */
static void fix_crc(uint8_t page[RECORD_PAGE])
{
	uint32_t crc = crc32c(page, RECORD_CLEAR - 4);

	for (int i = 0; i < 4; i++)
		page[RECORD_CLEAR - 4 + i] = (uint8_t)(crc >> (24 - 8 * i));
}

static void try_page(const uint8_t *p, size_t len, bool fix)
{
	uint8_t page[RECORD_PAGE], clear[RECORD_CLEAR], aad[RECORD_AAD];
	struct record_head h;
	struct segment_head s;
	size_t copy;

	memset(page, 0, sizeof(page));
	memcpy(page, p, len < sizeof(page) ? len : sizeof(page));
	if (fix)
		fix_crc(page);
	if (segment_head_decode(page, &s) == ERR_OK)
		return; /* no page is both */
	if (record_page_head(page, &h, &copy) != ERR_OK)
		return;
	CHECK(copy == 0 || copy == RECORD_COPY);
	CHECK(h.meta_len <= INSTANCE_ENCODED_MAX);
	CHECK(record_span(h.payload_len) >= RECORD_PAGE);
	record_payload_aad(&h, aad);
	record_head_encode(&h, clear);
	CHECK(record_head_decode(clear, &h) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		try_instance(data + 1, len - 1);
		break;
	case 1:
		try_outcomes(data + 1, len - 1);
		break;
	case 2:
		try_page(data + 1, len - 1, false);
		break;
	case 3:
		try_page(data + 1, len - 1, true);
		break;
	}
	return 0;
}
