/* Adds, changes and removes those who may log in to the status page. The file
 * is replaced as a whole, so that a page that reads it never sees half. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "policy/roles.h"
#include "proxy/cli.h"
#include "proxy/cli_web.h"
#include "proxy/lib/disk.h"
#include "proxy/lib/mem.h"
#include "web-status/password.h"
#include "web-status/users.h"

static const char help[] =
    "usage: culvert web passwd -f FILE USER --role ROLES\n"
    "       culvert web passwd -f FILE USER --delete\n\n"
    "Writes a user of the status page into FILE, which status.users names;\n"
    "the password is asked for, or read from a pipe as one line. A running\n"
    "page takes it up within a second. Who comes by certificate has a line of\n"
    "another kind, written with an editor:\n\n"
    "  ben  operator,auditor  fingerprint 5b:1f:... (SHA-256)\n"
    "  wall operator          subject CN=wall-1, O=Clinic\n\n"
    "  -f, --file FILE   made (mode 0640) if it is not there\n"
    "  --role ROLES      operator, security, auditor, or several with commas\n"
    "  --delete          remove every line of that user\n\n"
    "examples:\n"
    "  culvert web passwd -f /etc/culvert/users anna --role operator\n"
    "  pwgen 20 1 | culvert web passwd -f users ben --role auditor\n";

struct order {
	const char *file, *user, *roles;
	bool remove;
};

static bool takes(const char *arg, const char *shorter, const char *longer)
{
	return strcmp(arg, shorter) == 0 || strcmp(arg, longer) == 0;
}

static bool read_order(int argc, char **argv, struct order *o)
{
	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;

		if (takes(argv[i], "-f", "--file") && more)
			o->file = argv[++i];
		else if (takes(argv[i], "-r", "--role") && more)
			o->roles = argv[++i];
		else if (strcmp(argv[i], "--delete") == 0)
			o->remove = true;
		else if (argv[i][0] != '-' && o->user == NULL)
			o->user = argv[i];
		else
			return false;
	}
	return o->file != NULL && o->user != NULL &&
	       (o->roles != NULL) != o->remove;
}

static bool roles_ok(const char *text)
{
	char copy[ROLE_TEXT_LEN], *rest = copy, *one;

	if (strlen(text) >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%s", text);
	while ((one = strsep(&rest, ",")) != NULL)
		if (role_parse(one) == 0)
			return false;
	return true;
}

/* ---- the password ------------------------------------------------------ */

static bool read_line(char *out, size_t size)
{
	char *end;

	if (fgets(out, (int)size, stdin) == NULL)
		return false;
	end = strpbrk(out, "\r\n");
	if (end == NULL)
		return strlen(out) + 1 < size;
	*end = '\0';
	return true;
}

static bool ask_hidden(const char *prompt, char *out, size_t size)
{
	struct termios before, hidden;
	bool got;

	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return false;
	hidden = before;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	fputs(prompt, stderr);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	got = read_line(out, size);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	return got;
}

static bool ask(char *out, size_t size)
{
	char again[PASSWORD_MAX + 2];
	bool same;

	if (!isatty(STDIN_FILENO))
		return read_line(out, size);
	if (!ask_hidden("Password: ", out, size) ||
	    !ask_hidden("Once more: ", again, sizeof(again)))
		return false;
	same = strcmp(out, again) == 0;
	mem_wipe(again, sizeof(again));
	if (!same)
		fputs("culvert: the two are not the same\n", stderr);
	return same;
}

static bool encode(char out[PASSWORD_ENCODED_LEN])
{
	char password[PASSWORD_MAX + 2] = "";
	enum err e = ERR_INVAL;

	if (ask(password, sizeof(password)))
		e = password_encode(password, out);
	mem_wipe(password, sizeof(password));
	if (e == ERR_OK)
		return true;
	fprintf(stderr, "culvert: no password of %d to %d characters; %s\n",
		PASSWORD_MIN, PASSWORD_MAX,
		e == ERR_NOMEM ? "out of memory" : "nothing was changed");
	return false;
}

/* ---- the file ---------------------------------------------------------- */

/* Its text, "" if there is none; NULL: it cannot be read, which is said. */
static char *read_file(const char *path, struct stat *st)
{
	FILE *f = fopen(path, "re");
	char *text = mem_zalloc(USERS_FILE_MAX + 1);
	size_t n = 0;

	st->st_mode = 0640;
	if (text == NULL || (f == NULL && errno != ENOENT)) {
		fprintf(stderr, "culvert: cannot read %s: %s\n", path,
			strerror(errno));
		mem_free(text);
		return NULL;
	}
	if (f == NULL)
		return text;
	(void)fstat(fileno(f), st);
	n = fread(text, 1, USERS_FILE_MAX + 1, f);
	fclose(f);
	if (n <= USERS_FILE_MAX && strlen(text) == n)
		return text;
	fprintf(stderr, "culvert: %s is not a file of users\n", path);
	mem_free(text);
	return NULL;
}

static bool replace(const char *path, const char *text, const struct stat *st)
{
	char beside[4096];
	bool done, kept;
	int fd;

	if ((size_t)snprintf(beside, sizeof(beside), "%s.new", path) >=
	    sizeof(beside))
		return false;
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		  0600);
	if (fd < 0)
		return false;
	/* one who is not root keeps what he may */
	kept = st->st_nlink == 0 || fchown(fd, st->st_uid, st->st_gid) == 0 ||
	       fchown(fd, (uid_t)-1, st->st_gid) == 0;
	done = fchmod(fd, st->st_mode & (kept ? 0640 : 0600)) == 0 &&
	       disk_write(fd, text, strlen(text)) && fsync(fd) == 0;
	close(fd);
	if (done)
		done = rename(beside, path) == 0 &&
		       disk_flush_directory_of(path) == ERR_OK;
	if (!done)
		unlink(beside);
	return done;
}

static int change(const struct order *o, const char *encoded)
{
	char why[USERS_WHY_LEN];
	struct users *parsed = NULL;
	struct stat st = {0};
	char *text = read_file(o->file, &st), *fresh = NULL;
	int rc = CLI_FAILED;

	if (text == NULL)
		return CLI_FAILED;
	fresh = users_edit(text, o->user, o->roles, encoded);
	if (fresh == NULL)
		fputs("culvert: out of memory\n", stderr);
	else if (users_parse(fresh, strlen(fresh), &parsed, why) != ERR_OK)
		fprintf(stderr, "culvert: %s: %s\n", o->file, why);
	else if (!replace(o->file, fresh, &st))
		fprintf(stderr, "culvert: cannot write %s: %s\n", o->file,
			strerror(errno));
	else
		rc = CLI_OK;
	users_free(parsed);
	mem_free(fresh);
	mem_free(text);
	return rc;
}

int cli_web_passwd(int argc, char **argv)
{
	char encoded[PASSWORD_ENCODED_LEN];
	struct order o = {0};

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	if (!read_order(argc, argv, &o)) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	if (!users_name_ok(o.user) || (o.roles != NULL && !roles_ok(o.roles))) {
		fputs("culvert: a user has letters, digits, '.', '_' and '-'; "
		      "roles are operator, security and auditor\n",
		      stderr);
		return CLI_USAGE;
	}
	if (o.remove)
		return change(&o, NULL);
	if (!encode(encoded))
		return CLI_FAILED;
	return change(&o, encoded);
}
