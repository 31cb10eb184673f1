#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/auditing.h"
#include "proxy/cli.h"
#include "proxy/cli_audit.h"
#include "proxy/cli_progress.h"
#include "proxy/cli_ui.h"
#include "proxy/control.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"

static const char help[] =
    "usage: culvert audit verify [-c FILE] [OPTIONS]\n\n"
    "Checks every row, every head and every sealed value of the audit, while "
    "the\n"
    "daemon runs or without it, and names what was changed, taken out, put in "
    "or\n"
    "moved. The public key is enough. Who may read the files checks them "
    "here; for\n"
    "an auditor who may not, the daemon does it beside its work.\n\n"
    "  --head FILE    heads kept elsewhere (culvert audit head), one or many "
    "in\n"
    "                 a file; may be given several times. Finds what was "
    "cut\n"
    "                 off or made anew before them, whatever was done here\n"
    "  --key FILE     public key to believe; may be given several times.\n"
    "                 Default: the one beside records.signing_key\n"
    "  --dir DIR      the directory of the audit; default: records.path. With\n"
    "                 it and --key no configuration is read\n"
    "  --all          name every fault; default: the first 20\n"
    "  --json         one JSON object on standard output\n\n"
    "exit status: 0 whole, 1 it could not be checked, 2 usage, 3 faulty, 4 "
    "the\n"
    "caller may not\n\n"
    "examples:\n"
    "  culvert audit verify\n"
    "  culvert audit verify --head /media/usb/head-2026-05-04.txt\n"
    "  culvert audit verify --dir /mnt/copy --key edge-01.pub --json\n";

enum { PATHS_MAX = 64 };

static const char me[] = "culvert audit verify";

struct work {
	struct auditing a;
	bool has_dir;
	const char *key_paths[AUDITING_KEYS_MAX], *head_paths[PATHS_MAX];
	size_t n_key_paths, n_paths;
	bool as_json;
	long long shown;
	json_t *faults;
	struct cli_progress progress;
	bool progressing;
	char default_key[CONFIG_PATH_LEN + 8];
};

/* ---- what it is told -------------------------------------------------------
 */

static bool on_fault(void *arg, const json_t *row)
{
	struct work *w = arg;
	const char *file = cli_text(row, "file");

	w->shown++;
	if (w->as_json)
		return json_array_append(w->faults, (json_t *)row) == 0;
	cli_progress_end(&w->progress);
	w->progressing = false;
	printf("fault      %-16s %s: %s\n", cli_text(row, "fault"),
	       file[0] != '\0' ? file : "audit", cli_text(row, "text"));
	return true;
}

static bool on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct work *w = arg;

	if (!w->progressing)
		cli_progress_begin(&w->progress, "checking the audit", total,
				   CLI_PROGRESS_COUNT);
	w->progressing = true;
	w->progress.total = total;
	cli_progress_to(&w->progress, done);
	return true;
}

static bool on_line(void *arg, const json_t *line)
{
	const json_t *row = json_object_get(line, "row"),
		     *progress = json_object_get(line, "progress");

	if (row != NULL)
		return on_fault(arg, row);
	return on_progress(arg, (uint64_t)cli_integer(progress, "done"),
			   (uint64_t)cli_integer(progress, "total"));
}

/* ---- the end ---------------------------------------------------------------
 */

static void print_text(const struct work *w, const json_t *r)
{
	long long faults = cli_integer(r, "n_faults");
	char when[CLOCK_TEXT_LEN];

	if (faults > w->shown)
		printf("fault      and %lld more; --all names them\n",
		       faults - w->shown);
	printf("rows       %lld, the last is %lld\n", cli_integer(r, "rows"),
	       cli_integer(r, "last"));
	if (cli_integer(r, "chain_first") != 0)
		printf("chain      begins at row %lld, is now %s\n",
		       cli_integer(r, "chain_first"), cli_text(r, "chain"));
	if (cli_integer(r, "unchained") > 0)
		printf("unchained  %lld rows from before there was a chain: "
		       "nothing can be said of them\n",
		       cli_integer(r, "unchained"));
	if (cli_integer(r, "pruned") > 0)
		printf("pruned     %lld rows, signed hashes stand for them\n",
		       cli_integer(r, "pruned"));
	if (cli_integer(r, "erased") > 0)
		printf("erased     %lld sealed values, on record\n",
		       cli_integer(r, "erased"));
	printf("heads      %lld", cli_integer(r, "heads"));
	if (cli_integer(r, "head_last") != 0)
		printf(", the last good one covers row %lld (%s)",
		       cli_integer(r, "head_last"),
		       clock_text(cli_integer(r, "head_last_ms"), when));
	printf("\n");
	if (cli_integer(r, "uncovered") > 0)
		printf("uncovered  %lld rows after it: no signature stands for "
		       "them yet\n",
		       cli_integer(r, "uncovered"));
	printf("outside    %zu heads given\n", w->a.n_heads);
	if (faults == 0)
		printf("result     whole\n");
	else
		printf("result     FAULTY, %lld faults; the first: %s\n",
		       faults, cli_text(json_object_get(r, "first"), "text"));
}

