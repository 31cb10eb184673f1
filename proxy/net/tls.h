/* tls.h - TLS over memory: ciphertext and plaintext in and out, no socket.
 *
 * A context (struct tls_context) holds certificate, key, CAs and the profile;
 * it is made once, shared by all threads, counted by reference, and replaced
 * as a whole on reload. An engine (struct tls) is one connection; one thread
 * uses it.
 *
 * TLS 1.3 preferred, 1.2 the floor, suites and groups of RFC 9325 (BCP 195) as
 * PS3.15 B.12 wants. Never: renegotiation, early data, compression. */
#ifndef PROXY_NET_TLS_H
#define PROXY_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

enum {
	TLS_WHY_LEN = 768,          /* a failure sentence and its remedy */
	TLS_FINGERPRINT_LEN = 65,   /* SHA-256 in hex and a NUL */
	TLS_RECORD_MAX = 16 * 1024, /* plaintext of a full record, bytes */
	TLS_ALPN_MAX = 32,
};

struct tls_context;
struct tls;

enum tls_profile {
	TLS_PROFILE_BCP195, /* 1301 1302 1303, C02B C02F C02C C030 */
};

/* All strings are borrowed for the call. Files are PEM. */
struct tls_options {
	enum tls_profile profile;
	const char *ca;          /* bundle that peers must chain to; required,
				  * but for a server with no_client_cert */
	const char *certificate; /* own chain, leaf first; NULL: client without
				  * a certificate */
	const char *key;         /* own private key; NULL: in certificate */
	const char *suites;      /* narrows the profile to these, by IANA or
				  * OpenSSL name, ':'-separated, order counts;
				  * NULL: the profile's own order. TLS 1.3 and
				  * 1.2 suites may be mixed */
	const char *groups;      /* ':'-separated, e.g. "P-256"; NULL: X25519,
				  * P-256, P-384 */
	bool tls12_only;         /* tests, and peers that break on 1.3 */
	bool tls13_only;
	bool no_client_cert;       /* server: do not ask for one. Default is
				    * mutual: no certificate, no connection */
	bool optional_client_cert; /* server: ask for one, verify it when it
				    * comes, do without when none does.
				    * Sessions are not resumed then */
	bool no_resumption;        /* no tickets, no sessions kept */
	const char *alpn;          /* application protocol (RFC 7301), at most
				    * TLS_ALPN_MAX bytes, no ','. Peers that do
				    * not speak it are refused. NULL: not asked;
				    * a client's offers are then ignored */
	const char *fingerprint; /* accept only a peer with this SHA-256 of its
				  * certificate (hex, ':' allowed); NULL: any
				  * that verifies */
};

/* What is known of the peer and the channel after the handshake; also for a
 * resumed session (the identity is kept with the session). */
struct tls_info {
	char version[12]; /* "TLSv1.3" */
	char suite[48];   /* IANA: "TLS_AES_256_GCM_SHA384" */
	char group[24];   /* "X25519", "P-256", ... ; "" if unknown */
	char fingerprint[TLS_FINGERPRINT_LEN]; /* lower case; "" no cert */
	char subject[256]; /* "CN=edge-01, O=Clinic", escaped */
	char issuer[256];
	char serial[64];   /* hex, lower case */
	char sans[512];    /* "DNS:a, IP:10.0.0.1"; cut at a whole entry */
	int64_t not_after; /* seconds since the epoch */
	bool resumed;
};

/* Call once, before any thread uses TLS; routes the library's allocations
 * through mem.h. Idempotent, and done by tls_*_new(); explicit for programs
 * that start threads first. ERR_TLS: the library's self-check failed. */
enum err tls_global_init(void) MUST_CHECK;
/* Release what the library holds for the process: tests that count blocks. */
void tls_global_cleanup(void);
/* "wolfSSL 5.7.2"; static. */
const char *tls_library_version(void);

/* ERR_NOTFOUND (a file), ERR_INVAL (its content, key does not belong to the
 * certificate, unknown suite), ERR_NOMEM, ERR_TLS. On error why has a sentence
 * with cause and remedy and *out is untouched. The caller holds one reference.
 */
