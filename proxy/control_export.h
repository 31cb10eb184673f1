/* control_export.h - give an operator the Part 10 file of a spooled instance.
 *
 * Runs on the connection's own thread and reads the spool there: every chunk
 * is opened and checked before its bytes leave. */
#ifndef PROXY_CONTROL_EXPORT_H
#define PROXY_CONTROL_EXPORT_H

#include "proxy/control.h"

/* Answer the request on fd: {"ok":true,"length":n,"sop_instance":uid} and n
 * bytes, or an error. A connection that ends before n bytes: the copy in the
 * spool is damaged or gone. */
void control_export(const struct control_options *opt, int fd,
		    const char *transfer);

#endif
