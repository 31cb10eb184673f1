/* Time zones, weekly timetables, and their configuration. The zones are those
 * of the machine's time zone database. */
#include "tests/unit/config_load.h"

#include <stdlib.h>
#include <time.h>

#include "policy/timetable.h"
#include "policy/value.h"
#include "policy/zone.h"
#include "policy/zone_rule.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 24 * HOUR };

enum { MON = 1, TUE = 2, SAT = 32, SUN = 64, WORKDAYS = 31, EVERY = 127 };

static int64_t utc(int y, int mo, int d, int h, int mi)
{
	struct tm tm = {.tm_year = y - 1900,
			.tm_mon = mo - 1,
			.tm_mday = d,
			.tm_hour = h,
			.tm_min = mi};

	return timegm(&tm);
}

static struct zone *zone(const char *name)
{
	struct zone *z = NULL;

	assert_int_equal(zone_load(name, &z), ERR_OK);
	return z;
}

static struct config_shape shape(uint64_t limit, struct config_hours *hours,
				 size_t n)
{
	return (struct config_shape){.limit = limit, .timetable = {n, hours}};
}

/* ---- zones ------------------------------------------------------------- */

static void berlin_has_daylight_saving(void **state)
{
	struct zone *z = zone("Europe/Berlin");
	int64_t begin = utc(2026, 3, 29, 1, 0), end = utc(2026, 10, 25, 1, 0);

	(void)state;
	assert_int_equal(zone_offset(z, begin - 1), HOUR);
	assert_int_equal(zone_offset(z, begin), 2 * HOUR);
	assert_int_equal(zone_offset(z, end - 1), 2 * HOUR);
	assert_int_equal(zone_offset(z, end), HOUR);
	assert_int_equal(zone_next(z, begin - 1), begin);
	assert_int_equal(zone_next(z, begin), end);
	zone_free(z);
}

static void a_rule_holds_after_the_last_transition(void **state)
{
	struct zone *z = zone("Europe/Berlin"), *lh, *ny;
	int64_t begin = utc(2101, 3, 27, 1, 0), end = utc(2101, 10, 30, 1, 0);

	(void)state;
	assert_int_equal(zone_offset(z, begin - 1), HOUR);
	assert_int_equal(zone_offset(z, begin), 2 * HOUR);
	assert_int_equal(zone_offset(z, end), HOUR);
	assert_int_equal(zone_next(z, begin), end);
	zone_free(z);
	/* half an hour, and the summer is that of the south */
	lh = zone("Australia/Lord_Howe");
	assert_int_equal(zone_offset(lh, utc(2101, 1, 1, 0, 0)), 11 * HOUR);
	assert_int_equal(zone_offset(lh, utc(2101, 7, 1, 0, 0)),
			 10 * HOUR + 30 * MINUTE);
	assert_int_equal(zone_next(lh, utc(2101, 1, 1, 0, 0)),
			 utc(2101, 4, 2, 15, 0));
	zone_free(lh);
	ny = zone("America/New_York");
	assert_int_equal(zone_offset(ny, utc(2101, 3, 13, 7, 0) - 1),
			 -5 * HOUR);
	assert_int_equal(zone_offset(ny, utc(2101, 3, 13, 7, 0)), -4 * HOUR);
	zone_free(ny);
}

/* For every zone of interest, ours is the offset that libc has. */
static void offsets_are_those_of_libc(void **state)
{
	static const char *const names[] = {
	    "Europe/Berlin",       "America/New_York",
	    "Australia/Lord_Howe", "UTC",
	    "Asia/Kathmandu",      "Africa/Casablanca",
	    "America/St_Johns",    "Pacific/Chatham",
	    "Europe/Dublin",       "America/Nuuk",
	    "Antarctica/Troll",    "Asia/Gaza"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct zone *z = zone(names[i]);

		assert_int_equal(setenv("TZ", names[i], 1), 0);
		tzset();
		for (int64_t t = utc(1950, 1, 1, 0, 0);
		     t < utc(2130, 1, 1, 0, 0); t += 25 * HOUR + 1717) {
			time_t at = (time_t)t;
			struct tm tm;

			assert_non_null(localtime_r(&at, &tm));
			if (tm.tm_gmtoff != zone_offset(z, t))
				fail_msg("%s at %lld: %ld, not %d", names[i],
					 (long long)t, tm.tm_gmtoff,
					 zone_offset(z, t));
		}
		zone_free(z);
	}
	(void)unsetenv("TZ");
	tzset();
}