/* Takes answer; NULL: it failed, and why is said here. */
static int show(struct work *w, json_t *answer)
{
	json_t *report = json_object_get(answer, "report");
	bool whole = json_is_true(json_object_get(report, "whole"));
	int rc = CLI_FAILED;

	cli_progress_end(&w->progress);
	if (report == NULL) {
		const char *error = cli_text(answer, "error");

		fprintf(stderr, "%s: %s\n", me,
			error[0] != '\0' ? error : "out of memory");
		rc = cli_refused_answer(answer);
	} else if (w->as_json) {
		json_object_set(report, "faults", w->faults);
		if (cli_json(json_incref(report)) == CLI_OK)
			rc = whole ? CLI_OK : CLI_FAULTY;
	} else {
		print_text(w, report);
		rc = whole ? CLI_OK : CLI_FAULTY;
	}
	json_decref(answer);
	return rc;
}

/* ---- what it is given ------------------------------------------------------
 */

/* The lines up to the next signature. 0: the end; more than cap: no head. */
static size_t next_head(FILE *f, char *text, size_t cap)
{
	size_t n = 0, line = 0;
	int c;

	while (n <= cap && (c = fgetc(f)) != EOF) {
		if (n < cap)
			text[n] = (char)c;
		n++;
		if (c != '\n')
			continue;
		if (n - line > 10 && memcmp(text + line, "signature:", 10) == 0)
			break;
		line = n;
	}
	return n;
}

/* What is wrong, or NULL. */
static const char *take_heads(struct work *w, FILE *f)
{
	char text[AUDIT_HEAD_FILE_LEN];
	size_t before = w->a.n_heads, n;

	while ((n = next_head(f, text, sizeof(text))) > 0) {
		enum err e = auditing_add_head(&w->a, text, n);

		if (e == ERR_INVAL)
			return "no head as culvert audit head prints it";
		if (e == ERR_LIMIT)
			return "more heads than are taken at once (100,000)";
		if (e != ERR_OK)
			return err_text(e);
	}
	return w->a.n_heads > before ? NULL : "no head in it";
}

static bool read_heads(struct work *w, const char *path)
{
	FILE *f = fopen(path, "re");
	const char *wrong;

	if (f == NULL) {
		fprintf(stderr, "%s: %s: %s\n", me, path, strerror(errno));
		return false;
	}
	wrong = take_heads(w, f);
	(void)fclose(f);
	if (wrong != NULL)
		fprintf(stderr, "%s: %s: %s\n", me, path, wrong);
	return wrong == NULL;
}

static bool read_keys(struct work *w)
{
	char why[SEAL_WHY_LEN];

	for (size_t i = 0; i < w->n_key_paths; i++) {
		if (seal_verifier_open(w->key_paths[i], &w->a.keys[w->a.n_keys],
				       why) != ERR_OK) {
			fprintf(stderr, "%s: %s\n", me, why);
			return false;
		}
		w->a.n_keys++;
	}
	return true;
}

static bool read_all_heads(struct work *w)
{
	for (size_t i = 0; i < w->n_paths; i++)
		if (!read_heads(w, w->head_paths[i]))
			return false;
	return true;
}

static bool take(struct work *w, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--all") == 0) {
			w->a.all = true;
			continue;
		}
		if (strcmp(argv[i], "--json") == 0) {
			w->as_json = true;
			continue;
		}
		if (value == NULL)
			return false;
		if (strcmp(argv[i], "--dir") == 0)
			w->a.dir = value;
		else if (strcmp(argv[i], "--key") == 0 &&
			 w->n_key_paths < AUDITING_KEYS_MAX)
			w->key_paths[w->n_key_paths++] = value;
		else if (strcmp(argv[i], "--head") == 0 &&
			 w->n_paths < PATHS_MAX)
			w->head_paths[w->n_paths++] = value;
		else
			return false;
		i++;
	}
	return true;
}

