/* cli_check.c - `culvert check`: all that can be known before the first image
 * comes, one line each. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_ui.h"
#include "proxy/destination.h"
#include "proxy/host.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/condition.h"
#include "proxy/lib/mem.h"
#include "proxy/net/address.h"
#include "proxy/net/tls.h"
#include "proxy/net/tls_inspect.h"
#include "proxy/repository.h"
#include "proxy/rows.h"
#include "proxy/shaping.h"

enum { ECHO_DEADLINE_MS = 20000 };

static const char help[] =
    "usage: culvert check [-c FILE] [--connect] [--json]\n"
    "       culvert check [-c FILE] --show\n"
    "       culvert check --options|--options-man\n\n"
    "Validates a configuration and what it names: files and their modes,\n"
    "certificates (chain, expiry, key), addresses, directories, routes. Each\n"
    "line is ok, or the cause and the remedy.\n\n"
    "  --connect       also try every destination (TCP, TLS, C-ECHO), and "
    "every\n"
    "                  audit repository (TCP, TLS)\n"
    "  --show          print the configuration in force, defaults included\n"
    "  --options       print every option with type, default and meaning\n"
    "  --options-man   the same as a manual page's body\n\n"
    "examples:\n"
    "  culvert check -c /etc/culvert/culvert.yaml\n"
    "  culvert check --connect\n";

struct report {
	unsigned failed, warned;
};

static json_t *rows; /* with --json */

static void add_row(const char *word, const char *subject, const char *text)
{
	const struct condition *c = condition_in_text(text);
	json_t *j = json_object();

	row_text(j, "result", strcmp(word, "FAIL") == 0 ? "fail" : word);
	row_text(j, "subject", subject);
	row_text(j, "text", text);
	(void)json_object_set_new(
	    j, "code", c != NULL ? json_string(c->code) : json_null());
	json_array_append_new(rows, j);
}

static void say(const char *word, const char *subject, const char *text)
{
	enum cli_colour c = strcmp(word, "FAIL") == 0   ? CLI_RED
			    : strcmp(word, "warn") == 0 ? CLI_YELLOW
							: CLI_GREEN;

	if (rows != NULL) {
		add_row(word, subject, text);
		return;
	}
	printf("%s%-5s%s %s%s%s\n", cli_colour(c), word, cli_colour(CLI_PLAIN),
	       subject, text[0] != '\0' ? ": " : "", text);
	fflush(stdout);
}

static void ok(const char *subject, const char *text)
{
	say("ok", subject, text);
}

__attribute__((format(printf, 3, 4))) static void
bad(struct report *r, const char *subject, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->failed++;
	say("FAIL", subject, text);
}

__attribute__((format(printf, 3, 4))) static void
warn(struct report *r, const char *subject, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->warned++;
	say("warn", subject, text);
}

/* ---- TLS --------------------------------------------------------------- */

static void check_library(void)
{
	char text[128];

	snprintf(text, sizeof(text), "%s (Debian %s)", tls_library_version(),
		 CULVERT_WOLFSSL_VERSION);
	ok("TLS library", text);
}

static const char *or_null(const char *s)
{
	return s[0] != '\0' ? s : NULL;
}

static void check_pair(struct report *r, const char *subject, const char *ca,
		       const char *certificate, const char *key, bool server)
{
	struct tls_findings *f = mem_zalloc(sizeof(*f));

	if (f == NULL) {
		bad(r, subject, "out of memory");
		return;
	}
	tls_inspect(or_null(ca), or_null(certificate), or_null(key), server, f);
	for (unsigned i = 0; i < f->n; i++) {
		const struct tls_finding *t = &f->at[i];

		switch (t->level) {
		case TLS_FINDING_OK:
			ok(subject, t->text);
			break;
		case TLS_FINDING_WARN:
			warn(r, subject, "%s", t->text);
			break;
		case TLS_FINDING_FAIL:
			bad(r, subject, "%s", t->text);
			break;
		}
	}
	mem_free(f);
}

