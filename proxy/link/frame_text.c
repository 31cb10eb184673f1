#include "proxy/lib/mem.h"
#include "proxy/link/frame.h"

/* Texts by number; numbers begin at 1. */

#define X_TEXT(name, number, text) [number] = (text),

static const char *pick(const char *const *texts, size_t n, uint16_t code)
{
	if (code >= n || texts[code] == NULL)
		return "unknown";
	return texts[code];
}

const char *link_bye_text(uint16_t code)
{
	static const char *const texts[] = {LINK_BYE_MAP(X_TEXT)};

	return pick(texts, ARRAY_LEN(texts), code);
}

const char *link_bad_text(uint8_t reason)
{
	static const char *const texts[] = {LINK_BAD_MAP(X_TEXT)};

	return pick(texts, ARRAY_LEN(texts), reason);
}

const char *link_withdraw_text(uint8_t reason)
{
	static const char *const texts[] = {LINK_WITHDRAW_MAP(X_TEXT)};

	return pick(texts, ARRAY_LEN(texts), reason);
}

const char *link_stuck_text(uint8_t kind)
{
	static const char *const texts[] = {LINK_STUCK_MAP(X_TEXT)};

	return pick(texts, ARRAY_LEN(texts), kind);
}

const char *link_refusal_text(uint16_t code)
{
	static const char *const texts[] = {
#define X(name, number, class, text) [number] = (text),
	    LINK_REFUSAL_MAP(X)
#undef X
	};

	return pick(texts, ARRAY_LEN(texts), code);
}

enum link_refusal_class link_refusal_class(uint16_t code)
{
	switch (code) {
#define X(name, number, class, text)                                           \
	case LINK_REFUSED_##name:                                              \
		return LINK_##class;
		LINK_REFUSAL_MAP(X)
#undef X
	}
	return LINK_HOLD;
}
