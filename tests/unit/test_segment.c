#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/segment.h"
#include "tests/unit/spool_kit.h"

enum { SIZE = 64 * RECORD_PAGE };

static char dir_path[KIT_PATH_LEN];
static int dir;
static struct seal *life;
static const struct segment_place at = {.number = 7, .size = SIZE};

static int make_dir(void **state)
{
	(void)state;
	dir = open(kit_dir(dir_path), O_RDONLY | O_DIRECTORY);
	return dir >= 0 ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	(void)close(dir);
	kit_remove(dir_path);
	return 0;
}

static void names_read_back(void **state)
{
	char name[SEGMENT_NAME_LEN];
	enum segment_state s;
	uint32_t n;

	(void)state;
	assert_string_equal(segment_name(SEGMENT_NAMED, 0xabc, name),
			    "segment-00000abc.spool");
	assert_true(segment_parse(name, &s, &n));
	assert_int_equal(n, 0xabc);
	assert_int_equal(s, SEGMENT_NAMED);
	assert_true(segment_parse("free-ffffffff.spool", &s, &n));
	assert_int_equal(s, SEGMENT_FREE);
	assert_false(segment_parse("segment-0000abc.spool", &s, &n));
	assert_false(segment_parse("segment-00000ABC.spool", &s, &n));
	assert_false(segment_parse("segment-00000abc.spool.bak", &s, &n));
	assert_false(segment_parse("data.key", &s, &n));
	assert_false(segment_parse("", &s, &n));
}

static int make_segment(void)
{
	struct segment_head h = {.number = 7, .size = SIZE};
	struct segment_pace pace = {.hurry = true};
	int fd;

	assert_int_equal(segment_create(dir, 3, SIZE, &pace), ERR_OK);
	assert_int_equal(segment_begin(dir, 3, &h, &fd), ERR_OK);
	return fd;
}

static void a_segment_is_made_whole_and_named_last(void **state)
{
	struct segment_head h;
	uint8_t page[RECORD_PAGE];
	struct stat st;
	int fd = make_segment();

	(void)state;
	assert_int_equal(fstatat(dir, "segment-00000007.spool", &st, 0), 0);
	assert_int_equal(st.st_size, SIZE);
	assert_true(st.st_blocks * 512 >= SIZE);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(faccessat(dir, "free-00000003.spool", F_OK, 0), -1);
	assert_int_equal(pread(fd, page, sizeof(page), 0), sizeof(page));
	assert_int_equal(segment_head_decode(page, &h), ERR_OK);
	assert_int_equal(h.number, 7);
	(void)close(fd);
}

static void a_stopped_preparation_leaves_nothing(void **state)
{
	struct segment_pace pace = {.stop = true};

	(void)state;
	assert_int_equal(segment_create(dir, 3, SIZE, &pace), ERR_CANCELED);
	assert_int_equal(faccessat(dir, "new-00000003.spool", F_OK, 0), -1);
	assert_int_equal(faccessat(dir, "free-00000003.spool", F_OK, 0), -1);
}

