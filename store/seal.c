#include "store/seal.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include <wolfssl/options.h>

#include <wolfssl/version.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/sha256.h>
#include <wolfssl/wolfcrypt/wc_port.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/seal_int.h"

/* The library takes lengths of 32 bits; nothing here comes near. */
enum { PIECE_MAX = 1 << 30 };

struct seal {
	Aes aes;
};

struct seal_hash {
	wc_Sha256 sha;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int library_status;

static void init_library(void)
{
	library_status = wolfCrypt_Init();
}

enum err seal_library_init(void)
{
	pthread_once(&once, init_library);
	return library_status == 0 ? ERR_OK : ERR_IO;
}

const char *seal_library(void)
{
	return "wolfSSL " LIBWOLFSSL_VERSION_STRING;
}

/* Log what the library said, once, here. */
static enum err library_error(const char *what, int status)
{
	log_event(LOG_ERROR, "seal-failed", "call=%s status=%d", what, status);
	return status == MEMORY_E ? ERR_NOMEM : ERR_IO;
}

enum err seal_random(void *p, size_t n)
{
	uint8_t *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return ERR_IO;
		at += got;
		n -= (size_t)got;
	}
	return ERR_OK;
}

enum err seal_rekey(struct seal *s, const struct seal_key *key,
		    const void *salt, size_t salt_len, const char *info)
{
	uint8_t derived[SEAL_KEY_LEN];
	int status;

	assert(salt_len < PIECE_MAX);
	status = wc_HKDF(WC_SHA256, key->key, sizeof(key->key), salt,
			 (word32)salt_len, (const byte *)info,
			 (word32)strlen(info), derived, sizeof(derived));
	if (status == 0)
		status = wc_AesGcmSetKey(&s->aes, derived, sizeof(derived));
	mem_wipe(derived, sizeof(derived));
	return status == 0 ? ERR_OK : library_error("derive", status);
}

enum err seal_new(const struct seal_key *key, const void *salt, size_t salt_len,
		  const char *info, struct seal **out)
{
	struct seal *s;
	enum err e = seal_library_init();

	if (e != ERR_OK)
		return e;
	s = mem_zalloc(sizeof(*s));
	if (s == NULL)
		return ERR_NOMEM;
	if (wc_AesInit(&s->aes, NULL, INVALID_DEVID) != 0) {
		mem_free(s);
		return ERR_NOMEM;
	}
	e = seal_rekey(s, key, salt, salt_len, info);
	if (e != ERR_OK) {
		seal_free(s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

void seal_free(struct seal *s)
{
	if (s == NULL)
		return;
	wc_AesFree(&s->aes);
	mem_wipe(s, sizeof(*s));
	mem_free(s);
}

void seal_nonce(uint64_t n, uint8_t out[SEAL_NONCE_LEN])
{
	memset(out, 0, 4);
	for (int i = 0; i < 8; i++)
		out[4 + i] = (uint8_t)(n >> (56 - 8 * i));
}

enum err seal_lock(struct seal *s, const uint8_t nonce[SEAL_NONCE_LEN],
		   const struct seal_text *t, uint8_t *out,
		   uint8_t tag[SEAL_TAG_LEN])
{
	int status;

	assert(t->len < PIECE_MAX && t->aad_len < PIECE_MAX);
	status = wc_AesGcmEncrypt(&s->aes, out, t->in, (word32)t->len, nonce,
				  SEAL_NONCE_LEN, tag, SEAL_TAG_LEN, t->aad,
				  (word32)t->aad_len);
	return status == 0 ? ERR_OK : library_error("seal", status);
}

enum err seal_unlock(struct seal *s, const uint8_t nonce[SEAL_NONCE_LEN],
		     const struct seal_text *t, uint8_t *out,
		     const uint8_t tag[SEAL_TAG_LEN])
{
	int status;

	if (t->len >= PIECE_MAX || t->aad_len >= PIECE_MAX)
		return ERR_CORRUPT;
	status = wc_AesGcmDecrypt(&s->aes, out, t->in, (word32)t->len, nonce,
				  SEAL_NONCE_LEN, tag, SEAL_TAG_LEN, t->aad,
				  (word32)t->aad_len);
	if (status == 0)
		return ERR_OK;
	if (t->len > 0)
		mem_wipe(out, t->len);
	return status == AES_GCM_AUTH_E ? ERR_CORRUPT
					: library_error("open", status);
}

enum err seal_start(struct seal *s, const uint8_t nonce[SEAL_NONCE_LEN],
		    const void *aad, size_t aad_len)
{
	int status;

	assert(aad_len < PIECE_MAX);
	status = wc_AesGcmEncryptInit(&s->aes, NULL, 0, nonce, SEAL_NONCE_LEN);
	if (status == 0)
		status = wc_AesGcmEncryptUpdate(&s->aes, NULL, NULL, 0, aad,
						(word32)aad_len);
	return status == 0 ? ERR_OK : library_error("start", status);
}

enum err seal_update(struct seal *s, const uint8_t *in, size_t len,
		     uint8_t *out)
{
	int status;

	assert(len < PIECE_MAX);
	if (len == 0)
		return ERR_OK;
	status = wc_AesGcmEncryptUpdate(&s->aes, out, in, (word32)len, NULL, 0);
	return status == 0 ? ERR_OK : library_error("update", status);
}

enum err seal_end(struct seal *s, uint8_t tag[SEAL_TAG_LEN])
{
	int status = wc_AesGcmEncryptFinal(&s->aes, tag, SEAL_TAG_LEN);

	return status == 0 ? ERR_OK : library_error("end", status);
}

enum err seal_blob_lock(struct seal *s, const struct seal_text *t, uint8_t *out)
{
	enum err e = seal_random(out, SEAL_NONCE_LEN);

	if (e != ERR_OK)
		return e;
	return seal_lock(s, out, t, out + SEAL_NONCE_LEN,
			 out + SEAL_NONCE_LEN + t->len);
}

enum err seal_blob_unlock(struct seal *s, const struct seal_text *t,
			  uint8_t *out)
{
	struct seal_text inner = *t;

	if (t->len < SEAL_BLOB_EXTRA)
		return ERR_CORRUPT;
	inner.in = t->in + SEAL_NONCE_LEN;
	inner.len = t->len - SEAL_BLOB_EXTRA;
	return seal_unlock(s, t->in, &inner, out,
			   t->in + t->len - SEAL_TAG_LEN);
}

struct seal_hash *seal_hash_new(void)
{
	struct seal_hash *h;

	if (seal_library_init() != ERR_OK)
		return NULL;
	h = mem_zalloc(sizeof(*h));
	if (h != NULL && wc_InitSha256(&h->sha) != 0) {
		mem_free(h);
		return NULL;
	}
	return h;
}

void seal_hash_free(struct seal_hash *h)
{
	if (h == NULL)
		return;
	wc_Sha256Free(&h->sha);
	mem_wipe(h, sizeof(*h));
	mem_free(h);
}

/* The software hash fails on NULL arguments only. */
void seal_hash_update(struct seal_hash *h, const void *p, size_t n)
{
	const uint8_t *at = p;

	while (n > 0) {
		size_t now = n < PIECE_MAX ? n : PIECE_MAX;
		int status = wc_Sha256Update(&h->sha, at, (word32)now);

		assert(status == 0);
		(void)status;
		at += now;
		n -= now;
	}
}

void seal_hash_end(struct seal_hash *h, uint8_t out[SEAL_HASH_LEN])
{
	int status = wc_Sha256Final(&h->sha, out);

	assert(status == 0);
	(void)status;
}
