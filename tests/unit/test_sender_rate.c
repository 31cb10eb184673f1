/* A sender that keeps to a limit, over a real connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/destination.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/recent.h"
#include "proxy/sender.h"
#include "proxy/shaper.h"
#include "tests/unit/delivery_kit.h"

#define MBIT 1000000ull
#define MS   1000000ull

enum { KIB = 1024 };

static const char config[] =
    "destinations:\n"
    "  a: {protocol: dicom, endpoints: [\"127.0.0.1:%u\"],\n"
    "      plaintext: {allowed: test}, ae_title: ARCHIVE, max_pdu: 131072,\n"
    "      timeouts: {connect: 1s, associate: 200ms, response: 300ms,\n"
    "                 idle: 100ms}}\n"
    "routes: [{service: storage, forward: [a]}]\n";

struct fixture {
	struct kit k;
	struct destination *destination;
	struct shaper *shaper;
	struct recent *recent;
	struct reader *reader;
	struct sender *sender;
	bool closed;
	struct task *tasks[32];
	size_t n_back;
	struct ledger_item items[32];
	_Atomic size_t n_items;
};

static struct fixture *now;

static void on_task(struct msg *m)
{
	now->tasks[now->n_back++] = CONTAINER_OF(m, struct task, msg);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sender_env env;
	char why[768];

	now = f;
	kit_open(&f->k);
	f->k.scp[0].max_pdu = 131072;
	kit_config(&f->k, config);
	assert_int_equal(destination_open(&f->k.config->destinations[0],
					  &f->destination, why),
			 ERR_OK);
	assert_int_equal(shaper_new(1, 8, &f->shaper), ERR_OK);
	f->destination->capabilities = f->k.capabilities;
	f->destination->ledger = f->k.ledger;
	f->destination->shaper = f->shaper;
	assert_int_equal(recent_new(&f->recent), ERR_OK);
	assert_int_equal(reader_new(2, 64, "t", &f->reader), ERR_OK);
	env = (struct sender_env){.destination = f->destination,
				  .worker = f->k.workers[0],
				  .main = &f->k.mailbox,
				  .reader = f->reader,
				  .spool = f->k.spool,
				  .ledger = f->k.ledger,
				  .site = f->k.config,
				  .recent = f->recent};
	assert_int_equal(sender_new(&env, &f->sender), ERR_OK);
	*state = f;
	return 0;
}

static void on_closed(void *arg)
{
	((struct fixture *)arg)->closed = true;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sender_close(f->sender, on_closed, f);
	KIT_UNTIL(&f->k, f->closed);
	for (size_t i = 0; i < f->n_back; i++)
		mem_free(f->tasks[i]);
	reader_free(f->reader);
	recent_free(f->recent);
	destination_close(f->destination);
	shaper_free(f->shaper);
	kit_close(&f->k);
	free(f);
	return 0;
}

static void on_fetched(void *arg, const struct ledger_fetched *got)
{
	struct fixture *f = arg;

	for (size_t i = 0; i < got->n; i++)
		f->items[i] = got->items[i];
	atomic_store(&f->n_items, got->n);
}

/* Give n of that length at once. */
static void give(struct fixture *f, size_t n, size_t length)
{
	struct ledger_query q = {.destination = "a",
				 .state = DELIVERY_QUEUED,
				 .after = LEDGER_CURSOR_START,
				 .max = 32};

	for (size_t i = 0; i < n; i++)
		kit_put(&f->k, &(struct kit_instance){.length = length}, NULL);
	kit_barrier(&f->k);
	assert_int_equal(ledger_fetch(f->k.ledger, &q, on_fetched, f), ERR_OK);
	KIT_UNTIL(&f->k, atomic_load(&f->n_items) == n);
	for (size_t i = 0; i < n; i++) {
		struct task *t = mem_zalloc(sizeof(*t));

		t->item = f->items[i];
		destination_aes(f->destination->config, t->item.calling_ae,
				t->item.called_ae, t->calling_ae, t->called_ae);
		t->done = on_task;
		sender_give(f->sender, t);
	}
}

static void limit(struct fixture *f, enum shaper_level level, size_t index,
		  uint64_t rate, uint64_t burst)
{
	(void)shaper_set(f->shaper, level, index,
			 (struct shaper_limit){rate, burst, 20},
			 clock_mono_ns());
}

