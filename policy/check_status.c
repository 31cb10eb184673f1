/* The status page: what is reached from elsewhere needs TLS and a log-in. */
#include <string.h>

#include "policy/check.h"
#include "policy/problem.h"
#include "policy/value.h"

/* 127.0.0.0/8 and ::1. */
static bool is_loopback(const struct config_endpoint *ep)
{
	static const uint8_t one[16] = {[15] = 1};
	uint8_t a[16] = {0};

	if (!value_address(ep->host, a))
		return false;
	return value_is_v4(a) ? a[12] == 127 : memcmp(a, one, 16) == 0;
}

static void need(const struct config *cfg, struct config_errors *e,
		 const char *key, const char *value, const char *example)
{
	if (value[0] == '\0')
		problem_error(e, config_where(cfg, "status.address"),
			      "%s is reached from other machines and needs "
			      "'%s'; example: %s, or address: 127.0.0.1:%u",
			      cfg->status.address.host, key, example,
			      cfg->status.address.port);
}

/* What stands without what it belongs to. */
static void need_with(const struct config *cfg, struct config_errors *e,
		      const char *key, const char *value, const char *other,
		      const char *other_value, const char *example)
{
	if (value[0] != '\0' && other_value[0] == '\0')
		problem_error(e, config_where(cfg, key),
			      "'%s' needs '%s' too; example: %s", key, other,
			      example);
}

/* Those without a default: a dump has the others in any case. */
static bool status_given(const struct config *cfg, struct config_mark *at)
{
	static const char *const keys[] = {
	    "status.tls.certificate", "status.tls.key", "status.tls.client_ca",
	    "status.users", "status.hosts"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		*at = config_where(cfg, keys[i]);
		if (at->line > 0)
			return true;
	}
	return false;
}

static void check_reach(const struct config *cfg, struct config_errors *e)
{
	if (is_loopback(&cfg->status.address))
		return;
	need(cfg, e, "tls.certificate", cfg->status.tls.certificate,
	     "tls: {certificate: page.pem, key: page.key}");
	need(cfg, e, "users", cfg->status.users,
	     "users: /etc/culvert/users (culvert web passwd makes it)");
}

void check_status(const struct config *cfg, struct config_errors *e)
{
	struct config_mark at;

	if (cfg->status.address.host[0] == '\0') {
		if (status_given(cfg, &at))
			problem_error(e, at,
				      "'status' needs 'address'; example: "
				      "address: 127.0.0.1:8104");
		return;
	}
	need_with(cfg, e, "status.tls.certificate", cfg->status.tls.certificate,
		  "status.tls.key", cfg->status.tls.key, "key: page.key");
	need_with(cfg, e, "status.tls.key", cfg->status.tls.key,
		  "status.tls.certificate", cfg->status.tls.certificate,
		  "certificate: page.pem");
	need_with(cfg, e, "status.tls.client_ca", cfg->status.tls.client_ca,
		  "status.tls.certificate", cfg->status.tls.certificate,
		  "certificate: page.pem");
	need_with(cfg, e, "status.tls.client_ca", cfg->status.tls.client_ca,
		  "status.users", cfg->status.users,
		  "users: /etc/culvert/users");
	check_reach(cfg, e);
	if (cfg->status.session.idle > cfg->status.session.lifetime) {
		at = config_where(cfg, "status.session.idle");
		if (at.line == 0)
			at = config_where(cfg, "status.session.lifetime");
		problem_error(e, at,
			      "status.session.idle must not be longer than "
			      "status.session.lifetime; example: session: "
			      "{idle: 30m, lifetime: 12h}");
	}
}
