/* control_io.h - lines of JSON over a Unix socket, blocking, with a deadline.
 *
 * jansson's values are the caller's: a reference given out must be dropped. */
#ifndef PROXY_CONTROL_IO_H
#define PROXY_CONTROL_IO_H

#include <jansson.h>
#include <stddef.h>

#include "proxy/lib/err.h"

enum {
	CONTROL_LINE_MAX = 1024 * 1024, /* bytes of one line */
	CONTROL_IO_SECONDS = 15         /* longest wait for the other side */
};

/* Set the deadline of each read and write of fd. */
void control_deadline(int fd);
/* {"ok":false,"error":text}; NULL when memory is out. */
json_t *control_error(const char *text);
/* One line. ERR_IO; ERR_NOMEM. */
enum err control_send(int fd, const json_t *j) MUST_CHECK;
/* All n bytes. ERR_IO. */
enum err control_send_bytes(int fd, const void *p, size_t n) MUST_CHECK;
/* One line, which must be whole within so many seconds; nothing behind it is
 * read. ERR_IO; ERR_TIMEOUT; ERR_LIMIT; ERR_PROTO: not a JSON object. *out is a
 * new reference on ERR_OK. */
enum err control_receive(int fd, unsigned seconds, json_t **out) MUST_CHECK;

#endif
