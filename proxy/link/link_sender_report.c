/* link_sender_report.c - to the scheduler, the spool, the log. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/condition.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/link/link_sender_int.h"

/* ---- words ------------------------------------------------------------- */

char *link_text(struct link_bytes text, char *out, size_t size)
{
	size_t n = text.len < size ? text.len : size - 1;

	if (n > 0)
		memcpy(out, text.p, n);
	out[n] = '\0';
	return out;
}

struct verdict link_verdict_of_refusal(uint16_t code)
{
	static const struct {
		enum condition_id why; /* 0 is none of these */
		enum fate fate;
		bool of_destination;
	} rows[] = {
	    [LINK_REFUSED_NO_SPACE] = {CONDITION_LINK_NO_SPACE, FATE_RETRY,
				       true},
	    [LINK_REFUSED_STORE] = {CONDITION_LINK_STORE, FATE_RETRY, true},
	    [LINK_REFUSED_BUSY] = {CONDITION_LINK_BUSY, FATE_RETRY, true},
	    [LINK_REFUSED_NO_ROUTE] = {CONDITION_LINK_NO_ROUTE,
				       FATE_HOLD_CONTEXT, false},
	    [LINK_REFUSED_NOT_ACCEPTED] = {CONDITION_LINK_NOT_ACCEPTED,
					   FATE_HOLD_CONTEXT, false},
	    [LINK_REFUSED_TOO_LARGE] = {CONDITION_LINK_TOO_LARGE, FATE_RETRY,
					false},
	    [LINK_REFUSED_META] = {CONDITION_LINK_METADATA, FATE_QUARANTINE,
				   false},
	    [LINK_REFUSED_ROOT] = {CONDITION_LINK_ROOT, FATE_QUARANTINE, false},
	    [LINK_REFUSED_CONFLICT] = {CONDITION_LINK_CONFLICT, FATE_QUARANTINE,
				       false},
	};

	if (code < ARRAY_LEN(rows) && rows[code].why != 0)
		return outcome_verdict(
		    rows[code].fate, rows[code].of_destination, rows[code].why);
	return outcome_verdict(FATE_RETRY, false, CONDITION_LINK_REFUSED);
}

struct verdict link_verdict_of_bye(uint16_t code)
{
	enum condition_id why = CONDITION_LINK_ENDED;

	switch (code) {
	case LINK_BYE_VERSION:
		why = CONDITION_LINK_VERSION;
		break;
	case LINK_BYE_LIMITS:
		why = CONDITION_LINK_LIMITS;
		break;
	case LINK_BYE_UNDECLARED:
		why = CONDITION_LINK_UNDECLARED;
		break;
	case LINK_BYE_SELF:
		why = CONDITION_LINK_SELF;
		break;
	default: /* a number of the wire */
		break;
	}
	return outcome_verdict(
	    why == CONDITION_LINK_ENDED ? FATE_RETRY : FATE_HOLD_DESTINATION,
	    true, why);
}

struct verdict link_verdict_of_bad(void)
{
	return outcome_verdict(FATE_QUARANTINE, false,
			       CONDITION_LINK_BAD_CHUNK);
}

/* ---- the scheduler ------------------------------------------------------ */

void link_report_task(struct link_tx *tx, enum task_end end,
		      const struct verdict *v, const char *detail)
{
	struct link_sender *s = tx->s;
	struct task *t = tx->work->task;

	link_tx_end_work(tx);
	t->end = end;
	t->verdict = *v;
	(void)snprintf(t->detail, sizeof(t->detail), "%s",
		       detail != NULL ? detail : "");
	t->msg.run = t->done;
	(void)mailbox_post(s->env.main, &t->msg);
}

static void on_news(struct msg *m)
{
	struct link_news *n = CONTAINER_OF(m, struct link_news, msg);

	n->sender->env.news(n->sender->env.arg, n);
	mem_free(n);
}

void link_report_news(struct link_sender *s, const struct link_tx *tx,
		      struct link_news news)
{
	struct link_news *n = mem_zalloc(sizeof(*n));

	if (n == NULL)
		return; /* only shown, or heard again on the next link */
	*n = news;
	n->sender = s;
	if (tx != NULL) {
		n->id = tx->id;
		n->delivery = tx->known ? tx->delivery : 0;
		n->length = tx->known ? tx->length : 0;
		n->attempts = tx->attempts;
	}
	n->msg.run = on_news;
	(void)mailbox_post(s->env.main, &n->msg);
}

