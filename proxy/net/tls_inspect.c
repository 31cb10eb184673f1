/* tls_inspect.c - see tls_inspect.h. */
#include "proxy/net/tls_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <wolfssl/openssl/x509v3.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"

/* ---- reading ---------------------------------------------------------- */

static enum err first_certificate(const char *path, const uint8_t *text,
				  size_t len, struct tls_certificate *out,
				  char *why)
{
	size_t at = 0, der_len;
	uint8_t *der;
	enum err e = tls_pem_next(text, len, &at, &der, &der_len);

	if (e == ERR_NOTFOUND) {
		snprintf(why, TLS_WHY_LEN,
			 "%.300s holds no certificate (no BEGIN CERTIFICATE); "
			 "it must be PEM: openssl x509 -inform der converts",
			 path);
		return ERR_INVAL;
	}
	if (e == ERR_OK) {
		e = tls_cert_parse(der, der_len, out);
		mem_free(der);
	}
	if (e != ERR_OK)
		snprintf(why, TLS_WHY_LEN,
			 "the certificate in %.300s is damaged: copy or issue "
			 "it anew",
			 path);
	return e;
}

enum err tls_certificate_read(const char *path, struct tls_certificate *out,
			      char why[TLS_WHY_LEN])
{
	uint8_t *text;
	size_t len;
	enum err e;

	if (tls_global_init() != ERR_OK) {
		snprintf(why, TLS_WHY_LEN, "the TLS library does not start");
		return ERR_TLS;
	}
	e = tls_file_read(path, &text, &len, why);
	if (e != ERR_OK)
		return e;
	e = first_certificate(path, text, len, out, why);
	tls_file_free(text, len);
	return e;
}

static void print_left(const struct tls_certificate *c, char *out, size_t n)
{
	if (c->days_left < 0)
		snprintf(out, n, "EXPIRED %d days ago", -c->days_left);
	else
		snprintf(out, n, "%d days left", c->days_left);
}

void tls_certificate_print(const struct tls_certificate *c)
{
	char from[32], to[32], left[48];

	print_left(c, left, sizeof(left));
	printf("subject      %s\n", c->subject);
	printf("issuer       %s\n", c->issuer);
	printf("serial       %s\n", c->serial);
	printf("names        %s\n", c->sans[0] != '\0' ? c->sans : "-");
	printf("valid        %s to %s (%s)\n", tls_date(c->not_before, from),
	       tls_date(c->not_after, to), left);
	printf("key          %s %u bits\n", c->key_type, c->key_bits);
	printf("signature    %s\n", c->signature);
	printf("CA           %s\n", c->is_ca ? "yes" : "no");
	printf("SHA-256      %s\n", c->fingerprint);
}

/* ---- findings --------------------------------------------------------- */

