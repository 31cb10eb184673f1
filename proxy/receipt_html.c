/* receipt_html.c - a receipt as a page, and whether either is genuine. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/receipt.h"
#include "store/export_manifest.h"

/* The last line of a page. */
#define SIGNATURE_OPEN  "<!-- signature "
#define SIGNATURE_CLOSE " -->\n"

struct page {
	struct buf *out;
	enum err e;
};

static void raw(struct page *p, const char *text)
{
	if (p->e == ERR_OK)
		p->e = buf_append(p->out, text, strlen(text));
}

/* Text of the receipt: escaped, "-" where there is none. */
static void text(struct page *p, const char *s)
{
	for (s = s != NULL && s[0] != '\0' ? s : "-"; *s != '\0'; s++) {
		char one[2] = {*s, '\0'};

		raw(p, *s == '<'   ? "&lt;"
		       : *s == '>' ? "&gt;"
		       : *s == '&' ? "&amp;"
		       : *s == '"' ? "&quot;"
				   : one);
	}
}

static const char *get(const json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

static void number(struct page *p, const json_t *j, const char *key)
{
	char s[32];

	snprintf(s, sizeof(s), "%lld",
		 (long long)json_integer_value(json_object_get(j, key)));
	raw(p, s);
}

static void row(struct page *p, const char *name, const char *value)
{
	raw(p, "<tr><th scope=\"row\">");
	raw(p, name);
	raw(p, "</th><td>");
	text(p, value);
	raw(p, "</td></tr>\n");
}

static void put_tls(struct page *p, const json_t *tls)
{
	if (!json_is_object(tls)) {
		raw(p, "without TLS");
		return;
	}
	text(p, get(tls, "version"));
	raw(p, " ");
	text(p, get(tls, "suite"));
	raw(p, "<br>");
	text(p, get(tls, "subject"));
	raw(p, "<br><code>");
	text(p, get(tls, "fingerprint"));
	raw(p, "</code>");
}

static void put_delivery(struct page *p, const json_t *d)
{
	raw(p, "<p><b>");
	text(p, get(d, "state"));
	raw(p, "</b> to ");
	text(p, get(d, "destination"));
	raw(p, " since ");
	text(p, get(d, "since"));
	if (get(d, "error") != NULL) {
		raw(p, "<br>");
		text(p, get(d, "error"));
	}
	if (get(d, "peer") != NULL) {
		raw(p, "<br>");
		text(p, get(d, "peer"));
		raw(p, ": ");
		put_tls(p, json_object_get(d, "tls"));
	}
	raw(p, "</p>\n");
}

static void put_instance(struct page *p, const json_t *i)
{
	const json_t *d;
	size_t k;

	raw(p, "<tr><td><code>");
	text(p, get(i, "sop_instance"));
	raw(p, "</code><br>");
	number(p, i, "bytes");
	raw(p, " bytes<br>hash <code>");
	text(p, get(i, "hash"));
	raw(p, "</code></td><td>");
	text(p, get(i, "received"));
	raw(p, "<br>from ");
	text(p, get(i, "device"));
	raw(p, " (");
	text(p, get(i, "calling_ae"));
	raw(p, ")<br>");
	text(p, get(i, "peer"));
	raw(p, ": ");
	put_tls(p, json_object_get(i, "tls"));
	raw(p, "</td><td>");
	json_array_foreach(json_object_get(i, "deliveries"), k, d)
	{
		put_delivery(p, d);
	}
	raw(p, "</td></tr>\n");
}

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
    "'none'; style-src 'unsafe-inline'\">\n"
    "<title>Receipt</title>\n<style>\n"
    "body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:"
    "70rem;padding:0 1rem;color:#111;background:#fff}\n"
    "h1{font-size:1.5rem;margin:0 0 .2rem}\n"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}\n"
    "th,td{border:1px solid #bbb;padding:.4rem .6rem;text-align:left;"
    "vertical-align:top}\n"
    "th{background:#f2f2f2}\ncode{font-size:.85em;overflow-wrap:anywhere}\n"
    "p{margin:0 0 .4rem}\n.open{color:#8a0000}\n"
    "@page{size:A4;margin:14mm 12mm}\n"
    "@media print{body{margin:0;padding:0;max-width:none;font-size:8.5pt}"
    "th,td{padding:.2rem .4rem}h1{font-size:14pt}"
    "tr{break-inside:avoid}thead{display:table-header-group}}\n"
    "</style>\n</head>\n<body>\n<h1>Receipt of a study</h1>\n";

