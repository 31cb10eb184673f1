#include "proxy/lib/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/clock.h"

enum { LINE_MAX_LEN = 2000 }; /* bytes */

static atomic_int level_now = LOG_INFO;

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_DEBUG:
		return "debug";
	case LOG_INFO:
		return "info";
	case LOG_WARN:
		return "warn";
	case LOG_ERROR:
		return "error";
	}
	return "?";
}

void log_set_level(enum log_level level)
{
	atomic_store(&level_now, (int)level);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	char line[LINE_MAX_LEN + 2], when[CLOCK_TEXT_LEN];
	int saved = errno, n, m = 0;
	va_list ap;

	if ((int)level < atomic_load(&level_now))
		return;
	n = snprintf(line, LINE_MAX_LEN, "%s %s %s ",
		     clock_text(clock_wall_ms(), when), level_name(level),
		     event);
	if (n < 0)
		return;
	if (n < LINE_MAX_LEN) {
		va_start(ap, fmt);
		m = vsnprintf(line + n, (size_t)(LINE_MAX_LEN - n), fmt, ap);
		va_end(ap);
	}
	n += m > 0 ? m : 0;
	if (n > LINE_MAX_LEN - 1)
		n = LINE_MAX_LEN - 1;
	/* the last word on one line an event, whatever a caller passed */
	for (int i = 0; i < n; i++) {
		if ((uint8_t)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[n++] = '\n';
	/* a log that cannot be written must not stop the work */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		errno = saved;
	errno = saved;
}

char *log_esc(const char *text, char *out, size_t out_size)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	assert(out_size >= 3);
	out[n++] = '"';
	for (const uint8_t *p = (const uint8_t *)text; *p != '\0'; p++) {
		if (*p >= 0x20 && *p <= 0x7e && *p != '"' && *p != '\\') {
			if (n + 2 >= out_size)
				break;
			out[n++] = (char)*p;
			continue;
		}
		if (n + 5 >= out_size)
			break;
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[*p >> 4];
		out[n++] = hex[*p & 15];
	}
	out[n++] = '"';
	out[n] = '\0';
	return out;
}
