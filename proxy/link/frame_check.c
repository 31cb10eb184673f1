#include <string.h>

#include "proxy/link/frame_int.h"

bool link_printable(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] > 0x7e)
			return false;
	return true;
}

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != 0)
			return false;
	return true;
}

static const char *check_hello(const struct link_hello *h)
{
	if (h->version_min == 0 || h->version_min > h->version_max)
		return "HELLO: the versions are no range";
	if (h->version_min > LINK_VERSION || h->version_max < LINK_VERSION)
		return NULL; /* nothing else is known of it */
	if (h->connections == 0 || h->connections > LINK_CONNECTIONS_MAX)
		return "HELLO: connections are 1 to 16";
	if (h->node[0] == '\0' ||
	    !link_printable((const uint8_t *)h->node,
			    strnlen(h->node, sizeof(h->node))))
		return "HELLO: the node's name is not printable";
	return NULL;
}

static const char *check_bye(const struct link_reason *why)
{
	return why->code == 0 ? "BYE: reason 0" : NULL;
}

static const char *check_stuck(const struct link_reason *why)
{
	if (why->code == 0 || why->code > UINT8_MAX)
		return "UNDELIVERED: kind 0 or above 255";
	return NULL;
}

static const char *check_refused(const struct link_reason *why)
{
	return why->code == 0 ? "REFUSED: reason 0" : NULL;
}

static const char *check_sizes(const struct link_content *c)
{
	uint32_t chunks;

	if (!link_chunks(c->length, &chunks))
		return "a length of more chunks than can be counted";
	if (chunks != c->chunks)
		return "the count of chunks does not follow from the length";
	return NULL;
}

static const char *check_offer(const struct link_frame *f)
{
	const struct link_content *c = &f->content;

	if (c->meta.len == 0 || c->meta.len > INSTANCE_ENCODED_MAX)
		return "OFFER: metadata of 0 or more than 1,792 bytes";
	if ((f->flags & LINK_F_COMPLETE) != 0)
		return check_sizes(c);
	if (c->length != 0 || c->chunks != 0 ||
	    !all_zero(c->root, sizeof(c->root)))
		return "OFFER: length, count or root without COMPLETE";
	return NULL;
}

static const char *check_root(const struct link_frame *f)
{
	if (f->content.meta.len > INSTANCE_ENCODED_MAX)
		return "ROOT: metadata of more than 1,792 bytes";
	return check_sizes(&f->content);
}

static const char *check_index(uint32_t index)
{
	return index < LINK_CHUNKS_MAX ? NULL : "chunk index 2^32 - 1";
}

static const char *check_data(const struct link_data *d)
{
	if (d->data.len == 0 || d->data.len > LINK_DATA_MAX)
		return "DATA: 0 or more than 16,352 bytes";
	if (d->offset >= CHUNK_LEN || d->data.len > CHUNK_LEN - d->offset)
		return "DATA: beyond the end of a chunk";
	return check_index(d->index);
}

static const char *check_chunk_end(const struct link_chunk_end *e)
{
	if (e->length == 0 || e->length > CHUNK_LEN)
		return "CHUNK_END: a length of 0 or above 1 MiB";
	return check_index(e->index);
}

/* Rising, a gap between any two, none beyond the last possible chunk. */
static const char *check_runs(const struct link_frame *f)
{
	uint32_t next = 0; /* lowest chunk at which a run may begin */
	bool full = false; /* none may follow */

	if (f->runs.n > LINK_RUNS_MAX)
		return "more than 2,000 runs";
	if (f->runs.n == 0 && f->type == LINK_ACK)
		return "ACK: no run";
	if (f->runs.n == 0 && (f->flags & LINK_F_MORE) != 0)
		return "HAVE: more is to come after nothing";
	for (uint32_t i = 0; i < f->runs.n; i++) {
		struct link_run run = link_run_at(f->runs, i);

		if (full || run.first < next)
			return "runs that touch, overlap or fall";
		if (run.count == 0 || run.count > LINK_CHUNKS_MAX - run.first)
			return "a run of nothing or beyond the last chunk";
		next = run.first + run.count;
		full = next == LINK_CHUNKS_MAX;
		next += full ? 0 : 1;
	}
	return NULL;
}

static const char *check_ids(const struct link_ids *ids)
{
	if (ids->n == 0 || ids->n > LINK_IDS_MAX)
		return "a list of 0 or more than 1,000 transfers";
	return NULL;
}

/* Lines of printable ASCII. What they say is the receiver's to read. */
static const char *check_head(const struct link_bytes *head)
{
	for (size_t i = 0; i < head->len; i++)
		if (head->p[i] != '\n' && !link_printable(head->p + i, 1))
			return "HEAD: not lines of text";
	if (head->len == 0 || head->p[head->len - 1] != '\n')
		return "HEAD: the last line does not end";
	return NULL;
}

static const char *check_bad(const struct link_bad_chunk *b)
{
	return b->reason == 0 ? "BAD: reason 0" : check_index(b->index);
}

static const char *check_delivered(const struct link_delivered *d)
{
	if (d->outcome != LINK_OUT_DELIVERED && d->outcome != LINK_OUT_FLAGGED)
		return "DELIVERED: neither 1 nor 2";
	return NULL;
}

static const char *check_accepts(const struct link_frame *f)
{
	struct link_bytes list = f->accepts.list;
	struct link_pair pair;
	uint32_t n = 0;

	if (f->accepts.called_ae.len > LINK_AE_MAX ||
	    !link_printable(f->accepts.called_ae.p, f->accepts.called_ae.len))
		return "ACCEPTS: no AE title";
	if (f->accepts.pairs == 0 && (f->flags & LINK_F_MORE) != 0)
		return "ACCEPTS: more is to come after nothing";
	while (link_accepts_next(&list, &pair))
		n++;
	if (list.len > 0 || n != f->accepts.pairs)
		return "ACCEPTS: not a list of as many pairs of UIDs";
	return NULL;
}

const char *link_frame_check(const struct link_frame *f)
{
	switch (f->type) {
	case LINK_HELLO:
		return check_hello(&f->hello);
	case LINK_JOIN:
	case LINK_JOINED:
		return f->join.number < LINK_CONNECTIONS_MAX
			   ? NULL
			   : "connections have numbers 0 to 15";
	case LINK_PING:
	case LINK_PONG:
	case LINK_ARRIVED:
		return NULL;
	case LINK_BYE:
		return check_bye(&f->why);
	case LINK_OFFER:
		return check_offer(f);
	case LINK_DATA:
		return check_data(&f->data);
	case LINK_CHUNK_END:
		return check_chunk_end(&f->end);
	case LINK_ROOT:
		return check_root(f);
	case LINK_WITHDRAW:
		return f->withdraw == 0 ? "WITHDRAW: reason 0" : NULL;
	case LINK_QUERY:
	case LINK_NOTED:
		return check_ids(&f->ids);
	case LINK_HEAD:
		return check_head(&f->head);
	case LINK_HAVE:
	case LINK_ACK:
		return check_runs(f);
	case LINK_BAD:
		return check_bad(&f->bad);
	case LINK_DELIVERED:
		return check_delivered(&f->delivered);
	case LINK_UNDELIVERED:
		return check_stuck(&f->why);
	case LINK_REFUSED:
		return check_refused(&f->why);
	case LINK_ACCEPTS:
		return check_accepts(f);
	}
	return "no such type";
}
