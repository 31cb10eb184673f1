#include "proxy/lib/log.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/condition.h"
#include "proxy/lib/log_json.h"
#include "proxy/lib/log_repeat.h"

enum {
	LINE_MAX_LEN = 2000,  /* bytes of text */
	JSON_MAX_LEN = 12288, /* 2,000 bytes of text as JSON */
	FLUSH_EVERY_NS = 1000000000
};

static atomic_int level_now = LOG_INFO;
static atomic_int format_now = LOG_TEXT;

/* What repeats; under the lock. */
static pthread_mutex_t repeats_lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_repeats repeats;
static atomic_ullong flushed_ns;

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

void log_set_format(enum log_format format)
{
	atomic_store(&format_now, (int)format);
}

/* ---- the journal (systemd.exec(5), sd-daemon(3)) ------------------------ */

static pthread_once_t journal_once = PTHREAD_ONCE_INIT;
static bool to_journal;

/* JOURNAL_STREAM is inherited: it counts only while stderr is that stream. */
static void look_for_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	if (stream == NULL ||
	    sscanf(stream, "%llu:%llu", &device, &inode) != 2 ||
	    fstat(STDERR_FILENO, &st) != 0)
		return;
	to_journal = st.st_dev == device && st.st_ino == inode;
}

static const char *priority(enum log_level level)
{
	pthread_once(&journal_once, look_for_journal);
	if (!to_journal)
		return "";
	switch (level) {
	case LOG_DEBUG:
		return "<7>";
	case LOG_INFO:
		return "<6>";
	case LOG_WARN:
		return "<4>";
	case LOG_ERROR:
		return "<3>";
	}
	return "";
}

/* ---- one line ----------------------------------------------------------- */

/* A text that grows to LINE_MAX_LEN and is cut there. */
struct pairs {
	char text[LINE_MAX_LEN];
	size_t n;
};

