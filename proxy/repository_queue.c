/* repository_queue.c - rows out of the audit, messages out of rows.
 *
 * A reader is opened when the newest month's file has changed, or LOOK_MS have
 * passed, but not more often than every SOON_MS; it gives what was there at
 * that moment, and is closed at its end. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/repository_int.h"
#include "store/audit_head.h"

enum {
	LOOK_MS = 5000,
	SOON_MS = 300,  /* a look opens all months' files */
	HEAD_MS = 5000, /* between looks for a new one */
	DAMAGE_MS = 3600 * 1000,
};

static uint64_t now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

/* Time and size of what the writer appends to: this month's log. */
static bool changed(struct repository_queue *q, struct stat *st)
{
	char path[CONFIG_PATH_LEN + 32], text[CLOCK_TEXT_LEN];

	(void)snprintf(path, sizeof(path), "%s/audit-%.7s.db-wal", q->dir,
		       clock_text(clock_wall_ms(), text));
	if (stat(path, st) != 0)
		memset(st, 0, sizeof(*st));
	return st->st_size != q->seen.st_size || st->st_ino != q->seen.st_ino ||
	       st->st_mtim.tv_sec != q->seen.st_mtim.tv_sec ||
	       st->st_mtim.tv_nsec != q->seen.st_mtim.tv_nsec;
}

static enum err failed(struct repository_queue *q, enum err e, const char *why)
{
	(void)snprintf(q->why, sizeof(q->why), "%s", why);
	return e;
}

static void end_reading(struct repository_queue *q)
{
	audit_read_close(q->reader);
	q->reader = NULL;
}

/* The audit is not the one that was sent: it was lost, and begun anew. */
static void begun_anew(struct repository_queue *q, int64_t first, int64_t last)
{
	log_event(LOG_WARN, "repository-audit-anew",
		  "repository=%s sent=%lld newest=%lld effect=\"the audit is "
		  "sent from its begin\"",
		  q->config->name, (long long)q->next - 1, (long long)last);
	repository_restart(CONTAINER_OF(q, struct repository, queue), first);
	repository_queue_seek(q, first);
}

static enum err begin_reading(struct repository_queue *q)
{
	struct audit_filter f = {.from_seq = q->next,
				 .sealed = q->config->identity != 0 &&
					   q->o->open != NULL};
	char why[AUDIT_WHY_LEN];
	uint64_t now = now_ms();
	struct stat st;
	int64_t first, last;
	enum err e;

	if (now < q->rest_until_ms || (!changed(q, &st) && now < q->look_at_ms))
		return ERR_AGAIN;
	q->seen = st;
	q->look_at_ms = now + LOOK_MS;
	q->rest_until_ms = now + SOON_MS;
	e = audit_read_open(q->dir, &f, &q->reader, why);
	if (e == ERR_NOTFOUND)
		return ERR_AGAIN;
	if (e != ERR_OK) {
		q->seen = (struct stat){0};
		return failed(q, e, why);
	}
	audit_read_span(q->reader, &first, &last);
	q->newest = last;
	if (last != 0 && q->next > last + 1)
		begun_anew(q, first, last);
	return q->reader != NULL ? ERR_OK : ERR_AGAIN;
}

static void tell_damaged(struct repository_queue *q)
{
	uint64_t now = now_ms();

	if (q->damage_told_ms != 0 && now - q->damage_told_ms < DAMAGE_MS)
		return;
	q->damage_told_ms = now;
	log_event(LOG_ERROR, "repository-rows-unreadable",
		  "repository=%s cause=\"%s\" effect=\"its rows are not "
		  "sent\"",
		  q->config->name, audit_read_why(q->reader));
}

static enum err next_row(struct repository_queue *q,
			 const struct audit_row **row)
{
	enum err e = q->reader != NULL ? ERR_OK : begin_reading(q);

	if (e != ERR_OK)
		return e;
	/* a damaged month is told of once for each look; the others are read */
	while ((e = audit_read_next(q->reader, row)) == ERR_CORRUPT)
		tell_damaged(q);
	if (e != ERR_OK) {
		e = failed(q, e == ERR_AGAIN ? ERR_IO : e,
			   audit_read_why(q->reader));
		end_reading(q);
		q->look_at_ms = 0;
		return e;
	}
	if (*row == NULL) {
		end_reading(q);
		return ERR_AGAIN;
	}
	return ERR_OK;
}

/* ---- messages ------------------------------------------------------------ */

static size_t header(const struct repository_queue *q, int64_t wall_ms,
		     unsigned severity, char *out)
{
	struct syslog_header h = {.facility = q->config->facility,
				  .severity = severity,
				  .wall_ms = wall_ms,
				  .host = q->node,
				  .app = "culvert",
				  .pid = q->pid,
				  .msgid = q->config->msgid == CONFIG_MSGID_IHE
					       ? "IHE+RFC-3881"
					       : "DICOM+RFC3881"};

	return syslog_header(&h, out);
}

