/* cli_audit_head.c - what is to be kept elsewhere: a head, and the key. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/auditing.h"
#include "proxy/cli.h"
#include "proxy/cli_audit.h"
#include "proxy/cli_ui.h"
#include "proxy/control.h"
#include "proxy/lib/log.h"
#include "store/audit_head.h"

static const char head_help[] =
    "usage: culvert audit head [-c FILE] [-o FILE | --of DEVICE]\n\n"
    "Prints a signed head of the audit, made now (of the files when the "
    "daemon\n"
    "does not answer: the newest there): a statement of some lines and its\n"
    "signature. Keep one away from this machine now and then; culvert "
    "audit\n"
    "verify --head FILE then finds whatever was changed, taken out or put in\n"
    "before it, even by one who held all rights and the signing key here.\n\n"
    "  -o FILE       write it there instead; never over a file that exists\n"
    "  --of DEVICE   print every head that came from that device over its "
    "link\n"
    "                and that this audit holds; verify --head takes them as\n"
    "                one file\n\n"
    "exit status: 0 done, 1 there is none or it cannot be read, 2 usage, 3 "
    "the\n"
    "daemon does not answer and the files may not be read, 4 the caller may "
    "not\n\n"
    "examples:\n"
    "  culvert audit head | mail -s 'audit head of edge-01' auditor@example\n"
    "  culvert audit head -o /media/usb/head-$(date +%F).txt\n"
    "  culvert audit head --of edge-01 > edge-01.heads\n";

static const char key_help[] =
    "usage: culvert audit key [-c FILE]\n\n"
    "Prints the public key (PEM) that heads and exports are signed with. "
    "Whoever\n"
    "checks must have it from a moment when this machine was trusted.\n\n"
    "exit status: 0 done, 1 it cannot be read, 2 usage, 3 the daemon does not\n"
    "answer and the file may not be read, 4 the caller may not\n\n"
    "examples:\n"
    "  culvert audit key > edge-01.pub\n"
    "  culvert audit verify --dir /mnt/copy --key edge-01.pub\n"
    "  culvert audit head -o h; head -n -1 h > text\n"
    "  tail -n 1 h | cut -d' ' -f2 | base64 -d > sig\n"
    "  openssl dgst -sha256 -verify edge-01.pub -signature sig text\n";

static int write_new(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	bool good;

	if (fd < 0) {
		fprintf(stderr, "culvert audit head: %s: %s\n", path,
			strerror(errno));
		return CLI_FAILED;
	}
	good = write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
	good = close(fd) == 0 && good;
	if (good)
		return CLI_OK;
	fprintf(stderr, "culvert audit head: cannot write %s\n", path);
	unlink(path);
	return CLI_FAILED;
}

/* ---- asking -----------------------------------------------------------------
 */

struct ear {
	reading_row_fn *row; /* NULL: none come */
};

static bool on_line(void *arg, const json_t *line)
{
	const struct ear *ear = arg;
	const json_t *row = json_object_get(line, "row");

	return row == NULL || ear->row == NULL || ear->row(NULL, row);
}

/* What the daemon answers, a new reference; NULL: *e says why it does not. */
static json_t *ask(const struct config *cfg, const char *op, const char *device,
		   reading_row_fn *row, enum err *e, char why[256])
{
	json_t *request = json_pack("{s:s,s:s}", "op", op, "device", device);
	struct ear ear = {.row = row};
	json_t *answer = NULL;

	*e = control_ask_long(cfg->control.path, request, on_line, &ear,
			      &answer, why);
	json_decref(request);
	return answer;
}

/* CLI_OK: done. */
static int end_with(const char *command, const json_t *answer)
{
	const char *error = cli_text(answer, "error");

	if (json_is_true(json_object_get(answer, "ok")))
		return CLI_OK;
	fprintf(stderr, "culvert audit %s: %s\n", command,
		error[0] != '\0' ? error : "the answer cannot be read");
	return cli_refused_answer(answer);
}

/* ---- head -------------------------------------------------------------------
 */

static int put_head(const char *text, const char *out)
{
	if (out != NULL)
		return write_new(out, text, strlen(text));
	fputs(text, stdout);
	return CLI_OK;
}

/* The daemon does not answer. */
static int head_of_files(const struct config *cfg, const char *out, enum err e,
			 const char *why)
{
	char text[AUDIT_HEAD_FILE_LEN];
	struct audit_head h;
	enum err found = audit_head_newest(cfg->records.path, &h);

	if (found == ERR_OK) {
		(void)audit_head_file(&h, text);
		return put_head(text, out);
	}
	if (access(cfg->records.path, R_OK | X_OK) != 0) {
		fprintf(stderr, "culvert audit head: %s\n", why);
		return cli_ask_failed(e);
	}
	fprintf(stderr, "culvert audit head: %s: %s\n", cfg->records.path,
		found == ERR_NOTFOUND ? "there is no head yet: the daemon "
					"signs one each minute"
				      : err_text(found));
	return CLI_FAILED;
}

