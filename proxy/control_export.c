/* control_export.c - give an operator the Part 10 file of a spooled instance:
 * {"ok":true,"length":n,"sop_instance":uid} and n bytes, or an error. A
 * connection that ends before n bytes: the copy in the spool is damaged or
 * gone.
 *
 * Reads the spool on the connection's own thread: every chunk is opened and
 * checked before its bytes leave. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/control_op.h"
#include "proxy/dicom/part10.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger.h"
#include "store/ledger_view.h"
#include "store/spool.h"

/* ---- places, asked of the ledger thread -------------------------------- */

struct places {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool done;
	enum err e;
	size_t n;
	struct place place[LEDGER_PLACES_MAX];
};

static void on_places(void *arg, enum err e, const struct place *p, size_t n)
{
	struct places *w = arg;

	pthread_mutex_lock(&w->lock);
	w->e = e;
	w->n = n;
	if (n > 0)
		memcpy(w->place, p, n * sizeof(*p));
	w->done = true;
	pthread_cond_signal(&w->answered);
	pthread_mutex_unlock(&w->lock);
}

static enum err places_get(struct ledger *ledger, uint64_t seq, uint32_t first,
			   struct places *w)
{
	enum err e;

	w->done = false;
	e = ledger_places(ledger, seq, first, LEDGER_PLACES_MAX, on_places, w);
	if (e != ERR_OK)
		return e;
	/* the ledger answers every request, closing or not */
	pthread_mutex_lock(&w->lock);
	while (!w->done)
		pthread_cond_wait(&w->answered, &w->lock);
	pthread_mutex_unlock(&w->lock);
	return w->e;
}

/* ---- sending ----------------------------------------------------------- */

static enum err send_chunks(const struct control_options *opt, int fd,
			    const struct view_delivery *d, uint8_t *chunk,
			    struct places *w)
{
	for (uint32_t i = 0; i < d->chunks; i++) {
		uint32_t at = i % LEDGER_PLACES_MAX;
		size_t len;
		enum err e = ERR_OK;

		if (at == 0)
			e = places_get(opt->ledger, d->seq, i, w);
		if (e == ERR_OK && at >= w->n)
			e = ERR_NOTFOUND;
		if (e == ERR_OK)
			e = spool_read_chunk(opt->spool, w->place[at],
					     &d->transfer, i, chunk, &len);
		if (e == ERR_OK)
			e = control_send_bytes(fd, chunk, len);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

static size_t make_head(const struct view_delivery *d,
			uint8_t head[PART10_META_MAX])
{
	struct part10_meta meta = {0};
	struct wr w = wr_init(head, PART10_META_MAX);

	memcpy(meta.sop_class, d->sop_class, sizeof(meta.sop_class));
	memcpy(meta.sop_instance, d->sop_instance, sizeof(meta.sop_instance));
	memcpy(meta.transfer_syntax, d->transfer_syntax,
	       sizeof(meta.transfer_syntax));
	memcpy(meta.source_ae, d->calling_ae, sizeof(meta.source_ae));
	return part10_meta_encode(&meta, &w) == ERR_OK ? w.len : 0;
}

static void send_instance(const struct control_options *opt, int fd,
			  const struct view_delivery *d)
{
	uint8_t head[PART10_META_MAX], *chunk = mem_zalloc(CHUNK_LEN);
	struct places *w = mem_zalloc(sizeof(*w));
	size_t head_len = make_head(d, head);
	enum err e = ERR_NOMEM;
	json_t *answer;

	if (chunk == NULL || w == NULL || head_len == 0)
		goto out;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->answered, NULL);
	answer = json_pack("{s:b,s:I,s:s}", "ok", 1, "length",
			   (json_int_t)d->length + (json_int_t)head_len,
			   "sop_instance", d->sop_instance);
	e = control_send(fd, answer);
	json_decref(answer);
	if (e == ERR_OK)
		e = control_send_bytes(fd, head, head_len);
	if (e == ERR_OK)
		e = send_chunks(opt, fd, d, chunk, w);
	pthread_cond_destroy(&w->answered);
	pthread_mutex_destroy(&w->lock);
out:
	if (e != ERR_OK)
		log_event(LOG_WARN, "export-failed", "detail=\"%s\"",
			  err_text(e));
	if (chunk != NULL)
		mem_wipe(chunk, CHUNK_LEN);
	mem_free(chunk);
	mem_free(w);
}

/* ---- finding ----------------------------------------------------------- */

struct found {
	bool any, open;
	struct view_delivery d;
};

static bool on_found(void *arg, const struct view_delivery *d)
{
	struct found *f = arg;

	f->any = true;
	if (delivery_state_keeps(d->state)) {
		f->open = true; /* its bytes are still here */
		f->d = *d;
	}
	return !f->open;
}

void control_run_export(struct control_connection *k, const json_t *request)
{
	const struct control_options *opt = k->opt;
	const char *transfer = control_text(request, "transfer");
	struct found *f = mem_zalloc(sizeof(*f));
	struct ledger_view *view = NULL;
	char why[LEDGER_WHY_LEN] = "out of memory";
	const char *error = why;

	if (f != NULL &&
	    ledger_view_open(opt->config->records.path, &view, why) == ERR_OK) {
		enum err e = ledger_view_find(view, transfer, on_found, f);

		if (e == ERR_INVAL)
			error = "not a transfer id";
		else if (e == ERR_LIMIT)
			error = "more than one transfer begins like this; give "
				"more digits";
		else if (e != ERR_OK && e != ERR_NOTFOUND)
			error = ledger_view_why(view);
		else if (!f->any)
			error = "no such transfer; see culvert queue list";
		else if (!f->open)
			error = "it is delivered everywhere: the spool no "
				"longer has its bytes";
		else
			error = NULL;
	}
	ledger_view_close(view);
	if (error == NULL)
		send_instance(opt, k->fd, &f->d);
	else
		control_refuse(k, error);
	mem_free(f);
}
