/* The reference of all options, as plain text and as a man page. */
#include <ctype.h>
#include <string.h>

#include "policy/option.h"
#include "policy/syntaxes.h"
#include "policy/value.h"

enum { WIDTH = 78 };

static const struct {
	const char *type;
	const char *form;
} forms[] = {
    {"size", "Bytes, or a number with kB, MB, GB, TB (powers of 1000), KiB, "
	     "MiB, GiB or TiB (powers of 1024)."},
    {"duration", "A number with ms, s, m (or min), h, d, w or y (365 days)."},
    {"rate", "A number, a slash, and s, min, h, d or a duration: 20/s, "
	     "600/min, 5/10s."},
    {"bandwidth", "A number with bit, kbit, Mbit or Gbit (powers of 1000): "
		  "bits per second; or none."},
    {"timetable", "A list of maps: days (mon, mon-fri, a list; every day), "
		  "hours (07:00-19:00; all day), limit (a bandwidth)."},
    {"time zone", "A name of the time zone database: Europe/Berlin."},
    {"percentage", "A whole number, with or without %."},
    {"name", "1 to 32 of a-z, 0-9 and -."},
    {"AE title", "1 to 16 characters, upper and lower case differ, no "
		 "backslash; spaces around it do not count."},
    {"address", "IPv4 or IPv6 in numbers; a range as address/bits."},
    {"host:port", "[address]:port with an IPv6 address."},
    {"path", "Relative ones start from the configuration file's directory."},
    {"list", "[a, b], or one entry to a line with a dash; a single value "
	     "stands for a list of one."},
};

static void wrap(FILE *out, const char *text, int indent)
{
	int column = 0;

	while (*text != '\0') {
		int len = (int)strcspn(text, " ");

		if (column == 0)
			column = fprintf(out, "%*s", indent, "");
		else if (column + 1 + len > WIDTH)
			column = fprintf(out, "\n%*s", indent, "") - 1;
		else
			column += fprintf(out, " ");
		column += fprintf(out, "%.*s", len, text);
		text += len;
		text += strspn(text, " ");
	}
	fprintf(out, "\n");
}

static const char *initial_of(const struct option *o)
{
	if ((o->flags & OPTION_REQUIRED) != 0)
		return "none, required";
	if (o->initial_text != NULL)
		return o->initial_text;
	return o->initial != NULL ? o->initial : "not set";
}

static const char *limit_text(const struct option *o, uint64_t v,
			      char out[VALUE_TEXT_LEN])
{
	if (o->type == OPTION_DURATION)
		return value_duration_text(v, out);
	if (o->type == OPTION_SIZE)
		return value_size_text(v, out);
	if (o->type == OPTION_BANDWIDTH || o->type == OPTION_TIMETABLE)
		return value_bandwidth_text(v, out);
	snprintf(out, VALUE_TEXT_LEN, "%llu%s", (unsigned long long)v,
		 o->type == OPTION_PERCENT ? "%" : "");
	return out;
}

/* "one of a, b", "from 1 to 9", or "". */
static void domain_of(const struct option *o, char *out, size_t size)
{
	char low[VALUE_TEXT_LEN], high[VALUE_TEXT_LEN];
	const char *before = "one of ";
	size_t n = 0;

	out[0] = '\0';
	for (const struct option_word *w = o->words;
	     w != NULL && w->word != NULL; w++) {
		if (w->later != NULL || n >= size)
			continue;
		n += (size_t)snprintf(out + n, size - n, "%s%s", before,
				      w->word);
		before = ", ";
	}
	if (o->max > 0)
		snprintf(out, size, "from %s to %s", limit_text(o, o->min, low),
			 limit_text(o, o->max, high));
}

static const char *leaf(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot != NULL ? dot + 1 : path;
}

static const char live[] = "A reload takes it up.";

static void print_option(FILE *out, const struct option *o)
{
	char domain[160], line[400];

	domain_of(o, domain, sizeof(domain));
	fprintf(out, "\n%s\n", o->path);
	snprintf(line, sizeof(line), "%s%s%s; default: %s.%s%s",
		 option_type_text(o->type), domain[0] != '\0' ? ", " : "",
		 domain, initial_of(o),
		 (o->flags & OPTION_LIVE) != 0 ? " " : "",
		 (o->flags & OPTION_LIVE) != 0 ? live : "");
	wrap(out, line, 4);
	wrap(out, o->help, 4);
	fprintf(out, "    example: %s: %s\n", leaf(o->path), o->example);
}

