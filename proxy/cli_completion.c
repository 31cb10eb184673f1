/* cli_completion.c - completion for bash and zsh, from the table of commands.
 *
 * Both scripts hold the same three lists for each command: its first words, its
 * options, and what follows an option. What is completed as a file is left to
 * the shell. */
#include <ctype.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cli_commands.h"

enum { WORDS_LEN = 512 };

static bool is_file(const char *value)
{
	return strcmp(value, "FILE") == 0 || strcmp(value, "DIR") == 0;
}

/* "a|b|c": words to choose from, not a name for a value. */
static bool is_choice(const char *value)
{
	return islower((unsigned char)value[0]) != 0;
}

/* The first word of each alternative, when it is no value: "list show". */
static char *first_words(const char *words, char out[WORDS_LEN])
{
	size_t n = 0;

	out[0] = '\0';
	while (words != NULL && *words != '\0') {
		size_t whole = strcspn(words, "|");
		size_t word = strcspn(words, "| ");

		if (islower((unsigned char)*words) && n + word + 2 < WORDS_LEN)
			n += (size_t)snprintf(out + n, WORDS_LEN - n, "%s%.*s",
					      n > 0 ? " " : "", (int)word,
					      words);
		words += whole;
		if (*words == '|')
			words++;
	}
	return out;
}

static bool takes_files(const struct cli_command *c)
{
	return c->words != NULL && (strstr(c->words, "FILE") != NULL ||
				    strstr(c->words, "DIR") != NULL);
}

static void names(FILE *to)
{
	const struct cli_command *c;

	for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++)
		fprintf(to, "%s%s", i > 0 ? " " : "", c->name);
}

static void option_names(FILE *to, const struct cli_command *c)
{
	for (size_t o = 0; c->options[o].name != NULL; o++)
		fprintf(to, "%s ", c->options[o].name);
	fputs("--help", to);
}

/* A case of what follows an option with a value. */
static void bash_values(FILE *to, const struct cli_command *c)
{
	for (size_t o = 0; c->options[o].name != NULL; o++) {
		const struct cli_option *p = &c->options[o];

		if (p->value == NULL)
			continue;
		fprintf(to, "\t\t%s,%s) ", c->name, p->name);
		if (is_file(p->value)) {
			fputs("COMPREPLY=($(compgen -f -- \"$word\")); "
			      "return ;;\n",
			      to);
		} else if (is_choice(p->value)) {
			fputs("COMPREPLY=($(compgen -W '", to);
			for (const char *v = p->value; *v != '\0'; v++)
				fputc(*v == '|' ? ' ' : *v, to);
			fputs("' -- \"$word\")); return ;;\n", to);
		} else {
			fputs("return ;;\n", to);
		}
	}
}

static void bash_words(FILE *to, const struct cli_command *c)
{
	char words[WORDS_LEN];

	fprintf(to, "\t%s)\n\t\toptions='", c->name);
	option_names(to, c);
	fprintf(to, "'\n\t\twords='%s'\n\t\tfiles=%s ;;\n",
		first_words(c->words, words), takes_files(c) ? "yes" : "");
}

void cli_completion_bash(FILE *to)
{
	const struct cli_command *c;

	fputs("# bash completion of culvert; made by: culvert completion "
	      "bash\n"
	      "_culvert() {\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} command= i\n"
	      "\tlocal before=${COMP_WORDS[COMP_CWORD - 1]} options words "
	      "files\n"
	      "\tCOMPREPLY=()\n"
	      "\tif [ \"$COMP_CWORD\" = 1 ]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W '",
	      to);
	names(to);
	fputs("' -- \"$word\"))\n\t\treturn\n\tfi\n"
	      "\tcommand=${COMP_WORDS[1]}\n"
	      "\tcase $command,$before in\n",
	      to);
	for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++)
		bash_values(to, c);
	fputs("\tesac\n\tcase $command in\n", to);
	for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++)
		bash_words(to, c);
	fputs("\tesac\n"
	      "\tcase $word in\n"
	      "\t-*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
	      "\t*)\n"
	      "\t\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	      "\t\t\tcase \" $words \" in *\" ${COMP_WORDS[i]} \"*) words= ;; "
	      "esac\n"
	      "\t\tdone\n"
	      "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
	      "\t\t[ -z \"$files\" ] || [ -n \"$words\" ] ||\n"
	      "\t\t\tCOMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
	      "\tesac\n"
	      "}\n"
	      "complete -o filenames -F _culvert culvert\n",
	      to);
}

/* ---- zsh ---------------------------------------------------------------- */

static void zsh_option(FILE *to, const struct cli_option *p)
{
	fprintf(to, " '%s", p->name);
	if (p->value != NULL && is_file(p->value)) {
		fputs("[]:file:_files", to);
	} else if (p->value != NULL && is_choice(p->value)) {
		fputs("[]:value:(", to);
		for (const char *v = p->value; *v != '\0'; v++)
			fputc(*v == '|' ? ' ' : *v, to);
		fputc(')', to);
	} else if (p->value != NULL) {
		fprintf(to, "[]:%s: ", p->value);
	} else {
		fputs("[]", to);
	}
	fputc('\'', to);
}

static void zsh_command(FILE *to, const struct cli_command *c)
{
	char words[WORDS_LEN];

	fprintf(to, "\t%s) _arguments '--help[]'", c->name);
	for (size_t o = 0; c->options[o].name != NULL; o++)
		zsh_option(to, &c->options[o]);
	first_words(c->words, words);
	if (words[0] != '\0')
		fprintf(to, " '1:word:(%s)'", words);
	if (takes_files(c))
		fputs(" '*:file:_files'", to);
	fputs(" ;;\n", to);
}

void cli_completion_zsh(FILE *to)
{
	const struct cli_command *c;

	fputs("#compdef culvert\n"
	      "# made by: culvert completion zsh\n"
	      "_culvert() {\n"
	      "\tlocal -a commands\n"
	      "\tcommands=(\n",
	      to);
	for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++) {
		fprintf(to, "\t\t'%s:", c->name);
		for (const char *h = c->help; *h != '\0'; h++)
			fputs(*h == '\''  ? "'\\''"
			      : *h == ':' ? "\\:"
					  : (const char[]){*h, '\0'},
			      to);
		fputs("'\n", to);
	}
	fputs("\t)\n"
	      "\tif ((CURRENT == 2)); then\n"
	      "\t\t_describe command commands\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tshift words\n"
	      "\t((CURRENT--))\n"
	      "\tcase $words[1] in\n",
	      to);
	for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++)
		zsh_command(to, c);
	fputs("\tesac\n}\n_culvert \"$@\"\n", to);
}

static const char help[] =
    "usage: culvert completion bash|zsh\n\n"
    "Prints the script that lets the shell complete commands, options and\n"
    "files. The package has it installed already.\n\n"
    "examples:\n"
    "  source <(culvert completion bash)\n"
    "  culvert completion zsh >~/.zfunc/_culvert\n";

int cli_completion(int argc, char **argv)
{
	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	if (argc == 2 && strcmp(argv[1], "bash") == 0)
		cli_completion_bash(stdout);
	else if (argc == 2 && strcmp(argv[1], "zsh") == 0)
		cli_completion_zsh(stdout);
	else
		return fputs(help, stderr), CLI_USAGE;
	return CLI_OK;
}