static void check_tls(struct report *r, const char *subject,
		      const struct config_tls *tls, bool server)
{
	check_pair(r, subject, tls->ca, tls->certificate, tls->key, server);
}

/* ---- directories ------------------------------------------------------- */

static void check_parent(struct report *r, const char *subject,
			 const char *path)
{
	char parent[CONFIG_PATH_LEN];
	char *slash;

	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (slash == NULL)
		snprintf(parent, sizeof(parent), ".");
	else
		slash[slash == parent ? 1 : 0] = '\0';
	if (access(parent, W_OK | X_OK) == 0)
		ok(subject, "will be made at the first start");
	else
		bad(r, subject,
		    "%s does not exist and cannot be made in %s (%s); make it "
		    "and give it to the daemon's user, or mount its disk",
		    path, parent, strerror(errno));
}

static bool check_directory(struct report *r, const char *subject,
			    const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		check_parent(r, subject, path);
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		bad(r, subject, "%s is not a directory; choose another path",
		    path);
		return false;
	}
	if (access(path, R_OK | W_OK | X_OK) != 0) {
		bad(r, subject,
		    "%s: %s; run this as the daemon's user, or give the "
		    "directory to that user",
		    path, strerror(errno));
		return false;
	}
	ok(subject, path);
	return true;
}

static void check_room(struct report *r, const struct config *c)
{
	unsigned long long room;
	struct statvfs v;
	char have[32], want[32];

	if (statvfs(c->spool.path, &v) != 0)
		return;
	room = (unsigned long long)v.f_blocks * v.f_frsize;
	cli_bytes(room, have, sizeof(have));
	cli_bytes(c->spool.quota, want, sizeof(want));
	if (room < c->spool.quota)
		warn(r, "spool.quota",
		     "the disk has %s in all, the quota is %s; storage is "
		     "refused when the disk is full, earlier than expected",
		     have, want);
	else
		ok("spool.quota", want);
}

static void check_key(struct report *r, const struct config *c)
{
	struct stat st;

	if (stat(c->spool.key, &st) != 0) {
		if (errno == ENOENT)
			ok("spool.key", "will be made at the first start");
		else
			bad(r, "spool.key", "%s: %s", c->spool.key,
			    strerror(errno));
		return;
	}
	if ((st.st_mode & 077) != 0)
		bad(r, "spool.key",
		    "%s can be read by others (mode %04o); chmod 600 it",
		    c->spool.key, (unsigned)(st.st_mode & 07777));
	else
		ok("spool.key", "keep a copy of it elsewhere: without it "
				"nothing in the spool can be read");
}

/* ---- the parts --------------------------------------------------------- */

static void check_address(struct report *r, const char *subject,
			  const struct config_listener *l)
{
	struct sockaddr_storage ss;
	int fd, rc;

	if (address_numeric(l->address.host, 0, &ss) != ERR_OK) {
		bad(r, subject, "%s is not a numeric address", l->address.host);
		return;
	}
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	rc = fd < 0
		 ? -1
		 : bind(fd, (struct sockaddr *)&ss,
			ss.ss_family == AF_INET ? sizeof(struct sockaddr_in)
						: sizeof(struct sockaddr_in6));
	if (rc != 0)
		bad(r, subject,
		    "this machine has no address %s (%s); see ip address",
		    l->address.host, strerror(errno));
	else
		ok(subject, "the address is this machine's");
	if (fd >= 0)
		close(fd);
	if (l->address.port < 1024 && geteuid() != 0)
		warn(r, subject,
		     "port %u needs CAP_NET_BIND_SERVICE; the systemd unit "
		     "gives it",
		     l->address.port);
}

static void check_listeners(struct report *r, const struct config *c)
{
	char subject[64];

	for (size_t i = 0; i < c->n_listeners; i++) {
		const struct config_listener *l = &c->listeners[i];

		snprintf(subject, sizeof(subject), "listeners.%s", l->name);
		check_address(r, subject, l);
		if (l->protocol != CONFIG_DICOM)
			check_tls(r, subject, &l->tls, true);
	}
}

