/* The configuration: what a route does, destinations that the devices are,
 * and the checks of both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"
#include "policy/routes.h"
#include "proxy/lib/mem.h"
#include "tests/unit/config_load.h"

#define IN                                                                     \
	"listeners:\n"                                                         \
	"  in: {address: 0.0.0.0:104, protocol: dicom, ae_titles: [A, W]}\n"   \
	"  back: {address: 0.0.0.0:105, protocol: dicom, "                     \
	"ae_titles: [CT, CT2, MR]}\n"
#define EVERYTHING                                                             \
	"services: [storage, worklist, query, mpps, commitment, print, "       \
	"other, verification]"
#define CT                                                                     \
	"devices:\n"                                                           \
	"  ct: {ae_title: [CT, CT2], address: 10.0.0.1, port: "                \
	"104, " EVERYTHING "}\n"
#define PACS                                                                   \
	"destinations:\n"                                                      \
	"  pacs: {protocol: dicom, endpoints: [\"10.9.9.9:104\", "             \
	"\"10.9.9.8:104\"], plaintext: {allowed: x}}\n"                        \
	"  files: {protocol: directory, path: out}\n"
#define ROUTES(text) IN CT PACS "routes:\n" text

static const struct config_route *
resolve(const struct config *cfg, const char *listener, const char *device,
	const char *called, enum config_service service)
{
	struct route_query q = {
	    .listener = (size_t)config_listener_find(cfg, listener),
	    .device = (size_t)config_device_find(cfg, device),
	    .called_ae = called,
	    .service = service};

	return route_resolve(cfg, &q);
}

/* "relay pacs", "forward files", ... */
static void leads(const struct config *cfg, const char *listener,
		  const char *device, const char *called,
		  enum config_service service, const char *where)
{
	const struct config_route *r =
	    resolve(cfg, listener, device, called, service);
	size_t to;
	char text[80];

	assert_non_null(r);
	to = r->action == CONFIG_FORWARD ? r->forward.v[0].index
					 : config_route_peer(r);
	snprintf(text, sizeof(text), "%s %s", config_action_name(r->action),
		 cfg->destinations[to].name);
	assert_string_equal(text, where);
}

/* What routes do. */

static void each_service_has_its_own_route(void **state)
{
	struct config *cfg =
	    good(ROUTES("  - {service: storage, forward: [pacs, files], "
			"commit: pacs}\n"
			"  - {service: [worklist, query, verification], "
			"relay: pacs}\n"
			"  - {service: mpps, forward: pacs}\n"
			"  - {service: commitment, hold: pacs}\n"
			"  - {service: [print, other], relay: pacs}\n"));

	(void)state;
	assert_int_equal(errors.n_warnings, 0);
	leads(cfg, "in", "ct", "A", CONFIG_STORAGE, "forward pacs");
	leads(cfg, "in", "ct", "A", CONFIG_WORKLIST, "relay pacs");
	leads(cfg, "in", "ct", "W", CONFIG_QUERY, "relay pacs");
	leads(cfg, "in", "ct", "A", CONFIG_VERIFICATION, "relay pacs");
	leads(cfg, "in", "ct", "A", CONFIG_MPPS, "forward pacs");
	leads(cfg, "in", "ct", "A", CONFIG_COMMITMENT, "hold pacs");
	leads(cfg, "in", "ct", "A", CONFIG_PRINT, "relay pacs");
	leads(cfg, "in", "ct", "A", CONFIG_OTHER, "relay pacs");
	assert_int_equal(cfg->routes[0].commit.n, 1);
	assert_int_equal(cfg->routes[0].commit.v[0].index, 0);
	config_free(cfg);
}

static void all_services_can_be_relayed(void **state)
{
	struct config *cfg = good(ROUTES(
	    "  - {service: [storage, verification, worklist, query, mpps, "
	    "commitment, print, other], relay: pacs}\n"));

	(void)state;
	assert_int_equal(cfg->routes[0].services, CONFIG_SERVICES_ALL);
	assert_int_equal(cfg->routes[0].action, CONFIG_RELAY);
	config_free(cfg);
}

