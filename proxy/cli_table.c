#include "proxy/cli_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/dicom/command.h"
#include "proxy/lib/clock.h"
#include "store/instance.h"

char *cli_time(int64_t wall_ms, char out[CLI_TIME_LEN])
{
	if (wall_ms == 0)
		return memcpy(out, "never", sizeof("never"));
	return clock_text(wall_ms, out);
}

char *cli_age(int64_t wall_ms, char out[CLI_AGE_LEN])
{
	long long s = (clock_wall_ms() - wall_ms) / 1000;

	if (wall_ms == 0)
		return memcpy(out, "-", sizeof("-"));
	if (s < 0)
		s = 0;
	if (s < 120)
		snprintf(out, CLI_AGE_LEN, "%lld s", s);
	else if (s < 2 * 3600)
		snprintf(out, CLI_AGE_LEN, "%lld min", s / 60);
	else if (s < 2 * 86400)
		snprintf(out, CLI_AGE_LEN, "%lld h", s / 3600);
	else
		snprintf(out, CLI_AGE_LEN, "%lld d", s / 86400 % 1000000);
	return out;
}

char *cli_message(uint16_t command, char out[CLI_MESSAGE_LEN])
{
	const char *name =
	    command_name(command != 0 ? command : INSTANCE_C_STORE_RQ);
	size_t n = strlen(name);

	if (n > 3 && strcmp(name + n - 3, "-RQ") == 0)
		n -= 3;
	snprintf(out, CLI_MESSAGE_LEN, "%.*s", (int)n, name);
	return out;
}

char *cli_hex(const uint8_t hash[32], char out[65])
{
	for (size_t i = 0; i < 32; i++)
		snprintf(out + 2 * i, 3, "%02x", hash[i]);
	return out;
}

bool cli_number(const char *text, uint64_t *out)
{
	size_t n = strspn(text, "0123456789");

	if (n == 0 || n > 19 || text[n] != '\0')
		return false;
	*out = strtoull(text, NULL, 10);
	return true;
}
