#include "store/seal_mac.h"

#include <assert.h>
#include <string.h>

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/seal_int.h"

enum { PIECE_MAX = 1 << 30 };

struct seal_mac {
	uint8_t key[SEAL_KEY_LEN];
};

static enum err library_error(const char *what, int status)
{
	log_event(LOG_ERROR, "seal-failed", "call=%s status=%d", what, status);
	return status == MEMORY_E ? ERR_NOMEM : ERR_IO;
}

enum err seal_mac_new(const struct seal_key *key, const void *salt,
		      size_t salt_len, const char *info, struct seal_mac **out)
{
	struct seal_mac *m;
	enum err e = seal_library_init();
	int status;

	assert(salt_len < PIECE_MAX);
	if (e != ERR_OK)
		return e;
	m = mem_zalloc(sizeof(*m));
	if (m == NULL)
		return ERR_NOMEM;
	status = wc_HKDF(WC_SHA256, key->key, sizeof(key->key), salt,
			 (word32)salt_len, (const byte *)info,
			 (word32)strlen(info), m->key, sizeof(m->key));
	if (status != 0) {
		seal_mac_free(m);
		return library_error("derive", status);
	}
	*out = m;
	return ERR_OK;
}

void seal_mac_free(struct seal_mac *m)
{
	if (m == NULL)
		return;
	mem_wipe(m, sizeof(*m));
	mem_free(m);
}

enum err seal_mac(const struct seal_mac *m, const void *p, size_t n,
		  uint8_t out[SEAL_HASH_LEN])
{
	Hmac h;
	int status;

	assert(n < PIECE_MAX);
	status = wc_HmacInit(&h, NULL, INVALID_DEVID);
	if (status != 0)
		return library_error("hmac", status);
	status = wc_HmacSetKey(&h, WC_SHA256, m->key, sizeof(m->key));
	if (status == 0)
		status = wc_HmacUpdate(&h, p, (word32)n);
	if (status == 0)
		status = wc_HmacFinal(&h, out);
	wc_HmacFree(&h);
	mem_wipe(&h, sizeof(h));
	return status == 0 ? ERR_OK : library_error("hmac", status);
}
