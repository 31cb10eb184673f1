#include "tests/unit/leg_kit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/dicom/assoc.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "tests/unit/net_fixture.h"

struct leg_kit kit;

/* ---- the far side ------------------------------------------------------ */

struct far_conn *far_last(struct far *f)
{
	assert_true(f->n_conns > 0);
	return f->conns[f->n_conns - 1];
}

void far_put(struct far_conn *c, const void *p, size_t n)
{
	struct iovec iov = {(void *)(uintptr_t)p, n};

	if (c->s != NULL)
		(void)!stream_write(c->s, &iov, 1);
}

size_t leg_kit_pdata(uint8_t *out, size_t n)
{
	size_t head = pdu_pdata_header(out, (uint32_t)n, 1, PDV_COMMAND);

	for (size_t i = 0; i < n; i++)
		out[head + i] = (uint8_t)(i * 7);
	return head + n;
}

static size_t accept_pdu(const struct far *f, const uint8_t *rq, size_t n,
			 uint8_t *out, size_t cap)
{
	struct assoc *a = calloc(2, sizeof(*a));
	struct wr w = wr_init(out, cap);

	if (assoc_decode(rq, n, PDU_ASSOCIATE_RQ, &a[0]) != ERR_OK)
		abort();
	assoc_init_answer(&a[1], &a[0]);
	a[1].max_pdu = f->max_pdu;
	for (size_t i = 0; i < a[0].n_contexts; i++) {
		const struct assoc_context *c = &a[0].contexts[i];

		(void)!assoc_answer(&a[1], c->id, 0, assoc_ts(&a[0], c, 0));
	}
	(void)!assoc_encode_ac(&a[1], &w);
	free(a);
	return w.len;
}

