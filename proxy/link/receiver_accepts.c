/* receiver_accepts.c - what the archives accept, for the edge to promise its
 * devices. */
#include "proxy/link/receiver_int.h"

void rx_accepts_tell(struct rx_session *s)
{
	(void)s;
}
