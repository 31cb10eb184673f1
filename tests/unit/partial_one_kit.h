/* partial_one_kit.h - one spool, and one peer that puts one transfer of five
 * chunks into it. */
#ifndef TESTS_UNIT_PARTIAL_ONE_KIT_H
#define TESTS_UNIT_PARTIAL_ONE_KIT_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/unit/partial_kit.h"
#include "tests/unit/spool_one_kit.h"

enum { LENGTH = 4 * CHUNK_LEN + 12345, CHUNKS = 5, ALL = 0x1f };

extern struct peer peer;

int partial_begin(void **state);
int partial_end(void **state);
/* Close its put and the spool, as a daemon that ends; open the spool again. */
void partial_restart(void);
void partial_open_peer(bool resumed);
void partial_put(uint64_t bits);
void partial_expect_instance(void);
void partial_expect_no_instance(void);

#endif
