#include "policy/build.h"

#include <string.h>

#include "policy/problem.h"
#include "policy/value.h"
#include "proxy/lib/mem.h"

enum {
	OPTIONS_MAX = 256, /* rows of the option table */
	WHERE_LEN = 160    /* longest path of a place in the file */
};

/* One struct being filled. */
struct target {
	void *base;
	const char *scope; /* option_scope() of its options */
	struct config_mark at;
	const char *what; /* "listener 'modalities'", for messages */
	bool set[OPTIONS_MAX];
};

/* A map being read. */
struct level {
	const char *schema; /* "listeners.NAME.limits." or "" */
	const char *where;  /* "listeners.modalities.limits." or "" */
};

static enum err read_map(struct build *b, struct target *t, struct level l,
			 const struct node *map) MUST_CHECK;
static enum err read_collection(struct build *b,
				const struct node *n) MUST_CHECK;

/* Cut to fit: a path that long is none of ours. */
static void join(char out[WHERE_LEN], const char *head, const char *tail)
{
	size_t n = strnlen(head, WHERE_LEN - 1);
	size_t m = strnlen(tail, WHERE_LEN - 1 - n);

	memcpy(out, head, n);
	memcpy(out + n, tail, m);
	out[n + m] = '\0';
}

/* Reading on would only repeat what is wrong, slowly if the file is hostile. */
static bool enough(const struct build *b)
{
	return b->errors->n_errors > CONFIG_PROBLEMS_MAX;
}

static bool is_duplicate(const struct node *map, const struct node *n)
{
	for (const struct node *c = map->child; c != n; c = c->next)
		if (strcmp(c->key, n->key) == 0)
			return true;
	return false;
}

enum { KEY_LEN = 32 }; /* longest key of ours, NUL included */

/* The names that may stand in a level are the components after its schema.
 * Returns out, or NULL. */
static const char *nearest_key(const char *schema, const char *key,
			       char out[KEY_LEN])
{
	struct nearest near = {.text = key};
	size_t len = strlen(schema);
	const struct option *o;

	for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
		char name[KEY_LEN];

		if (strncmp(o->path, schema, len) != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s",
			 (int)strcspn(o->path + len, "."), o->path + len);
		nearest_offer(&near, name);
		if (near.best == name)
			near.best = memcpy(out, name, sizeof(name));
	}
	return near.best;
}

/* The same key in another map, first of all in the same scope. */
static const char *key_elsewhere(const char *schema, const char *key)
{
	const char *scope = option_scope(schema), *found = NULL;
	const struct option *o;

	for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
		const char *dot = strrchr(o->path, '.');

		if (dot == NULL || strcmp(dot + 1, key) != 0)
			continue;
		if (scope[0] != '\0' && option_scope(o->path) == scope)
			return o->path;
		if (found == NULL)
			found = o->path;
	}
	return found;
}

static void unknown_key(struct build *b, const char *schema,
			const struct node *n)
{
	char quoted[PROBLEM_QUOTE_LEN], path[WHERE_LEN], key[KEY_LEN];
	const char *near = nearest_key(schema, n->key, key), *moved;
	const struct option *o;

	problem_quote(n->key, quoted);
	if (near == NULL) {
		moved = key_elsewhere(schema, n->key);
		problem_error(b->errors, n->key_at, "unknown key %s%s%s%s",
			      quoted, moved != NULL ? "; did you mean '" : "",
			      moved != NULL ? moved : "",
			      moved != NULL ? "'?" : "");
		return;
	}
	snprintf(path, sizeof(path), "%s%s", schema, near);
	o = option_find(path);
	problem_error(
	    b->errors, n->key_at, "unknown key %s; did you mean '%s'?%s%s%s%s",
	    quoted, near, o != NULL ? "; example: " : "", o != NULL ? near : "",
	    o != NULL ? ": " : "", o != NULL ? o->example : "");
}

static size_t option_index(const struct option *o)
{
	size_t i = 0;

	while (option_at(i) != o)
		i++;
	return i;
}

static enum err read_option(struct build *b, struct target *t,
			    const struct option *o, const struct node *n,
			    const char *where)
{
	t->set[option_index(o)] = true;
	if (n->kind == NODE_NULL) {
		problem_error(b->errors, n->key_at,
			      "'%s' has no value; example: %s: %s", n->key,
			      n->key, o->example);
		return ERR_OK;
	}
	if (set_option(b, o, t->base, n) != ERR_OK)
		return ERR_NOMEM;
	return places_add(b->cfg->places, where, n->at);
}

