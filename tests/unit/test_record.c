#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/crc32c.h"
#include "store/record.h"
#include "tests/unit/spool_kit.h"

static struct seal_key *key;
static struct seal *life;

static int open_life(void **state)
{
	char dir[KIT_PATH_LEN], path[KIT_PATH_LEN + 16], why[SEAL_WHY_LEN];

	(void)state;
	kit_dir(dir);
	(void)snprintf(path, sizeof(path), "%s/data.key", dir);
	assert_int_equal(seal_key_open(path, true, &key, why), ERR_OK);
	kit_remove(dir);
	return seal_new(key, "life", 4, record_meta_info, &life) == ERR_OK ? 0
									   : -1;
}

static int close_life(void **state)
{
	(void)state;
	seal_free(life);
	seal_key_close(key);
	return 0;
}

static struct record_head sample(void)
{
	struct record_head h;

	memset(&h, 0, sizeof(h));
	h.kind = RECORD_CHUNK;
	h.flags = RECORD_FIRST | RECORD_FINAL;
	memset(h.key_id, 1, sizeof(h.key_id));
	memset(h.spool_id, 2, sizeof(h.spool_id));
	memset(h.salt, 3, sizeof(h.salt));
	h.segment = 0x01020304;
	h.offset = 5 * RECORD_PAGE;
	h.previous = 7;
	h.epoch = 9;
	h.index = 11;
	h.sequence = 0x0102030405060708;
	h.flushed = 0x1112131415161718;
	h.partial_from = 0x191a1b1c;
	memset(h.id.b, 4, sizeof(h.id.b));
	memset(h.payload_salt, 5, sizeof(h.payload_salt));
	h.payload_len = 54321;
	h.meta_len = 300;
	memset(h.leaf, 6, sizeof(h.leaf));
	memset(h.payload_tag, 7, sizeof(h.payload_tag));
	return h;
}

static void crc32c_gives_the_known_value(void **state)
{
	(void)state;
	assert_int_equal(crc32c("123456789", 9), 0xe3069283);
	assert_int_equal(crc32c("", 0), 0);
}

