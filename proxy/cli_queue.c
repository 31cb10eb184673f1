#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_read.h"
#include "proxy/cli_table.h"
#include "proxy/cli_ui.h"
#include "proxy/control.h"
#include "proxy/dicom/uid.h"
#include "proxy/lib/disk.h"
#include "proxy/lib/mem.h"
#include "store/ledger_view.h"

static const char help[] =
    "usage: culvert queue [-c FILE] COMMAND [OPTIONS]\n\n"
    "  list [FILTERS]              deliveries that are not done, oldest first\n"
    "  show TRANSFER               everything known of one instance or\n"
    "                              message\n"
    "  retry    WHICH              try now: held, quarantined, backing off\n"
    "  hold     WHICH              keep from being sent until released\n"
    "  release  WHICH              send what is held\n"
    "  redirect WHICH --to DESTINATION\n"
    "                              send somewhere else instead\n"
    "  discard  WHICH --yes\n"
    "                              give up: the bytes are deleted when no\n"
    "                              other destination needs them; what only\n"
    "                              waits for commitment stays delivered\n"
    "  export TRANSFER FILE        write the instance as a DICOM file\n\n"
    "TRANSFER is the id that list shows; its first digits will do for show\n"
    "and export. WHICH is TRANSFER, or --destination NAME for all of one\n"
    "destination, or both. A device's commitment request waits for the\n"
    "instances it names: an order to all of a destination leaves it to\n"
    "follow them, only its own TRANSFER moves it.\n\n"
    "filters of list:\n"
    "  --destination NAME, --device NAME, --study UID\n"
    "  --state queued|held|quarantined|arrived|uncommitted|delivered|\n"
    "          committed|withdrawn|discarded|all\n"
    "  --limit N, --after ID\n\n"
    "  --json   list and show: an array of objects, for programs\n\n"
    "examples:\n"
    "  culvert queue list --state quarantined\n"
    "  culvert queue retry --destination cloud\n"
    "  culvert queue export 3f2a...c1 image.dcm\n";

enum { LIMIT_DEFAULT = 100 };

struct query {
	const char *transfer, *file;
	const char *destination, *device, *study, *state, *to;
	uint64_t after, limit;
	bool yes, json;
};

/* ---- list and show ----------------------------------------------------- */

static const char command[] = "culvert queue";

struct listing {
	uint64_t n;
	long long last;
};

static void on_row(void *arg, const json_t *d)
{
	char age[CLI_AGE_LEN], bytes[32];
	struct listing *l = arg;

	if (l->n++ == 0)
		printf("%8s  %-32s  %-11s  %-14s %-14s %-14s %9s %8s  %s\n",
		       "id", "transfer", "state", "destination", "device",
		       "message", "size", "waiting", "last error");
	l->last = cli_integer(d, "id");
	printf("%8lld  %s  %-11s  %-14s %-14s %-14s %9s %8s  %s\n", l->last,
	       cli_text(d, "transfer"), cli_text(d, "state"),
	       cli_text(d, "destination"), cli_text(d, "device"),
	       cli_text(d, "message"),
	       cli_bytes((unsigned long long)cli_integer(d, "length"), bytes,
			 sizeof(bytes)),
	       cli_age(cli_integer(d, "received_ms"), age),
	       cli_text(d, "error"));
}

static json_t *list_request(const struct query *q)
{
	return json_pack("{s:s,s:s*,s:s*,s:s*,s:s*,s:I,s:I}", "op",
			 "queue-list", "state", q->state, "destination",
			 q->destination, "device", q->device, "study", q->study,
			 "after", (json_int_t)q->after, "limit",
			 (json_int_t)q->limit);
}

/* As an array, for programs. */
static int rows_as_json(const struct config *cfg, json_t *request)
{
	json_t *rows = json_array();
	int rc = cli_read(cfg, command, request, cli_read_append, rows, NULL);

	if (rc == CLI_OK)
		return cli_json(rows);
	json_decref(rows);
	return rc;
}

