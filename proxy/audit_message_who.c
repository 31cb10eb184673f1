/* audit_message_who.c - who took part. */
#include <stdio.h>
#include <string.h>

#include "proxy/audit_message_int.h"
#include "proxy/audit_xml.h"

#define ROLE_APPLICATION "110150"
#define ROLE_LAUNCHER    "110151"
#define ROLE_DESTINATION "110152"
#define ROLE_SOURCE      "110153"
#define ROLE_MEDIA       "110154"

struct party {
	const char *id;      /* required */
	const char *ae;      /* or NULL */
	const char *address; /* "host:port" or NULL */
	bool requestor;
	const char *role; /* or NULL */
};

/* The host of "host:port" or "[host]:port". Returns out. */
static const char *host_of(const char *address, char out[64])
{
	const char *end = strrchr(address, ':');
	size_t n = end != NULL ? (size_t)(end - address) : strlen(address);

	if (n > 1 && address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	}
	if (n > 63)
		n = 63;
	memcpy(out, address, n);
	out[n] = '\0';
	return out;
}

static bool is_numeric(const char *host)
{
	return strchr(host, ':') != NULL ||
	       host[strspn(host, "0123456789.")] == '\0';
}

static void put_address(struct audit_message *m, const char *address)
{
	char host[64];

	if (!audit_is_set(address) || host_of(address, host)[0] == '\0')
		return;
	xml_attribute(&m->w, "NetworkAccessPointID", host);
	xml_attribute(&m->w, "NetworkAccessPointTypeCode",
		      is_numeric(host) ? "2" : "1");
}

static void put_party(struct audit_message *m, const struct party *p)
{
	char ae[32];

	xml_raw(&m->w, "<ActiveParticipant");
	xml_attribute(&m->w, "UserID", p->id);
	if (audit_is_set(p->ae) && m->brevity < SAY_LEAST) {
		(void)snprintf(ae, sizeof(ae), "AETITLES=%.16s", p->ae);
		xml_attribute(&m->w, "AlternativeUserID", ae);
	}
	xml_attribute(&m->w, "UserIsRequestor",
		      p->requestor ? "true" : "false");
	put_address(m, p->address);
	if (p->role == NULL) {
		xml_raw(&m->w, "/>");
		return;
	}
	xml_raw(&m->w, ">");
	audit_message_code(m, "RoleIDCode", p->role);
	xml_raw(&m->w, "</ActiveParticipant>");
}

/* Names of declared ones; else what is known of them. */
static struct party device(const struct audit_message *m)
{
	const struct audit_facts *r = m->row;

	return (struct party){.id =
				  audit_first(r->device, r->calling_ae,
					      audit_first(r->peer, NULL, "?")),
			      .ae = r->calling_ae,
			      .address = r->peer};
}

static struct party destination(const struct audit_message *m)
{
	const struct audit_facts *r = m->row;

	return (struct party){
	    .id = audit_first(r->destination, r->called_ae, "unknown"),
	    .ae = r->called_ae};
}

static struct party ourselves(const struct audit_message *m, const char *ae)
{
	return (struct party){
	    .id = m->source->node, .ae = ae, .address = m->row->local};
}

static bool has_peer(const struct audit_facts *r)
{
	return audit_is_set(r->device) || audit_is_set(r->calling_ae) ||
	       audit_is_set(r->peer);
}

static void put_user(struct audit_message *m, bool requestor, const char *role)
{
	struct party p = {
	    .id = m->row->user, .requestor = requestor, .role = role};

	if (audit_is_set(m->row->user))
		put_party(m, &p);
}

/* Us, a person if one is known, and the peer if there is one. reporter: the
 * others are who did it, and asked for nothing (A.5.3.11). */
static void put_application(struct audit_message *m, bool reporter)
{
	struct party us = ourselves(m, m->row->called_ae), peer = device(m);

	us.requestor = reporter;
	if (!reporter)
		us.role = ROLE_APPLICATION;
	put_party(m, &us);
	if (reporter)
		put_user(m, false, NULL);
	else
		put_user(m, true, ROLE_LAUNCHER);
	if (has_peer(m->row))
		put_party(m, &peer);
	if (audit_is_set(m->row->destination)) {
		struct party to = destination(m);

		put_party(m, &to);
	}
}

static void put_transfer(struct audit_message *m, struct party from,
			 struct party to)
{
	from.role = ROLE_SOURCE;
	from.requestor = true;
	to.role = ROLE_DESTINATION;
	put_party(m, &from);
	put_party(m, &to);
}

static void put_sent(struct audit_message *m)
{
	struct party to = destination(m);

	to.address = m->row->peer;
	put_transfer(m, ourselves(m, m->row->calling_ae), to);
}

static void put_query(struct audit_message *m)
{
	struct party us = ourselves(m, NULL);

	us.role = ROLE_APPLICATION;
	put_transfer(m, device(m), destination(m));
	put_party(m, &us);
}

static void put_procedure(struct audit_message *m)
{
	struct party from = device(m), us = ourselves(m, NULL);

	from.requestor = true;
	put_party(m, &from);
	put_party(m, &us);
}

static void put_export(struct audit_message *m)
{
	struct party us = ourselves(m, NULL),
		     media = {.id = "file", .role = ROLE_MEDIA};

	us.role = ROLE_SOURCE;
	us.requestor = !audit_is_set(m->row->user);
	put_party(m, &us);
	put_user(m, true, us.role);
	put_party(m, &media);
}

static void put_log(struct audit_message *m)
{
	struct party us = ourselves(m, NULL);

	us.requestor = !audit_is_set(m->row->user);
	put_party(m, &us);
	put_user(m, true, NULL);
}

/* The person, from where they asked, and the node that they asked. */
static void put_login(struct audit_message *m)
{
	struct party us = ourselves(m, NULL),
		     person = {.id = audit_first(m->row->user, NULL, "unknown"),
			       .address = m->row->peer,
			       .requestor = true};

	put_party(m, &person);
	put_party(m, &us);
}

void audit_message_who(struct audit_message *m)
{
	switch (m->event->shape) {
	case SHAPE_APPLICATION:
		put_application(m, false);
		return;
	case SHAPE_ALERT:
		put_application(m, true);
		return;
	case SHAPE_RECEIVED:
		put_transfer(m, device(m), ourselves(m, m->row->called_ae));
		return;
	case SHAPE_SENT:
		put_sent(m);
		return;
	case SHAPE_QUERY:
		put_query(m);
		return;
	case SHAPE_PROCEDURE:
		put_procedure(m);
		return;
	case SHAPE_EXPORT:
		put_export(m);
		return;
	case SHAPE_LOG:
		put_log(m);
		return;
	case SHAPE_USER:
		put_login(m);
		return;
	}
}
