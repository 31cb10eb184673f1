#include "proxy/receipt.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/export_manifest.h"
#include "store/ledger_identity.h"
#include "store/ledger_search.h"

enum { PAGE = 100 };

struct line {
	struct view_delivery d;
	struct view_outgoing out;
};

struct work {
	const struct receipt_job *job;
	struct ledger_view *view;
	struct buf *out;
	struct line *page;
	unsigned n;
	uint64_t after;
	uint64_t rows, instances, done, bytes;
	uint64_t seq; /* of the instance that is open; 0: none yet */
	uint64_t association;
	json_t *inbound; /* of that association */
};

/* ---- text
 * -------------------------------------------------------------------- */

static enum err add(struct buf *b, const char *text)
{
	return buf_append(b, text, strlen(text));
}

/* One value, compact. '<' never appears: the text stands inside of HTML. */
static enum err add_json(struct buf *b, json_t *j)
{
	char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
	enum err e = text != NULL ? ERR_OK : ERR_NOMEM;
	const char *at = text;

	while (e == ERR_OK && *at != '\0') {
		size_t n = strcspn(at, "<");

		e = buf_append(b, at, n);
		at += n;
		if (e == ERR_OK && *at == '<') {
			e = add(b, "\\u003c");
			at++;
		}
	}
	free(text);
	json_decref(j);
	return e;
}

static json_t *text_or_null(const char *text)
{
	json_t *j = text[0] != '\0' ? json_string(text) : NULL;

	/* AE titles may hold anything */
	return j != NULL || text[0] == '\0' ? (j != NULL ? j : json_null())
					    : json_string("?");
}

static json_t *time_json(int64_t ms)
{
	char when[CLOCK_TEXT_LEN];

	return ms != 0 ? json_string(clock_text(ms, when)) : json_null();
}

static json_t *tls_json(const char *version, const char *suite,
			const char *group, const char *fingerprint,
			const char *subject)
{
	if (version[0] == '\0')
		return json_null();
	return json_pack("{s:s,s:o,s:o,s:o,s:o}", "version", version, "suite",
			 text_or_null(suite), "group", text_or_null(group),
			 "fingerprint", text_or_null(fingerprint), "subject",
			 text_or_null(subject));
}

/* ---- rows
 * --------------------------------------------------------------------- */

static bool on_line(void *arg, const struct view_delivery *d,
		    const struct view_outgoing *out)
{
	struct work *w = arg;

	w->page[w->n].d = *d;
	w->page[w->n].out = out != NULL ? *out : (struct view_outgoing){0};
	w->after = d->delivery;
	return ++w->n < PAGE;
}

static bool on_inbound(void *arg, const struct view_association *v)
{
	const struct ledger_association *a = &v->a;
	struct work *w = arg;

	w->inbound = tls_json(a->tls_version, a->tls_suite, a->tls_group,
			      a->fingerprint, a->subject);
	return true;
}

/* The TLS that an instance came over; null: plaintext, or not known. */
static json_t *inbound(struct work *w, uint64_t association)
{
	if (w->association != association || w->inbound == NULL) {
		json_decref(w->inbound);
		w->inbound = NULL;
		w->association = association;
		if (association == 0 ||
		    ledger_view_association(w->view, association, on_inbound,
					    NULL, w) != ERR_OK ||
		    w->inbound == NULL)
			w->inbound = json_null();
	}
	return json_incref(w->inbound);
}

static json_t *delivery_json(const struct line *l)
{
	const struct view_delivery *d = &l->d;
	char status[8] = "";

	if (d->remote_status >= 0)
		snprintf(status, sizeof(status), "%04X",
			 (unsigned)d->remote_status & 0xffff);
	return json_pack(
	    "{s:s,s:s,s:o,s:i,s:o,s:o,s:o,s:o}", "destination", d->destination,
	    "state", delivery_state_text(d->state), "since",
	    time_json(d->changed_ms != 0 ? d->changed_ms : d->received_ms),
	    "attempts", (int)d->attempts, "status", text_or_null(status),
	    "error", text_or_null(d->last_error), "peer",
	    text_or_null(l->out.peer), "tls",
	    tls_json(l->out.tls_version, l->out.tls_suite, l->out.tls_group,
		     l->out.fingerprint, l->out.subject));
}