void config_reference(FILE *out)
{
	const struct option *o;
	const struct syntax *s;

	fprintf(out, "Options of the configuration file (YAML). NAME stands "
		     "for a name of your own,\nN for an entry of a list. What "
		     "a reload takes up\n(culvert reload, SIGHUP) says so; all "
		     "else takes a restart.\n");
	for (size_t i = 0; (o = option_at(i)) != NULL; i++)
		print_option(out, o);
	fprintf(out, "\nValues\n");
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		fprintf(out, "  %s\n", forms[i].type);
		wrap(out, forms[i].form, 4);
	}
	fprintf(out, "\nTransfer syntaxes\n");
	for (size_t i = 0; (s = syntax_at(i)) != NULL; i++)
		fprintf(out, "  %-27s %s\n", s->name, s->uid);
}

/* Text for roff: no line of it may begin a request, no escape get through. */
static void roff(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text != '\0'; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else if (*text == '"')
			fputs("\\(dq", out);
		else
			fputc(*text, out);
	}
}

static void man_option(FILE *out, const struct option *o)
{
	char domain[160];

	domain_of(o, domain, sizeof(domain));
	fputs(".TP\n.B ", out);
	roff(out, o->path);
	fputs("\n", out);
	roff(out, o->help);
	fputs("\n.br\n", out);
	fputs("Type: ", out);
	roff(out, option_type_text(o->type));
	if (domain[0] != '\0') {
		fputs(", ", out);
		roff(out, domain);
	}
	fputs(". Default: ", out);
	roff(out, initial_of(o));
	fputs(".\n", out);
	if ((o->flags & OPTION_LIVE) != 0)
		fprintf(out, "%s\n", live);
	fputs(".br\nExample:\n.B ", out);
	roff(out, leaf(o->path));
	fputs(": ", out);
	roff(out, o->example);
	fputs("\n", out);
}

static void man_head(FILE *out)
{
	fputs(".TH CULVERT.YAML 5 \"\" Culvert \"File formats\"\n"
	      ".SH NAME\nculvert.yaml \\- configuration of culvert(1)\n"
	      ".SH DESCRIPTION\n"
	      "One YAML file describes listeners (where peers arrive), "
	      "devices (who they are), destinations (where images go) and "
	      "routes (from one to the other).\n"
	      "Nobody is let in who is not declared, and nothing leaves in "
	      "clear unless a reason is written down.\n"
	      "Check a file with\n.BR \"culvert check \\-c\" .\n"
	      "NAME stands for a name of your own, N for an entry of a "
	      "list.\n"
	      "What a reload takes up\n.RB ( \"culvert reload\" ,\n"
	      "SIGHUP) says so; all else takes a restart.\n",
	      out);
}

/* "Listeners" and so on, above the options of that first component. */
static void man_section(FILE *out, const char *path, const char *before)
{
	size_t len = strcspn(path, ".");

	if (path[len] == '\0' ||
	    (strncmp(path, before, len) == 0 && (before[len] == '.')))
		return;
	fprintf(out, ".SS %c%.*s\n", toupper((unsigned char)path[0]),
		(int)len - 1, path + 1);
}

void config_reference_man(FILE *out)
{
	const char *before = "";
	const struct option *o;
	const struct syntax *s;

	man_head(out);
	fputs(".SH OPTIONS\n", out);
	for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
		man_section(out, o->path, before);
		man_option(out, o);
		before = o->path;
	}
	fputs(".SH VALUES\n", out);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		fprintf(out, ".TP\n.B %s\n", forms[i].type);
		roff(out, forms[i].form);
		fputs("\n", out);
	}
	fputs(".SH TRANSFER SYNTAXES\n", out);
	for (size_t i = 0; (s = syntax_at(i)) != NULL; i++) {
		fputs(".TP\n.B ", out);
		roff(out, s->name);
		fprintf(out, "\n%s\n", s->uid);
	}
	fputs(".SH SEE ALSO\n.BR culvert (1)\n", out);
}
