/* ledger_outcome.c - what became of an instance at a destination.
 *
 *   queued <-> held, quarantined (HELD, QUARANTINED, RELEASED)
 *   any of these -> arrived (ARRIVED at the far end of a link), which
 *   DELIVERED ends, and RELEASED, HELD, QUARANTINED take back
 *   any of these -> uncommitted (DELIVERED, where the destination must commit)
 *   uncommitted -> committed (COMMITTED), queued again (RELEASED), quarantined
 *   any open one -> delivered, withdrawn, discarded: final, except that
 *   delivered wins over the other two: it did arrive
 *   REDIRECTED: withdrawn here, and queued (again) at the target
 *
 * When no delivery of an instance needs the bytes it is finished: its chunk
 * rows go, and with them its hold on segments. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger_subject.h"

static bool is_open(enum delivery_state s)
{
	return s == DELIVERY_QUEUED || s == DELIVERY_HELD;
}

static bool is_final(enum delivery_state s)
{
	return !delivery_state_keeps(s);
}

/* It is there, or at the far end of a link. */
static bool is_there(enum delivery_state s)
{
	return s == DELIVERY_DELIVERED || s == DELIVERY_UNCOMMITTED ||
	       s == DELIVERY_COMMITTED || s == DELIVERY_ARRIVED;
}

/* For the search; what is not final has indexes of its own. */
static enum err mark_state(struct ledger *l, const struct delivery *d)
{
	char number[4];

	if (!is_final(d->state))
		return ERR_OK;
	snprintf(number, sizeof(number), "%u", (unsigned)d->state % 100);
	return ledger_mark(l, MARK_STATE, d->id >> LEDGER_DELIVERY_BITS,
			   number);
}

/* Counters and the map of open UIDs follow a change of state. */
static enum err account(struct ledger *l, struct subject *s,
			const struct delivery *d, enum delivery_state was)
{
	struct mirror_destination *to =
	    mirror_destination_by_id(&l->m, d->destination);
	uint64_t key = ledger_uid_key(d->uid_hash, d->destination);
	enum err e;

	if (to == NULL)
		return ERR_CORRUPT;
	if (was == d->state) {
		if (was == DELIVERY_QUEUED) /* released: try at once */
			to->newly_queued++;
		return ERR_OK;
	}
	s->changed = true;
	mirror_count(to, was, s->length, false);
	mirror_count(to, d->state, s->length, true);
	e = mark_state(l, d);
	if (e == ERR_OK && !s->is_message && is_there(d->state) &&
	    !is_there(was))
		e = ledger_owed_sent(l, d->destination, s->series, s->length,
				     d->changed_ms);
	if (e != ERR_OK)
		return e;
	if (is_open(was) && !is_open(d->state))
		return ledger_uid_shut(l, key, d->id);
	if (!is_open(was) && is_open(d->state))
		return ledger_uid_open(l, key, d->id);
	return ERR_OK;
}

static bool all_final(const struct subject *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (!is_final(s->deliveries[i].state))
			return false;
	return true;
}

static enum err drop_chunks(struct ledger *l, uint64_t seq)
{
	sqlite3_stmt *st = l->st[ST_CHUNKS_OF];
	bool row;
	enum err e;

	db_bind_u64(st, 1, seq);
	db_bind_int(st, 2, 0);
	db_bind_int(st, 3, INT64_MAX);
	e = db_row(st, &row);
	while (e == ERR_OK && row) {
		struct place p = {(uint32_t)db_u64(st, 1),
				  (uint32_t)db_u64(st, 2)};

		space_unpin(&l->m, &p, (uint32_t)db_u64(st, 3));
		e = db_row(st, &row);
	}
	(void)sqlite3_reset(st);
	if (e != ERR_OK)
		return e;
	st = l->st[ST_CHUNKS_DELETE];
	db_bind_u64(st, 1, seq);
	return db_run(st);
}

static enum err shut_message(struct ledger *l, const struct subject *s)
{
	sqlite3_stmt *st = l->st[ST_MESSAGE_SHUT];

