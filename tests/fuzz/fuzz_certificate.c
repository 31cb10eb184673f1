/* fuzz_certificate.c - what is taken out of a peer's certificate. */
#include "proxy/net/tls_int.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void terminated(const char *text, size_t cap)
{
	if (strnlen(text, cap) == cap)
		abort();
}

/* No byte of a peer may reach a log or a page as it is. */
static void printable(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_certificate c;
	char text[400], date[32];

	if (tls_global_init() != ERR_OK)
		return 0;
	if (tls_cert_parse(data, size, &c) == ERR_OK) {
		terminated(c.subject, sizeof(c.subject));
		terminated(c.issuer, sizeof(c.issuer));
		terminated(c.sans, sizeof(c.sans));
		terminated(c.serial, sizeof(c.serial));
		printable(c.subject);
		printable(c.issuer);
		printable(c.sans);
		tls_cert_describe(&c, text, sizeof(text));
		tls_date(c.not_after, date);
		(void)tls_cert_weak_signature(&c);
	}
	(void)tls_cert_matches(data, size, "localhost");
	(void)tls_cert_matches(data, size, "10.0.0.1");
	return 0;
}
