/* Who is let in, and what a refusal says. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "policy/config.h"
#include "policy/devices.h"
#include "tests/unit/condition_seen.h"

#define FP "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static const char text[] =
    "listeners:\n"
    "  plain: {address: \"[::]:104\", protocol: dicom, ae_titles: [A, B]}\n"
    "  tls: {address: \"[::]:2762\", protocol: dicom-tls, ae_titles: [A],\n"
    "    tls: {ca: x, certificate: x, key: x}}\n"
    "devices:\n"
    "  ct: {ae_title: [CT, CT2], address: 10.1.4.20}\n"
    "  us: {ae_title: US, address: [10.1.5.0/24, \"fd00:5::/64\"],\n"
    "    listeners: [plain], called: B}\n"
    "  mr: {ae_title: MR, address: 10.1.4.30, certificate:\n"
    "    {fingerprint: " FP ", san: [mr.example, 10.1.4.30]}}\n"
    "  edge: {ae_title: \"*\", address: 10.2.0.0/16,\n"
    "    certificate: {subject: \"CN=edge\"}}\n"
    "  special: {ae_title: SPECIAL, address: 10.2.0.7, listeners: [tls],\n"
    "    services: verification}\n"
    "destinations: {d: {protocol: directory, path: x}}\n"
    "routes: [{forward: d}]\n";

enum { PLAIN, TLS };

static struct config *cfg;
static struct device_verdict v;

static struct sockaddr_storage at(const char *address)
{
	struct sockaddr_storage sa = {0};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1) {
		memcpy(&sa, &v4, sizeof(v4));
	} else {
		assert_int_equal(inet_pton(AF_INET6, address, &v6.sin6_addr),
				 1);
		memcpy(&sa, &v6, sizeof(v6));
	}
	return sa;
}

static bool ask(size_t listener, const char *from, const char *calling,
		const char *called, const struct device_certificate *c)
{
	struct sockaddr_storage sa = at(from);
	struct device_query q = {.listener = listener,
				 .peer = (const struct sockaddr *)&sa,
				 .calling_ae = calling,
				 .called_ae = called,
				 .certificate = c};

	return device_match(cfg, &q, &v);
}

static void admitted_as(const char *name)
{
	assert_int_equal(v.reason, DEVICE_ADMITTED);
	assert_string_equal(cfg->devices[v.device].name, name);
	assert_string_equal(v.cause, "");
	assert_int_equal(v.rj_result, 0);
}

static void refused(enum device_reason why, int rj_reason, const char *cause,
		    const char *remedy)
{
	assert_int_equal(v.reason, why);
	assert_int_equal(v.rj_result, 1);
	assert_int_equal(v.rj_source, 1);
	assert_int_equal(v.rj_reason, rj_reason);
	if (strstr(v.cause, cause) == NULL)
		fail_msg("cause: %s", v.cause);
	if (strstr(v.remedy, remedy) == NULL)
		fail_msg("remedy: %s", v.remedy);
	condition_asserted(condition_of_event(device_reason_name(why)));
}

static void what_is_declared_is_admitted(void **state)
{
	(void)state;
	assert_true(ask(PLAIN, "10.1.4.20", "CT", "A", NULL));
	admitted_as("ct");
	assert_true(ask(PLAIN, "10.1.4.20", "CT2", "B", NULL));
	admitted_as("ct");
	assert_true(ask(PLAIN, "10.1.5.77", "US", "B", NULL));
	admitted_as("us");
}

static void padding_does_not_count(void **state)
{
	(void)state;
	assert_true(ask(PLAIN, "10.1.4.20", "CT              ",
			"A               ", NULL));
	assert_true(ask(PLAIN, "10.1.4.20", "  CT", " A", NULL));
}

static void ipv6_and_mapped_addresses_are_matched(void **state)
{
	(void)state;
	assert_true(ask(PLAIN, "::ffff:10.1.4.20", "CT", "A", NULL));
	admitted_as("ct");
	assert_true(ask(PLAIN, "fd00:5::99", "US", "B", NULL));
	admitted_as("us");
	assert_false(ask(PLAIN, "fd00:6::99", "US", "B", NULL));
}

static void an_unknown_address_is_refused(void **state)
{
	(void)state;
	assert_false(ask(PLAIN, "192.0.2.9", "NEW", "A", NULL));
	refused(DEVICE_ADDRESS_UNKNOWN, 3, "no device has address 192.0.2.9",
		"devices: {NAME: {ae_title: \"NEW\", address: \"192.0.2.9\"");
	assert_int_equal(v.device, -1);
}

static void a_known_ae_title_from_elsewhere_is_refused(void **state)
{
	(void)state;
	assert_false(ask(PLAIN, "192.0.2.9", "CT", "A", NULL));
	refused(DEVICE_AE_ELSEWHERE, 3, "declared as device 'ct', but not for",
		"add 192.0.2.9 to devices.ct.address (t.yaml:6)");
	assert_false(ask(PLAIN, "10.1.5.1", "CT", "B", NULL));
	refused(DEVICE_AE_ELSEWHERE, 3, "10.1.4.20", "devices.ct.address");
}

static void an_unknown_ae_title_at_a_known_address_is_refused(void **state)
{
	(void)state;
	assert_false(ask(PLAIN, "10.1.4.20", "ct", "A", NULL));
	refused(DEVICE_AE_UNKNOWN, 3, "(upper and lower case differ)",
		"devices.ct.ae_title (t.yaml:6)");
	assert_false(ask(PLAIN, "10.1.4.20", "XX", "A", NULL));
	refused(DEVICE_AE_UNKNOWN, 3, "device 'ct' has CT, CT2",
		"add \"XX\" to");
}

static void a_wildcard_is_not_an_ae_title_that_a_peer_can_send(void **state)
{
	(void)state;
	assert_false(ask(PLAIN, "10.1.4.20", "*", "A", NULL));
	assert_int_equal(v.reason, DEVICE_AE_ELSEWHERE);
	assert_false(ask(PLAIN, "10.1.4.20", "CT", "*", NULL));
	assert_int_equal(v.reason, DEVICE_CALLED_AE_UNKNOWN);
}

static void a_blank_calling_ae_title_is_named(void **state)
{
	(void)state;
	assert_false(ask(PLAIN, "10.1.4.20", "                ", "A", NULL));
	refused(DEVICE_CALLING_AE_BLANK, 3, "blank", "AE title of its own");
	assert_false(ask(PLAIN, "10.2.0.9", "", "A", NULL));
	assert_int_equal(v.reason, DEVICE_CALLING_AE_BLANK);
}

static void the_called_ae_title_must_be_the_listeners(void **state)
{
	(void)state;
	assert_false(ask(PLAIN, "10.1.4.20", "CT", "PACS", NULL));
	refused(DEVICE_CALLED_AE_UNKNOWN, 7, "answers to A, B",
		"listeners.plain.ae_titles (t.yaml:2)");
	assert_false(ask(TLS, "10.1.4.20", "CT", "B", NULL));
	assert_int_equal(v.reason, DEVICE_CALLED_AE_UNKNOWN);
}

static void a_device_keeps_to_its_listeners_and_titles(void **state)
{
	(void)state;
	assert_false(ask(TLS, "10.1.5.7", "US", "A", NULL));
	refused(DEVICE_LISTENER_DENIED, 3, "may not use listener 'tls'",
		"devices.us.listeners");
	assert_int_equal(v.device, 1);
	assert_false(ask(PLAIN, "10.1.5.7", "US", "A", NULL));
	refused(DEVICE_CALLED_AE_DENIED, 7, "may call B only",
		"devices.us.called");
}

static void a_declared_certificate_must_be_shown(void **state)
{
	static const char *const sans[] = {"other.example", "MR.example"};
	struct device_certificate c = {
	    .fingerprint = FP, .subject = "CN=mr", .sans = sans, .n_sans = 2};

	(void)state;
	assert_false(ask(PLAIN, "10.1.4.30", "MR", "A", NULL));
	refused(DEVICE_CERTIFICATE_MISSING, 3, "showed none", "dicom-tls");
	assert_true(ask(TLS, "10.1.4.30", "MR", "A", &c));
	admitted_as("mr");
	c.n_sans = 1;
	assert_false(ask(TLS, "10.1.4.30", "MR", "A", &c));
	refused(DEVICE_CERTIFICATE_DIFFERENT, 3, "\"CN=mr\"",
		"devices.mr.certificate");
	c.n_sans = 2;
	c.fingerprint = "00";
	assert_false(ask(TLS, "10.1.4.30", "MR", "A", &c));
	c = (struct device_certificate){0};
	assert_false(ask(TLS, "10.1.4.30", "MR", "A", &c));
	assert_int_equal(v.reason, DEVICE_CERTIFICATE_DIFFERENT);
}

static void any_ae_title_comes_after_a_named_one(void **state)
{
	struct device_certificate c = {.subject = "CN=edge"};

	(void)state;
	assert_true(ask(TLS, "10.2.0.7", "ANYTHING", "A", &c));
	admitted_as("edge");
	assert_true(ask(TLS, "10.2.0.7", "SPECIAL", "A", &c));
	admitted_as("special");
	assert_false(device_may(&cfg->devices[v.device], CONFIG_STORAGE));
	assert_true(device_may(&cfg->devices[v.device], CONFIG_VERIFICATION));
	c.subject = "CN=edges";
	assert_false(ask(TLS, "10.2.0.7", "ANYTHING", "A", &c));
}

static void hostile_ae_titles_are_escaped(void **state)
{
	(void)state;
	assert_false(ask(PLAIN, "192.0.2.9", "\x1b[2J\"\n", "A", NULL));
	assert_null(strchr(v.cause, '\x1b'));
	assert_null(strchr(v.remedy, '\n'));
	assert_false(ask(PLAIN, "10.1.4.20", "CT", "\x1b\n", NULL));
	assert_null(strchr(v.cause, '\x1b'));
	assert_null(strchr(v.remedy, '\n'));
}

static void other_families_are_nobodys(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct device_query q = {.peer = (const struct sockaddr *)&un,
				 .calling_ae = "CT",
				 .called_ae = "A"};

	(void)state;
	assert_false(device_match(cfg, &q, &v));
	assert_false(device_address_declared(cfg, PLAIN, q.peer));
}

static void an_address_alone_can_be_asked_for(void **state)
{
	struct sockaddr_storage us = at("10.1.5.9"), no = at("10.1.6.9");

	(void)state;
	assert_true(
	    device_address_declared(cfg, PLAIN, (struct sockaddr *)&us));
	assert_false(device_address_declared(cfg, TLS, (struct sockaddr *)&us));
	assert_false(
	    device_address_declared(cfg, PLAIN, (struct sockaddr *)&no));
}

static void ranges_of_one_family_do_not_cover_the_other(void **state)
{
	struct config_network all_v6 = {.prefix = 0};
	struct config_network all_v4 = {
	    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}, 96};
	struct sockaddr_storage v4 = at("10.0.0.1"), v6 = at("fd00::1");

	(void)state;
	assert_false(device_network_covers(&all_v6, (struct sockaddr *)&v4));
	assert_true(device_network_covers(&all_v6, (struct sockaddr *)&v6));
	assert_true(device_network_covers(&all_v4, (struct sockaddr *)&v4));
	assert_false(device_network_covers(&all_v4, (struct sockaddr *)&v6));
}

static void ranges_may_end_inside_a_byte(void **state)
{
	/* 10.1.4.128/25 */
	struct config_network half = {
	    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 4, 128}, 121};
	struct sockaddr_storage in = at("10.1.4.200"), out = at("10.1.4.127");

	(void)state;
	assert_true(device_network_covers(&half, (struct sockaddr *)&in));
	assert_false(device_network_covers(&half, (struct sockaddr *)&out));
}

