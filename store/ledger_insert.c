/* ledger_insert.c - a transfer becomes rows.
 *
 * What hundreds of instances share (origin, kind, series with the sealed
 * identity) stands in rows of its own, found by a small cache that compares
 * everything. A miss only makes another row. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/ledger_in.h"

enum { SERIES_WAYS = 4 };

/* ---- what instances share --------------------------------------------- */

static enum err kind_add(struct ledger *l, const struct instance *in)
{
	struct mirror *m = &l->m;
	sqlite3_stmt *st = l->st[ST_KIND];
	struct mirror_kind *k;

	if ((m->n_kinds & (m->n_kinds - 1)) == 0) {
		void *more = mem_realloc(
		    m->kinds,
		    (m->n_kinds != 0 ? m->n_kinds * 2 : 1) * sizeof(*m->kinds));

		if (more == NULL)
			return ERR_NOMEM;
		m->kinds = more;
	}
	m->last_kind = m->n_kinds++;
	k = &m->kinds[m->last_kind];
	k->id = (int64_t)m->n_kinds;
	memcpy(k->sop_class, in->sop_class, sizeof(k->sop_class));
	memcpy(k->transfer_syntax, in->transfer_syntax,
	       sizeof(k->transfer_syntax));
	db_bind_int(st, 1, k->id);
	(void)sqlite3_bind_text(st, 2, k->sop_class, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 3, k->transfer_syntax, -1, SQLITE_STATIC);
	return db_run(st);
}

static enum err kind_get(struct ledger *l, const struct instance *in,
			 int64_t *id)
{
	struct mirror *m = &l->m;
	enum err e;

	for (size_t i = 0; i < m->n_kinds; i++) {
		size_t at = (m->last_kind + i) % m->n_kinds;

		if (strcmp(m->kinds[at].sop_class, in->sop_class) == 0 &&
		    strcmp(m->kinds[at].transfer_syntax, in->transfer_syntax) ==
			0) {
			m->last_kind = at;
			*id = m->kinds[at].id;
			return ERR_OK;
		}
	}
	e = kind_add(l, in);
	*id = e == ERR_OK ? m->kinds[m->last_kind].id : 0;
	return e;
}

static enum err origin_count(struct ledger *l, struct mirror_origin *o)
{
	sqlite3_stmt *st = l->st[ST_ORIGIN_COUNT];

	if (o->uncounted == 0)
		return ERR_OK;
	db_bind_int(st, 1, o->id);
	db_bind_u64(st, 2, o->uncounted);
	o->uncounted = 0;
	return db_run(st);
}

static enum err origin_add(struct ledger *l, struct mirror_origin *o)
{
	sqlite3_stmt *st = l->st[ST_ORIGIN];

	o->id = l->m.next_origin++;
	db_bind_int(st, 1, o->id);
	db_bind_u64(st, 2, o->association);
	db_bind_text(st, 3, o->listener);
	db_bind_text(st, 4, o->device);
	db_bind_text(st, 5, o->peer);
	db_bind_text(st, 6, o->calling_ae);
	db_bind_text(st, 7, o->called_ae);
	return db_run(st);
}

#define COPY(to, from)                                                         \
	do {                                                                   \
		_Static_assert(sizeof(to) == sizeof(from), "same field");      \
		memcpy((to), (from), sizeof(to));                              \
	} while (0)

static bool origin_is(const struct mirror_origin *o, const struct instance *in)
{
	return o->id != 0 && o->association == in->association &&
	       strcmp(o->listener, in->listener) == 0 &&
	       strcmp(o->device, in->device) == 0 &&
	       strcmp(o->peer, in->peer) == 0 &&
	       strcmp(o->calling_ae, in->calling_ae) == 0 &&
	       strcmp(o->called_ae, in->called_ae) == 0;
}

static enum err origin_get(struct ledger *l, const struct instance *in,
			   int64_t *id)
{
	uint64_t h = ledger_mix(in->association ^ ledger_hash(in->peer));
	struct mirror_origin *o = &l->m.origins[h % LEDGER_CACHED];
	enum err e = ERR_OK;

	if (!origin_is(o, in)) {
		e = origin_count(l, o);
		if (e != ERR_OK)
			return e;
		o->association = in->association;
		COPY(o->listener, in->listener);
		COPY(o->device, in->device);
		COPY(o->peer, in->peer);
		COPY(o->calling_ae, in->calling_ae);
		COPY(o->called_ae, in->called_ae);
		e = origin_add(l, o);
	}
	o->uncounted++;
	*id = o->id;
	return e;
}

