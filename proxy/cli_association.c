#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_rows.h"
#include "proxy/cli_table.h"
#include "proxy/cli_ui.h"
#include "proxy/dicom/uid.h"
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

static json_t *rows; /* with --json; of show: the one association */

static bool on_row(void *arg, const struct view_association *v)
{
	char when[CLI_TIME_LEN];

	(void)arg;
	if (rows != NULL) {
		json_array_append_new(rows, cli_row_association(v));
		return true;
	}
	printf("%6" PRIu64 "  %s  %-3s  %-16s %-16s %-16s %-16s %6u stored  "
	       "%s\n",
	       v->a.id, cli_time(v->a.begun_ms, when),
	       v->a.direction == LEDGER_IN ? "in" : "out", v->a.party,
	       v->a.device, v->a.calling_ae, v->a.called_ae,
	       v->ended ? v->end.stores : 0,
	       v->ended ? v->end.why : "open, or ended by a crash");
	return true;
}

static void print_end(const struct view_association *v)
{
	char when[CLI_TIME_LEN], bytes[32];

	if (!v->ended) {
		printf("ended        no: open, or the daemon was killed\n");
		return;
	}
	printf("ended        %s after %.3f s: %s\n",
	       cli_time(v->end.ended_ms, when),
	       (double)v->end.duration_ns / 1e9, v->end.why);
	printf("messages     %u C-STORE, %u C-ECHO, %u others, %u failed\n",
	       v->end.stores, v->end.echos, v->end.others, v->end.failures);
	printf("bytes        %s received",
	       cli_bytes(v->end.bytes_in, bytes, sizeof(bytes)));
	printf(", %s sent\n",
	       cli_bytes(v->end.bytes_out, bytes, sizeof(bytes)));
}

static bool on_one(void *arg, const struct view_association *v)
{
	const struct ledger_association *a = &v->a;
	char when[CLI_TIME_LEN];

	(void)arg;
	if (rows != NULL) {
		json_array_append_new(rows, cli_row_association(v));
		return true;
	}
	printf("association  %" PRIu64 " (%s)\n", a->id,
	       a->direction == LEDGER_IN ? "inbound" : "outbound");
	printf("begun        %s\n", cli_time(a->begun_ms, when));
	printf("%s     %s\n",
	       a->direction == LEDGER_IN ? "listener" : "towards ", a->party);
	if (a->device[0] != '\0')
		printf("device       %s\n", a->device);
	printf("peer         %s, here %s\n", a->peer, a->local);
	printf("AE titles    calling %s, called %s\n", a->calling_ae,
	       a->called_ae);
	printf("peer says    %s %s, maximum PDU %u\n", a->impl_class,
	       a->impl_version, a->max_pdu);
	if (a->tls_version[0] == '\0')
		printf("TLS          none: plaintext\n");
	else
		printf("TLS          %s %s %s\ncertificate  %s\n"
		       "fingerprint  %s\n",
		       a->tls_version, a->tls_suite, a->tls_group, a->subject,
		       a->fingerprint);
	printf("result       %s\n", a->result);
	print_end(v);
	printf("contexts     %zu\n", a->n_contexts);
	return true;
}

static const char *result_text(unsigned result)
{
	static const char *const texts[] = {
	    "accepted", "refused: not allowed for this device, or no route",
	    "refused", "refused: abstract syntax not supported",
	    "refused: no transfer syntax that every destination takes"};

	return result < sizeof(texts) / sizeof(texts[0]) ? texts[result] : "?";
}

