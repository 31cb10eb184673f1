#include "policy/syntaxes.h"

#include <string.h>

#include "proxy/lib/mem.h"

#define DICOM "1.2.840.10008.1.2"

static const struct syntax table[] = {
    {"implicit-le", DICOM},
    {"explicit-le", DICOM ".1"},
    {"explicit-be", DICOM ".2"},
    {"deflated", DICOM ".1.99"},
    {"encapsulated-uncompressed", DICOM ".1.98"},
    {"jpeg-baseline", DICOM ".4.50"},
    {"jpeg-extended", DICOM ".4.51"},
    {"jpeg-lossless-p14", DICOM ".4.57"},
    {"jpeg-lossless", DICOM ".4.70"},
    {"jpeg-ls-lossless", DICOM ".4.80"},
    {"jpeg-ls", DICOM ".4.81"},
    {"jpeg2000-lossless", DICOM ".4.90"},
    {"jpeg2000", DICOM ".4.91"},
    {"mpeg2-main", DICOM ".4.100"},
    {"mpeg2-high", DICOM ".4.101"},
    {"h264-high", DICOM ".4.102"},
    {"h264-bluray", DICOM ".4.103"},
    {"h264-2d", DICOM ".4.104"},
    {"h264-3d", DICOM ".4.105"},
    {"h264-stereo", DICOM ".4.106"},
    {"hevc-main", DICOM ".4.107"},
    {"hevc-main10", DICOM ".4.108"},
    {"jpeg-xl-lossless", DICOM ".4.110"},
    {"jpeg-xl-recompression", DICOM ".4.111"},
    {"jpeg-xl", DICOM ".4.112"},
    {"htj2k-lossless", DICOM ".4.201"},
    {"htj2k-lossless-rpcl", DICOM ".4.202"},
    {"htj2k", DICOM ".4.203"},
    {"rle", DICOM ".5"},
    {"deflated-frame", DICOM ".8.1"},
};

const struct syntax *syntax_at(size_t i)
{
	return i < ARRAY_LEN(table) ? &table[i] : NULL;
}

const char *syntax_uid(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (strcmp(table[i].name, name) == 0)
			return table[i].uid;
	return NULL;
}

const char *syntax_name(const char *uid)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (strcmp(table[i].uid, uid) == 0)
			return table[i].name;
	return uid;
}
