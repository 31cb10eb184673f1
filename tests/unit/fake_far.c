#include "tests/unit/fake_far.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/tree.h"
#include "tests/unit/net_fixture.h"

/* ---- what it has --------------------------------------------------------- */

static struct far_tx *find(struct fake_far *f, const struct transfer_id *id)
{
	for (size_t i = 0; i < f->n_tx; i++) {
		if (transfer_id_equal(&f->tx[i].id, id))
			return &f->tx[i];
	}
	return NULL;
}

static void forget_tx(struct far_tx *t)
{
	free(t->bytes);
	free(t->have);
	free(t->twice);
	memset(t, 0, sizeof(*t));
}

static void take_whole(struct far_tx *t, const struct link_frame *fr)
{
	t->follows = false;
	t->length = fr->content.length;
	t->chunks = fr->content.chunks;
	memcpy(t->root, fr->content.root, sizeof(t->root));
}

static struct far_tx *make(struct fake_far *f, const struct link_frame *fr)
{
	struct far_tx *t = &f->tx[f->n_tx++];

	if (f->n_tx > FAR_MAX)
		abort();
	memset(t, 0, sizeof(*t));
	t->id = fr->id;
	t->follows = (fr->flags & LINK_F_COMPLETE) == 0;
	t->length = (uint64_t)FAR_AHEAD * CHUNK_LEN;
	t->chunks = FAR_AHEAD;
	if (!t->follows)
		take_whole(t, fr);
	t->bytes = calloc(1, t->length + 1);
	t->have = calloc(1, t->chunks + 1);
	t->twice = calloc(1, t->chunks + 1);
	return t;
}

static uint32_t chunk_len(const struct far_tx *t, uint32_t i)
{
	uint64_t left = t->length - (uint64_t)i * CHUNK_LEN;

	return left < CHUNK_LEN ? (uint32_t)left : CHUNK_LEN;
}

static bool whole(const struct far_tx *t)
{
	if (t->follows)
		return false;
	for (uint32_t i = 0; i < t->chunks; i++) {
		if (!t->have[i])
			return false;
	}
	return true;
}

static void check_root(struct fake_far *f, const struct far_tx *t)
{
	struct tree *tree = tree_new();
	uint8_t root[LINK_HASH_LEN];

	if (tree_update(tree, t->bytes, t->length) != ERR_OK ||
	    tree_root(tree, root) != ERR_OK ||
	    memcmp(root, t->root, sizeof(root)) != 0)
		f->wrong++;
	tree_free(tree);
}

/* ---- what it says -------------------------------------------------------- */

static void say(struct far_conn *c, const struct link_frame *fr)
{
	if (c->conn != NULL)
		(void)link_conn_send(c->conn, fr);
}

static void tell_delivered(struct far_conn *c, struct far_tx *t)
{
	struct fake_far *f = c->far;
	struct link_frame fr = {.id = t->id};

	if (f->stuck != 0) {
		fr.type = LINK_UNDELIVERED;
		fr.why.code = f->stuck;
		fr.why.status = f->status;
		fr.why.text = (struct link_bytes){(const uint8_t *)"full", 4};
		say(c, &fr);
		return;
	}
	t->state = FAR_DELIVERED;
	fr.type = LINK_DELIVERED;
	fr.delivered.outcome =
	    f->status == 0 ? LINK_OUT_DELIVERED : LINK_OUT_FLAGGED;
	fr.delivered.status = f->status;
	fr.delivered.at_ms = 1;
	say(c, &fr);
}

static void tell_arrived(struct far_conn *c, struct far_tx *t)
{
	struct link_frame fr = {.type = LINK_ARRIVED, .id = t->id};

	fr.arrived.position = ++c->far->arrived;
	memcpy(fr.arrived.root, t->root, sizeof(t->root));
	if (!c->far->mute)
		say(c, &fr);
	if (!c->far->keep)
		tell_delivered(c, t);
}

static void arrive(struct far_conn *c, struct far_tx *t)
{
	check_root(c->far, t);
	t->state = FAR_ARRIVED;
	t->order = c->far->arrived + 1;
	c->far->open--;
	tell_arrived(c, t);
}

static void refuse(struct far_conn *c, const struct transfer_id *id,
		   uint16_t code)
{
	struct link_frame fr = {.type = LINK_REFUSED, .id = *id};

	fr.why.code = code;
	fr.why.retry_s = c->far->retry_s;
	fr.why.text = (struct link_bytes){(const uint8_t *)"said no", 7};
	say(c, &fr);
}