	if (!s->is_message)
		return ERR_OK;
	db_bind_u64(st, 1, s->seq);
	return db_run(st);
}

/* Every delivery is done: the bytes are not needed any more. */
static enum err finish(struct ledger *l, struct subject *s)
{
	uint64_t key = ledger_transfer_key(&s->id);
	enum err e = drop_chunks(l, s->seq);

	if (e == ERR_OK)
		e = shut_message(l, s);
	for (size_t i = 0; e == ERR_OK && i < s->n; i++) {
		struct delivery *d = &s->deliveries[i];

		if (d->outcome_segment == NO_SEGMENT)
			continue;
		e = delivery_pin(l, d, NO_SEGMENT);
		if (e == ERR_OK)
			e = delivery_write_pin(l, d);
	}
	if (e != ERR_OK)
		return e;
	ledger_map_delete(&l->m.transfers, key);
	if (l->rebuilding)
		e = ledger_map_set(&l->m.finished, key, 1);
	return e;
}

/* ---- one outcome -------------------------------------------------------- */

/* What was given up or committed before does not wait for commitment. */
static enum delivery_state delivered(const struct delivery *d)
{
	if (d->state == DELIVERY_COMMITTED)
		return DELIVERY_COMMITTED;
	return d->commits && !is_final(d->state) ? DELIVERY_UNCOMMITTED
						 : DELIVERY_DELIVERED;
}

/* The state that an outcome leads to. False: it changes nothing. */
static bool next_state(enum outcome_kind k, const struct delivery *d,
		       enum delivery_state *next)
{
	switch (k) {
	case OUTCOME_DELIVERED:
	case OUTCOME_DELIVERED_FLAGGED:
		*next = delivered(d);
		return true;
	case OUTCOME_COMMITTED:
		*next = DELIVERY_COMMITTED;
		return true;
	case OUTCOME_WITHDRAWN:
	case OUTCOME_REDIRECTED:
		*next = DELIVERY_WITHDRAWN;
		break;
	case OUTCOME_DISCARDED:
		/* It is there: only its commitment is given up. */
		*next = d->state == DELIVERY_UNCOMMITTED ? DELIVERY_DELIVERED
							 : DELIVERY_DISCARDED;
		break;
	case OUTCOME_ARRIVED:
		if (d->state == DELIVERY_UNCOMMITTED)
			return false; /* further than that already */
		*next = DELIVERY_ARRIVED;
		break;
	case OUTCOME_HELD:
		*next = DELIVERY_HELD;
		break;
	case OUTCOME_QUARANTINED:
		*next = DELIVERY_QUARANTINED;
		break;
	case OUTCOME_RELEASED:
		*next = DELIVERY_QUEUED;
		break;
	case OUTCOME_ABANDONED:
	case OUTCOME_RESTART:
	case OUTCOME_KEPT:
		return false;
	}
	/* The same again only moves the pin. */
	return !is_final(d->state) || d->state == *next;
}

