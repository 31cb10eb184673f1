#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_read.h"
#include "proxy/cli_table.h"
#include "proxy/cli_ui.h"
#include "proxy/dicom/uid.h"
#include "proxy/lib/mem.h"
#include "store/ledger_view.h"

static const char help[] =
    "usage: culvert association [-c FILE] list [--limit N] [--before ID]\n"
    "       culvert association [-c FILE] show ID\n"
    "       culvert association [-c FILE] operations [--limit N] [--before "
    "ID]\n\n"
    "  list   the newest associations, in and out\n"
    "  operations\n"
    "         the newest relayed messages of all of them\n"
    "  show   one of them: peer, TLS, every presentation context with what "
    "was\n"
    "         proposed and what was accepted, what was relayed, how it ended\n"
    "\n"
    "  --json   an array of objects, for programs\n\n"
    "examples:\n"
    "  culvert association list --limit 20\n"
    "  culvert association show 17\n";

static const char command[] = "culvert association";

static void on_row(void *arg, const json_t *a)
{
	char when[CLI_TIME_LEN];
	bool ended = json_is_true(json_object_get(a, "ended"));

	(void)arg;
	printf("%6lld  %s  %-3s  %-16s %-16s %-16s %-16s %6lld stored  %s\n",
	       cli_integer(a, "id"), cli_time(cli_integer(a, "begun_ms"), when),
	       cli_text(a, "direction"), cli_text(a, "party"),
	       cli_text(a, "device"), cli_text(a, "calling_ae"),
	       cli_text(a, "called_ae"), cli_integer(a, "stores"),
	       ended ? cli_text(a, "why") : "open, or ended by a crash");
}

static const char *size_of(const json_t *a, const char *key, char out[32])
{
	return cli_bytes((unsigned long long)cli_integer(a, key), out, 32);
}

static void print_end(const json_t *a)
{
	char when[CLI_TIME_LEN], bytes[32];

	if (!json_is_true(json_object_get(a, "ended"))) {
		printf("ended        no: open, or the daemon was killed\n");
		return;
	}
	printf("ended        %s after %.3f s: %s\n",
	       cli_time(cli_integer(a, "ended_ms"), when),
	       (double)cli_integer(a, "duration_ms") / 1e3, cli_text(a, "why"));
	printf("messages     %lld C-STORE, %lld C-ECHO, %lld others, %lld "
	       "failed\n",
	       cli_integer(a, "stores"), cli_integer(a, "echos"),
	       cli_integer(a, "others"), cli_integer(a, "failures"));
	printf("bytes        %s received", size_of(a, "bytes_in", bytes));
	printf(", %s sent\n", size_of(a, "bytes_out", bytes));
}

static void print_tls(const json_t *tls)
{
	if (!json_is_object(tls))
		printf("TLS          none: plaintext\n");
	else
		printf("TLS          %s %s %s\ncertificate  %s\n"
		       "fingerprint  %s\n",
		       cli_text(tls, "version"), cli_text(tls, "suite"),
		       cli_text(tls, "group"), cli_text(tls, "subject"),
		       cli_text(tls, "fingerprint"));
}

static void print_one(const json_t *a)
{
	bool in = strcmp(cli_text(a, "direction"), "in") == 0;
	char when[CLI_TIME_LEN];

	printf("association  %lld (%s)\n", cli_integer(a, "id"),
	       in ? "inbound" : "outbound");
	printf("begun        %s\n", cli_time(cli_integer(a, "begun_ms"), when));
	printf("%s     %s\n", in ? "listener" : "towards ",
	       cli_text(a, "party"));
	if (cli_text(a, "device")[0] != '\0')
		printf("device       %s\n", cli_text(a, "device"));
	printf("peer         %s, here %s\n", cli_text(a, "peer"),
	       cli_text(a, "local"));
	printf("AE titles    calling %s, called %s\n",
	       cli_text(a, "calling_ae"), cli_text(a, "called_ae"));
	printf("peer says    %s %s, maximum PDU %lld\n",
	       cli_text(a, "implementation_class"),
	       cli_text(a, "implementation_version"),
	       cli_integer(a, "max_pdu"));
	print_tls(json_object_get(a, "tls"));
	printf("result       %s\n", cli_text(a, "result"));
	print_end(a);
	printf("contexts     %lld\n", cli_integer(a, "contexts"));
}

