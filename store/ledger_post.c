/* ledger_post.c - what any thread leaves for the ledger thread. */
#include <assert.h>
#include <string.h>
#include <time.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/ledger_in.h"

enum { POSTS_DEFAULT = 16384, POSTS_BYTES = 16 << 20, REQUESTS_MAX = 4096 };

enum err ledger_posts_init(struct posts *p, unsigned max)
{
	pthread_condattr_t attr;
	bool ok;

	list_init(&p->rows);
	list_init(&p->audit);
	list_init(&p->requests);
	p->max = max != 0 ? max : POSTS_DEFAULT;
	if (pthread_mutex_init(&p->mutex, NULL) != 0)
		return ERR_NOMEM;
	ok = pthread_condattr_init(&attr) == 0;
	if (ok) {
		ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
		     pthread_cond_init(&p->cond, &attr) == 0;
		(void)pthread_condattr_destroy(&attr);
	}
	if (!ok) {
		(void)pthread_mutex_destroy(&p->mutex);
		return ERR_NOMEM;
	}
	return ERR_OK;
}

static void free_list(struct list *posts)
{
	LIST_EACH(it, tmp, posts)
	{
		struct post *p = CONTAINER_OF(it, struct post, node);

		ledger_sure_settle(p->sure, ERR_IO);
		mem_free(p);
	}
	list_init(posts);
}

void ledger_posts_free(struct posts *p)
{
	free_list(&p->rows);
	free_list(&p->audit);
	(void)pthread_cond_destroy(&p->cond);
	(void)pthread_mutex_destroy(&p->mutex);
}

/* ---- how full is too full --------------------------------------------- */

unsigned ledger_posts_fill(const struct posts *p)
{
	size_t by_n = (size_t)p->n * 100 / p->max;
	size_t by_bytes = p->bytes / (POSTS_BYTES / 100);

	return (unsigned)(by_n > by_bytes ? by_n : by_bytes);
}

static unsigned limit_of(enum post_kind kind)
{
	switch (kind) {
	case POST_REFUSAL:
	case POST_SAMPLE:
		return 25;
	case POST_CAPABILITY:
	case POST_ATTEMPT:
	case POST_NOTED:
		return 50;
	case POST_OPERATION:
		return 75;
	case POST_ASSOCIATION:
	case POST_ASSOCIATION_END:
	case POST_AUDIT:
		return 100;
	}
	return 0;
}

static bool post(struct ledger *l, struct post *new)
{
	struct posts *p = &l->posts;
	bool taken;

	pthread_mutex_lock(&p->mutex);
	taken = new != NULL &&ledger_posts_fill(p) < limit_of(new->kind);
	if (taken) {
		list_push_back(new->kind == POST_AUDIT ? &p->audit : &p->rows,
			       &new->node);
		p->n++;
		p->bytes += new->bytes;
		pthread_cond_signal(&p->cond);
	} else {
		p->dropped++;
		p->untold++;
	}
	if (ledger_posts_fill(p) > 50)
		atomic_store(&l->accepting, false);
	pthread_mutex_unlock(&p->mutex);
	if (!taken)
		mem_free(new);
	return taken;
}

void ledger_post_free(struct posts *p, struct post *done)
{
	pthread_mutex_lock(&p->mutex);
	p->n--;
	p->bytes -= done->bytes;
	pthread_mutex_unlock(&p->mutex);
	ledger_sure_settle(done->sure, ERR_IO);
	mem_free(done);
}

/* ---- posts ----------------------------------------------------------- */

/* A block as long as this kind of post needs: the end of the union's larger
 * members may be missing. extra bytes stand behind the whole struct. */
static struct post *post_new(enum post_kind kind, size_t size, size_t extra)
{
	size_t bytes = offsetof(struct post, as) + size;
	struct post *p;

	if (extra > 0)
		bytes = sizeof(struct post) + extra;
	p = mem_zalloc(bytes);
	if (p == NULL)
		return NULL;
	list_init(&p->node);
	p->kind = kind;
	p->bytes = bytes;
	return p;
}

uint64_t ledger_association_id(struct ledger *l)
{
	return atomic_fetch_add(&l->next_association, 1);
}

/* The contexts and their text are copied behind the row. */
static void copy_contexts(struct post *p, const struct ledger_association *a)
{
	struct ledger_context *c = (void *)(p + 1);
	char *text = (char *)(c + a->n_contexts);

	p->as.association = *a;
	p->as.association.contexts = c;
	for (size_t i = 0; i < a->n_contexts; i++) {
		const char *from = a->contexts[i].proposed;
		size_t n = from != NULL ? strlen(from) + 1 : 0;

		c[i] = a->contexts[i];
		c[i].proposed = n > 0 ? memcpy(text, from, n) : NULL;
		text += n;
	}
}

