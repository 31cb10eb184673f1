#include "proxy/association_record.h"

#include <stdio.h>
#include <string.h>

#include "proxy/dicom/command.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/net/address.h"
#include "proxy/net/stream.h"

#define SET(field, text) snprintf((field), sizeof(field), "%s", (text))

void association_facts_init(struct association_facts *f,
			    const struct config_listener *l, int fd)
{
	struct sockaddr_storage local = {0};
	socklen_t len = sizeof(f->peer);
	char text[ADDRESS_TEXT_LEN];

	SET(f->row.party, l->name);
	f->row.direction = LEDGER_IN;
	f->row.begun_ms = clock_wall_ms();
	if (getpeername(fd, (struct sockaddr *)&f->peer, &len) == 0)
		address_text((struct sockaddr *)&f->peer, text);
	else
		SET(text, "?");
	instance_set(f->row.peer, sizeof(f->row.peer), text);
	len = sizeof(local);
	if (getsockname(fd, (struct sockaddr *)&local, &len) == 0)
		instance_set(f->row.local, sizeof(f->row.local),
			     address_text((struct sockaddr *)&local, text));
}

static void audit(const struct association_facts *f, struct ledger *ledger,
		  enum audit_kind kind, const char *study, const char *detail);

/* Text of a peer's that has no rule of its own, so that it can be shown. */
static void show_only(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
	}
}

void association_facts_names(struct association_facts *f,
			     const struct assoc *rq)
{
	SET(f->row.calling_ae, rq->calling_ae);
	SET(f->row.called_ae, rq->called_ae);
	SET(f->row.impl_class, rq->impl_class);
	SET(f->row.impl_version, rq->impl_version);
	show_only(f->row.impl_class);
	show_only(f->row.impl_version);
	f->row.max_pdu = rq->max_pdu;
}

static void count_study(struct association_facts *f, const char *study,
			uint64_t bytes)
{
	size_t i = 0;

	while (i < f->n_studies && strcmp(f->studies[i].uid, study) != 0)
		i++;
	if (i == RECORD_STUDIES) {
		f->more_instances++;
		return;
	}
	if (i == f->n_studies) {
		SET(f->studies[i].uid, study);
		f->n_studies++;
	}
	f->studies[i].instances++;
	f->studies[i].bytes += bytes;
}

void association_note_store(struct association_facts *f, const char *study,
			    uint64_t bytes, bool stored)
{
	if (stored)
		count_study(f, study, bytes);
}

void association_note_refusal(struct association_facts *f, uint16_t field,
			      uint16_t status, const char *comment)
{
	if (f->complained)
		return;
	f->complained = true;
	log_event(LOG_WARN,
		  field == C_STORE_RQ ? "store-refused" : "request-refused",
		  "assoc=%llu device=%s message=%s status=%04x detail=\"%s\"",
		  (unsigned long long)f->row.id, f->row.device,
		  command_name(field), status,
		  comment != NULL && comment[0] != '\0'
		      ? comment
		      : command_status_text(status));
}

void association_note_forbidden(struct association_facts *f,
				struct ledger *ledger, const struct command *rq,
				const char *from)
{
	const char *sop_class = (rq->has & CMD_AFFECTED_CLASS) != 0
				    ? rq->affected_class
				    : rq->requested_class;
	char detail[256], shown[UID_SIZE];
	struct audit_json j = audit_json_begin(detail, sizeof(detail));

	if (f->forbidden++ > 0)
		return; /* the first says it; all are counted as failures */
	SET(shown, sop_class);
	show_only(shown);
	audit_json_text(&j, "message", command_name(rq->field));
	audit_json_text(&j, "sop_class", shown);
	audit_json_text(&j, "from", from);
	audit_json_end(&j);
	audit(f, ledger, AUDIT_MESSAGE_REFUSED, "", detail);
	log_event(LOG_WARN, "message-refused", "assoc=%llu from=%s message=%s",
		  (unsigned long long)f->row.id, from, command_name(rq->field));
}

/* ---- certificates ------------------------------------------------------ */