static struct audit_message_source source_of(const struct repository_queue *q)
{
	return (struct audit_message_source){.node = q->node,
					     .site = q->config->site};
}

static void facts_of(const struct audit_row *row, struct audit_facts *f)
{
	*f = (struct audit_facts){
	    .seq = (uint64_t)row->seq,
	    .wall_ms = row->wall_ms,
	    .kind = row->kind,
	    .outcome = row->outcome,
	    .association = row->association,
	    .listener = row->listener,
	    .device = row->device,
	    .destination = row->destination,
	    .peer = row->peer,
	    .local = row->local,
	    .calling_ae = row->calling_ae,
	    .called_ae = row->called_ae,
	    .fingerprint = row->fingerprint,
	    .study = row->study,
	    .user = row->user,
	    .detail = row->detail,
	    .chain = row->has_chain ? row->chain : NULL,
	};
}

static enum err encode(struct repository_queue *q, const struct audit_row *row,
		       size_t want, char *out, size_t cap, size_t *len)
{
	struct audit_message_source source = source_of(q);
	struct repository_opened opened = {.query = NULL};
	struct audit_facts f;
	size_t head =
	    header(q, row->wall_ms, audit_message_severity(row->outcome), out);
	enum err e;

	facts_of(row, &f);
	if (q->config->identity != 0 && q->o->open != NULL &&
	    q->o->open(q->o->arg, row, &opened)) {
		f.identity = &opened.identity;
		f.query = opened.query;
		f.query_len = opened.query_len;
	}
	e = audit_message_row(&source, &f, want > head ? want - head : 0,
			      out + head, cap - head, len);
	if (f.identity != NULL)
		(void)q->o->open(q->o->arg, NULL, &opened);
	*len += head;
	return e;
}

/* ERR_AGAIN: there is none that was not sent. */
static enum err encode_head(struct repository_queue *q, char *out, size_t cap,
			    size_t *len)
{
	struct audit_message_source source = source_of(q);
	char statement[AUDIT_HEAD_TEXT_LEN];
	struct audit_head h;
	size_t head;
	enum err e;

	q->head_at_ms = now_ms() + HEAD_MS;
	if (audit_head_newest(q->dir, &h) != ERR_OK ||
	    h.number == q->head_number)
		return ERR_AGAIN; /* what is wrong, reading the rows tells */
	(void)audit_head_text(&h, statement);
	head = header(q, h.wall_ms, 5, out);
	e = audit_message_head(&source, h.wall_ms, (uint64_t)h.seq, statement,
			       h.sig, h.sig_len, out + head, cap - head, len);
	if (e != ERR_OK)
		return failed(q, e, err_text(e));
	*len += head;
	q->head_number = h.number;
	q->head_seq = h.seq;
	return ERR_OK;
}

enum err repository_queue_next(struct repository_queue *q, size_t want,
			       char *out, size_t cap, size_t *len, int64_t *seq)
{
	const struct audit_row *row;
	enum err e = ERR_AGAIN;

	/* not behind the rows: there may be years of them */
	*seq = 0;
	if (now_ms() >= q->head_at_ms)
		e = encode_head(q, out, cap, len);
	if (e != ERR_AGAIN)
		return e;
	e = next_row(q, &row);
	if (e != ERR_OK)
		return e;
	e = encode(q, row, want, out, cap, len);
	if (e != ERR_OK)
		return failed(q, e, err_text(e));
	*seq = row->seq;
	q->next = row->seq + 1;
	return ERR_OK;
}

/* ---- where it stands ------------------------------------------------------
 */

void repository_queue_seek(struct repository_queue *q, int64_t next)
{
	end_reading(q);
	q->next = next > 1 ? next : 1;
	q->look_at_ms = 0;
	q->rest_until_ms = 0;
}

void repository_queue_pause(struct repository_queue *q)
{
	if (q->reader != NULL)
		audit_read_pause(q->reader);
}

void repository_queue_hurry(struct repository_queue *q)
{
	q->look_at_ms = 0;
	q->rest_until_ms = 0;
	q->head_at_ms = 0;
}

void repository_queue_look(struct repository_queue *q)
{
	if (q->reader == NULL && begin_reading(q) != ERR_OK)
		return;
	end_reading(q);
}

void repository_queue_head_again(struct repository_queue *q)
{
	q->head_number = 0;
	q->head_at_ms = 0;
}

void repository_queue_close(struct repository_queue *q)
{
	end_reading(q);
}
