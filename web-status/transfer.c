#include "web-status/transfer.h"

enum word transfer_state(enum delivery_state s, enum level *l)
{
	static const struct {
		enum word word;
		enum level level;
	} rows[DELIVERY_N_STATES] = {
	    [DELIVERY_QUEUED] = {W_D_QUEUED, LEVEL_IDLE},
	    [DELIVERY_HELD] = {W_D_HELD, LEVEL_WARN},
	    [DELIVERY_QUARANTINED] = {W_D_QUARANTINED, LEVEL_BAD},
	    [DELIVERY_DELIVERED] = {W_D_DELIVERED, LEVEL_OK},
	    [DELIVERY_WITHDRAWN] = {W_D_WITHDRAWN, LEVEL_IDLE},
	    [DELIVERY_DISCARDED] = {W_D_DISCARDED, LEVEL_WARN},
	    [DELIVERY_UNCOMMITTED] = {W_D_UNCOMMITTED, LEVEL_IDLE},
	    [DELIVERY_COMMITTED] = {W_D_COMMITTED, LEVEL_OK},
	    [DELIVERY_ARRIVED] = {W_D_ARRIVED, LEVEL_IDLE},
	};

	if (l != NULL)
		*l = rows[s].level;
	return rows[s].word;
}

enum level transfer_level(enum delivery_state s)
{
	enum level l;

	(void)transfer_state(s, &l);
	return l;
}

void transfer_show_state(const struct page *p, const struct view_delivery *d)
{
	enum level l;
	enum word w = transfer_state(d->state, &l);
	bool open = d->state == DELIVERY_QUEUED || d->state == DELIVERY_HELD ||
		    d->state == DELIVERY_QUARANTINED;

	show_mark(p, l, w);
	if (d->last_error[0] != '\0' && open)
		show_error(p, d->last_error);
	if (d->state == DELIVERY_QUEUED && d->next_attempt_ms > p->now_ms) {
		out_raw(p->o, "<span class=\"under\">");
		say_time(p, W_NEXT_ATTEMPT, d->next_attempt_ms);
		out_raw(p->o, "</span>");
	}
}