static void check_destinations(struct report *r, const struct config *c)
{
	char subject[64];

	for (size_t i = 0; i < c->n_destinations; i++) {
		const struct config_destination *d = &c->destinations[i];

		snprintf(subject, sizeof(subject), "destinations.%s", d->name);
		switch (d->protocol) {
		case CONFIG_DICOM_TLS:
		case CONFIG_LINK:
			check_tls(r, subject, &d->tls, false);
			break;
		case CONFIG_DICOM:
			if (d->implicit) {
				ok(subject, "the device itself, in clear");
				break;
			}
			warn(r, subject, "goes out in clear, because: %s",
			     d->plaintext_reason);
			break;
		case CONFIG_DIRECTORY:
			(void)check_directory(r, subject, d->path);
			break;
		}
	}
}

static void check_repositories(struct report *r, const struct config *c)
{
	char subject[64];

	for (size_t i = 0; i < c->n_repositories; i++) {
		const struct config_repository *p = &c->repositories[i];

		snprintf(subject, sizeof(subject), "repositories.%s", p->name);
		if (p->protocol == CONFIG_SYSLOG_TLS)
			check_tls(r, subject, &p->tls, false);
		else
			warn(r, subject,
			     "the audit goes out in clear, because: %s",
			     p->plaintext_reason);
		if (p->identity != 0)
			warn(r, subject,
			     "its messages name patients (identity: yes)");
	}
}

/* The page's certificates, and who may log in. */
static void check_status(struct report *r, const struct config *c)
{
	const char *users = c->status.users;

	if (c->status.tls.certificate[0] != '\0')
		check_pair(r, "status", c->status.tls.client_ca,
			   c->status.tls.certificate, c->status.tls.key, true);
	if (users[0] == '\0')
		return;
	if (access(users, R_OK) == 0)
		ok("status.users", users);
	else
		bad(r, "status.users",
		    "cannot read %s: %s; make it by culvert web passwd, and "
		    "give it to the daemon's group: chgrp culvert",
		    users, strerror(errno));
}

/* systemd makes the default's directory, and takes it away again. */
static void check_control(struct report *r, const struct config *c)
{
	char parent[CONFIG_PATH_LEN];
	char *slash;

	snprintf(parent, sizeof(parent), "%s", c->control.path);
	slash = strrchr(parent, '/');
	if (slash == NULL || slash == parent)
		return;
	*slash = '\0';
	if (access(parent, W_OK | X_OK) == 0)
		ok("control.path", c->control.path);
	else if (errno == ENOENT && strcmp(parent, "/run/culvert") == 0)
		ok("control.path",
		   "systemd makes /run/culvert when it starts Culvert; by "
		   "hand, "
		   "make it first and give it to the daemon's user");
	else
		bad(r, "control.path",
		    "%s: %s; make this directory and give it to the daemon's "
		    "user, or choose another path",
		    parent, strerror(errno));
}

static void check_storage(struct report *r, const struct config *c)
{
	if (check_directory(r, "spool.path", c->spool.path))
		check_room(r, c);
	check_key(r, c);
	(void)check_directory(r, "records.path", c->records.path);
	check_control(r, c);
}

/* The hours of the timetables are those of a clock there: show it. */
static void check_hours(struct report *r, const struct config *c)
{
	char why[SHAPING_WHY_LEN], text[64];
	struct shaping s;
	enum err e = shaping_begin(c, &s, why);
	struct tm tm;
	time_t t;

	if (e != ERR_OK) {
		bad(r, "time_zone", "%s", e == ERR_INVAL ? why : err_text(e));
		return;
	}
	if (s.zone != NULL) {
		t = (time_t)(clock_wall_ms() / 1000);
		t += zone_offset(s.zone, t);
		if (gmtime_r(&t, &tm) == NULL ||
		    strftime(text, sizeof(text), "%A, %H:%M there now", &tm) ==
			0)
			text[0] = '\0';
		ok("time_zone", text);
	}
	shaping_end(&s);
}

/* ---- with traffic ------------------------------------------------------ */

struct connecting {
	struct report *r;
	const char *subject;
};