static void every_change_of_offset_is_announced(void **state)
{
	static const char *const names[] = {"Europe/Berlin", "America/New_York",
					    "Australia/Lord_Howe", "Asia/Gaza"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct zone *z = zone(names[i]);
		int64_t t = utc(2020, 1, 1, 0, 0), next = zone_next(z, t);

		for (; t < utc(2110, 1, 1, 0, 0); t += HOUR / 2) {
			if (t >= next) {
				assert_true(zone_next(z, t) > t);
				next = zone_next(z, t);
			} else if (zone_offset(z, t) !=
				   zone_offset(z, next - 1)) {
				fail_msg("%s at %lld", names[i], (long long)t);
			}
		}
		zone_free(z);
	}
}

static void names_that_are_none_are_not_looked_up(void **state)
{
	struct zone *z;

	(void)state;
	assert_false(zone_name_ok("../../etc/passwd"));
	assert_false(zone_name_ok("/etc/localtime"));
	assert_false(zone_name_ok("Europe/"));
	assert_false(zone_name_ok(""));
	assert_true(zone_name_ok("America/Argentina/Buenos_Aires"));
	assert_true(zone_name_ok("Etc/GMT+5"));
	assert_int_equal(zone_load("../etc/passwd", &z), ERR_NOTFOUND);
	assert_int_equal(zone_load("Europe/Atlantis", &z), ERR_NOTFOUND);
	assert_int_equal(zone_load("Europe", &z), ERR_IO);
	assert_int_equal(zone_load("tzdata.zi", &z), ERR_NOTFOUND);
	assert_int_equal(zone_load("leapseconds", &z), ERR_INVAL);
	z = zone(""); /* this machine's, whatever it is */
	(void)zone_offset(z, 0);
	zone_free(z);
	assert_int_equal(zone_offset(NULL, 0), 0);
	assert_int_equal(zone_next(NULL, 0), INT64_MAX);
}

static void a_file_that_is_cut_or_damaged_does_no_harm(void **state)
{
	uint8_t bytes[8192], copy[8192];
	FILE *f = fopen(ZONE_DIRECTORY "/Europe/Berlin", "rb");
	struct zone *z;
	size_t len;

	(void)state;
	assert_non_null(f);
	len = fread(bytes, 1, sizeof(bytes), f);
	(void)fclose(f);
	assert_int_equal(zone_parse(bytes, len, &z), ERR_OK);
	zone_free(z);
	for (size_t n = 0; n < len; n++) {
		uint8_t *exact = malloc(n > 0 ? n : 1);

		assert_non_null(exact);
		memcpy(exact, bytes, n);
		assert_int_equal(zone_parse(exact, n, &z), ERR_INVAL);
		free(exact);
	}
	for (size_t i = 0; i < len * 8; i++) {
		memcpy(copy, bytes, len);
		copy[i / 8] = (uint8_t)(copy[i / 8] ^ 1u << i % 8);
		if (zone_parse(copy, len, &z) != ERR_OK)
			continue;
		(void)zone_offset(z, utc(2026, 7, 1, 0, 0));
		(void)zone_next(z, utc(2100, 7, 1, 0, 0));
		zone_free(z);
	}
}