static int list(const struct config *cfg, const struct query *q)
{
	struct listing l = {0};
	enum delivery_state state;
	int rc;

	if (q->state != NULL && strcmp(q->state, "all") != 0 &&
	    !delivery_state_parse(q->state, &state)) {
		fprintf(stderr, "culvert queue: no state '%s'\n", q->state);
		return CLI_USAGE;
	}
	if (q->json)
		return rows_as_json(cfg, list_request(q));
	rc = cli_read(cfg, command, list_request(q), on_row, &l, NULL);
	if (rc == CLI_OK && l.n == 0)
		printf("nothing\n");
	else if (rc == CLI_OK && l.n >= q->limit)
		printf("there may be more: --after %lld\n", l.last);
	return rc;
}

static void print_what(const json_t *d)
{
	const char *message = cli_text(d, "message");

	printf("message      %s", message);
	if (cli_integer(d, "type") != 0)
		printf(", type %lld", cli_integer(d, "type"));
	if (cli_text(d, "transaction")[0] != '\0')
		printf(", transaction %s", cli_text(d, "transaction"));
	printf("\nSOP class    %s\nSOP instance %s\n",
	       uid_name(cli_text(d, "sop_class")), cli_text(d, "sop_instance"));
	printf("encoding     %s\n", uid_name(cli_text(d, "transfer_syntax")));
	if (strcmp(message, "C-STORE") == 0)
		printf("study        %s\nseries       %s\nmodality     %s\n",
		       cli_text(d, "study"), cli_text(d, "series"),
		       cli_text(d, "modality"));
}

static void print_head(const json_t *d)
{
	char when[CLI_TIME_LEN], bytes[32];
	long long length = cli_integer(d, "length");

	printf("transfer     %s\n", cli_text(d, "transfer"));
	printf("received     %s from %s (%s), listener %s, "
	       "association %lld\n",
	       cli_time(cli_integer(d, "received_ms"), when),
	       cli_text(d, "device"), cli_text(d, "peer"),
	       cli_text(d, "listener"), cli_integer(d, "association"));
	printf("AE titles    calling %s, called %s\n",
	       cli_text(d, "calling_ae"), cli_text(d, "called_ae"));
	print_what(d);
	printf("size         %s (%lld bytes, %lld chunks)\n",
	       cli_bytes((unsigned long long)length, bytes, sizeof(bytes)),
	       length, cli_integer(d, "chunks"));
	printf("hash         %s\n", cli_text(d, "hash"));
}

static void on_one(void *arg, const json_t *d)
{
	long long changed = cli_integer(d, "changed_ms");
	char when[CLI_TIME_LEN];
	bool *seen = arg;

	if (!*seen)
		print_head(d);
	*seen = true;
	printf("\ndelivery     %lld to %s: %s since %s\n", cli_integer(d, "id"),
	       cli_text(d, "destination"), cli_text(d, "state"),
	       cli_time(changed != 0 ? changed : cli_integer(d, "received_ms"),
			when));
	printf("attempts     %lld\n", cli_integer(d, "attempts"));
	if (cli_integer(d, "next_attempt_ms") != 0)
		printf("next attempt %s\n",
		       cli_time(cli_integer(d, "next_attempt_ms"), when));
	if (cli_text(d, "status")[0] != '\0')
		printf("status       %04lx\n",
		       strtoul(cli_text(d, "status"), NULL, 16));
	if (cli_text(d, "error")[0] != '\0')
		printf("last error   %s\n", cli_text(d, "error"));
}

static int show(const struct config *cfg, const struct query *q)
{
	json_t *request =
	    json_pack("{s:s,s:s}", "op", "queue-show", "transfer", q->transfer);
	bool seen = false;

	if (q->json)
		return rows_as_json(cfg, request);
	return cli_read(cfg, command, request, on_one, &seen, NULL);
}

/* ---- orders ------------------------------------------------------------ */

static const char *error_of(const json_t *answer)
{
	const char *s = json_string_value(json_object_get(answer, "error"));

	return s != NULL ? s : "the daemon's answer cannot be read";
}