static void far_rq(struct far_conn *c, const uint8_t *body, size_t n)
{
	static uint8_t out[65536];
	struct far *f = c->far;
	size_t len = accept_pdu(f, body, n, out, sizeof(out));

	f->n_rq++;
	switch (f->on_rq) {
	case FAR_ACCEPT:
		break;
	case FAR_ACCEPT_WITH_DATA:
		len += leg_kit_pdata(out + len, 100);
		len += leg_kit_pdata(out + len, 200);
		break;
	case FAR_RELEASES:
		len += pdu_release_rq_encode(out + len);
		break;
	case FAR_REJECT:
		len = pdu_reject_encode(out, (struct pdu_reject){f->reject[0],
								 f->reject[1],
								 f->reject[2]});
		break;
	case FAR_SILENT:
		return;
	case FAR_CLOSE:
		stream_finish(c->s);
		return;
	case FAR_ABORT:
		len = pdu_abort_encode(out, (struct pdu_abort){2, 0});
		break;
	case FAR_GARBAGE:
		memcpy(out, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
		len = 28;
		break;
	case FAR_BAD_AC:
		out[74 + 2] = 0x7f;
		break;
	case FAR_LONG_AC:
		memcpy(out, "\x02\x00\x7f\xff\xff\xff", 6);
		break;
	case FAR_DATA:
		len = leg_kit_pdata(out, 100);
		break;
	}
	far_put(c, out, len);
	if (f->deaf && c->s != NULL)
		stream_read_pause(c->s);
}

static void far_release(struct far_conn *c)
{
	struct far *f = c->far;
	uint8_t out[256];

	f->n_release_rq++;
	switch (f->on_release) {
	case FAR_RP:
		far_put(c, out, pdu_release_rp_encode(out));
		break;
	case FAR_NO_RP:
		break;
	case FAR_RQ_THEN_RP:
		c->collided = true;
		far_put(c, out, pdu_release_rq_encode(out));
		break;
	case FAR_DATA_THEN_RP:
		far_put(c, out, leg_kit_pdata(out, 100));
		far_put(c, out, pdu_release_rp_encode(out));
		break;
	case FAR_RELEASE_ABORT:
		far_put(c, out,
			pdu_abort_encode(out, (struct pdu_abort){2, 0}));
		break;
	case FAR_RELEASE_FIN:
		stream_finish(c->s);
		break;
	}
}

static void far_pdu(struct far_conn *c, const uint8_t *pdu, size_t n)
{
	struct far *f = c->far;
	uint8_t out[PDU_CONTROL_LEN];

	switch (pdu[0]) {
	case PDU_ASSOCIATE_RQ:
		far_rq(c, pdu + 6, n - 6);
		break;
	case PDU_DATA_TF:
		f->n_data++;
		f->bytes += n;
		if (f->echo)
			far_put(c, pdu, n);
		break;
	case PDU_RELEASE_RQ:
		far_release(c);
		break;
	case PDU_RELEASE_RP:
		f->n_release_rp++;
		if (c->collided)
			far_put(c, out, pdu_release_rp_encode(out));
		break;
	case PDU_ABORT:
		f->n_abort++;
		f->abort_source = pdu[8];
		f->abort_reason = pdu[9];
		stream_finish(c->s);
		break;
	default:
		fail_msg("PDU %02x came from the leg", pdu[0]);
	}
}

static void far_read(void *arg, const uint8_t *p, size_t n)
{
	struct far_conn *c = arg;

	if (buf_append(&c->in, p, n) != ERR_OK)
		return; /* the sweep of failing allocations */
	while (c->s != NULL && buf_len(&c->in) >= 6) {
		const uint8_t *b = buf_data(&c->in);
		size_t len = 6 + ((size_t)b[2] << 24 | (size_t)b[3] << 16 |
				  (size_t)b[4] << 8 | b[5]);

		if (buf_len(&c->in) < len)
			break;
		far_pdu(c, b, len);
		buf_consume(&c->in, len);
	}
}

static void far_eof(void *arg)
{
	struct far_conn *c = arg;

	stream_finish(c->s);
}

static void far_closed(void *arg, enum err why, const char *detail)
{
	struct far_conn *c = arg;

	(void)why;
	(void)detail;
	c->s = NULL;
	c->far->n_closed++;
}

static const struct stream_events far_events = {
    .on_read = far_read, .on_eof = far_eof, .on_closed = far_closed};

static void far_accept(void *arg, int fd, const struct sockaddr *peer)
{
	struct far *f = arg;
	struct far_conn *c = calloc(1, sizeof(*c));

	(void)peer;
	assert_true(f->n_conns < FAR_CONNS);
	c->far = f;
	buf_init(&c->in, 32 << 20);
	f->conns[f->n_conns++] = c;
	if (stream_accept(kit.w, fd, &f->opts, &far_events, c, &c->s) != ERR_OK)
		c->s = NULL;
	else
		stream_eof_ok(c->s, true);
}

static void far_begin(struct far *f, struct tls_context *tls)
{
	char why[LISTENER_WHY_LEN];

	f->opts.tls = tls;
	f->max_pdu = 65536;
	assert_int_equal(listener_open(worker_loop(kit.w), "127.0.0.1:0", 64,
				       far_accept, f, &f->l, why),
			 ERR_OK);
}

static void far_end(struct far *f)
{
	for (unsigned i = 0; i < f->n_conns; i++) {
		assert_null(f->conns[i]->s);
		buf_free(&f->conns[i]->in);
		free(f->conns[i]);
	}
}

/* ---- the near side ----------------------------------------------------- */

static void event(struct near *n, const char *what)
{
	assert_false(n->in_call);
	assert_false(n->detached);
	assert_int_equal(n->n_gone, 0);
	assert_int_equal(n->n_refused, 0);
	assert_int_equal(n->n_lost, 0);
	assert_int_equal(n->n_released, 0);
	assert_true(n->n_accepted == 1 || strcmp(what, "accepted") == 0 ||
		    strcmp(what, "refused") == 0);
}

static void probe(struct near *n, const char *what)
{
	if (n->probe != NULL)
		n->probe(n, what);
}

static void on_accepted(void *arg, const struct assoc *ac)
{
	struct near *n = arg;

	event(n, "accepted");
	assert_int_equal(n->n_accepted++, 0);
	assert_true(leg_is_open(n->l));
	n->result = ac->contexts[0].result;
	n->max_pdu = ac->max_pdu;
	probe(n, "accepted");
}

static void on_refused(void *arg, const struct leg_refusal *r)
{
	struct near *n = arg;

	event(n, "refused");
	assert_int_equal(n->n_accepted, 0);
	assert_true(strlen(r->code) > 0 && strlen(r->cause) > 0);
	n->refusal = *r;
	(void)snprintf(n->detail, sizeof(n->detail), "%s", r->detail);
	n->n_refused++;
	probe(n, "refused");
}

static void on_read(void *arg, const uint8_t *p, size_t len)
{
	struct near *n = arg;

	event(n, "read");
	assert_true(len > 0);
	(void)!buf_append(&n->got, p, len);
	probe(n, "read");
}

static void on_drain(void *arg)
{
	struct near *n = arg;

	event(n, "drain");
	n->n_drain++;
	probe(n, "drain");
}

static void on_released(void *arg)
{
	struct near *n = arg;

	event(n, "released");
	n->n_released++;
	assert_false(leg_is_open(n->l));
	probe(n, "released");
}

static void on_lost(void *arg, const char *why)
{
	struct near *n = arg;

	event(n, "lost");
	n->n_lost++;
	assert_false(leg_is_open(n->l));
	(void)snprintf(n->why, sizeof(n->why), "%s", why);
	probe(n, "lost");
}

static void on_gone(void *arg)
{
	struct near *n = arg;

	assert_false(n->in_call);
	assert_int_equal(n->n_gone++, 0);
	assert_true(n->detached ||
		    n->n_lost + n->n_refused + n->n_released == 1);
	n->l = NULL;
}

static const struct leg_events near_events = {
    .on_accepted = on_accepted,
    .on_refused = on_refused,
    .on_read = on_read,
    .on_drain = on_drain,
    .on_released = on_released,
    .on_lost = on_lost,
    .on_gone = on_gone,
};

static size_t request_pdu(uint8_t *out, size_t cap)
{
	struct assoc *a = calloc(1, sizeof(*a));
	struct wr w = wr_init(out, cap);

	assoc_init(a);
	(void)snprintf(a->calling_ae, sizeof(a->calling_ae), "CT2");
	(void)snprintf(a->called_ae, sizeof(a->called_ae), "ARCHIVE");
	(void)!assoc_add_context(a, 1, "1.2.840.10008.1.1");
	(void)!assoc_add_ts(a, "1.2.840.10008.1.2");
	(void)!assoc_add_ts(a, "1.2.840.10008.1.2.1");
	(void)!assoc_add_context(a, 3, "1.2.840.10008.5.1.4.31");
	(void)!assoc_add_ts(a, "1.2.840.10008.1.2");
	if (assoc_encode_rq(a, &w) != ERR_OK)
		abort();
	free(a);
	return w.len;
}

enum err near_open(struct near *n)
{
	static uint8_t rq[4096];
	struct leg_request r = {.worker = kit.w,
				.destination = kit.d,
				.ledger = kit.ledger,
				.calling_ae = "CT2",
				.called_ae = "ARCHIVE",
				.rq = rq,
				.rq_len = request_pdu(rq, sizeof(rq)),
				.deadline_ms = kit.deadline_ms,
				.out_cap = kit.out_cap,
				.device = "ct-room-2",
				.inbound = 17};
	enum err e;

	buf_init(&n->got, 8 << 20);
	n->in_call = true;
	e = leg_open(&r, &near_events, n, &n->l);
	n->in_call = false;
	return e;
}

void near_release(struct near *n)
{
	bool before = n->in_call;

	n->in_call = true;
	n->detached = true;
	leg_release(n->l);
	n->in_call = before;
}

void near_abort(struct near *n)
{
	bool before = n->in_call;

	n->in_call = true;
	n->detached = true;
	leg_abort(n->l);
	n->in_call = before;
}

enum err near_write(struct near *n, const void *p, size_t len)
{
	struct iovec iov = {(void *)(uintptr_t)p, len};
	bool before = n->in_call;
	enum err e;

	n->in_call = true;
	e = leg_write(n->l, &iov, 1);
	n->in_call = before;
	return e;
}

void near_free(struct near *n)
{
	buf_free(&n->got);
}

/* ---- all --------------------------------------------------------------- */

void leg_kit_begin(bool tls)
{
	memset(&kit, 0, sizeof(kit));
	log_set_level(LOG_ERROR);
	(void)net_file("ca.pem"); /* made on first use */
	assert_int_equal(tls_global_init(), ERR_OK);
	kit.live = net_mem_live();
	assert_int_equal(worker_new(0, &kit.w), ERR_OK);
	for (size_t i = 0; i < 2; i++)
		far_begin(&kit.far[i],
			  tls ? net_server("ca.pem", "server") : NULL);
	kit.config.protocol = tls ? CONFIG_DICOM_TLS : CONFIG_DICOM;
	(void)snprintf(kit.config.name, sizeof(kit.config.name), "pacs");
	kit.config.breaker.failures = 3;
	kit.config.breaker.pause = 60000;
	kit.config.timeouts.connect = 1000;
	kit.config.timeouts.associate = 1000;
	kit.config.timeouts.relay = 1000;
}

void leg_kit_destination(size_t n)
{
	struct config_tls *t = &kit.config.tls;
	char why[768];

	kit.config.endpoints.v = kit.endpoints;
	kit.config.endpoints.n = n;
	for (size_t i = 0; i < n && i < 2; i++) {
		if (kit.endpoints[i].port != 0)
			continue; /* the test's own */
		(void)snprintf(kit.endpoints[i].host,
			       sizeof(kit.endpoints[i].host), "127.0.0.1");
		kit.endpoints[i].port = listener_port(kit.far[i].l);
	}
	(void)snprintf(t->ca, sizeof(t->ca), "%s", net_file("ca.pem"));
	(void)snprintf(t->certificate, sizeof(t->certificate), "%s",
		       net_file("client.pem"));
	(void)snprintf(t->key, sizeof(t->key), "%s", net_file("client.key"));
	if (destination_open(&kit.config, &kit.d, why) != ERR_OK)
		fail_msg("%s", why);
}

void leg_kit_end(void)
{
	net_mem_ok();
	for (size_t i = 0; i < 2; i++)
		listener_close(kit.far[i].l, NULL, NULL);
	worker_stop(kit.w); /* aborts unless every handle is closed */
	assert_null(kit.near.l);
	for (size_t i = 0; i < 2; i++) {
		far_end(&kit.far[i]);
		tls_context_unref(kit.far[i].opts.tls);
	}
	near_free(&kit.near);
	destination_close(kit.d);
	if (kit.ledger == NULL) /* its blocks come and go on a thread */
		assert_int_equal(net_mem_live(), kit.live);
}

void leg_kit_turn(void)
{
	uv_run(worker_loop(kit.w), UV_RUN_NOWAIT);
	usleep(100);
}

void leg_kit_established(void)
{
	assert_int_equal(near_open(&kit.near), ERR_OK);
	UNTIL(kit.near.n_accepted || kit.near.n_gone);
	if (kit.near.n_gone)
		fail_msg("%s: %s", kit.near.refusal.cause, kit.near.detail);
}
