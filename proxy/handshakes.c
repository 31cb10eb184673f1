#include "proxy/handshakes.h"

#include <stdio.h>
#include <string.h>

#include "policy/limits.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/net/address.h"
#include "proxy/net/tls.h"
#include "store/ledger.h"

#define SET(field, text) snprintf((field), sizeof(field), "%s", (text))

struct handshakes {
	struct ledger *ledger;
	struct refusals *refusals;
};

enum err handshakes_new(struct ledger *ledger, struct handshakes **out)
{
	struct handshakes *h = mem_zalloc(sizeof(*h));
	enum err e;

	if (h == NULL)
		return ERR_NOMEM;
	h->ledger = ledger;
	e = refusals_new(&h->refusals);
	if (e != ERR_OK) {
		mem_free(h);
		return e;
	}
	*out = h;
	return ERR_OK;
}

void handshakes_free(struct handshakes *h)
{
	if (h == NULL)
		return;
	refusals_free(h->refusals);
	mem_free(h);
}

/* ---- one ----------------------------------------------------------------- */

static void describe(struct audit_json *j, const struct tls_handshake *f)
{
	audit_json_text(j, "side", f->server ? "server" : "client");
	if (f->endpoint != NULL)
		audit_json_text(j, "endpoint", f->endpoint);
	if (f->info.version[0] != '\0') {
		audit_json_text(j, "version", f->info.version);
		audit_json_text(j, "suite", f->info.suite);
		audit_json_text(j, "group", f->info.group);
	}
	if (f->info.subject[0] != '\0')
		audit_json_text(j, "subject", f->info.subject);
	if (f->failure != NULL)
		audit_json_text(j, "verdict", f->failure);
	else if (f->info.fingerprint[0] == '\0')
		audit_json_text(j, "verdict", "no certificate asked for");
	else
		audit_json_text(j, "verdict",
				f->info.resumed ? "resumed" : "verified");
}

static void record(struct handshakes *h, const struct tls_handshake *f)
{
	struct audit_event *e = mem_zalloc(sizeof(*e));
	struct audit_json j;

	if (e == NULL)
		return; /* the log has it */
	e->kind = f->failure != NULL ? AUDIT_TLS_FAILED : AUDIT_TLS_ACCEPTED;
	e->outcome = f->failure != NULL ? AUDIT_MINOR : AUDIT_SUCCESS;
	if (f->server)
		SET(e->listener, f->party);
	else
		SET(e->destination, f->party);
	SET(e->peer, f->peer);
	SET(e->local, f->local);
	SET(e->fingerprint, f->info.fingerprint);
	j = audit_json_begin(e->detail, sizeof(e->detail));
	describe(&j, f);
	audit_json_end(&j);
	ledger_audit(h->ledger, e);
	mem_free(e);
}

/* ---- repeats ------------------------------------------------------------- */

/* The side is the key's reason. */
static void on_repeats(void *arg, const struct refusal *r)
{
	struct handshakes *h = arg;
	struct audit_event *e = mem_zalloc(sizeof(*e));
	struct audit_json j;

	if (e == NULL)
		return;
	e->kind = AUDIT_TLS_FAILED;
	e->outcome = AUDIT_MINOR;
	if (strcmp(r->key.reason, "server") == 0)
		SET(e->listener, r->key.listener);
	else
		SET(e->destination, r->key.listener);
	SET(e->peer, r->key.address);
	j = audit_json_begin(e->detail, sizeof(e->detail));
	audit_json_text(&j, "side", r->key.reason);
	audit_json_number(&j, "times", (int64_t)r->count);
	audit_json_number(&j, "seconds",
			  (int64_t)((r->last_ms - r->first_ms) / 1000));
	audit_json_end(&j);
	ledger_audit(h->ledger, e);
	mem_free(e);
}

static bool is_first(struct handshakes *h, const struct tls_handshake *f)
{
	struct refusal_key key = {0};

	SET(key.listener, f->party);
	address_host(f->peer, key.address, sizeof(key.address));
	SET(key.reason, f->server ? "server" : "client");
	refusals_merge(h->refusals, &key);
	return refusals_note(h->refusals, &key, clock_mono_ns() / 1000000,
			     on_repeats, h);
}

static void on_handshake(void *arg, const struct tls_handshake *f)
{
	struct handshakes *h = arg;

	if (f->failure == NULL || is_first(h, f))
		record(h, f);
}

void handshakes_watch(struct handshakes *h, const char *party,
		      struct tls_context *c)
{
	if (h != NULL && c != NULL)
		tls_context_watch(c, party, on_handshake, h);
}

void handshakes_flush(struct handshakes *h, bool all)
{
	refusals_flush(h->refusals, clock_mono_ns() / 1000000, all, on_repeats,
		       h);
}
