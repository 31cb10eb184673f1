/* ledger_view_message.c - messages, where their bytes stand, and relayed
 * operations. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_view_in.h"

/* ---- messages ----------------------------------------------------------- */

#define MESSAGE_COLUMNS                                                        \
	"SELECT m.seq,i.transfer,m.command,i.type,m.transaction_uid,"          \
	"k.sop_class,i.sop_instance,k.transfer_syntax,o.listener,o.device,"    \
	"o.peer,o.calling_ae,o.called_ae,o.association,i.received_ms,"         \
	"i.length,i.chunks,c.segment,c.offset,d.id,t.name,d.state "
#define MESSAGE_JOINS                                                          \
	"WHERE seq>?1 AND (?2=0 OR command=?2) AND (?3=0 OR open=1)"           \
	" ORDER BY seq LIMIT ?5) m "                                           \
	"CROSS JOIN instances i ON i.seq=m.seq "                               \
	"CROSS JOIN deliveries d ON d.id>=m.seq*32 AND d.id<m.seq*32+32 "      \
	"CROSS JOIN destinations t ON t.id=d.destination "                     \
	"CROSS JOIN origins o ON o.id=i.origin "                               \
	"CROSS JOIN kinds k ON k.id=i.kind "                                   \
	"LEFT JOIN chunks c ON c.instance=m.seq AND c.idx=0 "                  \
	"WHERE ?3=0 OR d.state<=2 ORDER BY d.id"

static const char sql_any[] =
    MESSAGE_COLUMNS "FROM (SELECT * FROM messages " MESSAGE_JOINS;
static const char sql_open[] = MESSAGE_COLUMNS
    "FROM (SELECT * FROM (SELECT * FROM messages INDEXED BY messages_open"
    " WHERE open=1) " MESSAGE_JOINS;
static const char sql_transaction[] =
    MESSAGE_COLUMNS "FROM (SELECT * FROM (SELECT * FROM messages"
		    " INDEXED BY messages_transaction"
		    " WHERE transaction_uid=?4) " MESSAGE_JOINS;

static const char *sql_of(const struct view_message_filter *f)
{
	if (f->transaction != NULL)
		return sql_transaction;
	return f->open_only ? sql_open : sql_any;
}

static void read_origin(sqlite3_stmt *st, struct view_message *m)
{
	DB_TEXT(st, 8, m->listener);
	DB_TEXT(st, 9, m->device);
	DB_TEXT(st, 10, m->peer);
	DB_TEXT(st, 11, m->calling_ae);
	DB_TEXT(st, 12, m->called_ae);
	m->association = db_u64(st, 13);
}

static void read_message(sqlite3_stmt *st, struct view_message *m)
{
	unsigned state = (unsigned)sqlite3_column_int(st, 21);

	*m = (struct view_message){.seq = db_u64(st, 0)};
	view_blob(st, 1, m->transfer.b, sizeof(m->transfer.b));
	m->command = (uint16_t)db_u64(st, 2);
	m->type = (uint16_t)db_u64(st, 3);
	DB_TEXT(st, 4, m->transaction);
	DB_TEXT(st, 5, m->sop_class);
	DB_TEXT(st, 6, m->sop_instance);
	DB_TEXT(st, 7, m->transfer_syntax);
	read_origin(st, m);
	m->received_ms = sqlite3_column_int64(st, 14);
	m->length = db_u64(st, 15);
	m->chunks = (uint32_t)db_u64(st, 16);
	m->first.segment = (uint32_t)db_u64(st, 17);
	m->first.offset = (uint32_t)db_u64(st, 18);
	m->delivery = db_u64(st, 19);
	DB_TEXT(st, 20, m->destination);
	if (state < DELIVERY_N_STATES)
		m->state = (enum delivery_state)state;
}

