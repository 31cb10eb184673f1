/* cli_export_args.c - the options that exports have in common. */
#include <stdio.h>
#include <string.h>

#include "proxy/cli_download.h"
#include "proxy/cli_table.h"
#include "proxy/lib/mem.h"
#include "store/export_in.h"

const char cli_export_help[] =
    "  --format csv|jsonl|dicom  CSV (RFC 4180), JSON Lines, or DICOM audit\n"
    "                     messages (PS3.15 A.5); csv unless said\n"
    "  --bom              a byte order mark in front, for spreadsheets\n"
    "  --from T, --to T   2026-05-04 or 2026-05-04T09:15:27Z, UTC; --to names\n"
    "                     the last day, or the first moment that is left out\n"
    "  --device NAME, --destination NAME, --study UID\n"
    "  --reveal           open what is sealed: patients' names and numbers.\n"
    "                     Auditors only; it is on record\n"
    "  -o FILE            - is standard output; without it the file is named\n"
    "                     after the node and the time\n"
    "  --manifest FILE    FILE.manifest.json unless said\n"
    "  --force            replace files that are there\n";

bool cli_time_parse(const char *text, bool end, int64_t *ms)
{
	static const char rest[] = "T00:00:00.000Z";
	char full[40];
	size_t n = strlen(text);
	bool day = n == 10, ok;

	if (day) {
		snprintf(full, sizeof(full), "%s%s", text, rest);
	} else if (n < 17 || n > 24 || text[n - 1] != 'Z') {
		return false;
	} else {
		/* what is left out of the end is zero */
		snprintf(full, sizeof(full), "%.*s%s", (int)n - 1, text,
			 n - 1 < 23 ? rest + (n - 1 - 10) : "Z");
	}
	ok = export_time_parse(full, strlen(full), ms);
	if (ok && day && end)
		*ms += 86400000;
	return ok;
}

/* How an option is given and what the request calls it. */
static const struct {
	const char *option, *key;
	enum { FLAG, TEXT, TIME, TIME_END, NUMBER } form;
} options[] = {
    {"--format", "format", TEXT},
    {"--bom", "bom", FLAG},
    {"--reveal", "reveal", FLAG},
    {"--from", "from", TIME},
    {"--to", "to", TIME_END},
    {"--device", "device", TEXT},
    {"--destination", "destination", TEXT},
    {"--study", "study", TEXT},
    {"--event", "event", TEXT},
    {"--user", "user", TEXT},
    {"--outcome", "outcome", TEXT},
    {"--state", "state", TEXT},
    {"--from-seq", "from_seq", NUMBER},
    {"--to-seq", "to_seq", NUMBER},
};

static json_t *value_of(int form, const char *text)
{
	int64_t ms;
	uint64_t n;

	switch (form) {
	case TEXT:
		return json_string(text);
	case TIME:
	case TIME_END:
		return cli_time_parse(text, form == TIME_END, &ms)
			   ? json_integer(ms)
			   : NULL;
	case NUMBER:
		return cli_number(text, &n) && n <= INT64_MAX
			   ? json_integer((json_int_t)n)
			   : NULL;
	}
	return NULL;
}

bool cli_export_option(int argc, char **argv, int *i, json_t *request)
{
	for (size_t k = 0; k < ARRAY_LEN(options); k++) {
		json_t *v;

		if (strcmp(argv[*i], options[k].option) != 0)
			continue;
		if (options[k].form == FLAG)
			return json_object_set_new(request, options[k].key,
						   json_true()) == 0;
		if (*i + 1 >= argc)
			return false;
		v = value_of((int)options[k].form, argv[++*i]);
		if (v == NULL)
			fprintf(stderr,
				"culvert: %s does not understand "
				"'%s'\n",
				options[k].option, argv[*i]);
		return v != NULL &&
		       json_object_set_new(request, options[k].key, v) == 0;
	}
	return false;
}
