#include "tests/unit/relay_message.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/dicom/pdu.h"

enum { ROOM = 64 << 20 };

uint32_t kit_random(unsigned *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

struct command kit_request_command(uint16_t field, uint16_t id, bool data_set)
{
	struct command c = {.has = CMD_FIELD | CMD_MESSAGE_ID |
				   CMD_DATA_SET_TYPE | CMD_AFFECTED_CLASS,
			    .field = field,
			    .message_id = id,
			    .data_set_type =
				data_set ? 1 : COMMAND_NO_DATA_SET};
	const char *class = field == C_STORE_RQ  ? CLASS_CT
			    : field == C_FIND_RQ ? CLASS_FIND
			    : field == C_MOVE_RQ ? CLASS_MOVE
			    : field == C_GET_RQ  ? CLASS_GET
			    : field == C_ECHO_RQ ? CLASS_ECHO
						 : CLASS_PRT;

	strcpy(c.affected_class, class);
	if (field == C_STORE_RQ || field == N_EVENT_REPORT_RQ) {
		c.has |= CMD_AFFECTED_INSTANCE;
		(void)snprintf(c.affected_instance, sizeof(c.affected_instance),
			       "1.2.3.%u", id);
	}
	if (field == C_CANCEL_RQ) {
		c.has = CMD_FIELD | CMD_RESPONDED_ID | CMD_DATA_SET_TYPE;
		c.responded_id = id;
	}
	return c;
}

struct command kit_response_command(uint16_t field, uint16_t id,
				    uint16_t status, bool data_set)
{
	return (struct command){.has = CMD_FIELD | CMD_RESPONDED_ID |
				       CMD_DATA_SET_TYPE | CMD_STATUS,
				.field = field,
				.responded_id = id,
				.status = status,
				.data_set_type =
				    data_set ? 1 : COMMAND_NO_DATA_SET};
}

struct cutter {
	struct buf *out;
	uint8_t context_id;
	unsigned seed; /* 0: do not cut */
	struct buf pdu;
};

static void be32(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static void add(struct buf *b, const void *p, size_t n)
{
	if (buf_append(b, p, n) != ERR_OK)
		abort();
}

static void end_pdu(struct cutter *c)
{
	uint8_t head[6] = {PDU_DATA_TF};

	be32(head + 2, buf_len(&c->pdu));
	add(c->out, head, 6);
	add(c->out, buf_data(&c->pdu), buf_len(&c->pdu));
	buf_clear(&c->pdu);
}

static void put_pdv(struct cutter *c, const uint8_t *p, size_t n, uint8_t mch)
{
	uint8_t head[6] = {0, 0, 0, 0, c->context_id, mch};

	be32(head, n + 2);
	add(&c->pdu, head, 6);
	add(&c->pdu, p, n);
	if (c->seed == 0 || buf_len(&c->pdu) > 8192 ||
	    kit_random(&c->seed) % 3 == 0)
		end_pdu(c);
}

static size_t piece(struct cutter *c, size_t left)
{
	size_t most = 16384 - 6;

	if (c->seed != 0)
		most = kit_random(&c->seed) % 4 == 0
			   ? 1
			   : kit_random(&c->seed) % 4000;
	return left < most ? left : most;
}

static void cut(struct cutter *c, const uint8_t *p, size_t n, uint8_t kind)
{
	bool empty_last = c->seed != 0 && kit_random(&c->seed) % 3 == 0;
	size_t k;

	do {
		bool last;

		k = piece(c, n);
		last = k == n && !empty_last;
		put_pdv(c, p, k, (uint8_t)(kind | (last ? PDV_LAST : 0)));
		p += k;
		n -= k;
	} while (n > 0);
	if (empty_last)
		put_pdv(c, p, 0, (uint8_t)(kind | PDV_LAST));
}

void kit_message(struct buf *out, uint8_t context_id, const struct command *cmd,
		 size_t n, unsigned seed)
{
	struct cutter c = {.out = out, .context_id = context_id, .seed = seed};
	uint8_t set[2048], *data = malloc(n + 1);
	struct wr w = wr_init(set, sizeof(set));

	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)(i * 31 + i / 251 + seed + n);
	buf_init(&c.pdu, ROOM);
	assert_int_equal(command_encode(cmd, &w), ERR_OK);
	cut(&c, set, w.len, PDV_COMMAND);
	if (command_has_data_set(cmd))
		cut(&c, data, n, 0);
	if (buf_len(&c.pdu) > 0)
		end_pdu(&c);
	buf_free(&c.pdu);
	free(data);
}

size_t relay_pdu_len(const struct buf *b)
{
	const uint8_t *p = buf_data(b);
	size_t len;

	if (buf_len(b) < 6)
		return 0;
	len = 6 + ((size_t)p[2] << 24 | (size_t)p[3] << 16 | (size_t)p[4] << 8 |
		   p[5]);
	return buf_len(b) >= len ? len : 0;
}

/* Walk over the PDVs of one PDU. True: the message ends with it. */
static bool read_pdu(struct got *g, struct buf *set, const uint8_t *p, size_t n)
{
	bool over = false;

	for (size_t at = 6; at < n;) {
		size_t len = ((size_t)p[at] << 24 | (size_t)p[at + 1] << 16 |
			      (size_t)p[at + 2] << 8 | p[at + 3]) -
			     2;
		uint8_t mch = p[at + 5];

		assert_false(over); /* a PDU is of one message */
		assert_true(at + 6 + len <= n);
		assert_true(g->context_id == 0 || g->context_id == p[at + 4]);
		g->context_id = p[at + 4];
		if ((mch & PDV_COMMAND) != 0)
			add(set, p + at + 6, len);
		else
			g->n += len;
		if (mch == (PDV_COMMAND | PDV_LAST)) {
			assert_int_equal(command_decode(buf_data(set),
							buf_len(set),
							&g->command),
					 ERR_OK);
			over = !command_has_data_set(&g->command);
		} else if ((mch & PDV_LAST) != 0) {
			over = true;
		}
		at += 6 + len;
	}
	return over;
}

bool kit_take(struct buf *data, struct got *g)
{
	struct buf set, rest = *data;
	size_t len, used = 0;
	bool over = false;

	*g = (struct got){.context_id = 0};
	buf_init(&set, ROOM);
	while (!over && (len = relay_pdu_len(&rest)) > 0) {
		over = read_pdu(g, &set, buf_data(&rest), len);
		buf_consume(&rest, len);
		used += len;
	}
	buf_free(&set);
	if (!over)
		return false;
	buf_init(&g->raw, ROOM);
	add(&g->raw, buf_data(data), used);
	buf_consume(data, used);
	return true;
}
