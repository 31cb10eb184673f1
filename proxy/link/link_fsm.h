/* link_fsm.h - the three state machines of the chunk link, as tables
 * (PROTOCOL.md, "States").
 *
 *   conn  one TCP connection, at either end
 *   tx    one transfer at the end that sends it
 *   rx    one transfer at the end that takes it
 *
 * Pure. A table names what to do; doing it is the caller's. A cell with action
 * NONE is an event that cannot happen in that state: a local one is the
 * caller's mistake. Frames, loss of the link and its opening have an action in
 * every state in which they can come. */
#ifndef PROXY_LINK_LINK_FSM_H
#define PROXY_LINK_LINK_FSM_H

/* ---- conn ---------------------------------------------------------------- */

#define LINK_CONN_STATE_MAP(X)                                                 \
	X(START, "TCP and TLS are being made")                                 \
	X(HELLO_SENT, "dialler: awaiting HELLO")                               \
	X(JOIN_SENT, "dialler: awaiting JOINED")                               \
	X(FIRST, "acceptor: awaiting HELLO or JOIN")                           \
	X(OPEN, "frames pass")                                                 \
	X(CLOSING, "BYE sent: awaiting the end")                               \
	X(CLOSED, "nothing more happens")

#define LINK_CONN_EVENT_MAP(X)                                                 \
	X(UP_HELLO, "TLS is up: dialler, first connection of a link")          \
	X(UP_JOIN, "TLS is up: dialler, a further connection")                 \
	X(UP_ACCEPT, "TLS is up: acceptor")                                    \
	X(RX_HELLO, "HELLO came")                                              \
	X(RX_JOIN, "JOIN came")                                                \
	X(RX_JOINED, "JOINED came")                                            \
	X(RX_PING, "PING came")                                                \
	X(RX_PONG, "PONG came")                                                \
	X(RX_BYE, "BYE came")                                                  \
	X(RX_TRANSFER, "a frame of a type from 0x10 came")                     \
	X(RX_BROKEN, "what came is no frame, or not that end's to send")       \
	X(TIMEOUT, "the deadline passed")                                      \
	X(STOP, "this end wants to stop")                                      \
	X(END, "the TCP connection ended")

/* The state after the action; OTHER when the action finds a reason to refuse.
 */
#define LINK_CONN_ACTION_MAP(X)                                                \
	X(SAY_HELLO, "send HELLO, start the deadline")                         \
	X(SAY_JOIN, "send JOIN, start the deadline")                           \
	X(LISTEN, "start the deadline")                                        \
	X(AGREE, "agree on terms; refused: send BYE")                          \
	X(ANSWER_HELLO, "agree, end an older session of that store, send "     \
			"HELLO; refused: send BYE")                            \
	X(ANSWER_JOIN, "put it in its place, send JOINED; refused: send BYE")  \
	X(JOINED, "use it; another number than asked: send BYE")               \
	X(PONG, "send PONG with the same stamp")                               \
	X(MEASURE, "take the round trip's time")                               \
	X(PASS, "hand it to its transfer")                                     \
	X(BREAK, "send BYE PROTOCOL")                                          \
	X(EXPIRE, "send BYE TIMEOUT")                                          \
	X(LEAVE, "send BYE with the reason")                                   \
	X(HEAR_BYE, "note the reason, close")                                  \
	X(DROP, "close; what was under way on it is lost")                     \
	X(IGNORE, "nothing")

enum link_conn_state {
#define X(name, text) LINK_CONN_##name,
	LINK_CONN_STATE_MAP(X)
#undef X
	    LINK_CONN_N_STATES
};

enum link_conn_event {
#define X(name, text) LINK_CONN_EV_##name,
	LINK_CONN_EVENT_MAP(X)
#undef X
	    LINK_CONN_N_EVENTS
};

enum link_conn_action {
	LINK_CONN_DO_NONE,
#define X(name, text) LINK_CONN_DO_##name,
	LINK_CONN_ACTION_MAP(X)
#undef X
	    LINK_CONN_N_ACTIONS
};

struct link_conn_step {
	enum link_conn_action action;
	enum link_conn_state next;
	enum link_conn_state refused; /* next, when the action refuses */
};

struct link_conn_step link_conn_step(enum link_conn_state state,
				     enum link_conn_event event);

/* ---- tx --------------------------------------------------------------------
 */

