/* tls.c - contexts: certificate, key, CAs and profile. See tls.h. */
#include "proxy/net/tls_int.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"

enum { RSA_MIN_BITS = 2048, EC_MIN_BITS = 256 };

/* ---- the library ------------------------------------------------------ */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool library_ready;

static void *wolf_malloc(size_t n)
{
	return mem_realloc(NULL, n); /* not zeroed: records are this way */
}

static void wolf_free(void *p)
{
	mem_free(p);
}

static void *wolf_realloc(void *p, size_t n)
{
	return mem_realloc(p, n);
}

static void library_init(void)
{
	wolfSSL_SetAllocators(wolf_malloc, wolf_free, wolf_realloc);
	library_ready = wolfSSL_Init() == WOLFSSL_SUCCESS;
}

enum err tls_global_init(void)
{
	pthread_once(&once, library_init);
	return library_ready ? ERR_OK : ERR_TLS;
}

void tls_global_cleanup(void)
{
	if (library_ready)
		wolfSSL_Cleanup();
	library_ready = false;
	once = (pthread_once_t)PTHREAD_ONCE_INIT;
}

const char *tls_library_version(void)
{
	return "wolfSSL " LIBWOLFSSL_VERSION_STRING;
}

/* ---- files ------------------------------------------------------------ */

static enum err remember_ca(struct tls_context *c, const char *subject)
{
	size_t n = c->ca_names != NULL ? strlen(c->ca_names) : 0;
	size_t more = strlen(subject) + 2;
	char *names;

	if (n + more > TLS_CA_NAMES_MAX)
		return ERR_OK; /* only for a text */
	names = mem_realloc(c->ca_names, n + more);
	if (names == NULL)
		return ERR_NOMEM;
	snprintf(names + n, more, "%s\n", subject);
	c->ca_names = names;
	return ERR_OK;
}

/* An expired CA is left out, so that the others still serve. */
static enum err add_ca(struct tls_context *c, const char *path,
		       const uint8_t *der, size_t len, unsigned *n)
{
	struct tls_certificate cert;
	char end[32], desc[300];

	if (tls_cert_parse(der, len, &cert) != ERR_OK)
		return ERR_INVAL;
	if (cert.days_left < 0) {
		log_event(LOG_WARN, "tls-ca-expired",
			  "file=%s ca=\"%s\" expired=\"%s\"", path,
			  tls_cert_describe(&cert, desc, sizeof(desc)),
			  tls_date(cert.not_after, end));
		return ERR_OK;
	}
	if (wolfSSL_CTX_load_verify_buffer(c->wolf, der, (long)len,
					   WOLFSSL_FILETYPE_ASN1) !=
	    WOLFSSL_SUCCESS)
		return ERR_INVAL;
	(*n)++;
	return remember_ca(c, cert.subject);
}

static enum err add_cas(struct tls_context *c, const char *path,
			const uint8_t *text, size_t len, char *why)
{
	size_t at = 0, der_len;
	unsigned n = 0, seen = 0;
	uint8_t *der;
	enum err e;

	while ((e = tls_pem_next(text, len, &at, &der, &der_len)) == ERR_OK) {
		e = add_ca(c, path, der, der_len, &n);
		mem_free(der);
		if (e != ERR_OK)
			break;
		seen++;
	}
	if (e == ERR_NOTFOUND && n > 0)
		return ERR_OK;
	if (e == ERR_NOTFOUND && seen > 0)
		snprintf(why, TLS_WHY_LEN,
			 "every CA in %.300s has expired; get the current CA "
			 "certificate",
			 path);
	else if (e == ERR_NOTFOUND)
		snprintf(why, TLS_WHY_LEN,
			 "%.300s holds no certificate (no BEGIN CERTIFICATE); "
			 "it must be PEM: openssl x509 -inform der converts",
			 path);
	else
		snprintf(why, TLS_WHY_LEN,
			 "certificate %u in %.300s cannot be read: it is "
			 "damaged, or no CA certificate",
			 seen + 1, path);
	return e == ERR_NOMEM ? e : ERR_INVAL;
}