/* ---- outcomes ----------------------------------------------------------- */

/* False: the spool does not take it now. */
static bool post(struct link_sender *s, const struct outcome *o)
{
	struct link_tx *tx;
	uint64_t number = 0;

	if (spool_outcome_number(s->env.spool, o, &number) == ERR_BUSY)
		return false;
	tx = link_tx_find(s, &o->id);
	if (tx != NULL && tx->state == LINK_TX_SETTLING &&
	    o->kind != OUTCOME_ARRIVED)
		tx->number = number;
	return true;
}

static void keep(struct link_sender *s, const struct outcome *o)
{
	struct tx_outcome *u = mem_zalloc(sizeof(*u));

	if (u == NULL) {
		log_event(LOG_ERROR, "outcome-lost", "destination=%s",
			  s->config->name);
		return; /* asked for again after a restart */
	}
	u->outcome = *o;
	list_push_back(&s->unwritten, &u->node);
}

void link_report_outcome(struct link_tx *tx, enum outcome_kind kind)
{
	struct link_sender *s = tx->s;
	struct outcome o = {.id = tx->id,
			    .kind = kind,
			    .status = tx->status,
			    .at_ms = clock_wall_ms()};

	(void)snprintf(o.destination, sizeof(o.destination), "%s",
		       s->config->name);
	if (!list_empty(&s->unwritten) || !post(s, &o))
		keep(s, &o);
}

void link_report_flush(struct link_sender *s)
{
	LIST_EACH(n, tmp, &s->unwritten)
	{
		struct tx_outcome *u = CONTAINER_OF(n, struct tx_outcome, node);

		if (!post(s, &u->outcome))
			return;
		list_remove(n);
		mem_free(u);
	}
}

/* ---- the log ------------------------------------------------------------ */

/* "3,7-9": what was under way and did not become durable. Returns how many. */
static unsigned again_text(const struct tx_work *w, char *out, size_t size)
{
	unsigned again = 0;
	size_t len = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < w->n_lost; i++) {
		uint32_t first = w->lost[i], last = first;

		if (link_bit(w->have, first))
			continue;
		while (i + 1 < w->n_lost && w->lost[i + 1] == last + 1 &&
		       !link_bit(w->have, last + 1)) {
			last++;
			i++;
		}
		again += last - first + 1;
		if (len < size)
			len += (size_t)snprintf(out + len, size - len, "%s%u",
						len > 0 ? "," : "", first);
		if (last > first && len < size)
			len += (size_t)snprintf(out + len, size - len, "-%u",
						last);
	}
	return again;
}

void link_report_resumed(struct link_tx *tx)
{
	struct tx_work *w = tx->work;
	char id[TRANSFER_TEXT_LEN], chunks[256];
	unsigned again = again_text(w, chunks, sizeof(chunks));

	tx->s->now.again += (uint64_t)again * CHUNK_LEN;
	w->n_lost = 0;
	log_event(LOG_INFO, "transfer-resumed",
		  "destination=%s transfer=%s chunks=%u had=%u to_send=%u "
		  "again=%u again_chunks=%s",
		  tx->s->config->name, transfer_id_text(&tx->id, id),
		  tx->chunks, w->n_have, tx->chunks - w->n_have, again, chunks);
}

void link_report_refused(const struct link_tx *tx, const struct link_frame *f)
{
	char id[TRANSFER_TEXT_LEN], text[LINK_TEXT_MAX + 1] = "another root";
	uint16_t code = LINK_REFUSED_CONFLICT;

	if (f->type == LINK_REFUSED) {
		code = f->why.code;
		link_text(f->why.text, text, sizeof(text));
	}
	log_event(LOG_WARN, "transfer-refused",
		  "destination=%s transfer=%s code=%s reason=%u detail=\"%s\" "
		  "text=\"%s\"",
		  tx->s->config->name, transfer_id_text(&tx->id, id),
		  condition_code(link_verdict_of_refusal(code).code), code,
		  link_refusal_text(code), text);
}

void link_report_bad(const struct link_tx *tx, const struct link_frame *f,
		     unsigned times)
{
	char id[TRANSFER_TEXT_LEN];

	log_event(LOG_WARN, "chunk-refused",
		  "destination=%s transfer=%s chunk=%u times=%u detail=\"%s\"",
		  tx->s->config->name, transfer_id_text(&tx->id, id),
		  f->bad.index, times, link_bad_text(f->bad.reason));
}
