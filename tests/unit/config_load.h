/* config_load.h - configurations from text, that must load or must not. */
#ifndef TESTS_UNIT_CONFIG_LOAD_H
#define TESTS_UNIT_CONFIG_LOAD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"

#define LISTENER                                                               \
	"listeners: {in: {address: 0.0.0.0:104, protocol: dicom, "             \
	"ae_titles: A}}\n"
#define DEVICE      "devices: {ct: {ae_title: CT, address: 10.0.0.1}}\n"
#define DESTINATION "destinations: {files: {protocol: directory, path: out}}\n"
#define ROUTE       "routes: [{forward: files}]\n"
#define ALL         LISTENER DEVICE DESTINATION ROUTE

static struct config_errors errors;

static inline struct config *good(const char *text)
{
	struct config *cfg = NULL;

	if (config_load_from_memory(text, strlen(text), "dir/test.yaml", &cfg,
				    &errors) != ERR_OK)
		config_errors_print(&errors, stderr);
	assert_non_null(cfg);
	return cfg;
}

static inline void bad_bytes(const char *text, size_t len, const char *why)
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

static inline void bad(const char *text, const char *why)
{
	bad_bytes(text, strlen(text), why);
}

/* The first error is at line:column. */
static inline void bad_at(const char *text, int line, int column,
			  const char *why)
{
	bad(text, why);
	assert_non_null(strstr(errors.errors[0].text, why));
	assert_int_equal(errors.errors[0].at.line, line);
	assert_int_equal(errors.errors[0].at.column, column);
}

static inline void warned(const char *text, const char *why)
{
	config_free(good(text));
	for (size_t i = 0; i < errors.n_warnings; i++)
		if (strstr(errors.warnings[i].text, why) != NULL)
			return;
	config_errors_print(&errors, stderr);
	fail_msg("no warning says: %s", why);
}

#endif
