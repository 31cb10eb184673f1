/* tls_engine.c - one TLS connection over memory. See tls.h.
 *
 * The library reads ciphertext by io_recv() from what tls_feed() lent, and
 * gives ciphertext to io_send(), which passes it on at once: so it never has
 * to be called again for writing. */
#include "proxy/net/tls_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proxy/lib/mem.h"
#include "proxy/net/address.h"

/* ---- birth and end ---------------------------------------------------- */

static enum err copy_names(struct tls *t, const char *server_name,
			   const char *session_key)
{
	char key[TLS_SESSION_KEY_LEN];

	if (server_name != NULL) {
		t->server_name = mem_strdup(server_name);
		if (t->server_name == NULL)
			return ERR_NOMEM;
	}
	if (session_key == NULL)
		return ERR_OK;
	/* a session proves one name at one place */
	snprintf(key, sizeof(key), "%s %s", session_key,
		 server_name != NULL ? server_name : "");
	t->session_key = mem_strdup(key);
	return t->session_key != NULL ? ERR_OK : ERR_NOMEM;
}

static enum err set_sni(struct tls *t)
{
	size_t n;

	if (t->server_name == NULL || address_is_numeric(t->server_name))
		return ERR_OK;
	n = strlen(t->server_name);
	return wolfSSL_UseSNI(t->wolf, WOLFSSL_SNI_HOST_NAME, t->server_name,
			      (word16)n) == WOLFSSL_SUCCESS
		   ? ERR_OK
		   : ERR_NOMEM;
}

static enum err engine_fill(struct tls *t, const char *server_name,
			    const char *session_key)
{
	enum err e = copy_names(t, server_name, session_key);

	if (e != ERR_OK)
		return e;
	t->wolf = wolfSSL_new(t->ctx->wolf);
	if (t->wolf == NULL)
		return ERR_NOMEM;
	wolfSSL_SetIOReadCtx(t->wolf, t);
	wolfSSL_SetIOWriteCtx(t->wolf, t);
	wolfSSL_SetCertCbCtx(t->wolf, t);
	if (wolfSSL_set_app_data(t->wolf, t) != WOLFSSL_SUCCESS)
		return ERR_NOMEM;
	e = tls_alpn_use(t);
	if (e != ERR_OK || t->ctx->server)
		return e;
	tls_session_offer(t);
	return set_sni(t);
}

enum err tls_new(struct tls_context *c, const char *server_name,
		 const char *session_key, tls_emit_fn *emit, void *arg,
		 struct tls **out)
{
	struct tls *t = mem_zalloc(sizeof(*t));
	enum err e;

	if (t == NULL)
		return ERR_NOMEM;
	t->ctx = tls_context_ref(c);
	t->emit = emit;
	t->emit_arg = arg;
	e = engine_fill(t, c->server ? NULL : server_name,
			c->server ? NULL : session_key);
	if (e != ERR_OK) {
		tls_free(t);
		return e;
	}
	*out = t;
	return ERR_OK;
}

void tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	wolfSSL_free(t->wolf);
	tls_identity_unref(t->peer);
	tls_identity_unref(t->shown);
	tls_identity_unref(t->resumed);
	tls_context_unref(t->ctx);
	mem_free(t->server_name);
	mem_free(t->session_key);
	mem_free(t->failure);
	mem_free(t);
}

/* ---- input ------------------------------------------------------------ */

static void keep_tail(struct tls *t, const uint8_t *p, size_t n)
{
	size_t fresh = n < TLS_ALERT_LEN ? n : TLS_ALERT_LEN;

	memmove(t->tail, t->tail + fresh, TLS_ALERT_LEN - fresh);
	if (fresh > 0)
		memcpy(t->tail + TLS_ALERT_LEN - fresh, p + n - fresh, fresh);
}

void tls_feed(struct tls *t, const uint8_t *p, size_t n)
{
	size_t room = TLS_HEAD_LEN - t->head_len;
	size_t take = n < room ? n : room;

	t->in = p;
	t->in_left = n;
	t->got += n;
	if (take > 0) {
		memcpy(t->head + t->head_len, p, take);
		t->head_len += take;
	}
	if (t->phase == TLS_HANDSHAKE)
		keep_tail(t, p, n);
}

size_t tls_pending_input(const struct tls *t, const uint8_t **rest)
{
	*rest = t->in;
	return t->in_left;
}

static enum err fail(struct tls *t, int wolf_error)
{
	t->phase = TLS_FAILED;
	t->in_left = 0;
	if (t->emit_error != ERR_OK)
		return t->emit_error;
	tls_fail_explain(t, wolf_error);
	return ERR_TLS;
}

/* ---- handshake -------------------------------------------------------- */

static bool may_be_nobody(const struct tls_context *c)
{
	return c->server && (c->no_client_cert || c->optional_client_cert);
}

/* No peer without an identity, however the handshake went. */
static enum err handshake_done(struct tls *t)
{
	t->was_resumed = wolfSSL_session_reused(t->wolf) != 0;
	t->who = t->was_resumed ? t->resumed : t->peer;
	if (t->who == NULL && !may_be_nobody(t->ctx)) {
		tls_fail_no_certificate(t);
		return fail(t, 0);
	}
	if (!tls_alpn_agreed(t))
		return fail(t, 0);
	t->done = true;
	t->phase = TLS_OPEN;
	return ERR_OK;
}