static void rules_have_a_grammar(void **state)
{
	static const char *const no[] = {"",
					 "CET",
					 "CE-1",
					 "CET-1CEST",
					 "CET-1CEST,M3.5.0",
					 "CET-1CEST,M13.5.0,M10.5.0",
					 "CET-1CEST,M3.6.0,M10.5.0",
					 "CET-1CEST,M3.5.7,M10.5.0",
					 "CET-1CEST,J0,J1",
					 "CET-1CEST,366,1",
					 "CET-1CEST,M3.5.0,M10.5.0x",
					 "<+1-1",
					 "CET-168",
					 "CET-1:60"};
	struct zone_rule r;

	(void)state;
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (zone_rule_parse(no[i], strlen(no[i]), &r))
			fail_msg("taken: %s", no[i]);
	assert_true(zone_rule_parse("UTC0", 4, &r));
	assert_int_equal(zone_rule_next(&r, 0), INT64_MAX);
	assert_true(zone_rule_parse("AAA-3BBB,J60/-1:30,300/25", 25, &r));
	/* J60 is 1 March in every year, 300 counts 29 February */
	assert_int_equal(zone_rule_next(&r, utc(2028, 1, 1, 0, 0)),
			 utc(2028, 3, 1, 0, 0) - 90 * MINUTE - 3 * HOUR);
	assert_int_equal(zone_rule_next(&r, utc(2028, 6, 1, 0, 0)),
			 utc(2028, 10, 27, 0, 0) + 25 * HOUR - 4 * HOUR);
	(void)zone_rule_offset(&r, INT64_MIN);
	(void)zone_rule_offset(&r, INT64_MAX);
	(void)zone_rule_next(&r, -62135596800ll);
	(void)zone_rule_next(&r, 253402300799ll);
}

/* ---- timetables -------------------------------------------------------- */

static void office_hours_follow_the_clock_on_the_wall(void **state)
{
	struct config_hours h = {WORKDAYS, 7 * 60, 19 * 60, 50};
	struct config_shape s = shape(200, &h, 1);
	struct zone *z = zone("Europe/Berlin");
	/* Friday 27 March, before the change, and Monday after it */
	int64_t fri = utc(2026, 3, 27, 6, 0), mon = utc(2026, 3, 30, 5, 0);

	(void)state;
	assert_int_equal(timetable_limit(&s, z, fri - 1), 200);
	assert_int_equal(timetable_limit(&s, z, fri), 50);
	assert_int_equal(timetable_next(&s, z, fri - 1), fri);
	assert_int_equal(timetable_next(&s, z, fri), fri + 12 * HOUR);
	assert_int_equal(timetable_next(&s, z, fri + 12 * HOUR), mon);
	assert_int_equal(timetable_limit(&s, z, mon - 1), 200);
	assert_int_equal(timetable_limit(&s, z, mon), 50);
	/* without a zone it is UTC's */
	assert_int_equal(timetable_limit(&s, NULL, fri), 200);
	assert_int_equal(timetable_next(&s, NULL, fri), fri + HOUR);
	zone_free(z);
}

static void an_hour_that_is_left_out_begins_late(void **state)
{
	/* 02:00 becomes 03:00 in Berlin on 29 March 2026 at 01:00 UTC */
	struct config_hours h = {SUN, 2 * 60 + 30, 3 * 60 + 30, 50};
	struct config_hours gone = {SUN, 2 * 60, 3 * 60, 50};
	struct config_shape s = shape(200, &h, 1), g = shape(200, &gone, 1);
	struct zone *z = zone("Europe/Berlin");
	int64_t jump = utc(2026, 3, 29, 1, 0);

	(void)state;
	assert_int_equal(timetable_limit(&s, z, jump - 1), 200);
	assert_int_equal(timetable_next(&s, z, jump - 1), jump);
	assert_int_equal(timetable_limit(&s, z, jump), 50);
	assert_int_equal(timetable_next(&s, z, jump), jump + 30 * MINUTE);
	/* what lies wholly inside does not happen on that day */
	assert_int_equal(timetable_next(&g, z, jump - DAY),
			 jump + 7 * DAY - HOUR);
	zone_free(z);
}

