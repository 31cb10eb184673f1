/* The option table of audit repositories. */
#include "policy/option_row.h"
#include "proxy/lib/mem.h"

static const struct option_word syslogs[] = {
    {"syslog-tls", CONFIG_SYSLOG_TLS, NULL},
    {"syslog-udp", CONFIG_SYSLOG_UDP, NULL},
    {NULL, 0, NULL}};

static const struct option_word msgids[] = {
    {"DICOM+RFC3881", CONFIG_MSGID_DICOM, NULL},
    {"IHE+RFC-3881", CONFIG_MSGID_IHE, NULL},
    {NULL, 0, NULL}};

/* RFC 5424 table 1: those that a program may call its own. */
static const struct option_word facilities[] = {
    {"auth", 4, NULL},    {"authpriv", 10, NULL}, {"audit", 13, NULL},
    {"local0", 16, NULL}, {"local1", 17, NULL},   {"local2", 18, NULL},
    {"local3", 19, NULL}, {"local4", 20, NULL},   {"local5", 21, NULL},
    {"local6", 22, NULL}, {"local7", 23, NULL},   {NULL, 0, NULL}};

static const struct option_word yes_no[] = {
    {"no", 0, NULL}, {"yes", 1, NULL}, {NULL, 0, NULL}};

const struct option options_repository[] = {
    {"repositories.NAME.protocol", OPTION_ENUM, OPTION_REQUIRED,
     FIELD(config_repository, protocol), .words = syslogs,
     .example = "syslog-tls",
     .help = "Where the audit goes as DICOM audit messages (PS3.15 A.5), four "
	     "at most: syslog-tls is syslog over TLS (RFC 5425), syslog-udp is "
	     "syslog over UDP (RFC 5426): in clear, and what is lost on the "
	     "way is lost."},
    {"repositories.NAME.address", OPTION_ENDPOINT, OPTION_REQUIRED,
     FIELD(config_repository, address), .example = "audit.example.org:6514",
     .help = "Host and port; the port may be left out: 6514 for syslog-tls, "
	     "514 for syslog-udp."},
    {"repositories.NAME.plaintext.allowed", OPTION_TEXT, 0,
     FIELD(config_repository, plaintext_reason), .initial_text = "refused",
     .example = "\"management network of its own\"",
     .help = "Why the audit may travel there in clear. Required with protocol "
	     "syslog-udp."},
    {"repositories.NAME.tls.ca", OPTION_PATH, 0,
     FIELD(config_repository, tls.ca), .example = "audit-ca.pem",
     .help = "Certificates (PEM) that the repository's must chain to. "
	     "Required with syslog-tls."},
    {"repositories.NAME.tls.certificate", OPTION_PATH, 0,
     FIELD(config_repository, tls.certificate), .example = "edge-01.pem",
     .help = "Own certificate (PEM), followed by its intermediate ones. "
	     "Required with syslog-tls."},
    {"repositories.NAME.tls.key", OPTION_PATH, 0,
     FIELD(config_repository, tls.key), .example = "edge-01.key",
     .help = "Private key of the certificate (PEM), readable by Culvert "
	     "only. Required with syslog-tls."},
    {"repositories.NAME.tls.server_name", OPTION_HOST, 0,
     FIELD(config_repository, tls.server_name),
     .initial_text = "the address's host", .example = "audit.example.org",
     .help = "Name that the repository's certificate must carry."},
    {"repositories.NAME.tls.min_version", OPTION_ENUM, 0,
     FIELD(config_repository, tls.min_version), .initial = "1.2",
     .words = option_tls_versions, .example = "1.3",
     .help = "Oldest TLS version taken; the newest that both sides have is "
	     "used."},
    {"repositories.NAME.tls.profile", OPTION_ENUM, 0,
     FIELD(config_repository, tls.profile), .initial = "bcp195",
     .words = option_tls_profiles, .example = "bcp195",
     .help = "Cipher suites and groups: BCP 195 (PS3.15 B.9, B.10)."},
    {"repositories.NAME.msgid", OPTION_ENUM, 0, FIELD(config_repository, msgid),
     .initial = "DICOM+RFC3881", .words = msgids, .example = "IHE+RFC-3881",
     .help = "MSGID of the syslog header: as PS3.15 A.6 has it, or as IHE's "
	     "ITI-20 wants it."},
    {"repositories.NAME.facility", OPTION_ENUM, 0,
     FIELD(config_repository, facility), .initial = "authpriv",
     .words = facilities, .example = "authpriv",
     .help = "Facility of the syslog header."},
    {"repositories.NAME.site", OPTION_TEXT, 0, FIELD(config_repository, site),
     .initial_text = "none", .example = "\"Clinic North\"",
     .help = "AuditEnterpriseSiteID: which site the messages come from."},
    {"repositories.NAME.identity", OPTION_ENUM, 0,
     FIELD(config_repository, identity), .initial = "no", .words = yes_no,
     .example = "no",
     .help = "Whether the messages name patients (ID, name, accession number, "
	     "what queries asked for). These values are sealed here, and are "
	     "opened for this."},
    {"repositories.NAME.replay.rows", OPTION_NUMBER, 0,
     FIELD(config_repository, replay.rows), .initial = "256", .max = 100000,
     .example = "256",
     .help = "syslog-tls: rows that a new connection sends once more, beside "
	     "those that were not acknowledged: what the repository's machine "
	     "had received and its program had not."},
    {"repositories.NAME.replay.time", OPTION_DURATION, 0,
     FIELD(config_repository, replay.time), .initial = "10s", .max = HOUR,
     .example = "10s",
     .help = "syslog-tls: so are all rows sent within that time before the "
	     "connection was lost."},
    {"repositories.NAME.datagram", OPTION_SIZE, 0,
     FIELD(config_repository, datagram), .initial = "2048", .min = 480,
     .max = 65000, .example = "2048",
     .help = "syslog-udp: a message that would be longer than this leaves out "
	     "what it can do without."},
    {"repositories.NAME.timeouts.connect", OPTION_DURATION, 0,
     FIELD(config_repository, timeouts.connect), .initial = "10s",
     .min = SEC / 10, .max = HOUR, .example = "10s",
     .help = "For the connection, TLS handshake included."},
    {"repositories.NAME.timeouts.stall", OPTION_DURATION, 0,
     FIELD(config_repository, timeouts.stall), .initial = "60s",
     .min = SEC / 10, .max = HOUR, .example = "60s",
     .help = "The repository takes nothing for so long: it is left, and tried "
	     "again."},
    {"repositories.NAME.retry.first", OPTION_DURATION, 0,
     FIELD(config_repository, retry.first), .initial = "1s", .min = SEC / 10,
     .max = DAY, .example = "1s",
     .help = "Pause after the first failure; it doubles with each one."},
    {"repositories.NAME.retry.max", OPTION_DURATION, 0,
     FIELD(config_repository, retry.max), .initial = "1m", .min = SEC / 10,
     .max = DAY, .example = "1m", .help = "Longest pause."},
};

const size_t options_repository_n = ARRAY_LEN(options_repository);
