/* tls_profile.c - what a context allows: versions, suites, groups, pins. */
#include "proxy/net/tls_int.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proxy/lib/mem.h"

/* RFC 9325 and the TLS 1.3 three. AES-256 first: both have hardware, and the
 * archive side mostly asks for it. */
static const struct suite {
	const char *iana, *wolf;
	bool tls13;
} bcp195[] = {
    {"TLS_AES_256_GCM_SHA384", "TLS13-AES256-GCM-SHA384", true},
    {"TLS_AES_128_GCM_SHA256", "TLS13-AES128-GCM-SHA256", true},
    {"TLS_CHACHA20_POLY1305_SHA256", "TLS13-CHACHA20-POLY1305-SHA256", true},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384",
     false},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
     false},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256",
     false},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
     false},
};

enum { LIST_LEN = 512 }; /* all suites of the profile, joined */

static void list_add(char list[LIST_LEN], const char *name)
{
	size_t n = strlen(list);

	snprintf(list + n, LIST_LEN - n, "%s%s", n > 0 ? ":" : "", name);
}

static const struct suite *suite_find(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(bcp195); i++) {
		const struct suite *s = &bcp195[i];

		if ((strlen(s->iana) == n &&
		     strncasecmp(s->iana, name, n) == 0) ||
		    (strlen(s->wolf) == n &&
		     strncasecmp(s->wolf, name, n) == 0))
			return s;
	}
	return NULL;
}

/* kinds: bit 0 TLS 1.2, bit 1 TLS 1.3 suites among them. */
static enum err suites_asked(const char *names, char list[LIST_LEN],
			     unsigned *kinds, char *why)
{
	while (*names != '\0') {
		size_t n = strcspn(names, ":, ");
		const struct suite *s = suite_find(names, n);

		if (n > 0 && s == NULL) {
			snprintf(why, TLS_WHY_LEN,
				 "TLS suite %.*s is not in profile bcp195; it "
				 "has TLS_AES_256_GCM_SHA384, "
				 "TLS_AES_128_GCM_SHA256, "
				 "TLS_CHACHA20_POLY1305_SHA256 and "
				 "TLS_ECDHE_{ECDSA,RSA}_WITH_AES_{128_GCM_"
				 "SHA256,256_GCM_SHA384}",
				 n > 64 ? 64 : (int)n, names);
			return ERR_INVAL;
		}
		if (s != NULL) {
			list_add(list, s->wolf);
			*kinds |= s->tls13 ? 2 : 1;
		}
		names += n + (names[n] != '\0');
	}
	return ERR_OK;
}

/* The versions follow the suites: one without suites must not be offered. */
static enum err set_versions(struct tls_context *c, bool tls12, bool tls13)
{
	if (wolfSSL_CTX_SetMinVersion(c->wolf, tls12 ? WOLFSSL_TLSV1_2
						     : WOLFSSL_TLSV1_3) !=
	    WOLFSSL_SUCCESS)
		return ERR_TLS;
	if (!tls13 && wolfSSL_CTX_set_max_proto_version(
			  c->wolf, TLS1_2_VERSION) != WOLFSSL_SUCCESS)
		return ERR_TLS;
	return ERR_OK;
}

static enum err set_suites(struct tls_context *c, const struct tls_options *o,
			   char *why)
{
	unsigned kinds = o->suites != NULL ? 0 : 3;
	char list[LIST_LEN] = "";
	enum err e = ERR_OK;

	if (o->suites != NULL)
		e = suites_asked(o->suites, list, &kinds, why);
	else
		for (size_t i = 0; i < ARRAY_LEN(bcp195); i++)
			list_add(list, bcp195[i].wolf);
	if (e == ERR_OK)
		e = set_versions(c, (kinds & 1) && !o->tls13_only,
				 (kinds & 2) && !o->tls12_only);
	if (e != ERR_OK)
		return e;
	if (wolfSSL_CTX_set_cipher_list(c->wolf, list) == WOLFSSL_SUCCESS)
		return ERR_OK;
	snprintf(why, TLS_WHY_LEN, "the TLS library refuses the suites %.300s",
		 list);
	return ERR_INVAL;
}

static int group_id(const char *name, size_t n)
{
	static const struct {
		const char *name;
		int id;
	} groups[] = {
	    {"X25519", WOLFSSL_ECC_X25519},
	    {"P-256", WOLFSSL_ECC_SECP256R1},
	    {"secp256r1", WOLFSSL_ECC_SECP256R1},
	    {"P-384", WOLFSSL_ECC_SECP384R1},
	    {"secp384r1", WOLFSSL_ECC_SECP384R1},
	    {"P-521", WOLFSSL_ECC_SECP521R1},
	    {"secp521r1", WOLFSSL_ECC_SECP521R1},
	};

	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (strlen(groups[i].name) == n &&
		    strncasecmp(groups[i].name, name, n) == 0)
			return groups[i].id;
	return 0;
}

static enum err set_groups(struct tls_context *c, const char *names, char *why)
{
	int ids[8], n_ids = 0;

	while (*names != '\0' && n_ids < (int)ARRAY_LEN(ids)) {
		size_t n = strcspn(names, ":, ");
		int id = group_id(names, n);

		if (n > 0 && id == 0) {
			snprintf(why, TLS_WHY_LEN,
				 "unknown TLS group %.*s; known are X25519, "
				 "P-256, P-384 and P-521",
				 n > 64 ? 64 : (int)n, names);
			return ERR_INVAL;
		}
		if (id != 0)
			ids[n_ids++] = id;
		names += n + (names[n] != '\0');
	}
	/* TLS 1.3 key shares, and the extension that TLS 1.2 looks at */
	for (int i = 0; i < n_ids; i++)
		if (wolfSSL_CTX_UseSupportedCurve(c->wolf, (word16)ids[i]) !=
		    WOLFSSL_SUCCESS)
			return ERR_NOMEM;
	if (n_ids > 0 &&
	    wolfSSL_CTX_set_groups(c->wolf, ids, n_ids) == WOLFSSL_SUCCESS)
		return ERR_OK;
	snprintf(why, TLS_WHY_LEN, "the TLS library refuses the groups");
	return ERR_INVAL;
}

static enum err set_fingerprint(struct tls_context *c, const char *text,
				char *why)
{
	size_t n = 0;

	for (; text != NULL && *text != '\0'; text++) {
		if (*text == ':' || *text == ' ')
			continue;
		if (!isxdigit((unsigned char)*text) ||
		    n + 1 >= sizeof(c->fingerprint)) {
			n = 1;
			break;
		}
		c->fingerprint[n++] = (char)tolower((unsigned char)*text);
	}
	if (n == 0 || n + 1 == sizeof(c->fingerprint))
		return ERR_OK;
	snprintf(why, TLS_WHY_LEN,
		 "a certificate fingerprint is the SHA-256 in 64 hexadecimal "
		 "digits, as culvert pki show and openssl x509 -fingerprint "
		 "-sha256 print it");
	return ERR_INVAL;
}

enum err tls_profile_apply(struct tls_context *c, const struct tls_options *o,
			   char why[TLS_WHY_LEN])
{
	const char *groups = o->groups;
	enum err e = set_suites(c, o, why);

	if (groups == NULL)
		groups = "X25519:P-256:P-384";
	if (e == ERR_OK)
		e = set_groups(c, groups, why);
	if (e == ERR_OK)
		e = set_fingerprint(c, o->fingerprint, why);
	return e;
}
