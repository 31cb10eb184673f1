#include "web-status/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proxy/lib/mem.h"

/* All of the first version of the interface. */
enum {
	READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
	WRITE = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
		LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
		LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM |
		LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE
};

/* What is not there needs no rule. */
static bool allow(int rules, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr a = {.allowed_access = access};
	bool good;

	a.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (a.parent_fd < 0)
		return errno == ENOENT || errno == EACCES;
	good = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH,
		       &a, 0) == 0;
	close(a.parent_fd);
	return good;
}

static bool allow_all(int rules, const char *records)
{
	/* time zones; libgcc, which threads load when they end; seeds */
	static const struct {
		const char *path;
		uint64_t access;
	} read[] = {
	    {"/dev/random", LANDLOCK_ACCESS_FS_READ_FILE},
	    {"/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE},
	    {"/etc/ld.so.cache", LANDLOCK_ACCESS_FS_READ_FILE},
	    {"/etc/localtime", LANDLOCK_ACCESS_FS_READ_FILE},
	    {"/lib", READ},
	    {"/lib64", READ},
	    {"/usr/lib", READ},
	    {"/usr/share/zoneinfo", READ},
#ifdef CULVERT_TEST_HOOKS
	    {"/proc", READ}, /* sanitizers */
#endif
	};

	for (size_t i = 0; i < ARRAY_LEN(read); i++)
		if (!allow(rules, read[i].path, read[i].access))
			return false;
	return allow(rules, records, LANDLOCK_ACCESS_FS_READ_DIR);
}

bool landlock_enter(const char *records)
{
	struct landlock_ruleset_attr a = {
	    .handled_access_fs = READ | WRITE | LANDLOCK_ACCESS_FS_EXECUTE};
	int rules = (int)syscall(SYS_landlock_create_ruleset, &a, sizeof(a), 0);
	bool good;
	int error;

	if (rules < 0)
		return false;
	good = allow_all(rules, records) &&
	       syscall(SYS_landlock_restrict_self, rules, 0) == 0;
	error = errno;
	close(rules);
	errno = error;
	return good;
}
