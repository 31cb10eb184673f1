/* The configuration: values, errors with their places, meaning, hostile YAML.
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
#include "policy/syntaxes.h"
#include "policy/value.h"
#include "proxy/lib/mem.h"

#define LISTENER                                                               \
	"listeners: {in: {address: 0.0.0.0:104, protocol: dicom, "             \
	"ae_titles: A}}\n"
#define DEVICE      "devices: {ct: {ae_title: CT, address: 10.0.0.1}}\n"
#define DESTINATION "destinations: {files: {protocol: directory, path: out}}\n"
#define ROUTE       "routes: [{forward: files}]\n"
#define ALL         LISTENER DEVICE DESTINATION ROUTE

static struct config_errors errors;

static struct config *good(const char *text)
{
	struct config *cfg = NULL;

	if (config_load_from_memory(text, strlen(text), "dir/test.yaml", &cfg,
				    &errors) != ERR_OK)
		config_errors_print(&errors, stderr);
	assert_non_null(cfg);
	return cfg;
}

static void bad_bytes(const char *text, size_t len, const char *why)
{
	struct config *cfg = NULL;

	assert_int_equal(
	    config_load_from_memory(text, len, "test.yaml", &cfg, &errors),
	    ERR_INVAL);
	assert_null(cfg);
	assert_true(errors.n_errors > 0);
	for (size_t i = 0; i < errors.n_errors && i < CONFIG_PROBLEMS_MAX; i++)
		if (strstr(errors.errors[i].text, why) != NULL)
			return;
	config_errors_print(&errors, stderr);
	fail_msg("no error says: %s", why);
}

static void bad(const char *text, const char *why)
{
	bad_bytes(text, strlen(text), why);
}

/* The first error is at line:column. */
static void bad_at(const char *text, int line, int column, const char *why)
{
	bad(text, why);
	assert_non_null(strstr(errors.errors[0].text, why));
	assert_int_equal(errors.errors[0].at.line, line);
	assert_int_equal(errors.errors[0].at.column, column);
}

static void warned(const char *text, const char *why)
{
	config_free(good(text));
	for (size_t i = 0; i < errors.n_warnings; i++)
		if (strstr(errors.warnings[i].text, why) != NULL)
			return;
	config_errors_print(&errors, stderr);
	fail_msg("no warning says: %s", why);
}

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

/* Values. */

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
	    "conf/minimal.yaml", "conf/edge.yaml", "conf/cloud.yaml"};

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
	char *edge = slurp("conf/edge.yaml"), *cloud = slurp("conf/cloud.yaml");
	const struct option *o;
	char key[64];

	(void)state;
	for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
		const char *dot = strrchr(o->path, '.');

		snprintf(key, sizeof(key),
			 "%s:", dot != NULL ? dot + 1 : o->path);
		if (strstr(edge, key) == NULL && strstr(cloud, key) == NULL)
			fail_msg("no example has %s", o->path);
	}
	mem_free(edge);
	mem_free(cloud);
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

static void a_dump_loads_to_the_same_configuration(void **state)
{
	struct config *cfg = NULL, *again;
	char *first, *second;

	(void)state;
	assert_int_equal(config_load("conf/edge.yaml", &cfg, &errors), ERR_OK);
	first = dumped(cfg);
	again = good(first);
	second = dumped(again);
	assert_string_equal(first, second);
	assert_int_equal(errors.n_warnings, 0);
	config_free(cfg);
	config_free(again);
	free(first);
	free(second);
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
	    "route 1 needs 'forward'");
	bad("listeners: []\n", "'listeners' is a map from names");
	bad(LISTENER "routes: {a: {forward: files}}\n",
	    "'routes' is a list of routes");
	bad(LISTENER "devices: {ct: 5}\n",
	    "device 'ct' is a map of its keys, not a single value");
	bad(LISTENER "devices: {CT 2: {ae_title: CT, address: 10.0.0.1}}\n",
	    "is not a name for a device");
}

