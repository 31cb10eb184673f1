#include "store/seal_sign.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/random.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/seal_int.h"
#include "store/seal_sign_int.h"

enum { KEY_BYTES = 32, DER_MAX = 512, SPKI_MAX = 128, RAW_SIG_MAX = 160 };

struct seal_signer {
	pthread_mutex_t lock; /* key and rng */
	ecc_key key;
	WC_RNG rng;
	bool is_new;
	uint8_t id[SEAL_KEY_ID_LEN];
	char pem[SEAL_PEM_LEN];
};

struct seal_verifier {
	uint8_t spki[SPKI_MAX];
	size_t spki_len;
	uint8_t id[SEAL_KEY_ID_LEN];
};

enum err sign_fail(char why[SEAL_WHY_LEN], enum err e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, SEAL_WHY_LEN, fmt, ap);
	va_end(ap);
	return e;
}

static enum err library_error(const char *what, int status)
{
	log_event(LOG_ERROR, "sign-failed", "call=%s status=%d", what, status);
	return status == MEMORY_E ? ERR_NOMEM : ERR_IO;
}

static void id_of(const uint8_t *spki, size_t len, uint8_t id[SEAL_KEY_ID_LEN])
{
	uint8_t digest[SEAL_HASH_LEN];

	seal_digest(spki, len, digest);
	memcpy(id, digest, SEAL_KEY_ID_LEN);
}

/* ---- the private key --------------------------------------------------- */

static int make_key(ecc_key *key)
{
	WC_RNG rng;
	int status = wc_InitRng(&rng);

	if (status != 0)
		return status;
	status = wc_ecc_make_key_ex(&rng, KEY_BYTES, key, ECC_SECP256R1);
	(void)wc_FreeRng(&rng);
	return status;
}

enum err sign_make_pem(char out[SIGN_FILE_MAX], size_t *len)
{
	uint8_t der[DER_MAX];
	word32 n = sizeof(der);
	ecc_key key;
	int status;

	if (seal_library_init() != ERR_OK || wc_ecc_init(&key) != 0)
		return ERR_IO;
	status = make_key(&key);
	if (status == 0)
		status = wc_EccKeyToPKCS8(&key, der, &n);
	if (status > 0)
		status = wc_DerToPem(der, (word32)status, (byte *)out,
				     SIGN_FILE_MAX, PKCS8_PRIVATEKEY_TYPE);
	mem_wipe(der, sizeof(der));
	(void)wc_ecc_free(&key);
	if (status <= 0)
		return library_error("make-key", status);
	*len = (size_t)status;
	return ERR_OK;
}

static int decode_private(const char *pem, size_t len, ecc_key *key)
{
	uint8_t der[DER_MAX];
	word32 at = 0;
	int n =
	    wc_KeyPemToDer((const byte *)pem, (int)len, der, sizeof(der), NULL);
	int status = n;

	if (n > 0)
		status = wc_EccPrivateKeyDecode(der, &at, key, (word32)n);
	mem_wipe(der, sizeof(der));
	if (status != 0)
		return status > 0 ? BAD_FUNC_ARG : status;
	if (wc_ecc_get_curve_id(key->idx) != ECC_SECP256R1)
		return ECC_CURVE_OID_E;
	if (key->type == ECC_PRIVATEKEY_ONLY)
		status = wc_ecc_make_pub(key, NULL);
	return status == 0 ? wc_ecc_check_key(key) : status;
}

static int describe(struct seal_signer *s)
{
	uint8_t spki[SPKI_MAX];
	int n = wc_EccPublicKeyToDer(&s->key, spki, sizeof(spki), 1);
	int text;

	if (n <= 0)
		return n;
	id_of(spki, (size_t)n, s->id);
	text = wc_DerToPem(spki, (word32)n, (byte *)s->pem, SEAL_PEM_LEN - 1,
			   ECC_PUBLICKEY_TYPE);
	if (text <= 0)
		return text;
	s->pem[text] = '\0';
	return 0;
}

enum err sign_from_pem(const char *pem, size_t len, bool is_new,
		       struct seal_signer **out)
{
	struct seal_signer *s = mem_zalloc(sizeof(*s));
	int status;

	if (s == NULL)
		return ERR_NOMEM;
	(void)pthread_mutex_init(&s->lock, NULL);
	s->is_new = is_new;
	if (seal_library_init() != ERR_OK || wc_ecc_init(&s->key) != 0)
		goto err_after_alloc;
	if (wc_InitRng(&s->rng) != 0)
		goto err_after_key;
	status = decode_private(pem, len, &s->key);
	if (status == 0)
		status = wc_ecc_set_rng(&s->key, &s->rng);
	if (status == 0)
		status = describe(s);
	if (status == 0) {
		*out = s;
		return ERR_OK;
	}
	(void)wc_FreeRng(&s->rng);
err_after_key:
	(void)wc_ecc_free(&s->key);
err_after_alloc:
	(void)pthread_mutex_destroy(&s->lock);
	mem_wipe(s, sizeof(*s));
	mem_free(s);
	return ERR_NOKEY;
}

