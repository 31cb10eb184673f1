/* condition_events.h - events of the log whose condition has another name.
 *
 *   X("event", ID)   lines of this event are of the condition ID
 *   V("event")       its lines say of which: they begin with code=CV...
 *
 * An event with the name of a condition needs no row. */
#ifndef PROXY_LIB_CONDITION_EVENTS_H
#define PROXY_LIB_CONDITION_EVENTS_H

#define CONDITION_EVENT_MAP(X, V)                                              \
	X("segment-forgotten", SPOOL_FILES)                                    \
	V("refused")

#endif
