/* cli_audit_keep.c - orders about the audit, given to the daemon. */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_audit.h"
#include "proxy/cli_progress.h"
#include "proxy/cli_ui.h"
#include "proxy/control.h"
#include "proxy/control_io.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"

#define EXIT_TEXT                                                              \
	"exit status: 0 done, 1 refused or failed, 2 usage, 3 the daemon "     \
	"does\n"                                                               \
	"not answer, 4 the caller may not\n\n"

#define LONG_TEXT                                                              \
	"It may take a while; the daemon does it in small pieces between its " \
	"own\n"                                                                \
	"work, and carries it on to its end when this command is "             \
	"interrupted\n"                                                        \
	"(exit status 130).\n\n"

static const char prune_help[] =
    "usage: culvert audit prune [-c FILE]\n\n"
    "Removes now, not within the hour, what is older than records.retention:\n"
    "months of the audit, finished transfers, associations and refusals. What "
    "is\n"
    "held stays. Signed hashes stand for the rows that went, and verify "
    "checks\n"
    "them. Refused while the clock is not synchronised, or jumped by more than "
    "an\n"
    "hour (culvert audit confirm-clock).\n\n" LONG_TEXT EXIT_TEXT "examples:\n"
    "  culvert audit prune\n";

static const char hold_help[] =
    "usage: culvert audit hold [-c FILE] add STUDY|--all REASON\n"
    "       culvert audit hold [-c FILE] list\n"
    "       culvert audit hold [-c FILE] remove NUMBER\n\n"
    "Legal hold: what is held is neither pruned nor erased, however old. The\n"
    "month of the audit that names the study stays as a whole. The reason is "
    "kept\n"
    "on record: no patient's name there.\n\n" EXIT_TEXT "examples:\n"
    "  culvert audit hold add 1.2.840.113619.2.55.3 'case 12/2026'\n"
    "  culvert audit hold list\n"
    "  culvert audit hold remove 3\n";

static const char erase_help[] =
    "usage: culvert audit erase [-c FILE] --study UID|--before DATE --yes\n\n"
    "Erases sealed values for good: identifiers of queries out of the audit, "
    "and\n"
    "accession number, patient ID and name out of the ledger; of a study, or "
    "of\n"
    "all that came before a date (UTC). The audit's rows and their chain stay\n"
    "whole; that it was done is a row of its own, written first. Refused for "
    "what\n"
    "is held. An instance that still waits to be delivered has its values in "
    "the\n"
    "spool until then; one of the study that comes later brings them "
    "again.\n\n" LONG_TEXT EXIT_TEXT "examples:\n"
    "  culvert audit erase --study 1.2.840.113619.2.55.3 --yes\n"
    "  culvert audit erase --before 2024-01-01 --yes\n";

static const char clock_help[] =
    "usage: culvert audit confirm-clock [-c FILE]\n\n"
    "Says that the clock is right, so that pruning may go on: after it jumped "
    "by\n"
    "more than an hour, or where it is not synchronised (then until the next\n"
    "start).\n\n" EXIT_TEXT "examples:\n"
    "  date -u && culvert audit confirm-clock\n";

/* ---- asking -----------------------------------------------------------------
 */

/* What is half done would be worse: the daemon goes on. */
static void on_interrupt(int signal)
{
	static const char text[] =
	    "\ninterrupted: the daemon carries it on to its end\n";

	(void)signal;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(130);
}

static bool on_ahead(void *arg, const json_t *line)
{
	const json_t *progress = json_object_get(line, "progress");
	struct cli_progress *p = arg;

	if (progress == NULL)
		return true;
	p->total = (uint64_t)cli_integer(progress, "total");
	cli_progress_to(p, (uint64_t)cli_integer(progress, "done"));
	return true;
}

/* control_ask_long() with progress, until its end. */
static enum err ask_long(const char *socket, const json_t *request,
			 json_t **answer, char why[256])
{
	struct sigaction now = {.sa_handler = on_interrupt}, before;
	struct cli_progress p;
	enum err e;

	(void)sigaction(SIGINT, &now, &before);
	cli_progress_begin(&p, "working", 0, CLI_PROGRESS_COUNT);
	e = control_ask_long(socket, request, on_ahead, &p, answer, why);
	cli_progress_end(&p);
	(void)sigaction(SIGINT, &before, NULL);
	return e;
}

/* Takes request. The answer is a new reference, or NULL: the reason is said. */
static json_t *ask(const char *path, const char *name, json_t *request, int *rc)
{
	struct config *cfg = cli_config(path);
	json_t *answer = NULL;
	const char *error;
	char why[256];
	enum err e;

	*rc = CLI_FAILED;
	if (cfg == NULL) {
		json_decref(request);
		return NULL;
	}
	e = ask_long(cfg->control.path, request, &answer, why);
	json_decref(request);
	config_free(cfg);
	if (e != ERR_OK) {
		fprintf(stderr, "culvert audit %s: %s\n", name, why);
		*rc = cli_ask_failed(e);
		return NULL;
	}
	if (json_is_true(json_object_get(answer, "ok")))
		return answer;
	error = json_string_value(json_object_get(answer, "error"));
	fprintf(stderr, "culvert audit %s: %s\n", name,
		error != NULL ? error : "the daemon's answer cannot be read");
	*rc = cli_refused_answer(answer);
	json_decref(answer);
	return NULL;
}

static long long number(const json_t *answer, const char *key)
{
	return (long long)json_integer_value(json_object_get(answer, key));
}

