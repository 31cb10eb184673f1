/* Order on a line that is limited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "proxy/lib/clock.h"
#include "proxy/shaper.h"
#include "tests/unit/delivery_kit.h"

#define MBIT 1000000ull

static const char three_lanes[] =
    "destinations:\n"
    "  a: {protocol: dicom, endpoints: [\"127.0.0.1:%u\"],\n"
    "      plaintext: {allowed: test}, ae_title: A, associations: 3}\n"
    "routes: [{service: storage, forward: [a]}]\n";

struct fixture {
	struct kit k;
	struct shaper *shaper;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	kit_open(&f->k);
	kit_config(&f->k, three_lanes);
	assert_int_equal(shaper_new(1, 1, &f->shaper), ERR_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	kit_close(&f->k);
	shaper_free(f->shaper);
	free(f);
	return 0;
}

static void begin(struct fixture *f, uint64_t rate)
{
	(void)shaper_set(f->shaper, SHAPER_DESTINATION, 0,
			 (struct shaper_limit){rate, 65536, 20},
			 clock_mono_ns());
	kit_schedule(&f->k);
	f->k.destinations[0]->shaper = f->shaper;
	for (int i = 0; i < 8; i++)
		kit_put(&f->k, &(struct kit_instance){.length = 1000000}, NULL);
}

static void what_is_urgent_waits_for_no_instance_to_end(void **state)
{
	struct fixture *f = *state;
	uint64_t begun;

	begin(f, 4 * MBIT); /* an instance takes two seconds alone */
	kit_for(&f->k, 300);
	assert_int_equal(f->k.scp[0].associations, 2);
	assert_int_equal(kit_count(&f->k, "a", DELIVERY_DELIVERED), 0);
	begun = clock_mono_ns();
	for (int i = 0; i < 3; i++)
		kit_put(&f->k,
			&(struct kit_instance){.length = 20000,
					       .device_priority =
						   CONFIG_PRIORITY_STAT},
			NULL);
	KIT_UNTIL(&f->k, kit_count(&f->k, "a", DELIVERY_DELIVERED) == 3);
	/* 120 ms of line, and a busy machine */
	assert_true(clock_mono_ns() - begun < 700000000);
	assert_int_equal(f->k.scp[0].associations, 3);
}

static void without_a_limit_every_lane_is_for_all(void **state)
{
	struct fixture *f = *state;

	f->k.scp[0].delay_ms = 100;
	begin(f, 0);
	KIT_UNTIL(&f->k, f->k.scp[0].associations == 3);
	KIT_UNTIL(&f->k, kit_count(&f->k, "a", DELIVERY_DELIVERED) == 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	    T(what_is_urgent_waits_for_no_instance_to_end),
	    T(without_a_limit_every_lane_is_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
