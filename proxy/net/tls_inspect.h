/* tls_inspect.h - what certificate and key files hold, for `culvert check`. */
#ifndef PROXY_NET_TLS_INSPECT_H
#define PROXY_NET_TLS_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "proxy/net/tls.h"

enum {
	TLS_FINDINGS_MAX = 32,
	TLS_EXPIRY_WARN_DAYS = 30,
};

struct tls_certificate {
	char subject[256]; /* as in struct tls_info */
	char issuer[256];
	char serial[64];
	char sans[512];
	char fingerprint[TLS_FINGERPRINT_LEN];
	char key_type[16]; /* "EC", "RSA", "Ed25519", ... */
	unsigned key_bits;
	char signature[48]; /* "ecdsa-with-SHA256" */
	int64_t not_before; /* seconds since the epoch */
	int64_t not_after;
	int days_left; /* whole days; negative: expired */
	bool is_ca;
};

/* The first certificate of a PEM file. ERR_NOTFOUND (cannot be read), ERR_INVAL
 * (no certificate in it), ERR_NOMEM; why has cause and remedy. */
enum err tls_certificate_read(const char *path, struct tls_certificate *out,
			      char why[TLS_WHY_LEN]) MUST_CHECK;

/* Print the facts, several lines, as `culvert pki show` does. */
void tls_certificate_print(const struct tls_certificate *c);

enum tls_finding_level { TLS_FINDING_OK, TLS_FINDING_WARN, TLS_FINDING_FAIL };

struct tls_finding {
	enum tls_finding_level level;
	char text[TLS_WHY_LEN]; /* what was looked at and found; for WARN and
				 * FAIL also the remedy */
};

struct tls_findings {
	unsigned n;
	unsigned failed; /* how many are FAIL */
	struct tls_finding at[TLS_FINDINGS_MAX];
};

/* Look at all that a TLS end is configured with: files readable, permissions
 * of the key, certificate valid now and for a while, key belongs to it, key
 * and signature strong enough, chain reaches the CA file, purpose (server or
 * client). Appends to f, which the caller zeroed (it is large: allocate it).
 * Any of the paths may be NULL: then its checks are left out. */
void tls_inspect(const char *ca, const char *certificate, const char *key,
		 bool server, struct tls_findings *f);

#endif
