#include "store/export_transfers.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/lib/wr.h"
#include "store/seal.h"

enum column {
	C_DELIVERY,
	C_RECEIVED,
	C_CHANGED,
	C_STATE,
	C_DESTINATION,
	C_DEVICE,
	C_LISTENER,
	C_PEER,
	C_CALLING,
	C_CALLED,
	C_ASSOCIATION,
	C_MESSAGE,
	C_TYPE,
	C_TRANSACTION,
	C_STUDY,
	C_SERIES,
	C_MODALITY,
	C_SOP_CLASS,
	C_SOP_INSTANCE,
	C_SYNTAX,
	C_BYTES,
	C_CHUNKS,
	C_HASH,
	C_TRANSFER,
	C_PRIORITY,
	C_ATTEMPTS,
	C_NEXT,
	C_STATUS,
	C_ERROR,
	C_SEQ,
	C_CHAIN,
	C_ACCESSION,
	C_PATIENT_ID,
	C_PATIENT_NAME,
	C_N
};

_Static_assert((int)C_N == (int)EXPORT_TRANSFERS_COLUMNS, "columns");
_Static_assert((int)C_CHAIN == (int)EXPORT_TRANSFERS_CHAIN, "chain");

static const struct export_column columns[C_N] = {
    [C_DELIVERY] = {"delivery", EXPORT_UNSIGNED, false,
		    "Number of the delivery: an instance with two destinations "
		    "makes two rows."},
    [C_RECEIVED] = {"received", EXPORT_TIME, false,
		    "When the instance was durable here, UTC."},
    [C_CHANGED] = {"changed", EXPORT_TIME, false,
		   "When the state became what it is; of delivered: when the "
		   "destination said Success."},
    [C_STATE] = {"state", EXPORT_TEXT, false,
		 "queued, held, quarantined, arrived, uncommitted, delivered, "
		 "committed, withdrawn or discarded."},
    [C_DESTINATION] = {"destination", EXPORT_TEXT, false, "Where it goes."},
    [C_DEVICE] = {"device", EXPORT_TEXT, false, "Device that sent it."},
    [C_LISTENER] = {"listener", EXPORT_TEXT, false, "Where it came in."},
    [C_PEER] = {"peer", EXPORT_TEXT, false, "Address of the device."},
    [C_CALLING] = {"calling_ae", EXPORT_TEXT, false, "Calling AE title."},
    [C_CALLED] = {"called_ae", EXPORT_TEXT, false, "Called AE title."},
    [C_ASSOCIATION] = {"association", EXPORT_UNSIGNED, false,
		       "Number of the association it came on."},
    [C_MESSAGE] = {"message", EXPORT_TEXT, false,
		   "C-STORE, or the kind of a message that is delivered like "
		   "an instance."},
    [C_TYPE] = {"type", EXPORT_UNSIGNED, false,
		"Action or event type id of a message."},
    [C_TRANSACTION] = {"transaction", EXPORT_TEXT, false,
		       "Transaction UID of a message."},
    [C_STUDY] = {"study", EXPORT_TEXT, false, "Study Instance UID."},
    [C_SERIES] = {"series", EXPORT_TEXT, false, "Series Instance UID."},
    [C_MODALITY] = {"modality", EXPORT_TEXT, false, "Modality."},
    [C_SOP_CLASS] = {"sop_class", EXPORT_TEXT, false, "SOP Class UID."},
    [C_SOP_INSTANCE] = {"sop_instance", EXPORT_TEXT, false,
			"SOP Instance UID."},
    [C_SYNTAX] = {"transfer_syntax", EXPORT_TEXT, false,
		  "Transfer Syntax UID."},
    [C_BYTES] = {"bytes", EXPORT_UNSIGNED, false, "Length of the data set."},
    [C_CHUNKS] = {"chunks", EXPORT_UNSIGNED, false, "Chunks of 1 MiB."},
    [C_HASH] = {"hash", EXPORT_HEX, false,
		"SHA-256 tree hash of the data set, as culvert hash prints."},
    [C_TRANSFER] = {"transfer", EXPORT_HEX, false,
		    "Random name of the transfer."},
    [C_PRIORITY] = {"priority", EXPORT_NUMBER, false, "Higher goes out first."},
    [C_ATTEMPTS] = {"attempts", EXPORT_UNSIGNED, false,
		    "How often it was tried."},
    [C_NEXT] = {"next_attempt", EXPORT_TIME, false, "When it is tried again."},
    [C_STATUS] = {"remote_status", EXPORT_TEXT, false,
		  "Last DIMSE status of the destination, hexadecimal."},
    [C_ERROR] = {"last_error", EXPORT_TEXT, false,
		 "What went wrong last, in words."},
    [C_SEQ] = {"seq", EXPORT_UNSIGNED, false,
	       "Place of the instance in the order of arrival."},
    [C_CHAIN] = {"row_chain", EXPORT_HEX, false,
		 "SHA-256(0x05 || row_chain before || the row): binds the row "
		 "to those before it in this file."},
    [C_ACCESSION] = {"accession", EXPORT_TEXT, true, "Accession number."},
    [C_PATIENT_ID] = {"patient_id", EXPORT_TEXT, true, "Patient ID."},
    [C_PATIENT_NAME] = {"patient_name", EXPORT_TEXT, true, "Patient's name."},
};

