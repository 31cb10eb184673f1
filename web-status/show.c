/* Words, values and JSON; tables are in show_table.c. */
#include "web-status/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"

struct page page_of(struct web_request *r, struct web_out *o)
{
	return (struct page){.r = r,
			     .o = o,
			     .config = web_config(r),
			     .language = web_language(r),
			     .now_ms = clock_wall_ms()};
}

/* ---- words ----------------------------------------------------------------
 */

const char *word_of(const struct page *p, enum word w)
{
	return word_text(w, p->language);
}

void say(const struct page *p, enum word w)
{
	out_text(p->o, word_of(p, w));
}

/* The number of the place that begins at s ("{1}"), or 0. */
static unsigned place_at(const char *s)
{
	return s[0] == '{' && s[1] >= '1' && s[1] <= '4' && s[2] == '}'
		   ? (unsigned)(s[1] - '0')
		   : 0;
}

/* The i-th of a list, counted from 1; "" behind its end. */
static const char *nth(const char *const *texts, unsigned i)
{
	for (unsigned k = 0; texts[k] != NULL; k++)
		if (k + 1 == i)
			return texts[k];
	return "";
}

void say_list(const struct page *p, enum word w, const char *const *texts)
{
	const char *s = word_of(p, w), *from = s;

	for (; *s != '\0'; s++) {
		if (place_at(s) == 0)
			continue;
		out_text_n(p->o, from, (size_t)(s - from));
		out_text(p->o, nth(texts, place_at(s)));
		s += 2;
		from = s + 1;
	}
	out_text(p->o, from);
}

void say_time(const struct page *p, enum word w, int64_t wall_ms)
{
	const char *s = word_of(p, w), *at = strstr(s, "{1}");

	if (at == NULL) {
		out_text(p->o, s);
		return;
	}
	out_text_n(p->o, s, (size_t)(at - s));
	show_time(p, wall_ms);
	out_text(p->o, at + 3);
}

/* Append n bytes of s where they fit, whole. */
static void put(char *out, size_t size, size_t *len, const char *s, size_t n)
{
	if (n >= size - *len)
		return;
	memcpy(out + *len, s, n);
	*len += n;
}

char *word_with(const struct page *p, enum word w, const char *const *texts,
		char *out, size_t size)
{
	const char *s = word_of(p, w);
	size_t len = 0;

	while (*s != '\0') {
		const char *text = nth(texts, place_at(s));

		if (place_at(s) != 0) {
			put(out, size, &len, text, strlen(text));
			s += 3;
		} else {
			put(out, size, &len, s++, 1);
		}
	}
	out[len] = '\0';
	return out;
}

/* ---- values ---------------------------------------------------------------
 */

char *count_text(uint64_t n, char out[SHOW_LEN])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	size_t at = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

/* n in thousands of thousands, with a unit behind. */
static char *scaled(uint64_t n, const char *const *units, size_t n_units,
		    char out[SHOW_LEN])
{
	double v = (double)n;
	size_t i = 0;

	while (v >= 999.5 && i + 1 < n_units) {
		v /= 1000;
		i++;
	}
	snprintf(out, SHOW_LEN, i == 0 || v >= 99.95 ? "%.0f %s" : "%.1f %s", v,
		 units[i]);
	return out;
}

char *bytes_text(uint64_t n, char out[SHOW_LEN])
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};

	return scaled(n, units, ARRAY_LEN(units), out);
}

char *rate_text(uint64_t bits, char out[SHOW_LEN])
{
	static const char *const units[] = {"bit/s", "kbit/s", "Mbit/s",
					    "Gbit/s", "Tbit/s"};

	return scaled(bits, units, ARRAY_LEN(units), out);
}

char *span_text(const struct page *p, int64_t ms, char out[SHOW_LEN])
{
	int64_t s = ms > 0 ? ms / 1000 : 0;
	char one[24], two[24] = "";
	enum word w = W_SECONDS;
	int64_t a = s, b = 0;

	if (s >= 2 * 86400) {
		w = W_DAYS;
		a = s / 86400;
		b = s / 3600 % 24;
	} else if (s >= 3600) {
		w = W_HOURS;
		a = s / 3600;
		b = s / 60 % 60;
	} else if (s >= 120) {
		w = W_MINUTES;
		a = s / 60;
	}
	snprintf(one, sizeof(one), "%" PRId64, a);
	snprintf(two, sizeof(two), "%" PRId64, b);
	return word_with(p, w, (const char *const[]){one, two, NULL}, out,
			 SHOW_LEN);
}

void show_count(const struct page *p, uint64_t n)
{
	char text[SHOW_LEN];

	out_text(p->o, count_text(n, text));
}

void show_bytes(const struct page *p, uint64_t n)
{
	char text[SHOW_LEN];

	out_text(p->o, bytes_text(n, text));
}

void show_span(const struct page *p, int64_t ms)
{
	char text[SHOW_LEN];

	out_text(p->o, span_text(p, ms, text));
}

void show_time(const struct page *p, int64_t wall_ms)
{
	time_t s = (time_t)(wall_ms / 1000);
	char stamp[SHOW_LEN], text[SHOW_LEN];
	struct tm tm;

	if (wall_ms <= 0 || gmtime_r(&s, &tm) == NULL) {
		say(p, W_NEVER);
		return;
	}
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	out_printf(p->o, "<time datetime=\"%s\">%s <small>UTC</small></time>",
		   stamp, text);
}

void show_gauge(const struct page *p, unsigned percent, const char *level)
{
	unsigned v = percent > 100 ? 100 : percent;

	out_printf(p->o,
		   "<svg class=\"gauge\" viewBox=\"0 0 100 8\" "
		   "preserveAspectRatio=\"none\" aria-hidden=\"true\">"
		   "<rect class=\"whole\" width=\"100\" height=\"8\"/>"
		   "<rect class=\"part %s\" width=\"%u\" height=\"8\"/></svg>",
		   level, v);
}

const char *level_text(enum level l)
{
	switch (l) {
	case LEVEL_OK:
		return "ok";
	case LEVEL_IDLE:
		return "idle";
	case LEVEL_WARN:
		return "warn";
	case LEVEL_BAD:
		return "bad";
	}
	return "idle";
}

void show_mark(const struct page *p, enum level l, enum word w)
{
	out_printf(p->o, "<span class=\"mark %s\">%s</span>", level_text(l),
		   word_of(p, w));
}

/* ---- JSON -----------------------------------------------------------------
 */

const char *json_text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "";
}

int64_t json_number_of(const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);

	if (json_is_integer(v))
		return (int64_t)json_integer_value(v);
	return json_is_real(v) ? (int64_t)json_real_value(v) : 0;
}

bool json_true_of(const json_t *j, const char *key)
{
	return json_is_true(json_object_get(j, key));
}

const json_t *json_find(const json_t *array, const char *name_key,
			const char *name)
{
	const json_t *e;
	size_t i;

	json_array_foreach(array, i, e)
	{
		if (strcmp(json_text_of(e, name_key), name) == 0)
			return e;
	}
	return NULL;
}