static void a_route_has_one_action(void **state)
{
	(void)state;
	bad_at(ROUTES("  - {service: storage}\n"), 10, 5,
	       "route 1 needs one of 'forward', 'relay' and 'hold'");
	bad(ROUTES("  - {forward: pacs, relay: pacs}\n"),
	    "route 1 has more than one of");
	bad(ROUTES("  - {service: commitment, relay: pacs, hold: pacs}\n"),
	    "route 1 has more than one of");
	bad(ROUTES("  - {service: verification}\n"), "C-ECHO is answered here");
	bad(ROUTES("  - {relay: [pacs, files]}\n"),
	    "a list stands here where a single value is meant");
	bad(ROUTES("  - {relay: pasc}\n"), "did you mean 'pacs'?");
	bad(ROUTES("  - {relay: pacs, commit: pacs}\n"),
	    "'commit' stands beside 'forward' only");
}

static void only_storage_and_steps_are_forwarded(void **state)
{
	(void)state;
	bad_at(ROUTES("  - {service: worklist, forward: pacs}\n"), 10, 5,
	       "example: {service: worklist, relay: pacs}");
	bad(ROUTES("  - {service: [storage, query], forward: pacs}\n"),
	    "query cannot be forwarded");
	bad(ROUTES("  - {service: commitment, forward: pacs}\n"),
	    "example: {service: commitment, hold: pacs}");
	bad(ROUTES("  - {service: print, forward: pacs}\n"),
	    "print cannot be forwarded");
	bad(ROUTES("  - {service: mpps, forward: [pacs, files]}\n"),
	    "destination 'files' is a directory, which carries instances only");
}

static void only_commitment_is_held(void **state)
{
	(void)state;
	bad(ROUTES("  - {hold: pacs}\n"), "'hold' is for service commitment");
	bad(ROUTES("  - {service: [commitment, mpps], hold: pacs}\n"),
	    "'hold' is for service commitment");
	bad(ROUTES("  - {service: commitment, hold: files}\n"),
	    "'hold' needs one with protocol dicom-tls or dicom");
	bad(ROUTES("  - {service: query, relay: files}\n"),
	    "'relay' needs one with protocol dicom-tls or dicom");
}

static void commitment_is_asked_of_a_destination_of_the_route(void **state)
{
	(void)state;
	bad(ROUTES("  - {forward: files, commit: pacs}\n"),
	    "'commit' must be one of the destinations of 'forward'");
	bad(ROUTES("  - {forward: files, commit: files}\n"),
	    "destination 'files' is a directory");
	bad(ROUTES("  - {service: mpps, forward: pacs, commit: pacs}\n"),
	    "'commit' is for service storage");
	bad(ROUTES("  - {forward: [pacs, files], commit: [pacs, files]}\n"),
	    "a list stands here");
}

static void a_route_never_taken_for_a_service_is_warned_of(void **state)
{
	(void)state;
	warned(ROUTES("  - {service: worklist, relay: pacs}\n"
		      "  - {service: [query, worklist], relay: pacs}\n"),
	       "this route is never taken for worklist: the one in line 10");
	bad_at(ROUTES("  - {service: worklist, relay: pacs}\n"
		      "  - {service: query, relay: pacs}\n"
		      "  - {service: [query, worklist], relay: pacs}\n"),
	       12, 5, "this route is never taken: the one in line 11");
	config_free(
	    good(ROUTES("  - {service: worklist, called: W, relay: pacs}\n"
			"  - {service: [query, worklist], relay: pacs}\n")));
	for (size_t i = 0; i < errors.n_warnings; i++)
		assert_null(strstr(errors.warnings[i].text, "never taken"));
}

static void services_without_a_route_are_warned_of(void **state)
{
	(void)state;
	warned(ROUTES("  - {forward: pacs}\n"),
	       "device 'ct' may use worklist, query, mpps, commitment, print, "
	       "other, but no route takes that");
	warned(ROUTES("  - {service: [storage, worklist, query, print, other, "
		      "mpps], relay: pacs}\n"),
	       "example: {service: [commitment], hold: cloud}");
	config_free(good(IN "devices: {ct: {ae_title: CT, address: 10.0.0.1, "
			    "services: [worklist, verification]}}\n" PACS
			    "routes: [{service: worklist, relay: pacs}]\n"));
	for (size_t i = 0; i < errors.n_warnings; i++)
		assert_null(strstr(errors.warnings[i].text, "may use"));
}

