/* audit_xml.h - writing the XML of audit messages. Internal to
 * audit_message*.c. */
#ifndef PROXY_AUDIT_XML_H
#define PROXY_AUDIT_XML_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/wr.h"

/* Markup as it stands. */
void xml_raw(struct wr *w, const char *markup);
/* The first max bytes of text, escaped for content and for attributes in
 * double quotes. Line ends and tabs become spaces; what is no UTF-8, or no
 * character of XML 1.0, becomes U+FFFD; no character is cut. */
void xml_text(struct wr *w, const char *text, size_t max);
/* ' name="text"', up to AUDIT_MESSAGE_TEXT_MAX bytes of text. */
void xml_attribute(struct wr *w, const char *name, const char *text);
/* The same where text is neither NULL nor "". */
void xml_optional(struct wr *w, const char *name, const char *text);
void xml_base64(struct wr *w, const void *p, size_t n);
/* '<name csd-code="..." codeSystemName="..." originalText="..."/>'. */
void xml_code(struct wr *w, const char *name, const char *code,
	      const char *system, const char *meaning);

#endif
