/* Audit repositories: what each protocol needs. */
#include <string.h>

#include "policy/check.h"
#include "policy/problem.h"

const char *config_syslog_name(enum config_syslog p)
{
	switch (p) {
	case CONFIG_SYSLOG_TLS:
		return "syslog-tls";
	case CONFIG_SYSLOG_UDP:
		return "syslog-udp";
	}
	return "?";
}

/* Of the options without a default of their own. */
struct rule {
	const char *option;
	bool needed;
	const char *example;
};

static const struct rule of_tls[] = {
    {"tls.ca", true, "tls: {ca: audit-ca.pem}"},
    {"tls.certificate", true, "tls: {certificate: edge-01.pem}"},
    {"tls.key", true, "tls: {key: edge-01.key}"},
    {"tls.server_name", false, ""},
};

static const struct rule of_udp[] = {
    {"plaintext.allowed", true,
     "plaintext: {allowed: \"management network of its own\"}"},
};

static void check_rules(const struct config *cfg,
			const struct config_repository *r,
			const struct rule *rules, size_t n, bool own,
			struct config_errors *e)
{
	struct config_mark none = {0, 0};

	for (size_t i = 0; i < n; i++) {
		struct config_mark at = check_at(cfg, "repositories", r->name,
						 rules[i].option, none);

		if (own && rules[i].needed && at.line == 0)
			problem_error(
			    e, r->at,
			    "repository '%s' has protocol %s and needs '%s'%s; "
			    "example: %s",
			    r->name, config_syslog_name(r->protocol),
			    rules[i].option,
			    r->protocol == CONFIG_SYSLOG_UDP
				? " with the reason why the audit may travel "
				  "in clear"
				: "",
			    rules[i].example);
		if (!own && at.line > 0)
			problem_error(e, at,
				      "'%s' has no meaning for repository '%s' "
				      "with protocol %s; leave it out",
				      rules[i].option, r->name,
				      config_syslog_name(r->protocol));
	}
}

static void check_same(const struct config *cfg, size_t index,
		       struct config_errors *e)
{
	const struct config_repository *r = &cfg->repositories[index];

	for (size_t i = 0; i < index; i++) {
		const struct config_repository *o = &cfg->repositories[i];

		if (o->protocol == r->protocol &&
		    o->address.port == r->address.port &&
		    strcmp(o->address.host, r->address.host) == 0)
			problem_warning(e, r->at,
					"repositories '%s' and '%s' have the "
					"same address: it gets every message "
					"twice",
					o->name, r->name);
	}
}

void check_repositories(const struct config *cfg, struct config_errors *e)
{
	for (size_t i = 0; i < cfg->n_repositories; i++) {
		const struct config_repository *r = &cfg->repositories[i];
		bool tls = r->protocol == CONFIG_SYSLOG_TLS;

		check_rules(cfg, r, of_tls, sizeof(of_tls) / sizeof(of_tls[0]),
			    tls, e);
		check_rules(cfg, r, of_udp, sizeof(of_udp) / sizeof(of_udp[0]),
			    !tls, e);
		if (r->retry.first > r->retry.max)
			problem_error(e,
				      check_at(cfg, "repositories", r->name,
					       "retry.first", r->at),
				      "retry.first must not be longer than "
				      "retry.max; example: retry: {first: 1s, "
				      "max: 1m}");
		check_same(cfg, i, e);
	}
}
