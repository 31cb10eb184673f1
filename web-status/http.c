/* http.c - libmicrohttpd: requests in, one of our answers out.
 *
 * What it is given are connected sockets; each thread has a daemon of its own.
 * The order of the checks is: method, target, Host, who, right, route. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "policy/config.h"
#include "policy/roles.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "web-status/asset.h"
#include "web-status/data.h"
#include "web-status/events.h"
#include "web-status/gate.h"
#include "web-status/server_int.h"

/* ---- checks ------------------------------------------------------------ */

static bool is_loopback_name(const char *host)
{
	return strcmp(host, "localhost") == 0 ||
	       strcmp(host, "ip6-localhost") == 0;
}

static bool is_ours(const struct web_request *r, const char *host)
{
	const struct config *c = r->server->config;

	/* an address names one machine: rebinding takes a name */
	if (strcmp(host, peer_local(r->peer)) == 0 ||
	    strcmp(host, c->status.address.host) == 0)
		return true;
	if (peer_on_loopback(r->peer) && is_loopback_name(host))
		return true;
	for (size_t i = 0; i < c->status.hosts.n; i++)
		if (strcasecmp(host, c->status.hosts.v[i]) == 0)
			return true;
	return false;
}

static bool host_ok(const struct web_request *r)
{
	const char *header = request_header(r, "Host");
	char host[PARSE_HOST_LEN];

	return header != NULL && parse_host(header, host, sizeof(host), NULL) &&
	       is_ours(r, host);
}

/* 0: fine. */
static unsigned check(struct web_request *r)
{
	if (r->target[0] == '\0')
		return MHD_HTTP_URI_TOO_LONG;
	if (!parse_path(r->target, r->path, sizeof(r->path)))
		return MHD_HTTP_BAD_REQUEST;
	if (r->form_over || (!r->post && r->form_len > 0)) {
		r->close = true;
		return MHD_HTTP_BAD_REQUEST;
	}
	return host_ok(r) ? 0 : MHD_HTTP_MISDIRECTED_REQUEST;
}

/* ---- the answer -------------------------------------------------------- */

static const struct web_asset *asset_find(const char *path)
{
	for (size_t i = 0; i < web_n_assets; i++)
		if (strcmp(web_assets[i].path, path) == 0)
			return &web_assets[i];
	return NULL;
}

static enum MHD_Result run_view(struct web_request *r)
{
	r->out = out_new(WEB_OUT_MAX);
	if (r->out == NULL)
		return MHD_NO;
	r->code = (unsigned)r->route->view(r, r->out);
	if (r->code >= MHD_HTTP_BAD_REQUEST && !r->own_error)
		return respond_error(r, r->code);
	if (r->body != NULL)
		return respond_body(r);
	if (out_failed(r->out)) {
		log_event(
		    LOG_ERROR, "web-page-failed",
		    "path=%s detail=\"out of memory, or the page is longer "
		    "than %d bytes\"",
		    r->route->path, WEB_OUT_MAX);
		return respond_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR);
	}
	return respond_page(r);
}

static enum MHD_Result run_events(struct web_request *r)
{
	struct MHD_Response *m;
	enum MHD_Result done;

	if (r->head)
		return respond_error(r, MHD_HTTP_NOT_FOUND);
	m = events_response(r);
	if (m == NULL)
		return respond_error(r, MHD_HTTP_SERVICE_UNAVAILABLE);
	respond_headers(r, m, "text/event-stream");
	(void)MHD_add_response_header(m, "Cache-Control", "no-store");
	done = MHD_queue_response(r->connection, MHD_HTTP_OK, m);
	MHD_destroy_response(m);
	return done;
}

/* Nobody we know asks for what needs a role. */
static enum MHD_Result send_to_login(struct web_request *r)
{
	bool page = r->route == NULL ||
		    (r->route->event == NULL && r->route->type == NULL);
	size_t n = 0;

	if (!page)
		return respond_error(r, MHD_HTTP_UNAUTHORIZED);
	r->out = out_new(WEB_OUT_MAX);
	if (r->out == NULL)
		return MHD_NO;
	if (parse_is_local(r->target) && strcmp(r->target, "/") != 0) {
		out_raw(r->out, "/login?next=");
		out_url(r->out, r->target);
		n = out_len(r->out);
	}
	if (n > 0 && n < sizeof(r->location))
		memcpy(r->location, out_data(r->out), n);
	else
		memcpy(r->location, "/login", 7);
	out_clear(r->out);
	r->code = WEB_SEE_OTHER;
	return respond_page(r);
}

static enum MHD_Result answer_page(struct web_request *r)
{
	const struct right *right = right_find(RIGHT_PAGE, r->path);

	r->route = web_route_find(r->path, &r->tail);
	if (right == NULL)
		return respond_error(r, MHD_HTTP_NOT_FOUND);
	if (!right->open && (right->roles & r->roles) == 0)
		return r->roles == 0 && r->server->login
			   ? send_to_login(r)
			   : respond_error(r, MHD_HTTP_FORBIDDEN);
	if (r->route == NULL)
		return respond_error(r, MHD_HTTP_NOT_FOUND);
	return r->route->event != NULL ? run_events(r) : run_view(r);
}

static enum MHD_Result answer_post(struct web_request *r)
{
	if (r->server->login && strcmp(r->path, "/login") == 0)
		return login_post(r);
	if (r->server->login && strcmp(r->path, "/logout") == 0)
		return logout_post(r);
	return respond_error(r, MHD_HTTP_METHOD_NOT_ALLOWED);
}