static void tell_have(struct far_conn *c, const struct far_tx *t)
{
	uint8_t runs[LINK_RUNS_MAX * LINK_RUN_LEN], *map;
	uint32_t from = 0;
	struct link_frame fr = {.type = LINK_HAVE, .id = t->id};

	map = calloc(1, t->chunks / 8 + 1);
	for (uint32_t i = 0; i < t->chunks; i++)
		map[i / 8] |= (uint8_t)(t->have[i] << (i % 8));
	fr.runs.p = runs;
	fr.runs.n =
	    link_runs_from_map(map, t->chunks, &from, runs, LINK_RUNS_MAX);
	say(c, &fr);
	free(map);
}

/* ---- what it hears ------------------------------------------------------- */

static void tell_state(struct far_conn *c, struct far_tx *t)
{
	if (t->state == FAR_ARRIVED)
		tell_arrived(c, t);
	else if (t->state == FAR_DELIVERED)
		tell_delivered(c, t);
	else
		tell_have(c, t);
}

static void on_offer(struct far_conn *c, const struct link_frame *fr)
{
	struct fake_far *f = c->far;
	struct far_tx *t = find(f, &fr->id);

	f->offers++;
	if (f->refuse_n > 0) {
		f->refuse_n--;
		refuse(c, &fr->id, f->refuse);
		return;
	}
	if (t == NULL || t->state == FAR_WITHDRAWN) {
		if (t == NULL)
			t = make(f, fr);
		t->state = FAR_GETTING;
		f->open++;
		if (f->open > f->most_open)
			f->most_open = f->open;
	}
	if (t->follows && (fr->flags & LINK_F_COMPLETE) != 0)
		take_whole(t, fr);
	t->offers++;
	t->eager += (fr->flags & LINK_F_EAGER) != 0;
	tell_state(c, t);
	if (t->state == FAR_GETTING && whole(t))
		arrive(c, t);
}

static void on_data(struct far_conn *c, const struct link_frame *fr)
{
	struct fake_far *f = c->far;
	struct far_tx *t = find(f, &fr->id);
	uint64_t at = (uint64_t)fr->data.index * CHUNK_LEN + fr->data.offset;

	f->data += fr->data.data.len;
	c->data += fr->data.data.len;
	if (t != NULL && t->state == FAR_GETTING &&
	    at + fr->data.data.len <= t->length)
		memcpy(t->bytes + at, fr->data.data.p, fr->data.data.len);
	if (f->cut_after > 0 && c->data >= f->cut_after && f->cuts > 0) {
		f->cuts--;
		link_conn_drop(c->conn);
	}
}

static void tell_bad(struct far_conn *c, const struct link_frame *fr)
{
	struct link_frame bad = {.type = LINK_BAD, .id = fr->id};

	c->far->bads++;
	bad.bad.index = fr->end.index;
	bad.bad.reason = LINK_BAD_HASH;
	memcpy(bad.bad.said, fr->end.leaf, sizeof(bad.bad.said));
	memset(bad.bad.found, 0xee, sizeof(bad.bad.found));
	say(c, &bad);
}

static void on_end(struct far_conn *c, const struct link_frame *fr)
{
	struct fake_far *f = c->far;
	struct far_tx *t = find(f, &fr->id);
	uint8_t leaf[LINK_HASH_LEN], run[LINK_RUN_LEN] = {0};
	struct link_frame ack = {.type = LINK_ACK, .id = fr->id};
	uint32_t i = fr->end.index;

	if (t == NULL || t->state != FAR_GETTING)
		return;
	if (i >= t->chunks || fr->end.length != chunk_len(t, i) ||
	    tree_leaf_of(t->bytes + (uint64_t)i * CHUNK_LEN, fr->end.length,
			 leaf) != ERR_OK ||
	    memcmp(leaf, fr->end.leaf, sizeof(leaf)) != 0) {
		f->wrong++;
		return;
	}
	if (f->bad_n > 0 && i == f->bad_index) {
		f->bad_n--;
		tell_bad(c, fr);
		return;
	}
	t->twice[i] = t->have[i];
	t->have[i] = 1;
	for (unsigned k = 0; k < 4; k++)
		run[k] = (uint8_t)(i >> (24 - 8 * k));
	run[7] = 1;
	ack.runs.p = run;
	ack.runs.n = 1;
	say(c, &ack);
	if (whole(t))
		arrive(c, t);
}

static void on_withdraw(struct far_conn *c, const struct link_frame *fr)
{
	struct far_tx *t = find(c->far, &fr->id);

	c->far->withdraws++;
	if (t == NULL) {
		refuse(c, &fr->id, LINK_REFUSED_UNKNOWN);
		return;
	}
	if (t->state == FAR_ARRIVED || t->state == FAR_DELIVERED) {
		tell_state(c, t);
		return;
	}
	if (t->state == FAR_GETTING)
		c->far->open--;
	t->state = FAR_WITHDRAWN;
	t->withdrawn = fr->withdraw;
	memset(t->have, 0, t->chunks);
	refuse(c, &fr->id, LINK_REFUSED_WITHDRAWN);
}

