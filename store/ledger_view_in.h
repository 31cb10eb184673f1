/* ledger_view_in.h - shared by the files of the view. Private to them. */
#ifndef STORE_LEDGER_VIEW_IN_H
#define STORE_LEDGER_VIEW_IN_H

#include "store/db.h"
#include "store/ledger_in.h"
#include "store/ledger_view.h"

struct ledger_view {
	char path[544];
	sqlite3 *db; /* NULL: to be opened at the next call */
	struct db_identity identity;
	char why[LEDGER_WHY_LEN];
};

/* Prepare sql on the file that is there now. Same errors as every call. */
enum err view_prepare(struct ledger_view *v, const char *sql,
		      sqlite3_stmt **out) MUST_CHECK;
/* Next row; at the end or on an error the statement is finalized and *st is
 * NULL. */
enum err view_row(struct ledger_view *v, sqlite3_stmt **st) MUST_CHECK;
/* The same when the caller wants more rows; if not, stop early. */
enum err view_next(struct ledger_view *v, sqlite3_stmt **st,
		   bool more) MUST_CHECK;
/* Prepare sql and step to its first row: of all, of those with ?1 = key, of
 * those below ?1 = before (0: from the end), at most ?2 = limit. *st is NULL
 * if there is none, and on an error. */
enum err view_all(struct ledger_view *v, const char *sql,
		  sqlite3_stmt **st) MUST_CHECK;
enum err view_of(struct ledger_view *v, const char *sql, uint64_t key,
		 sqlite3_stmt **st) MUST_CHECK;
enum err view_page(struct ledger_view *v, const char *sql, uint64_t before,
		   unsigned limit, sqlite3_stmt **st) MUST_CHECK;
/* What a call returns when the database said e; keeps the words. */
enum err view_failed(struct ledger_view *v, enum err e) MUST_CHECK;
/* Stop early. */
void view_done(sqlite3_stmt **st);
unsigned view_limit(unsigned limit);
/* One read transaction around several statements, so that they see the same. */
enum err view_begin(struct ledger_view *v) MUST_CHECK;
void view_end(struct ledger_view *v);

/* The columns of a struct view_delivery, of deliveries d. */
#define VIEW_DELIVERY_COLUMNS                                                  \
	"SELECT d.id,d.state,t.name,d.priority,d.attempts,d.remote_status,"    \
	"d.next_attempt_ms,d.changed_ms,d.last_error,i.transfer,"              \
	"i.received_ms,i.sop_instance,i.length,i.chunks,i.root,o.association," \
	"o.listener,o.device,o.peer,o.calling_ae,o.called_ae,k.sop_class,"     \
	"k.transfer_syntax,s.study,s.series,s.modality,i.command,i."           \
	"type," LEDGER_SQL_TRANSACTION " FROM deliveries d "
#define VIEW_DELIVERY_JOINS                                                    \
	"CROSS JOIN instances i ON i.seq=d.id>>5 "                             \
	"CROSS JOIN destinations t ON t.id=d.destination "                     \
	"CROSS JOIN origins o ON o.id=i.origin "                               \
	"CROSS JOIN kinds k ON k.id=i.kind "                                   \
	"CROSS JOIN series s ON s.id=i.series "
void view_read_delivery(sqlite3_stmt *st, struct view_delivery *d);

/* Column i, if it has exactly n bytes. */
void view_blob(sqlite3_stmt *st, int i, void *out, size_t n);

#endif
