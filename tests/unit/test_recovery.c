/* What a restart finds: flipped bits, cut files, lost files, and the directory
 * as it stood at every moment while it was written to. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/record.h"
#include "tests/unit/spool_kit.h"

enum { MOST = CHUNK_LEN + 100000 };

static char good[KIT_PATH_LEN], work[KIT_PATH_LEN];
static struct spool_options options;
static uint8_t *data; /* kit_fill(1) */

static const size_t sizes[] = {100, 20000, MOST, 0, 65536, 4096};
enum { N = sizeof(sizes) / sizeof(sizes[0]) };

static void put_all(struct spool *s)
{
	for (unsigned i = 0; i < N; i++) {
		struct instance in;

		kit_instance(i, &in);
		assert_int_equal(kit_put(s, &in, data, sizes[i], NULL), ERR_OK);
	}
}

/* A closed spool with all N in its one segment. */
static int make_good(void **state)
{
	struct spool_options o = kit_options(kit_dir(good));
	struct spool *s;

	(void)state;
	log_set_level(LOG_ERROR + 1);
	data = mem_zalloc(MOST);
	kit_fill(data, MOST, 1);
	s = kit_open(&o);
	put_all(s);
	spool_close(s);
	return 0;
}

static int remove_good(void **state)
{
	(void)state;
	mem_free(data);
	kit_remove(good);
	return 0;
}

static int copy_good(void **state)
{
	(void)state;
	options = kit_options(kit_dir(work));
	kit_copy(good, work);
	return 0;
}

static int remove_work(void **state)
{
	(void)state;
	kit_remove(work);
	return 0;
}

struct findings {
	unsigned whole;   /* instances that read back bit for bit */
	unsigned named;   /* damage that names its transfer */
	unsigned unnamed; /* gaps */
	unsigned certain;
	uint64_t repaired;
	unsigned lines; /* that spool_check() gave */
};

static void count_line(void *arg, const char *line)
{
	struct findings *f = arg;

	assert_null(strstr(line, "Patient"));
	f->lines++;
}

static void look(struct spool *s, struct findings *f)
{
	struct spool_check_report report;
	struct kit_records r;

	memset(f, 0, sizeof(*f));
	kit_tail(s, 0, &r);
	for (size_t i = 0; i < r.n; i++) {
		if (r.at[i].kind != TAIL_DAMAGE)
			continue;
		f->named += r.at[i].damage.named;
		f->unnamed += !r.at[i].damage.named;
		f->certain += r.at[i].damage.certain;
	}
	for (unsigned i = 0; i < N; i++) {
		const struct tail_record *final = kit_final(&r, i);

		f->whole += final != NULL &&
			    final->instance.length == sizes[i] &&
			    kit_verify(s, &r, &final->instance, 1) == ERR_OK;
	}
	kit_records_free(&r);
	assert_int_equal(spool_check(s, count_line, f, &report), ERR_OK);
	f->repaired = report.heads_repaired;
	f->named =
	    f->named > f->lines - f->unnamed ? f->named : f->lines - f->unnamed;
}

static void open_and_look(struct findings *f)
{
	struct spool *s = kit_open(&options);

	look(s, f);
	spool_close(s);
}

static void an_untouched_spool_is_whole(void **state)
{
	struct findings f;

	(void)state;
	open_and_look(&f);
	assert_int_equal(f.whole, N);
	assert_int_equal(f.lines, 0);
	assert_int_equal(f.repaired, 0);
}

static bool is_head(const uint8_t *page)
{
	struct record_head h;
	size_t copy;

	return record_page_head(page, &h, &copy) == ERR_OK;
}

/* One flip at a time: in a head it is repaired from the other copy, in a
 * payload it is named, in padding it is nothing. All others read. */
static void flip_one(const char *path, long at, unsigned bit, bool head)
{
	struct findings f;

	kit_flip(path, at, bit);
	open_and_look(&f);
	kit_flip(path, at, bit);
	if (head && f.whole != N)
		fail_msg("flip in a head at %ld lost an instance", at);
	if (f.whole < N - 1)
		fail_msg("flip at %ld lost %u instances", at, N - f.whole);
	if (f.whole < N && f.named != 1)
		fail_msg("flip at %ld is not named", at);
	if (f.unnamed != 0)
		fail_msg("flip at %ld left a gap", at);
}

