#include "proxy/lib/condition.h"

#include <string.h>
#include <strings.h>

#include "proxy/lib/condition_events.h"
#include "proxy/lib/mem.h"

static const struct condition table[CONDITION_N] = {
#define X(i, n, s, word, cause_en, remedy_en, cause_zh, remedy_zh)             \
	{.id = CONDITION_##i,                                                  \
	 .number = (n),                                                        \
	 .code = "CV" #n,                                                      \
	 .name = (word),                                                       \
	 .severity = CONDITION_##s,                                            \
	 .cause = {cause_en, cause_zh},                                        \
	 .remedy = {remedy_en, remedy_zh}},
    CONDITION_MAP(X)
#undef X
};

enum { VARIES = CONDITION_N };

static const struct {
	const char *event;
	int id; /* VARIES: the line says it */
} events[] = {
#define X(word, i) {word, CONDITION_##i},
#define V(word)    {word, VARIES},
    CONDITION_EVENT_MAP(X, V)
#undef X
#undef V
};

const struct condition *condition_get(enum condition_id id)
{
	return &table[id];
}

static const struct condition *by_name(const char *name)
{
	for (size_t i = 0; i < CONDITION_N; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

const struct condition *condition_find(const char *text)
{
	const char *digits = strncasecmp(text, "cv", 2) == 0 ? text + 2 : text;

	if (strlen(digits) == 4 && strspn(digits, "0123456789") == 4) {
		for (size_t i = 0; i < CONDITION_N; i++)
			if (strcmp(table[i].code + 2, digits) == 0)
				return &table[i];
	}
	return by_name(text);
}

const struct condition *condition_of_event(const char *event)
{
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		if (strcmp(events[i].event, event) != 0)
			continue;
		return events[i].id == VARIES ? NULL : &table[events[i].id];
	}
	return by_name(event);
}

const char *condition_code(const char *event)
{
	const struct condition *c = condition_of_event(event);

	return c != NULL ? c->code : "";
}

const struct condition *condition_in_text(const char *text)
{
	const struct condition *found;
	char code[7];

	for (const char *p = text; (p = strstr(p, "[CV")) != NULL; p++) {
		if (strlen(p) < 8 || p[7] != ']')
			continue;
		memcpy(code, p + 1, 6);
		code[6] = '\0';
		found = condition_find(code);
		if (found != NULL)
			return found;
	}
	return NULL;
}

bool condition_event_varies(const char *event)
{
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if (strcmp(events[i].event, event) == 0)
			return events[i].id == VARIES;
	return false;
}

const char *condition_area(const struct condition *c,
			   enum condition_language language)
{
	static const struct {
		unsigned thousands;
		const char *text[CONDITION_LANGUAGES];
	} areas[] = {
#define X(n, en, zh) {n, {en, zh}},
	    CONDITION_AREA_MAP(X)
#undef X
	};

	for (size_t i = 0; i < ARRAY_LEN(areas); i++)
		if (areas[i].thousands == c->number / 1000)
			return areas[i].text[language];
	return "";
}

const char *condition_severity_text(enum condition_severity s,
				    enum condition_language language)
{
	static const char *const texts[][CONDITION_LANGUAGES] = {
	    [CONDITION_NOTE] = {"note", "提示"},
	    [CONDITION_WARN] = {"warning", "警告"},
	    [CONDITION_ERROR] = {"error", "错误"},
	};

	return texts[s][language];
}

/* tag is word, or word and what may follow a language. */
static bool begins(const char *tag, const char *word)
{
	size_t n = strlen(word);

	return strncasecmp(tag, word, n) == 0 &&
	       (tag[n] == '\0' || strchr("-_.@", tag[n]) != NULL);
}

int condition_language(const char *tag)
{
	if (tag == NULL || tag[0] == '\0' || begins(tag, "en") ||
	    begins(tag, "C") || begins(tag, "POSIX"))
		return CONDITION_EN;
	if (begins(tag, "zh"))
		return CONDITION_ZH;
	return -1;
}
