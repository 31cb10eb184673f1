#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_audit.h"
#include "proxy/cli_progress.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/audit_verify.h"

static const char help[] =
    "usage: culvert audit verify [-c FILE] [OPTIONS]\n\n"
    "Checks every row, every head and every sealed value of the audit, while "
    "the\n"
    "daemon runs or without it, and names what was changed, taken out, put in "
    "or\n"
    "moved. The public key is enough.\n\n"
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
    "exit status: 0 whole, 1 it could not be checked, 2 usage, 3 faulty\n\n"
    "examples:\n"
    "  culvert audit verify\n"
    "  culvert audit verify --head /media/usb/head-2026-05-04.txt\n"
    "  culvert audit verify --dir /mnt/copy --key edge-01.pub --json\n";

enum { KEYS_MAX = 16, PATHS_MAX = 64, HEADS_MAX = 100000, SHOWN = 20 };

struct work {
	const char *dir;
	const char *key_paths[KEYS_MAX], *head_paths[PATHS_MAX];
	size_t n_keys, n_paths, n_heads, room;
	struct seal_verifier *keys[KEYS_MAX];
	struct audit_head *heads; /* n_heads, with room for room */
	bool all, as_json;
	uint64_t shown;
	json_t *findings;
	struct cli_progress progress;
	bool progressing;
};

/* ---- what it is told -------------------------------------------------------
 */

static void on_finding(void *arg, const struct audit_finding *f)
{
	struct work *w = arg;

	if (!w->all && w->shown >= SHOWN)
		return;
	w->shown++;
	if (w->as_json) {
		json_array_append_new(
		    w->findings, json_pack("{s:s,s:I,s:s,s:s}", "fault",
					   audit_fault_text(f->fault), "seq",
					   (json_int_t)f->seq, "file", f->file,
					   "text", f->text));
		return;
	}
	cli_progress_end(&w->progress);
	w->progressing = false;
	printf("fault      %-16s %s: %s\n", audit_fault_text(f->fault),
	       f->file[0] != '\0' ? f->file : "audit", f->text);
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct work *w = arg;

	if (!w->progressing)
		cli_progress_begin(&w->progress, "checking the audit", total,
				   CLI_PROGRESS_COUNT);
	w->progressing = true;
	cli_progress_to(&w->progress, done);
}

/* ---- the end ---------------------------------------------------------------
 */

#define ULL(v) ((unsigned long long)(v))

static void print_text(const struct work *w,
		       const struct audit_verify_report *r)
{
	char when[CLOCK_TEXT_LEN], chain[2 * AUDIT_CHAIN_LEN + 1];

	if (r->findings > w->shown)
		printf("fault      and %llu more; --all names them\n",
		       ULL(r->findings - w->shown));
	printf("rows       %llu, the last is %lld\n", ULL(r->rows),
	       (long long)r->last);
	if (r->chain_first != 0)
		printf("chain      begins at row %lld, is now %s\n",
		       (long long)r->chain_first,
		       seal_hex(r->chain, AUDIT_CHAIN_LEN, chain));
	if (r->unchained > 0)
		printf("unchained  %llu rows from before there was a chain: "
		       "nothing can be said of them\n",
		       ULL(r->unchained));
	if (r->pruned > 0)
		printf("pruned     %llu rows, signed hashes stand for them\n",
		       ULL(r->pruned));
	if (r->erased > 0)
		printf("erased     %llu sealed values, on record\n",
		       ULL(r->erased));
	printf("heads      %llu", ULL(r->heads));
	if (r->head_last != 0)
		printf(", the last good one covers row %lld (%s)",
		       (long long)r->head_last,
		       clock_text(r->head_last_ms, when));
	printf("\n");
	if (r->uncovered > 0)
		printf("uncovered  %llu rows after it: no signature stands for "
		       "them yet\n",
		       ULL(r->uncovered));
	printf("outside    %zu heads given\n", w->n_heads);
	if (r->findings == 0)
		printf("result     whole\n");
	else
		printf("result     FAULTY, %llu faults; the first: %s\n",
		       ULL(r->findings), r->first.text);
}

