/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/ledger_identity.h"
#include "tests/unit/ledger_fixture.h"

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fixture_init(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	free(*state);
	return 0;
}

static struct ledger_view *view(struct fixture *f)
{
	struct ledger_view *v;
	char why[LEDGER_WHY_LEN];

	if (ledger_view_open(f->dir, &v, why) != ERR_OK)
		fail_msg("%s", why);
	return v;
}

struct rows {
	size_t n, stop_at;
	struct view_delivery d[64];
};

static bool on_delivery(void *arg, const struct view_delivery *d)
{
	struct rows *r = arg;

	assert_true(r->n < ARRAY_LEN(r->d));
	r->d[r->n++] = *d;
	return r->n != r->stop_at;
}

static struct transfer_id put(struct fixture *f, unsigned uid,
			      const char *device, const char *study)
{
	struct instance in = fixture_instance(uid);

	INSTANCE_SET(in.device, device);
	INSTANCE_SET(in.study, study);
	return fixture_put(f, &in, 100 + uid);
}

static void a_directory_without_ledger_is_named(void **state)
{
	struct fixture *f = *state;
	struct ledger_view *v;
	char why[LEDGER_WHY_LEN];

	assert_int_equal(ledger_view_open(f->dir, &v, why), ERR_NOTFOUND);
	assert_non_null(strstr(why, "no ledger"));
}

static void a_row_says_all_of_a_delivery(void **state)
{
	struct fixture *f = *state;
	struct view_filter all = {.any_state = true, .limit = 10};
	struct rows r = {0};
	struct ledger_view *v;
	struct transfer_id id;

	fixture_open(f);
	id = put(f, 1, "ct", "1.2.9");
	fixture_settle(f);
	v = view(f);
	assert_int_equal(ledger_view_deliveries(v, &all, on_delivery, &r),
			 ERR_OK);
	assert_int_equal(r.n, 1);
	assert_true(transfer_id_equal(&r.d[0].transfer, &id));
	assert_int_equal(r.d[0].state, DELIVERY_QUEUED);
	assert_string_equal(r.d[0].destination, "cloud");
	assert_string_equal(r.d[0].device, "ct");
	assert_string_equal(r.d[0].study, "1.2.9");
	assert_string_equal(r.d[0].series, "1.2.3.2");
	assert_string_equal(r.d[0].modality, "CT");
	assert_string_equal(r.d[0].listener, "modalities");
	assert_string_equal(r.d[0].peer, "10.1.4.20");
	assert_string_equal(r.d[0].sop_instance, "1.2.3.4.1");
	assert_string_equal(r.d[0].transfer_syntax, "1.2.840.10008.1.2.1");
	assert_int_equal(r.d[0].remote_status, -1);
	assert_int_equal(r.d[0].length, 101);
	assert_int_equal(r.d[0].chunks, 1);
	assert_int_equal(r.d[0].association, 7);
	ledger_view_close(v);
}

static void filters_and_pages_give_what_fits_in_order(void **state)
{
	struct fixture *f = *state;
	struct view_filter q = {.destination = "cloud", .limit = 2};
	struct rows r = {0};
	struct ledger_view *v;
	struct transfer_id id;

	fixture_open(f);
	for (unsigned i = 0; i < 6; i++)
		id = put(f, i, i % 2 ? "mr" : "ct", i < 3 ? "1.2.1" : "1.2.2");
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_settle(f);
	v = view(f);
	for (int page = 0; page < 4; page++) {
		assert_int_equal(ledger_view_deliveries(v, &q, on_delivery, &r),
				 ERR_OK);
		q.after = r.d[r.n - 1].delivery;
	}
	assert_int_equal(r.n, 5);
	for (size_t i = 0; i < r.n; i++)
		assert_int_equal(r.d[i].length, 100 + i);

	r.n = 0;
	q = (struct view_filter){.device = "mr", .any_state = true};
	assert_int_equal(ledger_view_deliveries(v, &q, on_delivery, &r),
			 ERR_OK);
	assert_int_equal(r.n, 3);
	r.n = 0;
	q = (struct view_filter){.study = "1.2.2"};
	assert_int_equal(ledger_view_deliveries(v, &q, on_delivery, &r),
			 ERR_OK);
	assert_int_equal(r.n, 2);
	r.n = 0;
	q.study = "1.2.77";
	assert_int_equal(ledger_view_deliveries(v, &q, on_delivery, &r),
			 ERR_OK);
	assert_int_equal(r.n, 0);
	q = (struct view_filter){.destination = "nowhere"};
	assert_int_equal(ledger_view_deliveries(v, &q, on_delivery, &r),
			 ERR_OK);
	assert_int_equal(r.n, 0);
	assert_int_equal(ledger_view_receipts(v, NULL, 0, 10, on_delivery, &r),
			 ERR_OK);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.d[0].attempts, 1);
	r = (struct rows){.stop_at = 2};
	q = (struct view_filter){.any_state = true};
	assert_int_equal(ledger_view_deliveries(v, &q, on_delivery, &r),
			 ERR_OK);
	assert_int_equal(r.n, 2);
	ledger_view_close(v);
}

