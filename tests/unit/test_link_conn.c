/* test_link_conn.c - one connection of a link: opening, refusing, ending. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/unit/link_conn_kit.h"
#include "tests/unit/link_kit.h"
#include "tests/unit/net_fixture.h"

/* ---- opening ------------------------------------------------------------- */

static void two_ends_say_hello_and_agree(void **state)
{
	struct tls_info info;

	(void)state;
	ck_both_open();
	assert_int_equal(ck.server.n_up, 1);
	assert_int_equal(ck.server.n_hello, 1);
	assert_int_equal(ck.client.n_hello, 1);
	assert_string_equal(ck.server.theirs.node, "edge");
	assert_string_equal(ck.client.theirs.node, "hospital");
	assert_int_equal(ck.client.theirs.session[3], 0x5e);
	assert_true(ck.client.terms.they_take && !ck.client.terms.we_take);
	assert_true(ck.server.terms.we_take && !ck.server.terms.they_take);
	assert_int_equal(link_conn_terms(ck.client.c)->connections, 4);
	assert_true(link_conn_tls(ck.server.c, &info));
	assert_string_equal(info.version, "TLSv1.3");
	SAYS(info.subject, "CN=client");
	SAYS(link_conn_peer(ck.client.c), "127.0.0.1:");
	assert_string_equal(link_conn_note(ck.client.c), "");
	link_conn_bye(ck.client.c, LINK_BYE_SHUTDOWN, true, NULL);
	UNTIL(ck.client.n_closed && ck.server.n_closed);
}

static void a_further_connection_joins(void **state)
{
	struct link_terms terms = {.version = 1,
				   .we_take = true,
				   .they_take = true,
				   .keepalive_ms = 5000};
	struct link_join join = {.number = 3};

	(void)state;
	memset(join.session, 0x77, LINK_ID_LEN);
	ck.server.terms = terms;
	ck.client_opts.join = &join;
	ck.client_opts.terms = &terms;
	ck_both_open();
	assert_int_equal(ck.server.n_join, 1);
	assert_int_equal(ck.client.n_joined, 1);
	assert_int_equal(ck.server.join.number, 3);
	assert_memory_equal(ck.server.join.session, join.session, LINK_ID_LEN);
	assert_int_equal(link_conn_terms(ck.server.c)->keepalive_ms, 5000);
}

static void an_owner_may_refuse_with_words(void **state)
{
	struct link_terms terms = {.version = 1, .keepalive_ms = 5000};
	struct link_join join = {.number = 3};

	(void)state;
	for (int i = 0; i < 3; i++) {
		uint16_t want;

		memset(&ck.server, 0, sizeof(ck.server));
		memset(&ck.client, 0, sizeof(ck.client));
		ck.server.no_text = "said by the owner";
		if (i == 0)
			ck.server.no_up = want = LINK_BYE_UNDECLARED;
		else if (i == 1)
			ck.server.no_hello = want = LINK_BYE_BUSY;
		else
			ck.server.no_join = want = LINK_BYE_SESSION;
		ck.client_opts.join = i == 2 ? &join : NULL;
		ck.client_opts.terms = i == 2 ? &terms : NULL;
		ck_dial();
		UNTIL(ck.client.n_closed && ck.server.n_closed);
		assert_int_equal(ck.client.n_open + ck.server.n_open, 0);
		assert_int_equal(ck.client.end.heard, want);
		assert_int_equal(ck.client.end.why, ERR_OK);
		assert_int_equal(ck.server.end.said, want);
		SAYS(ck.client.text, "127.0.0.1", "said by the owner",
		     link_bye_text(want));
		SAYS(ck.server.text, "said by the owner");
	}
}

static void a_dialler_may_refuse_too(void **state)
{
	(void)state;
	ck.client.no_hello = LINK_BYE_STORE;
	ck_dial();
	UNTIL(ck.client.n_closed && ck.server.n_closed);
	assert_int_equal(ck.client.n_open, 0);
	assert_int_equal(ck.server.end.heard, LINK_BYE_STORE);
	SAYS(ck.server.text, link_bye_text(LINK_BYE_STORE));
}