static void all_delivered(struct fixture *f, size_t n, size_t length)
{
	KIT_UNTIL(&f->k, f->n_back == n);
	for (size_t i = 0; i < n; i++) {
		const struct fake_store *s = &f->k.scp[0].stores[i];

		assert_int_equal(f->tasks[i]->verdict.fate, FATE_DELIVERED);
		assert_int_equal(s->length, length);
		assert_false(s->odd);
		for (size_t k = 0; k < length; k++)
			assert_int_equal(s->bytes[k], kit_byte((unsigned)i, k));
	}
}

static void a_limit_holds_over_a_real_connection(void **state)
{
	struct fixture *f = *state;
	uint64_t begun, took;

	limit(f, SHAPER_DESTINATION, 0, 40 * MBIT, 100 * KIB);
	give(f, 4, 2500000);
	begun = clock_mono_ns();
	KIT_UNTIL(&f->k, f->n_back == 4);
	took = (clock_mono_ns() - begun) / MS;
	all_delivered(f, 4, 2500000);
	/* ten million bytes at five million a second, and a busy machine */
	if (took < 1940 || took > 2300)
		fail_msg("it took %llu ms, not 2000", (unsigned long long)took);
	for (size_t i = 0; i < 4; i++)
		assert_true(f->k.scp[0].stores[i].largest <= SHAPER_FRAME + 12);
}

static void without_a_limit_fragments_are_as_long_as_ever(void **state)
{
	struct fixture *f = *state;

	give(f, 1, 1000000);
	all_delivered(f, 1, 1000000);
	assert_true(f->k.scp[0].stores[0].largest > 100 * KIB);
}

static void short_pdus_of_the_peer_are_kept_under_a_limit(void **state)
{
	struct fixture *f = *state;

	f->k.scp[0].max_pdu = 5000;
	limit(f, SHAPER_TOTAL, 0, 40 * MBIT, 100 * KIB);
	give(f, 2, 700001);
	all_delivered(f, 2, 700001);
	assert_true(f->k.scp[0].stores[0].largest <= 5000);
}

/* The time to answer is 300 ms, a frame takes a second. */
static void to_wait_for_the_line_is_no_fault_of_the_archive(void **state)
{
	struct fixture *f = *state;

	limit(f, SHAPER_TOTAL, 0, MBIT / 8, 0);
	give(f, 1, 20000);
	all_delivered(f, 1, 20000);
}

static void a_limit_that_is_lifted_lets_go_at_once(void **state)
{
	struct fixture *f = *state;
	uint64_t begun;

	limit(f, SHAPER_TOTAL, 0, MBIT / 8, 0);
	give(f, 1, 2000000);
	kit_for(&f->k, 200);
	assert_int_equal(f->n_back, 0);
	begun = clock_mono_ns();
	limit(f, SHAPER_TOTAL, 0, 0, 0);
	KIT_UNTIL(&f->k, f->n_back == 1);
	assert_true(clock_mono_ns() - begun < 500 * MS);
	all_delivered(f, 1, 2000000);
}

static void an_end_in_the_middle_of_waiting_is_clean(void **state)
{
	struct fixture *f = *state;

	limit(f, SHAPER_DESTINATION, 0, MBIT / 8, 0);
	give(f, 3, 2000000);
	kit_for(&f->k, 200);
	assert_int_equal(f->n_back, 0);
}

static void a_connection_that_is_lost_while_waiting_is_noticed(void **state)
{
	struct fixture *f = *state;

	limit(f, SHAPER_DESTINATION, 0, MBIT / 8, 0);
	give(f, 1, 2000000);
	kit_for(&f->k, 100);
	fake_stop(&f->k.scp[0]);
	KIT_UNTIL(&f->k, f->n_back == 1);
	assert_int_equal(f->tasks[0]->verdict.fate, FATE_SUSPECT);
	fake_start(&f->k.scp[0], f->k.scp[0].port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH_SENDER(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	    WITH_SENDER(a_limit_holds_over_a_real_connection),
	    WITH_SENDER(without_a_limit_fragments_are_as_long_as_ever),
	    WITH_SENDER(short_pdus_of_the_peer_are_kept_under_a_limit),
	    WITH_SENDER(to_wait_for_the_line_is_no_fault_of_the_archive),
	    WITH_SENDER(a_limit_that_is_lifted_lets_go_at_once),
	    WITH_SENDER(an_end_in_the_middle_of_waiting_is_clean),
	    WITH_SENDER(a_connection_that_is_lost_while_waiting_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
