/* log.h - one line an event on stderr: time, level, event, key=value pairs.
 *
 *   2026-05-04T09:15:27.123Z info assoc-accepted assoc=17 device=ct-room-2
 *
 * Thread-safe; a line is one write(2). Never patient data, keys or PINs. Text
 * that came from a peer goes through log_esc() first. */
#ifndef PROXY_LIB_LOG_H
#define PROXY_LIB_LOG_H

#include <stddef.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* event: lower-case words joined by '-'. fmt: the key=value pairs. Lines are
 * cut at 2,000 bytes. */
void log_event(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Lines below level are dropped. Default LOG_INFO. */
void log_set_level(enum log_level level);

/* Quote untrusted text for a value: "..." with \xNN for control characters,
 * quotes, backslashes and bytes above 0x7e. Cut to fit. Returns out. */
char *log_esc(const char *text, char *out, size_t out_size);

#endif
