/* ledger_load.c - the mirror: counters and maps that the ledger thread keeps in
 * memory so that the database needs no index on random values.
 *
 * It is thrown away and read again after every failure: one path for start,
 * disk full, deletion and damage. A million open deliveries take a second and
 * some 50 MB; what is delivered costs nothing. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger_in.h"

uint64_t ledger_transfer_key(const struct transfer_id *id)
{
	uint64_t k;

	memcpy(&k, id->b, sizeof(k));
	return k;
}

uint64_t ledger_uid_key(uint64_t uid_hash, int64_t destination)
{
	return ledger_mix(uid_hash +
			  (uint64_t)destination * 0x9e3779b97f4a7c15ULL);
}

void mirror_free(struct mirror *m)
{
	if (m->unfinished.next != NULL)
		LIST_EACH(it, tmp, &m->unfinished)
	unfinished_free(CONTAINER_OF(it, struct unfinished, node));
	mem_free(m->destinations);
	mem_free(m->devices);
	mem_free(m->kinds);
	mem_free(m->owners);
	mem_free(m->segments);
	mem_free(m->rollup.metric);
	ledger_map_free(&m->rollup.ids);
	ledger_map_free(&m->transfers);
	ledger_map_free(&m->finished);
	ledger_map_free(&m->uids);
	ledger_map_free(&m->unfinished_at);
	mem_wipe(m, sizeof(*m));
}

/* Room for one more element; the array stays valid on NULL. */
static void *one_more(void *array, size_t n, size_t size)
{
	if ((n & (n - 1)) != 0) /* grows at powers of two */
		return array;
	return mem_realloc(array, (n != 0 ? n * 2 : 1) * size);
}

/* ---- destinations ----------------------------------------------------- */

struct mirror_destination *mirror_destination_by_id(struct mirror *m,
						    int64_t id)
{
	for (size_t i = 0; i < m->n_destinations; i++)
		if (m->destinations[i].id == id)
			return &m->destinations[i];
	return NULL;
}

static enum err destination_add(struct mirror *m, int64_t id, const char *name)
{
	struct mirror_destination *d;
	void *more = one_more(m->destinations, m->n_destinations,
			      sizeof(*m->destinations));

	if (more == NULL)
		return ERR_NOMEM;
	m->destinations = more;
	d = &m->destinations[m->n_destinations++];
	*d = (struct mirror_destination){.id = id};
	snprintf(d->name, sizeof(d->name), "%s", name);
	return ERR_OK;
}

enum err mirror_destination_get(struct ledger *l, const char *name,
				struct mirror_destination **out)
{
	struct mirror *m = &l->m;
	sqlite3_stmt *st = l->st[ST_DESTINATION];
	int64_t id = 1;
	enum err e;

	for (size_t i = 0; i < m->n_destinations; i++) {
		*out = &m->destinations[i];
		if (strcmp((*out)->name, name) == 0)
			return ERR_OK;
		if ((*out)->id >= id)
			id = (*out)->id + 1;
	}
	db_bind_int(st, 1, id);
	db_bind_text(st, 2, name);
	e = db_run(st);
	if (e == ERR_OK)
		e = destination_add(m, id, name);
	if (e == ERR_OK)
		*out = &m->destinations[m->n_destinations - 1];
	return e;
}

void mirror_count(struct mirror_destination *d, enum delivery_state s,
		  uint64_t bytes, bool more)
{
	if (more) {
		d->count[s]++;
		d->bytes[s] += bytes;
		d->last_ms[s] = clock_wall_ms();
	} else if (d->count[s] > 0) {
		d->count[s]--;
		d->bytes[s] -= bytes < d->bytes[s] ? bytes : d->bytes[s];
	}
	d->dirty |= 1u << s;
	if (more && s == DELIVERY_QUEUED)
		d->newly_queued++;
}

/* ---- devices ---------------------------------------------------------- */

static enum err device_add(struct mirror *m, const char *name,
			   struct mirror_device **out)
{
	void *more = one_more(m->devices, m->n_devices, sizeof(*m->devices));

	if (more == NULL)
		return ERR_NOMEM;
	m->devices = more;
	m->last_device = m->n_devices++;
	*out = &m->devices[m->last_device];
	**out = (struct mirror_device){0};
	snprintf((*out)->name, sizeof((*out)->name), "%s", name);
	return ERR_OK;
}

enum err mirror_device_get(struct mirror *m, const char *name,
			   struct mirror_device **out)
{
	for (size_t i = 0; i < m->n_devices; i++) {
		size_t at = (m->last_device + i) % m->n_devices;

		if (strcmp(m->devices[at].name, name) == 0) {
			m->last_device = at;
			*out = &m->devices[at];
			return ERR_OK;
		}
	}
	return device_add(m, name, out);
}