static void an_owner_may_leave_inside_of_a_question(void **state)
{
	(void)state;
	ck.server.bye_in_hello = true;
	ck_dial();
	UNTIL(ck.client.n_closed && ck.server.n_closed);
	assert_int_equal(ck.server.n_open, 0);
	assert_int_equal(ck.client.end.heard, LINK_BYE_BUSY);
}

static void an_owner_may_drop_it_as_it_opens(void **state)
{
	(void)state;
	ck.client.drop_in_open = true;
	ck_dial();
	UNTIL(ck.client.n_closed && ck.server.n_closed);
	assert_int_equal(ck.client.end.why, ERR_CANCELED);
	assert_int_equal(ck.server.end.why, ERR_CLOSED);
	assert_true(ck.client.end.opened);
}

static void ends_that_cannot_agree_say_why(void **state)
{
	static const uint16_t wants[] = {LINK_BYE_VERSION, LINK_BYE_SELF,
					 LINK_BYE_LIMITS};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct link_hello keep = ck.client_hello;

		memset(&ck.server, 0, sizeof(ck.server));
		memset(&ck.client, 0, sizeof(ck.client));
		if (i == 0)
			ck.client_hello.version_min =
			    ck.client_hello.version_max = 7;
		else if (i == 1)
			memcpy(ck.client_hello.spool, ck.server_hello.spool,
			       LINK_ID_LEN);
		else
			ck.client_hello.chunk_log2 = 19;
		ck_raw_open();
		ck_raw_frame(&(struct link_frame){.type = LINK_HELLO,
						  .hello = ck.client_hello});
		assert_int_equal(ck_raw_expect(LINK_BYE).why.code, wants[i]);
		UNTIL(ck.server.n_closed && ck.raw.n_closed);
		assert_int_equal(ck.server.n_hello, 0);
		assert_int_equal(ck.server.end.said, wants[i]);
		if (i == 0)
			SAYS(ck.server.text, "versions 1 to 1", "7 to 7");
		ck.client_hello = keep;
		memset(&ck.raw.n_open, 0, sizeof(ck.raw.n_open));
		ck.raw.n_closed = 0;
	}
}

static void what_does_not_speak_the_protocol_is_named(void **state)
{
	(void)state;
	ck_raw_dial("h2");
	UNTIL(ck.server.n_closed && ck.raw.n_closed);
	assert_int_equal(ck.server.end.why, ERR_TLS);
	SAYS(ck.server.text, "\"h2\"", "\"culvert/1\"");
	SAYS(ck.raw.detail, "no_application_protocol");
	memset(&ck.server, 0, sizeof(ck.server));
	memset(&ck.raw.n_open, 0, 2 * sizeof(int));
	ck_raw_dial(NULL);
	UNTIL(ck.server.n_closed);
	assert_int_equal(ck.server.n_up, 0);
	SAYS(ck.server.text, "no application protocol", "dicom-tls");
	if (ck.raw.s != NULL)
		stream_close(ck.raw.s, ERR_OK);
}

static void who_is_not_there_is_said(void **state)
{
	(void)state;
	assert_int_equal(link_conn_dial(ck.w, "127.0.0.1:1", &ck.client_opts,
					&side_events, &ck.client, &ck.client.c),
			 ERR_OK);
	UNTIL(ck.client.n_closed);
	assert_int_equal(ck.client.end.why, ERR_IO);
	SAYS(ck.client.text, "127.0.0.1:1");
	assert_int_equal(link_conn_dial(ck.w, "nonsense", &ck.client_opts,
					&side_events, &ck.client, &ck.client.c),
			 ERR_INVAL);
	ck.client.c = NULL;
}

