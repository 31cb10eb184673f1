/* relay_fakes.h - what is around an association: streams, legs, spool, ledger,
 * admission, as a few lines that do what a fuzz target says. They stand for the
 * real ones, so the one target that includes this links none of those. */
#ifndef TESTS_FUZZ_RELAY_FAKES_H
#define TESTS_FUZZ_RELAY_FAKES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/admission.h"
#include "proxy/capability.h"
#include "proxy/destination.h"
#include "proxy/dicom/assoc.h"
#include "proxy/leg.h"
#include "proxy/message_scp.h"
#include "proxy/net/stream.h"
#include "proxy/net/worker.h"
#include "proxy/store_scp.h"
#include "store/ledger.h"
#include "tests/fuzz/relay_reader.h"

enum { LEGS_MAX = 64, PENDING_MAX = 1 << 20, N_DESTINATIONS = 2 };

/* ---- streams: there is one, the device's -------------------------------- */

struct stream {
	const struct stream_events *ev;
	void *arg;
	bool live, paused, closing, finishing, told;
	struct reader out;
	size_t queued, cap;
	struct buf pending; /* that the device has sent */
};

static struct stream device;

enum err stream_accept(struct worker *w, int fd, const struct stream_options *o,
		       const struct stream_events *ev, void *arg,
		       struct stream **out)
{
	(void)w;
	(void)fd;
	device = (struct stream){
	    .ev = ev, .arg = arg, .live = true, .cap = o->out_cap};
	reader_init(&device.out);
	buf_init(&device.pending, PENDING_MAX);
	*out = &device;
	return ERR_OK;
}

static bool torn; /* an abort inside a message: the rest cannot be read */

enum err stream_write(struct stream *s, const struct iovec *iov, unsigned n)
{
	size_t total = 0;

	if (s->closing || s->finishing)
		return ERR_CLOSED;
	for (unsigned i = 0; i < n; i++)
		total += iov[i].iov_len;
	if (total > s->cap - s->queued)
		return ERR_LIMIT;
	s->queued += total;
	for (unsigned i = 0; i < n && !torn; i++) {
		const uint8_t *p = iov[i].iov_base;

		if (total == PDU_CONTROL_LEN && p[0] == PDU_ABORT &&
		    !pdu_stream_idle(&s->out.in))
			torn = true;
		else
			reader_take(&s->out, p, iov[i].iov_len);
	}
	return ERR_OK;
}

size_t stream_queued(const struct stream *s)
{
	return s->queued;
}

void stream_read_pause(struct stream *s)
{
	s->paused = true;
}

void stream_read_resume(struct stream *s)
{
	s->paused = false;
}

void stream_close(struct stream *s, enum err why)
{
	(void)why;
	s->closing = true;
}

void stream_finish(struct stream *s)
{
	s->finishing = true;
}

void stream_set_deadline(struct stream *s, uint64_t ms)
{
	(void)s;
	(void)ms;
}

void stream_set_idle(struct stream *s, uint64_t ms)
{
	(void)s;
	(void)ms;
}

void stream_eof_ok(struct stream *s, bool ok)
{
	(void)s;
	(void)ok;
}

bool stream_tls_info(const struct stream *s, struct tls_info *out)
{
	(void)s;
	(void)out;
	return false;
}

/* ---- legs ---------------------------------------------------------------- */

struct leg {
	const struct leg_events *ev;
	void *arg;
	size_t destination;
	bool used, open, detached, paused, over;
	struct assoc *rq;
	struct reader out;
	size_t queued, cap;
	struct buf pending;
};

static struct leg legs[LEGS_MAX];
static struct destination destinations[N_DESTINATIONS];

enum err leg_open(const struct leg_request *r, const struct leg_events *ev,
		  void *arg, struct leg **out)
{
	for (size_t i = 0; i < LEGS_MAX; i++) {
		struct leg *l = &legs[i];

		if (l->used)
			continue;
		*l = (struct leg){.ev = ev,
				  .arg = arg,
				  .used = true,
				  .destination =
				      (size_t)(r->destination - destinations),
				  .cap = r->out_cap};
		l->rq = calloc(1, sizeof(*l->rq));
		must(assoc_decode(r->rq + PDU_HEADER_LEN,
				  r->rq_len - PDU_HEADER_LEN, PDU_ASSOCIATE_RQ,
				  l->rq) == ERR_OK);
		reader_init(&l->out);
		buf_init(&l->pending, PENDING_MAX);
		*out = l;
		return ERR_OK;
	}
	return ERR_NOMEM;
}

