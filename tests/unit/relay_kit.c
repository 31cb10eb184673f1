#include "tests/unit/relay_kit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/admission.h"
#include "proxy/capability.h"
#include "proxy/destination.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/message_scp.h"
#include "proxy/net/worker.h"
#include "proxy/store_scp.h"
#include "tests/unit/net_fixture.h"

struct kit kit;

enum { ROOM = 64 << 20 };

static const char yaml[] =
    "listeners:\n"
    "  in: {address: '0.0.0.0:104', protocol: dicom,\n"
    "       ae_titles: [CULVERT, LIVE]}\n"
    "devices:\n"
    "  ct: {ae_title: CT, address: 127.0.0.1, services: [storage,\n"
    "       verification, worklist, query, print]}\n"
    "destinations:\n"
    "  ris: {protocol: dicom, endpoints: '127.0.0.1:%u', ae_title: RIS,\n"
    "        plaintext: {allowed: test}, timeouts: {relay: 1s},\n"
    "        breaker: {failures: 100}}\n"
    "  pacs: {protocol: dicom, endpoints: '127.0.0.1:%u', ae_title: PACS,\n"
    "        plaintext: {allowed: test}, timeouts: {relay: 1s},\n"
    "        breaker: {failures: 100}}\n"
    "routes:\n"
    "  - {service: storage, called: LIVE, relay: pacs}\n"
    "  - {service: verification, called: LIVE, relay: pacs}\n"
    "  - {service: storage, forward: [pacs]}\n"
    "  - {service: worklist, relay: ris}\n"
    "  - {service: print, relay: ris}\n"
    "  - {service: query, relay: pacs}\n"
    "spool: {path: /s}\n"
    "records: {path: /r}\n"
    "control: {path: /c}\n";

/* ---- the loop ---------------------------------------------------------- */

void kit_turn(void)
{
	uv_run(worker_loop(kit.w), UV_RUN_NOWAIT);
	usleep(100);
}

void kit_for(unsigned ms)
{
	uint64_t until = uv_hrtime() + ms * UINT64_C(1000000);

	while (uv_hrtime() < until)
		kit_turn();
}

/* ---- any end ----------------------------------------------------------- */

static void put_control(struct end *e, enum pdu_type type)
{
	uint8_t out[PDU_CONTROL_LEN];

	if (type == PDU_RELEASE_RQ)
		(void)pdu_release_rq_encode(out);
	else if (type == PDU_RELEASE_RP)
		(void)pdu_release_rp_encode(out);
	else
		(void)pdu_abort_encode(out, (struct pdu_abort){ABORT_USER, 0});
	kit_put(e, out, sizeof(out));
}

void kit_control(struct end *e, enum pdu_type type)
{
	put_control(e, type);
}

static void on_pdu(struct end *e, const uint8_t *pdu, size_t n)
{
	switch (pdu[0]) {
	case PDU_DATA_TF:
		if (buf_append(&e->data, pdu, n) != ERR_OK)
			abort();
		break;
	case PDU_RELEASE_RQ:
		e->n_release_rq++;
		break;
	case PDU_RELEASE_RP:
		e->n_release_rp++;
		stream_finish(e->s);
		break;
	case PDU_ASSOCIATE_RJ:
		e->n_rejected++;
		e->reject = pdu_reject_decode(pdu + 6, n - 6);
		stream_finish(e->s);
		break;
	case PDU_ABORT:
		e->n_abort++;
		stream_finish(e->s);
		break;
	default:
		fail_msg("PDU %02x came", pdu[0]);
	}
}

static void end_init(struct end *e)
{
	buf_init(&e->in, ROOM);
	buf_init(&e->data, ROOM);
}

static void end_free(struct end *e)
{
	assert_null(e->s);
	buf_free(&e->in);
	buf_free(&e->data);
}

/* ---- the far ends ------------------------------------------------------ */

static void answer_roles(struct far *f)
{
	for (size_t i = 0; i < f->rq->n_roles && !f->no_roles; i++)
		assert_int_equal(
		    assoc_add_role(f->ac, f->rq->roles[i].sop_class,
				   f->rq->roles[i].scu, f->rq->roles[i].scp),
		    ERR_OK);
}

static void far_accepts(struct far *f)
{
	static uint8_t out[65536];
	struct wr w = wr_init(out, sizeof(out));

	assoc_init_answer(f->ac, f->rq);
	f->ac->max_pdu = f->max_pdu;
	for (size_t i = 0; i < f->rq->n_contexts; i++) {
		const struct assoc_context *c = &f->rq->contexts[i];
		uint8_t result = c->id == f->refused ? 3 : 0;

		assert_int_equal(
		    assoc_answer(f->ac, c->id, result, assoc_ts(f->rq, c, 0)),
		    ERR_OK);
	}
	answer_roles(f);
	assert_int_equal(assoc_encode_ac(f->ac, &w), ERR_OK);
	kit_put(&f->end, out, w.len);
	f->end.open = true;
}

