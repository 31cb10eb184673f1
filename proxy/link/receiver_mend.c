/* receiver_mend.c - an instance that had arrived and does not open any more.
 *
 * It was quarantined when it was to be delivered. The edge still has it: what
 * is sound of it is put aside as an unfinished transfer of the same name, the
 * instance is withdrawn here, and BAD LOST tells the edge to offer it again.
 * HAVE then names all but the damaged chunks.
 *
 * All of that waits for disk and ledger, so it runs in a thread of libuv's
 * pool, one instance at a time for each link. A daemon that stops leaves it as
 * it is: the next link begins anew. */
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/link/receiver_int.h"
#include "store/seal.h"

enum {
	PLACES = 64,
	NAP_US = 20 * 1000,
	PATIENCE = 1500, /* naps: 30 s */
};

struct rx_mend {
	struct list node; /* of session->mends */
	uv_work_t work;
	struct rx_home *home;
	uint64_t session; /* serial */
	struct ledger_origin origin;
	struct instance *in; /* NULL: not read yet */
	struct spool_partial_put *put;
	atomic_uint told; /* chunks of put, durable or not */
	uint32_t n_put, n_bad, first_bad;
	uint8_t leaf[LINK_HASH_LEN]; /* of first_bad, if its head says so */
	bool withdrawn;
	uint8_t *data; /* CHUNK_LEN */

	/* Of the question under way. */
	sem_t answered;
	enum err e;
	struct place places[PLACES];
	size_t n_places;
	enum origin_state state;
};

/* ---- in the pool's thread: questions ----------------------------------- */

static struct spool *spool_of(const struct rx_mend *m)
{
	return m->home->receiver->opt.spool;
}

static bool stopping(const struct rx_mend *m)
{
	return atomic_load(&m->home->receiver->stopping);
}

static void on_places(void *arg, enum err e, const struct place *places,
		      size_t n)
{
	struct rx_mend *m = arg;

	m->e = e;
	m->n_places = e == ERR_OK && n <= PLACES ? n : 0;
	if (m->n_places > 0)
		memcpy(m->places, places, n * sizeof(*places));
	(void)sem_post(&m->answered);
}

static bool ask_places(struct rx_mend *m, uint32_t first)
{
	if (ledger_places(m->home->receiver->opt.ledger, m->origin.seq, first,
			  PLACES, on_places, m) != ERR_OK)
		return false;
	while (sem_wait(&m->answered) != 0)
		;
	return m->e == ERR_OK && m->n_places > 0;
}

static void on_state(void *arg, enum err e, const struct ledger_origin *v,
		     size_t n)
{
	struct rx_mend *m = arg;

	m->e = e;
	m->state = e == ERR_OK && n == 1 ? v[0].state : ORIGIN_STUCK;
	(void)sem_post(&m->answered);
}

/* The ledger has taken it back. */
static bool await_gone(struct rx_mend *m)
{
	for (int i = 0; i < PATIENCE && !stopping(m); i++) {
		if (ledger_origins(m->home->receiver->opt.ledger,
				   &m->origin.origin, 1, on_state,
				   m) == ERR_OK) {
			while (sem_wait(&m->answered) != 0)
				;
			if (m->e == ERR_OK && m->state == ORIGIN_NONE)
				return true;
		}
		(void)usleep(NAP_US);
	}
	return false;
}

/* ---- in the pool's thread: what is sound ------------------------------- */

static void on_chunks(void *arg, enum err e, uint32_t first, uint32_t n)
{
	struct rx_mend *m = arg;

	(void)e; /* what is not durable is not named by HAVE */
	(void)first;
	atomic_fetch_add(&m->told, n);
}

static void on_done(void *arg, enum err e, const struct instance *stored)
{
	(void)arg;
	(void)e;
	(void)stored;
}

static bool open_aside(struct rx_mend *m)
{
	struct spool_partial_events ev = {
	    .on_chunks = on_chunks, .on_done = on_done, .arg = m};
	bool resumed;

	if (m->put != NULL)
		return true;
	m->in->has_origin = true;
	m->in->origin = m->origin.origin;
	return spool_partial_open(spool_of(m), m->in, &ev, &m->put, &resumed) ==
	       ERR_OK;
}

static void put_aside(struct rx_mend *m, uint32_t index,
		      const struct spool_chunk *c)
{
	struct spool_partial_chunk p = {
	    .index = index, .length = (uint32_t)c->len, .data = m->data};
	enum err e;

	if (m->in == NULL || !open_aside(m))
		return; /* then it is sent again */
	memcpy(p.leaf, c->leaf, sizeof(p.leaf));
	for (int i = 0; i < PATIENCE && !stopping(m); i++) {
		e = spool_partial_put(m->put, &p);
		if (e == ERR_OK && !p.durable)
			m->n_put++;
		if (e != ERR_AGAIN)
			return;
		(void)usleep(NAP_US);
	}
}

static void keep_instance(struct rx_mend *m, struct spool_chunk *c)
{
	if (!c->has_instance || m->in != NULL)
		return;
	m->in = mem_zalloc(sizeof(*m->in));
	if (m->in != NULL)
		*m->in = *c->instance;
}

