/* link_sender_int.h - shared by the files of the link's sender; not for others.
 *
 * link_sender.c           life: tasks in, the end, timers
 * link_sender_line.c      the link: HELLO, loss, when it is wanted
 * link_sender_transfer.c  the table of transfers, link_tx_step() acted out
 * link_sender_loss.c      a connection ended, a link opened
 * link_sender_bad.c       chunks that are bad, transfers withdrawn
 * link_sender_offer.c     which transfer is offered next
 * link_sender_chunk.c     which chunk is read, which frame is sent next
 * link_sender_read.c      places and bytes from the spool
 * link_sender_ahead.c     chunks of what still comes in
 * link_sender_answer.c    frames of the far end
 * link_sender_report.c    to the scheduler, the ledger, the log
 * link_sender_ask.c       what has arrived: QUERY, page by page; NOTED
 * link_sender_row.c       the ledger's row of a link
 * link_sender_accepts.c   what the far archive accepts
 *
 * Everything here lives on one worker's thread. */
#ifndef PROXY_LINK_LINK_SENDER_INT_H
#define PROXY_LINK_LINK_SENDER_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "proxy/destination.h"
#include "proxy/idmap.h"
#include "proxy/link/conn.h"
#include "proxy/link/link_fsm.h"
#include "proxy/link/link_sender.h"
#include "proxy/link/session.h"
#include "proxy/link/window.h"
#include "proxy/shaper.h"
#include "store/ledger.h"
#include "store/spool.h"

enum {
	TX_SLOTS = 8,        /* chunks in memory */
	TX_SLOTS_URGENT = 2, /* of them, for urgent ones only */
	TX_METAS = 4,        /* metadata read at once */
	TX_LOST = 72,        /* chunks of a transfer that a lost link had under
			      * way, for the log */
	TX_LOOK = 32,        /* transfers looked at, of one list */
	TX_MIX = 4,          /* large ones that take turns */
	TX_STARVE = 16,      /* urgent frames, offers; then one of the others */
	TX_ARRIVED_MAX = 65536,  /* remembered; the ledger knows all */
	TX_AFRESH_MAX = 3,       /* offered anew, back to back */
	TX_BAD_MAX = 3,          /* of one chunk */
	TX_HEAD_IDLE_MS = 65000, /* what was done last is signed by then */
	TX_TICK_MS = 100,        /* while outcomes are being written */
	TX_LOOK_MS = 1000,       /* else */
	TX_APPLY_MS = 5 * 1000,  /* between two looks at what devices want */
};

struct link_sender;

/* A chunk on its way: begun, not answered. */
struct tx_flight {
	struct list node; /* in work.flights */
	uint32_t index;
	unsigned conn;
	bool out; /* all of it */
	struct link_window_mark mark;
};

/* A chunk that was bad. */
struct tx_bad {
	struct list node; /* in work.bads */
	uint32_t index;
	unsigned n;
};

enum tx_prepared { TX_RAW, TX_READING, TX_READY };

/* What is kept of a transfer while it has a task. */
struct tx_work {
	struct task *task;
	unsigned conn; /* of the latest OFFER */
	bool open;     /* it counts as one of `transfers` */
	bool offered;  /* once before */
	bool more;     /* HAVE goes on */
	enum tx_prepared prepared;
	uint8_t *meta; /* as offered */
	size_t meta_len;
	uint8_t *have, *sent; /* bitmaps: durable there; sent or being sent */
	uint8_t small[2];     /* where they are, for up to 8 chunks */
	uint32_t next;        /* below it all are sent */
	uint32_t n_have, n_sent;
	uint32_t slots; /* that hold chunks of it */
	struct link_tx *tx;
	struct list ahead; /* in sender.ahead: it still comes in */
	struct list flights, bads;
	uint32_t lost[TX_LOST]; /* begun, unanswered when the link ended */
	uint32_t n_lost;
};

/* A transfer. It stands in exactly one list, by what is to be done. */
struct link_tx {
	struct list node;
	struct link_sender *s;
	struct transfer_id id;
	enum link_tx_state state;
	bool urgent;
	bool known; /* the next four are */
	uint64_t delivery, length;
	uint32_t chunks, attempts;
	uint8_t root[LINK_HASH_LEN];
	uint32_t asked; /* in this survey */
	uint8_t afresh;
	uint8_t why; /* WITHDRAW: enum link_withdraw */
	/* DELIVERED came: */
	bool flagged;
	uint16_t status;
	uint64_t number;      /* of its outcome; 0: not written yet */
	struct tx_work *work; /* NULL: no task */
};