static void on_ids(struct far_conn *c, const struct link_frame *fr)
{
	for (uint32_t i = 0; i < fr->ids.n; i++) {
		struct transfer_id id = link_id_at(fr->ids, i);
		struct far_tx *t = find(c->far, &id);

		if (fr->type == LINK_NOTED && t != NULL)
			t->noted = true;
		if (fr->type == LINK_NOTED)
			c->far->notes++;
		if (fr->type != LINK_QUERY)
			continue;
		c->far->queries++;
		if (t != NULL)
			tell_state(c, t);
		else
			refuse(c, &id, LINK_REFUSED_UNKNOWN);
	}
}

static void on_frame(void *arg, const struct link_frame *fr)
{
	struct far_conn *c = arg;

	pthread_mutex_lock(&c->far->lock);
	if (fr->type == LINK_OFFER)
		on_offer(c, fr);
	else if (fr->type == LINK_DATA)
		on_data(c, fr);
	else if (fr->type == LINK_CHUNK_END)
		on_end(c, fr);
	else if (fr->type == LINK_WITHDRAW)
		on_withdraw(c, fr);
	else if (fr->type == LINK_QUERY || fr->type == LINK_NOTED)
		on_ids(c, fr);
	pthread_mutex_unlock(&c->far->lock);
}

/* ---- its connections ------------------------------------------------------
 */

static uint16_t on_hello(void *arg, const struct link_hello *theirs,
			 const struct link_terms *terms,
			 struct link_hello *ours, char text[LINK_TEXT_MAX + 1])
{
	struct far_conn *c = arg;

	(void)theirs;
	(void)text;
	c->far->terms = *terms;
	c->far->hellos++;
	if (c->far->deaf)
		return LINK_BYE_BUSY;
	memset(ours->session, 7, sizeof(ours->session));
	ours->position = 1000 + c->far->arrived;
	return 0;
}

static uint16_t on_join(void *arg, const struct link_join *join,
			struct link_terms *terms, char text[LINK_TEXT_MAX + 1])
{
	struct far_conn *c = arg;

	(void)join;
	(void)text;
	*terms = c->far->terms;
	c->far->joins++;
	return 0;
}

static void on_closed(void *arg, const struct link_conn_end *end)
{
	struct far_conn *c = arg;

	if (end->why == ERR_PROTO)
		c->far->wrong++;
	c->conn = NULL;
}

static const struct link_conn_events events = {.on_hello = on_hello,
					       .on_join = on_join,
					       .on_frame = on_frame,
					       .on_closed = on_closed};

static void on_accept(void *arg, int fd, const struct sockaddr *peer)
{
	struct fake_far *f = arg;
	struct link_hello h = {.features =
				   LINK_TAKES | LINK_FOLLOW | LINK_JOINS,
			       .version_min = LINK_VERSION,
			       .version_max = LINK_VERSION,
			       .window = f->window,
			       .transfers = f->transfers,
			       .connections = 4,
			       .keepalive_ms = 15000,
			       .chunk_log2 = LINK_CHUNK_LOG2,
			       .node = "far"};
	struct link_conn_options o = {.tls = f->tls, .hello = &h};
	struct far_conn *c = NULL;

	(void)peer;
	for (size_t i = 0; i < FAR_CONNS && c == NULL; i++) {
		if (f->conns[i].conn == NULL)
			c = &f->conns[i];
	}
	if (c == NULL)
		abort();
	c->far = f;
	c->data = 0;
	pthread_mutex_lock(&f->lock);
	memcpy(h.spool, f->spool, sizeof(h.spool));
	memcpy(h.epoch, f->epoch, sizeof(h.epoch));
	pthread_mutex_unlock(&f->lock);
	if (link_conn_accept(f->worker, fd, &o, &events, c, &c->conn) != ERR_OK)
		c->conn = NULL;
}

/* ---- from the test ---------------------------------------------------------
 */

static void post(struct fake_far *f, void (*run)(struct msg *m))
{
	sem_t done;

	assert_int_equal(sem_init(&done, 0, 0), 0);
	f->done = &done;
	f->msg.run = run;
	assert_true(worker_post(f->worker, &f->msg));
	while (sem_wait(&done) != 0)
		;
	sem_destroy(&done);
}