static void no_room_is_told_apart_and_leaves_nothing(void **state)
{
	struct rlimit old, small;
	struct segment_pace pace = {.hurry = true};

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = SIZE / 2;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(segment_create(dir, 3, SIZE, &pace), ERR_NOSPACE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(faccessat(dir, "new-00000003.spool", F_OK, 0), -1);
	assert_int_equal(segment_errno(ENOSPC), ERR_NOSPACE);
	assert_int_equal(segment_errno(EDQUOT), ERR_NOSPACE);
	assert_int_equal(segment_errno(EIO), ERR_IO);
}

/* ---- walking --------------------------------------------------------------
 */

static void write_record(int fd, uint32_t page_number, uint64_t sequence,
			 uint32_t payload)
{
	struct record_head h;
	uint8_t page[RECORD_PAGE];

	memset(&h, 0, sizeof(h));
	h.kind = RECORD_CHUNK;
	h.segment = 7;
	h.offset = page_number * RECORD_PAGE;
	h.sequence = sequence;
	h.flushed = sequence - 1;
	h.payload_len = payload;
	assert_int_equal(record_page_seal(&h, NULL, life, page), ERR_OK);
	assert_int_equal(pwrite(fd, page, sizeof(page), h.offset),
			 sizeof(page));
}

/* Records of 1, 3 and 2 pages from page 1 on. */
static void write_three(int fd)
{
	write_record(fd, 1, 11, 0);
	write_record(fd, 2, 12, 2 * RECORD_PAGE);
	write_record(fd, 5, 13, 1);
}

static void clobber(int fd, uint32_t page_number)
{
	uint8_t junk[RECORD_PAGE];

	memset(junk, 0x5a, sizeof(junk));
	assert_int_equal(
	    pwrite(fd, junk, sizeof(junk), page_number * RECORD_PAGE),
	    sizeof(junk));
}

static void a_walk_finds_first_last_and_end(void **state)
{
	struct segment_extent x;
	int fd = make_segment();

	(void)state;
	write_three(fd);
	segment_walk(fd, &at, SIZE, &x);
	assert_true(x.any);
	assert_int_equal(x.head.sequence, 11);
	assert_int_equal(x.last, 13);
	assert_int_equal(x.flushed, 12);
	assert_int_equal(x.end, 7 * RECORD_PAGE);
	assert_int_equal(x.repaired, 0);
	(void)close(fd);
}

static void a_walk_goes_on_behind_damage(void **state)
{
	struct segment_extent x;
	int fd = make_segment();

	(void)state;
	write_three(fd);
	clobber(fd, 2);
	segment_walk(fd, &at, SIZE, &x);
	assert_int_equal(x.last, 13);
	assert_int_equal(x.end, 7 * RECORD_PAGE);
	clobber(fd, 1);
	segment_walk(fd, &at, SIZE, &x);
	assert_int_equal(x.head.sequence, 13);
	clobber(fd, 5);
	segment_walk(fd, &at, SIZE, &x);
	assert_false(x.any);
	(void)close(fd);
}

static void resync_finds_the_next_record_or_the_limit(void **state)
{
	int fd = make_segment();

	(void)state;
	write_three(fd);
	assert_int_equal(segment_resync(fd, &at, 3 * RECORD_PAGE, SIZE),
			 5 * RECORD_PAGE);
	assert_int_equal(segment_resync(fd, &at, 6 * RECORD_PAGE, SIZE), SIZE);
	assert_int_equal(
	    segment_resync(fd, &at, 3 * RECORD_PAGE, 4 * RECORD_PAGE),
	    4 * RECORD_PAGE);
	assert_int_equal(segment_resync(fd, &at, SIZE + RECORD_PAGE, SIZE),
			 SIZE);
	(void)close(fd);
}

static void a_record_of_another_place_is_none(void **state)
{
	struct segment_place other = at;
	struct record_head h;
	uint8_t page[RECORD_PAGE];
	size_t copy;
	int fd = make_segment();

	(void)state;
	write_record(fd, 2, 11, 0);
	assert_int_equal(pread(fd, page, sizeof(page), 2 * RECORD_PAGE),
			 sizeof(page));
	assert_int_equal(pwrite(fd, page, sizeof(page), 9 * RECORD_PAGE),
			 sizeof(page)); /* a page that strayed */
	assert_int_equal(
	    segment_read_head(fd, &at, 2 * RECORD_PAGE, page, &h, &copy),
	    ERR_OK);
	assert_int_equal(
	    segment_read_head(fd, &at, 9 * RECORD_PAGE, page, &h, &copy),
	    ERR_NOTFOUND);
	other.number++;
	assert_int_equal(
	    segment_read_head(fd, &other, 2 * RECORD_PAGE, page, &h, &copy),
	    ERR_NOTFOUND);
	assert_int_equal(segment_read_head(fd, &at, SIZE, page, &h, &copy),
			 ERR_NOTFOUND);
	assert_int_equal(
	    segment_read_head(fd, &at, UINT32_MAX, page, &h, &copy),
	    ERR_NOTFOUND);
	(void)close(fd);
}

static void a_record_that_would_leave_the_segment_is_none(void **state)
{
	struct record_head h;
	uint8_t page[RECORD_PAGE];
	size_t copy;
	int fd = make_segment();

	(void)state;
	write_record(fd, 63, 11, 1);
	assert_int_equal(
	    segment_read_head(fd, &at, 63 * RECORD_PAGE, page, &h, &copy),
	    ERR_NOTFOUND);
	write_record(fd, 63, 11, 0);
	assert_int_equal(
	    segment_read_head(fd, &at, 63 * RECORD_PAGE, page, &h, &copy),
	    ERR_OK);
	(void)close(fd);
}

static int make_life(void **state)
{
	char path[KIT_PATH_LEN + 16], why[SEAL_WHY_LEN];
	struct seal_key *key;

	(void)make_dir(state);
	(void)snprintf(path, sizeof(path), "%s/data.key", dir_path);
	if (seal_key_open(path, true, &key, why) != ERR_OK ||
	    seal_new(key, "", 0, record_meta_info, &life) != ERR_OK)
		return -1;
	seal_key_close(key);
	return remove_dir(state);
}

static int free_life(void **state)
{
	(void)state;
	seal_free(life);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_read_back),
	    TEST(a_segment_is_made_whole_and_named_last),
	    TEST(a_stopped_preparation_leaves_nothing),
	    TEST(no_room_is_told_apart_and_leaves_nothing),
	    TEST(a_walk_finds_first_last_and_end),
	    TEST(a_walk_goes_on_behind_damage),
	    TEST(resync_finds_the_next_record_or_the_limit),
	    TEST(a_record_of_another_place_is_none),
	    TEST(a_record_that_would_leave_the_segment_is_none),
	};

	return cmocka_run_group_tests(tests, make_life, free_life);
}