static void add(struct tls_findings *f, enum tls_finding_level level,
		const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void add(struct tls_findings *f, enum tls_finding_level level,
		const char *fmt, ...)
{
	struct tls_finding *at;
	va_list ap;

	f->failed += level == TLS_FINDING_FAIL;
	if (f->n == TLS_FINDINGS_MAX)
		return;
	at = &f->at[f->n++];
	at->level = level;
	va_start(ap, fmt);
	vsnprintf(at->text, sizeof(at->text), fmt, ap);
	va_end(ap);
}

static void check_dates(const char *path, const struct tls_certificate *c,
			struct tls_findings *f)
{
	int64_t now = clock_wall_ms() / 1000;
	char date[32];

	if (now < c->not_before)
		add(f, TLS_FINDING_FAIL,
		    "%.250s: %.150s is not valid before %s; check this "
		    "machine's clock, or wait",
		    path, c->subject, tls_date(c->not_before, date));
	else if (now > c->not_after)
		add(f, TLS_FINDING_FAIL,
		    "%.250s: %.150s expired on %s; renew it", path, c->subject,
		    tls_date(c->not_after, date));
	else if (c->days_left < TLS_EXPIRY_WARN_DAYS)
		add(f, TLS_FINDING_WARN,
		    "%.250s: %.150s expires on %s, in %d days; renew it now",
		    path, c->subject, tls_date(c->not_after, date),
		    c->days_left);
	else
		add(f, TLS_FINDING_OK, "%.250s: %.150s is valid until %s", path,
		    c->subject, tls_date(c->not_after, date));
}

static void check_strength(const char *path, const struct tls_certificate *c,
			   struct tls_findings *f)
{
	bool rsa = strcmp(c->key_type, "RSA") == 0;
	bool ec = strcmp(c->key_type, "EC") == 0;

	if ((rsa && c->key_bits < 2048) || (ec && c->key_bits < 256))
		add(f, TLS_FINDING_FAIL,
		    "%.250s: %s key of %u bits is not safe; issue it anew with "
		    "RSA from 2048 or EC from 256 bits",
		    path, c->key_type, c->key_bits);
	if (tls_cert_weak_signature(c) &&
	    strcmp(c->subject, c->issuer) != 0) /* a root's own is not used */
		add(f, TLS_FINDING_FAIL,
		    "%.250s: signed with %s, which is not safe; issue it anew "
		    "with SHA-256",
		    path, c->signature);
}

static bool check_certificate(const char *path, struct tls_findings *f)
{
	struct tls_certificate c;
	char why[TLS_WHY_LEN];

	if (tls_certificate_read(path, &c, why) != ERR_OK) {
		add(f, TLS_FINDING_FAIL, "%s", why);
		return false;
	}
	check_dates(path, &c, f);
	check_strength(path, &c, f);
	if (c.is_ca)
		add(f, TLS_FINDING_WARN,
		    "%.250s: this is a CA certificate; an end should have one "
		    "of its own, issued by the CA",
		    path);
	return true;
}

/* Every certificate of the file; returns how many are good. */
static unsigned check_cas(const char *path, const uint8_t *text, size_t len,
			  struct tls_findings *f)
{
	size_t at = 0, der_len;
	unsigned n = 0, good = 0;
	uint8_t *der;
	enum err e;

	while ((e = tls_pem_next(text, len, &at, &der, &der_len)) == ERR_OK) {
		struct tls_certificate c;

		n++;
		e = tls_cert_parse(der, der_len, &c);
		mem_free(der);
		if (e != ERR_OK)
			break;
		check_dates(path, &c, f);
		check_strength(path, &c, f);
		if (!c.is_ca)
			add(f, TLS_FINDING_WARN,
			    "%.250s: %.150s is not a CA certificate; only the "
			    "very peer that has it can be verified with it",
			    path, c.subject);
		good++;
	}
	if (e != ERR_NOTFOUND)
		add(f, TLS_FINDING_FAIL, "%.250s: certificate %u is damaged",
		    path, n + (e == ERR_INVAL));
	else if (n == 0)
		add(f, TLS_FINDING_FAIL,
		    "%.250s holds no certificate (no BEGIN CERTIFICATE); it "
		    "must be PEM: openssl x509 -inform der converts",
		    path);
	return e == ERR_NOTFOUND ? good : 0;
}

static bool check_ca_file(const char *path, struct tls_findings *f)
{
	char why[TLS_WHY_LEN];
	uint8_t *text;
	unsigned good;
	size_t len;

	if (tls_file_read(path, &text, &len, why) != ERR_OK) {
		add(f, TLS_FINDING_FAIL, "%s", why);
		return false;
	}
	good = check_cas(path, text, len, f);
	tls_file_free(text, len);
	return good > 0;
}

static void check_key_file(const char *path, struct tls_findings *f)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return; /* reading it will say so */
	if (st.st_mode & (S_IRWXO | S_IWGRP))
		add(f, TLS_FINDING_FAIL,
		    "%.250s: the key has mode %04o, others may use it; chmod "
		    "0600 (or 0640 with a group of its own)",
		    path, (unsigned)st.st_mode & 07777);
	else
		add(f, TLS_FINDING_OK,
		    "%.250s: only its owner may read the key", path);
}

/* ---- chain and key ---------------------------------------------------- */

/* The context does these checks when it is made; take its sentence. */
static void check_pair(const char *certificate, const char *key,
		       struct tls_findings *f)
{
	struct tls_options o = {
	    .certificate = certificate, .key = key, .no_client_cert = true};
	struct tls_context *c;
	char why[TLS_WHY_LEN];

	if (tls_server_new(&o, &c, why) != ERR_OK) {
		add(f, TLS_FINDING_FAIL, "%s", why);
		return;
	}
	tls_context_unref(c);
	add(f, TLS_FINDING_OK, "%.250s: the key belongs to %.250s", key,
	    certificate);
}

static int verify_der(WOLFSSL_CERT_MANAGER *cm, const uint8_t *der, size_t len)
{
	return wolfSSL_CertManagerVerifyBuffer(cm, der, (long)len,
					       WOLFSSL_FILETYPE_ASN1);
}

