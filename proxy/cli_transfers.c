#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_download.h"
#include "proxy/cli_export.h"
#include "proxy/cli_read.h"
#include "proxy/cli_table.h"
#include "proxy/cli_transfers.h"
#include "proxy/cli_ui.h"
#include "proxy/control.h"
#include "proxy/lib/mem.h"
#include "store/export_transfers.h"
#include "store/ledger_search.h"

static const char help[] =
    "usage: culvert transfers [-c FILE] COMMAND [OPTIONS]\n\n"
    "  search [FILTERS]    deliveries, the newest first\n"
    "  show STUDY          every instance of a study, and what it went over\n"
    "  export [OPTIONS]    a table with a signed manifest, as CSV, JSON Lines\n"
    "                      or DICOM audit messages; export --help\n"
    "  verify FILE [OPTIONS]\n"
    "                      is an export what was exported? verify --help\n\n"
    "filters of search:\n"
    "  --from T, --to T    2026-05-04 or 2026-05-04T09:15:27Z, UTC; --to "
    "names\n"
    "                      the last day, or the first moment that is left out\n"
    "  --device NAME, --calling AE, --destination NAME, --study UID\n"
    "  --state queued|held|quarantined|arrived|uncommitted|delivered|\n"
    "          committed|withdrawn|discarded\n"
    "  --accession NUMBER, --patient ID\n"
    "                      auditors only: the daemon looks them up\n"
    "  --limit N           100 unless said\n"
    "  --after PLACE       go on from where the page before ended\n"
    "  --json              for programs\n\n"
    "examples:\n"
    "  culvert transfers search --device ct-room-2 --from 2026-05-04\n"
    "  culvert transfers show 1.2.840.113619.2.55.3\n"
    "  culvert transfers export --from 2026-05-01 --to 2026-05-31 -o may.csv\n"
    "  culvert transfers verify may.csv --key edge-01.pub\n";

static const char export_help[] =
    "usage: culvert transfers export [-c FILE] [OPTIONS]\n"
    "       culvert transfers export --columns\n\n"
    "Writes deliveries to a file, in order of arrival, and beside it a signed\n"
    "manifest: culvert transfers verify FILE checks both, on any machine, "
    "with\n"
    "the public key only. The export itself goes on record.\n\n"
    "  --state STATE      queued, delivered, quarantined, ...\n"
    "  --columns          print what each column means\n";

static const char command[] = "culvert transfers";

struct query {
	struct search_filter f;
	const char *accession, *patient;
	bool json;
	unsigned n;
};

/* ---- search
 * ----------------------------------------------------------------------- */

static void on_row(void *arg, const json_t *d)
{
	struct query *q = arg;
	char bytes[32];

	if (q->n++ == 0)
		printf("%-24s  %-11s  %-14s %-14s %-9s %9s  %-30s  %s\n",
		       "received", "state", "device", "destination", "modality",
		       "size", "study", "last error");
	printf("%-24s  %-11s  %-14s %-14s %-9s %9s  %-30s  %s\n",
	       cli_text(d, "received"), cli_text(d, "state"),
	       cli_text(d, "device"), cli_text(d, "destination"),
	       cli_text(d, "modality"),
	       cli_bytes((unsigned long long)cli_integer(d, "bytes"), bytes,
			 sizeof(bytes)),
	       cli_text(d, "study"), cli_text(d, "last_error"));
}

/* The value that stands for an identifier, from the daemon, which has the key.
 */
static int look_up(const struct config *cfg, const char *kind, const char *text,
		   int64_t *key)
{
	json_t *request, *answer = NULL;
	const char *error;
	char why[256];
	int rc;
	enum err e;

	if (text == NULL)
		return CLI_OK;
	request = json_pack("{s:s,s:s}", "op", "search-key", kind, text);
	e = control_ask(cfg->control.path, request, &answer, NULL, why);
	rc = e == ERR_OK ? cli_refused_answer(answer) : cli_ask_failed(e);
	if (e != ERR_OK) {
		fprintf(stderr, "culvert transfers: %s\n", why);
	} else if (json_is_true(json_object_get(answer, "ok"))) {
		*key = json_integer_value(json_object_get(answer, "key"));
		rc = CLI_OK;
	} else {
		error = cli_text(answer, "error");
		fprintf(stderr, "culvert transfers: %s\n",
			error[0] != '\0' ? error
					 : "the daemon's answer cannot be "
					   "read");
	}
	json_decref(answer);
	json_decref(request);
	return rc;
}

static json_t *search_request(const struct query *q)
{
	const struct search_filter *f = &q->f;

	return json_pack(
	    "{s:s,s:I,s:I,s:s*,s:s*,s:s*,s:s*,s:s*,s:I,s:I,s:I,"
	    "s:i}",
	    "op", "transfers-search", "from", (json_int_t)f->from_ms, "to",
	    (json_int_t)f->to_ms, "device", f->device, "calling", f->calling_ae,
	    "destination", f->destination, "study", f->study, "state",
	    f->has_state ? delivery_state_text(f->state) : NULL, "accession",
	    (json_int_t)f->accession, "patient", (json_int_t)f->patient,
	    "after", (json_int_t)f->place, "limit", (int)f->limit);
}

static int search_json(const struct config *cfg, const struct query *q)
{
	json_t *rows = json_array(), *answer = NULL, *all;
	int rc = cli_read(cfg, command, search_request(q), cli_read_append,
			  rows, &answer);

	if (rc == CLI_OK) {
		all = json_pack("{s:O,s:I}", "rows", rows, "older",
				(json_int_t)cli_integer(answer, "older"));
		json_dumpf(all, stdout, JSON_INDENT(1));
		putchar('\n');
		json_decref(all);
	}
	json_decref(answer);
	json_decref(rows);
	return rc;
}

