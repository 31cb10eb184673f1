/* ledger_repeat.c - what was decided is written to the spool again, because the
 * segment in which it stands is to go. */
#include "store/ledger_subject.h"

static enum outcome_kind outcome_of(const struct delivery *d)
{
	switch (d->state) {
	case DELIVERY_QUEUED:
		return OUTCOME_RELEASED;
	case DELIVERY_HELD:
		return OUTCOME_HELD;
	case DELIVERY_QUARANTINED:
		return OUTCOME_QUARANTINED;
	case DELIVERY_ARRIVED:
		return OUTCOME_ARRIVED;
	case DELIVERY_COMMITTED:
		return OUTCOME_COMMITTED;
	case DELIVERY_DELIVERED:
	case DELIVERY_UNCOMMITTED:
		return d->last_error[0] != '\0' ? OUTCOME_DELIVERED_FLAGGED
						: OUTCOME_DELIVERED;
	case DELIVERY_WITHDRAWN:
		return d->target[0] != '\0' ? OUTCOME_REDIRECTED
					    : OUTCOME_WITHDRAWN;
	case DELIVERY_DISCARDED:
		return OUTCOME_DISCARDED;
	}
	return OUTCOME_HELD;
}

enum err ledger_repeat_outcomes(struct ledger *l, uint64_t seq)
{
	struct subject s;
	enum err e = subject_read(l, seq, &s);

	for (size_t i = 0; e == ERR_OK && i < s.n; i++) {
		const struct delivery *d = &s.deliveries[i];
		const struct mirror_destination *to =
		    mirror_destination_by_id(&l->m, d->destination);
		struct outcome o = {.id = s.id,
				    .kind = outcome_of(d),
				    .at_ms = d->changed_ms,
				    .repeated = true};

		if (to == NULL)
			return ERR_CORRUPT;
		if (d->outcome_segment == NO_SEGMENT)
			continue;
		if (d->remote_status > 0)
			o.status = (uint16_t)d->remote_status;
		INSTANCE_SET(o.destination, to->name);
		INSTANCE_SET(o.target, d->target);
		if (spool_outcome(l->spool, &o) == ERR_BUSY)
			break; /* its segment stays pinned: again later */
	}
	return e;
}
