/* What a view sees of a request. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "web-status/data.h"
#include "web-status/gate.h"
#include "web-status/server_int.h"

uint64_t web_now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

uint64_t web_head_ms(void)
{
#ifdef CULVERT_TEST_HOOKS
	const char *hook = getenv("CULVERT_TEST_WEB_HEAD_MS");

	if (hook != NULL)
		return strtoul(hook, NULL, 10);
#endif
	return WEB_HEAD_MS;
}

uint64_t web_piece_ms(void)
{
#ifdef CULVERT_TEST_HOOKS
	const char *hook = getenv("CULVERT_TEST_WEB_PIECE_MS");

	if (hook != NULL)
		return strtoul(hook, NULL, 10);
#endif
	return WEB_PIECE_MS;
}

struct web_request *request_new(struct web_server *s, struct web_peer *p)
{
	struct web_request *r = mem_zalloc(sizeof(*r));

	if (r == NULL)
		return NULL;
	r->server = s;
	r->peer = p;
	r->tail = "";
	r->code = WEB_OK;
	return r;
}

void request_free(struct web_request *r)
{
	if (r == NULL)
		return;
	data_ledger_return(r->server->data, r->view);
	body_drop(r->body);
	out_free(r->out);
	mem_wipe(r->form, sizeof(r->form));
	mem_wipe(&r->session, sizeof(r->session));
	mem_free(r);
}

/* ---- headers ----------------------------------------------------------- */

struct search {
	const char *name;
	const char *value;
	unsigned n;
};

static enum MHD_Result on_header(void *arg, enum MHD_ValueKind kind,
				 const char *name, const char *value)
{
	struct search *s = arg;

	(void)kind;
	if (strcasecmp(name, s->name) == 0) {
		s->value = value != NULL ? value : "";
		s->n++;
	}
	return MHD_YES;
}

const char *request_header(const struct web_request *r, const char *name)
{
	struct search s = {.name = name};

	if (r->connection != NULL)
		MHD_get_connection_values(r->connection, MHD_HEADER_KIND,
					  on_header, &s);
	return s.n == 1 ? s.value : NULL;
}

static bool cookie(const struct web_request *r, const char *name, char *out,
		   size_t size)
{
	return parse_cookie(request_header(r, "Cookie"), name, out, size);
}

static void read_language(struct web_request *r)
{
	char text[8];

	if (web_query(r, "lang", text, sizeof(text)) &&
	    parse_language_name(text, &r->language)) {
		r->set_language = true;
		return;
	}
	if (cookie(r, "lang", text, sizeof(text)) &&
	    parse_language_name(text, &r->language))
		return;
	r->language = parse_language(request_header(r, "Accept-Language"));
}

static bool is_theme(const char *text)
{
	return text[0] == '\0' || strcmp(text, "light") == 0 ||
	       strcmp(text, "dark") == 0;
}

static void read_theme(struct web_request *r)
{
	char text[8];

	if (web_query(r, "theme", text, sizeof(text)) && is_theme(text)) {
		request_set_cookie(r, "theme", text,
				   text[0] != '\0' ? 365L * 24 * 3600 : 0);
		memcpy(r->theme, text, sizeof(text));
	} else if (cookie(r, "theme", text, sizeof(text)) && is_theme(text)) {
		memcpy(r->theme, text, sizeof(text));
	}
}

void request_read(struct web_request *r)
{
	read_language(r);
	read_theme(r);
	if (r->set_language)
		request_set_cookie(r, "lang",
				   r->language == WEB_ZH ? "zh" : "en",
				   365L * 24 * 3600);
}

void request_set_cookie(struct web_request *r, const char *name,
			const char *value, long max_age_s)
{
	if (r->n_cookies == sizeof(r->cookies) / sizeof(r->cookies[0]))
		return;
	snprintf(r->cookies[r->n_cookies], sizeof(r->cookies[0]),
		 "%s=%s; Path=/; Max-Age=%ld; HttpOnly; SameSite=Strict%s",
		 name, value, max_age_s, r->server->tls ? "; Secure" : "");
	r->n_cookies++;
}

/* ---- accessors --------------------------------------------------------- */

const char *web_path(const struct web_request *r)
{
	return r->path;
}

const char *web_tail(const struct web_request *r)
{
	return r->tail;
}

const char *web_query_text(const struct web_request *r)
{
	const char *q = strchr(r->target, '?');

	return q != NULL ? q + 1 : "";
}

bool web_query(const struct web_request *r, const char *name, char *out,
	       size_t size)
{
	return parse_query(web_query_text(r), name, out, size);
}

bool web_query_number(const struct web_request *r, const char *name,
		      uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	char text[24];

	if (!web_query(r, name, text, sizeof(text)) || text[0] == '\0')
		return false;
	for (const char *p = text; *p != '\0'; p++) {
		if (*p < '0' || *p > '9' || v > (UINT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (uint64_t)(*p - '0');
	}
	if (v < min || v > max)
		return false;
	*out = v;
	return true;
}

enum web_language web_language(const struct web_request *r)
{
	return r->language;
}

const char *web_theme(const struct web_request *r)
{
	return r->theme;
}

unsigned web_roles(const struct web_request *r)
{
	return r->roles;
}

const char *web_user(const struct web_request *r)
{
	return r->user;
}

bool web_has_login(const struct web_request *r)
{
	return r->server->login;
}

bool web_can_logout(const struct web_request *r)
{
	return r->has_session;
}

const char *web_csrf(const struct web_request *r)
{
	return r->has_session ? r->session.csrf : "";
}

const char *web_address(const struct web_request *r)
{
	return r->peer != NULL ? peer_address(r->peer) : "";
}

enum web_login_problem web_login_problem(const struct web_request *r)
{
	return r->problem;
}

unsigned web_login_wait(const struct web_request *r)
{
	return r->retry_after_s;
}

const char *web_login_token(const struct web_request *r)
{
	return r->form_token;
}

const char *web_login_next(const struct web_request *r)
{
	return r->next[0] != '\0' ? r->next : "/";
}

unsigned web_error_code(const struct web_request *r)
{
	return r->code;
}

const struct config *web_config(const struct web_request *r)
{
	return r->server->config;
}

/* ---- the response ------------------------------------------------------ */

static void copy_visible(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text != '\0' && n + 1 < size; text++)
		if ((unsigned char)*text >= 0x20 && (unsigned char)*text < 0x7f)
			out[n++] = *text;
	out[n] = '\0';
}

void web_set_type(struct web_request *r, const char *type)
{
	copy_visible(r->type, sizeof(r->type), type);
}

void web_set_download(struct web_request *r, const char *name)
{
	copy_visible(r->download, sizeof(r->download), name);
	for (char *p = r->download; *p != '\0'; p++)
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxy"
			   "z0123456789._-",
			   *p) == NULL)
			*p = '-';
}

void web_redirect(struct web_request *r, const char *path)
{
	if (parse_is_local(path) && strlen(path) < sizeof(r->location))
		memcpy(r->location, path, strlen(path) + 1);
	else
		memcpy(r->location, "/", 2);
}

void web_own_error(struct web_request *r)
{
	r->own_error = true;
}
