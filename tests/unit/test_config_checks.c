/* The configuration as a whole: what the checks find, and hostile YAML. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"
#include "proxy/lib/mem.h"
#include "tests/unit/config_load.h"

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

#define REPOSITORY(rest) ALL "repositories: {site: {" rest "}}\n"
#define SYSLOG_TLS                                                             \
	"protocol: syslog-tls, address: log, "                                 \
	"tls: {ca: c, certificate: e, key: k}"
#define SYSLOG_UDP                                                             \
	"protocol: syslog-udp, address: \"[::1]:5140\", "                      \
	"plaintext: {allowed: same rack}"

static void an_audit_repository_has_an_address_and_its_port(void **state)
{
	struct config *cfg = good(REPOSITORY(SYSLOG_TLS));

	(void)state;
	assert_string_equal(cfg->repositories[0].address.host, "log");
	assert_int_equal(cfg->repositories[0].address.port, 6514);
	assert_int_equal(cfg->repositories[0].facility, 10);
	assert_int_equal(cfg->repositories[0].identity, 0);
	config_free(cfg);
	cfg = good(REPOSITORY(SYSLOG_UDP ", identity: yes, facility: local7"));
	assert_string_equal(cfg->repositories[0].address.host, "::1");
	assert_int_equal(cfg->repositories[0].address.port, 5140);
	assert_int_equal(cfg->repositories[0].facility, 23);
	assert_int_equal(cfg->repositories[0].identity, 1);
	config_free(cfg);
}

static void an_audit_repository_has_what_its_protocol_needs(void **state)
{
	(void)state;
	bad(REPOSITORY("protocol: syslog-tls, address: log, "
		       "tls: {ca: c, certificate: e}"),
	    "needs 'tls.key'; example: tls: {key: edge-01.key}");
	bad(REPOSITORY("protocol: syslog-udp, address: log"),
	    "needs 'plaintext.allowed' with the reason why the audit may");
	bad(REPOSITORY(SYSLOG_UDP ", tls: {ca: x}"), "'tls.ca' has no meaning");
	bad(REPOSITORY(SYSLOG_TLS ", plaintext: {allowed: x}"),
	    "'plaintext.allowed' has no meaning");
	bad(REPOSITORY(SYSLOG_TLS ", retry: {first: 2m, max: 1m}"),
	    "retry.first must not be longer");
	bad(REPOSITORY("protocol: syslog-tls, address: \"log:0\""),
	    "is not a host or host:port");
	warned(ALL "repositories: {a: {" SYSLOG_UDP "}, b: {" SYSLOG_UDP "}}\n",
	       "gets every message twice");
	bad(ALL "repositories: {a: {" SYSLOG_UDP "}, b: {" SYSLOG_UDP
		"}, c: {" SYSLOG_UDP "}, d: {" SYSLOG_UDP "}, e: {" SYSLOG_UDP
		"}}\n",
	    "more than 4 repositories");
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
	       "no route leads to destination 'b'");
	warned(LISTENER DESTINATION, "every peer will be refused");
	warned(LISTENER DEVICE, "no 'routes'");
	warned(LISTENER DEVICE DESTINATION, "device 'ct' may use storage, but");
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

static void a_list_has_at_most_256_entries(void **state)
{
	char text[4096] =
	    "listeners: {in: {address: 0.0.0.0:104, protocol: dicom, "
	    "ae_titles: [A0";

	(void)state;
	for (int i = 1; i <= CONFIG_LIST_MAX; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 ", A%d", i);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "]}}\n");
	bad(text, "'A256' is one too many");
	assert_int_equal(errors.n_errors, 1);
}

static void many_values_are_refused_soon(void **state)
{
	size_t size = CONFIG_FILE_MAX;
	char *text = mem_zalloc(size);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < size; i++)
		text[i] = i < 4 ? "a: ["[i] : "a,"[i % 2];
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
	    cmocka_unit_test(names_must_lead_somewhere),
	    cmocka_unit_test(plaintext_needs_a_reason),
	    cmocka_unit_test(an_audit_repository_has_an_address_and_its_port),
	    cmocka_unit_test(an_audit_repository_has_what_its_protocol_needs),
	    cmocka_unit_test(each_protocol_has_its_own_needs),
	    cmocka_unit_test(listeners_may_not_share_a_port),
	    cmocka_unit_test(destinations_may_not_collide),
	    cmocka_unit_test(unused_things_are_warned_of),
	    cmocka_unit_test(the_quota_must_fit_its_marks_and_segments),
	    cmocka_unit_test(broken_yaml_has_a_place),
	    cmocka_unit_test(tags_are_refused),
	    cmocka_unit_test(aliases_cannot_be_used_to_grow),
	    cmocka_unit_test(depth_and_size_are_bounded),
	    cmocka_unit_test(a_list_has_at_most_256_entries),
	    cmocka_unit_test(many_values_are_refused_soon),
	    cmocka_unit_test(every_failed_allocation_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
