/* Where instances go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"
#include "policy/routes.h"

#define PARTS                                                                  \
	"listeners:\n"                                                         \
	"  one: {address: 10.0.0.1:104, protocol: dicom, ae_titles: [A, B]}\n" \
	"  two: {address: 10.0.0.1:105, protocol: dicom, ae_titles: [C]}\n"    \
	"devices:\n"                                                           \
	"  ct: {ae_title: CT, address: 10.1.4.20}\n"                           \
	"  mr: {ae_title: MR, address: 10.1.4.21}\n"                           \
	"  echo: {ae_title: E, address: 10.1.4.22, services: verification}\n"  \
	"destinations:\n"                                                      \
	"  x: {protocol: directory, path: x}\n"                                \
	"  y: {protocol: directory, path: y}\n"                                \
	"routes:\n"

static struct config_errors errors;

static struct config *load(const char *routes)
{
	struct config *cfg = NULL;
	char text[2048];

	snprintf(text, sizeof(text), PARTS "%s", routes);
	if (config_load_from_memory(text, strlen(text), "t", &cfg, &errors) !=
	    ERR_OK)
		return NULL;
	return cfg;
}

static int resolve(const struct config *cfg, size_t listener, size_t device,
		   const char *called, enum config_service service)
{
	struct route_query q = {listener, device, called, service};
	const struct config_route *r = route_resolve(cfg, &q);

	return r != NULL ? (int)(r - cfg->routes) : -1;
}

static void the_first_route_that_fits_is_taken(void **state)
{
	struct config *cfg =
	    load("  - {called: B, forward: y}\n"
		 "  - {device: mr, listener: one, forward: [y, x]}\n"
		 "  - {forward: x}\n");

	(void)state;
	assert_non_null(cfg);
	assert_int_equal(resolve(cfg, 0, 0, "B", CONFIG_STORAGE), 0);
	assert_int_equal(resolve(cfg, 0, 1, "B", CONFIG_STORAGE), 0);
	assert_int_equal(resolve(cfg, 0, 1, "A", CONFIG_STORAGE), 1);
	assert_int_equal(resolve(cfg, 1, 1, "C", CONFIG_STORAGE), 2);
	assert_int_equal(resolve(cfg, 0, 0, "A ", CONFIG_STORAGE), 2);
	assert_int_equal(cfg->routes[1].forward.n, 2);
	assert_int_equal(cfg->routes[1].forward.v[0].index, 1);
	assert_int_equal(cfg->routes[1].forward.v[1].index, 0);
	config_free(cfg);
}

static void no_route_and_no_service_resolve_to_nothing(void **state)
{
	struct config *cfg = load("  - {device: ct, forward: x}\n"
				  "  - {device: mr, called: C, forward: y}\n");

	(void)state;
	assert_non_null(cfg);
	assert_int_equal(resolve(cfg, 0, 1, "A", CONFIG_STORAGE), -1);
	assert_int_equal(resolve(cfg, 0, 0, "A", CONFIG_VERIFICATION), -1);
	assert_int_equal(resolve(cfg, 0, 2, "A", CONFIG_STORAGE), -1);
	config_free(cfg);
}

static void refused_with(const char *routes, int line, const char *why)
{
	struct config *cfg = load(routes);

	assert_null(cfg);
	assert_int_equal(errors.n_errors, 1);
	assert_int_equal(errors.errors[0].at.line, line);
	if (strstr(errors.errors[0].text, why) == NULL)
		fail_msg("%s", errors.errors[0].text);
}

static void a_shadowed_route_is_an_error(void **state)
{
	(void)state;
	refused_with("  - {forward: x}\n  - {device: ct, forward: y}\n", 13,
		     "never taken: the one in line 12 comes first");
	refused_with("  - {device: [ct, mr], forward: x}\n"
		     "  - {called: A, forward: y}\n"
		     "  - {device: mr, called: B, forward: y}\n",
		     14, "the one in line 12 comes first");
	refused_with("  - {listener: [one, two], forward: x}\n"
		     "  - {listener: two, called: C, forward: y}\n",
		     13, "the one in line 12 comes first");
}

static void an_unreachable_route_is_an_error(void **state)
{
	(void)state;
	refused_with("  - {device: echo, forward: [x, y]}\n", 12,
		     "no device that it is for can arrive");
	refused_with("  - {called: Z, forward: [x, y]}\n  - {forward: x}\n", 12,
		     "answers to called AE title 'Z'");
}

static void narrower_routes_before_wider_ones_are_fine(void **state)
{
	struct config *cfg = load("  - {device: ct, called: A, forward: x}\n"
				  "  - {device: ct, forward: y}\n"
				  "  - {called: A, forward: y}\n"
				  "  - {forward: [x, y]}\n");

	(void)state;
	assert_non_null(cfg);
	assert_int_equal(errors.n_warnings, 0);
	for (size_t i = 0; i < 4; i++)
		for (size_t j = i + 1; j < 4; j++) {
			assert_false(
			    route_shadows(&cfg->routes[i], &cfg->routes[j]));
		}
	assert_true(route_shadows(&cfg->routes[3], &cfg->routes[0]));
	assert_true(route_shadows(&cfg->routes[1], &cfg->routes[0]));
	config_free(cfg);
}

static void services_are_shadowed_one_by_one(void **state)
{
	char(*one)[CONFIG_AE_LEN] = (char[1][CONFIG_AE_LEN]){"A"};
	char(*both)[CONFIG_AE_LEN] = (char[2][CONFIG_AE_LEN]){"B", "A"};
	struct config_route a = {.services = CONFIG_WORKLIST | CONFIG_QUERY,
				 .called = {2, both}};
	struct config_route b = {.services = CONFIG_QUERY | CONFIG_PRINT,
				 .called = {1, one}};

	(void)state;
	assert_int_equal(route_shadowed(&a, &b), CONFIG_QUERY);
	assert_int_equal(route_shadowed(&b, &a), 0);
	assert_false(route_shadows(&a, &b));
	a.services |= CONFIG_PRINT;
	assert_true(route_shadows(&a, &b));
	b.called = (struct config_aes){0, NULL};
	assert_false(route_shadows(&a, &b));
}

/* The device may not call what the route is for. */
static void
a_route_for_other_titles_than_the_device_calls_is_an_error(void **state)
{
	struct config *cfg = NULL;
	static const char text[] =
	    "listeners: {one: {address: 10.0.0.1:104, protocol: dicom, "
	    "ae_titles: [A, B]}}\n"
	    "devices: {ct: {ae_title: CT, address: 10.1.4.20, called: A}}\n"
	    "destinations: {x: {protocol: directory, path: x}}\n"
	    "routes: [{called: B, forward: x}, {forward: x}]\n";

	(void)state;
	assert_int_equal(
	    config_load_from_memory(text, strlen(text), "t", &cfg, &errors),
	    ERR_INVAL);
	assert_non_null(strstr(errors.errors[0].text,
			       "no device that it is for can arrive"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_first_route_that_fits_is_taken),
	    cmocka_unit_test(no_route_and_no_service_resolve_to_nothing),
	    cmocka_unit_test(a_shadowed_route_is_an_error),
	    cmocka_unit_test(an_unreachable_route_is_an_error),
	    cmocka_unit_test(narrower_routes_before_wider_ones_are_fine),
	    cmocka_unit_test(services_are_shadowed_one_by_one),
	    cmocka_unit_test(
		a_route_for_other_titles_than_the_device_calls_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
