#include "proxy/export_zip.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/wr.h"

enum {
	VERSION_64 = 45,
	FLAGS = 0x0808, /* sizes behind the data; names are UTF-8 */
	DATE = 0x21,    /* 1980-01-01: the file itself says when */
	RECORD_MAX = 128 + ZIP_NAME_LEN
};

static void u64le(struct wr *w, uint64_t v)
{
	wr_u32le(w, (uint32_t)v);
	wr_u32le(w, (uint32_t)(v >> 32));
}

static uint32_t crc_table[256];

static void make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int b = 0; b < 8; b++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
		crc_table[i] = c;
	}
}

/* CRC-32 of ISO 3309. */
static uint32_t crc_of(uint32_t crc, const uint8_t *p, size_t n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, make_table);
	crc = ~crc;
	for (size_t i = 0; i < n; i++)
		crc = crc_table[(crc ^ p[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}

static enum err put(struct export_zip *z, const struct wr *w)
{
	assert(wr_ok(w));
	z->at += w->len;
	return z->sink(z->arg, w->base, w->len);
}

void export_zip_init(struct export_zip *z, export_sink_fn *sink, void *arg)
{
	*z = (struct export_zip){.sink = sink, .arg = arg};
}

/* What a local and a central header have in common; sizes by the extra field.
 */
static void head(struct wr *w, uint32_t crc, size_t name_len, uint16_t extra)
{
	wr_u16le(w, VERSION_64);
	wr_u16le(w, FLAGS);
	wr_u16le(w, 0); /* stored */
	wr_u16le(w, 0);
	wr_u16le(w, DATE);
	wr_u32le(w, crc);
	wr_u32le(w, UINT32_MAX);
	wr_u32le(w, UINT32_MAX);
	wr_u16le(w, (uint16_t)name_len);
	wr_u16le(w, extra);
}

enum err export_zip_member(struct export_zip *z, const char *name)
{
	uint8_t room[RECORD_MAX];
	struct wr w = wr_init(room, sizeof(room));

	assert(z->n < ZIP_MEMBERS);
	snprintf(z->member[z->n].name, ZIP_NAME_LEN, "%s", name);
	name = z->member[z->n].name;
	z->member[z->n++].at = z->at;
	wr_u32le(&w, 0x04034b50);
	head(&w, 0, strlen(name), 20);
	wr_bytes(&w, name, strlen(name));
	wr_u16le(&w, 1);
	wr_u16le(&w, 16);
	u64le(&w, 0);
	u64le(&w, 0);
	return put(z, &w);
}

enum err export_zip_data(struct export_zip *z, const void *p, size_t n)
{
	z->member[z->n - 1].crc = crc_of(z->member[z->n - 1].crc, p, n);
	z->member[z->n - 1].size += n;
	z->at += n;
	return n > 0 ? z->sink(z->arg, p, n) : ERR_OK;
}

enum err export_zip_close(struct export_zip *z)
{
	uint8_t room[RECORD_MAX];
	struct wr w = wr_init(room, sizeof(room));

	wr_u32le(&w, 0x08074b50);
	wr_u32le(&w, z->member[z->n - 1].crc);
	u64le(&w, z->member[z->n - 1].size);
	u64le(&w, z->member[z->n - 1].size);
	return put(z, &w);
}

static enum err put_central(struct export_zip *z, unsigned i)
{
	uint8_t room[RECORD_MAX];
	struct wr w = wr_init(room, sizeof(room));
	size_t n = strlen(z->member[i].name);

	wr_u32le(&w, 0x02014b50);
	wr_u16le(&w, VERSION_64);
	head(&w, z->member[i].crc, n, 28);
	wr_u16le(&w, 0); /* comment */
	wr_u16le(&w, 0); /* disk */
	wr_u16le(&w, 0);
	wr_u32le(&w, 0);
	wr_u32le(&w, UINT32_MAX); /* offset: below */
	wr_bytes(&w, z->member[i].name, n);
	wr_u16le(&w, 1);
	wr_u16le(&w, 24);
	u64le(&w, z->member[i].size);
	u64le(&w, z->member[i].size);
	u64le(&w, z->member[i].at);
	return put(z, &w);
}

enum err export_zip_end(struct export_zip *z)
{
	uint8_t room[RECORD_MAX];
	struct wr w = wr_init(room, sizeof(room));
	uint64_t directory = z->at, end;

	for (unsigned i = 0; i < z->n; i++) {
		enum err e = put_central(z, i);

		if (e != ERR_OK)
			return e;
	}
	end = z->at;
	wr_u32le(&w, 0x06064b50); /* ZIP64 end of central directory */
	u64le(&w, 44);
	wr_u16le(&w, VERSION_64);
	wr_u16le(&w, VERSION_64);
	wr_u32le(&w, 0);
	wr_u32le(&w, 0);
	u64le(&w, z->n);
	u64le(&w, z->n);
	u64le(&w, end - directory);
	u64le(&w, directory);
	wr_u32le(&w, 0x07064b50); /* where that stands */
	wr_u32le(&w, 0);
	u64le(&w, end);
	wr_u32le(&w, 1);
	wr_u32le(&w, 0x06054b50);
	wr_u32le(&w, 0);
	wr_u16le(&w, (uint16_t)z->n);
	wr_u16le(&w, (uint16_t)z->n);
	wr_u32le(&w, UINT32_MAX);
	wr_u32le(&w, UINT32_MAX);
	wr_u16le(&w, 0);
	return put(z, &w);
}