static enum err read_group(struct build *b, struct target *t,
			   const char *schema, const char *where,
			   const struct node *n)
{
	char deeper[WHERE_LEN], place[WHERE_LEN];

	if (n->kind == NODE_NULL)
		return ERR_OK;
	if (n->kind != NODE_MAP) {
		problem_error(b->errors, n->at,
			      "'%s' is a map of its own keys, not %s", n->key,
			      node_kind_text(n->kind));
		return ERR_OK;
	}
	join(deeper, schema, ".");
	join(place, where, ".");
	return read_map(b, t, (struct level){deeper, place}, n);
}

static bool is_collection(const char *schema)
{
	return strcmp(schema, "listeners") == 0 ||
	       strcmp(schema, "devices") == 0 ||
	       strcmp(schema, "destinations") == 0 ||
	       strcmp(schema, "repositories") == 0 ||
	       strcmp(schema, "routes") == 0;
}

static enum err read_member(struct build *b, struct target *t, struct level l,
			    const struct node *n)
{
	char schema[WHERE_LEN], where[WHERE_LEN];
	const struct option *o;
	const char *later;

	join(schema, l.schema, n->key);
	join(where, l.where, n->key);
	/* "spool.quota: x" is no way to write it; the path is for messages. */
	o = strchr(n->key, '.') == NULL ? option_find(schema) : NULL;
	if (o != NULL)
		return read_option(b, t, o, n, where);
	if (is_collection(schema))
		return read_collection(b, n);
	if (strchr(n->key, '.') == NULL && option_is_group(schema))
		return read_group(b, t, schema, where, n);
	later = option_later(schema);
	if (later != NULL)
		problem_error(b->errors, n->key_at,
			      "'%s': %s is not in this version; leave it out",
			      n->key, later);
	else
		unknown_key(b, l.schema, n);
	return ERR_OK;
}

static enum err read_map(struct build *b, struct target *t, struct level l,
			 const struct node *map)
{
	for (const struct node *n = map->child; n != NULL && !enough(b);
	     n = n->next) {
		enum err e = ERR_OK;
		char quoted[PROBLEM_QUOTE_LEN];

		if (is_duplicate(map, n))
			problem_error(b->errors, n->key_at,
				      "%s stands here twice; keep one",
				      problem_quote(n->key, quoted));
		else
			e = read_member(b, t, l, n);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

static enum err fill_defaults(struct build *b, struct target *t)
{
	const struct option *o;

	for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
		if (t->set[i] || strcmp(option_scope(o->path), t->scope) != 0)
			continue;
		if (set_default(b, o, t->base) != ERR_OK)
			return ERR_NOMEM;
	}
	return ERR_OK;
}

static void check_required(struct build *b, const struct target *t)
{
	const struct option *o;

	for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
		const char *name = o->path + strlen(t->scope);

		if ((o->flags & OPTION_REQUIRED) == 0 || t->set[i] ||
		    strcmp(option_scope(o->path), t->scope) != 0)
			continue;
		problem_error(b->errors, t->at,
			      "%s needs '%s'; example: %s: %s", t->what, name,
			      name, o->example);
	}
}

static enum err read_struct(struct build *b, struct target *t,
			    const char *where, const struct node *n)
{
	enum err e;

	if (n->kind != NODE_MAP) {
		problem_error(b->errors, n->at,
			      "%s is a map of its keys, not "
			      "%s",
			      t->what, node_kind_text(n->kind));
		return ERR_OK;
	}
	e = read_map(b, t, (struct level){t->scope, where}, n);
	if (e == ERR_OK)
		e = fill_defaults(b, t);
	check_required(b, t);
	return e;
}

/* One of the five collections: how to grow it by an entry. */
struct collection {
	const char *key;  /* "listeners" */
	const char *kind; /* "listener" */
	const char *scope;
	size_t size, max;
	size_t array, count; /* offsets in struct config */
	size_t name, at;     /* offsets in the entry; name unused in routes */
};

