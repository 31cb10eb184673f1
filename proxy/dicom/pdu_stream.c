#include "proxy/dicom/pdu.h"

#include <assert.h>
#include <string.h>

#include "proxy/lib/rd.h"

/*   HEADER --control PDU--> BODY --whole--> HEADER
 *      |
 *      +--P-DATA--> PDV_HEADER --begin--> PAYLOAD --end--> PDV_HEADER
 *                       |
 *                       +--PDU used up--> HEADER */
enum state { HEADER, BODY, PDV_HEADER, PAYLOAD };

enum { PDV_HEADER_LEN = 6 }; /* length, context id, control header */

struct input {
	const uint8_t *p;
	size_t n;
};

void pdu_stream_init(struct pdu_stream *s, struct buf *hold,
		     uint32_t advertised)
{
	*s = (struct pdu_stream){
	    .hold = hold, .advertised = advertised, .state = HEADER};
}

static const uint8_t *take(struct input *in, size_t n)
{
	const uint8_t *at = in->p;

	assert(n <= in->n);
	if (n > 0)
		in->p += n;
	in->n -= n;
	return at;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Gather a 6-byte header across inputs. NULL: not complete yet. */
static const uint8_t *gather(struct pdu_stream *s, struct input *in)
{
	size_t n = least(PDU_HEADER_LEN - s->n_head, in->n);

	if (n > 0)
		memcpy(s->head + s->n_head, take(in, n), n);
	s->n_head = (uint8_t)(s->n_head + n);
	if (s->n_head < PDU_HEADER_LEN)
		return NULL;
	s->n_head = 0;
	return s->head;
}

static enum err fail(struct pdu_stream *s, enum err e, uint8_t reason)
{
	s->failed = e;
	s->abort_reason = reason;
	return e;
}

static bool is_associate(enum pdu_type type)
{
	return type == PDU_ASSOCIATE_RQ || type == PDU_ASSOCIATE_AC;
}

static enum err begin_pdu(struct pdu_stream *s, const uint8_t *head)
{
	enum err e =
	    pdu_header_decode(head, PDU_HEADER_LEN, UINT32_MAX, &s->pdu);
	size_t max = PDU_CONTROL_MAX;

	if (e != ERR_OK)
		return fail(s, e, ABORT_UNRECOGNIZED_PDU);
	if (s->pdu.type == PDU_DATA_TF)
		max = PDU_PDATA_MAX;
	else if (is_associate(s->pdu.type))
		max = s->hold->max;
	if (s->pdu.body_len > max)
		return fail(s, ERR_LIMIT, ABORT_INVALID_PARAMETER);
	s->pdus++;
	s->pdu_left = s->pdu.body_len;
	s->state = s->pdu.type == PDU_DATA_TF ? PDV_HEADER : BODY;
	if (s->pdu.type == PDU_DATA_TF && s->advertised != 0 &&
	    s->pdu.body_len > s->advertised)
		s->oversized++;
	buf_clear(s->hold); /* the body before has been seen */
	return ERR_OK;
}

static enum err step_header(struct pdu_stream *s, struct input *in)
{
	const uint8_t *head = gather(s, in);

	return head != NULL ? begin_pdu(s, head) : ERR_OK;
}

static void report(struct pdu_stream *s, struct pdu_event *ev,
		   enum pdu_event_kind kind, const uint8_t *data, size_t len)
{
	*ev = (struct pdu_event){.kind = kind,
				 .type = s->pdu.type,
				 .pdv = s->pdv,
				 .data = data,
				 .len = len};
}

/* A body that lies whole in the input is lent from there. */
static enum err step_body(struct pdu_stream *s, struct input *in,
			  struct pdu_event *ev)
{
	size_t n = least(s->pdu_left, in->n);
	bool whole = s->pdu_left == s->pdu.body_len && n == s->pdu_left;
	const uint8_t *data = take(in, n);
	enum err e;

	s->pdu_left -= (uint32_t)n;
	if (!whole) {
		e = buf_append(s->hold, data, n);
		if (e != ERR_OK)
			return fail(s, e, ABORT_NO_REASON);
		if (s->pdu_left > 0)
			return ERR_OK;
		data = buf_data(s->hold);
	}
	s->state = HEADER;
	report(s, ev, PDU_EV_PDU, data, s->pdu.body_len);
	return ERR_OK;
}

/* The 6 bytes of a PDV header count in its PDU as they are taken; the PDV's
 * length counts the last two of them. */
static enum err begin_pdv(struct pdu_stream *s, const uint8_t *head,
			  struct pdu_event *ev)
{
	struct rd r = rd_init(head, PDV_HEADER_LEN);
	uint32_t len = rd_u32(&r);
	uint8_t mch;

	if (len < 2 || len - 2 > s->pdu_left)
		return fail(s, ERR_PROTO, ABORT_INVALID_PARAMETER);
	s->pdv.context_id = rd_u8(&r);
	mch = rd_u8(&r);
	s->pdv.command = (mch & PDV_COMMAND) != 0;
	s->pdv.last = (mch & PDV_LAST) != 0;
	s->pdv.len = s->pdv_left = len - 2;
	s->odd += len & 1;
	s->state = PAYLOAD;
	report(s, ev, PDU_EV_PDV_BEGIN, NULL, 0);
	return ERR_OK;
}

static enum err step_pdv_header(struct pdu_stream *s, struct input *in,
				struct pdu_event *ev)
{
	size_t had = in->n;
	const uint8_t *head;

	if (s->pdu_left == 0) {
		s->state = HEADER;
		return ERR_OK;
	}
	if (s->n_head == 0 && s->pdu_left < PDV_HEADER_LEN)
		return fail(s, ERR_PROTO, ABORT_INVALID_PARAMETER);
	head = gather(s, in);
	s->pdu_left -= (uint32_t)(had - in->n);
	return head != NULL ? begin_pdv(s, head, ev) : ERR_OK;
}

static void step_payload(struct pdu_stream *s, struct input *in,
			 struct pdu_event *ev)
{
	size_t n = least(s->pdv_left, in->n);

	if (s->pdv_left == 0) {
		s->state = PDV_HEADER;
		report(s, ev, PDU_EV_PDV_END, NULL, 0);
		return;
	}
	if (n == 0)
		return;
	s->pdv_left -= (uint32_t)n;
	s->pdu_left -= (uint32_t)n;
	report(s, ev, PDU_EV_PDV_DATA, take(in, n), n);
}

static enum err step(struct pdu_stream *s, struct input *in,
		     struct pdu_event *ev)
{
	switch ((enum state)s->state) {
	case HEADER:
		return step_header(s, in);
	case BODY:
		return step_body(s, in, ev);
	case PDV_HEADER:
		return step_pdv_header(s, in, ev);
	case PAYLOAD:
		step_payload(s, in, ev);
		return ERR_OK;
	}
	return ERR_INVAL; /* not reached: state is ours */
}

enum err pdu_stream_next(struct pdu_stream *s, const uint8_t *bytes, size_t n,
			 size_t *used, struct pdu_event *ev)
{
	struct input in = {.p = bytes, .n = n};
	enum err e = s->failed;
	uint8_t state;
	size_t had;

	*used = 0;
	report(s, ev, PDU_EV_MORE, NULL, 0);
	if (e != ERR_OK)
		return e;
	do { /* until an event, or nothing moves any more */
		state = s->state;
		had = in.n;
		e = step(s, &in, ev);
	} while (e == ERR_OK && ev->kind == PDU_EV_MORE &&
		 (in.n != had || s->state != state));
	*used = e == ERR_OK ? n - in.n : 0;
	return e;
}

bool pdu_stream_idle(const struct pdu_stream *s)
{
	if (s->failed != ERR_OK || s->n_head > 0)
		return false;
	return s->state == HEADER ||
	       (s->state == PDV_HEADER && s->pdu_left == 0);
}
