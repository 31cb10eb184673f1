/* The configuration: what loads, and errors with their places.
 * Run from the top of the tree: it reads conf/. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "policy/config.h"
#include "policy/option.h"
#include "policy/problem.h"
#include "proxy/lib/mem.h"
#include "tests/unit/config_load.h"

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = mem_zalloc(65536);

	assert_non_null(f);
	assert_non_null(text);
	assert_true(fread(text, 1, 65535, f) > 0);
	fclose(f);
	return text;
}

static char *printed(void (*print)(FILE *))
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	print(f);
	fclose(f);
	return text;
}

static char *dumped(const struct config *cfg)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	config_dump(cfg, f);
	fclose(f);
	return text;
}

static void quoted_text_is_escaped_and_cut(void **state)
{
	char out[PROBLEM_QUOTE_LEN], text[200];

	(void)state;
	assert_string_equal(problem_quote("a\tb", out), "'a\\x09b'");
	for (size_t n = 0; n < sizeof(text); n++) {
		memset(text, '\t', n);
		text[n] = '\0';
		assert_true(strlen(problem_quote(text, out)) < sizeof(out));
		for (size_t i = 0; i + 1 < n; i += 2)
			memcpy(text + i, "\xc3\xa4", 2);
		assert_true(strlen(problem_quote(text, out)) < sizeof(out));
	}
	assert_non_null(strstr(out, "\xc3\xa4...'"));
}

/* Loading what is right. */

static void the_examples_load_without_a_warning(void **state)
{
	static const char *const files[] = {
	    "conf/minimal.yaml",   "conf/edge.yaml",
	    "conf/cloud.yaml",     "conf/worklist.yaml",
	    "conf/link-edge.yaml", "conf/link-cloud.yaml"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct config *cfg = NULL;
		enum err e = config_load(files[i], &cfg, &errors);

		config_errors_print(&errors, stderr);
		assert_int_equal(e, ERR_OK);
		assert_int_equal(errors.n_warnings, 0);
		config_free(cfg);
	}
}

static void the_smallest_useful_file_has_about_twenty_lines(void **state)
{
	char *text = slurp("conf/minimal.yaml");
	size_t lines = 0;

	(void)state;
	for (char *p = text; *p != '\0'; p++)
		lines += *p == '\n';
	assert_true(lines <= 22);
	mem_free(text);
}

static void every_option_stands_in_an_example(void **state)
{
	static const char *const files[] = {
	    "conf/edge.yaml", "conf/worklist.yaml", "conf/link-edge.yaml",
	    "conf/link-cloud.yaml"};
	const struct option *o;
	char key[64];

	(void)state;
	for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
		const char *dot = strrchr(o->path, '.');
		bool found = false;

		snprintf(key, sizeof(key),
			 "%s:", dot != NULL ? dot + 1 : o->path);
		for (size_t f = 0; f < ARRAY_LEN(files); f++) {
			char *text = slurp(files[f]);

			found = found || strstr(text, key) != NULL;
			mem_free(text);
		}
		if (!found)
			fail_msg("no example has %s", o->path);
	}
}

static void the_reference_has_every_option(void **state)
{
	char *text = printed(config_reference);
	char *man = printed(config_reference_man);
	const struct option *o;

	(void)state;
	for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
		assert_non_null(strstr(text, o->path));
		assert_non_null(strstr(text, o->example));
		assert_non_null(strstr(man, o->path));
		assert_true(strlen(o->help) > 10);
	}
	free(text);
	free(man);
}

/* Write "a.NAME.b: example" as nested maps, the value on line 4 at most. */
static void nest(const struct option *o, char *out, size_t size)
{
	const char *p = o->path;
	size_t n = 0;
	int depth = 0;

	for (;;) {
		size_t len = strcspn(p, ".");
		bool last = p[len] == '\0';
		const char *name = strncmp(p, "NAME", 4) == 0 ? "x" : p;
		int shown = strncmp(p, "NAME", 4) == 0 ? 1 : (int)len;

		if (strncmp(p, "N.", 2) == 0)
			n += (size_t)snprintf(out + n, size - n, "%*s-\n",
					      depth, "");
		else
			n += (size_t)snprintf(out + n, size - n,
					      "%*s%.*s:%s%s\n", depth, "",
					      shown, name, last ? " " : "",
					      last ? o->example : "");
		if (last)
			return;
		p += len + 1;
		depth += 2;
	}
}

