/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "tests/unit/search_kit.h"

static void a_study_is_summed_up(void **state)
{
	struct fixture *f = *state;
	struct study_filter q = {.study = "1.2", .limit = 10};
	struct search_page page;
	struct search_studies got = {0};
	struct ledger_view *v;
	struct search_rows *all;
	uint64_t n = 0, bytes = 0, seq = 0, count[DELIVERY_N_STATES] = {0};

	search_fill(f);
	v = search_view(f);
	all = search_everything(v);
	assert_int_equal(
	    ledger_search_studies(v, &q, search_on_study, &got, &page), ERR_OK);
	for (size_t i = 0; i < all->n; i++) {
		if (strcmp(all->d[i].study, "1.2") != 0)
			continue;
		count[all->d[i].state]++;
		if (all->d[i].seq == seq)
			continue;
		seq = all->d[i].seq;
		n++;
		bytes += all->d[i].length;
	}
	assert_int_equal(got.n, 1);
	assert_int_equal(got.s[0].instances, n);
	assert_int_equal(got.s[0].bytes, bytes);
	assert_int_equal(got.s[0].series, 2);
	assert_string_equal(got.s[0].modality, "CT/SR");
	assert_false(got.s[0].partly_counted);
	for (unsigned s = 0; s < DELIVERY_N_STATES; s++)
		assert_int_equal(got.s[0].count[s], count[s]);
	free(all);
	ledger_view_close(v);
}

static void studies_are_listed_by_their_first_instance(void **state)
{
	struct fixture *f = *state;
	struct study_filter q = {.limit = 2};
	struct search_page page;
	struct search_studies got = {0}, back = {0};
	struct ledger_view *v;

	search_fill(f);
	v = search_view(f);
	do {
		assert_int_equal(
		    ledger_search_studies(v, &q, search_on_study, &got, &page),
		    ERR_OK);
		q.place = page.older;
	} while (page.older != 0);
	assert_int_equal(got.n, 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(got.s[i].study, search_study_uids[4 - i]);
	for (size_t i = 1; i < 5; i++)
		assert_true(got.s[i].first_ms < got.s[i - 1].first_ms);
	q = (struct study_filter){.limit = 5, .way = SEARCH_NEWER};
	assert_int_equal(
	    ledger_search_studies(v, &q, search_on_study, &back, &page),
	    ERR_OK);
	assert_int_equal(back.n, 5);
	assert_memory_equal(back.s, got.s, sizeof(got.s[0]) * 5);
	ledger_view_close(v);
}

static void studies_are_filtered(void **state)
{
	struct fixture *f = *state;
	struct study_filter q = {.limit = 10};
	struct search_page page;
	struct search_studies all = {0}, got = {0};
	struct ledger_view *v;

	search_fill(f);
	v = search_view(f);
	assert_int_equal(
	    ledger_search_studies(v, &q, search_on_study, &all, &page), ERR_OK);
	q.from_ms = all.s[3].first_ms;
	q.to_ms = all.s[1].first_ms;
	assert_int_equal(
	    ledger_search_studies(v, &q, search_on_study, &got, &page), ERR_OK);
	assert_int_equal(got.n, 2);
	assert_string_equal(got.s[0].study, all.s[2].study);
	q = (struct study_filter){.device = all.s[2].device, .limit = 10};
	got.n = 0;
	assert_int_equal(
	    ledger_search_studies(v, &q, search_on_study, &got, &page), ERR_OK);
	assert_true(got.n >= 1 && got.n < 5);
	for (size_t i = 0; i < got.n; i++)
		assert_string_equal(got.s[i].device, q.device);
	q = (struct study_filter){.limit = 10};
	assert_int_equal(
	    ledger_search_key(f->l, SEARCH_PATIENT, "Pid1", &q.patient),
	    ERR_OK);
	got.n = 0;
	assert_int_equal(
	    ledger_search_studies(v, &q, search_on_study, &got, &page), ERR_OK);
	assert_int_equal(got.n, 2);
	assert_string_equal(got.s[0].study, "1.4");
	assert_string_equal(got.s[1].study, "1.3");
	assert_int_equal(
	    ledger_search_key(f->l, SEARCH_ACCESSION, "Acc3", &q.accession),
	    ERR_OK);
	got.n = 0;
	assert_int_equal(
	    ledger_search_studies(v, &q, search_on_study, &got, &page), ERR_OK);
	assert_int_equal(got.n, 1);
	ledger_view_close(v);
}

struct detail {
	size_t n;
	uint64_t last;
	struct view_delivery d[1000];
	struct view_outgoing out[1000];
};

static bool on_detail(void *arg, const struct view_delivery *d,
		      const struct view_outgoing *out)
{
	struct detail *t = arg;

	assert_true(t->n == 0 || d->delivery > t->last);
	t->last = d->delivery;
	t->out[t->n] = *out;
	t->d[t->n++] = *d;
	return true;
}

static void associate(struct fixture *f, int64_t begun, int64_t ended,
		      const char *suite)
{
	struct ledger_association a = {.direction = LEDGER_OUT,
				       .party = "cloud",
				       .tls_version = "TLSv1.3",
				       .begun_ms = begun};
	struct ledger_association_end end = {.ended_ms = ended};

	a.id = end.id = ledger_association_id(f->l);
	INSTANCE_SET(a.tls_suite, suite);
	ledger_association_begin(f->l, &a);
	if (ended != 0)
		ledger_association_end(f->l, &end);
}

static void a_study_shows_every_instance_and_how_it_was_sent(void **state)
{
	struct fixture *f = *state;
	struct detail *t = calloc(1, sizeof(*t));
	struct ledger_view *v;
	struct search_rows *all;
	size_t n = 0, sent = 0, page;
	uint64_t after = 0;
	int64_t now = clock_wall_ms();

	assert_non_null(t);
	fixture_open(f);
	associate(f, now - 100000, now - 50000, "too early");
	associate(f, now - 10000, 0, "right");
	associate(f, now - 5000, now - 4000, "over");
	fixture_close(f);
	search_fill(f);
	v = search_view(f);
	all = search_everything(v);
	do {
		page = t->n;
		assert_int_equal(
		    ledger_search_study(v, "1.3", after, 7, on_detail, t),
		    ERR_OK);
		after = t->last;
	} while (t->n > page);
	for (size_t i = 0; i < all->n; i++) {
		if (strcmp(all->d[i].study, "1.3") != 0)
			continue;
		assert_int_equal(t->d[n].delivery, all->d[i].delivery);
		if (strcmp(t->d[n].destination, "cloud") == 0 &&
		    t->d[n].state == DELIVERY_DELIVERED) {
			assert_string_equal(t->out[n].tls_suite, "right");
			sent++;
		} else if (t->d[n].state == DELIVERY_QUEUED) {
			assert_int_equal(t->out[n].association, 0);
		}
		n++;
	}
	assert_int_equal(t->n, n);
	assert_true(sent > 0);
	free(all);
	free(t);
	ledger_view_close(v);
}

int main(int argc, char **argv)
{
#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, search_setup, search_teardown)
	const struct CMUnitTest tests[] = {
	    T(a_study_is_summed_up),
	    T(studies_are_listed_by_their_first_instance),
	    T(studies_are_filtered),
	    T(a_study_shows_every_instance_and_how_it_was_sent),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