static void an_instance_is_found_by_prefix_or_delivery_number(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);
	struct rows r = {0};
	struct ledger_view *v;
	struct transfer_id id;
	char text[TRANSFER_TEXT_LEN];

	fixture_open(f);
	in.n_destinations = 2;
	INSTANCE_SET(in.destinations[1], "second");
	id = fixture_put(f, &in, 10);
	put(f, 2, "ct", "1.2");
	fixture_settle(f);
	v = view(f);
	transfer_id_text(&id, text);
	assert_int_equal(ledger_view_find(v, text, on_delivery, &r), ERR_OK);
	assert_int_equal(r.n, 2);
	assert_string_equal(r.d[1].destination, "second");
	text[11] = '\0';
	assert_int_equal(ledger_view_find(v, text, on_delivery, &r), ERR_OK);
	assert_int_equal(r.n, 4);
	snprintf(text, sizeof(text), "%llu",
		 (unsigned long long)r.d[1].delivery);
	assert_int_equal(ledger_view_find(v, text, on_delivery, &r), ERR_OK);
	assert_int_equal(r.n, 5);
	assert_int_equal(r.d[4].delivery, r.d[1].delivery);
	assert_int_equal(ledger_view_find(v, "xyz", on_delivery, &r),
			 ERR_INVAL);
	assert_int_equal(ledger_view_find(v, "", on_delivery, &r), ERR_INVAL);
	memset(text, 'f', 32);
	text[32] = '\0';
	assert_int_equal(ledger_view_find(v, text, on_delivery, &r),
			 ERR_NOTFOUND);
	ledger_view_close(v);
}

/* Seventeen transfers share a first digit somewhere. */
static void a_prefix_of_several_instances_is_told(void **state)
{
	struct fixture *f = *state;
	struct ledger_view *v;
	unsigned many = 0;

	fixture_open(f);
	for (unsigned i = 0; i < 17; i++)
		put(f, i, "ct", "1.2");
	fixture_settle(f);
	v = view(f);
	for (unsigned i = 0; i < 16; i++) {
		char digit[2] = {"0123456789abcdef"[i], '\0'};
		struct rows r = {0};
		enum err e = ledger_view_find(v, digit, on_delivery, &r);

		if (e == ERR_LIMIT) {
			many++;
			assert_true(r.n > 1);
		}
	}
	assert_true(many > 0);
	ledger_view_close(v);
}

static bool on_destination(void *arg, const struct view_destination *d)
{
	struct view_destination *out = arg;

	if (strcmp(d->name, "cloud") == 0)
		*out = *d;
	return true;
}

static bool on_device(void *arg, const struct view_device *d)
{
	*(struct view_device *)arg = *d;
	return true;
}