static void every_example_of_the_table_is_valid(void **state)
{
	const struct option *o;
	char text[512];

	(void)state;
	for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
		struct config *cfg = NULL;

		nest(o, text, sizeof(text));
		(void)!config_load_from_memory(text, strlen(text), "x", &cfg,
					       &errors);
		for (size_t j = 0; j < errors.n_errors; j++)
			if (strstr(errors.errors[j].text, " needs ") == NULL &&
			    strstr(errors.errors[j].text, "no 'listeners'") ==
				NULL &&
			    strstr(errors.errors[j].text, "there is no") ==
				NULL)
				fail_msg("%s: %s", text, errors.errors[j].text);
		config_free(cfg);
	}
}

static void every_default_is_valid(void **state)
{
	struct config *cfg = good(ALL);
	const struct config_listener *l = &cfg->listeners[0];

	(void)state;
	assert_string_equal(cfg->node, "culvert");
	assert_int_equal(cfg->workers, 0);
	assert_int_equal(cfg->spool.quota, 50ull << 30);
	assert_int_equal(cfg->spool.high_water, 95);
	assert_int_equal(cfg->spool.low_water, 90);
	assert_int_equal(cfg->spool.segment, 64 << 20);
	assert_string_equal(cfg->spool.path, "/var/lib/culvert/spool");
	assert_string_equal(cfg->spool.key, "/var/lib/culvert/data.key");
	assert_int_equal(cfg->log.level, CONFIG_LOG_INFO);
	assert_int_equal(l->max_pdu, 131072);
	assert_int_equal(l->limits.associations, 200);
	assert_int_equal(l->limits.per_device, 20);
	assert_int_equal(l->limits.rate.n, 600);
	assert_int_equal(l->limits.rate.per_ms, 60000);
	assert_int_equal(l->timeouts.artim, 30000);
	assert_int_equal(l->timeouts.idle, 300000);
	assert_int_equal(l->timeouts.message, 60000);
	config_free(cfg);
}

static void devices_and_destinations_have_their_defaults(void **state)
{
	struct config *cfg = good(ALL);
	const struct config_device *d = &cfg->devices[0];
	const struct config_destination *t = &cfg->destinations[0];

	(void)state;
	assert_int_equal(d->services, CONFIG_STORAGE | CONFIG_VERIFICATION);
	assert_int_equal(d->priority, CONFIG_PRIORITY_NORMAL);
	assert_int_equal(d->port, 0);
	assert_int_equal(d->limits.associations, 0);
	assert_int_equal(d->limits.rate.n, 0);
	assert_int_equal(t->associations, 4);
	assert_int_equal(t->accept.n, 2);
	assert_string_equal(t->accept.v[1], "1.2.840.10008.1.2.1");
	assert_int_equal(t->timeouts.connect, 5000);
	assert_int_equal(t->timeouts.response, 60000);
	assert_int_equal(t->retry.max, 600000);
	assert_int_equal(t->quarantine_after, 5);
	assert_false(t->implicit);
	assert_int_equal(t->balance, CONFIG_ORDERED);
	assert_int_equal(t->weights.n, 0);
	assert_int_equal(t->timeouts.relay, 3000);
	assert_int_equal(t->timeouts.retrieve, 600000);
	assert_int_equal(t->breaker.failures, 3);
	assert_int_equal(t->breaker.pause, 30000);
	assert_int_equal(t->health.interval, 30000);
	assert_int_equal(cfg->commitment.unknown, 60000);
	assert_int_equal(cfg->commitment.deadline, 3ull * 86400000);
	assert_int_equal(cfg->routes[0].action, CONFIG_FORWARD);
	assert_int_equal(cfg->routes[0].services, CONFIG_STORAGE);
	assert_int_equal(cfg->routes[0].forward.v[0].index, 0);
	config_free(cfg);
}

static void a_list_replaces_its_default(void **state)
{
	struct config *cfg = good(
	    LISTENER "devices: {ct: {ae_title: CT, address: 10.0.0.1, "
		     "services: storage}}\n"
		     "destinations: {files: {protocol: directory, path: out, "
		     "accept: [jpeg-lossless, 1.2.3.4]}}\n" ROUTE);

	(void)state;
	assert_int_equal(cfg->devices[0].services, CONFIG_STORAGE);
	assert_int_equal(cfg->destinations[0].accept.n, 2);
	assert_string_equal(cfg->destinations[0].accept.v[0],
			    "1.2.840.10008.1.2.4.70");
	assert_string_equal(cfg->destinations[0].accept.v[1], "1.2.3.4");
	config_free(cfg);
}