static void later_features_are_named_as_such(void **state)
{
	(void)state;
	bad(LISTENER DEVICE DESTINATION
	    "routes: [{service: storage, relay: files}]\n",
	    "'relay': live relay is not in this version");
	bad(LISTENER DEVICE DESTINATION "routes: [{hold: files}]\n",
	    "storage commitment is not in this version");
	bad(LISTENER DEVICE "destinations: {c: {protocol: link}}\n",
	    "the chunk link is not in this version");
	bad("listeners: {in: {address: 0.0.0.0:1, protocol: link, ae_titles: "
	    "A}}\n",
	    "the chunk link is not in this version");
	bad(LISTENER DEVICE "destinations: {c: {protocol: directory, path: x, "
			    "rate: 5Mbit}}\n",
	    "bandwidth shaping is not in this version");
	bad(ALL "records: {retention: 6y}\n",
	    "retention is not in this version");
	bad(ALL "status: {address: 127.0.0.1:8104}\n",
	    "the status page is not in this version");
	bad(LISTENER DEVICE DESTINATION
	    "routes: [{service: worklist, forward: files}]\n",
	    "live relay is not in this version");
	bad(LISTENER DEVICE DESTINATION
	    "routes: [{service: verification, forward: files}]\n",
	    "C-ECHO is answered here");
	warned(LISTENER "devices: {ct: {ae_title: CT, address: 10.0.0.1, "
			"services: [storage, worklist]}}\n" DESTINATION ROUTE,
	       "service worklist is not in this version");
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

/* Meaning. */

static void names_must_lead_somewhere(void **state)
{
	(void)state;
	bad_at(LISTENER DEVICE DESTINATION "routes: [{forward: [fiels]}]\n", 4,
	       21, "there is no destination 'fiels'; did you mean 'files'?");
	bad(LISTENER DEVICE DESTINATION
	    "routes: [{forward: files, device: mr}]\n",
	    "there is no device 'mr'");
	bad(LISTENER DEVICE DESTINATION
	    "routes: [{forward: files, listener: out}]\n",
	    "there is no listener 'out'");
	bad(LISTENER "devices: {ct: {ae_title: CT, address: 10.0.0.1, "
		     "listeners: [inn]}}\n",
	    "did you mean 'in'?");
	bad(LISTENER DEVICE DESTINATION "routes: [{forward: [files, files]}]\n",
	    "'files' stands here twice");
}

#define DICOM_TO(rest)                                                         \
	LISTENER DEVICE "destinations: {files: {protocol: dicom, endpoints: "  \
			"\"10.9.9.9:104\"" rest "}}\n" ROUTE

static void plaintext_needs_a_reason(void **state)
{
	(void)state;
	bad(DICOM_TO(""), "reason why images may travel in clear");
	bad(DICOM_TO(", plaintext: {allowed: \"  \"}"), "is blank");
	bad(DICOM_TO(", plaintext: yes"), "'plaintext' is a map");
	config_free(good(DICOM_TO(", plaintext: {allowed: same rack}")));
}

static void each_protocol_has_its_own_needs(void **state)
{
	(void)state;
	bad(DICOM_TO(", plaintext: {allowed: x}, tls: {ca: x}"),
	    "'tls.ca' has no meaning");
	bad(LISTENER DEVICE
	    "destinations: {files: {protocol: dicom-tls, "
	    "endpoints: \"a:1\", tls: {ca: x, key: x}}}\n" ROUTE,
	    "needs 'tls.certificate'");
	bad(LISTENER DEVICE "destinations: {files: {protocol: dicom-tls, "
			    "tls: {ca: x, key: x, certificate: x}}}\n" ROUTE,
	    "needs 'endpoints'");
	bad(LISTENER DEVICE
	    "destinations: {files: {protocol: directory}}\n" ROUTE,
	    "needs 'path'");
	bad(LISTENER DEVICE "destinations: {files: {protocol: directory, "
			    "path: x, endpoints: \"a:1\"}}\n" ROUTE,
	    "'endpoints' has no meaning");
	bad("listeners: {in: {address: 0.0.0.0:104, protocol: dicom-tls, "
	    "ae_titles: A}}\n",
	    "needs 'tls.ca'");
	bad("listeners: {in: {address: 0.0.0.0:104, protocol: dicom, "
	    "ae_titles: A, tls: {ca: x}}}\n",
	    "did you mean protocol: dicom-tls?");
	bad("listeners: {in: {address: 0.0.0.0:104, protocol: dicom-tls, "
	    "ae_titles: A, tls: {min_version: 1.1}}}\n",
	    "TLS before 1.2 is not offered");
}

static void listeners_may_not_share_a_port(void **state)
{
	(void)state;
	bad("listeners:\n"
	    "  a: {address: 0.0.0.0:104, protocol: dicom, ae_titles: A}\n"
	    "  b: {address: 10.0.0.1:104, protocol: dicom, ae_titles: A}\n",
	    "cannot both have port 104");
	bad("listeners:\n"
	    "  a: {address: 10.0.0.2:104, protocol: dicom, ae_titles: A}\n"
	    "  b: {address: \"[::]:104\", protocol: dicom, ae_titles: A}\n",
	    "cannot both have port 104");
	config_free(good(
	    "listeners:\n"
	    "  a: {address: 10.0.0.1:104, protocol: dicom, ae_titles: A}\n"
	    "  b: {address: 10.0.0.2:104, protocol: dicom, ae_titles: A}\n"
	    "  c: {address: 10.0.0.1:105, protocol: dicom, ae_titles: A}\n"));
}

static void destinations_may_not_collide(void **state)
{
	(void)state;
	bad(LISTENER DEVICE
	    "destinations: {files: {protocol: directory, path: x}, b: "
	    "{protocol: directory, path: x}}\n" ROUTE,
	    "have the same path");
	bad(ALL "spool: {path: out}\n", "would write into the spool");
	bad(LISTENER DEVICE
	    "destinations: {files: {protocol: dicom, endpoints: "
	    "\"127.0.0.1:104\", plaintext: {allowed: x}}}\n" ROUTE,
	    "would go in circles");
	bad(LISTENER DEVICE "destinations: {files: {protocol: directory, "
			    "path: x, retry: {first: 1h}}}\n" ROUTE,
	    "must not be longer than retry.max");
}

static void unused_things_are_warned_of(void **state)
{
	(void)state;
	warned(LISTENER DEVICE
	       "destinations: {files: {protocol: directory, path: x}, b: "
	       "{protocol: directory, path: y}}\n" ROUTE,
	       "no route forwards to destination 'b'");
	warned(LISTENER DESTINATION, "every peer will be refused");
	warned(LISTENER DEVICE, "no 'routes'");
	warned(LISTENER DEVICE DESTINATION, "device 'ct' may store, but");
	warned(LISTENER "devices: {ct: {ae_title: CT, address: "
			"0.0.0.0/0}}\n" DESTINATION ROUTE,
	       "may call from any address");
}

static void the_quota_must_fit_its_marks_and_segments(void **state)
{
	(void)state;
	bad(ALL "spool: {high_water: 80%, low_water: 80%}\n",
	    "must be below spool.high_water (80%)");
	bad(ALL "spool: {quota: 100MiB}\n",
	    "must hold at least four segments of 64MiB");
	config_free(good(ALL "spool: {quota: 16MiB, segment: 4MiB}\n"));
}

/* Hostile YAML. */

static void broken_yaml_has_a_place(void **state)
{
	(void)state;
	bad_at("node: a\nlisteners: {in: ]\n", 2, 17, "this is not YAML");
	bad("node: a\n\tworkers: 1\n", "not with tabs");
	bad("\xff\xfe\xff", "this is not YAML");
	bad("node: \"\xc3\x28\"\n", "this is not YAML");
	bad("", "the file is empty");
	bad("# nothing\n", "the file is empty");
	bad("--- \n", "not nothing");
	bad("hello\n", "not a single value");
	bad("[a]\n", "not a list");
	bad(ALL "---\nnode: b\n", "a second document");
	bad("? {a: b}\n: c\n", "a key must be a plain word");
	bad("node: \"a\\0b\"\n", "a NUL character");
	bad("\"a\\0b\": 1\n", "a NUL character");
	bad_bytes("node: a\0b\n", 10, "this is not YAML");
}

static void tags_are_refused(void **state)
{
	(void)state;
	bad("node: !!str a\n", "tags");
	bad("node: !x a\n", "tags");
	bad("!x {node: a}\n", "tags");
	bad("listeners: !!map {}\n", "tags");
	bad("!!str node: a\n", "tags");
}

static void aliases_cannot_be_used_to_grow(void **state)
{
	char text[4096] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";

	(void)state;
	for (int i = 1; i < 9; i++)
		snprintf(
		    text + strlen(text), sizeof(text) - strlen(text),
		    "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i,
		    i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	bad(text, "too many values");
	bad("a: &a [*a]\n", "an alias (*name) without its anchor");
	bad("node: *x\n", "without its anchor");
	bad("ae_title: *\n", "this is not YAML");
}

static void depth_and_size_are_bounded(void **state)
{
	size_t size = CONFIG_FILE_MAX + 1;
	char *text = mem_zalloc(size);

	(void)state;
	assert_non_null(text);
	memset(text, '[', 2000);
	bad_bytes(text, 2000, "nested too deeply");
	memset(text, '#', size);
	bad_bytes(text, size, "larger than 1048576 bytes");
	bad_bytes(text, size - 1, "the file is empty");
	mem_free(text);
}

static void many_values_are_refused_soon(void **state)
{
	size_t size = CONFIG_FILE_MAX;
	char *text = mem_zalloc(size);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i + 2 < size; i += 2)
		memcpy(text + i, "a,", 2);
	memcpy(text, "a: [", 4);
	text[size - 2] = ']';
	text[size - 1] = '\n';
	bad_bytes(text, size, "too many values");
	mem_free(text);
}

/* Out of memory at every allocation in turn. */

static size_t allocations_left;

static void *counted_calloc(size_t n, size_t size)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left--;
	return calloc(n, size);
}