/* That it cannot arrive is said, and a route would not help it. */
static void no_route_is_missed_for_a_device_that_cannot_arrive(void **state)
{
	(void)state;
	bad(IN PACS "devices: {ct: {ae_title: CT, address: 10.0.0.1, services: "
		    "[storage, link], certificate: {san: ct.example}}}\n"
		    "routes: [{forward: pacs}]\n",
	    "device 'ct' cannot arrive at any listener");
	for (size_t i = 0; i < errors.n_warnings; i++)
		assert_null(strstr(errors.warnings[i].text, "no route takes"));
	bad(IN PACS "devices: {ct: {ae_title: CT, address: 10.0.0.1, "
		    "called: OTHER, services: storage}}\n"
		    "routes: [{forward: pacs}]\n",
	    "no listener that device 'ct' reaches answers");
	for (size_t i = 0; i < errors.n_warnings; i++)
		assert_null(strstr(errors.warnings[i].text, "no route takes"));
}

/* Devices as destinations. */

static void a_device_with_a_port_is_a_destination(void **state)
{
	struct config *cfg =
	    good(IN CT PACS
		 "routes: [{service: storage, called: A, relay: \"@ct\"},\n"
		 "  {service: storage, forward: [\"@ct\", files]}]\n");
	const struct config_destination *d = &cfg->destinations[2];

	(void)state;
	assert_int_equal(cfg->n_destinations, 3);
	assert_int_equal(config_destination_find(cfg, "@ct"), 2);
	assert_int_equal(config_device_destination(cfg, 0), 2);
	assert_int_equal(config_destination_device(cfg, 2), 0);
	assert_int_equal(config_destination_device(cfg, 1), -1);
	assert_true(d->implicit);
	assert_int_equal(d->protocol, CONFIG_DICOM);
	assert_int_equal(d->endpoints.n, 1);
	assert_string_equal(d->endpoints.v[0].host, "10.0.0.1");
	assert_int_equal(d->endpoints.v[0].port, 104);
	assert_string_equal(d->plaintext_reason, "the device's own protocol");
	assert_string_equal(d->ae_title, "");
	assert_string_equal(d->calling_ae_title, "");
	assert_int_equal(d->at.line, cfg->devices[0].at.line);
	assert_int_equal(d->timeouts.relay, 3000);
	assert_int_equal(d->accept.n, 2);
	assert_int_equal(d->associations, 1);
	assert_int_equal(d->health.interval, 0);
	leads(cfg, "in", "ct", "A", CONFIG_STORAGE, "relay @ct");
	leads(cfg, "in", "ct", "W", CONFIG_STORAGE, "forward @ct");
	config_free(cfg);
}

static void ipv6_devices_are_destinations_too(void **state)
{
	struct config *cfg =
	    good("listeners: {in: {address: \"[::]:104\", protocol: dicom, "
		 "ae_titles: A}}\n"
		 "devices: {ct: {ae_title: CT, address: \"fd00::5\", port: "
		 "11112}}\n" PACS "routes: [{relay: \"@ct\"}]\n");

	(void)state;
	assert_string_equal(cfg->destinations[2].endpoints.v[0].host,
			    "fd00::5");
	config_free(cfg);
}

#define DEVICE_PORT(name, address)                                             \
	IN "devices: {" name ": {ae_title: CT, address: " address              \
	   ", port: 104}}\n" PACS "routes: [{forward: pacs}]\n"

static void devices_that_cannot_be_one_are_explained(void **state)
{
	(void)state;
	warned(DEVICE_PORT("ct", "10.0.0.0/24"),
	       "has a port but no single address");
	warned(DEVICE_PORT("ct", "[10.0.0.1, 10.0.0.2]"),
	       "has a port but no single address");
	config_free(
	    good(DEVICE_PORT("a234567890123456789012345678901", "10.0.0.1")));
	bad(DEVICE_PORT("a2345678901234567890123456789012", "10.0.0.1"),
	    "its name has 31 characters at most");
	bad(DEVICE_PORT("called", "10.0.0.1"), "cannot have the name 'called'");
	bad(IN "devices: {ct: {ae_title: CT, address: 10.0.0.1}}\n" PACS
	       "routes: [{relay: \"@ct\"}]\n",
	    "there is no device 'ct' with a port and one single address");
	bad(ROUTES("  - {relay: @ct}\n"), "quote what begins with @");
	bad(IN CT "destinations: {\"@ct\": {protocol: directory, path: x}}\n",
	    "is not a name for a destination");
	bad(ROUTES("  - {relay: \"@\"}\n"), "is not a name");
	bad(ROUTES("  - {device: \"@ct\", relay: pacs}\n"), "is not a name");
}

static void a_device_at_our_own_listener_is_a_loop(void **state)
{
	(void)state;
	bad("listeners: {in: {address: 10.0.0.1:104, protocol: dicom, "
	    "ae_titles: A}}\n" CT PACS "routes: [{forward: pacs}]\n",
	    "destination '@ct' is this Culvert's own listener 'in'");
}

