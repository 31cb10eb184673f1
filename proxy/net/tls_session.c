/* tls_session.c - resumption, on both sides.
 *
 * TLS does not show certificates again when a session is resumed, so who the
 * peer is must be remembered with it. The server's tickets therefore are only
 * names for rows of a table in memory: each row has a key of its own, the
 * identity, and an end. A ticket whose row is gone, or whose certificate has
 * expired meanwhile, means a full handshake. Nothing survives a restart or a
 * reload, by design: trust may have changed. */
#include "proxy/net/tls_int.h"

#include <string.h>
#include <sys/random.h>
#include <wolfssl/wolfcrypt/aes.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"

enum { TICKET_ID = 16, TICKET_KEY = 32, TICKET_IV = 12, TICKET_TAG = 16 };

struct tls_ticket {
	uint8_t id[TICKET_ID];
	uint8_t key[TICKET_KEY];
	uint64_t ends_ns;         /* monotonic */
	struct tls_identity *who; /* NULL: free row */
};

struct session {
	struct list node;
	char *key;
	WOLFSSL_SESSION *wolf; /* ours alone */
	struct tls_identity *who;
	uint64_t ends_ns;
};

static uint64_t end_of_session(void)
{
	return clock_mono_ns() + TLS_SESSION_SECONDS * UINT64_C(1000000000);
}

static bool still_valid(const struct tls_identity *who, uint64_t ends_ns)
{
	return clock_mono_ns() < ends_ns &&
	       clock_wall_ms() / 1000 < who->cert.not_after;
}

/* ---- server: tickets -------------------------------------------------- */

static void ticket_clear(struct tls_ticket *row)
{
	tls_identity_unref(row->who);
	mem_wipe(row, sizeof(*row));
}

/* Reuse the oldest row; its ticket just means a full handshake. */
static enum err ticket_issue(struct tls *t, struct tls_ticket *copy)
{
	struct tls_context *c = t->ctx;
	struct tls_ticket *row;

	if (t->peer == NULL && t->resumed == NULL)
		return ERR_NOTFOUND;
	if (getrandom(copy->id, TICKET_ID, 0) != TICKET_ID ||
	    getrandom(copy->key, TICKET_KEY, 0) != TICKET_KEY)
		return ERR_TLS;
	copy->ends_ns = end_of_session();
	copy->who = tls_identity_ref(t->peer != NULL ? t->peer : t->resumed);
	pthread_mutex_lock(&c->lock);
	row = &c->tickets[c->next_ticket++ % TLS_TICKETS_MAX];
	ticket_clear(row);
	*row = *copy;
	pthread_mutex_unlock(&c->lock);
	return ERR_OK;
}

static int ticket_seal(struct tls *t, uint8_t *name, uint8_t *iv, uint8_t *mac,
		       uint8_t *body, int len)
{
	struct tls_ticket row = {0};
	int rc = -1;
	Aes aes;

	if (ticket_issue(t, &row) != ERR_OK)
		return WOLFSSL_TICKET_RET_REJECT;
	memcpy(name, row.id, TICKET_ID);
	/* the key seals once, so the name will do as the nonce; the library
	 * wants no field empty */
	memcpy(iv, row.id, WOLFSSL_TICKET_IV_SZ);
	memset(mac, 0xa5, WOLFSSL_TICKET_MAC_SZ);
	if (wc_AesInit(&aes, NULL, INVALID_DEVID) == 0) {
		if (wc_AesGcmSetKey(&aes, row.key, TICKET_KEY) == 0)
			rc = wc_AesGcmEncrypt(&aes, body, body, (word32)len, iv,
					      TICKET_IV, mac, TICKET_TAG, name,
					      TICKET_ID);
		wc_AesFree(&aes);
	}
	mem_wipe(row.key, sizeof(row.key));
	return rc == 0 ? WOLFSSL_TICKET_RET_OK : WOLFSSL_TICKET_RET_REJECT;
}

