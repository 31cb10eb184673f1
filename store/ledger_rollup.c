/* ledger_rollup.c - a sample becomes rows: its own step, and the minute, ten
 * minutes and hour around it, each made anew of the steps below. */
#include "store/ledger_rollup.h"

#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_in.h"
#include "store/ledger_rollup_code.h"

/* ---- what there is ------------------------------------------------------ */

enum rollup_kind rollup_kind_of(enum rollup_metric m)
{
	switch (m) {
#define X(number, name, how, of)                                               \
	case ROLLUP_##name:                                                    \
		return ROLLUP_##how;
		ROLLUP_MAP(X)
#undef X
	}
	return ROLLUP_LAST;
}

const uint64_t rollup_bound_us[ROLLUP_BOUNDS] = {
#define X(us, text) us,
    ROLLUP_BOUND_MAP(X)
#undef X
};

const char *const rollup_bound_text[ROLLUP_BOUNDS] = {
#define X(us, text) text,
    ROLLUP_BOUND_MAP(X)
#undef X
};

unsigned rollup_bucket(uint64_t us)
{
	unsigned i = 0;

	while (i + 1 < ROLLUP_BOUNDS && us > rollup_bound_us[i])
		i++;
	return i;
}

static const struct {
	int64_t step_ms, kept_ms;
} levels[ROLLUP_LEVELS] = {
#define X(number, name, step, kept) [number] = {step, kept},
    ROLLUP_LEVEL_MAP(X)
#undef X
};

int64_t rollup_step_ms(enum rollup_level level)
{
	return levels[level].step_ms;
}

int64_t rollup_kept_ms(enum rollup_level level)
{
	return levels[level].kept_ms;
}

enum rollup_level rollup_level_for(int64_t from_ms, int64_t to_ms,
				   int64_t now_ms, unsigned max_points)
{
	unsigned level = 0;

	while (
	    level + 1 < ROLLUP_LEVELS &&
	    (now_ms - from_ms > levels[level].kept_ms ||
	     (to_ms - from_ms) / levels[level].step_ms > (int64_t)max_points))
		level++;
	return (enum rollup_level)level;
}

/* ---- numbers of names --------------------------------------------------- */

static uint64_t name_key(enum rollup_metric m, const char *name)
{
	return ledger_mix(ledger_hash(name) + (uint64_t)m + 1);
}

static enum err name_add(struct mirror_rollup *r, enum rollup_metric m,
			 const char *name)
{
	if ((r->n & (r->n - 1)) == 0) {
		void *more = mem_realloc(r->metric, r->n != 0 ? r->n * 2 : 1);

		if (more == NULL)
			return ERR_NOMEM;
		r->metric = more;
	}
	r->metric[r->n++] = (uint8_t)m;
	return ledger_map_set(&r->ids, name_key(m, name), r->n);
}

/* Rows stand in the order of their numbers, without a gap. */
enum err ledger_rollup_load(struct ledger *l)
{
	sqlite3_stmt *st;
	bool row;
	enum err e = db_prepare(l->db,
				"SELECT id,metric,name FROM rollup_names"
				" ORDER BY id",
				&st);

	if (e != ERR_OK)
		return e;
	e = db_row(st, &row);
	while (e == ERR_OK && row) {
		char name[33];

		DB_TEXT(st, 2, name);
		e = db_u64(st, 0) != l->m.rollup.n + 1
			? ERR_CORRUPT
			: name_add(&l->m.rollup,
				   (enum rollup_metric)(db_u64(st, 1) & 63),
				   name);
		if (e == ERR_OK)
			e = db_row(st, &row);
	}
	(void)sqlite3_finalize(st);
	return e;
}

static enum err name_number(struct ledger *l, const struct sample_value *v,
			    uint64_t *out)
{
	struct mirror_rollup *r = &l->m.rollup;
	uint64_t *known = ledger_map_get(&r->ids, name_key(v->metric, v->name));
	sqlite3_stmt *st = l->st[ST_ROLLUP_NAME];
	enum err e = ERR_OK;

	if (known == NULL) {
		e = name_add(r, v->metric, v->name);
		if (e != ERR_OK)
			return e;
		db_bind_u64(st, 1, r->n);
		db_bind_int(st, 2, (int64_t)v->metric);
		(void)sqlite3_bind_text(st, 3, v->name, -1, SQLITE_STATIC);
		e = db_run(st);
	}
	*out = known != NULL ? *known : r->n;
	return e;
}

/* ---- adding up ---------------------------------------------------------- */

struct sum {
	uint64_t value;
	uint32_t n; /* values in it; 0: none */
};

struct sums {
	const struct mirror_rollup *names;
	size_t n, last; /* highest number of them that is used */
	struct sum *v;  /* of number i + 1 */
};

static enum err sums_init(struct sums *s, const struct mirror_rollup *names)
{
	*s = (struct sums){.names = names, .n = names->n};
	s->v = mem_zarray(names->n + 1, sizeof(*s->v));
	return s->v != NULL ? ERR_OK : ERR_NOMEM;
}

static uint64_t joined(enum rollup_kind how, const struct sum *s,
		       uint64_t value)
{
	switch (how) {
	case ROLLUP_SUM:
	case ROLLUP_MEAN: /* divided at the end */
		return s->value + value;
	case ROLLUP_MAX:
		return s->n == 0 || value > s->value ? value : s->value;
	case ROLLUP_LAST:
		return value;
	}
	return value;
}