/* Whoever was called. */

#define TWO                                                                    \
	"devices:\n"                                                           \
	"  ct: {ae_title: [CT, CT2, CT9], address: 10.0.0.1, port: 104}\n"     \
	"  us: {ae_title: US, address: 10.0.0.3, port: 104}\n"                 \
	"  mr: {ae_title: MR, address: 10.0.0.2, port: 105}\n"                 \
	"  archive: {ae_title: PACS, address: 10.9.9.9, listeners: back}\n"

static void called_stands_for_the_device_that_was_called(void **state)
{
	struct config *cfg =
	    good(IN TWO PACS "routes:\n"
			     "  - {device: archive, relay: \"@called\"}\n"
			     "  - {forward: [pacs, files]}\n");

	(void)state;
	assert_int_equal(errors.n_warnings, 0);
	/* nobody can call US here */
	assert_int_equal(cfg->n_routes, 3);
	assert_int_equal(cfg->routes[0].called.n, 2);
	assert_true(cfg->routes[0].implied);
	assert_int_equal(cfg->routes[1].at.line, cfg->routes[0].at.line);
	assert_false(cfg->routes[2].implied);
	leads(cfg, "back", "archive", "CT", CONFIG_STORAGE, "relay @ct");
	leads(cfg, "back", "archive", "CT2", CONFIG_STORAGE, "relay @ct");
	leads(cfg, "back", "archive", "MR", CONFIG_STORAGE, "relay @mr");
	leads(cfg, "in", "ct", "A", CONFIG_STORAGE, "forward pacs");
	leads(cfg, "back", "ct", "MR", CONFIG_STORAGE, "forward pacs");
	config_free(cfg);
}

static void called_may_be_forwarded_and_narrowed(void **state)
{
	struct config *cfg = good(
	    IN TWO PACS "routes:\n"
			"  - {device: archive, called: [CT2, MR], forward: "
			"[files, \"@called\", \"@mr\"]}\n"
			"  - {forward: pacs}\n");

	(void)state;
	assert_int_equal(cfg->n_routes, 3);
	assert_int_equal(cfg->routes[0].called.n, 1);
	assert_string_equal(cfg->routes[0].called.v[0], "CT2");
	assert_int_equal(cfg->routes[0].forward.n, 3);
	assert_string_equal(cfg->routes[0].forward.v[1].name, "@ct");
	assert_int_equal(cfg->routes[0].forward.v[1].index,
			 (size_t)config_destination_find(cfg, "@ct"));
	/* each destination once */
	assert_int_equal(cfg->routes[1].forward.n, 2);
	assert_string_equal(cfg->routes[1].forward.v[1].name, "@mr");
	config_free(cfg);
}

static void routes_before_called_come_first(void **state)
{
	struct config *cfg =
	    good(IN TWO PACS "routes:\n"
			     "  - {called: MR, forward: files}\n"
			     "  - {device: archive, relay: \"@called\"}\n"
			     "  - {forward: pacs}\n");

	(void)state;
	assert_int_equal(cfg->n_routes, 3);
	leads(cfg, "back", "archive", "MR", CONFIG_STORAGE, "forward files");
	leads(cfg, "back", "archive", "CT", CONFIG_STORAGE, "relay @ct");
	config_free(cfg);
}

static void called_must_stand_for_somebody(void **state)
{
	(void)state;
	bad(IN "devices: {ct: {ae_title: CT, address: 10.0.0.1}}\n" PACS
	       "routes: [{relay: \"@called\"}]\n",
	    "\"@called\" stands for no device here");
	bad(IN
	    "devices: {ct: {ae_title: XY, address: 10.0.0.1, port: 104}}\n" PACS
	    "routes: [{relay: \"@called\"}]\n",
	    "\"@called\" stands for no device here");
	bad(ROUTES("  - {service: commitment, hold: \"@called\"}\n"),
	    "\"@called\" is for 'relay' and 'forward' only");
	bad(ROUTES("  - {forward: \"@called\", commit: \"@called\"}\n"),
	    "\"@called\" is for 'relay' and 'forward' only");
	bad(ROUTES("  - {service: query, forward: \"@called\"}\n"),
	    "query cannot be forwarded");
}