const struct export_table export_table_transfers = {
    .name = "transfers", .columns = columns, .n = C_N};

static const char *message_of(uint16_t command, char out[24])
{
	static const struct {
		uint16_t command;
		const char *name;
	} names[] = {
	    {0, "C-STORE"},      {1, "C-STORE"},     {0x100, "N-EVENT-REPORT"},
	    {0x110, "N-GET"},    {0x120, "N-SET"},   {0x130, "N-ACTION"},
	    {0x140, "N-CREATE"}, {0x150, "N-DELETE"}};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].command == command)
			return names[i].name;
	}
	snprintf(out, 24, "command %04x", command);
	return out;
}

static struct export_cell some(uint64_t v)
{
	return v != 0 ? export_number((int64_t)v) : export_none();
}

static void what_cells(const struct view_delivery *d,
		       struct export_transfer_room *room,
		       struct export_cell *cells)
{
	cells[C_MESSAGE] = export_text(message_of(d->command, room->message));
	cells[C_TYPE] = some(d->type);
	cells[C_TRANSACTION] = export_text(d->transaction);
	cells[C_STUDY] = export_text(d->study);
	cells[C_SERIES] = export_text(d->series);
	cells[C_MODALITY] = export_text(d->modality);
	cells[C_SOP_CLASS] = export_text(d->sop_class);
	cells[C_SOP_INSTANCE] = export_text(d->sop_instance);
	cells[C_SYNTAX] = export_text(d->transfer_syntax);
	cells[C_BYTES] = export_number((int64_t)d->length);
	cells[C_CHUNKS] = export_number(d->chunks);
	cells[C_HASH] = export_bytes(d->root, sizeof(d->root));
	cells[C_TRANSFER] = export_bytes(d->transfer.b, TRANSFER_ID_LEN);
	cells[C_SEQ] = export_number((int64_t)d->seq);
}

static void way_cells(const struct view_delivery *d,
		      struct export_transfer_room *room,
		      struct export_cell *cells)
{
	cells[C_DELIVERY] = export_number((int64_t)d->delivery);
	cells[C_RECEIVED] = export_number(d->received_ms);
	cells[C_CHANGED] = some((uint64_t)d->changed_ms);
	cells[C_STATE] = export_text(delivery_state_text(d->state));
	cells[C_DESTINATION] = export_text(d->destination);
	cells[C_DEVICE] = export_text(d->device);
	cells[C_LISTENER] = export_text(d->listener);
	cells[C_PEER] = export_text(d->peer);
	cells[C_CALLING] = export_text(d->calling_ae);
	cells[C_CALLED] = export_text(d->called_ae);
	cells[C_ASSOCIATION] = some(d->association);
	cells[C_PRIORITY] = export_number(d->priority);
	cells[C_ATTEMPTS] = export_number(d->attempts);
	cells[C_NEXT] = some((uint64_t)d->next_attempt_ms);
	cells[C_STATUS] = export_none();
	if (d->remote_status >= 0) {
		snprintf(room->status, sizeof(room->status), "%04X",
			 (unsigned)d->remote_status & 0xffff);
		cells[C_STATUS] = export_text(room->status);
	}
	cells[C_ERROR] = export_text(d->last_error);
}