static void relative_paths_start_from_the_file(void **state)
{
	struct config *cfg = good(ALL "spool: {path: spool}\n");

	(void)state;
	assert_string_equal(cfg->destinations[0].path, "dir/out");
	assert_string_equal(cfg->spool.path, "dir/spool");
	assert_string_equal(cfg->spool.key, "dir/data.key");
	config_free(cfg);
}

static void a_loaded_file_has_absolute_paths(void **state)
{
	char name[] = "/tmp/culvert-test-XXXXXX", expected[64];
	int fd = mkstemp(name);
	static const char text[] = ALL "spool: {path: spool/}\n";
	struct config *cfg = NULL;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(config_load(name, &cfg, &errors), ERR_OK);
	snprintf(expected, sizeof(expected), "/tmp/spool/");
	assert_string_equal(cfg->spool.path, expected);
	assert_string_equal(cfg->spool.key, "/tmp/data.key");
	assert_string_equal(cfg->file, name);
	config_free(cfg);
	unlink(name);
}

static void a_missing_file_is_an_error_with_the_reason(void **state)
{
	struct config *cfg = NULL;

	(void)state;
	assert_int_equal(config_load("/nonexistent/c.yaml", &cfg, &errors),
			 ERR_IO);
	assert_non_null(strstr(errors.errors[0].text, "No such file"));
	assert_int_equal(config_load("/tmp", &cfg, &errors), ERR_IO);
	assert_non_null(strstr(errors.errors[0].text, "directory"));
	assert_null(cfg);
}

static void places_of_options_are_known(void **state)
{
	struct config *cfg = good(ALL "spool:\n  quota: 100GiB\n");

	(void)state;
	assert_int_equal(config_where(cfg, "spool.quota").line, 6);
	assert_int_equal(config_where(cfg, "spool.quota").column, 10);
	assert_int_equal(config_where(cfg, "routes.1.forward").line, 4);
	assert_int_equal(config_where(cfg, "devices.ct.ae_title").line, 2);
	assert_int_equal(config_where(cfg, "spool.path").line, 0);
	assert_int_equal(config_device_find(cfg, "ct"), 0);
	assert_int_equal(config_device_find(cfg, "mr"), -1);
	assert_int_equal(config_listener_find(cfg, "in"), 0);
	assert_int_equal(config_destination_find(cfg, "files"), 0);
	config_free(cfg);
}

static void same_when_dumped_and_loaded(const char *file)
{
	struct config *cfg = NULL, *again;
	char *first, *second;

	assert_int_equal(config_load(file, &cfg, &errors), ERR_OK);
	first = dumped(cfg);
	again = good(first);
	second = dumped(again);
	assert_string_equal(first, second);
	assert_int_equal(errors.n_warnings, 0);
	assert_int_equal(cfg->n_destinations, again->n_destinations);
	assert_int_equal(cfg->n_routes, again->n_routes);
	config_free(cfg);
	config_free(again);
	free(first);
	free(second);
}

static void a_dump_loads_to_the_same_configuration(void **state)
{
	(void)state;
	same_when_dumped_and_loaded("conf/edge.yaml");
	same_when_dumped_and_loaded("conf/cloud.yaml");
	same_when_dumped_and_loaded("conf/worklist.yaml");
	same_when_dumped_and_loaded("conf/link-edge.yaml");
	same_when_dumped_and_loaded("conf/link-cloud.yaml");
}

static void a_dump_leaves_out_implicit_destinations(void **state)
{
	struct config *cfg = NULL;
	char *text;

	(void)state;
	assert_int_equal(config_load("conf/worklist.yaml", &cfg, &errors),
			 ERR_OK);
	assert_int_equal(cfg->n_destinations, 5);
	text = dumped(cfg);
	assert_null(strstr(text, "\"@ct-room-2\":"));
	assert_non_null(strstr(text, "relay: \"@ct-room-2\""));
	free(text);
	config_free(cfg);
}

static void aliases_stand_for_what_they_name(void **state)
{
	struct config *cfg =
	    good("listeners:\n"
		 "  a: {address: 0.0.0.0:104, protocol: dicom, "
		 "ae_titles: &t [A, B], limits: &l {associations: 7}}\n"
		 "  b: {address: 0.0.0.0:105, protocol: dicom, "
		 "ae_titles: *t, limits: *l}\n" DEVICE DESTINATION ROUTE);

	(void)state;
	assert_int_equal(cfg->listeners[1].ae_titles.n, 2);
	assert_int_equal(cfg->listeners[1].limits.associations, 7);
	config_free(cfg);
}