static void a_flipped_bit_anywhere_costs_at_most_its_instance(void **state)
{
	static uint8_t image[KIT_SEGMENT];
	char path[KIT_PATH_LEN];
	unsigned step = 0;
	int fd;

	(void)state;
	kit_segment_path(work, 0, path);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, image, sizeof(image)), sizeof(image));
	(void)close(fd);
	for (long page = 0; page < (long)sizeof(image); page += RECORD_PAGE) {
		bool head = page == 0 || is_head(image + page);
		long stride = head ? 331 : 39 * RECORD_PAGE;

		if (!head && page % stride != 0)
			continue;
		for (long at = page; at < page + RECORD_PAGE - 97;
		     at += stride, step++)
			flip_one(path, at + step % 97, step % 8, head);
	}
	assert_true(step > 50);
}

static void a_lost_sector_of_a_head_is_repaired(void **state)
{
	char path[KIT_PATH_LEN];
	uint8_t junk[512];
	struct findings f;
	int fd;

	(void)state;
	memset(junk, 0xff, sizeof(junk));
	fd = open(kit_segment_path(work, 0, path), O_RDWR);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 0), sizeof(junk));
	assert_int_equal(pwrite(fd, junk, sizeof(junk), RECORD_PAGE),
			 sizeof(junk));
	(void)close(fd);
	open_and_look(&f);
	assert_int_equal(f.whole, N);
	assert_true(f.repaired >= 1);
}

static void a_lost_segment_head_costs_nothing(void **state)
{
	char path[KIT_PATH_LEN];
	uint8_t junk[RECORD_PAGE];
	struct findings f;
	int fd;

	(void)state;
	memset(junk, 0, sizeof(junk));
	fd = open(kit_segment_path(work, 0, path), O_RDWR);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 0), sizeof(junk));
	(void)close(fd);
	open_and_look(&f);
	assert_int_equal(f.whole, N);
}

/* The page of the first chunk: outcomes may stand before it. */
static long first_chunk(int fd)
{
	uint8_t page[RECORD_PAGE];
	struct record_head h = {.kind = RECORD_OUTCOMES};
	long at = 0;
	size_t copy;

	while (h.kind != RECORD_CHUNK) {
		at += RECORD_PAGE;
		assert_int_equal(pread(fd, page, sizeof(page), at),
				 sizeof(page));
		(void)!record_page_head(page, &h, &copy);
	}
	return at;
}

static void a_lost_head_page_is_a_certain_gap(void **state)
{
	char path[KIT_PATH_LEN];
	uint8_t junk[RECORD_PAGE];
	struct findings f;
	int fd;

	(void)state;
	memset(junk, 0xff, sizeof(junk));
	fd = open(kit_segment_path(work, 0, path), O_RDWR);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), first_chunk(fd)),
			 sizeof(junk));
	(void)close(fd);
	open_and_look(&f);
	assert_int_equal(f.whole, N - 1);
	assert_int_equal(f.unnamed, 1);
	assert_int_equal(f.certain, 1);
}

/* Growing cuts lose instances from the end only, and never crash. */
static void a_file_cut_anywhere_keeps_what_stands_before(void **state)
{
	char path[KIT_PATH_LEN];
	unsigned before = 0;

	(void)state;
	kit_segment_path(work, 0, path);
	for (long size = 0; size <= KIT_SEGMENT; size += 13 * 4096 + 2048) {
		struct findings f;

		kit_remove(work);
		assert_int_equal(mkdir(work, 0700), 0);
		kit_copy(good, work);
		assert_int_equal(truncate(path, size), 0);
		open_and_look(&f);
		assert_true(f.whole >= before);
		assert_int_equal(f.unnamed, 0);
		before = f.whole;
	}
	assert_int_equal(before, N);
}

static void a_page_that_strayed_is_not_taken(void **state)
{
	char path[KIT_PATH_LEN];
	uint8_t page[RECORD_PAGE];
	struct findings f;
	int fd;

	(void)state;
	fd = open(kit_segment_path(work, 0, path), O_RDWR);
	assert_int_equal(pread(fd, page, sizeof(page), RECORD_PAGE),
			 sizeof(page));
	assert_int_equal(
	    pwrite(fd, page, sizeof(page), KIT_SEGMENT - RECORD_PAGE),
	    sizeof(page));
	(void)close(fd);
	open_and_look(&f);
	assert_int_equal(f.whole, N);
	assert_int_equal(f.lines, 0);
}

static void a_segment_under_a_wrong_name_is_said(void **state)
{
	char path[KIT_PATH_LEN], other[KIT_PATH_LEN], why[SPOOL_WHY_LEN];
	struct spool *s;

	(void)state;
	kit_segment_path(work, 0, path);
	(void)snprintf(other, sizeof(other), "%.90s/segment-000000ff.spool",
		       work);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(spool_open(&options, &s, why), ERR_INVAL);
	assert_non_null(strstr(why, "segment-00000001.spool"));
}

