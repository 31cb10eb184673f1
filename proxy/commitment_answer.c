/* commitment_answer.c - an archive's report: see commitment_int.h. */
#include <string.h>

#include "policy/config.h"
#include "proxy/commitment_int.h"
#include "proxy/dicom/command.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"

/* What the ledger knows of the transaction of a report. */
struct standing {
	const struct view_message *open;   /* asked for, not yet answered */
	const struct view_message *passed; /* released by hand: went itself */
	const struct view_message *mixed;  /* the same, after it was asked */
	const struct view_message *own;    /* asked by ourselves */
	const struct view_message *linked; /* asked by us for a request */
	bool reported;                     /* some request is answered */
};

static bool has_message(const struct view_message *rows, size_t n,
			uint16_t command, const char *link)
{
	for (size_t i = 0; i < n; i++) {
		if (read_is_ours(&rows[i]) && rows[i].command == command &&
		    strcmp(rows[i].peer, link) == 0)
			return true;
	}
	return false;
}

static bool has_certificate(const struct config_device *d)
{
	return d->certificate.fingerprints.n > 0 ||
	       d->certificate.subjects.n > 0 || d->certificate.sans.n > 0;
}

/* The archive reports on an association of ours, or as a device of its own. A
 * device that can ask for commitment itself, as it has a way back, is no
 * archive, unless its certificate says who it is: no modality vouches for what
 * another one sent. */
static bool may_answer(const struct commitment *c, const struct view_message *m,
		       const char *from)
{
	int d;

	if (strcmp(from, m->destination) == 0)
		return true;
	d = config_device_find(c->config, from);
	if (d < 0 || strcmp(from, m->device) == 0)
		return false;
	return config_device_destination(c->config, (size_t)d) < 0 ||
	       has_certificate(&c->config->devices[d]);
}

static void stand_by_request(struct standing *s, const struct view_message *m,
			     const struct view_message *rows, size_t n)
{
	char link[65];

	read_link(&m->transfer, link);
	if (has_message(rows, n, N_EVENT_REPORT_RQ, link))
		s->reported = true;
	else if (m->state == DELIVERY_DELIVERED)
		*(has_message(rows, n, N_ACTION_RQ, link) ? &s->mixed
							  : &s->passed) = m;
	else if (m->state == DELIVERY_HELD &&
		 has_message(rows, n, N_ACTION_RQ, link) && s->open == NULL)
		s->open = m;
}

static struct standing stand(const struct commitment *c,
			     const struct report_job *job,
			     const struct view_message *rows, size_t n)
{
	struct standing s = {0};

	for (size_t i = 0; i < n; i++) {
		const struct view_message *m = &rows[i];

		if (m->command != N_ACTION_RQ || !may_answer(c, m, job->from))
			continue;
		if (!read_is_ours(m))
			stand_by_request(&s, m, rows, n);
		else if (m->peer[0] != '\0')
			s.linked = m;
		else if (s.own == NULL)
			s.own = m;
	}
	return s;
}

/* ---- a request that waits ----------------------------------------------- */

static struct request *request_of(struct commitment *c, const char *link)
{
	LIST_EACH(n, tmp, &c->requests)
	{
		struct request *r = CONTAINER_OF(n, struct request, node);

		if (strcmp(r->link, link) == 0)
			return r;
	}
	return NULL;
}

/* Only of what was asked for: else it answers an earlier request that had the
 * same transaction UID. */
static bool is_within(const struct commit_set *answer,
		      const struct commit_set *asked)
{
	struct commit_index x;
	bool within = commit_index(asked, &x) == ERR_OK;

	for (size_t i = 0; within && i < answer->n; i++)
		within =
		    commit_index_find(&x, answer->refs[i].sop_instance) != NULL;
	commit_index_free(&x);
	return within;
}

static uint16_t status_of(enum err e)
{
	return e == ERR_OK                          ? STATUS_SUCCESS
	       : e == ERR_NOMEM || e == ERR_NOSPACE ? STATUS_RESOURCE_LIMIT
						    : STATUS_PROCESSING_FAILURE;
}

/* What was taken before the request and has not arrived is not safe, even if
 * the archive says so: it means an older one. */
static void fail_ours(const struct request *r, struct commit_set *merged)
{
	for (size_t i = 0; i < merged->n; i++) {
		const struct view_uid *u = &r->uids[i];
		enum named_state s = commitment_named(u->found, u->state);

		if (merged->refs[i].reason != COMMIT_OK || u->seq >= r->m.seq ||
		    (s != NAMED_WAITING && s != NAMED_LOST))
			continue;
		merged->refs[i].reason = COMMIT_PROCESSING_FAILURE;
		merged->n_failed++;
	}
}