/* Errors and their places. */

static void an_unknown_key_names_the_nearest(void **state)
{
	(void)state;
	bad_at("listeners:\n  in:\n    protocol: dicom\n    ae_titles: A\n"
	       "    address: 0.0.0.0:104\n    adress: 0.0.0.0:104\n",
	       6, 5,
	       "unknown key 'adress'; did you mean 'address'?; example: "
	       "address: 0.0.0.0:104");
	bad(ALL "spool: {qouta: 1GiB}\n", "did you mean 'quota'?");
	bad(ALL "Spool: {quota: 1GiB}\n", "did you mean 'spool'?");
	bad(ALL "quota: 1GiB\n", "did you mean 'spool.quota'?");
	bad(LISTENER "devices: {ct: {ae_titles: CT, address: 10.0.0.1}}\n",
	    "did you mean 'ae_title'?");
	bad(ALL "wholly_different_key: 1\n",
	    "unknown key 'wholly_different_key'");
	bad(ALL "spool.quota: 1GiB\n", "unknown key 'spool.quota'");
	bad(ALL "? |\n  a\n  b\n: 1\n", "unknown key");
}

static void a_key_may_stand_once(void **state)
{
	(void)state;
	bad_at("node: a\nnode: b\n" ALL, 2, 1, "stands here twice");
	bad(LISTENER "devices: {ct: {ae_title: CT, address: 10.0.0.1}, "
		     "ct: {ae_title: CT, address: 10.0.0.2}}\n",
	    "device 'ct' stands here twice");
}

static void wrong_values_say_what_is_meant(void **state)
{
	(void)state;
	bad_at(ALL "spool: {quota: 5 gigs}\n", 5, 16, "'5 gigs' is not a size");
	bad(ALL "spool: {quota: 1MiB}\n", "out of range: from 16MiB");
	bad(ALL "spool: {high_water: 101%}\n", "is not a percentage");
	bad(ALL "workers: two\n", "'two' is not a whole number; example: "
				  "workers: 2");
	bad(ALL "workers: 257\n", "out of range: from 0 to 256");
	bad(ALL "log: {level: inof}\n", "did you mean 'info'?");
	bad(ALL "log: {level: [info]}\n",
	    "a list stands here where a single value is meant");
	bad(ALL "log: info\n", "'log' is a map of its own keys");
	bad(ALL "node: Edge_1\n", "is not a name");
	bad(ALL "node:\n", "'node' has no value; example: node: edge-01");
	bad(ALL "spool: {path: \"\"}\n", "is not a path");
	bad(ALL "spool: {path: \"a\\nb\"}\n", "is not a path");
	bad(ALL "spool: {key: \"pkcs11:token=x\"}\n", "not in this version");
}

static void wrong_addresses_are_explained(void **state)
{
	(void)state;
	bad("listeners: {in: {address: localhost:104, protocol: dicom, "
	    "ae_titles: A}}\n",
	    "must be a numeric address");
	bad("listeners: {in: {address: 104, protocol: dicom, ae_titles: A}}\n",
	    "is not address:port");
	bad(LISTENER "devices: {ct: {ae_title: CT, address: ct.clinic}}\n",
	    "DNS can be forged");
	bad(LISTENER "devices: {ct: {ae_title: CT, address: 10.1.4.20/24}}\n",
	    "did you mean '10.1.4.0/24'?");
	bad(LISTENER "devices: {ct: {ae_title: TOO_LONG_FOR_AN_AE_TITLE, "
		     "address: 10.1.4.2}}\n",
	    "is not an AE title");
	bad("listeners: {in: {address: 0.0.0.0:104, protocol: dicom, "
	    "ae_titles: [\"*\"]}}\n",
	    "is not an AE title");
	bad(LISTENER "devices: {ct: {ae_title: CT, address: []}}\n",
	    "an empty list");
	bad(LISTENER "devices: {ct: {ae_title: CT, address: [[10.0.0.1]]}}\n",
	    "a list stands here");
}

