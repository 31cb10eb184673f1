#include "tests/bench/wire.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	IN_CAP = 256 * 1024,
	OUT_CAP = 256 * 1024,
};

struct wire_tls {
	SSL_CTX *ctx;
	bool server;
};

struct wire {
	int fd;
	SSL *ssl; /* NULL: plaintext */
	size_t from, to;
	uint8_t in[IN_CAP];
	uint8_t out[OUT_CAP]; /* TLS only: headers and payload joined */
};

static void tls_text(char why[256], const char *what)
{
	char text[200] = "connection lost";
	unsigned long e = ERR_get_error();

	if (e)
		ERR_error_string_n(e, text, sizeof(text));
	snprintf(why, 256, "%s: %s", what, text);
	ERR_clear_error();
}

static void need(long ok, const char *what, const char *value)
{
	char why[256];

	if (ok == 1)
		return;
	tls_text(why, what);
	fprintf(stderr, "%s (%s)\n", why, value);
	exit(2);
}

struct wire_tls *wire_tls_new(const struct wire_tls_options *o)
{
	struct wire_tls *t = calloc(1, sizeof(*t));
	SSL_CTX *c =
	    SSL_CTX_new(o->server ? TLS_server_method() : TLS_client_method());
	static const unsigned char id[] = "bench";

	if (!t || !c)
		abort();
	SSL_CTX_set_min_proto_version(c, o->tls12 ? TLS1_2_VERSION
						  : TLS1_3_VERSION);
	need(SSL_CTX_set_ciphersuites(c, o->suites), "TLS suites", o->suites);
	if (o->tls12)
		need(SSL_CTX_set_cipher_list(c, o->tls12), "ciphers", o->tls12);
	need(SSL_CTX_set1_groups_list(c, o->groups), "groups", o->groups);
	need(SSL_CTX_use_certificate_chain_file(c, o->certificate),
	     "certificate", o->certificate);
	need(SSL_CTX_use_PrivateKey_file(c, o->key, SSL_FILETYPE_PEM), "key",
	     o->key);
	need(SSL_CTX_load_verify_locations(c, o->ca, NULL), "CA", o->ca);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
			   NULL);
	SSL_CTX_set_session_id_context(c, id, sizeof(id) - 1);
	SSL_CTX_set_options(c, SSL_OP_IGNORE_UNEXPECTED_EOF);
	if (o->no_resumption) {
		SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(c, 0);
	}
	t->ctx = c;
	t->server = o->server;
	return t;
}

static struct wire *wire_new(int fd)
{
	struct wire *w = malloc(sizeof(*w));
	int one = 1;

	if (!w)
		abort();
	w->fd = fd;
	w->ssl = NULL;
	w->from = w->to = 0;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return w;
}

static struct wire *start_tls(struct wire *w, const struct wire_tls *tls,
			      char why[256])
{
	int ok;

	if (!tls)
		return w;
	w->ssl = SSL_new(tls->ctx);
	if (!w->ssl || SSL_set_fd(w->ssl, w->fd) != 1)
		abort();
	ERR_clear_error();
	ok = tls->server ? SSL_accept(w->ssl) : SSL_connect(w->ssl);
	if (ok == 1)
		return w;
	tls_text(why, "TLS handshake");
	SSL_free(w->ssl);
	close(w->fd);
	free(w);
	return NULL;
}

struct wire *wire_accept(int fd, const struct wire_tls *tls, char why[256])
{
	return start_tls(wire_new(fd), tls, why);
}

static int dial(const char *host, const char *port, char why[256])
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list, *a;
	int rc = getaddrinfo(host, port, &hints, &list);
	int fd = -1;

	if (rc != 0) {
		snprintf(why, 256, "%s: %s", host, gai_strerror(rc));
		return -1;
	}
	for (a = list; a; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			break;
		snprintf(why, 256, "%s:%s: %s", host, port, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	return fd;
}

struct wire *wire_connect(const char *host, const char *port,
			  const struct wire_tls *tls, char why[256])
{
	int fd = dial(host, port, why);

	if (fd < 0)
		return NULL;
	return start_tls(wire_new(fd), tls, why);
}

const char *wire_info(const struct wire *w)
{
	static _Thread_local char text[128];
	int group;

	if (!w->ssl)
		return "plaintext";
	group = (int)SSL_get_negotiated_group(w->ssl);
	snprintf(text, sizeof(text), "%s/%s/%s", SSL_get_version(w->ssl),
		 SSL_get_cipher_name(w->ssl),
		 group ? OBJ_nid2sn(group & 0xffff) : "resumed");
	return text;
}

const uint8_t *wire_peek(struct wire *w, size_t *n)
{
	ssize_t got;

	if (w->from == w->to) {
		if (w->ssl) {
			got = SSL_read(w->ssl, w->in, IN_CAP);
		} else {
			do
				got = recv(w->fd, w->in, IN_CAP, 0);
			while (got < 0 && errno == EINTR);
		}
		if (got <= 0)
			return NULL;
		w->from = 0;
		w->to = (size_t)got;
	}
	*n = w->to - w->from;
	return w->in + w->from;
}

void wire_take(struct wire *w, size_t n)
{
	w->from += n;
}

bool wire_read(struct wire *w, void *out, size_t n)
{
	uint8_t *to = out;

	while (n > 0) {
		size_t have;
		const uint8_t *p = wire_peek(w, &have);

		if (!p)
			return false;
		if (have > n)
			have = n;
		memcpy(to, p, have);
		wire_take(w, have);
		to += have;
		n -= have;
	}
	return true;
}

static bool tls_flush(struct wire *w, size_t n)
{
	return n == 0 || SSL_write(w->ssl, w->out, (int)n) == (int)n;
}

/* Joined in one buffer, so that a 12 byte header is no record of its own. */
static bool tls_writev(struct wire *w, const struct iovec *v, size_t n)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		const uint8_t *p = v[i].iov_base;
		size_t left = v[i].iov_len;

		while (left > 0) {
			size_t part = OUT_CAP - used;

			if (part > left)
				part = left;
			memcpy(w->out + used, p, part);
			used += part;
			p += part;
			left -= part;
			if (used < OUT_CAP)
				continue;
			if (!tls_flush(w, used))
				return false;
			used = 0;
		}
	}
	return tls_flush(w, used);
}

bool wire_writev(struct wire *w, struct iovec *v, size_t n)
{
	if (w->ssl)
		return tls_writev(w, v, n);
	while (n > 0) {
		struct msghdr m = {
		    .msg_iov = v,
		    .msg_iovlen = n < 512 ? n : 512,
		};
		ssize_t sent = sendmsg(w->fd, &m, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return false;
		while (n > 0 && (size_t)sent >= v->iov_len) {
			sent -= (ssize_t)v->iov_len;
			v++;
			n--;
		}
		if (n > 0) {
			v->iov_base = (uint8_t *)v->iov_base + sent;
			v->iov_len -= (size_t)sent;
		}
	}
	return true;
}

bool wire_write(struct wire *w, const void *p, size_t n)
{
	struct iovec v = {.iov_len = n};

	memcpy(&v.iov_base, &p, sizeof(p));
	return wire_writev(w, &v, 1);
}

void wire_close(struct wire *w)
{
	if (!w)
		return;
	if (w->ssl) {
		SSL_shutdown(w->ssl);
		SSL_free(w->ssl);
	}
	shutdown(w->fd, SHUT_WR);
	close(w->fd);
	free(w);
}
