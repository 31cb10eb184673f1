#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/seal.h"
#include "tests/unit/spool_kit.h"

static char dir[KIT_PATH_LEN];
static char path[KIT_PATH_LEN + 16];
static char why[SEAL_WHY_LEN];

static int make_dir(void **state)
{
	(void)state;
	kit_dir(dir);
	(void)snprintf(path, sizeof(path), "%s/data.key", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	kit_remove(dir);
	return 0;
}

static struct seal_key *open_key(void)
{
	struct seal_key *key;

	assert_int_equal(seal_key_open(path, true, &key, why), ERR_OK);
	return key;
}

static void a_new_key_is_private_and_found_again(void **state)
{
	struct seal_key *a = open_key(), *b;
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, SEAL_KEY_LEN);
	assert_int_equal(seal_key_open(path, false, &b, why), ERR_OK);
	assert_memory_equal(seal_key_id(a), seal_key_id(b), SEAL_KEY_ID_LEN);
	seal_key_close(a);
	seal_key_close(b);
}

static void a_missing_key_is_not_made_when_data_exists(void **state)
{
	struct seal_key *key;

	(void)state;
	assert_int_equal(seal_key_open(path, false, &key, why), ERR_NOKEY);
	assert_non_null(strstr(why, "backup"));
	assert_int_equal(access(path, F_OK), -1);
}

static void a_key_open_to_others_is_refused_with_the_remedy(void **state)
{
	struct seal_key *key = open_key();

	(void)state;
	seal_key_close(key);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(seal_key_open(path, true, &key, why), ERR_NOKEY);
	assert_non_null(strstr(why, "chmod 600"));
	assert_int_equal(chmod(path, 0400), 0);
	assert_int_equal(seal_key_open(path, true, &key, why), ERR_OK);
	seal_key_close(key);
}

static void a_short_key_is_refused_and_left_alone(void **state)
{
	struct seal_key *key = open_key();
	struct stat st;

	(void)state;
	seal_key_close(key);
	assert_int_equal(truncate(path, 31), 0);
	assert_int_equal(seal_key_open(path, true, &key, why), ERR_NOKEY);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 31);
}

static void a_directory_that_is_not_there_is_named(void **state)
{
	struct seal_key *key;

	(void)state;
	assert_int_equal(
	    seal_key_open("/nonexistent/data.key", true, &key, why), ERR_IO);
	assert_non_null(strstr(why, "/nonexistent"));
}

static struct seal *new_seal(const char *salt, const char *info)
{
	struct seal_key *key = open_key();
	struct seal *s;

	assert_int_equal(seal_new(key, salt, strlen(salt), info, &s), ERR_OK);
	seal_key_close(key);
	return s;
}

static void pieces_seal_like_the_whole(void **state)
{
	static uint8_t plain[70000], a[70000], b[70000];
	uint8_t nonce[SEAL_NONCE_LEN], tag_a[SEAL_TAG_LEN], tag_b[SEAL_TAG_LEN];
	const size_t cuts[] = {1, 15, 16, 17, 4096, 16384, 33333};
	struct seal *s = new_seal("salt", "test");
	struct seal_text t = {"head", 4, plain, sizeof(plain)};

	(void)state;
	kit_fill(plain, sizeof(plain), 1);
	seal_nonce(5, nonce);
	assert_int_equal(seal_lock(s, nonce, &t, a, tag_a), ERR_OK);
	for (size_t c = 0; c < sizeof(cuts) / sizeof(cuts[0]); c++) {
		assert_int_equal(seal_start(s, nonce, "head", 4), ERR_OK);
		for (size_t i = 0; i < sizeof(plain); i += cuts[c]) {
			size_t n = sizeof(plain) - i;

			n = n < cuts[c] ? n : cuts[c];
			assert_int_equal(seal_update(s, plain + i, n, b + i),
					 ERR_OK);
		}
		assert_int_equal(seal_end(s, tag_b), ERR_OK);
		assert_memory_equal(a, b, sizeof(a));
		assert_memory_equal(tag_a, tag_b, sizeof(tag_a));
	}
	seal_free(s);
}

static void sealing_in_place_is_the_same(void **state)
{
	uint8_t plain[1000], a[1000], tag_a[SEAL_TAG_LEN], tag_b[SEAL_TAG_LEN];
	uint8_t nonce[SEAL_NONCE_LEN];
	struct seal *s = new_seal("salt", "test");
	struct seal_text t = {"", 0, plain, sizeof(plain)};

	(void)state;
	kit_fill(plain, sizeof(plain), 1);
	seal_nonce(5, nonce);
	assert_int_equal(seal_lock(s, nonce, &t, a, tag_a), ERR_OK);
	assert_int_equal(seal_start(s, nonce, "", 0), ERR_OK);
	assert_int_equal(seal_update(s, plain, 512, plain), ERR_OK);
	assert_int_equal(seal_update(s, plain + 512, 488, plain + 512), ERR_OK);
	assert_int_equal(seal_end(s, tag_b), ERR_OK);
	assert_memory_equal(plain, a, sizeof(a));
	assert_memory_equal(tag_a, tag_b, sizeof(tag_a));
	seal_free(s);
}

