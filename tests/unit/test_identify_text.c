#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/dicom/part10.h"
#include "proxy/lib/mem.h"
#include "tests/unit/identify_kit.h"

/* ---- character sets; names of PS3.5 annexes H to K ---- */

static struct identity read_name(const char *charset, const char *name,
				 size_t n)
{
	static struct draft d;

	draft_begin(&d, TS_EXPLICIT_LE);
	draft_group_8(&d, charset);
	draft_bytes(&d, 0x00100010, "PN", name, n);
	draft_group_20(&d);
	return identity_of(&d);
}

static void names_come_out_as_utf8(void **state)
{
#define NAME(s) s, sizeof(s) - 1
	static const struct {
		const char *charset, *in;
		size_t n;
		const char *want;
	} rows[] = {
	    {NULL, NAME(" DOE^JANE "), "DOE^JANE"},
	    {NULL, NAME("B\xfcz"), "B?z"},
	    {"ISO_IR 6", NAME("B\xfcz"), "B?z"},
	    {"NONSENSE", NAME("B\xfcz"), "B?z"},
	    {"ISO_IR 100", NAME("Buc^J\xe9r\xf4me"), "Buc^J\u00e9r\u00f4me"},
	    {"ISO-IR 100", NAME("\xc4neas"), "\u00c4neas"},
	    {"iso ir 100", NAME("\xc4neas"), "\u00c4neas"},
	    {"ISO_8859-1", NAME("\xc4neas"), "\u00c4neas"},
	    {"ISO 2022 IR 100", NAME("\xc4neas"), "\u00c4neas"},
	    {"ISO_IR 101", NAME("Wa\xb3\xeasa"), "Wa\u0142\u0119sa"},
	    {"ISO_IR 144", NAME("\xbb\xee\xda\x63"), "\u041b\u044e\u043ac"},
	    {"ISO_IR 126", NAME("\xc4\xe9\xef\xed"),
	     "\u0394\u03b9\u03bf\u03bd"},
	    {"ISO_IR 127", NAME("\xe2\xc8\xc7"), "\u0642\u0628\u0627"},
	    {"ISO_IR 138", NAME("\xf9\xf8\xe5"), "\u05e9\u05e8\u05d5"},
	    {"ISO_IR 148", NAME("\xc7\xfd"), "\u00c7\u0131"},
	    {"ISO_IR 203", NAME("\xa4\xbd"), "\u20ac\u0153"},
	    {"ISO_IR 109", NAME("\xa1"), "\u0126"},
	    {"ISO_IR 110", NAME("\xa1"), "\u0104"},
	    {"ISO_IR 166", NAME("\xb9\xd2"), "\u0e19\u0e32"},
	    {"ISO_IR 192", NAME("Wang^\xe7\x8e\x8b"), "Wang^\u738b"},
	    {"ISO_IR 192",
	     NAME("a\xff"
		  "b\xe7"),
	     "a?b?"},
	    {"ISO_IR 192", NAME("\xed\xa0\x80"), "???"}, /* a surrogate */
	    {"ISO_IR 192", NAME("a\xc2\x85z"), "a?z"},   /* C1 control */
	    {"GB18030", NAME("Wang=\xcd\xf5^\xd0\xa1\xb6\xab"),
	     "Wang=\u738b^\u5c0f\u4e1c"},
	    {"GB18030", NAME("\x95\x32\x82\x36"), "\U00020000"},
	    {"GBK", NAME("\xcd\xf5"), "\u738b"},
	    {"ISO 2022 GBK", NAME("\xcd\xf5"), "\u738b"},
	    {"ISO_IR 13", NAME("\xd4\xcf\xc0\xde^\xc0\xdb\xb3\xff"),
	     "\uff94\uff8f\uff80\uff9e^\uff80\uff9b\uff73?"},
	    {"\\ISO 2022 IR 87",
	     NAME("Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
	     "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"},
	    {"ISO 2022 IR 13\\ISO 2022 IR 87",
	     NAME("\xd4\xcf=\x1b$B;3\x1b(J^\xdb"),
	     "\uff94\uff8f=\u5c71^\uff9b"},
	    {"\\ISO 2022 IR 159", NAME("\x1b$(D\x30\x21\x1b(B."), "\u4e02."},
	    {"\\ISO 2022 IR 149",
	     NAME("Hong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"),
	     "Hong=\u6d2a^\u5409\u6d1e"},
	    {"\\ISO 2022 IR 149", NAME("\x1b$)C\xfb\xf3^\xd1\xce"),
	     "\u6d2a^\u5409"}, /* not repeated after the delimiter */
	    {"ISO 2022 IR 149", NAME("\xfb\xf3"), "\u6d2a"},
	    {"\\ISO 2022 IR 58", NAME("\x1b$)A\xcd\xf5^\xd0\xa1"),
	     "\u738b^\u5c0f"},
	    {"ISO 2022 IR 100\\ISO 2022 IR 144",
	     NAME("\xe9^\x1b-L\xbb\x1b-A\xe9^\xe9"),
	     "\u00e9^\u041b\u00e9^\u00e9"},
	    {"ISO 2022 IR 100\\ISO 2022 IR 144", NAME("\x1b-L\xbb^\xe9"),
	     "\u041b^\u00e9"}, /* back at the delimiter */
	    {"\\ISO 2022 IR 87", NAME("\x1b$B;"), "?"},
	    {"\\ISO 2022 IR 87", NAME("\x1b$B;\x1b(Bx"), "?x"},
	    {"\\ISO 2022 IR 87", NAME("\x1b%/1x"), "?x"},
	    {"\\ISO 2022 IR 87", NAME("a\x1b"), "a?"},
	    {NULL, NAME("a\tb\x7f"), "a?b?"},
	    {NULL, NAME("\0\0 x \0"), "x"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct identity got =
		    read_name(rows[i].charset, rows[i].in, rows[i].n);

		print_message("case: %zu\n", i);
		assert_string_equal(got.patient_name, rows[i].want);
		assert_true(got.has & IDENTITY_PATIENT_NAME);
		assert_false(got.damaged);
	}
}

static void long_text_is_cut_between_characters(void **state)
{
	static struct draft d;
	char name[600];
	struct identity got;
	size_t n;

	(void)state;
	draft_begin(&d, TS_EXPLICIT_LE);
	draft_group_8(&d, "ISO_IR 13");
	memset(name, 0xC0, sizeof(name)); /* three bytes each in UTF-8 */
	draft_bytes(&d, 0x00100010, "PN", name, sizeof(name));
	memset(name, 'I', sizeof(name));
	draft_bytes(&d, 0x00100020, "LO", name, sizeof(name));
	draft_group_20(&d);
	got = identity_of(&d);
	n = strlen(got.patient_name);
	assert_int_equal(n % 3, 0);
	assert_int_equal(n, (IDENTITY_PATIENT_NAME_SIZE - 1) / 3 * 3);
	assert_int_equal(strlen(got.patient_id), IDENTITY_PATIENT_ID_SIZE - 1);
	assert_false(got.damaged);
	draft_begin(&d, TS_EXPLICIT_LE);
	draft_group_8(&d, "ISO_IR 144");
	memset(name, 0xD0, sizeof(name)); /* two bytes each */
	draft_bytes(&d, 0x00100010, "PN", name, sizeof(name));
	draft_group_20(&d);
	got = identity_of(&d);
	assert_int_equal(strlen(got.patient_name), 384);
	name[0] = 'I';
	draft_begin(&d, TS_EXPLICIT_LE); /* now one byte stays over, and two */
	draft_group_8(&d, "ISO_IR 144");
	draft_bytes(&d, 0x00100010, "PN", name, sizeof(name));
	draft_group_20(&d);
	got = identity_of(&d);
	assert_int_equal(strlen(got.patient_name), 383);
	assert_null(strchr(got.patient_name, '?'));
	draft_begin(&d, TS_EXPLICIT_LE);
	draft_group_8(&d, "ISO_IR 13");
	draft_bytes(&d, 0x00100010, "PN", name, sizeof(name));
	draft_group_20(&d);
	got = identity_of(&d);
	assert_int_equal(strlen(got.patient_name), 382);
	assert_null(strchr(got.patient_name, '?'));
}

/* ---- pydicom's own files, where they are installed ---- */

#define FILES "/usr/lib/python3/dist-packages/pydicom/data/"

static uint8_t *slurp(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = malloc(4 << 20);

	assert_non_null(p);
	*n = f != NULL ? fread(p, 1, 4 << 20, f) : 0;
	if (f != NULL)
		fclose(f);
	return p;
}

static struct identity read_file(const char *path, bool *there)
{
	struct identity got = {0};
	struct part10_meta m;
	size_t n, off = 0;
	uint8_t *p = slurp(path, &n);

	*there = n > 0;
	if (n > 0) {
		assert_int_equal(part10_split(p, n, &m, &off), ERR_OK);
		got = identity_in_steps(uid_ts_kind(m.transfer_syntax), p + off,
					n - off, 1000);
	}
	free(p);
	return got;
}

static void real_files_are_identified(void **state)
{
	static const struct {
		const char *path, *sop_instance, *name;
	} rows[] = {
	    {"test_files/CT_small.dcm",
	     "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322",
	     "CompressedSamples^CT1"},
	    {"test_files/MR_small_bigendian.dcm",
	     "1.3.6.1.4.1.5962.1.1.4.1.1.20040826185059.5457",
	     "CompressedSamples^MR1"},
	    {"test_files/MR_small_implicit.dcm",
	     "1.3.6.1.4.1.5962.1.1.4.1.1.20040826185059.5457",
	     "CompressedSamples^MR1"},
	    {"test_files/image_dfl.dcm",
	     "1.3.6.1.4.1.5962.1.1.0.0.0.977067309.6001.0", NULL},
	    {"charset_files/chrH31.dcm", NULL,
	     "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce="
	     "\u3084\u307e\u3060^\u305f\u308d\u3046"},
	    {"charset_files/chrI2.dcm", NULL,
	     "Hong^Gildong=\u6d2a^\u5409\u6d1e=\ud64d^\uae38\ub3d9"},
	    {"charset_files/chrX1.dcm", NULL,
	     "Wang^XiaoDong=\u738b^\u5c0f\u6771="},
	};
	size_t read = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char path[200];
		struct identity got;
		bool there;

		snprintf(path, sizeof(path), FILES "%s", rows[i].path);
		got = read_file(path, &there);
		if (!there)
			continue;
		read++;
		assert_false(got.damaged);
		if (rows[i].sop_instance != NULL)
			assert_string_equal(got.sop_instance,
					    rows[i].sop_instance);
		if (rows[i].name != NULL)
			assert_string_equal(got.patient_name, rows[i].name);
	}
	if (read == 0)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_come_out_as_utf8),
	    cmocka_unit_test(long_text_is_cut_between_characters),
	    cmocka_unit_test(real_files_are_identified),
	};

	return cmocka_run_group_tests_name("identify_text", tests, NULL, NULL);
}
