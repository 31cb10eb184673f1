/* tls_pki.c - see tls_pki.h. */
#include "proxy/net/tls_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/disk.h"
#include "proxy/lib/mem.h"
#include "proxy/lib/wr.h"
#include "proxy/net/tls_pki.h"

enum {
	DER_MAX = 4096,
	PEM_MAX = 8192,
	PATH_LEN = 1024,
	NAME_MAX_LEN = 64,
	SERIAL_LEN = 16,
	DAYS_DEFAULT = 825,
	HOUR = 3600,
	DAY = 86400,
	KEY_BYTES = 32, /* P-256 */
};

static enum err fail(char *why, enum err e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static enum err fail(char *why, enum err e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, TLS_WHY_LEN, fmt, ap);
	va_end(ap);
	return e;
}

/* ---- files ------------------------------------------------------------ */

static enum err path_of(char out[PATH_LEN], const char *dir, const char *name,
			const char *ext, char *why)
{
	int n = snprintf(out, PATH_LEN, "%s/%s.%s", dir, name, ext);

	return n > 0 && n < PATH_LEN
		   ? ERR_OK
		   : fail(why, ERR_INVAL, "the path is too long");
}

static enum err must_not_exist(const char *path, char *why)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return ERR_OK;
	return fail(why, ERR_EXISTS,
		    "%.300s exists already and is not overwritten; choose "
		    "another name, or move it away",
		    path);
}

static enum err write_new(const char *path, mode_t mode, const uint8_t *p,
			  size_t n, char *why)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	enum err e;

	if (fd < 0 && errno == EEXIST)
		return must_not_exist(path, why);
	if (fd < 0)
		return fail(why, ERR_IO, "cannot create %.300s: %s", path,
			    strerror(errno));
	e = disk_write(fd, p, n) && fsync(fd) == 0 ? ERR_OK : ERR_IO;
	if (e != ERR_OK)
		(void)fail(why, e, "cannot write %.300s: %s", path,
			   strerror(errno));
	close(fd);
	if (e != ERR_OK)
		unlink(path);
	return e;
}

static enum err write_pem(const char *path, mode_t mode, const uint8_t *der,
			  size_t len, int type, char *why)
{
	uint8_t *pem = mem_zalloc(PEM_MAX);
	enum err e;
	int n;

	if (pem == NULL)
		return fail(why, ERR_NOMEM, "out of memory");
	n = wc_DerToPem(der, (word32)len, pem, PEM_MAX, type);
	e = n > 0 ? write_new(path, mode, pem, (size_t)n, why)
		  : fail(why, ERR_TLS, "cannot encode %.300s", path);
	tls_file_free(pem, PEM_MAX);
	return e;
}

static enum err write_key(const char *path, ecc_key *key, char *why)
{
	uint8_t der[512];
	word32 n = sizeof(der);
	int rc = wc_EccKeyToPKCS8(key, der, &n);
	enum err e;

	if (rc <= 0)
		return fail(why, ERR_TLS, "cannot encode the key");
	e = write_pem(path, 0600, der, (size_t)rc, PKCS8_PRIVATEKEY_TYPE, why);
	mem_wipe(der, sizeof(der));
	return e;
}

/* Key and certificate, or neither. */
static enum err write_pair(const char *dir, const char *name, ecc_key *key,
			   const uint8_t *cert, size_t len, char *why)
{
	char key_path[PATH_LEN], cert_path[PATH_LEN];
	enum err e = path_of(key_path, dir, name, "key", why);

	if (e == ERR_OK)
		e = path_of(cert_path, dir, name, "pem", why);
	if (e == ERR_OK)
		e = must_not_exist(cert_path, why);
	if (e == ERR_OK)
		e = write_key(key_path, key, why);
	if (e != ERR_OK)
		return e;
	e = write_pem(cert_path, 0644, cert, len, CERT_TYPE, why);
	if (e != ERR_OK)
		unlink(key_path);
	return e;
}

/* ---- fields ----------------------------------------------------------- */

