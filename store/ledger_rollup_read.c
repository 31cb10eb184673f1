#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_rollup.h"
#include "store/ledger_rollup_code.h"
#include "store/ledger_view_in.h"

/* Who a number stands for, if it is asked for. */
struct wanted {
	uint64_t number;
	enum rollup_metric metric;
	char name[33];
};

struct names {
	size_t n;
	struct wanted *v; /* by number */
};

static enum err names_add(struct names *names, const struct wanted *w)
{
	if ((names->n & (names->n - 1)) == 0) {
		void *more =
		    mem_realloc(names->v, (names->n != 0 ? names->n * 2 : 1) *
					      sizeof(*names->v));

		if (more == NULL)
			return ERR_NOMEM;
		names->v = more;
	}
	names->v[names->n++] = *w;
	return ERR_OK;
}

static enum err names_read(struct ledger_view *v, uint64_t metrics,
			   const char *name, struct names *names)
{
	sqlite3_stmt *st;
	enum err e = view_all(
	    v, "SELECT id,metric,name FROM rollup_names ORDER BY id", &st);

	while (e == ERR_OK && st != NULL) {
		struct wanted w = {.number = db_u64(st, 0)};
		unsigned metric = (unsigned)db_u64(st, 1) & 63;

		w.metric = (enum rollup_metric)metric;
		DB_TEXT(st, 2, w.name);
		if ((metrics >> metric & 1) != 0 &&
		    (name == NULL || strcmp(name, w.name) == 0))
			e = names_add(names, &w);
		if (e == ERR_OK)
			e = view_row(v, &st);
		else
			view_done(&st);
	}
	return e;
}

static int by_number(const void *key, const void *element)
{
	uint64_t a = *(const uint64_t *)key;
	uint64_t b = ((const struct wanted *)element)->number;

	return a < b ? -1 : a > b;
}

static bool give(const struct names *names, sqlite3_stmt *st,
		 rollup_point_fn *fn, void *arg)
{
	struct rd r = rd_init(sqlite3_column_blob(st, 1),
			      (size_t)sqlite3_column_bytes(st, 1));
	struct rollup_point p = {
	    .at_ms = rollup_slot_ms(sqlite3_column_int64(st, 0))};
	uint64_t number, value;

	while (rollup_pair(&r, &number, &value)) {
		const struct wanted *w =
		    bsearch(&number, names->v, names->n, sizeof(*w), by_number);

		if (w == NULL)
			continue;
		p.metric = w->metric;
		p.name = w->name;
		p.value = (int64_t)value;
		if (!fn(arg, &p))
			return false;
	}
	return true;
}

/* The first step that begins at ms or later. */
static int64_t slot_from(enum rollup_level level, int64_t ms)
{
	int64_t step = rollup_step_ms(level);

	if (ms < 0)
		ms = 0;
	if (ms > INT64_MAX / 2)
		ms = INT64_MAX / 2;
	ms = (ms + step - 1) / step * step;
	if (ms / SAMPLE_STEP_MS >= 1LL << 40)
		ms = ((1LL << 40) - 1) * SAMPLE_STEP_MS;
	return rollup_slot(level, ms);
}

static enum err points(struct ledger_view *v, const struct names *names,
		       int64_t from, int64_t to, rollup_point_fn *fn, void *arg)
{
	sqlite3_stmt *st;
	enum err e = view_prepare(v,
				  "SELECT slot,data FROM rollups"
				  " WHERE slot>=? AND slot<? ORDER BY slot",
				  &st);

	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, from);
	db_bind_int(st, 2, to);
	e = view_row(v, &st);
	while (e == ERR_OK && st != NULL)
		e = view_next(v, &st, give(names, st, fn, arg));
	return e;
}

enum err ledger_rollup(struct ledger_view *v, uint64_t metrics,
		       const char *name, enum rollup_level level,
		       int64_t from_ms, int64_t to_ms, rollup_point_fn *fn,
		       void *arg)
{
	struct names names = {0};
	enum err e = names_read(v, metrics, name, &names);

	if (e == ERR_OK && names.n > 0)
		e = points(v, &names, slot_from(level, from_ms),
			   slot_from(level, to_ms), fn, arg);
	mem_free(names.v);
	return e;
}
