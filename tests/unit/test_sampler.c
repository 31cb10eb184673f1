/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/ack_meter.h"
#include "proxy/admission.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/line_facts.h"
#include "proxy/net/tcp_facts.h"
#include "proxy/sampler.h"
#include "proxy/shaping.h"
#include "tests/unit/ledger_fixture.h"

#define T0     1700006400000LL /* a full hour */
#define SECOND 1000000000ULL

/* ---- acknowledgements ---------------------------------------------------- */

static void a_time_is_counted_once_whoever_notes_it(void **state)
{
	struct ack_figures before, after;

	(void)state;
	ack_meter_read(&before);
	ack_meter_note(0, 1000000);  /* 1 ms: in the first */
	ack_meter_note(1, 1000001);  /* a bit more: in the second */
	ack_meter_note(65, 3000000); /* 3 ms */
	ack_meter_note(2, 60 * SECOND);
	ack_meter_read(&after);
	assert_int_equal(after.count - before.count, 4);
	assert_int_equal(after.bucket[0] - before.bucket[0], 1);
	assert_int_equal(after.bucket[1] - before.bucket[1], 1);
	assert_int_equal(after.bucket[2] - before.bucket[2], 1);
	assert_int_equal(after.bucket[ROLLUP_BOUNDS - 1] -
			     before.bucket[ROLLUP_BOUNDS - 1],
			 1);
	assert_int_equal(after.sum_us - before.sum_us,
			 1000 + 1000 + 3000 + 60000000);
}

/* ---- lines ----------------------------------------------------------------
 */

static void retransmissions_of_all_connections_add_up(void **state)
{
	struct line_facts f = {0};
	struct line_watch a = {0}, b = {0};
	struct stream_tcp tcp = {.rtt_us = 900, .retransmitted = 5};
	struct line_shown s;

	(void)state;
	line_facts_show(&f, SECOND, &s);
	assert_true(s.age_ms == UINT64_MAX);
	assert_true(line_facts_due(&a, SECOND));
	line_facts_note(&f, &a, &tcp, SECOND);
	assert_false(line_facts_due(&a, SECOND + SECOND / 2));
	assert_true(line_facts_due(&a, 2 * SECOND));
	tcp.retransmitted = 7;
	line_facts_note(&f, &a, &tcp, 2 * SECOND);
	tcp.retransmitted = 1; /* another connection, then a new one of a's */
	line_facts_note(&f, &b, &tcp, 2 * SECOND);
	tcp.retransmitted = 2;
	tcp.rtt_us = 1100;
	line_facts_note(&f, &a, &tcp, 3 * SECOND);
	line_facts_show(&f, 5 * SECOND, &s);
	assert_int_equal(s.retransmitted, 7 + 1 + 2);
	assert_int_equal(s.rtt_us, 1100);
	assert_int_equal(s.age_ms, 2000);
}

/* ---- samples ---------------------------------------------------------------
 */

struct kit {
	struct fixture f;
	struct config config;
	struct config_device devices[1];
	struct config_listener listeners[1];
	struct admission *admission;
	struct shaping shaping;
	struct sampler *sampler;
};

static int no_associations(void *arg)
{
	(void)arg;
	return 3;
}

static int setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));
	struct sampler_options o;

	assert_non_null(k);
	fixture_init(&k->f);
	fixture_open(&k->f);
	fixture_put_many(&k->f, 1, 4); /* from before: in no sample */
	fixture_settle(&k->f);
	fixture_close(&k->f);
	fixture_open(&k->f);
	k->config.devices = k->devices;
	k->config.n_devices = 1;
	k->config.listeners = k->listeners;
	k->config.n_listeners = 1;
	assert_int_equal(admission_new(&k->config, k->f.l, &k->admission),
			 ERR_OK);
	o = (struct sampler_options){.config = &k->config,
				     .spool = k->f.spool,
				     .ledger = k->f.l,
				     .shaping = &k->shaping,
				     .admission = k->admission,
				     .associations = no_associations};
	assert_int_equal(sampler_new(&o, &k->sampler), ERR_OK);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	struct kit *k = *state;

	sampler_free(k->sampler);
	admission_free(k->admission);
	fixture_free(&k->f);
	free(k);
	return 0;
}

struct sums {
	int64_t seconds, associations, instances, steps;
};

static bool on_point(void *arg, const struct rollup_point *p)
{
	struct sums *s = arg;

	if (p->metric == ROLLUP_SECONDS) {
		s->seconds += p->value;
		s->steps++;
	}
	if (p->metric == ROLLUP_ASSOCIATIONS)
		s->associations = p->value;
	if (p->metric == ROLLUP_IN_INSTANCES)
		s->instances += p->value;
	return true;
}

static struct sums read_sums(struct kit *k)
{
	struct ledger_view *v;
	struct sums s = {0};

	assert_int_equal(ledger_view_open(k->f.dir, &v, NULL), ERR_OK);
	assert_int_equal(ledger_rollup(v, ~0ULL, NULL, ROLLUP_SECONDS_10, 0,
				       INT64_MAX, on_point, &s),
			 ERR_OK);
	ledger_view_close(v);
	return s;
}

static void tick(struct kit *k, int64_t seconds)
{
	sampler_tick(k->sampler, NULL, T0 + 1000 + seconds * 1000,
		     (uint64_t)(seconds + 1) * SECOND);
}

static void await_devices(struct kit *k, uint64_t instances)
{
	struct ledger_device_stats d = {0};

	while (ledger_devices(k->f.l, &d, 1) != 1 || d.instances != instances)
		fixture_barrier(&k->f);
}

static void a_step_is_sampled_once_with_what_is_new(void **state)
{
	struct kit *k = *state;
	struct sums s;

	for (int64_t i = 0; i < 8; i += 2)
		tick(k, i);
	fixture_put_many(&k->f, 10, 3);
	fixture_settle(&k->f);
	await_devices(k, 7);
	tick(k, 10);
	tick(k, 12);
	tick(k, 18);
	tick(k, 20);
	fixture_await(&k->f, "SELECT count(*) FROM rollups WHERE slot<1<<40",
		      2);
	s = read_sums(k);
	assert_int_equal(s.steps, 2);
	assert_int_equal(s.seconds, 20);
	assert_int_equal(s.associations, 3);
	assert_int_equal(s.instances, 3);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_time_is_counted_once_whoever_notes_it),
	    cmocka_unit_test(retransmissions_of_all_connections_add_up),
	    cmocka_unit_test_setup_teardown(
		a_step_is_sampled_once_with_what_is_new, setup, teardown),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
