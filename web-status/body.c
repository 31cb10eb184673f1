/* body.c - bodies of unknown length: a thread reads, HTTP sends.
 *
 *   pump thread --read()--> ring of BODY_ROOM bytes --> on_want() on HTTP's
 *
 * HTTP's connection sleeps (is suspended) while the ring is empty, the pump
 * while it is full. A piece of BODY_PIECE bytes has WEB_PIECE_MS to be taken:
 * there are few places. Two owners: the pump and the response. */
#include <pthread.h>
#include <string.h>

#include "proxy/lib/buf.h"
#include "proxy/lib/mem.h"
#include "web-status/data.h"
#include "web-status/gate.h"
#include "web-status/server_int.h"

enum {
	BODIES_MAX = 4,
	BODY_ROOM = 512 * 1024,
	BODY_PIECE = 64 * 1024,
};

struct web_body {
	struct list node; /* of the server's; under its bodies_lock */
	struct web_server *server;
	struct web_stream stream;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t room;
	/* Under lock: */
	struct MHD_Connection *asleep; /* NULL: it is awake */
	struct buf ring;
	bool ended, failed; /* the pump is through */
	bool dropped;       /* the client is gone */
	uint8_t piece[BODY_PIECE];
};

/* Under lock. */
static void wake(struct web_body *b)
{
	struct MHD_Connection *c = b->asleep;

	b->asleep = NULL;
	if (c != NULL)
		MHD_resume_connection(c);
}

/* Under lock: false when nobody wants more. */
static bool put(struct web_body *b, const uint8_t *p, size_t n)
{
	while (!b->dropped && BODY_ROOM - buf_len(&b->ring) < n)
		pthread_cond_wait(&b->room, &b->lock);
	if (b->dropped || buf_append(&b->ring, p, n) != ERR_OK)
		return false;
	wake(b);
	return true;
}

static void *pump(void *arg)
{
	struct web_body *b = arg;
	ptrdiff_t n = 0;

	do {
		n = b->stream.read(b->stream.arg, b->piece, sizeof(b->piece));
		pthread_mutex_lock(&b->lock);
		if (n > 0 && !put(b, b->piece, (size_t)n))
			n = -1;
		pthread_mutex_unlock(&b->lock);
	} while (n > 0);
	pthread_mutex_lock(&b->lock);
	b->ended = true;
	b->failed = n < 0;
	wake(b);
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

/* ---- HTTP's side ------------------------------------------------------- */

static ssize_t on_want(void *arg, uint64_t at, char *out, size_t max)
{
	struct web_request *r = arg;
	struct web_body *b = r->body;
	ssize_t n;

	(void)at;
	pthread_mutex_lock(&b->lock);
	n = (ssize_t)(buf_len(&b->ring) < max ? buf_len(&b->ring) : max);
	if (n > 0) {
		memcpy(out, buf_data(&b->ring), (size_t)n);
		buf_consume(&b->ring, (size_t)n);
		pthread_cond_signal(&b->room);
		peer_deadline(r->peer, web_piece_ms());
	} else if (b->ended && !b->failed) {
		n = MHD_CONTENT_READER_END_OF_STREAM;
	} else if (b->ended || atomic_load(&b->server->stopping)) {
		n = MHD_CONTENT_READER_END_WITH_ERROR;
	} else {
		peer_deadline(r->peer, 0);
		b->asleep = r->connection;
		MHD_suspend_connection(r->connection);
	}
	pthread_mutex_unlock(&b->lock);
	return n;
}

/* The pump ends soon, whatever it waits for; then there is one owner. */
static void end_pump(struct web_body *b)
{
	pthread_mutex_lock(&b->lock);
	b->dropped = true;
	pthread_cond_signal(&b->room);
	if (!b->ended && b->stream.cancel != NULL)
		b->stream.cancel(b->stream.arg);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
}

void body_drop(struct web_body *b)
{
	struct web_server *s;

	if (b == NULL)
		return;
	s = b->server;
	end_pump(b);
	pthread_mutex_lock(&s->bodies_lock);
	list_remove(&b->node);
	s->n_bodies--;
	pthread_mutex_unlock(&s->bodies_lock);
	if (b->stream.done != NULL)
		b->stream.done(b->stream.arg);
	buf_free(&b->ring);
	pthread_cond_destroy(&b->room);
	pthread_mutex_destroy(&b->lock);
	mem_free(b);
}

struct MHD_Response *body_response(struct web_request *r)
{
	/* the request, and the body with it, outlives the response */
	peer_deadline(r->peer, 0);
	return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BODY_PIECE,
						 on_want, r, NULL);
}

