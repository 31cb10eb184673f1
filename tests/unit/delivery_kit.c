#include "tests/unit/delivery_kit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"

static void on_queued(void *arg, const char *destination, uint64_t count)
{
	struct kit *k = arg;
	struct scheduler *s = __atomic_load_n(&k->scheduler, __ATOMIC_ACQUIRE);

	(void)count;
	if (s != NULL)
		scheduler_queued(s, destination);
}

void kit_open(struct kit *k)
{
	struct spool_options so = {.segment = 4 * 1024 * 1024,
				   .quota = 256 * 1024 * 1024,
				   .outcome_ms = 20};
	struct ledger_options lo = {.on_queued = on_queued, .arg = k};
	char why[SPOOL_WHY_LEN];

	memset(k, 0, sizeof(*k));
	log_set_level(LOG_ERROR + 1);
	strcpy(k->dir, "/tmp/culvert-delivery-XXXXXX");
	assert_non_null(mkdtemp(k->dir));
	(void)snprintf(k->spool_dir, sizeof(k->spool_dir), "%s/spool", k->dir);
	(void)snprintf(k->ledger_dir, sizeof(k->ledger_dir), "%s/ledger",
		       k->dir);
	assert_int_equal(mkdir(k->spool_dir, 0700), 0);
	assert_int_equal(mkdir(k->ledger_dir, 0700), 0);
	so.path = k->spool_dir;
	lo.path = k->ledger_dir;
	assert_int_equal(spool_open(&so, &k->spool, why), ERR_OK);
	assert_int_equal(ledger_open(&lo, k->spool, &k->ledger, why), ERR_OK);
	assert_int_equal(capability_new(k->ledger, &k->capabilities), ERR_OK);
	assert_int_equal(uv_loop_init(&k->loop), 0);
	assert_int_equal(mailbox_init(&k->mailbox, &k->loop), ERR_OK);
	early_desk_init(&k->early, &k->mailbox);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(worker_start(i, &k->workers[i]), ERR_OK);
		k->scp[i].max_pdu = 16384;
		fake_start(&k->scp[i], 0);
	}
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void kit_close(struct kit *k)
{
	if (k->scheduler != NULL)
		kit_unschedule(k);
	for (unsigned i = 0; i < 2; i++) {
		worker_stop(k->workers[i]);
		fake_stop(&k->scp[i]);
		fake_free(&k->scp[i]);
	}
	mailbox_close(&k->mailbox, NULL, NULL);
	uv_run(&k->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&k->loop), 0);
	ledger_close(k->ledger);
	spool_close(k->spool);
	capability_free(k->capabilities);
	config_free(k->config);
	(void)nftw(k->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- scheduler --------------------------------------------------------- */

void kit_config(struct kit *k, const char *text)
{
	static const char head[] =
	    "node: test\n"
	    "listeners: {in: {address: \"127.0.0.1:1\", protocol: dicom, "
	    "ae_titles: [X]}}\n"
	    "devices: {dev: {ae_title: DEV, address: 127.0.0.1}}\n"
	    "spool: {path: spool}\n"
	    "records: {path: ledger}\n";
	char body[4096], all[8192], name[96];
	struct config_errors *errors = calloc(1, sizeof(*errors));

	(void)snprintf(body, sizeof(body), text, k->scp[0].port,
		       k->scp[1].port);
	(void)snprintf(all, sizeof(all), "%s%s", head, body);
	(void)snprintf(name, sizeof(name), "%s/c.yaml", k->dir);
	if (config_load_from_memory(all, strlen(all), name, &k->config,
				    errors) != ERR_OK) {
		config_errors_print(errors, stderr);
		fail();
	}
	free(errors);
}

void kit_schedule(struct kit *k)
{
	struct scheduler_options o = {.loop = &k->loop,
				      .mailbox = &k->mailbox,
				      .config = k->config,
				      .spool = k->spool,
				      .ledger = k->ledger,
				      .capabilities = k->capabilities,
				      .early = &k->early,
				      .workers = k->workers,
				      .n_workers = 2};
	struct scheduler *s;
	char why[SCHEDULER_WHY_LEN];

	assert_int_equal(destinations_open(k->config, k->ledger,
					   k->capabilities, &k->destinations,
					   why),
			 ERR_OK);
	o.destinations = k->destinations;
	assert_int_equal(scheduler_start(&o, &s, why), ERR_OK);
	__atomic_store_n(&k->scheduler, s, __ATOMIC_RELEASE);
}

static void on_stopped(void *arg)
{
	((struct kit *)arg)->stopped = true;
}

void kit_unschedule(struct kit *k)
{
	struct scheduler *s = k->scheduler;

	__atomic_store_n(&k->scheduler, NULL, __ATOMIC_RELEASE);
	kit_barrier(k); /* no hint is under way any more */
	k->stopped = false;
	scheduler_stop(s, 300, on_stopped, k);
	KIT_UNTIL(k, k->stopped);
	destinations_close(k->destinations, k->config->n_destinations);
}

/* ---- instances --------------------------------------------------------- */

struct waiting {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done, writable;
	enum err e;
};

static void wake(struct waiting *w, bool *what, enum err e)
{
	pthread_mutex_lock(&w->lock);
	*what = true;
	w->e = e;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static void await(struct waiting *w, bool *what)
{
	pthread_mutex_lock(&w->lock);
	while (!*what)
		pthread_cond_wait(&w->cond, &w->lock);
	*what = false;
	pthread_mutex_unlock(&w->lock);
}

static void on_put_done(void *arg, enum err e, const struct instance *stored)
{
	struct waiting *w = arg;

	(void)stored;
	wake(w, &w->done, e);
}

static void on_writable(void *arg)
{
	struct waiting *w = arg;

	wake(w, &w->writable, ERR_OK);
}

uint8_t kit_byte(unsigned n, size_t i)
{
	return (uint8_t)(i * 7 + i / 251 + n);
}

static void fill(struct instance *in, const struct kit_instance *i, unsigned n)
{
	char uid[65];

	(void)snprintf(uid, sizeof(uid), "1.2.3.%u", n);
	INSTANCE_SET(in->listener, "in");
	INSTANCE_SET(in->device, "dev");
	INSTANCE_SET(in->peer, "127.0.0.1");
	INSTANCE_SET(in->calling_ae,
		     i->calling_ae != NULL ? i->calling_ae : "DEV");
	INSTANCE_SET(in->called_ae, i->called_ae != NULL ? i->called_ae : "X");
	INSTANCE_SET(in->sop_class, i->sop_class != NULL
					? i->sop_class
					: "1.2.840.10008.5.1.4.1.1.7");
	INSTANCE_SET(in->sop_instance,
		     i->sop_instance != NULL ? i->sop_instance : uid);
	INSTANCE_SET(in->transfer_syntax, i->transfer_syntax != NULL
					      ? i->transfer_syntax
					      : "1.2.840.10008.1.2.1");
	INSTANCE_SET(in->study, i->study != NULL ? i->study : "1.2.3");
	INSTANCE_SET(in->series, "1.2.4");
	in->association = 1;
	in->received_ms =
	    i->received_ms != 0 ? i->received_ms : clock_wall_ms();
	in->priority = i->dicom_priority;
	in->device_priority = i->device_priority;
	in->command = i->command;
	in->type = i->type;
	in->held = i->held;
	if (i->transaction != NULL)
		INSTANCE_SET(in->transaction, i->transaction);
	if (i->originator != NULL) {
		in->has_move = true;
		INSTANCE_SET(in->move_originator, i->originator);
		in->move_originator_id = i->originator_id;
	}
	for (unsigned d = 0; d < 3 && i->to[d] != NULL; d++)
		INSTANCE_SET(in->destinations[in->n_destinations++], i->to[d]);
	if (in->n_destinations == 0)
		INSTANCE_SET(in->destinations[in->n_destinations++], "a");
}

unsigned kit_put(struct kit *k, const struct kit_instance *i,
		 struct transfer_id *id)
{
	struct waiting w = {.lock = PTHREAD_MUTEX_INITIALIZER,
			    .cond = PTHREAD_COND_INITIALIZER};
	struct spool_put_events ev = {
	    .on_done = on_put_done, .on_writable = on_writable, .arg = &w};
	struct instance *in = calloc(1, sizeof(*in));
	size_t length = i->empty ? 0 : (i->length != 0 ? i->length : 1000);
	struct spool_put *put;
	unsigned n = k->n_put++;
	uint8_t piece[65536];

	fill(in, i, n);
	assert_int_equal(spool_put_begin(k->spool, in, &ev, &put), ERR_OK);
	if (id != NULL)
		*id = *spool_put_id(put);
	for (size_t at = 0; at < length;) {
		size_t part =
		    length - at < sizeof(piece) ? length - at : sizeof(piece);

		for (size_t b = 0; b < part; b++)
			piece[b] = at + b < i->head_len
				       ? ((const uint8_t *)i->head)[at + b]
				       : kit_byte(n, at + b);
		assert_int_equal(spool_put_data(put, piece, part), ERR_OK);
		at += part;
		if (spool_put_full(put))
			await(&w, &w.writable);
	}
	assert_int_equal(spool_put_finish(put, in), ERR_OK);
	await(&w, &w.done);
	assert_int_equal(w.e, ERR_OK);
	free(in);
	return n;
}

/* ---- bit by bit -------------------------------------------------------- */

struct kit_slow {
	struct kit *k;
	struct waiting w;
	struct instance in;
	struct spool_put *put;
	struct early *early;
	uint64_t came, told;
	unsigned n;
};

struct kit_slow *kit_begin(struct kit *k, const struct kit_instance *i)
{
	struct kit_slow *s = calloc(1, sizeof(*s));
	struct spool_put_events ev = {
	    .on_done = on_put_done, .on_writable = on_writable, .arg = &s->w};

	s->k = k;
	s->n = k->n_put++;
	pthread_mutex_init(&s->w.lock, NULL);
	pthread_cond_init(&s->w.cond, NULL);
	fill(&s->in, i, s->n);
	assert_int_equal(spool_put_begin(k->spool, &s->in, &ev, &s->put),
			 ERR_OK);
	return s;
}

struct transfer_id kit_slow_id(const struct kit_slow *s)
{
	return *spool_put_id(s->put);
}

void kit_come(struct kit_slow *s, size_t n)
{
	uint8_t piece[65536];

	while (n > 0) {
		size_t part = n < sizeof(piece) ? n : sizeof(piece);

		for (size_t b = 0; b < part; b++)
			piece[b] = kit_byte(s->n, (size_t)s->came + b);
		assert_int_equal(spool_put_data(s->put, piece, part), ERR_OK);
		s->came += part;
		n -= part;
		if (spool_put_full(s->put))
			await(&s->w, &s->w.writable);
		if (s->came < early_next(s->k->config, &s->in, s->told))
			continue;
		early_tell(&s->k->early, &s->early, &s->in,
			   spool_put_id(s->put), s->told, s->came);
		s->told = s->came;
	}
}

unsigned kit_whole(struct kit_slow *s)
{
	unsigned n = s->n;

	assert_int_equal(spool_put_finish(s->put, &s->in), ERR_OK);
	await(&s->w, &s->w.done);
	assert_int_equal(s->w.e, ERR_OK);
	early_end(&s->early, true);
	free(s);
	return n;
}

void kit_broken(struct kit_slow *s)
{
	spool_put_abort(s->put);
	early_end(&s->early, false);
	free(s);
}

/* ---- the ledger -------------------------------------------------------- */

static void on_barrier(void *arg, enum err e)
{
	struct waiting *w = arg;

	wake(w, &w->done, e);
}

void kit_barrier(struct kit *k)
{
	struct waiting w = {.lock = PTHREAD_MUTEX_INITIALIZER,
			    .cond = PTHREAD_COND_INITIALIZER};

	assert_int_equal(ledger_barrier(k->ledger, on_barrier, &w), ERR_OK);
	await(&w, &w.done);
}

struct first {
	struct waiting w;
	struct place place;
};

static void on_first(void *arg, const struct ledger_fetched *f)
{
	struct first *first = arg;

	if (f->n > 0)
		first->place = f->items[0].first;
	wake(&first->w, &first->w.done, f->n > 0 ? ERR_OK : ERR_NOTFOUND);
}

struct place kit_place(struct kit *k, const char *destination)
{
	struct first first = {.w = {.lock = PTHREAD_MUTEX_INITIALIZER,
				    .cond = PTHREAD_COND_INITIALIZER}};
	struct ledger_query q = {
	    .state = DELIVERY_QUEUED, .after = LEDGER_CURSOR_START, .max = 1};

	(void)snprintf(q.destination, sizeof(q.destination), "%s", destination);
	assert_int_equal(ledger_fetch(k->ledger, &q, on_first, &first), ERR_OK);
	await(&first.w, &first.w.done);
	assert_int_equal(first.w.e, ERR_OK);
	return first.place;
}

void kit_damage(struct kit *k, struct place place)
{
	char path[160];
	uint8_t byte;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/segment-%08x.spool",
		       k->spool_dir, place.segment);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, place.offset + 4096 + 100), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, place.offset + 4096 + 100), 1);
	close(fd);
}

/* ---- time -------------------------------------------------------------- */

void kit_turn(struct kit *k)
{
	uv_run(&k->loop, UV_RUN_NOWAIT);
	usleep(1000);
}

void kit_for(struct kit *k, unsigned ms)
{
	uint64_t until = clock_mono_ns() + ms * UINT64_C(1000000);

	while (clock_mono_ns() < until)
		kit_turn(k);
}

uint64_t kit_count(struct kit *k, const char *destination,
		   enum delivery_state state)
{
	struct ledger_stats *s = calloc(1, sizeof(*s));
	uint64_t n = 0;

	ledger_stats(k->ledger, s);
	for (size_t i = 0; i < s->n_destinations; i++) {
		if (strcmp(s->destinations[i].name, destination) == 0)
			n = s->destinations[i].count[state];
	}
	free(s);
	return n;
}
