#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "proxy/capability.h"
#include "proxy/heap.h"
#include "proxy/idmap.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/recent.h"

static struct capability_key key(const char *abstract, const char *ts)
{
	return (struct capability_key){.destination = "cloud",
				       .calling_ae = "CT1",
				       .called_ae = "PACS",
				       .abstract = abstract,
				       .transfer_syntax = ts};
}

static void count_wanted(void *arg)
{
	++*(int *)arg;
}

static void what_is_learnt_is_known_and_fresh(void **state)
{
	struct capability_key k = key("1.2", "1.3");
	struct capabilities *c;
	uint64_t age;

	(void)state;
	assert_int_equal(capability_new(NULL, &c), ERR_OK);
	assert_int_equal(capability_lookup(c, &k, &age), CAPABILITY_UNKNOWN);
	assert_true(age == UINT64_MAX);
	capability_learn(c, &k, true);
	assert_int_equal(capability_lookup(c, &k, &age), CAPABILITY_ACCEPTED);
	assert_true(age < 1000);
	capability_learn(c, &k, false);
	assert_int_equal(capability_lookup(c, &k, NULL), CAPABILITY_REFUSED);
	capability_free(c);
}

static void every_part_of_the_key_counts(void **state)
{
	struct capability_key k = key("1.2", "1.3"), other;
	struct capabilities *c;

	(void)state;
	assert_int_equal(capability_new(NULL, &c), ERR_OK);
	capability_learn(c, &k, true);
	other = k;
	other.destination = "clous";
	assert_int_equal(capability_lookup(c, &other, NULL),
			 CAPABILITY_UNKNOWN);
	other = k;
	other.calling_ae = "CT2";
	assert_int_equal(capability_lookup(c, &other, NULL),
			 CAPABILITY_UNKNOWN);
	other = k;
	other.called_ae = "";
	assert_int_equal(capability_lookup(c, &other, NULL),
			 CAPABILITY_UNKNOWN);
	other = key("1.3", "1.2");
	assert_int_equal(capability_lookup(c, &other, NULL),
			 CAPABILITY_UNKNOWN);
	capability_free(c);
}

static void what_was_kept_is_as_old_as_it_was(void **state)
{
	struct capability_key k = key("1.2", "1.3");
	struct capabilities *c;
	uint64_t age;

	(void)state;
	assert_int_equal(capability_new(NULL, &c), ERR_OK);
	capability_load(c, &k, false, clock_wall_ms() - 3600 * 1000);
	assert_int_equal(capability_lookup(c, &k, &age), CAPABILITY_REFUSED);
	assert_true(age >= 3600 * 1000 && age < 3700 * 1000);
	capability_free(c);
}

static void a_directory_takes_everything(void **state)
{
	struct capability_key k = key("1.2", "1.3");
	struct capabilities *c;
	uint64_t age;

	(void)state;
	assert_int_equal(capability_new(NULL, &c), ERR_OK);
	capability_always(c, "cloud");
	assert_int_equal(capability_lookup(c, &k, &age), CAPABILITY_ACCEPTED);
	assert_int_equal(age, 0);
	assert_true(capability_contacted(c, "cloud", "CT1", "PACS"));
	capability_free(c);
}

static void wanted_pairs_are_due_unknown_ones_first(void **state)
{
	struct capability_key a = key("1.1", "1.2"), b = key("1.1", "1.3");
	struct capability_key fresh = key("1.1", "1.4");
	struct capability_pair due[8];
	struct capabilities *c;
	int n = 0;

	(void)state;
	assert_int_equal(capability_new(NULL, &c), ERR_OK);
	capability_on_want(c, count_wanted, &n);
	capability_load(c, &a, true, clock_wall_ms() - 3600 * 1000);
	capability_learn(c, &fresh, true);
	capability_want(c, &b);
	capability_want(c, &b);
	assert_int_equal(n, 1); /* said once */
	assert_int_equal(
	    capability_due(c, "cloud", "CT1", "PACS", 60000, due, 8), 2);
	assert_string_equal(due[0].transfer_syntax, "1.3");
	assert_string_equal(due[1].transfer_syntax, "1.2");
	assert_int_equal(
	    capability_due(c, "cloud", "CT1", "PACS", 60000, due, 1), 1);
	assert_int_equal(
	    capability_due(c, "cloud", "CT9", "PACS", 60000, due, 8), 0);
	capability_free(c);
}

static void collect(void *arg, const char *calling_ae, const char *called_ae)
{
	char *out = arg;

	(void)snprintf(out + strlen(out), 32, "%s>%s ", calling_ae, called_ae);
}

