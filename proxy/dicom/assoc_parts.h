/* assoc_parts.h - what assoc*.c share; private to them. */
#ifndef PROXY_DICOM_ASSOC_PARTS_H
#define PROXY_DICOM_ASSOC_PARTS_H

#include "proxy/dicom/assoc.h"

/* PS3.8 tables 9-11 to 9-19, PS3.7 annex D.3.3. */
enum {
	ITEM_APPLICATION_CONTEXT = 0x10,
	ITEM_CONTEXT_RQ = 0x20,
	ITEM_CONTEXT_AC = 0x21,
	ITEM_ABSTRACT = 0x30,
	ITEM_TRANSFER = 0x40,
	ITEM_USER_INFORMATION = 0x50,
	ITEM_MAX_LENGTH = 0x51,
	ITEM_IMPL_CLASS = 0x52,
	ITEM_ASYNC = 0x53,
	ITEM_ROLE = 0x54,
	ITEM_IMPL_VERSION = 0x55,
	ITEM_EXTENDED = 0x56,
	ITEM_COMMON_EXTENDED = 0x57,
	ITEM_USER_IDENTITY_RQ = 0x58,
	ITEM_USER_IDENTITY_AC = 0x59,
};

/* All facts empty or at their defaults; the arrays are not touched. */
void assoc_clear(struct assoc *a);
/* Keep an opaque sub-item. ERR_LIMIT: no room. */
enum err assoc_add_item(struct assoc *a, uint8_t type, uint8_t second,
			const uint8_t *bytes, uint16_t len) MUST_CHECK;

#endif