enum err tls_handshake(struct tls *t)
{
	int rc, error;

	assert(t->phase == TLS_HANDSHAKE || t->phase == TLS_FAILED);
	if (t->phase == TLS_FAILED)
		return ERR_TLS;
	if (tls_fail_plaintext(t))
		return fail(t, 0);
	rc =
	    t->ctx->server ? wolfSSL_accept(t->wolf) : wolfSSL_connect(t->wolf);
	if (rc == WOLFSSL_SUCCESS)
		return handshake_done(t);
	error = wolfSSL_get_error(t->wolf, rc);
	if (error == WOLFSSL_ERROR_WANT_READ && t->emit_error == ERR_OK)
		return ERR_AGAIN;
	return fail(t, error);
}

/* ---- data ------------------------------------------------------------- */

enum err tls_read(struct tls *t, uint8_t *out, size_t cap, size_t *n)
{
	int rc, error;

	if (t->phase == TLS_PEER_CLOSED)
		return ERR_CLOSED;
	if (t->phase != TLS_OPEN)
		return ERR_TLS;
	rc = wolfSSL_read(t->wolf, out, cap > INT_MAX ? INT_MAX : (int)cap);
	if (rc > 0) {
		*n = (size_t)rc;
		return ERR_OK;
	}
	error = wolfSSL_get_error(t->wolf, rc);
	if (error == WOLFSSL_ERROR_WANT_READ && t->emit_error == ERR_OK)
		return ERR_AGAIN;
	if (error == WOLFSSL_ERROR_ZERO_RETURN) {
		t->phase = TLS_PEER_CLOSED;
		return ERR_CLOSED;
	}
	return fail(t, error);
}

enum err tls_write(struct tls *t, const uint8_t *p, size_t n)
{
	if (t->phase == TLS_HANDSHAKE || t->phase == TLS_FAILED || t->notified)
		return ERR_TLS;
	while (n > 0) {
		int part = n > TLS_RECORD_MAX ? TLS_RECORD_MAX : (int)n;
		int rc = wolfSSL_write(t->wolf, p, part);

		if (rc != part)
			return fail(t, wolfSSL_get_error(t->wolf, rc));
		p += part;
		n -= (size_t)part;
	}
	return ERR_OK;
}

void tls_close_notify(struct tls *t)
{
	if (t->notified || t->phase == TLS_FAILED || t->phase == TLS_HANDSHAKE)
		return;
	t->notified = true;
	/* once: it would send another on every call (wolfSSL 7784) */
	wolfSSL_shutdown(t->wolf);
}

enum err tls_transport_ended(struct tls *t)
{
	tls_fail_ended(t);
	t->phase = TLS_FAILED;
	return ERR_CLOSED;
}

const char *tls_failure(const struct tls *t)
{
	return t->failure != NULL ? t->failure : "TLS failed";
}

/* ---- facts ------------------------------------------------------------ */

static const char *group_name(const struct tls *t)
{
	const char *group = wolfSSL_get_curve_name(t->wolf);

	if (group == NULL)
		return "";
	if (strcmp(group, "SECP256R1") == 0)
		return "P-256";
	if (strcmp(group, "SECP384R1") == 0)
		return "P-384";
	if (strcmp(group, "SECP521R1") == 0)
		return "P-521";
	return group;
}

static void copy_identity(struct tls_info *out, const struct tls_certificate *c)
{
	memcpy(out->fingerprint, c->fingerprint, sizeof(out->fingerprint));
	memcpy(out->subject, c->subject, sizeof(out->subject));
	memcpy(out->issuer, c->issuer, sizeof(out->issuer));
	memcpy(out->serial, c->serial, sizeof(out->serial));
	memcpy(out->sans, c->sans, sizeof(out->sans));
	out->not_after = c->not_after;
}

static void copy_channel(const struct tls *t, struct tls_info *out)
{
	snprintf(out->version, sizeof(out->version), "%s",
		 wolfSSL_get_version(t->wolf));
	snprintf(out->suite, sizeof(out->suite), "%s",
		 wolfSSL_get_cipher(t->wolf));
	snprintf(out->group, sizeof(out->group), "%s", group_name(t));
}

void tls_info(const struct tls *t, struct tls_info *out)
{
	*out = (struct tls_info){.resumed = t->was_resumed};
	if (!t->done)
		return;
	copy_channel(t, out);
	if (t->who != NULL)
		copy_identity(out, &t->who->cert);
}

/* The library answers "None" as long as nothing is agreed on. */
static bool agreed(const struct tls *t)
{
	const char *suite = wolfSSL_get_cipher(t->wolf);

	return suite != NULL && suite[0] != '\0' &&
	       strcasecmp(suite, "none") != 0;
}

void tls_seen(const struct tls *t, struct tls_info *out)
{
	*out = (struct tls_info){.resumed = false};
	if (agreed(t))
		copy_channel(t, out);
	if (t->shown != NULL)
		copy_identity(out, &t->shown->cert);
}

void tls_tell(const struct tls *t, struct tls_handshake *h)
{
	h->party = t->ctx->party;
	h->server = t->ctx->server;
	if (t->ctx->watch != NULL)
		t->ctx->watch(t->ctx->watch_arg, h);
}