/* "DNS:a, IP:10.0.0.1" into its values, in place. */
static size_t split_sans(char *text, const char **out, size_t max)
{
	size_t n = 0;
	char *save = NULL;

	for (char *t = strtok_r(text, ",", &save); t != NULL && n < max;
	     t = strtok_r(NULL, ",", &save)) {
		char *value = strchr(t, ':');

		if (value != NULL)
			out[n++] = value + 1;
	}
	return n;
}

const struct device_certificate *
association_certificate_of(struct peer_certificate *room)
{
	room->certificate = (struct device_certificate){
	    .fingerprint = room->info.fingerprint,
	    .subject = room->info.subject,
	    .sans = room->sans,
	    .n_sans =
		split_sans(room->info.sans, room->sans, ARRAY_LEN(room->sans))};
	return &room->certificate;
}

const struct device_certificate *
association_certificate(const struct stream *s, struct peer_certificate *room)
{
	return stream_tls_info(s, &room->info)
		   ? association_certificate_of(room)
		   : NULL;
}

static void take_tls(struct association_facts *f, const struct tls_info *info)
{
	SET(f->row.tls_version, info->version);
	SET(f->row.tls_suite, info->suite);
	SET(f->row.tls_group, info->group);
	SET(f->row.fingerprint, info->fingerprint);
	SET(f->row.subject, info->subject);
}

/* ---- rows -------------------------------------------------------------- */

static void audit_counted(const struct association_facts *f,
			  struct ledger *ledger, enum audit_kind kind,
			  const char *study, const char *detail,
			  uint64_t instances, uint64_t bytes)
{
	struct audit_event *e = mem_zalloc(sizeof(*e));

	if (e == NULL)
		return; /* the ledger's row and the log line stand */
	e->kind = kind;
	e->association = f->row.id;
	SET(e->listener, f->row.party);
	SET(e->device, f->row.device);
	SET(e->peer, f->row.peer);
	SET(e->local, f->row.local);
	SET(e->calling_ae, f->row.calling_ae);
	SET(e->called_ae, f->row.called_ae);
	SET(e->fingerprint, f->row.fingerprint);
	SET(e->study, study);
	SET(e->detail, detail);
	e->covers.instances = instances;
	e->covers.bytes = bytes;
	ledger_audit(ledger, e);
	mem_free(e);
}

static void audit(const struct association_facts *f, struct ledger *ledger,
		  enum audit_kind kind, const char *study, const char *detail)
{
	audit_counted(f, ledger, kind, study, detail, 0, 0);
}

/* The transfer syntaxes a context proposed, joined by spaces, at text. */
static void join_proposed(const struct assoc *rq, const struct assoc_context *c,
			  struct buf *text)
{
	for (size_t i = 0; i < c->n_ts; i++) {
		const char *ts = assoc_ts(rq, c, i);

		if (i > 0 && buf_append(text, " ", 1) != ERR_OK)
			break;
		if (buf_append(text, ts, strlen(ts)) != ERR_OK)
			break;
	}
	/* always ended: the room is twice the most that can be proposed */
	if (buf_append(text, "", 1) != ERR_OK && buf_len(text) > 0)
		buf_data(text)[buf_len(text) - 1] = '\0';
}

enum { PROPOSED_ROOM = ASSOC_MAX_TS * UID_SIZE + ASSOC_MAX_CONTEXTS };

static void describe_contexts(struct ledger_context *out, struct buf *text,
			      const struct assoc *rq, const struct assoc *ac)
{
	size_t at[ASSOC_MAX_CONTEXTS];

	for (size_t i = 0; i < rq->n_contexts; i++) {
		const struct assoc_context *c = &rq->contexts[i];
		const struct assoc_context *r = assoc_context(ac, c->id);
		const char *ts = assoc_accepted(rq, ac, c->id);

		out[i].id = c->id;
		out[i].result = r != NULL ? r->result : CONTEXT_NO_REASON;
		SET(out[i].abstract, c->abstract);
		SET(out[i].accepted, ts != NULL ? ts : "");
		show_only(out[i].abstract);
		show_only(out[i].accepted);
		at[i] = buf_len(text);
		join_proposed(rq, c, text);
		show_only((char *)buf_data(text) + at[i]);
	}
	/* pointers only now: the text may have moved while it grew */
	for (size_t i = 0; i < rq->n_contexts; i++)
		out[i].proposed = (const char *)buf_data(text) + at[i];
}

