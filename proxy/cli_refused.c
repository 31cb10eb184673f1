#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_read.h"
#include "proxy/cli_table.h"
#include "proxy/cli_ui.h"
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

static void on_row(void *arg, const json_t *r)
{
	char first[CLI_TIME_LEN], last[CLI_TIME_LEN], calling[80], called[80];
	const char *code = cli_text(r, "code");
	struct wanted *w = arg;

	if (w->id != 0 && (uint64_t)cli_integer(r, "id") != w->id)
		return;
	w->found = true;
	if (w->rows != NULL) {
		cli_read_append(w->rows, r);
		return;
	}
	printf("%s  %lld times since %s\n",
	       cli_time(cli_integer(r, "last_ms"), last),
	       cli_integer(r, "count"),
	       cli_time(cli_integer(r, "first_ms"), first));
	printf("  id       %lld\n", cli_integer(r, "id"));
	printf("  listener %s, from %s, calling %s, called %s\n",
	       cli_text(r, "listener"), cli_text(r, "peer"),
	       log_esc(cli_text(r, "calling_ae"), calling, sizeof(calling)),
	       log_esc(cli_text(r, "called_ae"), called, sizeof(called)));
	printf("  reason   %s%s%s\n", cli_text(r, "reason"),
	       code[0] != '\0' ? "  " : "", code);
	if (code[0] != '\0')
		printf("  cause    %s\n", cli_text(r, "cause"));
	printf("  remedy   %s\n\n", cli_text(r, "remedy"));
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

static int show(const struct config *cfg, struct wanted *w)
{
	int rc = cli_read(cfg, "culvert refused",
			  json_pack("{s:s,s:I,s:I}", "op", "refused-list",
				    "before", (json_int_t)w->before, "limit",
				    (json_int_t)w->limit),
			  on_row, w, NULL);

	if (rc != CLI_OK)
		return rc;
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
	bool json;
	int rc;

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
	if (cfg == NULL)
		return CLI_FAILED;
	if (json)
		w.rows = json_array();
	rc = show(cfg, &w);
	json_decref(w.rows);
	config_free(cfg);
	return rc;
}
