/* "/": how things stand; and what of it changes, for those who look. */
#include "web-status/layout.h"
#include "web-status/now.h"
#include "web-status/views.h"

enum web_code view_now(struct web_request *r, struct web_out *o)
{
	struct page p = page_of(r, o);
	struct now *n = now_gather(&p);

	if (n == NULL)
		return WEB_FAILED;
	page_begin(&p, AT_NOW, word_of(&p, W_NOW));
	now_verdict(&p, n);
	now_destinations(&p, n);
	now_charts(&p, n);
	now_devices(&p, n);
	out_raw(o, "<div class=\"side uneven\">");
	now_machine(&p, n);
	now_certificates(&p);
	out_raw(o, "</div>");
	page_end(&p);
	now_free(n);
	return WEB_OK;
}