void association_record_begin(struct association_facts *f,
			      struct ledger *ledger, const char *device,
			      const struct assoc *rq, const struct assoc *ac,
			      const struct stream *s)
{
	struct ledger_context *contexts =
	    mem_zarray(ASSOC_MAX_CONTEXTS, sizeof(*contexts));
	char calling[80], called[80];
	struct tls_info info;
	struct buf text;

	buf_init(&text, PROPOSED_ROOM);
	if (f->row.id == 0)
		f->row.id = ledger_association_id(ledger);
	f->end.id = f->row.id;
	SET(f->row.device, device);
	SET(f->row.result, "accepted");
	if (stream_tls_info(s, &info))
		take_tls(f, &info);
	if (contexts != NULL) {
		describe_contexts(contexts, &text, rq, ac);
		f->row.contexts = contexts;
		f->row.n_contexts = rq->n_contexts;
	}
	ledger_association_begin(ledger, &f->row);
	f->row.contexts = NULL;
	audit(f, ledger, AUDIT_ASSOCIATION_ACCEPTED, "", "");
	log_event(
	    LOG_INFO, "assoc-accepted",
	    "assoc=%llu listener=%s device=%s peer=%s calling=%s "
	    "called=%s contexts=%u%s%s",
	    (unsigned long long)f->row.id, f->row.party, f->row.device,
	    f->row.peer, log_esc(f->row.calling_ae, calling, sizeof(calling)),
	    log_esc(f->row.called_ae, called, sizeof(called)),
	    (unsigned)rq->n_contexts,
	    f->row.tls_version[0] != '\0' ? " tls=" : "", f->row.tls_version);
	buf_free(&text);
	mem_free(contexts);
}

void association_record_link(struct association_facts *f, struct ledger *ledger,
			     const struct tls_info *info)
{
	f->row.id = ledger_association_id(ledger);
	f->end.id = f->row.id;
	SET(f->row.result, "link");
	if (info != NULL)
		take_tls(f, info);
	ledger_association_begin(ledger, &f->row);
	audit(f, ledger, AUDIT_ASSOCIATION_ACCEPTED, "", "");
}

static void audit_studies(const struct association_facts *f,
			  struct ledger *ledger)
{
	char detail[128];

	for (size_t i = 0; i < f->n_studies; i++) {
		struct audit_json j = audit_json_begin(detail, sizeof(detail));

		audit_json_number(&j, "instances",
				  (int64_t)f->studies[i].instances);
		audit_json_number(&j, "bytes", (int64_t)f->studies[i].bytes);
		if (i == 0 && f->more_instances > 0)
			audit_json_number(&j, "more_instances",
					  (int64_t)f->more_instances);
		audit_json_end(&j);
		audit_counted(f, ledger, AUDIT_INSTANCES_RECEIVED,
			      f->studies[i].uid, detail,
			      f->studies[i].instances, f->studies[i].bytes);
	}
}

void association_record_studies(struct association_facts *f,
				struct ledger *ledger)
{
	audit_studies(f, ledger);
	f->n_studies = 0;
	f->more_instances = 0;
}

void association_record_close(struct association_facts *f,
			      struct ledger *ledger, const char *why,
			      uint64_t duration_ns)
{
	f->end.ended_ms = clock_wall_ms();
	f->end.duration_ns = duration_ns;
	SET(f->end.why, why);
	ledger_association_end(ledger, &f->end);
	audit_studies(f, ledger);
	audit(f, ledger, AUDIT_ASSOCIATION_ENDED, "", "");
}

void association_record_end(struct association_facts *f, struct ledger *ledger,
			    const char *why, uint64_t duration_ns)
{
	association_record_close(f, ledger, why, duration_ns);
	log_event(LOG_INFO, "assoc-ended",
		  "assoc=%llu device=%s stores=%u echos=%u failures=%u "
		  "ms=%llu why=\"%s\"",
		  (unsigned long long)f->row.id, f->row.device, f->end.stores,
		  f->end.echos, f->end.failures,
		  (unsigned long long)(duration_ns / 1000000), why);
}