static void describe(struct delivery *d, const struct outcome *o,
		     enum delivery_state was)
{
	if (d->state == was && o->kind != OUTCOME_RELEASED)
		return;
	d->changed_ms = o->at_ms;
	switch (o->kind) {
	case OUTCOME_DELIVERED:
	case OUTCOME_DELIVERED_FLAGGED:
		if (was != DELIVERY_ARRIVED) /* counted then */
			d->attempts++;
		d->remote_status = o->status;
		snprintf(d->last_error, sizeof(d->last_error), "%s",
			 o->kind == OUTCOME_DELIVERED_FLAGGED ? LEDGER_FLAGGED
							      : "");
		break;
	case OUTCOME_ARRIVED:
		d->attempts++;
		/* What the far end said of it may be here before. */
		if (strstr(d->last_error, LEDGER_FAR_END) != NULL)
			break;
		d->remote_status = -1;
		d->last_error[0] = '\0';
		break;
	case OUTCOME_COMMITTED:
		/* Whether it was flagged stays; notes of attempts do not. */
		if (was != DELIVERY_UNCOMMITTED && was != DELIVERY_DELIVERED)
			d->last_error[0] = '\0';
		break;
	case OUTCOME_REDIRECTED:
		memcpy(d->target, o->target, sizeof(d->target));
		snprintf(d->last_error, sizeof(d->last_error),
			 "redirected to %s", o->target);
		break;
	case OUTCOME_RELEASED:
		d->attempts = 0;
		d->target[0] = '\0';
		d->last_error[0] = '\0';
		d->remote_status = -1;
		break;
	case OUTCOME_HELD:
	case OUTCOME_QUARANTINED:
		if (o->status != 0)
			d->remote_status = o->status;
		break;
	case OUTCOME_DISCARDED:
		if (was == DELIVERY_UNCOMMITTED)
			snprintf(d->last_error, sizeof(d->last_error), "%s",
				 "delivered; its commitment was given up");
		else if (was == DELIVERY_ARRIVED)
			snprintf(d->last_error, sizeof(d->last_error), "%s",
				 "given up here; it had arrived at the far "
				 "end of the link");
		break;
	case OUTCOME_WITHDRAWN:
	case OUTCOME_ABANDONED:
	case OUTCOME_RESTART:
	case OUTCOME_KEPT:
		break;
	}
}

/* A repeated one was written when the ledger did not know the newest yet: what
 * is decided already stays. Only while a lost ledger is read anew it may be the
 * last that is left. */
static bool is_stale(const struct ledger *l, const struct delivery *d,
		     const struct outcome *o)
{
	enum delivery_state next = d->state;

	if (!o->repeated || d->outcome_segment == NO_SEGMENT ||
	    !next_state(o->kind, d, &next) || next == d->state)
		return false;
	return !l->rebuilding || o->at_ms < d->changed_ms;
}

static enum err apply_to(struct ledger *l, struct subject *s,
			 struct delivery *d, const struct outcome *o,
			 uint32_t segment)
{
	enum delivery_state was = d->state, next = was;
	enum err e;

	if (!next_state(o->kind, d, &next))
		return ERR_OK;
	if (o->repeated && next == was && d->outcome_segment != NO_SEGMENT) {
		e = delivery_pin(l, d, segment);
		return e == ERR_OK ? delivery_write_pin(l, d) : e;
	}
	d->state = next;
	describe(d, o, was);
	e = delivery_pin(l, d, segment);
	if (e == ERR_OK)
		e = delivery_write(l, d);
	return e == ERR_OK ? account(l, s, d, was) : e;
}

/* ---- redirecting -------------------------------------------------------- */

static struct delivery *delivery_to(struct subject *s, int64_t destination)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->deliveries[i].destination == destination)
			return &s->deliveries[i];
	return NULL;
}

static enum err add_delivery(struct ledger *l, struct subject *s,
			     const struct delivery *from,
			     struct mirror_destination *to)
{
	sqlite3_stmt *st = l->st[ST_DELIVERY];
	struct delivery *d = &s->deliveries[s->n];
	enum err e;

	*d = (struct delivery){.id = (s->seq << LEDGER_DELIVERY_BITS) + s->n,
			       .destination = to->id,
			       .state = DELIVERY_QUEUED,
			       .priority = from->priority,
			       .outcome_segment = NO_SEGMENT,
			       .uid_hash = from->uid_hash};
	s->n++;
	db_bind_u64(st, 1, d->id);
	db_bind_int(st, 2, to->id);
	db_bind_int(st, 3, (int64_t)d->state);
	db_bind_int(st, 4, d->priority);
	db_bind_int(st, 5, from->changed_ms);
	db_bind_u64(st, 6, d->uid_hash);
	(void)sqlite3_bind_null(st, 7);
	(void)sqlite3_bind_null(st, 8);
	e = db_run(st);
	if (e != ERR_OK)
		return e;
	s->changed = true;
	mirror_count(to, d->state, s->length, true);
	e = ledger_mark(l, MARK_DESTINATION, s->seq, to->name);
	if (e != ERR_OK)
		return e;
	return ledger_uid_open(l, ledger_uid_key(d->uid_hash, to->id), d->id);
}

