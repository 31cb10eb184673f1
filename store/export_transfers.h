/* export_transfers.h - deliveries as a table, and the chain of such a file.
 *
 * The ledger's rows are no part of the audit's chain: a file of them carries a
 * chain of its own, over the cells of each row, so that the first row that was
 * changed can be named; its end stands in the signed manifest.
 *
 *   row_chain = SHA-256(0x05 || row_chain of the row before || cells)
 *
 * each cell but row_chain as its length in bytes (u32) and its bytes, numbers
 * and times as 8 bytes, no value as length 0, all big-endian; 32 zero bytes
 * before the first row.
 *
 * Pure. */
#ifndef STORE_EXPORT_TRANSFERS_H
#define STORE_EXPORT_TRANSFERS_H

#include "store/export.h"
#include "store/ledger_identity.h"
#include "store/ledger_view.h"

extern const struct export_table export_table_transfers;

enum { EXPORT_TRANSFERS_COLUMNS = 34, EXPORT_TRANSFERS_CHAIN = 30 };

/* The cells of d, which they borrow; all but row_chain. identity may be NULL:
 * not opened. room is for texts that are made here. */
struct export_transfer_room {
	char message[24];
	char status[8];
};
void export_transfer_cells(const struct view_delivery *d,
			   const struct ledger_identity *identity,
			   struct export_transfer_room *room,
			   struct export_cell *cells);

struct export_chain; /* opaque; begins with zero bytes */

/* skip: the column that the hash itself stands in. NULL: out of memory. */
struct export_chain *export_chain_new(const struct export_table *t, bool reveal,
				      size_t skip);
void export_chain_free(struct export_chain *c); /* NULL is fine */
/* The hash of one more row; borrowed until the next call. */
const uint8_t *export_chain_row(struct export_chain *c,
				const struct export_cell *cells);
/* The reader goes on from what a row says, so that one that was changed does
 * not spoil those behind it. */
void export_chain_set(struct export_chain *c, const uint8_t hash[32]);
const uint8_t *export_chain_now(const struct export_chain *c);

#endif
