/* Command sets: what was decoded and is encoded again decodes to the same;
 * any request can be responded to. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proxy/dicom/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			__builtin_trap();                                      \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t out[COMMAND_MAX];
	struct wr w = wr_init(out, sizeof(out));
	struct command c, back, rsp;

	if (command_decode(data, len, &c) != ERR_OK)
		return 0;
	CHECK(c.n_offending <= COMMAND_MAX_OFFENDING);
	CHECK(c.n_attributes <= COMMAND_MAX_ATTRIBUTES);
	CHECK(command_encode(&c, &w) == ERR_OK);
	CHECK(w.len % 2 == 0);
	CHECK(command_decode(out, w.len, &back) == ERR_OK);
	CHECK(memcmp(&c, &back, sizeof(c)) == 0);
	CHECK(command_has_data_set(&c) == command_has_data_set(&back));
	command_response(&rsp, &c, STATUS_SUCCESS, NULL);
	w = wr_init(out, COMMAND_STORE_MAX);
	CHECK(command_encode(&rsp, &w) == ERR_OK);
	return 0;
}