static int order(const struct config *cfg, const char *op,
		 const struct query *q)
{
	json_t *request = json_object(), *answer = NULL;
	char why[256];
	int rc = CLI_FAILED;
	enum err e;

	json_object_set_new(request, "op", json_string(op));
	if (q->transfer != NULL)
		json_object_set_new(request, "transfer",
				    json_string(q->transfer));
	if (q->destination != NULL)
		json_object_set_new(request, "destination",
				    json_string(q->destination));
	if (q->to != NULL)
		json_object_set_new(request, "to", json_string(q->to));
	e = control_ask(cfg->control.path, request, &answer, NULL, why);
	if (e != ERR_OK) {
		fprintf(stderr, "culvert queue: %s\n", why);
		rc = cli_ask_failed(e);
	} else if (!json_is_true(json_object_get(answer, "ok"))) {
		fprintf(stderr, "culvert queue: %s\n", error_of(answer));
		rc = cli_refused_answer(answer);
	} else {
		printf("%s: %lld deliveries\n", op,
		       (long long)json_integer_value(
			   json_object_get(answer, "count")));
		rc = CLI_OK;
	}
	json_decref(answer);
	json_decref(request);
	return rc;
}

/* ---- export ------------------------------------------------------------ */

/* Copy length bytes from the socket, with progress on a terminal. */
static bool copy(int from, int to, long long length)
{
	static char room[256 * 1024];
	long long left = length;
	bool shows = isatty(STDERR_FILENO) != 0;

	while (left > 0) {
		size_t want = left < (long long)sizeof(room) ? (size_t)left
							     : sizeof(room);
		ssize_t n = read(from, room, want);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (!disk_write(to, room, (size_t)n)) {
			fprintf(stderr, "culvert queue: %s\n", strerror(errno));
			return false;
		}
		left -= n;
		if (shows)
			fprintf(stderr, "\r%3lld %%",
				100 * (length - left) / length);
	}
	if (shows)
		fputs("\n", stderr);
	if (left > 0)
		fprintf(stderr, "culvert queue: the spool's copy is damaged or "
				"gone; see the daemon's log\n");
	return left == 0;
}

static int receive_file(int from, const json_t *answer, const char *path)
{
	int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool good;

	if (to < 0) {
		fprintf(stderr, "culvert queue: %s: %s\n", path,
			strerror(errno));
		return CLI_FAILED;
	}
	good = copy(from, to,
		    (long long)json_integer_value(
			json_object_get(answer, "length"))) &&
	       fsync(to) == 0;
	good = close(to) == 0 && good;
	if (!good)
		unlink(path);
	return good ? CLI_OK : CLI_FAILED;
}

static int export_file(const struct config *cfg, const struct query *q)
{
	json_t *request =
	    json_pack("{s:s,s:s}", "op", "export", "transfer", q->transfer);
	json_t *answer = NULL;
	char why[256];
	int fd, rc = CLI_FAILED;
	enum err e = control_ask(cfg->control.path, request, &answer, &fd, why);

	json_decref(request);
	if (e != ERR_OK) {
		fprintf(stderr, "culvert queue: %s\n", why);
		return CLI_FAILED;
	}
	if (json_is_true(json_object_get(answer, "ok"))) {
		rc = receive_file(fd, answer, q->file);
	} else {
		fprintf(stderr, "culvert queue: %s\n", error_of(answer));
		rc = cli_refused_answer(answer);
	}
	json_decref(answer);
	close(fd);
	return rc;
}

/* ---- arguments --------------------------------------------------------- */

static bool take_option(struct query *q, const char *name, const char *value)
{
	if (strcmp(name, "--destination") == 0)
		q->destination = value;
	else if (strcmp(name, "--device") == 0)
		q->device = value;
	else if (strcmp(name, "--study") == 0)
		q->study = value;
	else if (strcmp(name, "--state") == 0)
		q->state = value;
	else if (strcmp(name, "--to") == 0)
		q->to = value;
	else if (strcmp(name, "--after") == 0)
		return cli_number(value, &q->after);
	else if (strcmp(name, "--limit") == 0)
		return cli_number(value, &q->limit);
	else
		return false;
	return true;
}

