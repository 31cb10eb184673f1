/* Files that claim to be exports: whatever is in one, reading stays within
 * bounds, and a row that is said to be as Culvert writes it is, byte for byte,
 * when it is written again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/export_audit.h"
#include "store/export_manifest.h"
#include "store/export_read.h"
#include "store/export_transfers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			__builtin_trap();                                      \
	} while (0)

struct run {
	const struct export_table *table;
	struct export_reader *reader;
	char *again;
};

static void as_audit(struct run *r, const struct export_read_row *row)
{
	static uint8_t salted[AUDIT_SALT_LEN + EXPORT_CELL_MAX];
	static struct export_cell cells[EXPORT_AUDIT_COLUMNS];
	struct audit_row a;
	size_t n;

	if (export_audit_row(row->cells, export_reader_reveal(r->reader), &a,
			     salted, &n) != NULL)
		return;
	export_audit_cells(&a, NULL, cells);
	for (size_t i = 0; row->why == NULL && i <= EXPORT_AUDIT_CHAIN; i++)
		CHECK(cells[i].none || !row->cells[i].none);
}

static void on_row(void *arg, const struct export_read_row *row)
{
	struct run *r = arg;
	size_t n;

	if (row->cells == NULL)
		return;
	if (r->table == &export_table_audit)
		as_audit(r, row);
	n = export_row_text(r->table, export_reader_format(r->reader),
			    export_reader_reveal(r->reader), row->cells,
			    r->again);
	CHECK((row->why == NULL) ==
	      (n == row->len && memcmp(r->again, row->text, n) == 0));
}

static void read_as(const struct export_table *t, const uint8_t *data,
		    size_t len, size_t step, char *again)
{
	struct run r = {.table = t, .again = again};
	enum err e = ERR_OK;

	CHECK(export_reader_new(t, on_row, &r, &r.reader) == ERR_OK);
	for (size_t at = 0; e == ERR_OK && at < len; at += step)
		e = export_reader_feed(r.reader, data + at,
				       len - at < step ? len - at : step);
	if (e == ERR_OK)
		e = export_reader_end(r.reader);
	CHECK(e == ERR_OK || e == ERR_CORRUPT);
	export_reader_free(r.reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char again[EXPORT_ROW_MAX];
	static struct export_manifest m;

	read_as(&export_table_audit, data, len, 7, again);
	read_as(&export_table_transfers, data, len, 4096, again);
	if (export_manifest_parse((const char *)data, len, &m) == ERR_OK) {
		static char text[EXPORT_MANIFEST_MAX];

		CHECK(export_manifest_text(&m, text) == len);
	}
	return 0;
}
