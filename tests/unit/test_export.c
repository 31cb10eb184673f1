/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/export_in.h"
#include "store/export_manifest.h"
#include "store/export_read.h"
#include "store/seal.h"

static const struct export_column columns[] = {
    {"seq", EXPORT_NUMBER, false, "n"}, {"time", EXPORT_TIME, false, "t"},
    {"name", EXPORT_TEXT, false, "x"},  {"big", EXPORT_UNSIGNED, false, "u"},
    {"hash", EXPORT_HEX, false, "h"},   {"detail", EXPORT_JSON, false, "j"},
    {"secret", EXPORT_TEXT, true, "s"},
};
static const struct export_table table = {
    .name = "test", .columns = columns, .n = ARRAY_LEN(columns)};

/* ---- a sink that remembers ------------------------------------------------
 */

struct file {
	char *p;
	size_t len;
	size_t calls;
	size_t fail_at; /* 0: never */
};

static enum err to_file(void *arg, const void *p, size_t n)
{
	struct file *f = arg;

	if (++f->calls == f->fail_at)
		return ERR_IO;
	f->p = realloc(f->p, f->len + n + 1);
	assert_non_null(f->p);
	memcpy(f->p + f->len, p, n);
	f->len += n;
	f->p[f->len] = '\0';
	return ERR_OK;
}

static struct export_options options(struct file *f, enum export_format format)
{
	return (struct export_options){
	    .table = &table, .format = format, .sink = to_file, .arg = f};
}

static void row_cells(struct export_cell cells[7], int64_t seq,
		      const char *name)
{
	cells[0] = export_number(seq);
	cells[1] = export_number(1778000000123LL);
	cells[2] = export_text(name);
	cells[3] = export_number(-1);
	cells[4] = export_bytes("\x01\xff", 2);
	cells[5] = export_text("{\"a\":\"b, c\"}");
	cells[6] = export_text("hidden");
}

static struct file written(enum export_format format, bool bom, bool reveal,
			   const char *const *names, size_t n)
{
	struct file f = {0};
	struct export_options o = options(&f, format);
	struct export_totals t;
	struct export *x;

	o.bom = bom;
	o.reveal = reveal;
	assert_int_equal(export_new(&o, &x), ERR_OK);
	for (size_t i = 0; i < n; i++) {
		struct export_cell cells[7];

		row_cells(cells, (int64_t)i + 1, names[i]);
		assert_int_equal(export_row(x, cells), ERR_OK);
	}
	assert_int_equal(export_end(x, &t), ERR_OK);
	assert_int_equal(t.rows, n);
	assert_int_equal(t.bytes, f.len);
	export_free(x);
	return f;
}

/* ---- writing --------------------------------------------------------------
 */

static void csv_is_as_rfc_4180_says(void **state)
{
	static const char *const names[] = {"plain", "a,b", "say \"x\"",
					    "two\r\nlines", ""};
	struct file f = written(EXPORT_CSV, false, false, names, 5);

	(void)state;
#define REST ",18446744073709551615,01ff,\"{\"\"a\"\":\"\"b, c\"\"}\"\r\n"
#define HEAD ",2026-05-05T16:53:20.123Z,"
	assert_string_equal(f.p, "seq,time,name,big,hash,detail\r\n"
				 "1" HEAD "plain" REST "2" HEAD "\"a,b\"" REST
				 "3" HEAD "\"say \"\"x\"\"\"" REST "4" HEAD
				 "\"two\r\nlines\"" REST "5" HEAD REST);
	free(f.p);
}

static void what_a_spreadsheet_takes_for_a_formula_is_text(void **state)
{
	static const char *const evil[] = {"=1+1",
					   "+1",
					   "-1",
					   "@SUM(A1)",
					   "\tx",
					   "\rx",
					   "\n=1",
					   "'=1",
					   ("\xef\xbc\x9d"
					    "1"),
					   "\xef\xbc\xa0x"};
	struct file f = written(EXPORT_CSV, false, false, evil, 10);
	const char *at = f.p;

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		char want[32];

		at = strstr(at, ".123Z,");
		assert_non_null(at);
		at += 6;
		at += *at == '"';
		snprintf(want, sizeof(want), "'%s", evil[i]);
		assert_memory_equal(at, want, strlen(want));
	}
	free(f.p);
}

static void a_negative_number_stays_a_number(void **state)
{
	struct export_cell cells[7];
	char *out = malloc(EXPORT_ROW_MAX);

	(void)state;
	row_cells(cells, -5, "x");
	assert_true(export_row_text(&table, EXPORT_CSV, false, cells, out) > 0);
	assert_memory_equal(out, "-5,", 3);
	free(out);
}

