#include "proxy/bucket.h"

/* A byte in units of credit: at 1 bit/s, one unit comes each nanosecond. */
#define BYTE 8000000000ll

/* Greatest credit: BUCKET_BURST_MAX * BYTE is 5.4e17, twice that fits. */
static int64_t full(const struct bucket *b)
{
	return (int64_t)b->burst * BYTE;
}

void bucket_refill(struct bucket *b, uint64_t now_ns)
{
	uint64_t dt, missing;

	if (now_ns <= b->at_ns)
		return;
	dt = now_ns - b->at_ns;
	b->at_ns = now_ns;
	if (b->rate == 0 || b->credit >= full(b))
		return;
	missing = (uint64_t)(full(b) - b->credit);
	if (dt > missing / b->rate)
		b->credit = full(b);
	else
		b->credit += (int64_t)(dt * b->rate);
}

void bucket_set(struct bucket *b, uint64_t rate, uint64_t burst,
		uint64_t now_ns)
{
	bool fresh = b->rate == 0;

	bucket_refill(b, now_ns);
	b->rate = rate < BUCKET_RATE_MAX ? rate : BUCKET_RATE_MAX;
	b->burst = burst < BUCKET_BURST_MAX ? burst : BUCKET_BURST_MAX;
	if (fresh)
		b->credit = 0;
	else if (b->credit > full(b))
		b->credit = full(b);
	else if (b->credit < -full(b))
		b->credit = -full(b);
}

int64_t bucket_level(const struct bucket *b)
{
	int64_t level = b->credit / BYTE;

	return b->credit < level * BYTE ? level - 1 : level;
}

void bucket_take(struct bucket *b, uint64_t n)
{
	/* below: down to twice the burst, then it is cut */
	uint64_t most = n < 2 * b->burst ? n : 2 * b->burst;

	b->credit -= (int64_t)most * BYTE;
	if (b->credit < -full(b))
		b->credit = -full(b);
}

void bucket_put(struct bucket *b, uint64_t n)
{
	uint64_t most = n < 2 * b->burst ? n : 2 * b->burst;

	b->credit += (int64_t)most * BYTE;
	if (b->credit > full(b))
		b->credit = full(b);
}

uint64_t bucket_wait(const struct bucket *b, int64_t n)
{
	uint64_t missing;

	if (b->rate == 0)
		return 0;
	if (n > BUCKET_WAIT_MAX)
		n = BUCKET_WAIT_MAX;
	if (b->credit >= n * BYTE)
		return 0;
	missing = (uint64_t)(n * BYTE - b->credit);
	return missing / b->rate + (missing % b->rate != 0);
}