static void one_title_of_two_devices_is_warned_of(void **state)
{
	(void)state;
	warned(
	    IN
	    "devices:\n"
	    "  ct: {ae_title: CT, address: 10.0.0.1, port: 104}\n"
	    "  old: {ae_title: [CT, MR], address: 10.0.0.2, port: 104}\n" PACS
	    "routes: [{relay: \"@called\"}]\n",
	    "\"@called\" goes to '@ct' for called AE title 'CT', which "
	    "'@old' has too");
}

static void called_is_bounded(void **state)
{
	static char text[200000];
	size_t n = (size_t)snprintf(text, sizeof(text), IN "devices:\n");

	(void)state;
	for (int i = 0; i < 200; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "  d%d: {ae_title: [CT, T%d], address: "
				      "10.0.%d.1, port: 104}\n",
				      i, i, i);
	n += (size_t)snprintf(text + n, sizeof(text) - n, PACS "routes:\n");
	for (int i = 0; i < 100; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "  - {relay: \"@called\"}\n");
	bad_bytes(text, n, "are too many for that many devices");
}

static void expanded_routes_are_bounded(void **state)
{
	static char text[400000];
	size_t n = (size_t)snprintf(
	    text, sizeof(text),
	    "listeners: {in: {address: 0.0.0.0:104, protocol: dicom, "
	    "ae_titles: [T0");

	(void)state;
	for (int i = 1; i < CONFIG_LIST_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, ", T%d", i);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "]}}\ndevices:\n");
	for (int i = 0; i < CONFIG_LIST_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "  d%d: {ae_title: T%d, address: "
				      "10.0.%d.1, port: 104}\n",
				      i, i, i);
	n += (size_t)snprintf(text + n, sizeof(text) - n, PACS "routes:\n");
	for (int i = 0; i < 5; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "  - {device: d%d, relay: "
				      "\"@called\"}\n",
				      i);
	bad_bytes(text, n, "more than 1024 routes");
}

/* The way back of a held request. */

#define HELD(device, rest)                                                     \
	IN "devices:\n  ct: {ae_title: CT, address: 10.0.0.1, services: "      \
	   "[storage, commitment]" device "}\n" rest PACS "routes:\n"          \
	   "  - {service: commitment, hold: pacs}\n"                           \
	   "  - {forward: [pacs, files]}\n"

static void a_device_that_asks_for_commitment_needs_a_port(void **state)
{
	(void)state;
	config_free(good(HELD(", port: 104", "")));
	assert_int_equal(errors.n_warnings, 0);
	bad_at(HELD("", ""), 5, 3,
	       "device 'ct' may ask for commitment (line 10), so it needs "
	       "'port'");
}

static void the_archive_calling_back_needs_none(void **state)
{
	(void)state;
	config_free(good(HELD(", port: 104",
			      "  archive: {ae_title: X, address: 10.9.9.9, "
			      "services: [commitment]}\n")));
	assert_int_equal(errors.n_warnings, 0);
	bad(HELD(", port: 104", "  archive: {ae_title: X, address: 10.9.9.7, "
				"services: [commitment]}\n"),
	    "device 'archive' may ask for commitment");
}

static void a_device_whose_commitment_is_relayed_needs_none(void **state)
{
	(void)state;
	config_free(good(IN
			 "devices:\n"
			 "  ct: {ae_title: CT, address: 10.0.0.1, services: "
			 "[storage, commitment]}\n"
			 "  mr: {ae_title: MR, address: 10.0.0.2, port: 104, "
			 "services: [storage, commitment]}\n" PACS "routes:\n"
			 "  - {service: commitment, device: ct, relay: pacs}\n"
			 "  - {service: commitment, hold: pacs}\n"
			 "  - {forward: [files, pacs]}\n"));
	assert_int_equal(errors.n_warnings, 0);
}

static void holding_for_another_destination_is_warned_of(void **state)
{
	(void)state;
	warned(ROUTES("  - {service: commitment, hold: pacs}\n"
		      "  - {forward: files}\n"),
	       "what device 'ct' stores is not forwarded to 'pacs'");
	warned(ROUTES("  - {service: commitment, hold: pacs}\n"
		      "  - {service: storage, relay: pacs}\n"),
	       "use {service: commitment, relay: pacs}");
}

static void commitment_waits_are_ordered(void **state)
{
	(void)state;
	bad(ALL "commitment: {unknown: 1h, deadline: 1h}\n",
	    "commitment.unknown must be shorter");
	config_free(good(ALL "commitment: {unknown: 0, deadline: 5s}\n"));
}

/* Several endpoints. */