/* An instance up to its list of deliveries, which is left open. */
static enum err open_instance(struct work *w, const struct view_delivery *d)
{
	char hash[65];
	json_t *j = json_pack(
	    "{s:o,s:o,s:o,s:o,s:I,s:s,s:o,s:s,s:o,s:o,s:o,s:o}", "sop_instance",
	    text_or_null(d->sop_instance), "sop_class",
	    text_or_null(d->sop_class), "transfer_syntax",
	    text_or_null(d->transfer_syntax), "series", text_or_null(d->series),
	    "bytes", (json_int_t)d->length, "hash",
	    export_hex(d->root, 32, hash), "received",
	    time_json(d->received_ms), "device", d->device, "peer",
	    text_or_null(d->peer), "calling_ae", text_or_null(d->calling_ae),
	    "called_ae", text_or_null(d->called_ae), "tls",
	    inbound(w, d->association));
	enum err e = w->instances++ == 0 ? ERR_OK : add(w->out, "]},\n");

	w->bytes += d->length;
	if (e == ERR_OK)
		e = add_json(w->out, j);
	else
		json_decref(j);
	if (e != ERR_OK)
		return e;
	/* go on inside of the object */
	w->out->len--;
	return add(w->out, ",\"deliveries\":[");
}

static uint64_t rows_max(void)
{
#ifdef CULVERT_TEST_HOOKS
	const char *hook = getenv("CULVERT_TEST_RECEIPT_ROWS");

	if (hook != NULL)
		return strtoull(hook, NULL, 10);
#endif
	return RECEIPT_ROWS_MAX;
}

static enum err add_line(struct work *w, const struct line *l)
{
	bool more = w->seq == l->d.seq;
	enum err e = ERR_OK;

	if (++w->rows > rows_max())
		return ERR_LIMIT;
	if (!more)
		e = open_instance(w, &l->d);
	w->seq = l->d.seq;
	w->done += l->d.state == DELIVERY_DELIVERED ||
		   l->d.state == DELIVERY_COMMITTED ||
		   l->d.state == DELIVERY_UNCOMMITTED;
	if (e == ERR_OK && more)
		e = add(w->out, ",");
	return e == ERR_OK ? add_json(w->out, delivery_json(l)) : e;
}

static enum err add_instances(struct work *w)
{
	enum err e = add(w->out, "\"instances\":[\n");

	do {
		w->n = 0;
		if (e == ERR_OK)
			e = ledger_search_study(w->view, w->job->study,
						w->after, PAGE, on_line, w);
		for (unsigned i = 0; e == ERR_OK && i < w->n; i++)
			e = add_line(w, &w->page[i]);
	} while (e == ERR_OK && w->n > 0);
	if (e == ERR_OK && w->rows == 0)
		return ERR_NOTFOUND;
	return e == ERR_OK ? add(w->out, "]}\n],\n") : e;
}

/* ---- the patient, for an auditor
 * ------------------------------------------------ */

static enum err add_patient(struct work *w)
{
	const struct receipt_job *j = w->job;
	struct ledger_identity who;
	uint8_t sealed[LEDGER_IDENTITY_MAX];
	struct seal *seal = NULL;
	json_t *out = NULL;
	enum err e;
	size_t n;

	if (j->key == NULL)
		return ERR_OK;
	e = ledger_identity_key(j->key, j->spool, &seal);
	if (e == ERR_OK &&
	    ledger_view_identity(w->view, w->seq, sealed, sizeof(sealed), &n) ==
		ERR_OK &&
	    ledger_identity_open(seal, sealed, n, &who) == ERR_OK)
		out = json_pack("{s:o,s:o,s:o}", "name",
				text_or_null(who.patient_name), "id",
				text_or_null(who.patient_id), "accession",
				text_or_null(who.accession));
	mem_wipe(&who, sizeof(who));
	seal_free(seal);
	if (e == ERR_OK && out != NULL) {
		e = add(w->out, "\"patient\":");
		if (e == ERR_OK)
			e = add_json(w->out, out);
		else
			json_decref(out);
		if (e == ERR_OK)
			e = add(w->out, ",\n");
	}
	return e;
}