/* RFC 5280 4.1.2.5: UTCTime up to 2049, GeneralizedTime after. */
static int date_der(int64_t when, uint8_t out[CTC_DATE_SIZE])
{
	char text[24];
	time_t t = (time_t)when;
	struct tm tm;
	size_t n;

	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < 50 || tm.tm_year > 8099)
		return 0;
	n = strftime(text, sizeof(text),
		     tm.tm_year < 150 ? "%y%m%d%H%M%SZ" : "%Y%m%d%H%M%SZ", &tm);
	out[0] = tm.tm_year < 150 ? 0x17 : 0x18;
	out[1] = (uint8_t)n;
	memcpy(out + 2, text, n);
	return (int)n + 2;
}

static enum err set_dates(Cert *c, int64_t from, int64_t to, char *why)
{
	c->beforeDateSz = date_der(from, c->beforeDate);
	c->afterDateSz = date_der(to, c->afterDate);
	if (c->beforeDateSz == 0 || c->afterDateSz == 0 || to <= from)
		return fail(why, ERR_INVAL,
			    "the validity ends before it begins, or is not a "
			    "date");
	return ERR_OK;
}

static bool add_san(struct wr *w, const char *san)
{
	struct in_addr v4;
	struct in6_addr v6;
	size_t n;

	if (strncmp(san, "DNS:", 4) == 0) {
		n = strlen(san + 4);
		if (n == 0 || n > 127)
			return false;
		wr_u8(w, 0x82);
		wr_u8(w, (uint8_t)n);
		wr_bytes(w, san + 4, n);
		return true;
	}
	if (strncmp(san, "IP:", 3) != 0)
		return false;
	wr_u8(w, 0x87);
	if (inet_pton(AF_INET, san + 3, &v4) == 1) {
		wr_u8(w, sizeof(v4));
		wr_bytes(w, &v4, sizeof(v4));
		return true;
	}
	if (inet_pton(AF_INET6, san + 3, &v6) != 1)
		return false;
	wr_u8(w, sizeof(v6));
	wr_bytes(w, &v6, sizeof(v6));
	return true;
}

/* SEQUENCE OF GeneralName, its length always in two bytes. */
static enum err set_sans(Cert *c, const struct tls_pki_request *r, char *why)
{
	char own[NAME_MAX_LEN + 8];
	struct wr w = wr_init(c->altNames, sizeof(c->altNames));
	const char *san = own;
	unsigned n = r->n_sans;

	snprintf(own, sizeof(own), "DNS:%s", r->name);
	wr_u8(&w, 0x30);
	wr_u8(&w, 0x82);
	wr_u16(&w, 0);
	for (unsigned i = 0; i < (n > 0 ? n : 1); i++) {
		if (n > 0)
			san = r->sans[i];
		if (!add_san(&w, san))
			return fail(why, ERR_INVAL,
				    "\"%.100s\" is no alternative name; write "
				    "DNS:pacs.example.org or IP:10.0.0.1",
				    san);
	}
	/* DER wants the shortest length; short lists are shifted */
	if (wr_ok(&w) && w.len - 4 < 128) {
		memmove(c->altNames + 2, c->altNames + 4, w.len - 4);
		w.len -= 2;
		c->altNames[1] = (uint8_t)(w.len - 2);
	} else if (wr_ok(&w) && w.len - 4 < 256) {
		memmove(c->altNames + 3, c->altNames + 4, w.len - 4);
		w.len -= 1;
		c->altNames[1] = 0x81;
		c->altNames[2] = (uint8_t)(w.len - 3);
	} else {
		wr_patch_u16(&w, 2, (uint16_t)(w.len - 4));
	}
	c->altNamesSz = (int)w.len;
	return wr_ok(&w) ? ERR_OK
			 : fail(why, ERR_LIMIT, "too many alternative names");
}

static enum err cert_begin(Cert *c, ecc_key *key, char *why)
{
	if (wc_InitCert(c) != 0 ||
	    getrandom(c->serial, SERIAL_LEN, 0) != SERIAL_LEN)
		return fail(why, ERR_TLS, "cannot begin a certificate");
	c->serial[0] = (uint8_t)((c->serial[0] & 0x7f) | 0x40); /* positive */
	c->serialSz = SERIAL_LEN;
	c->sigType = CTC_SHA256wECDSA;
	if (wc_SetSubjectKeyIdFromPublicKey_ex(c, ECC_TYPE, key) != 0)
		return fail(why, ERR_TLS, "cannot identify the key");
	return ERR_OK;
}

