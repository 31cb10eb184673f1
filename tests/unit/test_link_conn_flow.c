/* test_link_conn_flow.c - one connection of a link: what passes over it, what
 * must not, and what happens when nothing does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/link_conn_kit.h"
#include "tests/unit/link_kit.h"

static uint8_t payload[LINK_DATA_MAX];

static int group_setup(void **state)
{
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)i;
	return ck_group_setup(state);
}

/* All the room there is, up to s->next frames. */
static void fill(struct side *s)
{
	struct transfer_id id = {{7}};

	while (s->next > 0 && link_conn_room(s->c) > 0) {
		s->next--;
		assert_int_equal(link_conn_send_data(s->c, &id, 0, 0, payload,
						     LINK_DATA_MAX),
				 ERR_OK);
	}
}

/* ---- frames ----------------------------------------------------------------
 */

static const enum link_type from_sender[] = {LINK_OFFER, LINK_CHUNK_END,
					     LINK_ROOT,  LINK_WITHDRAW,
					     LINK_QUERY, LINK_NOTED};
static const enum link_type from_receiver[] = {
    LINK_HAVE,      LINK_ACK,         LINK_BAD,     LINK_ARRIVED,
    LINK_DELIVERED, LINK_UNDELIVERED, LINK_REFUSED, LINK_ACCEPTS};

static void all_frames_pass_in_order_and_whole(void **state)
{
	size_t n = sizeof(from_sender) / sizeof(*from_sender);
	size_t m = sizeof(from_receiver) / sizeof(*from_receiver);

	(void)state;
	ck_both_open();
	for (size_t i = 0; i < n; i++) {
		struct link_frame f = link_kit_sample(from_sender[i]);

		assert_int_equal(link_conn_send(ck.client.c, &f), ERR_OK);
	}
	for (size_t i = 0; i < m; i++) {
		struct link_frame f = link_kit_sample(from_receiver[i]);

		assert_int_equal(link_conn_send(ck.server.c, &f), ERR_OK);
	}
	UNTIL(ck.server.n_frames == (int)n && ck.client.n_frames == (int)m);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(ck.server.order[i], from_sender[i]);
	for (size_t i = 0; i < m; i++)
		assert_int_equal(ck.client.order[i], from_receiver[i]);
}

static void what_cannot_be_encoded_is_refused_and_harmless(void **state)
{
	struct link_frame f = link_kit_sample(LINK_ACK);

	(void)state;
	ck_both_open();
	f.runs.n = 0;
	assert_int_equal(link_conn_send(ck.server.c, &f), ERR_INVAL);
	f = link_kit_sample(LINK_ACK);
	assert_int_equal(link_conn_send(ck.server.c, &f), ERR_OK);
	UNTIL(ck.client.n_frames == 1);
}

static void data_goes_in_records_of_its_own(void **state)
{
	struct link_frame f = link_kit_sample(LINK_WITHDRAW);
	struct link_conn_figures a, b;
	struct transfer_id id = {{7}};
	uint64_t frames = LINK_HEADER_LEN + 18; /* WITHDRAW */
	uint64_t record = 5 + 1 + 16;           /* RFC 8446, 5.2 */

	(void)state;
	ck_both_open();
	ck_run(20);
	link_conn_figures(ck.client.c, &a);
	assert_int_equal(link_conn_send(ck.client.c, &f), ERR_OK);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(link_conn_send_data(ck.client.c, &id, 0, 0,
						     payload, 1000 + i),
				 ERR_OK);
		frames += LINK_DATA_HEAD + 1000 + i;
	}
	ck.client.next = 2;
	fill(&ck.client);
	frames += 2 * LINK_FRAME_MAX;
	UNTIL(ck.server.n_data == 4);
	link_conn_figures(ck.client.c, &b);
	assert_int_equal(b.bytes_out - a.bytes_out, frames + 5 * record);
	assert_int_equal(b.frames_out - a.frames_out, 5);
	assert_true(b.have_tcp && b.tcp.mss > 0 && b.tcp.pmtu > 0);
	assert_true(b.tcp.congestion[0] != '\0');
}

static void many_bytes_pass_without_harm(void **state)
{
	struct link_conn_figures f;

	(void)state;
	/* no PING, however long it takes */
	ck.client_hello.keepalive_ms = ck.server_hello.keepalive_ms = 600000;
	ck_both_open();
	ck.client.next = 4000;
	ck.client.on_room = fill;
	fill(&ck.client);
	UNTIL(ck.server.n_data == 4000);
	assert_int_equal(ck.server.data_bytes, 4000ull * LINK_DATA_MAX);
	link_conn_figures(ck.server.c, &f);
	assert_int_equal(f.frames_in, 4001);
	assert_true(f.bytes_in > 4000ull * LINK_DATA_MAX);
}

