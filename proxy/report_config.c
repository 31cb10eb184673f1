/* report_config.c - who may do what, and the certificates in use. */
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config.h"
#include "policy/roles.h"
#include "proxy/lib/mem.h"
#include "proxy/net/tls_inspect.h"
#include "proxy/report.h"

enum { LIST_LEN = 1024 };

/* A list in words, cut where it is too long. */
struct list {
	char text[LIST_LEN];
	size_t len;
};

static void add(struct list *l, const char *word)
{
	int n = snprintf(l->text + l->len, sizeof(l->text) - l->len, "%s%s",
			 l->len > 0 ? ", " : "", word);

	if (n > 0 && (size_t)n < sizeof(l->text) - l->len)
		l->len += (size_t)n;
	else
		l->text[l->len] = '\0';
}

/* ---- access: people
 * --------------------------------------------------------------------- */

static enum err put_access(struct report_run *r, const char *kind,
			   const char *who, const char *may, const char *how)
{
	struct export_cell cells[] = {export_text(kind), export_text(who),
				      export_text(may), export_text(how)};

	return report_row(r, cells);
}

static bool find_group(const char *text, struct group *g, char *room,
		       size_t size)
{
	struct group *found = NULL;
	char *end;
	unsigned long id = strtoul(text, &end, 10);

	if (text[0] != '\0' && *end == '\0')
		(void)getgrgid_r((gid_t)id, g, room, size, &found);
	else if (text[0] != '\0')
		(void)getgrnam_r(text, g, room, size, &found);
	return found != NULL;
}

static enum err put_role(struct report_run *r, const char *role,
			 const char *group)
{
	char room[4096];
	struct group g;
	struct list members = {0};

	if (group[0] == '\0')
		return put_access(r, "role", role, "no group has it", "");
	if (!find_group(group, &g, room, sizeof(room)))
		return put_access(r, "role", role, "there is no such group",
				  group);
	for (size_t i = 0; g.gr_mem[i] != NULL; i++)
		add(&members, g.gr_mem[i]);
	return put_access(r, "role", role,
			  members.len > 0 ? members.text
					  : "nobody by the list of the group",
			  group);
}

static enum err put_roles(struct report_run *r, const struct config *c)
{
	enum err e = put_role(r, "operator", c->control.groups.operators);

	if (e == ERR_OK)
		e = put_role(r, "security", c->control.groups.security);
	if (e == ERR_OK)
		e = put_role(r, "auditor", c->control.groups.auditors);
	return e == ERR_OK ? put_access(r, "role", "root", "all three roles",
					"and the daemon's own user")
			   : e;
}

static enum err put_rights(struct report_run *r)
{
	const struct right *x;
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && (x = right_at(i)) != NULL; i++) {
		char roles[ROLE_TEXT_LEN];

		e = put_access(r, x->kind == RIGHT_OP ? "command" : "page",
			       x->open ? "anybody" : role_text(x->roles, roles),
			       x->what,
			       x->command[0] != '\0' ? x->command : x->name);
	}
	return e;
}

/* ---- access: devices
 * ---------------------------------------------------------------------- */

static void list_services(unsigned services, struct list *l)
{
	for (unsigned bit = 1; bit <= CONFIG_LINK_SERVICE; bit <<= 1) {
		if (services & bit)
			add(l, config_service_name((enum config_service)bit));
	}
}

static void list_how(const struct config_device *d, struct list *l)
{
	char text[CONFIG_NETWORK_TEXT_LEN];

	for (size_t i = 0; i < d->ae_titles.n; i++)
		add(l, d->ae_titles.v[i]);
	for (size_t i = 0; i < d->addresses.n; i++)
		add(l, config_network_text(&d->addresses.v[i], text));
	for (size_t i = 0; i < d->certificate.subjects.n; i++)
		add(l, d->certificate.subjects.v[i]);
	for (size_t i = 0; i < d->certificate.sans.n; i++)
		add(l, d->certificate.sans.v[i]);
	if (d->certificate.fingerprints.n > 0)
		add(l, "certificate by fingerprint");
}

static enum err run_access(struct report_run *r, struct report_job *j)
{
	const struct config *c = j->config;
	enum err e = put_roles(r, c);

	if (e == ERR_OK)
		e = put_rights(r);
	for (size_t i = 0; e == ERR_OK && i < c->n_devices; i++) {
		struct list services = {0}, how = {0};

		list_services(c->devices[i].services, &services);
		list_how(&c->devices[i], &how);
		e = put_access(r, "device", c->devices[i].name, services.text,
			       how.text);
	}
	return e;
}

