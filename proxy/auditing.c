#include "proxy/auditing.h"

#include <inttypes.h>
#include <stdio.h>

#include "proxy/control_io.h"
#include "proxy/lib/mem.h"
#include "store/audit_read.h"
#include "store/audit_verify.h"

/* ---- heads that came over a link --------------------------------------------
 */

/* The row's detail as it came. False: it is not one. */
static bool head_text(const char *detail, char text[AUDIT_HEAD_FILE_LEN])
{
	const char *node, *log, *chain, *time, *key, *sig;
	json_int_t number, seq;
	struct audit_head h;
	json_t *j = json_loads(detail, 0, NULL);
	bool good;
	int n;

	good = json_unpack(j, "{s:s,s:s,s:I,s:I,s:s,s:s,s:s,s:s}", "node",
			   &node, "log", &log, "number", &number, "seq", &seq,
			   "chain", &chain, "time", &time, "key", &key,
			   "signature", &sig) == 0;
	if (good) {
		n = snprintf(text, AUDIT_HEAD_FILE_LEN,
			     "culvert audit head 1\nnode: %s\nlog: %s\n"
			     "number: %" JSON_INTEGER_FORMAT
			     "\nseq: %" JSON_INTEGER_FORMAT
			     "\nchain: %s\ntime: %s\nkey: %s\n"
			     "signature: %s\n",
			     node, log, number, seq, chain, time, key, sig);
		good = n > 0 && n < AUDIT_HEAD_FILE_LEN &&
		       audit_head_parse(text, (size_t)n, &h) == ERR_OK;
	}
	json_decref(j);
	return good;
}

static bool give_head(const struct audit_row *r, reading_row_fn *row, void *arg)
{
	char text[AUDIT_HEAD_FILE_LEN];
	json_t *j = head_text(r->detail, text)
			? json_pack("{s:s}", "head", text)
			: json_pack("{s:I}", "seq", (json_int_t)r->seq);
	bool good = j != NULL && row(arg, j);

	json_decref(j);
	return good;
}

static json_t *all_heads(struct audit_reader *reader, reading_row_fn *row,
			 void *arg)
{
	const struct audit_row *r;
	enum err e;

	while ((e = audit_read_next(reader, &r)) == ERR_OK && r != NULL)
		if (!give_head(r, row, arg))
			return NULL;
	return e == ERR_OK ? json_pack("{s:b}", "ok", 1)
			   : control_error(audit_read_why(reader));
}

json_t *auditing_heads(const char *records, const char *device,
		       reading_row_fn *row, void *arg)
{
	static const int32_t kinds[] = {AUDIT_HEAD_RECEIVED};
	struct audit_filter filter = {
	    .device = device, .kinds = kinds, .n_kinds = 1};
	char why[AUDIT_WHY_LEN] = "";
	struct audit_reader *r;
	enum err e = audit_read_open(records, &filter, &r, why);
	json_t *answer;

	if (e != ERR_OK)
		return control_error(why[0] != '\0' ? why : err_text(e));
	answer = all_heads(r, row, arg);
	audit_read_close(r);
	return answer;
}

/* ---- the check
 * ---------------------------------------------------------------
 */

enum err auditing_add_head(struct auditing *a, const char *text, size_t len)
{
	size_t room = a->room == 0 ? 16 : 2 * a->room;
	struct audit_head *more, h;

	if (len > AUDIT_HEAD_FILE_LEN ||
	    audit_head_parse(text, len, &h) != ERR_OK)
		return ERR_INVAL;
	if (a->n_heads == AUDITING_HEADS_MAX)
		return ERR_LIMIT;
	if (a->n_heads == a->room) {
		more = mem_realloc(a->heads, room * sizeof(*more));
		if (more == NULL)
			return ERR_NOMEM;
		a->heads = more;
		a->room = room;
	}
	a->heads[a->n_heads++] = h;
	return ERR_OK;
}

void auditing_free(struct auditing *a)
{
	for (size_t i = 0; i < a->n_keys; i++)
		seal_verifier_free(a->keys[i]);
	mem_free(a->heads);
	a->n_keys = a->n_heads = a->room = 0;
	a->heads = NULL;
}

static json_t *fault(const struct audit_finding *f)
{
	return json_pack("{s:s,s:I,s:s,s:s}", "fault",
			 audit_fault_text(f->fault), "seq", (json_int_t)f->seq,
			 "file", f->file, "text", f->text);
}

static void on_finding(void *arg, const struct audit_finding *f)
{
	struct auditing *a = arg;
	json_t *row;

	if (a->gone || (!a->all && a->shown >= AUDITING_SHOWN))
		return;
	a->shown++;
	row = fault(f);
	a->gone = row == NULL || !a->row(a->arg, row);
	json_decref(row);
}

static bool on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct auditing *a = arg;

	return !a->gone && a->progress(a->arg, done, total);
}

static json_t *report(const struct audit_verify_report *r)
{
	char chain[2 * AUDIT_CHAIN_LEN + 1];
	json_t *j = json_pack(
	    "{s:b,s:I,s:I,s:I,s:I,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "whole",
	    r->findings == 0, "rows", (json_int_t)r->rows, "unchained",
	    (json_int_t)r->unchained, "chain_first", (json_int_t)r->chain_first,
	    "last", (json_int_t)r->last, "chain",
	    seal_hex(r->chain, AUDIT_CHAIN_LEN, chain), "heads",
	    (json_int_t)r->heads, "head_last", (json_int_t)r->head_last,
	    "head_last_ms", (json_int_t)r->head_last_ms, "uncovered",
	    (json_int_t)r->uncovered, "pruned", (json_int_t)r->pruned, "erased",
	    (json_int_t)r->erased, "n_faults", (json_int_t)r->findings);

	if (j != NULL && r->findings > 0)
		json_object_set_new(j, "first", fault(&r->first));
	return j;
}

json_t *auditing_check(struct auditing *a)
{
	struct audit_verify_options o = {.dir = a->dir,
					 .keys = a->keys,
					 .n_keys = a->n_keys,
					 .known = a->heads,
					 .n_known = a->n_heads,
					 .finding = on_finding,
					 .progress = on_progress,
					 .arg = a};
	struct audit_verify_report r;
	char why[AUDIT_WHY_LEN] = "";
	enum err e = audit_verify(&o, &r, why);

	if (e == ERR_OK || (e == ERR_CORRUPT && !a->gone))
		return json_pack("{s:b,s:o}", "ok", 1, "report", report(&r));
	if (e == ERR_CANCELED || e == ERR_NOMEM || a->gone)
		return NULL;
	return control_error(why[0] != '\0' ? why : err_text(e));
}