static void frames_may_come_in_any_pieces(void **state)
{
	struct link_frame f = link_kit_sample(LINK_OFFER);
	uint8_t bytes[3 * LINK_FRAME_MAX],
	    unknown[LINK_HEADER_LEN + 9] = {0xf3, 0xff, 0, 0, 0, 0, 0, 9};
	struct link_conn_figures figures;
	size_t n = 0;

	(void)state;
	ck_raw_hello();
	n += link_kit_encode(&f, bytes);
	memcpy(bytes + n, unknown, sizeof(unknown));
	n += sizeof(unknown);
	f = link_kit_sample(LINK_DATA);
	f.data.data.p = payload;
	f.data.data.len = 1000;
	f.data.offset = 0;
	n += link_kit_encode(&f, bytes + n);
	for (size_t i = 0; i < n; i++) {
		ck_raw_put(bytes + i, 1);
		if (i % 7 == 0)
			ck_turn();
	}
	UNTIL(ck.server.n_frames == 2);
	assert_int_equal(ck.server.data_bytes, 1000);
	link_conn_figures(ck.server.c, &figures);
	assert_int_equal(figures.skipped, 1);
	stream_close(ck.raw.s, ERR_OK);
}

/* ---- hostile ----------------------------------------------------------------
 */

/* What comes after HELLO (or as the first thing) ends with BYE PROTOCOL. */
static void breaks(const void *p, size_t n, bool first, const char *word)
{
	memset(&ck.server, 0, sizeof(ck.server));
	ck.raw.n_open = ck.raw.n_closed = 0;
	if (first)
		ck_raw_open();
	else
		ck_raw_hello();
	ck_raw_put(p, n);
	assert_int_equal(ck_raw_expect(LINK_BYE).why.code, LINK_BYE_PROTOCOL);
	UNTIL(ck.server.n_closed && ck.raw.n_closed);
	assert_int_equal(ck.server.end.why, ERR_PROTO);
	assert_int_equal(ck.server.end.said, LINK_BYE_PROTOCOL);
	assert_int_equal(ck.server.n_frames, 0);
	SAYS(ck.server.text, "broke the protocol", word);
}

static void what_is_no_frame_ends_it(void **state)
{
	static const uint8_t no_type[LINK_HEADER_LEN] = {0x7e};
	static const uint8_t flags[] = {0x04, 0x80, 0, 0, 0, 0, 0, 8};
	static const uint8_t reserved[] = {0x04, 0, 0, 1, 0, 0, 0, 8};
	static const uint8_t oversize[] = {0x11, 0, 0, 0, 0, 0, 0x3f, 0xf9};
	static const uint8_t huge[] = {0xf0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t shorter[] = {0x04, 0, 0, 0, 0, 0, 0, 7};

	(void)state;
	breaks(no_type, sizeof(no_type), false, "type");
	breaks(flags, sizeof(flags), false, "PING");
	breaks(reserved, sizeof(reserved), false, "PING");
	breaks(oversize, sizeof(oversize), false, "DATA");
	breaks(huge, sizeof(huge), false, "frame");
	breaks(shorter, sizeof(shorter), false, "PING");
	breaks("GET / HTTP/1.1\r\n\r\n", 18, true, "frame");
}

static void frames_out_of_place_end_it(void **state)
{
	static const enum link_type first[] = {LINK_JOINED, LINK_PING,
					       LINK_OFFER, LINK_DATA, LINK_ACK};
	static const enum link_type later[] = {
	    LINK_HELLO, LINK_JOIN,    LINK_JOINED, LINK_HAVE,
	    LINK_ACK,   LINK_ARRIVED, LINK_ACCEPTS};
	uint8_t bytes[LINK_FRAME_MAX];
	struct link_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(first) / sizeof(*first); i++) {
		f = link_kit_sample(first[i]);
		breaks(bytes, link_kit_encode(&f, bytes), true,
		       link_type_name((uint8_t)first[i]));
	}
	for (size_t i = 0; i < sizeof(later) / sizeof(*later); i++) {
		f = link_kit_sample(later[i]);
		breaks(bytes, link_kit_encode(&f, bytes), false,
		       link_type_name((uint8_t)later[i]));
	}
}