bool leg_is_open(const struct leg *l)
{
	return l->open;
}

enum err leg_write(struct leg *l, const struct iovec *iov, unsigned n)
{
	must(l->used && !l->detached);
	if (!l->open)
		return ERR_CLOSED;
	for (unsigned i = 0; i < n; i++) {
		if (iov[i].iov_len > l->cap - l->queued)
			return ERR_LIMIT;
		l->queued += iov[i].iov_len;
		reader_take(&l->out, iov[i].iov_base, iov[i].iov_len);
	}
	return ERR_OK;
}

void stream_ack_at_once(struct stream *s)
{
	(void)s;
}

void leg_ack_at_once(struct leg *l)
{
	must(l->used);
}

size_t leg_queued(const struct leg *l)
{
	must(l->used);
	return l->queued;
}

void leg_pause(struct leg *l)
{
	must(l->used);
	l->paused = true;
}

void leg_resume(struct leg *l)
{
	must(l->used);
	l->paused = false;
}

void leg_watch(struct leg *l, uint64_t idle_ms)
{
	(void)idle_ms;
	must(l->used);
}

void leg_bad_pdu(struct leg *l, uint8_t reason)
{
	(void)reason;
	must(l->used);
	if (l->open)
		l->over = true; /* on_lost() comes */
	l->open = false;
}

void leg_release(struct leg *l)
{
	must(l->used && !l->detached);
	must(!l->open || !l->out.busy); /* only between messages */
	l->detached = true;
	l->open = false;
}

void leg_abort(struct leg *l)
{
	must(l->used);
	l->detached = true;
	l->open = false;
}

void leg_count(struct leg *l, uint32_t stores, uint32_t echos, uint32_t others,
	       uint32_t failures)
{
	must(l->used);
	must(stores + echos + others == 1 && failures <= 1);
}

static inline void leg_gone(struct leg *l)
{
	reader_free(&l->out);
	buf_free(&l->pending);
	free(l->rq);
	l->used = false;
	l->ev->on_gone(l->arg);
}

static inline void leg_accept(struct leg *l, uint8_t how)
{
	struct assoc *ac = calloc(1, sizeof(*ac));

	assoc_init_answer(ac, l->rq);
	ac->max_pdu = how & 0x10 ? 0 : 16384;
	for (size_t i = 0; i < l->rq->n_contexts; i++) {
		const struct assoc_context *c = &l->rq->contexts[i];

		must(assoc_answer(ac, c->id, i == how >> 5 ? 3 : 0,
				  assoc_ts(l->rq, c, 0)) == ERR_OK);
	}
	for (size_t i = 0; i < l->rq->n_roles; i++)
		must(assoc_add_role(ac, l->rq->roles[i].sop_class,
				    l->rq->roles[i].scu,
				    l->rq->roles[i].scp) == ERR_OK);
	l->open = true;
	l->ev->on_accepted(l->arg, ac);
	free(ac);
}

static inline void leg_refuse(struct leg *l)
{
	static const struct leg_refusal why = {.rejected = true,
					       .reject = {1, 1, 7},
					       .code = "",
					       .cause = "",
					       .remedy = "",
					       .detail = ""};

	l->detached = true;
	l->ev->on_refused(l->arg, &why);
}

static inline void leg_event(struct leg *l, uint8_t how)
{
	if (!l->used || l->detached)
		return;
	if (!l->open && !l->over) {
		if ((how & 3) == 3)
			leg_refuse(l);
		else
			leg_accept(l, how);
		return;
	}
	l->open = false;
	l->detached = true;
	if ((how & 1) == 0)
		l->ev->on_lost(l->arg, "lost");
	else
		l->ev->on_released(l->arg);
}

/* ---- the rest of the world ------------------------------------------------
 */

struct store_op {
	const struct store_events *ev;
	void *arg;
	bool used, ended;
};

static struct store_op op;

enum err store_begin(struct spool *spool, struct worker *w,
		     const struct store_origin *origin,
		     const struct agreed_context *context,
		     const struct command *rq, const struct store_events *ev,
		     void *arg, struct store_op **out)
{
	(void)spool;
	(void)w;
	(void)origin;
	(void)rq;
	must(!op.used && context->route != NULL);
	op = (struct store_op){.ev = ev, .arg = arg, .used = true};
	*out = &op;
	return ERR_OK;
}