static void run_start(struct msg *m)
{
	struct fake_far *f = CONTAINER_OF(m, struct fake_far, msg);
	char why[LISTENER_WHY_LEN];

	if (listener_open(worker_loop(f->worker), "127.0.0.1:0", 16, on_accept,
			  f, &f->listener, why) != ERR_OK)
		abort();
	f->port = listener_port(f->listener);
	sem_post(f->done);
}

void far_start(struct fake_far *f)
{
	struct tls_options o = {.ca = net_file("ca.pem"),
				.certificate = net_file("server.pem"),
				.key = net_file("server.key"),
				.alpn = LINK_ALPN,
				.tls13_only = true};
	char why[TLS_WHY_LEN];

	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
	f->window = 8 << 20;
	f->transfers = 256;
	memset(f->spool, 1, sizeof(f->spool));
	memset(f->epoch, 1, sizeof(f->epoch));
	assert_int_equal(tls_server_new(&o, &f->tls, why), ERR_OK);
	assert_int_equal(worker_start(9, &f->worker), ERR_OK);
	post(f, run_start);
}

static void run_stop(struct msg *m)
{
	struct fake_far *f = CONTAINER_OF(m, struct fake_far, msg);

	listener_close(f->listener, NULL, NULL);
	sem_post(f->done);
}

void far_stop(struct fake_far *f)
{
	post(f, run_stop);
	worker_stop(f->worker);
	for (size_t i = 0; i < f->n_tx; i++)
		forget_tx(&f->tx[i]);
	tls_context_unref(f->tls);
	pthread_mutex_destroy(&f->lock);
}

static void run_cut(struct msg *m)
{
	struct fake_far *f = CONTAINER_OF(m, struct fake_far, msg);

	for (size_t i = 0; i < FAR_CONNS; i++) {
		if (f->conns[i].conn != NULL)
			link_conn_drop(f->conns[i].conn);
	}
	sem_post(f->done);
}

void far_cut(struct fake_far *f)
{
	post(f, run_cut);
}

static void run_cut_one(struct msg *m)
{
	struct fake_far *f = CONTAINER_OF(m, struct fake_far, msg);

	for (size_t i = 0; i < FAR_CONNS; i++) {
		if (f->conns[i].conn == NULL)
			continue;
		link_conn_drop(f->conns[i].conn);
		break;
	}
	sem_post(f->done);
}

void far_cut_one(struct fake_far *f)
{
	post(f, run_cut_one);
}

void far_restart(struct fake_far *f, bool forget)
{
	pthread_mutex_lock(&f->lock);
	f->epoch[0]++;
	if (forget) {
		for (size_t i = 0; i < f->n_tx; i++)
			forget_tx(&f->tx[i]);
		f->n_tx = 0;
		f->open = 0;
		f->spool[0]++;
	}
	pthread_mutex_unlock(&f->lock);
	far_cut(f);
}

static void run_deliver(struct msg *m)
{
	struct fake_far *f = CONTAINER_OF(m, struct fake_far, msg);
	struct far_conn *c = NULL;

	for (size_t i = 0; i < FAR_CONNS && c == NULL; i++) {
		if (f->conns[i].conn != NULL)
			c = &f->conns[i];
	}
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; c != NULL && i < f->n_tx; i++) {
		if (f->tx[i].state == FAR_ARRIVED)
			tell_delivered(c, &f->tx[i]);
	}
	pthread_mutex_unlock(&f->lock);
	sem_post(f->done);
}

void far_deliver(struct fake_far *f)
{
	post(f, run_deliver);
}

unsigned far_chunks(struct fake_far *f, const struct transfer_id *id)
{
	const struct far_tx *t;
	unsigned n = 0;

	pthread_mutex_lock(&f->lock);
	t = find(f, id);
	for (uint32_t i = 0; t != NULL && i < t->chunks; i++)
		n += t->have[i];
	pthread_mutex_unlock(&f->lock);
	return n;
}

static void run_say(struct msg *m)
{
	struct fake_far *f = CONTAINER_OF(m, struct fake_far, msg);

	for (size_t i = 0; i < FAR_CONNS; i++) {
		if (f->conns[i].conn != NULL) {
			say(&f->conns[i], f->to_say);
			break;
		}
	}
	sem_post(f->done);
}

void far_say(struct fake_far *f, const struct link_frame *fr)
{
	f->to_say = fr;
	post(f, run_say);
}

bool far_find(struct fake_far *f, const struct transfer_id *id,
	      struct far_tx *out)
{
	struct far_tx *t;

	pthread_mutex_lock(&f->lock);
	t = find(f, id);
	if (t != NULL)
		*out = *t;
	pthread_mutex_unlock(&f->lock);
	return t != NULL;
}
