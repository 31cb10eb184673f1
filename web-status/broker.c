#include "web-status/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/lib/opener.h"

struct question {
	int flags;
	char path[CONFIG_PATH_LEN + 64];
};

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

static struct {
	pthread_mutex_t lock;
	int fd;
	pid_t pid;
} broker = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

/* ---- what may be opened ------------------------------------------------ */

static bool is(const char *configured, const char *path)
{
	return configured[0] != '\0' && strcmp(configured, path) == 0;
}

static bool is_certificate(const struct config *c, const char *path)
{
	for (size_t i = 0; i < c->n_listeners; i++)
		if (is(c->listeners[i].tls.certificate, path) ||
		    is(c->listeners[i].tls.ca, path))
			return true;
	for (size_t i = 0; i < c->n_destinations; i++)
		if (is(c->destinations[i].tls.certificate, path) ||
		    is(c->destinations[i].tls.ca, path))
			return true;
	return false;
}

static bool is_of_the_page(const struct config *c, const char *path)
{
	return is(c->status.users, path) ||
	       is(c->status.tls.certificate, path) ||
	       is(c->status.tls.key, path) || is(c->status.tls.client_ca, path);
}

/* "ledger.db", "audit-2026-05.db-wal": what SQLite makes there. */
static bool is_database(const char *name)
{
	static const char *const ends[] = {".db", ".db-wal", ".db-shm",
					   ".db-journal"};
	size_t n = strlen(name);

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		size_t k = strlen(ends[i]);

		if (n > k && name[0] != '.' &&
		    strcmp(name + n - k, ends[i]) == 0)
			return true;
	}
	return false;
}

/* Readers keep their marks in the index of the log: without writing it none
 * sees what was committed last. All else they only read. */
static bool is_index(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && strcmp(name + n - 4, "-shm") == 0;
}

/* The name within the records' directory; NULL: it is elsewhere. */
static const char *in_records(const char *path, int records)
{
	const char *slash = strrchr(path, '/');
	struct stat there, ours;
	char dir[CONFIG_PATH_LEN + 64];

	if (slash == NULL || slash == path)
		return NULL;
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	if (stat(dir, &there) != 0 || fstat(records, &ours) != 0 ||
	    there.st_dev != ours.st_dev || there.st_ino != ours.st_ino)
		return NULL;
	return slash + 1;
}

static bool same_file(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool is_key(const struct config *c, int fd)
{
	if (same_file(fd, c->spool.key) ||
	    same_file(fd, c->records.signing_key))
		return true;
	for (size_t i = 0; i < c->n_listeners; i++)
		if (same_file(fd, c->listeners[i].tls.key))
			return true;
	for (size_t i = 0; i < c->n_destinations; i++)
		if (same_file(fd, c->destinations[i].tls.key))
			return true;
	for (size_t i = 0; i < c->n_repositories; i++)
		if (same_file(fd, c->repositories[i].tls.key))
			return true;
	return false;
}

/* Whatever its name: a key is not handed out, nor a certificate that shares
 * its file with one. */
static int unless_key(const struct config *c, int fd)
{
	if (fd >= 0 && is_key(c, fd)) {
		close(fd);
		fd = -1;
		errno = EACCES;
	}
	return fd;
}

static int open_for(const struct config *c, const struct question *q)
{
	const int kept = O_ACCMODE | O_CREAT | O_NONBLOCK;
	int records, error = EACCES, fd = -1;
	const char *name;

	if (is_of_the_page(c, q->path) || is_certificate(c, q->path))
		return unless_key(
		    c, open(q->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
	records = open(c->records.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (records < 0)
		return -1;
	name = in_records(q->path, records);
	/* SQLite comes again, for reading, where it may not write */
	if (name != NULL && is_database(name) &&
	    (is_index(name) ||
	     (q->flags & (O_ACCMODE | O_CREAT)) == O_RDONLY)) {
		fd = openat(records, name,
			    (q->flags & kept) | O_NOFOLLOW | O_CLOEXEC, 0640);
		error = errno;
	}
	close(records);
	errno = error;
	return unless_key(c, fd);
}

/* ---- its process --------------------------------------------------------- */

static bool answer(int to, int fd, int error)
{
	union control u = {.room = {0}};
	struct iovec v = {.iov_base = &error, .iov_len = sizeof(error)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	if (fd >= 0) {
		m.msg_control = u.room;
		m.msg_controllen = sizeof(u.room);
		u.head.cmsg_level = SOL_SOCKET;
		u.head.cmsg_type = SCM_RIGHTS;
		u.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&u.head), &fd, sizeof(fd));
	}
	return sendmsg(to, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(error);
}

static void serve(const struct config *c, int sock)
{
	struct question q;
	bool good = true;

	while (good && recv(sock, &q, sizeof(q), 0) == (ssize_t)sizeof(q)) {
		int fd;

		q.path[sizeof(q.path) - 1] = '\0';
		errno = 0;
		fd = open_for(c, &q);
		good = answer(sock, fd, fd < 0 ? errno : 0);
		if (fd >= 0)
			close(fd);
	}
}

/* ---- its user --------------------------------------------------------------
 */

static int take(int sock)
{
	union control u = {.room = {0}};
	int error = EIO, fd = -1;
	struct iovec v = {.iov_base = &error, .iov_len = sizeof(error)};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = u.room,
			   .msg_controllen = sizeof(u.room)};
	struct cmsghdr *h;
	ssize_t n;

	do
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(error)) {
		errno = EPIPE;
		return -1;
	}
	h = CMSG_FIRSTHDR(&m);
	if (h != NULL && h->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	if (fd < 0)
		errno = error != 0 ? error : EIO;
	return fd;
}

/* Without it no page can be made: this process ends, and the daemon starts both
 * again. */
static void is_gone(void)
{
	log_event(LOG_INFO, "web-broker-gone", "pid=%d", (int)broker.pid);
	(void)kill(getpid(), SIGTERM);
}

static int ask(const char *path, int flags, int mode)
{
	struct question q = {.flags = flags};
	int fd = -1;

	(void)mode;
	if (strlen(path) >= sizeof(q.path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(q.path, path, strlen(path));
	pthread_mutex_lock(&broker.lock);
	errno = 0;
	if (send(broker.fd, &q, sizeof(q), MSG_NOSIGNAL) == (ssize_t)sizeof(q))
		fd = take(broker.fd);
	if (fd < 0 && (errno == EPIPE || errno == ECONNRESET)) {
		is_gone();
		errno = EIO;
	}
	pthread_mutex_unlock(&broker.lock);
	return fd;
}

enum err broker_start(const struct config *config)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return ERR_IO;
	broker.pid = fork();
	if (broker.pid == 0) {
		(void)signal(SIGINT, SIG_IGN);
		(void)signal(SIGHUP, SIG_IGN);
		(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		close(pair[0]);
		serve(config, pair[1]);
		_exit(0);
	}
	close(pair[1]);
	if (broker.pid < 0) {
		close(pair[0]);
		return ERR_IO;
	}
	broker.fd = pair[0];
	opener_set(ask);
	return ERR_OK;
}

void broker_stop(void)
{
	if (broker.fd < 0)
		return;
	close(broker.fd);
	broker.fd = -1;
	(void)waitpid(broker.pid, NULL, 0);
}
