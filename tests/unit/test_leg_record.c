/* What a leg leaves in the ledger. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "store/ledger_view.h"
#include "tests/unit/ledger_fixture.h"
#include "tests/unit/leg_kit.h"
#include "tests/unit/net_fixture.h"

static struct fixture f;
static struct view_association row;
static char accepted[2][65], proposed[2][200];
static unsigned n_rows, n_contexts;

static int live;

static void begin(bool tls)
{
	(void)net_file("ca.pem"); /* made on first use */
	assert_int_equal(tls_global_init(), ERR_OK);
	live = net_mem_live();
	fixture_init(&f);
	fixture_open(&f);
	leg_kit_begin(tls);
	kit.ledger = f.l;
	n_rows = n_contexts = 0;
}

static void end(void)
{
	leg_kit_end();
	fixture_free(&f);
	assert_int_equal(net_mem_live(), live);
}

static bool on_row(void *arg, const struct view_association *a)
{
	(void)arg;
	row = *a;
	n_rows++;
	return true;
}

static bool on_context(void *arg, const struct ledger_context *c)
{
	(void)arg;
	assert_true(n_contexts < 2);
	(void)snprintf(accepted[n_contexts], 65, "%s", c->accepted);
	(void)snprintf(proposed[n_contexts], 200, "%s", c->proposed);
	n_contexts++;
	return true;
}

/* The newest rows, counted; the contexts of the last one seen. */
static void look(void)
{
	struct ledger_view *v;
	char why[LEDGER_WHY_LEN];

	fixture_settle(&f);
	fixture_close_ledger(&f); /* everything posted is written */
	assert_int_equal(ledger_view_open(f.dir, &v, why), ERR_OK);
	assert_int_equal(ledger_view_associations(v, 0, 10, on_row, NULL),
			 ERR_OK);
	assert_int_equal(
	    ledger_view_association(v, row.a.id, on_row, on_context, NULL),
	    ERR_OK);
	n_rows--;
	ledger_view_close(v);
}

static void release_when_read(struct near *n, const char *event)
{
	if (strcmp(event, "read") == 0)
		near_release(n);
}

static void an_association_is_on_record(bool tls)
{
	uint8_t pdu[256];
	uint64_t id;

	begin(tls);
	kit.far[0].echo = true;
	kit.near.probe = release_when_read;
	leg_kit_destination(1);
	leg_kit_established();
	id = leg_id(kit.near.l);
	assert_true(id != 0);
	leg_count(kit.near.l, 1, 2, 3, 4);
	leg_count(kit.near.l, 0, 1, 0, 0);
	assert_int_equal(near_write(&kit.near, pdu, leg_kit_pdata(pdu, 100)),
			 ERR_OK);
	UNTIL(kit.near.n_gone);
	look();
	assert_int_equal(n_rows, 1);
	assert_int_equal(row.a.id, id);
	assert_int_equal(row.a.direction, LEDGER_OUT);
	assert_string_equal(row.a.party, "pacs");
	assert_string_equal(row.a.device, "ct-room-2");
	assert_string_equal(row.a.calling_ae, "CT2");
	assert_string_equal(row.a.called_ae, "ARCHIVE");
	assert_string_equal(row.a.result, "accepted");
	assert_string_equal(row.a.tls_version, tls ? "TLSv1.3" : "");
	assert_int_equal(row.a.max_pdu, 65536);
	assert_true(row.ended);
	assert_string_equal(row.end.why, "released");
	assert_int_equal(row.end.stores, 1);
	assert_int_equal(row.end.echos, 3);
	assert_int_equal(row.end.others, 3);
	assert_int_equal(row.end.failures, 4);
	assert_true(row.end.bytes_in >= 112 && row.end.bytes_out >= 112);
	assert_int_equal(n_contexts, 2);
	assert_string_equal(accepted[0], "1.2.840.10008.1.2");
	assert_string_equal(proposed[0],
			    "1.2.840.10008.1.2 1.2.840.10008.1.2.1");
	assert_string_equal(proposed[1], "1.2.840.10008.1.2");
	end();
}

static void a_plain_association_is_on_record(void **state)
{
	(void)state;
	an_association_is_on_record(false);
}

static void a_tls_association_is_on_record(void **state)
{
	(void)state;
	an_association_is_on_record(true);
}

static void every_rejection_is_on_record(void **state)
{
	(void)state;
	begin(false);
	leg_kit_destination(2);
	kit.far[0].on_rq = FAR_REJECT;
	memcpy(kit.far[0].reject, "\2\3\1", 3);
	leg_kit_established();
	assert_int_equal(near_write(&kit.near, "", 0), ERR_OK);
	near_abort(&kit.near);
	UNTIL(kit.near.n_gone);
	look();
	assert_int_equal(n_rows, 2); /* the oldest is looked at */
	assert_string_equal(row.a.result, "rejected 2/3/1");
	assert_true(row.ended);
	assert_string_equal(row.end.why, "rejected 2/3/1");
	assert_int_equal(n_contexts, 0);
	end();
}

static void a_refused_leg_without_an_answer_has_no_row(void **state)
{
	(void)state;
	begin(false);
	leg_kit_destination(1);
	kit.far[0].on_rq = FAR_CLOSE;
	assert_int_equal(near_open(&kit.near), ERR_OK);
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.near.n_refused, 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_plain_association_is_on_record),
	    cmocka_unit_test(a_tls_association_is_on_record),
	    cmocka_unit_test(every_rejection_is_on_record),
	    cmocka_unit_test(a_refused_leg_without_an_answer_has_no_row),
	};

	net_mem_install();
	return cmocka_run_group_tests_name("leg_record", tests, NULL, NULL);
}