/* ---- segments --------------------------------------------------------- */

struct mirror_segment *mirror_segment_get(struct mirror *m, uint32_t number)
{
	void *more;

	/* The newest are asked for most. */
	for (size_t i = m->n_segments; i > 0; i--)
		if (m->segments[i - 1].number == number)
			return &m->segments[i - 1];
	more = one_more(m->segments, m->n_segments, sizeof(*m->segments));
	if (more == NULL)
		return NULL;
	m->segments = more;
	m->segments[m->n_segments] = (struct mirror_segment){.number = number};
	return &m->segments[m->n_segments++];
}

/* ---- reading ---------------------------------------------------------- */

typedef enum err row_fn(struct ledger *l, sqlite3_stmt *st);

static enum err each_row(struct ledger *l, const char *sql, row_fn *fn)
{
	sqlite3_stmt *st;
	bool row;
	enum err e = db_prepare(l->db, sql, &st);

	if (e != ERR_OK)
		return e;
	e = db_row(st, &row);
	while (e == ERR_OK && row) {
		e = fn(l, st);
		if (e == ERR_OK)
			e = db_row(st, &row);
	}
	(void)sqlite3_finalize(st);
	return e;
}

static enum err row_destination(struct ledger *l, sqlite3_stmt *st)
{
	char name[INSTANCE_NAME_LEN];

	DB_TEXT(st, 1, name);
	return destination_add(&l->m, sqlite3_column_int64(st, 0), name);
}

static enum err row_total(struct ledger *l, sqlite3_stmt *st)
{
	struct mirror_destination *d =
	    mirror_destination_by_id(&l->m, sqlite3_column_int64(st, 0));
	int64_t s = sqlite3_column_int64(st, 1);

	if (d == NULL || s < 0 || s >= DELIVERY_N_STATES)
		return ERR_CORRUPT;
	d->count[s] = db_u64(st, 2);
	d->bytes[s] = db_u64(st, 3);
	d->last_ms[s] = sqlite3_column_int64(st, 4);
	return ERR_OK;
}

static enum err row_device(struct ledger *l, sqlite3_stmt *st)
{
	struct mirror_device *d;
	char name[INSTANCE_NAME_LEN];
	enum err e;

	DB_TEXT(st, 0, name);
	e = device_add(&l->m, name, &d);
	if (e != ERR_OK)
		return e;
	d->last_ms = sqlite3_column_int64(st, 1);
	d->instances = db_u64(st, 2);
	d->bytes = db_u64(st, 3);
	d->associations = db_u64(st, 4);
	return ERR_OK;
}

static enum err row_kind(struct ledger *l, sqlite3_stmt *st)
{
	struct mirror *m = &l->m;
	void *more = one_more(m->kinds, m->n_kinds, sizeof(*m->kinds));
	struct mirror_kind *k;

	if (more == NULL)
		return ERR_NOMEM;
	m->kinds = more;
	k = &m->kinds[m->n_kinds++];
	k->id = sqlite3_column_int64(st, 0);
	DB_TEXT(st, 1, k->sop_class);
	DB_TEXT(st, 2, k->transfer_syntax);
	return ERR_OK;
}

static enum err row_owner(struct ledger *l, sqlite3_stmt *st)
{
	struct mirror *m = &l->m;
	void *more = one_more(m->owners, m->n_owners, sizeof(*m->owners));

	if (more == NULL)
		return ERR_NOMEM;
	m->owners = more;
	if (sqlite3_column_bytes(st, 1) != LEDGER_OWNER_LEN)
		return ERR_CORRUPT;
	m->owners[m->n_owners].id = sqlite3_column_int64(st, 0);
	memcpy(m->owners[m->n_owners++].owner, sqlite3_column_blob(st, 1),
	       LEDGER_OWNER_LEN);
	return ERR_OK;
}

static enum err transfer_key_of(sqlite3_stmt *st, int i, uint64_t *key)
{
	if (sqlite3_column_bytes(st, i) != TRANSFER_ID_LEN)
		return ERR_CORRUPT;
	memcpy(key, sqlite3_column_blob(st, i), sizeof(*key));
	return ERR_OK;
}

static enum err row_chunk(struct ledger *l, sqlite3_stmt *st)
{
	struct place p = {(uint32_t)db_u64(st, 1), 0};
	uint64_t seq = db_u64(st, 0), key;
	enum err e = transfer_key_of(st, 3, &key);

	if (e != ERR_OK)
		return e;
	if (mirror_segment_get(&l->m, p.segment) == NULL)
		return ERR_NOMEM;
	space_pin(&l->m, &p, (uint32_t)db_u64(st, 2));
	return ledger_map_set(&l->m.transfers, key, seq);
}

