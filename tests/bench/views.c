/* views.c - ask a ledger everything the page and the exports ask, and tell how
 * long it takes.
 *
 * Every question is asked --rounds times with values drawn from the ledger
 * itself: devices common and rare, studies small and large, times from all its
 * years. --check asks each once and fails when SQLite would read a whole table
 * of instances or deliveries for it. */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/lib/mem.h"
#include "store/ledger_rollup.h"
#include "store/ledger_search.h"
#include "store/ledger_view_in.h"
#include "tests/bench/args.h"

enum { POOL = 256, ROUNDS_MAX = 2000, PLANS = 512 };

static const char *dir;
static uint64_t rounds = 200, seed = 1;
static bool check;

static struct ledger_view *v;
static uint64_t rows;

_Noreturn static void fail(const char *what)
{
	fprintf(stderr, "views: %s: %s\n", what,
		v != NULL ? ledger_view_why(v) : "");
	exit(1);
}

/* ---- chance, and values to ask for -------------------------------------- */

static uint64_t chance(void)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

struct pool {
	size_t n;
	char text[POOL][66];
	int64_t number[POOL];
};
static struct pool devices, titles, studies, patients, accessions, places;
static int64_t begin_ms, end_ms;

static void draw(struct pool *p, const char *sql)
{
	sqlite3_stmt *st;

	if (sqlite3_prepare_v2(v->db, sql, -1, &st, NULL) != SQLITE_OK)
		fail(sql);
	while (p->n < POOL && sqlite3_step(st) == SQLITE_ROW) {
		p->number[p->n] = sqlite3_column_int64(st, 0);
		db_text(st, 0, p->text[p->n], sizeof(p->text[0]));
		p->n++;
	}
	(void)sqlite3_finalize(st);
	if (p->n == 0)
		fail("the ledger is empty");
}

#define SOME_SERIES                                                            \
	" FROM series WHERE study IS NOT NULL AND id % "                       \
	"(SELECT max(id)/250+1 FROM series)=0"

static void draw_all(void)
{
	draw(&devices, "SELECT name FROM devices");
	draw(&titles, "SELECT DISTINCT calling_ae FROM origins LIMIT 200");
	draw(&studies, "SELECT DISTINCT study" SOME_SERIES);
	draw(&patients,
	     "SELECT DISTINCT patient" SOME_SERIES " AND patient IS NOT NULL");
	draw(&accessions, "SELECT DISTINCT accession" SOME_SERIES
			  " AND accession IS NOT NULL");
	draw(&places, "SELECT name FROM destinations");
	if (db_integer(v->db, "SELECT min(first_ms) FROM blocks", &begin_ms) !=
		ERR_OK ||
	    db_integer(v->db, "SELECT max(last_ms) FROM blocks", &end_ms) !=
		ERR_OK)
		fail("blocks");
}

static const char *text_of(const struct pool *p)
{
	return p->text[chance() % p->n];
}

static int64_t number_of(const struct pool *p)
{
	return p->number[chance() % p->n];
}

static int64_t some_time(void)
{
	return begin_ms + (int64_t)(chance() % (uint64_t)(end_ms - begin_ms));
}

static enum delivery_state some_state(void)
{
	return (enum delivery_state)(chance() % DELIVERY_N_STATES);
}

/* ---- questions ---------------------------------------------------------- */

static bool on_delivery(void *arg, const struct view_delivery *d)
{
	(void)arg;
	rows += d->delivery != 0;
	return true;
}

static bool on_study(void *arg, const struct view_study *s)
{
	(void)arg;
	rows += s->study[0] != '\0';
	return true;
}

static bool on_detail(void *arg, const struct view_delivery *d,
		      const struct view_outgoing *out)
{
	(void)arg;
	(void)out;
	rows += d->delivery != 0;
	return true;
}

static bool on_point(void *arg, const struct rollup_point *p)
{
	(void)arg;
	rows += p->at_ms != 0;
	return true;
}

static bool on_refusal(void *arg, const struct view_refusal *r)
{
	(void)arg;
	rows += r->id != 0;
	return true;
}

static bool on_association(void *arg, const struct view_association *a)
{
	(void)arg;
	rows += a->a.id != 0;
	return true;
}

static bool on_destination(void *arg, const struct view_destination *d)
{
	(void)arg;
	rows += d->name[0] != '\0';
	return true;
}

static bool on_device(void *arg, const struct view_device *d)
{
	(void)arg;
	rows += d->name[0] != '\0';
	return true;
}

static void ask(struct search_filter f)
{
	struct search_page page;

	f.limit = 50;
	if (ledger_search(v, &f, on_delivery, NULL, &page) != ERR_OK)
		fail("search");
}