static const struct export_column access_columns[] = {
    {"kind", EXPORT_TEXT, false, "role, command, page or device."},
    {"who", EXPORT_TEXT, false, "The role, the roles that may, or the device."},
    {"may", EXPORT_TEXT, false,
     "Members of the role; what is allowed; services of the device."},
    {"how", EXPORT_TEXT, false,
     "Group; command or address; how a device is known."},
};

const struct report report_access = {
    "access",
    "Who may do what",
    {"access", access_columns, ARRAY_LEN(access_columns)},
    run_access};

/* ---- certificates
 * ---------------------------------------------------------------------------
 */

static enum err put_certificate(struct report_run *r, const char *use,
				const char *name, const char *path)
{
	struct tls_certificate *c;
	char why[TLS_WHY_LEN] = "";
	enum err e;

	if (path[0] == '\0')
		return ERR_OK;
	c = mem_zalloc(sizeof(*c));
	if (c == NULL)
		return ERR_NOMEM;
	if (tls_certificate_read(path, c, why) != ERR_OK) {
		struct export_cell cells[12];

		for (size_t i = 0; i < ARRAY_LEN(cells); i++)
			cells[i] = export_none();
		cells[0] = export_text(use);
		cells[1] = export_text(name);
		cells[2] = export_text(path);
		cells[11] = export_text(why);
		e = report_row(r, cells);
	} else {
		struct export_cell cells[] = {
		    export_text(use),
		    export_text(name),
		    export_text(path),
		    export_text(c->subject),
		    export_text(c->issuer),
		    export_text(c->serial),
		    export_text(c->sans),
		    export_text(c->key_type),
		    export_number(c->not_before * 1000),
		    export_number(c->not_after * 1000),
		    export_number(c->days_left),
		    export_text(c->fingerprint)};

		e = report_row(r, cells);
	}
	mem_free(c);
	return e;
}

static enum err put_tls(struct report_run *r, const char *of, const char *name,
			const struct config_tls *tls)
{
	char use[64];
	enum err e;

	snprintf(use, sizeof(use), "%s: own", of);
	e = put_certificate(r, use, name, tls->certificate);
	snprintf(use, sizeof(use), "%s: trusted", of);
	return e == ERR_OK ? put_certificate(r, use, name, tls->ca) : e;
}

static enum err run_certificates(struct report_run *r, struct report_job *j)
{
	const struct config *c = j->config;
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < c->n_listeners; i++)
		e = put_tls(r, "listener", c->listeners[i].name,
			    &c->listeners[i].tls);
	for (size_t i = 0; e == ERR_OK && i < c->n_destinations; i++)
		e = put_tls(r, "destination", c->destinations[i].name,
			    &c->destinations[i].tls);
	for (size_t i = 0; e == ERR_OK && i < c->n_repositories; i++)
		e = put_tls(r, "repository", c->repositories[i].name,
			    &c->repositories[i].tls);
	if (e == ERR_OK)
		e = put_certificate(r, "status page: own", "status",
				    c->status.tls.certificate);
	return e == ERR_OK ? put_certificate(r, "status page: trusted",
					     "status", c->status.tls.client_ca)
			   : e;
}

static const struct export_column certificates_columns[] = {
    {"use", EXPORT_TEXT, false, "Own, or trusted, and of what."},
    {"name", EXPORT_TEXT, false, "Listener, destination or repository."},
    {"file", EXPORT_TEXT, false, "Where it is; its first certificate."},
    {"subject", EXPORT_TEXT, false, "Whom it names."},
    {"issuer", EXPORT_TEXT, false, "Who signed it."},
    {"serial", EXPORT_TEXT, false, "Its number there."},
    {"names", EXPORT_TEXT, false, "Subject alternative names."},
    {"key_type", EXPORT_TEXT, false, "Kind of key."},
    {"not_before", EXPORT_TIME, false, "Valid from."},
    {"not_after", EXPORT_TIME, false, "Valid until."},
    {"days_left", EXPORT_NUMBER, false, "Negative: it has expired."},
    {"fingerprint", EXPORT_TEXT, false,
     "SHA-256; or why the file cannot be read."},
};

const struct report report_certificates = {
    "certificates",
    "Certificates in use",
    {"certificates", certificates_columns, ARRAY_LEN(certificates_columns)},
    run_certificates};
