/* Rows of the audit from anything: the message fits, is well-formed XML in
 * UTF-8, and nests no deeper than it should. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proxy/audit_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			__builtin_trap();                                      \
	} while (0)

enum { FIELDS = 17, FIELD_MAX = 1100, DEPTH = 8 };

struct input {
	const uint8_t *p;
	size_t n;
};

static char text[FIELDS][FIELD_MAX];

/* The next field: its length, and so many bytes; a NUL ends it early. */
static const char *field(struct input *in, size_t i)
{
	size_t n = in->n > 0 ? in->p[0] * 4u : 0;

	if (in->n == 0)
		return NULL;
	in->p++;
	in->n--;
	n = n < in->n ? n : in->n;
	memcpy(text[i], in->p, n);
	text[i][n] = '\0';
	in->p += n;
	in->n -= n;
	return text[i];
}

static const char *name_end(const char *p, const char *end)
{
	while (p < end && ((*p >= 'a' && *p <= 'z') ||
			   (*p >= 'A' && *p <= 'Z') || *p == '-'))
		p++;
	return p;
}

/* Characters of content or of an attribute, up to one of stop. */
static const char *characters(const char *p, const char *end, char stop)
{
	while (p < end && *p != stop) {
		unsigned char c = (unsigned char)*p;

		CHECK(c >= 0x20 && c != '<' && c != '>' && c < 0xf5);
		if (c == '&') {
			const char *semicolon =
			    memchr(p, ';', (size_t)(end - p));

			CHECK(semicolon != NULL && semicolon - p < 6);
		}
		if (c >= 0x80) {
			size_t n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

			CHECK(c >= 0xc2 && (size_t)(end - p) >= n);
			for (size_t i = 1; i < n; i++)
				CHECK(((unsigned char)p[i] & 0xc0) == 0x80);
			p += n - 1;
		}
		p++;
	}
	return p;
}

static const char *attributes(const char *p, const char *end)
{
	while (p < end && *p == ' ') {
		const char *name = ++p;

		p = name_end(p, end);
		CHECK(p > name && end - p > 2 && p[0] == '=' && p[1] == '"');
		p = characters(p + 2, end, '"');
		CHECK(p < end);
		p++;
	}
	return p;
}

/* One element, and what is in it, by the letter. Returns behind it. */
static const char *element(const char *p, const char *end, unsigned depth)
{
	const char *name, *q;
	size_t n;

	CHECK(depth < DEPTH && p < end && *p == '<');
	name = p + 1;
	q = name_end(name, end);
	n = (size_t)(q - name);
	CHECK(n > 0);
	q = attributes(q, end);
	CHECK(q < end);
	if (*q == '/') {
		CHECK(end - q >= 2 && q[1] == '>');
		return q + 2;
	}
	CHECK(*q == '>');
	q++;
	while (end - q >= 2 && !(q[0] == '<' && q[1] == '/'))
		q = *q == '<' ? element(q, end, depth + 1)
			      : characters(q, end, '<');
	CHECK((size_t)(end - q) >= n + 3 && memcmp(q + 2, name, n) == 0 &&
	      q[2 + n] == '>');
	return q + n + 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char out[AUDIT_MESSAGE_LEAST];
	struct input in = {data, len};
	struct audit_message_source source = {.node = "n"};
	struct audit_message_identity who;
	struct audit_facts f = {0};
	size_t want, n = 0;

	if (len < 20)
		return 0;
	memcpy(&f.seq, data, 8);
	f.kind = data[8];
	f.outcome = data[9] % 16;
	f.association = data[10];
	want = data[11] * 16u;
	memcpy(&f.wall_ms, data + 12, 8);
	in.p += 20;
	in.n -= 20;
	source.site = field(&in, 0);
	f.listener = field(&in, 1);
	f.device = field(&in, 2);
	f.destination = field(&in, 3);
	f.peer = field(&in, 4);
	f.local = field(&in, 5);
	f.calling_ae = field(&in, 6);
	f.called_ae = field(&in, 7);
	f.fingerprint = field(&in, 8);
	f.study = field(&in, 9);
	f.user = field(&in, 10);
	f.detail = field(&in, 11);
	who.patient_id = field(&in, 12);
	who.patient_name = field(&in, 13);
	who.accession = field(&in, 14);
	f.query = (const uint8_t *)field(&in, 15);
	f.query_len = f.query != NULL ? strlen((const char *)f.query) : 0;
	if (field(&in, 16) != NULL)
		source.node = text[16];
	f.identity = data[10] % 2 == 0 ? &who : NULL;
	CHECK(audit_message_row(&source, &f, want, out, sizeof(out), &n) ==
	      ERR_OK);
	CHECK(element(out, out + n, 0) == out + n);
	return 0;
}
