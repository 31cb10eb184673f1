/* Files of the time zone database: whatever is in one, offsets stay within a
 * day or so, and what is announced as the next change lies ahead. */
#include <stddef.h>
#include <stdint.h>

#include "policy/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			__builtin_trap();                                      \
	} while (0)

static void ask(const struct zone *z, int64_t t)
{
	int32_t offset = zone_offset(z, t);

	CHECK(offset > -200 * 3600 && offset < 200 * 3600);
	CHECK(zone_next(z, t) > t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct zone *z;
	int64_t t = -4000000000;

	if (zone_parse(data, len, &z) != ERR_OK)
		return 0;
	for (int i = 0; i < 100; i++) {
		ask(z, t);
		t += 31557600 * 2 + 86400 * 37 + 7777;
	}
	t = 1700000000;
	for (int i = 0; i < 50 && t < INT64_MAX; i++)
		t = zone_next(z, t);
	ask(z, -62135596800);
	ask(z, 253402300799);
	ask(z, INT64_MIN);
	zone_free(z);
	return 0;
}
