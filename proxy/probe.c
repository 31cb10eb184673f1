/* probe.c - see probe.h.
 *
 *   CONNECT --open--> ASSOCIATE --AC--> ECHO --RSP--> RELEASE --RP--> CLOSING
 *       \___________________ any failure, deadline ___________________/
 *
 * A handful of events, each expected in one state only: what comes elsewhere
 * is answered with an abort (PS3.8 table 9-10, AA-8). */
#include "proxy/probe.h"

#include <stdio.h>
#include <string.h>

#include "proxy/dicom/command.h"
#include "proxy/dicom/pdu.h"
#include "proxy/lib/buf.h"
#include "proxy/lib/mem.h"
#include "proxy/net/stream.h"
#include "proxy/outcome.h"

enum probe_state {
	PROBE_CONNECT,
	PROBE_ASSOCIATE,
	PROBE_ECHO,
	PROBE_RELEASE,
	PROBE_CLOSING,
};

enum { RELEASE_MS = 5000, TEXT_LEN = 1024 };

struct probe {
	const struct config_destination *config;
	struct destination *destination;
	struct probe_events ev;
	void *arg;
	enum probe_state state;
	struct stream *stream;
	struct assoc *rq;
	struct capability_pair pairs[PROBE_PAIRS];
	size_t n_pairs;
	size_t endpoint;
	struct pdu_stream in;
	struct buf hold, command;
	bool answered, echoed;
	bool marked;     /* the endpoint has its mark */
	uint8_t echo_id; /* context of the verification class; 0: refused */
	uint32_t payload_max;
};

/* ---- telling ----------------------------------------------------------- */

static void step(const struct probe *p, bool ok, const char *what,
		 const char *text)
{
	if (p->ev.step != NULL)
		p->ev.step(p->arg, ok, what, text);
}

/* The first failure is what is known of the endpoint from now on, unless it
 * has answered before. */
static void step_failed(struct probe *p, const char *what,
			const struct verdict *v, const char *detail)
{
	char text[TEXT_LEN];

	(void)verdict_text(v, detail, text, sizeof(text));
	if (!p->marked)
		destination_mark(p->destination, p->endpoint, text);
	p->marked = true;
	step(p, false, what, text);
}

static void answered(struct probe *p)
{
	if (!p->marked)
		destination_mark(p->destination, p->endpoint, NULL);
	p->marked = true;
}

static void fail(struct probe *p, const char *what, enum failure f,
		 const char *detail)
{
	struct verdict v = outcome_of_failure(f);

	if (f == FAIL_NO_MEMORY || f == FAIL_UNSENDABLE)
		p->marked = true; /* our own fault says nothing of it */
	step_failed(p, what, &v, detail);
}

/* ---- sending ----------------------------------------------------------- */

static bool put(struct probe *p, const void *bytes, size_t n)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = n};
	enum err e = stream_write(p->stream, &iov, 1);

	if (e != ERR_OK)
		stream_close(p->stream, e);
	return e == ERR_OK;
}

static void finish(struct probe *p)
{
	p->state = PROBE_CLOSING;
	stream_finish(p->stream);
}

static void abort_it(struct probe *p, uint8_t source)
{
	struct pdu_abort a = {.source = source,
			      .reason = source == ABORT_PROVIDER
					    ? ABORT_UNEXPECTED_PDU
					    : ABORT_NO_REASON};
	uint8_t pdu[PDU_CONTROL_LEN];

	(void)put(p, pdu, pdu_abort_encode(pdu, a));
	finish(p);
}

static void release(struct probe *p)
{
	uint8_t pdu[PDU_CONTROL_LEN];

	p->state = PROBE_RELEASE;
	stream_set_deadline(p->stream, RELEASE_MS);
	stream_eof_ok(p->stream, true);
	(void)put(p, pdu, pdu_release_rq_encode(pdu));
}

