/* leg_record.c - the ledger's rows of legs and the log's lines. */
#include <stdio.h>
#include <string.h>

#include "proxy/leg_int.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/condition.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger.h"

#define COPY(to, from) (void)snprintf((to), sizeof(to), "%s", (from))

static const char *name(const struct leg *l)
{
	return l->destination->config->name;
}

/* ---- contexts ---------------------------------------------------------- */

/* The transfer syntaxes that c proposed, joined by spaces, and a NUL. */
static size_t join(const struct assoc *rq, const struct assoc_context *c,
		   char *out, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_ts && n < room; i++)
		n += (size_t)snprintf(out + n, room - n, "%s%s",
				      i > 0 ? " " : "", assoc_ts(rq, c, i));
	return n < room ? n + 1 : room;
}

static void fill(struct ledger_context *out, const struct assoc *rq,
		 const struct assoc_context *c, const struct assoc *ac)
{
	const struct assoc_context *r = assoc_context(ac, c->id);
	const char *ts = assoc_accepted(rq, ac, c->id);

	out->id = c->id;
	out->result = r != NULL ? r->result : CONTEXT_NO_REASON;
	COPY(out->abstract, c->abstract);
	COPY(out->accepted, ts != NULL ? ts : "");
}

/* What was proposed and accepted; one block, freed by the caller. */
static struct ledger_context *describe(const struct assoc *rq,
				       const struct assoc *ac, size_t *n)
{
	size_t head = rq->n_contexts * sizeof(struct ledger_context);
	size_t room = (size_t)rq->n_ts * (UID_SIZE + 1) + rq->n_contexts;
	struct ledger_context *out = mem_zalloc(head + room + 1);
	char *text;

	if (out == NULL)
		return NULL;
	text = (char *)(out + rq->n_contexts);
	for (size_t i = 0; i < rq->n_contexts; i++) {
		size_t used = join(rq, &rq->contexts[i], text, room);

		fill(&out[i], rq, &rq->contexts[i], ac);
		out[i].proposed = text;
		text += used;
		room -= used;
	}
	*n = rq->n_contexts;
	return out;
}

/* The peer's own words, so that they can be shown. */
static void show_only(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
	}
}

/* ---- rows -------------------------------------------------------------- */

static void row_tls(const struct leg *l, struct ledger_association *row)
{
	struct tls_info info;

	if (!stream_tls_info(l->stream, &info))
		return;
	COPY(row->tls_version, info.version);
	COPY(row->tls_suite, info.suite);
	COPY(row->tls_group, info.group);
	COPY(row->fingerprint, info.fingerprint);
	COPY(row->subject, info.subject);
}

static void row_begin(struct leg *l, struct ledger_association *row)
{
	const struct leg_opening *o = l->opening;

	l->id = ledger_association_id(l->ledger);
	row->id = l->id;
	row->direction = LEDGER_OUT;
	COPY(row->party, name(l));
	COPY(row->device, o->device);
	(void)snprintf(row->peer, sizeof(row->peer), "%.*s",
		       (int)sizeof(row->peer) - 1, stream_peer(l->stream));
	(void)snprintf(row->local, sizeof(row->local), "%.*s",
		       (int)sizeof(row->local) - 1, stream_local(l->stream));
	COPY(row->calling_ae, o->calling_ae);
	COPY(row->called_ae, o->called_ae);
	row_tls(l, row);
	row->begun_ms = clock_wall_ms();
	l->begun_ns = clock_mono_ns();
	ledger_association_begin(l->ledger, row);
}

static void row_end(struct leg *l, const char *why)
{
	struct ledger_association_end end = {.id = l->id,
					     .ended_ms = clock_wall_ms(),
					     .bytes_in = l->bytes_in,
					     .bytes_out = l->bytes_out,
					     .stores = l->stores,
					     .echos = l->echos,
					     .others = l->others,
					     .failures = l->failures};

	end.duration_ns = clock_mono_ns() - l->begun_ns;
	COPY(end.why, why);
	ledger_association_end(l->ledger, &end);
}

static void row_accepted(struct leg *l, const struct assoc *ac)
{
	struct ledger_association row = {.max_pdu = ac->max_pdu};
	const struct leg_opening *o = l->opening;
	struct assoc *rq = mem_realloc(NULL, sizeof(*rq));
	struct ledger_context *contexts = NULL;

	COPY(row.impl_class, ac->impl_class);
	show_only(row.impl_class);
	COPY(row.impl_version, ac->impl_version);
	show_only(row.impl_version);
	COPY(row.result, "accepted");
	if (rq != NULL &&
	    assoc_decode(o->rq + PDU_HEADER_LEN, o->rq_len - PDU_HEADER_LEN,
			 PDU_ASSOCIATE_RQ, rq) == ERR_OK)
		contexts = describe(rq, ac, &row.n_contexts);
	row.contexts = contexts;
	row_begin(l, &row);
	mem_free(contexts);
	if (rq != NULL)
		assoc_wipe(rq); /* a passcode may be in it (item 58) */
	mem_free(rq);
}

/* ---- what happens ------------------------------------------------------ */

void leg_record_accepted(struct leg *l, const struct assoc *ac)
{
	COPY(l->peer, stream_peer(l->stream));
	if (l->ledger != NULL)
		row_accepted(l, ac);
	log_event(LOG_INFO, "leg-opened",
		  "assoc=%llu for=%llu destination=%s device=%s peer=%s",
		  (unsigned long long)l->id, (unsigned long long)l->inbound,
		  name(l), l->opening->device, l->peer);
}

void leg_record_rejected(struct leg *l, struct pdu_reject r)
{
	struct ledger_association row = {0};

	if (l->ledger == NULL)
		return;
	(void)snprintf(row.result, sizeof(row.result), "rejected %u/%u/%u",
		       r.result, r.source, r.reason);
	row_begin(l, &row);
	row_end(l, row.result);
	l->id = 0;
}

void leg_record_failed(struct leg *l, const struct verdict *v,
		       const char *detail)
{
	char endpoint[DESTINATION_ENDPOINT_LEN];

	destination_endpoint(l->destination->config, l->opening->endpoint,
			     endpoint);
	log_event(LOG_WARN, "leg-attempt-failed",
		  "for=%llu destination=%s device=%s endpoint=%s code=%s "
		  "outcome=%s detail=\"%s\"",
		  (unsigned long long)l->inbound, name(l), l->opening->device,
		  endpoint, condition_code(v->code), v->code, detail);
}

void leg_record_refused(const struct leg *l)
{
	const struct leg_refusal *r = &l->opening->refusal;

	log_event(LOG_WARN, "leg-refused",
		  "for=%llu destination=%s device=%s code=%s outcome=%s "
		  "cause=\"%s\" remedy=\"%s\"",
		  (unsigned long long)l->inbound, name(l), l->opening->device,
		  condition_code(r->code), r->code, r->cause, r->remedy);
}

void leg_record_end(struct leg *l)
{
	const char *why = l->why != NULL ? l->why : "ended";

	if (l->begun_ns != 0 && l->id != 0)
		row_end(l, why);
	if (l->peer[0] != '\0')
		log_event(LOG_INFO, "leg-ended",
			  "assoc=%llu for=%llu destination=%s why=\"%s\"",
			  (unsigned long long)l->id,
			  (unsigned long long)l->inbound, name(l), why);
}
