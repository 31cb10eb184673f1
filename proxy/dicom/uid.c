#include "proxy/dicom/uid.h"

#include <string.h>

#include "proxy/dicom/uid_names.h"
#include "proxy/lib/mem.h"

bool uid_valid(const char *uid)
{
	bool digit = false;
	size_t n = 0;

	if (uid == NULL)
		return false;
	for (; uid[n] != '\0'; n++) {
		if (n == UID_MAX)
			return false;
		if (uid[n] >= '0' && uid[n] <= '9')
			digit = true;
		else if (uid[n] != '.')
			return false;
	}
	return digit;
}

static bool begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_one_of(const char *text, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(text, list[i]) == 0)
			return true;
	}
	return false;
}

/* Under 5.1.4.1.1 but of other services (print, storage management). */
static const char *const not_storage[] = {
    "200.4", "200.5", "200.6", "201.2", "201.3", "201.4", "201.5", "201.6",
};

/* Storage outside 5.1.4.1.1: protocols, implants, palettes, plans. */
static const char *const storage_elsewhere[] = {
    "34.7", "34.10", "38.1", "39.1", "43.1", "44.1", "45.1",
};

#define FAMILY       UID_PREFIX "5.1.4."
#define STORAGE      UID_PREFIX "5.1.4.1.1."
#define GE_ROOT      "1.2.840.113619.4."
#define PHILIPS_ROOT "1.3.46.670589."

bool uid_is_storage(const char *sop_class)
{
	if (!uid_valid(sop_class))
		return false;
	if (begins(sop_class, STORAGE))
		return sop_class[sizeof(STORAGE) - 1] != '\0' &&
		       !is_one_of(sop_class + sizeof(STORAGE) - 1, not_storage,
				  ARRAY_LEN(not_storage));
	if (begins(sop_class, FAMILY))
		return is_one_of(sop_class + sizeof(FAMILY) - 1,
				 storage_elsewhere,
				 ARRAY_LEN(storage_elsewhere));
	return begins(sop_class, GE_ROOT) || begins(sop_class, PHILIPS_ROOT);
}

const char *uid_name(const char *uid)
{
	const char *tail = uid + sizeof(UID_PREFIX) - 1;

	if (!begins(uid, UID_PREFIX))
		return strcmp(uid, UID_GE_PRIVATE) == 0
			   ? "GE Private Implicit VR Little Endian"
			   : uid;
	for (size_t i = 0; i < uid_n_names; i++) {
		if (strcmp(tail, uid_names[i].tail) == 0)
			return uid_names[i].name;
	}
	return uid;
}

enum ts_kind uid_ts_kind(const char *ts)
{
	static const char *const deflated[] = {
	    UID_DEFLATED_LE,
	    UID_PREFIX "1.2.4.95",  /* JPIP Referenced Deflate */
	    UID_PREFIX "1.2.4.205", /* JPIP HTJ2K Referenced Deflate */
	};

	if (strcmp(ts, UID_IMPLICIT_LE) == 0 || strcmp(ts, UID_GE_PRIVATE) == 0)
		return TS_IMPLICIT_LE;
	if (strcmp(ts, UID_EXPLICIT_BE) == 0)
		return TS_EXPLICIT_BE;
	if (is_one_of(ts, deflated, ARRAY_LEN(deflated)))
		return TS_DEFLATED_LE;
	return TS_EXPLICIT_LE;
}

bool uid_text(const uint8_t *bytes, size_t n, char *out, size_t size)
{
	const uint8_t *nul = n > 0 ? memchr(bytes, '\0', n) : NULL;
	size_t from = 0, to = nul != NULL ? (size_t)(nul - bytes) : n;

	while (from < to && bytes[from] == ' ')
		from++;
	while (to > from && bytes[to - 1] == ' ')
		to--;
	out[0] = '\0';
	if (to - from >= size)
		return false;
	if (to > from)
		memcpy(out, bytes + from, to - from);
	out[to - from] = '\0';
	return true;
}
