/* cli_explain.c - what a code of the log means, and what to do about it. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cli_commands.h"
#include "proxy/lib/condition.h"

static const char help[] =
    "usage: culvert explain [--language en|zh] [--json] CODE|NAME...\n"
    "       culvert explain [--language en|zh] [--json] --list\n\n"
    "What a code in the log, on the status page or in an error means, and "
    "what\n"
    "to do about it. NAME is the word of the event or of the outcome.\n\n"
    "  --list            every condition there is\n"
    "  --man             the same, as the body of a manual page\n"
    "  --language zh     in Chinese; the default is that of LC_ALL,\n"
    "                    LC_MESSAGES or LANG, and English otherwise\n"
    "  --json            for programs: code, name, area, severity, cause and\n"
    "                    remedy\n\n"
    "examples:\n"
    "  culvert explain CV3103\n"
    "  culvert explain spool-full --language zh\n"
    "  culvert explain --list --json\n";

static const char *area_word(const struct condition *c)
{
	return condition_area(c, CONDITION_EN);
}

static json_t *as_json(const struct condition *c, enum condition_language l)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "code", c->code, "name",
			 c->name, "area", area_word(c), "severity",
			 condition_severity_text(c->severity, CONDITION_EN),
			 "cause", c->cause[l], "remedy", c->remedy[l]);
}

static void print(const struct condition *c, enum condition_language l)
{
	static const char *const words[CONDITION_LANGUAGES][2] = {
	    {"cause", "remedy"}, {"原因", "处理"}};

	printf("%s  %s  (%s, %s)\n  %-8s %s\n  %-8s %s\n", c->code, c->name,
	       condition_severity_text(c->severity, l), condition_area(c, l),
	       words[l][0], c->cause[l], words[l][1], c->remedy[l]);
}

/* A text in roff: nothing in it is taken for a request or a hyphen. */
static void roff(const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", stdout);
	for (; *text != '\0'; text++) {
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else
			fputc(*text, stdout);
	}
	fputc('\n', stdout);
}

static void man_row(const struct condition *c, enum condition_language l)
{
	printf(".TP\n.BR %s \" (", c->code);
	for (const char *p = c->name; *p != '\0'; p++)
		printf("%s%c", *p == '-' ? "\\" : "", *p);
	printf(", %s)\"\n", condition_severity_text(c->severity, l));
	roff(c->cause[l]);
	fputs(".br\n", stdout);
	roff(c->remedy[l]);
}

static void man(enum condition_language l)
{
	unsigned area = 0;

	fputs(".TH CULVERT\\-CONDITIONS 7 \"\" \"Culvert\" "
	      "\"Conditions\"\n.SH NAME\nculvert\\-conditions \\- codes of the "
	      "log, their causes and remedies\n.SH DESCRIPTION\n"
	      "Whatever somebody may have to act on has a code. It stands in "
	      "the log (code=), on the status page and in what commands say. "
	      "The first line of each says what is the case, the second what "
	      "to do.\n.B culvert explain\n.I CODE\nprints one of them.\n",
	      stdout);
	for (unsigned i = 0; i < CONDITION_N; i++) {
		const struct condition *c = condition_get((enum condition_id)i);

		if (c->number / 1000 != area)
			printf(".SH \"%s\"\n", condition_area(c, l));
		area = c->number / 1000;
		man_row(c, l);
	}
	fputs(".SH SEE ALSO\n.BR culvert (1)\n", stdout);
}

static void list(enum condition_language l, bool json)
{
	json_t *all = json ? json_array() : NULL;

	for (unsigned i = 0; i < CONDITION_N; i++) {
		const struct condition *c = condition_get((enum condition_id)i);

		if (json)
			json_array_append_new(all, as_json(c, l));
		else
			print(c, l);
	}
	if (json) {
		json_dumpf(all, stdout, JSON_INDENT(1));
		fputc('\n', stdout);
		json_decref(all);
	}
}

static int one(const char *text, enum condition_language l, bool json)
{
	const struct condition *c = condition_find(text);
	json_t *j;

	if (c == NULL)
		c = condition_of_event(text);
	if (c == NULL && condition_event_varies(text)) {
		fprintf(stderr,
			"culvert explain: the cause of '%s' varies: its line "
			"in the log has a code, explain that\n",
			text);
		return CLI_FAILED;
	}
	if (c == NULL) {
		fprintf(stderr,
			"culvert explain: there is no condition '%s'; "
			"culvert explain --list has all of them\n",
			text);
		return CLI_FAILED;
	}
	if (!json) {
		print(c, l);
		return CLI_OK;
	}
	j = as_json(c, l);
	json_dumpf(j, stdout, JSON_INDENT(1));
	fputc('\n', stdout);
	json_decref(j);
	return CLI_OK;
}

static int of_environment(void)
{
	static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};

	for (size_t i = 0; i < 3; i++) {
		const char *v = getenv(names[i]);

		if (v != NULL && v[0] != '\0')
			return condition_language(v) > 0 ? CONDITION_ZH
							 : CONDITION_EN;
	}
	return CONDITION_EN;
}

/* What the arguments ask for. */
struct wish {
	int language; /* -1: none that we have */
	bool json, list, man, bad;
	size_t n;
};

static struct wish read_arguments(int argc, char **argv)
{
	struct wish w = {.language = of_environment()};

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			w.json = true;
		else if (strcmp(argv[i], "--list") == 0)
			w.list = true;
		else if (strcmp(argv[i], "--man") == 0)
			w.man = true;
		else if (strcmp(argv[i], "--language") == 0 && i + 1 < argc)
			w.language = condition_language(argv[++i]);
		else if (strncmp(argv[i], "--language=", 11) == 0)
			w.language = condition_language(argv[i] + 11);
		else if (argv[i][0] == '-')
			w.bad = true;
		else
			argv[++w.n] = argv[i];
	}
	w.bad = w.bad || w.language < 0 || (w.n == 0) == !(w.list || w.man);
	return w;
}

int cli_explain(int argc, char **argv)
{
	enum condition_language l;
	struct wish w;
	int rc = CLI_OK;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	w = read_arguments(argc, argv);
	if (w.bad) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	l = w.language == CONDITION_ZH ? CONDITION_ZH : CONDITION_EN;
	if (w.man)
		man(l);
	else if (w.list)
		list(l, w.json);
	for (size_t i = 1; i <= w.n; i++)
		if (one(argv[i], l, w.json) != CLI_OK)
			rc = CLI_FAILED;
	return rc;
}
