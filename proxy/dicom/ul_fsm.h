/* ul_fsm.h - the Upper Layer state machine, PS3.8 table 9-10, as a table.
 *
 * Pure. It names what to do; doing it is the caller's. Names are the
 * standard's. Both roles: the requestor starts with UL_EVT1 in UL_STA1, the
 * acceptor with UL_EVT5. */
#ifndef PROXY_DICOM_UL_FSM_H
#define PROXY_DICOM_UL_FSM_H

#define UL_STATE_MAP(X)                                                        \
	X(STA1, "Sta1", "idle")                                                \
	X(STA2, "Sta2", "transport open, awaiting A-ASSOCIATE-RQ")             \
	X(STA3, "Sta3", "awaiting local A-ASSOCIATE response")                 \
	X(STA4, "Sta4", "awaiting transport open")                             \
	X(STA5, "Sta5", "awaiting A-ASSOCIATE-AC or -RJ")                      \
	X(STA6, "Sta6", "association established")                             \
	X(STA7, "Sta7", "awaiting A-RELEASE-RP")                               \
	X(STA8, "Sta8", "awaiting local A-RELEASE response")                   \
	X(STA9, "Sta9", "release collision, requestor, awaiting local")        \
	X(STA10, "Sta10", "release collision, acceptor, awaiting RP")          \
	X(STA11, "Sta11", "release collision, requestor, awaiting RP")         \
	X(STA12, "Sta12", "release collision, acceptor, awaiting local")       \
	X(STA13, "Sta13", "awaiting transport close")

#define UL_EVENT_MAP(X)                                                        \
	X(EVT1, "Evt1", "A-ASSOCIATE request (local)")                         \
	X(EVT2, "Evt2", "transport connected")                                 \
	X(EVT3, "Evt3", "A-ASSOCIATE-AC received")                             \
	X(EVT4, "Evt4", "A-ASSOCIATE-RJ received")                             \
	X(EVT5, "Evt5", "transport accepted")                                  \
	X(EVT6, "Evt6", "A-ASSOCIATE-RQ received")                             \
	X(EVT7, "Evt7", "A-ASSOCIATE accept (local)")                          \
	X(EVT8, "Evt8", "A-ASSOCIATE reject (local)")                          \
	X(EVT9, "Evt9", "P-DATA request (local)")                              \
	X(EVT10, "Evt10", "P-DATA-TF received")                                \
	X(EVT11, "Evt11", "A-RELEASE request (local)")                         \
	X(EVT12, "Evt12", "A-RELEASE-RQ received")                             \
	X(EVT13, "Evt13", "A-RELEASE-RP received")                             \
	X(EVT14, "Evt14", "A-RELEASE response (local)")                        \
	X(EVT15, "Evt15", "A-ABORT request (local)")                           \
	X(EVT16, "Evt16", "A-ABORT received")                                  \
	X(EVT17, "Evt17", "transport closed")                                  \
	X(EVT18, "Evt18", "ARTIM timer expired")                               \
	X(EVT19, "Evt19", "unrecognized or invalid PDU received")

/* name, the standard's name, the standard's words, next state. */
#define UL_ACTION_MAP(X)                                                       \
	X(AE1, "AE-1", "open transport", STA4)                                 \
	X(AE2, "AE-2", "send A-ASSOCIATE-RQ", STA5)                            \
	X(AE3, "AE-3", "confirm acceptance", STA6)                             \
	X(AE4, "AE-4", "confirm rejection, close", STA1)                       \
	X(AE5, "AE-5", "start ARTIM", STA2)                                    \
	X(AE6, "AE-6", "stop ARTIM; indicate, or send RJ, start ARTIM", STA3)  \
	X(AE7, "AE-7", "send A-ASSOCIATE-AC", STA6)                            \
	X(AE8, "AE-8", "send A-ASSOCIATE-RJ, start ARTIM", STA13)              \
	X(DT1, "DT-1", "send P-DATA-TF", STA6)                                 \
	X(DT2, "DT-2", "indicate P-DATA", STA6)                                \
	X(AR1, "AR-1", "send A-RELEASE-RQ", STA7)                              \
	X(AR2, "AR-2", "indicate release", STA8)                               \
	X(AR3, "AR-3", "confirm release, close", STA1)                         \
	X(AR4, "AR-4", "send A-RELEASE-RP, start ARTIM", STA13)                \
	X(AR5, "AR-5", "stop ARTIM", STA1)                                     \
	X(AR6, "AR-6", "indicate P-DATA", STA7)                                \
	X(AR7, "AR-7", "send P-DATA-TF", STA8)                                 \
	X(AR8, "AR-8", "indicate release collision", STA9)                     \
	X(AR9, "AR-9", "send A-RELEASE-RP", STA11)                             \
	X(AR10, "AR-10", "confirm release", STA12)                             \
	X(AA1, "AA-1", "send A-ABORT (user), restart ARTIM", STA13)            \
	X(AA2, "AA-2", "stop ARTIM, close", STA1)                              \
	X(AA3, "AA-3", "indicate abort, close", STA1)                          \
	X(AA4, "AA-4", "indicate provider abort", STA1)                        \
	X(AA5, "AA-5", "stop ARTIM", STA1)                                     \
	X(AA6, "AA-6", "ignore PDU", STA13)                                    \
	X(AA7, "AA-7", "send A-ABORT", STA13)                                  \
	X(AA8, "AA-8", "send A-ABORT (provider), indicate, start ARTIM", STA13)

enum ul_state {
#define X(name, label, text) UL_##name,
	UL_STATE_MAP(X)
#undef X
	    UL_N_STATES
};

enum ul_event {
#define X(name, label, text) UL_##name,
	UL_EVENT_MAP(X)
#undef X
	    UL_N_EVENTS
};

enum ul_action {
	UL_NONE, /* an empty cell: the event cannot occur in that state */
#define X(name, label, text, next) UL_##name,
	UL_ACTION_MAP(X)
#undef X
	    UL_N_ACTIONS
};

struct ul_step {
	enum ul_action action;
	enum ul_state next;
	/* AE-6: STA13 when the request is rejected at once. AR-8: STA10 for the
	 * acceptor. Else equal to next. */
	enum ul_state other;
};

/* The cell of table 9-10. PDUs (events 3, 4, 6, 10, 12, 13, 16, 19), transport
 * closed and ARTIM never meet an empty cell in a state in which they can
 * happen (a transport exists, ARTIM runs); an empty cell for a local request
 * is the caller's mistake. UL_NONE leaves the state as it is. */
struct ul_step ul_fsm(enum ul_state state, enum ul_event event);

/* "Sta6", "Evt10", "AA-8"; "-" for UL_NONE. Never NULL. */
const char *ul_state_name(enum ul_state state);
const char *ul_event_name(enum ul_event event);
const char *ul_action_name(enum ul_action action);
/* In words, for the log. Never NULL. */
const char *ul_state_text(enum ul_state state);
const char *ul_event_text(enum ul_event event);
const char *ul_action_text(enum ul_action action);

#endif
