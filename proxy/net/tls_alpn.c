/* tls_alpn.c - the application protocol that both ends must name (RFC 7301).
 *
 * The library refuses a client whose list has another one, with an alert. A
 * peer that names none passes its handshake; it is refused when that is done,
 * before any data. */
#include "proxy/net/tls_int.h"

#include <stdio.h>
#include <string.h>
#include <wolfssl/error-ssl.h>

enum err tls_alpn_set(struct tls_context *c, const struct tls_options *o,
		      char why[TLS_WHY_LEN])
{
	size_t n = o->alpn != NULL ? strlen(o->alpn) : 0;

	if (n > TLS_ALPN_MAX || (n > 0 && strchr(o->alpn, ',') != NULL)) {
		snprintf(why, TLS_WHY_LEN,
			 "%.40s is no application protocol: 1 to %d bytes, no "
			 "comma",
			 o->alpn, TLS_ALPN_MAX);
		return ERR_INVAL;
	}
	if (n > 0)
		memcpy(c->alpn, o->alpn, n + 1);
	return ERR_OK;
}

enum err tls_alpn_use(struct tls *t)
{
	char *name = t->ctx->alpn;

	if (name[0] == '\0')
		return ERR_OK;
	return wolfSSL_UseALPN(t->wolf, name, (unsigned)strlen(name),
			       WOLFSSL_ALPN_FAILED_ON_MISMATCH) ==
		       WOLFSSL_SUCCESS
		   ? ERR_OK
		   : ERR_NOMEM;
}

void tls_alpn_explain(struct tls *t)
{
	char *list = NULL, text[80];
	word16 n = 0;
	size_t i = 0;

	if (wolfSSL_ALPN_GetPeerProtocol(t->wolf, &list, &n) == WOLFSSL_SUCCESS)
		for (; i < n && i + 1 < sizeof(text); i++)
			text[i] =
			    list[i] > 0x20 && list[i] < 0x7f ? list[i] : '?';
	text[i] = '\0';
	if (list != NULL)
		wolfSSL_ALPN_FreePeerProtocol(t->wolf, &list);
	tls_fail_set(t, CONDITION_TLS_PROTOCOL_NAME,
		     "the client speaks another protocol (\"%s\") than this "
		     "listener (\"%s\"): point it to the listener that is "
		     "meant for it, or let a Culvert of a version that speaks "
		     "this one connect here",
		     text, t->ctx->alpn);
}

void tls_alpn_alert(struct tls *t)
{
	tls_fail_set(t, CONDITION_TLS_PROTOCOL_NAME,
		     "the server does not speak \"%s\" (alert "
		     "no_application_protocol): something else answers at "
		     "this port, or a Culvert of another version; check "
		     "host and port of the destination",
		     t->ctx->alpn);
}

static void none_named(struct tls *t)
{
	if (t->ctx->server)
		tls_fail_set(t, CONDITION_TLS_PROTOCOL_NAME,
			     "the client named no application protocol, and "
			     "this listener takes only \"%s\": it is no "
			     "Culvert; DICOM over TLS belongs to a listener "
			     "with protocol: dicom-tls",
			     t->ctx->alpn);
	else
		tls_fail_set(t, CONDITION_TLS_PROTOCOL_NAME,
			     "the server speaks TLS, but not \"%s\": it is "
			     "another service, perhaps DICOM over TLS; check "
			     "host and port, and that the listener there has "
			     "protocol: link",
			     t->ctx->alpn);
}

bool tls_alpn_agreed(struct tls *t)
{
	const char *want = t->ctx->alpn;
	char *name = NULL;
	word16 n = 0;

	if (want[0] == '\0')
		return true;
	if (wolfSSL_ALPN_GetProtocol(t->wolf, &name, &n) == WOLFSSL_SUCCESS &&
	    n == strlen(want) && memcmp(name, want, n) == 0)
		return true;
	none_named(t);
	return false;
}
