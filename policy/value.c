#include "policy/value.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proxy/lib/mem.h"

enum {
	VALUE_DIGITS_MAX = 18,          /* 10^18 fits a uint64_t */
	RATE_PER_MAX = 24 * 3600 * 1000 /* ms; keeps limit_bucket in 64 bits */
};

struct unit {
	const char *name;
	uint64_t factor;
};

/* Longest factor last: the *_text functions search from the end. */
static const struct unit sizes[] = {
    {"", 1},
    {"B", 1},
    {"KB", 1000},
    {"kB", 1000},
    {"KiB", 1ull << 10},
    {"MB", 1000000},
    {"MiB", 1ull << 20},
    {"GB", 1000000000},
    {"GiB", 1ull << 30},
    {"TB", 1000000000000},
    {"TiB", 1ull << 40},
};

static const struct unit durations[] = {
    {"ms", 1},
    {"s", 1000},
    {"min", 60 * 1000},
    {"m", 60 * 1000},
    {"h", 3600 * 1000},
    {"d", 24ull * 3600 * 1000},
    {"w", 7 * 24ull * 3600 * 1000},
    {"y", 365 * 24ull * 3600 * 1000},
};

static const struct unit bandwidths[] = {
    {"bit", 1},
    {"kbit", 1000},
    {"Mbit", 1000000},
    {"Gbit", 1000000000},
};

/* Digits at the front of *text, which moves behind them. */
static bool take_digits(const char **text, uint64_t *out)
{
	const char *p = *text;
	uint64_t v = 0;
	size_t n = 0;

	for (; isdigit((unsigned char)*p); p++) {
		if (++n > VALUE_DIGITS_MAX)
			return false;
		v = v * 10 + (uint64_t)(*p - '0');
	}
	if (n == 0)
		return false;
	*text = p;
	*out = v;
	return true;
}

static bool with_unit(const char *text, const struct unit *units, size_t n,
		      uint64_t *out)
{
	uint64_t v;

	if (!take_digits(&text, &v))
		return false;
	if (*text == ' ')
		text++;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(text, units[i].name) != 0)
			continue;
		if (v > UINT64_MAX / units[i].factor)
			return false;
		*out = v * units[i].factor;
		return true;
	}
	return false;
}

bool value_number(const char *text, uint64_t *out)
{
	uint64_t v;

	if (!take_digits(&text, &v) || *text != '\0')
		return false;
	*out = v;
	return true;
}

bool value_percent(const char *text, uint64_t *out)
{
	uint64_t v;

	if (!take_digits(&text, &v))
		return false;
	if (*text == '%')
		text++;
	if (*text != '\0' || v > 100)
		return false;
	*out = v;
	return true;
}

bool value_size(const char *text, uint64_t *out)
{
	return with_unit(text, sizes, ARRAY_LEN(sizes), out);
}

bool value_duration(const char *text, uint64_t *out)
{
	if (strcmp(text, "0") == 0) {
		*out = 0;
		return true;
	}
	return with_unit(text, durations, ARRAY_LEN(durations), out);
}

bool value_bandwidth(const char *text, uint64_t *out)
{
	uint64_t v;

	if (strcmp(text, "none") == 0) {
		*out = 0;
		return true;
	}
	if (!with_unit(text, bandwidths, ARRAY_LEN(bandwidths), &v) || v == 0)
		return false;
	*out = v;
	return true;
}

/* What stands after the slash: a duration whose number may be left out. */
static bool take_per(const char *text, uint64_t *out)
{
	char padded[VALUE_TEXT_LEN];

	if (isdigit((unsigned char)text[0]))
		return value_duration(text, out) && *out > 0;
	if (strlen(text) + 2 > sizeof(padded))
		return false;
	snprintf(padded, sizeof(padded), "1%s", text);
	return value_duration(padded, out);
}

bool value_rate(const char *text, struct config_rate *out)
{
	uint64_t n, per;

	if (!take_digits(&text, &n) || n == 0 || n > UINT32_MAX)
		return false;
	if (*text != '/' || !take_per(text + 1, &per))
		return false;
	if (per > RATE_PER_MAX)
		return false;
	out->n = (uint32_t)n;
	out->per_ms = per;
	return true;
}

bool value_name(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n < CONFIG_NAME_LEN && text[n] == '\0';
}

bool value_ae(const char *text, char out[CONFIG_AE_LEN])
{
	size_t len;

	while (*text == ' ')
		text++;
	len = strlen(text);
	while (len > 0 && text[len - 1] == ' ')
		len--;
	if (len == 0 || len >= CONFIG_AE_LEN)
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] > 0x7e || text[i] == '\\')
			return false;
	memset(out, 0, CONFIG_AE_LEN);
	memcpy(out, text, len);
	return true;
}

bool value_uid(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len >= CONFIG_UID_LEN || text[len - 1] == '.')
		return false;
	if (text[strspn(text, "0123456789.")] != '\0')
		return false;
	for (size_t i = 0; i < len; i++) {
		bool first = i == 0 || text[i - 1] == '.';

		if (first && text[i] == '.')
			return false;
		if (first && text[i] == '0' && text[i + 1] != '.' &&
		    text[i + 1] != '\0')
			return false;
	}
	return true;
}

bool value_fingerprint(const char *text, char out[CONFIG_FINGERPRINT_LEN])
{
	char hex[CONFIG_FINGERPRINT_LEN] = "";
	size_t n = 0;

	if (strncasecmp(text, "sha256:", 7) == 0)
		text += 7;
	for (; *text != '\0'; text++) {
		if (*text == ':' && n > 0 && n % 2 == 0 && text[1] != '\0' &&
		    text[-1] != ':')
			continue;
		if (!isxdigit((unsigned char)*text) ||
		    n + 1 == CONFIG_FINGERPRINT_LEN)
			return false;
		hex[n++] = (char)tolower((unsigned char)*text);
	}
	if (n + 1 != CONFIG_FINGERPRINT_LEN)
		return false;
	memcpy(out, hex, sizeof(hex));
	return true;
}

static char *unit_text(uint64_t v, const struct unit *units, size_t n,
		       char out[VALUE_TEXT_LEN])
{
	const struct unit *best = &units[0];

	for (size_t i = 0; v > 0 && i < n; i++)
		if (units[i].factor >= best->factor &&
		    v % units[i].factor == 0 && units[i].factor > 1)
			best = &units[i];
	snprintf(out, VALUE_TEXT_LEN, "%llu%s",
		 (unsigned long long)(v / best->factor), best->name);
	return out;
}

char *value_size_text(uint64_t bytes, char out[VALUE_TEXT_LEN])
{
	return unit_text(bytes, sizes, ARRAY_LEN(sizes), out);
}

char *value_duration_text(uint64_t ms, char out[VALUE_TEXT_LEN])
{
	return unit_text(ms, durations, ARRAY_LEN(durations), out);
}

char *value_bandwidth_text(uint64_t bits, char out[VALUE_TEXT_LEN])
{
	if (bits > 0)
		return unit_text(bits, bandwidths, ARRAY_LEN(bandwidths), out);
	snprintf(out, VALUE_TEXT_LEN, "none");
	return out;
}

char *value_rate_text(struct config_rate rate, char out[VALUE_TEXT_LEN])
{
	char per[VALUE_TEXT_LEN];
	const char *unit = value_duration_text(rate.per_ms, per);

	if (unit[0] == '1' && !isdigit((unsigned char)unit[1]))
		unit++;
	snprintf(out, VALUE_TEXT_LEN, "%u/%.40s", rate.n, unit);
	return out;
}
