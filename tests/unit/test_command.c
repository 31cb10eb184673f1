#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/dicom/command.h"
#include "proxy/lib/mem.h"

/* DCMTK 3.6.7's C-ECHO-RSP. */
static const uint8_t dcmtk_echo_rsp[] = {
    0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x42, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x02, 0x00, 0x12, 0x00, 0x00, 0x00, '1',  '.',  '2',  '.',
    '8',  '4',  '0',  '.',  '1',  '0',  '0',  '0',  '8',  '.',  '1',  '.',
    '1',  0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x30, 0x80,
    0x00, 0x00, 0x20, 0x01, 0x02, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
    0x00, 0x08, 0x02, 0x00, 0x00, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00, 0x09,
    0x02, 0x00, 0x00, 0x00, 0x00, 0x00,
};

/* A C-STORE-RQ for a C-MOVE, by the standard's tables. */
static const uint8_t store_rq[] = {
    0,    0,    0x00, 0x00, 4,    0,    0, 0,    0x5a, 0,    0,    0,    0,
    0,    0x02, 0x00, 4,    0,    0,    0, '1',  '.',  '2',  0,    0,    0,
    0x00, 0x01, 2,    0,    0,    0,    1, 0,    0,    0,    0x10, 0x01, 2,
    0,    0,    0,    7,    0,    0,    0, 0x00, 0x07, 2,    0,    0,    0,
    1,    0,    0,    0,    0x00, 0x08, 2, 0,    0,    0,    1,    0,    0,
    0,    0x00, 0x10, 6,    0,    0,    0, '1',  '.',  '2',  '.',  '3',  0,
    0,    0,    0x30, 0x10, 6,    0,    0, 0,    'M',  'O',  'V',  'E',  'R',
    ' ',  0,    0,    0x31, 0x10, 2,    0, 0,    0,    0x34, 0x12,
};

static void reads_what_dcmtk_responds(void **state)
{
	struct command c;

	(void)state;
	assert_int_equal(
	    command_decode(dcmtk_echo_rsp, sizeof(dcmtk_echo_rsp), &c), ERR_OK);
	assert_int_equal(c.has, CMD_AFFECTED_CLASS | CMD_FIELD |
				    CMD_RESPONDED_ID | CMD_DATA_SET_TYPE |
				    CMD_STATUS);
	assert_int_equal(c.field, C_ECHO_RSP);
	assert_int_equal(c.responded_id, 1);
	assert_string_equal(c.affected_class, UID_VERIFICATION);
	assert_int_equal(c.status, STATUS_SUCCESS);
	assert_false(command_has_data_set(&c));
}

static void responds_as_dcmtk_does(void **state)
{
	struct command rq, rsp;
	uint8_t out[COMMAND_STORE_MAX];
	struct wr w = wr_init(out, sizeof(out));

	(void)state;
	command_echo_rq(&rq, 1);
	command_response(&rsp, &rq, STATUS_SUCCESS, NULL);
	assert_int_equal(command_encode(&rsp, &w), ERR_OK);
	assert_int_equal(w.len, sizeof(dcmtk_echo_rsp));
	assert_memory_equal(out, dcmtk_echo_rsp, sizeof(dcmtk_echo_rsp));
}

static void a_store_request_is_that_of_the_standard(void **state)
{
	struct command c, back;
	uint8_t out[COMMAND_STORE_MAX];
	struct wr w = wr_init(out, sizeof(out));

	(void)state;
	command_store_rq(&c, 7, "1.2", "1.2.3", PRIORITY_HIGH);
	command_set_originator(&c, "MOVER", 0x1234);
	assert_int_equal(command_encode(&c, &w), ERR_OK);
	assert_int_equal(w.len, sizeof(store_rq));
	assert_memory_equal(out, store_rq, sizeof(store_rq));
	assert_int_equal(command_decode(out, w.len, &back), ERR_OK);
	assert_memory_equal(&c, &back, sizeof(c));
	assert_true(command_has_data_set(&back));
}

static void a_store_response_names_class_and_instance(void **state)
{
	struct command rq, c;

	(void)state;
	assert_int_equal(command_decode(store_rq, sizeof(store_rq), &rq),
			 ERR_OK);
	command_response(&c, &rq, STATUS_OUT_OF_RESOURCES, "spool is full");
	assert_int_equal(c.field, C_STORE_RSP);
	assert_int_equal(c.responded_id, 7);
	assert_int_equal(c.status, 0xA700);
	assert_string_equal(c.affected_class, "1.2");
	assert_string_equal(c.affected_instance, "1.2.3");
	assert_string_equal(c.comment, "spool is full");
	assert_false(command_has_data_set(&c));
}

