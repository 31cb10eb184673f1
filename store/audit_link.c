/* audit_link.c - rows one after the other, wherever they come from. */
#include <stdio.h>
#include <string.h>

#include "store/audit_verify.h"

static enum err found(struct audit_finding *f, enum audit_fault fault,
		      int64_t seq, const char *text)
{
	*f = (struct audit_finding){.fault = fault, .seq = seq};
	snprintf(f->text, sizeof(f->text), "row %lld: %s", (long long)seq,
		 text);
	return ERR_CORRUPT;
}

static enum err follow(const struct audit_link *l, const struct audit_row *r,
		       struct audit_finding *f)
{
	if (r->seq <= l->seq)
		return found(f, AUDIT_FAULT_ORDER, r->seq,
			     "comes after a later or the same one");
	if (r->seq != l->seq + 1)
		return found(f, AUDIT_FAULT_ROWS_MISSING, l->seq + 1,
			     "is missing");
	if (memcmp(r->prev_chain, l->chain, AUDIT_CHAIN_LEN) != 0)
		return found(f, AUDIT_FAULT_ORDER, r->seq,
			     "does not follow the row before");
	return ERR_OK;
}

enum err audit_link_row(struct audit_link *l, const struct audit_row *r,
			bool consecutive, struct audit_finding *f)
{
	uint8_t hash[AUDIT_CHAIN_LEN];
	enum err e = ERR_OK;

	if (r->malformed != NULL)
		e = found(f, AUDIT_FAULT_ROW_MALFORMED, r->seq, r->malformed);
	audit_row_hash(r, r->prev_chain, hash);
	if (e == ERR_OK && r->has_chain &&
	    memcmp(hash, r->chain, sizeof(hash)) != 0)
		e = found(f, AUDIT_FAULT_ROW_CHANGED, r->seq,
			  "its fields do not give its hash");
	if (e == ERR_OK && l->any && r->has_chain && consecutive)
		e = follow(l, r, f);
	if (e == ERR_OK && l->any && !consecutive && r->seq <= l->seq)
		e = found(f, AUDIT_FAULT_ORDER, r->seq,
			  "comes after a later or the same one");
	l->any = true;
	l->seq = r->seq;
	memcpy(l->chain, r->chain, sizeof(l->chain));
	return e;
}
