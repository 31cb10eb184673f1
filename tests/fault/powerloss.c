/* powerloss - what a power cut may leave behind.
 *
 *   powerloss drive DIR COUNT          under shim_powerloss.so
 *   powerloss drive-ledger DIR COUNT   with the real ledger in it
 *   powerloss replay LOG IMAGES SEED   every image is looked at; status 0 only
 *                                      if nothing acknowledged is missing.
 *                                      The image that failed is left behind
 *   powerloss replay-ledger ...        and nothing is missing in the ledger
 *
 * POWERLOSS_IMAGES is the directory for images; /tmp without it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/log.h"
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

static void remove_all(const char *dir)
{
	char command[256];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command) != 0)
		powerloss_fail("cannot remove %s", dir);
}

static int by_place(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

static size_t *choose_places(size_t entries, unsigned n, unsigned *seed)
{
	size_t *at = mem_zarray(n, sizeof(*at));

	if (at == NULL)
		powerloss_fail("out of memory");
	for (unsigned i = 0; i < n; i++)
		at[i] = (size_t)rand_r(seed) % entries;
	qsort(at, n, sizeof(*at), by_place);
	return at;
}

static void replay(const char *log, unsigned n, unsigned seed, bool ledger)
{
	const char *base = getenv("POWERLOSS_IMAGES");
	struct image *im = image_open(log);
	size_t *at = choose_places(image_entries(im), n, &seed);
	unsigned long long checked = 0;

	if (base == NULL)
		base = "/tmp";
	for (unsigned i = 0; i < n; i++) {
		struct powerloss_acked acked;
		char dir[128];

		(void)snprintf(dir, sizeof(dir), "%s/powerloss-XXXXXX", base);
		if (mkdtemp(dir) == NULL)
			powerloss_fail("cannot make %s", dir);
		image_advance(im, at[i]);
		image_write(im, dir, &seed);
		acked = image_acked(im);
		checked += acked.n;
		powerloss_check(dir, acked);
		if (ledger)
			powerloss_ledger_check(dir, acked);
		mem_free(acked.at);
		remove_all(dir);
	}
	(void)printf("%u crash images from %zu recorded calls: %llu "
		     "acknowledged instances looked for, all there\n",
		     n, image_entries(im), checked);
	mem_free(at);
	image_close(im);
}

static unsigned number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

static int usage(void)
{
	(void)fprintf(stderr, "powerloss drive|drive-ledger DIR COUNT\n"
			      "powerloss replay|replay-ledger LOG IMAGES "
			      "SEED\n");
	return 2;
}

int main(int argc, char **argv)
{
	log_set_level(LOG_ERROR + 1);
	if (argc == 4 && strcmp(argv[1], "drive") == 0)
		powerloss_drive(argv[2], number(argv[3]), false);
	else if (argc == 4 && strcmp(argv[1], "drive-ledger") == 0)
		powerloss_drive(argv[2], number(argv[3]), true);
	else if (argc == 5 && strcmp(argv[1], "replay") == 0)
		replay(argv[2], number(argv[3]), number(argv[4]), false);
	else if (argc == 5 && strcmp(argv[1], "replay-ledger") == 0)
		replay(argv[2], number(argv[3]), number(argv[4]), true);
	else
		return usage();
	return 0;
}
