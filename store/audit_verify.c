#include "store/audit_verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/audit_verify_int.h"

enum { PROGRESS_EVERY = 1024 };

bool audit_check_goes_on(struct audit_check *c)
{
	const struct audit_verify_options *o = c->o;

	if (!c->stopped && o->progress != NULL)
		c->stopped = !o->progress(o->arg, c->r->rows, c->total);
	return !c->stopped;
}

const char *audit_fault_text(enum audit_fault f)
{
	switch (f) {
#define X(name, text)                                                          \
	case AUDIT_FAULT_##name:                                               \
		return text;
		AUDIT_FAULT_MAP(X)
#undef X
	}
	return "unknown";
}

void audit_check_say(struct audit_check *c, enum audit_fault fault, int64_t seq,
		     const char *file, const char *fmt, ...)
{
	struct audit_finding f = {.fault = fault, .seq = seq};
	va_list ap;

	snprintf(f.file, sizeof(f.file), "%s", file);
	va_start(ap, fmt);
	(void)vsnprintf(f.text, sizeof(f.text), fmt, ap);
	va_end(ap);
	/* the lowest row; what names no row does not hide one that does */
	if (c->r->findings == 0 ||
	    (seq > 0 && (c->r->first.seq == 0 || seq < c->r->first.seq)))
		c->r->first = f;
	c->r->findings++;
	if (c->o->finding != NULL)
		c->o->finding(c->o->arg, &f);
}

const struct seal_verifier *audit_check_key(const struct audit_check *c,
					    const uint8_t id[SEAL_KEY_ID_LEN])
{
	for (size_t i = 0; i < c->o->n_keys; i++)
		if (memcmp(seal_verifier_id(c->o->keys[i]), id,
			   SEAL_KEY_ID_LEN) == 0)
			return c->o->keys[i];
	return NULL;
}

enum err audit_check_row(struct audit_check *c, int64_t seq,
			 struct audit_row *out)
{
	struct audit_filter filter = {.from_seq = seq, .to_seq = seq};
	struct audit_reader *reader;
	const struct audit_row *row = NULL;
	enum err e = audit_read_open(c->o->dir, &filter, &reader, c->why);

	if (e != ERR_OK)
		return e;
	do /* a damaged file has been named already */
		e = audit_read_next(reader, &row);
	while (e == ERR_CORRUPT);
	if (e == ERR_OK && row == NULL)
		e = ERR_NOTFOUND;
	if (e == ERR_OK) {
		*out = *row;
		out->sealed = NULL;
	}
	audit_read_close(reader);
	return e;
}

/* ---- one row ---------------------------------------------------------------
 */

static bool same(const uint8_t a[AUDIT_CHAIN_LEN],
		 const uint8_t b[AUDIT_CHAIN_LEN])
{
	return memcmp(a, b, AUDIT_CHAIN_LEN) == 0;
}

static bool is_genesis(const struct audit_check *c, const struct audit_row *r)
{
	uint8_t genesis[AUDIT_CHAIN_LEN];

	audit_row_genesis(c->log, r->seq, genesis);
	return c->has_log && r->has_chain && same(genesis, r->prev_chain);
}

static void look_number(struct audit_check *c, const struct audit_row *r,
			const char *file, bool *joined)
{
	int64_t from = c->seq + 1, to = r->seq - 1;

	*joined = true;
	if (r->seq == c->seq) {
		audit_check_say(c, AUDIT_FAULT_ROW_ADDED, r->seq, file,
				"row %lld is there twice", (long long)r->seq);
		*joined = false;
	}
	if (from > to || (c->seq == 0 && is_genesis(c, r)))
		return;
	if (audit_check_gap(c, from, to))
		return;
	audit_check_say(c, AUDIT_FAULT_ROWS_MISSING, from, file,
			from == to ? "row %lld is not there any more"
				   : "rows %lld to %lld are not there any more",
			(long long)from, (long long)to);
	*joined = false;
}

static void look_unchained(struct audit_check *c, const struct audit_row *r,
			   const char *file)
{
	if (!c->began)
		c->r->unchained++;
	else
		audit_check_say(c, AUDIT_FAULT_CHAIN_MISSING, r->seq, file,
				"row %lld has no hash, though the chain begins "
				"at row %lld",
				(long long)r->seq,
				(long long)c->r->chain_first);
}

static void look_order(struct audit_check *c, const struct audit_row *r,
		       const char *file)
{
	if (!c->began && !is_genesis(c, r))
		audit_check_say(c, AUDIT_FAULT_ORDER, r->seq, file,
				"the chain cannot begin at row %lld: rows "
				"before it had one",
				(long long)r->seq);
	if (c->began && !same(c->chain, r->prev_chain))
		audit_check_say(c, AUDIT_FAULT_ORDER, r->seq, file,
				"row %lld does not follow the row before as it "
				"is now: one of the two was put there or "
				"changed",
				(long long)r->seq);
}

