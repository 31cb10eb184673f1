/* powerloss - what a power cut may leave behind.
 *
 *   powerloss drive DIR COUNT          under shim_powerloss.so
 *   powerloss drive-ledger DIR COUNT   with the real ledger in it
 *   powerloss replay LOG IMAGES SEED   every image is looked at; status 0 only
 *                                      if nothing acknowledged is missing.
 *                                      The image that failed is left behind
 *   powerloss replay-ledger ...        and nothing is missing in the ledger
 *   powerloss drive-partial, replay-partial   the same with partial transfers
 *
 * POWERLOSS_IMAGES is the directory for images; /tmp without it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "tests/fault/powerloss.h"
#include "tests/fault/powerloss_partial.h"

enum mode { PLAIN, LEDGER, PARTIAL };

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

static void check(const char *dir, struct powerloss_acked acked, enum mode mode)
{
	if (mode == PARTIAL) {
		powerloss_partial_check(dir, acked);
		return;
	}
	powerloss_check(dir, acked);
	if (mode == LEDGER)
		powerloss_ledger_check(dir, acked);
}

static void replay(const char *log, unsigned n, unsigned seed, enum mode mode)
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
		check(dir, acked, mode);
		mem_free(acked.at);
		remove_all(dir);
	}
	(void)printf("%u crash images from %zu recorded calls: %llu "
		     "acknowledged instances or chunks looked for, all there\n",
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
	(void)fprintf(stderr, "powerloss drive|drive-ledger|drive-partial DIR "
			      "COUNT\n"
			      "powerloss replay|replay-ledger|replay-partial "
			      "LOG IMAGES SEED\n");
	return 2;
}

/* "", "-ledger" or "-partial" after a word. */
static bool is(const char *arg, const char *word, enum mode *mode)
{
	static const char *const ends[] = {
	    [PLAIN] = "", [LEDGER] = "-ledger", [PARTIAL] = "-partial"};
	size_t n = strlen(word);

	if (strncmp(arg, word, n) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		*mode = (enum mode)i;
		if (strcmp(arg + n, ends[i]) == 0)
			return true;
	}
	return false;
}

static void drive(const char *dir, unsigned count, enum mode mode)
{
	if (mode == PARTIAL)
		powerloss_partial_drive(dir, count);
	else
		powerloss_drive(dir, count, mode == LEDGER);
}

int main(int argc, char **argv)
{
	enum mode mode;

	log_set_level(LOG_ERROR + 1);
	if (argc == 4 && is(argv[1], "drive", &mode))
		drive(argv[2], number(argv[3]), mode);
	else if (argc == 5 && is(argv[1], "replay", &mode))
		replay(argv[2], number(argv[3]), number(argv[4]), mode);
	else
		return usage();
	return 0;
}
