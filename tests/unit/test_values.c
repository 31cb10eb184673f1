/* Single values of the configuration: text to number and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/problem.h"
#include "policy/syntaxes.h"
#include "policy/value.h"

static void sizes_have_units_of_1000_and_1024(void **state)
{
	uint64_t v;
	char text[VALUE_TEXT_LEN];

	(void)state;
	assert_true(value_size("64KiB", &v) && v == 65536);
	assert_true(value_size("200GiB", &v) && v == 200ull << 30);
	assert_true(value_size("10MB", &v) && v == 10000000);
	assert_true(value_size("131072", &v) && v == 131072);
	assert_true(value_size("5 MiB", &v) && v == 5 << 20);
	assert_false(value_size("5 Mib", &v));
	assert_false(value_size("-1", &v));
	assert_false(value_size("1.5GiB", &v));
	assert_false(value_size("", &v));
	assert_false(value_size("GiB", &v));
	assert_false(value_size("999999999999999999TiB", &v));
	assert_false(value_size("99999999999999999999", &v));
	assert_string_equal(value_size_text(65536, text), "64KiB");
	assert_string_equal(value_size_text(1000, text), "1kB");
	assert_string_equal(value_size_text(0, text), "0");
}

static void durations_need_a_unit(void **state)
{
	uint64_t v;
	char text[VALUE_TEXT_LEN];

	(void)state;
	assert_true(value_duration("500ms", &v) && v == 500);
	assert_true(value_duration("30s", &v) && v == 30000);
	assert_true(value_duration("5m", &v) && v == 300000);
	assert_true(value_duration("6y", &v) && v == 6 * 365 * 86400000ull);
	assert_true(value_duration("0", &v) && v == 0);
	assert_false(value_duration("30", &v));
	assert_false(value_duration("30 seconds", &v));
	assert_false(value_duration("s", &v));
	assert_string_equal(value_duration_text(90000, text), "90s");
	assert_string_equal(value_duration_text(0, text), "0ms");
	assert_true(value_duration("0ms", &v));
}

static void rates_are_a_number_per_duration(void **state)
{
	struct config_rate r;
	char text[VALUE_TEXT_LEN];

	(void)state;
	assert_true(value_rate("20/s", &r) && r.n == 20 && r.per_ms == 1000);
	assert_true(value_rate("600/min", &r) && r.per_ms == 60000);
	assert_true(value_rate("5/10s", &r) && r.per_ms == 10000);
	assert_string_equal(value_rate_text(r, text), "5/10s");
	assert_false(value_rate("0/s", &r));
	assert_false(value_rate("5/0s", &r));
	assert_false(value_rate("5/", &r));
	assert_false(value_rate("5", &r));
	assert_false(value_rate("5/2y", &r));
	assert_false(value_rate("99999999999/s", &r));
	assert_false(value_rate("5/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
				&r));
}

static void ae_titles_are_trimmed_and_checked(void **state)
{
	char ae[CONFIG_AE_LEN];

	(void)state;
	assert_true(value_ae("  CT 2 ", ae));
	assert_string_equal(ae, "CT 2");
	assert_true(value_ae("ABCDEFGHIJKLMNOP", ae));
	assert_false(value_ae("ABCDEFGHIJKLMNOPQ", ae));
	assert_false(value_ae("   ", ae));
	assert_false(value_ae("", ae));
	assert_false(value_ae("A\\B", ae));
	assert_false(value_ae("A\tB", ae));
	assert_false(value_ae("\xc3\x84", ae));
}

static void uids_have_the_shape_of_the_standard(void **state)
{
	(void)state;
	assert_true(value_uid("1.2.840.10008.1.2"));
	assert_true(value_uid("1.0.1"));
	assert_false(value_uid("1..2"));
	assert_false(value_uid(".1"));
	assert_false(value_uid("1."));
	assert_false(value_uid("1.02"));
	assert_false(value_uid("1.2a"));
	assert_false(value_uid(""));
	assert_false(value_uid("1.2345678901234567890123456789012345678901234"
			       "56789012345678901234"));
}

static void every_named_syntax_has_a_valid_uid_of_its_own(void **state)
{
	const struct syntax *s;

	(void)state;
	for (size_t i = 0; (s = syntax_at(i)) != NULL; i++) {
		assert_true(value_uid(s->uid));
		assert_string_equal(syntax_uid(s->name), s->uid);
		assert_string_equal(syntax_name(s->uid), s->name);
	}
	assert_string_equal(syntax_name("1.2.3"), "1.2.3");
	assert_null(syntax_uid("jpeg"));
}

static void fingerprints_may_have_colons(void **state)
{
	char fp[CONFIG_FINGERPRINT_LEN];

	(void)state;
	assert_true(value_fingerprint(
	    "SHA256:2C:F2:4D:BA:5F:B0:A3:0E:26:E8:3B:2A:C5:B9:E2:9E:1B:16:1E:"
	    "5C:1F:A7:42:5E:73:04:33:62:93:8B:98:24",
	    fp));
	assert_string_equal(fp, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa74"
				"25e73043362938b9824");
	assert_true(value_fingerprint(fp, fp));
	assert_false(value_fingerprint("2c:f2", fp));
	assert_false(value_fingerprint("", fp));
	assert_false(value_fingerprint(
	    "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b98240",
	    fp));
	assert_false(value_fingerprint(
	    "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b982g",
	    fp));
}

static void endpoints_need_a_port_and_ipv6_brackets(void **state)
{
	struct config_endpoint ep;

	(void)state;
	assert_true(value_endpoint("pacs.example.org:2762", &ep));
	assert_string_equal(ep.host, "pacs.example.org");
	assert_int_equal(ep.port, 2762);
	assert_true(value_endpoint("[::1]:104", &ep));
	assert_string_equal(ep.host, "::1");
	assert_true(value_endpoint("127.0.0.1:104", &ep));
	assert_false(value_endpoint("::1:104", &ep));
	assert_false(value_endpoint("[127.0.0.1]:104", &ep));
	assert_false(value_endpoint("[]:104", &ep));
	assert_false(value_endpoint("[:104", &ep));
	assert_false(value_endpoint("pacs", &ep));
	assert_false(value_endpoint("pacs:", &ep));
	assert_false(value_endpoint("pacs:0", &ep));
	assert_false(value_endpoint("pacs:65536", &ep));
	assert_false(value_endpoint(":104", &ep));
	assert_false(value_endpoint("10.1.4.300:104", &ep));
	assert_false(value_endpoint("-x:104", &ep));
	assert_false(value_endpoint("x-:104", &ep));
	assert_false(value_endpoint("a..b:104", &ep));
	assert_false(value_endpoint("a b:104", &ep));
}

static void networks_are_kept_as_16_bytes(void **state)
{
	struct config_network n;
	char text[CONFIG_NETWORK_TEXT_LEN];

	(void)state;
	assert_int_equal(value_network("10.1.4.0/24", &n), VALUE_NETWORK_OK);
	assert_int_equal(n.prefix, 120);
	assert_string_equal(config_network_text(&n, text), "10.1.4.0/24");
	assert_int_equal(value_network("10.1.4.20", &n), VALUE_NETWORK_OK);
	assert_string_equal(config_network_text(&n, text), "10.1.4.20");
	assert_int_equal(value_network("0.0.0.0/0", &n), VALUE_NETWORK_OK);
	assert_string_equal(config_network_text(&n, text), "0.0.0.0/0");
	assert_int_equal(value_network("::ffff:10.1.4.20", &n),
			 VALUE_NETWORK_OK);
	assert_string_equal(config_network_text(&n, text), "10.1.4.20");
	assert_int_equal(value_network("fd00::/8", &n), VALUE_NETWORK_OK);
	assert_string_equal(config_network_text(&n, text), "fd00::/8");
	assert_int_equal(value_network("10.1.4.20/24", &n),
			 VALUE_NETWORK_HOST_BITS);
	assert_string_equal(config_network_text(&n, text), "10.1.4.0/24");
	assert_int_equal(value_network("10.1.4.0/33", &n), VALUE_NETWORK_BAD);
	assert_int_equal(value_network("fd00::/129", &n), VALUE_NETWORK_BAD);
	assert_int_equal(value_network("10.1.4", &n), VALUE_NETWORK_BAD);
	assert_int_equal(value_network("ct2.clinic", &n), VALUE_NETWORK_BAD);
	assert_int_equal(value_network("10.1.4.0/", &n), VALUE_NETWORK_BAD);
	assert_int_equal(value_network("/24", &n), VALUE_NETWORK_BAD);
}

static void edit_distance_counts_swaps_and_half_for_case(void **state)
{
	(void)state;
	assert_int_equal(edit_distance("forward", "forward"), 0);
	assert_int_equal(edit_distance("forwrad", "forward"), 1);
	assert_int_equal(edit_distance("foward", "forward"), 1);
	assert_int_equal(edit_distance("FORWARD", "forward"), 4);
	assert_int_equal(edit_distance("ae-titles", "ae_titles"), 1);
	assert_int_equal(edit_distance("", "abc"), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sizes_have_units_of_1000_and_1024),
	    cmocka_unit_test(durations_need_a_unit),
	    cmocka_unit_test(rates_are_a_number_per_duration),
	    cmocka_unit_test(ae_titles_are_trimmed_and_checked),
	    cmocka_unit_test(uids_have_the_shape_of_the_standard),
	    cmocka_unit_test(every_named_syntax_has_a_valid_uid_of_its_own),
	    cmocka_unit_test(fingerprints_may_have_colons),
	    cmocka_unit_test(endpoints_need_a_port_and_ipv6_brackets),
	    cmocka_unit_test(networks_are_kept_as_16_bytes),
	    cmocka_unit_test(edit_distance_counts_swaps_and_half_for_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
