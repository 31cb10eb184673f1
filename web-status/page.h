/* page.h - what a view sees: the request, the output, and where data is.
 *
 * A view runs on one of the server's threads, several at once, and may block
 * for the length of a short database transaction. It writes into a bounded
 * buffer; nothing leaves before it returns, so that it may fail at any line.
 * What a view gets has passed the server's checks: GET or HEAD, Host, path,
 * log-in and role of its route (routes.h).
 *
 *   enum web_code view_now(struct web_request *r, struct web_out *o)
 *   {
 *           out_raw(o, "<p>");
 *           out_text(o, web_user(r));
 *           out_raw(o, "</p>");
 *           return WEB_OK;
 *   }
 */
#ifndef WEB_STATUS_PAGE_H
#define WEB_STATUS_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

struct config;
struct json_t;
struct ledger_view;
struct web_out;     /* opaque */
struct web_request; /* opaque; for one request */

enum {
	WEB_PATH_MAX = 1024,           /* bytes of path and query, together */
	WEB_VALUE_MAX = 512,           /* of one query value, NUL included */
	WEB_PARAMETERS_MAX = 32,       /* of one query */
	WEB_USER_LEN = 65,             /* NUL included */
	WEB_OUT_MAX = 8 * 1024 * 1024, /* bytes of one page */
	WEB_TOKEN_LEN = 65,            /* hex of 256 bits and NUL */
};

/* HTTP status (RFC 9110 section 15). A code from 400 on replaces what the view
 * wrote, unless it called web_own_error(). */
enum web_code {
	WEB_OK = 200,
	WEB_SEE_OTHER = 303, /* after web_redirect() */
	WEB_BAD_REQUEST = 400,
	WEB_FORBIDDEN = 403,
	WEB_NOT_FOUND = 404,
	WEB_TOO_MANY = 429,
	WEB_FAILED = 500,
	WEB_UNAVAILABLE = 503 /* the daemon or the ledger does not answer */
};

enum web_language { WEB_EN, WEB_ZH, WEB_LANGUAGES };

/* ---- the request ------------------------------------------------------- */

/* As it came but for the query: "/study/1.2.3". */
const char *web_path(const struct web_request *r);
/* What follows the path of a route that ends in '/': "1.2.3". Decoded, no '/',
 * no control characters; never NULL. */
const char *web_tail(const struct web_request *r);

/* The first value of a query parameter, decoded into out[0..size) with a NUL.
 * False: not given, or not valid: longer than fits, broken escapes, a control
 * character, not UTF-8. An empty value is "" and true. */
bool web_query(const struct web_request *r, const char *name, char *out,
	       size_t size);
/* As a decimal number; false as above, or it is none, or out of min..max. */
bool web_query_number(const struct web_request *r, const char *name,
		      uint64_t min, uint64_t max, uint64_t *out);
/* The query as it came, without '?', to be shown in links through out_text();
 * never NULL. */
const char *web_query_text(const struct web_request *r);

/* By ?lang=en|zh, else the cookie "lang", else Accept-Language, else English.
 * ?lang sets the cookie. */
enum web_language web_language(const struct web_request *r);
/* By ?theme=light|dark| (empty: as the viewer's system has it), else the cookie
 * "theme"; "" where the system decides. ?theme sets the cookie. */
const char *web_theme(const struct web_request *r);

/* Who asks. roles: bits of policy/roles.h. user: "" where nobody logged in (on
 * loopback without users). */
unsigned web_roles(const struct web_request *r);
const char *web_user(const struct web_request *r);
/* Whether there is a log-in at all, and whether this one may be ended (not one
 * by certificate). */
bool web_has_login(const struct web_request *r);
bool web_can_logout(const struct web_request *r);
/* For the hidden field "csrf" of the log-out form; "" without a session. */
const char *web_csrf(const struct web_request *r);
/* "10.1.4.20": the other end of the connection, never from a header. */
const char *web_address(const struct web_request *r);

/* ---- the log-in page and the page of an error -------------------------- */

enum web_login_problem {
	WEB_LOGIN_FINE,  /* nothing was tried yet */
	WEB_LOGIN_WRONG, /* name or password; never say which */
	WEB_LOGIN_WAIT,  /* too many failures: web_login_wait() */
	WEB_LOGIN_STALE  /* the form was too old: try again */
};

/* For view_login: a form with method post, action "/login" and the fields
 * name, password, csrf (hidden: web_login_token()) and next (hidden: the same
 * query parameter). */
enum web_login_problem web_login_problem(const struct web_request *r);
unsigned web_login_wait(const struct web_request *r); /* seconds */
const char *web_login_token(const struct web_request *r);
const char *web_login_next(const struct web_request *r); /* "/" or more */
/* For view_error: the status it is about, 400 or more. */
unsigned web_error_code(const struct web_request *r);

