#include "web-status/words.h"

static const char *const texts[WORD_N][WEB_LANGUAGES] = {
#define X(name, en, zh) [W_##name] = {[WEB_EN] = (en), [WEB_ZH] = (zh)},
    WORD_MAP(X)
#undef X
};

const char *word_text(enum word w, enum web_language language)
{
	return texts[w][language];
}
