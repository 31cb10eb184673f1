#include "proxy/host.h"

#include <errno.h>
#include <fcntl.h>
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
