/* The rule of a zone: its text, and its two moments of every year. */
#include "policy/zone_rule.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { DAY_S = 24 * 3600, RULE_LEN = 128, HOURS_MAX = 167 };

/* Seconds since the epoch of the years that are looked at: 0001 to 9999. */
#define FIRST_S (-62135596800ll)
#define LAST_S  253402300799ll

/* ---- text -------------------------------------------------------------- */

/* "CET" or "<+1030>": its end, or NULL. */
static const char *skip_name(const char *p)
{
	size_t n;

	if (*p == '<') {
		n = strspn(p + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789+-");
		return n > 0 && p[1 + n] == '>' ? p + n + 2 : NULL;
	}
	for (n = 0; isalpha((unsigned char)p[n]); n++)
		;
	return n >= 3 ? p + n : NULL;
}

/* Digits up to a greatest value. */
static const char *take_number(const char *p, int32_t most, int32_t *out)
{
	int32_t v = 0;

	if (!isdigit((unsigned char)*p))
		return NULL;
	for (; isdigit((unsigned char)*p); p++) {
		v = v * 10 + (*p - '0');
		if (v > most)
			return NULL;
	}
	*out = v;
	return p;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static const char *take_time(const char *p, int32_t *out)
{
	int32_t sign = *p == '-' ? -1 : 1, part, total;

	if (*p == '-' || *p == '+')
		p++;
	p = take_number(p, HOURS_MAX, &part);
	if (p == NULL)
		return NULL;
	total = part * 3600;
	for (int32_t unit = 60; unit > 0 && *p == ':'; unit /= 60) {
		p = take_number(p + 1, 59, &part);
		if (p == NULL)
			return NULL;
		total += part * unit;
	}
	*out = sign * total;
	return p;
}

static const char *take_month_day(const char *p, struct zone_day *d)
{
	int32_t month, week, weekday;

	p = take_number(p, 12, &month);
	if (p == NULL || *p != '.')
		return NULL;
	p = take_number(p + 1, 5, &week);
	if (p == NULL || *p != '.')
		return NULL;
	p = take_number(p + 1, 6, &weekday);
	if (p == NULL || month < 1 || week < 1)
		return NULL;
	d->kind = 'M';
	d->month = (uint8_t)month;
	d->week = (uint8_t)week;
	d->weekday = (uint8_t)weekday;
	return p;
}

/* ,date[/time] */
static const char *take_day(const char *p, struct zone_day *d)
{
	int32_t day;

	memset(d, 0, sizeof(*d));
	d->time = 2 * 3600;
	if (*p++ != ',')
		return NULL;
	if (*p == 'M') {
		p = take_month_day(p + 1, d);
	} else {
		d->kind = *p == 'J' ? 'J' : 'n';
		p = take_number(*p == 'J' ? p + 1 : p, 365, &day);
		if (p == NULL || (d->kind == 'J' && day < 1))
			return NULL;
		d->day = (uint16_t)day;
	}
	if (p != NULL && *p == '/')
		p = take_time(p + 1, &d->time);
	return p;
}

/* What follows the standard time. */
static const char *take_daylight(const char *p, struct zone_rule *r)
{
	r->has_daylight = true;
	r->daylight = r->standard + 3600;
	p = skip_name(p);
	if (p != NULL && *p != ',') {
		p = take_time(p, &r->daylight);
		r->daylight = -r->daylight;
	}
	if (p != NULL)
		p = take_day(p, &r->begin);
	if (p != NULL)
		p = take_day(p, &r->end);
	return p;
}

bool zone_rule_parse(const char *text, size_t len, struct zone_rule *out)
{
	struct zone_rule r = {.has_daylight = false};
	char copy[RULE_LEN];
	const char *p;

	if (len >= sizeof(copy) || memchr(text, '\0', len) != NULL)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	p = skip_name(copy);
	if (p != NULL)
		p = take_time(p, &r.standard);
	if (p == NULL)
		return false;
	r.standard = -r.standard; /* POSIX counts westwards */
	if (*p != '\0')
		p = take_daylight(p, &r);
	if (p == NULL || *p != '\0')
		return false;
	*out = r;
	return true;
}

/* ---- the calendar ------------------------------------------------------ */

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to 1 January of a year from 1 on. */
static int64_t days_to_year(int64_t year)
{
	int64_t y = year - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 - 719162;
}

static int64_t year_of(int64_t t)
{
	int64_t days = (t - FIRST_S) / DAY_S; /* since 0001-01-01 */
	int64_t year = days * 400 / 146097 + 1;

	while (days_to_year(year) * DAY_S > t)
		year--;
	while (days_to_year(year + 1) * DAY_S <= t)
		year++;
	return year;
}

static int days_of_month(int64_t year, int month)
{
	static const int8_t days[] = {31, 28, 31, 30, 31, 30,
				      31, 31, 30, 31, 30, 31};

	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Day of the year, from 0. */
static int64_t day_of_year(const struct zone_day *d, int64_t year)
{
	int64_t first = 0, weekday, day;

	if (d->kind == 'n')
		return d->day;
	if (d->kind == 'J')
		return d->day - 1 + (is_leap(year) && d->day >= 60 ? 1 : 0);
	for (int m = 1; m < d->month; m++)
		first += days_of_month(year, m);
	/* 1970-01-01 was a Thursday; 7 * 200000 makes it positive */
	weekday = (days_to_year(year) + first + 4 + 7 * 200000ll) % 7;
	day = (d->weekday - weekday + 7) % 7 + 7 * (d->week - 1);
	while (day >= days_of_month(year, d->month))
		day -= 7;
	return first + day;
}

/* When that day comes in a year, given the offset that holds until then. */
static int64_t moment(const struct zone_day *d, int64_t year, int32_t offset)
{
	return (days_to_year(year) + day_of_year(d, year)) * DAY_S + d->time -
	       offset;
}

/* ---- asking ------------------------------------------------------------ */

int32_t zone_rule_offset(const struct zone_rule *r, int64_t t)
{
	int64_t year, begin, end;
	bool on;

	if (!r->has_daylight || t < FIRST_S || t > LAST_S)
		return r->standard;
	/* the local year: rules are about days near the turn of it, too */
	year = year_of(t + r->standard < FIRST_S ? t : t + r->standard);
	begin = moment(&r->begin, year, r->standard);
	end = moment(&r->end, year, r->daylight);
	if (begin < end)
		on = t >= begin && t < end;
	else
		on = t >= begin || t < end;
	return on ? r->daylight : r->standard;
}

int64_t zone_rule_next(const struct zone_rule *r, int64_t t)
{
	int64_t best = INT64_MAX, year;

	if (!r->has_daylight || t < FIRST_S || t > LAST_S)
		return INT64_MAX;
	year = year_of(t);
	for (int64_t y = year > 1 ? year - 1 : 1; y <= year + 1; y++) {
		int64_t begin = moment(&r->begin, y, r->standard);
		int64_t end = moment(&r->end, y, r->daylight);

		if (begin > t && begin < best)
			best = begin;
		if (end > t && end < best)
			best = end;
	}
	return best;
}
