/* tls_fail.c - why a handshake failed: which certificate, which check, what to
 * do. A person at a hospital reads this at 03:00. */
#include "proxy/net/tls_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include "proxy/lib/mem.h"

void tls_fail_set(struct tls *t, enum condition_id why, const char *fmt, ...)
{
	enum { CODE_LEN = 10 };
	char text[TLS_WHY_LEN];
	va_list ap;

	if (t->failure != NULL)
		return; /* the first cause is the cause */
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text) - CODE_LEN, fmt, ap);
	va_end(ap);
	snprintf(text + strlen(text), CODE_LEN, " [%s]",
		 condition_get(why)->code);
	t->failure = mem_strdup(text);
}

static const char *peer_role(const struct tls *t)
{
	return t->ctx->server ? "client" : "server";
}

/* ---- verification ----------------------------------------------------- */

static void fail_dates(struct tls *t, const char *what, const char *desc,
		       const struct tls_certificate *c, bool expired)
{
	char date[32];

	if (expired)
		tls_fail_set(t, CONDITION_TLS_EXPIRED,
			     "%s %s expired on %s: it must be renewed at the "
			     "peer (and this machine's clock be right)",
			     what, desc, tls_date(c->not_after, date));
	else
		tls_fail_set(t, CONDITION_TLS_NOT_YET_VALID,
			     "%s %s is not valid before %s: check the clocks "
			     "of both machines",
			     what, desc, tls_date(c->not_before, date));
}

static bool ca_is_known(const struct tls *t, const char *subject)
{
	const char *at = t->ctx->ca_names;
	size_t n = strlen(subject);

	for (; at != NULL && *at != '\0'; at += strcspn(at, "\n") + 1)
		if (strncmp(at, subject, n) == 0 && at[n] == '\n')
			return true;
	return false;
}

void tls_fail_verify(struct tls *t, int wolf_error, int depth,
		     const struct tls_certificate *cert)
{
	const char *ca = t->ctx->ca_file != NULL ? t->ctx->ca_file : "(none)";
	char desc[400], what[64];

	tls_cert_describe(cert, desc, sizeof(desc));
	if (depth == 0)
		snprintf(what, sizeof(what), "the %s's certificate",
			 peer_role(t));
	else
		snprintf(what, sizeof(what),
			 "the %s's intermediate certificate", peer_role(t));
	if (wolf_error == ASN_AFTER_DATE_E || wolf_error == ASN_BEFORE_DATE_E)
		fail_dates(t, what, desc, cert, wolf_error == ASN_AFTER_DATE_E);
	else if (wolf_error == ASN_SIG_CONFIRM_E ||
		 (wolf_error == ASN_NO_SIGNER_E &&
		  ca_is_known(t, cert->issuer)))
		tls_fail_set(t, CONDITION_TLS_UNKNOWN_CA,
			     "%s %s was not signed by the CA of that name in "
			     "%.150s: it comes from another CA with the same "
			     "name; get the right CA certificate",
			     what, desc, ca);
	else if (wolf_error == ASN_NO_SIGNER_E ||
		 wolf_error == ASN_SELF_SIGNED_E)
		tls_fail_set(t, CONDITION_TLS_UNKNOWN_CA,
			     "%s %s comes from an unknown CA: issuer %.120s is "
			     "not in %.150s; add that CA there if it is "
			     "trusted, or let the peer send its intermediate "
			     "certificates",
			     what, desc, cert->issuer, ca);
	else if (wolf_error == RSA_KEY_SIZE_E || wolf_error == ECC_KEY_SIZE_E)
		tls_fail_set(
		    t, CONDITION_TLS_WEAK_KEY,
		    "%s %s has a key of %u bits, which is not safe: it "
		    "must be issued anew with RSA from 2048 or EC "
		    "from 256 bits",
		    what, desc, cert->key_bits);
	else if (wolf_error == CRL_CERT_REVOKED ||
		 wolf_error == OCSP_CERT_REVOKED)
		tls_fail_set(t, CONDITION_TLS_UNVERIFIED,
			     "%s %s is revoked: it must be replaced", what,
			     desc);
	else
		tls_fail_set(t, CONDITION_TLS_UNVERIFIED,
			     "%s %s failed verification: %s", what, desc,
			     wc_GetErrorString(wolf_error));
}

