/* ledger_subject.c - rows of an instance and its deliveries. */
#include "store/ledger_subject.h"

#include <string.h>

/* ---- reading ----------------------------------------------------------- */

static enum err read_instance(struct ledger *l, struct subject *s)
{
	sqlite3_stmt *st = l->st[ST_INSTANCE_GET];
	bool row;
	enum err e;

	db_bind_u64(st, 1, s->seq);
	e = db_row(st, &row);
	if (e != ERR_OK || !row)
		return e != ERR_OK ? e : ERR_CORRUPT;
	if (sqlite3_column_bytes(st, 0) == TRANSFER_ID_LEN)
		memcpy(s->id.b, sqlite3_column_blob(st, 0), TRANSFER_ID_LEN);
	else
		e = ERR_CORRUPT;
	s->length = db_u64(st, 1);
	s->is_message = sqlite3_column_type(st, 2) != SQLITE_NULL;
	s->of_link = sqlite3_column_type(st, 3) != SQLITE_NULL;
	s->series = sqlite3_column_int64(st, 4);
	(void)sqlite3_reset(st);
	return e;
}

static enum err read_delivery(sqlite3_stmt *st, struct delivery *d)
{
	uint64_t state = db_u64(st, 2);

	if (state >= DELIVERY_N_STATES)
		return ERR_CORRUPT;
	*d = (struct delivery){
	    .id = db_u64(st, 0),
	    .destination = sqlite3_column_int64(st, 1),
	    .state = (enum delivery_state)state,
	    .priority = sqlite3_column_int(st, 3),
	    .attempts = (uint32_t)db_u64(st, 4),
	    .remote_status = sqlite3_column_int(st, 5),
	    .uid_hash = db_u64(st, 6),
	    .outcome_segment = NO_SEGMENT,
	    .changed_ms = sqlite3_column_int64(st, 10),
	    .commits = sqlite3_column_int(st, 11) != 0,
	};
	if (sqlite3_column_type(st, 7) != SQLITE_NULL)
		d->outcome_segment = sqlite3_column_int64(st, 7);
	DB_TEXT(st, 8, d->target);
	DB_TEXT(st, 9, d->last_error);
	return ERR_OK;
}

enum err subject_read(struct ledger *l, uint64_t seq, struct subject *s)
{
	sqlite3_stmt *st = l->st[ST_DELIVERIES_OF];
	bool row;
	enum err e;

	s->seq = seq;
	s->changed = false;
	s->n = 0;
	e = read_instance(l, s);
	if (e != ERR_OK)
		return e;
	db_bind_u64(st, 1, seq << LEDGER_DELIVERY_BITS);
	e = db_row(st, &row);
	while (e == ERR_OK && row && s->n < LEDGER_DELIVERIES) {
		e = read_delivery(st, &s->deliveries[s->n++]);
		if (e == ERR_OK)
			e = db_row(st, &row);
	}
	(void)sqlite3_reset(st);
	return e;
}

/* ---- writing ----------------------------------------------------------- */

enum err delivery_write(struct ledger *l, const struct delivery *d)
{
	sqlite3_stmt *st = l->st[ST_DELIVERY_SET];

	db_bind_u64(st, 1, d->id);
	db_bind_int(st, 2, (int64_t)d->state);
	db_bind_int(st, 3, d->attempts);
	db_bind_int(st, 4, d->remote_status);
	db_bind_int(st, 5, d->changed_ms);
	if (d->outcome_segment != NO_SEGMENT)
		db_bind_int(st, 6, d->outcome_segment);
	else
		(void)sqlite3_bind_null(st, 6);
	db_bind_text(st, 7, d->target);
	db_bind_text(st, 8, d->last_error);
	return db_run(st);
}

enum err delivery_pin(struct ledger *l, struct delivery *d, int64_t segment)
{
	if (segment != NO_SEGMENT &&
	    mirror_segment_get(&l->m, (uint32_t)segment) == NULL)
		return ERR_NOMEM;
	if (d->outcome_segment != NO_SEGMENT)
		space_unpin_outcome(&l->m, (uint32_t)d->outcome_segment);
	d->outcome_segment = segment;
	if (segment != NO_SEGMENT)
		space_pin_outcome(&l->m, (uint32_t)segment);
	return ERR_OK;
}

enum err delivery_write_pin(struct ledger *l, const struct delivery *d)
{
	sqlite3_stmt *st = l->st[ST_DELIVERY_PIN];

	db_bind_u64(st, 1, d->id);
	if (d->outcome_segment != NO_SEGMENT)
		db_bind_int(st, 2, d->outcome_segment);
	else
		(void)sqlite3_bind_null(st, 2);
	return db_run(st);
}
