/* negotiate_legs.c - what legs are asked, and one answer out of theirs. */
#include <string.h>

#include "proxy/destination.h"
#include "proxy/negotiate.h"

/* Sub-items that are carried unread (PS3.7 annex D.3.3). */
enum {
	ITEM_EXTENDED = 0x56,
	ITEM_COMMON_EXTENDED = 0x57,
	ITEM_USER_IDENTITY = 0x58,
	ITEM_USER_IDENTITY_ANSWER = 0x59,
};

static bool is_on(const struct planned_context *p, size_t leg)
{
	return p->agreed.leg == (int)leg;
}

/* ---- the request ------------------------------------------------------- */

static enum err add_context(const struct negotiation *n, size_t i,
			    struct assoc *rq)
{
	const struct planned_context *p = &n->planned[i];
	const struct assoc_context *c = &n->rq->contexts[i];
	enum err e = assoc_add_context(rq, c->id, c->abstract);

	for (size_t k = 0; e == ERR_OK && k < c->n_ts; k++) {
		if ((p->syntaxes >> k & 1) != 0)
			e = assoc_add_ts(rq, assoc_ts(n->rq, c, k));
	}
	return e;
}

/* Item 54 is of a class, not of a context: once each. */
static enum err add_role(const struct negotiation *n, size_t i,
			 struct assoc *rq)
{
	const struct planned_context *p = &n->planned[i];

	if (assoc_role(n->rq, p->agreed.abstract) == NULL ||
	    assoc_role(rq, p->agreed.abstract) != NULL)
		return ERR_OK;
	/* what the device stores is taken here, not there */
	return assoc_add_role(rq, p->agreed.abstract, p->scu && !p->here,
			      p->scp);
}

/* Extended negotiation of a class goes where the class goes. */
static enum err copy_items(const struct negotiation *n, struct assoc *rq)
{
	enum err e = assoc_copy_class_items(rq, n->rq, ITEM_EXTENDED);

	if (e == ERR_OK)
		e = assoc_copy_class_items(rq, n->rq, ITEM_COMMON_EXTENDED);
	if (e == ERR_OK)
		e = assoc_copy_items(rq, n->rq, ITEM_USER_IDENTITY);
	return e;
}

enum err negotiate_leg_rq(const struct negotiation *n, size_t leg,
			  struct assoc *rq)
{
	enum err e = ERR_OK;

	assoc_init(rq);
	destination_aes(&n->config->destinations[n->destinations[leg]],
			n->rq->calling_ae, n->rq->called_ae, rq->calling_ae,
			rq->called_ae);
	rq->max_pdu = n->rq->max_pdu;
	if (n->all_live) {
		rq->has_async = n->rq->has_async;
		rq->async_invoked = n->rq->async_invoked;
		rq->async_performed = n->rq->async_performed;
	}
	for (size_t i = 0; e == ERR_OK && i < n->rq->n_contexts; i++) {
		if (!is_on(&n->planned[i], leg))
			continue;
		e = add_context(n, i, rq);
		if (e == ERR_OK)
			e = add_role(n, i, rq);
	}
	return e == ERR_OK ? copy_items(n, rq) : e;
}

/* ---- the answers ------------------------------------------------------- */

