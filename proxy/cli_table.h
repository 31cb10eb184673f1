/* cli_table.h - small texts that several commands print. */
#ifndef PROXY_CLI_TABLE_H
#define PROXY_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLI_TIME_LEN = 25, CLI_AGE_LEN = 16, CLI_MESSAGE_LEN = 24 };

/* RFC 3339, UTC; "never" for 0. Returns out. */
char *cli_time(int64_t wall_ms, char out[CLI_TIME_LEN]);
/* "3 s", "12 min", "5 h", "9 d": since then; "-" for 0. Returns out. */
char *cli_age(int64_t wall_ms, char out[CLI_AGE_LEN]);
/* "N-ACTION": the message of a request's command field; 0: "C-STORE". Returns
 * out. */
char *cli_message(uint16_t command, char out[CLI_MESSAGE_LEN]);
/* 64 hexadecimal digits. Returns out. */
char *cli_hex(const uint8_t hash[32], char out[65]);

/* Decimal digits and nothing else; *out is untouched when false. */
bool cli_number(const char *text, uint64_t *out);

#endif
