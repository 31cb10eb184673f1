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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(limits_follow_the_timetable),
	    cmocka_unit_test(bursts_follow_from_limits),
	    cmocka_unit_test(a_zone_that_is_not_there_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
