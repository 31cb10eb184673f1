/* The ledger under failing and dying disks: SQLite's files go through a layer
 * that fails, or kills the process, at the n-th write or flush. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/db.h"
#include "tests/unit/ledger_fixture.h"

/* ---- the layer
 * --------------------------------------------------------------- */

enum fault { FAULT_NONE, FAULT_IO, FAULT_FULL, FAULT_KILL };

static atomic_int armed;       /* enum fault */
static atomic_long steps_left; /* until it strikes */
static atomic_long strikes;    /* how often it still does */

static bool strike(void)
{
	if (atomic_load(&armed) == FAULT_NONE ||
	    atomic_fetch_sub(&steps_left, 1) > 0)
		return false;
	if (atomic_load(&armed) == FAULT_KILL)
		_exit(77);
	return atomic_fetch_sub(&strikes, 1) > 0;
}

static int code(void)
{
	return atomic_load(&armed) == FAULT_FULL ? SQLITE_FULL
						 : SQLITE_IOERR_WRITE;
}

static void arm(enum fault f, long step, long n)
{
	atomic_store(&strikes, n);
	atomic_store(&steps_left, step);
	atomic_store(&armed, (int)f);
}

struct shim_file {
	sqlite3_file base;
	sqlite3_file *real;
};

static sqlite3_file *real(sqlite3_file *f)
{
	return ((struct shim_file *)(void *)f)->real;
}

static int shim_close(sqlite3_file *f)
{
	sqlite3_file *r = real(f);
	int rc = r->pMethods->xClose(r);

	free(r);
	return rc;
}

static int shim_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return real(f)->pMethods->xRead(real(f), p, n, at);
}

static int shim_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	if (strike()) {
		/* Torn: half of it reaches the disk. */
		(void)real(f)->pMethods->xWrite(real(f), p, n / 2, at);
		return code();
	}
	return real(f)->pMethods->xWrite(real(f), p, n, at);
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 n)
{
	if (strike())
		return code();
	return real(f)->pMethods->xTruncate(real(f), n);
}

static int shim_sync(sqlite3_file *f, int flags)
{
	if (strike())
		return SQLITE_IOERR_FSYNC;
	return real(f)->pMethods->xSync(real(f), flags);
}

static int shim_size(sqlite3_file *f, sqlite3_int64 *n)
{
	return real(f)->pMethods->xFileSize(real(f), n);
}

static int shim_lock(sqlite3_file *f, int how)
{
	return real(f)->pMethods->xLock(real(f), how);
}

static int shim_unlock(sqlite3_file *f, int how)
{
	return real(f)->pMethods->xUnlock(real(f), how);
}