static enum err key_make(ecc_key *key, WC_RNG *rng, char *why)
{
	int rc;

	if (wc_ecc_init(key) != 0)
		return fail(why, ERR_NOMEM, "out of memory");
	rc = wc_ecc_make_key_ex(rng, KEY_BYTES, key, ECC_SECP256R1);
	if (rc == 0)
		return ERR_OK;
	wc_ecc_free(key);
	return fail(why, ERR_TLS, "cannot make a key");
}

/* ---- critical basic constraints --------------------------------------- */

/* Bytes of tag and length at p, with the content's length in *content. Our own
 * certificates only: lengths are at most two bytes. */
static size_t der_header(const uint8_t *p, size_t *content)
{
	if (p[1] < 0x80) {
		*content = p[1];
		return 2;
	}
	*content = p[2];
	if (p[1] == 0x81)
		return 3;
	*content = (size_t)p[2] << 8 | p[3];
	return 4;
}

static size_t der_header_put(uint8_t *p, size_t content)
{
	if (content < 0x80) {
		p[1] = (uint8_t)content;
		return 2;
	}
	if (content < 0x100) {
		p[1] = 0x81;
		p[2] = (uint8_t)content;
		return 3;
	}
	p[1] = 0x82;
	p[2] = (uint8_t)(content >> 8);
	p[3] = (uint8_t)content;
	return 4;
}

/* Insert n bytes at at, which lies inside the element at elem; returns by how
 * much the element grew. *len: of the whole buffer. */
static size_t der_insert(uint8_t *der, size_t *len, size_t elem, size_t at,
			 const uint8_t *p, size_t n)
{
	uint8_t new_header[4] = {der[elem]};
	size_t content, old = der_header(der + elem, &content), inner = at;
	size_t pos = elem + old, grown = n, fresh;

	while (pos < at) { /* the child that at lies in, if it is inside one */
		size_t m, h = der_header(der + pos, &m);

		if (at < pos + h + m && at > pos) {
			inner = pos;
			break;
		}
		pos += h + m;
	}
	if (inner != at) {
		grown = der_insert(der, len, inner, at, p, n);
	} else {
		memmove(der + at + n, der + at, *len - at);
		memcpy(der + at, p, n);
		*len += n;
	}
	fresh = der_header_put(new_header, content + grown);
	memmove(der + elem + fresh, der + elem + old, *len - elem - old);
	memcpy(der + elem, new_header, fresh);
	*len = *len + fresh - old;
	return grown + fresh - old;
}

/* RFC 5280 4.2.1.9: a CA's basic constraints must be critical; the library
 * leaves that out. body: the TBSCertificate, not signed yet. */
static int make_constraints_critical(uint8_t *body, int n)
{
	static const uint8_t oid[] = {0x06, 0x03, 0x55, 0x1d, 0x13};
	static const uint8_t critical[] = {0x01, 0x01, 0xff};
	uint8_t *at = memmem(body, (size_t)n, oid, sizeof(oid));
	size_t len = (size_t)n;

	if (at == NULL || n > DER_MAX / 2)
		return -1;
	der_insert(body, &len, 0, (size_t)(at - body) + sizeof(oid), critical,
		   sizeof(critical));
	return (int)len;
}

/* Sign with ca_key; the certificate's length, or 0. */
static size_t cert_sign(Cert *c, ecc_key *key, ecc_key *ca_key, WC_RNG *rng,
			uint8_t der[DER_MAX])
{
	int n = wc_MakeCert_ex(c, der, DER_MAX, ECC_TYPE, key, rng);

	if (n > 0 && c->isCA) {
		n = make_constraints_critical(der, n);
		c->bodySz = n;
	}
	if (n > 0)
		n = wc_SignCert_ex(c->bodySz, c->sigType, der, DER_MAX,
				   ECC_TYPE, ca_key, rng);
	return n > 0 ? (size_t)n : 0;
}

/* ---- init ------------------------------------------------------------- */

