/* sender_store.c - messages out: C-STORE and DIMSE-N requests (PS3.7 9.1.1
 * and 10.1, PS3.8 annex E).
 *
 * A data set leaves in fragments of the length that the peer allows, a P-DATA
 * of one PDV each, straight from the chunk that the feed has opened. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/sender_int.h"

enum { BATCH = 32 }; /* fragments in one write */

struct task *sender_outstanding(struct sender *s)
{
	return s->phase != PHASE_NONE ? sender_first(s) : NULL;
}

/* ---- out --------------------------------------------------------------- */

/* Write bytes[0..n) as fragments; last: the last one of its part of the
 * message. Stops early when the queue is full. Returns the bytes taken, or -1:
 * the stream is closing. */
static ssize_t send_fragments(struct sender *s, uint8_t context_id,
			      const uint8_t *bytes, size_t n, uint8_t mch,
			      bool last)
{
	uint8_t heads[BATCH][PDU_PDATA_HEADER_LEN];
	struct iovec iov[2 * BATCH];
	size_t off = 0, most = sender_fragment_max(s);
	unsigned k = 0;

	do {
		size_t len = n - off < most ? n - off : most;
		uint8_t flags = mch;

		if (last && off + len == n)
			flags |= PDV_LAST;
		iov[2 * k].iov_base = heads[k];
		iov[2 * k].iov_len = pdu_pdata_header(heads[k], (uint32_t)len,
						      context_id, flags);
		iov[2 * k + 1].iov_base = (void *)(uintptr_t)(bytes + off);
		iov[2 * k + 1].iov_len = len;
		off += len;
		if (++k == BATCH || off == n) {
			if (!sender_write(s, iov, 2 * k))
				return -1;
			k = 0;
			if (stream_queued(s->stream) >= SENDER_QUEUE_HIGH)
				break;
		}
	} while (off < n);
	return (ssize_t)off;
}

bool sender_send_command(struct sender *s, uint8_t context_id,
			 const struct command *c)
{
	uint8_t bytes[COMMAND_STORE_MAX];
	struct wr w = wr_init(bytes, sizeof(bytes));

	if (command_encode(c, &w) != ERR_OK)
		return false;
	sender_pace_count(s, w.len);
	/* far below the high mark, so it is taken whole */
	return send_fragments(s, context_id, bytes, w.len, PDV_COMMAND, true) >=
	       0;
}

/* A C-STORE always has a data set, a message one that is not empty. */
static bool has_data_set(const struct task *t)
{
	return !instance_is_message(t->item.command) || t->item.length > 0;
}

static bool send_request(struct sender *s, const struct task *t)
{
	const struct ledger_item *li = &t->item;
	struct command c;

	s->message_id = (uint16_t)(s->message_id % UINT16_MAX + 1);
	if (instance_is_message(li->command)) {
		command_message_rq(&c, li->command, s->message_id,
				   li->sop_class, li->sop_instance, li->type,
				   has_data_set(t));
	} else {
		command_store_rq(&c, s->message_id, li->sop_class,
				 li->sop_instance, li->dicom_priority);
		if (li->has_move)
			command_set_originator(&c, li->move_originator,
					       li->move_originator_id);
	}
	return sender_send_command(s, s->context->id, &c);
}

static void all_sent(struct sender *s)
{
	s->phase = PHASE_AWAITING;
	stream_ack_at_once(s->stream);
	s->progress = stream_bytes_out(s->stream);
	sender_timer(s, s->config->timeouts.response);
	feed_fill(&s->feed); /* the next instance meanwhile */
}

/* Our own copy cannot be sent whole: the message can only be abandoned with
 * its association (PS3.8 9.3.4: no way to cancel a P-DATA). */
static void unreadable(struct sender *s, struct task *t, enum err e)
{
	struct verdict v = outcome_of_failure(
	    e == ERR_CORRUPT ? FAIL_CORRUPT
			     : (e == ERR_NOMEM ? FAIL_NO_MEMORY : FAIL_READ));
	bool outstanding = s->phase != PHASE_NONE;

	sender_finish(s, t, TASK_ANSWERED, &v, err_text(e));
	s->phase = PHASE_NONE;
	if (outstanding)
		sender_event(s, UL_EVT15);
}

/* False: wait for bytes or room, or the association ends. */
static bool send_data(struct sender *s, struct task *t)
{
	const uint8_t *data = NULL;
	size_t len = 0, n;
	ssize_t sent;
	bool last;
	enum err e;

	if (!sender_early_has(t)) {
		sender_early_wait(s, t);
		return false;
	}
	sender_early_flows(s);
	if (t->item.chunks == 0) { /* an empty data set: one empty fragment */
		if (has_data_set(t) &&
		    send_fragments(s, s->context->id, (const uint8_t *)"", 0, 0,
				   true) < 0)
			return false;
		all_sent(s);
		return false;
	}
	e = feed_get(&s->feed, t, &data, &len);
	if (e == ERR_AGAIN)
		return false;
	if (e != ERR_OK) {
		unreadable(s, t, e);
		return false;
	}
	last = !t->early && t->next + 1 == t->item.chunks;
	n = sender_pace(s, len - s->offset);
	if (n == 0 && len > s->offset)
		return false;
	sent = send_fragments(s, s->context->id, data + s->offset, n, 0,
			      last && n == len - s->offset);
	if (sent < 0)
		return false;
	sender_pace_unsent(s, n - (size_t)sent);
	s->offset += (size_t)sent;
	if (s->offset < len) /* the pace, or the queue, allows no more */
		return (size_t)sent == n;
	s->offset = 0;
	feed_release(&s->feed, t);
	if (last)
		all_sent(s);
	else
		feed_fill(&s->feed);
	return !last;
}

