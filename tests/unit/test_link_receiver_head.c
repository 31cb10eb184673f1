/* Heads of an edge's audit that come over its link. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "store/audit_head.h"
#include "store/audit_read.h"
#include "tests/unit/receiver_kit.h"

static void send_text(struct edge *e, const char *text, size_t len)
{
	struct link_frame f = {.type = LINK_HEAD};

	f.head = (struct link_bytes){(const uint8_t *)text, len};
	edge_send(e, &f);
}

static void send_head(struct edge *e, int64_t number)
{
	struct audit_head h = {.node = "edge-01",
			       .log = {1},
			       .number = number,
			       .seq = 1000 + number,
			       .chain = {2},
			       .wall_ms = 1700000000000,
			       .key_id = {3},
			       .sig = {0x30, 0},
			       .sig_len = 2};
	char text[AUDIT_HEAD_FILE_LEN];

	send_text(e, text, audit_head_file(&h, text));
}

/* A frame was read: those before it, too. */
static void settle(struct edge *e)
{
	struct thing t = rk_thing(1, 1000);

	edge_ids(e, LINK_QUERY, &t);
	edge_refused(e, &t, LINK_REFUSED_UNKNOWN);
}

/* The rows in the audit; last: detail of the newest. */
static unsigned count(char last[AUDIT_DETAIL_LEN])
{
	static const int32_t kinds[] = {AUDIT_HEAD_RECEIVED};
	struct audit_filter filter = {
	    .device = "edge-1", .kinds = kinds, .n_kinds = 1};
	const struct audit_row *row;
	struct audit_reader *r;
	unsigned n = 0;

	rk_stop();
	assert_int_equal(audit_read_open(rk.f.dir, &filter, &r, NULL), ERR_OK);
	while (audit_read_next(r, &row) == ERR_OK && row != NULL) {
		memcpy(last, row->detail, AUDIT_DETAIL_LEN);
		n++;
	}
	audit_read_close(r);
	rk_start();
	return n;
}

static void a_head_is_on_record_as_it_came(void **state)
{
	char detail[AUDIT_DETAIL_LEN] = "";
	struct edge e;

	(void)state;
	edge_open(&e);
	send_head(&e, 17);
	settle(&e);
	edge_close(&e);
	assert_int_equal(count(detail), 1);
	assert_string_equal(
	    detail,
	    "{\"node\":\"edge-01\","
	    "\"log\":\"01000000000000000000000000000000\","
	    "\"number\":17,\"seq\":1017,\"chain\":\""
	    "0200000000000000000000000000000000000000000000000000000000000000"
	    "\",\"time\":\"2023-11-14T22:13:20.000Z\","
	    "\"key\":\"0300000000000000\",\"signature\":\"MAA=\"}");
}

static void a_flood_of_heads_is_one_row(void **state)
{
	char detail[AUDIT_DETAIL_LEN] = "";
	struct edge e;

	(void)state;
	edge_open(&e);
	for (int64_t i = 1; i <= 1000; i++)
		send_head(&e, i);
	settle(&e);
	edge_close(&e);
	assert_int_equal(count(detail), 1);
	assert_non_null(strstr(detail, "\"number\":1,"));
}

static void a_new_session_makes_no_new_room(void **state)
{
	char detail[AUDIT_DETAIL_LEN] = "";
	struct edge e;

	(void)state;
	for (int64_t i = 1; i <= 5; i++) {
		edge_open(&e);
		send_head(&e, i);
		settle(&e);
		edge_close(&e);
	}
	assert_int_equal(count(detail), 1);
	assert_non_null(strstr(detail, "\"number\":1,"));
}

static void what_is_no_head_costs_the_connection(void **state)
{
	char text[LINK_HEAD_MAX], detail[AUDIT_DETAIL_LEN];
	struct edge e;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	edge_open(&e);
	send_text(&e, text, sizeof(text));
	edge_ends(&e, LINK_BYE_PROTOCOL);
	assert_int_equal(count(detail), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    RK_TEST(a_head_is_on_record_as_it_came),
	    RK_TEST(a_flood_of_heads_is_one_row),
	    RK_TEST(a_new_session_makes_no_new_room),
	    RK_TEST(what_is_no_head_costs_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