/* ---- data -------------------------------------------------------------- */

const struct config *web_config(const struct web_request *r);

/* The ledger, read-only, lent until the view returns. NULL: it cannot be read
 * now; why is a sentence. Answer WEB_UNAVAILABLE, or show what there is. */
struct ledger_view *web_ledger(struct web_request *r, const char **why);

/* The daemon's status (control op "status"), not older than a second while it
 * answers. A new reference for json_decref(); NULL: it does not answer. Two
 * threads may hold the same value: read it only. age_ms may be NULL. */
struct json_t *web_status(struct web_request *r, uint64_t *age_ms);

/* Ask the daemon anything else; user, roles and address of the viewer are
 * added for its own check and its audit ("web":{...}). answer is a new
 * reference on ERR_OK, which may still be {"ok":false}. May take seconds.
 * ERR_NOTFOUND, ERR_DENIED, ERR_IO, ERR_NOMEM. */
enum err web_control(struct web_request *r, const struct json_t *request,
		     struct json_t **answer) MUST_CHECK;

/* ---- other than a page ------------------------------------------------- */

/* The route's type and the language stand unless these are called; text is
 * copied, and must hold no control characters. */
void web_set_type(struct web_request *r, const char *type);
/* Content-Disposition: attachment. name: [A-Za-z0-9._-], others become '-'. */
void web_set_download(struct web_request *r, const char *name);
/* Location, a path of this server ("/" and not "//"), for WEB_SEE_OTHER. */
void web_redirect(struct web_request *r, const char *path);
/* What the view wrote stands, even with a code from 400 on. */
void web_own_error(struct web_request *r);

/* A body of unknown length, in place of what the view wrote. read fills
 * p[0..cap) and returns how many bytes, 0 at the end, -1 on failure (the
 * connection is then cut, so that the client does not take it for whole). It
 * runs on a thread of its own, may block, and is called no faster than the
 * client takes the bytes. done runs once, on any thread, also when the client
 * goes away; it must not wait for read, which has ended. cancel (may be NULL)
 * runs before done on another thread while read may still block: it makes
 * read return (shutdown() of its socket).
 *
 * ERR_BUSY: too many at once (answer WEB_TOO_MANY); ERR_NOMEM. On error nothing
 * of s is called. */
struct web_stream {
	ptrdiff_t (*read)(void *arg, uint8_t *p, size_t cap);
	void (*cancel)(void *arg);
	void (*done)(void *arg);
	void *arg;
};
enum err web_stream(struct web_request *r,
		    const struct web_stream *s) MUST_CHECK;

/* The daemon's answer and then the bytes behind it (control ops that export):
 * as web_control(), and on ERR_OK with {"ok":true} *fd is a blocking socket
 * with its deadline, the caller's to close. -1 otherwise. */
enum err web_control_open(struct web_request *r, const struct json_t *request,
			  struct json_t **answer, int *fd) MUST_CHECK;

/* ---- output ------------------------------------------------------------ */

/* The first failure (WEB_OUT_MAX, memory) is sticky and the server answers
 * WEB_FAILED: no call needs checking. */

/* Text of an element or of a quoted attribute, escaped: & < > " ' and what is
 * not valid UTF-8 (as U+FFFD) or a control character (but tab and newline).
 * NULL writes nothing. */
void out_text(struct web_out *o, const char *s);
/* The same for n bytes, which may hold no NUL. */
void out_text_n(struct web_out *o, const char *s, size_t n);
/* For the value of one query parameter or path segment in a link:
 * percent-encoded, safe inside quotes. */
void out_url(struct web_out *o, const char *s);
/* A literal of the program, as it is. */
#define out_raw(o, literal) out_bytes(o, "" literal, sizeof(literal) - 1)
void out_bytes(struct web_out *o, const void *p, size_t n);
/* The format is markup as it is, every %s is escaped as by out_text(). Other
 * conversions: %d %u %x %c, with l, ll, z, j, width and precision; %f %e %g;
 * %%. */
void out_printf(struct web_out *o, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes, safe inside HTML too (< > & as \u00XX). */
void out_json_string(struct web_out *o, const char *s);
/* Any JSON value, compact, on one line, safe as above. */
void out_json(struct web_out *o, const struct json_t *j);

bool out_failed(const struct web_out *o);
size_t out_len(const struct web_out *o);
/* Drop what was written, and the failure. */
void out_clear(struct web_out *o);

/* For tests, and for the server. max in bytes. NULL: no memory. */
struct web_out *out_new(size_t max);
void out_free(struct web_out *o); /* NULL is fine */
/* Valid until the next call; not terminated. */
const char *out_data(const struct web_out *o);

#endif
