#include "proxy/host.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"

enum err host_directory(const char *option, const char *path, char *why,
			size_t size)
{
	struct stat st;

	if (mkdir(path, 0700) == 0) {
		log_event(LOG_INFO, "directory-made", "option=%s path=%s",
			  option, path);
		return ERR_OK;
	}
	if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return ERR_OK;
	snprintf(why, size,
		 "%s: cannot use the directory %s: %s; make it, or its parent, "
		 "and give it to the daemon's user; a disk that is not mounted "
		 "looks like this too",
		 option, path,
		 errno == EEXIST ? "not a directory" : strerror(errno));
	return ERR_IO;
}

/* Whose the directories are, when root runs this and they are not root's. */
static bool other_owner(const struct config *c, struct stat *st,
			const char **path)
{
	const char *const paths[] = {c->records.path, c->spool.path};

	for (size_t i = 0; geteuid() == 0 && i < ARRAY_LEN(paths); i++) {
		*path = paths[i];
		if (stat(*path, st) == 0 && st->st_uid != 0)
			return true;
	}
	return false;
}

static void name_of(uid_t uid, char out[HOST_USER_LEN])
{
	const struct passwd *p = getpwuid(uid);

	if (p != NULL)
		snprintf(out, HOST_USER_LEN, "%s", p->pw_name);
	else
		snprintf(out, HOST_USER_LEN, "#%u", (unsigned)uid);
}

enum err host_refuse_root(const struct config *c, char *why, size_t size)
{
	char who[HOST_USER_LEN];
	const char *path;
	struct stat st;

	if (!other_owner(c, &st, &path))
		return ERR_OK;
	name_of(st.st_uid, who);
	snprintf(why, size,
		 "%.300s belongs to %s, whom files of root would shut out; "
		 "systemctl start culvert, or by hand: runuser -u %s -- "
		 "culvert serve",
		 path, who, who);
	return ERR_DENIED;
}

enum err host_become_owner(const struct config *c, char who[HOST_USER_LEN],
			   char *why, size_t size)
{
	const char *path;
	struct stat st;

	who[0] = '\0';
	if (!other_owner(c, &st, &path))
		return ERR_OK;
	name_of(st.st_uid, who);
	if ((who[0] == '#' ? setgroups(0, NULL) : initgroups(who, st.st_gid)) ==
		0 &&
	    setresgid(st.st_gid, st.st_gid, st.st_gid) == 0 &&
	    setresuid(st.st_uid, st.st_uid, st.st_uid) == 0)
		return ERR_OK;
	snprintf(why, size, "cannot become %s, to whom %.300s belongs: %s", who,
		 path, strerror(errno));
	return ERR_IO;
}

enum err host_lock_records(const char *path, int *fd, char *why, size_t size)
{
	char file[CONFIG_PATH_LEN + 16];

	snprintf(file, sizeof(file), "%s/records.lock", path);
	*fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd >= 0 && flock(*fd, LOCK_EX | LOCK_NB) == 0)
		return ERR_OK;
	if (*fd >= 0 && errno == EWOULDBLOCK) {
		snprintf(
		    why, size,
		    "records.path: another daemon uses the ledger in %.500s; "
		    "stop it, or give this one its own records.path",
		    path);
		return ERR_BUSY;
	}
	snprintf(
	    why, size,
	    "records.path: cannot lock %.500s: %s; give the directory to the "
	    "daemon's user",
	    file, strerror(errno));
	return ERR_IO;
}

void host_raise_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) != 0)
		log_event(LOG_WARN, "descriptors", "detail=\"%s\"",
			  strerror(errno));
}

void host_hide_memory(void)
{
	/* bit 4: pages with ELF headers; none of those that were written */
	int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, "0x10", 4) == 4;

	if (fd >= 0)
		close(fd);
	if (!done)
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
