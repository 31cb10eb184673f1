/* From the configuration to limits that follow the clock. */
#include "tests/unit/config_load.h"

#include <time.h>

#include "proxy/shaping.h"

static const char text[] =
    LISTENER "time_zone: Europe/Berlin\n"
	     "rate: {limit: 200Mbit, timetable: [{days: mon-fri, hours: "
	     "07:00-19:00, limit: 50Mbit}]}\n"
	     "devices: {ct: {ae_title: CT, address: 10.0.0.1, rate: {limit: "
	     "8Mbit, burst: 32KiB}}}\n"
	     "destinations:\n"
	     "  a: {protocol: dicom, endpoints: '10.9.9.9:1', plaintext: "
	     "{allowed: test}}\n"
	     "  b: {protocol: dicom, endpoints: '10.9.9.8:1', plaintext: "
	     "{allowed: test}, rate: {timetable: {hours: 12:00-13:00, limit: "
	     "16Mbit}}}\n"
	     "routes: [{forward: [a, b]}]\n";

static int64_t utc_ms(int mo, int d, int h, int mi)
{
	struct tm tm = {.tm_year = 126,
			.tm_mon = mo - 1,
			.tm_mday = d,
			.tm_hour = h,
			.tm_min = mi};

	return timegm(&tm) * 1000;
}

/* What a second of waiting gives. */
static size_t in_a_second(struct shaping *s, size_t destination, size_t device,
			  uint64_t *now_ns)
{
	struct shaper_client c;
	size_t sent = 0;
	uint64_t wait;

	shaper_join(&c, s->shaper, SHAPER_OUT, destination, device);
	for (int ms = 0; ms < 1000; ms++) {
		*now_ns += 1000000;
		for (int i = 0; i < 8; i++)
			sent += shaper_take(&c, SHAPER_BULK, 1 << 16, *now_ns,
					    &wait);
	}
	shaper_leave(&c);
	return sent;
}

static void near(size_t sent, size_t want)
{
	if (sent < want / 100 * 95 || sent > want / 100 * 105)
		fail_msg("%zu bytes, not about %zu", sent, want);
}

static void limits_follow_the_timetable(void **state)
{
	struct config *cfg = good(text);
	struct shaping s;
	char why[SHAPING_WHY_LEN];
	uint64_t now = 5;
	int64_t monday = utc_ms(5, 4, 4, 59); /* 06:59 in Berlin */

	(void)state;
	assert_int_equal(shaping_begin(cfg, &s, why), ERR_OK);
	assert_int_equal(shaping_apply(&s, monday, now), 60000);
	near(in_a_second(&s, 0, SHAPER_NONE, &now), 25000000);
	assert_int_equal(shaping_apply(&s, monday + 59900, now), 100);
	assert_int_equal(shaping_apply(&s, monday + 60000, now),
			 SHAPING_LOOK_MS);
	near(in_a_second(&s, 0, SHAPER_NONE, &now), 6250000);
	near(in_a_second(&s, 1, SHAPER_NONE, &now), 6250000);
	near(in_a_second(&s, 1, 0, &now), 1000000);
	(void)shaping_apply(&s, utc_ms(5, 4, 10, 30), now);
	near(in_a_second(&s, 1, SHAPER_NONE, &now), 2000000);
	near(in_a_second(&s, 0, SHAPER_NONE, &now), 6250000);
	(void)shaping_apply(&s, utc_ms(5, 9, 10, 30), now); /* Saturday */
	near(in_a_second(&s, 0, SHAPER_NONE, &now), 25000000);
	shaping_end(&s);
	shaping_end(&s);
	config_free(cfg);
}

static void bursts_follow_from_limits(void **state)
{
	struct config_shape s = {.burst = 0};

	(void)state;
	assert_int_equal(shaping_burst(&s, 1000000), 64 * 1024);
	assert_int_equal(shaping_burst(&s, 1000000000), 2500000);
	assert_int_equal(shaping_burst(&s, 100000000000), 64 * 1024 * 1024);
	s.burst = 4711;
	assert_int_equal(shaping_burst(&s, 1000000000), 4711);
}

static void a_zone_that_is_not_there_is_named(void **state)
{
	struct config *cfg = good(ALL "time_zone: Europe/Atlantis\n");
	struct shaping s;
	char why[SHAPING_WHY_LEN];

	(void)state;
	assert_int_equal(shaping_begin(cfg, &s, why), ERR_INVAL);
	assert_non_null(strstr(why, "Europe/Atlantis"));
	assert_non_null(strstr(why, "tzdata"));
	config_free(cfg);
}

/* What a reload brings: same names, other limits; b is not there any more. */
static const char later[] =
    LISTENER "time_zone: Asia/Tokyo\n"
	     "rate: {limit: 80Mbit}\n"
	     "devices: {ct: {ae_title: CT, address: 10.0.0.1}, mr: {ae_title: "
	     "MR, address: 10.0.0.2, rate: {limit: 1Mbit}}}\n"
	     "destinations:\n"
	     "  a: {protocol: dicom, endpoints: '10.9.9.9:1', plaintext: "
	     "{allowed: test}, rate: {timetable: {hours: 21:00-23:00, limit: "
	     "24Mbit}}}\n"
	     "routes: [{forward: a}]\n";

