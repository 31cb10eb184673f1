#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_download.h"
#include "proxy/cli_export.h"
#include "proxy/cli_table.h"
#include "proxy/cli_transfers.h"
#include "proxy/control.h"
#include "proxy/lib/mem.h"
#include "store/export_manifest.h"
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

struct query {
	struct search_filter f;
	const char *accession, *patient;
	bool json;
	json_t *rows;
	unsigned n;
};

/* ---- rows as JSON: those of an export
 * ------------------------------------------ */

static json_t *cell_json(const struct export_column *c,
			 const struct export_cell *cell)
{
	char text[CLI_TIME_LEN], hex[2 * 64 + 1];

	if (cell->none)
		return json_null();
	switch (c->type) {
	case EXPORT_TEXT:
	case EXPORT_JSON:
		return json_stringn(cell->p, cell->len);
	case EXPORT_NUMBER:
	case EXPORT_UNSIGNED:
		return json_integer((json_int_t)cell->number);
	case EXPORT_TIME:
		return json_string(cli_time(cell->number, text));
	case EXPORT_HEX:
		return cell->len <= 64
			   ? json_string(export_hex(cell->p, cell->len, hex))
			   : json_null();
	}
	return json_null();
}

static json_t *row_json(const struct view_delivery *d)
{
	struct export_cell cells[EXPORT_TRANSFERS_COLUMNS];
	struct export_transfer_room room;
	json_t *j = json_object();
	size_t n = export_n_columns(&export_table_transfers, false);

	export_transfer_cells(d, NULL, &room, cells);
	for (size_t i = 0; i < n; i++) {
		const struct export_column *c =
		    &export_table_transfers.columns[i];

		if (i != EXPORT_TRANSFERS_CHAIN)
			json_object_set_new(j, c->name,
					    cell_json(c, &cells[i]));
	}
	return j;
}

/* ---- search
 * ----------------------------------------------------------------------- */

static bool on_row(void *arg, const struct view_delivery *d)
{
	char when[CLI_TIME_LEN], bytes[32];
	struct query *q = arg;

	if (q->json)
		return json_array_append_new(q->rows, row_json(d)) == 0;
	if (q->n++ == 0)
		printf("%-24s  %-11s  %-14s %-14s %-9s %9s  %-30s  %s\n",
		       "received", "state", "device", "destination", "modality",
		       "size", "study", "last error");
	printf("%-24s  %-11s  %-14s %-14s %-9s %9s  %-30s  %s\n",
	       cli_time(d->received_ms, when), delivery_state_text(d->state),
	       d->device, d->destination, d->modality,
	       cli_bytes(d->length, bytes, sizeof(bytes)), d->study,
	       d->last_error);
	return true;
}

static void print_end(const struct query *q, const struct search_page *page)
{
	if (q->json) {
		json_t *all = json_pack("{s:O,s:I}", "rows", q->rows, "older",
					(json_int_t)page->older);

		json_dumpf(all, stdout, JSON_INDENT(1));
		putchar('\n');
		json_decref(all);
		return;
	}
	if (q->n == 0)
		printf("nothing\n");
	if (page->older != 0)
		printf("there may be more: --after %" PRIu64 "\n", page->older);
}

/* The value that stands for an identifier, from the daemon, which has the key.
 */
static bool look_up(const struct config *cfg, const char *kind,
		    const char *text, int64_t *key)
{
	json_t *request, *answer = NULL;
	const char *error;
	char why[256];
	bool ok = false;

	if (text == NULL)
		return true;
	request = json_pack("{s:s,s:s}", "op", "search-key", kind, text);
	if (control_ask(cfg->control.path, request, &answer, NULL, why) !=
	    ERR_OK) {
		fprintf(stderr, "culvert transfers: %s\n", why);
	} else if (json_is_true(json_object_get(answer, "ok"))) {
		*key = json_integer_value(json_object_get(answer, "key"));
		ok = true;
	} else {
		error = json_string_value(json_object_get(answer, "error"));
		fprintf(stderr, "culvert transfers: %s\n",
			error != NULL ? error
				      : "the daemon's answer cannot be "
					"read");
	}
	json_decref(answer);
	json_decref(request);
	return ok;
}

static int run_search(const struct config *cfg, struct query *q)
{
	struct search_page page = {0};
	struct ledger_view *v;
	int rc = CLI_FAILED;

	if (!look_up(cfg, "accession", q->accession, &q->f.accession) ||
	    !look_up(cfg, "patient", q->patient, &q->f.patient))
		return CLI_FAILED;
	v = cli_ledger(cfg);
	if (v == NULL)
		return CLI_FAILED;
	q->rows = json_array();
	if (ledger_search(v, &q->f, on_row, q, &page) == ERR_OK) {
		print_end(q, &page);
		rc = CLI_OK;
	} else {
		rc = cli_ledger_failed(v);
	}
	json_decref(q->rows);
	ledger_view_close(v);
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

struct show {
	uint64_t after;
	unsigned n, page;
};

static bool on_instance(void *arg, const struct view_delivery *d,
			const struct view_outgoing *out)
{
	char when[CLI_TIME_LEN], bytes[32], hash[65];
	struct show *s = arg;

	s->after = d->delivery;
	s->n++;
	s->page++;
	printf("%s  %s\n  received %s from %s (%s)\n  hash     %s\n",
	       d->sop_instance, cli_bytes(d->length, bytes, sizeof(bytes)),
	       cli_time(d->received_ms, when), d->device, d->calling_ae,
	       cli_hex(d->root, hash));
	printf(
	    "  %s to %s since %s, %u attempts%s%s\n",
	    delivery_state_text(d->state), d->destination,
	    cli_time(d->changed_ms != 0 ? d->changed_ms : d->received_ms, when),
	    d->attempts, d->last_error[0] != '\0' ? ": " : "", d->last_error);
	if (out != NULL && out->association != 0)
		printf("  over     %s %s %s, peer %s %s\n",
		       out->tls_version[0] != '\0' ? out->tls_version
						   : "plaintext",
		       out->tls_suite, out->peer, out->fingerprint,
		       out->subject);
	return true;
}

static int show(const char *path, const char *study)
{
	struct config *cfg = cli_config(path);
	struct ledger_view *v = cfg != NULL ? cli_ledger(cfg) : NULL;
	struct show s = {.page = 1};
	enum err e = ERR_OK;
	int rc = CLI_FAILED;

	while (v != NULL && e == ERR_OK && s.page > 0) {
		s.page = 0;
		e = ledger_search_study(v, study, s.after, 500, on_instance,
					&s);
	}
	if (v != NULL && e != ERR_OK)
		rc = cli_ledger_failed(v);
	else if (v != NULL && s.n == 0)
		fprintf(stderr, "culvert transfers: no study '%s'\n", study);
	else if (v != NULL)
		rc = CLI_OK;
	ledger_view_close(v);
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
