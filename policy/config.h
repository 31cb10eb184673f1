/* config.h - the configuration: YAML in, one checked struct out.
 *
 * One option table (options.c) drives names, types, units, defaults, limits,
 * the reference text and config_dump(). config_load() needs nothing from the
 * file system but the file itself: files that it names, certificates and
 * addresses are for `culvert check` to look at.
 *
 * A struct config is read-only once loaded, holds everything it needs and
 * borrows nothing, so any number of threads may read it without a lock. */
#ifndef POLICY_CONFIG_H
#define POLICY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "proxy/lib/err.h"

enum {
	/* Sizes of text fields, terminating NUL included. */
	CONFIG_NAME_LEN = 33, /* name: [a-z0-9-]{1,32} */
	CONFIG_AE_LEN = 17,   /* AE title, trimmed */
	CONFIG_UID_LEN = 65,
	CONFIG_HOST_LEN = 256,  /* host name or numeric address, no brackets */
	CONFIG_TEXT_LEN = 256,  /* free text */
	CONFIG_GROUP_LEN = 65,  /* group of the system */
	CONFIG_PATH_LEN = 1024, /* absolute, or relative to the working dir */
	CONFIG_FINGERPRINT_LEN = 65, /* SHA-256, lower-case hex, no colons */
	CONFIG_ZONE_LEN = 64,        /* "Europe/Berlin" */

	/* Hard bounds, whatever the file says. */
	CONFIG_FILE_MAX = 1024 * 1024, /* bytes of YAML */
	CONFIG_DEPTH_MAX = 16,         /* nested maps and lists */
	CONFIG_LISTENERS_MAX = 64,
	CONFIG_DEVICES_MAX = 4096,
	CONFIG_DESTINATIONS_MAX = 256,
	CONFIG_ROUTES_MAX = 1024,
	CONFIG_LIST_MAX = 256,     /* entries of any list inside these */
	CONFIG_FORWARD_MAX = 16,   /* destinations of one route */
	CONFIG_TIMETABLE_MAX = 64, /* entries of one */
	CONFIG_REPOSITORIES_MAX = 4
};

/* A place in the file; both count from 1, 0 means "not in the file". */
struct config_mark {
	int line;
	int column;
};

/* Errors and warnings. */

enum { CONFIG_PROBLEMS_MAX = 20, CONFIG_PROBLEM_LEN = 512 };

struct config_problem {
	struct config_mark at;
	/* "what is wrong; did you mean 'x'?; example: key: value" */
	char text[CONFIG_PROBLEM_LEN];
};

/* About 21 KB; any storage, filled by config_load(). The first
 * CONFIG_PROBLEMS_MAX of each kind are kept; n_* counts those found, and
 * reading stops soon after that many errors. */
struct config_errors {
	char file[CONFIG_PATH_LEN];
	size_t n_errors;
	size_t n_warnings;
	struct config_problem errors[CONFIG_PROBLEMS_MAX];
	struct config_problem warnings[CONFIG_PROBLEMS_MAX];
};

/* One line each: "file:line:column: text", warnings as
 * "file:line:column: warning: text". */
void config_errors_print(const struct config_errors *e, FILE *out);

/* Parts. */

enum config_protocol {
	CONFIG_DICOM,     /* plaintext DICOM upper layer over TCP */
	CONFIG_DICOM_TLS, /* the same inside TLS, both sides authenticated */
	CONFIG_LINK,      /* the chunk link between two Culverts */
	CONFIG_DIRECTORY  /* destinations only: Part 10 files */
};

/* "dicom", "dicom-tls", "link", "directory". */
const char *config_protocol_name(enum config_protocol p);

/* Bits of a services mask: the services of PS3.4 as a hospital names them.
 * Which class belongs to which is in services.h. */
enum config_service {
	CONFIG_STORAGE = 1u << 0,
	CONFIG_VERIFICATION = 1u << 1,
	CONFIG_WORKLIST = 1u << 2,   /* modality worklist, annex K */
	CONFIG_QUERY = 1u << 3,      /* query and retrieve, annex C */
	CONFIG_MPPS = 1u << 4,       /* procedure steps, annex F */
	CONFIG_COMMITMENT = 1u << 5, /* storage commitment, annex J */
	CONFIG_PRINT = 1u << 6,      /* print management, annex H */
	CONFIG_OTHER = 1u << 7,      /* known ones that none of these name */
	/* Of devices only, no service of PS3.4: another Culvert that may send
	 * instances over the chunk link. They are routed as storage. */
	CONFIG_LINK_SERVICE = 1u << 8
};

