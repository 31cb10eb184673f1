/* sender_int.h - shared by the files of the sender; not for others.
 *
 * sender.c        life: tasks in and out, connecting, the end
 * sender_ul.c     the association: PS3.8 table 9-10 acted out
 * sender_store.c  messages out: C-STORE and DIMSE-N requests
 * sender_pace.c   how much may leave now
 * sender_in.c     messages in: responses, and requests of the peer
 * sender_early.c  instances that still come in */
#ifndef PROXY_SENDER_INT_H
#define PROXY_SENDER_INT_H

#include <stdatomic.h>
#include <uv.h>

#include "proxy/destination.h"
#include "proxy/dicom/assoc.h"
#include "proxy/dicom/command.h"
#include "proxy/dicom/pdu.h"
#include "proxy/dicom/ul_fsm.h"
#include "proxy/feed.h"
#include "proxy/lib/buf.h"
#include "proxy/message_scp.h"
#include "proxy/net/stream.h"
#include "proxy/recent.h"
#include "proxy/sender.h"
#include "proxy/shaper.h"

enum {
	SENDER_QUEUE_HIGH = 1024 * 1024, /* bytes queued on the stream */
	SENDER_QUEUE_LOW = 256 * 1024,
	SENDER_MAX_PDU = 256 * 1024, /* bytes, whatever the peer allows */
	SENDER_ARTIM_MS = 10 * 1000,
};

/* Roles that we may take in a context, as bits (PS3.7 annex D.3.3.4). */
enum { ROLE_SCU = 1, ROLE_SCP = 2 };

/* A presentation context of the association that is open. */
struct sender_context {
	uint8_t id;
	uint8_t result;
	uint8_t roles;   /* that we asked for */
	uint8_t granted; /* of them */
	char abstract[UID_SIZE];
	char transfer_syntax[UID_SIZE];
};

/* Where the message being sent stands. */
enum sender_phase {
	PHASE_NONE,     /* no instance outstanding */
	PHASE_SENDING,  /* the request or its data set is being sent */
	PHASE_AWAITING, /* all of it was sent */
};

/* Where the peer's own request stands. */
enum asked_state {
	ASKED_NOTHING,
	ASKED_DATA,    /* its data set arrives */
	ASKED_WAITING, /* for the engine */
	ASKED_ANSWER,  /* to be sent as soon as our message allows it */
};

struct asked {
	enum asked_state state;
	struct command rq;
	const struct sender_context *context;
	struct message_op *report; /* NULL: it is swallowed */
	uint16_t status;
	const char *comment; /* static */
};

struct sender {
	struct sender_env env;
	const struct config_destination *config;
	struct list queue; /* of struct task; the outstanding one is first */
	struct feed feed;
	_Atomic bool open;

	struct stream *stream; /* NULL: closed */
	enum ul_state ul;
	uv_timer_t timer;
	bool timer_made;
	uint64_t progress; /* stream_bytes_out when the timer was set */
	struct destination_round round; /* until one opens */
	size_t attempt, endpoint;

	/* The association. */
	char calling_ae[AE_SIZE], called_ae[AE_SIZE];
	struct sender_context contexts[ASSOC_MAX_CONTEXTS];
	size_t n_contexts;
	struct pdu_stream in;
	struct buf hold, command;
	uint32_t payload_max;
	uint16_t message_id;
	uint64_t id; /* of the ledger; 0: no row */
	uint64_t begun_ns;
	struct line_watch line;
	uint64_t bytes_in, bytes_out; /* outlive the stream */
	uint32_t stores, messages, failures;

	/* The pace. */
	struct shaper_client shape; /* zeroed: nothing is limited */
	enum shaper_class pace_class;
	char device[CONFIG_NAME_LEN]; /* whose limit it is */
	uv_timer_t pace;              /* made with the other one */
	bool pacing;                  /* it runs */