void ledger_association_begin(struct ledger *l,
			      const struct ledger_association *a)
{
	size_t extra = a->n_contexts * sizeof(struct ledger_context);
	struct post *p;

	for (size_t i = 0; i < a->n_contexts; i++)
		if (a->contexts[i].proposed != NULL)
			extra += strlen(a->contexts[i].proposed) + 1;
	p = post_new(POST_ASSOCIATION, sizeof(*a), extra);
	if (p != NULL)
		copy_contexts(p, a);
	(void)post(l, p);
}

#define POST_COPY(kind_, member, from)                                         \
	do {                                                                   \
		struct post *p = post_new((kind_), sizeof(*(from)), 0);        \
		if (p != NULL)                                                 \
			p->as.member = *(from);                                \
		(void)post(l, p);                                              \
	} while (0)

void ledger_association_end(struct ledger *l,
			    const struct ledger_association_end *a)
{
	POST_COPY(POST_ASSOCIATION_END, end, a);
}

void ledger_refusal(struct ledger *l, const struct ledger_refusal *r)
{
	POST_COPY(POST_REFUSAL, refusal, r);
}

void ledger_capability(struct ledger *l, const struct ledger_capability *c)
{
	POST_COPY(POST_CAPABILITY, capability, c);
}

void ledger_attempt(struct ledger *l, const struct ledger_attempt *a)
{
	POST_COPY(POST_ATTEMPT, attempt, a);
}

void ledger_operation(struct ledger *l, const struct ledger_operation *o)
{
	POST_COPY(POST_OPERATION, operation, o);
}

void ledger_origin_noted(struct ledger *l, const struct instance_origin *v,
			 size_t n)
{
	struct post *p;

	assert(n <= LEDGER_ORIGINS_MAX);
	if (n == 0)
		return;
	p = post_new(POST_NOTED, sizeof(p->as.noted), n * sizeof(*v));
	if (p != NULL) {
		p->as.noted.n = n;
		p->as.noted.v = memcpy(p + 1, v, n * sizeof(*v));
	}
	(void)post(l, p);
}

void ledger_sample(struct ledger *l, const struct ledger_sample *s)
{
	size_t bytes = s->n * sizeof(*s->values);
	struct post *p;

	assert(s->n <= SAMPLE_MAX);
	if (s->n == 0)
		return;
	p = post_new(POST_SAMPLE, sizeof(*s), bytes);
	if (p != NULL) {
		p->as.sample = *s;
		p->as.sample.values = memcpy(p + 1, s->values, bytes);
	}
	(void)post(l, p);
}

static struct post *audit_post(struct ledger *l, const struct audit_event *e)
{
	size_t extra = e->sealed_len <= AUDIT_SEALED_LEN ? e->sealed_len
							 : AUDIT_SEALED_LEN;
	struct post *p = post_new(POST_AUDIT, sizeof(*e), extra);

	if (p != NULL) {
		p->upto = spool_durable(l->spool);
		p->as.audit = *e;
		p->as.audit.sealed =
		    extra > 0 ? memcpy(p + 1, e->sealed, extra) : NULL;
		if (e->wall_ms == 0)
			p->as.audit.wall_ms = clock_wall_ms();
		if (e->mono_ns == 0)
			p->as.audit.mono_ns = clock_mono_ns();
	}
	return p;
}

void ledger_audit(struct ledger *l, const struct audit_event *e)
{
	(void)post(l, audit_post(l, e));
}

enum err ledger_audit_sure(struct ledger *l, const struct audit_event *e,
			   unsigned ms)
{
	struct ledger_sure *s = ledger_sure_new();
	struct post *p = s != NULL ? audit_post(l, e) : NULL;

	if (p == NULL) {
		mem_free(s);
		return ERR_NOMEM;
	}
	p->sure = s;
	if (!post(l, p)) /* freed, but not what it held */
		ledger_sure_settle(s, ERR_BUSY);
	return ledger_sure_wait(s, ms);
}

enum err ledger_seal_identifier(struct ledger *l, const uint8_t *p, size_t n,
				uint8_t *out, size_t cap, size_t *len,
				uint8_t commitment[32])
{
	enum err e;

	if (n > LEDGER_IDENTIFIER_MAX || cap < n + LEDGER_IDENTIFIER_EXTRA)
		return ERR_LIMIT;
	pthread_mutex_lock(&l->seal_mutex);
	e = ledger_identifier_lock(l->query_seal, p, n, out, commitment);
	pthread_mutex_unlock(&l->seal_mutex);
	if (e == ERR_OK)
		*len = n + LEDGER_IDENTIFIER_EXTRA;
	return e;
}

