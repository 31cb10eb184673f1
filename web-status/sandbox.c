/* What a process that only serves pages gives up: at its start the files, but
 * for those that its broker opens; once it listens capabilities, and then core
 * files, and memory and descriptors without bound. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/control_page.h"
#include "proxy/lib/log.h"
#include "proxy/lib/opener.h"
#include "web-status/broker.h"
#include "web-status/landlock.h"
#include "web-status/server_int.h"

/* Sanitizers reserve terabytes of addresses. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

enum { FILES_OF_ITS_OWN = 128 };

/* Lowers both limits, never raises the hard one. */
static void limit(int what, rlim_t most)
{
	struct rlimit now;

	if (getrlimit((__rlimit_resource_t)what, &now) != 0)
		return;
	if (now.rlim_max != RLIM_INFINITY && now.rlim_max < most)
		most = now.rlim_max;
	now.rlim_cur = now.rlim_max = most;
	if (setrlimit((__rlimit_resource_t)what, &now) != 0)
		log_event(LOG_WARN, "web-limit", "which=%d cause=\"%s\"", what,
			  strerror(errno));
}

enum err sandbox_drop(void)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}, {0}};

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &head, none) == 0)
		return ERR_OK;
	log_event(LOG_ERROR, "web-capabilities", "cause=\"%s\"",
		  strerror(errno));
	return ERR_DENIED;
}

#ifdef CULVERT_TEST_HOOKS
/* Tries what an intruder would: by itself, and by the broker. */
static void try_hook(void)
{
	const char *path = getenv("CULVERT_TEST_WEB_OPEN");
	int by_itself, by_broker, to_write;

	if (path == NULL)
		return;
	by_itself = open(path, O_RDONLY | O_CLOEXEC);
	by_broker = opener_open(path, O_RDONLY | O_CLOEXEC, 0);
	to_write = opener_open(path, O_RDWR | O_CLOEXEC, 0);
	log_event(LOG_INFO, "web-tried", "itself=%s broker=%s write=%s",
		  by_itself < 0 ? "refused" : "opened",
		  by_broker < 0 ? "refused" : "opened",
		  to_write < 0 ? "refused" : "opened");
	if (by_itself >= 0)
		close(by_itself);
	if (by_broker >= 0)
		close(by_broker);
	if (to_write >= 0)
		close(to_write);
}
#endif

enum err sandbox_begin(const struct config *config)
{
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (control_page_mark() != ERR_OK || broker_start(config) != ERR_OK)
		return ERR_IO;
	if (!landlock_enter(config->records.path))
		log_event(LOG_INFO, "web-landlock",
			  "detail=\"the kernel does not confine the page to "
			  "its files: %s\"",
			  strerror(errno));
#ifdef CULVERT_TEST_HOOKS
	try_hook();
#endif
	return ERR_OK;
}

void sandbox_enter(const struct config *config)
{
	/* a viewer takes three with TLS: its socket and a pair */
	limit(RLIMIT_NOFILE,
	      (rlim_t)config->status.connections * 3 + FILES_OF_ITS_OWN);
#ifndef SANITIZED
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_AS, (rlim_t)4 << 30);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}
