/* frame_int.h - what the files of the frame codec share; nobody else's. */
#ifndef PROXY_LINK_FRAME_INT_H
#define PROXY_LINK_FRAME_INT_H

#include "proxy/link/frame.h"

/* The rule that a frame's fields break, or NULL. For both directions: what the
 * encoder may write is what the decoder takes. Lengths of fixed fields are not
 * looked at; list bytes (runs, ids, pairs) are there as counted. */
const char *link_frame_check(const struct link_frame *f);

/* Printable ASCII only. */
bool link_printable(const uint8_t *p, size_t len);

#endif