static void print_json(const struct work *w,
		       const struct audit_verify_report *r)
{
	char chain[2 * AUDIT_CHAIN_LEN + 1];
	json_t *j = json_pack(
	    "{s:b,s:I,s:I,s:I,s:I,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:O}", "whole",
	    r->findings == 0, "rows", (json_int_t)r->rows, "unchained",
	    (json_int_t)r->unchained, "chain_first", (json_int_t)r->chain_first,
	    "last", (json_int_t)r->last, "chain",
	    seal_hex(r->chain, AUDIT_CHAIN_LEN, chain), "heads",
	    (json_int_t)r->heads, "head_last", (json_int_t)r->head_last,
	    "uncovered", (json_int_t)r->uncovered, "pruned",
	    (json_int_t)r->pruned, "erased", (json_int_t)r->erased, "n_faults",
	    (json_int_t)r->findings, "faults", w->findings);

	if (j != NULL && r->findings > 0)
		json_object_set_new(j, "first",
				    json_pack("{s:s,s:I,s:s,s:s}", "fault",
					      audit_fault_text(r->first.fault),
					      "seq", (json_int_t)r->first.seq,
					      "file", r->first.file, "text",
					      r->first.text));
	if (j != NULL)
		json_dumpf(j, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(j);
}

static int check(struct work *w)
{
	struct audit_verify_options o = {.dir = w->dir,
					 .keys = w->keys,
					 .n_keys = w->n_keys,
					 .known = w->heads,
					 .n_known = w->n_heads,
					 .finding = on_finding,
					 .progress = on_progress,
					 .arg = w};
	struct audit_verify_report r;
	char why[AUDIT_WHY_LEN] = "";
	enum err e = audit_verify(&o, &r, why);

	cli_progress_end(&w->progress);
	if (e != ERR_OK && e != ERR_CORRUPT) {
		fprintf(stderr, "culvert audit verify: %s\n",
			why[0] != '\0' ? why : err_text(e));
		return CLI_FAILED;
	}
	if (w->as_json)
		print_json(w, &r);
	else
		print_text(w, &r);
	return e == ERR_OK ? CLI_OK : CLI_FAULTY;
}

/* ---- what it is given ------------------------------------------------------
 */

static bool add_head(struct work *w, const struct audit_head *h)
{
	size_t room = w->room == 0 ? 16 : 2 * w->room;
	struct audit_head *more;

	if (w->n_heads == HEADS_MAX)
		return false;
	if (w->n_heads == w->room) {
		more = mem_realloc(w->heads, room * sizeof(*more));
		if (more == NULL)
			return false;
		w->heads = more;
		w->room = room;
	}
	w->heads[w->n_heads++] = *h;
	return true;
}

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
	struct audit_head h;
	size_t before = w->n_heads, n;

	while ((n = next_head(f, text, sizeof(text))) > 0) {
		if (n > sizeof(text) || audit_head_parse(text, n, &h) != ERR_OK)
			return "no head as culvert audit head prints it";
		if (!add_head(w, &h))
			return "more heads than are taken at once (100,000)";
	}
	return w->n_heads > before ? NULL : "no head in it";
}

static bool read_heads(struct work *w, const char *path)
{
	FILE *f = fopen(path, "re");
	const char *wrong;

	if (f == NULL) {
		fprintf(stderr, "culvert audit verify: %s: %s\n", path,
			strerror(errno));
		return false;
	}
	wrong = take_heads(w, f);
	(void)fclose(f);
	if (wrong != NULL)
		fprintf(stderr, "culvert audit verify: %s: %s\n", path, wrong);
	return wrong == NULL;
}

static bool read_all(struct work *w)
{
	char why[SEAL_WHY_LEN];

	for (size_t i = 0; i < w->n_keys; i++) {
		if (seal_verifier_open(w->key_paths[i], &w->keys[i], why) ==
		    ERR_OK)
			continue;
		fprintf(stderr, "culvert audit verify: %s\n", why);
		return false;
	}
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
			w->all = true;
			continue;
		}
		if (strcmp(argv[i], "--json") == 0) {
			w->as_json = true;
			continue;
		}
		if (value == NULL)
			return false;
		if (strcmp(argv[i], "--dir") == 0)
			w->dir = value;
		else if (strcmp(argv[i], "--key") == 0 && w->n_keys < KEYS_MAX)
			w->key_paths[w->n_keys++] = value;
		else if (strcmp(argv[i], "--head") == 0 &&
			 w->n_paths < PATHS_MAX)
			w->head_paths[w->n_paths++] = value;
		else
			return false;
		i++;
	}
	return true;
}

static int run(struct work *w)
{
	int rc = CLI_FAILED;

	w->findings = json_array();
	if (read_all(w))
		rc = check(w);
	for (size_t i = 0; i < w->n_keys; i++)
		seal_verifier_free(w->keys[i]);
	mem_free(w->heads);
	json_decref(w->findings);
	return rc;
}

int cli_audit_verify(int argc, char **argv)
{
	char key[CONFIG_PATH_LEN + 8];
	struct work w = {0};
	struct config *cfg = NULL;
	const char *path;
	int rc;

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
	if (w.dir == NULL || w.n_keys == 0) {
		cfg = cli_config(path);
		if (cfg == NULL)
			return CLI_FAILED;
		snprintf(key, sizeof(key), "%s.pub", cfg->records.signing_key);
		if (w.dir == NULL)
			w.dir = cfg->records.path;
		if (w.n_keys == 0)
			w.key_paths[w.n_keys++] = key;
	}
	rc = run(&w);
	config_free(cfg);
	return rc;
}
