/* What differs between two configurations. */
#include "tests/unit/config_load.h"

#include "policy/change.h"

enum { MOST = 32 };

static struct config_change found[MOST];
static size_t n_found;

static void on_change(void *arg, const struct config_change *c)
{
	(void)arg;
	assert_true(n_found < MOST);
	found[n_found++] = *c;
}

static void compare(const char *before, const char *after)
{
	struct config *a = good(before), *b = good(after);

	n_found = 0;
	assert_int_equal(config_changes(a, b, on_change, NULL), ERR_OK);
	config_free(a);
	config_free(b);
}

static void is(size_t i, const char *path, bool live, const char *before,
	       const char *after)
{
	assert_true(i < n_found);
	assert_string_equal(found[i].path, path);
	assert_int_equal(found[i].live, live);
	assert_string_equal(found[i].before, before);
	assert_string_equal(found[i].after, after);
}

static const char plain[] = ALL;

static void a_configuration_does_not_differ_from_itself(void **state)
{
	(void)state;
	compare(plain, plain);
	assert_int_equal(n_found, 0);
	/* the same said otherwise */
	compare(ALL "rate: {limit: 1Gbit, timetable: [{hours: 00:00-24:00, "
		    "limit: 2000kbit}]}\n",
		ALL "rate: {limit: 1000Mbit, timetable: {hours: '00:00-24:00', "
		    "limit: 2Mbit}}\n");
	assert_int_equal(n_found, 0);
}

static void each_option_is_named_with_what_it_was_and_is(void **state)
{
	(void)state;
	compare(plain,
		"listeners: {in: {address: 0.0.0.0:105, protocol: dicom, "
		"ae_titles: [A, B], limits: {rate: 3/s}}}\n"
		"rate: {limit: 2Mbit}\nlog: {level: debug}\n" DEVICE DESTINATION
		    ROUTE);
	assert_int_equal(n_found, 5);
	is(0, "rate.limit", true, "", "2Mbit");
	is(1, "log.level", true, "info", "debug");
	is(2, "listeners.in.address", false, "\"0.0.0.0:104\"",
	   "\"0.0.0.0:105\"");
	is(3, "listeners.in.ae_titles", false, "[\"A\"]", "[\"A\", \"B\"]");
	is(4, "listeners.in.limits.rate", true, "600/m", "3/s");
}

static void nouns_are_matched_by_name(void **state)
{
	(void)state;
	compare(LISTENER DESTINATION ROUTE
		"devices: {ct: {ae_title: CT, address: 10.0.0.1},\n"
		"          us: {ae_title: US, address: 10.0.0.3}}\n",
		LISTENER DESTINATION ROUTE
		"devices: {mr: {ae_title: MR, address: 10.0.0.2},\n"
		"          us: {ae_title: US, address: 10.0.0.3, port: 104},\n"
		"          ct: {ae_title: CT, address: 10.0.0.1,\n"
		"               rate: {timetable: {hours: '22:00-06:00',\n"
		"                                  limit: 1Mbit}}}}\n");
	assert_int_equal(n_found, 3);
	is(0, "devices.ct.rate.timetable", true, "",
	   "[{days: [mon, tue, wed, thu, fri, sat, sun], hours: "
	   "\"22:00-06:00\", limit: 1Mbit}]");
	is(1, "devices.us.port", false, "", "104");
	is(2, "devices.mr", false, "", "declared");
	compare(LISTENER DESTINATION ROUTE DEVICE, LISTENER DESTINATION ROUTE
		"devices: {ct2: {ae_title: CT, address: 10.0.0.1}}\n");
	assert_int_equal(n_found, 2);
	is(0, "devices.ct", false, "declared", "");
	is(1, "devices.ct2", false, "", "declared");
}

static void routes_are_one(void **state)
{
	(void)state;
	compare(plain, LISTENER DEVICE DESTINATION
		"routes: [{forward: files, called: A}, {forward: files}]\n");
	assert_int_equal(n_found, 1);
	assert_string_equal(found[0].path, "routes");
	assert_false(found[0].live);
	compare(plain, LISTENER DEVICE DESTINATION
		"routes: [{forward: files, device: ct}]\n");
	assert_int_equal(n_found, 1);
	assert_string_equal(found[0].path, "routes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_configuration_does_not_differ_from_itself),
	    cmocka_unit_test(each_option_is_named_with_what_it_was_and_is),
	    cmocka_unit_test(nouns_are_matched_by_name),
	    cmocka_unit_test(routes_are_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
