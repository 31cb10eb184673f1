/* audit_read_sql.c - one month file: the statements, and which rows they look
 * at next. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "store/audit_read_int.h"

#define COLUMNS                                                                \
	"seq,wall_ms,mono_ns,boot,kind,outcome,association,listener,device,"   \
	"destination,peer,local,calling_ae,called_ae,fingerprint,study,user,"  \
	"detail,prev_chain,chain,"
#define COLUMNS_1 COLUMNS "NULL,NULL,sealed"
#define COLUMNS_2 COLUMNS "commitment,sealed_hash,sealed"

enum { SQL_LEN = 1600, WINDOW_INDEXED = 65536, MONTH_TEXT = 7 };

/* ---- the filter ---------------------------------------------------------- */

/* The index that leaves the fewest rows, as a rule; NULL: none helps. */
static const char *index_for(const struct audit_filter *f)
{
	const struct {
		bool asked;
		const char *index;
	} by[] = {
	    {f->study != NULL && f->study[0] != '\0', "audit_study"},
	    {f->user != NULL && f->user[0] != '\0', "audit_user"},
	    {f->outcome_min > 0, "audit_failed"},
	    {f->kinds != NULL && f->n_kinds > 0, "audit_kind"},
	    {f->device != NULL && f->device[0] != '\0', "audit_device"},
	    {f->destination != NULL && f->destination[0] != '\0',
	     "audit_destination"},
	};

	for (size_t i = 0; i < sizeof(by) / sizeof(by[0]); i++)
		if (by[i].asked)
			return by[i].index;
	return NULL;
}

/* The filter as a condition; parameters 1 and 2 are the window. */
static void where(const struct audit_filter *f, char out[SQL_LEN])
{
	const struct {
		const char *column, *value;
		int at;
	} texts[] = {{"listener", f->listener, 3},
		     {"device", f->device, 4},
		     {"destination", f->destination, 5},
		     {"study", f->study, 6},
		     {"user", f->user, 7},
		     {"calling_ae", f->calling_ae, 8}};
	int n = snprintf(out, SQL_LEN, " WHERE seq>=?1 AND seq<=?2");
#define ADD(...)                                                               \
	(n += snprintf(out + n, n < SQL_LEN ? SQL_LEN - (size_t)n : 0,         \
		       __VA_ARGS__))

	if (f->from_ms != 0)
		ADD(" AND wall_ms>=%lld", (long long)f->from_ms);
	if (f->to_ms != 0)
		ADD(" AND wall_ms<=%lld", (long long)f->to_ms);
	if (f->association != 0)
		ADD(" AND association=%lld", (long long)f->association);
	if (f->outcome_min > 0)
		ADD(" AND outcome<>0 AND outcome>=%d", f->outcome_min);
	for (size_t i = 0; f->kinds != NULL && i < f->n_kinds && i < 64; i++)
		ADD("%s%d", i == 0 ? " AND kind IN(" : ",", f->kinds[i]);
	if (f->kinds != NULL && f->n_kinds > 0)
		ADD(")");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].value != NULL && texts[i].value[0] != '\0')
			ADD(" AND %s=?%d", texts[i].column, texts[i].at);
	ADD(" ORDER BY seq%s", f->backwards ? " DESC" : "");
#undef ADD
}

static void bind_one(sqlite3_stmt *st, int at, const char *value)
{
	if (value != NULL && value[0] != '\0')
		db_bind_text(st, at, value);
}

static void bind_filter(sqlite3_stmt *st, const struct audit_filter *f)
{
	bind_one(st, 3, f->listener);
	bind_one(st, 4, f->device);
	bind_one(st, 5, f->destination);
	bind_one(st, 6, f->study);
	bind_one(st, 7, f->user);
	bind_one(st, 8, f->calling_ae);
}

/* ---- statements ---------------------------------------------------------- */

static enum err prepare_rows(struct audit_file *f,
			     const struct audit_filter *filter)
{
	const char *by = filter->quick && f->indexed ? index_for(filter) : NULL;
	char sql[2 * SQL_LEN], tail[SQL_LEN];
	enum err e;

	where(filter, tail);
	snprintf(sql, sizeof(sql), "SELECT %s FROM audit %s%s%s",
		 f->chained ? COLUMNS_2 : COLUMNS_1,
		 by != NULL ? "INDEXED BY " : "NOT INDEXED",
		 by != NULL ? by : "", tail);
	f->window = by != NULL ? WINDOW_INDEXED : AUDIT_READ_WINDOW;
	e = db_prepare(f->db, sql, &f->rows);
	if (e == ERR_OK)
		bind_filter(f->rows, filter);
	return e;
}

