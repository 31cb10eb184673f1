/* sender_assoc.c - what is proposed, what is accepted, what goes on record. */
#include <stdio.h>
#include <string.h>

#include "proxy/capability.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/sender_int.h"

#define COPY(to, from) (void)snprintf((to), sizeof(to), "%s", (from))

/* ---- request ----------------------------------------------------------- */

static struct sender_context *proposed(struct sender *s, const char *abstract,
				       const char *transfer_syntax)
{
	for (size_t i = 0; i < s->n_contexts; i++) {
		struct sender_context *c = &s->contexts[i];

		if (strcmp(c->abstract, abstract) == 0 &&
		    strcmp(c->transfer_syntax, transfer_syntax) == 0)
			return c;
	}
	return NULL;
}

static void propose(struct sender *s, const char *abstract,
		    const char *transfer_syntax, uint8_t role)
{
	struct sender_context *c = proposed(s, abstract, transfer_syntax);

	if (c != NULL) {
		c->roles |= role;
		return;
	}
	if (s->n_contexts == ASSOC_MAX_CONTEXTS || !uid_valid(abstract) ||
	    !uid_valid(transfer_syntax))
		return;
	c = &s->contexts[s->n_contexts];
	c->id = (uint8_t)(2 * s->n_contexts + 1);
	c->result = CONTEXT_NO_REASON;
	c->roles = role;
	c->granted = 0;
	COPY(c->abstract, abstract);
	COPY(c->transfer_syntax, transfer_syntax);
	s->n_contexts++;
}

/* A role goes with the SOP class, in whatever context (PS3.7 D.3.3.4). */
static void share_roles(struct sender *s)
{
	for (size_t i = 0; i < s->n_contexts; i++) {
		for (size_t k = 0; k < s->n_contexts; k++) {
			if (strcmp(s->contexts[i].abstract,
				   s->contexts[k].abstract) == 0)
				s->contexts[i].roles |= s->contexts[k].roles;
		}
	}
}

struct capability_key sender_key(const struct sender *s,
				 const struct sender_context *c)
{
	return (struct capability_key){.destination = s->config->name,
				       .calling_ae = s->calling_ae,
				       .called_ae = s->called_ae,
				       .abstract = c->abstract,
				       .transfer_syntax = c->transfer_syntax};
}

/* First what these tasks need, then what the queue needed lately. */
static void choose_contexts(struct sender *s)
{
	struct capability_pair pairs[ASSOC_MAX_CONTEXTS];
	size_t n;

	s->n_contexts = 0;
	LIST_EACH(it, tmp, &s->queue)
	{
		const struct task *t = CONTAINER_OF(it, struct task, node);

		if (strcmp(t->calling_ae, s->calling_ae) == 0 &&
		    strcmp(t->called_ae, s->called_ae) == 0)
			propose(s, t->item.sop_class, t->item.transfer_syntax,
				sender_role(t));
	}
	n = recent_list(s->env.recent, s->calling_ae, s->called_ae, pairs,
			ARRAY_LEN(pairs));
	for (size_t i = 0; i < n; i++)
		propose(s, pairs[i].abstract, pairs[i].transfer_syntax, 0);
	share_roles(s);
	for (size_t i = 0; i < s->n_contexts; i++) {
		if (s->contexts[i].roles == 0)
			s->contexts[i].roles = ROLE_SCU;
	}
}

