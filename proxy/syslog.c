#include "proxy/syslog.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"

/* A field of PRINTUSASCII, at most max bytes (RFC 5424 6). */
static const char *field(const char *text, size_t max, char out[65])
{
	size_t n = strnlen(text, max);

	for (size_t i = 0; i < n; i++)
		out[i] = text[i] > 0x20 && text[i] < 0x7f ? text[i] : '?';
	if (n == 0)
		out[n++] = '-';
	out[n] = '\0';
	return out;
}

size_t syslog_header(const struct syslog_header *h, char out[SYSLOG_HEADER_MAX])
{
	char time[CLOCK_TEXT_LEN], host[65], app[65], msgid[65];
	int n = snprintf(out, SYSLOG_HEADER_MAX, "<%u>1 %s %s %s %u %s - ",
			 (h->facility % 24) * 8 + h->severity % 8,
			 clock_text(h->wall_ms, time), field(h->host, 64, host),
			 field(h->app, 48, app), h->pid,
			 field(h->msgid, 32, msgid));

	return n > 0 ? (size_t)n : 0;
}

size_t syslog_count(size_t len, char out[SYSLOG_COUNT_MAX])
{
	int n = snprintf(out, SYSLOG_COUNT_MAX, "%zu ", len);

	return n > 0 ? (size_t)n : 0;
}
