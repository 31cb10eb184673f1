/* leg_int.h - shared by the files of the leg; not for others.
 *
 * leg.c         life: births, what the owner asks, what it is told, the end
 * leg_open.c    opening: endpoints in turn, until one accepts
 * leg_ul.c      the association: PS3.8 table 9-10 acted out
 * leg_record.c  the ledger's rows and the log's lines */
#ifndef PROXY_LEG_INT_H
#define PROXY_LEG_INT_H

#include <uv.h>

#include "proxy/dicom/ul_fsm.h"
#include "proxy/leg.h"
#include "proxy/leg_frame.h"
#include "proxy/lib/buf.h"
#include "proxy/net/stream.h"
#include "proxy/outcome.h"
#include "proxy/shaper.h"

enum {
	LEG_DEADLINE_MS = 3000,
	LEG_ARTIM_MS = 10 * 1000,
	LEG_FINISH_MS = 1000, /* to take our last PDU, and to close */
	LEG_OUT_CAP = 4 * 1024 * 1024,
	LEG_HELD_MAX = WORKER_READ_SIZE,
	LEG_DETAIL_LEN = 512,
	LEG_WHY_LEN = 256,
};

/* What the owner has still to be told. */
enum leg_news { NEWS_NONE, NEWS_REFUSED, NEWS_RELEASED, NEWS_LOST, NEWS_TOLD };

/* Between a leg and the stream of one attempt: outlives the attempt when the
 * leg has turned to another endpoint. */
struct leg_line {
	struct leg *leg; /* NULL: left behind */
};

/* What only opening needs: freed when it is over. */
struct leg_opening {
	struct destination_round round;
	size_t endpoint;
	uint64_t until;      /* loop time in ms, over all endpoints */
	uint64_t attempt_at; /* end of this attempt; 0: none runs */
	struct pdu_stream in;
	struct buf hold;
	struct assoc *ac; /* decoded, while the leg is told of it */
	struct leg_refusal refusal;
	char detail[LEG_DETAIL_LEN];
	char calling_ae[AE_SIZE], called_ae[AE_SIZE];
	char device[CONFIG_NAME_LEN];
	size_t out_cap, rq_len;
	uint8_t rq[];
};

struct leg {
	const struct leg_events *ev;
	void *arg;
	struct worker *worker;
	struct destination *destination;
	struct ledger *ledger;
	struct leg_opening *opening; /* NULL: accepted, or over */
	struct leg_line *line;       /* as stream */
	struct stream *stream;       /* NULL: none, or closed */
	enum ul_state ul;
	enum leg_news news;
	unsigned busy; /* inside a callback: news are told at its end */
	bool detached; /* nobody is told anything but on_gone */
	bool paused;
	bool posted;  /* the timer is to run at once */
	bool closing; /* the timer is being closed */
	uint8_t abort_reason;
	struct leg_frame frame;
	struct shaper_client shape_out, shape_in; /* live: counted only */
	struct buf held;                          /* came while paused */

	/* Deadlines in loop time, ms; 0: none. The timer may run early. */
	uv_timer_t timer;
	uint64_t armed_at, artim_at;
	uint64_t idle_ms, active_at, seen_out;

	/* The row. */
	uint64_t id, inbound, begun_ns;
	uint64_t bytes_in, bytes_out; /* outlive the stream */
	uint32_t stores, echos, others, failures;
	char *why; /* of the end; NULL: not known yet */
	char peer[ADDRESS_TEXT_LEN];
};

/* leg.c */
uint64_t leg_now(const struct leg *l);
/* Make the timer run not later than the next deadline. */
void leg_arm(struct leg *l);
/* Something to be told, soon; the first one counts. */
void leg_tell_soon(struct leg *l, enum leg_news news);
/* In front of and after anything that a callback does. */
void leg_enter(struct leg *l);
void leg_leave(struct leg *l);
/* Why it ends: the first one counts. */
void leg_because(struct leg *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* n bytes passed, of live traffic: others make room for them. */
void leg_count_bytes(struct shaper_client *c, size_t n);
/* The stream's counters, as long as there are any. */
void leg_note_bytes(struct leg *l);
void leg_opening_free(struct leg *l);

/* leg_open.c */

/* Try the next endpoint, or tell that there is none. */
void leg_try_next(struct leg *l);
/* This attempt has failed: the next one. finish: what was sent goes out before
 * its stream closes. */
void leg_attempt_failed(struct leg *l, const struct verdict *v,
			const char *detail, bool finish);
void leg_attempt_rejected(struct leg *l, struct pdu_reject r);
/* Its stream is gone already. */
void leg_attempt_closed(struct leg *l, enum err why, const char *detail);
void leg_attempt_timed_out(struct leg *l);

/* leg_ul.c */
extern const struct stream_events leg_stream_events;
void leg_event(struct leg *l, enum ul_event ev);
/* Bytes of an association that is open; keeps them while paused. */
void leg_input(struct leg *l, const uint8_t *p, size_t n);
void leg_artim_passed(struct leg *l);

/* leg_record.c */
void leg_record_accepted(struct leg *l, const struct assoc *ac);
void leg_record_rejected(struct leg *l, struct pdu_reject r);
void leg_record_failed(struct leg *l, const struct verdict *v,
		       const char *detail);
void leg_record_refused(const struct leg *l);
void leg_record_end(struct leg *l);

#endif