static int run_search(const struct config *cfg, struct query *q)
{
	json_t *answer = NULL;
	int rc = look_up(cfg, "accession", q->accession, &q->f.accession);

	if (rc == CLI_OK)
		rc = look_up(cfg, "patient", q->patient, &q->f.patient);
	if (rc != CLI_OK)
		return rc;
	if (q->json)
		return search_json(cfg, q);
	rc = cli_read(cfg, command, search_request(q), on_row, q, &answer);
	if (rc == CLI_OK && q->n == 0)
		printf("nothing\n");
	if (rc == CLI_OK && cli_integer(answer, "older") != 0)
		printf("there may be more: --after %lld\n",
		       cli_integer(answer, "older"));
	json_decref(answer);
	return rc;
}

static bool search_text(const char *option, const char *value, struct query *q)
{
	const struct {
		const char *option;
		const char **to;
	} texts[] = {{"--device", &q->f.device},
		     {"--calling", &q->f.calling_ae},
		     {"--destination", &q->f.destination},
		     {"--study", &q->f.study},
		     {"--accession", &q->accession},
		     {"--patient", &q->patient}};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (strcmp(option, texts[i].option) == 0) {
			*texts[i].to = value;
			return true;
		}
	}
	return false;
}

static bool search_option(const char *option, const char *value,
			  struct query *q)
{
	uint64_t n;

	if (search_text(option, value, q))
		return true;
	if (strcmp(option, "--from") == 0)
		return cli_time_parse(value, false, &q->f.from_ms);
	if (strcmp(option, "--to") == 0)
		return cli_time_parse(value, true, &q->f.to_ms);
	if (strcmp(option, "--after") == 0)
		return cli_number(value, &q->f.place);
	if (strcmp(option, "--state") == 0)
		return q->f.has_state =
			   delivery_state_parse(value, &q->f.state);
	if (strcmp(option, "--limit") != 0 || !cli_number(value, &n) ||
	    n == 0 || n > LEDGER_PAGE_MAX)
		return false;
	q->f.limit = (unsigned)n;
	return true;
}

static int search(const char *path, int argc, char **argv)
{
	struct query q = {.f = {.limit = 100}};
	struct config *cfg;
	int rc;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			q.json = true;
			continue;
		}
		if (i + 1 >= argc || !search_option(argv[i], argv[i + 1], &q)) {
			fprintf(stderr,
				"culvert transfers: '%s' is not "
				"understood\n\n%s",
				argv[i], help);
			return CLI_USAGE;
		}
		i++;
	}
	cfg = cli_config(path);
	if (cfg == NULL)
		return CLI_FAILED;
	rc = run_search(cfg, &q);
	config_free(cfg);
	return rc;
}

/* ---- show
 * ----------------------------------------------------------------------------
 */

static void print_over(const json_t *over)
{
	const char *tls = cli_text(over, "tls");

	printf("  over     %s %s %s, peer %s %s\n",
	       tls[0] != '\0' ? tls : "plaintext", cli_text(over, "suite"),
	       cli_text(over, "peer"), cli_text(over, "fingerprint"),
	       cli_text(over, "subject"));
}

static void on_instance(void *arg, const json_t *d)
{
	const json_t *over = json_object_get(d, "over");
	long long changed = cli_integer(d, "changed_ms");
	char when[CLI_TIME_LEN], bytes[32];

	(void)arg;
	if (changed == 0)
		changed = cli_integer(d, "received_ms");
	printf("%s  %s\n  received %s from %s (%s)\n  hash     %s\n",
	       cli_text(d, "sop_instance"),
	       cli_bytes((unsigned long long)cli_integer(d, "length"), bytes,
			 sizeof(bytes)),
	       cli_time(cli_integer(d, "received_ms"), when),
	       cli_text(d, "device"), cli_text(d, "calling_ae"),
	       cli_text(d, "hash"));
	printf("  %s to %s since %s, %lld attempts%s%s\n", cli_text(d, "state"),
	       cli_text(d, "destination"), cli_time(changed, when),
	       cli_integer(d, "attempts"),
	       cli_text(d, "error")[0] != '\0' ? ": " : "",
	       cli_text(d, "error"));
	if (over != NULL)
		print_over(over);
}

static int show(const char *path, const char *study)
{
	struct config *cfg = cli_config(path);
	int rc = CLI_FAILED;

	if (cfg != NULL)
		rc = cli_read(cfg, command,
			      json_pack("{s:s,s:s}", "op", "transfers-show",
					"study", study),
			      on_instance, NULL, NULL);
	config_free(cfg);
	return rc;
}

/* ---- which
 * ---------------------------------------------------------------------------
 */

static int export(int argc, char **argv)
{
	if (cli_wants_help(argc, argv)) {
		printf("%s%s", export_help, cli_export_help);
		return CLI_OK;
	}
	return cli_export_table("culvert transfers export", "transfers-export",
				&export_table_transfers, argc, argv);
}

int cli_transfers(int argc, char **argv)
{
	const char *word, *path;

	cli_word_first(argc, argv);
	word = argc > 1 ? argv[1] : "";
	if (strcmp(word, "export") == 0)
		return export(argc - 1, argv + 1);
	if (strcmp(word, "verify") == 0)
		return cli_export_verify("culvert transfers verify",
					 &export_table_transfers, argc - 1,
					 argv + 1);
	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	path = cli_take_config(&argc, argv);
	if (path != NULL && strcmp(word, "search") == 0)
		return search(path, argc - 1, argv + 1);
	if (path != NULL && strcmp(word, "show") == 0 && argc == 3)
		return show(path, argv[2]);
	fputs(help, stderr);
	return CLI_USAGE;
}
