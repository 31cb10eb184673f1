/* uid_names.h - the table behind uid_name() (PS3.6 annex A). */
#ifndef PROXY_DICOM_UID_NAMES_H
#define PROXY_DICOM_UID_NAMES_H

#include <stddef.h>

struct uid_name_row {
	const char *tail; /* after UID_PREFIX */
	const char *name;
};

extern const struct uid_name_row uid_names[];
extern const size_t uid_n_names;

#endif