/* The next block of numbers with a time that is asked for: how far one may
 * jump. */
static enum err prepare_span(struct audit_file *f,
			     const struct audit_filter *filter)
{
	char sql[256];

	if (!filter->quick || !f->indexed ||
	    (filter->from_ms == 0 && filter->to_ms == 0))
		return ERR_OK;
	snprintf(sql, sizeof(sql),
		 "SELECT block FROM spans WHERE block%s?1 AND last_ms>=%lld AND"
		 " first_ms<=%lld ORDER BY block%s LIMIT 1",
		 filter->backwards ? "<=" : ">=", (long long)filter->from_ms,
		 (long long)(filter->to_ms != 0 ? filter->to_ms : INT64_MAX),
		 filter->backwards ? " DESC" : "");
	return db_prepare(f->db, sql, &f->span);
}

enum err audit_file_prepare(struct audit_file *f,
			    const struct audit_filter *filter)
{
	enum err e = prepare_rows(f, filter);

	if (e == ERR_OK)
		e = prepare_span(f, filter);
	if (e == ERR_OK)
		e = db_prepare(
		    f->db,
		    filter->backwards
			? "SELECT max(seq) FROM audit NOT INDEXED WHERE seq<=?"
			: "SELECT min(seq) FROM audit NOT INDEXED WHERE "
			  "seq>=?",
		    &f->seek);
	if (e == ERR_OK && f->chained)
		e = db_prepare(f->db, "SELECT blob FROM sealed WHERE seq=?",
			       &f->blob);
	if (e == ERR_OK && f->chained)
		e = db_prepare(f->db, "SELECT by FROM erased WHERE seq=?",
			       &f->erased);
	return e;
}

/* ---- windows ------------------------------------------------------------- */

/* A row stands in the file of its time's month. */
bool audit_file_matters(const char *name, const struct audit_filter *filter)
{
	const char *month = name + sizeof("audit-") - 1;
	char text[CLOCK_TEXT_LEN];

	if (!filter->quick)
		return true;
	clock_text(filter->from_ms, text);
	if (filter->from_ms != 0 && strncmp(month, text, MONTH_TEXT) < 0)
		return false;
	clock_text(filter->to_ms, text);
	return filter->to_ms == 0 || strncmp(month, text, MONTH_TEXT) <= 0;
}

/* The first number in column 0, if there is any. */
static enum err first_of(sqlite3_stmt *st, int64_t from, int64_t *out,
			 bool *got)
{
	enum err e;

	db_bind_int(st, 1, from);
	e = db_row(st, got);
	if (e != ERR_OK || !*got)
		return e;
	*got = sqlite3_column_type(st, 0) != SQLITE_NULL;
	if (*got)
		*out = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return ERR_OK;
}

/* Leave out what the blocks say is of other times. */
static enum err jump(struct audit_file *f, bool backwards, bool *got)
{
	int64_t block = 0, edge;
	enum err e = first_of(f->span, f->next >> 10, &block, got);

	if (e != ERR_OK || !*got)
		return e;
	edge = block * 1024 + (backwards ? 1023 : 0);
	if (backwards ? edge < f->next : edge > f->next)
		f->next = edge;
	return ERR_OK;
}

enum err audit_file_window(struct audit_file *f,
			   const struct audit_filter *filter, bool *got)
{
	enum err e = ERR_OK;
	int64_t end;

	*got = true;
	if (f->span != NULL)
		e = jump(f, filter->backwards, got);
	if (e == ERR_OK && *got)
		e = first_of(f->seek, f->next, &f->next, got);
	if (e != ERR_OK)
		return e;
	if (*got &&
	    (filter->backwards ? f->next < f->first : f->next > f->last))
		*got = false;
	if (!*got)
		return ERR_OK;
	if (filter->backwards) {
		end = f->next - f->window + 1;
		f->until = end > f->first ? end : f->first;
	} else {
		end = f->next + f->window - 1;
		f->until = end < f->last ? end : f->last;
	}
	db_bind_int(f->rows, filter->backwards ? 2 : 1, f->next);
	db_bind_int(f->rows, filter->backwards ? 1 : 2, f->until);
	f->stepping = true;
	return ERR_OK;
}
