#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/cli.h"
#include "proxy/dicom/part10.h"
#include "proxy/lib/mem.h"
#include "store/tree.h"

enum { READ_SIZE = 1024 * 1024 };

static const char help[] =
    "usage: culvert hash [--data-set] FILE...\n\n"
    "Prints the hash of the data set of DICOM files, as the ledger and every\n"
    "receipt show it: SHA-256 over chunks of 1 MiB, then over their hashes.\n"
    "The preamble and the file meta information do not count, so a file has\n"
    "the same hash before and after it was carried.\n\n"
    "  --data-set   FILE is a bare data set: hash all of its bytes\n\n"
    "An odd number of bytes cannot travel (PS3.8 fragments are even): senders\n"
    "append one zero byte, and the hash then differs.\n\n"
    "examples:\n"
    "  culvert hash image.dcm\n"
    "  culvert hash archive/*/*/*.dcm | sort\n";

static ssize_t read_all(int fd, uint8_t *p, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = read(fd, p + got, n - got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

/* Bytes before the data set; a file without meta information is all data. */
static size_t head_len(const uint8_t *p, size_t n, bool bare)
{
	struct part10_meta meta;
	size_t at = 0;

	if (bare)
		return 0;
	switch ((int)part10_split(p, n, &meta, &at)) {
	case ERR_OK:
	case ERR_NOTFOUND:
		return at;
	}
	return 0;
}

static bool hash_fd(int fd, bool bare, uint8_t *room, uint8_t root[32])
{
	struct tree *t = tree_new();
	ssize_t n = t != NULL ? read_all(fd, room, READ_SIZE) : -1;
	size_t skip = n > 0 ? head_len(room, (size_t)n, bare) : 0;
	bool ok = n >= 0;

	while (ok && n > 0) {
		ok = tree_update(t, room + skip, (size_t)n - skip) == ERR_OK;
		skip = 0;
		n = read_all(fd, room, READ_SIZE);
	}
	ok = ok && n == 0 && tree_root(t, root) == ERR_OK;
	tree_free(t);
	return ok;
}

static bool hash_file(const char *path, bool bare, uint8_t *room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t root[32];

	if (fd < 0 || !hash_fd(fd, bare, room, root)) {
		fprintf(stderr, "culvert hash: %s: %s\n", path,
			strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	close(fd);
	for (size_t i = 0; i < sizeof(root); i++)
		printf("%02x", root[i]);
	printf("  %s\n", path);
	return true;
}

int cli_hash(int argc, char **argv)
{
	uint8_t *room;
	bool bare = false, all = true;
	int first = 1;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	if (argc > 1 && strcmp(argv[1], "--data-set") == 0) {
		bare = true;
		first = 2;
	}
	room = mem_zalloc(READ_SIZE);
	if (argc <= first || argv[first][0] == '-' || room == NULL) {
		fputs(help, stderr);
		mem_free(room);
		return CLI_USAGE;
	}
	for (int i = first; i < argc; i++)
		all = hash_file(argv[i], bare, room) && all;
	mem_free(room);
	return all ? CLI_OK : CLI_FAILED;
}
