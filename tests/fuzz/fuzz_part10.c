/* File heads: the data set begins within the bytes given; what was split and
 * is encoded again splits to the same. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proxy/dicom/part10.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			__builtin_trap();                                      \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t out[PART10_META_MAX];
	struct wr w = wr_init(out, sizeof(out));
	struct part10_meta m, back;
	size_t off = 0, again = 0;
	enum err e = part10_split(data, len, &m, &off);

	if (e == ERR_OK || e == ERR_NOTFOUND)
		CHECK(off <= len);
	if (e != ERR_OK)
		return 0;
	e = part10_meta_encode(&m, &w);
	CHECK(e == ERR_OK || e == ERR_INVAL); /* it always has room */
	if (e != ERR_OK)
		return 0;
	CHECK(part10_split(out, w.len, &back, &again) == ERR_OK);
	CHECK(again == w.len);
	if (m.impl_class[0] == '\0')
		memcpy(m.impl_class, UID_OUR_CLASS, sizeof(UID_OUR_CLASS));
	CHECK(strcmp(m.sop_class, back.sop_class) == 0);
	CHECK(strcmp(m.sop_instance, back.sop_instance) == 0);
	CHECK(strcmp(m.transfer_syntax, back.transfer_syntax) == 0);
	CHECK(strcmp(m.impl_class, back.impl_class) == 0);
	CHECK(strcmp(m.impl_version, back.impl_version) == 0);
	CHECK(strcmp(m.source_ae, back.source_ae) == 0);
	CHECK(strcmp(m.sending_ae, back.sending_ae) == 0);
	CHECK(strcmp(m.receiving_ae, back.receiving_ae) == 0);
	return 0;
}