static void responses_to_n_services_turn_requested_into_affected(void **state)
{
	struct command rq = {.has = CMD_FIELD | CMD_REQUESTED_CLASS |
				    CMD_REQUESTED_INSTANCE,
			     .field = N_ACTION_RQ,
			     .requested_class = UID_COMMITMENT,
			     .requested_instance = UID_COMMITMENT_INSTANCE};
	struct command c;

	(void)state;
	command_response(&c, &rq, 0, NULL);
	assert_int_equal(c.field, N_ACTION_RSP);
	assert_string_equal(c.affected_class, UID_COMMITMENT);
	assert_string_equal(c.affected_instance, UID_COMMITMENT_INSTANCE);
	assert_int_equal(c.has & CMD_REQUESTED_CLASS, 0);
}

static void requests_of_n_services_name_what_the_standard_says(void **state)
{
	static const struct {
		uint16_t field;
		bool affected;
		uint32_t type; /* the bit of its type, if any */
	} rows[] = {
	    {N_EVENT_REPORT_RQ, true, CMD_EVENT_TYPE},
	    {N_CREATE_RQ, true, 0},
	    {N_SET_RQ, false, 0},
	    {N_ACTION_RQ, false, CMD_ACTION_TYPE},
	    {N_GET_RQ, false, 0},
	    {N_DELETE_RQ, false, 0},
	};
	uint8_t out[COMMAND_STORE_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint32_t names =
		    rows[i].affected
			? CMD_AFFECTED_CLASS | CMD_AFFECTED_INSTANCE
			: CMD_REQUESTED_CLASS | CMD_REQUESTED_INSTANCE;
		struct wr w = wr_init(out, sizeof(out));
		struct command c, got;

		command_message_rq(&c, rows[i].field, 7, "1.2", "1.2.3", 2,
				   true);
		assert_int_equal(command_encode(&c, &w), ERR_OK);
		assert_int_equal(command_decode(out, w.len, &got), ERR_OK);
		assert_int_equal(got.has, CMD_FIELD | CMD_MESSAGE_ID |
					      CMD_DATA_SET_TYPE | names |
					      rows[i].type);
		assert_string_equal(rows[i].affected ? got.affected_class
						     : got.requested_class,
				    "1.2");
		assert_string_equal(rows[i].affected ? got.affected_instance
						     : got.requested_instance,
				    "1.2.3");
		assert_int_equal(got.event_type + got.action_type,
				 rows[i].type != 0 ? 2 : 0);
		assert_true(command_has_data_set(&got));
	}
}

static void a_creation_may_leave_the_name_to_the_peer(void **state)
{
	struct command c;

	(void)state;
	command_message_rq(&c, N_CREATE_RQ, 1, "1.2", "", 0, false);
	assert_false(c.has & CMD_AFFECTED_INSTANCE);
	assert_false(command_has_data_set(&c));
}

static void responses_echo_the_type_of_action_or_event(void **state)
{
	struct command rq, rsp;

	(void)state;
	command_message_rq(&rq, N_ACTION_RQ, 9, "1.2", "1.2.3", 1, true);
	command_response(&rsp, &rq, 0, NULL);
	assert_int_equal(rsp.field, N_ACTION_RSP);
	assert_true(rsp.has & CMD_ACTION_TYPE);
	assert_int_equal(rsp.action_type, 1);
	assert_false(rsp.has & (CMD_REQUESTED_CLASS | CMD_EVENT_TYPE));
	assert_string_equal(rsp.affected_instance, "1.2.3");

	command_message_rq(&rq, N_EVENT_REPORT_RQ, 9, "1.2", "1.2.3", 2, true);
	command_response(&rsp, &rq, 0x0110, NULL);
	assert_int_equal(rsp.field, N_EVENT_REPORT_RSP);
	assert_int_equal(rsp.event_type, 2);
	assert_false(rsp.has & CMD_ACTION_TYPE);
	assert_false(command_has_data_set(&rsp));

	command_message_rq(&rq, N_SET_RQ, 9, "1.2", "1.2.3", 2, true);
	command_response(&rsp, &rq, 0, NULL);
	assert_false(rsp.has & (CMD_EVENT_TYPE | CMD_ACTION_TYPE));
}

static void every_cut_is_refused_or_lacks_its_tail(void **state)
{
	struct command c;

	(void)state;
	for (size_t n = 0; n < sizeof(store_rq); n++) {
		uint8_t *copy = mem_zalloc(n > 0 ? n : 1);
		enum err e;

		assert_non_null(copy);
		memcpy(copy, store_rq, n);
		e = command_decode(copy, n, &c);
		mem_free(copy);
		/* Whole elements, the command field among them, will do. One
		 * more byte can pass for padding, as it is zero. */
		if (n == 34 || n == 44 || n == 54 || n == 64 || n == 78 ||
		    n == 92 || n == 35 || n == 45 || n == 55 || n == 65 ||
		    n == 79 || n == 93)
			assert_int_equal(e, ERR_OK);
		else
			assert_int_equal(e, ERR_PROTO);
	}
}

