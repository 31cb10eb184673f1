/* commitment_own.c - commitment that we ask for ourselves (`commit:` of a
 * route): see commitment_int.h.
 *
 * Deliveries in the state uncommitted are gathered, per archive and pair of AE
 * titles, into requests with transaction UIDs of our own. What was asked is
 * remembered here only: after a restart it is asked again, which does no harm.
 *
 *   uncommitted --asked, safe--> committed
 *       |  ^---- delivered again       failed otherwise: asked again later
 *       +--asked, 0112 (three times: quarantined)--> queued */
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/commitment_int.h"
#include "proxy/dicom/command.h"
#include "proxy/idmap.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/spool.h"

enum {
	BATCH_MAX = 1000,        /* instances in one request */
	BATCH_AGE_MS = 10000,    /* longest wait for more of them */
	OUTSTANDING_MAX = 20000, /* asked of one archive, not answered */
	TRIES_MAX = 3,           /* sent again before quarantine */
	TRIES_KEPT = 100000,
	LOOK_MS = 1000,
	SETTLE_MS = 1000,  /* before a look whether outcomes are on record */
	LATER_MS = 600000, /* asked again after another failure */
	ANSWER_PAGE = LEDGER_PAGE_MAX,
};

/* One request of ours. */
struct batch {
	struct list node; /* of target.batches */
	char transaction[UID_SIZE];
	uint64_t expires_ns; /* monotonic: then its deliveries may be asked
			      * for again */
	bool answered;
	size_t n;
	uint64_t ids[BATCH_MAX]; /* deliveries, rising */
};

/* An archive that is to commit. */
struct target {
	char name[33];
	uint64_t after;   /* every delivery up to here was asked for */
	uint64_t next_ns; /* monotonic */
	size_t outstanding;
	bool complained; /* that asking fails */
	struct list batches;
};

struct own {
	struct target *targets;
	size_t n;
	struct idmap asked; /* delivery -> struct batch */
	struct idmap tries; /* delivery -> number, as a pointer */
};

static uint64_t in_ms(uint64_t ms)
{
	return clock_mono_ns() + ms * 1000000;
}

/* ---- targets ------------------------------------------------------------ */

static struct target *target_of(const struct own *own, const char *name)
{
	for (size_t i = 0; i < own->n; i++) {
		if (strcmp(own->targets[i].name, name) == 0)
			return &own->targets[i];
	}
	return NULL;
}

static void add_target(struct own *own, const char *name)
{
	struct target *t = &own->targets[own->n++];

	snprintf(t->name, sizeof(t->name), "%s", name);
	list_init(&t->batches);
}

/* Every archive, not only those that routes name now: what was taken under an
 * earlier configuration still waits for its commitment. */
enum err own_new(const struct config *config, struct own **out)
{
	struct own *own = mem_zalloc(sizeof(*own));

	if (own == NULL)
		return ERR_NOMEM;
	own->targets =
	    mem_zarray(config->n_destinations + 1, sizeof(*own->targets));
	if (own->targets == NULL) {
		mem_free(own);
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < config->n_destinations; i++) {
		const struct config_destination *d = &config->destinations[i];

		if (!d->implicit && d->protocol != CONFIG_DIRECTORY)
			add_target(own, d->name);
	}
	*out = own;
	return ERR_OK;
}

static void batch_free(struct own *own, struct target *t, struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		idmap_remove(&own->asked, b->ids[i]);
	t->outstanding -= b->n;
	list_remove(&b->node);
	mem_free(b);
}

void own_free(struct own *own)
{
	if (own == NULL)
		return;
	for (size_t i = 0; i < own->n; i++) {
		struct target *t = &own->targets[i];

		LIST_EACH(n, tmp, &t->batches)
		batch_free(own, t, CONTAINER_OF(n, struct batch, node));
	}
	idmap_free(&own->asked);
	idmap_free(&own->tries);
	mem_free(own->targets);
	mem_free(own);
}

/* ---- gathering ---------------------------------------------------------- */

/* What is needed of an uncommitted delivery. */
struct candidate {
	uint64_t delivery;
	int64_t changed_ms;
	bool taken;
	char device[33];
	char calling_ae[17], called_ae[17];
	char sop_class[UID_SIZE], sop_instance[UID_SIZE];
};

struct gather {
	struct own *own;
	struct target *target;
	struct candidate *v; /* BATCH_MAX of them; NULL: none yet */
	size_t n;
	unsigned rows;
};

