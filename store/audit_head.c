#include "store/audit_head.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proxy/lib/clock.h"

size_t audit_head_text(const struct audit_head *h,
		       char out[AUDIT_HEAD_TEXT_LEN])
{
	char log[2 * AUDIT_LOG_LEN + 1], chain[2 * AUDIT_CHAIN_LEN + 1];
	char when[CLOCK_TEXT_LEN], key[SEAL_KEY_ID_TEXT];
	int n = snprintf(
	    out, AUDIT_HEAD_TEXT_LEN,
	    "culvert audit head 1\nnode: %s\nlog: %s\nnumber: %lld\n"
	    "seq: %lld\nchain: %s\ntime: %s\nkey: %s\n",
	    h->node, seal_hex(h->log, sizeof(h->log), log),
	    (long long)h->number, (long long)h->seq,
	    seal_hex(h->chain, sizeof(h->chain), chain),
	    clock_text(h->wall_ms, when), seal_key_id_text(h->key_id, key));

	return (size_t)n; /* all parts are bounded: it fits */
}

size_t audit_head_file(const struct audit_head *h,
		       char out[AUDIT_HEAD_FILE_LEN])
{
	char text[AUDIT_HEAD_TEXT_LEN], sig[SEAL_SIGNATURE_TEXT] = "";

	(void)audit_head_text(h, text);
	if (h->sig_len > SEAL_SIGNATURE_MAX ||
	    seal_base64(h->sig, h->sig_len, sig, sizeof(sig)) != ERR_OK)
		sig[0] = '\0';
	return (size_t)snprintf(out, AUDIT_HEAD_FILE_LEN, "%ssignature: %s\n",
				text, sig);
}

/* ---- parsing ----------------------------------------------------------- */

struct text {
	const char *p;
	size_t left;
};

struct span {
	const char *p;
	size_t n;
};

/* The value of the next line, which must begin with key. */
static bool line(struct text *t, const char *key, struct span *out)
{
	size_t skip = strlen(key);
	const char *end = memchr(t->p, '\n', t->left);
	size_t n;

	if (end == NULL)
		return false;
	n = (size_t)(end - t->p);
	if (n < skip || memcmp(t->p, key, skip) != 0)
		return false;
	*out = (struct span){t->p + skip, n - skip};
	t->p += n + 1;
	t->left -= n + 1;
	return true;
}

static bool number(struct span s, int64_t *out)
{
	int64_t v = 0;

	if (s.n == 0 || s.n > 18 || (s.p[0] == '0' && s.n > 1))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = v * 10 + (s.p[i] - '0');
	}
	*out = v;
	return true;
}

/* Exactly what clock_text() writes. */
static bool moment(struct span s, int64_t *out)
{
	char text[CLOCK_TEXT_LEN], again[CLOCK_TEXT_LEN];
	struct tm tm = {0};
	int ms = 0;

	if (s.n != CLOCK_TEXT_LEN - 1)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &tm.tm_year,
		   &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec,
		   &ms) != 7)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*out = (int64_t)timegm(&tm) * 1000 + ms;
	return strcmp(clock_text(*out, again), text) == 0;
}

static bool node(struct span s, char out[AUDIT_NODE_LEN])
{
	if (s.n >= AUDIT_NODE_LEN)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20)
			return false;
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}

/* Only as seal_base64() writes it: two texts are never the same head. */
static bool signature(struct span s, struct audit_head *h)
{
	char again[SEAL_SIGNATURE_TEXT];

	return seal_unbase64(s.p, s.n, h->sig, sizeof(h->sig), &h->sig_len) ==
		   ERR_OK &&
	       seal_base64(h->sig, h->sig_len, again, sizeof(again)) ==
		   ERR_OK &&
	       strlen(again) == s.n && memcmp(again, s.p, s.n) == 0;
}

static bool parse(struct text *t, struct audit_head *h)
{
	struct span s;

	return line(t, "culvert audit head 1", &s) && s.n == 0 &&
	       line(t, "node: ", &s) && node(s, h->node) &&
	       line(t, "log: ", &s) &&
	       seal_unhex(s.p, s.n, h->log, sizeof(h->log)) &&
	       line(t, "number: ", &s) && number(s, &h->number) &&
	       line(t, "seq: ", &s) && number(s, &h->seq) &&
	       line(t, "chain: ", &s) &&
	       seal_unhex(s.p, s.n, h->chain, sizeof(h->chain)) &&
	       line(t, "time: ", &s) && moment(s, &h->wall_ms) &&
	       line(t, "key: ", &s) &&
	       seal_unhex(s.p, s.n, h->key_id, sizeof(h->key_id)) &&
	       line(t, "signature: ", &s) && signature(s, h) && t->left == 0;
}

enum err audit_head_parse(const char *text, size_t len, struct audit_head *out)
{
	struct text t = {text, len};
	struct audit_head h = {0};

	if (!parse(&t, &h))
		return ERR_INVAL;
	*out = h;
	return ERR_OK;
}

/* ---- signatures -------------------------------------------------------- */

enum err audit_head_sign(struct seal_signer *s, struct audit_head *h)
{
	char text[AUDIT_HEAD_TEXT_LEN];
	size_t n;

	memcpy(h->key_id, seal_signer_id(s), sizeof(h->key_id));
	n = audit_head_text(h, text);
	return seal_sign(s, text, n, h->sig, &h->sig_len);
}

enum err audit_head_check(const struct seal_verifier *v,
			  const struct audit_head *h)
{
	char text[AUDIT_HEAD_TEXT_LEN];
	size_t n;

	if (memcmp(seal_verifier_id(v), h->key_id, sizeof(h->key_id)) != 0)
		return ERR_CORRUPT;
	n = audit_head_text(h, text);
	return seal_verify(v, text, n, h->sig, h->sig_len);
}
