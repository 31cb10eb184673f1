#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/link/link_fsm.h"

/* ---- conn ---- */

static bool is_rx(enum link_conn_event e)
{
	return e >= LINK_CONN_EV_RX_HELLO && e <= LINK_CONN_EV_RX_BROKEN;
}

static void frames_and_ends_meet_no_empty_cell_of_conn(void **state)
{
	(void)state;
	for (unsigned s = 0; s < LINK_CONN_N_STATES; s++)
		for (unsigned e = 0; e < LINK_CONN_N_EVENTS; e++) {
			struct link_conn_step step = link_conn_step(s, e);
			bool live = s != LINK_CONN_CLOSED;
			bool may = is_rx(e) ? live && s != LINK_CONN_START
					    : live && e >= LINK_CONN_EV_TIMEOUT;

			if (may)
				assert_int_not_equal(step.action,
						     LINK_CONN_DO_NONE);
			if (step.action == LINK_CONN_DO_NONE)
				assert_int_equal(step.next, s);
			if (!live)
				assert_int_equal(step.action,
						 LINK_CONN_DO_NONE);
		}
}

/* Nothing of a transfer is looked at before both ends know each other. */
static void transfers_pass_only_when_open(void **state)
{
	(void)state;
	for (unsigned s = 0; s < LINK_CONN_N_STATES; s++) {
		struct link_conn_step step =
		    link_conn_step(s, LINK_CONN_EV_RX_TRANSFER);

		assert_int_equal(step.action == LINK_CONN_DO_PASS,
				 s == LINK_CONN_OPEN);
	}
}

static void every_connection_can_close_in_two_steps(void **state)
{
	(void)state;
	for (unsigned s = 0; s < LINK_CONN_CLOSED; s++) {
		struct link_conn_step step =
		    link_conn_step(s, LINK_CONN_EV_TIMEOUT);

		if (step.next != LINK_CONN_CLOSED)
			step = link_conn_step(step.next, LINK_CONN_EV_TIMEOUT);
		assert_int_equal(step.next, LINK_CONN_CLOSED);
		step = link_conn_step(s, LINK_CONN_EV_END);
		assert_int_equal(step.next, LINK_CONN_CLOSED);
	}
}

/* ---- tx ---- */

static void only_a_written_outcome_frees(void **state)
{
	(void)state;
	for (unsigned s = 0; s < LINK_TX_N_STATES; s++)
		for (unsigned e = 0; e < LINK_TX_N_EVENTS; e++) {
			struct link_tx_step step = link_tx_step(s, e);

			assert_int_equal(step.action == LINK_TX_DO_NOTED,
					 s == LINK_TX_SETTLING &&
					     e == LINK_TX_EV_WRITTEN);
			if (step.next == LINK_TX_SETTLING &&
			    s != LINK_TX_SETTLING)
				assert_int_equal(e, LINK_TX_EV_RX_DELIVERED);
			if (step.next != s && s == LINK_TX_SETTLING)
				assert_int_equal(e, LINK_TX_EV_WRITTEN);
			if (s == LINK_TX_DONE)
				assert_int_equal(step.next, LINK_TX_DONE);
		}
}

static void every_frame_has_an_action_at_the_sender(void **state)
{
	(void)state;
	for (unsigned s = 0; s < LINK_TX_N_STATES; s++)
		for (unsigned e = LINK_TX_EV_RX_HAVE; e <= LINK_TX_EV_LOST; e++)
			assert_int_not_equal(link_tx_step(s, e).action,
					     LINK_TX_DO_NONE);
}

/* After a loss no transfer believes in an answer that was under way. */
static void a_loss_leaves_only_what_needs_no_answer(void **state)
{
	(void)state;
	for (unsigned s = 0; s < LINK_TX_N_STATES; s++) {
		enum link_tx_state next = link_tx_step(s, LINK_TX_EV_LOST).next;

		assert_true(next != LINK_TX_OFFERED &&
			    next != LINK_TX_SENDING &&
			    next != LINK_TX_FINISHING);
		assert_int_not_equal(link_tx_step(next, LINK_TX_EV_UP).action,
				     LINK_TX_DO_NONE);
		assert_int_not_equal(link_tx_step(next, LINK_TX_EV_VOID).action,
				     LINK_TX_DO_NONE);
	}
}

