/* powerloss_partial.h - the same for partial transfers: every chunk that was
 * told to be durable must be listed and read back, whatever the power cut left;
 * and what is listed must become an instance when its peer goes on. */
#ifndef TESTS_FAULT_POWERLOSS_PARTIAL_H
#define TESTS_FAULT_POWERLOSS_PARTIAL_H

#include "store/spool_partial.h"
#include "tests/fault/powerloss.h"

/* Notes are of chunk k of transfer n, and of its whole. */
enum { PARTIAL_WHOLE = 15, PARTIAL_SLOTS = 16, PARTIAL_CHUNKS = 3 };

struct spool *powerloss_partial_open(const char *dir);
/* Transfer n as its peer knows it. */
uint64_t powerloss_partial_length(uint32_t n);
uint32_t powerloss_partial_chunks(uint32_t n);
void powerloss_partial_describe(uint32_t n, struct instance *in);

/* One peer's way with a transfer. */
struct powerloss_sender;
struct powerloss_sender *
powerloss_sender_new(struct spool *s, uint32_t n,
		     void (*told)(void *arg, uint32_t subject), void *arg);
/* Put the chunks of these bits, and wait until each is durable; what fails for
 * want of space is put again, or ends with ERR_NOSPACE if give_up. */
enum err powerloss_sender_put(struct powerloss_sender *t, unsigned bits,
			      bool give_up);
enum err powerloss_sender_finish(struct powerloss_sender *t);
void powerloss_sender_close(struct powerloss_sender *t);

void powerloss_partial_drive(const char *dir, uint32_t count);
void powerloss_partial_check(const char *dir, struct powerloss_acked acked);

#endif
