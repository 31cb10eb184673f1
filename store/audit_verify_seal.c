/* audit_verify_seal.c - sealed values: there, changed, or erased on record. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/audit_erase.h"
#include "store/audit_verify_int.h"
#include "store/seal.h"

/* A hold keeps a month beyond a later one: the row that erased something in it
 * may be pruned. */
static bool is_pruned(const struct audit_check *c, int64_t seq)
{
	struct audit_run run;

	return c->pruned != NULL &&
	       audit_pruned_next(c->pruned, seq, &run) == ERR_OK &&
	       run.first <= seq;
}

static void look_erasure(struct audit_check *c, int64_t by)
{
	struct audit_row row;
	enum err e = audit_check_row(c, by, &row);

	c->erasure = by;
	c->erasure_study[0] = '\0';
	c->erasure_before_ms = INT64_MAX;
	c->erasure_good = e == ERR_OK ? row.kind == AUDIT_ERASED
				      : e == ERR_NOTFOUND && is_pruned(c, by);
	if (e != ERR_OK || !c->erasure_good)
		return;
	memcpy(c->erasure_study, row.study, sizeof(row.study));
	c->erasure_before_ms = audit_erase_before(row.detail);
}

/* Whether the row that is said to have erased it did. */
static bool explained(struct audit_check *c, const struct audit_row *r)
{
	if (r->sealed_is != AUDIT_SEALED_ERASED)
		return false;
	if (c->erasure != r->erased_by)
		look_erasure(c, r->erased_by);
	if (!c->erasure_good || r->erased_by <= r->seq)
		return false;
	if (c->erasure_study[0] != '\0')
		return strcmp(c->erasure_study, r->study) == 0;
	return r->wall_ms < c->erasure_before_ms;
}

void audit_check_sealed(struct audit_check *c, const struct audit_row *r,
			const char *file)
{
	uint8_t hash[AUDIT_CHAIN_LEN];

	switch (r->sealed_is) {
	case AUDIT_SEALED_NONE:
		return;
	case AUDIT_SEALED_HERE:
		if (!r->has_chain || r->sealed == NULL)
			return;
		seal_digest(r->sealed, r->sealed_len, hash);
		if (memcmp(hash, r->sealed_hash, sizeof(hash)) != 0)
			audit_check_say(c, AUDIT_FAULT_SEALED_CHANGED, r->seq,
					file,
					"the sealed value of row %lld was "
					"changed",
					(long long)r->seq);
		return;
	case AUDIT_SEALED_ERASED:
	case AUDIT_SEALED_MISSING:
		break;
	}
	if (explained(c, r))
		c->r->erased++;
	else
		audit_check_say(c, AUDIT_FAULT_SEALED_MISSING, r->seq, file,
				"the sealed value of row %lld is gone, and no "
				"erasure on record covers it",
				(long long)r->seq);
}