static enum err fill_ca(Cert *c, const char *name, unsigned days, ecc_key *key,
			char *why)
{
	int64_t now = clock_wall_ms() / 1000;
	enum err e = cert_begin(c, key, why);

	if (e != ERR_OK)
		return e;
	snprintf(c->subject.commonName, sizeof(c->subject.commonName), "%s",
		 name);
	c->selfSigned = 1;
	c->isCA = 1;
	c->pathLen = 0;
	c->pathLenSet = 1;
	c->basicConstSet = 1;
	memcpy(c->akid, c->skid, (size_t)c->skidSz);
	c->akidSz = c->skidSz;
	if (wc_SetKeyUsage(c, "keyCertSign,cRLSign") != 0)
		return fail(why, ERR_TLS, "cannot set the key usage");
	return set_dates(c, now - HOUR, now + (int64_t)days * DAY, why);
}

static enum err ca_make(const char *dir, const char *name, unsigned days,
			WC_RNG *rng, char *why)
{
	uint8_t der[DER_MAX];
	ecc_key key;
	Cert cert;
	size_t n;
	enum err e = key_make(&key, rng, why);

	if (e != ERR_OK)
		return e;
	e = fill_ca(&cert, name, days, &key, why);
	if (e == ERR_OK) {
		n = cert_sign(&cert, &key, &key, rng, der);
		e = n > 0 ? write_pair(dir, "ca", &key, der, n, why)
			  : fail(why, ERR_TLS, "cannot sign the certificate");
	}
	wc_ecc_free(&key);
	return e;
}

static enum err check_cn(const char *name, char *why)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < 0x20)
			n = 0;
	if (n > 0 && n < NAME_MAX_LEN)
		return ERR_OK;
	return fail(why, ERR_INVAL,
		    "the name of a CA is 1 to 63 characters without control "
		    "characters");
}

enum err tls_pki_init(const char *dir, const char *name, unsigned days,
		      char why[TLS_WHY_LEN])
{
	enum err e = check_cn(name, why);
	WC_RNG rng;

	if (e != ERR_OK)
		return e;
	if (days == 0 || days > 36500)
		return fail(why, ERR_INVAL, "days must be 1 to 36500");
	if (tls_global_init() != ERR_OK)
		return fail(why, ERR_TLS, "the TLS library does not start");
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return fail(why, ERR_IO, "cannot make %.300s: %s", dir,
			    strerror(errno));
	if (wc_InitRng(&rng) != 0)
		return fail(why, ERR_TLS, "no random numbers");
	e = ca_make(dir, name, days, &rng, why);
	wc_FreeRng(&rng);
	return e;
}

/* ---- issue ------------------------------------------------------------ */

struct ca {
	uint8_t *der;
	size_t len;
	ecc_key key;
	struct tls_certificate facts;
};

static void ca_free(struct ca *ca)
{
	mem_free(ca->der);
	wc_ecc_free(&ca->key);
}

static enum err ca_certificate(struct ca *ca, const char *path, char *why)
{
	size_t n, at = 0;
	uint8_t *text;
	enum err e = tls_file_read(path, &text, &n, why);

	if (e != ERR_OK)
		return e;
	e = tls_pem_next(text, n, &at, &ca->der, &ca->len);
	tls_file_free(text, n);
	if (e == ERR_OK)
		e = tls_cert_parse(ca->der, ca->len, &ca->facts);
	return e == ERR_OK ? e
			   : fail(why, ERR_INVAL,
				  "%.300s holds no readable certificate", path);
}

static enum err ca_key(struct ca *ca, const char *path, char *why)
{
	uint8_t *text, der[1024];
	word32 at = 0;
	size_t n;
	int len;
	enum err e = tls_file_read(path, &text, &n, why);

	if (e != ERR_OK)
		return e;
	len = wc_KeyPemToDer(text, (int)n, der, sizeof(der), NULL);
	tls_file_free(text, n);
	if (len <= 0 ||
	    wc_EccPrivateKeyDecode(der, &at, &ca->key, (word32)len) != 0)
		e = fail(why, ERR_INVAL,
			 "%.300s is no EC private key without a pass phrase; "
			 "culvert pki issue works with CAs that culvert pki "
			 "init made",
			 path);
	mem_wipe(der, sizeof(der));
	return e;
}

static enum err ca_load(struct ca *ca, const char *dir, char *why)
{
	char path[PATH_LEN];
	enum err e = path_of(path, dir, "ca", "pem", why);