static void send_request(struct probe *p)
{
	enum { ROOM = 64 * 1024 };
	uint8_t *bytes = mem_zalloc(ROOM);
	struct wr w = wr_init(bytes, bytes != NULL ? ROOM : 0);

	p->state = PROBE_ASSOCIATE;
	stream_set_deadline(p->stream, p->config->timeouts.associate);
	if (assoc_encode_rq(p->rq, &w) == ERR_OK) {
		(void)put(p, bytes, w.len);
	} else {
		fail(p, "association", FAIL_UNSENDABLE, NULL);
		finish(p);
	}
	mem_free(bytes);
}

static void send_echo(struct probe *p)
{
	uint8_t bytes[PDU_PDATA_HEADER_LEN + COMMAND_STORE_MAX];
	struct wr w = wr_init(bytes + PDU_PDATA_HEADER_LEN, COMMAND_STORE_MAX);
	struct command c;

	command_echo_rq(&c, 1);
	if (p->echo_id == 0 || command_encode(&c, &w) != ERR_OK ||
	    w.len > p->payload_max) {
		step(p, true, "C-ECHO",
		     "not asked: the archive refuses the verification class");
		answered(p);
		release(p);
		return;
	}
	p->state = PROBE_ECHO;
	stream_set_deadline(p->stream, p->config->timeouts.response);
	(void)pdu_pdata_header(bytes, (uint32_t)w.len, p->echo_id,
			       PDV_COMMAND | PDV_LAST);
	(void)put(p, bytes, PDU_PDATA_HEADER_LEN + w.len);
}

/* ---- answers ----------------------------------------------------------- */

static void tell_pairs(struct probe *p, const struct assoc *ac)
{
	for (size_t i = 0; i < p->n_pairs; i++) {
		uint8_t id = (uint8_t)(2 * i + 3);

		if (assoc_context(ac, id) != NULL && p->ev.pair != NULL)
			p->ev.pair(p->arg, &p->pairs[i],
				   assoc_accepted(p->rq, ac, id) != NULL);
	}
}

static void on_accept(struct probe *p, const struct pdu_event *ev)
{
	struct assoc *ac = mem_zalloc(sizeof(*ac));
	char text[160];

	if (ac == NULL ||
	    assoc_decode(ev->data, ev->len, PDU_ASSOCIATE_AC, ac) != ERR_OK) {
		fail(p, "association",
		     ac == NULL ? FAIL_NO_MEMORY : FAIL_NOT_DICOM, NULL);
		mem_free(ac);
		abort_it(p, ABORT_PROVIDER);
		return;
	}
	p->answered = true;
	p->payload_max = pdu_payload_max(ac->max_pdu, 65536);
	if (assoc_accepted(p->rq, ac, 1) != NULL)
		p->echo_id = 1;
	(void)snprintf(text, sizeof(text), "%s to %s, they are %s %s",
		       p->rq->calling_ae, p->rq->called_ae, ac->impl_class,
		       ac->impl_version);
	step(p, true, "association", text);
	tell_pairs(p, ac);
	mem_free(ac);
	send_echo(p);
}

static void on_reject(struct probe *p, const struct pdu_event *ev)
{
	struct pdu_reject r = pdu_reject_decode(ev->data, ev->len);
	struct verdict v = outcome_of_reject(r.result, r.source, r.reason);
	char text[160];

	(void)snprintf(text, sizeof(text), "%u/%u/%u %s, as %s to %s", r.result,
		       r.source, r.reason, pdu_reject_text(r),
		       p->rq->calling_ae, p->rq->called_ae);
	answered(p);
	step_failed(p, "association", &v, text);
	finish(p);
}

static const char *step_name(const struct probe *p)
{
	return p->state == PROBE_ECHO ? "C-ECHO" : "association";
}

static void on_abort(struct probe *p, const struct pdu_event *ev)
{
	struct pdu_abort a = pdu_abort_decode(ev->data, ev->len);
	struct verdict v = outcome_of_abort(a.source, a.reason, false);

	if (p->state != PROBE_RELEASE)
		step_failed(p, step_name(p), &v, pdu_abort_text(a));
	p->state = PROBE_CLOSING;
	stream_close(p->stream, ERR_CLOSED);
}