#define COLLECTION(name_, kind_, scope_, max_, name_at)                        \
	{                                                                      \
#name_, #kind_, scope_, sizeof(struct config_##kind_), max_,   \
		    offsetof(struct config, name_),                            \
		    offsetof(struct config, n_##name_), name_at,               \
		    offsetof(struct config_##kind_, at)                        \
	}

static const struct collection collections[] = {
    COLLECTION(listeners, listener, "listeners.NAME.", CONFIG_LISTENERS_MAX,
	       offsetof(struct config_listener, name)),
    COLLECTION(devices, device, "devices.NAME.", CONFIG_DEVICES_MAX,
	       offsetof(struct config_device, name)),
    COLLECTION(destinations, destination, "destinations.NAME.",
	       CONFIG_DESTINATIONS_MAX,
	       offsetof(struct config_destination, name)),
    COLLECTION(repositories, repository, "repositories.NAME.",
	       CONFIG_REPOSITORIES_MAX,
	       offsetof(struct config_repository, name)),
    COLLECTION(routes, route, "routes.N.", CONFIG_ROUTES_MAX, 0),
};

static size_t count_children(const struct node *n)
{
	size_t count = 0;

	for (const struct node *c = n->child; c != NULL; c = c->next)
		count++;
	return count;
}

/* Room for every child at once; the count grows as they are read. */
static enum err reserve(struct build *b, const struct collection *c,
			const struct node *n, unsigned char **out)
{
	size_t want = count_children(n);
	void *v;

	if (want > c->max) {
		problem_error(b->errors, n->key_at,
			      "more than %zu %s in one file", c->max, c->key);
		want = c->max;
	}
	v = mem_zarray(want > 0 ? want : 1, c->size);
	if (v == NULL)
		return ERR_NOMEM;
	memcpy((unsigned char *)b->cfg + c->array, &v, sizeof(v));
	*out = v;
	return ERR_OK;
}

static enum err read_entry(struct build *b, const struct collection *c,
			   unsigned char *entry, const struct node *n,
			   size_t number)
{
	struct target t = {.base = entry, .scope = c->scope};
	char what[64], where[WHERE_LEN];
	bool named = n->key != NULL;

	t.at = named ? n->key_at : n->at;
	t.what = what;
	memcpy(entry + c->at, &t.at, sizeof(t.at));
	if (!named) {
		snprintf(what, sizeof(what), "%s %zu", c->kind, number);
		snprintf(where, sizeof(where), "%s.%zu.", c->key, number);
		return read_struct(b, &t, where, n);
	}
	if (!value_name(n->key)) {
		char quoted[PROBLEM_QUOTE_LEN];

		problem_error(b->errors, n->key_at,
			      "%s is not a name for a %s (1 to 32 of a-z, 0-9 "
			      "and -)",
			      problem_quote(n->key, quoted), c->kind);
		return ERR_OK;
	}
	memcpy(entry + c->name, n->key, strlen(n->key));
	snprintf(what, sizeof(what), "%s '%s'", c->kind, n->key);
	snprintf(where, sizeof(where), "%s.%s.", c->key, n->key);
	return read_struct(b, &t, where, n);
}

static enum err read_entries(struct build *b, const struct collection *c,
			     const struct node *n)
{
	unsigned char *v;
	size_t count = 0;
	enum err e = reserve(b, c, n, &v);

	if (e != ERR_OK)
		return e;
	for (const struct node *m = n->child;
	     m != NULL && count < c->max && !enough(b); m = m->next) {
		if (m->key != NULL && is_duplicate(n, m)) {
			problem_error(b->errors, m->key_at,
				      "%s '%.32s' stands here twice", c->kind,
				      m->key);
			continue;
		}
		/* Counted before it is filled: it is freed in any case. */
		count++;
		memcpy((unsigned char *)b->cfg + c->count, &count,
		       sizeof(count));
		e = read_entry(b, c, v + (count - 1) * c->size, m, count);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

static enum err read_collection(struct build *b, const struct node *n)
{
	const struct collection *c = collections;
	enum node_kind want;

	while (strcmp(c->key, n->key) != 0)
		c++;
	want = strcmp(c->key, "routes") == 0 ? NODE_LIST : NODE_MAP;
	if (n->kind == NODE_NULL)
		return ERR_OK;
	if (n->kind == want)
		return read_entries(b, c, n);
	problem_error(b->errors, n->at, "'%s' is %s, not %s; example: %s",
		      c->key,
		      want == NODE_LIST ? "a list of routes"
					: "a map from names to what they are",
		      node_kind_text(n->kind),
		      want == NODE_LIST
			  ? "routes: [{service: storage, forward: [cloud]}]"
			  : "listeners: {modalities: {address: 0.0.0.0:104, "
			    "protocol: dicom, ae_titles: [ARCHIVE]}}");
	return ERR_OK;
}

enum err build_config(struct build *b, const struct node *root)
{
	struct target t = {.base = b->cfg, .scope = "", .what = "the file"};
	enum err e;

	b->cfg->places = mem_zalloc(sizeof(*b->cfg->places));
	if (b->cfg->places == NULL)
		return ERR_NOMEM;
	if (root->kind != NODE_MAP) {
		problem_error(b->errors, root->at,
			      "the file is a map of keys such as listeners, "
			      "not %s",
			      node_kind_text(root->kind));
		return ERR_OK;
	}
	e = read_map(b, &t, (struct level){"", ""}, root);
	if (e == ERR_OK)
		e = fill_defaults(b, &t);
	places_sort(b->cfg->places);
	return e;
}