static void an_hour_that_comes_twice_holds_twice(void **state)
{
	/* 03:00 becomes 02:00 in Berlin on 25 October 2026 at 01:00 UTC */
	struct config_hours h = {SUN, 2 * 60 + 15, 2 * 60 + 45, 50};
	struct config_shape s = shape(200, &h, 1);
	struct zone *z = zone("Europe/Berlin");
	int64_t first = utc(2026, 10, 25, 0, 15), t = first;

	(void)state;
	assert_int_equal(timetable_next(&s, z, first - DAY), first);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(timetable_limit(&s, z, t - 1), 200);
		assert_int_equal(timetable_limit(&s, z, t), 50);
		assert_int_equal(timetable_next(&s, z, t), t + 30 * MINUTE);
		t += 30 * MINUTE;
		assert_int_equal(timetable_limit(&s, z, t), 200);
		if (i == 0)
			assert_int_equal(timetable_next(&s, z, t),
					 t + 30 * MINUTE);
		t += 30 * MINUTE;
	}
	zone_free(z);
}

static void new_york_changes_at_two_its_own_time(void **state)
{
	struct config_hours h = {EVERY, 22 * 60, 6 * 60, 900};
	struct config_shape s = shape(100, &h, 1);
	struct zone *z = zone("America/New_York");
	int64_t spring = utc(2026, 3, 8, 3, 0), autumn = utc(2026, 11, 1, 2, 0);

	(void)state;
	/* the night of the change is an hour shorter, or longer */
	assert_int_equal(timetable_limit(&s, z, spring), 900);
	assert_int_equal(timetable_next(&s, z, spring - 1), spring);
	assert_int_equal(timetable_next(&s, z, spring), spring + 7 * HOUR);
	assert_int_equal(timetable_next(&s, z, autumn - 1), autumn);
	assert_int_equal(timetable_next(&s, z, autumn), autumn + 9 * HOUR);
	zone_free(z);
}

static void lord_howe_changes_by_half_an_hour(void **state)
{
	/* 02:00 becomes 02:30 on 4 October 2026, 15:30 UTC of the 3rd */
	struct config_hours h = {SUN, 2 * 60 + 10, 3 * 60, 50};
	struct config_shape s = shape(200, &h, 1);
	struct zone *z = zone("Australia/Lord_Howe");
	int64_t jump = utc(2026, 10, 3, 15, 30);
	/* 02:00 becomes 01:30 on 5 April 2026, 15:00 UTC of the 4th */
	struct config_hours early = {SUN, 60 + 40, 60 + 50, 50};
	struct config_shape e = shape(200, &early, 1);
	int64_t back = utc(2026, 4, 4, 15, 0);

	(void)state;
	assert_int_equal(timetable_next(&s, z, jump - HOUR), jump);
	assert_int_equal(timetable_next(&s, z, jump), jump + 30 * MINUTE);
	assert_int_equal(timetable_next(&e, z, back - HOUR),
			 back - 20 * MINUTE);
	assert_int_equal(timetable_next(&e, z, back - 10 * MINUTE),
			 back + 10 * MINUTE);
	assert_int_equal(timetable_next(&e, z, back + 10 * MINUTE),
			 back + 20 * MINUTE);
	zone_free(z);
}