static bool on_uncommitted(void *arg, const struct view_delivery *d)
{
	struct gather *g = arg;
	struct candidate *k;

	g->rows++;
	if (idmap_get(&g->own->asked, d->delivery) != NULL) {
		if (g->n == 0) /* all before it were asked for, too */
			g->target->after = d->delivery;
		return true;
	}
	if (g->v == NULL)
		g->v = mem_zarray(BATCH_MAX, sizeof(*g->v));
	if (g->v == NULL)
		return false; /* the next look sees them */
	k = &g->v[g->n];
	k->delivery = d->delivery;
	k->changed_ms = d->changed_ms;
	k->taken = false;
	INSTANCE_SET(k->device, d->device);
	INSTANCE_SET(k->calling_ae, d->calling_ae);
	INSTANCE_SET(k->called_ae, d->called_ae);
	INSTANCE_SET(k->sop_class, d->sop_class);
	INSTANCE_SET(k->sop_instance, d->sop_instance);
	g->n++;
	return g->n < BATCH_MAX;
}

static bool together(const struct candidate *a, const struct candidate *b)
{
	return strcmp(a->device, b->device) == 0 &&
	       strcmp(a->calling_ae, b->calling_ae) == 0 &&
	       strcmp(a->called_ae, b->called_ae) == 0;
}

/* ---- asking ------------------------------------------------------------- */

static enum err put_request(struct commitment *c, const struct target *t,
			    const struct candidate *k,
			    const struct commit_set *set)
{
	struct instance *in = mem_zalloc(sizeof(*in));
	struct buf b;
	enum err e;

	if (in == NULL)
		return ERR_NOMEM;
	act_message(in, N_ACTION_RQ, COMMIT_ACTION_TYPE, set->transaction,
		    t->name);
	INSTANCE_SET(in->device, k->device);
	INSTANCE_SET(in->calling_ae, k->calling_ae);
	INSTANCE_SET(in->called_ae, k->called_ae);
	buf_init(&b, (size_t)2 * COMMIT_DATA_MAX);
	e = commit_encode_action(set, TS_IMPLICIT_LE, &b);
	if (e == ERR_OK)
		/* nothing is freed without it; OUTSTANDING_MAX bounds it */
		e = io_put(c, in, SPOOL_ROOM_RESERVE, buf_data(&b),
			   buf_len(&b));
	buf_free(&b);
	mem_free(in);
	return e;
}

static void record(struct commitment *c, enum audit_kind kind,
		   const struct target *t, const struct candidate *k,
		   const char *transaction, const struct act_counts *n)
{
	struct view_message *m = mem_zalloc(sizeof(*m));

	if (m == NULL)
		return;
	INSTANCE_SET(m->transaction, transaction);
	INSTANCE_SET(m->listener, COMMITMENT_LISTENER);
	INSTANCE_SET(m->device, k->device);
	INSTANCE_SET(m->destination, t->name);
	INSTANCE_SET(m->calling_ae, k->calling_ae);
	INSTANCE_SET(m->called_ae, k->called_ae);
	act_audit(c, kind, m, n, "");
	mem_free(m);
}

/* Everything that goes with g->v[first] into one request. */
static enum err collect(struct gather *g, size_t first, struct batch *b,
			struct commit_set *set)
{
	for (size_t i = first; i < g->n && b->n < BATCH_MAX; i++) {
		struct candidate *k = &g->v[i];
		enum err e;

		if (k->taken || !together(&g->v[first], k))
			continue;
		e = commit_add(set, k->sop_class, k->sop_instance, COMMIT_OK);
		if (e == ERR_OK)
			e = idmap_put(&g->own->asked, k->delivery, b);
		if (e != ERR_OK)
			return e;
		k->taken = true;
		b->ids[b->n++] = k->delivery;
		g->target->outstanding++;
	}
	return ERR_OK;
}

static enum err ask(struct commitment *c, struct gather *g, size_t first)
{
	struct batch *b = mem_zalloc(sizeof(*b));
	struct target *t = g->target;
	struct commit_set set = {0};
	enum err e;

	if (b == NULL)
		return ERR_NOMEM;
	list_push_back(&t->batches, &b->node);
	b->expires_ns = in_ms(c->config->commitment.deadline);
	e = act_transaction(b->transaction);
	memcpy(set.transaction, b->transaction, UID_SIZE);
	if (e == ERR_OK)
		e = collect(g, first, b, &set);
	if (e == ERR_OK)
		e = put_request(c, t, &g->v[first], &set);
	if (e == ERR_OK) {
		struct act_counts n = {.instances = set.n, .asked = set.n};

		log_event(LOG_INFO, "commitment-asked",
			  "destination=%s transaction=%s asked=%zu", t->name,
			  b->transaction, set.n);
		record(c, AUDIT_COMMITMENT_REQUESTED, t, &g->v[first],
		       b->transaction, &n);
	} else {
		batch_free(g->own, t, b);
	}
	commit_free(&set);
	return e;
}

