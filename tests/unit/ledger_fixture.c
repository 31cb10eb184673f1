/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "tests/unit/ledger_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/db.h"

static void nap(void)
{
	struct timespec t = {.tv_nsec = 2000000};

	(void)nanosleep(&t, NULL);
}

/* ---- life ---------------------------------------------------------------- */

static void on_durable(void *arg)
{
	struct fixture *f = arg;

	pthread_mutex_lock(&f->mutex);
	ledger_wake(f->l);
	pthread_mutex_unlock(&f->mutex);
}

static void on_queued(void *arg, const char *destination, uint64_t count)
{
	struct fixture *f = arg;

	(void)destination;
	pthread_mutex_lock(&f->mutex);
	f->hints += count;
	pthread_mutex_unlock(&f->mutex);
}

void fixture_init(struct fixture *f)
{
	*f = (struct fixture){.mutex = PTHREAD_MUTEX_INITIALIZER};
	strcpy(f->dir, "/tmp/culvert-ledger-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->ledger, sizeof(f->ledger), "%s/ledger.db", f->dir);
	f->spool_options = (struct spool_options){.path = f->dir,
						  .quota = 64 << 20,
						  .segment = SPOOL_SEGMENT_MIN,
						  .buffers = 16 << 20,
						  .outcome_ms = 5,
						  .on_durable = on_durable,
						  .arg = f};
	f->ledger_options = (struct ledger_options){
	    .path = f->dir, .on_queued = on_queued, .arg = f};
}

void fixture_open_spool(struct fixture *f)
{
	char why[SPOOL_WHY_LEN];

	if (spool_open(&f->spool_options, &f->spool, why) != ERR_OK)
		fail_msg("spool: %s", why);
}

void fixture_open_ledger(struct fixture *f)
{
	char why[LEDGER_WHY_LEN];
	struct ledger *l;

	if (ledger_open(&f->ledger_options, f->spool, &l, why) != ERR_OK)
		fail_msg("ledger: %s", why);
	pthread_mutex_lock(&f->mutex);
	f->l = l;
	pthread_mutex_unlock(&f->mutex);
}

void fixture_open(struct fixture *f)
{
	fixture_open_spool(f);
	fixture_open_ledger(f);
}

void fixture_close_ledger(struct fixture *f)
{
	struct ledger *l;

	pthread_mutex_lock(&f->mutex);
	l = f->l;
	f->l = NULL;
	pthread_mutex_unlock(&f->mutex);
	ledger_close(l);
}

void fixture_close(struct fixture *f)
{
	fixture_close_ledger(f);
	spool_close(f->spool);
	f->spool = NULL;
}

void fixture_free(struct fixture *f)
{
	DIR *dir;
	struct dirent *d;

	fixture_close(f);
	dir = opendir(f->dir);
	while (dir != NULL && (d = readdir(dir)) != NULL) {
		char path[400];

		snprintf(path, sizeof(path), "%s/%s", f->dir, d->d_name);
		(void)unlink(path);
	}
	if (dir != NULL)
		(void)closedir(dir);
	(void)rmdir(f->dir);
}

/* ---- instances -------------------------------------------------------------
 */

struct instance fixture_instance(unsigned uid)
{
	struct instance in = {.association = 7,
			      .received_ms = clock_wall_ms(),
			      .n_destinations = 1};

	INSTANCE_SET(in.listener, "modalities");
	INSTANCE_SET(in.device, "ct-room-2");
	INSTANCE_SET(in.peer, "10.1.4.20");
	INSTANCE_SET(in.calling_ae, "CT2");
	INSTANCE_SET(in.called_ae, "ARCHIVE");
	INSTANCE_SET(in.sop_class, "1.2.840.10008.5.1.4.1.1.2");
	snprintf(in.sop_instance, sizeof(in.sop_instance), "1.2.3.4.%u", uid);
	INSTANCE_SET(in.transfer_syntax, "1.2.840.10008.1.2.1");
	INSTANCE_SET(in.study, "1.2.3.1");
	INSTANCE_SET(in.series, "1.2.3.2");
	INSTANCE_SET(in.modality, "CT");
	INSTANCE_SET(in.accession, "ACC-VERYSECRET");
	INSTANCE_SET(in.patient_id, "PID-VERYSECRET");
	INSTANCE_SET(in.patient_name, "NAME^VERYSECRET");
	INSTANCE_SET(in.destinations[0], "cloud");
	return in;
}

struct put {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool done;
	enum err e;
	struct transfer_id id;
};

static void on_put(void *arg, enum err e, const struct instance *stored)
{
	struct put *p = arg;

	pthread_mutex_lock(&p->mutex);
	p->done = true;
	p->e = e;
	if (e == ERR_OK)
		p->id = stored->id;
	pthread_cond_signal(&p->cond);
	pthread_mutex_unlock(&p->mutex);
}

static void wait_for(struct put *p)
{
	pthread_mutex_lock(&p->mutex);
	while (!p->done)
		pthread_cond_wait(&p->cond, &p->mutex);
	pthread_mutex_unlock(&p->mutex);
}

struct transfer_id fixture_put(struct fixture *f, const struct instance *in,
			       size_t n)
{
	static const uint8_t bytes[4096];
	struct put p = {.mutex = PTHREAD_MUTEX_INITIALIZER,
			.cond = PTHREAD_COND_INITIALIZER};
	struct spool_put_events events = {.on_done = on_put, .arg = &p};
	struct spool_put *put;
	enum err e = spool_put_begin(f->spool, in, &events, &put);

	for (int i = 0; i < 5000 && e == ERR_NOSPACE; i++) {
		nap(); /* full: until the ledger has freed a segment */
		e = spool_put_begin(f->spool, in, &events, &put);
	}
	assert_int_equal(e, ERR_OK);
	while (n > 0) {
		size_t part = n < sizeof(bytes) ? n : sizeof(bytes);

		assert_int_equal(spool_put_data(put, bytes, part), ERR_OK);
		while (spool_put_full(put))
			nap();
		n -= part;
	}
	assert_int_equal(spool_put_finish(put, in), ERR_OK);
	wait_for(&p);
	assert_int_equal(p.e, ERR_OK);
	return p.id;
}

void fixture_put_many(struct fixture *f, unsigned from, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct instance in = fixture_instance(from + i);

		fixture_put(f, &in, 100);
	}
}

