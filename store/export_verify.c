#include "store/export_verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/audit_verify.h"
#include "store/export_audit.h"
#include "store/export_read.h"
#include "store/export_transfers.h"

const struct export_table export_table_report = {.name = "report"};

struct export_verify {
	struct export_verify_options o;
	struct export_reader *reader; /* NULL: of a report */
	struct seal_hash *hash;
	struct export_chain *chain; /* transfers; made with the first row */
	struct audit_link link;     /* audit */
	bool chained;               /* a row with a chain was seen */
	bool broken;                /* no more can be read */
	bool nomem;
	uint64_t first, last;
	uint8_t last_chain[32];
	struct audit_row row;
	uint8_t salted[AUDIT_SALT_LEN + EXPORT_CELL_MAX];
	struct export_verdict verdict;
};

static void find(struct export_verify *v, uint64_t row, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void find(struct export_verify *v, uint64_t row, const char *fmt, ...)
{
	struct export_verdict *d = &v->verdict;
	struct export_finding *f;
	va_list args;

	d->good = false;
	if (row != 0)
		d->bad_rows++;
	/* of the rows the first three are enough to show */
	if (d->n == EXPORT_FINDINGS || (row != 0 && d->bad_rows > 3))
		return;
	f = &d->finding[d->n++];
	f->row = row;
	va_start(args, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, args);
	va_end(args);
}

/* ---- rows of the audit ------------------------------------------------------
 */

static bool opened_matches(struct export_verify *v, size_t len)
{
	uint8_t is[AUDIT_CHAIN_LEN];

	if (len == 0)
		return true;
	audit_commitment(v->salted, len, is);
	return memcmp(is, v->row.commitment, sizeof(is)) == 0;
}

static bool consecutive(const struct export_verify *v)
{
	return v->verdict.has_manifest && v->verdict.manifest.contiguous;
}

/* One finding a row at most. */
static void audit_row(struct export_verify *v, const struct export_read_row *in)
{
	struct audit_finding f;
	size_t len;
	const char *bad =
	    export_audit_row(in->cells, export_reader_reveal(v->reader),
			     &v->row, v->salted, &len);

	if (bad != NULL) {
		find(v, in->row,
		     "row %" PRIu64 ": the column %s holds what "
		     "Culvert never writes there",
		     in->row, bad);
		v->link.any = false; /* the next one is judged on its own */
		return;
	}
	v->first = v->first != 0 ? v->first : (uint64_t)v->row.seq;
	v->last = (uint64_t)v->row.seq;
	memcpy(v->last_chain, v->row.chain, sizeof(v->last_chain));
	if (!v->row.has_chain && !v->chained) {
		v->verdict.unchained = true;
		return;
	}
	v->chained = true;
	if (audit_link_row(&v->link, &v->row, consecutive(v), &f) != ERR_OK)
		find(v, in->row, "row %" PRIu64 " (seq %" PRId64 "): %s: %s",
		     in->row, v->row.seq, audit_fault_text(f.fault), f.text);
	else if (!opened_matches(v, len))
		find(v, in->row,
		     "row %" PRIu64 " (seq %" PRId64 "): "
		     "sealed-changed: salt and sealed_value do not give the "
		     "commitment of the row",
		     in->row, v->row.seq);
	else if (in->why != NULL)
		find(v, in->row, "row %" PRIu64 " (seq %" PRId64 "): %s",
		     in->row, v->row.seq, in->why);
}

/* ---- rows of transfers ------------------------------------------------------
 */

static void transfer_row(struct export_verify *v,
			 const struct export_read_row *in)
{
	const struct export_cell *says = &in->cells[EXPORT_TRANSFERS_CHAIN];
	uint64_t id = (uint64_t)in->cells[0].number;
	const uint8_t *is;

	if (v->chain == NULL)
		v->chain = export_chain_new(v->o.table,
					    export_reader_reveal(v->reader),
					    EXPORT_TRANSFERS_CHAIN);
	if (v->chain == NULL) {
		v->nomem = true;
		return;
	}
	v->first = v->first != 0 ? v->first : id;
	v->last = id;
	is = export_chain_row(v->chain, in->cells);
	if (says->none || says->len != 32 || memcmp(says->p, is, 32) != 0)
		find(
		    v, in->row,
		    "row %" PRIu64 " (delivery %" PRIu64 "): it, or "
		    "what stands before it, was changed, taken away, put in or "
		    "moved",
		    in->row, id);
	else if (in->why != NULL)
		find(v, in->row, "row %" PRIu64 " (delivery %" PRIu64 "): %s",
		     in->row, id, in->why);
	if (!says->none && says->len == 32)
		export_chain_set(v->chain, says->p);
	memcpy(v->last_chain, export_chain_now(v->chain), 32);
}

static void on_row(void *arg, const struct export_read_row *in)
{
	struct export_verify *v = arg;

	if (in->cells == NULL) {
		if (in->why == NULL)
			return; /* a message: only the whole can be checked */
		find(v, in->row, "row %" PRIu64 ": %s", in->row, in->why);
		v->link.any = false;
		return;
	}
	if (v->o.table == &export_table_audit)
		audit_row(v, in);
	else
		transfer_row(v, in);
}

/* ---- the manifest
 * ------------------------------------------------------------ */

static void check_signature(struct export_verify *v)
{
	const struct export_manifest *m = &v->verdict.manifest;
	const struct seal_verifier *key = v->o.key;
	struct seal_verifier *own = NULL;
	char why[SEAL_WHY_LEN], id[2][17];

	if (key == NULL) {
		v->verdict.own_key = true;
		if (seal_verifier_new(m->key, &own, why) != ERR_OK) {
			find(v, 0, "manifest: its key is none: %s", why);
			return;
		}
		key = own;
	}
	if (memcmp(seal_verifier_id(key), m->key_id, SEAL_KEY_ID_LEN) != 0)
		find(v, 0,
		     "manifest: made with the key %s, and not with %s, "
		     "which it is checked with",
		     export_hex(m->key_id, SEAL_KEY_ID_LEN, id[0]),
		     export_hex(seal_verifier_id(key), SEAL_KEY_ID_LEN, id[1]));
	else if (export_manifest_check(key, m) != ERR_OK)
		find(v, 0,
		     "manifest: its signature is not valid: it was "
		     "changed after it was signed, or the signature was");
	seal_verifier_free(own);
}

static void read_manifest(struct export_verify *v)
{
	struct export_manifest *m = &v->verdict.manifest;

	if (v->o.manifest == NULL)
		return;
	if (export_manifest_parse(v->o.manifest, v->o.manifest_len, m) !=
	    ERR_OK) {
		find(v, 0,
		     "manifest: it is not written the way Culvert writes "
		     "it: changed, cut off, or of another version");
		return;
	}
	v->verdict.has_manifest = true;
	if (strcmp(m->table, v->o.table->name) != 0)
		find(v, 0, "manifest: it is of an export of %s, not of %s",
		     m->table, v->o.table->name);
	check_signature(v);
}

static void compare_ends(struct export_verify *v)
{
	const struct export_manifest *m = &v->verdict.manifest;

	if (v->verdict.rows == 0 || v->reader == NULL ||
	    export_reader_format(v->reader) == EXPORT_DICOM)
		return;
	if (v->first != m->first)
		find(v, 0,
		     "the first row is %" PRIu64 ", and the manifest says "
		     "%" PRIu64,
		     v->first, m->first);
	if (v->last != m->last)
		find(v, 0,
		     "the last row is %" PRIu64 ", and the manifest says "
		     "%" PRIu64,
		     v->last, m->last);
	else if (memcmp(v->last_chain, m->chain, 32) != 0)
		find(v, 0,
		     "the chain of the last row is not the one in the "
		     "manifest");
}

static void compare(struct export_verify *v)
{
	const struct export_manifest *m = &v->verdict.manifest;
	uint8_t sha[32];

	seal_hash_end(v->hash, sha);
	if (!v->verdict.has_manifest)
		return;
	if (v->reader == NULL)
		v->verdict.rows = m->totals.rows;
	else if (v->verdict.rows != m->totals.rows)
		find(v, 0,
		     "the file has %" PRIu64 " rows, and the manifest says "
		     "%" PRIu64,
		     v->verdict.rows, m->totals.rows);
	compare_ends(v);
	if (v->verdict.bytes != m->totals.bytes ||
	    memcmp(sha, m->totals.sha256, 32) != 0)
		find(v, 0,
		     "the file is not byte for byte the one that the "
		     "manifest was made for (%" PRIu64 " bytes, and "
		     "%" PRIu64 " were written)",
		     v->verdict.bytes, m->totals.bytes);
}

/* ---- all
 * ----------------------------------------------------------------------- */

enum err export_verify_new(const struct export_verify_options *o,
			   struct export_verify **out)
{
	struct export_verify *v = mem_zalloc(sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM;
	v->o = *o;
	v->verdict.good = true;
	v->hash = seal_hash_new();
	if (v->hash == NULL ||
	    (o->table != &export_table_report &&
	     export_reader_new(o->table, on_row, v, &v->reader) != ERR_OK)) {
		export_verify_free(v);
		return ERR_NOMEM;
	}
	read_manifest(v);
	*out = v;
	return ERR_OK;
}

static enum err read_failed(struct export_verify *v, enum err e)
{
	if (e != ERR_CORRUPT)
		return e;
	v->broken = true;
	find(v, 0, "after row %" PRIu64 ": %s", export_reader_rows(v->reader),
	     export_reader_why(v->reader));
	return ERR_OK;
}

enum err export_verify_feed(struct export_verify *v, const void *p, size_t n)
{
	enum err e = ERR_OK;

	seal_hash_update(v->hash, p, n);
	v->verdict.bytes += n;
	if (v->reader != NULL && !v->broken)
		e = export_reader_feed(v->reader, p, n);
	if (e != ERR_OK)
		e = read_failed(v, e);
	return v->nomem ? ERR_NOMEM : e;
}

const struct export_verdict *export_verify_end(struct export_verify *v)
{
	if (v->reader != NULL && !v->broken) {
		enum err e = export_reader_end(v->reader);

		if (e != ERR_OK && read_failed(v, e) != ERR_OK)
			find(v, 0, "out of memory");
	}
	if (v->reader != NULL)
		v->verdict.rows = export_reader_rows(v->reader);
	compare(v);
	return &v->verdict;
}

void export_verify_free(struct export_verify *v)
{
	if (v == NULL)
		return;
	export_reader_free(v->reader);
	export_chain_free(v->chain);
	seal_hash_free(v->hash);
	mem_wipe(v->salted, sizeof(v->salted));
	mem_free(v);
}