void store_data(struct store_op *o, const uint8_t *bytes, size_t n)
{
	(void)bytes;
	(void)n;
	must(o->used && !o->ended);
}

bool store_full(const struct store_op *o)
{
	(void)o;
	return false;
}

void store_end(struct store_op *o)
{
	must(o->used && !o->ended);
	o->ended = true;
}

void store_abort(struct store_op *o)
{
	must(o->used);
	o->used = false;
}

const char *store_study(const struct store_op *o)
{
	(void)o;
	return "";
}

uint64_t store_length(const struct store_op *o)
{
	(void)o;
	return 0;
}

bool message_is_spooled(const struct agreed_context *context, uint16_t field)
{
	(void)context;
	(void)field;
	return false;
}

enum err message_begin(const struct message_env *env,
		       const struct store_origin *origin,
		       const struct agreed_context *context,
		       const struct command *rq,
		       const struct message_events *events, void *arg,
		       struct message_op **out)
{
	(void)env;
	(void)origin;
	(void)context;
	(void)rq;
	(void)events;
	(void)arg;
	(void)out;
	return ERR_NOMEM;
}

enum err message_report_begin(const struct message_env *env,
			      const struct message_reporter *from,
			      const struct command *rq,
			      const struct message_events *events, void *arg,
			      struct message_op **out)
{
	(void)from;
	return message_begin(env, NULL, NULL, rq, events, arg, out);
}

void message_data(struct message_op *o, const uint8_t *bytes, size_t n)
{
	(void)o;
	(void)bytes;
	(void)n;
}

void message_end(struct message_op *o)
{
	(void)o;
}

void message_abort(struct message_op *o)
{
	(void)o;
}

void worker_load_add(struct worker *w, int delta)
{
	(void)w;
	(void)delta;
}

/* Only where something is limited. */
struct uv_loop_s *worker_loop(struct worker *w)
{
	(void)w;
	return NULL;
}

enum limit_verdict admission_associate(struct admission *a, size_t listener,
				       size_t d)
{
	(void)a;
	(void)listener;
	(void)d;
	return LIMIT_PASS;
}

void admission_leave(struct admission *a, size_t listener, int d)
{
	(void)a;
	(void)listener;
	(void)d;
}

void admission_refuse(struct admission *a, const struct refusal_facts *f)
{
	(void)a;
	(void)f;
}

enum capability capability_lookup(struct capabilities *c,
				  const struct capability_key *key,
				  uint64_t *age_ms)
{
	(void)c;
	(void)key;
	*age_ms = 0;
	return CAPABILITY_ACCEPTED;
}

void capability_want(struct capabilities *c, const struct capability_key *key)
{
	(void)c;
	(void)key;
}

void destination_aes(const struct config_destination *d, const char *calling_ae,
		     const char *called_ae, char out_calling[CONFIG_AE_LEN],
		     char out_called[CONFIG_AE_LEN])
{
	(void)d;
	memcpy(out_calling, calling_ae, strlen(calling_ae) + 1);
	memcpy(out_called, called_ae, strlen(called_ae) + 1);
}

bool ledger_accepting(struct ledger *l)
{
	(void)l;
	return true;
}

uint64_t ledger_association_id(struct ledger *l)
{
	(void)l;
	return 1;
}

void ledger_association_begin(struct ledger *l,
			      const struct ledger_association *a)
{
	(void)l;
	(void)a;
}

void ledger_association_end(struct ledger *l,
			    const struct ledger_association_end *a)
{
	(void)l;
	(void)a;
}

void ledger_operation(struct ledger *l, const struct ledger_operation *o)
{
	(void)l;
	must(o->count > 0);
}

void ledger_audit(struct ledger *l, const struct audit_event *e)
{
	(void)l;
	(void)e;
}

enum err ledger_seal_identifier(struct ledger *l, const uint8_t *p, size_t n,
				uint8_t *out, size_t cap, size_t *len,
				uint8_t commitment[32])
{
	(void)l;
	memset(commitment, 0, 32);
	must(n <= LEDGER_IDENTIFIER_MAX && n <= cap);
	memcpy(out, p, n);
	*len = n;
	return ERR_OK;
}

#endif
