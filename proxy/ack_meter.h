/* ack_meter.h - how long devices wait for the acknowledgement of an instance:
 * from its last byte to the response, for those answered Success.
 *
 * One histogram for the process, with the bounds of ledger_rollup.h. Noting
 * costs two additions to memory that the worker has to itself. Any thread. */
#ifndef PROXY_ACK_METER_H
#define PROXY_ACK_METER_H

#include <stdint.h>

#include "store/ledger_rollup.h"

void ack_meter_note(unsigned worker, uint64_t ns);

/* Since start; count is the sum of the buckets, which are not cumulative. */
struct ack_figures {
	uint64_t bucket[ROLLUP_BOUNDS];
	uint64_t count;
	uint64_t sum_us;
};
void ack_meter_read(struct ack_figures *out);

#endif
