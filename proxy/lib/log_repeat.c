#include "proxy/lib/log_repeat.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/log_json.h"
#include "proxy/lib/mem.h"

static bool is_once_only(const char *event)
{
	static const char *const words[] = {
	    "quarantined",          "start-failed",     "stopped-hard",
	    "stopping-now",         "commitment-mixed", "commitment-stranded",
	    "commitment-reported",  "far-end-gave-up",  "redirect-refused",
	    "commitment-unreadable"};
	static const char *const begins[] = {"audit-", "config-"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(event, words[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_LEN(begins); i++)
		if (strncmp(event, begins[i], strlen(begins[i])) == 0)
			return true;
	return false;
}

static bool makes_kind(const struct log_pair *p)
{
	static const char *const keys[] = {"code",   "destination", "device",
					   "from",   "listener",    "endpoint",
					   "reason", "message",     "file"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strlen(keys[i]) == p->key_len &&
		    memcmp(keys[i], p->key, p->key_len) == 0)
			return true;
	return false;
}

static void key_of(const char *pairs, char out[LOG_REPEAT_KEY_LEN])
{
	struct log_pair p;
	size_t n = 0;

	out[0] = '\0';
	while (log_pair_next(&pairs, &p)) {
		const char *quote = p.quoted ? "\"" : "";
		size_t len = p.key_len + p.value_len + 5;

		if (!makes_kind(&p) || len > LOG_REPEAT_KEY_LEN - n)
			continue;
		n += (size_t)snprintf(out + n, LOG_REPEAT_KEY_LEN - n,
				      "%s%.*s=%s%.*s%s", n > 0 ? " " : "",
				      (int)p.key_len, p.key, quote,
				      (int)p.value_len, p.value, quote);
	}
}

/* The kind, or the place for it. */
static struct log_repeat *place(struct log_repeats *t, const char *event,
				const char *key)
{
	struct log_repeat *best = NULL;

	for (size_t i = 0; i < LOG_REPEAT_TABLE; i++) {
		struct log_repeat *k = &t->kinds[i];

		if (k->used && strcmp(k->event, event) == 0 &&
		    strcmp(k->key, key) == 0)
			return k;
		if (best == NULL ||
		    (best->used && (!k->used || k->last_ns < best->last_ns)))
			best = k;
	}
	if (best->used && best->held == 0)
		best->used = false;
	return best;
}

static bool is_kind(const struct log_repeat *k, const char *event,
		    const char *key)
{
	return k->used && strcmp(k->event, event) == 0 &&
	       strcmp(k->key, key) == 0;
}

bool log_repeat_pass(struct log_repeats *t, int level, const char *event,
		     const char *pairs, uint64_t now_ns, struct log_repeat *out)
{
	char key[LOG_REPEAT_KEY_LEN];
	struct log_repeat *k;

	out->used = false;
	if (is_once_only(event) || strlen(event) >= sizeof(k->event))
		return true;
	key_of(pairs, key);
	k = place(t, event, key);
	if (!is_kind(k, event, key) || now_ns - k->began_ns >= LOG_REPEAT_NS) {
		if (k->used && k->held > 0)
			*out = *k;
		*k = (struct log_repeat){
		    .used = true, .level = level, .began_ns = now_ns};
		memcpy(k->event, event, strlen(event) + 1);
		memcpy(k->key, key, strlen(key) + 1);
	}
	k->last_ns = now_ns;
	if (k->passed < LOG_REPEAT_MANY) {
		k->passed++;
		return true;
	}
	k->held++;
	return false;
}

bool log_repeat_due(struct log_repeats *t, uint64_t now_ns, bool all,
		    struct log_repeat *out)
{
	for (size_t i = 0; i < LOG_REPEAT_TABLE; i++) {
		struct log_repeat *k = &t->kinds[i];

		if (!k->used || k->held == 0 ||
		    (!all && now_ns - k->began_ns < LOG_REPEAT_NS))
			continue;
		*out = *k;
		k->used = false;
		return true;
	}
	return false;
}