static void put_summary(struct page *p, const json_t *r, const json_t *seal)
{
	const json_t *s = json_object_get(r, "summary");
	const json_t *patient = json_object_get(r, "patient");
	bool complete = json_is_true(json_object_get(s, "complete"));

	raw(p, complete ? "<p><b>Delivered whole: "
			: "<p class=\"open\"><b>"
			  "Not delivered whole: ");
	number(p, s, "done");
	raw(p, " of ");
	number(p, s, "deliveries");
	raw(p, " deliveries are done, of ");
	number(p, s, "instances");
	raw(p, " instances with ");
	number(p, s, "bytes");
	raw(p, " bytes.</b></p>\n<table>\n");
	row(p, "Study Instance UID", get(r, "study"));
	if (json_is_object(patient)) {
		row(p, "Patient", get(patient, "name"));
		row(p, "Patient ID", get(patient, "id"));
		row(p, "Accession number", get(patient, "accession"));
	}
	row(p, "Node", get(r, "node"));
	row(p, "Made (UTC)", get(r, "made"));
	row(p, "For", get(r, "user"));
	row(p, "Program", get(r, "program"));
	row(p, "Signed with key", get(seal, "key_id"));
	raw(p, "</table>\n<p>To check: <code>culvert receipt --verify FILE "
	       "--key PUB</code>. Each hash is SHA-256 over chunks of 1 MiB, "
	       "as <code>culvert hash</code> prints it for the file. With "
	       "several associations to one destination at once, an instance "
	       "may have gone over another than the one named, under the same "
	       "rules.</p>\n");
}

/* Over all of the page so far. */
static enum err sign(struct page *p, struct seal_signer *signer)
{
	uint8_t sig[SEAL_SIGNATURE_MAX];
	char text64[128];
	size_t n;

	p->e = seal_sign(signer, buf_data(p->out), buf_len(p->out), sig, &n);
	if (p->e != ERR_OK)
		return p->e;
	(void)export_base64(sig, n, text64);
	raw(p, SIGNATURE_OPEN);
	raw(p, text64);
	raw(p, SIGNATURE_CLOSE);
	return p->e;
}

enum err receipt_html(const void *json, size_t n, struct seal_signer *signer,
		      struct buf *out)
{
	struct page p = {.out = out};
	json_t *all = json_loadb(json, n, JSON_REJECT_DUPLICATES, NULL);
	const json_t *r = json_object_get(all, "receipt"), *i;
	size_t k;

	if (!json_is_object(r)) {
		json_decref(all);
		return ERR_INVAL;
	}
	raw(&p, head);
	put_summary(&p, r, json_object_get(all, "seal"));
	raw(&p, "<table>\n<thead><tr><th>Instance</th><th>Received</th>"
		"<th>Delivered</th></tr></thead>\n<tbody>\n");
	json_array_foreach(json_object_get(r, "instances"), k, i)
	{
		put_instance(&p, i);
	}
	raw(&p, "</tbody>\n</table>\n" RECEIPT_OPEN);
	if (p.e == ERR_OK)
		p.e = buf_append(out, json, n);
	raw(&p, RECEIPT_CLOSE "</body>\n</html>\n");
	json_decref(all);
	return p.e == ERR_OK ? sign(&p, signer) : p.e;
}

/* ---- checking
 * ---------------------------------------------------------------------- */

static void wrong(struct receipt_verdict *v, const char *why)
{
	if (v->good)
		snprintf(v->why, sizeof(v->why), "%s", why);
	v->good = false;
}

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from != NULL ? from : "");
}

/* The JSON within a page. */
static bool find_json(const char **p, size_t *n)
{
	const char *open = memmem(*p, *n, RECEIPT_OPEN, strlen(RECEIPT_OPEN));
	const char *close;

	if (open == NULL)
		return false;
	open += strlen(RECEIPT_OPEN);
	close = memmem(open, *n - (size_t)(open - *p), RECEIPT_CLOSE,
		       strlen(RECEIPT_CLOSE));
	if (close == NULL)
		return false;
	*p = open;
	*n = (size_t)(close - open);
	return true;
}

/* The signature in base64 of whatever it is over. */
static bool signed_by(const struct seal_verifier *key, const char *text64,
		      size_t n64, const char *p, size_t n)
{
	uint8_t sig[SEAL_SIGNATURE_MAX];
	size_t len = 0;

	return export_base64_parse(text64, n64, sig, sizeof(sig), &len) ==
		   ERR_OK &&
	       seal_verify(key, p, n, sig, len) == ERR_OK;
}