static const char *result_text(long long result)
{
	static const char *const texts[] = {
	    "accepted", "refused: not allowed for this device, or no route",
	    "refused", "refused: abstract syntax not supported",
	    "refused: no transfer syntax that every destination takes"};

	return result >= 0 && result < (long long)ARRAY_LEN(texts)
		   ? texts[result]
		   : "?";
}

static void print_context(const json_t *c)
{
	const char *accepted = cli_text(c, "transfer_syntax");
	char proposed[4096], *save = NULL;

	printf("  %3lld  %s\n", cli_integer(c, "id"),
	       uid_name(cli_text(c, "abstract_syntax")));
	printf("       %s%s%s\n", result_text(cli_integer(c, "result")),
	       accepted[0] != '\0' ? ": " : "",
	       accepted[0] != '\0' ? uid_name(accepted) : "");
	snprintf(proposed, sizeof(proposed), "%s", cli_text(c, "proposed"));
	for (char *t = strtok_r(proposed, " ", &save); t != NULL;
	     t = strtok_r(NULL, " ", &save))
		printf("       proposed %s\n", uid_name(t));
}

/* The association comes first, its contexts behind it. */
static void on_part(void *arg, const json_t *row)
{
	unsigned *n = arg;

	if ((*n)++ == 0)
		print_one(row);
	else
		print_context(row);
}

/* All of it one object. */
static void on_part_json(void *arg, const json_t *row)
{
	json_t *rows = arg, *a = json_array_get(rows, 0), *list;

	if (a == NULL) {
		(void)json_array_append_new(rows, json_deep_copy(row));
		return;
	}
	list = json_object_get(a, "context_list");
	if (list == NULL) {
		list = json_array();
		(void)json_object_set_new(a, "context_list", list);
	}
	(void)json_array_append(list, (json_t *)row);
}

/* Where to begin and how many; false: not understood. */
struct page {
	uint64_t before, limit;
};

static bool take_page(struct page *p, int argc, char **argv)
{
	*p = (struct page){.limit = 50};
	for (int i = 2; i < argc; i += 2) {
		if (i + 1 == argc)
			return false;
		if (strcmp(argv[i], "--limit") == 0) {
			if (!cli_number(argv[i + 1], &p->limit))
				return false;
		} else if (strcmp(argv[i], "--before") != 0 ||
			   !cli_number(argv[i + 1], &p->before)) {
			return false;
		}
	}
	return p->limit > 0 && p->limit <= LEDGER_PAGE_MAX;
}

/* ---- what was relayed ---------------------------------------------------- */

enum { OPERATIONS_SHOWN = 200 };

struct relayed {
	unsigned n;
	bool every; /* of all associations */
};

static void on_operation(void *arg, const json_t *o)
{
	char when[CLI_TIME_LEN], bytes[32], status[12] = "none";
	long long count = cli_integer(o, "count");
	bool from = strcmp(cli_text(o, "from"), "destination") == 0;
	struct relayed *r = arg;

	if (r->n++ == 0 && !r->every)
		printf("relayed, newest first\n");
	if (cli_text(o, "status")[0] != '\0')
		snprintf(status, sizeof(status), "%04lx",
			 strtoul(cli_text(o, "status"), NULL, 16) & 0xffff);
	printf("  %s  %-14s %s %-14s  status %s  %lld %s  %s  %.3f s\n",
	       cli_time(cli_integer(o, "begun_ms"), when),
	       cli_text(o, "message"), from ? "from" : "to  ",
	       cli_text(o, "destination"), status,
	       count > 1 ? count : cli_integer(o, "responses"),
	       count > 1 ? "times" : "responses", size_of(o, "bytes", bytes),
	       (double)cli_integer(o, "duration_ms") / 1e3);
	printf("       %s%s%s", uid_name(cli_text(o, "sop_class")),
	       cli_text(o, "sop_instance")[0] != '\0' ? " " : "",
	       cli_text(o, "sop_instance"));
	if (r->every)
		printf("  association %lld of %s, id %lld",
		       cli_integer(o, "association"), cli_text(o, "device"),
		       cli_integer(o, "id"));
	printf("\n");
}

