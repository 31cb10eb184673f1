/* fuzz_relay.c - an association with two legs, driven event by event: real
 * association and relay, and instead of what is around them (relay_fakes.h)
 * a few lines that do what the input says.
 *
 * Whatever peers do, what goes out is checked: PDUs that can be read, messages
 * that do not mix, and in the end nothing that is left over. */
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/association_int.h"
#include "proxy/dicom/assoc.h"
#include "proxy/dicom/command.h"
#include "proxy/lib/buf.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "tests/fuzz/relay_fakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static struct config *config;
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
