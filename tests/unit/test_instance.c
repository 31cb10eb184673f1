#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/instance.h"

static void fill_text(char *field, size_t size, char c)
{
	memset(field, c, size - 1);
	field[size - 1] = '\0';
}
#define FILL(f, c) fill_text((f), sizeof(f), (c))

static void longest(struct instance *in)
{
	memset(in, 0, sizeof(*in));
	memset(in->id.b, 0xab, sizeof(in->id.b));
	FILL(in->listener, 'l');
	FILL(in->device, 'd');
	FILL(in->peer, 'p');
	FILL(in->calling_ae, 'C');
	FILL(in->called_ae, 'D');
	FILL(in->sop_class, '1');
	FILL(in->sop_instance, '2');
	FILL(in->transfer_syntax, '3');
	FILL(in->study, '4');
	FILL(in->series, '5');
	FILL(in->modality, 'M');
	FILL(in->accession, 'a');
	FILL(in->patient_id, 'i');
	FILL(in->patient_name, 'n');
	FILL(in->move_originator, 'O');
	FILL(in->transaction, '6');
	in->command = 0x0130;
	in->type = 65535;
	in->held = true;
	in->commit = INSTANCE_DESTINATIONS;
	in->has_move = true;
	in->move_originator_id = 65535;
	in->association = UINT64_MAX;
	in->received_ms = -1;
	in->priority = 2;
	in->device_priority = -7;
	in->length = UINT64_MAX - 1;
	in->chunks = UINT32_MAX;
	memset(in->root, 0xcd, sizeof(in->root));
	in->has_origin = true;
	memset(&in->origin, 0xef, sizeof(in->origin));
	in->touched_ms = INT64_MAX;
	in->n_destinations = INSTANCE_DESTINATIONS;
	for (int i = 0; i < INSTANCE_DESTINATIONS; i++)
		FILL(in->destinations[i], (char)('a' + i));
}