static int show_operations(const struct config *cfg, uint64_t id)
{
	struct relayed r = {0};
	int rc = cli_read(cfg, command,
			  json_pack("{s:s,s:I,s:i}", "op", "operation-list",
				    "association", (json_int_t)id, "limit",
				    OPERATIONS_SHOWN),
			  on_operation, &r, NULL);

	if (r.n == OPERATIONS_SHOWN)
		printf("  older ones are in the table operations\n");
	return rc;
}

/* ---- commands ------------------------------------------------------------ */

static json_t *page_request(const char *op, const struct page *p)
{
	return json_pack("{s:s,s:I,s:I}", "op", op, "before",
			 (json_int_t)p->before, "limit", (json_int_t)p->limit);
}

static json_t *show_request(uint64_t id)
{
	return json_pack("{s:s,s:I}", "op", "association-show", "id",
			 (json_int_t)id);
}

static int show(const struct config *cfg, uint64_t id)
{
	unsigned n = 0;
	int rc = cli_read(cfg, command, show_request(id), on_part, &n, NULL);

	return rc == CLI_OK ? show_operations(cfg, id) : rc;
}

static int list_operations(const struct config *cfg, const struct page *p)
{
	struct relayed r = {.every = true};
	int rc = cli_read(cfg, command, page_request("operation-list", p),
			  on_operation, &r, NULL);

	if (rc == CLI_OK && r.n == 0)
		printf("nothing\n");
	return rc;
}

/* An array, for programs. */
static int as_json(const struct config *cfg, json_t *request, cli_row_fn *fn)
{
	json_t *rows = json_array();
	int rc = cli_read(cfg, command, request, fn, rows, NULL);

	if (rc == CLI_OK)
		return cli_json(rows);
	json_decref(rows);
	return rc;
}

enum { LIST, SHOW, OPERATIONS };

/* Which of them; -1: not understood. */
static int find_command(int argc, char **argv, struct page *page, uint64_t *id)
{
	if (argc < 2)
		return -1;
	if (strcmp(argv[1], "list") == 0)
		return take_page(page, argc, argv) ? LIST : -1;
	if (strcmp(argv[1], "operations") == 0)
		return take_page(page, argc, argv) ? OPERATIONS : -1;
	if (strcmp(argv[1], "show") == 0 && argc == 3)
		return cli_number(argv[2], id) ? SHOW : -1;
	return -1;
}

static int run(const struct config *cfg, int which, const struct page *p,
	       uint64_t id, bool json)
{
	switch (which) {
	case SHOW:
		return json ? as_json(cfg, show_request(id), on_part_json)
			    : show(cfg, id);
	case LIST:
		return json ? as_json(cfg, page_request("association-list", p),
				      cli_read_append)
			    : cli_read(cfg, command,
				       page_request("association-list", p),
				       on_row, NULL, NULL);
	}
	return json ? as_json(cfg, page_request("operation-list", p),
			      cli_read_append)
		    : list_operations(cfg, p);
}

int cli_association(int argc, char **argv)
{
	const char *path;
	struct config *cfg;
	struct page page = {0};
	uint64_t id = 0;
	int rc, which;
	bool json;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	json = cli_take_json(&argc, argv);
	path = cli_take_config(&argc, argv);
	which = path != NULL ? find_command(argc, argv, &page, &id) : -1;
	if (which < 0) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	cfg = cli_config(path);
	if (cfg == NULL)
		return CLI_FAILED;
	rc = run(cfg, which, &page, id, json);
	config_free(cfg);
	return rc;
}
