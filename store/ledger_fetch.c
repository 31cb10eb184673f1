/* ledger_fetch.c - answers to the scheduler, read on the ledger thread. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_in.h"

enum { SCAN_MAX = 4096 }; /* rows looked at for one answer */

struct found {
	uint64_t delivery;
	int64_t next_attempt_ms;
	uint64_t uid_hash;
};

struct fetch {
	const struct ledger_query *q;
	int64_t destination;
	struct found found[LEDGER_FETCH_MAX];
	struct ledger_item *items;
	unsigned scanned;
	struct ledger_fetched answer;
};

/* ---- order -------------------------------------------------------------- */

static void look_at(struct fetch *f, sqlite3_stmt *st)
{
	struct found *at = &f->found[f->answer.n];

	at->delivery = db_u64(st, 0);
	at->next_attempt_ms = sqlite3_column_int64(st, 1);
	at->uid_hash = db_u64(st, 2);
	f->scanned++;
	f->answer.next.delivery = at->delivery;
	if (at->next_attempt_ms <= f->q->now_ms) {
		f->answer.n++;
		return;
	}
	if (f->answer.next_due_ms == 0 ||
	    at->next_attempt_ms < f->answer.next_due_ms)
		f->answer.next_due_ms = at->next_attempt_ms;
}

static bool is_full(const struct fetch *f)
{
	return f->answer.n == f->q->max || f->scanned >= SCAN_MAX;
}

static enum err take_rows(struct fetch *f, sqlite3_stmt *st)
{
	bool row;
	enum err e = db_row(st, &row);

	while (e == ERR_OK && row) {
		look_at(f, st);
		if (is_full(f))
			break;
		e = db_row(st, &row);
	}
	(void)sqlite3_reset(st);
	return e;
}

/* What is left of the priority that the cursor stands in. */
static enum err scan_priority(struct ledger *l, struct fetch *f)
{
	sqlite3_stmt *st = l->st[ST_FETCH];

	db_bind_int(st, 1, f->destination);
	db_bind_int(st, 2, (int64_t)f->q->state);
	db_bind_int(st, 3, f->answer.next.priority);
	db_bind_u64(st, 4, f->answer.next.delivery);
	db_bind_int(st, 5, SCAN_MAX);
	return take_rows(f, st);
}

/* These are not for sending: no priorities. */
static enum err scan_waiting(struct fetch *f, sqlite3_stmt *st)
{
	enum err e;

	db_bind_int(st, 1, f->destination);
	db_bind_u64(st, 2, f->answer.next.delivery);
	db_bind_int(st, 3, SCAN_MAX);
	e = take_rows(f, st);
	f->answer.end = !is_full(f);
	return e;
}

static enum err next_priority(struct ledger *l, struct fetch *f)
{
	sqlite3_stmt *st = l->st[ST_FETCH_PRIORITY];
	bool row;
	enum err e;

	db_bind_int(st, 1, f->destination);
	db_bind_int(st, 2, (int64_t)f->q->state);
	db_bind_int(st, 3, f->answer.next.priority);
	e = db_row(st, &row);
	if (e != ERR_OK)
		return e;
	if (!row || sqlite3_column_type(st, 0) == SQLITE_NULL) {
		f->answer.end = true;
	} else {
		f->answer.next.priority = sqlite3_column_int(st, 0);
		f->answer.next.delivery = 0;
	}
	(void)sqlite3_reset(st);
	return ERR_OK;
}

static enum err scan(struct ledger *l, struct fetch *f)
{
	enum err e;

	if (f->q->state == DELIVERY_UNCOMMITTED)
		return scan_waiting(f, l->st[ST_FETCH_UNCOMMITTED]);
	if (f->q->state == DELIVERY_ARRIVED)
		return scan_waiting(f, l->st[ST_FETCH_ARRIVED]);
	e = scan_priority(l, f);
	while (e == ERR_OK && !is_full(f)) {
		e = next_priority(l, f);
		if (e != ERR_OK || f->answer.end)
			break;
		e = scan_priority(l, f);
	}
	return e;
}

