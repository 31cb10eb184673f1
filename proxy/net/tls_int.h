/* tls_int.h - inside of TLS; wolfSSL's types stay behind tls*.c.
 *
 * Include it first: it brings in the library's options before its headers. */
#ifndef PROXY_NET_TLS_INT_H
#define PROXY_NET_TLS_INT_H

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <pthread.h>
#include <stdatomic.h>

#include "proxy/lib/condition.h"
#include "proxy/lib/list.h"
#include "proxy/net/tls.h"
#include "proxy/net/tls_inspect.h"

enum {
	TLS_SESSION_SECONDS = 3600, /* how long one may be resumed */
	TLS_TICKETS_MAX = 512,      /* live tickets of a server context */
	TLS_SESSIONS_MAX = 64,      /* endpoints a client remembers */
	TLS_KNOWN_MAX = 16,         /* certificates that need no parsing */
	TLS_SESSION_KEY_LEN = 528,  /* endpoint and server name */
	TLS_FILE_MAX = 1024 * 1024, /* bytes of a PEM file */
	TLS_CA_NAMES_MAX = 32 * 1024,
	TLS_ALERT_LEN = 7, /* a whole alert record in clear */
	TLS_HEAD_LEN = 16, /* first bytes of a peer kept for texts */
};

/* Who a peer is: taken from its certificate, kept with its sessions. */
struct tls_identity {
	atomic_int refs;
	struct tls_certificate cert;
};

struct tls_ticket; /* tls_profile.c */
enum err tls_profile_apply(struct tls_context *c, const struct tls_options *o,
			   char why[TLS_WHY_LEN]) MUST_CHECK;

/* tls_session.c */

struct tls_context {
	atomic_int refs;
	WOLFSSL_CTX *wolf;
	bool server, no_client_cert, optional_client_cert, no_resumption;
	bool has_own;
	struct tls_certificate own;
	char *ca_file;
	char *ca_names; /* subjects, a line each; cut at TLS_CA_NAMES_MAX */
	char fingerprint[TLS_FINGERPRINT_LEN]; /* "" any */
	char alpn[TLS_ALPN_MAX + 1];           /* "" none */
	tls_watch_fn *watch;                   /* or NULL */
	void *watch_arg;
	const char *party; /* borrowed */
	/* sessions; under lock */
	pthread_mutex_t lock;
	struct tls_ticket *tickets; /* server: TLS_TICKETS_MAX, or NULL */
	unsigned next_ticket;
	struct list sessions; /* client: newest first */
	unsigned n_sessions;
	struct tls_identity *known[TLS_KNOWN_MAX]; /* seen lately, or NULL */
	unsigned next_known;
};

enum tls_phase {
	TLS_HANDSHAKE,
	TLS_OPEN,
	TLS_PEER_CLOSED, /* close_notify came; writing goes on */
	TLS_FAILED,
};

struct tls {
	struct tls_context *ctx; /* own reference */
	WOLFSSL *wolf;
	enum tls_phase phase;
	bool notified; /* our close_notify is out */
	tls_emit_fn *emit;
	void *emit_arg;
	enum err emit_error;
	const uint8_t *in; /* borrowed: what tls_feed() lent */
	size_t in_left;
	uint8_t head[TLS_HEAD_LEN];
	size_t head_len;
	uint8_t tail[TLS_ALERT_LEN]; /* the last bytes of the peer, likewise */
	uint64_t got; /* ciphertext bytes from the peer, in all */
	char *server_name, *session_key; /* or NULL */
	struct tls_identity *peer;       /* seen in this handshake */
	struct tls_identity *shown;      /* what it showed, good or not */
	struct tls_identity *resumed;    /* of the session offered or opened */
	const struct tls_identity *who;  /* one of these, when it is done */
	bool done, was_resumed;
	char *failure; /* NULL: none yet */
};

/* tls_cert.c */