#define BALANCE(rest)                                                          \
	LISTENER DEVICE "destinations: {pacs: {protocol: dicom, endpoints: "   \
			"[\"10.9.9.9:104\", \"10.9.9.8:104\"], plaintext: "    \
			"{allowed: x}" rest "}}\nroutes: [{forward: pacs}]\n"

static void endpoints_can_be_weighted(void **state)
{
	struct config *cfg =
	    good(BALANCE(", balance: weighted, weights: [3, 1], breaker: "
			 "{failures: 5, pause: 1m}, health: {interval: 0}"));
	const struct config_destination *d = &cfg->destinations[0];

	(void)state;
	assert_int_equal(d->balance, CONFIG_WEIGHTED);
	assert_int_equal(d->weights.n, 2);
	assert_int_equal(d->weights.v[0], 3);
	assert_int_equal(d->weights.v[1], 1);
	assert_int_equal(d->breaker.failures, 5);
	assert_int_equal(d->breaker.pause, 60000);
	assert_int_equal(d->health.interval, 0);
	config_free(cfg);
	config_free(good(BALANCE(", balance: weighted")));
}

static void weights_must_fit_the_endpoints(void **state)
{
	(void)state;
	bad(BALANCE(", weights: [3, 1]"),
	    "'weights' has a meaning only with 'balance: weighted'");
	bad(BALANCE(", balance: weighted, weights: 3"),
	    "has 2 endpoints and 1 weights");
	bad(BALANCE(", balance: weighted, weights: [0, 1]"),
	    "out of range: from 1 to 1000");
	bad(BALANCE(", balance: weighted, weights: [a, 1]"),
	    "'a' is not a whole number");
	bad(BALANCE(", balance: weighed"), "did you mean 'weighted'?");
	bad(LISTENER DEVICE "destinations: {files: {protocol: directory, "
			    "path: x, balance: weighted}}\n" ROUTE,
	    "has no endpoints to balance");
}

/* All of it again with ever more memory. */

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
	static const char text[] =
	    IN TWO PACS "routes:\n"
			"  - {device: archive, relay: \"@called\"}\n"
			"  - {device: archive, listener: back, forward: "
			"[files, \"@called\"]}\n"
			"  - {forward: [pacs, files], commit: pacs}\n";
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
	assert_int_equal(e, ERR_INVAL); /* the second is never taken */
	assert_null(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_service_has_its_own_route),
	    cmocka_unit_test(all_services_can_be_relayed),
	    cmocka_unit_test(a_route_has_one_action),
	    cmocka_unit_test(only_storage_and_steps_are_forwarded),
	    cmocka_unit_test(only_commitment_is_held),
	    cmocka_unit_test(commitment_is_asked_of_a_destination_of_the_route),
	    cmocka_unit_test(a_route_never_taken_for_a_service_is_warned_of),
	    cmocka_unit_test(services_without_a_route_are_warned_of),
	    cmocka_unit_test(
		no_route_is_missed_for_a_device_that_cannot_arrive),
	    cmocka_unit_test(a_device_with_a_port_is_a_destination),
	    cmocka_unit_test(ipv6_devices_are_destinations_too),
	    cmocka_unit_test(devices_that_cannot_be_one_are_explained),
	    cmocka_unit_test(a_device_at_our_own_listener_is_a_loop),
	    cmocka_unit_test(called_stands_for_the_device_that_was_called),
	    cmocka_unit_test(called_may_be_forwarded_and_narrowed),
	    cmocka_unit_test(routes_before_called_come_first),
	    cmocka_unit_test(called_must_stand_for_somebody),
	    cmocka_unit_test(one_title_of_two_devices_is_warned_of),
	    cmocka_unit_test(called_is_bounded),
	    cmocka_unit_test(expanded_routes_are_bounded),
	    cmocka_unit_test(a_device_that_asks_for_commitment_needs_a_port),
	    cmocka_unit_test(the_archive_calling_back_needs_none),
	    cmocka_unit_test(a_device_whose_commitment_is_relayed_needs_none),
	    cmocka_unit_test(holding_for_another_destination_is_warned_of),
	    cmocka_unit_test(commitment_waits_are_ordered),
	    cmocka_unit_test(endpoints_can_be_weighted),
	    cmocka_unit_test(weights_must_fit_the_endpoints),
	    cmocka_unit_test(every_failed_allocation_is_survived),
	};

	return cmocka_run_group_tests_name("config routes", tests, NULL, NULL);
}