void export_transfer_cells(const struct view_delivery *d,
			   const struct ledger_identity *identity,
			   struct export_transfer_room *room,
			   struct export_cell *cells)
{
	static const struct ledger_identity none;

	way_cells(d, room, cells);
	what_cells(d, room, cells);
	cells[C_CHAIN] = export_none();
	identity = identity != NULL ? identity : &none;
	cells[C_ACCESSION] = export_text(identity->accession);
	cells[C_PATIENT_ID] = export_text(identity->patient_id);
	cells[C_PATIENT_NAME] = export_text(identity->patient_name);
}

/* ---- the chain ------------------------------------------------------------
 */

struct export_chain {
	const struct export_table *table;
	size_t n, skip;
	struct seal_hash *hash;
	uint8_t now[SEAL_HASH_LEN];
	size_t waiting; /* bytes that are not in the hash yet */
	uint8_t bytes[4096];
};

struct export_chain *export_chain_new(const struct export_table *t, bool reveal,
				      size_t skip)
{
	struct export_chain *c = mem_zalloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	c->table = t;
	c->n = export_n_columns(t, reveal);
	c->skip = skip;
	c->hash = seal_hash_new();
	if (c->hash == NULL) {
		mem_free(c);
		return NULL;
	}
	return c;
}

void export_chain_free(struct export_chain *c)
{
	if (c == NULL)
		return;
	seal_hash_free(c->hash);
	mem_free(c);
}

/* Few long strides are quicker than many short ones. */
static void add_bytes(struct export_chain *c, const void *p, size_t n)
{
	if (n > sizeof(c->bytes) - c->waiting) {
		seal_hash_update(c->hash, c->bytes, c->waiting);
		c->waiting = 0;
	}
	if (n > sizeof(c->bytes)) {
		seal_hash_update(c->hash, p, n);
		return;
	}
	memcpy(c->bytes + c->waiting, p, n);
	c->waiting += n;
}

static void add_cell(struct export_chain *c, enum export_type type,
		     const struct export_cell *cell)
{
	bool bytes =
	    type == EXPORT_TEXT || type == EXPORT_HEX || type == EXPORT_JSON;
	uint8_t head[12];
	struct wr w = wr_init(head, sizeof(head));

	wr_u32(&w, cell->none ? 0 : bytes ? cell->len : 8);
	if (!cell->none && !bytes)
		wr_u64(&w, (uint64_t)cell->number);
	add_bytes(c, head, w.len);
	if (!cell->none && bytes)
		add_bytes(c, cell->p, cell->len);
}

const uint8_t *export_chain_row(struct export_chain *c,
				const struct export_cell *cells)
{
	static const uint8_t tag = 0x05;

	add_bytes(c, &tag, 1);
	add_bytes(c, c->now, sizeof(c->now));
	for (size_t i = 0; i < c->n; i++) {
		if (i != c->skip)
			add_cell(c, c->table->columns[i].type, &cells[i]);
	}
	seal_hash_update(c->hash, c->bytes, c->waiting);
	mem_wipe(c->bytes, c->waiting); /* opened values passed through */
	c->waiting = 0;
	seal_hash_end(c->hash, c->now);
	return c->now;
}

void export_chain_set(struct export_chain *c, const uint8_t hash[32])
{
	memcpy(c->now, hash, sizeof(c->now));
}

const uint8_t *export_chain_now(const struct export_chain *c)
{
	return c->now;
}