/* ---- requests -------------------------------------------------------- */

/* extra bytes stand behind the request. */
static enum err request_with(struct ledger *l, const struct request *from,
			     const void *extra, size_t bytes)
{
	struct posts *p = &l->posts;
	struct request *r = mem_zalloc(sizeof(*r) + bytes);
	enum err e = ERR_OK;

	if (r == NULL)
		return ERR_NOMEM;
	*r = *from;
	if (bytes > 0)
		memcpy(r + 1, extra, bytes);
	list_init(&r->node);
	pthread_mutex_lock(&p->mutex);
	if (p->n_requests >= REQUESTS_MAX) {
		e = ERR_BUSY;
	} else {
		list_push_back(&p->requests, &r->node);
		p->n_requests++;
		pthread_cond_signal(&p->cond);
	}
	pthread_mutex_unlock(&p->mutex);
	if (e != ERR_OK)
		mem_free(r);
	return e;
}

static enum err request(struct ledger *l, const struct request *from)
{
	return request_with(l, from, NULL, 0);
}

enum err ledger_fetch(struct ledger *l, const struct ledger_query *q,
		      ledger_fetched_fn *fn, void *arg)
{
	struct request r = {.kind = REQUEST_FETCH, .arg = arg};

	if (q->max == 0 || q->max > LEDGER_FETCH_MAX ||
	    !delivery_state_keeps(q->state))
		return ERR_INVAL;
	r.as.fetch.q = *q;
	r.as.fetch.fn = fn;
	return request(l, &r);
}

enum err ledger_places(struct ledger *l, uint64_t seq, uint32_t first,
		       unsigned n, ledger_places_fn *fn, void *arg)
{
	struct request r = {.kind = REQUEST_PLACES, .arg = arg};

	if (n == 0 || n > LEDGER_PLACES_MAX)
		return ERR_INVAL;
	r.as.places.seq = seq;
	r.as.places.first = first;
	r.as.places.n = n;
	r.as.places.fn = fn;
	return request(l, &r);
}

enum err ledger_transfer(struct ledger *l, const struct transfer_id *id,
			 uint32_t first, unsigned n, ledger_transfer_fn *fn,
			 void *arg)
{
	struct request r = {.kind = REQUEST_TRANSFER, .arg = arg};

	if (n == 0 || n > LEDGER_PLACES_MAX)
		return ERR_INVAL;
	r.as.transfer.id = *id;
	r.as.transfer.first = first;
	r.as.transfer.n = n;
	r.as.transfer.fn = fn;
	return request(l, &r);
}

enum err ledger_origins(struct ledger *l, const struct instance_origin *v,
			size_t n, ledger_origins_fn *fn, void *arg)
{
	struct request r = {.kind = REQUEST_ORIGINS, .arg = arg};

	if (n == 0 || n > LEDGER_ORIGINS_MAX)
		return ERR_INVAL;
	r.as.origins.n = n;
	r.as.origins.fn = fn;
	return request_with(l, &r, v, n * sizeof(*v));
}

enum err ledger_origins_told(struct ledger *l,
			     const uint8_t owner[LEDGER_OWNER_LEN],
			     uint64_t after_seq, size_t max,
			     ledger_origins_fn *fn, void *arg)
{
	struct request r = {.kind = REQUEST_ORIGINS_TOLD, .arg = arg};

	if (max == 0 || max > LEDGER_ORIGINS_MAX)
		return ERR_INVAL;
	memcpy(r.as.told.owner, owner, LEDGER_OWNER_LEN);
	r.as.told.after = after_seq;
	r.as.told.max = max;
	r.as.told.fn = fn;
	return request(l, &r);
}

enum err ledger_barrier(struct ledger *l, ledger_done_fn *done, void *arg)
{
	struct request r = {.kind = REQUEST_BARRIER, .arg = arg};

	r.as.barrier.upto = spool_durable(l->spool);
	r.as.barrier.fn = done;
	return request(l, &r);
}

void ledger_wake(struct ledger *l)
{
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->posts.mutex);
	l->posts.woken = true;
	pthread_cond_signal(&l->posts.cond);
	pthread_mutex_unlock(&l->posts.mutex);
}

bool ledger_accepting(struct ledger *l)
{
	return atomic_load(&l->accepting);
}

void ledger_stats(struct ledger *l, struct ledger_stats *out)
{
	pthread_mutex_lock(&l->stats_mutex);
	*out = l->stats;
	pthread_mutex_unlock(&l->stats_mutex);
	pthread_mutex_lock(&l->posts.mutex);
	out->queued_posts = l->posts.n;
	out->dropped_posts = l->posts.dropped;
	pthread_mutex_unlock(&l->posts.mutex);
}
