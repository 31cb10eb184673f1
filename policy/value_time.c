/* Days of the week and hours of the day. */
#include "policy/value.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "policy/zone.h"
#include "proxy/lib/mem.h"

static const char names[7][4] = {"mon", "tue", "wed", "thu",
				 "fri", "sat", "sun"};

enum { HOURS_LEN = 11 }; /* "07:00-19:00" */

/* Three letters; -1 for no day. */
static int day_of(const char *text)
{
	for (int i = 0; i < (int)ARRAY_LEN(names); i++)
		if (strncmp(text, names[i], 3) == 0)
			return i;
	return -1;
}

bool value_days(const char *text, uint8_t *out)
{
	int first = day_of(text), last = first;
	unsigned days = 0;

	if (first < 0)
		return false;
	text += 3;
	if (*text == '-') {
		last = day_of(text + 1);
		if (last < 0)
			return false;
		text += 4;
	}
	if (*text != '\0')
		return false;
	for (int i = first;; i = (i + 1) % 7) {
		days |= 1u << i;
		if (i == last)
			break;
	}
	*out = (uint8_t)days;
	return true;
}

char *value_days_text(uint8_t days, char out[VALUE_TEXT_LEN])
{
	const char *before = "[";
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if ((days & 1u << i) == 0)
			continue;
		n += (size_t)snprintf(out + n, VALUE_TEXT_LEN - n, "%s%s",
				      before, names[i]);
		before = ", ";
	}
	snprintf(out + n, VALUE_TEXT_LEN - n, "]");
	return out;
}

/* "07:00" at text[0..5). */
static bool minutes_of(const char *text, uint16_t *out)
{
	int h, m;

	if (!isdigit((unsigned char)text[0]) ||
	    !isdigit((unsigned char)text[1]) || text[2] != ':' ||
	    !isdigit((unsigned char)text[3]) ||
	    !isdigit((unsigned char)text[4]))
		return false;
	h = (text[0] - '0') * 10 + text[1] - '0';
	m = (text[3] - '0') * 10 + text[4] - '0';
	*out = (uint16_t)(h * 60 + m);
	return m < 60 && *out <= 24 * 60;
}

bool value_hours(const char *text, uint16_t *from, uint16_t *to)
{
	uint16_t a, b;

	if (strlen(text) != HOURS_LEN || text[5] != '-' ||
	    !minutes_of(text, &a) || !minutes_of(text + 6, &b) ||
	    a == 24 * 60 || a == b)
		return false;
	*from = a;
	*to = b;
	return true;
}

char *value_hours_text(uint16_t from, uint16_t to, char out[VALUE_TEXT_LEN])
{
	snprintf(out, VALUE_TEXT_LEN, "%02u:%02u-%02u:%02u", from / 60u,
		 from % 60u, to / 60u, to % 60u);
	return out;
}

bool value_zone(const char *text)
{
	return zone_name_ok(text);
}
