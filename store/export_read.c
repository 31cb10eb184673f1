/* export_read.c - from bytes to lines; the cells of a line are found in
 * export_cells.c. */
#include "store/export_read.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/buf.h"
#include "proxy/lib/mem.h"
#include "store/export_cells.h"

enum reader_state {
	READ_START,
	READ_HEAD,
	READ_ROWS,
	READ_CLOSED,
	READ_FAILED
};

struct export_reader {
	const struct export_table *table;
	export_read_fn *fn;
	void *arg;
	enum reader_state state;
	enum export_format format;
	bool reveal;
	bool quoted; /* within quotes: a line end is text */
	uint64_t rows;
	struct buf line;
	char why[160];
	struct export_cell cells[EXPORT_COLUMNS_MAX];
	char arena[EXPORT_ROW_MAX]; /* decoded cells */
	char again[EXPORT_ROW_MAX]; /* the row as it should stand */
};

enum err export_reader_new(const struct export_table *t, export_read_fn *fn,
			   void *arg, struct export_reader **out)
{
	struct export_reader *r = mem_zalloc(sizeof(*r));

	if (r == NULL)
		return ERR_NOMEM;
	r->table = t;
	r->fn = fn;
	r->arg = arg;
	buf_init(&r->line, EXPORT_ROW_MAX);
	*out = r;
	return ERR_OK;
}

void export_reader_free(struct export_reader *r)
{
	if (r == NULL)
		return;
	if (r->line.base != NULL)
		mem_wipe(r->line.base, r->line.cap);
	buf_free(&r->line);
	mem_wipe(r->arena, sizeof(r->arena));
	mem_wipe(r->again, sizeof(r->again));
	mem_free(r);
}

const char *export_reader_why(const struct export_reader *r)
{
	return r->why;
}

uint64_t export_reader_rows(const struct export_reader *r)
{
	return r->rows;
}

enum export_format export_reader_format(const struct export_reader *r)
{
	return r->format;
}

bool export_reader_reveal(const struct export_reader *r)
{
	return r->reveal;
}

static enum err give_up(struct export_reader *r, const char *why)
{
	r->state = READ_FAILED;
	snprintf(r->why, sizeof(r->why), "%s", why);
	return ERR_CORRUPT;
}

/* ---- one line ------------------------------------------------------------ */

static bool is_head(struct export_reader *r, const char *p, size_t n,
		    bool reveal)
{
	size_t len = export_head_text(r->table, r->format, reveal, r->again);

	return len == n && memcmp(p, r->again, n) == 0;
}

static enum err on_head(struct export_reader *r, const char *p, size_t n)
{
	if (r->format == EXPORT_CSV && n > 3 &&
	    memcmp(p, "\xef\xbb\xbf", 3) == 0) {
		p += 3;
		n -= 3;
	}
	r->state = READ_ROWS;
	if (is_head(r, p, n, false))
		return ERR_OK;
	r->reveal = is_head(r, p, n, true);
	if (r->reveal)
		return ERR_OK;
	if (r->format == EXPORT_DICOM)
		return give_up(r, "the first line is not <AuditMessages>");
	return give_up(r, "the first line does not name the columns of this "
			  "table, or of this version of it");
}

static const char *read_cells(struct export_reader *r, const char *p, size_t n)
{
	struct export_line line = {.p = p, .len = n, .arena = r->arena};
	const char *why;

	if (r->format == EXPORT_CSV)
		return export_cells_csv(r->table, r->reveal, &line, r->cells);
	if (r->rows > 1)
		return export_cells_json(r->table, r->reveal, &line, r->cells);
	/* the first row says which columns there are */
	why = export_cells_json(r->table, false, &line, r->cells);
	if (why == NULL || export_n_columns(r->table, false) == r->table->n)
		return why;
	line.used = 0;
	r->reveal = export_cells_json(r->table, true, &line, r->cells) == NULL;
	return r->reveal ? NULL : why;
}

static void on_row(struct export_reader *r, const char *p, size_t n)
{
	struct export_read_row row = {.text = p, .len = n};

	row.row = ++r->rows;
	if (r->format != EXPORT_DICOM) {
		row.why = read_cells(r, p, n);
		if (row.why == NULL) {
			size_t len = export_row_text(
			    r->table, r->format, r->reveal, r->cells, r->again);

			row.cells = r->cells;
			if (len != n || memcmp(p, r->again, n) != 0)
				row.why = "not written the way Culvert writes "
					  "it";
		}
	}
	r->fn(r->arg, &row);
}

static enum err on_line(struct export_reader *r)
{
	static const char close[] = "</AuditMessages>\n";
	const char *p = (const char *)buf_data(&r->line);
	size_t n = buf_len(&r->line);
	enum err e = ERR_OK;

	if (r->state == READ_CLOSED)
		return give_up(r, "there is more behind the end");
	if (r->state == READ_HEAD)
		e = on_head(r, p, n);
	else if (r->format == EXPORT_DICOM && n == sizeof(close) - 1 &&
		 memcmp(p, close, n) == 0)
		r->state = READ_CLOSED;
	else
		on_row(r, p, n);
	buf_clear(&r->line);
	return e;
}

/* ---- bytes --------------------------------------------------------------- */

static void begin(struct export_reader *r, uint8_t first)
{
	r->format = first == '{'   ? EXPORT_JSONL
		    : first == '<' ? EXPORT_DICOM
				   : EXPORT_CSV;
	r->state = r->format == EXPORT_JSONL ? READ_ROWS : READ_HEAD;
}

/* Bytes up to and with the end of the line, or all. */
static size_t line_part(struct export_reader *r, const uint8_t *p, size_t n,
			bool *ended)
{
	const uint8_t *end;

	*ended = false;
	if (r->format != EXPORT_CSV) {
		end = memchr(p, '\n', n);
		*ended = end != NULL;
		return end != NULL ? (size_t)(end - p) + 1 : n;
	}
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '"')
			r->quoted = !r->quoted;
		if (p[i] == '\n' && !r->quoted) {
			*ended = true;
			return i + 1;
		}
	}
	return n;
}

enum err export_reader_feed(struct export_reader *r, const void *bytes,
			    size_t n)
{
	const uint8_t *p = bytes;

	if (r->state == READ_FAILED)
		return ERR_CORRUPT;
	if (r->state == READ_START && n > 0)
		begin(r, p[0]);
	while (n > 0) {
		bool ended;
		size_t part = line_part(r, p, n, &ended);
		enum err e = buf_append(&r->line, p, part);

		if (e == ERR_LIMIT)
			e = give_up(r, "a row has no end");
		if (e == ERR_OK && ended)
			e = on_line(r);
		if (e != ERR_OK)
			return e;
		p += part;
		n -= part;
	}
	return ERR_OK;
}

enum err export_reader_end(struct export_reader *r)
{
	struct export_read_row row = {
	    .why = "cut off: the file ends within this row",
	    .text = "", /* of a file of no bytes there is no line at all */
	    .len = buf_len(&r->line)};

	if (r->state == READ_FAILED)
		return ERR_CORRUPT;
	if (row.len > 0 && r->state == READ_ROWS) {
		row.text = (const char *)buf_data(&r->line);
		row.row = ++r->rows;
		r->fn(r->arg, &row);
	} else if (row.len > 0) {
		return give_up(r, "the file ends within its first line, or has "
				  "more behind its end");
	}
	if (r->format == EXPORT_DICOM && r->state == READ_ROWS)
		return give_up(r, "</AuditMessages> is missing: the file is "
				  "cut off");
	return ERR_OK;
}
