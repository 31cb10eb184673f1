#include "store/export_manifest.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/audit.h"
#include "store/export_in.h"

/* ---- text ------------------------------------------------------------------
 */

struct text {
	char *p;
	size_t len, cap;
	bool full;
};

static void put(struct text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(t->p + t->len, t->cap - t->len, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= t->cap - t->len)
		t->full = true;
	else
		t->len += (size_t)n;
}

/* A value with its quotes and escapes. */
static void put_string(struct text *t, const char *name, const char *value)
{
	struct export_column column = {.name = name, .type = EXPORT_TEXT};
	struct export_table one = {.columns = &column, .n = 1};
	struct export_cell cell = export_text(value);
	char *row = mem_zalloc(EXPORT_ROW_MAX);
	size_t n;

	if (row == NULL) {
		t->full = true;
		return;
	}
	/* {"name":"value"}LF: the name goes in front by hand */
	n = export_row_text(&one, EXPORT_JSONL, false, &cell, row);
	if (n < strlen(name) + 6)
		t->full = true;
	else
		put(t, "  \"%s\": %.*s,\n", name, (int)(n - strlen(name) - 6),
		    row + strlen(name) + 4);
	mem_free(row);
}

static void put_bool(struct text *t, const char *name, bool v)
{
	put(t, "  \"%s\": %s,\n", name, v ? "true" : "false");
}

static void put_number(struct text *t, const char *name, uint64_t v)
{
	put(t, "  \"%s\": %" PRIu64 ",\n", name, v);
}

static void put_time(struct text *t, const char *name, int64_t ms)
{
	char when[EXPORT_TIME_LEN];

	put(t, "  \"%s\": \"%.*s\",\n", name, (int)export_time_text(ms, when),
	    when);
}

static void put_hash(struct text *t, const char *name, const uint8_t *p,
		     size_t n)
{
	char hex[65];

	put(t, "  \"%s\": \"%s\",\n", name, export_hex(p, n, hex));
}

static size_t make(const struct export_manifest *m, const char *signature,
		   char out[EXPORT_MANIFEST_MAX])
{
	struct text t = {.p = out, .cap = EXPORT_MANIFEST_MAX};

	put(&t, "{\n");
	if (signature != NULL)
		put(&t, "  \"signature\": \"%s\",\n", signature);
	put(&t, "  \"culvert_export\": 1,\n");
	put_string(&t, "table", m->table);
	put_string(&t, "format", m->format);
	put_bool(&t, "bom", m->bom);
	put_bool(&t, "reveal", m->reveal);
	put_string(&t, "node", m->node);
	put_string(&t, "program", m->program);
	put_string(&t, "user", m->user);
	put_time(&t, "made", m->made_ms);
	put(&t, "  \"filter\": %s,\n", m->filter[0] != '\0' ? m->filter : "{}");
	put_bool(&t, "contiguous", m->contiguous);
	put_number(&t, "rows", m->totals.rows);
	put_number(&t, "bytes", m->totals.bytes);
	put_hash(&t, "sha256", m->totals.sha256, 32);
	put_number(&t, "first", m->first);
	put_number(&t, "last", m->last);
	put_time(&t, "first_time", m->first_ms);
	put_time(&t, "last_time", m->last_ms);
	put_hash(&t, "prev_chain", m->prev_chain, 32);
	put_hash(&t, "chain", m->chain, 32);
	put_hash(&t, "key_id", m->key_id, SEAL_KEY_ID_LEN);
	put_string(&t, "key", m->key);
	put(&t, "  \"algorithm\": \"ECDSA P-256 SHA-256\"\n}\n");
	return t.full ? 0 : t.len;
}

size_t export_manifest_signed(const struct export_manifest *m,
			      char out[EXPORT_MANIFEST_MAX])
{
	return make(m, NULL, out);
}

size_t export_manifest_text(const struct export_manifest *m,
			    char out[EXPORT_MANIFEST_MAX])
{
	char signature[4 * (SEAL_SIGNATURE_MAX + 2) / 3 + 5];

	(void)export_base64(m->sig, m->sig_len, signature);
	return make(m, signature, out);
}

enum err export_manifest_sign(struct seal_signer *s, struct export_manifest *m)
{
	char *text = mem_zalloc(EXPORT_MANIFEST_MAX);
	enum err e = text != NULL ? seal_signer_pem(s, m->key) : ERR_NOMEM;
	size_t n;

	if (e == ERR_OK) {
		memcpy(m->key_id, seal_signer_id(s), SEAL_KEY_ID_LEN);
		n = export_manifest_signed(m, text);
		e = n > 0 ? seal_sign(s, text, n, m->sig, &m->sig_len)
			  : ERR_LIMIT;
	}
	mem_free(text);
	return e;
}

enum err export_manifest_check(const struct seal_verifier *key,
			       const struct export_manifest *m)
{
	char *text = mem_zalloc(EXPORT_MANIFEST_MAX);
	enum err e = ERR_NOMEM;

	if (text != NULL) {
		size_t n = export_manifest_signed(m, text);

		e = seal_verify(key, text, n, m->sig, m->sig_len);
	}
	mem_free(text);
	return e;
}

/* ---- and back --------------------------------------------------------------
 */

struct parse {
	const char *p;
	size_t left;
	bool bad;
};