static void the_first_entry_that_fits_counts(void **state)
{
	struct config_hours h[] = {{MON, 12 * 60, 13 * 60, 1},
				   {WORKDAYS, 0, 24 * 60, 2},
				   {SAT | SUN, 22 * 60, 2 * 60, 0}};
	struct config_shape s = shape(9, h, 3);
	int64_t mon = utc(2026, 5, 4, 0, 0); /* a Monday */

	(void)state;
	/* Sunday's last entry reaches into Monday, but a better one fits */
	assert_int_equal(timetable_limit(&s, NULL, mon), 2);
	assert_int_equal(timetable_limit(&s, NULL, mon + 12 * HOUR), 1);
	assert_int_equal(timetable_next(&s, NULL, mon), mon + 12 * HOUR);
	assert_int_equal(timetable_next(&s, NULL, mon + 12 * HOUR),
			 mon + 13 * HOUR);
	/* from one such day to the next nothing changes */
	assert_int_equal(timetable_next(&s, NULL, mon + 13 * HOUR),
			 mon + 5 * DAY);
	assert_int_equal(timetable_limit(&s, NULL, mon + 5 * DAY), 9);
	assert_int_equal(timetable_limit(&s, NULL, mon + 5 * DAY + 22 * HOUR),
			 0);
	assert_int_equal(timetable_limit(&s, NULL, mon + 6 * DAY + HOUR), 0);
	assert_int_equal(timetable_limit(&s, NULL, mon + 6 * DAY + 2 * HOUR),
			 9);
	assert_int_equal(timetable_most(&s), 0);
	assert_int_equal(timetable_most(&(struct config_shape){.limit = 7}), 7);
}

static void what_never_changes_says_so(void **state)
{
	struct config_hours h = {EVERY, 7 * 60, 19 * 60, 5};
	struct config_shape same = shape(5, &h, 1), none = shape(5, NULL, 0);
	struct zone *z = zone("Europe/Berlin");

	(void)state;
	assert_int_equal(timetable_next(&none, z, 0), INT64_MAX);
	assert_int_equal(timetable_next(&same, z, 0), INT64_MAX);
	same.limit = 6;
	(void)timetable_next(&same, z, INT64_MAX);
	(void)timetable_next(&same, z, INT64_MIN);
	(void)timetable_limit(&same, z, INT64_MIN);
	zone_free(z);
}

/* timetable_next() never passes a change by. */
static void no_change_is_missed(void **state)
{
	static const char *const names[] = {"Europe/Berlin", "America/New_York",
					    "Australia/Lord_Howe", "UTC"};
	struct config_hours h[] = {{MON | SUN, 23 * 60 + 50, 2 * 60 + 20, 1},
				   {SUN, 60 + 35, 2 * 60 + 25, 2},
				   {EVERY, 2 * 60 + 10, 3 * 60 + 5, 3}};
	struct config_shape s = shape(9, h, 3);

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct zone *z = zone(names[i]);
		int64_t t = utc(2026, 1, 1, 0, 0), next = t;
		uint64_t limit = 0;

		for (; t < utc(2027, 1, 1, 0, 0); t += 5 * MINUTE) {
			if (t < next) {
				assert_int_equal(timetable_limit(&s, z, t),
						 limit);
				continue;
			}
			assert_int_equal(t, next);
			assert_int_not_equal(timetable_limit(&s, z, t), limit);
			limit = timetable_limit(&s, z, t);
			next = timetable_next(&s, z, t);
		}
		zone_free(z);
	}
}

/* ---- configuration ----------------------------------------------------- */