static enum err merge_and_report(struct commitment *c, struct request *r,
				 const struct commit_set *answer)
{
	struct commitment_facts f = {0};
	struct commit_set merged;
	enum err e = read_named(c, r, &f);

	if (e == ERR_OK)
		e = commit_merge(&r->refs, answer, &merged);
	if (e != ERR_OK)
		return e;
	fail_ours(r, &merged);
	e = act_report(c, &r->m, &merged,
		       answer->n_failed > 0 ? "the archive's answer"
					    : "not all could be asked for");
	commit_free(&merged);
	if (e == ERR_OK) {
		r->reported = true;
		act_finish(c, r);
	}
	return e;
}

static uint16_t answer_open(struct commitment *c, struct request *r,
			    const struct report_job *job,
			    const struct commit_set *answer)
{
	enum err e;

	if (r->gone || r->reported)
		return STATUS_SUCCESS;
	e = read_refs(c, r);
	if (e == ERR_OK && !is_within(answer, &r->refs)) {
		log_event(LOG_WARN, "commitment-foreign",
			  "from=%s transaction=%s", job->from,
			  answer->transaction);
		return STATUS_PROCESSING_FAILURE;
	}
	if (e == ERR_OK)
		e = merge_and_report(c, r, answer);
	if (e != ERR_OK)
		log_event(LOG_ERROR, "commitment-unstored",
			  "from=%s transaction=%s detail=\"%s\"", job->from,
			  answer->transaction, err_text(e));
	return status_of(e);
}

static uint16_t answer_first(struct commitment *c, const struct view_message *m,
			     const struct report_job *job,
			     const struct commit_set *answer)
{
	struct request *r;
	char link[65];

	read_link(&m->transfer, link);
	r = request_of(c, link);
	if (r == NULL)
		return STATUS_RESOURCE_LIMIT; /* too many wait: again later */
	return answer_open(c, r, job, answer);
}

/* Of a request that was repeated under another transaction UID. */
static uint16_t answer_repeated(struct commitment *c,
				const struct view_message *m,
				const struct report_job *job,
				const struct commit_set *answer)
{
	struct request *r = request_of(c, m->peer);

	if (r == NULL)
		return STATUS_SUCCESS; /* it is answered */
	return answer_open(c, r, job, answer);
}

/* ---- all others --------------------------------------------------------- */

/* Nothing is left of the request: the archive's words are all there is. */
static uint16_t answer_passed(struct commitment *c,
			      const struct view_message *m,
			      const struct commit_set *answer)
{
	return status_of(act_report(c, m, answer, "the archive's answer"));
}

/* It may answer the device's own request or ours, which left out what is lost:
 * "all is safe" would not mean all. */
static uint16_t refuse_mixed(const struct view_message *m,
			     const struct report_job *job)
{
	log_event(LOG_ERROR, "commitment-mixed",
		  "from=%s device=%s transaction=%s", job->from, m->device,
		  m->transaction);
	return STATUS_PROCESSING_FAILURE;
}

static uint16_t refuse(const struct report_job *job,
		       const struct commit_set *answer)
{
	log_event(LOG_WARN, "commitment-unknown",
		  "from=%s transaction=%s instances=%zu", job->from,
		  answer->transaction, answer->n);
	return STATUS_PROCESSING_FAILURE;
}

static uint16_t dispatch(struct commitment *c, const struct report_job *job,
			 const struct commit_set *answer)
{
	struct view_message *rows;
	struct standing s;
	uint16_t status;
	size_t n;

	if (io_barrier(c) != ERR_OK || read_open(c) != ERR_OK ||
	    read_requests(c) != ERR_OK ||
	    read_transaction(c, answer->transaction, &rows, &n) != ERR_OK)
		return STATUS_RESOURCE_LIMIT;
	s = stand(c, job, rows, n);
	if (s.open != NULL)
		status = answer_first(c, s.open, job, answer);
	else if (s.own != NULL)
		status = own_answer(c, s.own, answer);
	else if (s.passed != NULL)
		status = answer_passed(c, s.passed, answer);
	else if (s.mixed != NULL)
		status = refuse_mixed(s.mixed, job);
	else if (s.reported)
		status = STATUS_SUCCESS; /* once more, or too late */
	else if (s.linked != NULL)
		status = answer_repeated(c, s.linked, job, answer);
	else
		status = refuse(job, answer);
	mem_free(rows);
	return status;
}

static uint16_t unreadable(const struct report_job *job, enum err e)
{
	log_event(LOG_WARN, "commitment-malformed",
		  "from=%s bytes=%zu detail=\"%s\"", job->from, job->len,
		  err_text(e));
	return e == ERR_NOMEM || e == ERR_LIMIT ? STATUS_RESOURCE_LIMIT
						: STATUS_INVALID_ARGUMENT;
}

uint16_t answer_report(struct commitment *c, const struct report_job *job)
{
	struct commit_set answer;
	uint16_t status;
	enum err e;

	if (job->event_type != COMMIT_EVENT_ALL &&
	    job->event_type != COMMIT_EVENT_SOME)
		return STATUS_NO_SUCH_EVENT;
	e = commit_decode(job->data, job->len, job->kind, &answer);
	if (e != ERR_OK)
		return unreadable(job, e);
	status = dispatch(c, job, &answer);
	commit_free(&answer);
	return status;
}