/* ---- deadlines -------------------------------------------------------------
 */

static void a_peer_that_says_nothing_is_given_up(void **state)
{
	uint64_t begin;

	(void)state;
	ck.server_opts.first_ms = 150;
	ck_raw_open();
	begin = ck_now_ms();
	assert_int_equal(ck_raw_expect(LINK_BYE).why.code, LINK_BYE_TIMEOUT);
	assert_in_range(ck_now_ms() - begin, 100, 2000);
	UNTIL(ck.server.n_closed);
	assert_int_equal(ck.server.end.why, ERR_TIMEOUT);
	assert_int_equal(ck.server.end.said, LINK_BYE_TIMEOUT);
	SAYS(ck.server.text, "said nothing");
}

static void a_listener_that_does_not_answer_is_given_up(void **state)
{
	(void)state;
	ck.client_opts.first_ms = 200;
	ck.raw_serves = true;
	ck_dial();
	UNTIL(ck.client.n_closed);
	assert_int_equal(ck.client.end.why, ERR_TIMEOUT);
	SAYS(ck.client.text, "did not answer");
	(void)ck_raw_expect(LINK_HELLO);
	assert_int_equal(ck_raw_expect(LINK_BYE).why.code, LINK_BYE_TIMEOUT);
}

static void a_peer_that_does_not_close_is_closed(void **state)
{
	uint64_t begin;

	(void)state;
	ck.server_opts.closing_ms = 300;
	ck_raw_hello();
	stream_read_pause(ck.raw.s);
	link_conn_bye(ck.server.c, LINK_BYE_SHUTDOWN, true, "going down");
	link_conn_bye(ck.server.c, LINK_BYE_BUSY, false, "not heard");
	assert_int_equal(link_conn_state(ck.server.c), LINK_CONN_CLOSING);
	begin = ck_now_ms();
	UNTIL(ck.server.n_closed);
	assert_in_range(ck_now_ms() - begin, 200, 3000);
	assert_int_equal(ck.server.end.said, LINK_BYE_SHUTDOWN);
	assert_int_equal(ck.server.end.why, ERR_OK);
	SAYS(ck.server.text, "going down");
	stream_close(ck.raw.s, ERR_OK);
}

/* ---- the end ---------------------------------------------------------------
 */

static void a_bye_is_heard_with_reason_and_words(void **state)
{
	(void)state;
	ck_both_open();
	link_conn_bye(ck.server.c, LINK_BYE_REPLACED, true, "a newer one");
	assert_int_equal(
	    link_conn_send(ck.server.c, &(struct link_frame){.type = LINK_BYE}),
	    ERR_CLOSED);
	UNTIL(ck.client.n_closed && ck.server.n_closed);
	assert_int_equal(ck.client.end.heard, LINK_BYE_REPLACED);
	assert_int_equal(ck.client.end.said, 0);
	assert_int_equal(ck.client.end.why, ERR_OK);
	assert_true(ck.client.end.whole_link && ck.client.end.opened);
	SAYS(ck.client.text, "a newer one");
}

static void what_was_sent_before_bye_arrives(void **state)
{
	static uint8_t chunk[LINK_DATA_MAX];
	struct transfer_id id = {{1}};

	(void)state;
	for (size_t i = 0; i < sizeof(chunk); i++)
		chunk[i] = (uint8_t)i;
	ck_both_open();
	assert_true(link_conn_room(ck.client.c) > 0);
	assert_int_equal(
	    link_conn_send_data(ck.client.c, &id, 0, 0, chunk, sizeof(chunk)),
	    ERR_OK);
	link_conn_bye(ck.client.c, LINK_BYE_SHUTDOWN, false, NULL);
	UNTIL(ck.client.n_closed && ck.server.n_closed);
	assert_int_equal(ck.server.data_bytes, sizeof(chunk));
	assert_int_equal(ck.server.end.heard, LINK_BYE_SHUTDOWN);
	assert_false(ck.server.end.whole_link);
}

