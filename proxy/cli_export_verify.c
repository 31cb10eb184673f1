/* cli_export_verify.c - is this file what was exported? Offline: no daemon, no
 * configuration, only the public key. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/cli.h"
#include "proxy/cli_audit.h"
#include "proxy/cli_download.h"
#include "proxy/cli_progress.h"
#include "proxy/cli_table.h"
#include "proxy/lib/mem.h"
#include "store/export_verify.h"

enum { READ_SIZE = 256 * 1024, PATH_LEN = 4096 };

struct verify_args {
	const char *command;
	const struct export_table *table;
	const char *file, *manifest, *key;
	bool json;
};

static void usage(FILE *to, const struct verify_args *a)
{
	const char *option =
	    a->table == &export_table_report ? "--verify" : "--export";

	fprintf(
	    to,
	    "usage: %s %s FILE [--manifest M] [--key PUB.pem]\n"
	    "       [--json]\n\n"
	    "Checks an export with its manifest: every row, their number, "
	    "the file as a\nwhole, the signature. Names the first row that "
	    "is wrong. Needs no daemon and\nno configuration. Exit status: "
	    "0 it is what was exported, 3 it is not, 1\nit cannot be read, 2 "
	    "the arguments were not understood.\n\n"
	    "  --manifest M  FILE.manifest.json unless said\n"
	    "  --key PUB     the public key of the one who made it "
	    "(signing.key.pub there;\n"
	    "                culvert audit key). Without it the key in the "
	    "manifest counts,\n"
	    "                which anybody may have put there: compare its "
	    "id\n"
	    "  --json        the result for programs\n\n"
	    "What is left out of an export by a filter cannot be noticed: "
	    "the manifest says\nwhat was asked for.\n\nexample:\n"
	    "  %s %s may.csv --key edge-01.pub\n",
	    a->command, option, a->command, option);
}

/* ---- files
 * ------------------------------------------------------------------------ */

static bool complain(const struct verify_args *a, const char *path)
{
	fprintf(stderr, "%s: %s: %s\n", a->command, path, strerror(errno));
	return false;
}

/* The manifest's text; one that is too long cannot be one. */
static char *read_manifest(const struct verify_args *a, const char *path,
			   size_t *len)
{
	FILE *f = fopen(path, "re");
	char *text = mem_zalloc(EXPORT_MANIFEST_MAX + 1);

	if (f == NULL || text == NULL) {
		(void)complain(a, path);
		fprintf(stderr,
			"%s: without its manifest neither the number "
			"of rows nor who made it can be checked; "
			"--manifest names it\n",
			a->command);
		if (f != NULL)
			(void)fclose(f);
		mem_free(text);
		return NULL;
	}
	*len = fread(text, 1, EXPORT_MANIFEST_MAX + 1, f);
	(void)fclose(f);
	return text;
}

static bool feed_file(const struct verify_args *a, struct export_verify *v)
{
	int fd = open(a->file, O_RDONLY | O_CLOEXEC);
	char *room = mem_zalloc(READ_SIZE);
	struct cli_progress p;
	struct stat st = {0};
	uint64_t done = 0;
	ssize_t n = -1;
	bool ok = fd >= 0 && room != NULL && fstat(fd, &st) == 0;

	cli_progress_begin(&p, "checking", (uint64_t)st.st_size,
			   CLI_PROGRESS_BYTES);
	while (ok && (n = read(fd, room, READ_SIZE)) > 0) {
		ok = export_verify_feed(v, room, (size_t)n) == ERR_OK;
		done += (uint64_t)n;
		cli_progress_to(&p, done);
	}
	cli_progress_end(&p);
	if (n != 0)
		(void)complain(a, a->file);
	if (fd >= 0)
		close(fd);
	mem_free(room);
	return ok && n == 0;
}

/* ---- the result
 * ---------------------------------------------------------------------- */

static void print_who(const struct export_verdict *d)
{
	char when[CLI_TIME_LEN], id[17];
	const struct export_manifest *m = &d->manifest;

	printf("%s of %s, made %s by %s\nfilter %s, %" PRIu64 " rows%s\n",
	       m->table, m->node, cli_time(m->made_ms, when), m->user,
	       m->filter, m->totals.rows,
	       m->contiguous && m->totals.rows > 0
		   ? ", none left out between them"
		   : "");
	printf("signed with key %s%s\n",
	       export_hex(m->key_id, SEAL_KEY_ID_LEN, id),
	       d->own_key ? ", as the manifest says: compare it with what "
			    "culvert audit key shows there, or give --key"
			  : ", the one that was given");
}

