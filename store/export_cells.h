/* export_cells.h - the cells of one line of an export. Pure; input is hostile.
 * Private to the reader. */
#ifndef STORE_EXPORT_CELLS_H
#define STORE_EXPORT_CELLS_H

#include "store/export_in.h"

struct export_line {
	const char *p; /* with its line end */
	size_t len;
	char *arena; /* len bytes, for decoded text */
	size_t used;
};

/* Fill cells, of which texts point into the arena. NULL: well; else what is
 * wrong, static text. Spaces between the parts of JSON are let pass. */
const char *export_cells_csv(const struct export_table *t, bool reveal,
			     struct export_line *line,
			     struct export_cell *cells);
const char *export_cells_json(const struct export_table *t, bool reveal,
			      struct export_line *line,
			      struct export_cell *cells);

#endif