static void ask_studies(struct study_filter f)
{
	struct search_page page;

	f.limit = 25;
	if (ledger_search_studies(v, &f, on_study, NULL, &page) != ERR_OK)
		fail("studies");
}

#define FILTER(...)  ask((struct search_filter){__VA_ARGS__})
#define STUDIES(...) ask_studies((struct study_filter){__VA_ARGS__})

static uint64_t some_place(void)
{
	int64_t last = 0;

	if (db_integer(v->db, "SELECT max(id) FROM deliveries", &last) !=
	    ERR_OK)
		fail("deliveries");
	return (uint64_t)last - chance() % 200000000;
}

static void q_newest(void)
{
	FILTER(.limit = 50);
}
static void q_older(void)
{
	FILTER(.place = some_place());
}
static void q_newer(void)
{
	FILTER(.place = some_place(), .way = SEARCH_NEWER);
}
static void q_time(void)
{
	FILTER(.to_ms = some_time());
}
static void q_minute(void)
{
	int64_t t = some_time();

	FILTER(.from_ms = t, .to_ms = t + 60000);
}
static void q_device(void)
{
	FILTER(.device = text_of(&devices));
}
static void q_title(void)
{
	FILTER(.calling_ae = text_of(&titles));
}
static void q_device_time(void)
{
	FILTER(.device = text_of(&devices), .to_ms = some_time());
}
static void q_destination(void)
{
	FILTER(.destination = text_of(&places));
}
static void q_state(void)
{
	FILTER(.has_state = true, .state = some_state());
}
static void q_state_time(void)
{
	FILTER(.has_state = true, .state = some_state(), .to_ms = some_time());
}
static void q_device_state(void)
{
	FILTER(.device = text_of(&devices), .has_state = true,
	       .state = some_state());
}
static void q_everything(void)
{
	FILTER(.device = text_of(&devices), .calling_ae = text_of(&titles),
	       .destination = text_of(&places), .has_state = true,
	       .state = some_state(), .to_ms = some_time());
}
static void q_study(void)
{
	FILTER(.study = text_of(&studies));
}
static void q_accession(void)
{
	FILTER(.accession = number_of(&accessions));
}
static void q_patient(void)
{
	FILTER(.patient = number_of(&patients));
}
static void q_studies(void)
{
	STUDIES(.limit = 25);
}
static void q_studies_time(void)
{
	STUDIES(.to_ms = some_time());
}
static void q_studies_device(void)
{
	STUDIES(.device = text_of(&devices));
}
static void q_studies_patient(void)
{
	STUDIES(.patient = number_of(&patients));
}
static void q_detail(void)
{
	if (ledger_search_study(v, text_of(&studies), 0, LEDGER_PAGE_MAX,
				on_detail, NULL) != ERR_OK)
		fail("study");
}
static void q_now(void)
{
	if (ledger_view_destinations(v, on_destination, NULL) != ERR_OK ||
	    ledger_view_devices(v, on_device, NULL) != ERR_OK)
		fail("now");
}
static void q_refused(void)
{
	if (ledger_view_refusals(v, 0, 50, on_refusal, NULL) != ERR_OK)
		fail("refusals");
}
static void q_associations(void)
{
	if (ledger_view_associations(v, 0, 50, on_association, NULL) != ERR_OK)
		fail("associations");
}
static void q_chart(void)
{
	int64_t now = end_ms;
	static const int64_t spans[] = {1, 24, 24 * 7, 24 * 90, 24 * 400};
	int64_t from = now - spans[chance() % ARRAY_LEN(spans)] * 3600000;

	if (ledger_rollup(v, ~0ULL, NULL,
			  rollup_level_for(from, now, now, 1500), from, now,
			  on_point, NULL) != ERR_OK)
		fail("chart");
}

static const struct {
	const char *name;
	void (*ask)(void);
	unsigned limit_ms; /* at the 95th percentile */
} questions[] = {
    {"transfers", q_newest, 100},
    {"transfers, a later page", q_older, 200},
    {"transfers, page back", q_newer, 200},
    {"transfers before a time", q_time, 100},
    {"transfers of a minute", q_minute, 100},
    {"transfers of a device", q_device, 100},
    {"transfers of an AE title", q_title, 100},
    {"transfers of a device before a time", q_device_time, 100},
    {"transfers to a destination", q_destination, 100},
    {"transfers in a state", q_state, 100},
    {"transfers in a state before a time", q_state_time, 100},
    {"transfers of a device in a state", q_device_state, 100},
    {"transfers by five filters", q_everything, 100},
    {"transfers of a study", q_study, 100},
    {"transfers of an accession number", q_accession, 100},
    {"transfers of a patient", q_patient, 100},
    {"studies", q_studies, 100},
    {"studies before a time", q_studies_time, 100},
    {"studies of a device", q_studies_device, 100},
    {"studies of a patient", q_studies_patient, 100},
    {"a study's page", q_detail, 200},
    {"destinations and devices", q_now, 200},
    {"refused", q_refused, 200},
    {"associations", q_associations, 200},
    {"charts", q_chart, 200},
};

