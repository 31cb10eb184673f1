/* tls_pki.h - a small CA: make one, issue certificates. EC P-256, SHA-256.
 *
 * For demos, tests and sites without a PKI of their own. Keys are written with
 * mode 0600; no file is ever overwritten. */
#ifndef PROXY_NET_TLS_PKI_H
#define PROXY_NET_TLS_PKI_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "proxy/net/tls.h"

enum { TLS_PKI_SANS_MAX = 16 };

/* Make dir (0700, if missing) with ca.pem and ca.key. name: common name of the
 * CA. days: validity. ERR_EXISTS, ERR_IO, ERR_INVAL, ERR_NOMEM, ERR_TLS; why
 * has cause and remedy. */
enum err tls_pki_init(const char *dir, const char *name, unsigned days,
		      char why[TLS_WHY_LEN]) MUST_CHECK;

struct tls_pki_request {
	const char *name; /* common name and file name: [A-Za-z0-9._-]{1,64},
			   * not beginning with '.' or '-' */
	const char *sans[TLS_PKI_SANS_MAX]; /* "DNS:host" or "IP:1.2.3.4" */
	unsigned n_sans;                    /* 0: DNS:name */
	bool server, client;                /* neither: both */
	int64_t not_before; /* seconds since the epoch; 0: an hour ago */
	int64_t not_after;  /* 0: now + days */
	unsigned days;      /* 0: 825, cut to the CA's own end */
};

/* Write dir/NAME.pem (certificate) and dir/NAME.key, signed by the CA in dir.
 * Errors as above; ERR_NOTFOUND: dir has no CA. */
enum err tls_pki_issue(const char *dir, const struct tls_pki_request *r,
		       char why[TLS_WHY_LEN]) MUST_CHECK;

#endif
