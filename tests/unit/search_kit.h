/* search_kit.h - a ledger with a bit of all, to be searched. */
#ifndef TESTS_UNIT_SEARCH_KIT_H
#define TESTS_UNIT_SEARCH_KIT_H

#include "store/ledger_search_in.h"
#include "tests/unit/ledger_fixture.h"

enum { SEARCH_N = 120, SEARCH_T0 = 1000000 };

extern const char *const search_devices[3];
extern const char *const search_aes[2];
extern const char *const search_places[3];
extern const char *const search_study_uids[5];

/* A cmocka fixture: *state is a struct fixture, not opened. */
int search_setup(void **state);
int search_teardown(void **state);

/* The i-th instance that search_fill() puts. */
struct instance search_made(unsigned i);
/* Opens, and puts SEARCH_N instances with all kinds of outcomes. */
void search_fill(struct fixture *f);
struct ledger_view *search_view(struct fixture *f);

struct search_rows {
	size_t n;
	struct view_delivery d[1000];
};
/* arg: struct search_rows. */
bool search_on_row(void *arg, const struct view_delivery *d);
/* All deliveries, by a plain listing; free() it. */
struct search_rows *search_everything(struct ledger_view *v);

struct search_studies {
	size_t n;
	struct view_study s[16];
};
/* arg: struct search_studies. */
bool search_on_study(void *arg, const struct view_study *s);

#endif