static void a_segment_of_another_spool_is_said(void **state)
{
	char path[KIT_PATH_LEN], to[KIT_PATH_LEN], other[KIT_PATH_LEN];
	char why[SPOOL_WHY_LEN];
	struct spool_options o;
	struct spool *s;

	(void)state;
	o = kit_options(kit_dir(other));
	for (unsigned i = 0; i < 2; i++) { /* the second has a higher number */
		s = kit_open(&o);
		put_all(s);
		spool_close(s);
	}
	kit_segment_path(other, 1, path);
	(void)snprintf(to, sizeof(to), "%.90s%s", work, strrchr(path, '/'));
	assert_int_equal(rename(path, to), 0);
	assert_int_equal(spool_open(&options, &s, why), ERR_NOKEY);
	assert_non_null(strstr(why, "two spools"));
	kit_remove(other);
}

static void files_half_made_are_cleared_away(void **state)
{
	char path[KIT_PATH_LEN];
	struct findings f;
	int fd;

	(void)state;
	(void)snprintf(path, sizeof(path), "%.90s/new-00000077.spool", work);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "x", 1), 1);
	(void)close(fd);
	open_and_look(&f);
	assert_int_equal(f.whole, N);
	assert_int_equal(access(path, F_OK), -1);
}

/* ---- the directory at every moment ------------------------------------------
 */

struct writer {
	pthread_t thread;
	pthread_mutex_t lock;
	struct spool *spool;
	unsigned acknowledged; /* instances 0.. below this are durable */
	bool stop;
};

static bool stopped(struct writer *w)
{
	bool stop;

	pthread_mutex_lock(&w->lock);
	stop = w->stop;
	pthread_mutex_unlock(&w->lock);
	return stop;
}

static void *keep_writing(void *arg)
{
	struct writer *w = arg;

	for (unsigned i = 0; !stopped(w) && i < 60; i++) {
		struct instance in;

		kit_instance(i, &in);
		if (kit_put(w->spool, &in, data, sizes[i % N], NULL) != ERR_OK)
			break;
		pthread_mutex_lock(&w->lock);
		w->acknowledged = i + 1;
		pthread_mutex_unlock(&w->lock);
	}
	return NULL;
}

static unsigned acknowledged(struct writer *w)
{
	unsigned n;

	pthread_mutex_lock(&w->lock);
	n = w->acknowledged;
	pthread_mutex_unlock(&w->lock);
	return n;
}

static void expect_first(unsigned n)
{
	struct spool *s = kit_open(&options);
	struct kit_records r;

	kit_tail(s, 0, &r);
	for (unsigned i = 0; i < n; i++) {
		const struct tail_record *final = kit_final(&r, i);

		assert_non_null(final);
		assert_int_equal(kit_verify(s, &r, &final->instance, 1),
				 ERR_OK);
	}
	kit_records_free(&r);
	spool_close(s);
}

/* A copy taken while the spool is written to is what kill -9 leaves behind,
 * and worse: its files are of slightly different moments. Whatever was
 * acknowledged before the copy began must be in it. */
static void a_copy_at_any_moment_has_all_that_was_acknowledged(void **state)
{
	char live[KIT_PATH_LEN];
	struct spool_options o = kit_options(kit_dir(live));
	struct writer w = {.lock = PTHREAD_MUTEX_INITIALIZER};

	(void)state;
	o.quota = 64 * KIT_SEGMENT;
	w.spool = kit_open(&o);
	pthread_create(&w.thread, NULL, keep_writing, &w);
	for (unsigned i = 0; i < 25; i++) {
		unsigned n = acknowledged(&w);

		kit_remove(work);
		assert_int_equal(mkdir(work, 0700), 0);
		kit_copy(live, work);
		expect_first(n);
	}
	pthread_mutex_lock(&w.lock);
	w.stop = true;
	pthread_mutex_unlock(&w.lock);
	pthread_join(w.thread, NULL);
	spool_close(w.spool);
	kit_remove(live);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, copy_good, remove_work)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_untouched_spool_is_whole),
	    TEST(a_flipped_bit_anywhere_costs_at_most_its_instance),
	    TEST(a_lost_sector_of_a_head_is_repaired),
	    TEST(a_lost_segment_head_costs_nothing),
	    TEST(a_lost_head_page_is_a_certain_gap),
	    TEST(a_file_cut_anywhere_keeps_what_stands_before),
	    TEST(a_page_that_strayed_is_not_taken),
	    TEST(a_segment_under_a_wrong_name_is_said),
	    TEST(a_segment_of_another_spool_is_said),
	    TEST(files_half_made_are_cleared_away),
	    TEST(a_copy_at_any_moment_has_all_that_was_acknowledged),
	};

	return cmocka_run_group_tests(tests, make_good, remove_good);
}
