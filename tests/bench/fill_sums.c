/* fill_sums.c - what the daemon keeps beside the deliveries: totals, devices,
 * rollups, refusals. */
#include <stdio.h>

#include "store/ledger_rollup_code.h"
#include "tests/bench/fill.h"

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
		char name[NAME_LEN], ae[NAME_LEN];

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
			char name[NAME_LEN] = "", ae[NAME_LEN];

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

/* Over the last ninety days. */
static void add_refusals(void)
{
	char sql[512];

	snprintf(sql, sizeof(sql),
		 "INSERT INTO refusals(first_ms,last_ms,count,listener,peer,"
		 "calling_ae,called_ae,reason,remedy) WITH RECURSIVE n(i) AS "
		 "(SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5000) "
		 "SELECT %llu+i*1500000,%llu+i*1500000+i%%9*60000,1+i%%9,"
		 "'modalities','10.7.0.'||(i%%250),'AE'||(i%%99),'ARCHIVE',"
		 "'unknown-ae','declare it' FROM n",
		 (unsigned long long)(now_ms() - 90ULL * DAY_MS),
		 (unsigned long long)(now_ms() - 90ULL * DAY_MS));
	run(sql);
}

static void add_kinds(void)
{
	sqlite3_stmt *add = prepare("INSERT OR IGNORE INTO kinds VALUES(?,?,"
				    "'1.2.840.10008.1.2.4.70')");

	for (size_t k = 0; k < MODALITIES; k++) {
		num(add, 1, 1000 + k);
		text(add, 2, modalities[k].sop_class);
		step(add);
	}
	(void)sqlite3_finalize(add);
}

void fill_sums(void)
{
	add_kinds();
	add_totals();
	add_devices();
	add_rollups();
	add_refusals();
}