/* ---- items -------------------------------------------------------------- */

/* n deliveries of this UID are open and t of them are twins. While one is not
 * a twin, that one is the earliest; else the lowest twin is. */
static enum err is_blocked(struct ledger *l, uint64_t key, uint64_t delivery,
			   bool *blocked)
{
	uint64_t *n = ledger_map_get(&l->m.uids, key), t, lowest;
	sqlite3_stmt *st = l->st[ST_TWINS_OF];
	bool row;
	enum err e;

	*blocked = false;
	if (n == NULL || *n < 2)
		return ERR_OK;
	db_bind_u64(st, 1, key);
	e = db_row(st, &row);
	if (e != ERR_OK || !row)
		return e;
	t = db_u64(st, 0);
	lowest = db_u64(st, 1);
	(void)sqlite3_reset(st);
	if (t >= *n) {
		*blocked = delivery != lowest;
		return ERR_OK;
	}
	st = l->st[ST_TWIN_IS];
	db_bind_u64(st, 1, key);
	db_bind_u64(st, 2, delivery);
	e = db_row(st, blocked);
	(void)sqlite3_reset(st);
	return e;
}

static void copy_blob(sqlite3_stmt *st, int i, void *out, size_t n)
{
	if ((size_t)sqlite3_column_bytes(st, i) == n)
		memcpy(out, sqlite3_column_blob(st, i), n);
}

static void read_item(sqlite3_stmt *st, struct ledger_item *it)
{
	it->priority = sqlite3_column_int(st, 0);
	it->attempts = (uint32_t)db_u64(st, 1);
	copy_blob(st, 2, it->transfer.b, TRANSFER_ID_LEN);
	it->received_ms = sqlite3_column_int64(st, 3);
	it->dicom_priority = (uint16_t)db_u64(st, 4);
	it->length = db_u64(st, 5);
	it->chunks = (uint32_t)db_u64(st, 6);
	copy_blob(st, 7, it->root, sizeof(it->root));
	it->has_move = sqlite3_column_type(st, 8) != SQLITE_NULL;
	it->move_originator_id = (uint16_t)db_u64(st, 8);
	DB_TEXT(st, 9, it->move_originator);
	DB_TEXT(st, 10, it->sop_instance);
	DB_TEXT(st, 11, it->sop_class);
	DB_TEXT(st, 12, it->transfer_syntax);
	it->association = db_u64(st, 13);
	DB_TEXT(st, 14, it->listener);
	DB_TEXT(st, 15, it->device);
	DB_TEXT(st, 16, it->calling_ae);
	DB_TEXT(st, 17, it->called_ae);
	DB_TEXT(st, 18, it->study);
	it->first.segment = (uint32_t)db_u64(st, 19);
	it->first.offset = (uint32_t)db_u64(st, 20);
	it->command = (uint16_t)db_u64(st, 21);
	it->type = (uint16_t)db_u64(st, 22);
	DB_TEXT(st, 23, it->transaction);
}

static enum err fill_item(struct ledger *l, struct fetch *f, size_t i)
{
	struct ledger_item *it = &f->items[i];
	const struct found *at = &f->found[i];
	sqlite3_stmt *st = l->st[ST_ITEM];
	bool row;
	enum err e;

	it->delivery = at->delivery;
	it->seq = at->delivery >> LEDGER_DELIVERY_BITS;
	it->next_attempt_ms = at->next_attempt_ms;
	it->uid_hash = at->uid_hash;
	db_bind_u64(st, 1, at->delivery);
	e = db_row(st, &row);
	if (e != ERR_OK || !row)
		return e != ERR_OK ? e : ERR_CORRUPT;
	read_item(st, it);
	(void)sqlite3_reset(st);
	if (f->q->state > DELIVERY_HELD)
		return ERR_OK;
	return is_blocked(l, ledger_uid_key(at->uid_hash, f->destination),
			  at->delivery, &it->earlier_open);
}