static enum err fill_request(const struct sender *s, struct assoc *rq)
{
	assoc_init(rq);
	COPY(rq->calling_ae, s->calling_ae);
	COPY(rq->called_ae, s->called_ae);
	rq->max_pdu = s->config->max_pdu;
	for (size_t i = 0; i < s->n_contexts; i++) {
		const struct sender_context *c = &s->contexts[i];
		enum err e = assoc_add_context(rq, c->id, c->abstract);

		if (e == ERR_OK)
			e = assoc_add_ts(rq, c->transfer_syntax);
		if (e == ERR_OK && (c->roles & ROLE_SCP) != 0 &&
		    assoc_role(rq, c->abstract) == NULL)
			e = assoc_add_role(rq, c->abstract,
					   (c->roles & ROLE_SCU) != 0, true);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

enum err sender_request(struct sender *s, struct wr *out)
{
	struct assoc *rq = mem_zalloc(sizeof(*rq));
	enum err e;

	if (rq == NULL)
		return ERR_NOMEM;
	choose_contexts(s);
	e = fill_request(s, rq);
	if (e == ERR_OK)
		e = assoc_encode_rq(rq, out);
	mem_free(rq);
	return e;
}

/* ---- answer ------------------------------------------------------------ */

/* Without an answer on roles an acceptor leaves us that of the SCU; but some
 * that do take reports never answer, so it is tried. */
static uint8_t granted(const struct sender_context *c, const struct assoc *ac)
{
	const struct assoc_role *r = assoc_role(ac, c->abstract);
	uint8_t may = 0;

	if (r == NULL || (c->roles & ROLE_SCP) == 0)
		return c->roles;
	if (r->scu)
		may |= ROLE_SCU;
	if (r->scp)
		may |= ROLE_SCP;
	return c->roles & may;
}

static void take_result(struct sender *s, struct sender_context *c,
			const struct assoc *ac)
{
	const struct assoc_context *answer = assoc_context(ac, c->id);
	struct capability_key key = sender_key(s, c);

	if (answer == NULL)
		return; /* left at "no reason", and says nothing */
	c->result = answer->result;
	if (answer->result == CONTEXT_ACCEPTED &&
	    !assoc_has_ts(ac, answer, c->transfer_syntax))
		c->result = CONTEXT_TRANSFER_SYNTAXES;
	c->granted = granted(c, ac);
	capability_learn(s->env.destination->capabilities, &key,
			 c->result == CONTEXT_ACCEPTED);
}

bool sender_accepted(struct sender *s, const uint8_t *body, size_t len)
{
	struct assoc *ac = mem_zalloc(sizeof(*ac));
	bool ok;

	if (ac == NULL)
		return false;
	ok = assoc_decode(body, len, PDU_ASSOCIATE_AC, ac) == ERR_OK;
	if (ok) {
		s->payload_max = pdu_payload_max(ac->max_pdu, SENDER_MAX_PDU);
		ok = s->payload_max > 0;
		for (size_t i = 0; i < s->n_contexts; i++)
			take_result(s, &s->contexts[i], ac);
		sender_row_begin(s, ac, "accepted");
	}
	mem_free(ac);
	return ok;
}

/* ---- the ledger -------------------------------------------------------- */

static void row_tls(const struct sender *s, struct ledger_association *row)
{
	struct tls_info info;

	if (!stream_tls_info(s->stream, &info))
		return;
	COPY(row->tls_version, info.version);
	COPY(row->tls_suite, info.suite);
	COPY(row->tls_group, info.group);
	COPY(row->fingerprint, info.fingerprint);
	COPY(row->subject, info.subject);
}

static size_t row_contexts(const struct sender *s, struct ledger_context *out)
{
	for (size_t i = 0; i < s->n_contexts; i++) {
		const struct sender_context *c = &s->contexts[i];

		out[i].id = c->id;
		out[i].result = c->result;
		COPY(out[i].abstract, c->abstract);
		if (c->result == CONTEXT_ACCEPTED)
			COPY(out[i].accepted, c->transfer_syntax);
		out[i].proposed = c->transfer_syntax;
	}
	return s->n_contexts;
}

void sender_row_begin(struct sender *s, const struct assoc *ac,
		      const char *result)
{
	struct ledger_association row = {.direction = LEDGER_OUT};
	struct ledger_context *contexts =
	    mem_zarray(ASSOC_MAX_CONTEXTS, sizeof(*contexts));

	s->id = ledger_association_id(s->env.ledger);
	row.id = s->id;
	COPY(row.party, s->config->name);
	(void)snprintf(row.peer, sizeof(row.peer), "%.*s",
		       (int)sizeof(row.peer) - 1, stream_peer(s->stream));
	(void)snprintf(row.local, sizeof(row.local), "%.*s",
		       (int)sizeof(row.local) - 1, stream_local(s->stream));
	COPY(row.calling_ae, s->calling_ae);
	COPY(row.called_ae, s->called_ae);
	if (ac != NULL) {
		COPY(row.impl_class, ac->impl_class);
		COPY(row.impl_version, ac->impl_version);
		row.max_pdu = ac->max_pdu;
	}
	row_tls(s, &row);
	row.begun_ms = clock_wall_ms();
	COPY(row.result, result);
	if (contexts != NULL) {
		row.n_contexts = row_contexts(s, contexts);
		row.contexts = contexts;
	}
	ledger_association_begin(s->env.ledger, &row);
	mem_free(contexts);
	s->begun_ns = clock_mono_ns();
	s->line = (struct line_watch){0};
	s->stores = s->messages = s->failures = 0;
}

void sender_row_end(struct sender *s, const char *why)
{
	struct ledger_association_end end = {.id = s->id,
					     .ended_ms = clock_wall_ms(),
					     .stores = s->stores,
					     .others = s->messages,
					     .failures = s->failures};

	if (s->id == 0)
		return;
	end.duration_ns = clock_mono_ns() - s->begun_ns;
	end.bytes_in = s->bytes_in;
	end.bytes_out = s->bytes_out;
	COPY(end.why, why);
	ledger_association_end(s->env.ledger, &end);
	log_event(LOG_INFO, "association-out-ended",
		  "assoc=%llu destination=%s stores=%u messages=%u failures=%u "
		  "why=\"%s\"",
		  (unsigned long long)s->id, s->config->name, s->stores,
		  s->messages, s->failures, why);
	s->id = 0;
}
