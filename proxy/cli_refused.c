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
    "usage: culvert refused [-c FILE] [ID | --limit N] [--before ID] "
    "[--json]\n\n"
    "Who was turned away, newest first: how often, why, and what would admit\n"
    "them. With ID that one only.\n\n"
    "  --limit N     so many of them (50)\n"
    "  --before ID   those below it: the next page\n\n"
    "examples:\n"
    "  culvert refused --limit 10\n"
    "  culvert refused 1042 --json\n";

struct wanted {
	uint64_t id;     /* 0: any */
	uint64_t before; /* 0: the newest */
	uint64_t limit;
	json_t *rows; /* NULL: as text */
	bool found;   /* the one of id */
};

static bool on_row(void *arg, const struct view_refusal *r)
{
	const struct condition *c = condition_of_event(r->first.reason);
	struct wanted *w = arg;
	char first[CLI_TIME_LEN], last[CLI_TIME_LEN], calling[80], called[80];

	if (w->id != 0 && r->id != w->id)
		return false;
	w->found = true;
	if (w->rows != NULL) {
		json_array_append_new(w->rows, cli_row_refusal(r));
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

/* ID, or options. */
static bool take_arguments(int argc, char **argv, struct wanted *w)
{
	int i = 1;

	if (argc == 2 && cli_number(argv[1], &w->id)) {
		w->before = w->id + 1;
		w->limit = 1;
		return w->id > 0 && w->id < INT64_MAX;
	}
	for (; i + 1 < argc; i += 2) {
		bool known = strcmp(argv[i], "--limit") == 0
				 ? cli_number(argv[i + 1], &w->limit)
				 : strcmp(argv[i], "--before") == 0 &&
				       cli_number(argv[i + 1], &w->before);

		if (!known)
			return false;
	}
	return i >= argc && w->limit > 0 && w->limit <= LEDGER_PAGE_MAX;
}

static int show(struct ledger_view *v, struct wanted *w)
{
	if (ledger_view_refusals(v, w->before, (unsigned)w->limit, on_row, w) !=
	    ERR_OK)
		return cli_ledger_failed(v);
	if (w->id != 0 && !w->found) {
		fprintf(stderr, "culvert refused: there is no %" PRIu64 "\n",
			w->id);
		return CLI_FAILED;
	}
	return w->rows != NULL ? cli_json(json_incref(w->rows)) : CLI_OK;
}

int cli_refused(int argc, char **argv)
{
	struct wanted w = {.limit = 50};
	const char *path;
	struct config *cfg;
	struct ledger_view *v;
	bool json;
	int rc = CLI_FAILED;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	json = cli_take_json(&argc, argv);
	path = cli_take_config(&argc, argv);
	if (path == NULL || !take_arguments(argc, argv, &w)) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	cfg = cli_config(path);
	v = cfg != NULL ? cli_ledger(cfg) : NULL;
	if (json)
		w.rows = json_array();
	if (v != NULL)
		rc = show(v, &w);
	json_decref(w.rows);
	ledger_view_close(v);
	config_free(cfg);
	return rc;
}
