#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/spool_int.h"

/* Transfers whose final record has not come yet; a damaged chunk of one is
 * named after the instance its first record announced. */
struct unfinished {
	struct transfer_id id;
	char sop_instance[INSTANCE_UID_LEN];
	uint32_t chunks;
	bool partial, kept; /* spool_partial.h */
};

struct check {
	struct spool_check_report *report;
	void (*damage)(void *arg, const char *line);
	void (*told)(void *arg, uint64_t bytes);
	void *arg;
	struct unfinished *open;
	size_t n, room;
};

static struct unfinished *find(struct check *c, const struct transfer_id *id)
{
	for (size_t i = 0; i < c->n; i++)
		if (transfer_id_equal(&c->open[i].id, id))
			return &c->open[i];
	return NULL;
}

static void forget(struct check *c, const struct transfer_id *id)
{
	struct unfinished *u = find(c, id);

	if (u != NULL)
		*u = c->open[--c->n];
}

static struct unfinished *remember(struct check *c,
				   const struct transfer_id *id)
{
	struct unfinished *u = find(c, id);

	if (u != NULL)
		return u;
	if (c->n == c->room) {
		size_t room = c->room > 0 ? 2 * c->room : 64;
		void *p = mem_realloc(c->open, room * sizeof(*c->open));

		if (p == NULL)
			return NULL;
		c->open = p;
		c->room = room;
	}
	u = &c->open[c->n++];
	memset(u, 0, sizeof(*u));
	u->id = *id;
	return u;
}

static enum err take_chunk(struct check *c, const struct tail_record *r)
{
	struct unfinished *u;

	c->report->chunks++;
	c->report->bytes += r->length;
	if (c->told != NULL)
		c->told(c->arg, c->report->bytes);
	if (r->final) {
		c->report->instances += !r->moved;
		forget(c, &r->id);
		return ERR_OK;
	}
	if (r->moved)
		return ERR_OK;
	u = remember(c, &r->id);
	if (u == NULL)
		return ERR_NOMEM;
	u->chunks++;
	u->partial = r->partial;
	if (r->has_instance)
		(void)INSTANCE_SET(u->sop_instance, r->instance.sop_instance);
	return ERR_OK;
}

static void give_up(struct check *c, struct unfinished *u)
{
	c->report->unfinished += u->chunks;
	*u = c->open[--c->n];
}

static void take_restart(struct check *c)
{
	for (size_t i = c->n; i > 0; i--) {
		struct unfinished *u = &c->open[i - 1];

		if (u->kept)
			u->kept = false;
		else
			give_up(c, u);
	}
}

static void take_outcomes(struct check *c, const struct tail_record *r)
{
	c->report->outcomes += r->n_outcomes;
	for (size_t i = 0; i < r->n_outcomes; i++) {
		const struct outcome *o = &r->outcomes[i];
		struct unfinished *u = find(c, &o->id);

		if (o->kind == OUTCOME_RESTART)
			take_restart(c);
		else if (o->kind == OUTCOME_ABANDONED && u != NULL)
			give_up(c, u);
		else if (o->kind == OUTCOME_KEPT && u != NULL)
			u->kept = true;
	}
}

static void count_partials(struct check *c)
{
	for (size_t i = 0; i < c->n; i++) {
		if (!c->open[i].partial)
			continue;
		c->report->partials++;
		c->report->partial_chunks += c->open[i].chunks;
	}
}

static void take_damage(struct check *c, const struct tail_record *r)
{
	char line[512], id[TRANSFER_TEXT_LEN];
	const char *uid = r->instance.sop_instance;
	const struct unfinished *u = find(c, &r->id);

	if (r->damage.certain)
		c->report->damaged++;
	else
		c->report->torn++;
	if (!r->has_instance && u != NULL)
		uid = u->sop_instance;
	if (r->damage.named)
		(void)snprintf(line, sizeof(line),
			       "%s: transfer %s chunk %u, SOP instance %s",
			       r->damage.text, transfer_id_text(&r->id, id),
			       r->index,
			       uid[0] != '\0' ? uid : "not known here");
	else
		(void)snprintf(line, sizeof(line), "%s", r->damage.text);
	if (c->damage != NULL)
		c->damage(c->arg, line);
}

static enum err take(struct check *c, const struct tail_record *r)
{
	c->report->records++;
	switch (r->kind) {
	case TAIL_CHUNK:
		return take_chunk(c, r);
	case TAIL_OUTCOMES:
		take_outcomes(c, r);
		break;
	case TAIL_DAMAGE:
		take_damage(c, r);
		break;
	}
	return ERR_OK;
}

static enum err walk(struct check *c, struct spool_tail *tail, uint64_t until)
{
	struct tail_record *r = mem_zalloc(sizeof(*r));
	unsigned io_errors = 0;
	enum err e = r != NULL ? ERR_OK : ERR_NOMEM;

	while (e == ERR_OK && spool_tail_position(tail) < until) {
		e = spool_tail_next(tail, r, 0);
		if (e == ERR_IO && ++io_errors < 1000) {
			e = ERR_OK; /* it tries again, then goes on */
			continue;
		}
		if (e == ERR_OK)
			e = take(c, r);
	}
	mem_free(r);
	return e == ERR_AGAIN ? ERR_OK : e;
}

enum err spool_check(struct spool *s,
		     void (*damage)(void *arg, const char *line), void *arg,
		     struct spool_check_report *out)
{
	return spool_check_told(s, damage, NULL, arg, out);
}

enum err spool_check_told(struct spool *s,
			  void (*damage)(void *arg, const char *line),
			  void (*told)(void *arg, uint64_t bytes), void *arg,
			  struct spool_check_report *out)
{
	struct check c = {
	    .report = out, .damage = damage, .told = told, .arg = arg};
	struct spool_tail *tail;
	enum err e;

	memset(out, 0, sizeof(*out));
	e = spool_tail_open_verify(s, &tail);
	if (e != ERR_OK)
		return e;
	out->segments = spool_segments(s, NULL, 0);
	e = walk(&c, tail, spool_durable(s));
	out->heads_repaired = spool_tail_counts(tail).repaired;
	out->torn += spool_tail_counts(tail).torn;
	spool_tail_close(tail);
	count_partials(&c);
	mem_free(c.open);
	return e;
}
