#include "store/ledger.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger_in.h"

#define MS(ms) ((uint64_t)(ms)*1000000ULL)

static const char *const state_texts[DELIVERY_N_STATES] = {
#define X(number, name, text) [number] = text,
    DELIVERY_STATE_MAP(X)
#undef X
};

const char *delivery_state_text(enum delivery_state s)
{
	return (unsigned)s < DELIVERY_N_STATES ? state_texts[s] : "unknown";
}

bool delivery_state_keeps(enum delivery_state s)
{
	return s <= DELIVERY_QUARANTINED || s == DELIVERY_UNCOMMITTED ||
	       s == DELIVERY_ARRIVED;
}

bool delivery_state_parse(const char *text, enum delivery_state *out)
{
	for (unsigned i = 0; i < DELIVERY_N_STATES; i++)
		if (strcmp(text, state_texts[i]) == 0) {
			*out = (enum delivery_state)i;
			return true;
		}
	return false;
}

/* ---- transactions -------------------------------------------------------- */

enum err ledger_begin(struct ledger *l)
{
	enum err e;

	if (l->in_transaction)
		return ERR_OK;
	e = db_run(l->st[ST_BEGIN]);
	if (e != ERR_OK)
		return e;
	l->in_transaction = true;
	l->began_ns = clock_mono_ns();
	l->batch = 0;
	return ERR_OK;
}

static void free_written(struct ledger *l)
{
	LIST_EACH(it, tmp, &l->written)
	{
		struct post *p = CONTAINER_OF(it, struct post, node);

		list_remove(it);
		ledger_post_free(&l->posts, p);
	}
}

static void tell_queued(struct ledger *l)
{
	for (size_t i = 0; i < l->m.n_destinations; i++) {
		struct mirror_destination *d = &l->m.destinations[i];
		uint64_t n = d->newly_queued;

		d->newly_queued = 0;
		if (n > 0 && l->o.on_queued != NULL)
			l->o.on_queued(l->o.arg, d->name, n);
	}
}

static enum err commit(struct ledger *l)
{
	enum err e = mirror_flush(l);

	if (e == ERR_OK)
		e = db_run(l->st[ST_COMMIT]);
	if (e != ERR_OK)
		return e;
	l->in_transaction = false;
	l->committed_ns = clock_mono_ns();
	if (l->m.position > l->m.applied)
		l->m.applied = l->m.position;
	free_written(l);
	ledger_owed_taken(l);
	ledger_publish(l);
	tell_queued(l);
	e = ledger_origins_tell(l);
	return e == ERR_OK ? ledger_checkpoint(l) : e;
}

static bool commit_due(const struct ledger *l)
{
	uint64_t now = clock_mono_ns();

	if (!l->in_transaction)
		return false;
	if (l->batch >= LEDGER_BATCH_RECORDS || l->stopping ||
	    now - l->began_ns >= MS(LEDGER_BATCH_MS))
		return true;
	return l->tail_empty &&
	       now - l->committed_ns >= MS(LEDGER_COMMIT_GAP_MS);
}

/* ---- a round --------------------------------------------------------------
 */

static enum err write_post(struct ledger *l, struct post *p)
{
	enum err e = ledger_begin(l);

	if (e == ERR_OK)
		e = ledger_write(l, p);
	if (e == ERR_INVAL) {
		log_event(LOG_ERROR, "ledger-row-refused",
			  "kind=%d detail=\"%s\"", (int)p->kind,
			  sqlite3_errmsg(l->db));
		list_remove(&p->node);
		ledger_post_free(&l->posts, p);
		return ERR_OK;
	}
	if (e != ERR_OK)
		return e;
	l->batch++;
	list_remove(&p->node);
	list_push_back(&l->written, &p->node);
	return ERR_OK;
}

static enum err write_posts(struct ledger *l)
{
	enum err e = ERR_OK;

	LIST_EACH(it, tmp, &l->todo)
	{
		if (l->in_transaction && l->batch >= LEDGER_BATCH_RECORDS)
			break;
		e = write_post(l, CONTAINER_OF(it, struct post, node));
		if (e != ERR_OK)
			break;
	}
	return e;
}