/* ---- outcomes ---------------------------------------------------------------
 */

static void outcome(struct fixture *f, const struct outcome *o)
{
	enum err e;

	while ((e = spool_outcome(f->spool, o)) == ERR_BUSY)
		nap();
	assert_int_equal(e, ERR_OK);
}

void fixture_outcome(struct fixture *f, const struct transfer_id *id,
		     enum outcome_kind kind, const char *destination)
{
	struct outcome o = {.id = *id, .kind = kind, .at_ms = clock_wall_ms()};

	INSTANCE_SET(o.destination, destination);
	outcome(f, &o);
}

void fixture_redirect(struct fixture *f, const struct transfer_id *id,
		      const char *from, const char *to)
{
	struct outcome o = {
	    .id = *id, .kind = OUTCOME_REDIRECTED, .at_ms = clock_wall_ms()};

	INSTANCE_SET(o.destination, from);
	INSTANCE_SET(o.target, to);
	outcome(f, &o);
}

static void on_barrier(void *arg, enum err e)
{
	on_put(arg, e == ERR_OK ? ERR_CANCELED : e, NULL);
}

void fixture_barrier(struct fixture *f)
{
	struct put p = {.mutex = PTHREAD_MUTEX_INITIALIZER,
			.cond = PTHREAD_COND_INITIALIZER};

	assert_int_equal(ledger_barrier(f->l, on_barrier, &p), ERR_OK);
	wait_for(&p);
}

void fixture_settle(struct fixture *f)
{
	struct spool_stats st;

	do {
		nap();
		spool_stats(f->spool, &st);
	} while (st.outcomes > 0 || st.queued > 0);
	nap();
	fixture_barrier(f);
}

/* ---- asking
 * ------------------------------------------------------------------ */

struct asked {
	struct put p;
	struct fixture_items *items;
	struct place *places;
	size_t n_places;
};

static void on_fetched(void *arg, const struct ledger_fetched *r)
{
	struct asked *a = arg;

	a->items->e = r->e;
	a->items->n = r->n;
	if (r->n > 0)
		memcpy(a->items->items, r->items, r->n * sizeof(*r->items));
	a->items->next = r->next;
	a->items->end = r->end;
	a->items->next_due_ms = r->next_due_ms;
	on_put(&a->p, ERR_CANCELED, NULL);
}

void fixture_fetch(struct fixture *f, const struct ledger_query *q,
		   struct fixture_items *out)
{
	struct asked a = {.p = {.mutex = PTHREAD_MUTEX_INITIALIZER,
				.cond = PTHREAD_COND_INITIALIZER},
			  .items = out};

	assert_int_equal(ledger_fetch(f->l, q, on_fetched, &a), ERR_OK);
	wait_for(&a.p);
}

