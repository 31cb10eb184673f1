/* tls_file.c - PEM files. */
#include "proxy/net/tls_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wolfssl/wolfcrypt/asn_public.h>

#include "proxy/lib/mem.h"
#include "proxy/lib/opener.h"

static const char begin_cert[] = "-----BEGIN CERTIFICATE-----";
static const char end_cert[] = "-----END ";

static enum err open_failed(const char *path, char *why)
{
	const char *remedy = "";

	if (errno == ENOENT)
		remedy = ": check the path in the configuration";
	else if (errno == EACCES)
		remedy = ": let the user that runs culvert read it";
	snprintf(why, TLS_WHY_LEN, "cannot read %.300s: %s%s", path,
		 strerror(errno), remedy);
	return ERR_NOTFOUND;
}

static enum err read_all(int fd, uint8_t *p, size_t want, size_t *len)
{
	*len = 0;
	while (*len < want) {
		ssize_t n = read(fd, p + *len, want - *len);

		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_IO;
		*len += (size_t)n;
	}
	return ERR_OK;
}

static enum err read_fd(int fd, const char *path, uint8_t **out, size_t *len,
			char *why)
{
	struct stat st;
	uint8_t *p;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    st.st_size > TLS_FILE_MAX) {
		snprintf(why, TLS_WHY_LEN,
			 "%.300s is not a PEM file: not a plain file of at "
			 "most 1 MiB",
			 path);
		return ERR_INVAL;
	}
	p = mem_zalloc((size_t)st.st_size + 1);
	if (p == NULL) {
		snprintf(why, TLS_WHY_LEN, "out of memory");
		return ERR_NOMEM;
	}
	if (read_all(fd, p, (size_t)st.st_size, len) != ERR_OK) {
		tls_file_free(p, (size_t)st.st_size);
		return open_failed(path, why);
	}
	*out = p;
	return ERR_OK;
}

enum err tls_file_read(const char *path, uint8_t **out, size_t *len,
		       char why[TLS_WHY_LEN])
{
	int fd = opener_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	enum err e;

	if (fd < 0)
		return open_failed(path, why);
	e = read_fd(fd, path, out, len, why);
	close(fd);
	return e;
}

void tls_file_free(uint8_t *p, size_t len)
{
	if (p != NULL)
		mem_wipe(p, len);
	mem_free(p);
}

enum err tls_pem_next(const uint8_t *text, size_t len, size_t *at,
		      uint8_t **der, size_t *der_len)
{
	const uint8_t *begin =
	    memmem(text + *at, len - *at, begin_cert, strlen(begin_cert));
	const uint8_t *end;
	size_t left, max;
	int n;

	if (begin == NULL)
		return ERR_NOTFOUND;
	left = (size_t)(text + len - begin);
	end = memmem(begin, left, end_cert, strlen(end_cert));
	*at = end != NULL ? (size_t)(end - text) + strlen(end_cert) : len;
	if (end == NULL)
		return ERR_INVAL;
	max = (size_t)(end - begin);
	left = left < max + 64 ? left : max + 64; /* with the END line */
	*der = mem_zalloc(max + 1);
	if (*der == NULL)
		return ERR_NOMEM;
	n = wc_CertPemToDer(begin, (int)left, *der, (int)max, CERT_TYPE);
	if (n <= 0) {
		mem_free(*der);
		return ERR_INVAL;
	}
	*der_len = (size_t)n;
	return ERR_OK;
}
