#include "policy/option.h"

#include <string.h>

#include "proxy/lib/mem.h"

const struct option *option_find(const char *path)
{
	const struct option *o;

	for (size_t i = 0; (o = option_at(i)) != NULL; i++)
		if (strcmp(o->path, path) == 0)
			return o;
	return NULL;
}

bool option_is_group(const char *path)
{
	size_t len = strlen(path);
	const struct option *o;

	for (size_t i = 0; (o = option_at(i)) != NULL; i++)
		if (strncmp(o->path, path, len) == 0 && o->path[len] == '.')
			return true;
	return false;
}

const char *option_scope(const char *path)
{
	static const char *const scopes[] = {"listeners.NAME.", "devices.NAME.",
					     "destinations.NAME.",
					     "repositories.NAME.", "routes.N."};

	for (size_t i = 0; i < ARRAY_LEN(scopes); i++)
		if (strncmp(path, scopes[i], strlen(scopes[i])) == 0)
			return scopes[i];
	return "";
}

const char *option_type_text(enum option_type t)
{
	switch (t) {
	case OPTION_NUMBER:
		return "number";
	case OPTION_PERCENT:
		return "percentage";
	case OPTION_SIZE:
		return "size";
	case OPTION_DURATION:
		return "duration";
	case OPTION_BANDWIDTH:
		return "bandwidth";
	case OPTION_ENUM:
		return "word";
	case OPTION_SET:
		return "word or list of them";
	case OPTION_NAME:
		return "name";
	case OPTION_AE:
		return "AE title";
	case OPTION_PATH:
		return "path";
	case OPTION_HOST:
		return "host name or address";
	case OPTION_TEXT:
		return "text";
	case OPTION_ZONE:
		return "time zone";
	case OPTION_RATE:
		return "rate";
	case OPTION_ADDRESS:
		return "address:port";
	case OPTION_ENDPOINT:
		return "host, or host:port";
	case OPTION_AES:
		return "AE title or list of them";
	case OPTION_NETWORKS:
		return "address, range, or list of them";
	case OPTION_ENDPOINTS:
		return "host:port or list of them";
	case OPTION_SYNTAXES:
		return "transfer syntax or list of them";
	case OPTION_TEXTS:
		return "text or list of them";
	case OPTION_FINGERPRINTS:
		return "SHA-256 fingerprint or list of them";
	case OPTION_LISTENERS:
		return "listener's name or list of them";
	case OPTION_DEVICES:
		return "device's name or list of them";
	case OPTION_DESTINATIONS:
		return "destination's name or list of them";
	case OPTION_NUMBERS:
		return "number or list of them";
	case OPTION_TIMETABLE:
		return "timetable";
	case OPTION_DESTINATION:
		return "destination's name";
	}
	return "?";
}