#define LINK_TX_STATE_MAP(X)                                                   \
	X(NEW, "never offered")                                                \
	X(WAITING, "perhaps offered before; to be offered")                    \
	X(OFFERED, "offered, no answer yet")                                   \
	X(SENDING, "chunks are on their way")                                  \
	X(FINISHING, "all of it is sent")                                      \
	X(ARRIVED, "in the far spool")                                         \
	X(ASKED, "was in the far spool; asked whether it still is")            \
	X(SETTLING, "delivered; being written down here")                      \
	X(REFUSED, "not taken for now")                                        \
	X(WITHDRAWING, "withdrawn, no answer yet")                             \
	X(DONE, "nothing is left to do")

#define LINK_TX_EVENT_MAP(X)                                                   \
	X(GO, "link open and a place free")                                    \
	X(ALL_SENT, "every missing chunk is sent, and the root")               \
	X(WRITTEN, "the outcome is durable here")                              \
	X(WITHDRAW, "it is not to go any more")                                \
	X(THIRD_BAD, "one chunk was bad three times")                          \
	X(RETRY, "the time to try again has come")                             \
	X(RX_HAVE, "HAVE came")                                                \
	X(RX_ACK, "ACK came")                                                  \
	X(RX_BAD, "BAD came")                                                  \
	X(RX_ARRIVED, "ARRIVED came, with our root")                           \
	X(RX_DELIVERED, "DELIVERED came")                                      \
	X(RX_UNDELIVERED, "UNDELIVERED came")                                  \
	X(RX_REFUSED, "REFUSED: retry, hold, quarantine")                      \
	X(RX_AFRESH, "REFUSED: nothing is known of it there")                  \
	X(RX_GONE, "REFUSED: withdrawn")                                       \
	X(LOST, "its connection ended")                                        \
	X(UP, "a link opened, to the store that was known")                    \
	X(VOID, "a link opened, to a new or older store")

#define LINK_TX_ACTION_MAP(X)                                                  \
	X(OFFER, "send OFFER")                                                 \
	X(TAKE_MAP, "send what the map misses")                                \
	X(ACKED, "these chunks are durable there")                             \
	X(RESEND, "check the chunk here, send it again")                       \
	X(FINISH, "wait for ARRIVED")                                          \
	X(ARRIVE, "note that it arrived; free nothing")                        \
	X(SHOW, "it arrived; show why it stays there")                         \
	X(ASK, "send QUERY")                                                   \
	X(SETTLE, "write down that it was delivered")                          \
	X(NOTED, "free it, send NOTED")                                        \
	X(AGAIN_NOTED, "send NOTED")                                           \
	X(REQUEUE, "offer it again")                                           \
	X(REFUSE, "retry, hold or quarantine, by the reason's class")          \
	X(WITHDRAW, "send WITHDRAW")                                           \
	X(QUARANTINE, "quarantine it with both hashes, send WITHDRAW")         \
	X(TOO_LATE, "the far end delivers it: say so")                         \
	X(DROP, "forget it")                                                   \
	X(IGNORE, "nothing")

enum link_tx_state {
#define X(name, text) LINK_TX_##name,
	LINK_TX_STATE_MAP(X)
#undef X
	    LINK_TX_N_STATES
};

enum link_tx_event {
#define X(name, text) LINK_TX_EV_##name,
	LINK_TX_EVENT_MAP(X)
#undef X
	    LINK_TX_N_EVENTS
};

enum link_tx_action {
	LINK_TX_DO_NONE,
#define X(name, text) LINK_TX_DO_##name,
	LINK_TX_ACTION_MAP(X)
#undef X
	    LINK_TX_N_ACTIONS
};

struct link_tx_step {
	enum link_tx_action action;
	enum link_tx_state next;
};

struct link_tx_step link_tx_step(enum link_tx_state state,
				 enum link_tx_event event);

/* ---- rx
 * ---------------------------------------------------------------------- */

#define LINK_RX_STATE_MAP(X)                                                   \
	X(UNKNOWN, "nothing is kept of it")                                    \
	X(DECIDING, "offered, being looked at")                                \
	X(RECEIVING, "chunks are taken")                                       \
	X(COMPLETING, "its final record is being written")                     \
	X(ARRIVED, "whole and durable, ours to deliver")                       \
	X(DELIVERED, "delivered, the sender has not noted it")                 \
	X(KEPT, "unfinished, its chunks are kept")

