/* powerloss.h - the power-loss test: a program that stores and frees instances
 * while shim_powerloss.c records, and one that builds from the record what a
 * power cut could have left, and looks whether everything acknowledged is
 * there. */
#ifndef TESTS_FAULT_POWERLOSS_H
#define TESTS_FAULT_POWERLOSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/spool.h"

/* What the driver marks. */
enum powerloss_event {
	POWERLOSS_ACKED = 1, /* on_done(ERR_OK) was called */
	POWERLOSS_GIVEN_UP,  /* from now on it may go */
};

struct powerloss_note {
	uint32_t event;
	uint32_t instance;
};

enum { POWERLOSS_SEGMENT = 2 * 1024 * 1024 };

/* powerloss_common.c */

/* Ends the program with a message. */
void powerloss_fail(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

struct spool *powerloss_open(const char *dir);

/* Instance n: its size and bytes. */
size_t powerloss_size(uint32_t n);
void powerloss_fill(uint32_t n, uint8_t *p, size_t size);
/* Bytes at..at+len of instance n are these? */
int powerloss_same(uint32_t n, uint64_t at, const uint8_t *p, size_t len);

/* powerloss_drive.c: store count instances in dir; with or without the real
 * ledger. */
void powerloss_drive(const char *dir, uint32_t count, bool with_ledger);

/* powerloss_image.c: the disk, as the log up to a place allows. */
struct image;

/* What is marked before a place of the log: acked, not given up. */
struct powerloss_acked {
	uint32_t *at;
	size_t n;
};

struct image *image_open(const char *log_path);
size_t image_entries(const struct image *im);
/* Go forward to the state before entry n; n never falls. */
void image_advance(struct image *im, size_t n);
/* Write one of the possible directories. */
void image_write(struct image *im, const char *dir, unsigned *seed);
struct powerloss_acked image_acked(const struct image *im);
void image_close(struct image *im);

/* powerloss_check.c: open dir as a restart would. Fails unless every one of
 * acked is there, bit for bit. */
void powerloss_check(const char *dir, struct powerloss_acked acked);

/* powerloss_ledger.c */
struct ledger;
struct ledger *powerloss_ledger_open(const char *dir, struct spool *spool);
void powerloss_ledger_barrier(struct ledger *l);
/* Everything queued for "cloud", or arrived there and not delivered: the
 * instance's number and its id. */
typedef void powerloss_item_fn(void *arg, uint32_t n,
			       const struct transfer_id *id);
void powerloss_ledger_each(struct ledger *l, powerloss_item_fn *fn, void *arg);
/* It is here under the name that its sender gave it, on its way on. */
bool powerloss_ledger_knows(struct ledger *l, const struct instance_origin *v);
/* Fails unless each of acked is queued or has arrived. */
void powerloss_ledger_check(const char *dir, struct powerloss_acked acked);

#endif