static enum MHD_Result answer(struct web_request *r)
{
	unsigned wrong = check(r);
	const struct web_asset *asset;

	if (wrong != 0)
		return respond_error(r, wrong);
	if (health_is(r->path) && !r->post)
		return health_answer(r);
	asset = asset_find(r->path);
	if (asset != NULL && !r->post)
		return respond_asset(r, asset);
	request_read(r);
	login_identify(r);
	if (r->post)
		return answer_post(r);
	if (r->server->login && strcmp(r->path, "/login") == 0)
		return login_page(r);
	return answer_page(r);
}

/* ---- libmicrohttpd's callbacks ----------------------------------------- */

static struct web_peer *peer_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *i =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return i != NULL ? i->socket_context : NULL;
}

/* The request line is there; the rest may still come. */
static void *on_uri(void *arg, const char *uri, struct MHD_Connection *c)
{
	struct web_peer *p = peer_of(c);
	struct web_request *r = p != NULL ? request_new(arg, p) : NULL;

	if (r == NULL)
		return NULL;
	/* one that broke off is not always said to be completed */
	request_free(peer_request(p));
	peer_set_request(p, r);
	r->connection = c;
	if (strlen(uri) < sizeof(r->target))
		memcpy(r->target, uri, strlen(uri) + 1);
	return r;
}

static void take_form(struct web_request *r, const char *p, size_t n)
{
	if (n > sizeof(r->form) - 1 - r->form_len) {
		r->form_over = true;
		return;
	}
	memcpy(r->form + r->form_len, p, n);
	r->form_len += n;
}

static bool read_method(struct web_request *r, const char *method)
{
	r->head = strcmp(method, "HEAD") == 0;
	r->post = strcmp(method, "POST") == 0;
	return r->head || r->post || strcmp(method, "GET") == 0;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c,
				  const char *url, const char *method,
				  const char *version, const char *upload,
				  size_t *n_upload, void **state)
{
	struct web_request *r = *state;

	(void)arg;
	(void)c;
	(void)url;
	(void)version;
	if (r == NULL)
		return MHD_NO;
	if (!r->seen) {
		r->seen = true;
		if (!read_method(r, method)) {
			r->close = true;
			return respond_error(r, MHD_HTTP_METHOD_NOT_ALLOWED);
		}
		peer_deadline(r->peer, r->post ? WEB_FORM_MS : WEB_ANSWER_MS);
		return MHD_YES;
	}
	if (*n_upload > 0) {
		take_form(r, upload, *n_upload);
		*n_upload = 0;
		return r->form_over ? MHD_NO : MHD_YES;
	}
	return answer(r);
}

static void on_completed(void *arg, struct MHD_Connection *c, void **state,
			 enum MHD_RequestTerminationCode code)
{
	struct web_request *r = *state;

	(void)arg;
	(void)c;
	(void)code;
	if (r != NULL) {
		peer_deadline(r->peer, web_head_ms());
		peer_set_request(r->peer, NULL);
	}
	request_free(r);
	*state = NULL;
}

static void on_connection(void *arg, struct MHD_Connection *c, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct web_server *s = arg;
	const union MHD_ConnectionInfo *i;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		i = MHD_get_connection_info(c,
					    MHD_CONNECTION_INFO_CONNECTION_FD);
		*context = i != NULL ? gate_peer(s->gate, i->connect_fd) : NULL;
		return;
	}
	if (*context != NULL) {
		request_free(peer_request(*context));
		peer_http_done(*context);
	}
	*context = NULL;
}

/* parse.h does this from the target as it came. */
static size_t keep_escapes(void *arg, struct MHD_Connection *c, char *text)
{
	(void)arg;
	(void)c;
	return strlen(text);
}

static void on_log(void *arg, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
static void on_log(void *arg, const char *fmt, va_list ap)
{
	char text[256], escaped[512];

	(void)arg;
	vsnprintf(text, sizeof(text), fmt, ap);
	log_event(LOG_DEBUG, "web-http", "text=%s",
		  log_esc(text, escaped, sizeof(escaped)));
}

/* ---- life -------------------------------------------------------------- */

enum err http_start(struct web_server *s)
{
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD |
			 MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC |
			 MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

	for (unsigned i = 0; i < WEB_THREADS; i++) {
		s->http[i] = MHD_start_daemon(
		    flags, 0, NULL, NULL, on_request, s,
		    MHD_OPTION_EXTERNAL_LOGGER, on_log, s,
		    MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
		    MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
		    MHD_OPTION_URI_LOG_CALLBACK, on_uri, s,
		    MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, s,
		    MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		    (size_t)WEB_HEADER_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
		    (unsigned)WEB_SILENT_S, MHD_OPTION_CONNECTION_LIMIT,
		    s->config->status.connections + 16,
		    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
		if (s->http[i] == NULL) {
			log_event(LOG_ERROR, "web-start",
				  "detail=\"no thread for HTTP\"");
			return ERR_IO;
		}
	}
	return ERR_OK;
}

void http_stop(struct web_server *s)
{
	for (unsigned i = 0; i < WEB_THREADS; i++) {
		if (s->http[i] != NULL)
			MHD_stop_daemon(s->http[i]);
		s->http[i] = NULL;
	}
}

bool http_take(struct web_server *s, unsigned thread, int fd)
{
	struct sockaddr sa = {.sa_family = AF_UNIX};

	return MHD_add_connection(s->http[thread], fd, &sa, sizeof(sa)) ==
	       MHD_YES;
}
