/* powerloss_log.h - what shim_powerloss.c writes and powerloss.c reads: entries
 * in host order, each followed by its two paths (NUL included) and its data. */
#ifndef TESTS_FAULT_POWERLOSS_LOG_H
#define TESTS_FAULT_POWERLOSS_LOG_H

#include <stdint.h>

enum powerloss_op {
	POWERLOSS_CREATE = 1,  /* file, path */
	POWERLOSS_SIZE,        /* file; offset: the new size */
	POWERLOSS_WRITE,       /* file, offset, len, data */
	POWERLOSS_ZERO,        /* file, offset, len; all zero, no data */
	POWERLOSS_RENAME,      /* path, other */
	POWERLOSS_LINK,        /* path, other */
	POWERLOSS_UNLINK,      /* path */
	POWERLOSS_FLUSH_BEGIN, /* file (0: the directory path); offset: ticket
				*/
	POWERLOSS_FLUSH_END,   /* file; offset: ticket */
	POWERLOSS_MARK,        /* len, data: the program's own */
};

struct powerloss_entry {
	uint32_t op;
	uint32_t file; /* number; never used twice */
	uint64_t offset;
	uint64_t len; /* bytes of data */
	uint16_t path_len, other_len;
	uint32_t zero;
};

#endif
