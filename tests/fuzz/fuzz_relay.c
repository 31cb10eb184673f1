/* fuzz_relay.c - an association with two legs, driven event by event: real
 * association and relay, and instead of what is around them (streams, legs,
 * spool, ledger, admission) a few lines that do what the input says.
 *
 * Whatever peers do, what goes out is checked: PDUs that can be read, messages
 * that do not mix, and in the end nothing that is left over. */
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/admission.h"
#include "proxy/association_int.h"
#include "proxy/capability.h"
#include "proxy/destination.h"
#include "proxy/dicom/assoc.h"
#include "proxy/dicom/command.h"
#include "proxy/leg.h"
#include "proxy/lib/buf.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/message_scp.h"
#include "proxy/net/stream.h"
#include "proxy/net/worker.h"
#include "proxy/store_scp.h"
#include "store/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LEGS_MAX = 64, PENDING_MAX = 1 << 20, N_DESTINATIONS = 2 };

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* ---- what goes out is a sequence of whole messages ---------------------- */

struct reader {
	struct pdu_stream in;
	struct buf hold;
	uint8_t context_id;
	bool busy, data, has_data, over; /* over: the message, in this PDU */
	uint64_t pdu;
	struct buf command;
};

static void reader_init(struct reader *r)
{
	buf_init(&r->hold, PDU_ASSOCIATE_MAX);
	buf_init(&r->command, 1 << 20);
	pdu_stream_init(&r->in, &r->hold, 0);
	r->busy = r->over = false;
}

static void reader_free(struct reader *r)
{
	buf_free(&r->hold);
	buf_free(&r->command);
}

static void reader_pdv_begin(struct reader *r, const struct pdv *pdv)
{
	if (r->pdu != r->in.pdus)
		r->over = false;
	r->pdu = r->in.pdus;
	must(!r->over);
	if (!r->busy) {
		r->busy = true;
		r->data = false;
		r->context_id = pdv->context_id;
		buf_clear(&r->command);
	}
	must(pdv->context_id == r->context_id && pdv->command == !r->data);
}

static void reader_pdv_end(struct reader *r, const struct pdv *pdv)
{
	struct command c;

	if (!pdv->last)
		return;
	if (pdv->command) {
		must(command_decode(buf_data(&r->command), buf_len(&r->command),
				    &c) == ERR_OK);
		r->data = command_has_data_set(&c);
	} else {
		r->data = false;
	}
	r->busy = r->data;
	r->over = !r->data;
}

static void reader_take(struct reader *r, const uint8_t *p, size_t n)
{
	struct pdu_event ev = {.kind = PDU_EV_PDU};
	size_t used;

	while (ev.kind != PDU_EV_MORE) {
		must(pdu_stream_next(&r->in, p, n, &used, &ev) == ERR_OK);
		p += used;
		n -= used;
		if (ev.kind == PDU_EV_PDV_BEGIN)
			reader_pdv_begin(r, &ev.pdv);
		else if (ev.kind == PDU_EV_PDV_DATA && ev.pdv.command)
			must(buf_append(&r->command, ev.data, ev.len) ==
			     ERR_OK);
		else if (ev.kind == PDU_EV_PDV_END)
			reader_pdv_end(r, &ev.pdv);
		else if (ev.kind == PDU_EV_PDU && ev.type != PDU_ABORT)
			must(!r->busy || ev.type == PDU_ASSOCIATE_RJ);
	}
}

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
static struct config *config;
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

static void leg_gone(struct leg *l)
{
	reader_free(&l->out);
	buf_free(&l->pending);
	free(l->rq);
	l->used = false;
	l->ev->on_gone(l->arg);
}

static void leg_accept(struct leg *l, uint8_t how)
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

static void leg_refuse(struct leg *l)
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