/* The spool's own troubles are its to report; the tail waits. */
static void tail_failed(struct ledger *l, enum err e)
{
	l->tail_empty = true;
	if (e == ERR_CANCELED)
		return;
	if (l->tail_retry_ns == 0)
		log_event(LOG_ERROR, "ledger-tail-failing",
			  "detail=\"the spool cannot be read: %s\"",
			  err_text(e));
	l->tail_retry_ns = clock_mono_ns() + MS(LEDGER_TICK_MS);
}

static enum err take_records(struct ledger *l)
{
	l->tail_empty = clock_mono_ns() < l->tail_retry_ns;
	while (!l->tail_empty && !(l->in_transaction && commit_due(l))) {
		enum err e = spool_tail_next(l->tail, l->record, 0);

		if (e == ERR_AGAIN) {
			l->tail_empty = true;
			l->tail_retry_ns = 0;
			return ledger_settle(l);
		}
		if (e != ERR_OK) {
			tail_failed(l, e);
			return ERR_OK;
		}
		e = ledger_begin(l);
		if (e == ERR_OK)
			e = ledger_apply(l, l->record);
		if (e != ERR_OK)
			return e;
		l->batch++;
	}
	return ERR_OK;
}

static void answer_barriers(struct ledger *l)
{
	LIST_EACH(it, tmp, &l->barriers)
	{
		struct request *r = CONTAINER_OF(it, struct request, node);

		if (r->as.barrier.upto > l->m.applied &&
		    !(l->tail_empty && l->tail_retry_ns == 0 &&
		      !l->in_transaction))
			continue;
		list_remove(it);
		(void)ledger_answer(l, r, ERR_OK);
	}
}

static enum err answer_requests(struct ledger *l, enum err why)
{
	enum err e = ERR_OK;

	LIST_EACH(it, tmp, &l->requests)
	{
		struct request *r = CONTAINER_OF(it, struct request, node);
		enum err told = why != ERR_OK ? why : e;
		enum err said;

		list_remove(it);
		if (r->kind == REQUEST_BARRIER && told != ERR_CANCELED) {
			list_push_back(&l->barriers, it);
			continue;
		}
		said = ledger_answer(l, r, told);
		if (why == ERR_OK && said != ERR_OK)
			e = said;
	}
	return e;
}

static enum err work(struct ledger *l)
{
	enum err e = write_posts(l);

	if (e == ERR_OK)
		e = take_records(l);
	if (e == ERR_OK)
		e = ledger_owed_take(l);
	if (e == ERR_OK && commit_due(l))
		e = commit(l);
	if (e == ERR_OK)
		e = answer_requests(l, ERR_OK);
	if (e == ERR_OK)
		answer_barriers(l);
	return e;
}

static enum err make_space(struct ledger *l)
{
	uint64_t now = clock_mono_ns();

	if (l->in_transaction || now - l->space_ns < MS(LEDGER_SPACE_MS))
		return ERR_OK;
	if (!l->m.space_dirty && now - l->space_ns < MS(LEDGER_TICK_MS))
		return ERR_OK;
	l->space_ns = now;
	return ledger_space(l);
}

/* ---- figures ---------------------------------------------------------------
 */

static void publish_destination(const struct mirror_destination *d,
				struct ledger_destination_stats *out)
{
	memcpy(out->name, d->name, sizeof(out->name));
	memcpy(out->count, d->count, sizeof(out->count));
	memcpy(out->bytes, d->bytes, sizeof(out->bytes));
	out->oldest_queued_ms = d->oldest_queued_ms;
}

void ledger_publish(struct ledger *l)
{
	struct ledger_stats *s = &l->stats;
	size_t n = l->m.n_destinations;

	pthread_mutex_lock(&l->stats_mutex);
	s->writable = l->db != NULL;
	s->rebuilding = l->rebuilding;
	s->audit_ok = ledger_audit_ok(l);
	snprintf(s->alert, sizeof(s->alert), "%s", l->why);
	if (l->db != NULL) { /* else the last figures stand */
		s->applied = l->m.applied;
		s->instances = l->m.instances;
		s->partials = l->m.partials;
		s->n_destinations =
		    n < LEDGER_N_DESTINATIONS ? n : LEDGER_N_DESTINATIONS;
		for (size_t i = 0; i < s->n_destinations; i++)
			publish_destination(&l->m.destinations[i],
					    &s->destinations[i]);
	}
	pthread_mutex_unlock(&l->stats_mutex);
}

