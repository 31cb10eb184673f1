/* fill_ledger.c - instances, their series, studies and deliveries. */
#include <stdio.h>
#include <string.h>

#include "store/ledger_blind.h"
#include "tests/bench/fill.h"

enum {
	ACTIVE = 6, /* studies that come in at the same time */
	MARKS = 4096
};

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

/* ---- destinations ------------------------------------------------------- */

int64_t destination_id[DESTINATIONS];
uint64_t totals[DESTINATIONS][STATES][2];
uint64_t device_sums[DEVICES][3];

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
		char name[NAME_LEN];
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

static void begin_study(struct study *s, double done)
{
	char name[NAME_LEN], ae[NAME_LEN], peer[NAME_LEN];
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
	s->accession = s->number;
	s->patient = below(1 + wish.instances / 400);
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

static struct seal *sealer;
static struct seal_mac *finder;

static void begin_identity(void)
{
	struct seal_key *key = data_key();

	if (key == NULL)
		return;
	if (ledger_identity_key(key, spool_of_ledger(), &sealer) != ERR_OK ||
	    ledger_blind_key(key, spool_of_ledger(), &finder) != ERR_OK)
		fail("key");
	seal_key_close(key);
}

static void end_identity(void)
{
	seal_free(sealer);
	seal_mac_free(finder);
}

/* Columns 6 to 8: the sealed identity and what finds it. */
static void bind_identity(const struct study *s)
{
	uint8_t sealed[LEDGER_IDENTITY_MAX];
	struct ledger_identity id;
	struct blind found;
	size_t n;

	if (sealer == NULL) {
		blob(st.series, 6, 72);
		num(st.series, 7, s->accession * 0x9e3779b97f4a7c15ULL | 1);
		num(st.series, 8, s->patient * 0x9e3779b97f4a7c15ULL | 1);
		return;
	}
	identity_of(s->patient, s->accession, &id);
	if (ledger_identity_lock(sealer, &id, sealed, &n) != ERR_OK ||
	    ledger_blind_series(finder, &id, &found) != ERR_OK)
		fail("identity");
	(void)sqlite3_bind_blob(st.series, 6, sealed, (int)n, SQLITE_TRANSIENT);
	(void)sqlite3_bind_int64(st.series, 7, found.accession);
	(void)sqlite3_bind_int64(st.series, 8, found.patient);
}

static void begin_series(struct study *s, uint64_t seq, uint64_t ms)
{
	char uid[80], name[NAME_LEN], ae[NAME_LEN];

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
	bind_identity(s);
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

static void add_instance(struct study *s, uint64_t i, uint64_t ms)
{
	uint64_t seq = FIRST_SEQ + i * 2, id = seq << 5, length;
	enum modality kind = modality_of(s->device);
	bool newest = i + wish.queued >= wish.instances;
	char uid[80], name[NAME_LEN], ae[NAME_LEN];

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

static void begin(void)
{
	prepare_all();
	begin_destinations();
	begin_identity();
	next_series = highest("SELECT coalesce(max(id),0) FROM series");
	next_origin = highest("SELECT coalesce(max(id),0) FROM origins");
	next_association = 1ULL << 32;
}

void fill_instances(void)
{
	struct study active[ACTIVE] = {0};
	uint64_t begin_ms = now_ms() - wish.days * DAY_MS, ms = 0;

	begin();
	run("BEGIN");
	for (uint64_t i = 0; i < wish.instances; i++) {
		struct study *s = &active[below(ACTIVE)];

		if (s->left == 0) {
			end_series(s);
			begin_study(s, (double)i / (double)wish.instances);
		}
		ms = time_of(i, wish.instances, begin_ms);
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
	end_identity();
	fprintf(stderr, "\n");
}