static void on_echo(struct probe *p)
{
	struct command c;
	char text[96];

	if (command_decode(buf_data(&p->command), buf_len(&p->command), &c) !=
		ERR_OK ||
	    c.field != C_ECHO_RSP) {
		fail(p, "C-ECHO", FAIL_NOT_DICOM, NULL);
		abort_it(p, ABORT_PROVIDER);
		return;
	}
	p->echoed = c.status == STATUS_SUCCESS;
	answered(p);
	(void)snprintf(text, sizeof(text), "status %04X, %s", c.status,
		       command_status_text(c.status));
	step(p, p->echoed, "C-ECHO", text);
	release(p);
}

static void on_pdv(struct probe *p, const struct pdu_event *ev)
{
	if (p->state == PROBE_RELEASE)
		return;
	if (p->state != PROBE_ECHO || !ev->pdv.command ||
	    (ev->kind == PDU_EV_PDV_DATA &&
	     buf_append(&p->command, ev->data, ev->len) != ERR_OK)) {
		fail(p, step_name(p), FAIL_NOT_DICOM, NULL);
		abort_it(p, ABORT_PROVIDER);
		return;
	}
	if (ev->kind == PDU_EV_PDV_END && ev->pdv.last)
		on_echo(p);
}

static void on_release_rq(struct probe *p)
{
	uint8_t pdu[PDU_CONTROL_LEN];

	(void)put(p, pdu, pdu_release_rp_encode(pdu));
	if (p->state != PROBE_RELEASE) /* else their RP follows */
		finish(p);
}

static void on_pdu(struct probe *p, const struct pdu_event *ev)
{
	if (ev->type == PDU_ASSOCIATE_AC && p->state == PROBE_ASSOCIATE) {
		on_accept(p, ev);
	} else if (ev->type == PDU_ASSOCIATE_RJ &&
		   p->state == PROBE_ASSOCIATE) {
		on_reject(p, ev);
	} else if (ev->type == PDU_ABORT) {
		on_abort(p, ev);
	} else if (ev->type == PDU_RELEASE_RP && p->state == PROBE_RELEASE) {
		finish(p);
	} else if (ev->type == PDU_RELEASE_RQ && p->state >= PROBE_ECHO) {
		on_release_rq(p);
	} else {
		fail(p, step_name(p), FAIL_NOT_DICOM, pdu_type_name(ev->type));
		abort_it(p, ABORT_PROVIDER);
	}
}

/* ---- the stream -------------------------------------------------------- */

static void on_read(void *arg, const uint8_t *bytes, size_t n)
{
	struct probe *p = arg;
	struct pdu_event ev;
	size_t used;

	do {
		if (pdu_stream_next(&p->in, bytes, n, &used, &ev) != ERR_OK) {
			fail(p, step_name(p), FAIL_NOT_DICOM, NULL);
			abort_it(p, ABORT_PROVIDER);
			return;
		}
		bytes += used;
		n -= used;
		if (ev.kind == PDU_EV_PDU)
			on_pdu(p, &ev);
		else if (ev.kind != PDU_EV_MORE)
			on_pdv(p, &ev);
	} while (ev.kind != PDU_EV_MORE && p->state != PROBE_CLOSING);
}

static void on_open(void *arg)
{
	struct probe *p = arg;
	struct tls_info info;
	char text[TEXT_LEN];

	step(p, true, "TCP", stream_peer(p->stream));
	if (stream_tls_info(p->stream, &info)) {
		(void)snprintf(text, sizeof(text), "%s, %s, %s, peer %s",
			       info.version, info.suite, info.group,
			       info.subject);
		step(p, true, "TLS", text);
	}
	pdu_stream_init(&p->in, &p->hold, p->config->max_pdu);
	send_request(p);
}