/* Memory that is out leaves the last figures. */
static void publish_devices(struct ledger *l)
{
	size_t n = l->m.n_devices;
	struct ledger_device_stats *v = mem_zarray(n, sizeof(*v));

	if (v == NULL)
		return;
	for (size_t i = 0; i < n; i++) {
		const struct mirror_device *d = &l->m.devices[i];

		memcpy(v[i].name, d->name, sizeof(v[i].name));
		v[i].last_ms = d->last_ms;
		v[i].instances = d->instances;
		v[i].bytes = d->bytes;
		v[i].associations = d->associations;
	}
	pthread_mutex_lock(&l->stats_mutex);
	mem_free(l->devices);
	l->devices = v;
	l->n_devices = n;
	pthread_mutex_unlock(&l->stats_mutex);
}

size_t ledger_devices(struct ledger *l, struct ledger_device_stats *out,
		      size_t cap)
{
	size_t n;

	pthread_mutex_lock(&l->stats_mutex);
	n = l->n_devices < cap ? l->n_devices : cap;
	if (n > 0)
		memcpy(out, l->devices, n * sizeof(*out));
	pthread_mutex_unlock(&l->stats_mutex);
	return n;
}

static enum err find_oldest(struct ledger *l, struct mirror_destination *d)
{
	sqlite3_stmt *st = l->st[ST_OLDEST];
	bool row;
	enum err e;

	d->oldest_queued_ms = 0;
	if (d->count[DELIVERY_QUEUED] == 0)
		return ERR_OK;
	db_bind_int(st, 1, d->id);
	e = db_row(st, &row);
	if (e == ERR_OK && row)
		d->oldest_queued_ms = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return e;
}

static void set_accepting(struct ledger *l)
{
	bool before, now;

	pthread_mutex_lock(&l->posts.mutex);
	before = atomic_load(&l->accepting);
	now = before;
	if (!ledger_audit_ok(l))
		now = false;
	else if (ledger_posts_fill(&l->posts) < 45)
		now = true;
	atomic_store(&l->accepting, now);
	pthread_mutex_unlock(&l->posts.mutex);
	if (now == before)
		return;
	log_event(now ? LOG_INFO : LOG_ERROR,
		  now ? "ledger-accepting-again" : "ledger-not-accepting",
		  "new-associations=%s", now ? "taken" : "refused");
	ledger_publish(l);
}

static enum err tick(struct ledger *l)
{
	uint64_t now = clock_mono_ns();
	enum err e = ERR_OK;

	if (now - l->tick_ns < MS(LEDGER_TICK_MS))
		return ERR_OK;
	l->tick_ns = now;
	ledger_audit_tick(l);
	ledger_keep_tick(l);
	if (l->db != NULL && ledger_is_lost(l))
		ledger_lost(l);
	for (size_t i = 0;
	     l->db != NULL && e == ERR_OK && i < l->m.n_destinations; i++)
		e = find_oldest(l, &l->m.destinations[i]);
	if (l->db != NULL && e == ERR_OK)
		e = ledger_blind_fill(l);
	if (l->db != NULL && e == ERR_OK && l->m.n_devices > 0)
		publish_devices(l);
	ledger_publish(l);
	return e;
}

/* ---- the thread -------------------------------------------------------------
 */

static struct timespec deadline(uint64_t at_ns)
{
	return (struct timespec){.tv_sec = (time_t)(at_ns / 1000000000ULL),
				 .tv_nsec = (long)(at_ns % 1000000000ULL)};
}

/* Wait for something to do and take it. */
static void collect(struct ledger *l)
{
	struct posts *p = &l->posts;
	bool busy =
	    (l->db != NULL && (!l->tail_empty || !list_empty(&l->todo))) ||
	    ledger_keep_busy(l);
	struct timespec until = deadline(clock_mono_ns() + MS(LEDGER_POLL_MS));

	pthread_mutex_lock(&p->mutex);
	while (!busy && !p->woken && !p->stopping && list_empty(&p->rows) &&
	       list_empty(&p->audit) && list_empty(&p->requests))
		if (pthread_cond_timedwait(&p->cond, &p->mutex, &until) != 0)
			break;
	list_splice_back(&l->todo, &p->rows);
	list_splice_back(&l->audit_todo, &p->audit);
	list_splice_back(&l->requests, &p->requests);
	p->n_requests = 0;
	p->woken = false;
	l->stopping = p->stopping;
	pthread_mutex_unlock(&p->mutex);
}

