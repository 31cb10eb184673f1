#include "store/export.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/export_in.h"
#include "store/seal.h"

enum { SEND_AT = 64 * 1024 };

struct export
{
	struct export_options o;
	struct seal_hash *hash;
	struct export_totals totals;
	size_t len;
	char out[SEND_AT + EXPORT_ROW_MAX];
};

static const struct {
	const char *text, *suffix, *media;
} formats[] = {
    [EXPORT_CSV] = {"csv", "csv", "text/csv; charset=utf-8"},
    [EXPORT_JSONL] = {"jsonl", "jsonl", "application/x-ndjson"},
    [EXPORT_DICOM] = {"dicom", "xml", "application/xml"},
};

const char *export_format_text(enum export_format f)
{
	return formats[f].text;
}

const char *export_format_suffix(enum export_format f)
{
	return formats[f].suffix;
}

const char *export_format_media(enum export_format f)
{
	return formats[f].media;
}

bool export_format_parse(const char *text, enum export_format *out)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		if (strcmp(text, formats[i].text) == 0) {
			*out = (enum export_format)i;
			return true;
		}
	}
	return false;
}

struct export_cell export_text(const char *text)
{
	return export_bytes(text, text != NULL ? strlen(text) : 0);
}

size_t export_n_columns(const struct export_table *t, bool reveal)
{
	size_t n = t->n;

	while (!reveal && n > 0 && t->columns[n - 1].reveal)
		n--;
	return n;
}

/* ---- the stream ---------------------------------------------------------- */

static enum err send_out(struct export *x)
{
	enum err e = ERR_OK;

	if (x->len > 0)
		e = x->o.sink(x->o.arg, x->out, x->len);
	x->len = 0;
	return e;
}

/* The n bytes that were just put at the end are part of the file. */
static enum err added(struct export *x, size_t n)
{
	seal_hash_update(x->hash, x->out + x->len, n);
	x->len += n;
	x->totals.bytes += n;
	return x->len >= SEND_AT ? send_out(x) : ERR_OK;
}

static enum err add(struct export *x, const char *p, size_t n)
{
	memcpy(x->out + x->len, p, n);
	return added(x, n);
}

enum err export_new(const struct export_options *o, struct export **out)
{
	struct export *x = mem_zalloc(sizeof(*x));
	enum err e = ERR_OK;

	if (x == NULL)
		return ERR_NOMEM;
	x->o = *o;
	x->hash = seal_hash_new();
	if (x->hash == NULL) {
		mem_free(x);
		return ERR_NOMEM;
	}
	if (o->bom && o->format == EXPORT_CSV)
		e = add(x, "\xef\xbb\xbf", 3);
	if (e == ERR_OK)
		e = added(x, export_head_text(o->table, o->format, o->reveal,
					      x->out + x->len));
	if (e != ERR_OK) {
		export_free(x);
		return e;
	}
	*out = x;
	return ERR_OK;
}

enum err export_row(struct export *x, const struct export_cell *cells)
{
	size_t n = export_row_text(x->o.table, x->o.format, x->o.reveal, cells,
				   x->out + x->len);

	if (n == 0)
		return ERR_LIMIT;
	x->totals.rows++;
	return added(x, n);
}

enum err export_message(struct export *x, const char *text, size_t n)
{
	if (n >= EXPORT_ROW_MAX)
		return ERR_LIMIT;
	memcpy(x->out + x->len, text, n);
	x->out[x->len + n] = '\n';
	x->totals.rows++;
	return added(x, n + 1);
}

enum err export_end(struct export *x, struct export_totals *out)
{
	enum err e = ERR_OK;

	if (x->o.format == EXPORT_DICOM)
		e = add(x, "</AuditMessages>\n", 17);
	if (e == ERR_OK)
		e = send_out(x);
	seal_hash_end(x->hash, x->totals.sha256);
	*out = x->totals;
	return e;
}

void export_so_far(const struct export *x, struct export_totals *out)
{
	*out = x->totals;
}

void export_free(struct export *x)
{
	if (x == NULL)
		return;
	seal_hash_free(x->hash);
	mem_wipe(x->out, sizeof(x->out)); /* opened values passed through */
	mem_free(x);
}

/* ---- the column reference ------------------------------------------------ */

static const char *form_of(enum export_type t)
{
	switch (t) {
	case EXPORT_TEXT:
		return "text";
	case EXPORT_NUMBER:
	case EXPORT_UNSIGNED:
		return "number";
	case EXPORT_TIME:
		return "time";
	case EXPORT_HEX:
		return "hexadecimal";
	case EXPORT_JSON:
		return "JSON object";
	}
	return "";
}

size_t export_reference(const struct export_table *t, bool troff, char *out,
			size_t cap)
{
	size_t len = 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct export_column *c = &t->columns[i];
		const char *mark = c->reveal ? ", with --reveal" : "";
		size_t left = len < cap ? cap - len : 0;
		char *at = left > 0 ? out + len : NULL;
		int n = troff
			    ? snprintf(at, left, ".TP\n.B %s\n(%s%s) %s\n",
				       c->name, form_of(c->type), mark, c->what)
			    : snprintf(at, left, "%-18s %-12s %s%s\n", c->name,
				       form_of(c->type), c->what, mark);

		len += n > 0 ? (size_t)n : 0;
	}
	return len;
}