static enum err load_ca(struct tls_context *c, const char *path, char *why)
{
	uint8_t *text;
	size_t len;
	enum err e = tls_file_read(path, &text, &len, why);

	if (e != ERR_OK)
		return e;
	c->ca_file = mem_strdup(path);
	e = c->ca_file != NULL ? add_cas(c, path, text, len, why) : ERR_NOMEM;
	tls_file_free(text, len);
	return e;
}

static enum err load_chain(struct tls_context *c, const char *path, char *why)
{
	uint8_t *text;
	size_t len;
	enum err e = tls_certificate_read(path, &c->own, why);

	if (e == ERR_OK)
		e = tls_file_read(path, &text, &len, why);
	if (e != ERR_OK)
		return e;
	if (wolfSSL_CTX_use_certificate_chain_buffer(
		c->wolf, text, (long)len) != WOLFSSL_SUCCESS) {
		snprintf(why, TLS_WHY_LEN,
			 "the certificate chain in %.300s cannot be used: "
			 "damaged, or of a key type or size that is not "
			 "allowed (RSA from 2048 bits, EC from 256)",
			 path);
		e = ERR_INVAL;
	}
	tls_file_free(text, len);
	c->has_own = true;
	return e;
}

static enum err load_key(struct tls_context *c, const char *path,
			 const char *certificate, char *why)
{
	uint8_t *text;
	size_t len;
	enum err e = tls_file_read(path, &text, &len, why);
	int rc;

	if (e != ERR_OK)
		return e;
	rc = wolfSSL_CTX_use_PrivateKey_buffer(c->wolf, text, (long)len,
					       WOLFSSL_FILETYPE_PEM);
	tls_file_free(text, len);
	if (rc != WOLFSSL_SUCCESS)
		snprintf(why, TLS_WHY_LEN,
			 "%.300s holds no usable private key: it must be PEM, "
			 "without a pass phrase",
			 path);
	else if (wolfSSL_CTX_check_private_key(c->wolf) != WOLFSSL_SUCCESS)
		snprintf(why, TLS_WHY_LEN,
			 "the key in %.250s does not belong to the certificate "
			 "in %.250s; name the pair that was issued together",
			 path, certificate);
	else
		return ERR_OK;
	return ERR_INVAL;
}

static enum err load_files(struct tls_context *c, const struct tls_options *o,
			   char *why)
{
	enum err e = ERR_OK;

	if (o->ca != NULL)
		e = load_ca(c, o->ca, why);
	if (e == ERR_OK && o->certificate != NULL)
		e = load_chain(c, o->certificate, why);
	if (e == ERR_OK && o->certificate != NULL)
		e = load_key(c, o->key != NULL ? o->key : o->certificate,
			     o->certificate, why);
	return e;
}

void tls_context_watch(struct tls_context *c, const char *party,
		       tls_watch_fn *fn, void *arg)
{
	c->party = party;
	c->watch = fn;
	c->watch_arg = arg;
}

/* ---- verification ----------------------------------------------------- */

static void show(struct tls *t, struct tls_identity *who)
{
	tls_identity_unref(t->shown);
	t->shown = tls_identity_ref(who);
}

/* A chain that did not verify has a leaf, too. */
static void show_leaf(struct tls *t, const WOLFSSL_X509_STORE_CTX *store)
{
	const WOLFSSL_BUFFER_INFO *der = &store->certs[0];
	struct tls_certificate cert;
	struct tls_identity *who;

	if (t->shown != NULL ||
	    tls_cert_parse(der->buffer, der->length, &cert) != ERR_OK)
		return;
	who = tls_identity_new(&cert);
	if (who == NULL)
		return;
	show(t, who);
	tls_identity_unref(who);
}

