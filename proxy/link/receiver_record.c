/* receiver_record.c - what goes on record of a link: a row like that of an
 * association, audit rows, and a log line at each end. */
#include <stdio.h>
#include <string.h>

#include "proxy/admission.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/link/receiver_int.h"

enum { STUDIES_EVERY_NS = 1000000000 }; /* times 300: five minutes */

void rx_record_refusal(struct rx_wire *w, const char *reason, const char *cause,
		       const char *remedy, bool tls)
{
	w->refused = true;
	admission_refuse(w->home->receiver->opt.admission,
			 &(struct refusal_facts){.listener = w->listener,
						 .peer = w->facts.row.peer,
						 .calling_ae = "",
						 .called_ae = "",
						 .reason = reason,
						 .cause = cause,
						 .remedy = remedy,
						 .tls = tls});
}

void rx_record_open(struct rx_session *s, struct rx_wire *w)
{
	struct ledger *ledger = s->home->receiver->opt.ledger;
	struct tls_info info;
	bool tls = link_conn_tls(w->conn, &info);

	association_record_link(&s->facts, ledger, tls ? &info : NULL);
	s->studies_ns = clock_mono_ns();
	log_event(LOG_INFO, "link-open",
		  "assoc=%llu listener=%s device=%s peer=%s node=%s "
		  "connections=%u window=%llu%s%s",
		  (unsigned long long)s->facts.row.id, s->facts.row.party,
		  s->facts.row.device, s->facts.row.peer, s->node_name,
		  s->terms.connections, (unsigned long long)s->window,
		  tls ? " tls=" : "", s->facts.row.tls_version);
}

void rx_record_withdrawn(const struct rx_session *s,
			 const struct transfer_id *id)
{
	char text[TRANSFER_TEXT_LEN];

	if (s != NULL)
		log_event(LOG_INFO, "transfer-withdrawn",
			  "device=%s transfer=%s", s->facts.row.device,
			  transfer_id_text(id, text));
}

void rx_record_close(struct rx_session *s)
{
	struct ledger *ledger = s->home->receiver->opt.ledger;
	uint64_t ns = clock_mono_ns() - s->begun_ns;

	s->facts.end.bytes_in = s->bytes_in;
	s->facts.end.bytes_out = s->bytes_out;
	s->facts.end.stores = (uint32_t)s->n.arrived;
	s->facts.end.failures = (uint32_t)s->n.refused;
	association_record_close(&s->facts, ledger, s->why, ns);
	log_event(
	    LOG_INFO, "link-closed",
	    "assoc=%llu device=%s node=%s ms=%llu offers=%llu "
	    "arrived=%llu arrived_bytes=%llu refused=%llu chunks=%llu "
	    "chunks_again=%llu chunks_bad=%llu delivered_told=%llu "
	    "bytes_in=%llu bytes_out=%llu why=\"%s\"",
	    (unsigned long long)s->facts.row.id, s->facts.row.device,
	    s->node_name, (unsigned long long)(ns / 1000000),
	    (unsigned long long)s->n.offers, (unsigned long long)s->n.arrived,
	    (unsigned long long)s->n.arrived_bytes,
	    (unsigned long long)s->n.refused, (unsigned long long)s->n.chunks,
	    (unsigned long long)s->n.again, (unsigned long long)s->n.bad,
	    (unsigned long long)s->n.told, (unsigned long long)s->bytes_in,
	    (unsigned long long)s->bytes_out, s->why);
}

static bool has_study(const struct association_facts *f, const char *uid)
{
	for (size_t i = 0; i < f->n_studies; i++)
		if (strcmp(f->studies[i].uid, uid) == 0)
			return true;
	return false;
}

void rx_record_arrived(struct rx_session *s, const struct rx_transfer *t)
{
	struct link_receiver *r = s->home->receiver;

	s->n.arrived++;
	s->n.arrived_bytes += t->done_length;
	atomic_fetch_add(&r->counts.arrived, 1);
	atomic_fetch_add(&r->counts.arrived_bytes, t->done_length);
	/* a link lasts for weeks: its table of studies does not */
	if (s->facts.n_studies == RECORD_STUDIES &&
	    !has_study(&s->facts, t->in->study))
		association_record_studies(&s->facts, r->opt.ledger);
	association_note_store(&s->facts, t->in->study, t->done_length, true);
}

void rx_record_tick(struct rx_session *s)
{
	uint64_t now = clock_mono_ns();

	if (s->facts.n_studies == 0 ||
	    now - s->studies_ns < 300ull * STUDIES_EVERY_NS)
		return;
	s->studies_ns = now;
	association_record_studies(&s->facts, s->home->receiver->opt.ledger);
}