static void note_bad(struct rx_mend *m, uint32_t index, struct place place)
{
	struct spool_chunk head = {.instance = NULL};
	char id[TRANSFER_TEXT_LEN];

	if (m->n_bad++ == 0) {
		m->first_bad = index;
		if (spool_read_whole(spool_of(m), place, &m->origin.transfer,
				     index, false, NULL, &head) == ERR_OK)
			memcpy(m->leaf, head.leaf, sizeof(m->leaf));
	}
	log_event(LOG_ERROR, "chunk-lost", "transfer=%s chunk=%u",
		  transfer_id_text(&m->origin.transfer, id), index);
}

/* Read one chunk; with keep, put it aside. False: it could not be looked at. */
static bool look_at(struct rx_mend *m, uint32_t index, struct place place,
		    bool keep)
{
	struct instance in;
	struct spool_chunk c = {.instance = &in};
	enum err e = spool_read_whole(spool_of(m), place, &m->origin.transfer,
				      index, false, m->data, &c);

	if (e == ERR_OK) {
		keep_instance(m, &c);
		if (keep)
			put_aside(m, index, &c);
	} else if (e == ERR_CORRUPT && !keep) {
		note_bad(m, index, place);
	}
	mem_wipe(&in, sizeof(in));
	return e == ERR_OK || e == ERR_CORRUPT;
}

static bool each_chunk(struct rx_mend *m, bool keep)
{
	uint32_t index = 0;

	while (index < m->origin.chunks) {
		if (stopping(m) || !ask_places(m, index))
			return false;
		for (size_t i = 0; i < m->n_places; i++, index++)
			if (stopping(m) ||
			    !look_at(m, index, m->places[i], keep))
				return false;
	}
	return true;
}

static void withdraw(struct rx_mend *m)
{
	struct outcome o = {.id = m->origin.transfer,
			    .kind = OUTCOME_WITHDRAWN,
			    .at_ms = clock_wall_ms()};

	for (int i = 0;
	     i < PATIENCE && atomic_load(&m->told) < m->n_put && !stopping(m);
	     i++)
		(void)usleep(NAP_US);
	spool_partial_close(m->put);
	m->put = NULL;
	if (!stopping(m) && spool_outcome(spool_of(m), &o) == ERR_OK)
		m->withdrawn = await_gone(m);
}

static void on_work(uv_work_t *work)
{
	struct rx_mend *m = CONTAINER_OF(work, struct rx_mend, work);

	if (!each_chunk(m, false) || m->n_bad == 0)
		return; /* quarantined for another reason, or not now */
	if (m->origin.chunks > 1)
		(void)each_chunk(m, true);
	withdraw(m);
}

/* ---- on the worker ----------------------------------------------------- */

static void mend_free(struct rx_mend *m)
{
	if (m->in != NULL)
		mem_wipe(m->in, sizeof(*m->in));
	if (m->data != NULL)
		mem_wipe(m->data, CHUNK_LEN);
	(void)sem_destroy(&m->answered);
	mem_free(m->in);
	mem_free(m->data);
	mem_free(m);
}

static void next_one(struct rx_session *s);

static void on_mended(uv_work_t *work, int status)
{
	struct rx_mend *m = CONTAINER_OF(work, struct rx_mend, work);
	struct rx_session *s = rx_session_by_serial(m->home, m->session);
	struct link_bad_chunk bad = {.index = m->first_bad,
				     .reason = LINK_BAD_LOST};

	(void)status;
	spool_partial_close(m->put);
	if (m->withdrawn)
		rx_epoch_renew(m->home->receiver);
	if (s != NULL && !s->ending) {
		s->mending = false;
		memcpy(bad.said, m->leaf, sizeof(bad.said));
		if (m->withdrawn)
			rx_tell_bad(rx_session_wire(s), &m->origin.origin.id,
				    &bad);
		next_one(s);
	}
	mend_free(m);
}

static void next_one(struct rx_session *s)
{
	struct list *first = s->mending ? NULL : list_pop_front(&s->mends);
	struct rx_mend *m;

	if (first == NULL)
		return;
	m = CONTAINER_OF(first, struct rx_mend, node);
	m->data = mem_realloc(NULL, CHUNK_LEN);
	s->n_mends--;
	s->mending =
	    m->data != NULL && uv_queue_work(worker_loop(s->home->worker),
					     &m->work, on_work, on_mended) == 0;
	if (!s->mending)
		mend_free(m); /* the next link tries again */
}

void rx_mend(struct rx_session *s, const struct ledger_origin *o)
{
	struct rx_mend *m;

	if (o->state != ORIGIN_STUCK || o->stuck != ORIGIN_STUCK_QUARANTINED ||
	    s->n_mends >= RX_MENDS_MAX || s->home->closed)
		return;
	m = mem_zalloc(sizeof(*m));
	if (m == NULL)
		return;
	m->home = s->home;
	m->session = s->serial;
	m->origin = *o;
	(void)sem_init(&m->answered, 0, 0);
	list_push_back(&s->mends, &m->node);
	s->n_mends++;
	next_one(s);
}

void rx_mend_drop(struct rx_session *s)
{
	struct list *first;

	while ((first = list_pop_front(&s->mends)) != NULL)
		mend_free(CONTAINER_OF(first, struct rx_mend, node));
	s->n_mends = 0;
}
