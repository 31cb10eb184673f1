/* What storage commitment complains about: each condition is provoked, and its
 * line read. */
#include "tests/unit/commitment_kit.h"
#include "tests/unit/log_kit.h"

static int setup_and_listen(void **state)
{
	int failed = setup(state);

	listen_to_log();
	return failed;
}

static int end_and_teardown(void **state)
{
	end_listening();
	return teardown(state);
}

/* ---- no room ------------------------------------------------------------ */

enum { BALLAST_MAX = 400, BALLAST_LEN = 900000 };

struct ballast {
	struct transfer_id ids[BALLAST_MAX];
	unsigned n;
	bool more;
};

static void on_ballast(void *arg, enum err e, const struct instance *stored)
{
	struct ballast *b = arg;

	b->more = e == ERR_OK;
	if (e == ERR_OK)
		b->ids[b->n++] = stored->id;
	else
		assert_int_equal(e, ERR_NOSPACE);
	putting = 0;
}

static void put_ballast(struct world *w, struct ballast *b, size_t n)
{
	static const uint8_t bytes[BALLAST_LEN];
	struct instance in = fixture_instance(1000 + b->n);
	struct spool_put_events events = {
	    .room = SPOOL_ROOM_QUOTA, .on_done = on_ballast, .arg = b};
	struct spool_put *put;

	assert_true(b->n < BALLAST_MAX);
	putting = 1;
	assert_int_equal(spool_put_begin(w->f.spool, &in, &events, &put),
			 ERR_OK);
	assert_int_equal(spool_put_data(put, bytes, n), ERR_OK);
	assert_int_equal(spool_put_finish(put, &in), ERR_OK);
	while (putting)
		nap();
}

/* To the last byte of the quota. */
static void fill_spool(struct world *w, struct ballast *b)
{
	for (size_t n = BALLAST_LEN; n > 0; n /= 10)
		do
			put_ballast(w, b, n);
		while (b->more);
}

/* Neither the archive's report nor one of our own can be made durable; when
 * there is room again, the device gets its report all the same. */
static void a_full_spool_holds_reports_up(void **state)
{
	static struct ballast b;
	struct world *w = *state;
	struct view_message m;

	put_delivered(w, 1);
	put_instance(w, 2);
	request(w, T1, 1, 1);
	(void)await_asked(w, T1);
	fill_spool(w, &b);
	assert_int_not_equal(report(w, T1, 1, "."), 0);
	says("commitment-unstored", "CV6008", "report cannot be taken");
	stop(w); /* its threads read the configuration */
	w->cfg->commitment.deadline = 1;
	start(w);
	says("commitment-waits", "CV6002", "cannot be made durable");
	for (unsigned i = 0; i < b.n; i++)
		delivered(w, &b.ids[i]);
	m = await_reported(w, T1);
	names(w, &m, 1, "x");
}

/* ---- no way back --------------------------------------------------------- */

static const char without_way_back[] =
    "listeners: {in: {address: 0.0.0.0:104, protocol: dicom, "
    "ae_titles: ARCHIVE}}\n"
    "devices:\n"
    "  ct-1: {ae_title: CT1, address: 10.0.0.1, services: [storage]}\n"
    "destinations:\n"
    "  cloud: {protocol: dicom, endpoints: [127.0.0.1:11112], "
    "plaintext: {allowed: test}}\n"
    "routes:\n"
    "  - {service: storage, forward: [cloud]}\n"
    "spool: {path: spool}\n"
    "records: {path: records}\n";

/* Its port was taken from the configuration while its request waited. */
static void a_device_without_a_way_back_is_told(void **state)
{
	struct world *w = *state;

	put_delivered(w, 1);
	request(w, T1, 1, 1);
	(void)await_asked(w, T1);
	stop(w);
	config_free(w->cfg);
	load_text(w, without_way_back);
	start(w);
	assert_int_equal(report(w, T1, 1, "."), 0);
	says("commitment-stranded", "CV6004", "no way to the device");
	(void)await_reported(w, T1); /* it waits in the queue */
}

int main(void)
{
#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, setup_and_listen,                \
					end_and_teardown)
	const struct CMUnitTest tests[] = {
	    T(a_full_spool_holds_reports_up),
	    T(a_device_without_a_way_back_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
