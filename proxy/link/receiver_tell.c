/* receiver_tell.c - frames to the sender. */
#include <stdlib.h>
#include <string.h>

#include "proxy/link/receiver_int.h"

static void say(struct rx_wire *w, const struct link_frame *f)
{
	/* what goes wrong closes the connection, and on_closed says it */
	if (w != NULL && link_conn_send(w->conn, f) != ERR_OK)
		return;
}

static struct link_bytes text_of(const char *text)
{
	return (struct link_bytes){.p = (const uint8_t *)text,
				   .len = strlen(text)};
}

void rx_tell_refused(struct rx_wire *w, const struct transfer_id *id,
		     const struct rx_no *no)
{
	struct link_frame f = {.type = LINK_REFUSED, .id = *id};

	f.why.code = (uint16_t)no->code;
	f.why.retry_s = no->retry_s;
	if (no->text != NULL)
		f.why.text = text_of(no->text);
	say(w, &f);
}

/* ---- HAVE and ACK ------------------------------------------------------ */

/* Runs as they are on the wire. */
struct map {
	struct rx_wire *wire;
	struct link_frame frame;
	uint8_t runs[LINK_RUNS_MAX * LINK_RUN_LEN];
	uint32_t n;
	uint32_t first, count; /* the run that may still grow; count 0: none */
};

static void put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static void map_send(struct map *m, bool more)
{
	m->frame.flags = more ? LINK_F_MORE : 0;
	m->frame.runs.p = m->runs;
	m->frame.runs.n = m->n;
	say(m->wire, &m->frame);
	m->n = 0;
}

/* The run is complete. A frame that is full leaves when more is to come. */
static void map_close_run(struct map *m)
{
	if (m->count == 0)
		return;
	if (m->n == LINK_RUNS_MAX)
		map_send(m, m->frame.type == LINK_HAVE);
	put_u32(m->runs + (size_t)m->n * LINK_RUN_LEN, m->first);
	put_u32(m->runs + (size_t)m->n * LINK_RUN_LEN + 4, m->count);
	m->n++;
	m->count = 0;
}

/* Chunks in rising order; those that overlap count once. */
static void map_add(struct map *m, uint32_t first, uint32_t n)
{
	uint64_t end = (uint64_t)first + n;

	if (m->count > 0 && first <= (uint64_t)m->first + m->count) {
		if (end > (uint64_t)m->first + m->count)
			m->count = (uint32_t)(end - m->first);
		return;
	}
	map_close_run(m);
	m->first = first;
	m->count = n;
}

void rx_tell_map(struct rx_wire *w, const struct instance_origin *origin)
{
	struct spool_partial_have have[64];
	struct map m = {.wire = w,
			.frame = {.type = LINK_HAVE, .id = origin->id}};
	uint32_t from = 0;
	size_t n = 0;

	if (w == NULL)
		return;
	do {
		if (spool_partial_chunks(w->home->receiver->opt.spool, origin,
					 from, have, 64, &n) != ERR_OK)
			n = 0; /* nothing of it is there */
		for (size_t i = 0; i < n; i++)
			map_add(&m, have[i].index, 1);
		if (n > 0)
			from = have[n - 1].index + 1;
	} while (n == 64);
	map_close_run(&m);
	map_send(&m, false);
}

static int by_first(const void *a, const void *b)
{
	const struct rx_run *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

void rx_tell_ack(struct rx_wire *w, const struct transfer_id *id,
		 struct rx_run *runs, size_t n)
{
	struct map m = {.wire = w, .frame = {.type = LINK_ACK, .id = *id}};

	if (w == NULL || n == 0)
		return;
	qsort(runs, n, sizeof(*runs), by_first);
	for (size_t i = 0; i < n; i++)
		map_add(&m, runs[i].first, runs[i].n);
	map_close_run(&m);
	map_send(&m, false);
}

/* ---- the others -------------------------------------------------------- */

void rx_tell_bad(struct rx_wire *w, const struct transfer_id *id,
		 const struct link_bad_chunk *bad)
{
	say(w, &(struct link_frame){.type = LINK_BAD, .id = *id, .bad = *bad});
}

void rx_tell_arrived(struct rx_wire *w, const struct transfer_id *id,
		     uint64_t position, const uint8_t root[LINK_HASH_LEN])
{
	struct link_frame f = {.type = LINK_ARRIVED, .id = *id};

	f.arrived.position = position;
	memcpy(f.arrived.root, root, sizeof(f.arrived.root));
	say(w, &f);
}

static void tell_delivered(struct rx_wire *w, const struct ledger_origin *o)
{
	struct link_frame f = {.type = LINK_DELIVERED, .id = o->origin.id};

	f.delivered.outcome =
	    o->flagged ? LINK_OUT_FLAGGED : LINK_OUT_DELIVERED;
	f.delivered.status = o->status;
	f.delivered.at_ms = o->at_ms > 0 ? (uint64_t)o->at_ms : 0;
	if (w == NULL)
		return;
	if (w->session != NULL)
		w->session->n.told++;
	atomic_fetch_add(&w->home->receiver->counts.told_delivered, 1);
	say(w, &f);
}

static void tell_undelivered(struct rx_wire *w, const struct ledger_origin *o)
{
	struct link_frame f = {.type = LINK_UNDELIVERED, .id = o->origin.id};

	f.why.code = o->stuck;
	f.why.status = o->status;
	f.why.text = text_of(o->text);
	say(w, &f);
}

void rx_tell_origin(struct rx_wire *w, const struct ledger_origin *o,
		    bool answer)
{
	if (o->state == ORIGIN_DELIVERED) {
		tell_delivered(w, o);
		return;
	}
	if (answer && o->state != ORIGIN_NONE)
		rx_tell_arrived(w, &o->origin.id, o->seq, o->root);
	if (o->stuck != ORIGIN_STUCK_NOT && o->state != ORIGIN_NONE)
		tell_undelivered(w, o);
}
