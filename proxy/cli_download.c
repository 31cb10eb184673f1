#include "proxy/cli_download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/cli.h"
#include "proxy/cli_progress.h"
#include "proxy/cli_ui.h"
#include "proxy/control.h"
#include "proxy/export_frames.h"
#include "proxy/lib/disk.h"
#include "proxy/lib/mem.h"

enum { PATH_LEN = 4096 };

/* ---- a file that is whole or not there
 * ------------------------------------------ */

struct aside {
	int fd; /* -1: none */
	bool to_stdout;
	char path[PATH_LEN];
	char temp[PATH_LEN + 16];
};

static bool say(const struct cli_download *d, const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", d->command, what, strerror(errno));
	return false;
}

static bool aside_open(const struct cli_download *d, const char *path,
		       struct aside *a)
{
	if (strcmp(path, "-") == 0) {
		a->fd = STDOUT_FILENO;
		a->to_stdout = true;
		return true;
	}
	if ((size_t)snprintf(a->path, sizeof(a->path), "%s", path) >=
	    sizeof(a->path)) {
		errno = ENAMETOOLONG;
		return say(d, "file name");
	}
	if (!d->force && access(path, F_OK) == 0) {
		fprintf(stderr,
			"%s: %s exists; name another file, or say --force\n",
			d->command, path);
		return false;
	}
	snprintf(a->temp, sizeof(a->temp), "%s.part-%d", path, (int)getpid());
	a->fd = open(a->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return a->fd >= 0 ? true : say(d, a->temp);
}

static bool aside_commit(const struct cli_download *d, struct aside *a)
{
	bool ok;

	if (a->to_stdout || a->fd < 0)
		return true;
	ok = fsync(a->fd) == 0;
	ok = close(a->fd) == 0 && ok;
	a->fd = -1;
	ok = ok && rename(a->temp, a->path) == 0 &&
	     disk_flush_directory_of(a->path) == ERR_OK;
	return ok ? true : say(d, a->path);
}

static void aside_drop(struct aside *a)
{
	if (a->to_stdout || a->temp[0] == '\0')
		return;
	if (a->fd >= 0)
		close(a->fd);
	unlink(a->temp); /* gone already when it was renamed */
}

/* ---- the bytes
 * --------------------------------------------------------------------- */

static bool copy(const struct cli_download *d, struct export_frames *f,
		 const struct aside *to)
{
	struct cli_progress progress;
	uint8_t *room = mem_zalloc(EXPORT_FRAME_MAX);
	ptrdiff_t n = -1;
	bool ok = room != NULL;

	cli_progress_begin(&progress, "exporting", 0, CLI_PROGRESS_COUNT);
	while (ok && (n = export_frames_read(f, room, EXPORT_FRAME_MAX)) > 0) {
		ok = disk_write(to->fd, room, (size_t)n);
		if (!ok)
			(void)say(d,
				  to->to_stdout ? "standard output" : to->path);
		progress.total = f->total;
		cli_progress_to(&progress, f->done);
	}
	cli_progress_end(&progress);
	if (ok && n < 0)
		fprintf(stderr, "%s: %s\n", d->command, f->error);
	if (room != NULL)
		mem_wipe(room, EXPORT_FRAME_MAX);
	mem_free(room);
	return ok && n == 0;
}

static bool fill(const struct cli_download *d, struct export_frames *f,
		 struct aside *data, struct aside *manifest)
{
	if (!copy(d, f, data))
		return false;
	if (manifest->fd >= 0 &&
	    !disk_write(manifest->fd, f->manifest, f->manifest_len))
		return say(d, manifest->path);
	return aside_commit(d, manifest) && aside_commit(d, data);
}

static bool open_files(const struct cli_download *d, const char *name,
		       struct aside *data, struct aside *manifest)
{
	const char *out = d->out != NULL ? d->out : name;
	char path[PATH_LEN];

	if (d->out == NULL && strchr(name, '/') != NULL) {
		fprintf(stderr, "%s: the daemon names no file; use -o\n",
			d->command);
		return false;
	}
	if (!aside_open(d, out, data))
		return false;
	if (d->bare || (data->to_stdout && d->manifest == NULL))
		return true;
	snprintf(path, sizeof(path), "%.4000s.manifest.json", out);
	return aside_open(d, d->manifest != NULL ? d->manifest : path,
			  manifest);
}

static int receive(const struct cli_download *d, int fd, const char *name)
{
	struct export_frames *f = mem_zalloc(sizeof(*f));
	struct aside *files = mem_zarray(2, sizeof(*files));
	int rc = CLI_FAILED;

	if (f == NULL || files == NULL) {
		fprintf(stderr, "%s: out of memory\n", d->command);
	} else {
		f->fd = fd;
		files[0].fd = files[1].fd = -1;
		if (open_files(d, name, &files[0], &files[1]) &&
		    fill(d, f, &files[0], &files[1])) {
			rc = CLI_OK;
			if (!files[0].to_stdout)
				fprintf(stderr, "%s\n", files[0].path);
		}
		aside_drop(&files[0]);
		aside_drop(&files[1]);
	}
	mem_free(files);
	mem_free(f);
	return rc;
}

int cli_download(const struct cli_download *d)
{
	json_t *answer = NULL;
	const char *text;
	char why[256];
	int fd = -1, rc = CLI_FAILED;
	enum err e;

	e = control_ask(d->socket, d->request, &answer, &fd, why);
	if (e != ERR_OK) {
		fprintf(stderr, "%s: %s\n", d->command, why);
		return cli_ask_failed(e);
	}
	if (json_is_true(json_object_get(answer, "ok"))) {
		text = json_string_value(json_object_get(answer, "name"));
		rc = receive(d, fd, text != NULL ? text : "/");
	} else {
		text = json_string_value(json_object_get(answer, "error"));
		fprintf(stderr, "%s: %s\n", d->command,
			text != NULL ? text
				     : "the daemon's answer cannot be "
				       "read");
		rc = cli_refused_answer(answer);
	}
	close(fd);
	json_decref(answer);
	return rc;
}
