/* What the host may refuse: system calls fail as a filter says, in a process of
 * their own, and the line is read. */
#include "tests/unit/condition_seen.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/host.h"
#include "web-status/server_int.h"

/* From now on system call nr ends with EPERM, if its argument that has this
 * number is a pointer and not NULL. */
static void deny(unsigned nr, unsigned argument)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		     offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		     offsetof(struct seccomp_data, args) + 8 * argument),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog all = {.len = sizeof(code) / sizeof(code[0]),
				 .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) != 0)
		_exit(77);
}

/* What body logs while nr is denied. */
static const char *denied(unsigned nr, unsigned argument, void (*body)(void))
{
	static char text[8192];
	size_t n = 0;
	ssize_t got;
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		deny(nr, argument);
		body();
		_exit(0);
	}
	close(fds[1]);
	while ((got = read(fds[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return text;
}

static void descriptors_that_cannot_be_raised_are_told(void **state)
{
	(void)state;
	condition_seen(condition_of_event("descriptors"), "CV1008",
		       "limit of open files",
		       denied(SYS_prlimit64, 2, host_raise_descriptors));
}

static void give_up_what_is_not_needed(void)
{
	static struct config config;

	sandbox_enter(&config);
}

static void a_page_that_cannot_be_confined_is_told(void **state)
{
	(void)state;
	condition_seen(condition_of_event("web-limit"), "CV9007",
		       "could not give up all",
		       denied(SYS_prlimit64, 2, give_up_what_is_not_needed));
	condition_seen(condition_of_event("web-capabilities"), "CV9007",
		       "could not give up all",
		       denied(SYS_capset, 1, give_up_what_is_not_needed));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(descriptors_that_cannot_be_raised_are_told),
	    cmocka_unit_test(a_page_that_cannot_be_confined_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
