/* log_json.h - a line of the log as one JSON object.
 *
 * Pure. pairs is what follows the event in a line of text: key=word and
 * key="words", separated by spaces. A quoted value ends at the quote that is
 * followed by the end or by the next key. Words that are no pair are joined
 * under "words". \xNN from 01 to 7f (log_esc) is that character again. A key
 * that comes again gets a number, "cause.2". Bytes that are no UTF-8 become
 * U+FFFD, so that the line is valid JSON whatever a caller passed. */
#ifndef PROXY_LIB_LOG_JSON_H
#define PROXY_LIB_LOG_JSON_H

#include <stddef.h>

struct log_pair {
	const char *key, *value; /* into the pairs */
	size_t key_len, value_len;
	int quoted;
};

/* The next pair from *at, which moves behind it; a word that is no pair has
 * key_len 0. 0 at the end. */
int log_pair_next(const char **at, struct log_pair *out);

/* Writes a line without a newline to out, ended by NUL; cut at whole pairs to
 * fit. size is 256 at least. Returns its length. */
size_t log_json(char *out, size_t size, const char *when, const char *level,
		const char *event, const char *pairs);

#endif