enum { CONFIG_SERVICES_ALL = (CONFIG_OTHER << 1) - 1 };

/* "storage", ...; service: exactly one bit. */
const char *config_service_name(enum config_service service);

/* What a route does with the contexts that it takes. */
enum config_action {
	CONFIG_FORWARD, /* taken here, spooled, delivered later */
	CONFIG_RELAY,   /* live, on an association of its own */
	CONFIG_HOLD     /* storage commitment: taken here, passed on when the
			   instances it names have arrived */
};

/* "forward", "relay", "hold". */
const char *config_action_name(enum config_action action);

/* Which of its endpoints a destination prefers. */
enum config_balance {
	CONFIG_ORDERED, /* the first that is up */
	CONFIG_WEIGHTED /* those that are up, by their weights */
};

enum config_priority {
	CONFIG_PRIORITY_LOW,
	CONFIG_PRIORITY_NORMAL,
	CONFIG_PRIORITY_HIGH,
	CONFIG_PRIORITY_STAT
};

enum config_log_level {
	/* Same order as enum log_level of proxy/lib/log.h. */
	CONFIG_LOG_DEBUG,
	CONFIG_LOG_INFO,
	CONFIG_LOG_WARN,
	CONFIG_LOG_ERROR
};

enum config_log_format {
	/* Same order as enum log_format of proxy/lib/log.h. */
	CONFIG_LOG_TEXT,
	CONFIG_LOG_JSON
};

enum config_tls_version { CONFIG_TLS_1_2, CONFIG_TLS_1_3 };

enum config_tls_profile { CONFIG_TLS_BCP195 };

/* At most n events per per_ms milliseconds; n 0: no limit set. */
struct config_rate {
	uint32_t n;
	uint64_t per_ms;
};

/* Hours of some days of the week. */
struct config_hours {
	uint8_t days;   /* bit 0 Monday ... bit 6 Sunday; not 0 */
	uint16_t from;  /* minute of the day, 0..1439 */
	uint16_t to;    /* 0..1440; not after from: it passes midnight */
	uint64_t limit; /* bits per second; 0: none */
};

struct config_timetable {
	size_t n; /* CONFIG_TIMETABLE_MAX at most */
	struct config_hours *v;
};

/* How much may pass a second, each way by itself. All 0: as much as can. */
struct config_shape {
	uint64_t limit; /* bits per second when no hours apply; 0: none */
	uint64_t burst; /* bytes at once; 0: follows from the limit */
	struct config_timetable timetable;
	uint32_t reserve; /* percent of the burst that is left to live relay
			     and urgent instances */
};

/* An address range. IPv4 is kept as ::ffff:a.b.c.d with prefix + 96; a range
 * of IPv6 (even ::/0) covers no IPv4 address. */
struct config_network {
	uint8_t address[16]; /* bits beyond prefix are 0 */
	uint8_t prefix;      /* 0..128 */
};

struct config_endpoint {
	char host[CONFIG_HOST_LEN]; /* listeners: numeric address only */
	uint16_t port;
};

/* A name that points at a listener, device or destination. */
struct config_ref {
	char name[CONFIG_NAME_LEN];
	size_t index; /* in the config's array of that kind */
	struct config_mark at;
};

/* Lists: n entries at v, v NULL when n is 0. */
struct config_aes {
	size_t n;
	char (*v)[CONFIG_AE_LEN];
};

struct config_uids {
	size_t n;
	char (*v)[CONFIG_UID_LEN];
};

struct config_texts {
	size_t n;
	char (*v)[CONFIG_TEXT_LEN];
};

struct config_fingerprints {
	size_t n;
	char (*v)[CONFIG_FINGERPRINT_LEN];
};

struct config_networks {
	size_t n;
	struct config_network *v;
};

struct config_endpoints {
	size_t n;
	struct config_endpoint *v;
};