/* What was queued before may have changed while nobody was told. */
static void tell_all(struct ledger *l)
{
	for (size_t i = 0; i < l->m.n_destinations; i++)
		l->m.destinations[i].newly_queued =
		    l->m.destinations[i].count[DELIVERY_QUEUED];
	tell_queued(l);
}

static void reconnect(struct ledger *l)
{
	enum err e;

	if (l->db != NULL || (clock_mono_ns() < l->retry_ns && !l->stopping))
		return;
	e = ledger_connect(l);
	if (e != ERR_OK)
		ledger_failed(l, e);
	else
		tell_all(l);
}

static void round_once(struct ledger *l)
{
	enum err e = ERR_OK;

	collect(l);
	reconnect(l);
	if (l->db != NULL) {
		e = work(l);
		if (e == ERR_OK)
			e = make_space(l);
		if (e == ERR_OK)
			e = tick(l);
		if (e == ERR_OK)
			e = ledger_owed_settle(l);
	} else {
		(void)tick(l);
	}
	if (e != ERR_OK)
		ledger_failed(l, e);
	if (l->db == NULL)
		(void)answer_requests(l, ERR_IO);
	ledger_audit_work(l);
	ledger_keep_work(l);
	set_accepting(l);
}

static void *ledger_main(void *arg)
{
	struct ledger *l = arg;

	(void)pthread_setname_np(pthread_self(), "culvert-ledger");
	while (!l->stopping)
		round_once(l);
	ledger_keep_close(l);
	for (int i = 0; i < 100 && l->db != NULL && !list_empty(&l->todo); i++)
		round_once(l);
	if (l->in_transaction && commit(l) != ERR_OK)
		log_event(LOG_WARN, "ledger-last-commit-failed",
			  "detail=\"%s\"", sqlite3_errmsg(l->db));
	ledger_audit_work(l);
	if (audit_sign_now(l->audit) != ERR_OK)
		log_event(LOG_WARN, "audit-unsigned", "detail=\"%s\"",
			  audit_why(l->audit));
	if (audit_sync(l->audit) != ERR_OK)
		log_event(LOG_WARN, "audit-not-synced", "detail=\"%s\"",
			  audit_why(l->audit));
	list_splice_back(&l->requests, &l->barriers);
	(void)answer_requests(l, ERR_CANCELED);
	return NULL;
}

/* ---- opening and closing
 * ------------------------------------------------------ */

static void free_posts(struct ledger *l, struct list *posts)
{
	LIST_EACH(it, tmp, posts)
	{
		list_remove(it);
		ledger_post_free(&l->posts,
				 CONTAINER_OF(it, struct post, node));
	}
}

static void ledger_free(struct ledger *l)
{
	ledger_disconnect(l);
	free_posts(l, &l->todo);
	free_posts(l, &l->audit_todo);
	seal_free(l->seal);
	seal_free(l->query_seal);
	seal_mac_free(l->mac);
	ledger_keeper_free(l);
	ledger_owed_free(l);
	audit_close(l->audit);
	mem_free(l->changed);
	mem_free(l->devices);
	if (l->record != NULL)
		mem_wipe(l->record, sizeof(*l->record));
	mem_free(l->record);
	(void)pthread_mutex_destroy(&l->stats_mutex);
	(void)pthread_mutex_destroy(&l->seal_mutex);
	ledger_posts_free(&l->posts);
	mem_free(l);
}

static enum err init(struct ledger *l, const struct ledger_options *o,
		     struct spool *spool)
{
	enum err e = ledger_posts_init(&l->posts, o->queue_max);

	if (e != ERR_OK)
		return e;
	(void)pthread_mutex_init(&l->stats_mutex, NULL);
	(void)pthread_mutex_init(&l->seal_mutex, NULL);
	list_init(&l->todo);
	list_init(&l->written);
	list_init(&l->barriers);
	list_init(&l->requests);
	list_init(&l->audit_todo);
	list_init(&l->audit_written);
	list_init(&l->owed.committed);
	list_init(&l->owed.synced);
	list_init(&l->owed.taken);
	l->o = *o;
	l->o.path = l->dir;
	l->spool = spool;
	snprintf(l->dir, sizeof(l->dir), "%s", o->path);
	snprintf(l->path, sizeof(l->path), "%s/ledger.db", o->path);
	atomic_store(&l->accepting, true);
	return ERR_OK;
}

