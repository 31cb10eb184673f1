/* Associations that this side cannot take, or only in part: each condition is
 * provoked, and its line read. */
#include "tests/unit/log_kit.h"

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "tests/unit/net_fixture.h"
#include "tests/unit/relay_kit.h"

static int setup(void **state)
{
	int failed = kit_setup(state);

	log_set_level(LOG_INFO);
	listen_to_log();
	return failed;
}

static int teardown(void **state)
{
	end_listening();
	return kit_teardown(state);
}

/* It was let in by the listener before that was closed. */
static void one_that_comes_while_the_daemon_stops_is_told(void **state)
{
	(void)state;
	association_drain(&kit.env, false);
	kit_request("CULVERT");
	UNTIL(DEVICE->n_rejected > 0);
	assert_int_equal(DEVICE->reject.result, 2); /* transient */
	assert_true(has_said(" refused "));
	assert_non_null(strstr(said, " code=CV2014 "));
	assert_non_null(strstr(said, "cause=\"the daemon is stopping\""));
	assert_non_null(strstr(said, "remedy=\"try again shortly\""));
	condition_asserted(condition_find("not-ready"));
}

enum { RQ_ROOM = 256 * 1024 }; /* what a leg's request is encoded in */

static void *room_calloc(size_t n, size_t size)
{
	return calloc(n, size);
}

static void *no_room_realloc(void *p, size_t size)
{
	return p == NULL && size == RQ_ROOM ? NULL : realloc(p, size);
}

static void a_leg_for_which_there_is_no_memory_is_told(void **state)
{
	static const struct mem_hook hook = {room_calloc, no_room_realloc,
					     free};

	(void)state;
	mem_set_hook(&hook);
	kit_associate("CULVERT"); /* for what needs no leg */
	assert_true(kit_result(CTX_ECHO) == 0 && kit_result(CTX_FIND) != 0);
	assert_true(has_said(" leg-refused "));
	condition_seen(condition_find("leg-not-opened"), "CV3026",
		       "could not be opened on this side", said);
	assert_non_null(strstr(said, " code=CV3026 "));
	kit_release();
	mem_set_hook(NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(one_that_comes_while_the_daemon_stops_is_told),
	    T(a_leg_for_which_there_is_no_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