void bodies_stop(struct web_server *s)
{
	pthread_mutex_lock(&s->bodies_lock);
	LIST_EACH(node, tmp, &s->bodies)
	{
		struct web_body *b = CONTAINER_OF(node, struct web_body, node);

		pthread_mutex_lock(&b->lock);
		b->dropped = true;
		pthread_cond_signal(&b->room);
		if (!b->ended && b->stream.cancel != NULL)
			b->stream.cancel(b->stream.arg);
		wake(b);
		pthread_mutex_unlock(&b->lock);
	}
	pthread_mutex_unlock(&s->bodies_lock);
}

/* ---- for views --------------------------------------------------------- */

static bool reserve(struct web_server *s)
{
	bool yes;

	pthread_mutex_lock(&s->bodies_lock);
	yes = s->n_bodies < BODIES_MAX && !atomic_load(&s->stopping);
	s->n_bodies += yes;
	pthread_mutex_unlock(&s->bodies_lock);
	return yes;
}

static void release(struct web_server *s)
{
	pthread_mutex_lock(&s->bodies_lock);
	s->n_bodies--;
	pthread_mutex_unlock(&s->bodies_lock);
}

static struct web_body *body_new(struct web_server *s,
				 const struct web_stream *stream)
{
	struct web_body *b = mem_zalloc(sizeof(*b));

	if (b == NULL)
		return NULL;
	b->server = s;
	b->stream = *stream;
	buf_init(&b->ring, BODY_ROOM);
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->room, NULL);
	/* in the list before it runs: stopping finds it */
	pthread_mutex_lock(&s->bodies_lock);
	list_push_back(&s->bodies, &b->node);
	pthread_mutex_unlock(&s->bodies_lock);
	if (pthread_create(&b->thread, NULL, pump, b) == 0)
		return b;
	pthread_mutex_lock(&s->bodies_lock);
	list_remove(&b->node);
	pthread_mutex_unlock(&s->bodies_lock);
	mem_free(b);
	return NULL;
}

enum err web_stream(struct web_request *r, const struct web_stream *stream)
{
	if (r->body != NULL || r->peer == NULL || !reserve(r->server))
		return ERR_BUSY;
	r->body = body_new(r->server, stream);
	if (r->body == NULL) {
		release(r->server);
		return ERR_NOMEM;
	}
	return ERR_OK;
}

/* ---- questions --------------------------------------------------------- */

struct ledger_view *web_ledger(struct web_request *r, const char **why)
{
	if (r->view == NULL)
		r->view = data_ledger(r->server->data, r->why);
	if (why != NULL)
		*why = r->why;
	return r->view;
}

struct json_t *web_status(struct web_request *r, uint64_t *age_ms)
{
	return data_status(r->server->data, age_ms);
}

enum err web_control(struct web_request *r, const struct json_t *request,
		     struct json_t **answer)
{
	return data_ask(r->server->data, request, r->user, r->roles, answer,
			NULL);
}

enum err web_control_open(struct web_request *r, const struct json_t *request,
			  struct json_t **answer, int *fd)
{
	*fd = -1;
	return data_ask(r->server->data, request, r->user, r->roles, answer,
			fd);
}