static void a_head_survives_a_round_trip(void **state)
{
	struct record_head in = sample(), out;
	uint8_t bytes[RECORD_CLEAR];

	(void)state;
	record_head_encode(&in, bytes);
	memset(&out, 0, sizeof(out));
	assert_int_equal(record_head_decode(bytes, &out), ERR_OK);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void a_head_with_any_bit_flipped_is_not_taken(void **state)
{
	struct record_head in = sample(), out;
	uint8_t bytes[RECORD_CLEAR];

	(void)state;
	record_head_encode(&in, bytes);
	for (size_t i = 0; i < sizeof(bytes) * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_not_equal(record_head_decode(bytes, &out), ERR_OK);
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
	}
}

/* Fields out of range with a CRC that holds. */
static void lengths_beyond_the_format_are_corrupt(void **state)
{
	struct record_head h = sample(), out;
	uint8_t bytes[RECORD_CLEAR];

	(void)state;
	h.payload_len = RECORD_PAYLOAD_MAX + 1;
	record_head_encode(&h, bytes);
	assert_int_equal(record_head_decode(bytes, &out), ERR_CORRUPT);
	h = sample();
	h.meta_len = INSTANCE_ENCODED_MAX + 1;
	record_head_encode(&h, bytes);
	assert_int_equal(record_head_decode(bytes, &out), ERR_CORRUPT);
	h = sample();
	h.offset = 4097;
	record_head_encode(&h, bytes);
	assert_int_equal(record_head_decode(bytes, &out), ERR_CORRUPT);
	h = sample();
	h.kind = (enum record_kind)9;
	record_head_encode(&h, bytes);
	assert_int_equal(record_head_decode(bytes, &out), ERR_CORRUPT);
}

static void seal_page(const struct record_head *h, uint8_t page[RECORD_PAGE],
		      uint8_t meta[INSTANCE_ENCODED_MAX])
{
	kit_fill(meta, INSTANCE_ENCODED_MAX, 1);
	assert_int_equal(record_page_seal(h, meta, life, page), ERR_OK);
}

static void a_page_opens_from_either_copy(void **state)
{
	struct record_head in = sample(), out;
	uint8_t page[RECORD_PAGE], meta[INSTANCE_ENCODED_MAX],
	    got[INSTANCE_ENCODED_MAX];
	size_t copy;

	(void)state;
	in.meta_len = INSTANCE_ENCODED_MAX;
	seal_page(&in, page, meta);
	assert_int_equal(record_page_head(page, &out, &copy), ERR_OK);
	assert_int_equal(copy, 0);
	assert_int_equal(record_page_meta(page, copy, &out, life, got), ERR_OK);
	assert_memory_equal(meta, got, sizeof(got));
	memset(page, 0xee, RECORD_COPY);
	assert_int_equal(record_page_head(page, &out, &copy), ERR_OK);
	assert_int_equal(copy, RECORD_COPY);
	assert_int_equal(record_page_meta(page, copy, &out, life, got), ERR_OK);
	assert_memory_equal(meta, got, sizeof(got));
}

/* With a CRC made to fit, as someone with access to the disk could. */
static void the_seal_vouches_for_every_field(void **state)
{
	struct record_head in = sample(), h;
	uint8_t page[RECORD_PAGE], meta[INSTANCE_ENCODED_MAX],
	    got[INSTANCE_ENCODED_MAX];

	(void)state;
	seal_page(&in, page, meta);
	for (int field = 0; field < 6; field++) {
		h = in;
		if (field == 0)
			h.segment++;
		else if (field == 1)
			h.offset += RECORD_PAGE;
		else if (field == 2)
			h.flags ^= RECORD_FINAL;
		else if (field == 3)
			h.leaf[0] ^= 1;
		else if (field == 4)
			h.payload_tag[0] ^= 1;
		else
			h.id.b[0] ^= 1;
		record_head_encode(&h, page);
		assert_int_equal(record_page_meta(page, 0, &h, life, got),
				 ERR_CORRUPT);
	}
}

static void make_payload(struct record_head *h, const uint8_t *plain,
			 uint8_t *sealed)
{
	uint8_t salt[32], aad[RECORD_AAD], nonce[SEAL_NONCE_LEN];
	struct seal_text t = {aad, sizeof(aad), plain, h->payload_len};
	struct seal *s;

	record_payload_salt(h, salt);
	record_payload_aad(h, aad);
	seal_nonce(h->index, nonce);
	assert_int_equal(seal_new(key, salt, 32, record_payload_info, &s),
			 ERR_OK);
	assert_int_equal(seal_lock(s, nonce, &t, sealed, h->payload_tag),
			 ERR_OK);
	seal_free(s);
}

static void a_payload_is_bound_to_transfer_and_index(void **state)
{
	static uint8_t plain[5000], sealed[5000], got[5000];
	struct record_head h = sample(), other;

	(void)state;
	h.payload_len = sizeof(plain);
	kit_fill(plain, sizeof(plain), 3);
	make_payload(&h, plain, sealed);
	assert_int_equal(record_payload_open(&h, key, life, sealed, got),
			 ERR_OK);
	assert_memory_equal(plain, got, sizeof(got));
	other = h;
	other.index++;
	assert_int_equal(record_payload_open(&other, key, life, sealed, got),
			 ERR_CORRUPT);
	other = h;
	other.id.b[15] ^= 1;
	assert_int_equal(record_payload_open(&other, key, life, sealed, got),
			 ERR_CORRUPT);
	other = h;
	other.spool_id[0] ^= 1;
	assert_int_equal(record_payload_open(&other, key, life, sealed, got),
			 ERR_CORRUPT);
	other = h;
	other.segment++; /* but not to its place: it may be copied */
	assert_int_equal(record_payload_open(&other, key, life, sealed, got),
			 ERR_OK);
}

static void outcomes_survive_a_round_trip_and_any_cut(void **state)
{
	struct outcome in[3], out[3];
	uint8_t bytes[512];
	size_t len = 0, n, whole = 0;

	(void)state;
	memset(in, 0, sizeof(in));
	for (int i = 0; i < 3; i++) {
		memset(in[i].id.b, i, sizeof(in[i].id.b));
		in[i].kind = OUTCOME_REDIRECTED;
		in[i].status = (uint16_t)(0xb000 + i);
		in[i].at_ms = -5 + i;
		in[i].repeated = i == 1;
		(void)INSTANCE_SET(in[i].destination, "cloud");
		(void)INSTANCE_SET(in[i].target,
				   "0123456789012345678901234567890");
		assert_true(
		    record_outcome_encode(&in[i], bytes, sizeof(bytes), &len));
	}
	assert_int_equal(record_outcomes_decode(bytes, len, out, 3, &n),
			 ERR_OK);
	assert_int_equal(n, 3);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(record_outcomes_decode(bytes, len, out, 2, &n),
			 ERR_LIMIT);
	for (size_t i = 0; i < len; i++)
		whole += record_outcomes_decode(bytes, i, out, 3, &n) == ERR_OK;
	assert_int_equal(whole, 3); /* nothing, one, two */
}

static void an_outcome_that_does_not_fit_changes_nothing(void **state)
{
	struct outcome o = {.kind = OUTCOME_HELD};
	uint8_t bytes[40];
	size_t len = 20;

	(void)state;
	assert_false(record_outcome_encode(&o, bytes, sizeof(bytes), &len));
	assert_int_equal(len, 20);
}

static void a_segment_head_reads_from_either_copy(void **state)
{
	struct segment_head in, out;
	uint8_t page[RECORD_PAGE];

	(void)state;
	memset(&in, 0, sizeof(in));
	in.number = 42;
	in.epoch = 3;
	in.size = 1 << 26;
	in.sequence = 99;
	memset(in.salt, 8, sizeof(in.salt));
	segment_head_encode(&in, page);
	memset(&out, 0, sizeof(out));
	assert_int_equal(segment_head_decode(page, &out), ERR_OK);
	assert_memory_equal(&in, &out, sizeof(in));
	page[17] ^= 4;
	assert_int_equal(segment_head_decode(page, &out), ERR_OK);
	assert_memory_equal(&in, &out, sizeof(in));
	page[RECORD_COPY + 17] ^= 4;
	assert_int_equal(segment_head_decode(page, &out), ERR_CORRUPT);
	memset(page, 0, sizeof(page));
	assert_int_equal(segment_head_decode(page, &out), ERR_NOTFOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(crc32c_gives_the_known_value),
	    cmocka_unit_test(a_head_survives_a_round_trip),
	    cmocka_unit_test(a_head_with_any_bit_flipped_is_not_taken),
	    cmocka_unit_test(lengths_beyond_the_format_are_corrupt),
	    cmocka_unit_test(a_page_opens_from_either_copy),
	    cmocka_unit_test(the_seal_vouches_for_every_field),
	    cmocka_unit_test(a_payload_is_bound_to_transfer_and_index),
	    cmocka_unit_test(outcomes_survive_a_round_trip_and_any_cut),
	    cmocka_unit_test(an_outcome_that_does_not_fit_changes_nothing),
	    cmocka_unit_test(a_segment_head_reads_from_either_copy),
	};

	return cmocka_run_group_tests(tests, open_life, close_life);
}
