/* export_job_transfers.c - deliveries, in order of arrival. */
#include <stdio.h>
#include <string.h>

#include "proxy/export_job.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/export_transfers.h"

enum { PAGE = LEDGER_PAGE_MAX };

struct page {
	struct view_delivery rows[PAGE];
	unsigned n;
	bool oldest_first;
};

struct transfers {
	struct export_run *run;
	struct ledger_view *view;
	struct export_chain *chain;
	struct page *page;
	struct export_transfer_room room;
	/* whose identity is in run->identity */
	char study[65], series[65];
	bool has_identity;
};

static bool on_delivery(void *arg, const struct view_delivery *d)
{
	struct page *p = arg;

	if (p->n < PAGE)
		p->rows[p->n++] = *d;
	return p->n < PAGE;
}

/* ---- what is sealed
 * ----------------------------------------------------------- */

/* All instances of a series have the same. */
static const struct ledger_identity *identity_of(struct transfers *t,
						 const struct view_delivery *d)
{
	uint8_t sealed[LEDGER_IDENTITY_MAX];
	struct export_run *r = t->run;
	size_t n;

	if (r->seal == NULL)
		return NULL;
	if (d->series[0] != '\0' && strcmp(d->series, t->series) == 0 &&
	    strcmp(d->study, t->study) == 0)
		return t->has_identity ? &r->identity : NULL;
	snprintf(t->study, sizeof(t->study), "%s", d->study);
	snprintf(t->series, sizeof(t->series), "%s", d->series);
	t->has_identity =
	    ledger_view_identity(t->view, d->seq, sealed, sizeof(sealed), &n) ==
		ERR_OK &&
	    ledger_identity_open(r->seal, sealed, n, &r->identity) == ERR_OK;
	return t->has_identity ? &r->identity : NULL;
}

/* ---- rows
 * ---------------------------------------------------------------------- */

static enum audit_kind kind_of(const struct view_delivery *d)
{
	switch (d->state) {
	case DELIVERY_DELIVERED:
	case DELIVERY_COMMITTED:
	case DELIVERY_UNCOMMITTED:
		return AUDIT_INSTANCES_TRANSFERRED;
	case DELIVERY_QUEUED:
	case DELIVERY_HELD:
	case DELIVERY_QUARANTINED:
	case DELIVERY_WITHDRAWN:
	case DELIVERY_DISCARDED:
	case DELIVERY_ARRIVED:
		return AUDIT_INSTANCES_BEGIN;
	}
	return AUDIT_INSTANCES_BEGIN;
}

static void detail_of(const struct view_delivery *d, char *out, size_t size)
{
	struct audit_json j = audit_json_begin(out, size);
	char id[TRANSFER_TEXT_LEN], hash[65];

	audit_json_text(&j, "state", delivery_state_text(d->state));
	audit_json_text(&j, "sop_class", d->sop_class);
	audit_json_text(&j, "sop_instance", d->sop_instance);
	audit_json_text(&j, "transfer", transfer_id_text(&d->transfer, id));
	audit_json_number(&j, "bytes", (int64_t)d->length);
	audit_json_text(&j, "hash", export_hex(d->root, 32, hash));
	audit_json_end(&j);
}

/* As the audit would tell it, had it a row for each instance. */
static enum err put_message(struct transfers *t, const struct view_delivery *d,
			    bool opened)
{
	struct audit_row *a = mem_zalloc(sizeof(*a));
	enum err e;

	if (a == NULL)
		return ERR_NOMEM;
	a->seq = (int64_t)d->delivery;
	a->wall_ms = d->changed_ms != 0 ? d->changed_ms : d->received_ms;
	a->kind = (int32_t)kind_of(d);
	a->outcome =
	    d->state == DELIVERY_QUARANTINED ? AUDIT_SERIOUS : AUDIT_SUCCESS;
	a->association = d->association;
	INSTANCE_SET(a->listener, d->listener);
	INSTANCE_SET(a->device, d->device);
	INSTANCE_SET(a->destination, d->destination);
	INSTANCE_SET(a->peer, d->peer);
	INSTANCE_SET(a->calling_ae, d->calling_ae);
	INSTANCE_SET(a->called_ae, d->called_ae);
	INSTANCE_SET(a->study, d->study);
	detail_of(d, a->detail, sizeof(a->detail));
	t->run->salted_len = 0;
	e = export_run_message(t->run, a, opened);
	mem_free(a);
	return e;
}

static void note_ends(struct export_manifest *m, const struct view_delivery *d)
{
	if (m->first == 0) {
		m->first = d->delivery;
		m->first_ms = d->received_ms;
	}
	m->last = d->delivery;
	m->last_ms = d->received_ms;
}

