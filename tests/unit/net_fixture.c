#include "tests/unit/net_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "proxy/net/tls_pki.h"

/* ---- files ------------------------------------------------------------ */

static char root[64];
static pid_t owner;

static int remove_one(const char *path, const struct stat *st, int flag,
		      struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void remove_all(void)
{
	if (getpid() == owner)
		nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void issue(const char *dir, const struct tls_pki_request *r)
{
	char path[128], why[TLS_WHY_LEN] = "";

	snprintf(path, sizeof(path), "%s/%s", root, dir);
	if (tls_pki_issue(path, r, why) != ERR_OK)
		fail_msg("issue %s/%s: %s", dir, r->name, why);
}

static void make_ca(const char *dir, const char *name)
{
	char path[128], why[TLS_WHY_LEN] = "";

	snprintf(path, sizeof(path), "%s/%s", root, dir);
	if (tls_pki_init(path, name, 29, why) != ERR_OK)
		fail_msg("init %s: %s", dir, why);
}

static void make_set(const char *dir)
{
	issue(dir, &(struct tls_pki_request){
		       .name = "server",
		       .sans = {"DNS:localhost", "IP:127.0.0.1"},
		       .n_sans = 2});
	issue(dir, &(struct tls_pki_request){.name = "client"});
}

static void make_pki(void)
{
	int64_t now = (int64_t)time(NULL);

	snprintf(root, sizeof(root), "/tmp/culvert-net.XXXXXX");
	if (mkdtemp(root) == NULL)
		fail_msg("no directory in /tmp");
	owner = getpid();
	atexit(remove_all);
	make_ca(".", "Test CA");
	make_ca("bad", "Test CA");
	make_ca("stranger", "Strange CA");
	make_set(".");
	make_set("bad");
	make_set("stranger");
	issue(".", &(struct tls_pki_request){.name = "other-name",
					     .sans = {"DNS:other"},
					     .n_sans = 1});
	issue(".", &(struct tls_pki_request){.name = "expired",
					     .not_before = now - 200000,
					     .not_after = now - 100000});
	issue(".", &(struct tls_pki_request){.name = "future",
					     .not_before = now + 100000});
	issue(".", &(struct tls_pki_request){.name = "server-only",
					     .server = true,
					     .sans = {"DNS:localhost"},
					     .n_sans = 1});
	issue(".",
	      &(struct tls_pki_request){.name = "client-only", .client = true});
}

const char *net_file(const char *name)
{
	static char ring[64][128];
	static unsigned next;
	char *out = ring[next++ % 64];

	if (root[0] == '\0')
		make_pki();
	snprintf(out, sizeof(ring[0]), "%s/%s", root, name);
	return out;
}

/* ---- memory ----------------------------------------------------------- */

static atomic_int budget = -1, live;

static bool spend(void)
{
	int b = atomic_load(&budget);

	while (b > 0 && !atomic_compare_exchange_weak(&budget, &b, b - 1))
		;
	return b != 0;
}

static void *count_calloc(size_t n, size_t size)
{
	void *p = spend() ? calloc(n, size) : NULL;

	if (p != NULL)
		atomic_fetch_add(&live, 1);
	return p;
}

static void *count_realloc(void *p, size_t size)
{
	void *q = spend() ? realloc(p, size) : NULL;

	if (q != NULL && p == NULL)
		atomic_fetch_add(&live, 1);
	return q;
}

static void count_free(void *p)
{
	atomic_fetch_sub(&live, 1);
	free(p);
}

void net_mem_install(void)
{
	static const struct mem_hook hook = {count_calloc, count_realloc,
					     count_free};

	mem_set_hook(&hook);
}

void net_mem_fail_after(int n)
{
	atomic_store(&budget, n);
}

void net_mem_ok(void)
{
	atomic_store(&budget, -1);
}

int net_mem_live(void)
{
	return atomic_load(&live);
}

/* ---- contexts --------------------------------------------------------- */

static struct tls_context *context(bool server, const char *ca,
				   const char *name)
{
	char cert[64] = "", key[64] = "", why[TLS_WHY_LEN] = "";
	struct tls_options o = {.ca = net_file(ca)};
	struct tls_context *c = NULL;
	enum err e;

	if (name != NULL) {
		snprintf(cert, sizeof(cert), "%s.pem", name);
		snprintf(key, sizeof(key), "%s.key", name);
		o.certificate = net_file(cert);
		o.key = net_file(key);
	}
	e = server ? tls_server_new(&o, &c, why) : tls_client_new(&o, &c, why);
	if (e != ERR_OK)
		fail_msg("context %s: %s", name != NULL ? name : "-", why);
	return c;
}

struct tls_context *net_server(const char *ca, const char *name)
{
	return context(true, ca, name);
}

struct tls_context *net_client(const char *ca, const char *name)
{
	return context(false, ca, name);
}

/* ---- child processes -------------------------------------------------- */

static int child_input = -1;

pid_t net_spawn(const char *const argv[])
{
	int in[2];
	pid_t pid;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int out = open("/dev/null", O_WRONLY);

		if (getenv("NET_SHOW") == NULL) {
			dup2(out, STDOUT_FILENO);
			dup2(out, STDERR_FILENO);
		}
		dup2(in[0], STDIN_FILENO);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_true(pid > 0);
	close(in[0]);
	if (child_input >= 0)
		close(child_input);
	child_input = in[1];
	return pid;
}

void net_reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons((uint16_t)port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Reads the table, since connecting would use up a one-shot server. */
void net_await_port(int port)
{
	char want[32], line[256];

	snprintf(want, sizeof(want), ":%04X 00000000:0000 0A", port);
	for (int i = 0; i < 6000; i++) {
		FILE *f = fopen("/proc/net/tcp", "re");
		bool found = false;

		while (f != NULL && fgets(line, sizeof(line), f) != NULL)
			found |= strstr(line, want) != NULL;
		if (f != NULL)
			fclose(f);
		if (found)
			return;
		usleep(10000);
	}
	fail_msg("nothing listens at port %d", port);
}

int net_free_port(void)
{
	for (int port = 11250; port < 11300; port++) {
		struct sockaddr_in sin = loopback(port);
		int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0), rc;

		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		rc = bind(fd, (struct sockaddr *)&sin, sizeof(sin));
		close(fd);
		if (rc == 0)
			return port;
	}
	fail_msg("no free port in the test range");
	return 0;
}

bool net_have_openssl(void)
{
	return system("openssl version >/dev/null 2>&1") == 0;
}
