#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/dicom/part10.h"
#include "proxy/directory.h"
#include "proxy/lib/mem.h"
#include "tests/unit/delivery_kit.h"

static const char config[] = "destinations:\n"
			     "  a: {protocol: directory, path: files,\n"
			     "      retry: {first: 100ms, max: 200ms}}\n"
			     "routes: [{service: storage, forward: [a]}]\n";

static int setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	kit_open(k);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	kit_close(*state);
	free(*state);
	return 0;
}

/* ---- names ------------------------------------------------------------- */

static void only_uids_become_names(void **state)
{
	static const char long_one[] =
	    "1234567890123456789012345678901234567890"
	    "1234567890123456789012345"; /* 65 */
	static const char *const bad[] = {
	    "",      ".",     "..",   "...",          "../../etc/passwd",
	    "1.2/3", "1.2\n", "1.2 ", "a.1",          "1.x",
	    "1\\3",  "-1",    "1,2",  "\xef\xbc\x91", long_one};
	struct transfer_id id;
	char out[DIRECTORY_NAME_LEN];

	(void)state;
	memset(id.b, 0xFF, sizeof(id.b));
	assert_string_equal(directory_name("1.2.840.1", &id, out), "1.2.840.1");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_string_equal(
		    directory_name(bad[i], &id, out),
		    "0.340282366920938463463374607431768211455");
	memset(id.b, 0, sizeof(id.b));
	assert_string_equal(directory_name("x", &id, out), "0.0");
	id.b[14] = 1;
	assert_string_equal(directory_name("x", &id, out), "0.256");
}

/* ---- files ------------------------------------------------------------- */

static char found[256][256];
static size_t n_found;

static int note(const char *path, const struct stat *st, int type,
		struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_F && n_found < 256)
		(void)snprintf(found[n_found++], 256, "%s", path);
	return 0;
}

static size_t count_files(const struct kit *k)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/files", k->dir);
	n_found = 0;
	(void)nftw(path, note, 16, FTW_PHYS);
	return n_found;
}

static void assert_file(const char *path, unsigned n, size_t length)
{
	uint8_t *bytes = malloc(length + 4096);
	struct part10_meta meta;
	size_t offset = 0, size;
	FILE *f = fopen(path, "rb");

	assert_non_null(f);
	size = fread(bytes, 1, length + 4096, f);
	(void)fclose(f);
	assert_int_equal(part10_split(bytes, size, &meta, &offset), ERR_OK);
	assert_string_equal(meta.sop_class, "1.2.840.10008.5.1.4.1.1.7");
	assert_string_equal(meta.transfer_syntax, "1.2.840.10008.1.2.1");
	assert_string_equal(meta.source_ae, "DEV");
	assert_int_equal(size - offset, length);
	for (size_t i = 0; i < length; i++)
		assert_int_equal(bytes[offset + i], kit_byte(n, i));
	free(bytes);
}

static void instances_become_files_with_their_bytes(void **state)
{
	static const size_t lengths[] = {1, 1000, 1048576, 3000001};
	struct kit *k = *state;

	kit_config(k, config);
	kit_schedule(k);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		kit_put(k, &(struct kit_instance){.length = lengths[i]}, NULL);
		KIT_UNTIL(k, kit_count(k, "a", DELIVERY_DELIVERED) == i + 1);
	}
	assert_int_equal(count_files(k), ARRAY_LEN(lengths));
	for (size_t i = 0; i < n_found; i++) {
		const char *leaf = strrchr(found[i], '/') + 1;
		unsigned n;

		assert_int_equal(sscanf(leaf, "1.2.3.%u.dcm", &n), 1);
		assert_file(found[i], n, lengths[n]);
	}
}

/* Study and series, explicit VR little endian. */
static const char head[] = "\x20\0\x0d\0UI\x06\0"
			   "1.2.77"
			   "\x20\0\x0e\0UI\x06\0"
			   "1.2.88";

static void a_newer_delivery_replaces_the_file(void **state)
{
	struct kit *k = *state;
	struct stat st;

	kit_config(k, config);
	kit_schedule(k);
	for (unsigned i = 0; i < 2; i++)
		kit_put(k,
			&(struct kit_instance){.sop_instance = "1.2.3",
					       .length = 500 + 100 * i,
					       .head = head,
					       .head_len = sizeof(head) - 1},
			NULL);
	KIT_UNTIL(k, kit_count(k, "a", DELIVERY_DELIVERED) == 2);
	assert_int_equal(count_files(k), 1);
	assert_non_null(strstr(found[0], "/files/1.2.77/1.2.88/1.2.3.dcm"));
	assert_int_equal(stat(found[0], &st), 0);
	assert_true(st.st_size >= 128 + 600);
}

static void a_hostile_uid_stays_inside(void **state)
{
	struct kit *k = *state;

	kit_config(k, config);
	kit_schedule(k);
	kit_put(k, &(struct kit_instance){.sop_instance = "../../../x"}, NULL);
	KIT_UNTIL(k, kit_count(k, "a", DELIVERY_DELIVERED) == 1);
	assert_int_equal(count_files(k), 1);
	assert_non_null(strstr(found[0], "/files/0."));
}

static void what_a_crash_left_is_removed_at_start(void **state)
{
	struct kit *k = *state;
	char path[160], other[160];

	(void)snprintf(path, sizeof(path), "%s/files", k->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/files/.part-0123", k->dir);
	(void)snprintf(other, sizeof(other), "%s/files/.keep", k->dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	close(open(other, O_CREAT | O_WRONLY, 0600));
	kit_config(k, config);
	kit_schedule(k);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(access(other, F_OK), 0);
}

static void a_missing_directory_is_waited_for(void **state)
{
	struct destination_status st;
	struct kit *k = *state;
	char path[128];

	kit_config(k, config);
	kit_schedule(k);
	(void)snprintf(path, sizeof(path), "%s/files", k->dir);
	assert_int_equal(rmdir(path), 0);
	kit_put(k, &(struct kit_instance){0}, NULL);
	KIT_UNTIL(k,
		  scheduler_status(k->scheduler, 0, &st) && st.failures >= 2);
	assert_non_null(strstr(st.error, "cannot be written"));
	assert_int_equal(mkdir(path, 0700), 0);
	KIT_UNTIL(k, kit_count(k, "a", DELIVERY_DELIVERED) == 1);
}

static void a_damaged_instance_is_quarantined_and_leaves_no_file(void **state)
{
	struct kit *k = *state;

	kit_config(k, config);
	kit_put(k, &(struct kit_instance){0}, NULL);
	kit_put(k, &(struct kit_instance){0}, NULL);
	kit_barrier(k);
	kit_damage(k, kit_place(k, "a"));
	kit_schedule(k);
	KIT_UNTIL(k, kit_count(k, "a", DELIVERY_QUARANTINED) == 1);
	KIT_UNTIL(k, kit_count(k, "a", DELIVERY_DELIVERED) == 1);
	assert_int_equal(count_files(k), 1);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_uids_become_names),
	    T(instances_become_files_with_their_bytes),
	    T(a_newer_delivery_replaces_the_file),
	    T(a_hostile_uid_stays_inside),
	    T(what_a_crash_left_is_removed_at_start),
	    T(a_missing_directory_is_waited_for),
	    T(a_damaged_instance_is_quarantined_and_leaves_no_file),
	};

	return cmocka_run_group_tests_name("directory", tests, NULL, NULL);
}
