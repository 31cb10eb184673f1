/* replay_main.c - runs a fuzz target over files, without libFuzzer.
 *
 *   fuzz_X FILE-OR-DIRECTORY...
 *
 * Prints "ok PATH" after each input, and "run PATH" before it, so that the
 * last line names the input of a crash. Exit status 0 when all were read. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static uint8_t *read_whole(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	struct stat st;

	if (f == NULL)
		return NULL;
	if (fstat(fileno(f), &st) == 0) {
		*size = (size_t)st.st_size;
		/* Exactly the input's size, so that ASan sees an overrun. */
		data = malloc(*size > 0 ? *size : 1);
		if (data != NULL && fread(data, 1, *size, f) != *size) {
			free(data);
			data = NULL;
		}
	}
	fclose(f);
	return data;
}

static int replay_file(const char *path)
{
	size_t size = 0;
	uint8_t *data = read_whole(path, &size);

	if (data == NULL) {
		printf("unreadable %s\n", path);
		return 1;
	}
	printf("run %s\n", path);
	fflush(stdout);
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
	printf("ok %s\n", path);
	return 0;
}

static int replay_directory(const char *path)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, NULL, alphasort);
	int failed = 0;

	if (n < 0) {
		printf("unreadable %s\n", path);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		char file[4096];
		int len = snprintf(file, sizeof(file), "%s/%s", path,
				   names[i]->d_name);

		if (names[i]->d_name[0] != '.' && len > 0 &&
		    (size_t)len < sizeof(file))
			failed |= replay_file(file);
		free(names[i]);
	}
	free(names);
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (LLVMFuzzerInitialize != NULL)
		(void)LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			failed |= replay_directory(argv[i]);
		else
			failed |= replay_file(argv[i]);
	}
	return failed;
}
