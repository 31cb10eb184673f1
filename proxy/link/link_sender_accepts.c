/* link_sender_accepts.c - what the far archive accepts. */
#include "proxy/link/link_sender_int.h"

void link_accepts_take(struct link_sender *s, const struct link_frame *f)
{
	(void)s;
	(void)f;
}