static int head(const struct config *cfg, const char *out)
{
	char why[256];
	enum err e;
	json_t *answer = ask(cfg, "audit-head", "", NULL, &e, why);
	int rc;

	if (answer == NULL)
		return head_of_files(cfg, out, e, why);
	rc = end_with("head", answer);
	if (rc == CLI_OK)
		rc = put_head(cli_text(answer, "head"), out);
	json_decref(answer);
	return rc;
}

/* ---- heads of a device ------------------------------------------------------
 */

static unsigned long heads_printed;

static bool on_head(void *arg, const json_t *row)
{
	const char *text = cli_text(row, "head");

	(void)arg;
	if (text[0] == '\0') {
		fprintf(stderr, "culvert audit head: row %lld holds no head\n",
			cli_integer(row, "seq"));
		return true;
	}
	heads_printed++;
	return fputs(text, stdout) >= 0;
}

static int heads_of(const struct config *cfg, const char *device)
{
	char why[256];
	enum err e;
	json_t *answer = ask(cfg, "audit-heads", device, on_head, &e, why);
	int rc;

	if (answer == NULL && heads_printed == 0 &&
	    access(cfg->records.path, R_OK | X_OK) == 0) {
		answer =
		    auditing_heads(cfg->records.path, device, on_head, NULL);
	} else if (answer == NULL) {
		fprintf(stderr, "culvert audit head: %s\n", why);
		return cli_ask_failed(e);
	}
	rc = end_with("head", answer);
	json_decref(answer);
	if (rc != CLI_OK)
		return rc;
	if (heads_printed > 0 && fflush(stdout) == 0)
		return CLI_OK;
	fprintf(stderr, "culvert audit head: %s: %s\n", device,
		heads_printed > 0 ? "cannot write to standard output"
				  : "no head has come from it over a link");
	return CLI_FAILED;
}

int cli_audit_head(int argc, char **argv)
{
	const char *path, *out = NULL, *device = NULL;
	struct config *cfg;
	int rc;

	if (cli_wants_help(argc, argv)) {
		fputs(head_help, stdout);
		return CLI_OK;
	}
	path = cli_take_config(&argc, argv);
	if (path != NULL && argc == 3 && strcmp(argv[1], "-o") == 0)
		out = argv[2];
	else if (path != NULL && argc == 3 && strcmp(argv[1], "--of") == 0)
		device = argv[2];
	else if (path == NULL || argc != 1) {
		fputs(head_help, stderr);
		return CLI_USAGE;
	}
	log_set_level(LOG_WARN);
	cfg = cli_config(path);
	if (cfg == NULL)
		return CLI_FAILED;
	rc = device != NULL ? heads_of(cfg, device) : head(cfg, out);
	config_free(cfg);
	return rc;
}

/* ---- key --------------------------------------------------------------------
 */

/* The daemon does not answer. */
static int key_of_file(const struct config *cfg, enum err e, const char *why)
{
	char path[CONFIG_PATH_LEN + 8], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s.pub", cfg->records.signing_key);
	f = fopen(path, "re");
	if (f == NULL && errno == EACCES) {
		fprintf(stderr, "culvert audit key: %s\n", why);
		return cli_ask_failed(e);
	}
	if (f == NULL) {
		fprintf(stderr,
			"culvert audit key: %s: %s; the daemon writes it at "
			"its start\n",
			path, strerror(errno));
		return CLI_FAILED;
	}
	while (fgets(line, sizeof(line), f) != NULL)
		fputs(line, stdout);
	(void)fclose(f);
	return CLI_OK;
}

static int key(const struct config *cfg)
{
	char why[256];
	enum err e;
	json_t *answer = ask(cfg, "audit-key", "", NULL, &e, why);
	int rc;

	if (answer == NULL)
		return key_of_file(cfg, e, why);
	rc = end_with("key", answer);
	if (rc == CLI_OK)
		fputs(cli_text(answer, "pem"), stdout);
	json_decref(answer);
	return rc;
}

int cli_audit_key(int argc, char **argv)
{
	const char *path;
	struct config *cfg;
	int rc;

	if (cli_wants_help(argc, argv)) {
		fputs(key_help, stdout);
		return CLI_OK;
	}
	path = cli_take_config(&argc, argv);
	if (path == NULL || argc != 1) {
		fputs(key_help, stderr);
		return CLI_USAGE;
	}
	cfg = cli_config(path);
	if (cfg == NULL)
		return CLI_FAILED;
	rc = key(cfg);
	config_free(cfg);
	return rc;
}