static bool take_arguments(struct query *q, int argc, char **argv)
{
	*q = (struct query){.limit = LIMIT_DEFAULT};
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--yes") == 0)
			q->yes = true;
		else if (argv[i][0] == '-' && i + 1 < argc &&
			 take_option(q, argv[i], argv[i + 1]))
			i++;
		else if (argv[i][0] != '-' && q->transfer == NULL)
			q->transfer = argv[i];
		else if (argv[i][0] != '-' && q->file == NULL)
			q->file = argv[i];
		else
			return false;
	}
	return q->limit > 0 && q->limit <= LEDGER_PAGE_MAX;
}

enum {
	NEEDS_TRANSFER = 1,
	NEEDS_SCOPE = 2,
	NEEDS_FILE = 4,
	NEEDS_TO = 8,
	NEEDS_YES = 16,
	TAKES_FILTERS = 32,
};

static const struct {
	const char *name;
	unsigned is;
	int (*run)(const struct config *cfg, const struct query *q);
} commands[] = {
    {"list", TAKES_FILTERS, list},
    {"show", NEEDS_TRANSFER, show},
    {"export", NEEDS_TRANSFER | NEEDS_FILE, export_file},
    {"retry", NEEDS_SCOPE, NULL},
    {"hold", NEEDS_SCOPE, NULL},
    {"release", NEEDS_SCOPE, NULL},
    {"redirect", NEEDS_SCOPE | NEEDS_TO, NULL},
    {"discard", NEEDS_SCOPE | NEEDS_YES, NULL},
};

/* To leave one out would make discard delete more than was meant. */
static bool narrows(const struct query *q)
{
	return q->device != NULL || q->study != NULL || q->state != NULL ||
	       q->after != 0 || q->limit != LIMIT_DEFAULT;
}

/* The command, or -1: the reason is said. */
static int find_command(const char *op, const struct query *q)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		unsigned is = commands[i].is;

		if (strcmp(op, commands[i].name) != 0)
			continue;
		if (((is & NEEDS_TRANSFER) != 0 && q->transfer == NULL) ||
		    ((is & NEEDS_SCOPE) != 0 && q->transfer == NULL &&
		     q->destination == NULL) ||
		    ((is & NEEDS_FILE) != 0) != (q->file != NULL) ||
		    ((is & NEEDS_TO) != 0) != (q->to != NULL))
			break;
		if ((is & TAKES_FILTERS) == 0 && narrows(q)) {
			fprintf(stderr,
				"culvert queue: %s takes a TRANSFER or "
				"--destination; --state, --device, --study, "
				"--after and --limit are for list only\n",
				op);
			return -1;
		}
		if ((is & TAKES_FILTERS) != 0 && q->transfer != NULL)
			break;
		if ((is & NEEDS_YES) == 0 || q->yes)
			return (int)i;
		fputs("culvert queue: discard deletes images for good; add "
		      "--yes if that is meant\n",
		      stderr);
		return -1;
	}
	fputs(help, stderr);
	return -1;
}

int cli_queue(int argc, char **argv)
{
	const char *path;
	struct config *cfg;
	struct query q;
	int rc, which;
	bool json;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	json = cli_take_json(&argc, argv);
	path = cli_take_config(&argc, argv);
	if (path == NULL || argc < 2 || !take_arguments(&q, argc, argv)) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	which = find_command(argv[1], &q);
	if (which < 0)
		return CLI_USAGE;
	cfg = cli_config(path);
	if (cfg == NULL)
		return CLI_FAILED;
	q.json = json;
	rc = commands[which].run != NULL ? commands[which].run(cfg, &q)
					 : order(cfg, argv[1], &q);
	config_free(cfg);
	return rc;
}