/* ---- measuring ---------------------------------------------------------- */

static double now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* One line of JSON a question. */
static void measure(size_t i)
{
	static double ms[ROUNDS_MAX];
	size_t n = (size_t)rounds;

	rows = 0;
	for (size_t k = 0; k < n; k++) {
		double t = now_s();

		questions[i].ask();
		ms[k] = (now_s() - t) * 1000;
	}
	qsort(ms, n, sizeof(*ms), by_size);
	printf("{\"view\":\"%s\",\"p50_ms\":%.2f,\"p95_ms\":%.2f,"
	       "\"max_ms\":%.2f,\"limit_ms\":%u,\"rows\":%.1f}\n",
	       questions[i].name, ms[n / 2], ms[n * 95 / 100], ms[n - 1],
	       questions[i].limit_ms, (double)rows / (double)n);
	(void)fflush(stdout);
}

/* ---- plans -------------------------------------------------------------- */

static char *plans[PLANS];
static size_t n_plans;

static int on_statement(unsigned what, void *arg, void *statement, void *text)
{
	const char *sql = sqlite3_sql(statement);

	(void)what;
	(void)arg;
	(void)text;
	for (size_t i = 0; i < n_plans; i++)
		if (strcmp(plans[i], sql) == 0)
			return 0;
	if (n_plans < PLANS)
		plans[n_plans++] = strdup(sql);
	return 0;
}

/* A plan that reads all of a large table, or sorts what it reads of one. */
static bool is_bad(const char *detail)
{
	static const char *const large[] = {
	    "SCAN i",           "SCAN d",       "SCAN o",
	    "SCAN instances",   "SCAN origins", "SCAN deliveries",
	    "SCAN associations"};

	for (size_t i = 0; i < ARRAY_LEN(large); i++) {
		size_t n = strlen(large[i]);

		if (strncmp(detail, large[i], n) == 0 &&
		    (detail[n] == '\0' || detail[n] == ' '))
			return true;
	}
	return false;
}

/* Of what is listed by rowid, a page is a scan that ends early. */
static bool ends_early(const char *sql)
{
	return strstr(sql, "ORDER BY id DESC LIMIT") != NULL;
}

static int check_plan(const char *sql)
{
	char *explain = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
	sqlite3_stmt *st;
	int bad = 0;

	if (explain == NULL ||
	    sqlite3_prepare_v2(v->db, explain, -1, &st, NULL) != SQLITE_OK)
		fail(sql);
	while (sqlite3_step(st) == SQLITE_ROW) {
		const char *detail = (const char *)sqlite3_column_text(st, 3);

		if (!is_bad(detail) || ends_early(sql))
			continue;
		printf("%s\n  in %s\n", detail, sql);
		bad++;
	}
	(void)sqlite3_finalize(st);
	sqlite3_free(explain);
	return bad;
}

static int check_plans(void)
{
	int bad = 0;

	(void)sqlite3_trace_v2(v->db, SQLITE_TRACE_STMT, on_statement, NULL);
	for (size_t k = 0; k < 40; k++)
		for (size_t i = 0; i < ARRAY_LEN(questions); i++)
			questions[i].ask();
	(void)sqlite3_trace_v2(v->db, 0, NULL, NULL);
	for (size_t i = 0; i < n_plans; i++)
		bad += check_plan(plans[i]);
	printf("%zu statements, %d plans that read too much\n", n_plans, bad);
	return bad == 0 && n_plans > 20 ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct arg table[] = {
	    {"dir", ARG_TEXT, &dir, "records directory"},
	    {"rounds", ARG_NUMBER, &rounds, "of each question (200)"},
	    {"seed", ARG_NUMBER, &seed, "of chance (1)"},
	    {"check", ARG_FLAG, &check, "how SQLite answers, not how quickly"},
	    {NULL, ARG_FLAG, NULL, NULL},
	};
	char why[LEDGER_WHY_LEN];

	args_parse(argc, argv, "views: ask a ledger\n", table);
	if (dir == NULL || rounds == 0 || rounds > ROUNDS_MAX)
		args_refuse("--dir is needed, and 1 to 2000 --rounds");
	if (ledger_view_open(dir, &v, why) != ERR_OK)
		fail(why);
	draw_all();
	if (check)
		return check_plans();
	for (size_t i = 0; i < ARRAY_LEN(questions); i++)
		measure(i);
	ledger_view_close(v);
	return 0;
}