void tls_fail_no_certificate(struct tls *t)
{
	tls_fail_set(t, CONDITION_TLS_NO_CERTIFICATE,
		     "the peer showed no certificate, and one is required: "
		     "configure a client certificate at the peer");
}

void tls_fail_name(struct tls *t, const struct tls_certificate *cert)
{
	const char *has = cert->sans[0] != '\0' ? cert->sans : cert->subject;

	tls_fail_set(
	    t, CONDITION_TLS_WRONG_NAME,
	    "the server's certificate is for another host: wanted "
	    "%.100s, but %.100s (serial %.40s) carries %.200s; connect "
	    "by a name it carries, set tls.server_name, or have it "
	    "issued with this name",
	    t->server_name, cert->subject, cert->serial, has);
}

void tls_fail_fingerprint(struct tls *t, const struct tls_certificate *cert)
{
	tls_fail_set(
	    t, CONDITION_TLS_WRONG_FINGERPRINT,
	    "the %s's certificate %.120s (serial %.40s) is not the one "
	    "configured: its SHA-256 is %s, wanted %s; if it was "
	    "renewed, update the fingerprint",
	    peer_role(t), cert->subject, cert->serial, cert->fingerprint,
	    t->ctx->fingerprint);
}

/* ---- what the first bytes look like ----------------------------------- */

static bool looks_like_http(const uint8_t *p, size_t n)
{
	static const char *const words[] = {"GET ", "POST", "HEAD", "PUT ",
					    "HTTP", "OPTI", "DELE", "CONN"};

	for (size_t i = 0; n >= 4 && i < ARRAY_LEN(words); i++)
		if (memcmp(p, words[i], 4) == 0)
			return true;
	return false;
}

static void fail_old_version(struct tls *t)
{
	tls_fail_set(t, CONDITION_TLS_OLD_VERSION,
		     "the %s offers only TLS 1.1 or older, which is not safe "
		     "and refused here: update it, or enable TLS 1.2 or 1.3 "
		     "there",
		     peer_role(t));
}

/* A record of TLS begins with its type, handshake or alert, and version 3. */
bool tls_fail_plaintext(struct tls *t)
{
	const uint8_t *p = t->head;
	size_t n = t->head_len;

	if (n == 0 || p[0] == 0x16 || p[0] == 0x15)
		return false;
	if (p[0] == 0x80 && n >= 3 && p[2] == 0x01) {
		fail_old_version(t); /* SSL 2 hello */
		return true;
	}
	if (looks_like_http(p, n))
		tls_fail_set(t, CONDITION_TLS_PLAINTEXT,
			     "the %s speaks HTTP, not TLS: a browser or a web "
			     "server is at the other end; check the port",
			     peer_role(t));
	else if (n < 4 && p[0] >= 'A' && p[0] <= 'Z')
		return false; /* HTTP, or not: wait for the word */
	else if (p[0] >= 0x01 && p[0] <= 0x07)
		tls_fail_set(
		    t, CONDITION_TLS_PLAINTEXT,
		    "the %s speaks DICOM in clear (PDU type %02x) on a "
		    "TLS connection: %s",
		    peer_role(t), p[0],
		    t->ctx->server ? "switch TLS on there, or point it to the "
				     "plaintext listener"
				   : "the port is its plaintext port; use its "
				     "TLS port (often 2762)");
	else
		tls_fail_set(t, CONDITION_TLS_PLAINTEXT,
			     "the %s does not speak TLS (first byte %02x): "
			     "check that the port is the right one",
			     peer_role(t), p[0]);
	return true;
}

/* ---- alerts ----------------------------------------------------------- */

