/* Any text as the pairs of a log line: valid JSON without duplicate keys. */
#include <assert.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proxy/lib/log_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char pairs[2000], out[12288], small[256];
	json_t *o;

	if (size >= sizeof(pairs))
		size = sizeof(pairs) - 1;
	for (size_t i = 0; i < size; i++)
		pairs[i] =
		    (char)(data[i] < 0x20 || data[i] == 0x7f ? '?' : data[i]);
	pairs[size] = '\0';
	(void)log_json(out, sizeof(out), "T", "warn", "e", pairs);
	o = json_loads(out, JSON_REJECT_DUPLICATES, NULL);
	assert(o != NULL);
	json_decref(o);
	(void)log_json(small, sizeof(small), "T", "warn", "e", pairs);
	o = json_loads(small, 0, NULL);
	assert(o != NULL);
	json_decref(o);
	return 0;
}
