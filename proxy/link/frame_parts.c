#include <string.h>

#include "proxy/lib/rd.h"
#include "proxy/lib/wr.h"
#include "proxy/link/frame_int.h"

/* ---- lists inside bodies ---------------------------------------------------
 */

struct link_run link_run_at(struct link_runs runs, uint32_t i)
{
	struct rd r = rd_init(runs.p + (size_t)i * LINK_RUN_LEN, LINK_RUN_LEN);
	struct link_run run;

	run.first = rd_u32(&r);
	run.count = rd_u32(&r);
	return run;
}

static bool bit(const uint8_t *map, uint32_t n)
{
	return (map[n / 8] & (1u << (n % 8))) != 0;
}

/* The first chunk from at on whose bit is want, or chunks. */
static uint32_t find(const uint8_t *map, uint32_t chunks, uint32_t at,
		     bool want)
{
	const uint8_t none = want ? 0x00 : 0xff;

	while (at < chunks) {
		if (at % 8 == 0 && map[at / 8] == none && chunks - at >= 8)
			at += 8;
		else if (bit(map, at) == want)
			return at;
		else
			at++;
	}
	return chunks;
}

uint32_t link_runs_from_map(const uint8_t *map, uint32_t chunks, uint32_t *from,
			    uint8_t *out, uint32_t max)
{
	struct wr w = wr_init(out, (size_t)max * LINK_RUN_LEN);
	uint32_t n = 0;

	for (;;) {
		uint32_t first = find(map, chunks, *from, true);
		uint32_t end;

		*from = first;
		if (first == chunks || n == max)
			return n;
		end = find(map, chunks, first, false);
		wr_u32(&w, first);
		wr_u32(&w, end - first);
		*from = end;
		n++;
	}
}

bool link_chunks(uint64_t length, uint32_t *chunks)
{
	uint64_t n = length / CHUNK_LEN + (length % CHUNK_LEN != 0);

	if (n > LINK_CHUNKS_MAX)
		return false;
	*chunks = (uint32_t)n;
	return true;
}

struct transfer_id link_id_at(struct link_ids ids, uint32_t i)
{
	struct transfer_id id;

	memcpy(id.b, ids.p + (size_t)i * LINK_ID_LEN, LINK_ID_LEN);
	return id;
}

static bool is_uid(const uint8_t *p, size_t len)
{
	if (len == 0 || len > LINK_UID_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (p[i] != '.' && (p[i] < '0' || p[i] > '9'))
			return false;
	return true;
}

static bool get_uid(struct rd *r, char out[LINK_UID_MAX + 1])
{
	uint8_t len = rd_u8(r);
	const uint8_t *p = rd_bytes(r, len);

	if (p == NULL || !is_uid(p, len))
		return false;
	memcpy(out, p, len);
	out[len] = '\0';
	return true;
}

bool link_accepts_next(struct link_bytes *list, struct link_pair *out)
{
	struct rd r = rd_init(list->p, list->len);

	if (list->len == 0 || !get_uid(&r, out->abstract) ||
	    !get_uid(&r, out->transfer))
		return false;
	*list = (struct link_bytes){.p = r.p, .len = r.left};
	return true;
}

static void put_uid(struct wr *w, const char *uid)
{
	size_t len = strnlen(uid, LINK_UID_MAX + 1);

	if (!is_uid((const uint8_t *)uid, len))
		w->failed = true;
	wr_u8(w, (uint8_t)len);
	wr_bytes(w, uid, len);
}

bool link_accepts_put(uint8_t *list, size_t cap, size_t *len,
		      const char *abstract, const char *transfer)
{
	struct wr w = wr_init(list, cap);

	w.len = *len;
	put_uid(&w, abstract);
	put_uid(&w, transfer);
	if (!wr_ok(&w))
		return false;
	*len = w.len;
	return true;
}

/* ---- version and limits ----------------------------------------------------
 */

static bool same_spool(const struct link_hello *a, const struct link_hello *b)
{
	return memcmp(a->spool, b->spool, sizeof(a->spool)) == 0;
}

/* Whether an end can work with what the other announces. A window of less than
 * a chunk could never be used. */
static bool usable(const struct link_hello *h)
{
	if (h->chunk_log2 != LINK_CHUNK_LOG2)
		return false;
	if ((h->features & LINK_TAKES) == 0)
		return true;
	return h->window >= CHUNK_LEN && h->transfers > 0;
}

static uint32_t lower(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* A peer must not make us send all the time. */
static uint32_t keepalive(const struct link_hello *h)
{
	if (h->keepalive_ms == 0)
		return LINK_KEEPALIVE_MS;
	return h->keepalive_ms < LINK_KEEPALIVE_MIN_MS ? LINK_KEEPALIVE_MIN_MS
						       : h->keepalive_ms;
}

static void terms(const struct link_hello *ours,
		  const struct link_hello *theirs, struct link_terms *out)
{
	uint32_t common = ours->features & theirs->features;

	out->features = common & ~(uint32_t)LINK_TAKES;
	out->we_take = (ours->features & LINK_TAKES) != 0;
	out->they_take = (theirs->features & LINK_TAKES) != 0;
	out->window = theirs->window;
	out->transfers = theirs->transfers;
	out->keepalive_ms = lower(keepalive(ours), keepalive(theirs));
	out->connections =
	    (uint8_t)lower(ours->connections, theirs->connections);
	if ((common & LINK_JOINS) == 0)
		out->connections = 1;
}

uint16_t link_agree(const struct link_hello *ours,
		    const struct link_hello *theirs, struct link_terms *out)
{
	uint16_t version = ours->version_max < theirs->version_max
			       ? ours->version_max
			       : theirs->version_max;

	if (version < ours->version_min || version < theirs->version_min)
		return LINK_BYE_VERSION;
	if (same_spool(ours, theirs))
		return LINK_BYE_SELF;
	if (!usable(ours) || !usable(theirs) ||
	    ((ours->features | theirs->features) & LINK_TAKES) == 0)
		return LINK_BYE_LIMITS;
	memset(out, 0, sizeof(*out));
	out->version = version;
	terms(ours, theirs, out);
	return 0;
}

bool link_may_send(enum link_type type, bool they_dialled,
		   const struct link_terms *t)
{
	if (type == LINK_HEAD && (t->features & LINK_HEADS) == 0)
		return false;
	switch (link_type_from(type)) {
	case LINK_FROM_EITHER:
		return true;
	case LINK_FROM_DIALLER:
		return they_dialled;
	case LINK_FROM_ACCEPTOR:
		return !they_dialled;
	case LINK_FROM_SENDER:
		return t->we_take;
	case LINK_FROM_RECEIVER:
		return t->they_take;
	}
	return false;
}