static void json_lines_have_every_column_in_its_order(void **state)
{
	static const char *const names[] = {"\xe5\xbc\xa0\"\\\n\x01", ""};
	struct file f = written(EXPORT_JSONL, true, true, names, 2);

	(void)state;
#define JREST                                                                  \
	"\"big\":18446744073709551615,\"hash\":\"01ff\",\"detail\":{\"a\":"    \
	"\"b, c\"},\"secret\":\"hidden\"}\n"
	assert_string_equal(
	    f.p, "{\"seq\":1,\"time\":\"2026-05-05T16:53:20.123Z\",\"name\":"
		 "\"\xe5\xbc\xa0\\\"\\\\\\n\\u0001\"," JREST
		 "{\"seq\":2,\"time\":\"2026-05-05T16:53:20.123Z\",\"name\":"
		 "null," JREST);
	free(f.p);
}

static void a_detail_that_is_no_json_becomes_a_string(void **state)
{
	static const char *const bad[] = {"{\"a\":1", "{\"a\":1}\n{}",
					  "[1]",      "{\"a\":01}",
					  "{a:1}",    "{\"a\":1}}"};
	char *out = malloc(EXPORT_ROW_MAX + 1);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct export_cell cells[7];
		size_t n;

		row_cells(cells, 1, "x");
		cells[5] = export_text(bad[i]);
		n = export_row_text(&table, EXPORT_JSONL, false, cells, out);
		out[n] = '\0';
		assert_non_null(strstr(out, "\"detail\":\""));
		assert_ptr_equal(strchr(out, '\n'), out + n - 1);
	}
	free(out);
}

static void a_cell_that_is_too_long_is_refused_whole(void **state)
{
	struct file f = {0};
	struct export_options o = options(&f, EXPORT_CSV);
	struct export_cell cells[7];
	struct export_totals t;
	struct export *x;
	char *big = malloc(EXPORT_CELL_MAX + 1);

	(void)state;
	memset(big, 'x', EXPORT_CELL_MAX + 1);
	assert_int_equal(export_new(&o, &x), ERR_OK);
	row_cells(cells, 1, "x");
	cells[2] = export_bytes(big, EXPORT_CELL_MAX + 1);
	assert_int_equal(export_row(x, cells), ERR_LIMIT);
	cells[2] = export_bytes(big, EXPORT_CELL_MAX);
	assert_int_equal(export_row(x, cells), ERR_OK);
	assert_int_equal(export_end(x, &t), ERR_OK);
	assert_int_equal(t.rows, 1);
	assert_int_equal(t.bytes, f.len);
	export_free(x);
	free(f.p);
	free(big);
}

static void a_sink_that_fails_ends_the_export(void **state)
{
	struct file f = {.fail_at = 2};
	struct export_options o = options(&f, EXPORT_CSV);
	struct export_cell cells[7];
	struct export *x;
	enum err e = ERR_OK;
	int n = 0;

	(void)state;
	assert_int_equal(export_new(&o, &x), ERR_OK);
	row_cells(cells, 1, "some text that fills the room");
	while (e == ERR_OK && n++ < 100000)
		e = export_row(x, cells);
	assert_int_equal(e, ERR_IO);
	assert_int_equal(f.calls, 2);
	export_free(x);
	free(f.p);
}

static void the_hash_is_that_of_the_file(void **state)
{
	static const char *const names[] = {"a", "b"};
	struct file f = {0};
	struct export_options o = options(&f, EXPORT_CSV);
	struct export_totals t;
	struct seal_hash *h = seal_hash_new();
	struct export *x;
	uint8_t sha[32];

	(void)state;
	o.bom = true;
	assert_int_equal(export_new(&o, &x), ERR_OK);
	for (size_t i = 0; i < 5000; i++) {
		struct export_cell cells[7];

		row_cells(cells, (int64_t)i, names[i % 2]);
		assert_int_equal(export_row(x, cells), ERR_OK);
	}
	assert_int_equal(export_end(x, &t), ERR_OK);
	assert_memory_equal(f.p, "\xef\xbb\xbfseq", 6);
	seal_hash_update(h, f.p, f.len);
	seal_hash_end(h, sha);
	assert_memory_equal(sha, t.sha256, 32);
	assert_true(f.calls > 5); /* it streamed */
	seal_hash_free(h);
	export_free(x);
	free(f.p);
}

static void dicom_has_a_message_a_line_in_one_element(void **state)
{
	struct file f = {0};
	struct export_options o = options(&f, EXPORT_DICOM);
	struct export_totals t;
	struct export *x;

	(void)state;
	assert_int_equal(export_new(&o, &x), ERR_OK);
	assert_int_equal(export_message(x, "<AuditMessage/>", 15), ERR_OK);
	assert_int_equal(export_end(x, &t), ERR_OK);
	assert_string_equal(
	    f.p, "<AuditMessages>\n<AuditMessage/>\n</AuditMessages>\n");
	assert_int_equal(t.rows, 1);
	export_free(x);
	free(f.p);
}