static void add(struct pairs *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void add_list(struct pairs *p, const char *fmt, va_list ap)
{
	size_t room = sizeof(p->text) - p->n;
	int n = vsnprintf(p->text + p->n, room, fmt, ap);

	if (n > 0)
		p->n += (size_t)n < room ? (size_t)n : room - 1;
}

static void add(struct pairs *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_list(p, fmt, ap);
	va_end(ap);
}

static bool has_key(const char *pairs, const char *key)
{
	struct log_pair p;
	size_t n = strlen(key);

	while (log_pair_next(&pairs, &p))
		if (p.key_len == n && memcmp(p.key, key, n) == 0)
			return true;
	return false;
}

/* The condition that pairs name by code=CV...; NULL: none. */
static const struct condition *said(const char *pairs)
{
	struct log_pair p;
	char code[8];

	while (log_pair_next(&pairs, &p)) {
		if (p.key_len != 4 || memcmp(p.key, "code", 4) != 0 ||
		    p.value_len != 6)
			continue;
		memcpy(code, p.value, 6);
		code[6] = '\0';
		return condition_find(code);
	}
	return NULL;
}

/* code= in front, cause= and remedy= behind, as far as the call has not. */
static void complete(struct pairs *out, const char *event, const char *pairs)
{
	const struct condition *c = said(pairs), *other = NULL;

	if (c == NULL) {
		other = condition_of_event(event);
		if (other == NULL)
			other = condition_in_text(pairs);
	}
	if (other != NULL)
		add(out, "code=%s ", other->code);
	add(out, "%s", pairs);
	c = c != NULL ? c : other;
	if (c == NULL)
		return;
	if (!has_key(pairs, "cause"))
		add(out, " cause=\"%s\"", c->cause[CONDITION_EN]);
	if (!has_key(pairs, "remedy"))
		add(out, " remedy=\"%s\"", c->remedy[CONDITION_EN]);
}

/* The last word on one line an event, whatever a caller passed: no control
 * characters, and no quote inside a quoted value, so that others who read
 * key=value pairs see the same ones. */
static void flatten(struct pairs *p)
{
	const char *at = p->text;
	struct log_pair v = {.quoted = 0};
	bool closed = true;

	for (size_t i = 0; i < p->n; i++)
		if ((uint8_t)p->text[i] < 0x20 || p->text[i] == 0x7f)
			p->text[i] = '?';
	while (log_pair_next(&at, &v)) {
		char *value = p->text + (v.value - p->text);

		for (size_t i = 0; v.quoted && i < v.value_len; i++)
			if (value[i] == '"')
				value[i] = '\'';
		closed = !v.quoted || value[v.value_len] == '"';
	}
	if (closed)
		return;
	/* it was cut off */
	if (p->n == sizeof(p->text) - 1)
		p->n--;
	if (p->text[p->n - 1] == '\\')
		p->text[p->n - 1] = '?';
	p->text[p->n++] = '"';
	p->text[p->n] = '\0';
}

static void write_line(enum log_level level, const char *event,
		       const char *pairs)
{
	char line[JSON_MAX_LEN + 8], when[CLOCK_TEXT_LEN];
	const char *prefix = priority(level);
	size_t n = strlen(prefix);

	memcpy(line, prefix, n);
	clock_text(clock_wall_ms(), when);
	if (atomic_load(&format_now) == LOG_JSON)
		n += log_json(line + n, JSON_MAX_LEN, when, level_name(level),
			      event, pairs);
	else
		n += (size_t)snprintf(line + n, JSON_MAX_LEN, "%s %s %.80s %s",
				      when, level_name(level), event, pairs);
	line[n++] = '\n';
	/* a log that cannot be written must not stop the work */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}

/* ---- what repeats ------------------------------------------------------- */

static void sum_up(const struct log_repeat *k)
{
	struct pairs p = {.n = 0}, all = {.n = 0};

	add(&p, "%s%srepeated=%llu seconds=%llu", k->key,
	    k->key[0] != '\0' ? " " : "", (unsigned long long)k->held,
	    (unsigned long long)((k->last_ns - k->began_ns + 999999999) /
				 1000000000));
	complete(&all, k->event, p.text);
	flatten(&all);
	write_line((enum log_level)k->level, k->event, all.text);
}

void log_flush(int all)
{
	struct log_repeat k;
	uint64_t now = clock_mono_ns();
	bool more = true;

	atomic_store(&flushed_ns, now);
	while (more) {
		pthread_mutex_lock(&repeats_lock);
		more = log_repeat_due(&repeats, now, all != 0, &k);
		pthread_mutex_unlock(&repeats_lock);
		if (more)
			sum_up(&k);
	}
}

static bool may_pass(enum log_level level, const char *event, const char *pairs)
{
	struct log_repeat gone;
	bool pass;

	pthread_mutex_lock(&repeats_lock);
	pass = log_repeat_pass(&repeats, (int)level, event, pairs,
			       clock_mono_ns(), &gone);
	pthread_mutex_unlock(&repeats_lock);
	if (gone.used)
		sum_up(&gone);
	return pass;
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	struct pairs given = {.n = 0}, all = {.n = 0};
	int saved = errno;
	va_list ap;

	if ((int)level < atomic_load(&level_now))
		return;
	va_start(ap, fmt);
	add_list(&given, fmt, ap);
	va_end(ap);
	flatten(&given);
	if (level >= LOG_WARN) {
		complete(&all, event, given.text);
		flatten(&all);
		if (may_pass(level, event, all.text))
			write_line(level, event, all.text);
	} else {
		write_line(level, event, given.text);
	}
	if (clock_mono_ns() - atomic_load(&flushed_ns) > FLUSH_EVERY_NS)
		log_flush(0);
	errno = saved;
}

char *log_esc(const char *text, char *out, size_t out_size)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	assert(out_size >= 3);
	out[n++] = '"';
	for (const uint8_t *p = (const uint8_t *)text; *p != '\0'; p++) {
		/* a leading space would end a quoted sentence around this */
		if (*p >= (n == 1 ? 0x21 : 0x20) && *p <= 0x7e && *p != '"' &&
		    *p != '\\') {
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