struct config_numbers {
	size_t n;
	uint32_t *v;
};

struct config_refs {
	size_t n;
	struct config_ref *v;
};

/* Paths are resolved against the configuration file's directory; an empty
 * one was not given. */
struct config_tls {
	char ca[CONFIG_PATH_LEN];          /* trusted roots, PEM */
	char certificate[CONFIG_PATH_LEN]; /* own, PEM, with its chain */
	char key[CONFIG_PATH_LEN];         /* own private key, PEM */
	char server_name[CONFIG_HOST_LEN]; /* destinations; "": the host */
	enum config_tls_version min_version;
	enum config_tls_profile profile;
};

/* The five nouns' configured ones. All durations in milliseconds. */

struct config_listener {
	char name[CONFIG_NAME_LEN];
	struct config_mark at;
	struct config_endpoint address;
	enum config_protocol protocol; /* dicom, dicom-tls or link */
	struct config_aes ae_titles;   /* answered to; link: empty, any */
	struct config_tls tls;         /* dicom-tls and link */
	uint32_t max_pdu;              /* bytes, announced to the peer */
	struct {
		uint32_t associations;         /* at once, on this listener */
		uint32_t per_device;           /* at once, of one device */
		struct config_rate rate;       /* new ones of one device */
		struct config_rate handshakes; /* TLS, of all; n 0: any */
	} limits;
	struct {
		uint64_t window;    /* bytes unacknowledged, of one link */
		uint32_t transfers; /* open at once, of one link */
		uint64_t keep;      /* unfinished ones whose link is gone */
	} link;
	char congestion[CONFIG_NAME_LEN]; /* link; "": kernel's own */
	struct {
		uint64_t artim;   /* accept to A-ASSOCIATE-RQ; closing */
		uint64_t idle;    /* between messages */
		uint64_t message; /* stall inside a message */
	} timeouts;
};

struct config_device {
	char name[CONFIG_NAME_LEN];
	struct config_mark at;
	struct config_aes ae_titles; /* "*": any, needs a certificate */
	struct config_networks addresses;
	uint16_t port;                /* for the way back; 0: none */
	unsigned services;            /* bits of enum config_service */
	struct config_aes called;     /* may call; empty: any it can reach */
	struct config_refs listeners; /* may use; empty: any */
	enum config_priority priority;
	struct config_shape rate; /* what it sends, and what is sent for it */
	struct {
		uint32_t associations;   /* 0: the listener's per_device */
		struct config_rate rate; /* n 0: the listener's rate */
	} limits;
	/* Each kind that is given must match by one of its entries. */
	struct {
		struct config_fingerprints fingerprints;
		struct config_texts subjects;
		struct config_texts sans; /* DNS name, IP address or URI */
	} certificate;
};

struct config_destination {
	char name[CONFIG_NAME_LEN];
	struct config_mark at;
	/* Not declared: "@NAME" for the device of that name, which has a port
	 * and one address. Its protocol is dicom, and it has no AE titles: the
	 * calling and the called one are those of the message that goes there.
	 * These stand after all declared ones. */
	bool implicit;
	enum config_protocol protocol;
	struct config_endpoints endpoints; /* in order of preference */
	enum config_balance balance;
	struct config_numbers weights; /* one an endpoint; empty: ordered, or
					  all the same */
	char path[CONFIG_PATH_LEN];    /* directory only */
	char ae_title[CONFIG_AE_LEN];  /* called; "": as the device called */
	char calling_ae_title[CONFIG_AE_LEN];   /* "": the device's own */
	char plaintext_reason[CONFIG_TEXT_LEN]; /* why dicom is allowed */
	struct config_tls tls;                  /* dicom-tls and link */
	struct {
		uint32_t connections; /* TCP, of the link */
		uint64_t window;      /* bytes unacknowledged, at most */
		uint32_t transfers;   /* open at once, at most */
	} link;
	char congestion[CONFIG_NAME_LEN]; /* "": the kernel's own */
	uint64_t cut_through;  /* longer instances (bytes) begin to travel while
				  they come in; 0: never */
	uint32_t associations; /* parallel, at most */
	struct config_shape rate;  /* all of them together */
	uint32_t max_pdu;          /* bytes, announced */
	struct config_uids accept; /* transfer syntaxes until first contact */
	uint32_t quarantine_after; /* spaced failures of one instance */
	struct {
		uint64_t connect;   /* TCP, and TLS on top */
		uint64_t associate; /* A-ASSOCIATE-RQ to its answer */
		uint64_t response;  /* last byte sent to C-STORE-RSP */
		uint64_t idle;      /* kept open with nothing to send */
		uint64_t relay;     /* opening a live association, over all
				       endpoints together */
		uint64_t retrieve;  /* silence during C-MOVE and C-GET */
	} timeouts;
	struct {
		uint32_t failures; /* in a row that open the circuit */
		uint64_t pause;    /* open that long, then one try */
	} breaker;
	struct {
		uint64_t interval; /* C-ECHO to endpoints that are down or
				      were silent that long; 0: never */
	} health;
	struct {
		uint64_t first; /* pause after the first failure */
		uint64_t max;   /* longest pause */
		uint64_t probe; /* between probes of what is held */
	} retry;
};