static size_t count_group(const struct gather *g, size_t first,
			  int64_t *oldest_ms)
{
	size_t n = 0;

	*oldest_ms = g->v[first].changed_ms;
	for (size_t i = first; i < g->n; i++) {
		if (g->v[i].taken || !together(&g->v[first], &g->v[i]))
			continue;
		n++;
		if (g->v[i].changed_ms < *oldest_ms)
			*oldest_ms = g->v[i].changed_ms;
	}
	return n;
}

/* Groups that are large or old enough. A page that is full stands for more:
 * then even a small group does not wait. */
static enum err ask_groups(struct commitment *c, struct gather *g)
{
	int64_t now = clock_wall_ms(), oldest;
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < g->n; i++) {
		if (g->v[i].taken)
			continue;
		if (count_group(g, i, &oldest) == BATCH_MAX ||
		    g->n == BATCH_MAX || now - oldest >= BATCH_AGE_MS ||
		    oldest > now)
			e = ask(c, g, i);
	}
	return e;
}

/* Does the ledger show what was decided about an answered batch? */
static bool is_settled(struct commitment *c)
{
	struct spool_stats st;

	spool_stats(c->spool, &st);
	return st.outcomes == 0 && io_barrier(c) == ERR_OK;
}

static void expire(struct commitment *c, struct target *t)
{
	uint64_t now = clock_mono_ns();

	LIST_EACH(n, tmp, &t->batches)
	{
		struct batch *b = CONTAINER_OF(n, struct batch, node);

		if (now < b->expires_ns || (b->answered && !is_settled(c)))
			continue;
		if (!b->answered)
			log_event(LOG_WARN, "commitment-unanswered",
				  "destination=%s transaction=%s instances=%zu",
				  t->name, b->transaction, b->n);
		batch_free(c->own, t, b);
		t->after = 0;
	}
}

/* What goes wrong is tried again; it is said once, until it goes well. */
static void complain(struct target *t, enum err e)
{
	if (e == ERR_OK)
		t->complained = false;
	if (e == ERR_OK || e == ERR_CANCELED || t->complained)
		return;
	t->complained = true;
	log_event(LOG_ERROR, "commitment-waits",
		  "destination=%s part=\"request of our own\" detail=\"%s\"",
		  t->name, err_text(e));
}

static void look_at(struct commitment *c, struct target *t)
{
	struct gather g = {.own = c->own, .target = t};
	enum err e;

	t->next_ns = in_ms(LOOK_MS);
	expire(c, t);
	if (t->outstanding + BATCH_MAX > OUTSTANDING_MAX)
		return;
	e = ledger_view_uncommitted(c->view, t->name, t->after, ANSWER_PAGE,
				    on_uncommitted, &g);
	if (read_failed(c, e) == ERR_OK)
		e = ask_groups(c, &g);
	complain(t, e);
	mem_free(g.v);
	if (e == ERR_OK && g.rows == ANSWER_PAGE)
		t->next_ns = 0; /* there is more */
}

void own_look(struct commitment *c)
{
	for (size_t i = 0; i < c->own->n; i++) {
		struct target *t = &c->own->targets[i];

		if (c->view == NULL || atomic_load(&c->stopping))
			return;
		if (clock_mono_ns() >= t->next_ns)
			look_at(c, t);
	}
}

/* ---- answers ------------------------------------------------------------ */

struct verdicts {
	struct commitment *c;
	struct batch *batch; /* NULL: of a process before this one */
	const struct view_message *m;
	struct commit_index index;
	uint64_t last;
	unsigned rows;
	size_t committed, resent, quarantined, later;
};

static void send_again(struct verdicts *v, const struct view_delivery *d)
{
	struct idmap *tries = &v->c->own->tries;
	uintptr_t n = (uintptr_t)idmap_get(tries, d->delivery);
	bool enough = n >= TRIES_MAX;
	struct outcome o = {.id = d->transfer,
			    .kind =
				enough ? OUTCOME_QUARANTINED : OUTCOME_RELEASED,
			    .status = enough ? COMMIT_NO_SUCH_INSTANCE : 0,
			    .at_ms = clock_wall_ms()};

	if (tries->n > TRIES_KEPT)
		idmap_free(tries);
	INSTANCE_SET(o.destination, d->destination);
	if (spool_outcome(v->c->spool, &o) != ERR_OK ||
	    (!enough &&
	     idmap_put(tries, d->delivery, (void *)(n + 1)) != ERR_OK))
		v->later++;
	else if (enough)
		v->quarantined++;
	else
		v->resent++;
}