static void required_keys_are_asked_for(void **state)
{
	(void)state;
	bad("node: a\n", "no 'listeners'");
	bad("listeners: {in: {protocol: dicom, ae_titles: A}}\n",
	    "listener 'in' needs 'address'");
	bad(LISTENER "devices: {ct: {ae_title: CT}}\n",
	    "device 'ct' needs 'address'; example: address:");
	bad(LISTENER DEVICE DESTINATION "routes: [{service: storage}]\n",
	    "route 1 needs one of 'forward', 'relay' and 'hold'");
	bad("listeners: []\n", "'listeners' is a map from names");
	bad(LISTENER "routes: {a: {forward: files}}\n",
	    "'routes' is a list of routes");
	bad(LISTENER "devices: {ct: 5}\n",
	    "device 'ct' is a map of its keys, not a single value");
	bad(LISTENER "devices: {CT 2: {ae_title: CT, address: 10.0.0.1}}\n",
	    "is not a name for a device");
}

static void a_link_needs_what_it_needs(void **state)
{
	(void)state;
	bad(LISTENER DEVICE "destinations: {c: {protocol: link}}\n",
	    "has protocol link and needs 'tls.ca'");
	bad("listeners: {in: {address: 0.0.0.0:1, protocol: link, ae_titles: "
	    "A}}\n",
	    "'ae_titles' has no meaning for listener 'in'");
	bad("listeners: {in: {address: 0.0.0.0:1, protocol: link}}\n",
	    "has protocol link and needs 'tls.certificate'");
	bad("listeners: {in: {address: 0.0.0.0:1, protocol: dicom}}\n",
	    "listener 'in' needs 'ae_titles'");
	bad(LISTENER "devices: {edge: {ae_title: A, address: 10.0.0.1, "
		     "services: [link]}}\n",
	    "so it needs a certificate");
}

static void later_features_are_named_as_such(void **state)
{
	(void)state;
	bad(ALL "audit: {path: x}\n",
	    "the audit trail's own settings is not in this version");
}

static void errors_are_collected_and_bounded(void **state)
{
	char text[4096] = ALL, *printed_text = NULL;
	size_t len;
	FILE *f;

	(void)state;
	bad(ALL "workers: x\nnode: Y\nlog: {level: z}\n", "whole number");
	assert_int_equal(errors.n_errors, 3);
	assert_int_equal(errors.errors[0].at.line, 5);
	assert_int_equal(errors.errors[2].at.line, 7);
	for (int i = 0; i < 60; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "nothing_%d: 1\n", i);
	bad(text, "unknown key");
	assert_true(errors.n_errors > CONFIG_PROBLEMS_MAX);
	f = open_memstream(&printed_text, &len);
	config_errors_print(&errors, f);
	fclose(f);
	assert_non_null(strstr(printed_text, "test.yaml:5:1: unknown key"));
	assert_non_null(strstr(printed_text, "and more errors"));
	free(printed_text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(quoted_text_is_escaped_and_cut),
	    cmocka_unit_test(the_examples_load_without_a_warning),
	    cmocka_unit_test(the_smallest_useful_file_has_about_twenty_lines),
	    cmocka_unit_test(every_option_stands_in_an_example),
	    cmocka_unit_test(the_reference_has_every_option),
	    cmocka_unit_test(every_example_of_the_table_is_valid),
	    cmocka_unit_test(every_default_is_valid),
	    cmocka_unit_test(devices_and_destinations_have_their_defaults),
	    cmocka_unit_test(a_list_replaces_its_default),
	    cmocka_unit_test(relative_paths_start_from_the_file),
	    cmocka_unit_test(a_loaded_file_has_absolute_paths),
	    cmocka_unit_test(a_missing_file_is_an_error_with_the_reason),
	    cmocka_unit_test(places_of_options_are_known),
	    cmocka_unit_test(a_dump_loads_to_the_same_configuration),
	    cmocka_unit_test(a_dump_leaves_out_implicit_destinations),
	    cmocka_unit_test(aliases_stand_for_what_they_name),
	    cmocka_unit_test(an_unknown_key_names_the_nearest),
	    cmocka_unit_test(a_key_may_stand_once),
	    cmocka_unit_test(wrong_values_say_what_is_meant),
	    cmocka_unit_test(wrong_addresses_are_explained),
	    cmocka_unit_test(required_keys_are_asked_for),
	    cmocka_unit_test(a_link_needs_what_it_needs),
	    cmocka_unit_test(later_features_are_named_as_such),
	    cmocka_unit_test(errors_are_collected_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
