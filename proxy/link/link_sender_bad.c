/* link_sender_bad.c - chunks that are bad, and transfers that are withdrawn. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/link/link_sender_int.h"

void link_bad_withdraw(struct link_tx *tx, uint8_t why)
{
	struct link_frame f = {
	    .type = LINK_WITHDRAW, .id = tx->id, .withdraw = why};
	int c = link_line_any(tx->s);

	if (tx->work != NULL && tx->work->open)
		c = (int)tx->work->conn;
	if (c >= 0)
		(void)link_line_send(tx->s, (unsigned)c, &f);
}

static unsigned count_bad(struct link_tx *tx, uint32_t index)
{
	struct tx_bad *b;

	LIST_EACH(n, tmp, &tx->work->bads)
	{
		b = CONTAINER_OF(n, struct tx_bad, node);
		if (b->index == index)
			return ++b->n;
	}
	b = mem_zalloc(sizeof(*b));
	if (b == NULL)
		return 1;
	b->index = index;
	b->n = 1;
	list_push_back(&tx->work->bads, &b->node);
	return 1;
}

static void hash_text(const uint8_t h[LINK_HASH_LEN], char out[65])
{
	for (unsigned i = 0; i < LINK_HASH_LEN; i++)
		(void)snprintf(out + (size_t)2 * i, 3, "%02x", h[i]);
}

void link_bad_quarantine(struct link_tx *tx, const struct link_frame *f)
{
	struct verdict v = link_verdict_of_bad();
	char said[65], found[65], text[LEDGER_TEXT_LEN];

	hash_text(f->bad.said, said);
	hash_text(f->bad.found, found);
	(void)snprintf(text, sizeof(text), "chunk %u, said %s, found %s",
		       f->bad.index, said, found);
	link_bad_withdraw(tx, LINK_WITHDRAW_QUARANTINED);
	link_report_task(tx, TASK_ANSWERED, &v, text);
	link_tx_place(tx);
}

void link_bad_resend(struct link_tx *tx, const struct link_frame *f)
{
	unsigned n;

	if (f->bad.index >= tx->chunks) {
		link_tx_place(tx);
		return;
	}
	link_chunk_answered(tx, f->bad.index, 1, false);
	n = f->bad.reason == LINK_BAD_LOST ? 0 : count_bad(tx, f->bad.index);
	link_report_bad(tx, f, n);
	if (n >= TX_BAD_MAX) {
		link_tx_event(tx, LINK_TX_EV_THIRD_BAD, f);
		return;
	}
	link_chunk_again(tx, f->bad.index);
	link_tx_place(tx);
}

void link_bad_withdrawn(struct link_tx *tx)
{
	static const struct verdict v = {
	    .code = "withdrawn", .cause = "withdrawn", .remedy = ""};

	link_bad_withdraw(tx, tx->why);
	if (tx->work != NULL)
		link_report_task(tx, TASK_WITHDRAWN, &v, NULL);
	link_tx_place(tx);
}
