/* Data sets of storage commitment: what decodes is bounded, and encoded again
 * decodes to the same; merging keeps every reference. First byte: the
 * encoding. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/dicom/commit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			__builtin_trap();                                      \
	} while (0)

static void check_set(const struct commit_set *set)
{
	size_t failed = 0;

	CHECK(set->n > 0 && set->n <= COMMIT_REFS_MAX);
	CHECK(uid_valid(set->transaction));
	for (size_t i = 0; i < set->n; i++) {
		const struct commit_ref *r = &set->refs[i];

		CHECK(uid_valid(r->sop_instance));
		CHECK(r->sop_class[0] == '\0' || uid_valid(r->sop_class));
		failed += r->reason != COMMIT_OK;
	}
	CHECK(failed == set->n_failed);
}

/* A report lists the failed ones first, so compare by the index. */
static void check_again(const struct commit_set *set, enum ts_kind kind)
{
	struct commit_set again;
	struct commit_index x;
	struct buf b;

	buf_init(&b, (size_t)2 * COMMIT_DATA_MAX);
	CHECK(commit_encode_report(set, kind, &b) == ERR_OK);
	CHECK(commit_decode(buf_data(&b), buf_len(&b), kind, &again) == ERR_OK);
	CHECK(strcmp(again.transaction, set->transaction) == 0);
	CHECK(again.n == set->n && again.n_failed == set->n_failed);
	CHECK(commit_index(&again, &x) == ERR_OK);
	for (size_t i = 0; i < set->n; i++)
		CHECK(commit_index_find(&x, set->refs[i].sop_instance) != NULL);
	commit_index_free(&x);
	commit_free(&again);
	buf_free(&b);
}

static void check_merge(const struct commit_set *set)
{
	struct commit_set merged;

	CHECK(commit_merge(set, set, &merged) == ERR_OK);
	CHECK(merged.n == set->n && merged.n_failed >= set->n_failed);
	commit_free(&merged);
	CHECK(commit_merge(set, NULL, &merged) == ERR_OK);
	CHECK(merged.n == set->n && merged.n_failed == set->n);
	commit_free(&merged);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct commit_set set;
	uint8_t *bytes;

	if (len < 1)
		return 0;
	bytes = malloc(len - 1); /* nothing behind its end */
	CHECK(bytes != NULL || len == 1);
	memcpy(bytes, data + 1, len - 1);
	if (commit_decode(bytes, len - 1, (enum ts_kind)(data[0] % 4), &set) ==
	    ERR_OK) {
		check_set(&set);
		check_again(&set, TS_IMPLICIT_LE);
		check_again(&set, TS_EXPLICIT_LE);
		check_merge(&set);
		commit_free(&set);
	}
	free(bytes);
	return 0;
}
