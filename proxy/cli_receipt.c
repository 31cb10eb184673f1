#include "proxy/cli_receipt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_audit.h"
#include "proxy/cli_download.h"
#include "proxy/lib/mem.h"
#include "proxy/receipt.h"

static const char help[] =
    "usage: culvert receipt [-c FILE] STUDY [--json|--html] [--reveal] "
    "[-o FILE]\n"
    "       culvert receipt --verify FILE [--key PUB.pem]\n\n"
    "A signed page about a study: which instances, their hashes, when they "
    "came and\nwere delivered, over which TLS, to whom, and how it stands. The "
    "page needs nothing\nfrom elsewhere and can be printed; the data and the "
    "signature are inside of it.\n\n"
    "  --html       a page to read and print (unless said otherwise)\n"
    "  --json       for programs\n"
    "  --reveal     with the patient's name and numbers; auditors only\n"
    "  -o FILE      - is standard output\n"
    "  --force      replace a file that is there\n"
    "  --verify     is it what was signed? Offline, page or JSON. Exit status\n"
    "               0 it is, 3 it is not\n"
    "  --key PUB    the public key of the one who made it; without it the one\n"
    "               inside counts, which anybody may have put there\n\n"
    "examples:\n"
    "  culvert receipt 1.2.840.113619.2.55.3 -o receipt.html\n"
    "  culvert receipt --verify receipt.html --key edge-01.pub\n";

struct receipt_args {
	const char *study, *out, *verify, *key;
	bool json, reveal, force;
};

/* ---- verify
 * ------------------------------------------------------------------------- */

static bool read_file(const char *path, struct buf *b)
{
	FILE *f = fopen(path, "re");
	char *part = mem_zalloc(65536);
	bool ok = f != NULL && part != NULL;
	size_t n;

	while (ok && (n = fread(part, 1, 65536, f)) > 0)
		ok = buf_append(b, part, n) == ERR_OK;
	if (f == NULL || ferror(f))
		ok = false;
	if (!ok)
		fprintf(stderr, "culvert receipt: %s: %s\n", path,
			errno != 0 ? strerror(errno) : "too large");
	if (f != NULL)
		(void)fclose(f);
	mem_free(part);
	return ok;
}

static int print_verdict(const struct receipt_verdict *v)
{
	if (v->study[0] != '\0')
		printf("study %s, of %s, made %s: %" PRIu64 " instances, %s\n",
		       v->study, v->node, v->made, v->instances, v->status);
	if (v->key_id[0] != '\0')
		printf("key %s%s\n", v->key_id,
		       v->own_key ? ", as the receipt says: compare it with "
				    "what culvert audit key shows there, or "
				    "give --key"
				  : ", the one that was given");
	printf("%s%s\n", v->good ? "good" : "WRONG  ", v->why);
	return v->good ? CLI_OK : CLI_FAULTY;
}

static int verify(const struct receipt_args *a)
{
	struct seal_verifier *key = NULL;
	struct receipt_verdict v;
	char why[SEAL_WHY_LEN];
	struct buf file;
	int rc = CLI_FAILED;

	if (a->key != NULL && seal_verifier_open(a->key, &key, why) != ERR_OK) {
		fprintf(stderr, "culvert receipt: %s\n", why);
		return CLI_FAILED;
	}
	buf_init(&file, RECEIPT_MAX);
	errno = 0;
	if (read_file(a->verify, &file) &&
	    receipt_check(buf_data(&file), buf_len(&file), key, &v) == ERR_OK)
		rc = print_verdict(&v);
	buf_free(&file);
	seal_verifier_free(key);
	return rc;
}

/* ---- make
 * -----------------------------------------------------------------------------
 */

static int fetch(const char *path, const struct receipt_args *a)
{
	struct cli_download d = {.command = "culvert receipt",
				 .out = a->out,
				 .bare = true,
				 .force = a->force};
	struct config *cfg = cli_config(path);
	json_t *request;
	int rc;

	if (cfg == NULL)
		return CLI_FAILED;
	request = json_pack("{s:s,s:s,s:s,s:b}", "op", "receipt", "study",
			    a->study, "format", a->json ? "json" : "html",
			    "reveal", (int)a->reveal);
	d.socket = cfg->control.path;
	d.request = request;
	rc = cli_download(&d);
	json_decref(request);
	config_free(cfg);
	return rc;
}

static bool flag(const char *arg, struct receipt_args *a)
{
	if (strcmp(arg, "--json") == 0)
		return a->json = true;
	if (strcmp(arg, "--html") == 0)
		return a->json = false, true;
	if (strcmp(arg, "--reveal") == 0)
		return a->reveal = true;
	if (strcmp(arg, "--force") == 0)
		return a->force = true;
	if (arg[0] == '-' || a->study != NULL)
		return false;
	a->study = arg;
	return true;
}

static bool parse(int argc, char **argv, struct receipt_args *a)
{
	for (int i = 1; i < argc; i++) {
		const char **to = strcmp(argv[i], "-o") == 0 ? &a->out
				  : strcmp(argv[i], "--verify") == 0
				      ? &a->verify
				  : strcmp(argv[i], "--key") == 0 ? &a->key
								  : NULL;

		if (to != NULL && i + 1 < argc)
			*to = argv[++i];
		else if (to != NULL || !flag(argv[i], a))
			return false;
	}
	return (a->study == NULL) != (a->verify == NULL);
}

int cli_receipt(int argc, char **argv)
{
	struct receipt_args a = {0};
	const char *path;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	path = cli_take_config(&argc, argv);
	if (path == NULL || !parse(argc, argv, &a)) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	return a.verify != NULL ? verify(&a) : fetch(path, &a);
}