static enum err look(struct ledger *l, struct fetch *f)
{
	enum err e = scan(l, f);

	if (e != ERR_OK || f->answer.n == 0)
		return e;
	f->items = mem_zarray(f->answer.n, sizeof(*f->items));
	if (f->items == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; e == ERR_OK && i < f->answer.n; i++)
		e = fill_item(l, f, i);
	f->answer.items = f->items;
	return e;
}

static int64_t destination_id(const struct mirror *m, const char *name)
{
	for (size_t i = 0; i < m->n_destinations; i++)
		if (strcmp(m->destinations[i].name, name) == 0)
			return m->destinations[i].id;
	return 0;
}

static enum err answer_fetch(struct ledger *l, const struct request *r,
			     enum err why)
{
	struct fetch f = {.q = &r->as.fetch.q};
	enum err e = why;

	f.answer.next = f.q->after;
	if (e == ERR_OK) {
		f.destination = destination_id(&l->m, f.q->destination);
		f.answer.end = f.destination == 0;
		if (!f.answer.end)
			e = look(l, &f);
	}
	if (e != ERR_OK) {
		f.answer =
		    (struct ledger_fetched){.e = ERR_IO, .next = f.q->after};
		if (why == ERR_CANCELED)
			f.answer.e = why;
	}
	r->as.fetch.fn(r->arg, &f.answer);
	mem_free(f.items);
	return e;
}

/* ---- places -------------------------------------------------------------- */

enum err ledger_read_places(struct ledger *l, uint64_t seq, uint32_t first,
			    unsigned max, struct place *out, size_t *n)
{
	sqlite3_stmt *st = l->st[ST_CHUNKS_OF];
	bool row;
	enum err e;

	db_bind_u64(st, 1, seq);
	db_bind_int(st, 2, first);
	db_bind_int(st, 3, max);
	e = db_row(st, &row);
	while (e == ERR_OK && row && *n < max) {
		if (db_u64(st, 0) != first + *n)
			break; /* a gap: damaged; what follows is no use */
		out[*n].segment = (uint32_t)db_u64(st, 1);
		out[*n].offset = (uint32_t)db_u64(st, 2);
		(*n)++;
		e = db_row(st, &row);
	}
	(void)sqlite3_reset(st);
	return e;
}

static enum err answer_places(struct ledger *l, const struct request *r,
			      enum err why)
{
	struct place places[LEDGER_PLACES_MAX];
	size_t n = 0;
	enum err e = why, told;

	if (e == ERR_OK)
		e = ledger_read_places(l, r->as.places.seq, r->as.places.first,
				       r->as.places.n, places, &n);
	told = e;
	if (e == ERR_OK && n == 0)
		told = ERR_NOTFOUND;
	else if (e != ERR_OK && e != ERR_CANCELED)
		told = ERR_IO;
	r->as.places.fn(r->arg, told, places, told == ERR_OK ? n : 0);
	return e;
}

enum err ledger_answer(struct ledger *l, struct request *r, enum err why)
{
	enum err e = why;

	switch (r->kind) {
	case REQUEST_FETCH:
		e = answer_fetch(l, r, why);
		break;
	case REQUEST_PLACES:
		e = answer_places(l, r, why);
		break;
	case REQUEST_TRANSFER:
		e = ledger_answer_transfer(l, r, why);
		break;
	case REQUEST_ORIGINS:
		e = ledger_answer_origins(l, r, why);
		break;
	case REQUEST_ORIGINS_TOLD:
		e = ledger_answer_told(l, r, why);
		break;
	case REQUEST_BARRIER:
		r->as.barrier.fn(r->arg, why);
		break;
	}
	mem_free(r);
	return e;
}
