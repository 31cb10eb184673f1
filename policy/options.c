/* The option table itself. Its order is that of the reference. */
#include "policy/option.h"

#include <string.h>

#include "policy/option_row.h"
#include "proxy/lib/mem.h"

static const struct option_word log_levels[] = {
    {"debug", CONFIG_LOG_DEBUG, NULL},
    {"info", CONFIG_LOG_INFO, NULL},
    {"warn", CONFIG_LOG_WARN, NULL},
    {"error", CONFIG_LOG_ERROR, NULL},
    {NULL, 0, NULL}};

static const struct option_word log_formats[] = {
    {"text", CONFIG_LOG_TEXT, NULL},
    {"json", CONFIG_LOG_JSON, NULL},
    {NULL, 0, NULL}};

static const struct option_word listener_protocols[] = {
    {"dicom", CONFIG_DICOM, NULL},
    {"dicom-tls", CONFIG_DICOM_TLS, NULL},
    {"link", CONFIG_LINK, NULL},
    {NULL, 0, NULL}};

static const struct option_word destination_protocols[] = {
    {"dicom-tls", CONFIG_DICOM_TLS, NULL},
    {"dicom", CONFIG_DICOM, NULL},
    {"directory", CONFIG_DIRECTORY, NULL},
    {"link", CONFIG_LINK, NULL},
    {NULL, 0, NULL}};

const struct option_word option_tls_versions[] = {
    {"1.2", CONFIG_TLS_1_2, NULL},
    {"1.3", CONFIG_TLS_1_3, NULL},
    {"1.0", 0, "TLS before 1.2 is not offered"},
    {"1.1", 0, "TLS before 1.2 is not offered"},
    {NULL, 0, NULL}};

const struct option_word option_tls_profiles[] = {
    {"bcp195", CONFIG_TLS_BCP195, NULL}, {NULL, 0, NULL}};

static const struct option_word services[] = {
    {"storage", CONFIG_STORAGE, NULL},
    {"verification", CONFIG_VERIFICATION, NULL},
    {"worklist", CONFIG_WORKLIST, NULL},
    {"query", CONFIG_QUERY, NULL},
    {"mpps", CONFIG_MPPS, NULL},
    {"commitment", CONFIG_COMMITMENT, NULL},
    {"print", CONFIG_PRINT, NULL},
    {"other", CONFIG_OTHER, NULL},
    {NULL, 0, NULL}};

/* Of devices. */
static const struct option_word uses[] = {
    {"storage", CONFIG_STORAGE, NULL},
    {"verification", CONFIG_VERIFICATION, NULL},
    {"worklist", CONFIG_WORKLIST, NULL},
    {"query", CONFIG_QUERY, NULL},
    {"mpps", CONFIG_MPPS, NULL},
    {"commitment", CONFIG_COMMITMENT, NULL},
    {"print", CONFIG_PRINT, NULL},
    {"other", CONFIG_OTHER, NULL},
    {"link", CONFIG_LINK_SERVICE, NULL},
    {NULL, 0, NULL}};

static const struct option_word balances[] = {
    {"ordered", CONFIG_ORDERED, NULL},
    {"weighted", CONFIG_WEIGHTED, NULL},
    {NULL, 0, NULL}};

static const struct option_word priorities[] = {
    {"low", CONFIG_PRIORITY_LOW, NULL},
    {"normal", CONFIG_PRIORITY_NORMAL, NULL},
    {"high", CONFIG_PRIORITY_HIGH, NULL},
    {"stat", CONFIG_PRIORITY_STAT, NULL},
    {NULL, 0, NULL}};

