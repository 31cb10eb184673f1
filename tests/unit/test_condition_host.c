/* What the host may refuse: system calls fail as a filter says, in a process of
 * their own, and the line is read. */
#include "tests/unit/log_kit.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/host.h"
#include "store/seal.h"
#include "store/seal_sign_int.h"
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

	if (sandbox_drop() == ERR_OK)
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

static void make_a_key(void)
{
	char pem[SIGN_FILE_MAX];
	size_t len;

	if (sign_make_pem(pem, &len) == ERR_OK)
		_exit(78);
}

/* /dev/urandom cannot be opened. */
static void a_machine_without_random_numbers_signs_nothing(void **state)
{
	(void)state;
	condition_seen(condition_of_event("sign-failed"), "CV7009",
		       "signing failed", denied(SYS_openat, 1, make_a_key));
}

/* The library has no nonce yet: it is used against its rules. */
static void a_cipher_that_refuses_is_told(void **state)
{
	char dir[] = "/tmp/culvert-test-seal-XXXXXX", path[64];
	char why[SEAL_WHY_LEN];
	uint8_t tag[SEAL_TAG_LEN];
	struct seal_key *key;
	struct seal *s;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/data.key", dir);
	assert_int_equal(seal_key_open(path, true, &key, why), ERR_OK);
	assert_int_equal(seal_new(key, "salt", 4, "test", &s), ERR_OK);
	listen_to_log();
	assert_int_equal(seal_end(s, tag), ERR_IO);
	says("seal-failed", "CV7007", "inside the cryptographic library");
	end_listening();
	seal_free(s);
	seal_key_close(key);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(descriptors_that_cannot_be_raised_are_told),
	    cmocka_unit_test(a_page_that_cannot_be_confined_is_told),
	    cmocka_unit_test(a_machine_without_random_numbers_signs_nothing),
	    cmocka_unit_test(a_cipher_that_refuses_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
