/* tls_cert.c - facts out of a certificate. */
#include "proxy/net/tls_int.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <wolfssl/openssl/evp.h>
#include <wolfssl/openssl/x509v3.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/net/address.h"

/* ---- text ------------------------------------------------------------- */

/* Append n untrusted bytes, escaped; false when they do not fit. */
static bool add_escaped(char *out, size_t size, const uint8_t *p, size_t n)
{
	size_t at = strlen(out);

	for (size_t i = 0; i < n; i++) {
		bool plain =
		    p[i] >= 0x20 && p[i] != 0x7f && p[i] != '\\' && p[i] != '"';

		if (at + 5 > size)
			return false;
		at += (size_t)snprintf(out + at, size - at,
				       plain ? "%c" : "\\x%02x", p[i]);
	}
	return true;
}

static void add_text(char *out, size_t size, const char *text)
{
	size_t at = strlen(out);

	snprintf(out + at, size - at, "%s", text);
}

static void hex(const uint8_t *p, size_t n, char *out, size_t size)
{
	out[0] = '\0';
	for (size_t i = 0; i < n && 2 * i + 3 <= size; i++)
		snprintf(out + 2 * i, 3, "%02x", p[i]);
}

char *tls_date(int64_t when, char out[32])
{
	time_t t = (time_t)when;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(out, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		memcpy(out, "?", 2);
	return out;
}

char *tls_cert_describe(const struct tls_certificate *c, char *out, size_t n)
{
	snprintf(out, n, "%.120s (issuer %.120s, serial %.40s)", c->subject,
		 c->issuer, c->serial);
	return out;
}

/* ---- names ------------------------------------------------------------ */

/* Most specific part first: "CN=edge-01, O=Clinic". */
static void name_text(WOLFSSL_X509_NAME *name, char *out, size_t size)
{
	int n = name != NULL ? wolfSSL_X509_NAME_entry_count(name) : 0;

	out[0] = '\0';
	for (int i = n - 1; i >= 0; i--) {
		WOLFSSL_X509_NAME_ENTRY *e =
		    wolfSSL_X509_NAME_get_entry(name, i);
		WOLFSSL_ASN1_STRING *v = wolfSSL_X509_NAME_ENTRY_get_data(e);
		const char *sn = wolfSSL_OBJ_nid2sn(
		    wolfSSL_OBJ_obj2nid(wolfSSL_X509_NAME_ENTRY_get_object(e)));

		if (v == NULL)
			continue;
		if (out[0] != '\0')
			add_text(out, size, ", ");
		add_text(out, size, sn != NULL ? sn : "OID");
		add_text(out, size, "=");
		add_escaped(out, size, wolfSSL_ASN1_STRING_data(v),
			    (size_t)wolfSSL_ASN1_STRING_length(v));
	}
	if (out[0] == '\0')
		add_text(out, size, "(empty name)");
}

/* One alternative name as "DNS:x" or "IP:1.2.3.4"; false: another kind. */
static bool san_text(const WOLFSSL_GENERAL_NAME *g, char *out, size_t size)
{
	char ip[INET6_ADDRSTRLEN];
	const uint8_t *p;
	size_t n;

	out[0] = '\0';
	if (g->type != GEN_DNS && g->type != GEN_IPADD)
		return false;
	p = wolfSSL_ASN1_STRING_data(g->d.ia5);
	n = (size_t)wolfSSL_ASN1_STRING_length(g->d.ia5);
	if (g->type == GEN_DNS) {
		add_text(out, size, "DNS:");
		return n > 0 && add_escaped(out, size, p, n);
	}
	if ((n != 4 && n != 16) ||
	    inet_ntop(n == 4 ? AF_INET : AF_INET6, p, ip, sizeof(ip)) == NULL)
		return false;
	add_text(out, size, "IP:");
	add_text(out, size, ip);
	return true;
}

/* Run fn over the DNS and IP names. Returns how many there were. */
static int each_san(WOLFSSL_X509 *x, void (*fn)(void *arg, const char *san),
		    void *arg)
{
	WOLFSSL_GENERAL_NAMES *all =
	    wolfSSL_X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	int n = all != NULL ? wolfSSL_sk_GENERAL_NAME_num(all) : 0, found = 0;
	char san[300];

	/* the library keeps them last first */
	for (int i = n - 1; i >= 0; i--) {
		if (!san_text(wolfSSL_sk_GENERAL_NAME_value(all, i), san,
			      sizeof(san)))
			continue;
		fn(arg, san);
		found++;
	}
	if (all != NULL)
		wolfSSL_GENERAL_NAMES_free(all);
	return found;
}

static void collect_san(void *arg, const char *san)
{
	struct tls_certificate *c = arg;

	if (strlen(c->sans) + strlen(san) + 3 > sizeof(c->sans))
		return;
	if (c->sans[0] != '\0')
		add_text(c->sans, sizeof(c->sans), ", ");
	add_text(c->sans, sizeof(c->sans), san);
}

bool tls_dns_matches(const char *pattern, const char *name)
{
	const char *rest = strchr(name, '.');
	size_t n = strlen(name);

	if (n > 1 && name[n - 1] == '.' && strlen(pattern) == n - 1)
		return strncasecmp(pattern, name, n - 1) == 0;
	if (strncmp(pattern, "*.", 2) != 0)
		return strcasecmp(pattern, name) == 0;
	/* "*.example.org" but not "*.org" */
	return rest != NULL && rest != name &&
	       strchr(pattern + 2, '.') != NULL &&
	       strcasecmp(pattern + 1, rest) == 0;
}

struct match {
	const char *name;
	bool numeric, found;
	struct sockaddr_storage address;
};

static void match_san(void *arg, const char *san)
{
	struct match *m = arg;
	struct sockaddr_storage ss;

	if (!m->numeric && strncmp(san, "DNS:", 4) == 0)
		m->found |= tls_dns_matches(san + 4, m->name);
	if (m->numeric && strncmp(san, "IP:", 3) == 0 &&
	    address_numeric(san + 3, 0, &ss) == ERR_OK)
		m->found |= memcmp(&ss, &m->address, sizeof(ss)) == 0;
}

static bool match_cn(WOLFSSL_X509 *x, const char *name)
{
	char cn[256];
	int n = wolfSSL_X509_NAME_get_text_by_NID(
	    wolfSSL_X509_get_subject_name(x), NID_commonName, cn, sizeof(cn));

	return n > 0 && strlen(cn) > 0 && tls_dns_matches(cn, name);
}

bool tls_cert_matches(const uint8_t *der, size_t len, const char *name)
{
	struct match m = {.name = name};
	WOLFSSL_X509 *x = wolfSSL_X509_d2i(NULL, der, (int)len);

	if (x == NULL)
		return false;
	m.numeric = address_numeric(name, 0, &m.address) == ERR_OK;
	if (each_san(x, match_san, &m) == 0 && !m.numeric)
		m.found = match_cn(x, name);
	wolfSSL_X509_free(x);
	return m.found;
}

/* ---- the rest --------------------------------------------------------- */

static int64_t asn1_time(const WOLFSSL_ASN1_TIME *t)
{
	struct tm tm = {0};

	if (t == NULL || wolfSSL_ASN1_TIME_to_tm(t, &tm) != WOLFSSL_SUCCESS)
		return 0;
	return (int64_t)timegm(&tm);
}

static void key_facts(WOLFSSL_X509 *x, struct tls_certificate *c)
{
	WOLFSSL_EVP_PKEY *key = wolfSSL_X509_get_pubkey(x);
	int id = key != NULL ? wolfSSL_EVP_PKEY_base_id(key) : 0;
	int bits = key != NULL ? wolfSSL_EVP_PKEY_bits(key) : 0;
	const char *type = id == EVP_PKEY_RSA  ? "RSA"
			   : id == EVP_PKEY_EC ? "EC"
					       : "other";

	snprintf(c->key_type, sizeof(c->key_type), "%s", type);
	c->key_bits = bits > 0 ? (unsigned)bits : 0;
	wolfSSL_EVP_PKEY_free(key);
}

static void signature_fact(WOLFSSL_X509 *x, struct tls_certificate *c)
{
	int nid = wolfSSL_X509_get_signature_nid(x);
	const char *name = wolfSSL_OBJ_nid2sn(nid);

	snprintf(c->signature, sizeof(c->signature), "%s",
		 name != NULL ? name : "unknown");
}

bool tls_cert_weak_signature(const struct tls_certificate *c)
{
	return strcasestr(c->signature, "sha1") != NULL ||
	       strcasestr(c->signature, "md5") != NULL ||
	       strcasestr(c->signature, "md2") != NULL;
}

static void serial_fact(WOLFSSL_X509 *x, struct tls_certificate *c)
{
	uint8_t serial[32];
	int n = sizeof(serial);

	if (wolfSSL_X509_get_serial_number(x, serial, &n) != WOLFSSL_SUCCESS)
		n = 0;
	hex(serial, (size_t)n, c->serial, sizeof(c->serial));
}

void tls_cert_fingerprint(const uint8_t *der, size_t len,
			  char out[TLS_FINGERPRINT_LEN])
{
	uint8_t digest[WC_SHA256_DIGEST_SIZE];

	out[0] = '\0';
	if (wc_Sha256Hash(der, (word32)len, digest) == 0)
		hex(digest, sizeof(digest), out, TLS_FINGERPRINT_LEN);
}

static int days_until(int64_t when)
{
	int64_t left = when - clock_wall_ms() / 1000;

	return (int)(left >= 0 ? left / 86400 : -(-left + 86399) / 86400);
}

enum err tls_cert_parse(const uint8_t *der, size_t len,
			struct tls_certificate *out)
{
	WOLFSSL_X509 *x;

	if (len > TLS_FILE_MAX)
		return ERR_INVAL;
	x = wolfSSL_X509_d2i(NULL, der, (int)len);
	if (x == NULL)
		return ERR_INVAL;
	memset(out, 0, sizeof(*out));
	name_text(wolfSSL_X509_get_subject_name(x), out->subject,
		  sizeof(out->subject));
	name_text(wolfSSL_X509_get_issuer_name(x), out->issuer,
		  sizeof(out->issuer));
	serial_fact(x, out);
	each_san(x, collect_san, out);
	tls_cert_fingerprint(der, len, out->fingerprint);
	key_facts(x, out);
	signature_fact(x, out);
	out->not_before = asn1_time(wolfSSL_X509_get_notBefore(x));
	out->not_after = asn1_time(wolfSSL_X509_get_notAfter(x));
	out->days_left = days_until(out->not_after);
	out->is_ca = wolfSSL_X509_get_isCA(x) == 1;
	wolfSSL_X509_free(x);
	return ERR_OK;
}

/* ---- identities ------------------------------------------------------- */

struct tls_identity *tls_identity_new(const struct tls_certificate *c)
{
	struct tls_identity *id = mem_zalloc(sizeof(*id));

	if (id == NULL)
		return NULL;
	atomic_init(&id->refs, 1);
	id->cert = *c;
	return id;
}

struct tls_identity *tls_identity_ref(struct tls_identity *id)
{
	atomic_fetch_add(&id->refs, 1);
	return id;
}

void tls_identity_unref(struct tls_identity *id)
{
	if (id != NULL && atomic_fetch_sub(&id->refs, 1) == 1)
		mem_free(id);
}

struct tls_identity *tls_known_find(struct tls_context *c,
				    const char *fingerprint)
{
	struct tls_identity *found = NULL;

	if (fingerprint[0] == '\0')
		return NULL;
	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < TLS_KNOWN_MAX && found == NULL; i++) {
		struct tls_identity *id = c->known[i];

		if (id != NULL &&
		    strcmp(id->cert.fingerprint, fingerprint) == 0)
			found = tls_identity_ref(id);
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

void tls_known_add(struct tls_context *c, struct tls_identity *id)
{
	struct tls_identity **row;

	pthread_mutex_lock(&c->lock);
	row = &c->known[c->next_known++ % TLS_KNOWN_MAX];
	tls_identity_unref(*row);
	*row = tls_identity_ref(id);
	pthread_mutex_unlock(&c->lock);
}

void tls_known_free(struct tls_context *c)
{
	for (unsigned i = 0; i < TLS_KNOWN_MAX; i++)
		tls_identity_unref(c->known[i]);
}
