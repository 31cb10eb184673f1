#include "proxy/passage.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"

enum { THROUGH_MS = 5000 }; /* nothing of a study for so long */

#define SET(field, text) snprintf((field), sizeof(field), "%s", (text))

static uint64_t now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

/* ---- rows ----------------------------------------------------------------
 */

static void add_counts(struct audit_json *j, const struct passage_study *s)
{
	audit_json_number(j, "instances", (int64_t)s->instances);
	audit_json_number(j, "bytes", (int64_t)s->bytes);
	if (s->flagged > 0)
		audit_json_number(j, "flagged", (int64_t)s->flagged);
	if (s->failed > 0)
		audit_json_number(j, "not_delivered", (int64_t)s->failed);
}

static void record(const struct passage *p, enum audit_kind kind,
		   const struct passage_study *s)
{
	struct audit_event *e;
	struct audit_json j;

	if (p->ledger == NULL || (e = mem_zalloc(sizeof(*e))) == NULL)
		return;
	e->kind = kind;
	e->outcome = kind == AUDIT_INSTANCES_TRANSFERRED && s->failed > 0
			 ? AUDIT_MINOR
			 : AUDIT_SUCCESS;
	SET(e->destination, p->destination);
	SET(e->device, s->device);
	SET(e->calling_ae, s->calling_ae);
	SET(e->called_ae, s->called_ae);
	SET(e->study, s->study);
	j = audit_json_begin(e->detail, sizeof(e->detail));
	if (kind == AUDIT_INSTANCES_TRANSFERRED) {
		add_counts(&j, s);
		e->covers.instances = s->instances;
		e->covers.bytes = s->bytes;
	}
	audit_json_end(&j);
	ledger_audit(p->ledger, e);
	mem_free(e);
}

void passage_note(struct passage *p, enum audit_kind kind,
		  const struct ledger_item *li, const char *why)
{
	struct audit_event *e;
	char id[TRANSFER_TEXT_LEN];
	struct audit_json j;

	if (p->ledger == NULL || (e = mem_zalloc(sizeof(*e))) == NULL)
		return;
	e->kind = kind;
	e->outcome = kind == AUDIT_RELEASED ? AUDIT_SUCCESS : AUDIT_SERIOUS;
	SET(e->destination, p->destination);
	j = audit_json_begin(e->detail, sizeof(e->detail));
	if (li != NULL) {
		SET(e->device, li->device);
		SET(e->calling_ae, li->calling_ae);
		SET(e->called_ae, li->called_ae);
		SET(e->study, li->study);
		audit_json_text(&j, "transfer",
				transfer_id_text(&li->transfer, id));
		audit_json_text(&j, "sop_instance", li->sop_instance);
	}
	if (why[0] != '\0')
		audit_json_text(&j, "cause", why);
	audit_json_end(&j);
	ledger_audit(p->ledger, e);
	mem_free(e);
}

/* ---- studies -------------------------------------------------------------
 */

static void finish(const struct passage *p, struct passage_study *s)
{
	if (s->instances + s->failed > 0)
		record(p, AUDIT_INSTANCES_TRANSFERRED, s);
	*s = (struct passage_study){.given = 0};
}

static struct passage_study *find(struct passage *p, const char *study)
{
	for (size_t i = 0; i < PASSAGE_STUDIES; i++) {
		if (strcmp(p->studies[i].study, study) == 0)
			return &p->studies[i];
	}
	return NULL;
}

static struct passage_study *place_for(struct passage *p)
{
	struct passage_study *best = &p->studies[0];

	for (size_t i = 0; i < PASSAGE_STUDIES; i++) {
		struct passage_study *s = &p->studies[i];

		if (s->study[0] == '\0')
			return s;
		if (s->last_ms < best->last_ms)
			best = s;
	}
	finish(p, best);
	return best;
}

static struct passage_study *begin(struct passage *p, const struct task *t)
{
	struct passage_study *s = place_for(p);

	SET(s->study, t->item.study);
	SET(s->device, t->item.device);
	SET(s->calling_ae, t->calling_ae);
	SET(s->called_ae, t->called_ae);
	record(p, AUDIT_INSTANCES_BEGIN, s);
	return s;
}

static bool counts(const struct ledger_item *li)
{
	return !instance_is_message(li->command) && li->study[0] != '\0';
}

void passage_begin(struct passage *p, const struct task *t)
{
	struct passage_study *s;

	if (!counts(&t->item))
		return;
	s = find(p, t->item.study);
	if (s == NULL)
		s = begin(p, t);
	s->given++;
	s->last_ms = now_ms();
}

void passage_end(struct passage *p, const struct task *t, enum passage_end how)
{
	struct passage_study *s;

	if (!counts(&t->item))
		return;
	s = find(p, t->item.study);
	if (s == NULL) /* it made room for others in between */
		s = begin(p, t);
	s->given -= s->given > 0;
	s->last_ms = now_ms();
	switch (how) {
	case PASSAGE_FLAGGED:
		s->flagged++;
		/* fall through */
	case PASSAGE_DONE:
		s->instances++;
		s->bytes += t->item.length;
		return;
	case PASSAGE_NOT:
		s->failed++;
		return;
	case PASSAGE_BACK:
		return;
	}
}

void passage_flush(struct passage *p, bool all)
{
	uint64_t now = now_ms();

	for (size_t i = 0; i < PASSAGE_STUDIES; i++) {
		struct passage_study *s = &p->studies[i];

		if (s->study[0] != '\0' &&
		    (all || (s->given == 0 && s->instances > 0 &&
			     now - s->last_ms >= THROUGH_MS)))
			finish(p, s);
	}
}
