/* fill.c - put years of made-up transfers (and audit rows) into a records
 * directory, so that views can be measured on it.
 *
 * ledger.db must be there: start the daemon once, and stop it. Rows stand at
 * sequences from 2^40 on, where no daemon's own will come, so that it can go on
 * with the directory. What is made depends on --seed alone. */
#include <math.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/audit.h"
#include "store/ledger_rollup_code.h"
#include "tests/bench/args.h"

enum {
	DEVICES = 40,
	ACTIVE = 6, /* studies that come in at the same time */
	MARKS = 4096,
	DAY_MS = 86400000,
	NEW_ORIGIN = 300, /* instances of an association */
};

#define FIRST_SEQ (1ULL << 40)

static const char *dir;
static uint64_t n_instances = 1000000, n_audit, seed = 1, days = 1826;
static uint64_t n_queued = 5000;

/* ---- chance ------------------------------------------------------------- */

static uint64_t chance_state;

static uint64_t chance(void)
{
	uint64_t z = chance_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static uint64_t below(uint64_t n)
{
	return chance() % n;
}

/* ---- SQL ---------------------------------------------------------------- */

static sqlite3 *db;

_Noreturn static void fail(const char *what)
{
	fprintf(stderr, "fill: %s: %s\n", what,
		db != NULL ? sqlite3_errmsg(db) : "");
	exit(1);
}

static void run(const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail(sql);
}

static sqlite3_stmt *prepare(const char *sql)
{
	sqlite3_stmt *st;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail(sql);
	return st;
}

static void step(sqlite3_stmt *st)
{
	if (sqlite3_step(st) != SQLITE_DONE)
		fail("insert");
	(void)sqlite3_reset(st);
}

static void num(sqlite3_stmt *st, int i, uint64_t v)
{
	(void)sqlite3_bind_int64(st, i, (sqlite3_int64)v);
}

static void text(sqlite3_stmt *st, int i, const char *v)
{
	(void)sqlite3_bind_text(st, i, v, -1, SQLITE_TRANSIENT);
}

static void blob(sqlite3_stmt *st, int i, size_t n)
{
	uint64_t bytes[32];

	for (size_t k = 0; k * 8 < n; k++)
		bytes[k] = chance();
	(void)sqlite3_bind_blob(st, i, bytes, (int)n, SQLITE_TRANSIENT);
}

static struct {
	sqlite3_stmt *instance, *delivery, *origin, *series, *sums, *mark,
	    *block, *association;
} st;

static void prepare_all(void)
{
	st.instance = prepare("INSERT INTO instances(seq,transfer,received_ms,"
			      "origin,kind,series,sop_instance,dicom_priority,"
			      "length,chunks,root)"
			      " VALUES(?,?,?,?,?,?,?,0,?,?,?)");
	st.delivery = prepare("INSERT INTO deliveries(id,destination,state,"
			      "priority,attempts,next_attempt_ms,remote_status,"
			      "changed_ms,uid_hash,last_error)"
			      " VALUES(?,?,?,1,?,0,?,?,?,?)");
	st.origin = prepare("INSERT INTO origins VALUES(?,?,'modalities',?,?,?,"
			    "'ARCHIVE',?)");
	st.series = prepare("INSERT INTO series(id,study,series,modality,first,"
			    "identity,accession,patient,device,calling_ae,"
			    "instances,bytes,first_ms,last_ms)"
			    " VALUES(?,?,?,?,?,?,?,?,?,?,0,0,?,?)");
	st.sums = prepare("UPDATE series SET instances=?2,bytes=?3,last_ms=?4"
			  " WHERE id=?1");
	st.mark = prepare("INSERT OR IGNORE INTO marks VALUES(?,?,?)");
	st.block = prepare("INSERT INTO blocks VALUES(?,?,?)");
	st.association =
	    prepare("INSERT INTO associations(id,direction,party,peer,"
		    "tls_version,tls_suite,tls_group,begun_ms,ended_ms,result)"
		    " VALUES(?,1,?,'10.9.9.9:2762','TLSv1.3',"
		    "'TLS_AES_256_GCM_SHA384','x25519',?,?,'accepted')");
}

/* ---- devices, destinations ---------------------------------------------- */

enum modality { CT, MR, US, CR, MG, MODALITIES };
static const struct {
	const char *name;
	uint64_t least, most, length;
} modalities[MODALITIES] = {
    [CT] = {"CT", 120, 1500, 525000}, [MR] = {"MR", 80, 900, 260000},
    [US] = {"US", 10, 80, 900000},    [CR] = {"CR", 1, 4, 9000000},
    [MG] = {"MG", 4, 8, 25000000},
};

/* Eight of each; the first ones do most of the work, the last two of each stood
 * only in the first year. */
static enum modality modality_of(unsigned device)
{
	return (enum modality)(device % MODALITIES);
}

static unsigned pick_device(double done)
{
	for (;;) {
		unsigned d =
		    (unsigned)(below(DEVICES) * below(DEVICES) / DEVICES);

		if (d < DEVICES * 3 / 4 || done < 0.2)
			return d;
	}
}

static const char *const destinations[] = {"cloud", "second", "research"};
enum { CLOUD, SECOND, RESEARCH, DESTINATIONS };

static int64_t destination_id[DESTINATIONS];
static uint64_t totals[DESTINATIONS][9][2];
static uint64_t device_sums[DEVICES][3];

static void begin_destinations(void)
{
	sqlite3_stmt *add =
	    prepare("INSERT OR IGNORE INTO destinations(name) VALUES(?)");
	sqlite3_stmt *get = prepare("SELECT id FROM destinations WHERE name=?");

	for (size_t i = 0; i < DESTINATIONS; i++) {
		text(add, 1, destinations[i]);
		step(add);
		text(get, 1, destinations[i]);
		if (sqlite3_step(get) != SQLITE_ROW)
			fail("destination");
		destination_id[i] = sqlite3_column_int64(get, 0);
		(void)sqlite3_reset(get);
	}
	(void)sqlite3_finalize(add);
	(void)sqlite3_finalize(get);
}

/* ---- blocks ------------------------------------------------------------- */

static void mark(int kind, const char *name, uint64_t seq)
{
	static struct {
		int kind;
		uint64_t block;
		char name[32];
	} done[MARKS];
	uint64_t h = (uint64_t)kind * 31, block = seq >> 10;

	for (const char *p = name; *p != '\0'; p++)
		h = h * 131 + (uint64_t)*p;
	h %= MARKS;
	if (done[h].kind == kind && done[h].block == block &&
	    strcmp(done[h].name, name) == 0)
		return;
	done[h].kind = kind;
	done[h].block = block;
	snprintf(done[h].name, sizeof(done[h].name), "%s", name);
	num(st.mark, 1, (uint64_t)kind);
	text(st.mark, 2, name);
	num(st.mark, 3, block);
	step(st.mark);
}

static void note_block(uint64_t seq, uint64_t ms, bool last)
{
	static uint64_t block, first_ms, last_ms;

	if (block != 0 && (last || seq >> 10 != block)) {
		num(st.block, 1, block);
		num(st.block, 2, first_ms);
		num(st.block, 3, last_ms);
		step(st.block);
		block = 0;
	}
	if (block == 0) {
		block = seq >> 10;
		first_ms = ms;
	}
	last_ms = ms;
}

/* ---- studies ------------------------------------------------------------ */

struct study {
	uint64_t number, left, accession, patient, origin;
	unsigned device, n_series;
	uint64_t of_series; /* instances left in this one */
	uint64_t series, in_series, bytes, last_ms;
};

static uint64_t next_study, next_series, next_origin, next_association;

static void names_of(unsigned device, char name[32], char ae[32])
{
	snprintf(name, 32, "%s-room-%u", modalities[modality_of(device)].name,
		 device / MODALITIES);
	snprintf(ae, 32, "%s%u", modalities[modality_of(device)].name,
		 device / MODALITIES);
}

static void begin_study(struct study *s, double done)
{
	char name[32], ae[32], peer[32];
	enum modality kind;
	double r = (double)below(1000) / 1000;

	*s =
	    (struct study){.number = ++next_study, .device = pick_device(done)};
	kind = modality_of(s->device);
	/* Most are small. */
	s->left = modalities[kind].least +
		  (uint64_t)((double)(modalities[kind].most -
				      modalities[kind].least) *
			     r * r * r);
	s->accession = chance() | 1;
	s->patient = below(1 + n_instances / 400) * 0x9e3779b97f4a7c15ULL | 1;
	s->origin = ++next_origin;
	names_of(s->device, name, ae);
	snprintf(peer, sizeof(peer), "10.1.%u.20", s->device);
	num(st.origin, 1, s->origin);
	num(st.origin, 2, ++next_association);
	text(st.origin, 3, name);
	text(st.origin, 4, peer);
	text(st.origin, 5, ae);
	num(st.origin, 6, s->left);
	step(st.origin);
}

static void end_series(const struct study *s)
{
	if (s->series == 0)
		return;
	num(st.sums, 1, s->series);
	num(st.sums, 2, s->in_series);
	num(st.sums, 3, s->bytes);
	num(st.sums, 4, s->last_ms);
	step(st.sums);
}

static void begin_series(struct study *s, uint64_t seq, uint64_t ms)
{
	char uid[80], name[32], ae[32];

	end_series(s);
	s->series = ++next_series;
	s->in_series = s->bytes = 0;
	s->n_series++;
	s->of_series = 1 + below(s->left < 200 ? s->left : 200);
	names_of(s->device, name, ae);
	num(st.series, 1, s->series);
	snprintf(uid, sizeof(uid), "1.2.826.0.1.3680043.8.498.%llu",
		 (unsigned long long)s->number);
	text(st.series, 2, uid);
	snprintf(uid + strlen(uid), 16, ".%u", s->n_series);
	text(st.series, 3, uid);
	text(st.series, 4, modalities[modality_of(s->device)].name);
	num(st.series, 5, seq);
	blob(st.series, 6, 72);
	num(st.series, 7, s->accession);
	num(st.series, 8, s->patient);
	text(st.series, 9, name);
	text(st.series, 10, ae);
	num(st.series, 11, ms);
	num(st.series, 12, ms);
	step(st.series);
}

/* ---- deliveries --------------------------------------------------------- */

/* Nearly all is well. */
static int state_of(int destination, bool newest)
{
	uint64_t r = below(100000);

	if (newest)
		return 0;
	if (r < 3)
		return 2;
	if (r < 8)
		return 1;
	if (r < 20)
		return 4;
	if (r < 30)
		return 5;
	return destination == SECOND ? 7 : 3;
}

static void deliver(uint64_t id, int to, uint64_t ms, uint64_t length,
		    bool newest)
{
	int state = state_of(to, newest);
	char word[4];

	num(st.delivery, 1, id);
	num(st.delivery, 2, (uint64_t)destination_id[to]);
	num(st.delivery, 3, (uint64_t)state);
	num(st.delivery, 4, state >= 1 && state <= 2 ? 5 : 1);
	if (state == 3 || state == 7)
		num(st.delivery, 5, 0);
	else
		(void)sqlite3_bind_int(st.delivery, 5, -1);
	num(st.delivery, 6, ms + 2000);
	num(st.delivery, 7, chance());
	if (state == 2)
		text(st.delivery, 8, "the archive refused it: C000");
	else
		(void)sqlite3_bind_null(st.delivery, 8);
	step(st.delivery);
	mark(3, destinations[to], id >> 5);
	snprintf(word, sizeof(word), "%d", state);
	if (state > 2)
		mark(4, word, id >> 5);
	totals[to][state][0]++;
	totals[to][state][1] += length;
}

static void associate(uint64_t i, uint64_t ms)
{
	if (i % NEW_ORIGIN != 0)
		return;
	for (size_t to = 0; to < DESTINATIONS; to++) {
		num(st.association, 1, ++next_association);
		text(st.association, 2, destinations[to]);
		num(st.association, 3, ms);
		num(st.association, 4, ms + 600000);
		step(st.association);
	}
}

/* ---- instances ---------------------------------------------------------- */

/* Most come by day. */
static uint64_t time_of(uint64_t i, uint64_t begin_ms)
{
	double all = (double)i / (double)n_instances * (double)days;
	double day = floor(all), at = all - day;
	double hour = at < 0.1   ? at / 0.1 * 7
		      : at < 0.9 ? 7 + (at - 0.1) / 0.8 * 12
				 : 19 + (at - 0.9) / 0.1 * 5;

	return begin_ms + (uint64_t)(day * DAY_MS + hour * 3600000);
}

static void add_instance(struct study *s, uint64_t i, uint64_t ms)
{
	uint64_t seq = FIRST_SEQ + i * 2, id = seq << 5, length;
	enum modality kind = modality_of(s->device);
	bool newest = i + n_queued >= n_instances;
	char uid[80], name[32], ae[32];

	if (s->of_series == 0)
		begin_series(s, seq, ms);
	length = modalities[kind].length + below(20000);
	num(st.instance, 1, seq);
	blob(st.instance, 2, 16);
	num(st.instance, 3, ms);
	num(st.instance, 4, s->origin);
	num(st.instance, 5, 1000 + (uint64_t)kind);
	num(st.instance, 6, s->series);
	snprintf(uid, sizeof(uid), "1.2.826.0.1.3680043.8.498.%llu.%u.%llu",
		 (unsigned long long)s->number, s->n_series,
		 (unsigned long long)s->in_series);
	text(st.instance, 7, uid);
	num(st.instance, 8, length);
	num(st.instance, 9, length / 1048576 + 1);
	blob(st.instance, 10, 32);
	step(st.instance);
	names_of(s->device, name, ae);
	mark(1, name, seq);
	mark(2, ae, seq);
	note_block(seq, ms, false);
	deliver(id, CLOUD, ms, length, newest);
	if (s->device % 4 == 0)
		deliver(id + 1, SECOND, ms, length, newest);
	if (s->number % 50 == 0)
		deliver(id + 2, RESEARCH, ms, length, false);
	s->of_series--;
	s->in_series++;
	s->bytes += length;
	s->last_ms = ms;
	s->left--;
	device_sums[s->device][0]++;
	device_sums[s->device][1] += length;
	device_sums[s->device][2] = ms;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void add_instances(void)
{
	struct study active[ACTIVE] = {0};
	uint64_t begin_ms = now_ms() - days * DAY_MS, ms = 0;

	run("BEGIN");
	for (uint64_t i = 0; i < n_instances; i++) {
		struct study *s = &active[below(ACTIVE)];

		if (s->left == 0) {
			end_series(s);
			begin_study(s, (double)i / (double)n_instances);
		}
		ms = time_of(i, begin_ms);
		associate(i, ms);
		add_instance(s, i, ms);
		if (i % 500000 == 499999) {
			run("COMMIT; BEGIN");
			fprintf(stderr, "\rfill: %llu instances",
				(unsigned long long)i + 1);
		}
	}
	for (size_t k = 0; k < ACTIVE; k++)
		end_series(&active[k]);
	note_block(0, 0, true);
	run("COMMIT");
	fprintf(stderr, "\n");
}

/* ---- sums ---------------------------------------------------------------- */

static void add_totals(void)
{
	sqlite3_stmt *add =
	    prepare("INSERT OR REPLACE INTO totals VALUES(?,?,?,?,?)");

	for (size_t to = 0; to < DESTINATIONS; to++)
		for (size_t state = 0; state < 9; state++) {
			num(add, 1, (uint64_t)destination_id[to]);
			num(add, 2, state);
			num(add, 3, totals[to][state][0]);
			num(add, 4, totals[to][state][1]);
			num(add, 5, now_ms());
			step(add);
		}
	(void)sqlite3_finalize(add);
}

static void add_devices(void)
{
	sqlite3_stmt *add =
	    prepare("INSERT OR REPLACE INTO devices VALUES(?,?,?,?,?)");

	for (unsigned d = 0; d < DEVICES; d++) {
		char name[32], ae[32];

		names_of(d, name, ae);
		text(add, 1, name);
		num(add, 2, device_sums[d][2]);
		num(add, 3, device_sums[d][0]);
		num(add, 4, device_sums[d][1]);
		num(add, 5, device_sums[d][0] / NEW_ORIGIN);
		step(add);
	}
	(void)sqlite3_finalize(add);
}

static uint64_t highest(const char *sql)
{
	sqlite3_stmt *s = prepare(sql);
	uint64_t v;

	if (sqlite3_step(s) != SQLITE_ROW)
		fail(sql);
	v = (uint64_t)sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	return v;
}

/* Charts: every level as far back as it is kept, of all that there is. */
static size_t add_names(void)
{
	sqlite3_stmt *add = prepare("INSERT INTO rollup_names VALUES(?,?,?)");
	size_t n = 0;

	for (unsigned metric = 0; metric < 28; metric++) {
		unsigned of = metric >= 24  ? DEVICES
			      : metric >= 8 ? DESTINATIONS
					    : 1;

		for (unsigned i = 0; i < of; i++) {
			char name[32] = "", ae[32];

			if (metric >= 24)
				names_of(i, name, ae);
			else if (metric >= 8)
				snprintf(name, sizeof(name), "%s",
					 destinations[i]);
			num(add, 1, ++n);
			num(add, 2, metric);
			text(add, 3, name);
			step(add);
		}
	}
	(void)sqlite3_finalize(add);
	return n;
}

static void add_steps(enum rollup_level level, size_t n_names, int64_t now)
{
	sqlite3_stmt *add = prepare("INSERT INTO rollups VALUES(?,?)");
	uint8_t bytes[8192];

	for (int64_t at = now - rollup_kept_ms(level); at < now;
	     at += rollup_step_ms(level)) {
		struct wr w = wr_init(bytes, sizeof(bytes));

		for (size_t i = 0; i < n_names; i++) {
			rollup_put(&w, i + 1);
			rollup_put(&w, below(1 << 30));
		}
		num(add, 1,
		    (uint64_t)rollup_slot(level, rollup_floor(level, at)));
		(void)sqlite3_bind_blob(add, 2, bytes, (int)w.len,
					SQLITE_TRANSIENT);
		step(add);
	}
	(void)sqlite3_finalize(add);
}

static void add_rollups(void)
{
	size_t n;

	run("DELETE FROM rollups; DELETE FROM rollup_names; BEGIN");
	n = add_names();
	for (unsigned level = 0; level < ROLLUP_LEVELS; level++)
		add_steps((enum rollup_level)level, n, (int64_t)now_ms());
	run("COMMIT");
}

static void add_refusals(void)
{
	run("INSERT INTO refusals(first_ms,last_ms,count,listener,peer,"
	    "calling_ae,called_ae,reason,remedy) WITH RECURSIVE n(i) AS "
	    "(SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5000) "
	    "SELECT i*1000,i*1000,1+i%9,'modalities','10.7.0.'||(i%250),"
	    "'AE'||(i%99),'ARCHIVE','unknown-ae','declare it' FROM n");
}

static void add_kinds(void)
{
	static const char *const classes[MODALITIES] = {
	    "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4",
	    "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.1",
	    "1.2.840.10008.5.1.4.1.1.1.2"};
	sqlite3_stmt *add = prepare("INSERT OR IGNORE INTO kinds VALUES(?,?,"
				    "'1.2.840.10008.1.2.4.70')");

	for (size_t k = 0; k < MODALITIES; k++) {
		num(add, 1, 1000 + k);
		text(add, 2, classes[k]);
		step(add);
	}
	(void)sqlite3_finalize(add);
}

static void fill_ledger(void)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) !=
	    SQLITE_OK)
		fail(path);
	run("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
	    "PRAGMA cache_size=-400000");
	if (highest("SELECT count(*) FROM instances WHERE seq>=1<<40") > 0)
		fail("is filled already");
	prepare_all();
	begin_destinations();
	add_kinds();
	next_series = highest("SELECT coalesce(max(id),0) FROM series");
	next_origin = highest("SELECT coalesce(max(id),0) FROM origins");
	next_association = 1ULL << 32;
	add_instances();
	add_totals();
	add_devices();
	add_rollups();
	add_refusals();
	while (sqlite3_next_stmt(db, NULL) != NULL)
		(void)sqlite3_finalize(sqlite3_next_stmt(db, NULL));
	run("PRAGMA journal_mode=WAL");
	(void)sqlite3_close(db);
	db = NULL;
}