void seal_signer_close(struct seal_signer *s)
{
	if (s == NULL)
		return;
	(void)wc_ecc_free(&s->key);
	(void)wc_FreeRng(&s->rng);
	(void)pthread_mutex_destroy(&s->lock);
	mem_wipe(s, sizeof(*s));
	mem_free(s);
}

bool seal_signer_is_new(const struct seal_signer *s)
{
	return s->is_new;
}

enum err seal_signer_pem(const struct seal_signer *s, char out[SEAL_PEM_LEN])
{
	memcpy(out, s->pem, SEAL_PEM_LEN);
	return ERR_OK;
}

const uint8_t *seal_signer_id(const struct seal_signer *s)
{
	return s->id;
}

enum err seal_sign(struct seal_signer *s, const void *p, size_t n,
		   uint8_t sig[SEAL_SIGNATURE_MAX], size_t *len)
{
	uint8_t digest[SEAL_HASH_LEN], raw[RAW_SIG_MAX];
	word32 size = sizeof(raw);
	int status;

	seal_digest(p, n, digest);
	pthread_mutex_lock(&s->lock);
	status = wc_ecc_sign_hash(digest, sizeof(digest), raw, &size, &s->rng,
				  &s->key);
	pthread_mutex_unlock(&s->lock);
	if (status != 0 || size > SEAL_SIGNATURE_MAX)
		return library_error("sign", status);
	memcpy(sig, raw, size);
	*len = size;
	return ERR_OK;
}

/* ---- the public key ---------------------------------------------------- */

static int decode_public(const uint8_t *spki, size_t len, ecc_key *key)
{
	word32 at = 0;
	int status = wc_EccPublicKeyDecode(spki, &at, key, (word32)len);

	if (status == 0 && wc_ecc_get_curve_id(key->idx) != ECC_SECP256R1)
		status = ECC_CURVE_OID_E;
	return status == 0 ? wc_ecc_check_key(key) : status;
}

enum err seal_verifier_new(const char *pem, struct seal_verifier **out,
			   char why[SEAL_WHY_LEN])
{
	struct seal_verifier *v = mem_zalloc(sizeof(*v));
	ecc_key key;
	int n = 0, status = BAD_FUNC_ARG;

	if (v == NULL)
		return sign_fail(why, ERR_NOMEM, "out of memory");
	if (seal_library_init() == ERR_OK && wc_ecc_init(&key) == 0) {
		n = wc_PubKeyPemToDer((const byte *)pem, (int)strlen(pem),
				      v->spki, sizeof(v->spki));
		if (n > 0)
			status = decode_public(v->spki, (size_t)n, &key);
		(void)wc_ecc_free(&key);
	}
	if (n <= 0 || status != 0) {
		mem_free(v);
		return sign_fail(why, ERR_INVAL,
				 "not the public key of a P-256 pair in PEM; "
				 "culvert audit key prints the one that is "
				 "wanted");
	}
	v->spki_len = (size_t)n;
	id_of(v->spki, v->spki_len, v->id);
	*out = v;
	return ERR_OK;
}

void seal_verifier_free(struct seal_verifier *v)
{
	mem_free(v);
}

const uint8_t *seal_verifier_id(const struct seal_verifier *v)
{
	return v->id;
}

enum err seal_verify(const struct seal_verifier *v, const void *p, size_t n,
		     const uint8_t *sig, size_t len)
{
	uint8_t digest[SEAL_HASH_LEN];
	word32 at = 0;
	int good = 0, status;
	ecc_key key;

	if (len == 0 || len > SEAL_SIGNATURE_MAX)
		return ERR_CORRUPT;
	if (wc_ecc_init(&key) != 0)
		return ERR_NOMEM;
	seal_digest(p, n, digest);
	status = wc_EccPublicKeyDecode(v->spki, &at, &key, (word32)v->spki_len);
	if (status == 0)
		status = wc_ecc_verify_hash(sig, (word32)len, digest,
					    sizeof(digest), &good, &key);
	(void)wc_ecc_free(&key);
	if (status == MEMORY_E)
		return ERR_NOMEM;
	return status == 0 && good == 1 ? ERR_OK : ERR_CORRUPT;
}
