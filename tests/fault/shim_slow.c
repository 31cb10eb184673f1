/* shim_slow.c - LD_PRELOAD: a slow disk and an unkind scheduler.
 *
 * Flushes and writes take up to some milliseconds, and now and then a thread
 * stops before it locks or after it unlocks a mutex: what is done between two
 * locks is then seen half done by the others, as on a busy machine.
 *
 * SLOW_SEED  of the pauses (with the order of threads, so not repeatable) */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	LOCK_ONE_IN = 20, /* locks and unlocks that wait: the spool's threads */
	LOCK_ONE_IN_ALL = 900, /* and all others */
	LOCK_US = 4000,        /* at most */
	WRITE_ONE_IN = 20,
	WRITE_US = 3000,
	FLUSH_ONE_IN = 5,
	FLUSH_US = 8000
};

static __thread uint64_t dice;

static uint32_t below(uint32_t n)
{
	if (dice == 0) {
		const char *seed = getenv("SLOW_SEED");

		dice = (uint64_t)syscall(SYS_gettid) * 0x9e3779b97f4a7c15u;
		if (seed != NULL)
			dice ^= strtoull(seed, NULL, 10) << 20;
		dice |= 1;
	}
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (uint32_t)(dice >> 32) % n;
}

static void pause_one_in(uint32_t n, uint32_t most_us)
{
	struct timespec t = {0};

	if (below(n) != 0)
		return;
	t.tv_nsec = (long)below(most_us) * 1000;
	syscall(SYS_nanosleep, &t, NULL);
}

/* Threads of the spool and the ledger have names. */
static uint32_t lock_one_in(void)
{
	static __thread uint32_t one_in;
	char name[16] = "";

	if (one_in == 0) {
		(void)prctl(PR_GET_NAME, name);
		one_in = strncmp(name, "culvert-", 8) == 0 ? LOCK_ONE_IN
							   : LOCK_ONE_IN_ALL;
	}
	return one_in;
}

static void *next_of(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (f == NULL)
		abort();
	return f;
}

typedef int mutex_fn(pthread_mutex_t *m);

int pthread_mutex_lock(pthread_mutex_t *m)
{
	static mutex_fn *real;

	if (real == NULL)
		*(void **)&real = next_of("pthread_mutex_lock");
	pause_one_in(lock_one_in(), LOCK_US);
	return real(m);
}

int pthread_mutex_unlock(pthread_mutex_t *m)
{
	static mutex_fn *real;
	int result;

	if (real == NULL)
		*(void **)&real = next_of("pthread_mutex_unlock");
	result = real(m);
	pause_one_in(lock_one_in(), LOCK_US);
	return result;
}

int fdatasync(int fd)
{
	pause_one_in(FLUSH_ONE_IN, FLUSH_US);
	return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	typedef ssize_t pwritev_fn(int, const struct iovec *, int, off_t);
	static pwritev_fn *real;

	if (real == NULL)
		*(void **)&real = next_of("pwritev");
	pause_one_in(WRITE_ONE_IN, WRITE_US);
	return real(fd, v, n, at);
}
