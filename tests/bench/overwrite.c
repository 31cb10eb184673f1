/* overwrite - what the bare disk does: write SIZE bytes, fdatasync, again.
 *
 * By default over a file that was written and flushed before, as a recycled
 * spool segment is; with --append at the end of a growing one. Prints JSON. */
#include "tests/bench/args.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
	const char *directory;
	uint64_t size, count, file;
	double seconds;
	bool append;
} opt = {
    .size = 512 * 1024,
    .count = UINT64_MAX,
    .file = 256 << 20,
    .seconds = 3,
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void write_at(int fd, const uint8_t *b, size_t n, uint64_t at)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, b, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			die("overwrite: write");
		b += done;
		n -= (size_t)done;
		at += (uint64_t)done;
	}
}

static int open_file(void)
{
	char name[4096];
	int fd;

	snprintf(name, sizeof(name), "%s/overwrite.tmp", opt.directory);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die(name);
	unlink(name); /* ends with us, however we end */
	return fd;
}

static void prewrite(int fd, const uint8_t *b)
{
	for (uint64_t at = 0; at < opt.file; at += opt.size)
		write_at(fd, b, opt.size, at);
	if (fsync(fd) != 0)
		die("overwrite: fsync");
}

static int by_value(const void *a, const void *b)
{
	float x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static void report(float *us, size_t n, double seconds)
{
	qsort(us, n, sizeof(*us), by_value);
	printf("{\"size\": %llu, \"append\": %s, \"writes\": %zu, "
	       "\"seconds\": %.6f, \"per_second\": %.2f, "
	       "\"mb_per_second\": %.2f, \"latency_us\": {\"p50\": %.0f, "
	       "\"p99\": %.0f, \"max\": %.0f}}\n",
	       (unsigned long long)opt.size, opt.append ? "true" : "false", n,
	       seconds, (double)n / seconds,
	       (double)n * (double)opt.size / 1e6 / seconds, (double)us[n / 2],
	       (double)us[n - n / 100 - 1], (double)us[n - 1]);
}

static void run(int fd, uint8_t *b)
{
	uint64_t room = opt.file / opt.size, n = 0;
	size_t cap = 0;
	float *us = NULL;
	double begun = now(), t = begun;

	while (n < opt.count && t - begun < opt.seconds) {
		double before = t;
		uint64_t slot = opt.append ? n : n % room;

		memcpy(b, &n, sizeof(n));
		write_at(fd, b, opt.size, slot * opt.size);
		if (fdatasync(fd) != 0)
			die("overwrite: fdatasync");
		t = now();
		if (n == cap) {
			cap = cap ? 2 * cap : 4096;
			us = realloc(us, cap * sizeof(*us));
			if (!us)
				abort();
		}
		us[n++] = (float)((t - before) * 1e6);
	}
	if (n > 0)
		report(us, n, t - begun);
	free(us);
}

static const char intro[] =
    "usage: overwrite --directory DIR [options]\n"
    "Write and fdatasync in a loop, print one JSON object.\n";

static const struct arg table[] = {
    {"directory", ARG_TEXT, &opt.directory, "on the disk to be measured"},
    {"size", ARG_NUMBER, &opt.size, "bytes of a write, default 512K"},
    {"seconds", ARG_SECONDS, &opt.seconds, "default 3"},
    {"count", ARG_NUMBER, &opt.count, "end earlier, after so many"},
    {"file", ARG_NUMBER, &opt.file, "bytes written before, default 256M"},
    {"append", ARG_FLAG, &opt.append, "to a growing file instead"},
    {NULL, ARG_FLAG, NULL, NULL},
};

int main(int argc, char **argv)
{
	uint8_t *b;
	int fd;

	args_parse(argc, argv, intro, table);
	if (!opt.directory || opt.size < 8 || opt.file < opt.size)
		args_refuse("--directory is missing, or a size makes no sense");
	b = malloc(opt.size);
	if (!b)
		abort();
	for (size_t i = 0; i < opt.size; i++)
		b[i] = (uint8_t)(i * 131 + i / 251);
	fd = open_file();
	if (!opt.append)
		prewrite(fd, b);
	run(fd, b);
	free(b);
	close(fd);
	return 0;
}
