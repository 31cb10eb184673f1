/* condition_events.h - words of the log whose condition has another name.
 *
 *   X("word", ID)   lines of this event, or refusals for this reason, are of
 *                   the condition ID
 *   V("event")      its lines say of which: by code=CV..., or by a text that
 *                   ends with [CV...]
 *
 * A word that is the name of a condition needs no row. */
#ifndef PROXY_LIB_CONDITION_EVENTS_H
#define PROXY_LIB_CONDITION_EVENTS_H

#define CONDITION_EVENT_MAP(X, V)                                              \
	X("order-refused-again", ORDER_REFUSED)                                \
	X("accept-failed", LISTENER_STARVED)                                   \
	X("outcome-lost", MEMORY)                                              \
	X("outcomes-lost", MEMORY)                                             \
	X("protocol-version", BAD_REQUEST)                                     \
	X("application-context", BAD_REQUEST)                                  \
	X("handshakes-limited-again", HANDSHAKES_LIMITED)                      \
	X("store-refused", REQUEST_REFUSED)                                    \
	X("directory-unusable", DIRECTORY_DENIED)                              \
	X("link-note", TCP_OPTION)                                             \
	X("link-connection-lost", LINK_LOST)                                   \
	X("link-silent", LINK_LOST)                                            \
	X("partial-expired", LINK_EXPIRED)                                     \
	X("commitment-repeated", COMMITMENT_UNANSWERED)                        \
	X("segment-remove-failed", SPOOL_FILES)                                \
	X("segment-rename-failed", SPOOL_FILES)                                \
	X("segment-prepare-failed", SPOOL_FILES)                               \
	X("segment-forgotten", SPOOL_FILES)                                    \
	X("segment-head-damaged", SPOOL_DAMAGE)                                \
	X("spool-record-damaged", SPOOL_DAMAGE)                                \
	X("spool-segment-missing", SPOOL_DAMAGE)                               \
	X("chunk-lost", CHUNK_UNREADABLE)                                      \
	X("ledger-unusable", LEDGER_FAILING)                                   \
	X("ledger-tail-failing", LEDGER_FAILING)                               \
	X("ledger-last-commit-failed", LEDGER_FAILING)                         \
	X("ledger-moved-aside", LEDGER_LOST)                                   \
	X("ledger-rebuilding", LEDGER_LOST)                                    \
	X("capabilities-unread", LEDGER_UNREAD)                                \
	X("commitment-unread", LEDGER_UNREAD)                                  \
	X("clock-suspect-unwritten", CLOCK_SUSPECT)                            \
	X("audit-not-synced", AUDIT_FAILING)                                   \
	X("web-listen", WEB_START)                                             \
	X("web-tls", WEB_START)                                                \
	X("web-users", WEB_START)                                              \
	X("web-capabilities", WEB_CONFINED)                                    \
	V("refused")                                                           \
	V("refused-again")                                                     \
	V("destination-unreachable")                                           \
	V("held")                                                              \
	V("not-delivered")                                                     \
	V("quarantined")                                                       \
	V("leg-refused")                                                       \
	V("leg-attempt-failed")                                                \
	V("link-closed")                                                       \
	V("transfer-refused")                                                  \
	V("spool-alert")

#endif
