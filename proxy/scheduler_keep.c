#include "proxy/scheduler_keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/mem.h"

enum { KEEP_PATH_LEN = CONFIG_PATH_LEN + 16 };

static char *keep_path(const struct config *cfg, const char *name,
		       char out[KEEP_PATH_LEN])
{
	(void)snprintf(out, KEEP_PATH_LEN, "%s/%s", cfg->records.path, name);
	return out;
}

bool keep_is_held(const struct config *cfg, const char *destination)
{
	char path[KEEP_PATH_LEN], line[CONFIG_NAME_LEN + 2];
	FILE *f = fopen(keep_path(cfg, "held", path), "re");
	bool held = false;

	if (f == NULL)
		return false;
	while (!held && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		held = strcmp(line, destination) == 0;
	}
	(void)fclose(f);
	return held;
}

static bool write_names(const struct config *cfg, FILE *f,
			const char *destination, bool held)
{
	for (size_t i = 0; i < cfg->n_destinations; i++) {
		const char *name = cfg->destinations[i].name;
		bool keep = strcmp(name, destination) == 0
				? held
				: keep_is_held(cfg, name);

		if (keep && fprintf(f, "%s\n", name) < 0)
			return false;
	}
	return fflush(f) == 0 && fsync(fileno(f)) == 0;
}

static void sync_directory(const struct config *cfg)
{
	int fd = open(cfg->records.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)fsync(fd);
	(void)close(fd);
}

enum err keep_set_held(const struct config *cfg, const char *destination,
		       bool held)
{
	char path[KEEP_PATH_LEN], temporary[KEEP_PATH_LEN];
	FILE *f = fopen(keep_path(cfg, "held.new", temporary), "we");
	bool ok;

	if (f == NULL)
		return errno == ENOSPC ? ERR_NOSPACE : ERR_IO;
	ok = write_names(cfg, f, destination, held);
	ok = fclose(f) == 0 && ok;
	if (!ok || rename(temporary, keep_path(cfg, "held", path)) != 0) {
		(void)unlink(temporary);
		return ERR_IO;
	}
	sync_directory(cfg);
	return ERR_OK;
}