static void far_rq(struct far *f, const uint8_t *body, size_t n)
{
	uint8_t rj[PDU_CONTROL_LEN];

	f->n_rq++;
	assert_int_equal(assoc_decode(body, n, PDU_ASSOCIATE_RQ, f->rq),
			 ERR_OK);
	if (f->rejects)
		kit_put(&f->end, rj,
			pdu_reject_encode(rj, (struct pdu_reject){1, 1, 7}));
	else if (!f->silent)
		far_accepts(f);
}

static void far_read(void *arg, const uint8_t *p, size_t n)
{
	struct far *f = arg;
	size_t len;

	assert_int_equal(buf_append(&f->end.in, p, n), ERR_OK);
	while (f->end.s != NULL && (len = relay_pdu_len(&f->end.in)) > 0) {
		const uint8_t *pdu = buf_data(&f->end.in);

		if (pdu[0] == PDU_ASSOCIATE_RQ)
			far_rq(f, pdu + 6, len - 6);
		else
			on_pdu(&f->end, pdu, len);
		if (pdu[0] == PDU_RELEASE_RQ && !f->no_rp)
			put_control(&f->end, PDU_RELEASE_RP);
		buf_consume(&f->end.in, len);
	}
}

static void end_eof(void *arg)
{
	struct end *e = arg; /* first in struct far */

	stream_finish(e->s);
}

static void end_closed(void *arg, enum err why, const char *detail)
{
	struct end *e = arg;

	(void)why;
	(void)detail;
	e->n_closed++;
	if (e->n_old > 0) {
		e->n_old--;
		return;
	}
	e->s = NULL;
	e->open = false;
}

static const struct stream_events far_events = {
    .on_read = far_read, .on_eof = end_eof, .on_closed = end_closed};

static void far_accept(void *arg, int fd, const struct sockaddr *peer)
{
	struct far *f = arg;
	struct stream_options o = {.out_cap = ROOM};

	(void)peer;
	if (f->end.s != NULL) {
		stream_close(f->end.s, ERR_CANCELED);
		f->end.n_old++;
	}
	buf_clear(&f->end.in);
	buf_clear(&f->end.data);
	f->n_conns++;
	assert_int_equal(
	    stream_accept(kit.w, fd, &o, &far_events, f, &f->end.s), ERR_OK);
}

static void far_begin(struct far *f)
{
	char why[LISTENER_WHY_LEN];

	end_init(&f->end);
	f->max_pdu = 65536;
	f->rq = calloc(1, sizeof(*f->rq));
	f->ac = calloc(1, sizeof(*f->ac));
	assert_int_equal(listener_open(worker_loop(kit.w), "127.0.0.1:0", 64,
				       far_accept, f, &f->l, why),
			 ERR_OK);
}

/* ---- the device -------------------------------------------------------- */

static void device_read(void *arg, const uint8_t *p, size_t n)
{
	struct end *e = arg;
	size_t len;

	assert_int_equal(buf_append(&e->in, p, n), ERR_OK);
	while ((len = relay_pdu_len(&e->in)) > 0) {
		const uint8_t *pdu = buf_data(&e->in);

		if (pdu[0] == PDU_ASSOCIATE_AC) {
			assert_int_equal(assoc_decode(pdu + 6, len - 6,
						      PDU_ASSOCIATE_AC, kit.ac),
					 ERR_OK);
			e->open = true;
		} else {
			on_pdu(e, pdu, len);
		}
		buf_consume(&e->in, len);
	}
}

static void propose(uint8_t id, const char *abstract)
{
	assert_int_equal(assoc_add_context(kit.rq, id, abstract), ERR_OK);
	assert_int_equal(assoc_add_ts(kit.rq, UID_EXPLICIT_LE), ERR_OK);
	assert_int_equal(assoc_add_ts(kit.rq, UID_IMPLICIT_LE), ERR_OK);
}

static void device_open(void *arg)
{
	static uint8_t out[65536];
	struct wr w = wr_init(out, sizeof(out));

	assert_int_equal(assoc_encode_rq(kit.rq, &w), ERR_OK);
	kit_put(arg, out, w.len);
}

static const struct stream_events device_events = {.on_open = device_open,
						   .on_read = device_read,
						   .on_eof = end_eof,
						   .on_closed = end_closed};

