/* login.c - who asks: by certificate, by session, or nobody.
 *
 * A form is taken only from a page of ours: its token stands in a cookie too
 * that no other site can set or have sent (SameSite=Strict), and Origin must be
 * this place. A name that does not exist costs as much time as one that does.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/config.h"
#include "policy/roles.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "web-status/data.h"
#include "web-status/gate.h"
#include "web-status/password.h"
#include "web-status/server_int.h"
#include "web-status/views.h"

enum {
	HASHING_MAX = 2, /* one is checked, one waits; others come again */
	FORM_AGE_S = 3600,
};

#define FORM_COOKIE "culvert-form"

/* "__Host-" makes browsers insist on TLS, this host and all its paths. */
static const char *session_cookie(const struct web_server *s)
{
	return s->tls ? "__Host-culvert" : "culvert-session";
}

static uint64_t stamp_of(const char *credential)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (; *credential != '\0'; credential++)
		h = (h ^ (unsigned char)*credential) * 1099511628211u;
	return h;
}

/* ---- who --------------------------------------------------------------- */

static void be(struct web_request *r, const struct user *who)
{
	r->roles = who->roles;
	memcpy(r->user, who->name, sizeof(r->user));
}

static bool by_certificate(struct web_request *r)
{
	struct web_server *s = r->server;
	struct user who;
	bool known;

	if (peer_fingerprint(r->peer)[0] == '\0')
		return false;
	pthread_mutex_lock(&s->users_lock);
	known = users_by_certificate(s->users, peer_fingerprint(r->peer),
				     peer_subject(r->peer), &who);
	pthread_mutex_unlock(&s->users_lock);
	if (!known)
		return false;
	be(r, &who);
	if (peer_first_use(r->peer))
		data_record(s->data, "login", who.name, peer_address(r->peer),
			    "certificate");
	return true;
}

/* As the file says now: roles may have changed, or the password. */
static bool still_valid(struct web_server *s, struct session *session)
{
	const char *encoded;
	struct user who;
	bool same;

	pthread_mutex_lock(&s->users_lock);
	encoded = users_by_name(s->users, session->user.name, &who);
	same = encoded != NULL && stamp_of(encoded) == session->stamp;
	pthread_mutex_unlock(&s->users_lock);
	if (same)
		session->user = who;
	return same;
}

static bool by_session(struct web_request *r)
{
	struct web_server *s = r->server;
	char token[WEB_TOKEN_LEN];

	if (!parse_cookie(request_header(r, "Cookie"), session_cookie(s), token,
			  sizeof(token)) ||
	    !sessions_find(s->sessions, web_now_ms(), token, &r->session))
		return false;
	if (!still_valid(s, &r->session)) {
		sessions_end(s->sessions, r->session.id);
		return false;
	}
	r->has_session = true;
	be(r, &r->session.user);
	return true;
}

void login_identify(struct web_request *r)
{
	if (!r->server->login) {
		r->roles = peer_on_loopback(r->peer) ? ROLE_OPERATOR : 0;
		return;
	}
	if (!by_certificate(r))
		(void)by_session(r);
}

/* ---- the form ---------------------------------------------------------- */

static bool is_token(const char *text)
{
	return strlen(text) == WEB_TOKEN_LEN - 1 &&
	       strspn(text, "0123456789abcdef") == WEB_TOKEN_LEN - 1;
}

/* The one that the viewer has, or a new one. */
static bool form_token(struct web_request *r)
{
	if (parse_cookie(request_header(r, "Cookie"), FORM_COOKIE,
			 r->form_token, sizeof(r->form_token)) &&
	    is_token(r->form_token))
		return true;
	if (token_make(r->form_token) != ERR_OK)
		return false;
	request_set_cookie(r, FORM_COOKIE, r->form_token, FORM_AGE_S);
	return true;
}

static enum MHD_Result show_form(struct web_request *r, unsigned code,
				 enum web_login_problem problem)
{
	r->out = out_new(WEB_OUT_MAX);
	r->problem = problem;
	r->code = code;
	if (r->out == NULL || !form_token(r) ||
	    view_login(r, r->out) != WEB_OK || out_failed(r->out))
		return MHD_NO;
	return respond_page(r);
}

static enum MHD_Result go(struct web_request *r, const char *path)
{
	r->out = out_new(WEB_OUT_MAX);
	if (r->out == NULL)
		return MHD_NO;
	web_redirect(r, path);
	r->code = WEB_SEE_OTHER;
	return respond_page(r);
}

enum MHD_Result login_page(struct web_request *r)
{
	if (!web_query(r, "next", r->next, sizeof(r->next)) ||
	    !parse_is_local(r->next))
		r->next[0] = '\0';
	if (r->roles != 0)
		return go(r, web_login_next(r));
	return show_form(r, WEB_OK, WEB_LOGIN_FINE);
}

/* ---- what is sent ------------------------------------------------------ */

static bool field(const struct web_request *r, const char *name, char *out,
		  size_t size)
{
	return parse_query(r->form, name, out, size);
}

/* RFC 6454 section 7; Fetch Metadata. */
static bool from_here(const struct web_request *r)
{
	const char *origin = request_header(r, "Origin");
	const char *site = request_header(r, "Sec-Fetch-Site");
	const char *type = request_header(r, "Content-Type");

	if (type == NULL ||
	    strncasecmp(type, "application/x-www-form-urlencoded", 33) != 0)
		return false;
	if (site != NULL && strcmp(site, "same-origin") != 0)
		return false;
	return origin == NULL ||
	       parse_same_origin(origin, request_header(r, "Host"),
				 r->server->tls);
}