/* ---- rx ---- */

static void every_frame_has_an_action_at_the_receiver(void **state)
{
	(void)state;
	for (unsigned s = 0; s < LINK_RX_N_STATES; s++) {
		for (unsigned e = 0; e <= LINK_RX_EV_RX_NOTED; e++)
			assert_int_not_equal(link_rx_step(s, e).action,
					     LINK_RX_DO_NONE);
		assert_int_not_equal(link_rx_step(s, LINK_RX_EV_LOST).action,
				     LINK_RX_DO_NONE);
	}
}

static void what_arrived_is_left_only_by_delivery_or_damage(void **state)
{
	(void)state;
	for (unsigned e = 0; e < LINK_RX_N_EVENTS; e++) {
		enum link_rx_state a = link_rx_step(LINK_RX_ARRIVED, e).next;
		enum link_rx_state d = link_rx_step(LINK_RX_DELIVERED, e).next;

		assert_int_equal(a != LINK_RX_ARRIVED,
				 e == LINK_RX_EV_OUT_DONE ||
				     e == LINK_RX_EV_CHUNK_LOST);
		assert_int_equal(d != LINK_RX_DELIVERED,
				 e == LINK_RX_EV_RX_NOTED ||
				     e == LINK_RX_EV_EXPIRED);
	}
}

static void arrived_is_said_only_after_the_final_record(void **state)
{
	(void)state;
	for (unsigned s = 0; s < LINK_RX_N_STATES; s++)
		for (unsigned e = 0; e < LINK_RX_N_EVENTS; e++) {
			struct link_rx_step step = link_rx_step(s, e);

			if (step.action == LINK_RX_DO_TELL_ARRIVED)
				assert_true(s == LINK_RX_ARRIVED ||
					    e == LINK_RX_EV_FINAL_DURABLE);
			if (step.next == LINK_RX_ARRIVED &&
			    s != LINK_RX_ARRIVED)
				assert_int_equal(e, LINK_RX_EV_FINAL_DURABLE);
		}
}

/* ---- names ---- */

static void everything_has_a_name(void **state)
{
	(void)state;
	assert_string_equal(link_conn_state_name(LINK_CONN_FIRST), "FIRST");
	assert_string_equal(link_conn_event_name(LINK_CONN_EV_END), "END");
	assert_string_equal(link_conn_action_name(0), "-");
	assert_string_equal(link_conn_action_name(LINK_CONN_N_ACTIONS), "-");
	assert_string_equal(link_conn_state_name(LINK_CONN_N_STATES), "-");
	assert_string_equal(link_conn_event_name(LINK_CONN_N_EVENTS), "-");
	assert_string_equal(link_tx_state_name(LINK_TX_N_STATES), "-");
	assert_string_equal(link_tx_event_name(LINK_TX_N_EVENTS), "-");
	assert_string_equal(link_tx_action_name(LINK_TX_N_ACTIONS), "-");
	assert_string_equal(link_tx_state_text(LINK_TX_N_STATES), "-");
	assert_string_equal(link_tx_state_text(LINK_TX_ARRIVED),
			    "in the far spool");
	assert_string_equal(link_rx_state_name(LINK_RX_N_STATES), "-");
	assert_string_equal(link_rx_event_name(LINK_RX_N_EVENTS), "-");
	assert_string_equal(link_rx_action_name(LINK_RX_N_ACTIONS), "-");
	assert_string_equal(link_rx_state_text(LINK_RX_N_STATES), "-");
	assert_string_equal(link_rx_state_text(LINK_RX_KEPT),
			    "unfinished, its chunks are kept");
}

/* ---- the document's tables ---- */

/* "state|event|action|next|refused" of a cell as the code has it. */
static void cell_text(char which, unsigned s, unsigned e, char *out, size_t n)
{
	struct link_conn_step c;
	struct link_tx_step t;
	struct link_rx_step r;

	if (which == 'c') {
		c = link_conn_step(s, e);
		snprintf(
		    out, n, "%s|%s|%s|%s|%s", link_conn_state_name(s),
		    link_conn_event_name(e), link_conn_action_name(c.action),
		    link_conn_state_name(c.next),
		    c.refused == c.next ? "" : link_conn_state_name(c.refused));
	} else if (which == 't') {
		t = link_tx_step(s, e);
		snprintf(out, n, "%s|%s|%s|%s|", link_tx_state_name(s),
			 link_tx_event_name(e), link_tx_action_name(t.action),
			 link_tx_state_name(t.next));
	} else {
		r = link_rx_step(s, e);
		snprintf(out, n, "%s|%s|%s|%s|", link_rx_state_name(s),
			 link_rx_event_name(e), link_rx_action_name(r.action),
			 link_rx_state_name(r.next));
	}
}

