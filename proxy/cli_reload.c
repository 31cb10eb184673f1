#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_ui.h"
#include "proxy/control.h"

static const char help[] =
    "usage: culvert reload [-c FILE]\n\n"
    "Has the daemon read its configuration again. Bandwidth limits and their\n"
    "hours, limits of associations and handshakes, and the log level change "
    "at\n"
    "once; what takes a restart is named, and stays as it is until then. A "
    "file\n"
    "with mistakes changes nothing. Exit status 1 when it was not taken.\n\n"
    "example:\n"
    "  culvert check && culvert reload\n";

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "";
}

static void print_changes(const json_t *answer, const char *key,
			  const char *title)
{
	const json_t *list = json_object_get(answer, key), *c;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	printf("%s\n", title);
	json_array_foreach(list, i, c)
	{
		const char *before = text_of(c, "before");
		const char *after = text_of(c, "after");

		printf("  %s: %s, was %s\n", text_of(c, "option"),
		       after[0] != '\0' ? after : "not set",
		       before[0] != '\0' ? before : "not set");
	}
}

static long long count(const json_t *answer, const char *key)
{
	return (long long)json_integer_value(json_object_get(answer, key));
}

static int print_answer(const json_t *answer)
{
	if (!json_is_true(json_object_get(answer, "ok"))) {
		fprintf(stderr,
			"culvert reload: not taken, the one before stays in "
			"force: %s\n",
			text_of(answer, "error"));
		return cli_refused_answer(answer);
	}
	print_changes(answer, "changed", "changed:");
	print_changes(answer, "restart", "takes a restart:");
	printf("taken: %lld changed, %lld take a restart\n",
	       count(answer, "n_changed"), count(answer, "n_restart"));
	return CLI_OK;
}

static int reload(const struct config *cfg)
{
	json_t *request = json_pack("{s:s}", "op", "reload"), *answer = NULL;
	char why[256];
	enum err e =
	    control_ask(cfg->control.path, request, &answer, NULL, why);
	int rc = CLI_FAILED;

	json_decref(request);
	if (e != ERR_OK) {
		fprintf(stderr, "culvert reload: %s\n", why);
		rc = cli_ask_failed(e);
	} else
		rc = print_answer(answer);
	json_decref(answer);
	return rc;
}

int cli_reload(int argc, char **argv)
{
	const char *path;
	struct config *cfg;
	int rc;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	path = cli_take_config(&argc, argv);
	if (path == NULL || argc > 1) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	cfg = cli_config(path);
	if (cfg == NULL)
		return CLI_FAILED;
	rc = reload(cfg);
	config_free(cfg);
	return rc;
}