static bool on_context(void *arg, const struct ledger_context *c)
{
	char proposed[4096], *save = NULL;

	(void)arg;
	if (rows != NULL) {
		json_t *a = json_array_get(rows, 0);
		json_t *list = json_object_get(a, "context_list");

		if (list == NULL) {
			list = json_array();
			json_object_set_new(a, "context_list", list);
		}
		json_array_append_new(list, cli_row_context(c));
		return true;
	}
	printf("  %3u  %s\n", c->id, uid_name(c->abstract));
	printf("       %s%s%s\n", result_text(c->result),
	       c->accepted[0] != '\0' ? ": " : "",
	       c->accepted[0] != '\0' ? uid_name(c->accepted) : "");
	snprintf(proposed, sizeof(proposed), "%s",
		 c->proposed != NULL ? c->proposed : "");
	for (char *t = strtok_r(proposed, " ", &save); t != NULL;
	     t = strtok_r(NULL, " ", &save))
		printf("       proposed %s\n", uid_name(t));
	return true;
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

static size_t n_operations;

static bool on_operation(void *arg, const struct view_operation *v)
{
	const struct ledger_operation *o = &v->o;
	char when[CLI_TIME_LEN], bytes[32], status[12] = "none";
	char message[CLI_MESSAGE_LEN];

	if (rows != NULL) {
		json_array_append_new(rows, cli_row_operation(v));
		return true;
	}
	if (n_operations++ == 0 && arg == NULL)
		printf("relayed, newest first\n");
	if (o->status >= 0)
		snprintf(status, sizeof(status), "%04x",
			 (unsigned)o->status & 0xffff);
	printf("  %s  %-14s %s %-14s  status %s  %u %s  %s  %.3f s\n",
	       cli_time(o->begun_ms, when), cli_message(o->command, message),
	       o->from_destination ? "from" : "to  ", o->destination, status,
	       o->count > 1 ? o->count : o->responses,
	       o->count > 1 ? "times" : "responses",
	       cli_bytes(o->bytes, bytes, sizeof(bytes)),
	       (double)o->duration_ns / 1e9);
	printf("       %s%s%s", uid_name(o->sop_class),
	       o->sop_instance[0] != '\0' ? " " : "", o->sop_instance);
	if (arg != NULL) /* of all associations */
		printf("  association %" PRIu64 " of %s, id %" PRIu64,
		       o->association, o->device, v->id);
	printf("\n");
	return true;
}

static int show_operations(struct ledger_view *v, uint64_t id)
{
	if (ledger_view_operations(v, id, 0, OPERATIONS_SHOWN, on_operation,
				   NULL) != ERR_OK)
		return cli_ledger_failed(v);
	if (n_operations == OPERATIONS_SHOWN)
		printf("  older ones are in the table operations\n");
	return CLI_OK;
}

static int list_operations(struct ledger_view *v, const struct page *p)
{
	bool every = true;

	if (ledger_view_operations(v, 0, p->before, (unsigned)p->limit,
				   on_operation, &every) != ERR_OK)
		return cli_ledger_failed(v);
	if (n_operations == 0 && rows == NULL)
		printf("nothing\n");
	return CLI_OK;
}

/* ---- commands ------------------------------------------------------------ */

static int list(struct ledger_view *v, const struct page *p)
{
	return ledger_view_associations(v, p->before, (unsigned)p->limit,
					on_row, NULL) == ERR_OK
		   ? CLI_OK
		   : cli_ledger_failed(v);
}

static int show(struct ledger_view *v, uint64_t id)
{
	switch ((int)ledger_view_association(v, id, on_one, on_context, NULL)) {
	case ERR_OK:
		return rows != NULL ? CLI_OK : show_operations(v, id);
	case ERR_NOTFOUND:
		fprintf(stderr,
			"culvert association: no association %" PRIu64
			"; see culvert "
			"association list\n",
			id);
		return CLI_FAILED;
	}
	return cli_ledger_failed(v);
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

int cli_association(int argc, char **argv)
{
	const char *path;
	struct config *cfg;
	struct ledger_view *v;
	struct page page = {0};
	uint64_t id = 0;
	int rc = CLI_FAILED, which;
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
	v = cfg != NULL ? cli_ledger(cfg) : NULL;
	if (json)
		rows = json_array();
	if (v != NULL)
		rc = which == SHOW   ? show(v, id)
		     : which == LIST ? list(v, &page)
				     : list_operations(v, &page);
	if (rows != NULL && rc == CLI_OK)
		rc = cli_json(json_incref(rows));
	json_decref(rows);
	ledger_view_close(v);
	config_free(cfg);
	return rc;
}
