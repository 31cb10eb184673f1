#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/roles.h"
#include "proxy/cli.h"

static const char help[] =
    "usage: culvert rights [--json | --markdown | --man]\n\n"
    "Who may do what: every operation of the control socket and every address\n"
    "of the page, by role. A person holds the roles of the groups they are\n"
    "in: culvert-operator, culvert-security, culvert-auditor, unless\n"
    "control.groups names others. root and the user that the daemon runs as\n"
    "hold all three. What does not stand here is nobody's.\n\n"
    "examples:\n"
    "  culvert rights\n"
    "  adduser alice culvert-operator\n";

static json_t *roles_json(unsigned roles)
{
	static const unsigned bits[] = {ROLE_OPERATOR, ROLE_SECURITY,
					ROLE_AUDITOR};
	json_t *list = json_array();
	char text[ROLE_TEXT_LEN];

	for (size_t i = 0; i < ROLE_COUNT; i++) {
		if ((roles & bits[i]) != 0)
			json_array_append_new(
			    list, json_string(role_text(bits[i], text)));
	}
	return list;
}

static int print_json(void)
{
	json_t *list = json_array();
	const struct right *r;
	int rc;

	for (size_t i = 0; (r = right_at(i)) != NULL; i++)
		json_array_append_new(
		    list,
		    json_pack("{s:s,s:s,s:s,s:o,s:b,s:s}", "kind",
			      r->kind == RIGHT_OP ? "operation" : "address",
			      "name", r->name, "command", r->command, "roles",
			      roles_json(r->roles), "open", (int)r->open, "for",
			      r->what));
	rc = json_dumpf(list, stdout, JSON_INDENT(1));
	fputc('\n', stdout);
	json_decref(list);
	return rc == 0 ? CLI_OK : CLI_FAILED;
}

static int print_man(void)
{
	fputs(".TH CULVERT-RIGHTS 7 \"\" \"Culvert\" \"Who may do what\"\n"
	      ".SH NAME\n"
	      "culvert\\-rights \\- who may do what with Culvert, by role\n"
	      ".SH DESCRIPTION\n"
	      "There are three roles. A person holds those of the groups they "
	      "are in:\n"
	      ".BR culvert\\-operator ,\n.BR culvert\\-security ,\n"
	      ".BR culvert\\-auditor ,\nunless\n.B control.groups\n"
	      "in\n.BR culvert.yaml (5)\nnames others.\n"
	      "root and the user that the daemon runs as hold all three. What "
	      "does not stand\nhere is nobody's.\n.PP\n"
	      "Everybody on the machine may connect to the control socket; the "
	      "kernel says\nwho it is, and in which groups. What changes "
	      "something, and what is taken out,\nis in the audit before it is "
	      "done, with user and role; when the audit cannot\nbe written it "
	      "is not done. Who is refused is told so, and is in the log and "
	      "the\naudit; repeats within a minute are counted.\n"
	      ".SH TABLE\n.nf\n",
	      stdout);
	rights_print(stdout, false);
	fputs(".fi\n.SH SEE ALSO\n.BR culvert (1),\n.BR culvert.yaml (5)\n",
	      stdout);
	return CLI_OK;
}

int cli_rights(int argc, char **argv)
{
	const char *how = argc == 2 ? argv[1] : "";

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	if (strcmp(how, "--json") == 0)
		return print_json();
	if (strcmp(how, "--man") == 0)
		return print_man();
	if (argc > 2 || (argc == 2 && strcmp(how, "--markdown") != 0)) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	rights_print(stdout, argc == 2);
	return CLI_OK;
}
