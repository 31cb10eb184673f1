/* syslog.h - the header of RFC 5424, and the frames of RFC 5425.
 *
 * Pure: no I/O, no allocation, no clock. */
#ifndef PROXY_SYSLOG_H
#define PROXY_SYSLOG_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

enum {
	SYSLOG_HEADER_MAX = 256, /* bytes before the message, at most */
	SYSLOG_TLS_PORT = 6514,
	SYSLOG_UDP_PORT = 514
};

struct syslog_header {
	unsigned facility, severity; /* 0..23, 0..7 */
	int64_t wall_ms;
	const char *host, *app; /* cut to 64 and 48 bytes */
	uint32_t pid;
	const char *msgid; /* cut to 32 bytes */
};

/* "<85>1 2026-05-04T09:15:27.123Z edge-01 culvert 2114 DICOM+RFC3881 - ". What
 * is no visible ASCII becomes '?', nothing becomes '-'. Returns its length;
 * no NUL. */
size_t syslog_header(const struct syslog_header *h,
		     char out[SYSLOG_HEADER_MAX]);

/* "92 ": the count in front of a message of len bytes (RFC 5425 4.3). Returns
 * its length; out is NUL-terminated. */
enum { SYSLOG_COUNT_MAX = 24 };
size_t syslog_count(size_t len, char out[SYSLOG_COUNT_MAX]);

#endif