static void noise_never_gets_through(void **state)
{
	uint8_t noise[700];

	(void)state;
	srand(7);
	for (int round = 0; round < 30; round++) {
		memset(&ck.server, 0, sizeof(ck.server));
		ck.raw.n_open = ck.raw.n_closed = 0;
		ck_raw_hello();
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (uint8_t)rand();
		noise[0] &= 0x7f;
		ck_raw_put(noise, sizeof(noise));
		UNTIL(ck.server.n_closed);
		assert_int_equal(ck.server.end.why, ERR_PROTO);
		UNTIL(ck.raw.n_closed);
		buf_clear(&ck.raw.got);
	}
}

/* ---- slow -------------------------------------------------------------------
 */

static void little_waits_for_a_slow_peer(void **state)
{
	struct link_frame f = link_kit_sample(LINK_WITHDRAW);
	int before;

	(void)state;
	ck_both_open();
	link_conn_pause(ck.server.c);
	ck.client.next = 3000;
	ck.client.on_room = fill;
	fill(&ck.client);
	ck_run(300);
	assert_true(ck.client.next > 500);
	assert_int_equal(link_conn_room(ck.client.c), 0);
	assert_in_range(link_conn_queued(ck.client.c), 1, 3 * LINK_FRAME_MAX);
	/* What is said now goes before all DATA that is still to be given. */
	assert_int_equal(link_conn_send(ck.client.c, &f), ERR_OK);
	before = 3000 - (int)ck.client.next;
	link_conn_resume(ck.server.c);
	UNTIL(ck.server.n_data == 3000);
	assert_int_equal(ck.server.first_other, before);
}

static void who_never_reads_is_given_up(void **state)
{
	struct link_frame f = link_kit_sample(LINK_ACCEPTS);
	enum err e = ERR_OK;

	(void)state;
	ck_raw_hello();
	stream_read_pause(ck.raw.s);
	for (int i = 0; e == ERR_OK && i < 1000000; i++) {
		e = link_conn_send(ck.server.c, &f);
		if (i % 64 == 0)
			ck_turn();
	}
	assert_int_equal(e, ERR_LIMIT);
	UNTIL(ck.server.n_closed);
	assert_int_equal(ck.server.end.why, ERR_LIMIT);
	SAYS(ck.server.text, "does not read");
	stream_close(ck.raw.s, ERR_OK);
}

static void pings_without_reading_cost_the_connection(void **state)
{
	static uint8_t pings[16 * 1024];
	struct link_frame f = {.type = LINK_PING, .stamp = 1};
	size_t n = 0;

	(void)state;
	while (n + 16 <= sizeof(pings)) {
		uint8_t one[LINK_FRAME_MAX];

		assert_int_equal(link_kit_encode(&f, one), 16);
		memcpy(pings + n, one, 16);
		n += 16;
	}
	ck_raw_hello();
	stream_read_pause(ck.raw.s);
	for (int i = 0; !ck.server.n_closed && i < 20000; i++) {
		if (stream_queued(ck.raw.s) < 1 << 20)
			ck_raw_put(pings, n);
		ck_turn();
	}
	assert_int_equal(ck.server.end.why, ERR_LIMIT);
	if (ck.raw.s != NULL)
		stream_close(ck.raw.s, ERR_OK);
}

static void room_is_given_in_turns(void **state)
{
	size_t given = 0;
	struct transfer_id id = {{7}};

	(void)state;
	ck_both_open();
	while (link_conn_room(ck.client.c) > 0 && given < 100 << 20) {
		assert_int_equal(link_conn_send_data(ck.client.c, &id, 0, 0,
						     payload, LINK_DATA_MAX),
				 ERR_OK);
		given += LINK_FRAME_MAX;
	}
	assert_in_range(given, 1, LINK_CONN_TURN);
	UNTIL(ck.client.n_room == 1);
}

/* ---- silence ----------------------------------------------------------------
 */

static void round_trips_are_measured_while_asking(void **state)
{
	(void)state;
	ck_both_open();
	ck_run(250);
	assert_int_equal(link_conn_rtt_us(ck.client.c), 0);
	link_conn_asking(ck.client.c, true);
	UNTIL(link_conn_rtt_us(ck.client.c) > 0);
	assert_in_range(link_conn_rtt_us(ck.client.c), 1, 1000000);
	ck_run(1500);
	assert_int_equal(ck.client.n_silent, 0);
}

static void idle_ends_keep_each_other_alive(void **state)
{
	struct link_conn_figures f;

	(void)state;
	ck_both_open();
	ck_run(3800);
	assert_int_equal(ck.client.n_closed + ck.server.n_closed, 0);
	link_conn_figures(ck.client.c, &f);
	assert_in_range(f.heard_ms, 0, 1600);
	assert_in_range(f.frames_in, 3, 12);
}