static const struct option table[] = {
    {"node", OPTION_NAME, 0, FIELD(config, node), .initial = "culvert",
     .example = "edge-01",
     .help = "Name of this appliance in logs and records."},
    {"workers", OPTION_NUMBER, 0, FIELD(config, workers), .initial = "0",
     .initial_text = "one per processor core", .max = 256, .example = "2",
     .help = "Threads for devices, and as many for deliveries."},

    {"time_zone", OPTION_ZONE, OPTION_LIVE, FIELD(config, time_zone),
     .initial_text = "this machine's", .example = "Europe/Berlin",
     .help = "Whose clock the timetables mean, and whose day is today."},
    {"rate.limit", OPTION_BANDWIDTH, OPTION_LIVE, FIELD(config, rate.limit),
     .initial_text = "none", .min = 64 * KBIT, .max = 100 * GBIT,
     .example = "200Mbit",
     .help = "All that goes to the destinations, and all that comes from them, "
	     "each way by itself, in bits per second."},
    {"rate.burst", OPTION_SIZE, OPTION_LIVE, FIELD(config, rate.burst),
     .initial_text = "what the limit carries in 20 ms, 64KiB at least",
     .min = 32 * KIB, .max = 64 * MIB, .example = "1MiB",
     .help = "Most that leaves at once after a pause."},
    {"rate.timetable", OPTION_TIMETABLE, OPTION_LIVE,
     FIELD(config, rate.timetable), .initial_text = "none", .min = 64 * KBIT,
     .max = 100 * GBIT,
     .example = "[{days: mon-fri, hours: 07:00-19:00, limit: 50Mbit}]",
     .help = "Other limits for hours of the week, local time of time_zone; the "
	     "first entry that fits counts. Hours that end before they begin "
	     "pass midnight."},
    {"rate.reserve", OPTION_PERCENT, OPTION_LIVE, FIELD(config, rate.reserve),
     .initial = "20%", .max = 80, .example = "20%",
     .help = "Share of the burst that instances of low and normal priority "
	     "leave to live messages and to urgent ones."},

    {"listeners.NAME.address", OPTION_ADDRESS, OPTION_REQUIRED,
     FIELD(config_listener, address), .example = "0.0.0.0:104",
     .help = "Numeric address and port to listen on; \"[::]:104\", quoted, is "
	     "every address of both families."},
    {"listeners.NAME.protocol", OPTION_ENUM, OPTION_REQUIRED,
     FIELD(config_listener, protocol), .words = listener_protocols,
     .example = "dicom",
     .help = "dicom is plaintext (port 104), dicom-tls is DICOM over mutual "
	     "TLS (port 2762), link takes the chunk links of other "
	     "Culverts."},
    {"listeners.NAME.ae_titles", OPTION_AES, 0,
     FIELD(config_listener, ae_titles), .example = "[ARCHIVE, STORE]",
     .help = "Called AE titles that this listener answers to. Required unless "
	     "the protocol is link."},
    {"listeners.NAME.max_pdu", OPTION_SIZE, 0, FIELD(config_listener, max_pdu),
     .initial = "131072", .min = 4096, .max = 16 * MIB, .example = "131072",
     .help = "Largest P-DATA PDU that peers are asked to send."},
    {"listeners.NAME.tls.ca", OPTION_PATH, 0, FIELD(config_listener, tls.ca),
     .example = "devices-ca.pem",
     .help = "Certificates (PEM) that peers' certificates must chain to. "
	     "Required with dicom-tls."},
    {"listeners.NAME.tls.certificate", OPTION_PATH, 0,
     FIELD(config_listener, tls.certificate), .example = "gateway.pem",
     .help = "Own certificate (PEM), followed by its intermediate ones. "
	     "Required with dicom-tls."},
    {"listeners.NAME.tls.key", OPTION_PATH, 0, FIELD(config_listener, tls.key),
     .example = "gateway.key",
     .help = "Private key of the certificate (PEM), readable by Culvert "
	     "only. Required with dicom-tls."},
    {"listeners.NAME.tls.min_version", OPTION_ENUM, 0,
     FIELD(config_listener, tls.min_version), .initial = "1.2",
     .words = option_tls_versions, .example = "1.3",
     .help = "Oldest TLS version taken; the newest that both sides have is "
	     "used."},
    {"listeners.NAME.tls.profile", OPTION_ENUM, 0,
     FIELD(config_listener, tls.profile), .initial = "bcp195",
     .words = option_tls_profiles, .example = "bcp195",
     .help = "Cipher suites and groups: BCP 195 (PS3.15 B.9, B.10)."},
    {"listeners.NAME.limits.associations", OPTION_NUMBER, OPTION_LIVE,
     FIELD(config_listener, limits.associations), .initial = "200", .min = 1,
     .max = 100000, .example = "200",
     .help = "Connections at once on this listener."},
    {"listeners.NAME.limits.per_device", OPTION_NUMBER, OPTION_LIVE,
     FIELD(config_listener, limits.per_device), .initial = "20", .min = 1,
     .max = 100000, .example = "20",
     .help = "Associations at once of one device."},
    {"listeners.NAME.limits.rate", OPTION_RATE, OPTION_LIVE,
     FIELD(config_listener, limits.rate), .initial = "600/min",
     .example = "120/min", .help = "New associations of one device."},
    {"listeners.NAME.limits.handshakes", OPTION_RATE, OPTION_LIVE,
     FIELD(config_listener, limits.handshakes), .initial_text = "none",
     .example = "50/s",
     .help = "TLS handshakes of all peers; further connections wait."},
    {"listeners.NAME.link.window", OPTION_SIZE, 0,
     FIELD(config_listener, link.window), .initial = "64MiB", .min = MIB,
     .max = GIB, .example = "64MiB",
     .help = "What one link may have under way: it bounds the memory that a "
	     "link takes, and over a long line its rate."},
    {"listeners.NAME.link.transfers", OPTION_NUMBER, 0,
     FIELD(config_listener, link.transfers), .initial = "1024", .min = 1,
     .max = 4096, .example = "1024",
     .help = "Instances that one link may have open at once."},
    {"listeners.NAME.link.keep", OPTION_DURATION, 0,
     FIELD(config_listener, link.keep), .initial = "24h", .min = MIN,
     .max = 30 * DAY, .example = "24h",
     .help = "How long what came of an instance is kept when its link is "
	     "gone."},
    {"listeners.NAME.congestion", OPTION_NAME, 0,
     FIELD(config_listener, congestion), .initial_text = "the kernel's own",
     .example = "bbr",
     .help = "TCP congestion control of links, where the kernel has it."},
    {"listeners.NAME.timeouts.artim", OPTION_DURATION, 0,
     FIELD(config_listener, timeouts.artim), .initial = "30s", .min = SEC / 10,
     .max = HOUR, .example = "30s",
     .help = "From the connection to the whole A-ASSOCIATE-RQ, TLS "
	     "handshake included; also the wait for the peer to close "
	     "(PS3.8 9.1.5)."},
    {"listeners.NAME.timeouts.idle", OPTION_DURATION, 0,
     FIELD(config_listener, timeouts.idle), .initial = "5m", .min = SEC / 10,
     .max = DAY, .example = "5m",
     .help = "Silence between messages before the association is aborted."},
    {"listeners.NAME.timeouts.message", OPTION_DURATION, 0,
     FIELD(config_listener, timeouts.message), .initial = "60s",
     .min = SEC / 10, .max = HOUR, .example = "60s",
     .help = "Silence inside a message before the association is aborted."},

    {"devices.NAME.ae_title", OPTION_AES, OPTION_REQUIRED | OPTION_ANY_AE,
     FIELD(config_device, ae_titles), .example = "CT2",
     .help = "Calling AE titles of the device. \"*\" is any, and needs a "
	     "certificate."},
    {"devices.NAME.address", OPTION_NETWORKS, OPTION_REQUIRED,
     FIELD(config_device, addresses), .example = "[10.1.4.20, 10.2.0.0/24]",
     .help = "Addresses it calls from: numeric, single ones or ranges."},
    {"devices.NAME.port", OPTION_NUMBER, 0, FIELD(config_device, port),
     .initial_text = "none", .min = 1, .max = 65535, .example = "104",
     .help = "Port it listens on itself, for the way back: with one single "
	     "address, routes may name the device as destination \"@NAME\"."},
    {"devices.NAME.services", OPTION_SET, 0, FIELD(config_device, services),
     .initial = "storage, verification", .words = uses,
     .example = "[storage, verification, worklist]",
     .help = "What it may use: query is query and retrieve, mpps are "
	     "procedure steps, commitment is storage commitment, other is "
	     "what none of these name. All but verification, which is "
	     "answered here, take a route. link is another Culvert, whose "
	     "instances are routed as storage."},
    {"devices.NAME.called", OPTION_AES, 0, FIELD(config_device, called),
     .initial_text = "every AE title of the listener", .example = "[ARCHIVE]",
     .help = "AE titles it may call."},
    {"devices.NAME.listeners", OPTION_LISTENERS, 0,
     FIELD(config_device, listeners), .initial_text = "every listener",
     .example = "[modalities]", .help = "Listeners it may use."},
    {"devices.NAME.priority", OPTION_ENUM, 0, FIELD(config_device, priority),
     .initial = "normal", .words = priorities, .example = "high",
     .help = "Where its instances stand in the queue. Where bandwidth is "
	     "limited, high and stat also overtake what is being sent: the "
	     "last association is kept for them."},
    {"devices.NAME.rate.limit", OPTION_BANDWIDTH, OPTION_LIVE,
     FIELD(config_device, rate.limit), .initial_text = "none", .min = 64 * KBIT,
     .max = 100 * GBIT, .example = "200Mbit",
     .help = "What the device may send, and what is sent on for it, in bits "
	     "per second."},
    {"devices.NAME.rate.burst", OPTION_SIZE, OPTION_LIVE,
     FIELD(config_device, rate.burst),
     .initial_text = "what the limit carries in 20 ms, 64KiB at least",
     .min = 32 * KIB, .max = 64 * MIB, .example = "1MiB",
     .help = "Most that leaves at once after a pause."},
    {"devices.NAME.rate.timetable", OPTION_TIMETABLE, OPTION_LIVE,
     FIELD(config_device, rate.timetable), .initial_text = "none",
     .min = 64 * KBIT, .max = 100 * GBIT,
     .example = "[{days: mon-fri, hours: 07:00-19:00, limit: 50Mbit}]",
     .help = "Other limits for hours of the week, local time of time_zone; the "
	     "first entry that fits counts. Hours that end before they begin "
	     "pass midnight."},
    {"devices.NAME.rate.reserve", OPTION_PERCENT, OPTION_LIVE,
     FIELD(config_device, rate.reserve), .initial = "20%", .max = 80,
     .example = "20%",
     .help = "Share of the burst that instances of low and normal priority "
	     "leave to live messages and to urgent ones."},
    {"devices.NAME.limits.associations", OPTION_NUMBER, OPTION_LIVE,
     FIELD(config_device, limits.associations),
     .initial_text = "the listener's per_device", .min = 1, .max = 100000,
     .example = "4", .help = "Associations at once."},
    {"devices.NAME.limits.rate", OPTION_RATE, OPTION_LIVE,
     FIELD(config_device, limits.rate), .initial_text = "the listener's",
     .example = "20/s", .help = "New associations."},
    {"devices.NAME.certificate.fingerprint", OPTION_FINGERPRINTS, 0,
     FIELD(config_device, certificate.fingerprints),
     .initial_text = "not asked for",
     .example = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2"
		"efcde9",
     .help = "SHA-256 of the certificate that it must show (dicom-tls). Each "
	     "kind that is given must fit."},
    {"devices.NAME.certificate.subject", OPTION_TEXTS, 0,
     FIELD(config_device, certificate.subjects),
     .initial_text = "not asked for", .example = "\"CN=ct-room-2,O=Clinic\"",
     .help = "Subject of that certificate, as the log prints it."},
    {"devices.NAME.certificate.san", OPTION_TEXTS, 0,
     FIELD(config_device, certificate.sans), .initial_text = "not asked for",
     .example = "ct2.clinic.example",
     .help = "DNS name, IP address or URI among that certificate's subject "
	     "alternative names."},

    {"destinations.NAME.protocol", OPTION_ENUM, OPTION_REQUIRED,
     FIELD(config_destination, protocol), .words = destination_protocols,
     .example = "dicom-tls",
     .help = "dicom-tls is DICOM over mutual TLS, dicom is plaintext, link "
	     "is the chunk link to another Culvert, directory writes Part "
	     "10 files."},
    {"destinations.NAME.endpoints", OPTION_ENDPOINTS, 0,
     FIELD(config_destination, endpoints), .example = "[pacs.example.org:2762]",
     .help = "Hosts and ports, the preferred first. Required unless the "
	     "protocol is directory."},
    {"destinations.NAME.balance", OPTION_ENUM, 0,
     FIELD(config_destination, balance), .initial = "ordered",
     .words = balances, .example = "weighted",
     .help = "ordered takes the first endpoint that is up, weighted spreads "
	     "over those that are up."},
    {"destinations.NAME.weights", OPTION_NUMBERS, 0,
     FIELD(config_destination, weights), .initial_text = "all the same",
     .min = 1, .max = 1000, .example = "[3, 1]",
     .help = "Share of each endpoint, in their order, with balance "
	     "weighted."},
    {"destinations.NAME.path", OPTION_PATH, 0, FIELD(config_destination, path),
     .example = "/srv/images",
     .help = "Directory for the files. Required with protocol directory."},
    {"destinations.NAME.ae_title", OPTION_AE, 0,
     FIELD(config_destination, ae_title),
     .initial_text = "as the device called", .example = "CLOUDPACS",
     .help = "Called AE title there."},
    {"destinations.NAME.calling_ae_title", OPTION_AE, 0,
     FIELD(config_destination, calling_ae_title),
     .initial_text = "the device's own", .example = "EDGE01",
     .help = "Calling AE title there."},
    {"destinations.NAME.plaintext.allowed", OPTION_TEXT, 0,
     FIELD(config_destination, plaintext_reason), .initial_text = "refused",
     .example = "\"same rack, separate VLAN\"",
     .help = "Why images may travel there in clear. Required with protocol "
	     "dicom."},
    {"destinations.NAME.tls.ca", OPTION_PATH, 0,
     FIELD(config_destination, tls.ca), .example = "cloud-ca.pem",
     .help = "Certificates (PEM) that the archive's must chain to. Required "
	     "with dicom-tls."},
    {"destinations.NAME.tls.certificate", OPTION_PATH, 0,
     FIELD(config_destination, tls.certificate), .example = "edge-01.pem",
     .help = "Own certificate (PEM), followed by its intermediate ones. "
	     "Required with dicom-tls."},
    {"destinations.NAME.tls.key", OPTION_PATH, 0,
     FIELD(config_destination, tls.key), .example = "edge-01.key",
     .help = "Private key of the certificate (PEM), readable by Culvert "
	     "only. Required with dicom-tls."},
    {"destinations.NAME.tls.server_name", OPTION_HOST, 0,
     FIELD(config_destination, tls.server_name),
     .initial_text = "the endpoint's host", .example = "pacs.example.org",
     .help = "Name that the archive's certificate must carry."},
    {"destinations.NAME.tls.min_version", OPTION_ENUM, 0,
     FIELD(config_destination, tls.min_version), .initial = "1.2",
     .words = option_tls_versions, .example = "1.3",
     .help = "Oldest TLS version taken; the newest that both sides have is "
	     "used."},
    {"destinations.NAME.tls.profile", OPTION_ENUM, 0,
     FIELD(config_destination, tls.profile), .initial = "bcp195",
     .words = option_tls_profiles, .example = "bcp195",
     .help = "Cipher suites and groups: BCP 195 (PS3.15 B.9, B.10)."},
    {"destinations.NAME.link.connections", OPTION_NUMBER, 0,
     FIELD(config_destination, link.connections), .initial = "1", .min = 1,
     .max = 16, .example = "4",
     .help = "TCP connections of the link: more than one for lines that lose "
	     "packets."},
    {"destinations.NAME.link.window", OPTION_SIZE, 0,
     FIELD(config_destination, link.window), .initial = "64MiB", .min = MIB,
     .max = GIB, .example = "64MiB",
     .help = "Most that is under way; a gigabit line over 100 ms takes 12 "
	     "MiB."},
    {"destinations.NAME.link.transfers", OPTION_NUMBER, 0,
     FIELD(config_destination, link.transfers), .initial = "1024", .min = 1,
     .max = 4096, .example = "1024",
     .help = "Instances under way at once, at most."},
    {"destinations.NAME.congestion", OPTION_NAME, 0,
     FIELD(config_destination, congestion), .initial_text = "the kernel's own",
     .example = "bbr",
     .help = "TCP congestion control, where the kernel has it."},
    {"destinations.NAME.cut_through", OPTION_SIZE, 0,
     FIELD(config_destination, cut_through), .initial = "16MiB",
     .max = 1024 * GIB, .example = "16MiB",
     .help = "Instances longer than this begin to travel while they still "
	     "come in; 0 is never."},
    {"destinations.NAME.associations", OPTION_NUMBER, 0,
     FIELD(config_destination, associations), .initial = "4", .min = 1,
     .max = 256, .example = "4", .help = "Parallel associations, at most."},
    {"destinations.NAME.rate.limit", OPTION_BANDWIDTH, OPTION_LIVE,
     FIELD(config_destination, rate.limit), .initial_text = "none",
     .min = 64 * KBIT, .max = 100 * GBIT, .example = "200Mbit",
     .help = "All that goes there, and all that comes from there, each way by "
	     "itself, in bits per second."},
    {"destinations.NAME.rate.burst", OPTION_SIZE, OPTION_LIVE,
     FIELD(config_destination, rate.burst),
     .initial_text = "what the limit carries in 20 ms, 64KiB at least",
     .min = 32 * KIB, .max = 64 * MIB, .example = "1MiB",
     .help = "Most that leaves at once after a pause."},
    {"destinations.NAME.rate.timetable", OPTION_TIMETABLE, OPTION_LIVE,
     FIELD(config_destination, rate.timetable), .initial_text = "none",
     .min = 64 * KBIT, .max = 100 * GBIT,
     .example = "[{days: mon-fri, hours: 07:00-19:00, limit: 50Mbit}]",
     .help = "Other limits for hours of the week, local time of time_zone; the "
	     "first entry that fits counts. Hours that end before they begin "
	     "pass midnight."},
    {"destinations.NAME.rate.reserve", OPTION_PERCENT, OPTION_LIVE,
     FIELD(config_destination, rate.reserve), .initial = "20%", .max = 80,
     .example = "20%",
     .help = "Share of the burst that instances of low and normal priority "
	     "leave to live messages and to urgent ones."},
    {"destinations.NAME.max_pdu", OPTION_SIZE, 0,
     FIELD(config_destination, max_pdu), .initial = "131072", .min = 4096,
     .max = 16 * MIB, .example = "131072",
     .help = "Largest P-DATA PDU that the archive is asked to send."},
    {"destinations.NAME.accept", OPTION_SYNTAXES, 0,
     FIELD(config_destination, accept), .initial = "implicit-le, explicit-le",
     .example = "[implicit-le, explicit-le, jpeg-lossless]",
     .help = "Transfer syntaxes, by name or UID, that it is taken to accept "
	     "until it has been asked."},
    {"destinations.NAME.timeouts.connect", OPTION_DURATION, 0,
     FIELD(config_destination, timeouts.connect), .initial = "5s",
     .min = SEC / 10, .max = HOUR, .example = "5s",
     .help = "For the connection, TLS handshake included."},
    {"destinations.NAME.timeouts.associate", OPTION_DURATION, 0,
     FIELD(config_destination, timeouts.associate), .initial = "10s",
     .min = SEC / 10, .max = HOUR, .example = "10s",
     .help = "For the answer to A-ASSOCIATE-RQ."},
    {"destinations.NAME.timeouts.response", OPTION_DURATION, 0,
     FIELD(config_destination, timeouts.response), .initial = "60s",
     .min = SEC / 10, .max = HOUR, .example = "60s",
     .help = "For the answer to a C-STORE after its last byte, and for any "
	     "progress before."},
    {"destinations.NAME.timeouts.idle", OPTION_DURATION, 0,
     FIELD(config_destination, timeouts.idle), .initial = "10s", .max = HOUR,
     .example = "10s",
     .help = "How long an association is kept with nothing to send."},
    {"destinations.NAME.timeouts.relay", OPTION_DURATION, 0,
     FIELD(config_destination, timeouts.relay), .initial = "3s",
     .min = SEC / 10, .max = HOUR, .example = "3s",
     .help = "For opening a live association there, all endpoints together; "
	     "the device waits that long at most."},
    {"destinations.NAME.timeouts.retrieve", OPTION_DURATION, 0,
     FIELD(config_destination, timeouts.retrieve), .initial = "10m",
     .min = SEC / 10, .max = DAY, .example = "10m",
     .help = "Silence of the archive in a live C-MOVE or C-GET; response "
	     "holds for all other live messages."},
    {"destinations.NAME.breaker.failures", OPTION_NUMBER, 0,
     FIELD(config_destination, breaker.failures), .initial = "3", .min = 1,
     .max = 1000, .example = "3",
     .help = "Failures in a row after which an endpoint is left alone."},
    {"destinations.NAME.breaker.pause", OPTION_DURATION, 0,
     FIELD(config_destination, breaker.pause), .initial = "30s",
     .min = SEC / 10, .max = HOUR, .example = "30s",
     .help = "How long it is; then one try decides."},
    {"destinations.NAME.health.interval", OPTION_DURATION, 0,
     FIELD(config_destination, health.interval), .initial = "30s", .max = DAY,
     .example = "30s",
     .help = "Between C-ECHOs to endpoints that are down or were silent that "
	     "long; 0 is never."},
    {"destinations.NAME.retry.first", OPTION_DURATION, 0,
     FIELD(config_destination, retry.first), .initial = "5s", .min = SEC / 10,
     .max = DAY, .example = "5s",
     .help = "Pause after the first failure; it doubles with each one."},
    {"destinations.NAME.retry.max", OPTION_DURATION, 0,
     FIELD(config_destination, retry.max), .initial = "10m", .min = SEC / 10,
     .max = DAY, .example = "10m", .help = "Longest pause."},
    {"destinations.NAME.retry.probe", OPTION_DURATION, 0,
     FIELD(config_destination, retry.probe), .initial = "5m", .min = SEC / 10,
     .max = DAY, .example = "5m",
     .help = "Between tries of what is held, for instance for a transfer "
	     "syntax that the archive does not accept."},
    {"destinations.NAME.quarantine_after", OPTION_NUMBER, 0,
     FIELD(config_destination, quarantine_after), .initial = "5", .min = 1,
     .max = 1000, .example = "5",
     .help = "Failures of one instance, others succeeding, before it is put "
	     "aside."},

    {"routes.N.service", OPTION_SET, 0, FIELD(config_route, services),
     .initial = "storage", .words = services, .example = "storage",
     .help = "What is routed. Each service of an association is routed on its "
	     "own, by the first route that fits."},
    {"routes.N.device", OPTION_DEVICES, 0, FIELD(config_route, devices),
     .initial_text = "every device", .example = "[ct-room-2]",
     .help = "From these devices only."},
    {"routes.N.listener", OPTION_LISTENERS, 0, FIELD(config_route, listeners),
     .initial_text = "every listener", .example = "[modalities]",
     .help = "Arrived at these listeners only."},
    {"routes.N.called", OPTION_AES, 0, FIELD(config_route, called),
     .initial_text = "every AE title", .example = "[ARCHIVE]",
     .help = "Sent to these called AE titles only."},
    {"routes.N.forward", OPTION_DESTINATIONS, 0, FIELD(config_route, forward),
     .initial_text = "none; a route has one of forward, relay and hold",
     .example = "[cloud]",
     .help = "Store and forward, for storage and mpps: taken here, delivered "
	     "to each of these. \"@called\" is the device whose AE title was "
	     "called."},
    {"routes.N.relay", OPTION_DESTINATION, 0, FIELD(config_route, relay),
     .initial_text = "none", .example = "cloud",
     .help = "Live, for any service: passed on at once and answered from "
	     "there. \"@called\" is the device whose AE title was called."},
    {"routes.N.hold", OPTION_DESTINATION, 0, FIELD(config_route, hold),
     .initial_text = "none", .example = "cloud",
     .help = "For commitment: taken here, passed on when every instance that "
	     "it names has arrived there; the report goes back to the "
	     "device's port."},
    {"routes.N.commit", OPTION_DESTINATION, 0, FIELD(config_route, commit),
     .initial_text = "none", .example = "cloud",
     .help = "Beside forward of storage: one of its destinations, which "
	     "Culvert itself asks for commitment; the copy here is kept until "
	     "it is granted."},

    {"spool.path", OPTION_PATH, 0, FIELD(config, spool.path),
     .initial = "/var/lib/culvert/spool", .example = "/var/lib/culvert/spool",
     .help = "Directory of the spool: where instances wait, sealed."},
    {"spool.quota", OPTION_SIZE, 0, FIELD(config, spool.quota),
     .initial = "50GiB", .min = 16 * MIB, .max = 1024 * TIB,
     .example = "200GiB", .help = "Most that the spool takes of the disk."},
    {"spool.high_water", OPTION_PERCENT, 0, FIELD(config, spool.high_water),
     .initial = "95%", .min = 2, .max = 100, .example = "95%",
     .help = "Share of the quota at which new instances are refused (A700)."},
    {"spool.low_water", OPTION_PERCENT, 0, FIELD(config, spool.low_water),
     .initial = "90%", .min = 1, .max = 99, .example = "90%",
     .help = "Share of the quota at which they are taken again."},
    {"spool.segment", OPTION_SIZE, 0, FIELD(config, spool.segment),
     .initial = "64MiB", .min = 4 * MIB, .max = GIB, .example = "64MiB",
     .help = "Size of one spool file."},
    {"spool.key", OPTION_PATH, 0, FIELD(config, spool.key),
     .initial_text = "data.key beside the spool's directory",
     .example = "/var/lib/culvert/data.key",
     .help = "File of the key that seals the spool; made on first start. "
	     "Without it the spool cannot be read."},

    {"records.path", OPTION_PATH, 0, FIELD(config, records.path),
     .initial = "/var/lib/culvert", .example = "/var/lib/culvert",
     .help = "Directory of the ledger and of the audit records."},
    {"records.signing_key", OPTION_PATH, 0, FIELD(config, records.signing_key),
     .initial_text = "signing.key beside the spool's directory",
     .example = "/var/lib/culvert/signing.key",
     .help = "File of the private key that signs the audit's heads and "
	     "exports; made on first start, its public half beside it (.pub)."},
    {"records.retention.transfers", OPTION_DURATION, 0,
     FIELD(config, records.retention_transfers), .initial = "6y", .min = DAY,
     .example = "6y",
     .help = "How long finished transfers, associations and refusals stay in "
	     "the ledger."},
    {"records.retention.audit", OPTION_DURATION, 0,
     FIELD(config, records.retention_audit), .initial = "6y", .min = 31 * DAY,
     .example = "6y",
     .help = "How long a month of the audit is kept after its end. What is "
	     "left of it then are signed hashes."},
    {"control.path", OPTION_PATH, 0, FIELD(config, control.path),
     .initial = "/run/culvert/control.sock",
     .example = "/run/culvert/control.sock",
     .help = "Unix socket for the culvert commands. Everybody may connect to "
	     "it; the groups decide who may do what."},
    {"control.groups.operator", OPTION_TEXT, 0,
     FIELD(config, control.groups.operators), .initial = "culvert-operator",
     .example = "culvert-operator",
     .help = "Group of the system whose members steer queues (culvert rights "
	     "has the table). By name or number."},
    {"control.groups.security", OPTION_TEXT, 0,
     FIELD(config, control.groups.security), .initial = "culvert-security",
     .example = "culvert-security",
     .help = "Group whose members change keys and rules."},
    {"control.groups.auditor", OPTION_TEXT, 0,
     FIELD(config, control.groups.auditors), .initial = "culvert-auditor",
     .example = "culvert-auditor",
     .help = "Group whose members read the records."},
    {"commitment.unknown", OPTION_DURATION, 0,
     FIELD(config, commitment.unknown), .initial = "60s", .max = DAY,
     .example = "60s",
     .help = "How long a held request waits for instances that were never "
	     "seen here; then it is passed on with them."},
    {"commitment.deadline", OPTION_DURATION, 0,
     FIELD(config, commitment.deadline), .initial = "3d", .min = SEC / 10,
     .max = 90 * DAY, .example = "3d",
     .help = "After that long a held request is reported as failed for what "
	     "is not known to be safe."},
    {"status.address", OPTION_ADDRESS, 0, FIELD(config, status.address),
     .initial_text = "none: there is no status page",
     .example = "127.0.0.1:8104",
     .help = "Where the status page is served. Beyond loopback it needs "
	     "status.tls and status.users."},
    {"status.tls.certificate", OPTION_PATH, 0,
     FIELD(config, status.tls.certificate), .example = "page.pem",
     .help = "PEM file of the page's certificate and its chain."},
    {"status.tls.key", OPTION_PATH, 0, FIELD(config, status.tls.key),
     .example = "page.key", .help = "PEM file of the private key to it."},
    {"status.tls.client_ca", OPTION_PATH, 0,
     FIELD(config, status.tls.client_ca), .example = "staff-ca.pem",
     .help = "PEM file of the CAs of viewers' certificates. With it a viewer "
	     "may log in by certificate; who is who stands in status.users."},
    {"status.users", OPTION_PATH, 0, FIELD(config, status.users),
     .example = "/etc/culvert/users",
     .help = "File of those who may log in, made by culvert web passwd."},
    {"status.hosts", OPTION_TEXTS, 0, FIELD(config, status.hosts),
     .example = "culvert.clinic.example",
     .help = "Names under which browsers may ask for the page, besides its "
	     "address and localhost. Others are refused (DNS rebinding)."},
    {"status.connections", OPTION_NUMBER, 0, FIELD(config, status.connections),
     .initial = "256", .min = 8, .max = 4096, .example = "256",
     .help = "Connections to the page at once; more are closed at once."},
    {"status.per_address", OPTION_NUMBER, 0, FIELD(config, status.per_address),
     .initial = "32", .min = 1, .max = 4096, .example = "32",
     .help = "The same of one address, or one /64 of IPv6."},
    {"status.session.idle", OPTION_DURATION, 0,
     FIELD(config, status.session.idle), .initial = "30m", .min = SEC,
     .max = DAY, .example = "30m",
     .help = "A log-in ends after that long without a request."},
    {"status.session.lifetime", OPTION_DURATION, 0,
     FIELD(config, status.session.lifetime), .initial = "12h", .min = SEC,
     .max = 30 * DAY, .example = "12h",
     .help = "A log-in ends after that long in any case."},
    {"log.level", OPTION_ENUM, OPTION_LIVE, FIELD(config, log.level),
     .initial = "info", .words = log_levels, .example = "info",
     .help = "Least important line that is written."},
    {"log.format", OPTION_ENUM, OPTION_LIVE, FIELD(config, log.format),
     .initial = "text", .words = log_formats, .example = "json",
     .help = "How a line is written: key=value pairs, or one JSON object with "
	     "the same keys."},
};

static const struct {
	const char *path;
	const char *what;
} later[] = {
    {"audit", "the audit trail's own settings"},
};

size_t option_count(void)
{
	return ARRAY_LEN(table) + options_repository_n;
}

const struct option *option_at(size_t i)
{
	if (i < ARRAY_LEN(table))
		return &table[i];
	i -= ARRAY_LEN(table);
	return i < options_repository_n ? &options_repository[i] : NULL;
}

const char *option_later(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (strcmp(later[i].path, path) == 0)
			return later[i].what;
	return NULL;
}
