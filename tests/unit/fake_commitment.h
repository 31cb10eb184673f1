/* fake_commitment.h - in the place of proxy/commitment.h: an engine that does
 * what the test says. */
#ifndef TESTS_UNIT_FAKE_COMMITMENT_H
#define TESTS_UNIT_FAKE_COMMITMENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/commitment.h"

struct commitment {
	pthread_mutex_t lock;
	enum err e; /* of commitment_report() */
	uint16_t status;
	bool keep; /* the answer comes when the test gives it */
	commitment_done_fn *done;
	void *arg;
	_Atomic unsigned n;
	uint8_t *data;
	size_t len;
	uint16_t event_type;
	char from[33], transfer_syntax[65];
};

extern struct commitment engine;

#endif