/* Help, or what stands in front; -1: go on. */
static int begin(int *argc, char **argv, const char *help, const char **path)
{
	if (cli_wants_help(*argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	*path = cli_take_config(argc, argv);
	if (*path != NULL)
		return -1;
	fputs(help, stderr);
	return CLI_USAGE;
}

static int usage(const char *help)
{
	fputs(help, stderr);
	return CLI_USAGE;
}

/* ---- prune and clock --------------------------------------------------------
 */

int cli_audit_prune(int argc, char **argv)
{
	const char *path;
	int rc = begin(&argc, argv, prune_help, &path);
	json_t *answer;

	if (rc >= 0)
		return rc;
	if (argc != 1)
		return usage(prune_help);
	answer =
	    ask(path, "prune", json_pack("{s:s}", "op", "audit-prune"), &rc);
	if (answer == NULL)
		return rc;
	printf("audit         %lld months, %lld rows\n"
	       "transfers     %lld\nassociations  %lld\n",
	       number(answer, "months"), number(answer, "rows"),
	       number(answer, "transfers"), number(answer, "associations"));
	json_decref(answer);
	return CLI_OK;
}

int cli_audit_clock(int argc, char **argv)
{
	const char *path;
	int rc = begin(&argc, argv, clock_help, &path);
	json_t *answer;

	if (rc >= 0)
		return rc;
	if (argc != 1)
		return usage(clock_help);
	answer = ask(path, "confirm-clock",
		     json_pack("{s:s}", "op", "audit-clock"), &rc);
	if (answer == NULL)
		return rc;
	printf("confirmed\n");
	json_decref(answer);
	return CLI_OK;
}

/* ---- erase ------------------------------------------------------------------
 */

/* "2024-01-01", UTC. */
static bool take_date(const char *text, int64_t *out)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%Y-%m-%d", &tm);

	if (end == NULL || *end != '\0')
		return false;
	*out = (int64_t)timegm(&tm) * 1000;
	return *out > 0;
}

int cli_audit_erase(int argc, char **argv)
{
	const char *path, *study = "";
	int64_t before = 0;
	bool yes = false, good = true;
	int rc = begin(&argc, argv, erase_help, &path);
	json_t *answer;

	if (rc >= 0)
		return rc;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--yes") == 0)
			yes = true;
		else if (strcmp(argv[i], "--study") == 0 && i + 1 < argc)
			study = argv[++i];
		else if (strcmp(argv[i], "--before") == 0 && i + 1 < argc)
			good = take_date(argv[++i], &before) && good;
		else
			good = false;
	}
	if (!good || (study[0] != '\0') == (before > 0))
		return usage(erase_help);
	if (!yes) {
		fputs("culvert audit erase: it cannot be undone; add --yes if "
		      "that is meant\n",
		      stderr);
		return CLI_USAGE;
	}
	answer = ask(path, "erase",
		     json_pack("{s:s,s:s,s:I}", "op", "audit-erase", "study",
			       study, "before_ms", (json_int_t)before),
		     &rc);
	if (answer == NULL)
		return rc;
	printf("erased: %lld values\n", number(answer, "values"));
	json_decref(answer);
	return CLI_OK;
}

/* ---- holds ------------------------------------------------------------------
 */

static void print_holds(const json_t *answer)
{
	const json_t *list = json_object_get(answer, "holds"), *h;
	char when[CLOCK_TEXT_LEN];
	size_t i;

	json_array_foreach(list, i, h)
	{
		const char *study =
		    json_string_value(json_object_get(h, "study"));

		printf("%lld  %s  %s  %s  %s\n", number(h, "id"),
		       clock_text(number(h, "since_ms"), when),
		       study != NULL && study[0] != '\0' ? study : "all",
		       json_string_value(json_object_get(h, "user")),
		       json_string_value(json_object_get(h, "reason")));
	}
	if (json_array_size(list) == 0)
		printf("nothing is held\n");
}

static json_t *hold_request(int argc, char **argv)
{
	char *end = NULL;

	if (argc == 2 && strcmp(argv[1], "list") == 0)
		return json_pack("{s:s,s:s}", "op", "audit-hold", "action",
				 "list");
	if (argc == 4 && strcmp(argv[1], "add") == 0) {
		bool all = strcmp(argv[2], "--all") == 0;

		return json_pack("{s:s,s:s,s:s,s:b,s:s}", "op", "audit-hold",
				 "action", "add", "study", all ? "" : argv[2],
				 "all", all, "reason", argv[3]);
	}
	if (argc == 3 && strcmp(argv[1], "remove") == 0) {
		long long id = strtoll(argv[2], &end, 10);

		if (id > 0 && *end == '\0')
			return json_pack("{s:s,s:s,s:I}", "op", "audit-hold",
					 "action", "remove", "id",
					 (json_int_t)id);
	}
	return NULL;
}

int cli_audit_hold(int argc, char **argv)
{
	const char *path;
	int rc = begin(&argc, argv, hold_help, &path);
	json_t *request, *answer;

	if (rc >= 0)
		return rc;
	request = hold_request(argc, argv);
	if (request == NULL)
		return usage(hold_help);
	answer = ask(path, "hold", request, &rc);
	if (answer == NULL)
		return rc;
	if (strcmp(argv[1], "list") == 0)
		print_holds(answer);
	else if (strcmp(argv[1], "add") == 0)
		printf("held: number %lld\n", number(answer, "id"));
	else
		printf("no longer held\n");
	json_decref(answer);
	return CLI_OK;
}
