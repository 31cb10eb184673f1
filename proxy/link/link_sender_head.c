/* link_sender_head.c - signed heads of the audit leave by the link. */
#include "proxy/link/link_sender_int.h"
#include "store/audit_head.h"
#include "store/ledger.h"

_Static_assert(LINK_HEAD_MAX == AUDIT_HEAD_FILE_LEN - 1, "the longest head");

void link_head_say(struct link_sender *s, uint64_t now_ms)
{
	struct link_frame f = {.type = LINK_HEAD};
	char text[AUDIT_HEAD_FILE_LEN];
	struct audit_head h;
	int conn = link_line_any(s);

	if (conn < 0 || (s->terms.features & LINK_HEADS) == 0 ||
	    (s->head_ms != 0 && now_ms - s->head_ms < LINK_HEAD_EVERY_MS) ||
	    !ledger_head(s->env.ledger, s->head_number, &h))
		return;
	f.head.p = (const uint8_t *)text;
	f.head.len = audit_head_file(&h, text);
	if (!link_line_send(s, (unsigned)conn, &f))
		return;
	s->head_ms = now_ms;
	s->head_number = h.number;
}
