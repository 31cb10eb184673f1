/* message_scp.h - one DIMSE-N request as its SCP: data set fragments in, one
 * status out. In the shape of store_scp.h.
 *
 * Two kinds of request are taken:
 *   - messages that are stored and forwarded: N-ACTION of storage commitment
 *     where the route says hold, N-CREATE and N-SET of the modality performed
 *     procedure step where it says forward (PS3.4 J.3.2, F.7.2). Success is
 *     given only when the spool says that the request is durable;
 *   - N-EVENT-REPORT of storage commitment (PS3.4 J.3.3), which is handed to
 *     the commitment engine and answered with what that says.
 *
 *   begin --> data* --> end --> done(status)       the usual way
 *     \--------\---------\----> abort              no done
 *
 * The data set is gathered in memory: bounded for each, and MESSAGES_MAX bytes
 * in the whole process.
 *
 * Lives on one worker and is used on its thread only; done runs there. */
#ifndef PROXY_MESSAGE_SCP_H
#define PROXY_MESSAGE_SCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/dicom/command.h"
#include "proxy/lib/err.h"

struct agreed_context;
struct commitment;
struct message_op; /* opaque */
struct spool;
struct store_origin;
struct worker;

enum {
	MESSAGE_MAX = 4 * 1024 * 1024,        /* bytes of one data set */
	MESSAGE_REPORT_MAX = 8 * 1024 * 1024, /* of a report: names, reasons */
	MESSAGES_MAX = 64 * 1024 * 1024,      /* gathered at one time */
};

/* Where requests go. All borrowed; must outlive the op. */
struct message_env {
	struct spool *spool;           /* message_begin() only */
	struct commitment *commitment; /* NULL: no commitment is served */
	struct worker *worker;
};

struct message_events {
	/* The end of an op that message_end() was called for; op is freed when
	 * this returns. comment: "" or text of at most 64 characters for
	 * (0000,0902), without patient data.
	 *
	 *   0000  durable, or taken by the engine
	 *   0110  processing failure
	 *   0112  N-ACTION, N-EVENT-REPORT: not the well-known instance
	 *   0113  N-EVENT-REPORT: no such event type
	 *   0115  N-ACTION, N-EVENT-REPORT: the data set cannot be read
	 *   0117  no SOP instance UID, or one that cannot be carried
	 *   0120  N-ACTION: no transaction UID, or no instance named
	 *   0122  the class is not that of the context
	 *   0123  N-ACTION: no such action type
	 *   0212  no data set where one is needed
	 *   0213  the data set is longer than is taken, or spool, disk or
	 *         memory are full: to be sent again */
	void (*on_done)(void *arg, uint16_t status, const char *comment);
};

/* Is a request with this command field, in this context, one that
 * message_begin() takes? */
bool message_is_spooled(const struct agreed_context *context, uint16_t field);

/* Begin one that message_is_spooled(). Always gives an op unless memory is out
 * (ERR_NOMEM): an op that cannot be taken swallows its data and ends with a
 * failure status. A request without data set has message_end() called at once.
 * Everything but env, events and arg is copied; events must outlive op. */
enum err message_begin(const struct message_env *env,
		       const struct store_origin *origin,
		       const struct agreed_context *context,
		       const struct command *rq,
		       const struct message_events *events, void *arg,
		       struct message_op **out) MUST_CHECK;

/* Where a report comes from; copied. */
struct message_reporter {
	const char *name;     /* of the destination or device */
	const char *abstract; /* of the presentation context */
	const char *transfer_syntax;
};

/* Begin an N-EVENT-REPORT-RQ. Errors as message_begin(). */
enum err message_report_begin(const struct message_env *env,
			      const struct message_reporter *from,
			      const struct command *rq,
			      const struct message_events *events, void *arg,
			      struct message_op **out) MUST_CHECK;

/* The next bytes of the data set. */
void message_data(struct message_op *op, const uint8_t *bytes, size_t n);
/* The last fragment was seen, or there is none: on_done follows, never from
 * inside. */
void message_end(struct message_op *op);
/* The association ended. No event follows. What message_end() was called for
 * is carried out all the same. */
void message_abort(struct message_op *op);

/* Bytes of the data set taken so far, for the record. */
uint64_t message_length(const struct message_op *op);

/* Ops of the whole process whose end is still awaited: a worker must not stop
 * before this is 0. Any thread. */
unsigned message_pending(void);

#endif