static void *counted_realloc(void *p, size_t size)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left--;
	return realloc(p, size);
}

static void every_failed_allocation_is_survived(void **state)
{
	static const struct mem_hook hook = {counted_calloc, counted_realloc,
					     free};
	static const char text[] = LISTENER DEVICE
	    "destinations: {files: &f {protocol: directory, path: out}, "
	    "more: *f}\n" ROUTE;
	enum err e = ERR_NOMEM;
	struct config *cfg = NULL;

	(void)state;
	for (size_t n = 0; n < 1000 && e == ERR_NOMEM; n++) {
		allocations_left = n;
		mem_set_hook(&hook);
		e = config_load_from_memory(text, strlen(text), "x", &cfg,
					    &errors);
		mem_set_hook(NULL);
	}
	assert_int_equal(e, ERR_INVAL); /* the same path twice */
	assert_null(cfg);
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
	    cmocka_unit_test(aliases_stand_for_what_they_name),
	    cmocka_unit_test(an_unknown_key_names_the_nearest),
	    cmocka_unit_test(a_key_may_stand_once),
	    cmocka_unit_test(wrong_values_say_what_is_meant),
	    cmocka_unit_test(wrong_addresses_are_explained),
	    cmocka_unit_test(required_keys_are_asked_for),
	    cmocka_unit_test(later_features_are_named_as_such),
	    cmocka_unit_test(errors_are_collected_and_bounded),
	    cmocka_unit_test(names_must_lead_somewhere),
	    cmocka_unit_test(plaintext_needs_a_reason),
	    cmocka_unit_test(each_protocol_has_its_own_needs),
	    cmocka_unit_test(listeners_may_not_share_a_port),
	    cmocka_unit_test(destinations_may_not_collide),
	    cmocka_unit_test(unused_things_are_warned_of),
	    cmocka_unit_test(the_quota_must_fit_its_marks_and_segments),
	    cmocka_unit_test(broken_yaml_has_a_place),
	    cmocka_unit_test(tags_are_refused),
	    cmocka_unit_test(aliases_cannot_be_used_to_grow),
	    cmocka_unit_test(depth_and_size_are_bounded),
	    cmocka_unit_test(many_values_are_refused_soon),
	    cmocka_unit_test(every_failed_allocation_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