static void on_step(void *arg, bool good, const char *step, const char *text)
{
	struct connecting *c = arg;
	char line[256];

	snprintf(line, sizeof(line), "%s %s", c->subject, step);
	if (good)
		ok(line, text);
	else
		bad(c->r, line, "%s", text);
}

static void check_connect(struct report *r, const struct config *c)
{
	for (size_t i = 0; i < c->n_destinations; i++) {
		const struct config_destination *d = &c->destinations[i];
		char subject[64];
		struct connecting k = {r, subject};
		unsigned before = r->failed;
		const char *calling = NULL, *called = NULL;

		cli_echo_aes(c, i, &calling, &called);
		snprintf(subject, sizeof(subject), "destinations.%s", d->name);
		if (destination_echo(d, calling, called, ECHO_DEADLINE_MS,
				     on_step, &k) != ERR_OK &&
		    r->failed == before)
			bad(r, subject, "could not be tried");
	}
}

static void check_repository_lines(struct report *r, const struct config *c)
{
	for (size_t i = 0; i < c->n_repositories; i++) {
		char subject[64];
		struct connecting k = {r, subject};
		unsigned before = r->failed;

		snprintf(subject, sizeof(subject), "repositories.%s",
			 c->repositories[i].name);
		if (repository_try(&c->repositories[i], on_step, &k) !=
			ERR_OK &&
		    r->failed == before)
			bad(r, subject, "could not be tried");
	}
}

/* ---- the command ------------------------------------------------------- */

/* What root can read, the daemon's user may not: look with that user's eyes. */
static void check_user(struct report *r, const struct config *c,
		       const char *path)
{
	char who[HOST_USER_LEN], why[512];

	if (host_become_owner(c, who, why, sizeof(why)) != ERR_OK)
		bad(r, "user", "%s", why);
	else if (access(path, R_OK) != 0)
		bad(r, "configuration",
		    "%s cannot be read by %s, who runs Culvert: %s", path, who,
		    strerror(errno));
	else
		ok("configuration", path);
	snprintf(why, sizeof(why), "looked at as %.64s, who owns the records",
		 who);
	if (who[0] != '\0')
		ok("user", why);
}

static int check(const char *path, bool connect)
{
	struct report r = {0};
	struct config *c = cli_config(path);

	if (c == NULL)
		return CLI_FAILED;
	check_user(&r, c, path);
	check_library();
	check_listeners(&r, c);
	check_destinations(&r, c);
	check_repositories(&r, c);
	check_status(&r, c);
	check_storage(&r, c);
	check_hours(&r, c);
	if (connect) {
		check_connect(&r, c);
		check_repository_lines(&r, c);
	}
	if (rows != NULL)
		(void)cli_json(json_incref(rows));
	else
		printf("%u failed, %u warnings\n", r.failed, r.warned);
	json_decref(rows);
	config_free(c);
	return r.failed == 0 ? CLI_OK : CLI_FAILED;
}

static int show(const char *path)
{
	struct config *c = cli_config(path);

	if (c == NULL)
		return CLI_FAILED;
	config_dump(c, stdout);
	config_free(c);
	return CLI_OK;
}

int cli_check(int argc, char **argv)
{
	const char *path;
	bool json;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	json = cli_take_json(&argc, argv);
	path = cli_take_config(&argc, argv);
	if (json &&
	    (argc == 1 || (argc == 2 && strcmp(argv[1], "--connect") == 0)))
		rows = json_array();
	else if (json)
		argc = 3; /* the others have no JSON */
	if (path != NULL && argc == 1)
		return check(path, false);
	if (path != NULL && argc == 2) {
		if (strcmp(argv[1], "--connect") == 0)
			return check(path, true);
		if (strcmp(argv[1], "--show") == 0)
			return show(path);
		if (strcmp(argv[1], "--options") == 0) {
			config_reference(stdout);
			return CLI_OK;
		}
		if (strcmp(argv[1], "--options-man") == 0) {
			config_reference_man(stdout);
			return CLI_OK;
		}
	}
	fputs(help, stderr);
	return CLI_USAGE;
}