static enum err row_open(struct ledger *l, sqlite3_stmt *st)
{
	uint64_t key =
	    ledger_uid_key(db_u64(st, 1), sqlite3_column_int64(st, 0));
	uint64_t *n = ledger_map_get(&l->m.uids, key);

	if (n != NULL) {
		(*n)++;
		return ERR_OK;
	}
	return ledger_map_set(&l->m.uids, key, 1);
}

static enum err row_outcome(struct ledger *l, sqlite3_stmt *st)
{
	struct mirror_segment *s =
	    mirror_segment_get(&l->m, (uint32_t)db_u64(st, 0));

	if (s == NULL)
		return ERR_NOMEM;
	s->outcomes = (uint32_t)db_u64(st, 1);
	return ERR_OK;
}

static enum err row_finished(struct ledger *l, sqlite3_stmt *st)
{
	uint64_t key;
	enum err e = transfer_key_of(st, 0, &key);

	if (e != ERR_OK || ledger_map_get(&l->m.transfers, key) != NULL)
		return e;
	return ledger_map_set(&l->m.finished, key, 1);
}

/* ---- the state row ---------------------------------------------------- */

/* A new database: from here on everything comes from the spool. */
static enum err state_create(struct ledger *l)
{
	sqlite3_stmt *st;
	uint64_t durable = spool_durable(l->spool);
	enum err e = db_prepare(l->db,
				"INSERT INTO spool_state VALUES"
				"(1,?,0,0,?,?,0,0,0)",
				&st);

	if (e != ERR_OK)
		return e;
	db_bind_blob(st, 1, spool_id(l->spool), SPOOL_ID_LEN);
	db_bind_u64(st, 2, durable);
	db_bind_int(st, 3, clock_wall_ms());
	e = db_run(st);
	(void)sqlite3_finalize(st);
	if (e != ERR_OK)
		return e;
	l->rebuilding = durable != 0;
	/* Numbers given before a loss must not come again. */
	if (durable != 0 && atomic_load(&l->next_association) == 0)
		atomic_store(&l->next_association,
			     (uint64_t)clock_wall_ms() / 100);
	return ERR_OK;
}

/* The end of the spool is gone: a lost segment, or a disk that lied about a
 * flush. The rows stay, for their deliveries are owed a reason; what comes now
 * is new, whatever its number. */
static void step_back(struct ledger *l)
{
	uint64_t durable = spool_durable(l->spool);

	log_event(LOG_ERROR, "ledger-ahead-of-spool", "ledger=%llu spool=%llu",
		  (unsigned long long)l->m.applied,
		  (unsigned long long)durable);
	l->m.applied = durable;
	if (l->m.position > durable)
		l->m.position = durable;
}

static enum err row_state(struct ledger *l, sqlite3_stmt *st)
{
	uint64_t association = db_u64(st, 4);

	if (sqlite3_column_bytes(st, 0) != SPOOL_ID_LEN)
		return ERR_CORRUPT;
	if (memcmp(sqlite3_column_blob(st, 0), spool_id(l->spool),
		   SPOOL_ID_LEN) != 0) {
		l->aside = "foreign";
		return ERR_NOTFOUND;
	}
	l->m.applied = db_u64(st, 1);
	l->m.position = db_u64(st, 2);
	l->m.rebuilt = db_u64(st, 3);
	l->m.instances = db_u64(st, 5);
	if (l->m.applied > spool_durable(l->spool))
		step_back(l);
	l->rebuilding = l->m.position < l->m.rebuilt;
	if (atomic_load(&l->next_association) <= association)
		atomic_store(&l->next_association, association + 1);
	return ERR_OK;
}

static enum err load_state(struct ledger *l)
{
	int64_t n;
	enum err e = db_integer(l->db, "SELECT count(*) FROM spool_state", &n);

	if (e == ERR_OK && n == 0)
		e = state_create(l);
	if (e == ERR_OK)
		e = each_row(l,
			     "SELECT spool_id,applied,resume,rebuilt,"
			     "association,instances FROM spool_state",
			     row_state);
	if (atomic_load(&l->next_association) == 0)
		atomic_store(&l->next_association, 1);
	return e;
}

static enum err load_ids(struct ledger *l)
{
	enum err e =
	    db_integer(l->db, "SELECT coalesce(max(id),0)+1 FROM origins",
		       &l->m.next_origin);

	if (e != ERR_OK)
		return e;
	e = db_integer(l->db, "SELECT coalesce(max(id),0)+1 FROM series",
		       &l->m.next_series);
	if (e != ERR_OK)
		return e;
	return db_integer(l->db, "SELECT unready FROM search_state",
			  &l->m.unready);
}

