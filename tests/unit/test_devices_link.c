/* Who may open a chunk link, and what a refusal says; and its routes. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "policy/devices.h"
#include "policy/routes.h"
#include "tests/unit/config_load.h"

static const char text[] =
    "listeners:\n"
    "  links: {address: \"[::]:2763\", protocol: link,\n"
    "    tls: {ca: x, certificate: x, key: x}}\n"
    "  more: {address: \"[::]:2764\", protocol: link,\n"
    "    tls: {ca: x, certificate: x, key: x}}\n"
    "  tls: {address: \"[::]:2762\", protocol: dicom-tls, ae_titles: [A],\n"
    "    tls: {ca: x, certificate: x, key: x}}\n"
    "devices:\n"
    "  ct: {ae_title: CT, address: 10.2.0.0/16,\n"
    "    certificate: {san: ct.example}}\n"
    "  edge: {ae_title: \"*\", address: 10.2.0.0/16, services: [link],\n"
    "    listeners: links, certificate: {san: edge.example}}\n"
    "destinations: {d: {protocol: directory, path: x}}\n"
    "routes: [{forward: d}]\n";

enum { LINKS, MORE, TLS };

static struct config *cfg;
static struct device_verdict v;

static bool ask(size_t listener, const char *from, const char *san)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	const char *const sans[] = {san};
	struct device_certificate c = {.fingerprint = "00",
				       .subject = "CN=somebody",
				       .sans = sans,
				       .n_sans = 1};
	struct device_query q = {.listener = listener,
				 .peer = (struct sockaddr *)&sa,
				 .certificate = san != NULL ? &c : NULL};

	assert_int_equal(inet_pton(AF_INET, from, &sa.sin_addr), 1);
	return device_match_link(cfg, &q, &v);
}

static void an_edge_is_known_by_its_certificate(void **state)
{
	(void)state;
	assert_true(ask(LINKS, "10.2.3.4", "edge.example"));
	assert_int_equal(v.device, config_device_find(cfg, "edge"));
}

static void another_certificate_is_refused_by_name(void **state)
{
	(void)state;
	assert_false(ask(LINKS, "10.2.3.4", "ct.example")); /* no edge */
	assert_int_equal(v.reason, DEVICE_CERTIFICATE_DIFFERENT);
	assert_int_equal(v.device, -1);
	assert_non_null(strstr(v.cause, "CN=somebody"));
	assert_non_null(strstr(v.remedy, "CN=somebody"));
	assert_false(ask(LINKS, "10.2.3.4", NULL));
	assert_int_equal(v.reason, DEVICE_CERTIFICATE_MISSING);
}

static void an_edge_from_elsewhere_is_refused(void **state)
{
	(void)state;
	assert_false(ask(LINKS, "10.3.0.1", "edge.example"));
	assert_int_equal(v.reason, DEVICE_ADDRESS_UNKNOWN);
	assert_non_null(strstr(v.remedy, "devices.edge.address"));
	assert_false(ask(MORE, "10.2.3.4", "edge.example"));
	assert_int_equal(v.reason, DEVICE_LISTENER_DENIED);
}

static void what_comes_over_a_link_is_routed_as_storage(void **state)
{
	struct route_query q = {.listener = LINKS,
				.device =
				    (size_t)config_device_find(cfg, "edge"),
				.called_ae = "ANY",
				.service = CONFIG_STORAGE};

	(void)state;
	assert_non_null(route_resolve(cfg, &q));
	q.service = CONFIG_QUERY;
	assert_null(route_resolve(cfg, &q));
	q.service = CONFIG_STORAGE;
	q.listener = TLS; /* there it may nothing */
	assert_null(route_resolve(cfg, &q));
	q.listener = LINKS;
	q.device = (size_t)config_device_find(cfg, "ct");
	assert_null(route_resolve(cfg, &q));
}

static int setup(void **state)
{
	(void)state;
	cfg = good(text);
	return 0;
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
	    cmocka_unit_test(an_edge_is_known_by_its_certificate),
	    cmocka_unit_test(another_certificate_is_refused_by_name),
	    cmocka_unit_test(an_edge_from_elsewhere_is_refused),
	    cmocka_unit_test(what_comes_over_a_link_is_routed_as_storage),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