static void each_pair_of_ae_titles_is_named_once(void **state)
{
	struct capability_key a = key("1.1", "1.2"), b = key("1.1", "1.3");
	struct capabilities *c;
	char text[128] = "";

	(void)state;
	assert_int_equal(capability_new(NULL, &c), ERR_OK);
	capability_want(c, &a);
	capability_want(c, &b);
	b.calling_ae = "MR";
	capability_want(c, &b);
	capability_each_aes(c, "cloud", collect, text);
	assert_int_equal(strlen(text), strlen("CT1>PACS MR>PACS "));
	capability_free(c);
}

static void a_full_table_drops_instead_of_growing(void **state)
{
	struct capabilities *c;
	char uid[32];

	(void)state;
	assert_int_equal(capability_new(NULL, &c), ERR_OK);
	for (unsigned i = 0; i < CAPABILITY_MAX + 10; i++) {
		struct capability_key k = key(uid, "1.2");

		(void)snprintf(uid, sizeof(uid), "1.%u", i);
		capability_learn(c, &k, true);
		assert_int_equal(capability_lookup(c, &k, NULL),
				 i < CAPABILITY_MAX ? CAPABILITY_ACCEPTED
						    : CAPABILITY_UNKNOWN);
	}
	capability_free(c);
}

/* ---- recent ------------------------------------------------------------ */

static void the_latest_contexts_come_first_and_stay_bounded(void **state)
{
	struct capability_pair out[RECENT_MAX];
	struct recent *r;
	char uid[32];

	(void)state;
	assert_int_equal(recent_new(&r), ERR_OK);
	for (unsigned i = 0; i < RECENT_MAX + 50; i++) {
		struct capability_key k = key(uid, "1.2");

		(void)snprintf(uid, sizeof(uid), "1.%u", i);
		recent_use(r, &k);
		recent_use(r, &k);
	}
	assert_int_equal(recent_list(r, "CT1", "PACS", out, RECENT_MAX),
			 RECENT_MAX);
	assert_string_equal(out[0].abstract, uid);
	assert_string_equal(out[RECENT_MAX - 1].abstract, "1.50");
	assert_int_equal(recent_list(r, "CT2", "PACS", out, RECENT_MAX), 0);
	recent_free(r);
}

/* ---- heap and map ------------------------------------------------------ */

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void a_heap_gives_the_smallest_whatever_leaves_it(void **state)
{
	struct heap_node nodes[500];
	struct heap h = {0};
	uint64_t x = 1;
	int64_t last = INT64_MIN;

	(void)state;
	for (size_t i = 0; i < 500; i++) {
		nodes[i] = (struct heap_node){
		    .key = (int64_t)(next_random(&x) % 100), .tie = i};
		assert_int_equal(heap_push(&h, &nodes[i]), ERR_OK);
	}
	for (size_t i = 0; i < 500; i += 3)
		heap_remove(&h, &nodes[i]);
	heap_remove(&h, &nodes[0]); /* fine twice */
	for (size_t n = 500 - 167; n > 0; n--) {
		struct heap_node *first = heap_first(&h);

		assert_true(first->key >= last);
		last = first->key;
		heap_remove(&h, first);
	}
	assert_null(heap_first(&h));
	heap_free(&h);
}

static void a_map_finds_what_is_in_it_and_nothing_else(void **state)
{
	struct idmap m = {0};
	char there[1000] = {0}, *at;
	uint64_t x = 7;

	(void)state;
	assert_null(idmap_get(&m, 3));
	for (int i = 0; i < 50000; i++) {
		uint64_t id = next_random(&x) % 1000;

		if (next_random(&x) % 2 == 0) {
			assert_int_equal(idmap_put(&m, id, &there[id]), ERR_OK);
			there[id] = 1;
		} else {
			idmap_remove(&m, id);
			there[id] = 0;
		}
		id = next_random(&x) % 1000;
		at = idmap_get(&m, id);
		assert_ptr_equal(at, there[id] != 0 ? &there[id] : NULL);
	}
	idmap_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_learnt_is_known_and_fresh),
	    cmocka_unit_test(every_part_of_the_key_counts),
	    cmocka_unit_test(what_was_kept_is_as_old_as_it_was),
	    cmocka_unit_test(a_directory_takes_everything),
	    cmocka_unit_test(wanted_pairs_are_due_unknown_ones_first),
	    cmocka_unit_test(each_pair_of_ae_titles_is_named_once),
	    cmocka_unit_test(a_full_table_drops_instead_of_growing),
	    cmocka_unit_test(the_latest_contexts_come_first_and_stay_bounded),
	    cmocka_unit_test(a_heap_gives_the_smallest_whatever_leaves_it),
	    cmocka_unit_test(a_map_finds_what_is_in_it_and_nothing_else),
	};

	return cmocka_run_group_tests_name("capability", tests, NULL, NULL);
}
