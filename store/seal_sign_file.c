/* seal_sign_file.c - the signing key's files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/lib/disk.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/seal_sign_int.h"

enum { PATH_LEN = 4096 };

static bool write_fresh(const char *path, mode_t mode, const char *text,
			size_t len)
{
	int fd = open(
	    path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	bool good;

	if (fd < 0)
		return false;
	good = write(fd, text, len) == (ssize_t)len && fchmod(fd, mode) == 0 &&
	       fsync(fd) == 0;
	return close(fd) == 0 && good;
}

/* Under a temporary name first, then link(2), which never replaces: a start
 * that is cut short leaves no half key, and no key is ever overwritten. */
static enum err make_file(const char *path, char why[SEAL_WHY_LEN])
{
	char temp[PATH_LEN], pem[SIGN_FILE_MAX];
	size_t len = 0;
	enum err e;

	if (snprintf(temp, sizeof(temp), "%s.new", path) >= (int)sizeof(temp))
		return sign_fail(why, ERR_IO,
				 "the path of the signing key is too long");
	(void)unlink(temp);
	e = sign_make_pem(pem, &len);
	if (e == ERR_OK &&
	    (!write_fresh(temp, 0600, pem, len) || link(temp, path) != 0 ||
	     disk_flush_directory_of(path) != ERR_OK))
		e = ERR_IO;
	if (e != ERR_OK)
		(void)sign_fail(why, e,
				"cannot make the signing key %.120s: %s; make "
				"its directory writable for this user",
				path, strerror(errno));
	(void)unlink(temp);
	mem_wipe(pem, sizeof(pem));
	return e;
}

static enum err check_file(int fd, const char *path, char why[SEAL_WHY_LEN])
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return sign_fail(why, ERR_IO,
				 "cannot look at the signing key %.120s: %s",
				 path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return sign_fail(why, ERR_NOKEY,
				 "the signing key %.120s is not a regular file",
				 path);
	if ((st.st_mode & 077) != 0)
		return sign_fail(why, ERR_NOKEY,
				 "the signing key %.120s is open to others "
				 "(mode %04o): chmod 600 it",
				 path, st.st_mode & 07777);
	return ERR_OK;
}

static enum err read_key(int fd, const char *path, bool is_new,
			 struct seal_signer **out, char why[SEAL_WHY_LEN])
{
	char pem[SIGN_FILE_MAX];
	ssize_t n;
	enum err e = check_file(fd, path, why);

	if (e != ERR_OK)
		return e;
	n = pread(fd, pem, sizeof(pem), 0);
	if (n < 0)
		return sign_fail(why, ERR_IO,
				 "cannot read the signing key %.120s: %s", path,
				 strerror(errno));
	e = sign_from_pem(pem, (size_t)n, is_new, out);
	mem_wipe(pem, sizeof(pem));
	if (e == ERR_NOKEY)
		return sign_fail(why, e,
				 "the signing key %.100s is no P-256 private "
				 "key in PEM: restore it from a backup",
				 path);
	return e == ERR_OK ? ERR_OK : sign_fail(why, e, "%s", err_text(e));
}

static bool same_text(const char *path, const char *text)
{
	char old[SEAL_PEM_LEN];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, old, sizeof(old));
	(void)close(fd);
	return n == (ssize_t)strlen(text) && memcmp(old, text, (size_t)n) == 0;
}

/* A help for those who verify, so a failure is no reason not to start. */
static void publish(const struct seal_signer *s, const char *path)
{
	char to[PATH_LEN], temp[PATH_LEN + 8], pem[SEAL_PEM_LEN];

	if (seal_signer_pem(s, pem) != ERR_OK ||
	    snprintf(to, sizeof(to), "%s.pub", path) >= (int)sizeof(to) ||
	    same_text(to, pem))
		return;
	(void)snprintf(temp, sizeof(temp), "%s.new", to);
	(void)unlink(temp);
	if (!write_fresh(temp, 0644, pem, strlen(pem)) || rename(temp, to) != 0)
		log_event(LOG_WARN, "signing-key-unpublished",
			  "file=%s detail=\"%s\"", to, strerror(errno));
}

enum err seal_signer_open(const char *path, bool create,
			  struct seal_signer **out, char why[SEAL_WHY_LEN])
{
	bool is_new = false;
	enum err e;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && create) {
		e = make_file(path, why);
		if (e != ERR_OK)
			return e;
		is_new = true;
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return sign_fail(why, errno == ENOENT ? ERR_NOKEY : ERR_IO,
				 "cannot open the signing key %.120s: %s", path,
				 strerror(errno));
	e = read_key(fd, path, is_new, out, why);
	(void)close(fd);
	if (e == ERR_OK && create)
		publish(*out, path);
	return e;
}

enum err seal_verifier_open(const char *path, struct seal_verifier **out,
			    char why[SEAL_WHY_LEN])
{
	char pem[SIGN_FILE_MAX], reason[SEAL_WHY_LEN];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	enum err e;

	if (fd < 0)
		return sign_fail(why, ERR_IO, "cannot open %.150s: %s", path,
				 strerror(errno));
	n = read(fd, pem, sizeof(pem) - 1);
	(void)close(fd);
	if (n < 0)
		return sign_fail(why, ERR_IO, "cannot read %.150s: %s", path,
				 strerror(errno));
	pem[n] = '\0';
	e = seal_verifier_new(pem, out, reason);
	return e == ERR_OK ? e
			   : sign_fail(why, e, "%.100s: %.140s", path, reason);
}
