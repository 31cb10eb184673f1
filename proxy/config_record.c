#include "proxy/config_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger.h"

enum { PATH_LEN = CONFIG_PATH_LEN + 32, CHANGES_MAX = 200 };

struct counted {
	struct ledger *ledger;
	unsigned n;
};

static void path_of(const struct config *cfg, const char *end,
		    char out[PATH_LEN])
{
	snprintf(out, PATH_LEN, "%s/configuration.last%s", cfg->records.path,
		 end);
}

void config_record_change(struct ledger *ledger, const char *by,
			  const struct config_change *c)
{
	struct audit_event *e = mem_zalloc(sizeof(*e));
	bool now = c->live || strcmp(by, "start") == 0;
	struct audit_json j;

	if (e == NULL)
		return; /* the log has it */
	e->kind = AUDIT_CONFIG_CHANGED;
	snprintf(e->user, sizeof(e->user), "%s", by);
	j = audit_json_begin(e->detail, sizeof(e->detail));
	audit_json_text(&j, "option", c->path);
	audit_json_text(&j, "before", c->before);
	audit_json_text(&j, "after", c->after);
	audit_json_text(&j, "effect", now ? "now" : "after a restart");
	audit_json_end(&j);
	ledger_audit(ledger, e);
	mem_free(e);
}

static void on_change(void *arg, const struct config_change *c)
{
	struct counted *k = arg;

	if (k->n++ < CHANGES_MAX)
		config_record_change(k->ledger, "start", c);
}

/* Number of changes, or -1: the one before is not known. */
static int changes_since(struct ledger *ledger, const struct config *cfg)
{
	struct config_errors *errors = mem_zalloc(sizeof(*errors));
	struct counted k = {.ledger = ledger};
	struct config *last = NULL;
	char path[PATH_LEN];
	bool known;

	path_of(cfg, "", path);
	known = errors != NULL && access(path, R_OK) == 0 &&
		config_load(path, &last, errors) == ERR_OK &&
		config_changes(last, cfg, on_change, &k) == ERR_OK;
	config_free(last);
	mem_free(errors);
	return known ? (int)k.n : -1;
}

static bool write_last(const struct config *cfg, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool ok;

	if (out == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	config_dump(cfg, out);
	ok = fflush(out) == 0 && fsync(fd) == 0;
	return fclose(out) == 0 && ok;
}

static void keep(const struct config *cfg)
{
	char fresh[PATH_LEN], path[PATH_LEN];

	path_of(cfg, ".new", fresh);
	path_of(cfg, "", path);
	if (!write_last(cfg, fresh) || rename(fresh, path) != 0)
		log_event(LOG_INFO, "config-not-kept",
			  "file=%s cause=\"%s\" effect=\"what is changed until "
			  "the next start is not noticed then\"",
			  path, strerror(errno));
}

void config_record_start(struct ledger *ledger, const struct config *cfg)
{
	struct audit_event *e = mem_zalloc(sizeof(*e));
	int changed = changes_since(ledger, cfg);
	struct audit_json j;

	keep(cfg);
	if (e == NULL)
		return;
	e->kind = AUDIT_START;
	j = audit_json_begin(e->detail, sizeof(e->detail));
	audit_json_text(&j, "version", CULVERT_VERSION);
	audit_json_text(&j, "node", cfg->node);
	audit_json_text(&j, "file", cfg->file);
	if (changed >= 0)
		audit_json_number(&j, "changed", changed);
	else
		audit_json_text(&j, "changed",
				"not known: no start before, or it cannot be "
				"read");
	audit_json_end(&j);
	ledger_audit(ledger, e);
	mem_free(e);
}
