/* spool_kit.h - what the tests of the spool share: a directory, instances,
 * puts that wait for their end, everything a tail returns. */
#ifndef TESTS_UNIT_SPOOL_KIT_H
#define TESTS_UNIT_SPOOL_KIT_H

#include <stddef.h>
#include <stdint.h>

#include "store/spool.h"

enum { KIT_PATH_LEN = 128, KIT_SEGMENT = 2 * 1024 * 1024 };

/* A fresh directory, in memory where the machine offers that. Returns out. */
char *kit_dir(char out[KIT_PATH_LEN]);
/* Remove it with everything in it. */
void kit_remove(const char *dir);
/* Copy every regular file of from into to, which exists. */
void kit_copy(const char *from, const char *to);
/* The path of the only (or the n-th, by name) segment-* file. */
char *kit_segment_path(const char *dir, unsigned n, char out[KIT_PATH_LEN]);
/* Flip one bit of a file. */
void kit_flip(const char *path, long offset, unsigned bit);

/* Small segments, small quota. The path is borrowed. */
struct spool_options kit_options(const char *dir);
/* Opens or fails the test, printing why. */
struct spool *kit_open(const struct spool_options *o);

/* The n-th instance: UIDs and names made of n, destination "cloud". */
void kit_instance(unsigned n, struct instance *out);
/* Bytes that depend on seed. */
void kit_fill(uint8_t *p, size_t n, unsigned seed);

/* Begin, give all data in pieces of 16 KiB (obeying spool_put_full()), finish
 * and wait. *stored (may be NULL) is what on_done got. */
enum err kit_put(struct spool *s, const struct instance *in, const uint8_t *p,
		 size_t n, struct instance *stored);

struct kit_records {
	struct tail_record *at;
	size_t n;
	struct outcome *outcomes; /* of all of them */
	size_t n_outcomes;
};

/* Everything durable after a sequence. */
void kit_tail(struct spool *s, uint64_t after, struct kit_records *out);
void kit_records_free(struct kit_records *r);
/* Place of a chunk, the newest copy; NULL: none. */
const struct tail_record *kit_chunk(const struct kit_records *r,
				    const struct transfer_id *id,
				    uint32_t index);
/* The final record of the n-th instance of kit_instance(), or NULL. */
const struct tail_record *kit_final(const struct kit_records *r, unsigned n);
/* Read all chunks of a final record's instance and compare with
 * kit_fill(seed). ERR_CORRUPT also when the bytes differ. */
enum err kit_verify(struct spool *s, const struct kit_records *r,
		    const struct instance *in, unsigned seed);

#endif