/* Copies key and identity (a reference) of a live row. */
static bool ticket_find(struct tls_context *c, const uint8_t *name,
			struct tls_ticket *copy)
{
	bool found = false;

	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < TLS_TICKETS_MAX && !found; i++) {
		struct tls_ticket *row = &c->tickets[i];

		if (row->who == NULL || memcmp(row->id, name, TICKET_ID) != 0)
			continue;
		if (!still_valid(row->who, row->ends_ns)) {
			ticket_clear(row);
			break;
		}
		*copy = *row;
		tls_identity_ref(copy->who);
		found = true;
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

static int ticket_open(struct tls *t, const uint8_t *name, const uint8_t *iv,
		       const uint8_t *mac, uint8_t *body, int len)
{
	struct tls_ticket row;
	int rc = -1;
	Aes aes;

	if (!ticket_find(t->ctx, name, &row))
		return WOLFSSL_TICKET_RET_REJECT;
	if (wc_AesInit(&aes, NULL, INVALID_DEVID) == 0) {
		if (wc_AesGcmSetKey(&aes, row.key, TICKET_KEY) == 0)
			rc = wc_AesGcmDecrypt(&aes, body, body, (word32)len, iv,
					      TICKET_IV, mac, TICKET_TAG, name,
					      TICKET_ID);
		wc_AesFree(&aes);
	}
	mem_wipe(row.key, sizeof(row.key));
	tls_identity_unref(t->resumed);
	t->resumed = rc == 0 ? row.who : NULL;
	if (rc != 0)
		tls_identity_unref(row.who);
	return rc == 0 ? WOLFSSL_TICKET_RET_OK : WOLFSSL_TICKET_RET_REJECT;
}

static int on_ticket(WOLFSSL *wolf, unsigned char *name, unsigned char *iv,
		     unsigned char *mac, int enc, unsigned char *body, int len,
		     int *out_len, void *arg)
{
	struct tls *t = wolfSSL_get_app_data(wolf);

	(void)arg;
	*out_len = len;
	return enc ? ticket_seal(t, name, iv, mac, body, len)
		   : ticket_open(t, name, iv, mac, body, len);
}

/* ---- client: sessions ------------------------------------------------- */

static void session_free(struct tls_context *c, struct session *s)
{
	list_remove(&s->node);
	c->n_sessions--;
	wolfSSL_SESSION_free(s->wolf);
	tls_identity_unref(s->who);
	mem_free(s->key);
	mem_free(s);
}

static struct session *session_find(struct tls_context *c, const char *key)
{
	LIST_EACH(n, tmp, &c->sessions)
	{
		struct session *s = CONTAINER_OF(n, struct session, node);

		if (strcmp(s->key, key) == 0)
			return s;
	}
	return NULL;
}

static struct session *session_new(const struct tls *t, WOLFSSL_SESSION *wolf,
				   struct tls_identity *who)
{
	struct session *s = mem_zalloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	s->key = mem_strdup(t->session_key);
	/* a copy: the original belongs to a connection of some thread */
	s->wolf = wolfSSL_SESSION_dup(wolf);
	if (s->key == NULL || s->wolf == NULL) {
		wolfSSL_SESSION_free(s->wolf);
		mem_free(s->key);
		mem_free(s);
		return NULL;
	}
	s->who = tls_identity_ref(who);
	s->ends_ns = end_of_session();
	list_init(&s->node);
	return s;
}

/* The library has a session to keep: 0, since it is copied. */
static int on_new_session(WOLFSSL *wolf, WOLFSSL_SESSION *session)
{
	struct tls *t = wolfSSL_get_app_data(wolf);
	struct tls_identity *who = t->peer != NULL ? t->peer : t->resumed;
	struct tls_context *c = t->ctx;
	struct session *s, *old;

	if (t->session_key == NULL || who == NULL)
		return 0;
	s = session_new(t, session, who);
	if (s == NULL)
		return 0;
	pthread_mutex_lock(&c->lock);
	old = session_find(c, t->session_key);
	if (old == NULL && c->n_sessions >= TLS_SESSIONS_MAX)
		old = CONTAINER_OF(c->sessions.prev, struct session, node);
	if (old != NULL)
		session_free(c, old);
	list_push_front(&c->sessions, &s->node);
	c->n_sessions++;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

void tls_session_offer(struct tls *t)
{
	struct tls_context *c = t->ctx;
	WOLFSSL_SESSION *copy = NULL;
	struct session *s;

	if (t->session_key == NULL || c->no_resumption)
		return;
	pthread_mutex_lock(&c->lock);
	s = session_find(c, t->session_key);
	if (s != NULL && !still_valid(s->who, s->ends_ns)) {
		session_free(c, s);
		s = NULL;
	}
	if (s != NULL)
		copy = wolfSSL_SESSION_dup(s->wolf);
	if (copy != NULL)
		t->resumed = tls_identity_ref(s->who);
	pthread_mutex_unlock(&c->lock);
	if (copy == NULL)
		return;
	if (wolfSSL_set_session(t->wolf, copy) != WOLFSSL_SUCCESS) {
		tls_identity_unref(t->resumed);
		t->resumed = NULL;
	}
	wolfSSL_SESSION_free(copy);
}

/* ---- both ------------------------------------------------------------- */

enum err tls_sessions_init(struct tls_context *c)
{
	list_init(&c->sessions);
	if (c->no_resumption) {
		wolfSSL_CTX_set_session_cache_mode(c->wolf,
						   WOLFSSL_SESS_CACHE_OFF);
		if (c->server)
			wolfSSL_CTX_set_TicketEncCb(c->wolf, NULL);
		return ERR_OK;
	}
	wolfSSL_CTX_set_timeout(c->wolf, TLS_SESSION_SECONDS);
	if (!c->server) {
		/* No internal store: its sessions would have no identity.
		 * No tickets in TLS 1.2: the library takes an archive that
		 * has lost its ticket keys for one that resumes, and fails;
		 * session ids, and TLS 1.3, fall back as they should. */
		wolfSSL_CTX_set_session_cache_mode(
		    c->wolf, WOLFSSL_SESS_CACHE_NO_INTERNAL);
		wolfSSL_CTX_sess_set_new_cb(c->wolf, on_new_session);
		return ERR_OK;
	}
	wolfSSL_CTX_set_session_cache_mode(c->wolf, WOLFSSL_SESS_CACHE_OFF);
	c->tickets = mem_zarray(TLS_TICKETS_MAX, sizeof(*c->tickets));
	if (c->tickets == NULL)
		return ERR_NOMEM;
	wolfSSL_CTX_set_TicketEncCb(c->wolf, on_ticket);
	wolfSSL_CTX_set_TicketHint(c->wolf, TLS_SESSION_SECONDS);
	return ERR_OK;
}

void tls_context_flush_sessions(struct tls_context *c)
{
	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; c->tickets != NULL && i < TLS_TICKETS_MAX; i++)
		ticket_clear(&c->tickets[i]);
	while (!list_empty(&c->sessions))
		session_free(
		    c, CONTAINER_OF(c->sessions.next, struct session, node));
	pthread_mutex_unlock(&c->lock);
}

void tls_sessions_free(struct tls_context *c)
{
	tls_context_flush_sessions(c);
	mem_free(c->tickets);
	c->tickets = NULL;
}
