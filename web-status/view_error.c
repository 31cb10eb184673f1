/* What went wrong, in place of what was asked for. */
#include "web-status/layout.h"
#include "web-status/views.h"

static enum word says(unsigned code)
{
	switch (code) {
	case 400:
		return W_E_BAD;
	case 401:
	case 403:
		return W_E_ROLE;
	case 404:
		return W_E_NOTHING;
	case 405:
		return W_E_READ_ONLY;
	case 414:
		return W_E_LONG;
	case 421:
		return W_E_HOST;
	case 429:
		return W_E_MANY;
	case 503:
		return W_E_AWAY;
	}
	return W_E_FAILED;
}

enum web_code view_error(struct web_request *r, struct web_out *o)
{
	struct page p = page_of(r, o);
	unsigned code = web_error_code(r);

	page_begin_bare(&p, word_of(&p, says(code)), "alone");
	out_printf(o,
		   "<section class=\"sheet login\"><header><h1>%u</h1></header>"
		   "<div class=\"pad\"><p>%s</p><p><a href=\"/\">%s</a></p>"
		   "</div></section>",
		   code, word_of(&p, says(code)), word_of(&p, W_NOW));
	page_end_bare(&p);
	return WEB_OK;
}
