/* link_sender.h - the sending end of a chunk link, as a lane of the scheduler.
 *
 * One for each link destination; it lives on one worker with all connections of
 * the link. Many transfers are under way at once: small ones go out behind
 * their OFFER without waiting for an answer, of large ones chunks are read
 * ahead a few at a time, urgent ones before others at every frame. What the far
 * end says is acted out by link_tx_step().
 *
 * A task comes back (TASK_ARRIVED) when the object is whole in the far spool.
 * What becomes of it there comes later, by transfer id: it is written down as
 * an outcome by the sender itself, in the order in which it happened, and once
 * that cannot be lost any more the far end is told (NOTED).
 *
 * The link opens for the first task, or for what has arrived and is not yet
 * delivered, and stays open while there is either.
 *
 * The functions run on the main loop's thread unless they say otherwise. */
#ifndef PROXY_LINK_LINK_SENDER_H
#define PROXY_LINK_LINK_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"
#include "proxy/lane.h"
#include "proxy/lib/err.h"
#include "proxy/link/frame.h"
#include "proxy/net/worker.h"
#include "proxy/outcome.h"
#include "proxy/reader.h"
#include "proxy/task.h"

struct destination;
struct ledger;
struct link_sender; /* opaque */
struct spool;

enum {
	LINK_SENDER_TEXT_LEN = 512,
	LINK_SENDER_LARGE = 8, /* shown at once */
};

/* What happened without a task. */
enum link_news_kind {
	LINK_NEWS_OPEN,        /* the link is up */
	LINK_NEWS_DOWN,        /* it could not be opened: verdict, text */
	LINK_NEWS_DELIVERED,   /* status, flagged; the outcome is written */
	LINK_NEWS_UNDELIVERED, /* stuck, status, text */
	/* The far end has it no more: it is to be sent again. With a delivery
	 * the outcome is written already; without, whoever hears it looks
	 * whether the delivery has arrived, and writes it. */
	LINK_NEWS_RELEASED,
};

struct link_news {
	struct msg msg;
	struct link_sender *sender;
	enum link_news_kind kind;
	struct transfer_id id;
	uint64_t delivery; /* 0: not at hand */
	uint64_t length;   /* 0: not at hand */
	uint32_t attempts;
	uint16_t status; /* DICOM status of the far archive, 0: none */
	uint8_t stuck;   /* enum link_stuck */
	bool flagged;
	struct verdict verdict;
	char text[LEDGER_TEXT_LEN]; /* printable ASCII */
};

/* Borrowed; must outlive the sender. */
struct link_sender_env {
	struct destination *destination;
	struct worker *worker;
	struct mailbox *main;
	struct reader *reader;
	struct spool *spool;
	struct ledger *ledger;
	const struct config *site; /* node name, whose devices have limits */
	/* Runs on the main loop; n is valid during the call. */
	void (*news)(void *arg, const struct link_news *n);
	void *arg;
};

/* ERR_NOMEM. It connects by itself when there is something to do. */
enum err link_sender_new(const struct link_sender_env *env,
			 struct link_sender **out) MUST_CHECK;

/* give, close, is_open for a struct link_sender. */
extern const struct lane_ops link_sender_ops;

/* It is not to be sent any more: what the far end holds of it unfinished is
 * freed there. A task of it comes back (TASK_WITHDRAWN), unless it is too
 * late. */
void link_sender_withdraw(struct link_sender *s, const struct transfer_id *id,
			  enum link_withdraw why);

/* How far a transfer of several chunks has come. */
struct link_progress {
	uint64_t delivery;
	uint32_t chunks, durable; /* durable: on the far end's disk */
};

/* For whoever looks. */
struct link_sender_status {
	uint32_t connections; /* open */
	char node[LINK_NODE_MAX + 1];
	char peer[64];
	uint32_t transfers;          /* offered, not arrived */
	uint64_t in_flight;          /* bytes of chunks, unanswered */
	uint64_t window;             /* bytes that may be */
	uint64_t rate;               /* bytes/s, as measured; 0: not known */
	uint64_t delay_us;           /* 0: not known */
	uint64_t rtt_us;             /* 0: not known */
	uint64_t sent;               /* bytes of chunks since start */
	uint64_t again;              /* of them, sent once more */
	uint64_t arrived, delivered; /* since start */
	int64_t open_ms;             /* wall, 0: closed */
	/* Some of those under way that have several chunks, urgent first. */
	uint32_t n_large;
	struct link_progress large[LINK_SENDER_LARGE];
	char text[LINK_SENDER_TEXT_LEN]; /* why it is closed, or "" */
};

/* Any thread. */
void link_sender_status(struct link_sender *s, struct link_sender_status *out);

#endif
