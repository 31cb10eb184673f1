#include "proxy/cli.h"

#include <string.h>

#include "policy/config.h"
#include "proxy/lib/mem.h"

bool cli_wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-h") == 0 ||
		    strcmp(argv[i], "--help") == 0)
			return true;
	}
	return false;
}

static void drop(int *argc, char **argv, int at, int n)
{
	for (int i = at; i + n <= *argc; i++)
		argv[i] = argv[i + n]; /* argv[argc] is NULL: it moves too */
	*argc -= n;
}

const char *cli_take_config(int *argc, char **argv)
{
	const char *path = CLI_DEFAULT_CONFIG;

	for (int i = 1; i < *argc; i++) {
		if (strncmp(argv[i], "--config=", 9) == 0) {
			path = argv[i] + 9;
			drop(argc, argv, i--, 1);
			continue;
		}
		if (strcmp(argv[i], "-c") != 0 &&
		    strcmp(argv[i], "--config") != 0)
			continue;
		if (i + 1 >= *argc) {
			fprintf(stderr, "culvert: %s needs a file name\n",
				argv[i]);
			return NULL;
		}
		path = argv[i + 1];
		drop(argc, argv, i--, 2);
	}
	return path;
}

void cli_word_first(int argc, char **argv)
{
	int i = 1;

	while (i < argc && (strcmp(argv[i], "-c") == 0 ||
			    strncmp(argv[i], "--config", 8) == 0))
		i += argv[i][1] == 'c' || argv[i][8] == '\0' ? 2 : 1;
	if (i < argc) {
		char *word = argv[i];

		memmove(&argv[2], &argv[1], (size_t)(i - 1) * sizeof(argv[0]));
		argv[1] = word;
	}
}

char *cli_bytes(unsigned long long n, char *out, size_t out_size)
{
	static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB"};
	double v = (double)n;
	size_t u = 0;

	while (v >= 1000 && u < sizeof(units) / sizeof(units[0]) - 1) {
		v /= 1000;
		u++;
	}
	if (u == 0)
		snprintf(out, out_size, "%llu B", n);
	else
		snprintf(out, out_size, "%.1f %s", v, units[u]);
	return out;
}

struct config *cli_config(const char *path)
{
	struct config_errors *errors = mem_zalloc(sizeof(*errors));
	struct config *cfg = NULL;

	if (errors == NULL) {
		fputs("culvert: out of memory\n", stderr);
		return NULL;
	}
	if (config_load(path, &cfg, errors) != ERR_OK) {
		cfg = NULL;
		if (errors->n_errors == 0)
			fprintf(stderr, "%s: out of memory\n", path);
	}
	config_errors_print(errors, stderr);
	mem_free(errors);
	return cfg;
}