/* Load the intermediates, those nearest the root last in the file, first. */
static int verify_chain(WOLFSSL_CERT_MANAGER *cm, const uint8_t *text,
			size_t len)
{
	enum { CHAIN_MAX = 10 };
	uint8_t *der[CHAIN_MAX];
	size_t n_der[CHAIN_MAX], at = 0;
	int n = 0, rc = ASN_NO_SIGNER_E;

	while (n < CHAIN_MAX &&
	       tls_pem_next(text, len, &at, &der[n], &n_der[n]) == ERR_OK)
		n++;
	for (int i = n - 1; i > 0; i--)
		if (verify_der(cm, der[i], n_der[i]) == WOLFSSL_SUCCESS)
			wolfSSL_CertManagerLoadCABuffer(
			    cm, der[i], (long)n_der[i], WOLFSSL_FILETYPE_ASN1);
	if (n > 0)
		rc = verify_der(cm, der[0], n_der[0]);
	while (n > 0)
		mem_free(der[--n]);
	return rc;
}

static void report_chain(const char *ca, const char *certificate, int rc,
			 struct tls_findings *f)
{
	struct tls_certificate c;
	char why[TLS_WHY_LEN];

	if (rc == WOLFSSL_SUCCESS) {
		add(f, TLS_FINDING_OK, "%.250s: its chain reaches %.250s",
		    certificate, ca);
		return;
	}
	if (tls_certificate_read(certificate, &c, why) != ERR_OK)
		return;
	/* Dates have been reported; another CA for peers is legitimate. */
	if (rc == ASN_NO_SIGNER_E || rc == ASN_SELF_SIGNED_E)
		add(f, TLS_FINDING_WARN,
		    "%.200s: issuer %.150s is not in %.200s; fine if the peers "
		    "trust another CA than we do, else append the "
		    "intermediate certificates to the file",
		    certificate, c.issuer, ca);
	else if (rc != ASN_AFTER_DATE_E && rc != ASN_BEFORE_DATE_E)
		add(f, TLS_FINDING_FAIL,
		    "%.200s: its chain does not verify against %.200s: %s",
		    certificate, ca, wc_GetErrorString(rc));
}

static void check_chain(const char *ca, const char *certificate,
			struct tls_findings *f)
{
	WOLFSSL_CERT_MANAGER *cm = wolfSSL_CertManagerNew();
	char why[TLS_WHY_LEN];
	uint8_t *text;
	size_t len;

	if (cm == NULL)
		return;
	if (wolfSSL_CertManagerLoadCA(cm, ca, NULL) == WOLFSSL_SUCCESS &&
	    tls_file_read(certificate, &text, &len, why) == ERR_OK) {
		report_chain(ca, certificate, verify_chain(cm, text, len), f);
		tls_file_free(text, len);
	}
	wolfSSL_CertManagerFree(cm);
}

/* ---- purpose ---------------------------------------------------------- */

static void check_purpose(const char *certificate, bool server,
			  struct tls_findings *f)
{
	char why[TLS_WHY_LEN];
	size_t at = 0, len, n;
	uint8_t *text, *der;
	WOLFSSL_X509 *x = NULL;
	unsigned use, want = server ? XKU_SSL_SERVER : XKU_SSL_CLIENT;

	if (tls_file_read(certificate, &text, &len, why) != ERR_OK)
		return;
	if (tls_pem_next(text, len, &at, &der, &n) == ERR_OK) {
		x = wolfSSL_X509_d2i(NULL, der, (int)n);
		mem_free(der);
	}
	tls_file_free(text, len);
	if (x == NULL)
		return;
	use = wolfSSL_X509_get_extended_key_usage(x);
	wolfSSL_X509_free(x);
	if (use != 0 && (use & (want | XKU_ANYEKU)) == 0)
		add(f, TLS_FINDING_FAIL,
		    "%.250s: the certificate is not meant for a TLS %s (its "
		    "extended key usage); issue it anew for that",
		    certificate, server ? "server" : "client");
}

void tls_inspect(const char *ca, const char *certificate, const char *key,
		 bool server, struct tls_findings *f)
{
	bool ca_good = ca != NULL && check_ca_file(ca, f);
	bool cert_good =
	    certificate != NULL && check_certificate(certificate, f);

	if (key != NULL)
		check_key_file(key, f);
	if (cert_good)
		check_pair(certificate, key != NULL ? key : certificate, f);
	if (cert_good && ca_good)
		check_chain(ca, certificate, f);
	if (cert_good)
		check_purpose(certificate, server, f);
}