static bool series_is(const struct mirror_series *s, const struct instance *in)
{
	return s->id != 0 && strcmp(s->series, in->series) == 0 &&
	       strcmp(s->study, in->study) == 0 &&
	       strcmp(s->modality, in->modality) == 0 &&
	       strcmp(s->identity.accession, in->accession) == 0 &&
	       strcmp(s->identity.patient_id, in->patient_id) == 0 &&
	       strcmp(s->identity.patient_name, in->patient_name) == 0;
}

static enum err series_count(struct ledger *l, struct mirror_series *s)
{
	sqlite3_stmt *st = l->st[ST_SERIES_COUNT];

	if (s->uncounted == 0)
		return ERR_OK;
	db_bind_int(st, 1, s->id);
	db_bind_u64(st, 2, s->uncounted);
	db_bind_u64(st, 3, s->bytes);
	db_bind_int(st, 4, s->first_ms);
	db_bind_int(st, 5, s->last_ms);
	s->uncounted = s->bytes = 0;
	return db_run(st);
}

enum err ledger_series_flush(struct ledger *l)
{
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < LEDGER_CACHED; i++)
		e = series_count(l, &l->m.series[i]);
	return e;
}

static enum err series_add(struct ledger *l, struct mirror_series *s,
			   const struct instance *in, uint64_t first)
{
	sqlite3_stmt *st = l->st[ST_SERIES];
	uint8_t sealed[LEDGER_IDENTITY_MAX];
	struct blind blind;
	size_t len = 0;
	enum err e;

	e = ledger_identity_lock(l->seal, &s->identity, sealed, &len);
	if (e == ERR_OK)
		e = ledger_blind_series(l->mac, &s->identity, &blind);
	if (e != ERR_OK)
		return e;
	s->id = l->m.next_series++;
	db_bind_int(st, 1, s->id);
	db_bind_text(st, 2, s->study);
	db_bind_text(st, 3, s->series);
	db_bind_text(st, 4, s->modality);
	db_bind_u64(st, 5, first);
	db_bind_blob(st, 6, sealed, len);
	ledger_bind_blind(st, 7, &blind);
	db_bind_text(st, 9, in->device);
	db_bind_text(st, 10, in->calling_ae);
	db_bind_int(st, 11, in->received_ms);
	return db_run(st);
}

/* Its slot, or the one of its four that was not used for longest. */
static struct mirror_series *series_slot(struct ledger *l,
					 const struct instance *in)
{
	size_t set = ledger_hash(in->series) % (LEDGER_CACHED / SERIES_WAYS);
	struct mirror_series *first = &l->m.series[set * SERIES_WAYS];
	struct mirror_series *oldest = first;

	for (size_t i = 0; i < SERIES_WAYS; i++) {
		if (series_is(&first[i], in))
			return &first[i];
		if (first[i].used < oldest->used)
			oldest = &first[i];
	}
	return oldest;
}

static void series_note(struct ledger *l, struct mirror_series *s,
			const struct instance *in)
{
	if (s->uncounted == 0)
		s->first_ms = s->last_ms = in->received_ms;
	if (in->received_ms < s->first_ms)
		s->first_ms = in->received_ms;
	if (in->received_ms > s->last_ms)
		s->last_ms = in->received_ms;
	s->uncounted++;
	s->bytes += in->length;
	s->used = l->m.instances + 1;
}

static enum err series_get(struct ledger *l, const struct instance *in,
			   uint64_t seq, int64_t *id)
{
	struct mirror_series *s = series_slot(l, in);
	enum err e = ERR_OK;

	if (!series_is(s, in)) {
		e = series_count(l, s);
		if (e != ERR_OK)
			return e;
		COPY(s->study, in->study);
		COPY(s->series, in->series);
		COPY(s->modality, in->modality);
		COPY(s->identity.accession, in->accession);
		COPY(s->identity.patient_id, in->patient_id);
		COPY(s->identity.patient_name, in->patient_name);
		e = series_add(l, s, in, seq);
	}
	series_note(l, s, in);
	*id = s->id;
	return e;
}

/* ---- open UIDs --------------------------------------------------------- */

/* Of the open deliveries of one UID to one destination all but one stand in
 * twins; see is_blocked() in ledger_fetch.c. */
enum err ledger_uid_open(struct ledger *l, uint64_t key, uint64_t delivery)
{
	uint64_t *n = ledger_map_get(&l->m.uids, key);
	sqlite3_stmt *st = l->st[ST_TWIN];

