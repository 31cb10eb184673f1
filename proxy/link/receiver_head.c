/* receiver_head.c - heads of the edges' audits, kept in ours. */
#include "proxy/lib/clock.h"
#include "proxy/link/receiver_int.h"
#include "store/audit_head.h"

#include <stdio.h>

static void write_down(const struct rx_session *s, const struct audit_head *h)
{
	struct audit_event e = {.kind = AUDIT_HEAD_RECEIVED,
				.outcome = AUDIT_SUCCESS,
				.association = s->facts.row.id};
	char log[2 * AUDIT_LOG_LEN + 1], chain[2 * AUDIT_CHAIN_LEN + 1];
	char when[CLOCK_TEXT_LEN], key[SEAL_KEY_ID_TEXT];
	char sig[SEAL_SIGNATURE_TEXT];
	struct audit_json j = audit_json_begin(e.detail, sizeof(e.detail));

	if (seal_base64(h->sig, h->sig_len, sig, sizeof(sig)) != ERR_OK)
		return; /* it came as base64: it fits */
	snprintf(e.listener, sizeof(e.listener), "%s", s->facts.row.party);
	snprintf(e.device, sizeof(e.device), "%s", s->facts.row.device);
	snprintf(e.peer, sizeof(e.peer), "%s", s->facts.row.peer);
	audit_json_text(&j, "node", h->node);
	audit_json_text(&j, "log", seal_hex(h->log, sizeof(h->log), log));
	audit_json_number(&j, "number", h->number);
	audit_json_number(&j, "seq", h->seq);
	audit_json_text(&j, "chain",
			seal_hex(h->chain, sizeof(h->chain), chain));
	audit_json_text(&j, "time", clock_text(h->wall_ms, when));
	audit_json_text(&j, "key", seal_key_id_text(h->key_id, key));
	audit_json_text(&j, "signature", sig);
	audit_json_end(&j);
	ledger_audit(s->home->receiver->opt.ledger, &e);
}

/* Of the device, whatever its sessions: a new one makes no new room. */
static bool is_time(struct link_receiver *r, size_t device)
{
	uint64_t now = clock_mono_ns();
	uint64_t *last = &r->heads_ns[device];
	bool yes;

	(void)pthread_mutex_lock(&r->lock);
	yes = *last == 0 || now - *last >= LINK_HEAD_LEAST_MS * 1000000ull;
	if (yes)
		*last = now;
	(void)pthread_mutex_unlock(&r->lock);
	return yes;
}

void rx_on_head(struct rx_wire *w, const struct link_frame *f)
{
	struct rx_session *s = w->session;
	struct audit_head h;

	if (audit_head_parse((const char *)f->head.p, f->head.len, &h) !=
	    ERR_OK) {
		rx_wire_broken(w, "HEAD: not a head of an audit");
		return;
	}
	if (is_time(s->home->receiver, s->device))
		write_down(s, &h);
}
