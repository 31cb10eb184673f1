/* parse.h - texts that a browser sends: path, query, cookies, Host, Origin.
 *
 * Pure: no I/O, no allocation, no clock. Input is hostile. Outputs are NUL
 * terminated, valid UTF-8 and without control characters; they are untouched
 * (or empty, where said) when a function returns false. */
#ifndef WEB_STATUS_PARSE_H
#define WEB_STATUS_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "web-status/page.h"

enum { PARSE_HOST_LEN = 256 };

/* Percent-decode in[0..n) into out[0..size); plus: '+' is a blank. False:
 * broken escape, control character, not UTF-8, does not fit. */
bool parse_decode(const char *in, size_t n, bool plus, char *out, size_t size);

/* The path of a request target: decoded, begins with '/', no empty segment, no
 * "." or "..", no backslash, no encoded '/'. Target is cut at '?'. */
bool parse_path(const char *target, char *out, size_t size);

/* The first value of name in "a=1&b=2", decoded. False: not there, or not
 * valid, or more than WEB_PARAMETERS_MAX parameters. */
bool parse_query(const char *query, const char *name, char *out, size_t size);

/* The value of a cookie in "a=1; b=2" (RFC 6265 section 5.4), as it is: only
 * letters, digits, '-', '_' and '.' are let through. */
bool parse_cookie(const char *header, const char *name, char *out, size_t size);

/* The one of ours that the viewer likes best (RFC 9110 section 12.5.4); header
 * may be NULL. */
enum web_language parse_language(const char *header);
/* "en", "zh". False: neither. */
bool parse_language_name(const char *text, enum web_language *out);

/* "name", "name:port", "[::1]:port" (RFC 9110 section 7.2) into its host in
 * lower case, without brackets. port may be NULL; *port is 0 when none is
 * given. */
bool parse_host(const char *header, char *out, size_t size, uint16_t *port);

/* Whether an Origin ("https://host:port") is the same place as a Host. */
bool parse_same_origin(const char *origin, const char *host, bool tls);

/* Whether If-None-Match (RFC 9110 section 13.1.2) has etag, with quotes. */
bool parse_etag_match(const char *header, const char *etag);

/* Whether text may be gone to after a log-in: a path here, never another
 * place. */
bool parse_is_local(const char *text);

#endif