	if (n == NULL)
		return ledger_map_set(&l->m.uids, key, 1);
	(*n)++;
	db_bind_u64(st, 1, key);
	db_bind_u64(st, 2, delivery);
	return db_run(st);
}

enum err ledger_uid_shut(struct ledger *l, uint64_t key, uint64_t delivery)
{
	uint64_t *n = ledger_map_get(&l->m.uids, key);
	sqlite3_stmt *st = l->st[ST_TWIN_DELETE];

	if (n == NULL)
		return ERR_OK;
	if (*n == 1) {
		ledger_map_delete(&l->m.uids, key);
	} else {
		(*n)--;
	}
	/* The last one left may be a twin, too. */
	db_bind_u64(st, 1, key);
	db_bind_u64(st, 2, delivery);
	return db_run(st);
}

/* ---- rows -------------------------------------------------------------- */

/* Messages above instances, high above medium above low (PS3.7 9.1.1.1), within
 * the device's rank. */
static int32_t priority_of(const struct instance *in)
{
	int32_t rank = in->priority == 1 ? 2 : in->priority == 2 ? 0 : 1;

	if (instance_is_message(in->command))
		rank = 3;
	return in->device_priority * 4 + rank;
}

/* What keeps its order among its like. A message that began held waits for
 * others than those that come with its transaction after it. */
static uint64_t order_of(const struct instance *in)
{
	if (in->held)
		return ledger_mix(ledger_transfer_key(&in->id));
	return ledger_hash(in->transaction[0] != '\0' ? in->transaction
						      : in->sop_instance);
}

static enum err insert_message(struct ledger *l, const struct instance *in,
			       uint64_t seq)
{
	sqlite3_stmt *st = l->st[ST_MESSAGE];

	if (!instance_is_message(in->command))
		return ERR_OK;
	db_bind_u64(st, 1, seq);
	db_bind_int(st, 2, in->command);
	db_bind_text(st, 3, in->transaction);
	return db_run(st);
}

static void bind_message(sqlite3_stmt *st, const struct instance *in)
{
	if (instance_is_message(in->command)) {
		db_bind_int(st, 14, in->command);
		db_bind_int(st, 15, in->type);
	} else {
		(void)sqlite3_bind_null(st, 14);
		(void)sqlite3_bind_null(st, 15);
	}
}

/* owner 0: it did not come over a link. */
static void bind_link(sqlite3_stmt *st, const struct instance *in,
		      int64_t owner)
{
	if (owner == 0) {
		for (int i = 16; i <= 19; i++)
			(void)sqlite3_bind_null(st, i);
		return;
	}
	db_bind_int(st, 16, owner);
	db_bind_blob(st, 17, in->origin.id.b, TRANSFER_ID_LEN);
	db_bind_int(st, 18, ORIGIN_ARRIVED);
	db_bind_int(st, 19, 0);
}

static enum err insert_instance(struct ledger *l, const struct instance *in,
				uint64_t seq)
{
	sqlite3_stmt *st = l->st[ST_INSTANCE];
	int64_t origin, kind, series, owner = 0;
	enum err e = origin_get(l, in, &origin);

	if (e == ERR_OK)
		e = kind_get(l, in, &kind);
	if (e == ERR_OK)
		e = series_get(l, in, seq, &series);
	if (e == ERR_OK && in->has_origin)
		e = ledger_owner_get(l, in->origin.peer, &owner);
	if (e != ERR_OK)
		return e;
	db_bind_u64(st, 1, seq);
	db_bind_blob(st, 2, in->id.b, TRANSFER_ID_LEN);
	db_bind_int(st, 3, in->received_ms);
	db_bind_int(st, 4, origin);
	db_bind_int(st, 5, kind);
	db_bind_int(st, 6, series);
	(void)sqlite3_bind_text(st, 7, in->sop_instance, -1, SQLITE_STATIC);
	db_bind_int(st, 8, in->priority);
	db_bind_u64(st, 9, in->length);
	db_bind_int(st, 10, in->chunks);
	db_bind_blob(st, 11, in->root, sizeof(in->root));
	if (in->has_move)
		db_bind_int(st, 12, in->move_originator_id);
	else
		(void)sqlite3_bind_null(st, 12);
	db_bind_text(st, 13, in->has_move ? in->move_originator : NULL);
	bind_message(st, in);
	bind_link(st, in, owner);
	e = db_run(st);
	if (e == ERR_OK)
		e = ledger_owed_received(l, in, origin, series);
	return e == ERR_OK ? insert_message(l, in, seq) : e;
}

