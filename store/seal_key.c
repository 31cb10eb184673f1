#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/lib/condition.h"
#include "proxy/lib/disk.h"
#include "proxy/lib/mem.h"
#include "store/seal.h"
#include "store/seal_int.h"

enum { PATH_LEN = 4096, CODE_LEN = 10 };

static enum err fail(char why[SEAL_WHY_LEN], enum err e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static enum err fail(char why[SEAL_WHY_LEN], enum err e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, SEAL_WHY_LEN - CODE_LEN, fmt, ap);
	va_end(ap);
	if (e != ERR_NOMEM)
		(void)snprintf(why + strlen(why), CODE_LEN, " [%s]",
			       condition_get(CONDITION_DATA_KEY)->code);
	return e;
}

static enum err derive_id(struct seal_key *key)
{
	static const char label[] = "culvert key id";
	uint8_t digest[SEAL_HASH_LEN];
	struct seal_hash *h = seal_hash_new();

	if (h == NULL)
		return ERR_NOMEM;
	seal_hash_update(h, label, sizeof(label) - 1);
	seal_hash_update(h, key->key, sizeof(key->key));
	seal_hash_end(h, digest);
	memcpy(key->id, digest, sizeof(key->id));
	seal_hash_free(h);
	return ERR_OK;
}

const uint8_t *seal_key_id(const struct seal_key *key)
{
	return key->id;
}

char *seal_key_id_text(const uint8_t id[SEAL_KEY_ID_LEN],
		       char out[SEAL_KEY_ID_TEXT])
{
	for (size_t i = 0; i < SEAL_KEY_ID_LEN; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", id[i]);
	return out;
}

void seal_key_close(struct seal_key *key)
{
	if (key == NULL)
		return;
	mem_wipe(key, sizeof(*key));
	mem_free(key);
}

static enum err write_fresh(int fd)
{
	uint8_t key[SEAL_KEY_LEN];
	enum err e = seal_random(key, sizeof(key));

	if (e == ERR_OK &&
	    (write(fd, key, sizeof(key)) != sizeof(key) || fsync(fd) != 0))
		e = ERR_IO;
	mem_wipe(key, sizeof(key));
	return e;
}

/* Under a temporary name first, then link(2), which never replaces: a start
 * that is cut short leaves no half key, and no key is ever overwritten. */
static enum err make_key(const char *path, char why[SEAL_WHY_LEN])
{
	char temp[PATH_LEN];
	enum err e;
	int fd;

	if (snprintf(temp, sizeof(temp), "%s.new", path) >= (int)sizeof(temp))
		return fail(why, ERR_IO,
			    "the path of the data key is too long");
	if (unlink(temp) != 0 && errno != ENOENT)
		return fail(why, ERR_IO, "cannot remove %s: %s", temp,
			    strerror(errno));
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		  0600);
	if (fd < 0)
		return fail(why, ERR_IO,
			    "cannot make the data key %s: %s; make its "
			    "directory writable for this user",
			    temp, strerror(errno));
	e = write_fresh(fd);
	if (close(fd) != 0 || (e == ERR_OK && link(temp, path) != 0))
		e = ERR_IO;
	if (e != ERR_OK)
		(void)fail(why, e, "cannot write the data key %s: %s", path,
			   strerror(errno));
	(void)unlink(temp);
	if (e == ERR_OK && disk_flush_directory_of(path) != ERR_OK)
		return fail(why, ERR_IO,
			    "cannot flush the directory of the data key %s: %s",
			    path, strerror(errno));
	return e;
}

static enum err check_file(int fd, const char *path, char why[SEAL_WHY_LEN])
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail(why, ERR_IO, "cannot look at the data key %s: %s",
			    path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(why, ERR_NOKEY,
			    "the data key %s is not a regular file", path);
	if ((st.st_mode & 077) != 0)
		return fail(why, ERR_NOKEY,
			    "the data key %s is open to others (mode %04o): "
			    "chmod 600 it",
			    path, st.st_mode & 07777);
	if (st.st_size != SEAL_KEY_LEN)
		return fail(why, ERR_NOKEY,
			    "the data key %s has %lld bytes instead of %d: "
			    "restore it from a backup",
			    path, (long long)st.st_size, SEAL_KEY_LEN);
	return ERR_OK;
}

static enum err read_key(int fd, const char *path, struct seal_key *key,
			 char why[SEAL_WHY_LEN])
{
	enum err e = check_file(fd, path, why);

	if (e != ERR_OK)
		return e;
	if (pread(fd, key->key, sizeof(key->key), 0) != sizeof(key->key))
		return fail(why, ERR_IO, "cannot read the data key %s: %s",
			    path, strerror(errno));
	e = derive_id(key);
	if (e != ERR_OK)
		return fail(why, e, "cannot use the data key %s: %s", path,
			    err_text(e));
	return ERR_OK;
}

static enum err open_file(const char *path, bool create, int *fd,
			  char why[SEAL_WHY_LEN])
{
	enum err e;

	*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*fd < 0 && errno == ENOENT && create) {
		e = make_key(path, why);
		if (e != ERR_OK)
			return e;
		*fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (*fd >= 0)
		return ERR_OK;
	if (errno == ENOENT)
		return fail(why, ERR_NOKEY,
			    "the data key %s is missing, but there is data "
			    "sealed with it: restore it from a backup",
			    path);
	return fail(why, ERR_IO, "cannot open the data key %s: %s", path,
		    strerror(errno));
}

enum err seal_key_open(const char *path, bool create, struct seal_key **out,
		       char why[SEAL_WHY_LEN])
{
	struct seal_key *key = mem_zalloc(sizeof(*key));
	enum err e;
	int fd;

	if (key == NULL)
		return fail(why, ERR_NOMEM, "out of memory");
	e = open_file(path, create, &fd, why);
	if (e == ERR_OK) {
		e = read_key(fd, path, key, why);
		(void)close(fd);
	}
	if (e != ERR_OK) {
		seal_key_close(key);
		return e;
	}
	*out = key;
	return ERR_OK;
}