/* The chain is good: is it the peer we want? */
static int accept_leaf(struct tls *t, const WOLFSSL_BUFFER_INFO *der,
		       struct tls_identity *who)
{
	const struct tls_context *c = t->ctx;

	show(t, who);
	if (!c->server && t->server_name != NULL &&
	    !tls_cert_matches(der->buffer, der->length, t->server_name)) {
		tls_fail_name(t, &who->cert);
		return 0;
	}
	if (c->fingerprint[0] != '\0' &&
	    strcmp(c->fingerprint, who->cert.fingerprint) != 0) {
		tls_fail_fingerprint(t, &who->cert);
		return 0;
	}
	tls_identity_unref(t->peer);
	t->peer = tls_identity_ref(who);
	return 1;
}

static int accept_new_leaf(struct tls *t, const WOLFSSL_BUFFER_INFO *der,
			   const struct tls_certificate *cert)
{
	struct tls_identity *who = tls_identity_new(cert);
	int ok = who != NULL && accept_leaf(t, der, who);

	if (ok)
		tls_known_add(t->ctx, who);
	tls_identity_unref(who);
	return ok;
}

static bool accept_known_leaf(struct tls *t, const WOLFSSL_BUFFER_INFO *der,
			      int *ok)
{
	char fingerprint[TLS_FINGERPRINT_LEN];
	struct tls_identity *who;

	tls_cert_fingerprint(der->buffer, der->length, fingerprint);
	who = tls_known_find(t->ctx, fingerprint);
	if (who == NULL)
		return false;
	*ok = accept_leaf(t, der, who);
	tls_identity_unref(who);
	return true;
}

/* Called for every certificate that fails, and for the leaf in any case. */
static int on_verify(int ok, WOLFSSL_X509_STORE_CTX *store)
{
	struct tls *t = store->userCtx;
	const WOLFSSL_BUFFER_INFO *der;
	struct tls_certificate cert;

	/* nobody, who may be let in as such */
	if (store->totalCerts == 0 && t->ctx->server &&
	    t->ctx->optional_client_cert)
		return 1;
	if (store->error_depth < 0 || store->error_depth >= store->totalCerts) {
		tls_fail_no_certificate(t);
		return 0;
	}
	der = &store->certs[store->error_depth];
	if (ok && store->error_depth == 0 && accept_known_leaf(t, der, &ok))
		return ok;
	if (tls_cert_parse(der->buffer, der->length, &cert) != ERR_OK) {
		tls_fail_set(t, CONDITION_TLS_UNVERIFIED,
			     "the peer's certificate cannot be parsed; it "
			     "must be issued anew");
		return 0;
	}
	if (!ok) {
		show_leaf(t, store);
		tls_fail_verify(t, store->error, store->error_depth, &cert);
		return 0;
	}
	if (tls_cert_weak_signature(&cert)) {
		show_leaf(t, store);
		tls_fail_set(t, CONDITION_TLS_UNVERIFIED,
			     "the peer's certificate %.120s is signed with %s, "
			     "which is not safe; it must be issued anew with "
			     "SHA-256",
			     cert.subject, cert.signature);
		return 0;
	}
	return store->error_depth > 0 ? 1 : accept_new_leaf(t, der, &cert);
}

/* ---- birth ------------------------------------------------------------ */

static int io_recv(WOLFSSL *wolf, char *buf, int size, void *arg)
{
	struct tls *t = arg;
	size_t n = (size_t)size < t->in_left ? (size_t)size : t->in_left;

	(void)wolf;
	if (n == 0)
		return WOLFSSL_CBIO_ERR_WANT_READ;
	memcpy(buf, t->in, n);
	t->in += n;
	t->in_left -= n;
	return (int)n;
}

static int io_send(WOLFSSL *wolf, char *buf, int size, void *arg)
{
	struct tls *t = arg;

	(void)wolf;
	if (t->emit_error == ERR_OK)
		t->emit_error =
		    t->emit(t->emit_arg, (const uint8_t *)buf, (size_t)size);
	return t->emit_error == ERR_OK ? size : WOLFSSL_CBIO_ERR_GENERAL;
}

