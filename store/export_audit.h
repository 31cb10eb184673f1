/* export_audit.h - the audit as a table: every public field, the commitment to
 * what is sealed, and the chain, so that each row can be checked without the
 * database.
 *
 * Pure. */
#ifndef STORE_EXPORT_AUDIT_H
#define STORE_EXPORT_AUDIT_H

#include "store/audit_row.h"
#include "store/export.h"
#include "store/ledger_identity.h"

extern const struct export_table export_table_audit;

enum { EXPORT_AUDIT_COLUMNS = 31, EXPORT_AUDIT_CHAIN = 24 };

/* What was sealed, opened: salt and plaintext as they were committed to, and
 * for reading what could be made of it. */
struct export_opened {
	const uint8_t
	    *salted; /* the salt and the plaintext; NULL: not opened */
	size_t len;  /* of both; at least AUDIT_SALT_LEN */
	struct ledger_identity identity;
};

/* The cells of r, which they borrow. opened may be NULL. Fills all
 * EXPORT_AUDIT_COLUMNS. */
void export_audit_cells(const struct audit_row *r,
			const struct export_opened *opened,
			struct export_cell cells[EXPORT_AUDIT_COLUMNS]);

/* The reverse. NULL: well; else which column cannot be what an export says
 * (static text). reveal: the cells of what was opened are there. *salted
 * (AUDIT_SALT_LEN + EXPORT_CELL_MAX bytes) and *len take what was opened; 0:
 * nothing. */
const char *export_audit_row(const struct export_cell *cells, bool reveal,
			     struct audit_row *out, uint8_t *salted,
			     size_t *len);

#endif