/* One reading of the spool. */
enum tx_read_state { READ_NONE, READ_UNDER_WAY, READ_DONE };
struct tx_read {
	struct link_sender *s;
	struct job job;
	struct msg msg;
	enum tx_read_state state;
	struct link_tx *tx; /* NULL: nobody wants it any more */
	uint32_t index;
	struct place place;
	struct transfer_id id;
	uint8_t *data; /* NULL: metadata only */
	struct instance instance;
	struct spool_chunk chunk;
	enum err e;
};

/* A chunk in memory. */
struct tx_slot {
	struct tx_read read;
	uint8_t *data; /* CHUNK_LEN bytes, or NULL */
	uint64_t turn; /* order of filling */
	bool urgent;
	bool ready; /* read, and taken in */
	unsigned conn;
	uint32_t offset;
	struct tx_flight *flight;
	struct shaper_client shape;
	uint64_t wait_ns; /* the shaper: not before */
};

/* A question to the ledger for places. */
struct tx_places {
	struct msg msg;
	struct list node; /* in sender.questions */
	struct link_sender *s;
	struct link_tx *tx; /* NULL: nobody wants it any more */
	uint32_t first;
	uint32_t n;
	struct place places[LEDGER_PLACES_MAX];
};

/* An outcome that the spool did not take yet. */
struct tx_outcome {
	struct list node;
	struct outcome outcome;
};

/* The survey of what has arrived. */
struct tx_survey {
	bool wanted; /* from the beginning */
	bool running, asking;
	struct ledger_cursor after;
	unsigned asked;  /* not answered yet */
	uint32_t number; /* counts them, from 1 */
};

struct link_sender {
	struct link_sender_env env;
	const struct config_destination *config;
	_Atomic bool open;
	bool made; /* the handles are */
	uv_timer_t tick, pace;
	uv_prepare_t soon; /* pump once before the loop waits */

	/* Transfers. */
	struct idmap txs;
	struct list waiting[2]; /* to be offered; [1]: urgent */
	struct list sending[2]; /* chunks of them are to be sent */
	struct list quiet;      /* offered or withdrawn: an answer comes */
	struct list arrived;    /* the latest last */
	struct list asked;
	struct list settling;
	struct list ahead; /* of tx_work, beside the others */
	size_t n_arrived;
	uint32_t n_open;
	uint32_t n_tasks;
	unsigned urgent_offers, urgent_frames; /* in a row */

	/* Chunks. */
	struct tx_slot slots[TX_SLOTS];
	struct tx_read metas[TX_METAS];
	struct list questions;
	unsigned in_flight; /* reads and questions that will come back */
	uint64_t turns;
	struct link_window window;

	/* The line. */
	struct link_session *session; /* NULL: not made, or it has stopped */
	bool up;
	struct link_terms terms;
	bool ask_all;   /* the next link begins with a survey */
	bool ask_lost;  /* a connection ended: what it had said is to be asked
			 * for on another one */
	bool far_known; /* the next three are of this process */
	uint8_t far_spool[LINK_ID_LEN], far_epoch[LINK_ID_LEN];
	uint64_t far_position;
	uint64_t idle_ms; /* monotonic: nothing to do since; 0: there is */
	uint64_t head_ms; /* monotonic: a head was sent; 0: none yet */
	int64_t head_number;
	uint64_t looked_ms;      /* monotonic: at the ledger's counts */
	struct line_watch watch; /* of its first connection */
	uint64_t waiting_n;      /* queued or arrived there */

	/* Outcomes. */
	struct list unwritten; /* of struct tx_outcome */
	uint64_t lost;         /* as spool_outcomes() said */
	struct tx_survey survey;
	struct transfer_id noted[LINK_IDS_MAX], query[LINK_IDS_MAX];
	size_t n_noted, n_query; /* to be said */

	/* What the far archive accepts. */
	struct list accepts; /* of struct tx_accepts */
	size_t n_accepts;
	uint64_t applied_ms; /* monotonic */

	/* The ledger's row, and figures when it began. */
	uint64_t row; /* 0: none */
	uint64_t row_ns, row_arrived, row_sent;

	/* Figures; what others see is copied under lock. */
	pthread_mutex_t lock;
	struct link_sender_status shown; /* under lock */
	struct link_sender_status now;