static void every_reason_has_a_name(void **state)
{
	(void)state;
	for (int r = 0; r < DEVICE_REASONS; r++)
		assert_string_not_equal(
		    device_reason_name((enum device_reason)r), "?");
}

/* What the check says of devices that could not be told apart. */

static void load(const char *devices, const char *why)
{
	static struct config_errors e;
	struct config *c = NULL;
	char all[1024];
	enum err result;

	snprintf(
	    all, sizeof(all),
	    "listeners:\n"
	    "  a: {address: 10.0.0.1:104, protocol: dicom, ae_titles: "
	    "A}\n"
	    "  b: {address: 127.0.0.1:105, protocol: dicom, ae_titles: "
	    "B}\n"
	    "  c: {address: 10.0.0.1:2762, protocol: dicom-tls, ae_titles: "
	    "C, tls: {ca: a, certificate: b, key: c}}\n"
	    "destinations: {d: {protocol: directory, path: x}}\n"
	    "routes: [{forward: d}]\n"
	    "devices:\n%s",
	    devices);
	result = config_load_from_memory(all, strlen(all), "t", &c, &e);
	config_free(c);
	if (why == NULL) {
		if (result != ERR_OK)
			fail_msg("%s", e.errors[0].text);
		return;
	}
	assert_int_equal(result, ERR_INVAL);
	if (strstr(e.errors[0].text, why) == NULL)
		fail_msg("%s", e.errors[0].text);
}