	memset(ca, 0, sizeof(*ca));
	if (wc_ecc_init(&ca->key) != 0)
		return fail(why, ERR_NOMEM, "out of memory");
	if (e == ERR_OK && access(path, F_OK) != 0)
		e = fail(why, ERR_NOTFOUND,
			 "%.300s is missing: make the CA first with culvert "
			 "pki init %.300s",
			 path, dir);
	if (e == ERR_OK)
		e = ca_certificate(ca, path, why);
	if (e == ERR_OK)
		e = path_of(path, dir, "ca", "key", why);
	if (e == ERR_OK)
		e = ca_key(ca, path, why);
	if (e != ERR_OK)
		ca_free(ca);
	return e;
}

static enum err fill_leaf(Cert *c, const struct tls_pki_request *r,
			  const struct ca *ca, ecc_key *key, char *why)
{
	int64_t now = clock_wall_ms() / 1000;
	int64_t days = r->days != 0 ? r->days : DAYS_DEFAULT;
	int64_t from = r->not_before != 0 ? r->not_before : now - HOUR;
	int64_t to = r->not_after != 0 ? r->not_after : now + days * DAY;
	bool both = r->server == r->client;
	enum err e = cert_begin(c, key, why);

	if (e != ERR_OK)
		return e;
	if (to > ca->facts.not_after)
		to = ca->facts.not_after;
	if (from >= to && r->not_before == 0)
		from = to - DAY; /* asked to be expired already: tests */
	snprintf(c->subject.commonName, sizeof(c->subject.commonName), "%s",
		 r->name);
	c->selfSigned = 0;
	if (wc_SetIssuerBuffer(c, ca->der, (int)ca->len) != 0 ||
	    wc_SetAuthKeyIdFromCert(c, ca->der, (int)ca->len) != 0 ||
	    wc_SetKeyUsage(c, "digitalSignature") != 0 ||
	    wc_SetExtKeyUsage(c, both        ? "serverAuth,clientAuth"
				 : r->server ? "serverAuth"
					     : "clientAuth") != 0)
		return fail(why, ERR_TLS, "cannot set the extensions");
	e = set_sans(c, r, why);
	return e == ERR_OK ? set_dates(c, from, to, why) : e;
}

static enum err leaf_make(const char *dir, const struct tls_pki_request *r,
			  struct ca *ca, WC_RNG *rng, char *why)
{
	uint8_t der[DER_MAX];
	ecc_key key;
	Cert cert;
	size_t n;
	enum err e = key_make(&key, rng, why);

	if (e != ERR_OK)
		return e;
	e = fill_leaf(&cert, r, ca, &key, why);
	if (e == ERR_OK) {
		n = cert_sign(&cert, &key, &ca->key, rng, der);
		e = n > 0 ? write_pair(dir, r->name, &key, der, n, why)
			  : fail(why, ERR_TLS, "cannot sign the certificate");
	}
	wc_ecc_free(&key);
	return e;
}

static enum err check_name(const char *name, char *why)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t n = strlen(name);

	if (n > 0 && n < NAME_MAX_LEN && strspn(name, allowed) == n &&
	    name[0] != '.' && name[0] != '-' && strcmp(name, "ca") != 0)
		return ERR_OK;
	return fail(why, ERR_INVAL,
		    "\"%.64s\" cannot be the name of a certificate: 1 to 63 "
		    "letters, digits, '.', '_', '-', not beginning with '.' "
		    "or '-', and not \"ca\"",
		    name);
}

enum err tls_pki_issue(const char *dir, const struct tls_pki_request *r,
		       char why[TLS_WHY_LEN])
{
	enum err e = check_name(r->name, why);
	struct ca ca;
	WC_RNG rng;

	if (e != ERR_OK)
		return e;
	if (tls_global_init() != ERR_OK)
		return fail(why, ERR_TLS, "the TLS library does not start");
	e = ca_load(&ca, dir, why);
	if (e != ERR_OK)
		return e;
	if (wc_InitRng(&rng) == 0) {
		e = leaf_make(dir, r, &ca, &rng, why);
		wc_FreeRng(&rng);
	} else {
		e = fail(why, ERR_TLS, "no random numbers");
	}
	ca_free(&ca);
	return e;
}