	/* The end, and the beginning. */
	struct msg start_msg;
	bool closing;
	struct msg close_msg;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* link_sender.c */

uint64_t link_sender_now_us(void);
/* Whatever can be done now: offer, read, send. */
void link_sender_pump(struct link_sender *s);
/* The same, at the end of this turn. */
void link_sender_pump_soon(struct link_sender *s);
/* Something came back: the end may go on. */
void link_sender_settled(struct link_sender *s);
/* Nothing can be sent for so long. */
void link_sender_pace_in(struct link_sender *s, uint64_t ns);

/* link_sender_line.c */

/* The link is wanted now: there is a task. */
void link_line_want(struct link_sender *s);
/* Ask on a connection that is left for what another one may have lost. */
void link_line_ask_lost(struct link_sender *s);
/* Once a tick: want it or not, gather figures. */
void link_line_tick(struct link_sender *s, uint64_t now_ms);
/* The end. */
void link_line_stop(struct link_sender *s);
/* NULL: not open. */
struct link_conn *link_line_conn(const struct link_sender *s, unsigned number);
/* Any open connection, or -1. */
int link_line_any(const struct link_sender *s);
/* False: no such open connection. */
/* What a connection was given since it had written so much counts against the
 * limit, but for n bytes that were taken from it before; it never waits. */
void link_line_count(struct link_sender *s, const struct link_conn *c,
		     uint64_t before, size_t n);
bool link_line_send(struct link_sender *s, unsigned number,
		    const struct link_frame *f);

/* link_sender_transfer.c */

struct link_tx *link_tx_find(struct link_sender *s,
			     const struct transfer_id *id);
/* NULL: out of memory. In no list. */
struct link_tx *link_tx_new(struct link_sender *s, const struct transfer_id *id,
			    enum link_tx_state state);
void link_tx_free(struct link_tx *tx);
/* Take a task on. */
void link_tx_give(struct link_sender *s, struct task *t);
/* f: the frame that is the event; else NULL. tx may be gone afterwards. */
void link_tx_event(struct link_tx *tx, enum link_tx_event ev,
		   const struct link_frame *f);
/* It has unsent chunks, or has none any more. */
void link_tx_place(struct link_tx *tx);
/* All is sent, if so. */
void link_tx_check_sent(struct link_tx *tx);
/* The task goes back. tx has no work any more. */
void link_tx_end_work(struct link_tx *tx);
/* Our own copy cannot be read. tx may be gone. */
void link_tx_unreadable(struct link_tx *tx, enum err e);
/* link_sender_loss.c */

/* A connection ended. */
void link_tx_lost(struct link_sender *s, unsigned conn);
/* A link opened. */
void link_tx_up(struct link_sender *s, bool void_);

/* link_sender_bad.c */

/* BAD came: check, send again. tx may be gone. */
void link_bad_resend(struct link_tx *tx, const struct link_frame *f);
void link_bad_quarantine(struct link_tx *tx, const struct link_frame *f);
/* Send WITHDRAW. */
void link_bad_withdraw(struct link_tx *tx, uint8_t why);
/* The same, by order of an operator, and give the task back. */
void link_bad_withdrawn(struct link_tx *tx);

/* link_sender_offer.c */

/* Offer and prepare what may be. */
void link_offer_next(struct link_sender *s);
/* Metadata was read for tx. */
void link_offer_prepared(struct link_tx *tx, const struct tx_read *r);

/* link_sender_chunk.c */

uint32_t link_chunk_len(const struct link_tx *tx, uint32_t index);
static inline bool link_bit(const uint8_t *map, uint32_t i)
{
	return (map[i / 8] >> (i % 8) & 1) != 0;
}
/* A slot for a chunk of that class, or NULL. */
struct tx_slot *link_slot_free(struct link_sender *s, bool urgent);
/* Chunk index of tx is read into slot; it counts as sent from now on. */
void link_slot_take(struct tx_slot *slot, struct link_tx *tx, uint32_t index,
		    const struct place *place);
/* Nobody wants it any more. */
void link_slot_drop(struct tx_slot *slot);
/* Drop all that is in memory of tx. */
void link_chunk_forget(struct link_tx *tx);
/* Take in what was read. */
void link_chunk_settle(struct link_sender *s);
/* Read what is next. */
void link_chunk_fill(struct link_sender *s);
/* Send frames. False: nothing could be sent. */
bool link_chunk_send(struct link_sender *s);
/* Mark as sent and as not sent, as durable there and as not. */
void link_chunk_set_sent(struct link_tx *tx, uint32_t index);
void link_chunk_again(struct link_tx *tx, uint32_t index);
void link_chunk_set_have(struct link_tx *tx, uint32_t first, uint32_t n);
/* The map of HAVE begins: nothing is durable there until it says so. */
void link_chunk_begin_map(struct link_tx *tx);
void link_chunk_end_map(struct link_tx *tx);
/* Flights first..first+n-1 of tx are answered: durable there, or not. */
void link_chunk_answered(struct link_tx *tx, uint32_t first, uint32_t n,
			 bool durable);

/* link_sender_read.c */

/* Where chunk index of tx is. ERR_AGAIN: asked for; link_sender_pump() follows.
 * ERR_NOTFOUND, ERR_NOMEM. */
enum err link_read_place(struct link_tx *tx, uint32_t index,
			 struct place *out) MUST_CHECK;
/* Begin to read; r->tx, index and data are set. May be done at once. */
void link_read_begin(struct tx_read *r, const struct place *place);
/* After a failure: true: fresh places are to be asked for, try again. */
bool link_read_again(struct link_tx *tx, uint32_t index);
/* No answer for tx is wanted any more. */
void link_read_forget(struct link_tx *tx);

/* link_sender_ahead.c */

/* Its instance still comes in: tx->chunks grows, length and root are not known.
 */
static inline bool link_ahead_is(const struct link_tx *tx)
{
	return tx->work != NULL && tx->work->task->early;
}
/* tx has such a task from now on. */
void link_ahead_give(struct link_tx *tx);
/* As link_read_place(). */
enum err link_ahead_place(struct link_tx *tx, uint32_t index,
			  struct place *out) MUST_CHECK;
/* Look for more of those of which all that is here is sent. */
void link_ahead_next(struct link_sender *s);
/* lane_ops.tell. */
void link_ahead_tell(void *lane, struct lane_note *note);

/* link_sender_answer.c */

void link_answer(struct link_sender *s, const struct link_frame *f);

/* link_sender_report.c */

/* Hand the task of tx back. tx has no work afterwards. */
void link_report_task(struct link_tx *tx, enum task_end end,
		      const struct verdict *v, const char *detail);
/* Write an outcome of tx, in order. */
void link_report_outcome(struct link_tx *tx, enum outcome_kind kind);
/* Write what the spool did not take. */
void link_report_flush(struct link_sender *s);
void link_report_news(struct link_sender *s, const struct link_tx *tx,
		      struct link_news news);
struct verdict link_verdict_of_refusal(uint16_t code);
struct verdict link_verdict_of_bye(uint16_t code);
struct verdict link_verdict_of_bad(void);
/* Text of the far end: printable, NUL-terminated, cut. Returns out. */
char *link_text(struct link_bytes text, char *out, size_t size);
void link_report_resumed(struct link_tx *tx);
void link_report_refused(const struct link_tx *tx, const struct link_frame *f);
void link_report_bad(const struct link_tx *tx, const struct link_frame *f,
		     unsigned times);

/* link_sender_ask.c */

/* Go through all that has arrived. */
void link_ask_begin(struct link_sender *s);
void link_ask_next(struct link_sender *s);
/* One of the asked ones is answered. */
void link_ask_answered(struct link_sender *s);
/* Ask for one, with the next QUERY; and say it. */
void link_ask_one(struct link_tx *tx);
void link_ask_say(struct link_sender *s);
/* tx was delivered and that is durable here. */
void link_ask_noted(struct link_sender *s, const struct transfer_id *id);
/* Say NOTED for what is gathered. */
void link_ask_say_noted(struct link_sender *s);
/* What of settling is durable now. */
void link_ask_settle(struct link_sender *s);

/* link_sender_head.c */

/* Say the newest head of the audit, if it is time. */
void link_head_say(struct link_sender *s, uint64_t now_ms);

/* link_sender_row.c */

void link_row_begin(struct link_sender *s, const struct link_conn *c);
void link_row_end(struct link_sender *s, const char *why);

/* link_sender_accepts.c */

void link_accepts_take(struct link_sender *s, const struct link_frame *f);
/* Look up what devices want by now. */
void link_accepts_apply(struct link_sender *s);
/* NOT_ACCEPTED came for t. */
void link_accepts_refused(struct link_sender *s, const struct task *t);
void link_accepts_free(struct link_sender *s);

#endif