static void the_longest_instance_survives_a_round_trip(void **state)
{
	uint8_t bytes[INSTANCE_ENCODED_MAX];
	struct instance in, out;
	size_t n;

	(void)state;
	longest(&in);
	n = instance_encode(&in, bytes);
	assert_in_range(n, 1500, INSTANCE_ENCODED_MAX);
	assert_int_equal(instance_decode(bytes, n, &out), ERR_OK);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void an_empty_instance_survives_a_round_trip(void **state)
{
	uint8_t bytes[INSTANCE_ENCODED_MAX];
	struct instance in, out;

	(void)state;
	memset(&in, 0, sizeof(in));
	assert_int_equal(
	    instance_decode(bytes, instance_encode(&in, bytes), &out), ERR_OK);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void no_prefix_reads_beyond_its_end(void **state)
{
	uint8_t bytes[INSTANCE_ENCODED_MAX];
	struct instance in, out;
	size_t n, good = 0;

	(void)state;
	longest(&in);
	n = instance_encode(&in, bytes);
	for (size_t i = 0; i < n; i++)
		good += instance_decode(bytes, i, &out) == ERR_OK;
	/* Only cuts between two values are whole. */
	assert_in_range(good, 1, 60);
}

/* The bytes that version 1 wrote: an older program reads them, and an instance
 * pays nothing for what only messages have. */
static void a_plain_instance_is_encoded_as_ever(void **state)
{
	static const uint8_t golden[] = {
	    1,                                                /* version */
	    1,  0, 16, 9,   0,   0,   0,   0,   0,  0, 0,  0, /* id */
	    0,  0, 0,  0,   0,   0,   0,   2,   0,  8, 0,  0, /* association */
	    0,  0, 0,  0,   0,   7,   3,   0,   8,  0, 0,  0, /* received */
	    0,  0, 0,  0,   5,   4,   0,   2,   0,  1, 5,  0, /* priorities */
	    1,  0, 8,  0,   8,   0,   0,   0,   0,  0, 0,  1, /* length */
	    44, 9, 0,  4,   0,   0,   0,   1,   10, 0, 32,    /* chunks, root */
	    0,  0, 0,  0,   0,   0,   0,   0,   0,  0, 0,  0, /* */
	    0,  0, 0,  0,   0,   0,   0,   0,   0,  0, 0,  0, /* */
	    0,  0, 0,  0,   0,   0,   0,   0,                 /* */
	    7,  0, 5,  'c', 'l', 'o', 'u', 'd',               /* destination */
	    38, 0, 3,  '1', '.', '2',                         /* SOP instance */
	};
	uint8_t bytes[INSTANCE_ENCODED_MAX];
	struct instance in, out;

	(void)state;
	memset(&in, 0, sizeof(in));
	in.id.b[0] = 9;
	in.association = 7;
	in.received_ms = 5;
	in.priority = 1;
	in.length = 300;
	in.chunks = 1;
	in.n_destinations = 1;
	INSTANCE_SET(in.destinations[0], "cloud");
	INSTANCE_SET(in.sop_instance, "1.2");
	assert_int_equal(instance_encode(&in, bytes), sizeof(golden));
	assert_memory_equal(bytes, golden, sizeof(golden));
	assert_int_equal(instance_decode(golden, sizeof(golden), &out), ERR_OK);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void a_message_survives_a_round_trip(void **state)
{
	uint8_t bytes[INSTANCE_ENCODED_MAX];
	struct instance in, out;

	(void)state;
	memset(&in, 0, sizeof(in));
	in.command = 0x0130;
	in.type = 1;
	in.held = true;
	INSTANCE_SET(in.transaction, "1.2.3");
	assert_int_equal(
	    instance_decode(bytes, instance_encode(&in, bytes), &out), ERR_OK);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_true(instance_is_message(out.command));
	assert_false(instance_is_message(0));
	assert_false(instance_is_message(INSTANCE_C_STORE_RQ));
}

static void a_commit_beyond_the_destinations_is_corrupt(void **state)
{
	uint8_t bytes[] = {1, 13, 0, 1, INSTANCE_DESTINATIONS};
	struct instance out;

	(void)state;
	assert_int_equal(instance_decode(bytes, sizeof(bytes), &out), ERR_OK);
	bytes[4]++;
	assert_int_equal(instance_decode(bytes, sizeof(bytes), &out),
			 ERR_CORRUPT);
}

static void unknown_tags_are_skipped(void **state)
{
	uint8_t bytes[INSTANCE_ENCODED_MAX];
	const uint8_t later[] = {200, 0, 3, 'a', 'b', 'c', 20, 0, 0};
	struct instance in, out;
	size_t n;

	(void)state;
	memset(&in, 0, sizeof(in));
	in.association = 17;
	n = instance_encode(&in, bytes);
	memcpy(bytes + n, later, sizeof(later));
	assert_int_equal(instance_decode(bytes, n + sizeof(later), &out),
			 ERR_OK);
	assert_int_equal(out.association, 17);
}

static void text_that_does_not_fit_is_corrupt(void **state)
{
	uint8_t bytes[64] = {1, 32 + 3, 0, 17};
	struct instance out;

	(void)state;
	memset(bytes + 4, 'A', 17);
	assert_int_equal(instance_decode(bytes, 4 + 17, &out), ERR_CORRUPT);
	assert_int_equal(out.calling_ae[0], 0);
}

static void text_with_a_nul_inside_is_corrupt(void **state)
{
	const uint8_t bytes[] = {1, 32 + 3, 0, 3, 'A', 0, 'B'};
	struct instance out;

	(void)state;
	assert_int_equal(instance_decode(bytes, sizeof(bytes), &out),
			 ERR_CORRUPT);
}

static void a_seventeenth_destination_is_corrupt(void **state)
{
	uint8_t bytes[1 + 17 * 4];
	struct instance out;

	(void)state;
	bytes[0] = 1;
	for (size_t i = 0; i < 17; i++)
		memcpy(bytes + 1 + 4 * i, "\x07\0\x01x", 4);
	assert_int_equal(instance_decode(bytes, sizeof(bytes) - 4, &out),
			 ERR_OK);
	assert_int_equal(out.n_destinations, 16);
	assert_int_equal(instance_decode(bytes, sizeof(bytes), &out),
			 ERR_CORRUPT);
}

static void long_text_is_cut_between_characters(void **state)
{
	char field[6];

	(void)state;
	assert_true(INSTANCE_SET(field, "abcde"));
	assert_string_equal(field, "abcde");
	assert_false(INSTANCE_SET(field, "abcdef"));
	assert_string_equal(field, "abcde");
	assert_false(INSTANCE_SET(field, "abcd\xc3\xa9"));
	assert_string_equal(field, "abcd");
	assert_false(INSTANCE_SET(field, "ab\xf0\x9f\x98\x80"));
	assert_string_equal(field, "ab");
	assert_true(INSTANCE_SET(field, ""));
	assert_string_equal(field, "");
}

static void a_transfer_id_reads_what_it_writes(void **state)
{
	struct transfer_id id = {{0, 1, 0xfe, 0xff}}, out;
	char text[TRANSFER_TEXT_LEN];

	(void)state;
	transfer_id_text(&id, text);
	assert_string_equal(text, "0001feff000000000000000000000000");
	assert_int_equal(transfer_id_parse(text, &out), ERR_OK);
	assert_true(transfer_id_equal(&id, &out));
	text[31] = 'g';
	assert_int_equal(transfer_id_parse(text, &out), ERR_INVAL);
	assert_int_equal(transfer_id_parse("00", &out), ERR_INVAL);
}

static void every_outcome_has_a_text(void **state)
{
	(void)state;
	assert_string_equal(outcome_text(OUTCOME_DELIVERED), "delivered");
	assert_string_equal(outcome_text(OUTCOME_RESTART), "restart");
	assert_string_equal(outcome_text((enum outcome_kind)77), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_longest_instance_survives_a_round_trip),
	    cmocka_unit_test(an_empty_instance_survives_a_round_trip),
	    cmocka_unit_test(no_prefix_reads_beyond_its_end),
	    cmocka_unit_test(a_plain_instance_is_encoded_as_ever),
	    cmocka_unit_test(a_message_survives_a_round_trip),
	    cmocka_unit_test(a_commit_beyond_the_destinations_is_corrupt),
	    cmocka_unit_test(unknown_tags_are_skipped),
	    cmocka_unit_test(text_that_does_not_fit_is_corrupt),
	    cmocka_unit_test(text_with_a_nul_inside_is_corrupt),
	    cmocka_unit_test(a_seventeenth_destination_is_corrupt),
	    cmocka_unit_test(long_text_is_cut_between_characters),
	    cmocka_unit_test(a_transfer_id_reads_what_it_writes),
	    cmocka_unit_test(every_outcome_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