static void silence_is_told_each_second(void **state)
{
	struct link_frame f;

	(void)state;
	ck.server_hello.keepalive_ms = ck.client_hello.keepalive_ms = 60000;
	ck.raw_serves = true;
	ck_dial();
	f = ck_raw_expect(LINK_HELLO);
	f.hello.spool[0] ^= 1;
	f.hello.features |= LINK_TAKES;
	ck_raw_frame(&f);
	UNTIL(ck.client.n_open);
	link_conn_asking(ck.client.c, true);
	ck_run(700);
	assert_int_equal(ck.client.n_silent, 0);
	UNTIL(ck.client.n_silent == 1);
	ck_run(700);
	assert_int_equal(ck.client.n_silent, 1);
	UNTIL(ck.client.n_silent == 2);
	/* A word is enough. */
	f = (struct link_frame){.type = LINK_PING, .stamp = 5};
	ck_raw_frame(&f);
	ck_run(900);
	assert_int_equal(ck.client.n_silent, 2);
	assert_int_equal(ck.client.n_closed, 0);
	stream_close(ck.raw.s, ERR_OK);
}

static void who_is_silent_for_three_keepalives_is_dead(void **state)
{
	uint64_t begin;

	(void)state;
	ck_raw_hello();
	begin = ck_now_ms();
	UNTIL(ck.server.n_closed);
	assert_in_range(ck_now_ms() - begin, 2900, 6000);
	assert_int_equal(ck.server.end.why, ERR_TIMEOUT);
	assert_int_equal(ck.server.end.said, LINK_BYE_TIMEOUT);
	SAYS(ck.server.text, "nothing came", "3 s");
	while (buf_len(&ck.raw.got) > LINK_HEADER_LEN + 8)
		if (buf_data(&ck.raw.got)[0] == LINK_BYE)
			break;
		else
			(void)ck_raw_expect(LINK_PING);
	assert_int_equal(ck_raw_expect(LINK_BYE).why.code, LINK_BYE_TIMEOUT);
}

static void who_reads_no_more_for_a_while_is_not_dead(void **state)
{
	(void)state;
	ck_both_open();
	link_conn_asking(ck.client.c, true);
	link_conn_pause(ck.server.c);
	ck_run(4000);
	assert_int_equal(ck.client.n_closed + ck.server.n_closed, 0);
	assert_int_equal(ck.client.n_silent, 0);
	link_conn_resume(ck.server.c);
	ck_run(200);
	assert_int_equal(ck.client.n_closed + ck.server.n_closed, 0);
}

/* As a rate limit does it: many short pauses. */
static void short_pauses_do_not_stop_the_clock(void **state)
{
	uint64_t end;

	(void)state;
	ck_raw_hello();
	for (end = ck_now_ms() + 1500; ck_now_ms() < end;) {
		link_conn_pause(ck.server.c);
		link_conn_asking(ck.server.c, true);
		ck_run(15);
		link_conn_resume(ck.server.c);
		link_conn_asking(ck.server.c, false);
		ck_run(15);
	}
	(void)ck_raw_expect(LINK_PING);
	stream_close(ck.raw.s, ERR_OK);
}

static void a_loop_that_was_held_up_blames_nobody(void **state)
{
	uint64_t end;

	(void)state;
	ck_both_open();
	for (end = ck_now_ms() + 3500; ck_now_ms() < end;)
		;
	ck_run(300);
	assert_int_equal(ck.client.n_closed + ck.server.n_closed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CK(all_frames_pass_in_order_and_whole),
	    CK(what_cannot_be_encoded_is_refused_and_harmless),
	    CK(data_goes_in_records_of_its_own),
	    CK(many_bytes_pass_without_harm),
	    CK(frames_may_come_in_any_pieces),
	    CK(what_is_no_frame_ends_it),
	    CK(frames_out_of_place_end_it),
	    CK(noise_never_gets_through),
	    CK(little_waits_for_a_slow_peer),
	    CK(who_never_reads_is_given_up),
	    CK(pings_without_reading_cost_the_connection),
	    CK(room_is_given_in_turns),
	    CK(round_trips_are_measured_while_asking),
	    CK(idle_ends_keep_each_other_alive),
	    CK(silence_is_told_each_second),
	    CK(who_is_silent_for_three_keepalives_is_dead),
	    CK(who_reads_no_more_for_a_while_is_not_dead),
	    CK(short_pauses_do_not_stop_the_clock),
	    CK(a_loop_that_was_held_up_blames_nobody),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