/* The delivery that commit names, if any. */
static bool commits(const struct instance *in, size_t i)
{
	return in->commit == i + 1 && !instance_is_message(in->command);
}

static enum err insert_delivery(struct ledger *l, const struct instance *in,
				size_t i, uint64_t id, const char *reason)
{
	sqlite3_stmt *st = l->st[ST_DELIVERY];
	enum delivery_state s = DELIVERY_QUEUED;
	uint64_t hash = order_of(in);
	struct mirror_destination *d;
	enum err e = mirror_destination_get(
	    l, i < in->n_destinations ? in->destinations[i] : "(none)", &d);

	if (e != ERR_OK)
		return e;
	if (reason != NULL) {
		s = DELIVERY_QUARANTINED;
	} else if (in->held) {
		s = DELIVERY_HELD;
		reason = LEDGER_HELD_REASON;
	}
	db_bind_u64(st, 1, id);
	db_bind_int(st, 2, d->id);
	db_bind_int(st, 3, (int64_t)s);
	db_bind_int(st, 4, priority_of(in));
	db_bind_int(st, 5, in->received_ms);
	db_bind_u64(st, 6, hash);
	db_bind_text(st, 7, reason);
	if (commits(in, i))
		db_bind_int(st, 8, 1);
	else
		(void)sqlite3_bind_null(st, 8);
	e = db_run(st);
	if (e != ERR_OK)
		return e;
	mirror_count(d, s, in->length, true);
	e = ledger_mark(l, MARK_DESTINATION, id >> LEDGER_DELIVERY_BITS,
			d->name);
	if (e == ERR_OK && s != DELIVERY_QUARANTINED)
		e = ledger_uid_open(l, ledger_uid_key(hash, d->id), id);
	return e;
}

static enum err insert_deliveries(struct ledger *l, const struct instance *in,
				  uint64_t seq, const char *reason)
{
	uint64_t id = seq << LEDGER_DELIVERY_BITS;
	enum err e = ERR_OK;

	/* Nothing that was acknowledged stands without a delivery. */
	if (in->n_destinations == 0)
		return insert_delivery(l, in, 0, id,
				       reason != NULL
					   ? reason
					   : "no destination was decided when "
					     "it came: redirect it");
	for (size_t i = 0; e == ERR_OK && i < in->n_destinations; i++)
		e = insert_delivery(l, in, i, id + i, reason);
	return e;
}

static enum err insert_chunks(struct ledger *l, const struct unfinished *u)
{
	sqlite3_stmt *st = l->st[ST_CHUNK];
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < u->n; i++) {
		const struct unfinished_chunk *c = &u->chunks[i];

		db_bind_u64(st, 1, u->final);
		db_bind_int(st, 2, c->index);
		db_bind_int(st, 3, c->place.segment);
		db_bind_int(st, 4, c->place.offset);
		db_bind_int(st, 5, c->length);
		e = db_run(st);
	}
	return e;
}

static enum err count_device(struct ledger *l, const struct instance *in)
{
	struct mirror_device *d;
	enum err e;

	if (in->device[0] == '\0')
		return ERR_OK;
	e = mirror_device_get(&l->m, in->device, &d);
	if (e != ERR_OK)
		return e;
	d->instances++;
	d->bytes += in->length;
	if (in->received_ms > d->last_ms)
		d->last_ms = in->received_ms;
	d->dirty = true;
	return ERR_OK;
}

enum err ledger_insert(struct ledger *l, const struct unfinished *u,
		       const char *reason)
{
	const struct instance *in = &u->instance;
	enum err e = insert_instance(l, in, u->final);

	if (e == ERR_OK)
		e = ledger_block_add(l, in, u->final);
	if (e == ERR_OK)
		e = insert_deliveries(l, in, u->final, reason);
	if (e == ERR_OK)
		e = insert_chunks(l, u);
	if (e == ERR_OK)
		e = count_device(l, in);
	if (e == ERR_OK && in->has_origin)
		e = ledger_origin_changed(l, u->final);
	if (e == ERR_OK)
		e = ledger_map_set(&l->m.transfers,
				   ledger_transfer_key(&in->id), u->final);
	if (e != ERR_OK)
		return e;
	l->m.instances++;
	if (atomic_load(&l->next_association) <= in->association)
		atomic_store(&l->next_association, in->association + 1);
	return ERR_OK;
}