/* ---- all
 * ------------------------------------------------------------------------- */

static enum err add_head(struct work *w)
{
	const struct receipt_job *j = w->job;
	json_t *head =
	    json_pack("{s:i,s:s,s:s,s:s,s:o,s:s}", "culvert_receipt", 1, "node",
		      j->node, "program", CULVERT_VERSION, "user", j->user,
		      "made", time_json(clock_wall_ms()), "study", j->study);
	enum err e = add_json(w->out, head);

	if (e != ERR_OK)
		return e;
	w->out->len--;
	return add(w->out, ",\n");
}

static enum err add_tail(struct work *w)
{
	char text[200];

	/* what is said first on the page, and known last */
	snprintf(text, sizeof(text),
		 "\"summary\":{\"instances\":%llu,\"bytes\":%llu,"
		 "\"deliveries\":%llu,\"done\":%llu,\"complete\":%s}}\n",
		 (unsigned long long)w->instances, (unsigned long long)w->bytes,
		 (unsigned long long)w->rows, (unsigned long long)w->done,
		 w->done == w->rows ? "true" : "false");
	return add(w->out, text);
}

static enum err sign(struct work *w)
{
	size_t first = strlen(RECEIPT_FIRST);
	struct seal_signer *s = w->job->signer;
	uint8_t sig[SEAL_SIGNATURE_MAX];
	char pem[SEAL_PEM_LEN], id[17], text[128];
	size_t n;
	enum err e = seal_sign(s, buf_data(w->out) + first,
			       buf_len(w->out) - first, sig, &n);

	if (e == ERR_OK)
		e = seal_signer_pem(s, pem);
	if (e != ERR_OK)
		return e;
	(void)export_base64(sig, n, text);
	/* a line that begins with a comma: cut off with it, JSON is left */
	e = add(w->out, ",\"seal\":");
	if (e == ERR_OK)
		e = add_json(w->out, json_pack("{s:s,s:s,s:s}", "key_id",
					       export_hex(seal_signer_id(s),
							  SEAL_KEY_ID_LEN, id),
					       "key", pem, "signature", text));
	return e == ERR_OK ? add(w->out, "}\n") : e;
}

static enum err make(struct work *w)
{
	enum err e = add(w->out, RECEIPT_FIRST);

	if (e == ERR_OK)
		e = add_head(w);
	if (e == ERR_OK)
		e = add_instances(w);
	if (e == ERR_OK)
		e = add_patient(w);
	if (e == ERR_OK)
		e = add_tail(w);
	return e == ERR_OK ? sign(w) : e;
}

static void explain(enum err e, const struct work *w, char why[256])
{
	if (e == ERR_NOTFOUND)
		snprintf(why, 256,
			 "no such study; see culvert transfers search");
	else if (e == ERR_LIMIT)
		snprintf(why, 256,
			 "the study is too large for one page; culvert "
			 "transfers export --study gives all of it");
	else if (ledger_view_why(w->view)[0] != '\0')
		snprintf(why, 256, "%.250s", ledger_view_why(w->view));
	else
		snprintf(why, 256, "%s", err_text(e));
}

enum err receipt_make(const struct receipt_job *j, struct buf *out,
		      char why[256])
{
	struct work w = {.job = j, .out = out};
	enum err e = ledger_view_open(j->records, &w.view, why);

	if (e != ERR_OK)
		return e;
	w.page = mem_zarray(PAGE, sizeof(*w.page));
	e = w.page != NULL ? make(&w) : ERR_NOMEM;
	if (e != ERR_OK)
		explain(e, &w, why);
	json_decref(w.inbound);
	mem_free(w.page);
	ledger_view_close(w.view);
	return e;
}