enum config_syslog {
	CONFIG_SYSLOG_TLS, /* RFC 5425 */
	CONFIG_SYSLOG_UDP  /* RFC 5426: in clear, and nobody acknowledges */
};

/* "syslog-tls", "syslog-udp". */
const char *config_syslog_name(enum config_syslog p);

enum config_msgid {
	CONFIG_MSGID_DICOM, /* "DICOM+RFC3881", PS3.15 A.6 */
	CONFIG_MSGID_IHE    /* "IHE+RFC-3881", ITI-20 */
};

/* Where the audit goes as DICOM audit messages. */
struct config_repository {
	char name[CONFIG_NAME_LEN];
	struct config_mark at;
	enum config_syslog protocol;
	struct config_endpoint address;
	char plaintext_reason[CONFIG_TEXT_LEN]; /* why syslog-udp is allowed */
	struct config_tls tls;                  /* syslog-tls */
	enum config_msgid msgid;
	uint32_t facility;          /* of RFC 5424 */
	char site[CONFIG_TEXT_LEN]; /* AuditEnterpriseSiteID; "": none */
	uint32_t identity;          /* 1: patients are named */
	struct {
		uint32_t rows; /* sent again by a new connection, at least */
		uint64_t time; /* and all sent within that time before */
	} replay;
	uint64_t datagram; /* syslog-udp: bytes, if it can be */
	struct {
		uint64_t connect; /* TCP, and TLS on top */
		uint64_t stall;   /* nothing acknowledged */
	} timeouts;
	struct {
		uint64_t first, max; /* pauses, doubled */
	} retry;
};

struct config_route {
	struct config_mark at;
	unsigned services;            /* bits of enum config_service */
	struct config_refs listeners; /* empty: every listener */
	struct config_refs devices;   /* empty: every device */
	struct config_aes called;     /* empty: every called AE title */
	enum config_action action;
	bool implied; /* one of those that a route to "@called" stands for */
	/* Destinations. Of the first three only that of action has entries. */
	struct config_refs forward; /* 1 to CONFIG_FORWARD_MAX */
	struct config_refs relay;   /* 1, dicom or dicom-tls */
	struct config_refs hold;    /* 1, dicom or dicom-tls */
	struct config_refs commit;  /* 0, or 1 of those in forward: asked for
				       commitment of what it was sent */
};

/* The one destination of a relay or hold route, an index; undefined for
 * forward. */
static inline size_t config_route_peer(const struct config_route *r)
{
	return r->action == CONFIG_HOLD ? r->hold.v[0].index
					: r->relay.v[0].index;
}

