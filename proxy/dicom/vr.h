/* vr.h - value representations of explicit VR encodings (PS3.5 section 7.1.2).
 *
 * Pure. vr points at two bytes. */
#ifndef PROXY_DICOM_VR_H
#define PROXY_DICOM_VR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum vr_kind {
	VR_SHORT,   /* 16-bit length */
	VR_LONG,    /* two reserved bytes, 32-bit length */
	VR_UNKNOWN, /* not a VR of PS3.5 */
};

static inline bool vr_among(const uint8_t *vr, const char *list)
{
	for (; *list != '\0'; list += 2) {
		if (memcmp(vr, list, 2) == 0)
			return true;
	}
	return false;
}

static inline enum vr_kind vr_kind(const uint8_t *vr)
{
	if (vr_among(vr, "AEASATCSDADSDTFLFDISLOLTPNSHSLSSSTTMUIULUS"))
		return VR_SHORT;
	if (vr_among(vr, "OBODOFOLOVOWSQSVUCUNURUTUV"))
		return VR_LONG;
	return VR_UNKNOWN;
}

/* Two capital letters: it wants to be a VR. */
static inline bool vr_is_shaped(const uint8_t *vr)
{
	return vr[0] >= 'A' && vr[0] <= 'Z' && vr[1] >= 'A' && vr[1] <= 'Z';
}

#endif