/* The value of the line  "name": value,  without its comma. */
static const char *line_of(struct parse *s, const char *name, size_t *n)
{
	const char *end = s->left > 0 ? memchr(s->p, '\n', s->left) : NULL;
	const char *line = s->p;
	size_t len = end != NULL ? (size_t)(end - line) : 0;
	size_t head = strlen(name) + 6; /* two spaces, quotes, colon, space */

	*n = 0;
	if (end == NULL || len < head || memcmp(line, "  \"", 3) != 0 ||
	    memcmp(line + 3, name, head - 6) != 0 ||
	    memcmp(line + head - 3, "\": ", 3) != 0) {
		s->bad = true;
		return "";
	}
	s->p = end + 1;
	s->left -= len + 1;
	*n = len - head;
	if (*n > 0 && line[len - 1] == ',')
		(*n)--;
	return line + head;
}

/* Between quotes; escapes of LF, quotes and backslashes are undone, which are
 * all that our texts have. Others do not come back the same, and are refused
 * by the comparison at the end. */
static void get_string(struct parse *s, const char *name, char *out,
		       size_t size)
{
	size_t n, len = 0;
	const char *p = line_of(s, name, &n);

	out[0] = '\0';
	if (n == 4 && memcmp(p, "null", 4) == 0)
		return;
	if (n < 2 || p[0] != '"' || p[n - 1] != '"') {
		s->bad = true;
		return;
	}
	for (size_t i = 1; i + 1 < n && len + 1 < size; i++) {
		char c = p[i];

		if (c == '\\' && i + 2 < n) {
			c = p[++i];
			c = c == 'n' ? '\n' : c;
		}
		out[len++] = c;
	}
	out[len] = '\0';
}

static void get_raw(struct parse *s, const char *name, char *out, size_t size)
{
	size_t n;
	const char *p = line_of(s, name, &n);

	if (n >= size || !export_json_object(p, n)) {
		s->bad = true;
		n = 0;
	}
	memcpy(out, p, n);
	out[n] = '\0';
}

static bool get_bool(struct parse *s, const char *name)
{
	size_t n;
	const char *p = line_of(s, name, &n);

	return n == 4 && memcmp(p, "true", 4) == 0;
}

static uint64_t get_number(struct parse *s, const char *name)
{
	size_t n;
	const char *p = line_of(s, name, &n);
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			s->bad = true;
		v = v * 10 + (uint64_t)(p[i] - '0');
	}
	return v;
}

static int64_t get_time(struct parse *s, const char *name)
{
	char text[EXPORT_TIME_LEN];
	int64_t ms = 0;

	get_string(s, name, text, sizeof(text));
	if (!export_time_parse(text, strlen(text), &ms))
		s->bad = true;
	return ms;
}

static void get_hash(struct parse *s, const char *name, uint8_t *out, size_t n)
{
	char text[65];

	get_string(s, name, text, sizeof(text));
	if (strlen(text) != 2 * n) {
		s->bad = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		char two[3] = {text[2 * i], text[2 * i + 1], '\0'};

		out[i] = (uint8_t)strtoul(two, NULL, 16);
	}
}

static void get_signature(struct parse *s, struct export_manifest *m)
{
	char text[128];

	get_string(s, "signature", text, sizeof(text));
	if (export_base64_parse(text, strlen(text), m->sig, sizeof(m->sig),
				&m->sig_len) != ERR_OK)
		s->bad = true;
}

static void parse(struct parse *s, struct export_manifest *m)
{
	get_signature(s, m);
	(void)get_number(s, "culvert_export");
	get_string(s, "table", m->table, sizeof(m->table));
	get_string(s, "format", m->format, sizeof(m->format));
	m->bom = get_bool(s, "bom");
	m->reveal = get_bool(s, "reveal");
	get_string(s, "node", m->node, sizeof(m->node));
	get_string(s, "program", m->program, sizeof(m->program));
	get_string(s, "user", m->user, sizeof(m->user));
	m->made_ms = get_time(s, "made");
	get_raw(s, "filter", m->filter, sizeof(m->filter));
	m->contiguous = get_bool(s, "contiguous");
	m->totals.rows = get_number(s, "rows");
	m->totals.bytes = get_number(s, "bytes");
	get_hash(s, "sha256", m->totals.sha256, 32);
	m->first = get_number(s, "first");
	m->last = get_number(s, "last");
	m->first_ms = get_time(s, "first_time");
	m->last_ms = get_time(s, "last_time");
	get_hash(s, "prev_chain", m->prev_chain, 32);
	get_hash(s, "chain", m->chain, 32);
	get_hash(s, "key_id", m->key_id, SEAL_KEY_ID_LEN);
	get_string(s, "key", m->key, sizeof(m->key));
}

enum err export_manifest_parse(const char *text, size_t len,
			       struct export_manifest *out)
{
	struct export_manifest *m = mem_zalloc(sizeof(*m));
	char *again = mem_zalloc(EXPORT_MANIFEST_MAX);
	struct parse s = {.p = text, .left = len};
	enum err e = ERR_INVAL;

	if (m == NULL || again == NULL) {
		e = ERR_NOMEM;
	} else if (len > 2 && memcmp(text, "{\n", 2) == 0) {
		s.p += 2;
		s.left -= 2;
		parse(&s, m);
		if (!s.bad && export_manifest_text(m, again) == len &&
		    memcmp(again, text, len) == 0) {
			*out = *m;
			e = ERR_OK;
		}
	}
	mem_free(again);
	mem_free(m);
	return e;
}