static int shim_check(sqlite3_file *f, int *out)
{
	return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int shim_control(sqlite3_file *f, int op, void *arg)
{
	return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int shim_sector(sqlite3_file *f)
{
	return real(f)->pMethods->xSectorSize(real(f));
}

static int shim_device(sqlite3_file *f)
{
	return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int shim_shm_map(sqlite3_file *f, int page, int size, int extend,
			void volatile **out)
{
	return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
}

static int shim_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
	return real(f)->pMethods->xShmLock(real(f), at, n, flags);
}

static void shim_shm_barrier(sqlite3_file *f)
{
	real(f)->pMethods->xShmBarrier(real(f));
}

static int shim_shm_unmap(sqlite3_file *f, int delete)
{
	return real(f)->pMethods->xShmUnmap(real(f), delete);
}

static const sqlite3_io_methods shim_methods = {
    .iVersion = 2,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_check,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector,
    .xDeviceCharacteristics = shim_device,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
};

static sqlite3_vfs *under;
static sqlite3_vfs shim;

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f,
		     int flags, int *out)
{
	struct shim_file *s = (struct shim_file *)(void *)f;
	int rc;

	(void)vfs;
	s->base.pMethods = NULL;
	s->real = calloc(1, (size_t)under->szOsFile);
	if (s->real == NULL)
		return SQLITE_NOMEM;
	rc = under->xOpen(under, name, s->real, flags, out);
	if (rc != SQLITE_OK) {
		free(s->real);
		return rc;
	}
	s->base.pMethods = &shim_methods;
	return SQLITE_OK;
}

/* ---- failing memory
 * ------------------------------------------------------------ */

static atomic_long allocations_left = -1;

static bool starve(void)
{
	char name[16];

	if (atomic_load(&allocations_left) < 0)
		return false;
	if (pthread_getname_np(pthread_self(), name, sizeof(name)) != 0 ||
	    strcmp(name, "culvert-ledger") != 0)
		return false;
	return atomic_fetch_sub(&allocations_left, 1) == 0;
}

static void *hook_calloc(size_t n, size_t size)
{
	return starve() ? NULL : calloc(n, size);
}

static void *hook_realloc(void *p, size_t size)
{
	return starve() ? NULL : realloc(p, size);
}

static const struct mem_hook hook = {hook_calloc, hook_realloc, free};

/* ---- the tests
 * ------------------------------------------------------------------- */

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	arm(FAULT_NONE, 0, 0);
	atomic_store(&allocations_left, -1);
	fixture_init(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	arm(FAULT_NONE, 0, 0);
	atomic_store(&allocations_left, -1);
	fixture_free(*state);
	free(*state);
	return 0;
}

enum { INSTANCES = 8, DELIVERED = 3 };

/* Instance 1 waits for its commitment, 2 and 3 are messages, 3 begins held. */
static struct instance one_of_each(unsigned uid, unsigned i)
{
	struct instance in = fixture_instance(uid);

	in.commit = i == 1;
	if (i == 2 || i == 3)
		in.command = 0x0120;
	in.held = i == 3;
	return in;
}

/* Some of everything that makes rows. */
static void busy(struct fixture *f, unsigned from)
{
	struct ledger_association a = {.party = "modalities",
				       .result = "accepted"};
	struct ledger_association_end end = {.why = "released"};
	struct ledger_operation o = {.command = 0x0020};

	a.id = end.id = ledger_association_id(f->l);
	ledger_association_begin(f->l, &a);
	for (unsigned i = 0; i < INSTANCES; i++) {
		struct instance in = one_of_each(from + i / 2, i);
		struct transfer_id id;

		in.association = a.id;
		id = fixture_put(f, &in, i == 0 ? CHUNK_LEN + 5 : 1000);
		if (i < DELIVERED)
			fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	}
	ledger_operation(f->l, &o);
	ledger_association_end(f->l, &end);
}

/* What is counted in one place is there in the other. */
static void is_consistent(struct fixture *f)
{
	assert_int_equal(
	    fixture_sql(f, "SELECT count(*) FROM totals t WHERE count<>"
			   "(SELECT count(*) FROM deliveries d WHERE"
			   " d.destination=t.destination AND d.state=t.state)"),
	    0);
	assert_int_equal(fixture_sql(f, "SELECT (SELECT instances FROM"
					" spool_state)=(SELECT count(*) FROM"
					" instances)"),
			 1);
	assert_int_equal(
	    fixture_sql(f, "SELECT count(*) FROM deliveries WHERE"
			   " (state<=2 OR state=6)"
			   "<>(id>>5 IN (SELECT instance FROM chunks))"),
	    0);
	assert_int_equal(
	    fixture_sql(f, "SELECT count(*) FROM messages WHERE"
			   " open<>(seq IN (SELECT instance FROM chunks))"),
	    0);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM instances WHERE"
					" (command IS NOT NULL)<>"
					"(seq IN (SELECT seq FROM messages))"),
			 0);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM twins WHERE"
					" delivery NOT IN (SELECT id FROM"
					" deliveries WHERE state<=1)"),
			 0);
	assert_int_equal(fixture_sql(f, "SELECT count(DISTINCT transfer)="
					"count(*) FROM instances"),
			 1);
}

static void has_everything(struct fixture *f, int64_t rounds)
{
	fixture_await(f, "SELECT count(*) FROM instances", rounds * INSTANCES);
	fixture_await(f, "SELECT count(*) FROM deliveries WHERE state=3",
		      rounds * (DELIVERED - 1));
	fixture_await(f, "SELECT count(*) FROM deliveries WHERE state=6",
		      rounds);
	fixture_await(f, "SELECT count(*) FROM deliveries WHERE state=1",
		      rounds);
	fixture_await(f, "SELECT count(*) FROM operations", rounds);
	fixture_await(f,
		      "SELECT count(*) FROM associations"
		      " WHERE why='released'",
		      rounds);
	is_consistent(f);
}

static void a_write_that_fails_at_any_step_is_made_good(void **state)
{
	struct fixture *f = *state;
	int64_t rounds = 0;

	fixture_open(f);
	for (long step = 0; step < 48; step += 3) {
		arm(step % 2 == 0 ? FAULT_IO : FAULT_FULL, step, 1);
		do { /* few large batches have few steps */
			busy(f, (unsigned)(rounds * 30));
			has_everything(f, ++rounds);
			assert_true(rounds < 500);
		} while (atomic_load(&strikes) > 0);
	}
	arm(FAULT_NONE, 0, 0);
	fixture_close(f);
	fixture_open(f);
	has_everything(f, rounds);
}

