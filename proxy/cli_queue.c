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
#include "proxy/cli_rows.h"
#include "proxy/cli_table.h"
#include "proxy/cli_ui.h"
#include "proxy/control.h"
#include "proxy/dicom/uid.h"
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
	bool yes;
};

/* ---- list and show ----------------------------------------------------- */

static uint64_t n_listed, last_listed;
static json_t *rows; /* with --json */

static bool on_row(void *arg, const struct view_delivery *d)
{
	char id[TRANSFER_TEXT_LEN], age[CLI_AGE_LEN], bytes[32];
	char message[CLI_MESSAGE_LEN];

	(void)arg;
	if (rows != NULL) {
		json_array_append_new(rows, cli_row_delivery(d));
		return true;
	}
	if (n_listed++ == 0)
		printf("%8s  %-32s  %-11s  %-14s %-14s %-14s %9s %8s  %s\n",
		       "id", "transfer", "state", "destination", "device",
		       "message", "size", "waiting", "last error");
	last_listed = d->delivery;
	printf("%8" PRIu64 "  %s  %-11s  %-14s %-14s %-14s %9s %8s  %s\n",
	       d->delivery, transfer_id_text(&d->transfer, id),
	       delivery_state_text(d->state), d->destination, d->device,
	       cli_message(d->command, message),
	       cli_bytes(d->length, bytes, sizeof(bytes)),
	       cli_age(d->received_ms, age), d->last_error);
	return true;
}

static int list_state(struct ledger_view *v, struct view_filter *f)
{
	return ledger_view_deliveries(v, f, on_row, NULL) == ERR_OK
		   ? CLI_OK
		   : cli_ledger_failed(v);
}

/* Without a state: what still waits for something. */
static int list_open(struct ledger_view *v, struct view_filter *f)
{
	static const enum delivery_state open[] = {
	    DELIVERY_QUARANTINED, DELIVERY_HELD, DELIVERY_QUEUED,
	    DELIVERY_ARRIVED, DELIVERY_UNCOMMITTED};
	int rc = CLI_OK;

	for (size_t i = 0; rc == CLI_OK && i < ARRAY_LEN(open); i++) {
		f->state = open[i];
		rc = list_state(v, f);
	}
	return rc;
}

static int list(const struct config *cfg, const struct query *q)
{
	struct view_filter f = {.destination = q->destination,
				.device = q->device,
				.study = q->study,
				.after = q->after,
				.limit = (unsigned)q->limit};
	struct ledger_view *v;
	int rc;

	if (q->state != NULL && strcmp(q->state, "all") == 0)
		f.any_state = true;
	else if (q->state != NULL &&
		 !delivery_state_parse(q->state, &f.state)) {
		fprintf(stderr, "culvert queue: no state '%s'\n", q->state);
		return CLI_USAGE;
	}
	v = cli_ledger(cfg);
	if (v == NULL)
		return CLI_FAILED;
	rc = q->state == NULL ? list_open(v, &f) : list_state(v, &f);
	if (rows != NULL && rc == CLI_OK)
		rc = cli_json(json_incref(rows));
	else if (rc == CLI_OK && n_listed == 0)
		printf("nothing\n");
	else if (rc == CLI_OK && n_listed >= q->limit)
		printf("there may be more: --after %" PRIu64 "\n", last_listed);
	ledger_view_close(v);
	return rc;
}

static void print_what(const struct view_delivery *d)
{
	char message[CLI_MESSAGE_LEN];

	printf("message      %s", cli_message(d->command, message));
	if (d->type != 0)
		printf(", type %u", d->type);
	if (d->transaction[0] != '\0')
		printf(", transaction %s", d->transaction);
	printf("\nSOP class    %s\nSOP instance %s\n", uid_name(d->sop_class),
	       d->sop_instance);
	printf("encoding     %s\n", uid_name(d->transfer_syntax));
	if (instance_is_message(d->command))
		return;
	printf("study        %s\nseries       %s\nmodality     %s\n", d->study,
	       d->series, d->modality);
}

static bool on_one(void *arg, const struct view_delivery *d)
{
	char id[TRANSFER_TEXT_LEN], when[CLI_TIME_LEN], hash[65], bytes[32];
	bool *seen = arg;

	if (rows != NULL) {
		json_array_append_new(rows, cli_row_delivery(d));
		return true;
	}
	if (!*seen) {
		printf("transfer     %s\n", transfer_id_text(&d->transfer, id));
		printf("received     %s from %s (%s), listener %s, "
		       "association %" PRIu64 "\n",
		       cli_time(d->received_ms, when), d->device, d->peer,
		       d->listener, d->association);
		printf("AE titles    calling %s, called %s\n", d->calling_ae,
		       d->called_ae);
		print_what(d);
		printf("size         %s (%" PRIu64 " bytes, %u chunks)\n",
		       cli_bytes(d->length, bytes, sizeof(bytes)), d->length,
		       d->chunks);
		printf("hash         %s\n", cli_hex(d->root, hash));
		*seen = true;
	}
	printf("\ndelivery     %" PRIu64 " to %s: %s since %s\n", d->delivery,
	       d->destination, delivery_state_text(d->state),
	       cli_time(d->changed_ms != 0 ? d->changed_ms : d->received_ms,
			when));
	printf("attempts     %u\n", d->attempts);
	if (d->next_attempt_ms != 0)
		printf("next attempt %s\n", cli_time(d->next_attempt_ms, when));
	if (d->remote_status >= 0)
		printf("status       %04x\n", (unsigned)d->remote_status);
	if (d->last_error[0] != '\0')
		printf("last error   %s\n", d->last_error);
	return true;
}

static int show(const struct config *cfg, const struct query *q)
{
	struct ledger_view *v = cli_ledger(cfg);
	bool seen = false;
	int rc = CLI_FAILED;

	if (v == NULL)
		return CLI_FAILED;
	switch ((int)ledger_view_find(v, q->transfer, on_one, &seen)) {
	case ERR_OK:
		rc = rows != NULL ? cli_json(json_incref(rows)) : CLI_OK;
		break;
	case ERR_NOTFOUND:
	case ERR_INVAL:
		fprintf(stderr,
			"culvert queue: no transfer '%s'; see culvert "
			"queue list --state all\n",
			q->transfer);
		break;
	case ERR_LIMIT:
		fprintf(stderr, "culvert queue: more than one transfer begins "
				"like this; give more digits\n");
		break;
	default:
		rc = cli_ledger_failed(v);
	}
	ledger_view_close(v);
	return rc;
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

static bool write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return false;
		p += w;
		n -= (size_t)w;
	}
	return true;
}

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
		if (!write_all(to, room, (size_t)n)) {
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
	if (json)
		rows = json_array();
	rc = commands[which].run != NULL ? commands[which].run(cfg, &q)
					 : order(cfg, argv[1], &q);
	json_decref(rows);
	config_free(cfg);
	return rc;
}
