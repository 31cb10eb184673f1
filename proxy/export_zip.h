/* export_zip.h - a ZIP archive as a stream: an export and its manifest in one
 * download, for people who have no shell.
 *
 * Stored, not compressed; ZIP64, so that length does not matter; sizes and CRC
 * follow each member, as they are not known before (APPNOTE.TXT 4.3.9). */
#ifndef PROXY_EXPORT_ZIP_H
#define PROXY_EXPORT_ZIP_H

#include <stdint.h>

#include "store/export.h"

enum { ZIP_MEMBERS = 2, ZIP_NAME_LEN = 160 };

struct export_zip {
	export_sink_fn *sink;
	void *arg;
	uint64_t at; /* bytes of the archive so far */
	unsigned n;  /* members begun */
	struct {
		char name[ZIP_NAME_LEN];
		uint64_t at, size;
		uint32_t crc;
	} member[ZIP_MEMBERS];
};

void export_zip_init(struct export_zip *z, export_sink_fn *sink, void *arg);
/* Begin a member; at most ZIP_MEMBERS. Errors are the sink's, as below. */
enum err export_zip_member(struct export_zip *z, const char *name) MUST_CHECK;
enum err export_zip_data(struct export_zip *z, const void *p,
			 size_t n) MUST_CHECK;
/* The member is whole. */
enum err export_zip_close(struct export_zip *z) MUST_CHECK;
/* The directory of the archive. */
enum err export_zip_end(struct export_zip *z) MUST_CHECK;

#endif