struct config {
	char file[CONFIG_PATH_LEN]; /* as given to config_load() */
	char node[CONFIG_NAME_LEN];
	size_t n_listeners, n_devices, n_destinations, n_routes;
	size_t n_repositories;
	struct config_listener *listeners;
	struct config_device *devices;
	struct config_destination *destinations;
	struct config_route *routes; /* the first that matches wins */
	struct config_repository *repositories;
	struct {
		char path[CONFIG_PATH_LEN];
		char key[CONFIG_PATH_LEN]; /* data key file, never empty */
		uint64_t quota;            /* bytes on disk */
		uint64_t segment;          /* bytes a segment file */
		uint32_t high_water;       /* percent of quota: refuse */
		uint32_t low_water;        /* percent of quota: take again */
	} spool;
	struct {
		char path[CONFIG_PATH_LEN]; /* directory of the databases */
		char signing_key[CONFIG_PATH_LEN]; /* never empty */
		uint64_t retention_transfers;
		uint64_t retention_audit; /* after the end of a month */
	} records;
	struct {
		char path[CONFIG_PATH_LEN]; /* Unix socket */
		struct {                    /* by name or number; "": none */
			char operators[CONFIG_GROUP_LEN];
			char security[CONFIG_GROUP_LEN];
			char auditors[CONFIG_GROUP_LEN];
		} groups;
	} control;
	struct {
		uint64_t unknown;  /* wait for instances never seen */
		uint64_t deadline; /* wait for all others, then report */
	} commitment;
	struct {
		enum config_log_level level;
		enum config_log_format format;
	} log;
	/* The status page; address.host "": there is none. */
	struct {
		struct config_endpoint address;
		struct {
			char certificate[CONFIG_PATH_LEN];
			char key[CONFIG_PATH_LEN];
			char client_ca[CONFIG_PATH_LEN]; /* "": not asked */
		} tls;
		char users[CONFIG_PATH_LEN]; /* "": no log-in */
		struct config_texts hosts;   /* names it is called by */
		uint32_t connections;        /* at once, of all */
		uint32_t per_address;        /* at once, of one address */
		struct {
			uint64_t idle;     /* a log-in ends after */
			uint64_t lifetime; /* in any case after */
		} session;
	} status;
	uint32_t workers;                /* 0: one per core */
	char time_zone[CONFIG_ZONE_LEN]; /* of timetables; "": this machine's */
	struct config_shape rate;        /* all destinations together */
	struct config_places *places;    /* of every option set; opaque */
};

/* Read and check the configuration file at path.
 *
 *   ERR_OK     *out is the configuration, to be freed with config_free();
 *              *errors may still hold warnings
 *   ERR_INVAL  the file is not valid: errors->n_errors > 0
 *   ERR_IO     the file cannot be read: one error says why
 *   ERR_NOMEM
 *
 * *out is untouched unless ERR_OK. *errors is always filled. */
enum err config_load(const char *path, struct config **out,
		     struct config_errors *errors) MUST_CHECK;

/* As config_load(), from text[0..len). name stands for the file's name in
 * messages, and relative paths are taken from its directory. No ERR_IO. */
enum err config_load_from_memory(const char *text, size_t len, const char *name,
				 struct config **out,
				 struct config_errors *errors) MUST_CHECK;

/* NULL is fine. */
void config_free(struct config *cfg);

/* Where an option was set, path as in "destinations.cloud.tls.key" or
 * "routes.1.forward" (counting from 1). {0, 0} where the default stands. */
struct config_mark config_where(const struct config *cfg, const char *path);

/* Index of the one with that name, or -1. */
int config_listener_find(const struct config *cfg, const char *name);
int config_device_find(const struct config *cfg, const char *name);
int config_destination_find(const struct config *cfg, const char *name);
int config_repository_find(const struct config *cfg, const char *name);

/* Index of the implicit destination of that device (an index), or -1; and of
 * the device that an implicit destination (an index) is, -1 for declared
 * ones. */
int config_device_destination(const struct config *cfg, size_t device);
int config_destination_device(const struct config *cfg, size_t destination);

/* The configuration in force, defaults included, as YAML that loads to the
 * same configuration. It holds no secret: keys are files, and only their
 * paths stand here. */
void config_dump(const struct config *cfg, FILE *out);

/* Every option: name, type, unit, default, limits, whether a reload takes it
 * up, help and example. Plain text, and man(7) markup of the same. */
void config_reference(FILE *out);
void config_reference_man(FILE *out);

/* "10.1.4.0/24" for a range, "10.1.4.20" for a single address. Returns out. */
enum { CONFIG_NETWORK_TEXT_LEN = 52 };
char *config_network_text(const struct config_network *net,
			  char out[CONFIG_NETWORK_TEXT_LEN]);

#endif
