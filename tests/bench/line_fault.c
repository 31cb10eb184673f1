#include "tests/bench/line_fault.h"

#include <stdlib.h>
#include <string.h>

bool line_times_parse(const char *text, bool spans, struct line_span *v,
		      size_t *n)
{
	double before = -1;
	char *end;

	for (*n = 0; *n < LINE_TIMES; text = end + 1) {
		struct line_span *s = &v[(*n)++];

		s->from = s->to = strtod(text, &end);
		if (end == text || s->from < 0 || s->from <= before)
			return false;
		if (spans) {
			if (*end != '-')
				return false;
			text = end + 1;
			s->to = strtod(text, &end);
			if (end == text || s->to <= s->from)
				return false;
		}
		before = s->to;
		if (*end != ',')
			return *end == 0;
	}
	return false;
}

bool line_ways_parse(const char *text, bool v[LINE_WAYS])
{
	v[LINE_UP] = strcmp(text, "up") == 0 || strcmp(text, "both") == 0;
	v[LINE_DOWN] = strcmp(text, "down") == 0 || strcmp(text, "both") == 0;
	return v[LINE_UP] || v[LINE_DOWN];
}

static uint64_t next_random(struct line_faults *f)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return f->random;
}

/* One bit in every flip_every bytes, anywhere in them: from the end of one
 * such stretch to the bit of the next is 1 to 2 * flip_every - 1. */
static uint64_t next_flip(struct line_faults *f)
{
	return 1 + next_random(f) % (2 * f->flip_every - 1);
}

void line_faults_start(struct line_faults *f)
{
	f->random = f->seed * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u;
	if (f->random == 0)
		f->random = 1;
	for (unsigned i = 0; i < 8; i++)
		(void)next_random(f);
	for (unsigned w = 0; w < LINE_WAYS && f->flip_every > 0; w++)
		f->flip_left[w] = next_flip(f);
	line_faults_restart(f);
}

void line_faults_restart(struct line_faults *f)
{
	f->cut_count = f->cuts = f->next_cut = 0;
	f->flips = 0;
	f->begun = 0;
	f->next_hole = 0;
}

static void flip(struct line_faults *f, enum line_way w, uint8_t *b, size_t n)
{
	size_t at = 0;

	while (f->flip_left[w] <= n - at) {
		at += (size_t)f->flip_left[w];
		b[at - 1] ^= (uint8_t)(1u << (next_random(f) & 7));
		f->flips++;
		f->flip_left[w] = next_flip(f);
	}
	f->flip_left[w] -= n - at;
}

void line_faults_enter(struct line_faults *f, enum line_way w, uint8_t *b,
		       size_t n, uint64_t now)
{
	if (n == 0)
		return;
	if (f->begun == 0)
		f->begun = now;
	if (f->cut_ways[w])
		f->cut_count += n;
	if (f->flip_every > 0 && f->flip_ways[w])
		flip(f, w, b, n);
}

static uint64_t at_ns(const struct line_faults *f, double seconds)
{
	return f->begun + (uint64_t)(seconds * 1e9);
}

bool line_faults_cut(struct line_faults *f, uint64_t now)
{
	bool due = false;

	if (f->cut_every > 0 && f->cut_count >= f->cut_every) {
		f->cut_count = 0;
		due = true;
	}
	if (f->begun != 0 && f->next_cut < f->n_cut_at &&
	    now >= at_ns(f, f->cut_at[f->next_cut].from)) {
		f->next_cut++;
		due = true;
	}
	if (!due || (f->cuts_most > 0 && f->cuts >= f->cuts_most))
		return false;
	f->cuts++;
	return true;
}

void line_faults_hole(struct line_faults *f, double seconds, uint64_t now)
{
	uint64_t until = now + (uint64_t)(seconds * 1e9);

	if (f->hole_until == 0)
		f->hole_since = now;
	if (until > f->hole_until)
		f->hole_until = until;
}

bool line_faults_still(struct line_faults *f, uint64_t now, uint64_t *over)
{
	*over = 0;
	if (f->begun != 0 && f->next_hole < f->n_holes &&
	    now >= at_ns(f, f->holes[f->next_hole].from)) {
		const struct line_span *s = &f->holes[f->next_hole++];

		line_faults_hole(f, s->to - s->from, now);
	}
	if (f->hole_until == 0)
		return false;
	if (now < f->hole_until)
		return true;
	*over = now - f->hole_since;
	f->hole_until = 0;
	return false;
}

uint64_t line_faults_next(const struct line_faults *f)
{
	uint64_t at = f->hole_until ? f->hole_until : UINT64_MAX, t;

	if (f->begun == 0)
		return at;
	if (f->next_cut < f->n_cut_at) {
		t = at_ns(f, f->cut_at[f->next_cut].from);
		at = t < at ? t : at;
	}
	if (f->next_hole < f->n_holes) {
		t = at_ns(f, f->holes[f->next_hole].from);
		at = t < at ? t : at;
	}
	return at;
}