static const char *alert_name(int code)
{
	switch (code) {
	case 0:
		return "close_notify";
	case 10:
		return "unexpected_message";
	case 20:
		return "bad_record_mac";
	case 40:
		return "handshake_failure";
	case 42:
		return "bad_certificate";
	case 43:
		return "unsupported_certificate";
	case 44:
		return "certificate_revoked";
	case 45:
		return "certificate_expired";
	case 46:
		return "certificate_unknown";
	case 47:
		return "illegal_parameter";
	case 48:
		return "unknown_ca";
	case 49:
		return "access_denied";
	case 50:
		return "decode_error";
	case 51:
		return "decrypt_error";
	case 70:
		return "protocol_version";
	case 71:
		return "insufficient_security";
	case 80:
		return "internal_error";
	case 90:
		return "user_canceled";
	case 109:
		return "missing_extension";
	case 112:
		return "unrecognized_name";
	case 116:
		return "certificate_required";
	case 120:
		return "no_application_protocol";
	}
	return "unknown alert";
}

static bool about_our_certificate(int code)
{
	return (code >= 42 && code <= 46) || code == 48 || code == 49 ||
	       code == 116;
}

static const char *certificate_remedy(int code)
{
	switch (code) {
	case 45:
		return "renew it (or set the peer's clock right)";
	case 44:
		return "it is revoked there; get a new one";
	case 48:
		return "let the peer trust the CA that issued it";
	case 49:
		return "the peer knows it and does not allow it; let its "
		       "administrator permit it";
	case 116:
		return "configure tls.certificate and tls.key";
	}
	return "let the peer's log say why, and check that the peer trusts "
	       "the CA that issued it and accepts its name and purpose";
}

static void alert_about_certificate(struct tls *t, int code)
{
	const struct tls_context *c = t->ctx;
	char desc[400], date[32];

	if (!c->has_own) {
		tls_fail_set(t, CONDITION_TLS_OUR_CERTIFICATE,
			     "the %s wants a certificate and we have none "
			     "(alert %s): configure tls.certificate and "
			     "tls.key",
			     peer_role(t), alert_name(code));
		return;
	}
	tls_fail_set(t, CONDITION_TLS_OUR_CERTIFICATE,
		     "the %s refused OUR certificate %s, valid until %s: alert "
		     "%s: %s",
		     peer_role(t),
		     tls_cert_describe(&c->own, desc, sizeof(desc)),
		     tls_date(c->own.not_after, date), alert_name(code),
		     certificate_remedy(code));
}

static void alert_received(struct tls *t, int code)
{
	if (about_our_certificate(code))
		alert_about_certificate(t, code);
	else if (code == 70)
		fail_old_version(t);
	else if (code == 40 || code == 71)
		tls_fail_set(t, CONDITION_TLS_NOTHING_COMMON,
			     "the %s found no common ground (alert %s): no "
			     "common cipher suite, group or signature, or it "
			     "wants a client certificate that we do not send; "
			     "we offer TLS 1.2 and 1.3 with AES-GCM and "
			     "ECDHE (RFC 9325)",
			     peer_role(t), alert_name(code));
	else if (code == 112)
		tls_fail_set(t, CONDITION_TLS_WRONG_NAME,
			     "the server does not know the name %.100s (alert "
			     "unrecognized_name): set tls.server_name to the "
			     "name it has",
			     t->server_name != NULL ? t->server_name : "");
	else if (code == 120 && !t->ctx->server)
		tls_alpn_alert(t);
	else
		tls_fail_set(
		    t, CONDITION_TLS_FAILED,
		    "the %s ended TLS with alert %s (%d): its log says "
		    "why",
		    peer_role(t), alert_name(code), code);
}

/* ---- everything else -------------------------------------------------- */

/* legacy_version of a ClientHello stands at offset 9. */
static bool hello_is_old(const struct tls *t)
{
	return t->head_len >= 11 && t->head[0] == 0x16 && t->head[5] == 0x01 &&
	       (t->head[9] < 3 || t->head[10] < 3);
}