static void set_verify(struct tls_context *c)
{
	int mode = WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT;

	if (c->server && c->no_client_cert)
		mode = WOLFSSL_VERIFY_NONE;
	else if (c->server && c->optional_client_cert)
		mode = WOLFSSL_VERIFY_PEER;
	wolfSSL_CTX_set_verify(c->wolf, mode, on_verify);
	wolfSSL_CTX_SetMinRsaKey_Sz(c->wolf, RSA_MIN_BITS);
	wolfSSL_CTX_SetMinEccKey_Sz(c->wolf, EC_MIN_BITS);
	wolfSSL_CTX_SetIORecv(c->wolf, io_recv);
	wolfSSL_CTX_SetIOSend(c->wolf, io_send);
}

static enum err context_fill(struct tls_context *c, const struct tls_options *o,
			     char *why)
{
	enum err e;

	set_verify(c);
	e = tls_profile_apply(c, o, why);
	if (e == ERR_OK)
		e = tls_alpn_set(c, o, why);
	if (e == ERR_OK)
		e = load_files(c, o, why);
	if (e == ERR_OK)
		e = tls_sessions_init(c);
	return e;
}

static const char *missing(const struct tls_options *o, bool server)
{
	if (o->ca == NULL && !(server && o->no_client_cert))
		return "no CA file: without one no peer can be verified; name "
		       "it as ca";
	if (o->certificate == NULL && server)
		return "a TLS server needs a certificate and its key";
	return NULL;
}

static enum err context_new(const struct tls_options *o, bool server,
			    struct tls_context **out, char *why)
{
	struct tls_context *c;
	enum err e = tls_global_init();

	why[0] = '\0';
	if (e != ERR_OK || missing(o, server) != NULL) {
		snprintf(why, TLS_WHY_LEN, "%s",
			 e != ERR_OK ? "the TLS library does not start"
				     : missing(o, server));
		return e != ERR_OK ? e : ERR_INVAL;
	}
	c = mem_zalloc(sizeof(*c));
	if (c == NULL) {
		snprintf(why, TLS_WHY_LEN, "out of memory");
		return ERR_NOMEM;
	}
	atomic_init(&c->refs, 1);
	pthread_mutex_init(&c->lock, NULL);
	list_init(&c->sessions);
	c->server = server;
	c->no_client_cert = o->no_client_cert;
	c->optional_client_cert = o->optional_client_cert;
	/* tickets name an identity; without one there is nothing to name */
	c->no_resumption =
	    o->no_resumption ||
	    (server && (o->no_client_cert || o->optional_client_cert));
	c->wolf = wolfSSL_CTX_new(server ? wolfSSLv23_server_method()
					 : wolfSSLv23_client_method());
	e = c->wolf != NULL ? context_fill(c, o, why) : ERR_NOMEM;
	if (e != ERR_OK) {
		if (why[0] == '\0')
			snprintf(why, TLS_WHY_LEN, "%s", err_text(e));
		tls_context_unref(c);
		return e;
	}
	*out = c;
	return ERR_OK;
}

enum err tls_server_new(const struct tls_options *o, struct tls_context **out,
			char why[TLS_WHY_LEN])
{
	return context_new(o, true, out, why);
}

enum err tls_client_new(const struct tls_options *o, struct tls_context **out,
			char why[TLS_WHY_LEN])
{
	return context_new(o, false, out, why);
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void tls_context_unref(struct tls_context *c)
{
	if (c == NULL || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	tls_sessions_free(c);
	tls_known_free(c);
	wolfSSL_CTX_free(c->wolf);
	pthread_mutex_destroy(&c->lock);
	mem_free(c->ca_file);
	mem_free(c->ca_names);
	mem_free(c);
}

bool tls_context_is_server(const struct tls_context *c)
{
	return c->server;
}
