/* part10.h - the head of a DICOM file: preamble, prefix, file meta information
 * (PS3.10 section 7.1).
 *
 * Pure: no I/O, no allocation, no clock. */
#ifndef PROXY_DICOM_PART10_H
#define PROXY_DICOM_PART10_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/dicom/uid.h"
#include "proxy/lib/err.h"
#include "proxy/lib/wr.h"

enum {
	PART10_PREAMBLE = 128,  /* bytes before "DICM" */
	PART10_META_MAX = 768,  /* room for any head that we write */
	PART10_HEAD_MAX = 65536 /* longest head that part10_split() looks at */
};

/* "" stands for absent. */
struct part10_meta {
	char sop_class[UID_SIZE];       /* (0002,0002), required */
	char sop_instance[UID_SIZE];    /* 0003, required */
	char transfer_syntax[UID_SIZE]; /* 0010, required */
	char impl_class[UID_SIZE];      /* 0012; ours when "" */
	char impl_version[17];          /* 0013; left out when "" */
	char source_ae[17];             /* 0016 */
	char sending_ae[17];            /* 0017 */
	char receiving_ae[17];          /* 0018 */
};

/* Append 128 zeros, "DICM" and group 0002 in explicit VR little endian; the
 * data set's bytes follow as they are.
 *
 *   ERR_OK
 *   ERR_LIMIT  w is too small
 *   ERR_INVAL  a required field is "" */
enum err part10_meta_encode(const struct part10_meta *meta,
			    struct wr *w) MUST_CHECK;

/* Find where the data set begins and what the meta information says, from the
 * first n bytes of a file. Tolerant: a missing preamble, a missing or wrong
 * group length, unknown elements, text too long (left out). Elements are
 * followed by their tags, not by the group length.
 *
 *   ERR_OK        *meta and *data_set_offset are filled; required fields may
 *                 still be ""
 *   ERR_AGAIN     the head goes on after n bytes: come back with more, up to
 *                 PART10_HEAD_MAX. At the end of the file: it is cut off
 *   ERR_NOTFOUND  no meta information; *data_set_offset is where a bare data
 *                 set would begin (0 or 132), *meta is empty
 *   ERR_LIMIT     still meta information after PART10_HEAD_MAX bytes */
enum err part10_split(const uint8_t *head, size_t n, struct part10_meta *meta,
		      size_t *data_set_offset) MUST_CHECK;

#endif
