/* cli_audit_head.c - what is to be kept elsewhere: a head, and the key. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_audit.h"
#include "proxy/lib/log.h"
#include "store/audit_head.h"
#include "store/seal_sign.h"

static const char head_help[] =
    "usage: culvert audit head [-c FILE] [-o FILE | --of DEVICE]\n\n"
    "Prints the newest signed head of the audit: a statement of some lines "
    "and\n"
    "its signature. Keep one away from this machine now and then; culvert "
    "audit\n"
    "verify --head FILE then finds whatever was changed, taken out or put in\n"
    "before it, even by one who held all rights and the signing key here.\n\n"
    "  -o FILE       write it there instead; never over a file that exists\n"
    "  --of DEVICE   print every head that came from that device over its "
    "link\n"
    "                and that this audit holds; verify --head takes them as\n"
    "                one file\n\n"
    "exit status: 0 done, 1 there is none or it cannot be read, 2 usage\n\n"
    "examples:\n"
    "  culvert audit head | mail -s 'audit head of edge-01' auditor@example\n"
    "  culvert audit head -o /media/usb/head-$(date +%F).txt\n"
    "  culvert audit head --of edge-01 > edge-01.heads\n";

static const char key_help[] =
    "usage: culvert audit key [-c FILE]\n\n"
    "Prints the public key (PEM) that heads and exports are signed with. "
    "Whoever\n"
    "checks must have it from a moment when this machine was trusted.\n\n"
    "exit status: 0 done, 1 it cannot be read, 2 usage\n\n"
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

static int print_head(const struct config *cfg, const char *out)
{
	char text[AUDIT_HEAD_FILE_LEN];
	struct audit_head h;
	size_t len;
	enum err e = audit_head_newest(cfg->records.path, &h);

	if (e != ERR_OK) {
		fprintf(stderr, "culvert audit head: %s: %s\n",
			cfg->records.path,
			e == ERR_NOTFOUND ? "there is no head yet: the daemon "
					    "signs one each minute"
					  : err_text(e));
		return CLI_FAILED;
	}
	len = audit_head_file(&h, text);
	if (out != NULL)
		return write_new(out, text, len);
	fputs(text, stdout);
	return CLI_OK;
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
	rc = device != NULL ? cli_audit_head_of(cfg, device)
			    : print_head(cfg, out);
	config_free(cfg);
	return rc;
}

static int print_key(const struct config *cfg)
{
	char path[CONFIG_PATH_LEN + 8], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s.pub", cfg->records.signing_key);
	f = fopen(path, "re");
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
	rc = print_key(cfg);
	config_free(cfg);
	return rc;
}
