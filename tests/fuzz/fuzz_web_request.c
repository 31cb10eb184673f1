/* What a browser sends, and the file of users. The first byte says which. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "web-status/page.h"
#include "web-status/parse.h"
#include "web-status/users.h"
#include "web-status/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What is let through is UTF-8 without control characters. */
static void assert_clean(const char *text)
{
	assert(utf8_valid(text, strlen(text)));
	for (; *text != '\0'; text++)
		assert((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void fuzz_path(const char *text)
{
	char out[WEB_PATH_MAX];

	if (!parse_path(text, out, sizeof(out)))
		return;
	assert_clean(out);
	assert(out[0] == '/' && strstr(out, "//") == NULL);
	assert(strstr(out, "/../") == NULL && strchr(out, '\\') == NULL);
}

static void fuzz_query(const char *text)
{
	char out[64], small[3];

	if (parse_query(text, "a", out, sizeof(out)))
		assert_clean(out);
	if (parse_query(text, "a", small, sizeof(small)))
		assert(strlen(small) < sizeof(small));
	if (parse_cookie(text, "a", out, sizeof(out)))
		assert_clean(out);
	(void)parse_language(text);
	(void)parse_etag_match(text, "\"a\"");
}

static void fuzz_host(const char *text)
{
	char out[PARSE_HOST_LEN];
	uint16_t port;

	if (parse_host(text, out, sizeof(out), &port))
		assert_clean(out);
	(void)parse_same_origin(text, "a:1", true);
	if (parse_is_local(text)) {
		assert_clean(text);
		assert(text[0] == '/' && text[1] != '/');
	}
}

static void fuzz_users(const char *text, size_t n)
{
	char why[USERS_WHY_LEN], *edited;
	struct users *u = NULL, *again = NULL;
	struct user who;

	if (users_parse(text, n, &u, why) != ERR_OK)
		return;
	(void)users_by_name(u, "a", &who);
	(void)users_by_certificate(u, "a", "a", &who);
	if (strlen(text) == n) {
		/* what is right stays right without a name */
		edited = users_edit(text, "a", NULL, NULL);
		assert(edited == NULL || users_parse(edited, strlen(edited),
						     &again, why) == ERR_OK);
		mem_free(edited);
	}
	users_free(again);
	users_free(u);
}

static void fuzz_out(const char *text)
{
	struct web_out *o = out_new(64 * 1024);

	assert(o != NULL);
	out_text(o, text);
	assert(out_failed(o) || utf8_valid(out_data(o), out_len(o)));
	assert(memchr(out_data(o), '<', out_len(o)) == NULL);
	out_json_string(o, text);
	assert(memchr(out_data(o), '<', out_len(o)) == NULL);
	out_url(o, text);
	out_free(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text;

	if (n < 1)
		return 0;
	text = malloc(n);
	assert(text != NULL);
	memcpy(text, data + 1, n - 1);
	text[n - 1] = '\0';
	if (data[0] % 5 == 0)
		fuzz_path(text);
	else if (data[0] % 5 == 1)
		fuzz_query(text);
	else if (data[0] % 5 == 2)
		fuzz_host(text);
	else if (data[0] % 5 == 3)
		fuzz_users(text, n - 1);
	else
		fuzz_out(text);
	free(text);
	return 0;
}