static void leg_event(struct leg *l, uint8_t how)
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
				uint8_t *out, size_t cap, size_t *len)
{
	(void)l;
	must(n <= LEDGER_IDENTIFIER_MAX && n <= cap);
	memcpy(out, p, n);
	*len = n;
	return ERR_OK;
}

/* ---- input --------------------------------------------------------------- */

struct input {
	const uint8_t *p;
	size_t n;
};

static uint8_t byte(struct input *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

static const uint8_t contexts[] = {1, 3, 5, 7, 9, 11, 13};
static const char *const classes[] = {
    "1.2.840.10008.1.1",           "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.31",      "1.2.840.10008.5.1.4.1.2.2.1",
    "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.1.2.2.3",
    "1.2.840.10008.5.1.1.16"};
static const uint16_t fields[] = {
    C_STORE_RQ,  C_STORE_RSP,       C_FIND_RQ,         C_FIND_RSP, C_GET_RQ,
    C_GET_RSP,   C_MOVE_RQ,         C_MOVE_RSP,        C_ECHO_RQ,  C_ECHO_RSP,
    C_CANCEL_RQ, N_EVENT_REPORT_RQ, N_EVENT_REPORT_RSP};
static const uint16_t statuses[] = {0, 0xff00, 0xa700, 0xfe00};

/* One PDU with one PDV. */
static void add_pdu(struct buf *b, uint8_t id, const uint8_t *p, size_t n,
		    uint8_t mch)
{
	uint8_t head[PDU_PDATA_HEADER_LEN];

	(void)pdu_pdata_header(head, (uint32_t)n, id, mch);
	if (buf_append(b, head, sizeof(head)) == ERR_OK)
		(void)!buf_append(b, p, n);
}

/* context, field, message id, status and how long, in five bytes. */
static void add_message(struct buf *b, struct input *in)
{
	static uint8_t bytes[128 * 1024];
	uint8_t k = byte(in) % sizeof(contexts), how;
	struct command c = {.has = CMD_FIELD | CMD_MESSAGE_ID |
				   CMD_RESPONDED_ID | CMD_STATUS |
				   CMD_DATA_SET_TYPE | CMD_AFFECTED_CLASS |
				   CMD_AFFECTED_INSTANCE};
	uint8_t set[1024];
	struct wr w = wr_init(set, sizeof(set));
	size_t n, first;

	c.field = fields[byte(in) % ARRAY_LEN(fields)];
	c.message_id = c.responded_id = byte(in) % 4;
	c.status = statuses[byte(in) % ARRAY_LEN(statuses)];
	memcpy(c.affected_class, classes[k], strlen(classes[k]) + 1);
	memcpy(c.affected_instance, "1.2", 4);
	how = byte(in);
	c.data_set_type = how & 1 ? 0 : COMMAND_NO_DATA_SET;
	must(command_encode(&c, &w) == ERR_OK);
	first = how & 2 ? w.len / 2 : 0;
	if (first > 0)
		add_pdu(b, contexts[k], set, first, PDV_COMMAND);
	add_pdu(b, contexts[k], set + first, w.len - first,
		PDV_COMMAND | PDV_LAST);
	n = how & 4 ? sizeof(bytes) : how;
	for (int i = how >> 5; (how & 1) != 0 && i > 0; i--)
		add_pdu(b, contexts[k], bytes, n, 0);
	if ((how & 1) != 0 && (how & 8) == 0)
		add_pdu(b, contexts[k], bytes, n, PDV_LAST);
}

/* PDUs of the input's own: P-DATA only from legs. */
static void add_raw(struct buf *b, struct input *in, bool any)
{
	uint8_t n = byte(in), head[6] = {PDU_DATA_TF, 0, 0, 0, 0, n};

	if (n > in->n)
		n = head[5] = (uint8_t)in->n;
	if (!any)
		(void)!buf_append(b, head, sizeof(head));
	(void)!buf_append(b, in->p, n);
	in->p += n;
	in->n -= n;
}

static void add_control(struct buf *b, uint8_t how)
{
	uint8_t pdu[PDU_CONTROL_LEN];

	if (how % 3 == 0)
		(void)pdu_abort_encode(pdu, (struct pdu_abort){0, 0});
	else
		(void)pdu_release_rq_encode(pdu);
	(void)!buf_append(b, pdu, sizeof(pdu));
}

static void add_rq(struct buf *b, uint8_t how)
{
	static uint8_t out[16384];
	struct assoc *rq = calloc(1, sizeof(*rq));
	struct wr w = wr_init(out, sizeof(out));

	assoc_init(rq);
	memcpy(rq->calling_ae, "CT", 3);
	memcpy(rq->called_ae, how & 1 ? "LIVE" : "CULVERT", how & 1 ? 5 : 8);
	/* without those that are taken here */
	for (size_t i = how & 0x40 ? 2 : 0; i < sizeof(contexts); i++) {
		must(assoc_add_context(rq, contexts[i], classes[i]) == ERR_OK);
		must(assoc_add_ts(rq, UID_EXPLICIT_LE) == ERR_OK);
	}
	if ((how & 2) != 0)
		must(assoc_add_role(rq, classes[1], (how & 4) == 0, true) ==
		     ERR_OK);
	must(assoc_encode_rq(rq, &w) == ERR_OK);
	(void)!buf_append(b, out, w.len);
	free(rq);
}

/* ---- events -------------------------------------------------------------- */

/* A piece of what is pending, in memory of its exact size. */
static uint8_t *piece(struct buf *b, size_t n)
{
	uint8_t *p = malloc(n);

	memcpy(p, buf_data(b), n);
	buf_consume(b, n);
	return p;
}

static bool device_listens(void)
{
	return device.live && !device.closing && !device.finishing &&
	       !device.paused;
}

static void device_goes_on(size_t n)
{
	uint8_t *p;

	n = n < buf_len(&device.pending) ? n : buf_len(&device.pending);
	if (!device_listens() || n == 0)
		return;
	p = piece(&device.pending, n);
	device.ev->on_read(device.arg, p, n);
	free(p);
}

static void leg_goes_on(struct leg *l, size_t n)
{
	uint8_t *p;

	if (!l->used || !l->open || l->detached || l->paused)
		return;
	n = n < buf_len(&l->pending) ? n : buf_len(&l->pending);
	if (n == 0)
		return;
	p = piece(&l->pending, n);
	l->ev->on_read(l->arg, p, n);
	free(p);
}

/* What happens by itself at the end of a turn. */
static void turn(void)
{
	for (size_t i = 0; i < LEGS_MAX; i++) {
		struct leg *l = &legs[i];

		if (l->used && l->over && !l->detached)
			leg_event(l, 0);
		if (l->used && l->detached)
			leg_gone(l);
	}
	if (device.live && (device.closing || device.finishing)) {
		device.live = false;
		device.ev->on_closed(device.arg, ERR_OK, "");
	}
}

static void drain(void)
{
	if (device.live && !device.closing && !device.finishing) {
		device.queued = 0;
		device.ev->on_drain(device.arg);
	}
	for (size_t i = 0; i < LEGS_MAX; i++) {
		if (!legs[i].used || !legs[i].open || legs[i].detached)
			continue;
		legs[i].queued = 0;
		legs[i].ev->on_drain(legs[i].arg);
	}
}

static void stored(uint8_t how)
{
	if (!op.used || !op.ended)
		return;
	op.used = false;
	op.ev->on_done(op.arg, how & 1 ? 0xa700 : 0, "");
}

static struct association_env env;

static void step(struct input *in)
{
	uint8_t what = byte(in), n = byte(in);
	struct leg *l = &legs[n % 4];

	switch (what % 12) {
	case 0:
		add_message(&device.pending, in);
		break;
	case 1:
		add_raw(&device.pending, in, true);
		break;
	case 2:
		add_control(&device.pending, n);
		break;
	case 3:
		device_goes_on((size_t)n * n + 1);
		break;
	case 4:
		if (l->used)
			add_message(&l->pending, in);
		break;
	case 5:
		if (l->used)
			add_raw(&l->pending, in, false);
		break;
	case 6:
		leg_goes_on(l, (size_t)byte(in) << 10 | n);
		break;
	case 7:
		leg_event(l, byte(in));
		break;
	case 8:
		turn();
		break;
	case 9:
		drain();
		break;
	case 10:
		stored(n);
		break;
	case 11:
		if (n == 255)
			association_drain(&env, false);
		else if (n == 254 && device_listens())
			device.ev->on_eof(device.arg);
		else
			device_goes_on(SIZE_MAX);
		break;
	}
}

/* ---- all ----------------------------------------------------------------- */

static const char yaml[] =
    "listeners:\n"
    "  in: {address: '0.0.0.0:104', protocol: dicom,\n"
    "       ae_titles: [CULVERT, LIVE]}\n"
    "devices:\n"
    "  ct: {ae_title: CT, address: 127.0.0.1, services: [storage,\n"
    "       verification, worklist, query, print]}\n"
    "destinations:\n"
    "  ris: {protocol: dicom, endpoints: '127.0.0.1:4', ae_title: RIS,\n"
    "        plaintext: {allowed: test}}\n"
    "  pacs: {protocol: dicom, endpoints: '127.0.0.1:5', ae_title: PACS,\n"
    "         plaintext: {allowed: test}}\n"
    "routes:\n"
    "  - {service: storage, called: LIVE, relay: pacs}\n"
    "  - {service: storage, forward: [pacs]}\n"
    "  - {service: [worklist, print], relay: ris}\n"
    "  - {service: query, relay: pacs}\n"
    "spool: {path: /s}\n"
    "records: {path: /r}\n"
    "control: {path: /c}\n";

static void load_config(void)
{
	struct config_errors *errors = calloc(1, sizeof(*errors));

	log_set_level(LOG_ERROR + 1);
	if (config_load_from_memory(yaml, sizeof(yaml) - 1, "t.yaml", &config,
				    errors) != ERR_OK)
		config_errors_print(errors, stderr);
	free(errors);
	must(config != NULL);
	for (size_t i = 0; i < N_DESTINATIONS; i++)
		destinations[i].config = &config->destinations[i];
}

static void finish(void)
{
	if (device.live && !device.closing && !device.finishing)
		stream_close(&device, ERR_CANCELED);
	turn();
	turn();
	for (size_t i = 0; i < LEGS_MAX; i++)
		must(!legs[i].used);
	must(list_empty(&env.open) && !op.used);
	reader_free(&device.out);
	buf_free(&device.pending);
}

/* There is no socket that could tell. */
static void come_from_loopback(struct association *a)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	memcpy(&a->facts.peer, &at, sizeof(at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct destination *const by_index[] = {&destinations[0],
						       &destinations[1]};
	static struct tls_context *tls[1];
	static atomic_uint n_open;
	struct input in = {data, size};
	uint8_t how = byte(&in);

	if (config == NULL)
		load_config();
	env = (struct association_env){.config = config,
				       .destinations = by_index,
				       .tls = tls,
				       .n_open = &n_open};
	list_init(&env.open);
	torn = false;
	must(association_begin(&env, -1, 0) == ERR_OK);
	come_from_loopback(
	    CONTAINER_OF(env.open.next, struct association, node));
	add_rq(&device.pending, how);
	device_goes_on(SIZE_MAX);
	for (size_t i = 0; (how & 8) == 0 && i < 2; i++)
		leg_event(&legs[i], (uint8_t)((how & 0x10) | 7u << 5));
	while (in.n > 0)
		step(&in);
	finish();
	return 0;
}