static void commit(struct verdicts *v, const struct view_delivery *d)
{
	if (io_outcome(v->c, &d->transfer, OUTCOME_COMMITTED, d->destination) !=
	    ERR_OK) {
		v->later++;
		return;
	}
	v->committed++;
	idmap_remove(&v->c->own->tries, d->delivery);
}

/* Was the delivery d part of what is answered? */
static bool is_asked(const struct verdicts *v, const struct view_delivery *d)
{
	if (v->batch != NULL)
		return idmap_get(&v->c->own->asked, d->delivery) == v->batch;
	return d->changed_ms <= v->m->received_ms &&
	       commit_index_find(&v->index, d->sop_instance) != NULL;
}

static bool on_answered(void *arg, const struct view_delivery *d)
{
	struct verdicts *v = arg;
	const struct commit_ref *ref;

	v->rows++;
	v->last = d->delivery;
	if (!is_asked(v, d))
		return true;
	ref = commit_index_find(&v->index, d->sop_instance);
	if (ref == NULL)
		v->later++;
	else if (ref->reason == COMMIT_OK)
		commit(v, d);
	else if (ref->reason == COMMIT_NO_SUCH_INSTANCE)
		send_again(v, d);
	else
		v->later++;
	return true;
}

static enum err judge(struct verdicts *v)
{
	struct commitment *c = v->c;
	uint64_t end = UINT64_MAX;
	enum err e = ERR_OK;

	if (v->batch != NULL && v->batch->n > 0) {
		v->last = v->batch->ids[0] - 1;
		end = v->batch->ids[v->batch->n - 1];
	}
	do {
		v->rows = 0;
		e = ledger_view_uncommitted(c->view, v->m->destination, v->last,
					    ANSWER_PAGE, on_answered, v);
	} while (e == ERR_OK && v->rows == ANSWER_PAGE && v->last < end);
	return read_failed(c, e);
}

static void record_answer(const struct verdicts *v)
{
	struct candidate k = {0};
	struct target t = {0};
	struct act_counts n = {.safe = v->committed};

	n.failed = v->resent + v->quarantined + v->later;
	n.instances = n.safe + n.failed;
	INSTANCE_SET(k.device, v->m->device);
	INSTANCE_SET(k.calling_ae, v->m->calling_ae);
	INSTANCE_SET(k.called_ae, v->m->called_ae);
	INSTANCE_SET(t.name, v->m->destination);
	record(v->c, AUDIT_COMMITMENT_REPORTED, &t, &k, v->m->transaction, &n);
	if (n.failed == 0)
		log_event(LOG_INFO, "committed",
			  "destination=%s transaction=%s instances=%zu", t.name,
			  v->m->transaction, n.safe);
	else
		log_event(LOG_WARN, "not-committed",
			  "destination=%s transaction=%s committed=%zu "
			  "resent=%zu quarantined=%zu later=%zu",
			  t.name, v->m->transaction, v->committed, v->resent,
			  v->quarantined, v->later);
}

static struct batch *batch_of(const struct target *t, const char *transaction)
{
	LIST_EACH(n, tmp, &t->batches)
	{
		struct batch *b = CONTAINER_OF(n, struct batch, node);

		if (strcmp(b->transaction, transaction) == 0)
			return b;
	}
	return NULL;
}

static void close_batch(const struct verdicts *v, struct batch *b)
{
	b->answered = true;
	b->expires_ns = in_ms(v->later > 0 ? LATER_MS : SETTLE_MS);
}

uint16_t own_answer(struct commitment *c, const struct view_message *m,
		    const struct commit_set *answer)
{
	struct target *t = target_of(c->own, m->destination);
	struct verdicts v = {.c = c, .m = m};
	enum err e;

	if (t != NULL)
		v.batch = batch_of(t, m->transaction);
	if (v.batch != NULL && v.batch->answered)
		return STATUS_SUCCESS; /* once more */
	e = commit_index(answer, &v.index);
	if (e == ERR_OK)
		e = judge(&v);
	commit_index_free(&v.index);
	if (v.committed + v.resent + v.quarantined + v.later > 0)
		record_answer(&v);
	if (v.batch != NULL && e == ERR_OK)
		close_batch(&v, v.batch);
	pthread_mutex_lock(&c->mutex);
	c->stats.committed += v.committed;
	pthread_mutex_unlock(&c->mutex);
	return e == ERR_OK ? STATUS_SUCCESS : STATUS_RESOURCE_LIMIT;
}