static void it_may_be_left_while_it_is_being_made(void **state)
{
	(void)state;
	ck_dial();
	link_conn_bye(ck.client.c, LINK_BYE_SHUTDOWN, true, NULL);
	link_conn_drop(ck.client.c);
	assert_int_equal(ck.client.n_closed, 0);
	UNTIL(ck.client.n_closed);
	assert_int_equal(ck.client.end.why, ERR_CANCELED);
	assert_int_equal(ck.client.end.said, 0);
	assert_false(ck.client.end.opened);
}

static void a_cut_line_is_no_bye(void **state)
{
	(void)state;
	ck_raw_hello();
	stream_close(ck.raw.s, ERR_IO);
	UNTIL(ck.server.n_closed);
	assert_int_equal(ck.server.end.why, ERR_CLOSED);
	assert_int_equal(ck.server.end.heard, 0);
}

/* A listener outlives no worker: this test has its own teardown. */
static int stopped_teardown(void **state)
{
	char why[LISTENER_WHY_LEN];

	assert_int_equal(listener_open(worker_loop(ck.w), "127.0.0.1:0", 1,
				       NULL, NULL, &ck.l, why),
			 ERR_OK);
	return ck_teardown(state);
}

static void the_worker_may_stop_at_any_time(void **state)
{
	(void)state;
	ck_both_open();
	listener_close(ck.l, NULL, NULL);
	worker_stop(ck.w);
	assert_int_equal(ck.client.n_closed, 1);
	assert_int_equal(ck.server.n_closed, 1);
	assert_int_equal(ck.client.end.why, ERR_CANCELED);
	assert_int_equal(worker_new(0, &ck.w), ERR_OK);
}

static void no_memory_ends_it_and_nothing_leaks(void **state)
{
	int worked = 0;

	(void)state;
	for (int n = 0; n < 100000 && worked < 2; n += 1 + n / 8) {
		memset(&ck.server, 0, sizeof(ck.server));
		memset(&ck.client, 0, sizeof(ck.client));
		net_mem_fail_after(n);
		if (link_conn_dial(ck.w, ck_endpoint(), &ck.client_opts,
				   &side_events, &ck.client,
				   &ck.client.c) != ERR_OK) {
			ck.client.c = NULL;
			net_mem_ok();
			continue;
		}
		UNTIL(ck.client.n_closed ||
		      (ck.client.n_open && ck.server.n_open));
		net_mem_ok();
		worked += ck.client.n_open > 0;
		if (ck.client.c != NULL)
			link_conn_drop(ck.client.c);
		UNTIL(ck.client.n_closed);
		UNTIL(ck.server.c == NULL);
	}
	assert_true(worked > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CK(two_ends_say_hello_and_agree),
	    CK(a_further_connection_joins),
	    CK(an_owner_may_refuse_with_words),
	    CK(a_dialler_may_refuse_too),
	    CK(an_owner_may_leave_inside_of_a_question),
	    CK(an_owner_may_drop_it_as_it_opens),
	    CK(ends_that_cannot_agree_say_why),
	    CK(what_does_not_speak_the_protocol_is_named),
	    CK(who_is_not_there_is_said),
	    CK(a_peer_that_says_nothing_is_given_up),
	    CK(a_listener_that_does_not_answer_is_given_up),
	    CK(a_peer_that_does_not_close_is_closed),
	    CK(a_bye_is_heard_with_reason_and_words),
	    CK(what_was_sent_before_bye_arrives),
	    CK(it_may_be_left_while_it_is_being_made),
	    CK(a_cut_line_is_no_bye),
	    CK(no_memory_ends_it_and_nothing_leaks),
	    cmocka_unit_test_setup_teardown(the_worker_may_stop_at_any_time,
					    ck_setup, stopped_teardown),
	};

	return cmocka_run_group_tests(tests, ck_group_setup, NULL);
}
