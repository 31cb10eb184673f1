/* A timetable from its node: a list of maps, or one map. */
#include <string.h>

#include "policy/build.h"
#include "policy/problem.h"
#include "policy/value.h"
#include "proxy/lib/mem.h"

struct entry {
	struct config_hours hours;
	bool days, limit; /* were given */
};

static const char example[] = "timetable: [{days: mon-fri, hours: "
			      "07:00-19:00, limit: 50Mbit}]";

static void wrong(struct build *b, const struct node *n, const char *why)
{
	char quoted[PROBLEM_QUOTE_LEN];

	problem_error(b->errors, n->at, "%s %s; example: %s",
		      n->kind == NODE_SCALAR ? problem_quote(n->text, quoted)
					     : node_kind_text(n->kind),
		      why, example);
}

static void add_days(struct build *b, struct entry *e, const struct node *n)
{
	uint8_t days;

	e->days = true;
	if (n->kind == NODE_SCALAR && value_days(n->text, &days))
		e->hours.days |= days;
	else
		wrong(b, n,
		      "is not a day or a range of days (mon, tue, wed, thu, "
		      "fri, sat, sun)");
}

static void set_days(struct build *b, struct entry *e, const struct node *n)
{
	if (n->kind != NODE_LIST || n->child == NULL) {
		add_days(b, e, n);
		return;
	}
	for (const struct node *c = n->child; c != NULL; c = c->next)
		add_days(b, e, c);
}

static void set_hours(struct build *b, struct entry *e, const struct node *n)
{
	if (n->kind != NODE_SCALAR ||
	    !value_hours(n->text, &e->hours.from, &e->hours.to))
		wrong(b, n, "are not hours of a day (from and to)");
}

static void set_limit(struct build *b, struct entry *e, const struct option *o,
		      const struct node *n)
{
	uint64_t v;

	e->limit = true;
	if (n->kind != NODE_SCALAR || !value_bandwidth(n->text, &v)) {
		wrong(b, n, "is not a bandwidth");
		return;
	}
	if (v != 0 && (v < o->min || v > o->max))
		wrong(b, n, "is out of range: from 64kbit to 100Gbit");
	e->hours.limit = v;
}

static void read_entry(struct build *b, struct entry *e, const struct option *o,
		       const struct node *map)
{
	static const char *const keys[] = {"days", "hours", "limit"};

	for (const struct node *n = map->child; n != NULL; n = n->next) {
		struct nearest near = {.text = n->key};
		char quoted[PROBLEM_QUOTE_LEN];

		if (strcmp(n->key, "days") == 0) {
			set_days(b, e, n);
		} else if (strcmp(n->key, "hours") == 0) {
			set_hours(b, e, n);
		} else if (strcmp(n->key, "limit") == 0) {
			set_limit(b, e, o, n);
		} else {
			for (size_t i = 0; i < ARRAY_LEN(keys); i++)
				nearest_offer(&near, keys[i]);
			problem_error(b->errors, n->key_at,
				      "unknown key %s%s%s%s; example: %s",
				      problem_quote(n->key, quoted),
				      near.best != NULL ? "; did you mean '"
							: "",
				      near.best != NULL ? near.best : "",
				      near.best != NULL ? "'?" : "", example);
		}
	}
}

static enum err add_entry(struct build *b, const struct option *o, void *field,
			  const struct node *n)
{
	struct entry e = {.hours = {.from = 0, .to = 24 * 60}};
	struct config_timetable table;
	struct config_hours *v;

	memcpy(&table, field, sizeof(table));
	if (n->kind != NODE_MAP) {
		wrong(b, n, "stands where days, hours and limit are meant");
		return ERR_OK;
	}
	if (table.n == CONFIG_TIMETABLE_MAX) {
		wrong(b, n, "is one too many: 64 in a timetable at most");
		return ERR_OK;
	}
	read_entry(b, &e, o, n);
	if (!e.days)
		e.hours.days = 0x7f;
	if (!e.limit)
		wrong(b, n, "without a limit");
	v = mem_realloc(table.v, (table.n + 1) * sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM;
	v[table.n++] = e.hours;
	table.v = v;
	memcpy(field, &table, sizeof(table));
	return ERR_OK;
}

enum err set_timetable(struct build *b, const struct option *o, void *field,
		       const struct node *n)
{
	if (n->kind != NODE_LIST)
		return add_entry(b, o, field, n);
	if (n->child == NULL)
		wrong(b, n, "is empty; leave it out");
	for (const struct node *c = n->child;
	     c != NULL && b->errors->n_errors <= CONFIG_PROBLEMS_MAX;
	     c = c->next) {
		enum err e = add_entry(b, o, field, c);

		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}
