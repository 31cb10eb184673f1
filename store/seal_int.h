/* seal_int.h - what seal.c and seal_key.c share. Nobody else includes it. */
#ifndef STORE_SEAL_INT_H
#define STORE_SEAL_INT_H

#include <stdint.h>

#include "store/seal.h"

struct seal_key {
	uint8_t key[SEAL_KEY_LEN];
	uint8_t id[SEAL_KEY_ID_LEN];
};

/* Initialise the library once; any thread. ERR_IO: it refuses. */
enum err seal_library_init(void) MUST_CHECK;

#endif