static void a_day_begins_at_the_sites_midnight(void **state)
{
	static const char plain[] =
	    LISTENER "time_zone: Europe/Berlin\n"
		     "destinations: {a: {protocol: dicom, endpoints: "
		     "'10.9.9.9:1', plaintext: {allowed: test}}}\n"
		     "routes: [{forward: [a]}]\n";
	struct config *cfg = good(plain);
	char why[SHAPING_WHY_LEN];
	struct shaping s;

	(void)state;
	assert_int_equal(shaping_begin(cfg, &s, why), ERR_OK);
	assert_string_equal(s.zone_name, "Europe/Berlin");
	assert_true(shaping_day(&s, utc_ms(7, 1, 12, 0)) ==
		    utc_ms(6, 30, 22, 0));
	assert_true(shaping_day(&s, utc_ms(7, 1, 22, 0)) ==
		    utc_ms(7, 1, 22, 0));
	/* after the clocks were changed */
	assert_true(shaping_day(&s, utc_ms(3, 29, 12, 0)) ==
		    utc_ms(3, 28, 23, 0));
	assert_true(shaping_day(&s, utc_ms(10, 25, 20, 0)) ==
		    utc_ms(10, 24, 22, 0));
	shaping_end(&s);
	config_free(cfg);
}

static void a_reload_takes_up_limits_hours_and_zone(void **state)
{
	struct config *cfg = good(text), *fresh = good(later);
	struct shaping s;
	char why[SHAPING_WHY_LEN];
	uint64_t now = 5;
	int64_t noon = utc_ms(5, 4, 12, 30); /* 21:30 in Tokyo */

	(void)state;
	assert_int_equal(shaping_begin(cfg, &s, why), ERR_OK);
	(void)shaping_apply(&s, noon, now);
	near(in_a_second(&s, 1, 0, &now), 1000000);
	assert_int_equal(shaping_take(&s, fresh, why), ERR_OK);
	config_free(fresh); /* nothing of it is needed */
	(void)shaping_apply(&s, noon, now);
	near(in_a_second(&s, 0, 0, &now), 3000000);
	/* b keeps its own: 12:00-13:00, and that is not now in Tokyo */
	near(in_a_second(&s, 1, 0, &now), 10000000);
	(void)shaping_apply(&s, utc_ms(5, 4, 3, 30), now);
	near(in_a_second(&s, 1, SHAPER_NONE, &now), 2000000);
	shaping_end(&s);
	config_free(cfg);
}

static void a_reload_that_fails_changes_nothing(void **state)
{
	struct config *cfg = good(text);
	struct config *fresh = good(ALL "time_zone: Europe/Atlantis\n");
	struct shaping s;
	char why[SHAPING_WHY_LEN];
	uint64_t now = 5;

	(void)state;
	assert_int_equal(shaping_begin(cfg, &s, why), ERR_OK);
	assert_int_equal(shaping_take(&s, fresh, why), ERR_INVAL);
	assert_non_null(strstr(why, "Europe/Atlantis"));
	(void)shaping_apply(&s, utc_ms(5, 4, 10, 30), now);
	near(in_a_second(&s, 1, SHAPER_NONE, &now), 2000000);
	shaping_end(&s);
	config_free(fresh);
	config_free(cfg);
}

static void a_report_says_what_counts_now_and_next(void **state)
{
	struct config *cfg = good(text);
	struct shaping s;
	struct shaping_report r;
	char why[SHAPING_WHY_LEN];
	uint64_t now = 5;
	size_t at = 0;
	int64_t t = utc_ms(5, 4, 10, 30); /* 12:30 in Berlin */

	(void)state;
	assert_int_equal(shaping_begin(cfg, &s, why), ERR_OK);
	(void)shaping_apply(&s, t, now);
	shaping_sample(&s, now);
	(void)in_a_second(&s, 1, 0, &now);
	shaping_sample(&s, now);
	assert_true(shaping_report(&s, &at, t, &r));
	assert_string_equal(shaping_level_name(r.level), "total");
	assert_int_equal(r.limit, 50000000);
	assert_int_equal(r.burst, 125000);
	assert_int_equal(r.entry->from, 7 * 60);
	assert_int_equal(r.next_s, utc_ms(5, 4, 17, 0) / 1000);
	assert_string_equal(r.next, "2026-05-04 19:00");
	assert_int_equal(r.next_limit, 200000000);
	near(r.out, 8000000);
	assert_int_equal(r.in, 0);
	/* a has none */
	assert_true(shaping_report(&s, &at, t, &r));
	assert_string_equal(r.name, "b");
	assert_int_equal(r.limit, 16000000);
	assert_int_equal(r.next_limit, 0);
	assert_true(shaping_report(&s, &at, t, &r));
	assert_string_equal(r.name, "ct");
	assert_null(r.entry);
	assert_int_equal(r.next_s, 0);
	assert_int_equal(r.burst, 32768);
	assert_false(shaping_report(&s, &at, t, &r));
	shaping_end(&s);
	config_free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(limits_follow_the_timetable),
	    cmocka_unit_test(bursts_follow_from_limits),
	    cmocka_unit_test(a_zone_that_is_not_there_is_named),
	    cmocka_unit_test(a_day_begins_at_the_sites_midnight),
	    cmocka_unit_test(a_reload_takes_up_limits_hours_and_zone),
	    cmocka_unit_test(a_reload_that_fails_changes_nothing),
	    cmocka_unit_test(a_report_says_what_counts_now_and_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