/* ---- reading back ----------------------------------------------------------
 */

struct seen {
	size_t rows, wrong;
	char name[8][256];
	char why[8][80];
};

static void on_row(void *arg, const struct export_read_row *r)
{
	struct seen *s = arg;
	size_t i = s->rows++;

	if (r->why != NULL) {
		s->wrong++;
		if (i < 8)
			snprintf(s->why[i], sizeof(s->why[i]), "%s", r->why);
	}
	if (r->cells != NULL && i < 8 && !r->cells[2].none) {
		memcpy(s->name[i], r->cells[2].p, r->cells[2].len);
		s->name[i][r->cells[2].len] = '\0';
	}
}

static enum err read_back(const char *p, size_t n, size_t step, struct seen *s)
{
	struct export_reader *r;
	enum err e;

	memset(s, 0, sizeof(*s));
	assert_int_equal(export_reader_new(&table, on_row, s, &r), ERR_OK);
	e = ERR_OK;
	for (size_t at = 0; e == ERR_OK && at < n; at += step)
		e = export_reader_feed(r, p + at,
				       n - at < step ? n - at : step);
	if (e == ERR_OK)
		e = export_reader_end(r);
	export_reader_free(r);
	return e;
}

static void every_text_comes_back_as_it_was(void **state)
{
	static const char *const names[] = {
	    "=1+1",
	    "'quoted",
	    "a\r\n\"b\",c",
	    "\xe5\xbc\xa0\xe4\xb8\x89^\xe5\xb0\x8f",
	    "broken \xff\xfe utf-8 \xc3(",
	    "genuine \xee\xbe\x80 private",
	    "\x01\x1f\t tab",
	    "\xf0\x9f\x98\x80 \xed\xa0\x80",
	};
	static const enum export_format formats[] = {EXPORT_CSV, EXPORT_JSONL};

	(void)state;
	for (size_t k = 0; k < 4; k++) {
		struct file f =
		    written(formats[k % 2], k >= 2, k >= 2, names, 8);
		struct seen s;

		for (size_t step = 1; step < 4000; step *= 7) {
			assert_int_equal(read_back(f.p, f.len, step, &s),
					 ERR_OK);
			assert_int_equal(s.rows, 8);
			assert_int_equal(s.wrong, 0);
			for (size_t i = 0; i < 8; i++)
				assert_string_equal(s.name[i], names[i]);
		}
		free(f.p);
	}
}

static void a_file_cut_anywhere_is_noticed(void **state)
{
	static const char *const names[] = {"a,b", "c\r\nd"};
	static const enum export_format formats[] = {EXPORT_CSV, EXPORT_JSONL};

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		struct file f = written(formats[k], false, false, names, 2);

		for (size_t n = 1; n < f.len; n++) {
			struct seen s;
			enum err e = read_back(f.p, n, 4096, &s);

			/* at a row's end only the count can tell */
			if (f.p[n - 1] == '\n' && e == ERR_OK && s.wrong == 0)
				assert_true(s.rows < 2);
			else
				assert_true(e == ERR_CORRUPT || s.wrong == 1);
		}
		free(f.p);
	}
}

static void another_spelling_of_the_same_is_told(void **state)
{
	static const char *const head = "seq,time,name,big,hash,detail\r\n";
	static const char *const rows[] = {
	    "01,2026-05-05T16:53:20.123Z,x,1,,\r\n",
	    "1,2026-05-05T16:53:20.123Z,\"x\",1,,\r\n",
	    "1,2026-05-05T16:53:20.123Z,x,1,,\n",
	    "1,2026-05-05T16:53:20.123Z,=1,1,,\r\n",
	    "1,2026-05-05T16:53:20.123Z,x,+1,,\r\n",
	    "1,2026-05-05 16:53:20.123Z,x,1,,\r\n",
	    "1,2026-13-05T16:53:20.123Z,x,1,,\r\n",
	    "1,2026-05-05T16:53:20.123Z,x,1,AB,\r\n",
	    "1,2026-05-05T16:53:20.123Z,x,1,abc,\r\n",
	    "1,2026-05-05T16:53:20.123Z,x,1,\r\n",
	    "1,2026-05-05T16:53:20.123Z,x,1,,,\r\n",
	    "1,2026-05-05T16:53:20.123Z,x\"y,1,,\r\n",
	    "9223372036854775808,2026-05-05T16:53:20.123Z,x,1,,\r\n",
	    "1,2026-05-05T16:53:20.123Z,x,18446744073709551616,,\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[256];
		struct seen s;

		snprintf(text, sizeof(text), "%s%s", head, rows[i]);
		assert_int_equal(read_back(text, strlen(text), 7, &s), ERR_OK);
		if (s.rows != 1 || s.wrong != 1)
			fail_msg("row %zu passed: %s", i, rows[i]);
	}
}

