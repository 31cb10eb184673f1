/* fill.c - put years of made-up transfers (and audit rows) into a records
 * directory, so that views and exports can be measured on it.
 *
 * ledger.db must be there: start the daemon once, and stop it. Rows stand at
 * sequences from 2^40 on, where no daemon's own will come, so that it can go on
 * with the directory. What is made depends on --seed alone, but for salts and
 * signatures. With --key, what the daemon seals is sealed as it does. */
#include <stdio.h>

#include "tests/bench/args.h"
#include "tests/bench/fill.h"

struct fill_wish wish = {.instances = 1000000,
			 .queued = 5000,
			 .heads = 1000,
			 .days = 1826,
			 .seed = 1};

static void fill_ledger(void)
{
	if (highest("SELECT count(*) FROM instances WHERE seq>=1<<40") > 0)
		fail("is filled already");
	run("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
	    "PRAGMA cache_size=-400000");
	fill_instances();
	fill_sums();
	run("PRAGMA journal_mode=WAL");
}

int main(int argc, char **argv)
{
	const struct arg table[] = {
	    {"dir", ARG_TEXT, &wish.dir, "records directory"},
	    {"key", ARG_TEXT, &wish.key, "data key file, to seal with"},
	    {"signing-key", ARG_TEXT, &wish.signing_key,
	     "to sign heads of the audit with"},
	    {"instances", ARG_NUMBER, &wish.instances, "so many (1000000)"},
	    {"queued", ARG_NUMBER, &wish.queued, "the newest of them (5000)"},
	    {"audit", ARG_NUMBER, &wish.audit, "so many audit rows (0)"},
	    {"heads", ARG_NUMBER, &wish.heads, "one in so many rows (1000)"},
	    {"days", ARG_NUMBER, &wish.days, "over so many days (1826)"},
	    {"seed", ARG_NUMBER, &wish.seed, "of chance (1)"},
	    {NULL, ARG_FLAG, NULL, NULL},
	};

	args_parse(argc, argv,
		   "fill: years of transfers for a records directory\n", table);
	if (wish.dir == NULL || wish.days == 0 || wish.heads == 0)
		args_refuse("--dir is needed, and --days and --heads above 0");
	open_ledger();
	if (wish.instances > 0)
		fill_ledger();
	if (wish.audit > 0)
		fill_audit();
	close_ledger();
	return 0;
}