/* ---- here, or by the daemon -------------------------------------------------
 */

static int check_here(struct work *w)
{
	w->a.row = on_fault;
	w->a.progress = on_progress;
	w->a.arg = w;
	return read_keys(w) ? show(w, auditing_check(&w->a)) : CLI_FAILED;
}

static json_t *request_of(const struct work *w)
{
	json_t *heads = json_array(), *keys = json_array();
	char text[AUDIT_HEAD_FILE_LEN], pem[4096];

	for (size_t i = 0; i < w->a.n_heads; i++) {
		(void)audit_head_file(&w->a.heads[i], text);
		json_array_append_new(heads, json_string(text));
	}
	for (size_t i = 0; i < w->n_key_paths; i++) {
		FILE *f = fopen(w->key_paths[i], "re");
		size_t n = f != NULL ? fread(pem, 1, sizeof(pem) - 1, f) : 0;

		pem[n] = '\0';
		if (f != NULL)
			(void)fclose(f);
		json_array_append_new(keys, json_string(pem));
	}
	return json_pack("{s:s,s:b,s:o,s:o}", "op", "audit-verify", "all",
			 w->a.all, "heads", heads, "keys", keys);
}

/* By one who may not read the files. */
static int check_there(struct work *w, const char *socket)
{
	json_t *request, *answer = NULL;
	char why[256];
	enum err e;

	if (w->a.n_heads > AUDITING_HEADS_ASKED) {
		fprintf(stderr,
			"%s: more heads than the daemon takes at once (%d); "
			"give the newest\n",
			me, AUDITING_HEADS_ASKED);
		return CLI_FAILED;
	}
	request = request_of(w);
	e = control_ask_long(socket, request, on_line, w, &answer, why);
	json_decref(request);
	if (e == ERR_OK)
		return show(w, answer);
	cli_progress_end(&w->progress);
	fprintf(stderr, "%s: the files may not be read here, and %s\n", me,
		why);
	return e == ERR_DENIED ? CLI_DENIED : CLI_FAILED;
}

/* Whether the caller may read all that is checked: he then need not believe the
 * process that wrote it. */
static bool may_be_read(const struct work *w)
{
	char pattern[CONFIG_PATH_LEN + 16];
	bool good = access(w->a.dir, R_OK | X_OK) == 0;
	glob_t g;

	for (size_t i = 0; i < w->n_key_paths; i++)
		good = good && access(w->key_paths[i], R_OK) == 0;
	snprintf(pattern, sizeof(pattern), "%s/audit-*.db", w->a.dir);
	if (!good || glob(pattern, GLOB_NOSORT, NULL, &g) != 0)
		return false;
	for (size_t i = 0; i < g.gl_pathc; i++)
		good = good && access(g.gl_pathv[i], R_OK) == 0;
	globfree(&g);
	return good;
}

/* cfg is NULL when a directory and a key are given. */
static int run(struct work *w, const struct config *cfg)
{
	bool default_key = w->n_key_paths == 0;
	int rc;

	if (default_key) {
		snprintf(w->default_key, sizeof(w->default_key), "%s.pub",
			 cfg->records.signing_key);
		w->key_paths[w->n_key_paths++] = w->default_key;
	}
	if (w->has_dir || may_be_read(w)) {
		rc = check_here(w);
	} else {
		w->n_key_paths -= default_key ? 1 : 0;
		rc = check_there(w, cfg->control.path);
	}
	return rc;
}

int cli_audit_verify(int argc, char **argv)
{
	struct work w = {0};
	struct config *cfg = NULL;
	const char *path;
	int rc = CLI_FAILED;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	path = cli_take_config(&argc, argv);
	if (path == NULL || !take(&w, argc, argv)) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	log_set_level(LOG_WARN);
	w.has_dir = w.a.dir != NULL;
	if (!w.has_dir || w.n_key_paths == 0) {
		cfg = cli_config(path);
		if (cfg == NULL)
			return CLI_FAILED;
		if (!w.has_dir)
			w.a.dir = cfg->records.path;
	}
	w.faults = json_array();
	if (read_all_heads(&w))
		rc = run(&w, cfg);
	auditing_free(&w.a);
	json_decref(w.faults);
	config_free(cfg);
	return rc;
}