#define LINK_RX_EVENT_MAP(X)                                                   \
	X(RX_OFFER, "OFFER came")                                              \
	X(RX_DATA, "DATA or CHUNK_END came")                                   \
	X(RX_ROOT, "ROOT came")                                                \
	X(RX_WITHDRAW, "WITHDRAW came")                                        \
	X(RX_QUERY, "QUERY came")                                              \
	X(RX_NOTED, "NOTED came")                                              \
	X(TAKEN, "decided: it is taken")                                       \
	X(PUT_OFF, "decided: not now")                                         \
	X(DECLINED, "decided: it is not taken")                                \
	X(CHUNK_DURABLE, "a chunk is durable")                                 \
	X(CHUNK_BAD, "a chunk's leaf or length is wrong")                      \
	X(WHOLE, "all chunks are durable; length, count and root agree")       \
	X(WRONG_ROOT, "all chunks are durable; the root is another")           \
	X(FINAL_DURABLE, "the final record is durable")                        \
	X(STORE_FAILED, "the store cannot write")                              \
	X(CHUNK_LOST, "a durable chunk does not open any more")                \
	X(OUT_DONE, "every delivery is done")                                  \
	X(OUT_STUCK, "a delivery is held, quarantined, retried")               \
	X(LOST, "the link ended, or this end restarted")                       \
	X(UP, "a link from its edge opened")                                   \
	X(EXPIRED, "kept for as long as it may be")

#define LINK_RX_ACTION_MAP(X)                                                  \
	X(DECIDE, "look at it")                                                \
	X(TELL_HAVE, "send HAVE")                                              \
	X(REFUSE, "send REFUSED")                                              \
	X(TAKE, "gather, check, store")                                        \
	X(TAKE_ROOT, "remember length, count, root")                           \
	X(TELL_ACK, "send ACK")                                                \
	X(TELL_BAD, "send BAD, forget the chunk")                              \
	X(COMPLETE, "write the final record")                                  \
	X(TELL_ARRIVED, "send ARRIVED; UNDELIVERED too when stuck")            \
	X(TELL_STUCK, "send UNDELIVERED when stuck")                           \
	X(TELL_DELIVERED, "send DELIVERED")                                    \
	X(TELL_UNKNOWN, "send REFUSED UNKNOWN")                                \
	X(TAKE_BACK, "send BAD LOST for the chunk, stop delivering")           \
	X(KEEP, "keep what is durable, start the time")                        \
	X(CANCEL, "free its chunks, send REFUSED WITHDRAWN")                   \
	X(EXPIRE, "free its chunks, send REFUSED EXPIRED")                     \
	X(FORGET, "free what is kept")                                         \
	X(IGNORE, "nothing")

enum link_rx_state {
#define X(name, text) LINK_RX_##name,
	LINK_RX_STATE_MAP(X)
#undef X
	    LINK_RX_N_STATES
};

enum link_rx_event {
#define X(name, text) LINK_RX_EV_##name,
	LINK_RX_EVENT_MAP(X)
#undef X
	    LINK_RX_N_EVENTS
};

enum link_rx_action {
	LINK_RX_DO_NONE,
#define X(name, text) LINK_RX_DO_##name,
	LINK_RX_ACTION_MAP(X)
#undef X
	    LINK_RX_N_ACTIONS
};

struct link_rx_step {
	enum link_rx_action action;
	enum link_rx_state next;
};

struct link_rx_step link_rx_step(enum link_rx_state state,
				 enum link_rx_event event);

/* ---- names: "OFFERED", "RX_HAVE", "TAKE_MAP"; "-" for NONE; never NULL ------
 */

const char *link_conn_state_name(enum link_conn_state state);
const char *link_conn_event_name(enum link_conn_event event);
const char *link_conn_action_name(enum link_conn_action action);
const char *link_tx_state_name(enum link_tx_state state);
const char *link_tx_event_name(enum link_tx_event event);
const char *link_tx_action_name(enum link_tx_action action);
const char *link_rx_state_name(enum link_rx_state state);
const char *link_rx_event_name(enum link_rx_event event);
const char *link_rx_action_name(enum link_rx_action action);

/* In words, for the log and the page. Never NULL. */
const char *link_tx_state_text(enum link_tx_state state);
const char *link_rx_state_text(enum link_rx_state state);

#endif
