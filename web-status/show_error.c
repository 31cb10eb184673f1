/* Errors in words, taken apart. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/condition.h"
#include "web-status/show.h"

/* Up to n bytes, and not half of a character at the end. */
static void copy(char out[ERROR_PART_LEN], const char *s, size_t n)
{
	if (n >= ERROR_PART_LEN) {
		n = ERROR_PART_LEN - 1;
		while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(out, s, n);
	out[n] = '\0';
}

/* "cause; remedy" */
static void split_plain(const char *text, struct error_parts *out)
{
	const char *at = strstr(text, "; ");

	copy(out->cause, text, at != NULL ? (size_t)(at - text) : strlen(text));
	if (at != NULL)
		copy(out->remedy, at + 2, strlen(at + 2));
}

/* What stands behind the catalogue's own words: " [A700] (detail)". */
static const char *detail_of(const char *cause, const struct condition *c)
{
	size_t n = strlen(c->cause[CONDITION_EN]);

	return strncmp(cause, c->cause[CONDITION_EN], n) == 0 ? cause + n : "";
}

static void split_known(const char *text, const struct condition *c,
			enum condition_language l, struct error_parts *out)
{
	const char *remedy = c->remedy[CONDITION_EN];
	const char *at = remedy[0] != '\0' ? strstr(text, remedy) : NULL;
	const char *code = strstr(text, " [CV");
	size_t n = strlen(text);
	char cause[ERROR_PART_LEN], local[2 * ERROR_PART_LEN];

	if (at != NULL && at - text >= 2)
		n = (size_t)(at - text) - 2; /* ": " */
	else if (code != NULL)
		n = (size_t)(code - text);
	copy(cause, text, n);
	snprintf(local, sizeof(local), "%s%s", c->cause[l],
		 detail_of(cause, c));
	if (l == CONDITION_EN)
		copy(out->cause, cause, strlen(cause));
	else
		copy(out->cause, local, strlen(local));
	copy(out->remedy, c->remedy[l], strlen(c->remedy[l]));
	out->code = c->code;
}

void error_split(const struct page *p, const char *text,
		 struct error_parts *out)
{
	const struct condition *c = condition_in_text(text);

	*out = (struct error_parts){.code = ""};
	if (c == NULL)
		split_plain(text, out);
	else
		split_known(text, c,
			    p->language == WEB_ZH ? CONDITION_ZH : CONDITION_EN,
			    out);
}

void show_error(const struct page *p, const char *text)
{
	struct error_parts e;

	error_split(p, text, &e);
	out_printf(p->o, "<span class=\"under err\">%s</span>", e.cause);
	if (e.remedy[0] == '\0' && e.code[0] == '\0')
		return;
	out_raw(p->o, "<span class=\"under\">");
	if (e.remedy[0] != '\0')
		out_printf(p->o, "→ %s ", e.remedy);
	out_printf(p->o, "<span class=\"mono\">%s</span></span>", e.code);
}
