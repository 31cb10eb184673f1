/* Loading from end to end, and freeing. */
#include "policy/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/build.h"
#include "policy/check.h"
#include "policy/expand.h"
#include "policy/problem.h"
#include "proxy/lib/mem.h"

void config_free(struct config *cfg)
{
	if (cfg == NULL)
		return;
	set_free_all(cfg->listeners, cfg->n_listeners, sizeof(*cfg->listeners),
		     "listeners.NAME.");
	set_free_all(cfg->devices, cfg->n_devices, sizeof(*cfg->devices),
		     "devices.NAME.");
	set_free_all(cfg->destinations, cfg->n_destinations,
		     sizeof(*cfg->destinations), "destinations.NAME.");
	set_free_all(cfg->repositories, cfg->n_repositories,
		     sizeof(*cfg->repositories), "repositories.NAME.");
	set_free_all(cfg->routes, cfg->n_routes, sizeof(*cfg->routes),
		     "routes.N.");
	set_free_members(cfg, "");
	places_free(cfg->places);
	mem_free(cfg);
}

/* The directory part of path, without the slash at its end unless that is
 * all; "" if there is none. */
static void directory_of(const char *path, char out[CONFIG_PATH_LEN])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash != NULL ? (size_t)(slash - path) : 0;

	if (slash == path)
		len = 1;
	if (len >= CONFIG_PATH_LEN)
		len = 0;
	memcpy(out, path, len);
	out[len] = '\0';
}

/* A key's file beside the spool's directory, unless one is named. */
static void default_key(struct config *cfg, const char *name, const char *key,
			char out[CONFIG_PATH_LEN], struct config_errors *e)
{
	char spool[CONFIG_PATH_LEN], dir[CONFIG_PATH_LEN];
	size_t len;
	int n;

	if (out[0] != '\0')
		return;
	memcpy(spool, cfg->spool.path, sizeof(spool));
	len = strlen(spool);
	while (len > 1 && spool[len - 1] == '/')
		spool[--len] = '\0';
	directory_of(spool, dir);
	n = snprintf(out, CONFIG_PATH_LEN, "%s%s%s", dir,
		     dir[0] == '\0' || strcmp(dir, "/") == 0 ? "" : "/", name);
	if (n < 0 || n >= CONFIG_PATH_LEN)
		problem_error(e, config_where(cfg, "spool.path"),
			      "the path is too long; give %s too", key);
}

static void default_keys(struct config *cfg, struct config_errors *e)
{
	default_key(cfg, "data.key", "spool.key", cfg->spool.key, e);
	default_key(cfg, "signing.key", "records.signing_key",
		    cfg->records.signing_key, e);
}

/* RFC 5425 4.1, RFC 5426 3.3. */
static void default_ports(struct config *cfg)
{
	for (size_t i = 0; i < cfg->n_repositories; i++) {
		struct config_repository *r = &cfg->repositories[i];

		if (r->address.port == 0)
			r->address.port =
			    r->protocol == CONFIG_SYSLOG_TLS ? 6514 : 514;
	}
}

static enum err build(struct config *cfg, const char *text, size_t len,
		      const char *dir, struct config_errors *errors)
{
	struct build b = {.cfg = cfg, .errors = errors, .dir = dir};
	struct node *root;
	enum err e = document_parse(text, len, errors, &root);

	if (e != ERR_OK)
		return e;
	e = build_config(&b, root);
	document_free(root);
	if (e != ERR_OK)
		return e;
	/* What is missing because it was wrong would only be wrong again. */
	if (errors->n_errors == 0)
		check_actions(cfg, errors);
	if (errors->n_errors == 0)
		e = expand_devices(&b);
	if (e == ERR_OK && errors->n_errors == 0)
		check_refs(cfg, errors);
	if (e == ERR_OK && errors->n_errors == 0)
		e = expand_called(&b);
	if (e != ERR_OK)
		return e;
	if (errors->n_errors == 0)
		default_keys(cfg, errors);
	default_ports(cfg);
	if (errors->n_errors == 0)
		check_meaning(cfg, errors);
	return errors->n_errors == 0 ? ERR_OK : ERR_INVAL;
}

static enum err load(const char *text, size_t len, const char *name,
		     const char *dir, struct config **out,
		     struct config_errors *errors)
{
	struct config *cfg = mem_zalloc(sizeof(*cfg));
	enum err e;

	if (cfg == NULL)
		return ERR_NOMEM;
	snprintf(cfg->file, sizeof(cfg->file), "%s", name);
	e = build(cfg, text, len, dir, errors);
	problem_sort(errors);
	if (e != ERR_OK) {
		config_free(cfg);
		return e;
	}
	*out = cfg;
	return ERR_OK;
}

enum err config_load_from_memory(const char *text, size_t len, const char *name,
				 struct config **out,
				 struct config_errors *errors)
{
	char dir[CONFIG_PATH_LEN];

	problem_init(errors, name);
	directory_of(name, dir);
	return load(text, len, name, dir, out, errors);
}

/* Up to max + 1 bytes, so that the caller sees what is too long. */
static enum err read_all(int fd, char *into, size_t max, size_t *out)
{
	size_t len = 0;

	while (len <= max) {
		ssize_t n = read(fd, into + len, max + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_IO;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*out = len;
	return ERR_OK;
}

static enum err read_file(const char *path, char *into, size_t max, size_t *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum err e;

	if (fd < 0)
		return ERR_IO;
	e = read_all(fd, into, max, out);
	if (e == ERR_OK) {
		close(fd);
	} else {
		int why = errno;

		close(fd);
		errno = why;
	}
	return e;
}

enum err config_load(const char *path, struct config **out,
		     struct config_errors *errors)
{
	char real[PATH_MAX], dir[CONFIG_PATH_LEN], *text;
	size_t len = 0;
	enum err e;

	problem_init(errors, path);
	text = mem_zalloc(CONFIG_FILE_MAX + 1);
	if (text == NULL)
		return ERR_NOMEM;
	e = read_file(path, text, CONFIG_FILE_MAX, &len);
	if (e != ERR_OK) {
		problem_error(errors, (struct config_mark){0, 0},
			      "cannot read it: %s", strerror(errno));
	} else {
		/* Absolute, since a daemon may change its directory. */
		directory_of(realpath(path, real) != NULL ? real : path, dir);
		e = load(text, len, path, dir, out, errors);
	}
	mem_free(text);
	return e;
}