static enum err put_row(struct transfers *t, const struct view_delivery *d)
{
	const struct ledger_identity *identity = identity_of(t, d);
	struct export_run *r = t->run;
	struct export_manifest *m = &r->job->manifest;

	note_ends(m, d);
	if (r->job->request.format == EXPORT_DICOM)
		return put_message(t, d, identity != NULL);
	export_transfer_cells(d, identity, &t->room, r->cells);
	memcpy(m->chain, export_chain_row(t->chain, r->cells), 32);
	r->cells[EXPORT_TRANSFERS_CHAIN] = export_bytes(m->chain, 32);
	return export_row(r->out, r->cells);
}

/* The file has its oldest first; a page of a search its newest. */
static enum err put_page(struct transfers *t)
{
	const struct page *p = t->page;
	enum err e = ERR_OK;

	for (unsigned i = 0; e == ERR_OK && i < p->n; i++)
		e = put_row(t, &p->rows[p->oldest_first ? i : p->n - 1 - i]);
	return e;
}

static bool go_on(struct transfers *t, uint64_t total)
{
	struct export_job *j = t->run->job;

	return j->go_on(j->arg, j->manifest.last / 32, total);
}

/* What comes while it runs is left out: it must end. */
static int64_t end_of(const struct export_request *q)
{
	return q->to_ms != 0 ? q->to_ms : clock_wall_ms() + 1;
}

static enum err put_all(struct transfers *t, uint64_t total)
{
	struct export_job *j = t->run->job;
	struct scan s = {.from_ms = j->request.from_ms,
			 .to_ms = end_of(&j->request),
			 .limit = PAGE};

	t->page->oldest_first = true;
	for (;;) {
		enum err e;

		t->page->n = 0;
		e = ledger_scan(t->view, &s, on_delivery, t->page);
		if (e != ERR_OK)
			return export_job_failed(j, e,
						 ledger_view_why(t->view));
		e = put_page(t);
		if (e != ERR_OK || s.ended)
			return e;
		if (!go_on(t, total))
			return ERR_CANCELED;
	}
}

static enum err put_found(struct transfers *t, uint64_t total)
{
	struct export_job *j = t->run->job;
	const struct export_request *q = &j->request;
	struct search_filter f = {
	    .from_ms = q->from_ms,
	    .to_ms = end_of(q),
	    .device = q->device[0] != '\0' ? q->device : NULL,
	    .destination = q->destination[0] != '\0' ? q->destination : NULL,
	    .study = q->study[0] != '\0' ? q->study : NULL,
	    .has_state = q->has_state,
	    .state = q->state,
	    .way = SEARCH_NEWER,
	    .limit = PAGE};

	for (;;) {
		struct search_page page;
		enum err e;

		t->page->n = 0;
		e = ledger_search(t->view, &f, on_delivery, t->page, &page);
		if (e != ERR_OK)
			return export_job_failed(j, e,
						 ledger_view_why(t->view));
		e = put_page(t);
		if (e != ERR_OK || page.newer == 0)
			return e;
		f.place = page.newer;
		if (!go_on(t, total))
			return ERR_CANCELED;
	}
}

static enum err put_rows(struct transfers *t, uint64_t total)
{
	return export_request_is_range(&t->run->job->request)
		   ? put_all(t, total)
		   : put_found(t, total);
}

static enum err run(struct transfers *t)
{
	struct export_job *j = t->run->job;
	struct view_state s = {0};
	enum err e;

	t->chain = export_chain_new(&export_table_transfers, j->request.reveal,
				    EXPORT_TRANSFERS_CHAIN);
	t->page = mem_zalloc(sizeof(*t->page));
	if (t->chain == NULL || t->page == NULL)
		return ERR_NOMEM;
	e = ledger_view_state(t->view, &s);
	if (e != ERR_OK)
		return export_job_failed(j, e, ledger_view_why(t->view));
	return put_rows(t, s.applied);
}

enum err export_job_transfers(struct export_job *j)
{
	struct transfers t = {0};
	char why[LEDGER_WHY_LEN] = "";
	enum err e = ledger_view_open(j->records, &t.view, why);

	if (e != ERR_OK)
		return export_job_failed(j, e, why);
	e = export_run_begin(j, &export_table_transfers, &t.run);
	if (e == ERR_OK)
		e = export_run_end(t.run, run(&t));
	export_chain_free(t.chain);
	mem_free(t.page);
	ledger_view_close(t.view);
	return e;
}