static void summaries_count_what_is_there(void **state)
{
	struct fixture *f = *state;
	struct view_destination d = {0};
	struct view_device device = {0};
	struct ledger_attempt a = {
	    .attempts = 1, .remote_status = -1, .error = "connection refused"};
	struct fixture_items got;
	struct view_state s;
	struct ledger_stats *st = calloc(1, sizeof(*st));
	struct ledger_view *v;
	struct transfer_id id;

	fixture_open(f);
	id = put(f, 1, "ct", "1.2");
	put(f, 2, "ct", "1.2");
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_settle(f);
	fixture_queued(f, "cloud", &got);
	a.delivery = got.items[0].delivery;
	ledger_attempt(f->l, &a);
	fixture_await(f, "SELECT max(attempts) FROM deliveries WHERE state=0",
		      1);
	v = view(f);
	assert_int_equal(ledger_view_destinations(v, on_destination, &d),
			 ERR_OK);
	assert_int_equal(d.count[DELIVERY_QUEUED], 1);
	assert_int_equal(d.bytes[DELIVERY_QUEUED], 102);
	assert_int_equal(d.count[DELIVERY_DELIVERED], 1);
	assert_int_equal(d.oldest_queued_ms, got.items[0].received_ms);
	assert_string_equal(d.last_error, "connection refused");
	assert_true(d.last_delivered_ms > 0);
	assert_int_equal(ledger_view_devices(v, on_device, &device), ERR_OK);
	assert_string_equal(device.name, "ct");
	assert_int_equal(device.instances, 2);
	assert_int_equal(device.bytes, 203);
	assert_int_equal(ledger_view_state(v, &s), ERR_OK);
	assert_int_equal(s.instances, 2);
	assert_true(s.applied > 0);
	for (int i = 0; i < 400 && st->n_destinations == 0; i++)
		ledger_stats(f->l, st);
	assert_int_equal(st->n_destinations, 1);
	assert_int_equal(st->destinations[0].count[DELIVERY_QUEUED], 1);
	ledger_view_close(v);
	free(st);
}

struct seen {
	struct view_association a;
	size_t associations, contexts, refusals, capabilities;
	uint64_t last, count;
	char proposed[100];
};

static bool on_association(void *arg, const struct view_association *a)
{
	struct seen *s = arg;

	s->associations++;
	s->a = *a;
	s->last = a->a.id;
	return true;
}

static bool on_context(void *arg, const struct ledger_context *c)
{
	struct seen *s = arg;

	s->contexts++;
	snprintf(s->proposed, sizeof(s->proposed), "%s", c->proposed);
	return true;
}

static void associations_are_listed_newest_first_and_shown(void **state)
{
	struct fixture *f = *state;
	struct ledger_context c = {
	    .id = 1, .abstract = "1.2.840.10008.1.1", .proposed = "1.2 1.2.1"};
	struct ledger_association a = {.party = "modalities",
				       .tls_version = "TLSv1.3",
				       .result = "accepted",
				       .n_contexts = 1,
				       .contexts = &c};
	struct ledger_association_end end = {.ended_ms = 5, .why = "released"};
	struct seen s = {0};
	struct ledger_view *v;
	uint64_t first;

	fixture_open(f);
	first = a.id = end.id = ledger_association_id(f->l);
	ledger_association_begin(f->l, &a);
	ledger_association_end(f->l, &end);
	a.id = ledger_association_id(f->l);
	ledger_association_begin(f->l, &a);
	fixture_await(f, "SELECT count(*) FROM associations", 2);
	v = view(f);
	assert_int_equal(ledger_view_associations(v, 0, 1, on_association, &s),
			 ERR_OK);
	assert_int_equal(s.associations, 1);
	assert_int_equal(s.last, a.id);
	assert_false(s.a.ended);
	assert_int_equal(
	    ledger_view_associations(v, s.last, 10, on_association, &s),
	    ERR_OK);
	assert_int_equal(s.last, first);
	assert_int_equal(
	    ledger_view_association(v, first, on_association, on_context, &s),
	    ERR_OK);
	assert_true(s.a.ended);
	assert_string_equal(s.a.end.why, "released");
	assert_string_equal(s.a.a.tls_version, "TLSv1.3");
	assert_int_equal(s.contexts, 1);
	assert_string_equal(s.proposed, "1.2 1.2.1");
	assert_int_equal(
	    ledger_view_association(v, 12345, on_association, on_context, &s),
	    ERR_NOTFOUND);
	ledger_view_close(v);
}

static bool on_refusal(void *arg, const struct view_refusal *r)
{
	struct seen *s = arg;

	s->refusals++;
	s->count = r->count;
	assert_string_equal(r->first.reason, "unknown-ae");
	return true;
}

static bool on_capability(void *arg, const struct ledger_capability *c)
{
	struct seen *s = arg;

	s->capabilities++;
	assert_string_equal(c->transfer_syntax, "1.2.1");
	assert_true(c->accepted);
	return true;
}

