/* Frames of a leg: however the bytes are cut, the same P-DATA-TF bytes pass and
 * the same control PDUs are found, and every call takes something. The first
 * byte says how to cut. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/leg_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			__builtin_trap();                                      \
	} while (0)

struct tally {
	uint8_t *data; /* what passed */
	size_t n;
	uint64_t controls; /* a hash */
	bool bad;
	uint8_t reason;
};

static void note(struct tally *t, const struct leg_frame *f,
		 enum leg_piece piece, const uint8_t *p, size_t n)
{
	switch (piece) {
	case LEG_PIECE_NONE:
		break;
	case LEG_PIECE_DATA:
		memcpy(t->data + t->n, p, n);
		t->n += n;
		break;
	case LEG_PIECE_CONTROL:
		t->controls = (t->controls ^ f->type) * 1099511628211u;
		for (size_t i = 0; i < LEG_BODY_LEN; i++)
			t->controls =
			    (t->controls ^ f->body[i]) * 1099511628211u;
		/* nothing is taken after these */
		t->bad =
		    f->type == PDU_ASSOCIATE_RQ || f->type == PDU_ASSOCIATE_AC;
		break;
	case LEG_PIECE_BAD:
		t->bad = true;
		t->reason = f->abort_reason;
		break;
	}
}

/* A copy of its own for each part, so that reading beyond it is seen. */
static void part(struct leg_frame *f, struct tally *t, const uint8_t *p,
		 size_t n)
{
	uint8_t *copy = malloc(n + 1);
	size_t at = 0;

	CHECK(copy != NULL);
	memcpy(copy, p, n);
	copy = realloc(copy, n);
	CHECK(copy != NULL);
	while (at < n && !t->bad) {
		enum leg_piece piece;
		size_t used = leg_frame_next(f, copy + at, n - at, &piece);

		CHECK(used > 0 && used <= n - at);
		note(t, f, piece, copy + at, used);
		at += used;
	}
	free(copy);
}

static struct tally run(const uint8_t *p, size_t n, size_t cut)
{
	struct tally t = {.data = malloc(n + 1)};
	struct leg_frame f = {0};

	CHECK(t.data != NULL);
	for (size_t at = 0; at < n && !t.bad; at += cut)
		part(&f, &t, p + at, n - at < cut ? n - at : cut);
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tally whole, cut;
	size_t n;

	if (len < 2)
		return 0;
	whole = run(data + 1, len - 1, len);
	cut = run(data + 1, len - 1, (size_t)data[0] % 37 + 1);
	CHECK(whole.bad == cut.bad && whole.reason == cut.reason);
	CHECK(whole.controls == cut.controls);
	/* before a fault more may have passed in small parts */
	CHECK(whole.bad || whole.n == cut.n);
	n = whole.n < cut.n ? whole.n : cut.n;
	CHECK(memcmp(whole.data, cut.data, n) == 0);
	free(whole.data);
	free(cut.data);
	return 0;
}
