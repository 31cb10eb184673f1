/* ledger_search_in.h - what the files of the search share. Private to them. */
#ifndef STORE_LEDGER_SEARCH_IN_H
#define STORE_LEDGER_SEARCH_IN_H

#include "store/ledger_search.h"
#include "store/ledger_view_in.h"

/* Blocks looked through in one call: of 1024 sequence numbers, a millisecond
 * each at most. */
enum { SEARCH_BLOCKS = 128 };

/* The ids that are nearest to the place, in the way's order. */
struct search_ids {
	enum search_way way;
	unsigned limit;
	size_t n;     /* at most limit + 1: one more says that there are more */
	bool cut;     /* the bound was met */
	uint64_t end; /* cut: where to go on */
	uint64_t v[2 * (LEDGER_PAGE_MAX + 1)];
};

/* Fill ids for a filter. Inside view_begin(). */
enum err search_find(struct ledger_view *v, const struct search_filter *f,
		     struct search_ids *ids) MUST_CHECK;

/* What a page says of itself; place is the filter's. */
void search_page_of(const struct search_ids *ids, uint64_t place,
		    struct search_page *page);

/* The first and the last block that can hold what was received in these times;
 * ERR_NOTFOUND: none. */
enum err search_blocks_of(struct ledger_view *v, int64_t from_ms, int64_t to_ms,
			  uint64_t *first, uint64_t *last) MUST_CHECK;

/* NULL where text is NULL or "". */
static inline const char *search_given(const char *text)
{
	return text != NULL && text[0] != '\0' ? text : NULL;
}

static inline int64_t search_to(int64_t to_ms)
{
	return to_ms != 0 ? to_ms : INT64_MAX;
}

#endif