static enum err start(struct ledger *l, char why[LEDGER_WHY_LEN])
{
	enum err e = ledger_identity_key(spool_key(l->spool),
					 spool_id(l->spool), &l->seal);

	if (e == ERR_OK)
		e = ledger_identity_key(spool_key(l->spool), spool_id(l->spool),
					&l->query_seal);
	if (e == ERR_OK)
		e = ledger_blind_key(spool_key(l->spool), spool_id(l->spool),
				     &l->mac);
	if (e == ERR_OK)
		e = ledger_keeper_new(l);
	l->record = mem_zalloc(sizeof(*l->record));
	if (l->record == NULL)
		return ERR_NOMEM;
	if (e == ERR_OK)
		e = audit_open(l->dir, &l->audit, why);
	if (e != ERR_OK)
		return e;
	audit_identify(l->audit, l->o.node != NULL ? l->o.node : "culvert",
		       l->o.signer);
	if (audit_sign_found(l->audit) != ERR_OK)
		log_event(LOG_WARN, "audit-unsigned", "detail=\"%s\"",
			  audit_why(l->audit));
	ledger_owed_init(l);
	e = ledger_connect(l);
	if (e != ERR_OK) {
		if (why != NULL)
			snprintf(why, LEDGER_WHY_LEN, "%s", l->why);
		return e == ERR_BUSY || e == ERR_CORRUPT ? ERR_IO : e;
	}
	ledger_audit_show_head(l);
	ledger_publish(l);
	if (l->m.n_devices > 0)
		publish_devices(l);
	if (pthread_create(&l->thread, NULL, ledger_main, l) != 0)
		return ERR_NOMEM;
	return ERR_OK;
}

static enum err open_with(const struct ledger_options *options,
			  struct spool *spool, const char *aside,
			  struct ledger **out, char why[LEDGER_WHY_LEN])
{
	struct ledger *l;
	enum err e;

	if (strlen(options->path) >= sizeof(l->dir))
		return ERR_INVAL;
	l = mem_zalloc(sizeof(*l));
	if (l == NULL)
		return ERR_NOMEM;
	e = init(l, options, spool);
	if (e != ERR_OK) {
		mem_free(l);
		return e;
	}
	if (why != NULL)
		why[0] = '\0';
	l->aside = aside;
	l->rebuild = aside != NULL;
	e = start(l, why);
	if (e != ERR_OK) {
		if (why != NULL && why[0] == '\0')
			snprintf(why, LEDGER_WHY_LEN, "%.150s: %s",
				 options->path, err_text(e));
		ledger_free(l);
		return e;
	}
	*out = l;
	return ERR_OK;
}

enum err ledger_open(const struct ledger_options *options, struct spool *spool,
		     struct ledger **out, char why[LEDGER_WHY_LEN])
{
	return open_with(options, spool, NULL, out, why);
}

void ledger_close(struct ledger *l)
{
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->posts.mutex);
	l->posts.stopping = true;
	pthread_cond_signal(&l->posts.cond);
	pthread_mutex_unlock(&l->posts.mutex);
	(void)pthread_join(l->thread, NULL);
	ledger_free(l);
}

struct waiter {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool done;
	enum err e;
};

static void on_done(void *arg, enum err e)
{
	struct waiter *w = arg;

	pthread_mutex_lock(&w->mutex);
	w->done = true;
	w->e = e;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mutex);
}

enum err ledger_rebuild(const struct ledger_options *options,
			struct spool *spool, uint64_t *instances,
			char why[LEDGER_WHY_LEN])
{
	struct waiter w = {.mutex = PTHREAD_MUTEX_INITIALIZER,
			   .cond = PTHREAD_COND_INITIALIZER};
	struct ledger_stats *stats = mem_zalloc(sizeof(*stats));
	struct ledger *l = NULL;
	enum err e = stats != NULL ? ERR_OK : ERR_NOMEM;

	if (e == ERR_OK)
		e = open_with(options, spool, "before-rebuild", &l, why);
	if (e == ERR_OK)
		e = ledger_barrier(l, on_done, &w);
	if (e == ERR_OK) {
		pthread_mutex_lock(&w.mutex);
		while (!w.done)
			pthread_cond_wait(&w.cond, &w.mutex);
		pthread_mutex_unlock(&w.mutex);
		e = w.e;
		ledger_stats(l, stats);
		*instances = stats->instances;
	}
	ledger_close(l);
	mem_free(stats);
	return e;
}