static void lengths_beyond_the_end_are_refused(void **state)
{
	uint8_t copy[sizeof(store_rq)];
	struct command c;

	(void)state;
	memcpy(copy, store_rq, sizeof(copy));
	memset(copy + 16, 0xFF, 4);
	assert_int_equal(command_decode(copy, sizeof(copy), &c), ERR_PROTO);
	memcpy(copy, store_rq, sizeof(copy));
	copy[sizeof(copy) - 6]++;
	assert_int_equal(command_decode(copy, sizeof(copy), &c), ERR_PROTO);
}

static void odd_command_sets_are_understood(void **state)
{
	/* No group length; out of order; unknown and foreign elements; a UID
	 * padded with a space, one too long; a short number; a repetition. */
	static const uint8_t bytes[] = {
	    0,    0,    0x00, 0x08, 2,   0,   0,   0,    2,    2,    0,
	    0,    0x00, 0x01, 2,    0,   0,   0,   1,    0,    0,    0,
	    0x55, 0x55, 3,    0,    0,   0,   9,   9,    9,    8,    0,
	    0x00, 0x09, 2,    0,    0,   0,   9,   9,    0,    0,    0x02,
	    0x00, 4,    0,    0,    0,   '1', '.', '2',  ' ',  0,    0,
	    0x10, 0x01, 2,    0,    0,   0,   5,   0,    0,    0,    0x10,
	    0x01, 2,    0,    0,    0,   6,   0,   0,    0,    0x00, 0x07,
	    1,    0,    0,    0,    1,   0,   0,   0x01, 0x10, 65,   0,
	    0,    0,    '1',  '1',  '1', '1', '1', '1',  '1',  '1',  '1',
	    '1',  '1',  '1',  '1',  '1', '1', '1', '1',  '1',  '1',  '1',
	    '1',  '1',  '1',  '1',  '1', '1', '1', '1',  '1',  '1',  '1',
	    '1',  '1',  '1',  '1',  '1', '1', '1', '1',  '1',  '1',  '1',
	    '1',  '1',  '1',  '1',  '1', '1', '1', '1',  '1',  '1',  '1',
	    '1',  '1',  '1',  '1',  '1', '1', '1', '1',  '1',  '1',  '1',
	    '1',
	};
	struct command c;

	(void)state;
	assert_int_equal(command_decode(bytes, sizeof(bytes), &c), ERR_OK);
	assert_int_equal(c.has, CMD_FIELD | CMD_DATA_SET_TYPE |
				    CMD_AFFECTED_CLASS | CMD_MESSAGE_ID);
	assert_string_equal(c.affected_class, "1.2");
	assert_int_equal(c.message_id, 5);
	assert_int_equal(c.priority, 0);
	assert_string_equal(c.requested_instance, "");
	assert_true(command_has_data_set(&c)); /* 0202 is not 0101 */
}

static void a_missing_data_set_type_means_the_usual(void **state)
{
	struct command c = {.has = CMD_FIELD, .field = C_STORE_RQ};

	(void)state;
	assert_true(command_has_data_set(&c));
	c.field = C_ECHO_RQ;
	assert_false(command_has_data_set(&c));
	c.field = C_STORE_RSP;
	assert_false(command_has_data_set(&c));
}

static void lists_are_cut_at_their_bound(void **state)
{
	uint8_t bytes[10 + 8 + 4 * 100] = {0, 0, 0, 1, 2, 0, 0,    0,
					   1, 0, 0, 0, 1, 9, 0x90, 1};
	struct command c;

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		bytes[18 + 4 * i] = 8;
		bytes[18 + 4 * i + 2] = (uint8_t)i;
	}
	assert_int_equal(command_decode(bytes, sizeof(bytes), &c), ERR_OK);
	assert_int_equal(c.n_offending, COMMAND_MAX_OFFENDING);
	assert_int_equal(c.offending[15], 0x0008000F);
}