/* ---- audit --------------------------------------------------------------- */

static void audit_event(struct audit_event *e, uint64_t i, uint64_t ms)
{
	static const enum audit_kind kinds[] = {
	    AUDIT_ASSOCIATION_ACCEPTED, AUDIT_INSTANCES_BEGIN,
	    AUDIT_INSTANCES_RECEIVED, AUDIT_INSTANCES_TRANSFERRED,
	    AUDIT_ASSOCIATION_ENDED};
	unsigned device = (unsigned)below(DEVICES);
	char name[32], ae[32];

	*e = (struct audit_event){.kind = kinds[i % 5],
				  .wall_ms = (int64_t)ms,
				  .mono_ns = i + 1,
				  .association = i / 5 + 1};
	names_of(device, name, ae);
	snprintf(e->device, sizeof(e->device), "%.31s", name);
	snprintf(e->calling_ae, sizeof(e->calling_ae), "%.16s", ae);
	snprintf(e->listener, sizeof(e->listener), "modalities");
	snprintf(e->peer, sizeof(e->peer), "10.1.%u.20:50123", device);
	snprintf(e->called_ae, sizeof(e->called_ae), "ARCHIVE");
	snprintf(e->study, sizeof(e->study), "1.2.826.0.1.3680043.8.498.%llu",
		 (unsigned long long)(i / 5 + 1));
	snprintf(e->detail, sizeof(e->detail),
		 "{\"instances\":%llu,\"bytes\":%llu}",
		 (unsigned long long)below(1000),
		 (unsigned long long)below(1 << 30));
}

