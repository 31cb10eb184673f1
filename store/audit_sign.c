/* audit_sign.c - heads: where the audit stands, signed. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/audit_int.h"

enum { HEAD_EVERY_S = 60 };

void audit_identify(struct audit *a, const char *node,
		    struct seal_signer *signer)
{
	snprintf(a->node, sizeof(a->node), "%s", node);
	a->signer = signer;
}

static enum err insert_head(sqlite3 *db, const struct audit_head *h)
{
	sqlite3_stmt *st;
	enum err e =
	    db_prepare(db, "INSERT INTO heads VALUES(?,?,?,?,?,?,?,?)", &st);

	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, h->number);
	db_bind_int(st, 2, h->seq);
	db_bind_blob(st, 3, h->chain, sizeof(h->chain));
	db_bind_int(st, 4, h->wall_ms);
	(void)sqlite3_bind_text(st, 5, h->node, -1, SQLITE_STATIC);
	db_bind_blob(st, 6, h->log, sizeof(h->log));
	db_bind_blob(st, 7, h->key_id, sizeof(h->key_id));
	db_bind_blob(st, 8, h->sig, h->sig_len);
	e = db_run(st);
	(void)sqlite3_finalize(st);
	return e;
}

static void remember(struct audit *a)
{
	if (a->pruned == NULL &&
	    audit_pruned_open(a->dir, false, &a->pruned, NULL) != ERR_OK)
		a->pruned = NULL;
	if (a->pruned != NULL &&
	    audit_pruned_set_last(a->pruned, &a->head) == ERR_OK)
		return;
	log_event(LOG_WARN, "audit-last-unwritten", "dir=%s", a->dir);
	audit_pruned_close(a->pruned); /* another try at the next head */
	a->pruned = NULL;
}

enum err audit_sign_now(struct audit *a)
{
	struct audit_head h = {.number = a->head.number + 1,
			       .seq = a->committed.seq,
			       .wall_ms = clock_wall_ms()};
	enum err e;

	if (a->signer == NULL || !a->committed.has_chain || a->db == NULL ||
	    a->in_transaction || a->head.seq >= a->committed.seq)
		return ERR_OK;
	a->head_ns = clock_mono_ns();
	memcpy(h.node, a->node, sizeof(h.node));
	memcpy(h.log, a->log, sizeof(h.log));
	memcpy(h.chain, a->committed.chain, sizeof(h.chain));
	e = audit_head_sign(a->signer, &h);
	if (e == ERR_OK)
		e = insert_head(a->db, &h);
	if (e != ERR_OK) {
		audit_say(a, e == ERR_NOMEM ? err_text(e) : NULL);
		return e;
	}
	a->head = h;
	a->unsynced = true;
	remember(a);
	return ERR_OK;
}

/* At an orderly end there is a stop, and a head over the last row. */
static void look_at_end(struct audit *a)
{
	if (a->committed.seq == 0 || a->found[0] == '\0' || a->gap[0] != '\0' ||
	    (a->stopped && a->head.seq >= a->committed.seq))
		return;
	snprintf(a->gap, sizeof(a->gap),
		 "the process before did not stop in an orderly way: what it "
		 "had not yet written after row %lld is lost",
		 (long long)a->committed.seq);
}

enum err audit_sign_found(struct audit *a)
{
	enum err e;

	if (a->signer != NULL && a->head.seq < a->committed.seq)
		a->unclean = true;
	if (a->signer != NULL && a->db == NULL)
		look_at_end(a);
	if (a->signer == NULL || a->db != NULL || a->found[0] == '\0' ||
	    !a->committed.has_chain || a->head.seq >= a->committed.seq)
		return ERR_OK;
	e = audit_month_open(a, a->found);
	return e == ERR_OK ? audit_sign_now(a) : e;
}

bool audit_unclean(const struct audit *a)
{
	return a->unclean;
}

int64_t audit_began(const struct audit *a)
{
	return a->began_ms;
}

enum err audit_sign(struct audit *a)
{
	uint64_t now = clock_mono_ns();

	if (a->head_ns != 0 && now - a->head_ns < HEAD_EVERY_S * 1000000000ULL)
		return ERR_OK;
	return audit_sign_now(a);
}

const struct audit_head *audit_signed(const struct audit *a)
{
	return a->head.number > 0 ? &a->head : NULL;
}
