#include "policy/change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/option.h"
#include "proxy/lib/mem.h"

struct run {
	config_change_fn *fn;
	void *arg;
	enum err e;
};

/* As in the file; the C library's memory, or NULL. */
static char *text_of(const struct option *o, const void *base)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		return NULL;
	option_print(f, o, base);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

static void tell(struct run *r, const char *path, bool live, const char *before,
		 const char *after)
{
	struct config_change c = {.live = live};

	(void)snprintf(c.path, sizeof(c.path), "%s", path);
	(void)snprintf(c.before, sizeof(c.before), "%s", before);
	(void)snprintf(c.after, sizeof(c.after), "%s", after);
	r->fn(r->arg, &c);
}

/* "devices.NAME.limits.rate" of "ct": "devices.ct.limits.rate". */
static void path_of(const struct option *o, const char *scope, const char *name,
		    char out[CHANGE_PATH_LEN])
{
	size_t noun = strcspn(scope, ".");

	if (scope[0] == '\0')
		(void)snprintf(out, CHANGE_PATH_LEN, "%s", o->path);
	else
		(void)snprintf(out, CHANGE_PATH_LEN, "%.*s.%s.%s", (int)noun,
			       scope, name, o->path + strlen(scope));
}

/* False, and r->e is set: out of memory. */
static bool differ(struct run *r, const struct option *o, const void *a,
		   const void *b, char **before, char **after)
{
	*before = text_of(o, a);
	*after = text_of(o, b);
	if (*before == NULL || *after == NULL)
		r->e = ERR_NOMEM;
	return r->e == ERR_OK && strcmp(*before, *after) != 0;
}

/* Every option of a scope, in one struct of each. Returns how many differ. */
static unsigned compare(struct run *r, const char *scope, const char *name,
			const void *a, const void *b)
{
	const struct option *o;
	unsigned n = 0;

	for (size_t i = 0; r->e == ERR_OK && (o = option_at(i)) != NULL; i++) {
		char path[CHANGE_PATH_LEN], *before, *after;

		if (strcmp(option_scope(o->path), scope) != 0 ||
		    memcmp((const char *)a + o->offset,
			   (const char *)b + o->offset, o->width) == 0)
			continue;
		if (differ(r, o, a, b, &before, &after)) {
			n++;
			path_of(o, scope, name, path);
			if (r->fn != NULL)
				tell(r, path, (o->flags & OPTION_LIVE) != 0,
				     before, after);
		}
		free(before);
		free(after);
	}
	return n;
}

/* ---- by name ----------------------------------------------------------- */

int change_listener(const struct config *in, const struct config *of, size_t i)
{
	const char *name = of->listeners[i].name;

	if (i < in->n_listeners && strcmp(in->listeners[i].name, name) == 0)
		return (int)i;
	return config_listener_find(in, name);
}

int change_device(const struct config *in, const struct config *of, size_t i)
{
	const char *name = of->devices[i].name;

	if (i < in->n_devices && strcmp(in->devices[i].name, name) == 0)
		return (int)i;
	return config_device_find(in, name);
}

int change_destination(const struct config *in, const struct config *of,
		       size_t i)
{
	const char *name = of->destinations[i].name;

	if (i < in->n_destinations &&
	    strcmp(in->destinations[i].name, name) == 0)
		return (int)i;
	return config_destination_find(in, name);
}

/* ---- the nouns with names ---------------------------------------------- */

struct noun {
	const char *scope;
	size_t size;
	int (*find)(const struct config *in, const struct config *of, size_t i);
	size_t (*count)(const struct config *cfg);
	const void *(*array)(const struct config *cfg);
};

static size_t n_listeners(const struct config *cfg)
{
	return cfg->n_listeners;
}

static const void *listeners(const struct config *cfg)
{
	return cfg->listeners;
}

static size_t n_devices(const struct config *cfg)
{
	return cfg->n_devices;
}

static const void *devices(const struct config *cfg)
{
	return cfg->devices;
}

/* Implicit ones follow from the devices. */
static size_t n_destinations(const struct config *cfg)
{
	size_t n = 0;

	while (n < cfg->n_destinations && !cfg->destinations[n].implicit)
		n++;
	return n;
}

static const void *destinations(const struct config *cfg)
{
	return cfg->destinations;
}

static int change_repository(const struct config *in, const struct config *of,
			     size_t i)
{
	return config_repository_find(in, of->repositories[i].name);
}

static size_t n_repositories(const struct config *cfg)
{
	return cfg->n_repositories;
}

static const void *repositories(const struct config *cfg)
{
	return cfg->repositories;
}

static const struct noun nouns[] = {
    {"listeners.NAME.", sizeof(struct config_listener), change_listener,
     n_listeners, listeners},
    {"devices.NAME.", sizeof(struct config_device), change_device, n_devices,
     devices},
    {"destinations.NAME.", sizeof(struct config_destination),
     change_destination, n_destinations, destinations},
    {"repositories.NAME.", sizeof(struct config_repository), change_repository,
     n_repositories, repositories},
};

/* Each begins with its name. */
static const char *at(const struct noun *k, const struct config *cfg, size_t i)
{
	return (const char *)k->array(cfg) + i * k->size;
}

static void tell_noun(struct run *r, const struct noun *k, const char *name,
		      const char *before, const char *after)
{
	char path[CHANGE_PATH_LEN];

	(void)snprintf(path, sizeof(path), "%.*s.%s",
		       (int)strcspn(k->scope, "."), k->scope, name);
	tell(r, path, false, before, after);
}

static void compare_nouns(struct run *r, const struct noun *k,
			  const struct config *before,
			  const struct config *after)
{
	for (size_t i = 0; i < k->count(before); i++) {
		const char *name = at(k, before, i);
		int j = k->find(after, before, i);

		if (j < 0)
			tell_noun(r, k, name, "declared", "");
		else
			(void)compare(r, k->scope, name, at(k, before, i),
				      at(k, after, (size_t)j));
	}
	for (size_t j = 0; j < k->count(after); j++)
		if (k->find(before, after, j) < 0)
			tell_noun(r, k, at(k, after, j), "", "declared");
}

static void compare_routes(struct run *r, const struct config *before,
			   const struct config *after)
{
	struct run silent = {.e = ERR_OK};
	size_t n = before->n_routes;
	unsigned differences = before->n_routes != after->n_routes;

	for (size_t i = 0; differences == 0 && i < n; i++)
		differences = compare(&silent, "routes.N.", "",
				      &before->routes[i], &after->routes[i]);
	if (silent.e != ERR_OK)
		r->e = silent.e;
	else if (differences > 0)
		tell(r, "routes", false, "others", "as in the file");
}

enum err config_changes(const struct config *before, const struct config *after,
			config_change_fn *fn, void *arg)
{
	struct run r = {.fn = fn, .arg = arg, .e = ERR_OK};

	(void)compare(&r, "", "", before, after);
	for (size_t i = 0; i < ARRAY_LEN(nouns); i++)
		compare_nouns(&r, &nouns[i], before, after);
	compare_routes(&r, before, after);
	return r.e;
}