static void overlapping_devices_are_an_error(void **state)
{
	(void)state;
	load("  x: {ae_title: X, address: 10.0.0.0/24}\n"
	     "  y: {ae_title: [Y, X], address: [10.9.0.0/16, 10.0.0.7]}\n",
	     "devices 'x' (line 8) and 'y' both have AE title 'X' and address "
	     "10.0.0.7");
	load("  x: {ae_title: X, address: 10.0.0.0/24}\n"
	     "  y: {ae_title: X, address: 10.0.1.0/24}\n",
	     NULL);
	load("  x: {ae_title: X, address: 10.0.0.0/24}\n"
	     "  y: {ae_title: Y, address: 10.0.0.0/24}\n",
	     NULL);
	load("  x: {ae_title: X, address: 127.0.0.0/8, listeners: b}\n"
	     "  y: {ae_title: X, address: [127.0.0.1, 10.0.0.4], listeners: "
	     "a}\n",
	     NULL);
	load("  x: {ae_title: X, address: [10.0.0.4, 127.0.0.1], called: A}\n"
	     "  y: {ae_title: X, address: [10.0.0.4, 127.0.0.1], called: B}\n",
	     NULL);
}

static void certificates_tell_devices_apart(void **state)
{
	(void)state;
	load("  x: {ae_title: '*', address: 10.0.0.0/24, certificate: "
	     "{san: x.example}}\n"
	     "  y: {ae_title: '*', address: 10.0.0.0/24, certificate: "
	     "{san: [y.example, z.example]}}\n",
	     NULL);
	load("  x: {ae_title: '*', address: 10.0.0.0/24, certificate: "
	     "{san: x.example}}\n"
	     "  y: {ae_title: '*', address: 10.0.0.0/24, certificate: "
	     "{san: [y.example, X.Example]}}\n",
	     "both have AE title '*'");
	load("  x: {ae_title: X, address: 10.0.0.0/24, certificate: "
	     "{san: x.example}}\n"
	     "  y: {ae_title: X, address: 10.0.0.0/24}\n",
	     "both have AE title 'X'");
}