static void everything_fits_its_field_when_encoded(void **state)
{
	struct command c, back;
	static uint8_t out[4096];
	struct wr w = wr_init(out, sizeof(out));

	(void)state;
	memset(&c, 0, sizeof(c));
	c.has = (CMD_ORIGINATOR_ID << 1) - 1;
	c.field = C_MOVE_RSP;
	memset(c.affected_class, '1', UID_MAX);
	memset(c.requested_instance, '2', UID_MAX - 1);
	memset(c.comment, 'c', 64);
	memset(c.move_destination, 'd', 15);
	c.n_offending = COMMAND_MAX_OFFENDING;
	c.n_attributes = COMMAND_MAX_ATTRIBUTES;
	for (size_t i = 0; i < COMMAND_MAX_ATTRIBUTES; i++)
		c.attributes[i] = (uint32_t)(i * 0x01020304);
	c.warning = 0xFFFF;
	assert_int_equal(command_encode(&c, &w), ERR_OK);
	assert_int_equal(w.len % 2, 0);
	assert_int_equal(command_decode(out, w.len, &back), ERR_OK);
	assert_memory_equal(&c, &back, sizeof(c));
	for (size_t n = 0; n < w.len; n++) {
		struct wr small = wr_init(out, n);

		assert_int_equal(command_encode(&c, &small), ERR_LIMIT);
	}
	c.has = CMD_STATUS;
	assert_int_equal(command_encode(&c, &w), ERR_INVAL);
}

static void encoding_appends(void **state)
{
	struct command c, back;
	uint8_t out[256];
	struct wr w = wr_init(out, sizeof(out));

	(void)state;
	wr_fill(&w, 0xEE, 12);
	command_echo_rq(&c, 9);
	assert_int_equal(command_encode(&c, &w), ERR_OK);
	assert_int_equal(out[11], 0xEE);
	assert_int_equal(command_decode(out + 12, w.len - 12, &back), ERR_OK);
	assert_int_equal(out[12 + 8], w.len - 24); /* group length */
}

static void long_text_is_cut_on_the_way_out(void **state)
{
	static const char long_text[] =
	    "0123456789012345678901234567890123456789012345678901234567890123"
	    "4567";
	struct command rq, c;

	(void)state;
	command_store_rq(&rq, 1, long_text, "1", 0);
	assert_int_equal(strlen(rq.affected_class), 64);
	command_set_originator(&rq, long_text, 1);
	assert_int_equal(strlen(rq.originator_ae), 16);
	command_response(&c, &rq, 0, long_text);
	assert_int_equal(strlen(c.comment), 64);
}

static void statuses_have_classes_and_words(void **state)
{
	static const struct {
		uint16_t status;
		enum status_class want;
	} rows[] = {
	    {0x0000, STATUS_IS_SUCCESS}, {0x0001, STATUS_IS_WARNING},
	    {0x0107, STATUS_IS_WARNING}, {0x0116, STATUS_IS_WARNING},
	    {0xB000, STATUS_IS_WARNING}, {0xBFFF, STATUS_IS_WARNING},
	    {0x0110, STATUS_IS_FAILURE}, {0x0111, STATUS_IS_FAILURE},
	    {0x0210, STATUS_IS_FAILURE}, {0xA700, STATUS_IS_FAILURE},
	    {0xA900, STATUS_IS_FAILURE}, {0xC123, STATUS_IS_FAILURE},
	    {0xFE00, STATUS_IS_CANCEL},  {0xFF00, STATUS_IS_PENDING},
	    {0xFF01, STATUS_IS_PENDING}, {0xFF02, STATUS_IS_FAILURE},
	    {0x1234, STATUS_IS_FAILURE}, {0x0002, STATUS_IS_FAILURE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(command_status_class(rows[i].status),
				 rows[i].want);
	for (unsigned s = 0; s <= 0xFFFF; s++)
		assert_true(strlen(command_status_text((uint16_t)s)) > 3);
	assert_string_equal(command_status_text(0xA7FF), "out of resources");
	assert_string_equal(command_name(C_STORE_RQ), "C-STORE-RQ");
	assert_string_equal(command_name(0x7777), "unknown command");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_what_dcmtk_responds),
	    cmocka_unit_test(responds_as_dcmtk_does),
	    cmocka_unit_test(a_store_request_is_that_of_the_standard),
	    cmocka_unit_test(a_store_response_names_class_and_instance),
	    cmocka_unit_test(
		responses_to_n_services_turn_requested_into_affected),
	    cmocka_unit_test(
		requests_of_n_services_name_what_the_standard_says),
	    cmocka_unit_test(a_creation_may_leave_the_name_to_the_peer),
	    cmocka_unit_test(responses_echo_the_type_of_action_or_event),
	    cmocka_unit_test(every_cut_is_refused_or_lacks_its_tail),
	    cmocka_unit_test(lengths_beyond_the_end_are_refused),
	    cmocka_unit_test(odd_command_sets_are_understood),
	    cmocka_unit_test(a_missing_data_set_type_means_the_usual),
	    cmocka_unit_test(lists_are_cut_at_their_bound),
	    cmocka_unit_test(everything_fits_its_field_when_encoded),
	    cmocka_unit_test(encoding_appends),
	    cmocka_unit_test(long_text_is_cut_on_the_way_out),
	    cmocka_unit_test(statuses_have_classes_and_words),
	};

	return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
