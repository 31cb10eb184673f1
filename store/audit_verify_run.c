/* audit_verify_run.c - months that were pruned. */
#include <string.h>

#include "store/audit_verify_int.h"

#define PRUNED "audit-pruned.db"

static void look_run(struct audit_check *c, const struct audit_run *run)
{
	const struct seal_verifier *key = audit_check_key(c, run->key_id);
	char id[SEAL_KEY_ID_TEXT];

	if (key == NULL)
		audit_check_say(c, AUDIT_FAULT_HEAD_KEY, run->first, PRUNED,
				"rows %lld to %lld were pruned under the key "
				"%s, which is not given",
				(long long)run->first, (long long)run->last,
				seal_key_id_text(run->key_id, id));
	else if (audit_run_check(key, run) != ERR_OK)
		audit_check_say(c, AUDIT_FAULT_RUN_FORGED, run->first, PRUNED,
				"what stands for the pruned rows %lld to %lld "
				"was changed: its signature is no good",
				(long long)run->first, (long long)run->last);
	if (c->has_log && memcmp(c->log, run->log, sizeof(c->log)) != 0)
		audit_check_say(c, AUDIT_FAULT_FILE_FOREIGN, run->first, PRUNED,
				"the pruned rows %lld to %lld are of another "
				"audit",
				(long long)run->first, (long long)run->last);
}

enum err audit_check_runs(struct audit_check *c)
{
	struct audit_run run;
	int64_t seq = 0;

	if (c->pruned == NULL)
		return ERR_OK;
	while (audit_pruned_next(c->pruned, seq, &run) == ERR_OK) {
		look_run(c, &run);
		if (run.last < seq) /* not of our making */
			break;
		seq = run.last + 1;
	}
	return ERR_OK;
}

/* A run that begins where the chain stands. */
static bool joins(struct audit_check *c, const struct audit_run *run)
{
	uint8_t genesis[AUDIT_CHAIN_LEN];
	const uint8_t *before = c->chain;

	if (!run->has_chain)
		return !c->began;
	if (!c->began) {
		audit_row_genesis(c->log, run->first, genesis);
		before = genesis;
	}
	if (memcmp(before, run->prev, AUDIT_CHAIN_LEN) != 0)
		audit_check_say(c, AUDIT_FAULT_RUN_DIFFERS, run->first, PRUNED,
				"the pruned rows %lld to %lld do not follow "
				"the row before",
				(long long)run->first, (long long)run->last);
	if (!c->began)
		c->r->chain_first = run->first;
	c->began = true;
	memcpy(c->chain, run->chain, AUDIT_CHAIN_LEN);
	return true;
}

bool audit_check_gap(struct audit_check *c, int64_t from, int64_t to)
{
	while (from <= to) {
		struct audit_run run;

		if (c->pruned == NULL ||
		    audit_pruned_next(c->pruned, from, &run) != ERR_OK)
			return false;
		/* with nothing before it, the first run may begin the chain */
		if (c->seq == 0 && run.first > from && !c->began &&
		    run.first <= to)
			from = run.first;
		if (run.first != from || run.last > to || !joins(c, &run))
			return false;
		c->r->pruned += (uint64_t)(run.last - run.first + 1);
		c->seq = run.last;
		from = run.last + 1;
	}
	return true;
}