static void look_hash(struct audit_check *c, const struct audit_row *r,
		      const char *file)
{
	uint8_t hash[AUDIT_CHAIN_LEN];

	if (r->malformed != NULL) {
		audit_check_say(c, AUDIT_FAULT_ROW_MALFORMED, r->seq, file,
				"row %lld was changed: column %s holds what is "
				"never written there",
				(long long)r->seq, r->malformed);
		return;
	}
	if (!r->has_chain)
		return;
	audit_row_hash(r, r->prev_chain, hash);
	if (!same(hash, r->chain))
		audit_check_say(c, AUDIT_FAULT_ROW_CHANGED, r->seq, file,
				"row %lld was changed: its fields do not give "
				"its hash",
				(long long)r->seq);
}

static void look_row(struct audit_check *c, const struct audit_row *r,
		     const char *file)
{
	bool joined;

	look_number(c, r, file, &joined);
	look_hash(c, r, file);
	if (!r->has_chain) {
		look_unchained(c, r, file);
	} else {
		if (joined)
			look_order(c, r, file);
		if (!c->began)
			c->r->chain_first = r->seq;
		c->began = true;
		memcpy(c->chain, r->chain, AUDIT_CHAIN_LEN);
	}
	audit_check_sealed(c, r, file);
	c->seq = r->seq;
	c->last_ms = r->wall_ms;
	c->last_mono_ns = r->mono_ns;
	memcpy(c->last_boot, r->boot, sizeof(c->last_boot));
	c->r->rows++;
}

/* ---- all rows --------------------------------------------------------------
 */

static enum err walk(struct audit_check *c, struct audit_reader *reader)
{
	const struct audit_row *row = NULL;
	int64_t first, last;
	enum err e;

	do {
		audit_read_span(reader, &first, &last);
		c->total = (uint64_t)(last - first + 1);
		e = audit_read_next(reader, &row);
		if (e == ERR_CORRUPT)
			audit_check_say(c, AUDIT_FAULT_FILE_DAMAGED, 0,
					audit_read_file(reader),
					"the file is damaged: %s",
					audit_read_why(reader));
		else if (e == ERR_OK && row != NULL)
			look_row(c, row, audit_read_file(reader));
		if (c->r->rows % PROGRESS_EVERY == 0 && !audit_check_goes_on(c))
			return ERR_CANCELED;
	} while (e == ERR_CORRUPT || (e == ERR_OK && row != NULL));
	if (e != ERR_OK)
		snprintf(c->why, sizeof(c->why), "%s", audit_read_why(reader));
	return e;
}

static enum err look_rows(struct audit_check *c)
{
	struct audit_filter filter = {.sealed = true};
	struct audit_reader *reader;
	enum err e = audit_read_open(c->o->dir, &filter, &reader, c->why);

	if (e != ERR_OK)
		return e;
	e = walk(c, reader);
	audit_read_close(reader);
	c->r->last = c->seq;
	memcpy(c->r->chain, c->chain, sizeof(c->chain));
	return e;
}

/* Before the rows: what a daemon writes meanwhile has later numbers. */
static void look_ahead(struct audit_check *c)
{
	struct audit_head newest;

	if (audit_head_newest(c->o->dir, &newest) == ERR_OK)
		c->heads_to = newest.number;
	if (audit_pruned_open(c->o->dir, true, &c->pruned, NULL) != ERR_OK)
		c->pruned = NULL;
	c->has_last = c->pruned != NULL &&
		      audit_pruned_last(c->pruned, &c->last) == ERR_OK;
}

enum err audit_verify(const struct audit_verify_options *o,
		      struct audit_verify_report *report,
		      char why[AUDIT_WHY_LEN])
{
	struct audit_check *c = mem_zalloc(sizeof(*c));
	enum err e;

	memset(report, 0, sizeof(*report));
	if (c == NULL)
		return ERR_NOMEM;
	c->o = o;
	c->r = report;
	look_ahead(c);
	e = audit_check_files(c);
	if (e == ERR_OK)
		e = audit_check_runs(c);
	if (e == ERR_OK)
		e = look_rows(c);
	if (e == ERR_OK)
		e = audit_check_heads(c);
	if (e != ERR_OK)
		snprintf(why, AUDIT_WHY_LEN, "%s",
			 c->why[0] != '\0' ? c->why : err_text(e));
	else if (report->findings > 0)
		e = ERR_CORRUPT;
	audit_pruned_close(c->pruned);
	mem_free(c);
	return e;
}