/* 0 is no limit. */
static uint32_t smaller(uint32_t a, uint32_t b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

/* Is ts one of those of context i that bits stand for? */
static bool is_among(const struct negotiation *n, size_t i, uint64_t bits,
		     const char *ts)
{
	const struct assoc_context *c = &n->rq->contexts[i];

	for (size_t k = 0; k < c->n_ts; k++) {
		if ((bits >> k & 1) != 0 &&
		    strcmp(assoc_ts(n->rq, c, k), ts) == 0)
			return true;
	}
	return false;
}

static void take_context(struct negotiation *n, size_t i,
			 const struct assoc *leg_ac)
{
	struct planned_context *p = &n->planned[i];
	const struct assoc_context *c = assoc_context(leg_ac, p->agreed.id);
	const struct assoc_role *r = assoc_role(leg_ac, p->agreed.abstract);

	if (c == NULL)
		return; /* stays at "no reason" */
	p->up_result = c->result;
	p->up_role = r != NULL;
	p->up_scu = r == NULL || r->scu;
	p->up_scp = r != NULL && r->scp;
	if (c->result != CONTEXT_ACCEPTED)
		return;
	if (c->n_ts == 0 ||
	    !is_among(n, i, p->syntaxes, assoc_ts(leg_ac, c, 0)))
		p->up_result = CONTEXT_TRANSFER_SYNTAXES;
	else
		memcpy(p->up_ts, assoc_ts(leg_ac, c, 0), UID_SIZE);
}

static void take_window(const struct negotiation *n, const struct assoc *leg_ac,
			struct assoc *ac)
{
	if (!n->all_live || !n->rq->has_async)
		return;
	if (!ac->has_async) {
		ac->has_async = true;
		ac->async_invoked = n->rq->async_invoked;
		ac->async_performed = n->rq->async_performed;
	}
	/* absent in the answer: 1, which is what decoding left there */
	ac->async_invoked =
	    (uint16_t)smaller(ac->async_invoked, leg_ac->async_invoked);
	ac->async_performed =
	    (uint16_t)smaller(ac->async_performed, leg_ac->async_performed);
}

void negotiate_leg_answer(struct negotiation *n, size_t leg,
			  const struct assoc *leg_ac, struct assoc *ac)
{
	if (leg_ac == NULL)
		return;
	for (size_t i = 0; i < n->rq->n_contexts; i++) {
		if (is_on(&n->planned[i], leg))
			take_context(n, i, leg_ac);
	}
	ac->max_pdu = smaller(ac->max_pdu, leg_ac->max_pdu);
	take_window(n, leg_ac, ac);
	/* no room is not possible: both come out of one PDU each */
	(void)!assoc_copy_items(ac, leg_ac, ITEM_EXTENDED);
	if (!n->identified) { /* one answer to one question */
		size_t before = ac->n_items;

		(void)!assoc_copy_items(ac, leg_ac, ITEM_USER_IDENTITY_ANSWER);
		n->identified = ac->n_items > before;
	}
}

/* ---- the end ----------------------------------------------------------- */

/* Is it live, now that all have answered? */
static bool is_live(const struct planned_context *p)
{
	if (p->agreed.leg < 0 || p->up_result != CONTEXT_ACCEPTED)
		return false;
	/* taken here, it goes up only for what comes back */
	return !p->here || p->up_scp;
}

static uint8_t settle(const struct negotiation *n, size_t i,
		      struct planned_context *p)
{
	bool live = is_live(p);

	if (live)
		memcpy(p->agreed.transfer_syntax, p->up_ts, UID_SIZE);
	if (live && !p->here && is_among(n, i, p->forward, p->up_ts))
		p->agreed.way = WAY_STORE;
	if (p->here || live) {
		p->agreed.leg = live ? p->agreed.leg : -1;
		p->agreed.scp = live && p->scp && p->up_scp;
		return CONTEXT_ACCEPTED;
	}
	return p->agreed.leg < 0 ? p->result : p->up_result;
}

/* The acceptor may turn roles off, never on (PS3.7 D.3.3.4). */
static void answer_role(const struct negotiation *n,
			const struct planned_context *p, struct assoc *ac)
{
	bool live = p->agreed.leg >= 0;
	bool scu = p->here ? p->agreed.way != WAY_REPORT : p->up_scu;
	bool scp = live ? p->up_scp : p->agreed.way == WAY_REPORT;

	if (assoc_role(n->rq, p->agreed.abstract) == NULL ||
	    assoc_role(ac, p->agreed.abstract) != NULL)
		return;
	if (live && !p->here && !p->up_role)
		return; /* it left the roles at their defaults: so do we */
	/* there is room for as many as were proposed */
	(void)!assoc_add_role(ac, p->agreed.abstract, p->scu && scu,
			      p->scp && scp);
}

size_t negotiate_end(struct negotiation *n, struct assoc *ac,
		     struct agreed_context out[ASSOC_MAX_CONTEXTS])
{
	size_t n_out = 0;

	for (size_t i = 0; i < n->rq->n_contexts; i++) {
		struct planned_context *p = &n->planned[i];
		uint8_t result = settle(n, i, p);

		/* neither can fail: id and syntax are those of the request */
		if (assoc_answer(ac, p->agreed.id, result,
				 p->agreed.transfer_syntax) != ERR_OK ||
		    result != CONTEXT_ACCEPTED)
			continue;
		answer_role(n, p, ac);
		out[n_out++] = p->agreed;
	}
	return n_out;
}

/* ---- once more --------------------------------------------------------- */

static bool same_context(const struct agreed_context *a,
			 const struct assoc *leg_ac)
{
	const struct assoc_context *c = assoc_context(leg_ac, a->id);
	const struct assoc_role *r = assoc_role(leg_ac, a->abstract);

	return c != NULL && c->result == CONTEXT_ACCEPTED && c->n_ts > 0 &&
	       strcmp(assoc_ts(leg_ac, c, 0), a->transfer_syntax) == 0 &&
	       (!a->scp || (r != NULL && r->scp));
}

bool negotiate_leg_fits(const struct agreed_context *agreed, size_t n_agreed,
			size_t leg, const struct assoc *leg_ac,
			uint32_t max_pdu)
{
	for (size_t i = 0; i < n_agreed; i++) {
		if (agreed[i].leg == (int)leg &&
		    !same_context(&agreed[i], leg_ac))
			return false;
	}
	return leg_ac->max_pdu == 0 ||
	       (max_pdu != 0 && leg_ac->max_pdu >= max_pdu);
}