/* Facts of a DER certificate. ERR_INVAL: it does not parse; ERR_NOMEM. */
enum err tls_cert_parse(const uint8_t *der, size_t len,
			struct tls_certificate *out) MUST_CHECK;
/* Does the certificate carry name (DNS, or numeric address)? Subject
 * alternative names decide; only a certificate without any falls back to its
 * common name. */
bool tls_cert_matches(const uint8_t *der, size_t len, const char *name);
/* One label of a name may be '*', the leftmost, and only whole. */
bool tls_dns_matches(const char *pattern, const char *name);
/* "CN=x (issuer CN=y, serial 0a)". Returns out. */
char *tls_cert_describe(const struct tls_certificate *c, char *out, size_t n);
/* "2026-05-04 09:15 UTC". Returns out. */
char *tls_date(int64_t when, char out[32]);
/* SHA-1 or MD5 below the signature. */
bool tls_cert_weak_signature(const struct tls_certificate *c);

/* SHA-256 of the DER in hexadecimal; "" when it cannot be computed. */
void tls_cert_fingerprint(const uint8_t *der, size_t len,
			  char out[TLS_FINGERPRINT_LEN]);

struct tls_identity *tls_identity_new(const struct tls_certificate *c);
struct tls_identity *tls_identity_ref(struct tls_identity *id);
void tls_identity_unref(struct tls_identity *id); /* NULL is fine */

/* The facts of leaves that passed before, so that peers who come again need
 * not be parsed again. Facts only: whether a chain verifies is found out each
 * time. The first: a reference of the caller's own, or NULL. */
struct tls_identity *tls_known_find(struct tls_context *c,
				    const char *fingerprint);
void tls_known_add(struct tls_context *c, struct tls_identity *id);
void tls_known_free(struct tls_context *c);

/* tls_file.c */

/* A whole small file, with a NUL after it; free with tls_file_free(). */
enum err tls_file_read(const char *path, uint8_t **out, size_t *len,
		       char why[TLS_WHY_LEN]) MUST_CHECK;
void tls_file_free(uint8_t *p, size_t len); /* wipes */
/* The next PEM certificate at or after *at, as DER, allocated by mem.h.
 * ERR_NOTFOUND: no more; ERR_INVAL: the block is broken. */
enum err tls_pem_next(const uint8_t *text, size_t len, size_t *at,
		      uint8_t **der, size_t *der_len) MUST_CHECK;

/* tls_alpn.c */
enum err tls_alpn_set(struct tls_context *c, const struct tls_options *o,
		      char why[TLS_WHY_LEN]) MUST_CHECK;
enum err tls_alpn_use(struct tls *t) MUST_CHECK;
/* After the handshake. False: t->failure is filled. */
bool tls_alpn_agreed(struct tls *t);
/* Fill t->failure: we refused the client's list; the server refused ours. */
void tls_alpn_explain(struct tls *t);
void tls_alpn_alert(struct tls *t);

/* tls_session.c */
enum err tls_sessions_init(struct tls_context *c) MUST_CHECK;
void tls_sessions_free(struct tls_context *c);
/* Client: offer what is remembered under t->session_key. */
void tls_session_offer(struct tls *t);

/* tls_fail.c */

/* Fill t->failure from the library's error and the alerts; keeps an earlier
 * text. */
void tls_fail_explain(struct tls *t, int wolf_error);
/* The verification callback's sentences. cert: the one that failed. */
void tls_fail_verify(struct tls *t, int wolf_error, int depth,
		     const struct tls_certificate *cert);
void tls_fail_no_certificate(struct tls *t);
void tls_fail_name(struct tls *t, const struct tls_certificate *cert);
void tls_fail_fingerprint(struct tls *t, const struct tls_certificate *cert);
void tls_fail_set(struct tls *t, enum condition_id why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The first bytes are not TLS: says what they look like. False: they are, or
 * there are too few to tell. */
bool tls_fail_plaintext(struct tls *t);
void tls_fail_ended(struct tls *t);

#endif
