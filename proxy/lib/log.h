/* log.h - one line an event on stderr: time, level, event, key=value pairs.
 *
 *   2026-05-04T09:15:27.123Z info assoc-accepted assoc=17 device=ct-room-2
 *
 * or, as JSON, one object a line with the same keys:
 *
 *   {"time":"2026-05-04T09:15:27.123Z","level":"info","event":"assoc-accepted",
 *    "assoc":"17","device":"ct-room-2"}
 *
 * Warnings and errors carry the code of their condition (condition.h), and its
 * cause and remedy unless the call has words of its own for them. One that
 * repeats is counted and summed up (log_repeat.h). When stderr is the journal,
 * each line begins with its priority, <3> for an error.
 *
 * Keys that mean the same everywhere: assoc=, the number of an association,
 * its row in the ledger; for=, that of the device's association on whose
 * behalf; transfer=, the identity of an instance; device=, destination=,
 * listener=; detail=, what differs from case to case.
 *
 * Thread-safe; a line is one write(2). Never patient data, keys or PINs. Text
 * that came from a peer goes through log_esc() first. */
#ifndef PROXY_LIB_LOG_H
#define PROXY_LIB_LOG_H

#include <stddef.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_format { LOG_TEXT, LOG_JSON };

/* event: lower-case words joined by '-'. fmt: the key=value pairs, values with
 * spaces in quotes; quotes inside those become ' in the line. Lines are cut at
 * 2,000 bytes. A call at LOG_WARN or
 * LOG_ERROR has a condition of its event's name, or a row in
 * condition_events.h. */
void log_event(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Lines below level are dropped. Default LOG_INFO. */
void log_set_level(enum log_level level);

/* Default LOG_TEXT. */
void log_set_format(enum log_format format);

/* Sum up what has been held back and is due; all: whatever there is. For a
 * timer, and the end of the process; log_event() does it too. */
void log_flush(int all);

/* Quote untrusted text for a value: "..." with \xNN for control characters,
 * quotes, backslashes, bytes above 0x7e and a space in front. So it is a value
 * of its own, or part of a quoted sentence, and ends neither. Cut to fit.
 * Returns out. */
char *log_esc(const char *text, char *out, size_t out_size);

#endif