static bool form_is_ours(const struct web_request *r)
{
	char cookie[WEB_TOKEN_LEN], given[WEB_TOKEN_LEN];

	return parse_cookie(request_header(r, "Cookie"), FORM_COOKIE, cookie,
			    sizeof(cookie)) &&
	       is_token(cookie) && field(r, "csrf", given, sizeof(given)) &&
	       token_same(cookie, given);
}

static void note(const struct web_request *r, const char *what,
		 const char *name)
{
	if (strcmp(what, "login") == 0 || strcmp(what, "logout") == 0)
		log_event(LOG_INFO, "web-logged", "what=%s user=%s peer=%s",
			  what, name, peer_address(r->peer));
	else
		log_event(LOG_WARN, "web-login", "what=%s user=%s peer=%s",
			  what, name, peer_address(r->peer));
	data_record(r->server->data, what, name, peer_address(r->peer),
		    "password");
}

/* The lock is held while a password is checked: one at a time. */
static enum web_login_problem try_password(struct web_request *r,
					   const char *name,
					   const char *password,
					   uint64_t *stamp, struct user *who)
{
	char encoded[PASSWORD_ENCODED_LEN] = "";
	const char *bucket = peer_bucket(r->peer), *found;
	struct web_server *s = r->server;
	uint64_t wait = lockout_wait(s->lockout, web_now_ms(), bucket, name);

	if (wait > 0) {
		r->retry_after_s = (unsigned)(wait / 1000) + 1;
		return WEB_LOGIN_WAIT;
	}
	pthread_mutex_lock(&s->users_lock);
	found = users_by_name(s->users, name, who);
	if (found != NULL)
		snprintf(encoded, sizeof(encoded), "%s", found);
	pthread_mutex_unlock(&s->users_lock);
	if (!password_check(found != NULL ? encoded : NULL, password)) {
		lockout_failed(s->lockout, web_now_ms(), bucket, name);
		return WEB_LOGIN_WRONG;
	}
	lockout_passed(s->lockout, web_now_ms(), bucket, name);
	*stamp = stamp_of(encoded);
	return WEB_LOGIN_FINE;
}

static enum MHD_Result begin_session(struct web_request *r,
				     const struct user *who, uint64_t stamp)
{
	struct web_server *s = r->server;
	char token[WEB_TOKEN_LEN];

	if (r->has_session)
		sessions_end(s->sessions, r->session.id);
	if (sessions_begin(s->sessions, web_now_ms(), who, stamp, token) !=
	    ERR_OK)
		return respond_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR);
	request_set_cookie(r, session_cookie(s), token,
			   (long)(s->config->status.session.lifetime / 1000));
	mem_wipe(token, sizeof(token));
	note(r, "login", who->name);
	return go(r, web_login_next(r));
}

static enum MHD_Result checked(struct web_request *r, const char *name,
			       const char *password)
{
	enum web_login_problem problem;
	struct user who = {.roles = 0};
	uint64_t stamp = 0;

	pthread_mutex_lock(&r->server->hash_lock);
	problem = try_password(r, name, password, &stamp, &who);
	pthread_mutex_unlock(&r->server->hash_lock);
	if (problem == WEB_LOGIN_FINE)
		return begin_session(r, &who, stamp);
	note(r, problem == WEB_LOGIN_WAIT ? "login-delayed" : "login-failed",
	     name);
	return show_form(
	    r, problem == WEB_LOGIN_WAIT ? WEB_TOO_MANY : WEB_FORBIDDEN,
	    problem);
}

enum MHD_Result login_post(struct web_request *r)
{
	char name[WEB_USER_LEN], password[WEB_VALUE_MAX];
	enum MHD_Result done;

	if (!from_here(r))
		return respond_error(r, MHD_HTTP_FORBIDDEN);
	if (!field(r, "next", r->next, sizeof(r->next)) ||
	    !parse_is_local(r->next))
		r->next[0] = '\0';
	if (!form_is_ours(r))
		return show_form(r, WEB_FORBIDDEN, WEB_LOGIN_STALE);
	/* what cannot be a name is still an attempt; nobody is called that */
	if (!field(r, "name", name, sizeof(name)) || !users_name_ok(name))
		memcpy(name, "?", 2);
	if (!field(r, "password", password, sizeof(password)))
		password[0] = '\0';
	if (atomic_fetch_add(&r->server->hashing, 1) < HASHING_MAX)
		done = checked(r, name, password);
	else
		done = respond_error(r, MHD_HTTP_SERVICE_UNAVAILABLE);
	atomic_fetch_sub(&r->server->hashing, 1);
	mem_wipe(password, sizeof(password));
	return done;
}

enum MHD_Result logout_post(struct web_request *r)
{
	char given[WEB_TOKEN_LEN];

	if (!from_here(r) || !r->has_session ||
	    !field(r, "csrf", given, sizeof(given)) ||
	    !token_same(r->session.csrf, given))
		return respond_error(r, MHD_HTTP_FORBIDDEN);
	sessions_end(r->server->sessions, r->session.id);
	request_set_cookie(r, session_cookie(r->server), "", 0);
	note(r, "logout", r->user);
	return go(r, "/login");
}

/* ---- the file ---------------------------------------------------------- */

bool login_load_users(struct web_server *s)
{
	struct users *fresh = NULL, *before;
	char why[USERS_WHY_LEN];

	if (!s->login)
		return true;
	if (users_load(s->config->status.users, &fresh, why) != ERR_OK) {
		log_event(LOG_ERROR, "web-users", "file=%s detail=\"%s\"",
			  s->config->status.users, why);
		return false;
	}
	pthread_mutex_lock(&s->users_lock);
	before = s->users;
	s->users = fresh;
	pthread_mutex_unlock(&s->users_lock);
	users_free(before);
	return true;
}