static void a_foreign_head_ends_the_reading(void **state)
{
	static const char *const texts[] = {
	    "seq,time,name,big,hash\r\n1,2,3,4,5\r\n",
	    "Seq,time,name,big,hash,detail\r\n", "<AuditMessage>\n", "\"\n"};
	struct seen s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(read_back(texts[i], strlen(texts[i]), 3, &s),
				 ERR_CORRUPT);
		assert_int_equal(s.rows, 0);
	}
}

static void a_row_without_end_does_not_grow_for_ever(void **state)
{
	struct export_reader *r;
	struct seen s = {0};
	char piece[4096];
	enum err e = ERR_OK;
	size_t fed = 0;

	(void)state;
	memset(piece, 'x', sizeof(piece));
	assert_int_equal(export_reader_new(&table, on_row, &s, &r), ERR_OK);
	e = export_reader_feed(r, "{", 1);
	while (e == ERR_OK && fed < 10 * EXPORT_ROW_MAX) {
		e = export_reader_feed(r, piece, sizeof(piece));
		fed += sizeof(piece);
	}
	assert_int_equal(e, ERR_CORRUPT);
	assert_true(fed <= EXPORT_ROW_MAX + sizeof(piece));
	export_reader_free(r);
}

/* ---- times, base64 ---------------------------------------------------------
 */

static void times_come_back_for_every_year(void **state)
{
	static const int64_t odd[] = {0,
				      -1,
				      951782400000LL,
				      -62167219200000LL,
				      253402300799999LL,
				      253402300800000LL,
				      INT64_MAX,
				      INT64_MIN};
	char text[EXPORT_TIME_LEN];
	int64_t back;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		size_t n = export_time_text(odd[i], text);

		assert_true(export_time_parse(text, n, &back));
		assert_int_equal(back, odd[i]);
	}
	for (int64_t t = -60000000000000LL; t < 250000000000000LL;
	     t += 86399999999LL) {
		size_t n = export_time_text(t, text);

		assert_true(export_time_parse(text, n, &back));
		assert_int_equal(back, t);
	}
	assert_false(export_time_parse("2026-02-30T00:00:00.000Z", 24, &back));
}

static void base64_has_one_spelling_for_each(void **state)
{
	static const uint8_t bytes[] = {0xff, 0x00, 0x7f, 0x80, 0x3e};
	char text[16];
	uint8_t back[8];
	size_t len;

	(void)state;
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		size_t t = export_base64(bytes, n, text);

		assert_int_equal(export_base64_parse(text, t, back, 8, &len),
				 ERR_OK);
		assert_int_equal(len, n);
		assert_memory_equal(back, bytes, n);
	}
	assert_int_equal(export_base64_parse("/w==", 4, back, 8, &len), ERR_OK);
	assert_int_equal(export_base64_parse("/x==", 4, back, 8, &len),
			 ERR_INVAL);
	assert_int_equal(export_base64_parse("/w=", 3, back, 8, &len),
			 ERR_INVAL);
	assert_int_equal(export_base64_parse("AAAA", 4, back, 2, &len),
			 ERR_LIMIT);
}

static void the_reference_names_every_column(void **state)
{
	char text[2048];
	size_t n = export_reference(&table, false, text, sizeof(text));

	(void)state;
	assert_true(n < sizeof(text));
	for (size_t i = 0; i < table.n; i++)
		assert_non_null(strstr(text, columns[i].name));
	assert_int_equal(export_reference(&table, false, NULL, 0), n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(csv_is_as_rfc_4180_says),
	    cmocka_unit_test(what_a_spreadsheet_takes_for_a_formula_is_text),
	    cmocka_unit_test(a_negative_number_stays_a_number),
	    cmocka_unit_test(json_lines_have_every_column_in_its_order),
	    cmocka_unit_test(a_detail_that_is_no_json_becomes_a_string),
	    cmocka_unit_test(a_cell_that_is_too_long_is_refused_whole),
	    cmocka_unit_test(a_sink_that_fails_ends_the_export),
	    cmocka_unit_test(the_hash_is_that_of_the_file),
	    cmocka_unit_test(dicom_has_a_message_a_line_in_one_element),
	    cmocka_unit_test(every_text_comes_back_as_it_was),
	    cmocka_unit_test(a_file_cut_anywhere_is_noticed),
	    cmocka_unit_test(another_spelling_of_the_same_is_told),
	    cmocka_unit_test(a_foreign_head_ends_the_reading),
	    cmocka_unit_test(a_row_without_end_does_not_grow_for_ever),
	    cmocka_unit_test(times_come_back_for_every_year),
	    cmocka_unit_test(base64_has_one_spelling_for_each),
	    cmocka_unit_test(the_reference_names_every_column),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