uint8_t sender_role(const struct task *t)
{
	return t->item.command == N_EVENT_REPORT_RQ ? ROLE_SCP : ROLE_SCU;
}

static struct sender_context *context_for(struct sender *s,
					  const struct task *t)
{
	for (size_t i = 0; i < s->n_contexts; i++) {
		struct sender_context *c = &s->contexts[i];

		if (strcmp(c->transfer_syntax, t->item.transfer_syntax) == 0 &&
		    strcmp(c->abstract, t->item.sop_class) == 0 &&
		    (c->roles & sender_role(t)) != 0)
			return c;
	}
	return NULL;
}

static bool is_usable(const struct sender_context *c, const struct task *t)
{
	return c->result == CONTEXT_ACCEPTED &&
	       (c->granted & sender_role(t)) != 0;
}

static void context_refused(struct sender *s, struct task *t, uint8_t result)
{
	struct verdict v = result == CONTEXT_ACCEPTED
			       ? outcome_of_role()
			       : outcome_of_context(result);
	char text[LEDGER_TEXT_LEN];

	(void)snprintf(text, sizeof(text), "%s, %s",
		       uid_name(t->item.sop_class),
		       uid_name(t->item.transfer_syntax));
	s->failures++;
	sender_finish(s, t, TASK_ANSWERED, &v, text);
}

/* This association does not fit: release it, but not before the peer has its
 * answer. */
static void open_another(struct sender *s)
{
	if (s->asked.state == ASKED_NOTHING)
		sender_event(s, UL_EVT11);
	else
		sender_timer(s, s->config->timeouts.response);
}

/* How good it is, for the status. */
static void look_at_line(struct sender *s)
{
	uint64_t now = clock_mono_ns();
	struct stream_tcp tcp;

	if (line_facts_due(&s->line, now) && stream_tcp_info(s->stream, &tcp))
		line_facts_note(&s->env.destination->line, &s->line, &tcp, now);
}

/* Begin the message of t. False: it waits, or the association does not fit. */
static bool begin(struct sender *s, struct task *t)
{
	struct sender_context *c;
	const uint8_t *data;
	size_t len;
	enum err e;

	if (strcmp(t->calling_ae, s->calling_ae) != 0 ||
	    strcmp(t->called_ae, s->called_ae) != 0 ||
	    (c = context_for(s, t)) == NULL) {
		open_another(s);
		return false;
	}
	if (!is_usable(c, t) && t->given_ns > s->begun_ns) {
		open_another(s); /* that was before: ask again */
		return false;
	}
	if (!is_usable(c, t)) {
		context_refused(s, t, c->result);
		return true;
	}
	e = t->item.chunks > 0 ? feed_get(&s->feed, t, &data, &len) : ERR_OK;
	if (e == ERR_AGAIN) {
		sender_timer(s, s->config->timeouts.response);
		return false;
	}
	if (e != ERR_OK) {
		unreadable(s, t, e);
		return true;
	}
	sender_pace_for(s, t);
	s->context = c;
	s->offset = 0;
	s->have_status = false;
	s->starved = false;
	s->comment[0] = '\0';
	s->error_id = 0;
	s->phase = PHASE_SENDING;
	if (instance_is_message(t->item.command))
		s->messages++;
	else
		s->stores++;
	t->association = s->id;
	look_at_line(s);
	s->progress = stream_bytes_out(s->stream);
	sender_timer(s, s->config->timeouts.response);
	return send_request(s, t);
}

/* Nothing to send: how long to wait for more. */
static void rest(struct sender *s)
{
	if (s->closing)
		sender_timer(s, 1);
	else if (s->asked.state != ASKED_NOTHING)
		sender_timer(s, s->config->timeouts.response);
	else
		sender_timer(s, s->config->timeouts.idle);
}

void sender_pump(struct sender *s)
{
	bool more = true;

	while (more && s->ul == UL_STA6) {
		struct task *t = sender_first(s);

		if (s->phase != PHASE_SENDING &&
		    s->asked.state == ASKED_ANSWER && !sender_send_answer(s))
			return;
		if (s->phase == PHASE_AWAITING) {
			if (s->have_status)
				sender_answered(s);
			return;
		}
		if (s->phase == PHASE_SENDING) {
			if (stream_queued(s->stream) >= SENDER_QUEUE_HIGH)
				return;
			more = send_data(s, t);
			if (s->phase == PHASE_AWAITING)
				more = true; /* perhaps something is due */
		} else if (t == NULL || s->closing) {
			rest(s);
			return;
		} else {
			more = begin(s, t);
		}
	}
}