static void print_text(const struct export_verdict *d)
{
	if (d->has_manifest)
		print_who(d);
	if (d->unchained)
		printf("some rows are from before there was a chain: only the "
		       "manifest speaks for them\n");
	for (size_t i = 0; i < d->n; i++)
		printf("WRONG  %s\n", d->finding[i].text);
	if (d->bad_rows > 3)
		printf("WRONG  %" PRIu64 " rows in all\n", d->bad_rows);
	printf("%s: %" PRIu64 " rows, %" PRIu64 " bytes\n",
	       d->good ? "good" : "NOT what was exported", d->rows, d->bytes);
}

static void print_json(const struct export_verdict *d)
{
	json_t *list = json_array(), *j;
	char id[17];

	for (size_t i = 0; i < d->n; i++)
		json_array_append_new(list,
				      json_pack("{s:I,s:s}", "row",
						(json_int_t)d->finding[i].row,
						"text", d->finding[i].text));
	j = json_pack("{s:b,s:I,s:I,s:I,s:b,s:s,s:o}", "good", (int)d->good,
		      "rows", (json_int_t)d->rows, "bytes",
		      (json_int_t)d->bytes, "bad_rows", (json_int_t)d->bad_rows,
		      "own_key", (int)d->own_key, "key_id",
		      export_hex(d->manifest.key_id, SEAL_KEY_ID_LEN, id),
		      "findings", list);
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
}

static int check(const struct verify_args *a, const char *manifest, size_t len,
		 const struct seal_verifier *key)
{
	struct export_verify_options o = {.table = a->table,
					  .manifest = manifest,
					  .manifest_len = len,
					  .key = key};
	struct export_verify *v = NULL;
	int rc = CLI_FAILED;

	if (export_verify_new(&o, &v) != ERR_OK) {
		fprintf(stderr, "%s: out of memory\n", a->command);
	} else if (feed_file(a, v)) {
		const struct export_verdict *d = export_verify_end(v);

		if (a->json)
			print_json(d);
		else
			print_text(d);
		rc = d->good ? CLI_OK : CLI_FAULTY;
	}
	export_verify_free(v);
	return rc;
}

static int verify(const struct verify_args *a)
{
	char path[PATH_LEN], why[SEAL_WHY_LEN], *manifest;
	struct seal_verifier *key = NULL;
	size_t len = 0;
	int rc;

	if (a->key != NULL && seal_verifier_open(a->key, &key, why) != ERR_OK) {
		fprintf(stderr, "%s: %s\n", a->command, why);
		return CLI_FAILED;
	}
	snprintf(path, sizeof(path), "%.4000s.manifest.json", a->file);
	manifest =
	    read_manifest(a, a->manifest != NULL ? a->manifest : path, &len);
	rc = manifest != NULL ? check(a, manifest, len, key) : CLI_FAILED;
	mem_free(manifest);
	seal_verifier_free(key);
	return rc;
}

int cli_export_verify(const char *command, const struct export_table *t,
		      int argc, char **argv)
{
	struct verify_args a = {.command = command, .table = t};
	bool good = true;

	if (cli_wants_help(argc, argv)) {
		usage(stdout, &a);
		return CLI_OK;
	}
	for (int i = 1; good && i < argc; i++) {
		const char **to = strcmp(argv[i], "--export") == 0 ||
					  strcmp(argv[i], "--verify") == 0
				      ? &a.file
				  : strcmp(argv[i], "--manifest") == 0
				      ? &a.manifest
				  : strcmp(argv[i], "--key") == 0 ? &a.key
								  : NULL;

		if (strcmp(argv[i], "--json") == 0)
			a.json = true;
		else if (to != NULL && i + 1 < argc)
			*to = argv[++i];
		else if (to == NULL && argv[i][0] != '-' && a.file == NULL)
			a.file = argv[i];
		else
			good = false;
	}
	if (!good || a.file == NULL) {
		usage(stderr, &a);
		return CLI_USAGE;
	}
	return verify(&a);
}