static bool explain_by_error(struct tls *t, int error)
{
	switch (error) {
	case VERSION_ERROR:
		if (t->ctx->server && !hello_is_old(t))
			tls_fail_set(t, CONDITION_TLS_OLD_VERSION,
				     "the client offers no TLS version that "
				     "is allowed here: check which "
				     "versions are enabled on both sides");
		else
			fail_old_version(t);
		return true;
	case MATCH_SUITE_ERROR:
	case UNSUPPORTED_SUITE:
		tls_fail_set(t, CONDITION_TLS_NOTHING_COMMON,
			     "no common cipher suite with the %s: it offers "
			     "none of RFC 9325 (ECDHE with AES-GCM, or TLS "
			     "1.3) that fits our certificate; update it or "
			     "enable them there",
			     peer_role(t));
		return true;
	case UNKNOWN_ALPN_PROTOCOL_NAME_E:
		tls_alpn_explain(t);
		return true;
	case NO_PEER_CERT:
		tls_fail_no_certificate(t);
		return true;
	case BAD_KEY_SHARE_DATA:
	case ECC_CURVE_ERROR:
	case ECC_CURVETYPE_ERROR:
		tls_fail_set(t, CONDITION_TLS_NOTHING_COMMON,
			     "no common key exchange group with the %s: we "
			     "offer X25519, P-256 and P-384; enable one there",
			     peer_role(t));
		return true;
	case DECRYPT_ERROR:
	case VERIFY_MAC_ERROR:
	case AES_GCM_AUTH_E:
	case MAC_CMP_FAILED_E:
		tls_fail_set(t, CONDITION_TLS_INTEGRITY,
			     "a record failed its integrity check: bytes "
			     "were changed on the way, or the peer's TLS "
			     "is faulty");
		return true;
	case MEMORY_E:
		tls_fail_set(t, CONDITION_MEMORY, "out of memory");
		return true;
	}
	return false;
}

/* OpenSSL's clients refuse a TLS 1.3 server by an alert in clear, which the
 * library takes for a broken record. The alert's code, or -1. */
static int alert_in_clear(const struct tls *t)
{
	static const uint8_t alert[] = {0x15, 0x03};
	static const uint8_t fatal[] = {0x00, 0x02, 0x02};

	if (memcmp(t->tail, alert, sizeof(alert)) != 0 ||
	    memcmp(t->tail + 3, fatal, sizeof(fatal)) != 0)
		return -1;
	return t->tail[TLS_ALERT_LEN - 1];
}

void tls_fail_explain(struct tls *t, int wolf_error)
{
	WOLFSSL_ALERT_HISTORY h = {{-1, -1}, {-1, -1}};
	char text[WOLFSSL_MAX_ERROR_SZ];

	if (t->failure != NULL)
		return;
	wolfSSL_get_alert_history(t->wolf, &h);
	if (h.last_rx.level == 2 /* fatal */) {
		alert_received(t, h.last_rx.code);
		return;
	}
	if (wolf_error == PARSE_ERROR && alert_in_clear(t) >= 0) {
		alert_received(t, alert_in_clear(t));
		return;
	}
	if (explain_by_error(t, wolf_error))
		return;
	wolfSSL_ERR_error_string_n((unsigned long)wolf_error, text,
				   sizeof(text));
	tls_fail_set(t, CONDITION_TLS_FAILED, "TLS with the %s failed: %s (%d)",
		     peer_role(t), text, wolf_error);
}

void tls_fail_ended(struct tls *t)
{
	if (t->phase == TLS_FAILED)
		return;
	if (t->phase != TLS_HANDSHAKE)
		tls_fail_set(t, CONDITION_TLS_FAILED,
			     "the %s ended the TCP connection without TLS "
			     "close_notify: it broke off, or the line was cut",
			     peer_role(t));
	else if (t->got == 0)
		tls_fail_set(t, CONDITION_TLS_FAILED,
			     "the %s closed the connection before it sent a "
			     "byte of TLS: %s",
			     peer_role(t),
			     t->ctx->server
				 ? "a port check, or it gave up"
				 : "its port may be a plaintext DICOM port, or "
				   "it does not let this address in");
	else
		tls_fail_set(t, CONDITION_TLS_FAILED,
			     "the %s closed the connection during the TLS "
			     "handshake without saying why: its log should; "
			     "often it does not accept our certificate",
			     peer_role(t));
}