static void refusals_and_capabilities_are_listed(void **state)
{
	struct fixture *f = *state;
	struct ledger_refusal r = {.reason = "unknown-ae", .at_ms = 1};
	struct ledger_capability c = {.destination = "cloud",
				      .transfer_syntax = "1.2.1",
				      .accepted = true};
	struct seen s = {0};
	struct ledger_view *v;

	fixture_open(f);
	ledger_refusal(f->l, &r);
	ledger_refusal(f->l, &r);
	ledger_capability(f->l, &c);
	fixture_await(f, "SELECT count(*) FROM capabilities", 1);
	v = view(f);
	assert_int_equal(ledger_view_refusals(v, 0, 10, on_refusal, &s),
			 ERR_OK);
	assert_int_equal(s.refusals, 1);
	assert_int_equal(s.count, 2);
	assert_int_equal(ledger_view_capabilities(v, NULL, on_capability, &s),
			 ERR_OK);
	assert_int_equal(
	    ledger_view_capabilities(v, "cloud", on_capability, &s), ERR_OK);
	assert_int_equal(
	    ledger_view_capabilities(v, "other", on_capability, &s), ERR_OK);
	assert_int_equal(s.capabilities, 2);
	ledger_view_close(v);
}

static void a_view_follows_a_ledger_that_was_rebuilt(void **state)
{
	struct fixture *f = *state;
	struct ledger_view *v;
	struct view_state s = {0};
	enum err e;

	fixture_open(f);
	put(f, 1, "ct", "1.2");
	fixture_settle(f);
	v = view(f);
	assert_int_equal(ledger_view_state(v, &s), ERR_OK);
	assert_int_equal(unlink(f->ledger), 0);
	s.instances = 0;
	do {
		e = ledger_view_state(v, &s);
		assert_true(e == ERR_OK || e == ERR_BUSY);
		if (e == ERR_BUSY)
			assert_non_null(strstr(ledger_view_why(v), "rebuilt"));
		usleep(2000);
	} while (e != ERR_OK || s.instances != 1);
	ledger_view_close(v);
}

static void the_sealed_identity_opens_with_the_key_only(void **state)
{
	struct fixture *f = *state;
	struct ledger_identity id;
	struct ledger_view *v;
	struct fixture_items got;
	uint8_t sealed[LEDGER_IDENTITY_MAX];
	struct seal *seal;
	size_t len;

	fixture_open(f);
	put(f, 1, "ct", "1.2");
	fixture_settle(f);
	fixture_queued(f, "cloud", &got);
	v = view(f);
	assert_int_equal(ledger_view_identity(v, got.items[0].seq, sealed,
					      sizeof(sealed), &len),
			 ERR_OK);
	assert_int_equal(
	    ledger_view_identity(v, got.items[0].seq, sealed, 5, &len),
	    ERR_LIMIT);
	assert_int_equal(
	    ledger_identity_key(spool_key(f->spool), spool_id(f->spool), &seal),
	    ERR_OK);
	assert_int_equal(ledger_identity_open(seal, sealed, len, &id), ERR_OK);
	assert_string_equal(id.patient_name, "NAME^VERYSECRET");
	assert_string_equal(id.patient_id, "PID-VERYSECRET");
	assert_string_equal(id.accession, "ACC-VERYSECRET");
	sealed[len / 2] ^= 1;
	assert_int_equal(ledger_identity_open(seal, sealed, len, &id),
			 ERR_CORRUPT);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(ledger_identity_open(seal, sealed, n, &id),
				 ERR_CORRUPT);
	seal_free(seal);
	ledger_view_close(v);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_directory_without_ledger_is_named),
	    T(a_row_says_all_of_a_delivery),
	    T(filters_and_pages_give_what_fits_in_order),
	    T(an_instance_is_found_by_prefix_or_delivery_number),
	    T(a_prefix_of_several_instances_is_told),
	    T(summaries_count_what_is_there),
	    T(associations_are_listed_newest_first_and_shown),
	    T(refusals_and_capabilities_are_listed),
	    T(a_view_follows_a_ledger_that_was_rebuilt),
	    T(the_sealed_identity_opens_with_the_key_only),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
