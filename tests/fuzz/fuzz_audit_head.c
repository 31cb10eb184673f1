/* fuzz_audit_head.c - heads of the audit, from files and from links. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/audit_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What is taken is written as it was read: two texts are never one head. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char text[AUDIT_HEAD_FILE_LEN];
	struct audit_head h;

	if (audit_head_parse((const char *)data, len, &h) != ERR_OK)
		return 0;
	if (audit_head_file(&h, text) != len || memcmp(text, data, len) != 0)
		abort();
	return 0;
}