static void tell_closed(struct probe *p, enum err why, const char *detail)
{
	bool tls = p->destination->tls != NULL;

	if (p->state == PROBE_CONNECT) {
		if (why == ERR_TLS || (why == ERR_CLOSED && tls))
			fail(p, "TLS", FAIL_TLS, detail);
		else if (why == ERR_NOTFOUND)
			fail(p, "TCP", FAIL_RESOLVE, detail);
		else if (why == ERR_TIMEOUT)
			fail(p, "TCP", FAIL_CONNECT_TIMEOUT, detail);
		else
			fail(p, "TCP", FAIL_CONNECT, detail);
	} else if (p->state == PROBE_ASSOCIATE || p->state == PROBE_ECHO) {
		if (why == ERR_TLS)
			fail(p, "TLS", FAIL_TLS, detail);
		else
			fail(p, step_name(p),
			     why == ERR_TIMEOUT ? FAIL_ASSOCIATE_TIMEOUT
						: FAIL_ASSOCIATE_LOST,
			     detail);
	}
}

static void probe_free(struct probe *p)
{
	buf_free(&p->hold);
	buf_free(&p->command);
	mem_free(p->rq);
	mem_free(p);
}

static void on_closed(void *arg, enum err why, const char *detail)
{
	struct probe *p = arg;
	struct probe_events ev = p->ev;
	void *owner = p->arg;
	bool answered = p->answered, echoed = p->echoed;

	if (why != ERR_CANCELED)
		tell_closed(p, why, detail);
	probe_free(p);
	ev.done(owner, answered, echoed);
}

static const struct stream_events events = {
    .on_open = on_open, .on_read = on_read, .on_closed = on_closed};

/* ---- begin and end ----------------------------------------------------- */

static enum err fill(struct probe *p, const struct probe_request *r)
{
	enum err e;

	assoc_init(p->rq);
	(void)snprintf(p->rq->calling_ae, sizeof(p->rq->calling_ae), "%s",
		       r->calling_ae);
	(void)snprintf(p->rq->called_ae, sizeof(p->rq->called_ae), "%s",
		       r->called_ae);
	p->rq->max_pdu = p->config->max_pdu;
	e = assoc_add_context(p->rq, 1, UID_VERIFICATION);
	if (e == ERR_OK)
		e = assoc_add_ts(p->rq, UID_IMPLICIT_LE);
	for (size_t i = 0; e == ERR_OK && i < r->n_pairs; i++) {
		p->pairs[i] = r->pairs[i];
		e = assoc_add_context(p->rq, (uint8_t)(2 * i + 3),
				      r->pairs[i].abstract);
		if (e == ERR_OK)
			e = assoc_add_ts(p->rq, r->pairs[i].transfer_syntax);
	}
	p->n_pairs = r->n_pairs;
	return e;
}

static enum err dial(struct probe *p, struct worker *worker)
{
	const struct config_destination *c = p->config;
	struct stream_options o = {.tls = p->destination->tls,
				   .server_name = c->tls.server_name[0] != '\0'
						      ? c->tls.server_name
						      : NULL,
				   .connect_ms = c->timeouts.connect,
				   .handshake_ms = c->timeouts.connect,
				   .finish_ms = 1000};
	char endpoint[DESTINATION_ENDPOINT_LEN];

	destination_endpoint(c, p->endpoint, endpoint);
	return stream_connect(worker, endpoint, &o, &events, p, &p->stream);
}

enum err probe_start(const struct probe_request *r,
		     const struct probe_events *ev, void *arg,
		     struct probe **out)
{
	struct probe *p = mem_zalloc(sizeof(*p));
	enum err e = ERR_NOMEM;

	if (p == NULL)
		return ERR_NOMEM;
	p->destination = r->destination;
	p->config = r->destination->config;
	p->endpoint = r->endpoint;
	p->ev = *ev;
	p->arg = arg;
	buf_init(&p->hold, PDU_ASSOCIATE_MAX);
	buf_init(&p->command, COMMAND_MAX);
	p->rq = mem_zalloc(sizeof(*p->rq));
	if (p->rq != NULL)
		e = fill(p, r);
	if (e == ERR_OK)
		e = dial(p, r->worker);
	if (e != ERR_OK) {
		probe_free(p);
		return e;
	}
	*out = p;
	return ERR_OK;
}

void probe_cancel(struct probe *p)
{
	p->state = PROBE_CLOSING;
	stream_close(p->stream, ERR_CANCELED);
}