static void a_disk_full_for_a_while_stops_no_instance(void **state)
{
	struct fixture *f = *state;
	struct ledger_stats st;

	fixture_open(f);
	busy(f, 1);
	has_everything(f, 1);
	arm(FAULT_FULL, 0, 1000000);
	busy(f, 100);
	do {
		usleep(2000);
		ledger_stats(f->l, &st);
	} while (st.writable);
	assert_true(st.alert[0] != '\0');
	busy(f, 200);
	arm(FAULT_NONE, 0, 0);
	has_everything(f, 3);
	ledger_stats(f->l, &st);
	assert_true(st.writable);
	assert_string_equal(st.alert, "");
}

static void audit_that_cannot_be_written_stops_new_associations(void **state)
{
	struct fixture *f = *state;
	struct audit_event e = {.kind = AUDIT_START};
	struct ledger_stats st;

	f->ledger_options.audit_patience_s = 1;
	fixture_open(f);
	arm(FAULT_FULL, 0, 1000000);
	ledger_audit(f->l, &e);
	for (int i = 0; i < 30000 && ledger_accepting(f->l); i++)
		usleep(2000);
	assert_false(ledger_accepting(f->l));
	do {
		ledger_stats(f->l, &st);
	} while (st.audit_ok);
	arm(FAULT_NONE, 0, 0);
	for (int i = 0; i < 30000 && !ledger_accepting(f->l); i++)
		usleep(2000);
	assert_true(ledger_accepting(f->l));
}

static void memory_that_fails_at_any_step_is_made_good(void **state)
{
	struct fixture *f = *state;
	int64_t rounds = 0;

	fixture_open(f);
	for (long n = 0; n < 400; n += 23) {
		atomic_store(&allocations_left, n);
		busy(f, (unsigned)(n * 10));
		has_everything(f, ++rounds);
	}
	atomic_store(&allocations_left, -1);
}

/* ---- dying
 * ------------------------------------------------------------------------- */

/* Child: work until the layer kills it at a step. Exit 0: the step was never
 * reached. Every acknowledged instance is told through the pipe. */
static void child(struct fixture *f, long step, int acked)
{
	log_set_level(LOG_ERROR);
	fixture_open(f);
	arm(FAULT_KILL, step, 1);
	for (unsigned i = 0; i < INSTANCES; i++) {
		struct instance in = one_of_each(i, i);
		struct transfer_id id = fixture_put(f, &in, 1000);

		if (write(acked, id.b, sizeof(id.b)) != sizeof(id.b))
			_exit(1);
		if (i < DELIVERED)
			fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	}
	fixture_settle(f);
	fixture_close(f);
	_exit(0);
}

static int64_t count_acked(int fd)
{
	struct transfer_id id;
	int64_t n = 0;

	while (read(fd, id.b, sizeof(id.b)) == sizeof(id.b))
		n++;
	(void)close(fd);
	return n;
}

static bool die_at(struct fixture *f, long step)
{
	int pipes[2], status;
	int64_t acked;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child(f, step, pipes[1]);
	(void)close(pipes[1]);
	acked = count_acked(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
	fixture_open(f);
	fixture_settle(f);
	assert_true(fixture_sql(f, "SELECT count(*) FROM instances") >= acked);
	is_consistent(f);
	return WEXITSTATUS(status) == 77;
}

static void a_process_that_dies_at_any_step_comes_back_whole(void **state)
{
	struct fixture *f = *state;
	long died = 0;

	for (long step = 0; step < 60; step += 2) {
		bool dead = die_at(f, step);

		died += dead;
		fixture_free(f);
		fixture_init(f);
		if (!dead)
			break;
	}
	assert_true(died > 5);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    /* First: it forks, which wants a process without threads. */
	    T(a_process_that_dies_at_any_step_comes_back_whole),
	    T(a_write_that_fails_at_any_step_is_made_good),
	    T(a_disk_full_for_a_while_stops_no_instance),
	    T(audit_that_cannot_be_written_stops_new_associations),
	    T(memory_that_fails_at_any_step_is_made_good),
	};
	struct db_options o = {.path = "/tmp/culvert-ledger-none/x",
			       .read_only = true};
	sqlite3 *db;

	mem_set_hook(&hook);
	/* Let the library be set up before the layer is. */
	if (db_open(&o, &db, NULL) == ERR_OK)
		return 1;
	under = sqlite3_vfs_find(NULL);
	shim = *under;
	shim.zName = "culvert-fault";
	shim.szOsFile = (int)sizeof(struct shim_file);
	shim.xOpen = shim_open;
	if (sqlite3_vfs_register(&shim, 1) != SQLITE_OK)
		return 1;
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
