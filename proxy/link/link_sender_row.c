/* link_sender_row.c - the ledger's row of a link: when, to whom, over what. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/link/link_sender_int.h"

#define COPY(to, from)                                                         \
	(void)snprintf((to), sizeof(to), "%.*s", (int)sizeof(to) - 1, (from))

static void put_tls(const struct link_conn *c, struct ledger_association *row)
{
	struct tls_info tls;

	if (!link_conn_tls(c, &tls))
		return;
	COPY(row->tls_version, tls.version);
	COPY(row->tls_suite, tls.suite);
	COPY(row->tls_group, tls.group);
	COPY(row->fingerprint, tls.fingerprint);
	COPY(row->subject, tls.subject);
}

void link_row_begin(struct link_sender *s, const struct link_conn *c)
{
	struct ledger_association *row = mem_zalloc(sizeof(*row));

	if (row == NULL)
		return;
	s->row = ledger_association_id(s->env.ledger);
	s->row_ns = clock_mono_ns();
	s->row_arrived = s->now.arrived;
	s->row_sent = s->now.sent;
	row->id = s->row;
	row->direction = LEDGER_OUT;
	COPY(row->party, s->config->name);
	COPY(row->peer, link_conn_peer(c));
	COPY(row->local, link_conn_local(c));
	put_tls(c, row);
	row->begun_ms = clock_wall_ms();
	COPY(row->result, "link accepted");
	ledger_association_begin(s->env.ledger, row);
	mem_free(row);
}

/* stores: instances that arrived; bytes: of their chunks. */
void link_row_end(struct link_sender *s, const char *why)
{
	struct ledger_association_end end = {
	    .id = s->row,
	    .ended_ms = clock_wall_ms(),
	    .duration_ns = clock_mono_ns() - s->row_ns,
	    .bytes_out = s->now.sent - s->row_sent,
	    .stores = (uint32_t)(s->now.arrived - s->row_arrived)};

	if (s->row == 0)
		return;
	COPY(end.why, why);
	ledger_association_end(s->env.ledger, &end);
	s->row = 0;
}
