/* spool_one_kit.h - one open spool for each test, in a directory of its own. */
#ifndef TESTS_UNIT_SPOOL_ONE_KIT_H
#define TESTS_UNIT_SPOOL_ONE_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/spool_kit.h"

enum { ONE_MOST = 5 * CHUNK_LEN, ONE_SIZES = 11 };

struct one {
	char dir[KIT_PATH_LEN];
	struct spool_options options;
	struct spool *spool;
	uint8_t *data; /* kit_fill(1), ONE_MOST bytes */
};

extern struct one one;
/* Lengths of data sets around every border; the longest is below ONE_MOST. */
extern const size_t one_sizes[ONE_SIZES];

/* Around the group: one.data. */
int one_make_data(void **state);
int one_free_data(void **state);
/* Around each test: one.spool. */
int one_open(void **state);
int one_close(void **state);
#define ONE_TEST(f) cmocka_unit_test_setup_teardown(f, one_open, one_close)

void one_reopen(void);
/* kit_put() of kit_instance(n) with size bytes of one.data. */
enum err one_put(unsigned n, size_t size, struct instance *stored);
/* The on_done of a put that never ends: fails the test. */
void one_never_done(void *arg, enum err e, const struct instance *stored);
/* Everything put with sizes[] is there, with its metadata, bit for bit. */
void one_expect(const size_t *sizes, unsigned count);
bool one_has_outcome(const struct kit_records *r, enum outcome_kind kind,
		     const struct transfer_id *id);
/* Wait until an outcome of id is durable; false: it never was. */
bool one_wait_outcome(enum outcome_kind kind, const struct transfer_id *id);
/* Recycle all but the current segment. Returns how many. */
unsigned one_recycle(void);

#endif