void kit_request(const char *called)
{
	struct stream_options o = {.out_cap = ROOM};
	char at[32];

	(void)snprintf(at, sizeof(at), "127.0.0.1:%u", listener_port(kit.l));
	(void)snprintf(kit.rq->called_ae, AE_SIZE, "%s", called);
	assert_int_equal(stream_connect(kit.w, at, &o, &device_events,
					&kit.device, &kit.device.s),
			 ERR_OK);
}

void kit_associate(const char *called)
{
	kit_request(called);
	UNTIL(kit.device.open || kit.device.n_closed > 0);
	assert_true(kit.device.open);
}

uint8_t kit_result(uint8_t context_id)
{
	return assoc_context(kit.ac, context_id)->result;
}

static void device_begin(void)
{
	end_init(&kit.device);
	kit.rq = calloc(1, sizeof(*kit.rq));
	kit.ac = calloc(1, sizeof(*kit.ac));
	assoc_init(kit.rq);
	strcpy(kit.rq->calling_ae, "CT");
	kit.rq->max_pdu = 32768;
	propose(CTX_ECHO, CLASS_ECHO);
	propose(CTX_STORE, CLASS_CT);
	propose(CTX_WORKLIST, CLASS_MWL);
	propose(CTX_FIND, CLASS_FIND);
	propose(CTX_MOVE, CLASS_MOVE);
	propose(CTX_GET, CLASS_GET);
	propose(CTX_PRINTER, CLASS_PRT);
	assert_int_equal(assoc_add_role(kit.rq, CLASS_CT, true, true), ERR_OK);
}

/* ---- what is between --------------------------------------------------- */

static void on_accept(void *arg, int fd, const struct sockaddr *peer)
{
	(void)arg;
	(void)peer;
	assert_int_equal(admission_connect(kit.admission, 0), LIMIT_PASS);
	assert_int_equal(association_begin(&kit.env, fd, 0), ERR_OK);
}

static void load_config(void)
{
	struct config_errors *errors = calloc(1, sizeof(*errors));
	char text[4096];
	int n = snprintf(text, sizeof(text), yaml, listener_port(kit.far[0].l),
			 listener_port(kit.far[1].l));

	if (config_load_from_memory(text, (size_t)n, "t.yaml", &kit.config,
				    errors) != ERR_OK)
		config_errors_print(errors, stderr);
	free(errors);
	assert_non_null(kit.config);
}

static void culvert_begin(void)
{
	char why[768];

	load_config();
	fixture_init(&kit.fixture);
	fixture_open(&kit.fixture);
	assert_int_equal(capability_new(NULL, &kit.capabilities), ERR_OK);
	assert_int_equal(
	    admission_new(kit.config, kit.fixture.l, &kit.admission), ERR_OK);
	assert_int_equal(destinations_open(kit.config, kit.fixture.l,
					   kit.capabilities, &kit.destinations,
					   why),
			 ERR_OK);
	kit.env = (struct association_env){.config = kit.config,
					   .spool = kit.fixture.spool,
					   .ledger = kit.fixture.l,
					   .capabilities = kit.capabilities,
					   .destinations = kit.destinations,
					   .admission = kit.admission,
					   .tls = kit.tls,
					   .worker = kit.w,
					   .n_open = &kit.n_open};
	list_init(&kit.env.open);
	assert_int_equal(listener_open(worker_loop(kit.w), "127.0.0.1:0", 64,
				       on_accept, NULL, &kit.l, why),
			 ERR_OK);
}

int kit_setup(void **state)
{
	(void)state;
	memset(&kit, 0, sizeof(kit));
	log_set_level(getenv("KIT_LOG") != NULL ? LOG_DEBUG : LOG_ERROR);
	kit.live = net_mem_live();
	assert_int_equal(worker_new(0, &kit.w), ERR_OK);
	for (size_t i = 0; i < FARS; i++)
		far_begin(&kit.far[i]);
	culvert_begin();
	device_begin();
	return 0;
}

static void close_end(struct end *e)
{
	if (e->s != NULL)
		stream_close(e->s, ERR_CANCELED);
	UNTIL(e->s == NULL && e->n_old == 0);
	end_free(e);
}

