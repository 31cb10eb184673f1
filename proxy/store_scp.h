/* store_scp.h - one C-STORE as its SCP: data set fragments in, one status out.
 *
 * The data set streams into the spool; its identifiers are read in passing.
 * Success is given only when the spool says that all of it is durable. A long
 * one is told of while it comes (early.h).
 *
 *   begin --> data* --> end --> done(status)       the usual way
 *     \--------\---------\----> abort              no done
 *
 * Lives on one worker and is used on its thread only; done runs there. */
#ifndef PROXY_STORE_SCP_H
#define PROXY_STORE_SCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/dicom/command.h"
#include "proxy/lib/err.h"
#include "proxy/negotiate.h"

struct early_desk;
struct instance;
struct spool;
struct store_op; /* opaque */
struct worker;

/* Facts of the association; borrowed for the call. */
struct store_origin {
	const struct config *config;
	size_t listener, device; /* indexes */
	uint64_t association;
	const char *peer;
	const char *calling_ae, *called_ae;
	struct early_desk *early; /* is told of long ones; NULL: nobody is */
};

/* Set what of an instance or message follows from the association and its
 * context alone. in is zeroed before. */
void store_fill(struct instance *in, const struct store_origin *o,
		const struct agreed_context *context);

struct store_events {
	/* The spool takes data again: reading may resume. */
	void (*on_writable)(void *arg);
	/* The end of an op that store_end() was called for; op is freed when
	 * this returns. comment: "" or text of at most 64 characters for
	 * (0000,0902), without patient data. */
	void (*on_done)(void *arg, uint16_t status, const char *comment);
};

/* Begin one. Always gives an op unless memory is out (ERR_NOMEM): an op that
 * cannot be stored (quota, disk) swallows its data and ends with A700.
 * context and the UIDs of rq have been checked. events must outlive op. */
enum err store_begin(struct spool *spool, struct worker *w,
		     const struct store_origin *origin,
		     const struct agreed_context *context,
		     const struct command *rq,
		     const struct store_events *events, void *arg,
		     struct store_op **out) MUST_CHECK;

/* The next bytes of the data set. */
void store_data(struct store_op *op, const uint8_t *bytes, size_t n);
/* True: do not read on before on_writable. */
bool store_full(const struct store_op *op);
/* The last fragment was seen: on_done follows, never from inside. */
void store_end(struct store_op *op);
/* The association ended. No event follows. What store_end() was called for
 * may become durable all the same: it is delivered, and a repeated C-STORE of
 * it is harmless. */
void store_abort(struct store_op *op);

/* For the record at the end of the association. "" until known. */
const char *store_study(const struct store_op *op);
uint64_t store_length(const struct store_op *op);

/* Ops of the whole process whose flush is still awaited: a worker must not
 * stop before this is 0. Any thread. */
unsigned store_pending(void);

#endif
