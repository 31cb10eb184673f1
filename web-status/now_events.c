/* "/events": the parts of "/" and "/wall" that have changed, as HTML, once a
 * second; all of them now and then, for who missed a change. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "web-status/now.h"
#include "web-status/views.h"

enum { PARTS = 7, WHOLE_EVERY = 10, PART_MAX = 512 * 1024 };

static void put_wall_verdict(const struct page *p, const struct now *n)
{
	verdict_show(p, &n->verdict, true);
}

static void put_verdict(const struct page *p, const struct now *n)
{
	verdict_show(p, &n->verdict, false);
}

static const struct {
	const char *id;
	void (*show)(const struct page *p, const struct now *n);
	bool bare;      /* show writes what stands within the part */
	unsigned every; /* events */
} parts[PARTS] = {
    {"verdict", put_verdict, true, 1},
    {"destinations", now_destinations, false, 1},
    {"devices", now_devices, false, 5},
    {"machine", now_machine, false, 5},
    {"wall-verdict", put_wall_verdict, true, 1},
    {"wall-grid", wall_grid, false, 1},
    {"wall-foot", wall_foot, false, 1},
};

/* What viewers of a language have seen. The server calls from one thread. */
static struct {
	unsigned turn;
	uint64_t seen[PARTS];
} told[WEB_LANGUAGES];

/* FNV-1a */
static uint64_t hash_of(const struct web_out *o)
{
	const unsigned char *s = (const unsigned char *)out_data(o);
	uint64_t h = 14695981039346656037ULL;

	for (size_t i = 0; i < out_len(o); i++)
		h = (h ^ s[i]) * 1099511628211ULL;
	return h;
}

/* One part into scratch, with its NUL. */
static void render(const struct page *p, const struct now *n, size_t i,
		   struct web_out *scratch)
{
	struct page q = *p;

	q.o = scratch;
	out_clear(scratch);
	parts[i].show(&q, n);
}

static bool put_part(struct web_out *o, size_t i, struct web_out *scratch,
		     bool first)
{
	out_bytes(scratch, "", 1);
	if (out_failed(scratch))
		return false;
	if (!first)
		out_raw(o, ",");
	out_printf(o, "{\"id\":\"part-%s\",\"whole\":%s,\"html\":", parts[i].id,
		   parts[i].bare ? "false" : "true");
	out_json_string(o, out_data(scratch));
	out_raw(o, "}");
	return true;
}

static bool put_changes(const struct page *p, const struct now *n,
			struct web_out *scratch)
{
	unsigned turn = told[p->language].turn++;
	uint64_t *seen = told[p->language].seen;
	bool any = false;

	out_raw(p->o, "{\"parts\":[");
	for (size_t i = 0; i < PARTS; i++) {
		uint64_t h;

		if (turn % parts[i].every != 0)
			continue;
		render(p, n, i, scratch);
		h = hash_of(scratch);
		if (h == seen[i] && turn % WHOLE_EVERY != 0)
			continue;
		if (put_part(p->o, i, scratch, !any))
			any = true;
		seen[i] = h;
	}
	out_raw(p->o, "]}");
	return any;
}

bool event_now(struct web_request *r, struct web_out *o)
{
	struct page p = page_of(r, o);
	struct now *n = now_gather(&p);
	struct web_out *scratch = out_new(PART_MAX);
	bool any = n != NULL && scratch != NULL && put_changes(&p, n, scratch);

	out_free(scratch);
	now_free(n);
	return any;
}