static void devices_that_cannot_arrive_are_an_error(void **state)
{
	(void)state;
	load("  x: {ae_title: X, address: \"fd00::1\"}\n",
	     "cannot arrive at any listener");
	load("  x: {ae_title: X, address: 10.0.0.4, listeners: b}\n",
	     "cannot arrive at any listener");
	load("  x: {ae_title: X, address: 10.0.0.4, listeners: a, "
	     "certificate: {san: x}}\n",
	     "cannot arrive at any listener");
	load("  x: {ae_title: X, address: 10.0.0.4, called: B}\n",
	     "no listener that device 'x' reaches answers");
	load("  x: {ae_title: \"*\", address: 10.0.0.4}\n",
	     "needs a certificate to be known by");
}

static int setup(void **state)
{
	static struct config_errors e;

	(void)state;
	if (config_load_from_memory(text, strlen(text), "t.yaml", &cfg, &e) !=
	    ERR_OK)
		config_errors_print(&e, stderr);
	return cfg != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	config_free(cfg);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_declared_is_admitted),
	    cmocka_unit_test(padding_does_not_count),
	    cmocka_unit_test(ipv6_and_mapped_addresses_are_matched),
	    cmocka_unit_test(an_unknown_address_is_refused),
	    cmocka_unit_test(a_known_ae_title_from_elsewhere_is_refused),
	    cmocka_unit_test(an_unknown_ae_title_at_a_known_address_is_refused),
	    cmocka_unit_test(
		a_wildcard_is_not_an_ae_title_that_a_peer_can_send),
	    cmocka_unit_test(a_blank_calling_ae_title_is_named),
	    cmocka_unit_test(the_called_ae_title_must_be_the_listeners),
	    cmocka_unit_test(a_device_keeps_to_its_listeners_and_titles),
	    cmocka_unit_test(a_declared_certificate_must_be_shown),
	    cmocka_unit_test(any_ae_title_comes_after_a_named_one),
	    cmocka_unit_test(hostile_ae_titles_are_escaped),
	    cmocka_unit_test(other_families_are_nobodys),
	    cmocka_unit_test(an_address_alone_can_be_asked_for),
	    cmocka_unit_test(ranges_of_one_family_do_not_cover_the_other),
	    cmocka_unit_test(ranges_may_end_inside_a_byte),
	    cmocka_unit_test(every_reason_has_a_name),
	    cmocka_unit_test(overlapping_devices_are_an_error),
	    cmocka_unit_test(certificates_tell_devices_apart),
	    cmocka_unit_test(devices_that_cannot_arrive_are_an_error),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