static void append(struct audit *a, const struct audit_event *e)
{
	enum err r = audit_append(a, e);

	if (r == ERR_AGAIN) { /* another month */
		r = audit_commit(a);
		if (r == ERR_OK)
			r = audit_append(a, e);
	}
	if (r != ERR_OK)
		fail(audit_why(a));
}

static void fill_audit(void)
{
	static struct audit_event e;
	uint64_t begin_ms = now_ms() - days * DAY_MS;
	char why[256];
	struct audit *a;

	if (audit_open(dir, &a, why) != ERR_OK)
		fail(why);
	for (uint64_t i = 0; i < n_audit; i++) {
		audit_event(&e, i, begin_ms + days * DAY_MS / n_audit * i);
		append(a, &e);
		if (i % 50000 == 49999 && audit_commit(a) != ERR_OK)
			fail(audit_why(a));
		if (i % 500000 == 499999)
			fprintf(stderr, "\rfill: %llu audit rows",
				(unsigned long long)i + 1);
	}
	if (audit_commit(a) != ERR_OK)
		fail(audit_why(a));
	audit_close(a);
	fprintf(stderr, "\n");
}

int main(int argc, char **argv)
{
	const struct arg table[] = {
	    {"dir", ARG_TEXT, &dir, "records directory"},
	    {"instances", ARG_NUMBER, &n_instances, "so many (1000000)"},
	    {"queued", ARG_NUMBER, &n_queued, "the newest of them (5000)"},
	    {"audit", ARG_NUMBER, &n_audit, "so many audit rows (0)"},
	    {"days", ARG_NUMBER, &days, "over so many days (1826)"},
	    {"seed", ARG_NUMBER, &seed, "of chance (1)"},
	    {NULL, ARG_FLAG, NULL, NULL},
	};

	args_parse(argc, argv,
		   "fill: years of transfers for a records directory\n", table);
	if (dir == NULL || days == 0)
		args_refuse("--dir is needed, and --days");
	chance_state = seed;
	if (n_instances > 0)
		fill_ledger();
	if (n_audit > 0)
		fill_audit();
	return 0;
}
