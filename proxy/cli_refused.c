#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_rows.h"
#include "proxy/cli_table.h"
#include "proxy/cli_ui.h"
#include "proxy/lib/condition.h"
#include "proxy/lib/log.h"
#include "store/ledger_view.h"

static const char help[] =
    "usage: culvert refused [-c FILE] [--limit N] [--json]\n\n"
    "Who was turned away, newest first: how often, why, and what would admit\n"
    "them.\n\n"
    "example:\n"
    "  culvert refused --limit 10\n";

static bool on_row(void *arg, const struct view_refusal *r)
{
	const struct condition *c = condition_of_event(r->first.reason);
	char first[CLI_TIME_LEN], last[CLI_TIME_LEN], calling[80], called[80];

	if (arg != NULL) {
		json_array_append_new(arg, cli_row_refusal(r));
		return true;
	}
	printf("%s  %" PRIu64 " times since %s\n", cli_time(r->last_ms, last),
	       r->count, cli_time(r->first.at_ms, first));
	printf("  id       %" PRIu64 "\n", r->id);
	printf("  listener %s, from %s, calling %s, called %s\n",
	       r->first.listener, r->first.peer,
	       log_esc(r->first.calling_ae, calling, sizeof(calling)),
	       log_esc(r->first.called_ae, called, sizeof(called)));
	printf("  reason   %s%s%s\n", r->first.reason, c != NULL ? "  " : "",
	       c != NULL ? c->code : "");
	if (c != NULL)
		printf("  cause    %s\n", c->cause[CONDITION_EN]);
	printf("  remedy   %s\n\n", r->first.remedy);
	return true;
}

int cli_refused(int argc, char **argv)
{
	const char *path;
	struct config *cfg;
	struct ledger_view *v;
	uint64_t limit = 50;
	json_t *rows = NULL;
	bool json;
	int rc = CLI_FAILED;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	json = cli_take_json(&argc, argv);
	path = cli_take_config(&argc, argv);
	if (argc != 1 && !(argc == 3 && strcmp(argv[1], "--limit") == 0 &&
			   cli_number(argv[2], &limit)))
		path = NULL;
	if (path == NULL || limit == 0 || limit > LEDGER_PAGE_MAX) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	cfg = cli_config(path);
	v = cfg != NULL ? cli_ledger(cfg) : NULL;
	if (json)
		rows = json_array();
	if (v != NULL)
		rc = ledger_view_refusals(v, 0, (unsigned)limit, on_row,
					  rows) == ERR_OK
			 ? CLI_OK
			 : cli_ledger_failed(v);
	if (rows != NULL && rc == CLI_OK)
		rc = cli_json(json_incref(rows));
	json_decref(rows);
	ledger_view_close(v);
	config_free(cfg);
	return rc;
}