/* What is queued, held or delivered at the target already stays so. */
static enum err queue_at(struct ledger *l, struct subject *s,
			 struct delivery *from, const struct outcome *o)
{
	struct outcome again = {.kind = OUTCOME_RELEASED, .at_ms = o->at_ms};
	struct mirror_destination *to;
	struct delivery *d;
	enum delivery_state was;
	enum err e = mirror_destination_get(l, o->target, &to);

	if (e != ERR_OK)
		return e;
	d = delivery_to(s, to->id);
	if (d == NULL)
		return add_delivery(l, s, from, to);
	was = d->state;
	if (was != DELIVERY_QUARANTINED && was != DELIVERY_WITHDRAWN &&
	    was != DELIVERY_DISCARDED)
		return ERR_OK;
	d->state = DELIVERY_QUEUED;
	describe(d, &again, was);
	e = delivery_write(l, d);
	return e == ERR_OK ? account(l, s, d, was) : e;
}

static enum err redirect(struct ledger *l, struct subject *s,
			 struct delivery *d, const struct outcome *o,
			 uint32_t segment)
{
	bool again =
	    d->state == DELIVERY_WITHDRAWN && strcmp(d->target, o->target) == 0;
	enum err e;

	if (is_final(d->state) && !again)
		return ERR_OK;
	if (!again && s->n == LEDGER_DELIVERIES) {
		log_event(LOG_ERROR, "redirect-refused", "delivery=%llu",
			  (unsigned long long)d->id);
		return ERR_OK;
	}
	e = apply_to(l, s, d, o, segment);
	if (e != ERR_OK || again)
		return e;
	return queue_at(l, s, d, o);
}

/* ---- outcomes of an instance --------------------------------------------- */

static enum err tell_origin(struct ledger *l, const struct subject *s)
{
	return s->of_link && s->changed ? ledger_origin_changed(l, s->seq)
					: ERR_OK;
}

static enum err apply_all(struct ledger *l, struct subject *s,
			  const struct outcome *o, uint32_t segment)
{
	size_t n = s->n;
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < n; i++) {
		struct delivery *d = &s->deliveries[i];
		const struct mirror_destination *to =
		    mirror_destination_by_id(&l->m, d->destination);

		if (to == NULL)
			return ERR_CORRUPT;
		if (o->destination[0] != '\0' &&
		    strcmp(o->destination, to->name) != 0)
			continue;
		if (is_stale(l, d, o))
			continue;
		if (o->kind == OUTCOME_REDIRECTED)
			e = redirect(l, s, d, o, segment);
		else
			e = apply_to(l, s, d, o, segment);
	}
	if (e == ERR_OK && all_final(s))
		e = finish(l, s);
	return e == ERR_OK ? tell_origin(l, s) : e;
}

enum err ledger_outcome(struct ledger *l, const struct outcome *o,
			uint32_t segment)
{
	uint64_t *seq =
	    ledger_map_get(&l->m.transfers, ledger_transfer_key(&o->id));
	struct subject s;
	enum err e;

	if (seq == NULL)
		return ERR_OK; /* finished before */
	e = subject_read(l, *seq, &s);
	if (e != ERR_OK || !transfer_id_equal(&s.id, &o->id))
		return e;
	return apply_all(l, &s, o, segment);
}

enum err ledger_quarantine(struct ledger *l, uint64_t seq, const char *reason)
{
	struct subject s;
	enum err e = subject_read(l, seq, &s);

	for (size_t i = 0; e == ERR_OK && i < s.n; i++) {
		struct delivery *d = &s.deliveries[i];
		enum delivery_state was = d->state;

		if (!is_open(was))
			continue;
		d->state = DELIVERY_QUARANTINED;
		snprintf(d->last_error, sizeof(d->last_error), "%s", reason);
		e = delivery_write(l, d);
		if (e == ERR_OK)
			e = account(l, &s, d, was);
	}
	return e == ERR_OK ? tell_origin(l, &s) : e;
}