static void any_flipped_bit_is_noticed(void **state)
{
	uint8_t plain[64], sealed[64], out[64], tag[SEAL_TAG_LEN], aad[9];
	uint8_t nonce[SEAL_NONCE_LEN];
	struct seal *s = new_seal("salt", "test");
	struct seal_text lock = {aad, sizeof(aad), plain, sizeof(plain)};
	struct seal_text open = {aad, sizeof(aad), sealed, sizeof(sealed)};

	(void)state;
	kit_fill(plain, sizeof(plain), 2);
	kit_fill(aad, sizeof(aad), 3);
	seal_nonce(1, nonce);
	assert_int_equal(seal_lock(s, nonce, &lock, sealed, tag), ERR_OK);
	for (size_t i = 0; i < sizeof(sealed) * 8; i++) {
		sealed[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(seal_unlock(s, nonce, &open, out, tag),
				 ERR_CORRUPT);
		assert_memory_not_equal(out, plain, sizeof(plain));
		sealed[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t i = 0; i < sizeof(tag) * 8; i++) {
		tag[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(seal_unlock(s, nonce, &open, out, tag),
				 ERR_CORRUPT);
		tag[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	aad[4] ^= 1;
	assert_int_equal(seal_unlock(s, nonce, &open, out, tag), ERR_CORRUPT);
	aad[4] ^= 1;
	assert_int_equal(seal_unlock(s, nonce, &open, out, tag), ERR_OK);
	assert_memory_equal(out, plain, sizeof(plain));
	seal_free(s);
}

static void salt_and_purpose_make_different_keys(void **state)
{
	const uint8_t plain[16] = {0};
	uint8_t out[3][16], tag[SEAL_TAG_LEN], nonce[SEAL_NONCE_LEN];
	struct seal_text t = {"", 0, plain, sizeof(plain)};
	struct seal *s[3] = {new_seal("a", "x"), new_seal("b", "x"),
			     new_seal("a", "y")};

	(void)state;
	seal_nonce(0, nonce);
	for (int i = 0; i < 3; i++)
		assert_int_equal(seal_lock(s[i], nonce, &t, out[i], tag),
				 ERR_OK);
	assert_memory_not_equal(out[0], out[1], 16);
	assert_memory_not_equal(out[0], out[2], 16);
	for (int i = 0; i < 3; i++)
		seal_free(s[i]);
}

static void a_blob_opens_to_what_went_in(void **state)
{
	const char text[] = "Doe^Jane";
	uint8_t blob[sizeof(text) + SEAL_BLOB_EXTRA], out[sizeof(text)];
	struct seal *s = new_seal("db", "identity");
	struct seal_text t = {"row", 3, (const uint8_t *)text, sizeof(text)};

	(void)state;
	assert_int_equal(seal_blob_lock(s, &t, blob), ERR_OK);
	t.in = blob;
	t.len = sizeof(blob);
	assert_int_equal(seal_blob_unlock(s, &t, out), ERR_OK);
	assert_memory_equal(out, text, sizeof(text));
	for (size_t n = 0; n < sizeof(blob); n++) {
		t.len = n;
		assert_int_equal(seal_blob_unlock(s, &t, out), ERR_CORRUPT);
	}
	seal_free(s);
}

/* FIPS 180-4 examples. */
static void sha_256_gives_the_known_digests(void **state)
{
	const uint8_t abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea};
	const uint8_t empty[] = {0xe3, 0xb0, 0xc4, 0x42,
				 0x98, 0xfc, 0x1c, 0x14};
	struct seal_hash *h = seal_hash_new();
	uint8_t out[SEAL_HASH_LEN];

	(void)state;
	seal_hash_end(h, out);
	assert_memory_equal(out, empty, sizeof(empty));
	seal_hash_update(h, "a", 1);
	seal_hash_update(h, "bc", 2);
	seal_hash_end(h, out);
	assert_memory_equal(out, abc, sizeof(abc));
	seal_hash_free(h);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_new_key_is_private_and_found_again),
	    TEST(a_missing_key_is_not_made_when_data_exists),
	    TEST(a_key_open_to_others_is_refused_with_the_remedy),
	    TEST(a_short_key_is_refused_and_left_alone),
	    TEST(a_directory_that_is_not_there_is_named),
	    TEST(pieces_seal_like_the_whole),
	    TEST(sealing_in_place_is_the_same),
	    TEST(any_flipped_bit_is_noticed),
	    TEST(salt_and_purpose_make_different_keys),
	    TEST(a_blob_opens_to_what_went_in),
	    cmocka_unit_test(sha_256_gives_the_known_digests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
