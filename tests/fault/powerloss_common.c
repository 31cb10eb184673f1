/* What the driver and the checks of the power-loss test share. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/lib/mem.h"
#include "tests/fault/powerloss.h"

void powerloss_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fprintf(stderr, "powerloss: ");
	(void)vfprintf(stderr, fmt, ap);
	(void)fprintf(stderr, "\n");
	va_end(ap);
	exit(1);
}

struct spool *powerloss_open(const char *dir)
{
	struct spool_options o = {.path = dir,
				  .segment = POWERLOSS_SEGMENT,
				  .quota = 10ull * POWERLOSS_SEGMENT,
				  .buffers = 8 * 1024 * 1024,
				  .outcome_ms = 3};
	char why[SPOOL_WHY_LEN];
	struct spool *s;

	if (spool_open(&o, &s, why) != ERR_OK)
		powerloss_fail("the spool does not open: %s", why);
	return s;
}

size_t powerloss_size(uint32_t n)
{
	static const size_t sizes[] = {20000,   512,     70000, 0,
				       1048576, 5,       4096,  1300000,
				       150000,  1048577, 8192,  300000};

	return sizes[n * 7 % ARRAY_LEN(sizes)];
}

/* Every 8 bytes say which instance and where. */
static uint64_t word(uint32_t n, uint64_t at)
{
	return ((uint64_t)n << 32 ^ at) * 0x9e3779b97f4a7c15ull;
}

void powerloss_fill(uint32_t n, uint8_t *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		p[i] = (uint8_t)(word(n, i / 8) >> (i % 8 * 8));
}

int powerloss_same(uint32_t n, uint64_t at, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] !=
		    (uint8_t)(word(n, (at + i) / 8) >> ((at + i) % 8 * 8)))
			return 0;
	return 1;
}