/* Numbers that nobody gave are passed over. */
static void sums_add(struct sums *s, uint64_t number, uint64_t value)
{
	struct sum *to;

	if (number == 0 || number > s->n)
		return;
	to = &s->v[number - 1];
	to->value = joined(
	    rollup_kind_of((enum rollup_metric)s->names->metric[number - 1]),
	    to, value);
	to->n++;
	if (number > s->last)
		s->last = number;
}

/* What stands in slots from..to-1. */
static enum err sums_read(struct ledger *l, struct sums *s, int64_t from,
			  int64_t to)
{
	sqlite3_stmt *st = l->st[ST_ROLLUP_GET];
	bool row;
	enum err e;

	db_bind_int(st, 1, from);
	db_bind_int(st, 2, to);
	e = db_row(st, &row);
	while (e == ERR_OK && row) {
		struct rd r = rd_init(sqlite3_column_blob(st, 0),
				      (size_t)sqlite3_column_bytes(st, 0));
		uint64_t number, value;

		while (rollup_pair(&r, &number, &value))
			sums_add(s, number, value);
		e = db_row(st, &row);
	}
	(void)sqlite3_reset(st);
	return e;
}

static enum err sums_write(struct ledger *l, const struct sums *s, int64_t slot)
{
	sqlite3_stmt *st = l->st[ST_ROLLUP_SET];
	size_t cap = (s->last + 1) * ROLLUP_PAIR_MAX;
	uint8_t *bytes = mem_zalloc(cap);
	struct wr w = wr_init(bytes, cap);
	enum err e;

	if (bytes == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < s->last; i++) {
		const struct sum *v = &s->v[i];
		bool mean =
		    rollup_kind_of((enum rollup_metric)s->names->metric[i]) ==
		    ROLLUP_MEAN;

		if (v->n == 0)
			continue;
		rollup_put(&w, i + 1);
		rollup_put(&w, mean ? v->value / v->n : v->value);
	}
	db_bind_int(st, 1, slot);
	db_bind_blob(st, 2, bytes, w.len);
	e = db_run(st);
	mem_free(bytes);
	return e;
}

/* ---- a sample ----------------------------------------------------------- */

/* A timer may come twice in one step. */
static enum err write_step(struct ledger *l, const struct ledger_sample *sample,
			   int64_t slot)
{
	struct sums s;
	uint64_t *numbers = mem_zarray(sample->n, sizeof(*numbers));
	enum err e = numbers != NULL ? ERR_OK : ERR_NOMEM;

	for (size_t i = 0; e == ERR_OK && i < sample->n; i++)
		e = name_number(l, &sample->values[i], &numbers[i]);
	if (e == ERR_OK)
		e = sums_init(&s, &l->m.rollup);
	if (e != ERR_OK) {
		mem_free(numbers);
		return e;
	}
	e = sums_read(l, &s, slot, slot + 1);
	for (size_t i = 0; i < sample->n; i++)
		sums_add(&s, numbers[i],
			 sample->values[i].value > 0
			     ? (uint64_t)sample->values[i].value
			     : 0);
	if (e == ERR_OK)
		e = sums_write(l, &s, slot);
	mem_free(s.v);
	mem_free(numbers);
	return e;
}

static enum err write_level(struct ledger *l, enum rollup_level level,
			    int64_t at_ms)
{
	enum rollup_level below = (enum rollup_level)(level - 1);
	int64_t from = rollup_floor(level, at_ms);
	struct sums s;
	enum err e = sums_init(&s, &l->m.rollup);

	if (e != ERR_OK)
		return e;
	e = sums_read(l, &s, rollup_slot(below, from),
		      rollup_slot(below, from + rollup_step_ms(level)));
	if (e == ERR_OK)
		e = sums_write(l, &s, rollup_slot(level, from));
	mem_free(s.v);
	return e;
}

/* Two rows at most: a clock that is wrong for a minute costs twelve. */
static enum err prune(struct ledger *l, enum rollup_level level, int64_t now_ms)
{
	sqlite3_stmt *st = l->st[ST_ROLLUP_PRUNE];

	db_bind_int(st, 1, rollup_slot(level, 0));
	db_bind_int(st, 2, rollup_slot(level, now_ms - rollup_kept_ms(level)));
	return db_run(st);
}

enum err ledger_rollup_write(struct ledger *l, const struct ledger_sample *s)
{
	int64_t at_ms = rollup_floor(ROLLUP_SECONDS_10, s->at_ms - 1);
	enum err e;

	if (s->at_ms < rollup_kept_ms(ROLLUP_HOUR))
		return ERR_OK; /* no clock */
	e = write_step(l, s, rollup_slot(ROLLUP_SECONDS_10, at_ms));
	for (unsigned i = 1; e == ERR_OK && i < ROLLUP_LEVELS; i++)
		e = write_level(l, (enum rollup_level)i, at_ms);
	for (unsigned i = 0; e == ERR_OK && i < ROLLUP_LEVELS; i++)
		e = prune(l, (enum rollup_level)i, s->at_ms);
	return e;
}