static void bandwidths_days_and_hours_are_read(void **state)
{
	char text[VALUE_TEXT_LEN];
	uint16_t from, to;
	uint64_t v;
	uint8_t d;

	(void)state;
	assert_true(value_bandwidth("200Mbit", &v) && v == 200000000);
	assert_true(value_bandwidth("64kbit", &v) && v == 64000);
	assert_true(value_bandwidth("1Gbit", &v) && v == 1000000000);
	assert_true(value_bandwidth("none", &v) && v == 0);
	assert_false(value_bandwidth("0Mbit", &v));
	assert_false(value_bandwidth("200", &v));
	assert_false(value_bandwidth("200MB", &v));
	assert_false(value_bandwidth("200mbit", &v));
	assert_string_equal(value_bandwidth_text(1500000, text), "1500kbit");
	assert_string_equal(value_bandwidth_text(0, text), "none");
	assert_true(value_days("mon-fri", &d) && d == WORKDAYS);
	assert_true(value_days("sat-mon", &d) && d == (SAT | SUN | MON));
	assert_true(value_days("tue", &d) && d == TUE);
	assert_false(value_days("mon-", &d));
	assert_false(value_days("monday", &d));
	assert_false(value_days("Mon", &d));
	assert_false(value_days("", &d));
	assert_string_equal(value_days_text(MON | SUN, text), "[mon, sun]");
	assert_true(value_hours("07:00-19:30", &from, &to));
	assert_int_equal(from, 420);
	assert_int_equal(to, 19 * 60 + 30);
	assert_true(value_hours("22:00-06:00", &from, &to));
	assert_true(value_hours("00:00-24:00", &from, &to));
	assert_false(value_hours("24:00-06:00", &from, &to));
	assert_false(value_hours("06:00-06:00", &from, &to));
	assert_false(value_hours("06:00-24:01", &from, &to));
	assert_false(value_hours("6:00-7:00", &from, &to));
	assert_false(value_hours("06:60-07:00", &from, &to));
}

#define TOTAL                                                                  \
	"time_zone: Europe/Berlin\n"                                           \
	"rate: {limit: 200Mbit, burst: 1MiB, reserve: 30%, timetable:\n"       \
	"  [{days: mon-fri, hours: 07:00-19:00, limit: 50Mbit},\n"             \
	"   {days: [sat, sun], limit: none}]}\n"

static void a_timetable_is_loaded_and_dumped(void **state)
{
	struct config *cfg = good(ALL TOTAL), *again;
	char *dump = NULL;
	size_t len;
	FILE *f = open_memstream(&dump, &len);

	(void)state;
	config_dump(cfg, f);
	(void)fclose(f);
	again = good(dump);
	for (int i = 0; i < 2; i++, cfg = again) {
		assert_string_equal(cfg->time_zone, "Europe/Berlin");
		assert_int_equal(cfg->rate.limit, 200000000);
		assert_int_equal(cfg->rate.burst, 1 << 20);
		assert_int_equal(cfg->rate.reserve, 30);
		assert_int_equal(cfg->rate.timetable.n, 2);
		assert_int_equal(cfg->rate.timetable.v[0].days, WORKDAYS);
		assert_int_equal(cfg->rate.timetable.v[0].from, 420);
		assert_int_equal(cfg->rate.timetable.v[0].limit, 50000000);
		assert_int_equal(cfg->rate.timetable.v[1].days, SAT | SUN);
		assert_int_equal(cfg->rate.timetable.v[1].to, 24 * 60);
		assert_int_equal(cfg->rate.timetable.v[1].limit, 0);
		assert_int_equal(cfg->devices[0].rate.limit, 0);
		assert_int_equal(cfg->devices[0].rate.reserve, 20);
		config_free(cfg);
	}
	free(dump);
}

static void destinations_and_devices_have_rates_too(void **state)
{
	struct config *cfg =
	    good(LISTENER "devices: {ct: {ae_title: CT, address: 10.0.0.1, "
			  "rate: {limit: 5Mbit}}}\n"
			  "destinations: {a: {protocol: dicom, endpoints: "
			  "'10.9.9.9:1', plaintext: {allowed: test}, rate: "
			  "{timetable: {hours: 22:00-06:00, limit: 1Gbit}}}}\n"
			  "routes: [{forward: a}]\n");

	(void)state;
	assert_int_equal(cfg->devices[0].rate.limit, 5000000);
	assert_int_equal(cfg->destinations[0].rate.limit, 0);
	assert_int_equal(cfg->destinations[0].rate.timetable.n, 1);
	assert_int_equal(cfg->destinations[0].rate.timetable.v[0].days, EVERY);
	config_free(cfg);
}