enum err ledger_view_messages(struct ledger_view *v,
			      const struct view_message_filter *f,
			      view_message_fn *fn, void *arg)
{
	struct view_message row;
	sqlite3_stmt *st;
	enum err e = view_prepare(v, sql_of(f), &st);

	if (e != ERR_OK)
		return e;
	db_bind_u64(st, 1, f->after_seq);
	db_bind_int(st, 2, f->command);
	db_bind_int(st, 3, f->open_only);
	if (f->transaction != NULL)
		db_bind_text(st, 4, f->transaction);
	db_bind_int(st, 5, view_limit(f->limit));
	e = view_row(v, &st);
	while (e == ERR_OK && st != NULL) {
		read_message(st, &row);
		e = view_next(v, &st, fn(arg, &row));
	}
	return e;
}

/* ---- places ---------------------------------------------------------------
 */

enum err ledger_view_places(struct ledger_view *v, uint64_t seq, uint32_t first,
			    unsigned n, struct place *places, unsigned *got)
{
	sqlite3_stmt *st;
	enum err e = view_prepare(v,
				  "SELECT idx,segment,offset FROM chunks"
				  " WHERE instance=? AND idx>=?"
				  " ORDER BY idx LIMIT ?",
				  &st);

	*got = 0;
	if (e != ERR_OK)
		return e;
	db_bind_u64(st, 1, seq);
	db_bind_int(st, 2, first);
	db_bind_int(st, 3, n < LEDGER_PLACES_MAX ? n : LEDGER_PLACES_MAX);
	e = view_row(v, &st);
	while (e == ERR_OK && st != NULL) {
		if (db_u64(st, 0) != (uint64_t)first + *got) {
			view_done(&st); /* a gap: what follows is no use */
			break;
		}
		places[(*got)++] = (struct place){(uint32_t)db_u64(st, 1),
						  (uint32_t)db_u64(st, 2)};
		e = view_row(v, &st);
	}
	return e == ERR_OK && *got == 0 ? ERR_NOTFOUND : e;
}

/* ---- relayed operations ----------------------------------------------------
 */

#define OPERATION_COLUMNS                                                      \
	"SELECT id,association,destination,device,from_destination,command,"   \
	"sop_class,sop_instance,status,responses,bytes,begun_ms,duration_ns,"  \
	"count"                                                                \
	" FROM operations WHERE "

static void read_operation(sqlite3_stmt *st, struct view_operation *v)
{
	struct ledger_operation *o = &v->o;

	*v = (struct view_operation){.id = db_u64(st, 0)};
	o->association = db_u64(st, 1);
	DB_TEXT(st, 2, o->destination);
	DB_TEXT(st, 3, o->device);
	o->from_destination = sqlite3_column_int(st, 4) != 0;
	o->command = (uint16_t)db_u64(st, 5);
	DB_TEXT(st, 6, o->sop_class);
	DB_TEXT(st, 7, o->sop_instance);
	o->status = sqlite3_column_int(st, 8);
	o->responses = (uint32_t)db_u64(st, 9);
	o->bytes = db_u64(st, 10);
	o->begun_ms = sqlite3_column_int64(st, 11);
	o->duration_ns = db_u64(st, 12);
	o->count = (uint32_t)db_u64(st, 13);
}

enum err ledger_view_operations(struct ledger_view *v, uint64_t association,
				uint64_t before, unsigned limit,
				view_operation_fn *fn, void *arg)
{
	struct view_operation row;
	sqlite3_stmt *st;
	enum err e = view_prepare(
	    v,
	    association != 0 ? OPERATION_COLUMNS "association=?1 AND id<?2"
						 " ORDER BY id DESC LIMIT ?3"
			     : OPERATION_COLUMNS "id<?2 ORDER BY id DESC"
						 " LIMIT ?3",
	    &st);

	if (e != ERR_OK)
		return e;
	if (association != 0)
		db_bind_u64(st, 1, association);
	db_bind_u64(st, 2, before != 0 ? before : INT64_MAX);
	db_bind_int(st, 3, view_limit(limit));
	e = view_row(v, &st);
	while (e == ERR_OK && st != NULL) {
		read_operation(st, &row);
		e = view_next(v, &st, fn(arg, &row));
	}
	return e;
}
