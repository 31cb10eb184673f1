/* seal_sign_int.h - what seal_sign.c and seal_sign_file.c share. Nobody else
 * includes it. */
#ifndef STORE_SEAL_SIGN_INT_H
#define STORE_SEAL_SIGN_INT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "store/seal_sign.h"

enum { SIGN_FILE_MAX = 4096 };

/* One sentence into why; returns e. */
enum err sign_fail(char why[SEAL_WHY_LEN], enum err e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A fresh key's PEM text (*len bytes of out). ERR_IO. */
enum err sign_make_pem(char out[SIGN_FILE_MAX], size_t *len) MUST_CHECK;
/* A signer from the text of its file, pem[0..len). ERR_NOKEY, ERR_NOMEM. */
enum err sign_from_pem(const char *pem, size_t len, bool is_new,
		       struct seal_signer **out) MUST_CHECK;

#endif