static void mistakes_in_a_rate_are_explained(void **state)
{
	(void)state;
	bad(ALL "rate: 5Mbit\n", "'rate' is a map of its own keys");
	bad(ALL "rate: {limit: 5MB}\n", "is not a bandwidth");
	bad(ALL "rate: {limit: 5kbit}\n", "from 64kbit to 100Gbit");
	bad(ALL "rate: {timetable: []}\n", "is empty; leave it out");
	bad(ALL "rate: {timetable: 5Mbit}\n",
	    "stands where days, hours and limit are meant");
	bad(ALL "rate: {timetable: [{days: mon, hours: 07:00-19:00}]}\n",
	    "without a limit");
	bad(ALL "rate: {timetable: [{day: mon, limit: 1Mbit}]}\n",
	    "did you mean 'days'");
	bad(ALL "rate: {timetable: [{days: monday, limit: 1Mbit}]}\n",
	    "is not a day or a range");
	bad(ALL "rate: {timetable: [{days: {a: b}, limit: 1Mbit}]}\n",
	    "is not a day or a range");
	bad(ALL "rate: {timetable: [{hours: 7-19, limit: 1Mbit}]}\n",
	    "are not hours");
	bad(ALL "rate: {timetable: [{limit: 1bit}]}\n", "out of range");
	bad(ALL "time_zone: ../Berlin\n", "is not the name of a time zone");
	bad(LISTENER DEVICE "destinations: {files: {protocol: directory, path: "
			    "out, rate: {limit: 1Mbit}}}\n" ROUTE,
	    "rate.limit");
	warned(ALL "rate: {limit: 1Gbit, burst: 64KiB}\n",
	       "will not reach its limit of 1Gbit");
	warned(ALL "rate: {burst: 64KiB}\n", "a burst and no limit");
}

static void is_text(unsigned days, int from, int to, const char *text)
{
	struct config_hours h = {(uint8_t)days, (uint16_t)from, (uint16_t)to,
				 0};
	char out[TIMETABLE_TEXT_LEN];

	assert_string_equal(timetable_text(&h, out), text);
}

static void an_entry_is_short_in_words(void **state)
{
	(void)state;
	is_text(0x1f, 7 * 60, 19 * 60, "mon-fri 07:00-19:00");
	is_text(0x7f, 0, 24 * 60, "mon-sun 00:00-24:00");
	is_text(0x55, 22 * 60 + 30, 6 * 60, "mon,wed,fri,sun 22:30-06:00");
	is_text(0x60, 0, 1, "sat-sun 00:00-00:01");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(berlin_has_daylight_saving),
	    cmocka_unit_test(a_rule_holds_after_the_last_transition),
	    cmocka_unit_test(offsets_are_those_of_libc),
	    cmocka_unit_test(every_change_of_offset_is_announced),
	    cmocka_unit_test(names_that_are_none_are_not_looked_up),
	    cmocka_unit_test(a_file_that_is_cut_or_damaged_does_no_harm),
	    cmocka_unit_test(rules_have_a_grammar),
	    cmocka_unit_test(office_hours_follow_the_clock_on_the_wall),
	    cmocka_unit_test(an_hour_that_is_left_out_begins_late),
	    cmocka_unit_test(an_hour_that_comes_twice_holds_twice),
	    cmocka_unit_test(new_york_changes_at_two_its_own_time),
	    cmocka_unit_test(lord_howe_changes_by_half_an_hour),
	    cmocka_unit_test(the_first_entry_that_fits_counts),
	    cmocka_unit_test(what_never_changes_says_so),
	    cmocka_unit_test(no_change_is_missed),
	    cmocka_unit_test(bandwidths_days_and_hours_are_read),
	    cmocka_unit_test(a_timetable_is_loaded_and_dumped),
	    cmocka_unit_test(destinations_and_devices_have_rates_too),
	    cmocka_unit_test(mistakes_in_a_rate_are_explained),
	    cmocka_unit_test(an_entry_is_short_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