void fixture_queued(struct fixture *f, const char *destination,
		    struct fixture_items *out)
{
	struct ledger_query q = {.after = LEDGER_CURSOR_START,
				 .max = LEDGER_FETCH_MAX,
				 .now_ms = clock_wall_ms()};

	INSTANCE_SET(q.destination, destination);
	fixture_fetch(f, &q, out);
	assert_int_equal(out->e, ERR_OK);
}

static void on_places(void *arg, enum err e, const struct place *places,
		      size_t n)
{
	struct asked *a = arg;

	if (n > 0)
		memcpy(a->places, places, n * sizeof(*places));
	a->n_places = n;
	on_put(&a->p, e == ERR_OK ? ERR_CANCELED : e, NULL);
}

size_t fixture_places(struct fixture *f, uint64_t seq, struct place *out,
		      unsigned n)
{
	struct asked a = {.p = {.mutex = PTHREAD_MUTEX_INITIALIZER,
				.cond = PTHREAD_COND_INITIALIZER},
			  .places = out};

	assert_int_equal(ledger_places(f->l, seq, 0, n, on_places, &a), ERR_OK);
	wait_for(&a.p);
	assert_int_equal(a.p.e, ERR_CANCELED);
	return a.n_places;
}

/* ---- looking
 * ------------------------------------------------------------------ */

static enum err sql_once(const char *path, const char *sql, int64_t *out)
{
	struct db_options o = {.path = path,
			       .read_only = true,
			       .cache_bytes = 1 << 20,
			       .busy_ms = 5000};
	sqlite3 *db;
	enum err e = db_open(&o, &db, NULL);

	if (e != ERR_OK)
		return e;
	e = db_integer(db, sql, out);
	db_close(db);
	return e;
}

int64_t fixture_sql_in(struct fixture *f, const char *name, const char *sql)
{
	char path[160];
	int64_t v = 0;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	for (int i = 0; i < 5000; i++) {
		if (sql_once(path, sql, &v) == ERR_OK)
			return v;
		nap();
	}
	fail_msg("%s: %s gives nothing", name, sql);
	return v;
}

int64_t fixture_sql(struct fixture *f, const char *sql)
{
	return fixture_sql_in(f, "ledger.db", sql);
}

void fixture_await(struct fixture *f, const char *sql, int64_t want)
{
	int64_t v = want + 1;

	for (int i = 0; i < 30000; i++) {
		if (sql_once(f->ledger, sql, &v) == ERR_OK && v == want)
			return;
		nap();
	}
	fail_msg("%s gives %lld, not %lld", sql, (long long)v, (long long)want);
}

static bool file_has(const char *path, const char *bytes)
{
	FILE *file = fopen(path, "rb");
	char *all = NULL;
	size_t n = 0;
	bool has = false;

	if (file == NULL)
		return false;
	(void)fseek(file, 0, SEEK_END);
	n = (size_t)ftell(file);
	(void)fseek(file, 0, SEEK_SET);
	all = malloc(n + 1);
	if (all != NULL && fread(all, 1, n, file) == n)
		has = memmem(all, n, bytes, strlen(bytes)) != NULL;
	free(all);
	(void)fclose(file);
	return has;
}

static bool any_file(struct fixture *f,
		     bool (*fn)(const char *path, const char *name,
				const char *arg),
		     const char *arg)
{
	DIR *dir = opendir(f->dir);
	struct dirent *d;
	bool any = false;

	assert_non_null(dir);
	while (!any && (d = readdir(dir)) != NULL) {
		char path[400];

		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", f->dir, d->d_name);
		any = fn(path, d->d_name, arg);
	}
	(void)closedir(dir);
	return any;
}

static bool holds(const char *path, const char *name, const char *arg)
{
	(void)name;
	return file_has(path, arg);
}

static bool begins(const char *path, const char *name, const char *arg)
{
	(void)path;
	return strncmp(name, arg, strlen(arg)) == 0;
}

bool fixture_grep(struct fixture *f, const char *bytes)
{
	return any_file(f, holds, bytes);
}

bool fixture_has(struct fixture *f, const char *prefix)
{
	return any_file(f, begins, prefix);
}

void fixture_lock(sqlite3 *db)
{
	enum err e = ERR_BUSY;

	for (int i = 0; i < 12000 && e != ERR_OK; i++) {
		e = db_exec(db, "BEGIN IMMEDIATE");
		if (e != ERR_OK)
			usleep(5000);
	}
	assert_int_equal(e, ERR_OK);
}
