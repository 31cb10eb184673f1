#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/link/offer.h"

static struct instance sample(void)
{
	struct instance in = {
	    .id = {{1, 2, 3}},
	    .listener = "modalities",
	    .device = "ct-room-2",
	    .peer = "10.1.4.20",
	    .calling_ae = "CT2",
	    .called_ae = "ARCHIVE",
	    .sop_class = "1.2.840.10008.5.1.4.1.1.2",
	    .sop_instance = "1.2.3.4",
	    .transfer_syntax = "1.2.840.10008.1.2.1",
	    .study = "1.2.3",
	    .series = "1.2.3.1",
	    .modality = "CT",
	    .accession = "A1",
	    .patient_id = "P1",
	    .patient_name = "N\xc3\xa4me^First",
	    .association = 7,
	    .received_ms = 8,
	    .priority = 1,
	    .device_priority = -1,
	    .has_move = true,
	    .move_originator = "WS",
	    .move_originator_id = 9,
	    .held = true,
	    .commit = 1,
	    .n_destinations = 2,
	    .destinations = {"cloud", "archive"},
	    .length = 5,
	    .chunks = 1,
	    .root = {6},
	};

	return in;
}

static enum err take(const struct instance *in, struct instance *out)
{
	uint8_t meta[INSTANCE_ENCODED_MAX];
	size_t len = instance_encode(in, meta);
	struct transfer_id id = sample().id;

	return link_offer_take(&id, (struct link_bytes){meta, len}, out);
}

/* What is local must be gone, whichever end was to leave it out. */
static void assert_only_the_object(const struct instance *out)
{
	static const uint8_t zero[32];

	assert_string_equal(out->listener, "");
	assert_string_equal(out->device, "");
	assert_string_equal(out->peer, "");
	assert_int_equal(out->association, 0);
	assert_false(out->held);
	assert_int_equal(out->commit, 0);
	assert_int_equal(out->n_destinations, 0);
	assert_int_equal(out->length, 0);
	assert_int_equal(out->chunks, 0);
	assert_memory_equal(out->root, zero, 32);
	assert_string_equal(out->sop_instance, "1.2.3.4");
	assert_string_equal(out->called_ae, "ARCHIVE");
	assert_string_equal(out->patient_name, "N\xc3\xa4me^First");
	assert_int_equal(out->received_ms, 8);
	assert_int_equal(out->priority, 1);
	assert_int_equal(out->device_priority, -1);
	assert_string_equal(out->move_originator, "WS");
}

static void the_object_travels_and_the_store_stays(void **state)
{
	struct instance in = sample(), out;
	uint8_t meta[INSTANCE_ENCODED_MAX];
	size_t len = link_offer_meta(&in, meta);

	(void)state;
	assert_null(memmem(meta, len, "cloud", 5));
	assert_null(memmem(meta, len, "ct-room-2", 9));
	assert_int_equal(instance_decode(meta, len, &out), ERR_OK);
	assert_only_the_object(&out);
	assert_string_equal(in.device, "ct-room-2"); /* in is untouched */
}

static void a_peer_cannot_name_our_destinations(void **state)
{
	struct instance in = sample(), out;

	(void)state;
	assert_int_equal(take(&in, &out), ERR_OK);
	assert_only_the_object(&out);
}

static void messages_need_no_instance(void **state)
{
	struct instance in = sample(), out;

	(void)state;
	in.command = 0x0130;
	in.sop_instance[0] = in.transfer_syntax[0] = '\0';
	assert_int_equal(take(&in, &out), ERR_OK);
	in.command = INSTANCE_C_STORE_RQ;
	assert_int_equal(take(&in, &out), ERR_PROTO);
}

static void refuse(const struct instance *in)
{
	struct instance out;

	memset(&out, 0xff, sizeof(out));
	assert_int_equal(take(in, &out), ERR_PROTO);
	assert_string_equal(out.sop_class, ""); /* zeroed */
}

static void unusable_metadata_is_refused(void **state)
{
	static const size_t uids[] = {
	    offsetof(struct instance, sop_class),
	    offsetof(struct instance, sop_instance),
	    offsetof(struct instance, transfer_syntax),
	    offsetof(struct instance, study),
	    offsetof(struct instance, series),
	    offsetof(struct instance, transaction),
	};
	static const size_t texts[] = {
	    offsetof(struct instance, calling_ae),
	    offsetof(struct instance, called_ae),
	    offsetof(struct instance, modality),
	    offsetof(struct instance, accession),
	    offsetof(struct instance, patient_id),
	    offsetof(struct instance, patient_name),
	    offsetof(struct instance, move_originator),
	};
	struct instance in;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(uids); i++) {
		in = sample();
		memcpy((char *)&in + uids[i], "1.x", 4);
		refuse(&in);
	}
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		in = sample();
		memcpy((char *)&in + texts[i], "A\nB", 4);
		refuse(&in);
		memcpy((char *)&in + texts[i], "A\x7f", 3);
		refuse(&in);
	}
	in = sample();
	in.id.b[15] = 1; /* of another transfer */
	refuse(&in);
	in = sample();
	in.sop_class[0] = '\0';
	refuse(&in);
}

static void every_cut_is_refused_or_whole(void **state)
{
	struct instance in = sample(), out;
	uint8_t meta[INSTANCE_ENCODED_MAX];
	size_t len = link_offer_meta(&in, meta);
	enum err e = ERR_OK;

	(void)state;
	for (size_t n = 0; n < len; n++) {
		e = link_offer_take(&in.id, (struct link_bytes){meta, n}, &out);
		assert_true(e == ERR_OK || e == ERR_PROTO);
	}
	assert_int_equal(e, ERR_PROTO); /* one byte short */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_object_travels_and_the_store_stays),
	    cmocka_unit_test(a_peer_cannot_name_our_destinations),
	    cmocka_unit_test(messages_need_no_instance),
	    cmocka_unit_test(unusable_metadata_is_refused),
	    cmocka_unit_test(every_cut_is_refused_or_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
