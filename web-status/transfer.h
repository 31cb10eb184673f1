/* transfer.h - how a delivery is shown, in a list and on its study's page. */
#ifndef WEB_STATUS_TRANSFER_H
#define WEB_STATUS_TRANSFER_H

#include "store/ledger_view.h"
#include "web-status/show.h"

/* Its words, and how grave it is (l may be NULL). */
enum word transfer_state(enum delivery_state s, enum level *l);
enum level transfer_level(enum delivery_state s);
/* The state, and under it what went wrong, with its remedy, and when it is
 * tried again. */
void transfer_show_state(const struct page *p, const struct view_delivery *d);

#endif
