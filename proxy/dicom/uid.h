/* uid.h - unique identifiers: shape, names, what they are (PS3.5 section 9,
 * PS3.6 annex A, PS3.4 annex B.5).
 *
 * Pure: no I/O, no allocation, no state. UIDs are NUL-terminated text without
 * padding; every function takes any text. */
#ifndef PROXY_DICOM_UID_H
#define PROXY_DICOM_UID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	UID_MAX = 64,          /* characters, PS3.5 section 9.1 */
	UID_SIZE = UID_MAX + 1 /* bytes for one and its NUL */
};

#define UID_PREFIX "1.2.840.10008."

#define UID_APPLICATION_CONTEXT UID_PREFIX "3.1.1.1"

#define UID_VERIFICATION        UID_PREFIX "1.1"
#define UID_COMMITMENT          UID_PREFIX "1.20.1"
#define UID_COMMITMENT_INSTANCE UID_PREFIX "1.20.1.1"
#define UID_MPPS                UID_PREFIX "3.1.2.3.3"
#define UID_WORKLIST            UID_PREFIX "5.1.4.31"
#define UID_CT_STORAGE          UID_PREFIX "5.1.4.1.1.2"
#define UID_MR_STORAGE          UID_PREFIX "5.1.4.1.1.4"
#define UID_SC_STORAGE          UID_PREFIX "5.1.4.1.1.7"

#define UID_IMPLICIT_LE     UID_PREFIX "1.2"
#define UID_EXPLICIT_LE     UID_PREFIX "1.2.1"
#define UID_DEFLATED_LE     UID_PREFIX "1.2.1.99"
#define UID_EXPLICIT_BE     UID_PREFIX "1.2.2"
#define UID_JPEG_BASELINE   UID_PREFIX "1.2.4.50"
#define UID_JPEG_LOSSLESS   UID_PREFIX "1.2.4.70"
#define UID_JPEGLS_LOSSLESS UID_PREFIX "1.2.4.80"
#define UID_J2K_LOSSLESS    UID_PREFIX "1.2.4.90"
#define UID_J2K             UID_PREFIX "1.2.4.91"
#define UID_RLE             UID_PREFIX "1.2.5"

/* Implicit VR LE with big endian pixels; still sent by GE devices. */
#define UID_GE_PRIVATE "1.2.840.113619.5.2"

/* What we say of ourselves in associations and files. */
#define UID_OUR_CLASS   "1.2.826.0.1.3680043.10.1599.1"
#define UID_OUR_VERSION "CULVERT_1"

/* How the data set of a transfer syntax is encoded (PS3.5 annex A). */
enum ts_kind {
	TS_IMPLICIT_LE,
	TS_EXPLICIT_LE,
	TS_EXPLICIT_BE,
	TS_DEFLATED_LE, /* raw deflate around explicit LE */
};

/* 1 to 64 characters of [0-9.], at least one of them a digit: the only text
 * that may become part of a file name. Not tested: the grammar of components
 * (real devices send leading zeros and adjacent dots). "." and ".." are
 * invalid. NULL is invalid. */
bool uid_valid(const char *uid);

/* Whether a SOP class belongs to the Storage service, by the families of
 * PS3.4 and the retired and private roots that devices still send. Classes
 * added to PS3.4 after 2026 under 5.1.4.1.1 are storage too. */
bool uid_is_storage(const char *sop_class);

/* English name of a SOP class, transfer syntax or well-known instance; the
 * UID itself when it has none here. Lives as long as uid. */
const char *uid_name(const char *uid);

/* Unknown transfer syntaxes, and all encapsulated ones, are explicit LE. */
enum ts_kind uid_ts_kind(const char *transfer_syntax);

/* Copy n bytes of an UI, AE, CS or similar value off the wire: cut at the
 * first NUL, leading and trailing spaces dropped, NUL added. False, and out
 * is "", when the text does not fit size bytes. */
bool uid_text(const uint8_t *bytes, size_t n, char *out, size_t size);

#endif
