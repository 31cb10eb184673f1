/* link_kit.h - frames of the chunk link for tests. */
#ifndef TESTS_UNIT_LINK_KIT_H
#define TESTS_UNIT_LINK_KIT_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/link/frame.h"

/* A valid frame of the type with every field filled. Its pointers are good
 * until the next call for LINK_ACCEPTS. */
struct link_frame link_kit_sample(enum link_type type);

/* Encode into out[0..LINK_FRAME_MAX); fails the test if that fails. */
size_t link_kit_encode(const struct link_frame *f, uint8_t *out);

/* Decode exactly these bytes as one frame, from memory of exactly that size,
 * which lives until the next call. ERR_AGAIN: not a whole frame, or more. */
enum err link_kit_decode(const uint8_t *bytes, size_t len,
			 struct link_frame *out);

#endif
