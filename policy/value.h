/* value.h - single values of the configuration: text to number and back.
 *
 * Pure. Every parser returns false, leaving *out alone, for text that is not
 * wholly and exactly of its kind. Internal to policy. */
#ifndef POLICY_VALUE_H
#define POLICY_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"

/* Decimal digits only. */
bool value_number(const char *text, uint64_t *out);
/* "95%" or "95" */
bool value_percent(const char *text, uint64_t *out);
/* Bytes: "131072", "64KiB", "10MB", "200GiB"; B kB MB GB TB KiB MiB GiB TiB */
bool value_size(const char *text, uint64_t *out);
/* Milliseconds: "500ms", "30s", "5m", "2h", "7d", "2w", "6y" (365 days); "0" */
bool value_duration(const char *text, uint64_t *out);
/* "20/s", "600/min", "5/10s"; at least 1, per a day at most */
bool value_rate(const char *text, struct config_rate *out);
/* Bits per second: "64kbit", "50Mbit", "1Gbit", powers of 1000; "none" is 0,
 * and 0 is written in no other way. */
bool value_bandwidth(const char *text, uint64_t *out);
/* "mon", "mon-fri", "sat-mon" as bits, Monday is bit 0. */
bool value_days(const char *text, uint8_t *out);
/* "07:00-19:00", "22:00-06:00", "00:00-24:00": minutes of the day. */
bool value_hours(const char *text, uint16_t *from, uint16_t *to);
/* "Europe/Berlin": the form only. */
bool value_zone(const char *text);
/* name: [a-z0-9-]{1,32} */
bool value_name(const char *text);
/* PS3.5 section 6.2: 1 to 16 characters, trimmed of spaces, no backslash, no
 * control character, none beyond ASCII. */
bool value_ae(const char *text, char out[CONFIG_AE_LEN]);
/* PS3.5 section 9.1: [0-9.]{1,64}, components not empty, no leading zeros. */
bool value_uid(const char *text);
/* 64 hexadecimal digits, with or without colons and a leading "sha256:". */
bool value_fingerprint(const char *text, char out[CONFIG_FINGERPRINT_LEN]);
/* A DNS name, or an IPv4 or IPv6 address without brackets. */
bool value_host(const char *text);
/* "host:port", "10.0.0.1:104", "[::1]:104" */
bool value_endpoint(const char *text, struct config_endpoint *out);

enum value_network_result {
	VALUE_NETWORK_OK,
	VALUE_NETWORK_BAD,
	VALUE_NETWORK_HOST_BITS /* *out is the range itself */
};

/* "10.1.4.20", "10.1.4.0/24", "fd00::/8", "::ffff:10.1.4.20" */
enum value_network_result value_network(const char *text,
					struct config_network *out);

/* A numeric address as the 16 bytes of config_network; false if a name. */
bool value_address(const char *text, uint8_t out[16]);
/* Whether these 16 bytes are an IPv4 address. */
bool value_is_v4(const uint8_t address[16]);

/* The shortest text that parses to the same value. Return out. */
enum { VALUE_TEXT_LEN = 64 };
char *value_size_text(uint64_t bytes, char out[VALUE_TEXT_LEN]);
char *value_duration_text(uint64_t ms, char out[VALUE_TEXT_LEN]);
char *value_bandwidth_text(uint64_t bits, char out[VALUE_TEXT_LEN]);
char *value_days_text(uint8_t days, char out[VALUE_TEXT_LEN]);
char *value_hours_text(uint16_t from, uint16_t to, char out[VALUE_TEXT_LEN]);
char *value_rate_text(struct config_rate rate, char out[VALUE_TEXT_LEN]);

#endif
