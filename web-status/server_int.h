/* server_int.h - what the files of the page's server share. */
#ifndef WEB_STATUS_SERVER_INT_H
#define WEB_STATUS_SERVER_INT_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "proxy/lib/list.h"
#include "proxy/net/address.h"
#include "proxy/net/tls.h"
#include "store/ledger.h"
#include "web-status/lockout.h"
#include "web-status/page.h"
#include "web-status/parse.h"
#include "web-status/routes.h"
#include "web-status/session.h"
#include "web-status/users.h"

enum {
	WEB_THREADS = 3,
	WEB_HEADER_MEMORY = 32 * 1024, /* bytes of a request's head, about */
	WEB_FORM_MAX = 4096,           /* bytes of a log-in form */
	/* Milliseconds that a connection has for: */
	WEB_HEAD_MS = 20 * 1000,   /* a whole request head, and between two */
	WEB_FORM_MS = 15 * 1000,   /* a form */
	WEB_ANSWER_MS = 60 * 1000, /* taking an answer of known length */
	WEB_SILENT_S = 30,         /* taking nothing at all; seconds */
	WEB_PIECE_MS = 60 * 1000,  /* taking a piece of one without length */
};

struct worker;
struct web_data;   /* data.h */
struct web_events; /* events.h */
struct web_gate;   /* gate.h */
struct web_peer;   /* gate.h */
struct web_server;

struct web_server {
	const struct config *config;
	bool tls, login;
	struct worker *worker; /* its loop runs on the main thread */
	struct web_gate *gate;
	struct MHD_Daemon *http[WEB_THREADS];
	struct web_data *data;
	struct web_events *events;
	struct sessions *sessions;
	struct lockout *lockout;
	atomic_int hashing; /* passwords being checked, and waiting */
	pthread_mutex_t hash_lock;
	atomic_bool stopping;
	pthread_mutex_t bodies_lock;
	struct list bodies; /* under way */
	unsigned n_bodies;
	pthread_mutex_t users_lock;
	struct users *users; /* under users_lock */
};

struct web_body; /* body.c: what web_stream() was given */

struct web_request {
	struct web_server *server;
	struct web_peer *peer; /* NULL: for events */
	struct MHD_Connection *connection;
	bool seen, head, post;
	char target[WEB_PATH_MAX]; /* "": too long */
	char path[WEB_PATH_MAX];
	const char *tail;
	const struct web_route *route; /* NULL: none */
	enum web_language language;
	bool set_language;
	char theme[8];
	unsigned roles;
	char user[WEB_USER_LEN];
	bool has_session;
	struct session session;
	struct web_out *out;
	struct ledger_view *view;
	char why[LEDGER_WHY_LEN];
	/* of the response */
	char type[96];
	char download[96];
	char location[WEB_PATH_MAX];
	bool own_error;
	struct web_body *body;
	unsigned code;
	unsigned retry_after_s;
	bool close; /* the connection */
	char cookies[3][192];
	unsigned n_cookies;
	/* log-in */
	char form[WEB_FORM_MAX];
	size_t form_len;
	bool form_over;
	enum web_login_problem problem;
	char form_token[WEB_TOKEN_LEN]; /* of the log-in form */
	char next[WEB_PATH_MAX];
};

uint64_t web_now_ms(void);
/* WEB_HEAD_MS and WEB_PIECE_MS, or what a test asks for. */
uint64_t web_head_ms(void);
uint64_t web_piece_ms(void);

/* ---- request.c --------------------------------------------------------- */

/* A request of a connection; NULL: no memory. */
struct web_request *request_new(struct web_server *s, struct web_peer *p);
void request_free(struct web_request *r); /* NULL is fine */
/* What the views see: language, theme, cookies, from what came. */
void request_read(struct web_request *r);
/* A header's one value; NULL: none, or more than one. */
const char *request_header(const struct web_request *r, const char *name);
void request_set_cookie(struct web_request *r, const char *name,
			const char *value, long max_age_s);

/* ---- http.c ------------------------------------------------------------ */

/* Start the HTTP threads. */
enum err http_start(struct web_server *s) MUST_CHECK;
/* The gate is closed already. */
void http_stop(struct web_server *s);
/* Hand a connected socket over; it is closed in any case. */
bool http_take(struct web_server *s, unsigned thread, int fd);

/* ---- respond.c --------------------------------------------------------- */

struct web_asset;
enum MHD_Result respond_asset(struct web_request *r, const struct web_asset *a);
enum MHD_Result respond_page(struct web_request *r);
enum MHD_Result respond_body(struct web_request *r);
/* A page that says what is wrong, in place of what was written. */
enum MHD_Result respond_error(struct web_request *r, unsigned code);
/* Security headers and the type; used by events.c too. */
void respond_headers(struct web_request *r, struct MHD_Response *m,
		     const char *type);

/* ---- login.c ----------------------------------------------------------- */

/* Who asks, by certificate or session, into roles and user. */
void login_identify(struct web_request *r);
enum MHD_Result login_page(struct web_request *r);
enum MHD_Result login_post(struct web_request *r);
enum MHD_Result logout_post(struct web_request *r);
/* Read the users' file; false: it cannot be used, and the log says why. */
bool login_load_users(struct web_server *s);

/* ---- body.c ------------------------------------------------------------ */

/* NULL: no memory. The response owns the body then. */
struct MHD_Response *body_response(struct web_request *r);
/* One that was never sent. */
void body_drop(struct web_body *b);
/* Make every one end; the HTTP threads still run. */
void bodies_stop(struct web_server *s);

/* ---- health.c ---------------------------------------------------------- */

enum MHD_Result health_answer(struct web_request *r);
bool health_is(const char *path);

/* ---- sandbox.c --------------------------------------------------------- */

/* Before there are threads, for it holds for this one and those it makes: no
 * file is opened from here on but by the broker. Where the kernel cannot do
 * that, the log says so, and the rest holds. */
enum err sandbox_begin(const struct config *config) MUST_CHECK;
/* Give up every capability. After it listens, and before there are threads:
 * each has its own set, a copy of its maker's. ERR_DENIED: they are still
 * there, and the log says so. */
enum err sandbox_drop(void) MUST_CHECK;
/* Give up what else a process that only serves pages does not need. After it
 * listens. */
void sandbox_enter(const struct config *config);

#endif