enum err ledger_load(struct ledger *l)
{
	static const struct {
		const char *sql;
		row_fn *fn;
	} parts[] = {
	    {"SELECT id,name FROM destinations", row_destination},
	    {"SELECT destination,state,count,bytes,last_ms FROM totals",
	     row_total},
	    {"SELECT name,last_ms,instances,bytes,associations FROM devices",
	     row_device},
	    {"SELECT id,sop_class,transfer_syntax FROM kinds", row_kind},
	    {"SELECT id,owner FROM link_owners", row_owner},
	    {"SELECT c.instance,c.segment,c.length,i.transfer FROM chunks c"
	     " JOIN instances i ON i.seq=c.instance",
	     row_chunk},
	    {"SELECT destination,uid_hash FROM deliveries"
	     " INDEXED BY deliveries_open WHERE state<=1 AND state<=2",
	     row_open},
	    {"SELECT outcome_segment,count(*) FROM deliveries"
	     " WHERE outcome_segment IS NOT NULL GROUP BY outcome_segment",
	     row_outcome},
	};
	enum err e;

	list_init(&l->m.unfinished);
	l->m.space_dirty = true;
	e = load_state(l);
	for (size_t i = 0; e == ERR_OK && i < ARRAY_LEN(parts); i++)
		e = each_row(l, parts[i].sql, parts[i].fn);
	if (e == ERR_OK && l->rebuilding)
		e = each_row(l, "SELECT transfer FROM instances", row_finished);
	if (e == ERR_OK)
		e = load_ids(l);
	if (e == ERR_OK)
		e = ledger_owed_load(l);
	return e == ERR_OK ? ledger_rollup_load(l) : e;
}

/* ---- writing back ----------------------------------------------------- */

static enum err flush_totals(struct ledger *l, struct mirror_destination *d)
{
	sqlite3_stmt *st = l->st[ST_TOTAL];
	enum err e = ERR_OK;

	for (int s = 0; e == ERR_OK && s < DELIVERY_N_STATES; s++) {
		if ((d->dirty & 1u << s) == 0)
			continue;
		db_bind_int(st, 1, d->id);
		db_bind_int(st, 2, s);
		db_bind_u64(st, 3, d->count[s]);
		db_bind_u64(st, 4, d->bytes[s]);
		db_bind_int(st, 5, d->last_ms[s]);
		e = db_run(st);
	}
	d->dirty = 0;
	return e;
}

static enum err flush_device(struct ledger *l, struct mirror_device *d)
{
	sqlite3_stmt *st = l->st[ST_DEVICE];

	if (!d->dirty)
		return ERR_OK;
	d->dirty = false;
	db_bind_text(st, 1, d->name);
	db_bind_int(st, 2, d->last_ms);
	db_bind_u64(st, 3, d->instances);
	db_bind_u64(st, 4, d->bytes);
	db_bind_u64(st, 5, d->associations);
	return db_run(st);
}

static enum err flush_origins(struct ledger *l)
{
	sqlite3_stmt *st = l->st[ST_ORIGIN_COUNT];
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < LEDGER_CACHED; i++) {
		struct mirror_origin *o = &l->m.origins[i];

		if (o->uncounted == 0)
			continue;
		db_bind_int(st, 1, o->id);
		db_bind_u64(st, 2, o->uncounted);
		o->uncounted = 0;
		e = db_run(st);
	}
	return e;
}

static enum err flush_state(struct ledger *l)
{
	sqlite3_stmt *st = l->st[ST_STATE];

	db_bind_u64(
	    st, 1, l->m.position > l->m.applied ? l->m.position : l->m.applied);
	db_bind_u64(st, 2, ledger_resume(&l->m));
	db_bind_int(st, 3, clock_wall_ms());
	db_bind_u64(st, 4, l->m.instances);
	db_bind_u64(st, 5, atomic_load(&l->next_association) - 1);
	return db_run(st);
}

enum err mirror_flush(struct ledger *l)
{
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < l->m.n_destinations; i++)
		if (l->m.destinations[i].dirty != 0)
			e = flush_totals(l, &l->m.destinations[i]);
	for (size_t i = 0; e == ERR_OK && i < l->m.n_devices; i++)
		e = flush_device(l, &l->m.devices[i]);
	if (e == ERR_OK)
		e = flush_origins(l);
	if (e == ERR_OK)
		e = ledger_series_flush(l);
	if (e == ERR_OK)
		e = ledger_block_flush(l);
	if (e == ERR_OK)
		e = ledger_owed_flush(l);
	return e == ERR_OK ? flush_state(l) : e;
}