	/* The message. */
	enum sender_phase phase;
	const struct sender_context *context;
	size_t offset; /* into the chunk being sent */
	bool starved;  /* the rest of it still comes in */
	bool have_status;
	uint16_t status; /* came before all was sent */
	uint16_t error_id;
	char comment[LEDGER_TEXT_LEN];

	struct asked asked;

	/* The end. */
	bool closing;
	struct msg close_msg;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* sender.c */

/* The first task of the queue, or NULL. */
struct task *sender_first(struct sender *s);
/* Hand t back with this verdict. */
void sender_finish(struct sender *s, struct task *t, enum task_end end,
		   const struct verdict *v, const char *detail);
/* The association is over because of v: the outstanding instance is finished
 * with it; opened false: every task of the queue is. The others go back. */
void sender_fail(struct sender *s, const struct verdict *v, const char *detail,
		 bool opened);
/* Restart the one timer; what it means depends on the state. */
void sender_timer(struct sender *s, uint64_t ms);
/* Open an association for the first task when there is none. */
void sender_open(struct sender *s);
/* The stream is gone. */
void sender_after_close(struct sender *s);

/* sender_ul.c */
extern const struct stream_events sender_events;
/* Let an event happen to the association (PS3.8 table 9-10). */
void sender_event(struct sender *s, enum ul_event ev);
void sender_on_timer(struct sender *s);
/* Write to the stream; a failure closes it. */
bool sender_write(struct sender *s, const struct iovec *iov, unsigned n);

/* sender_store.c */

/* Send what can be sent, release what is not needed. Only in Sta6. */
void sender_pump(struct sender *s);
/* The instance or message outstanding, or NULL. */
struct task *sender_outstanding(struct sender *s);
/* The role that we need for t. */
uint8_t sender_role(const struct task *t);
/* Send a whole command set. False: the stream is closing. */
bool sender_send_command(struct sender *s, uint8_t context_id,
			 const struct command *c);

/* sender_pace.c */

/* What is sent from now on is t's. */
void sender_pace_for(struct sender *s, const struct task *t);
/* How many of want bytes may leave now, in whole fragments; 0: sender_pump()
 * runs again when some may. */
size_t sender_pace(struct sender *s, size_t want);
/* n of those did not. */
void sender_pace_unsent(struct sender *s, size_t n);
/* These leave anyhow. */
void sender_pace_count(struct sender *s, size_t n);
/* Bytes of one fragment. */
size_t sender_fragment_max(const struct sender *s);
/* Try again in ms. */
void sender_pump_in(struct sender *s, uint64_t ms);
/* Nothing is sent for now. */
void sender_pace_stop(struct sender *s);

/* sender_in.c */

/* A piece of a PDV came (PS3.8 annex E). False: protocol broken. */
bool sender_pdv(struct sender *s, const struct pdu_event *ev);
/* All was sent and the status is there: the first task is done. */
void sender_answered(struct sender *s);
/* Answer the peer's request: in ASKED_ANSWER, between messages of ours. False:
 * the stream is closing. */
bool sender_send_answer(struct sender *s);
/* The association is gone: nothing is to be answered any more. */
void sender_forget_asked(struct sender *s);

/* sender_early.c */

/* Something of t can be sent now. Else sender_early_wait(). */
bool sender_early_has(const struct task *t);
void sender_early_wait(struct sender *s, struct task *t);
/* Something of it is sent. */
void sender_early_flows(struct sender *s);

/* sender_assoc.c */

struct capability_key sender_key(const struct sender *s,
				 const struct sender_context *c);
/* Build and encode the A-ASSOCIATE-RQ for the first task into out. */
enum err sender_request(struct sender *s, struct wr *out) MUST_CHECK;
/* Take the answer in: contexts, lengths, capabilities, the ledger's row. False:
 * not to be used. */
bool sender_accepted(struct sender *s, const uint8_t *body, size_t len);
/* The ledger's rows of an association that began or was refused, and ended. */
void sender_row_begin(struct sender *s, const struct assoc *ac,
		      const char *result);
void sender_row_end(struct sender *s, const char *why);

#endif