enum err tls_server_new(const struct tls_options *o, struct tls_context **out,
			char why[TLS_WHY_LEN]) MUST_CHECK;
enum err tls_client_new(const struct tls_options *o, struct tls_context **out,
			char why[TLS_WHY_LEN]) MUST_CHECK;
/* From any thread. Every stream holds one of its own. */
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *c); /* NULL is fine */
bool tls_context_is_server(const struct tls_context *c);
/* Forget all sessions: after a change of who is trusted. Any thread. */
void tls_context_flush_sessions(struct tls_context *c);

/* Takes ciphertext that must go to the peer; called inside tls_*() calls. p is
 * valid during the call. An error is sticky and makes that call fail. */
typedef enum err tls_emit_fn(void *arg, const uint8_t *p, size_t n);

/* server_name: client only: DNS name or address the certificate must carry,
 * and for names the SNI; NULL: chain only. session_key: client only: sessions
 * are kept and offered under it ("host:port"); NULL: none. Both are copied.
 * ERR_NOMEM. */
enum err tls_new(struct tls_context *c, const char *server_name,
		 const char *session_key, tls_emit_fn *emit, void *arg,
		 struct tls **out) MUST_CHECK;
void tls_free(struct tls *t);

/* Lend ciphertext from the peer. p stays borrowed until tls_pending_input()
 * is 0 or the next tls_feed(); the rest of an earlier one must be gone or in
 * front of the new bytes (the caller keeps it). */
void tls_feed(struct tls *t, const uint8_t *p, size_t n);
/* Bytes of the last tls_feed() not yet used, and where they begin. */
size_t tls_pending_input(const struct tls *t, const uint8_t **rest);

/* Go on with the handshake. ERR_OK: done. ERR_AGAIN: feed more. ERR_TLS (or
 * the sink's error): failed; tls_failure() says why, and an alert has been
 * emitted where TLS wants one. */
enum err tls_handshake(struct tls *t) MUST_CHECK;

/* Plaintext into out[0..cap). ERR_OK: *n > 0. ERR_AGAIN: feed more. ERR_CLOSED:
 * close_notify came. ERR_TLS: tls_failure(). */
enum err tls_read(struct tls *t, uint8_t *out, size_t cap,
		  size_t *n) MUST_CHECK;

/* Seal n bytes at once: records of TLS_RECORD_MAX and a rest. All of them are
 * taken, or the engine has failed: ERR_TLS or the sink's error. */
enum err tls_write(struct tls *t, const uint8_t *p, size_t n) MUST_CHECK;

/* Emit close_notify, once; later calls do nothing. */
void tls_close_notify(struct tls *t);

/* The transport ended (FIN or reset). Makes tls_failure() say so in words that
 * fit the phase; returns ERR_CLOSED. */
enum err tls_transport_ended(struct tls *t);

/* After a failure: which certificate, which check, what to do. Never NULL;
 * valid until tls_free(). Text that came from the peer is escaped. */
const char *tls_failure(const struct tls *t);

/* After the handshake. */
void tls_info(const struct tls *t, struct tls_info *out);
/* The same of one that failed, as far as it had come: the certificate that the
 * peer showed, whether it was good or not; version, suite and group once they
 * were agreed on. */
void tls_seen(const struct tls *t, struct tls_info *out);

/* ---- watching handshakes ------------------------------------------------ */

/* How one ended. All of it is borrowed for the call. */
struct tls_handshake {
	const char *party;        /* as tls_context_watch() named it */
	bool server;              /* our side */
	const char *peer, *local; /* "address:port" */
	const char *endpoint;     /* client: what was dialled; NULL: server */
	const char *failure;      /* why it failed; NULL: it did not */
	struct tls_info info;     /* tls_info() or tls_seen() */
};

/* On the worker's thread. */
typedef void tls_watch_fn(void *arg, const struct tls_handshake *h);

/* Have fn called for every handshake of c's that a stream makes. Once, before
 * c is used; party is borrowed for as long as c lives. */
void tls_context_watch(struct tls_context *c, const char *party,
		       tls_watch_fn *fn, void *arg);
/* For stream.c: fill in party and side, and call it, if there is one. */
void tls_tell(const struct tls *t, struct tls_handshake *h);

#endif
