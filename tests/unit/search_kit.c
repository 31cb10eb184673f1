#include "tests/unit/search_kit.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"

int search_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fixture_init(f);
	*state = f;
	return 0;
}

int search_teardown(void **state)
{
	fixture_free(*state);
	free(*state);
	return 0;
}

struct ledger_view *search_view(struct fixture *f)
{
	struct ledger_view *v;
	char why[LEDGER_WHY_LEN];

	if (ledger_view_open(f->dir, &v, why) != ERR_OK)
		fail_msg("%s", why);
	return v;
}

/* ---- a ledger with a bit of all ---------------------------------------- */

const char *const search_devices[] = {"ct", "mr", "us"};
const char *const search_aes[] = {"A1", "A2"};
const char *const search_study_uids[] = {"1.1", "1.2", "1.3", "1.4", "1.5"};
const char *const search_places[] = {"cloud", "second", "third"};

struct instance search_made(unsigned i)
{
	struct instance in = fixture_instance(i);
	unsigned study = i * 7 / 11 % 5;

	in.received_ms = SEARCH_T0 + (int64_t)i * 1000;
	in.association = 1 + i % 6;
	INSTANCE_SET(in.device, search_devices[i % 3]);
	INSTANCE_SET(in.calling_ae, search_aes[i % 2]);
	INSTANCE_SET(in.study, search_study_uids[study]);
	snprintf(in.series, sizeof(in.series), "%s.%u",
		 search_study_uids[study], i % 2);
	INSTANCE_SET(in.modality, i % 2 ? "CT" : "SR");
	snprintf(in.accession, sizeof(in.accession), "Acc%u", study);
	snprintf(in.patient_id, sizeof(in.patient_id), "Pid%u", study / 2);
	in.n_destinations = 1 + i % 2;
	INSTANCE_SET(in.destinations[0], search_places[0]);
	INSTANCE_SET(in.destinations[1], search_places[1]);
	return in;
}

static void decide(struct fixture *f, const struct transfer_id *id, unsigned i)
{
	static const enum outcome_kind what[] = {
	    OUTCOME_DELIVERED,   OUTCOME_HELD,      OUTCOME_WITHDRAWN,
	    OUTCOME_QUARANTINED, OUTCOME_DISCARDED, OUTCOME_COMMITTED,
	    OUTCOME_ARRIVED};

	if (i % 9 < ARRAY_LEN(what))
		fixture_outcome(f, id, what[i % 9], search_places[0]);
	if (i % 40 == 7)
		fixture_redirect(f, id, search_places[0], search_places[2]);
	if (i % 4 == 1)
		fixture_outcome(f, id, OUTCOME_DELIVERED, search_places[1]);
}

void search_fill(struct fixture *f)
{
	fixture_open(f);
	for (unsigned i = 0; i < SEARCH_N; i++) {
		struct instance in = search_made(i);
		struct transfer_id id = fixture_put(f, &in, 10 + i);

		decide(f, &id, i);
	}
	fixture_settle(f);
}

/* ---- what is found ------------------------------------------------------ */

bool search_on_row(void *arg, const struct view_delivery *d)
{
	struct search_rows *r = arg;

	assert_true(r->n < ARRAY_LEN(r->d));
	r->d[r->n++] = *d;
	return true;
}

struct search_rows *search_everything(struct ledger_view *v)
{
	struct view_filter q = {.any_state = true};
	struct search_rows *all = calloc(1, sizeof(*all));

	assert_non_null(all);
	assert_int_equal(ledger_view_deliveries(v, &q, search_on_row, all),
			 ERR_OK);
	return all;
}

bool search_on_study(void *arg, const struct view_study *s)
{
	struct search_studies *all = arg;

	assert_true(all->n < ARRAY_LEN(all->s));
	all->s[all->n++] = *s;
	return true;
}