int kit_teardown(void **state)
{
	size_t n = kit.config->n_destinations;

	(void)state;
	close_end(&kit.device);
	UNTIL(atomic_load(&kit.n_open) == 0);
	UNTIL(store_pending() == 0 && message_pending() == 0);
	assert_true(list_empty(&kit.env.open));
	for (size_t i = 0; i < FARS; i++) {
		listener_close(kit.far[i].l, NULL, NULL);
		close_end(&kit.far[i].end);
		free(kit.far[i].rq);
		free(kit.far[i].ac);
	}
	listener_close(kit.l, NULL, NULL);
	worker_stop(kit.w); /* aborts unless every handle is closed */
	free(kit.rq);
	free(kit.ac);
	destinations_close(kit.destinations, n);
	admission_free(kit.admission);
	capability_free(kit.capabilities);
	fixture_free(&kit.fixture);
	config_free(kit.config);
	assert_int_equal(net_mem_live(), kit.live);
	return 0;
}

/* ---- sending ----------------------------------------------------------- */

void kit_put(struct end *e, const void *p, size_t n)
{
	struct iovec iov = {(void *)(uintptr_t)p, n};

	if (e->s != NULL && n > 0)
		(void)!stream_write(e->s, &iov, 1);
}

void kit_put_cut(struct end *e, const void *p, size_t n, unsigned seed)
{
	const uint8_t *at = p;

	while (n > 0) {
		size_t k = kit_random(&seed) % 3 == 0
			       ? 1 + kit_random(&seed) % 20
			       : 1 + kit_random(&seed) % 20000;

		k = k < n ? k : n;
		kit_put(e, at, k);
		at += k;
		n -= k;
		if (kit_random(&seed) % 2 == 0)
			kit_turn();
	}
}

void kit_send(struct end *e, uint8_t context_id, const struct command *c,
	      size_t n)
{
	struct buf b;

	buf_init(&b, ROOM);
	kit_message(&b, context_id, c, n, 0);
	kit_put(e, buf_data(&b), buf_len(&b));
	buf_free(&b);
}

/* ---- what came --------------------------------------------------------- */

void kit_await(struct end *e, struct got *g)
{
	UNTIL(kit_take(&e->data, g));
}

void kit_await_response(struct end *e, uint8_t context_id, uint16_t field,
			uint16_t id, uint16_t status)
{
	struct got g;

	kit_await(e, &g);
	assert_int_equal(g.context_id, context_id);
	assert_int_equal(g.command.field, field);
	assert_int_equal(g.command.responded_id, id);
	assert_int_equal(g.command.status, status);
	buf_free(&g.raw);
}

void kit_await_bytes(struct end *e, const struct buf *bytes)
{
	struct got g;

	kit_await(e, &g);
	assert_int_equal(buf_len(&g.raw), buf_len(bytes));
	assert_memory_equal(buf_data(&g.raw), buf_data(bytes), buf_len(bytes));
	buf_free(&g.raw);
}

void kit_await_request(struct end *e, uint16_t field, uint16_t id)
{
	struct got g;

	kit_await(e, &g);
	assert_int_equal(g.command.field, field);
	assert_int_equal(field == C_CANCEL_RQ ? g.command.responded_id
					      : g.command.message_id,
			 id);
	buf_free(&g.raw);
}

/* ---- what many tests do -------------------------------------------------- */

void kit_release(void)
{
	kit_control(DEVICE, PDU_RELEASE_RQ);
	UNTIL(DEVICE->s == NULL);
	assert_int_equal(DEVICE->n_release_rp, 1);
	UNTIL(AT_RIS->s == NULL && AT_PACS->s == NULL);
}

void kit_ask(uint8_t context_id, uint16_t id)
{
	struct command c = kit_request_command(C_FIND_RQ, id, true);

	kit_send(DEVICE, context_id, &c, 100);
}

void kit_answer(struct end *far, uint8_t context_id, uint16_t id,
		uint16_t status)
{
	struct command c =
	    kit_response_command(C_FIND_RSP, id, status, status == 0xff00);

	kit_send(far, context_id, &c, 300);
}

void kit_cut_off(struct end *far)
{
	stream_close(far->s, ERR_CANCELED);
	UNTIL(far->s == NULL);
	kit_for(5);
}

void kit_begin_get(uint16_t id)
{
	struct command c = kit_request_command(C_GET_RQ, id, true);

	kit_send(DEVICE, CTX_GET, &c, 100);
	kit_await_request(AT_PACS, C_GET_RQ, id);
}

void kit_end_get(uint16_t id)
{
	struct command c = kit_response_command(C_GET_RSP, id, 0, false);

	kit_send(AT_PACS, CTX_GET, &c, 0);
	kit_await_response(DEVICE, CTX_GET, C_GET_RSP, id, 0);
}

void kit_store(uint16_t id, size_t n)
{
	struct command c = kit_request_command(C_STORE_RQ, id, true);

	kit_send(DEVICE, CTX_STORE, &c, n);
}
