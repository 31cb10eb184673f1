#include "proxy/cli_read.h"

#include <stdbool.h>
#include <stdio.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_ui.h"
#include "proxy/control.h"
#include "proxy/reading.h"
#include "store/ledger_view.h"

struct ear {
	cli_row_fn *fn;
	void *arg;
	bool heard;
};

static bool on_row(void *arg, const json_t *row)
{
	struct ear *ear = arg;

	ear->heard = true;
	ear->fn(ear->arg, row);
	return true;
}

static bool on_line(void *arg, const json_t *line)
{
	const json_t *row = json_object_get(line, "row");

	return row == NULL || on_row(arg, row);
}

static bool may_be_read(const struct config *cfg)
{
	char why[LEDGER_WHY_LEN];
	struct ledger_view *v;

	if (ledger_view_open(cfg->records.path, &v, why) != ERR_OK)
		return false;
	ledger_view_close(v);
	return true;
}

/* The answer, a new reference, or NULL: the reason is said. */
static json_t *ask(const struct config *cfg, const char *command,
		   const json_t *request, struct ear *ear, int *rc)
{
	json_t *answer = NULL;
	char why[256];
	enum err e = control_ask_long(cfg->control.path, request, on_line, ear,
				      &answer, why);

	if (e == ERR_OK)
		return answer;
	if (!ear->heard && may_be_read(cfg)) {
		answer = reading_ask(cfg->records.path, request, on_row, ear);
		if (answer != NULL)
			return answer;
		snprintf(why, sizeof(why), "out of memory");
	}
	fprintf(stderr, "%s: %s\n", command, why);
	*rc = cli_ask_failed(e);
	return NULL;
}

int cli_read(const struct config *cfg, const char *command, json_t *request,
	     cli_row_fn *fn, void *arg, json_t **answer)
{
	struct ear ear = {.fn = fn, .arg = arg};
	const char *error;
	int rc = CLI_FAILED;
	json_t *got;

	if (request == NULL) {
		fprintf(stderr, "%s: an argument is not UTF-8\n", command);
		return CLI_USAGE;
	}
	got = ask(cfg, command, request, &ear, &rc);
	json_decref(request);
	if (got == NULL)
		return rc;
	if (json_is_true(json_object_get(got, "ok"))) {
		if (answer != NULL)
			*answer = json_incref(got);
		rc = CLI_OK;
	} else {
		error = cli_text(got, "error");
		fprintf(stderr, "%s: %s\n", command,
			error[0] != '\0' ? error
					 : "the daemon's answer cannot be "
					   "read");
		rc = cli_refused_answer(got);
	}
	json_decref(got);
	return rc;
}

void cli_read_append(void *arg, const json_t *row)
{
	(void)json_array_append(arg, (json_t *)row);
}
