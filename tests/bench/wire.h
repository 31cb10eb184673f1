/* wire.h - a blocking byte stream for the bench tools: TCP, or TLS on it.
 *
 * One wire belongs to one thread. Reading is buffered, so that a parser can
 * look at small headers without a system call for each. TLS is OpenSSL's, on
 * purpose: the proxy under test uses another library, so the two check each
 * other. */
#ifndef TESTS_BENCH_WIRE_H
#define TESTS_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct wire;
struct wire_tls; /* one context, shared by all threads once made */

struct wire_tls_options {
	bool server;
	bool no_resumption;      /* server: every handshake is a full one */
	const char *certificate; /* PEM files */
	const char *key;
	const char *ca;
	const char *suites; /* TLS 1.3 suites, OpenSSL's names */
	const char *groups; /* such as "P-256" */
	const char *tls12;  /* allow TLS 1.2 with these ciphers; else NULL */
};

/* Both sides verify the other's chain against ca. Exits with a message when a
 * file or a name is no good. */
struct wire_tls *wire_tls_new(const struct wire_tls_options *o);

/* Connect to a numeric or named host. NULL and text in why on failure. */
struct wire *wire_connect(const char *host, const char *port,
			  const struct wire_tls *tls, char why[256]);

/* Take over a connected socket as the server's side. */
struct wire *wire_accept(int fd, const struct wire_tls *tls, char why[256]);

/* "plaintext", or version/suite/group. Valid until the next call of this
 * thread. */
const char *wire_info(const struct wire *w);

/* At least one unread byte, without taking it; *n is how many. NULL at the end
 * of the stream or on an error. Valid until the next call. */
const uint8_t *wire_peek(struct wire *w, size_t *n);
void wire_take(struct wire *w, size_t n);

/* Exactly n bytes, or false. */
bool wire_read(struct wire *w, void *out, size_t n);

/* Everything, or false. The vectors are used up (changed). */
bool wire_writev(struct wire *w, struct iovec *v, size_t n);
bool wire_write(struct wire *w, const void *p, size_t n);

/* Orderly: close_notify, FIN. Frees w. NULL is fine. */
void wire_close(struct wire *w);

#endif