static const struct table {
	char which;
	const char *head; /* of the table in the document */
	unsigned states, events;
} tables[] = {
    {'c', "| conn | event |", LINK_CONN_N_STATES, LINK_CONN_N_EVENTS},
    {'t', "| tx | event |", LINK_TX_N_STATES, LINK_TX_N_EVENTS},
    {'r', "| rx | event |", LINK_RX_N_STATES, LINK_RX_N_EVENTS},
};

static bool in_code(const struct table *t, const char *want)
{
	char have[128];

	for (unsigned s = 0; s < t->states; s++)
		for (unsigned e = 0; e < t->events; e++) {
			cell_text(t->which, s, e, have, sizeof(have));
			if (strcmp(have, want) == 0)
				return true;
		}
	return false;
}

/* "| STATE | EV, EV | ACTION | NEXT | refused |". Returns how many cells. */
static unsigned check_row(const struct table *t, char *row)
{
	char *cell[6] = {0}, *event, *more, want[128];
	unsigned n = 0;

	for (unsigned i = 0; i < 6 && row != NULL; i++) {
		cell[i] = strsep(&row, "|");
		while (*cell[i] == ' ')
			cell[i]++;
		for (size_t k = strlen(cell[i]);
		     k > 0 && strchr(" \n", cell[i][k - 1]) != NULL; k--)
			cell[i][k - 1] = '\0';
	}
	assert_non_null(cell[4]);
	more = cell[2];
	while ((event = strsep(&more, ",")) != NULL) {
		event += *event == ' ';
		snprintf(want, sizeof(want), "%s|%s|%s|%s|%s", cell[1], event,
			 cell[3], cell[4],
			 t->which == 'c' && cell[5] != NULL ? cell[5] : "");
		if (!in_code(t, want))
			fail_msg("not so in the code: %s", want);
		n++;
	}
	return n;
}

static unsigned cells_of(const struct table *t)
{
	unsigned n = 0;
	char text[128];

	for (unsigned s = 0; s < t->states; s++)
		for (unsigned e = 0; e < t->events; e++) {
			cell_text(t->which, s, e, text, sizeof(text));
			n += strstr(text, "|-|") == NULL;
		}
	return n;
}

static void the_document_has_the_tables_of_the_code(void **state)
{
	char line[512];
	unsigned found[ARRAY_LEN(tables)] = {0};
	const struct table *in = NULL;
	FILE *f = fopen("proxy/link/PROTOCOL.md", "r");

	(void)state;
	if (f == NULL) {
		print_message("PROTOCOL.md is not here\n");
		skip();
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		if (line[0] != '|')
			in = NULL;
		else if (in != NULL && strncmp(line, "| ---", 5) != 0)
			found[in - tables] += check_row(in, line);
		for (size_t i = 0; i < ARRAY_LEN(tables); i++)
			if (strncmp(line, tables[i].head,
				    strlen(tables[i].head)) == 0)
				in = &tables[i];
	}
	fclose(f);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		assert_int_equal(found[i], cells_of(&tables[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_and_ends_meet_no_empty_cell_of_conn),
	    cmocka_unit_test(transfers_pass_only_when_open),
	    cmocka_unit_test(every_connection_can_close_in_two_steps),
	    cmocka_unit_test(only_a_written_outcome_frees),
	    cmocka_unit_test(every_frame_has_an_action_at_the_sender),
	    cmocka_unit_test(a_loss_leaves_only_what_needs_no_answer),
	    cmocka_unit_test(every_frame_has_an_action_at_the_receiver),
	    cmocka_unit_test(what_arrived_is_left_only_by_delivery_or_damage),
	    cmocka_unit_test(arrived_is_said_only_after_the_final_record),
	    cmocka_unit_test(everything_has_a_name),
	    cmocka_unit_test(the_document_has_the_tables_of_the_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