static void check_page(const char *page, size_t n,
		       const struct seal_verifier *key,
		       struct receipt_verdict *v)
{
	size_t open = strlen(SIGNATURE_OPEN), close = strlen(SIGNATURE_CLOSE);
	const char *last = n > 0 ? memrchr(page, '\n', n - 1) : NULL;
	size_t before = last != NULL ? (size_t)(last + 1 - page) : 0;

	if (n - before <= open + close ||
	    memcmp(page + before, SIGNATURE_OPEN, open) != 0 ||
	    memcmp(page + n - close, SIGNATURE_CLOSE, close) != 0)
		wrong(v, "the page has no signature: it was changed or cut "
			 "off");
	else if (!signed_by(key, page + before + open,
			    n - before - open - close, page, before))
		wrong(v, "the page was changed after it was signed, or its "
			 "signature was");
}

static void check_statement(const json_t *seal, const char *statement, size_t n,
			    const struct seal_verifier *key,
			    struct receipt_verdict *v)
{
	const char *text64 = get(seal, "signature");

	(void)export_hex(seal_verifier_id(key), SEAL_KEY_ID_LEN, v->key_id);
	if (text64 == NULL)
		wrong(v, "it has no signature");
	else if (get(seal, "key_id") == NULL ||
		 strcmp(get(seal, "key_id"), v->key_id) != 0)
		wrong(v, "it is signed with another key");
	else if (!signed_by(key, text64, strlen(text64), statement, n))
		wrong(v, "the signature is not valid: it was changed after it "
			 "was signed");
}

/* The key inside, for who has no other. NULL: there is none. */
static struct seal_verifier *key_inside(const json_t *seal,
					struct receipt_verdict *v)
{
	const char *pem = get(seal, "key");
	struct seal_verifier *own = NULL;
	char why[SEAL_WHY_LEN];

	v->own_key = true;
	if (pem == NULL || seal_verifier_new(pem, &own, why) != ERR_OK)
		wrong(v, "the key inside is none");
	return own;
}

static void describe(const json_t *r, struct receipt_verdict *v)
{
	const json_t *s = json_object_get(r, "summary");

	copy(v->study, sizeof(v->study), get(r, "study"));
	copy(v->node, sizeof(v->node), get(r, "node"));
	copy(v->made, sizeof(v->made), get(r, "made"));
	v->instances =
	    (uint64_t)json_integer_value(json_object_get(s, "instances"));
	snprintf(
	    v->status, sizeof(v->status), "%lld of %lld deliveries done",
	    (long long)json_integer_value(json_object_get(s, "done")),
	    (long long)json_integer_value(json_object_get(s, "deliveries")));
}

/* The statement: between the first line and the last. */
static bool find_statement(const char *p, size_t n, const char **at,
			   size_t *len)
{
	size_t first = strlen(RECEIPT_FIRST);
	const char *last;

	if (n < first + 2 || memcmp(p, RECEIPT_FIRST, first) != 0 ||
	    p[n - 1] != '\n')
		return false;
	last = memrchr(p, '\n', n - 1);
	if (last == NULL || last < p + first)
		return false;
	*at = p + first;
	*len = (size_t)(last + 1 - *at);
	return true;
}

enum err receipt_check(const void *bytes, size_t n,
		       const struct seal_verifier *key,
		       struct receipt_verdict *out)
{
	const char *json = bytes, *statement = "";
	size_t json_n = n, len = 0;
	struct seal_verifier *own = NULL;
	const json_t *seal;
	json_t *all;

	*out = (struct receipt_verdict){.good = true};
	out->page = find_json(&json, &json_n);
	all = json_loadb(json, json_n, JSON_REJECT_DUPLICATES, NULL);
	if (all == NULL || !find_statement(json, json_n, &statement, &len)) {
		wrong(out, "it is no receipt, or was changed");
	} else {
		seal = json_object_get(all, "seal");
		describe(json_object_get(all, "receipt"), out);
		if (key == NULL)
			key = own = key_inside(seal, out);
		if (key != NULL)
			check_statement(seal, statement, len, key, out);
		if (key != NULL && out->page)
			check_page(bytes, n, key, out);
	}
	seal_verifier_free(own);
	json_decref(all);
	return ERR_OK;
}
