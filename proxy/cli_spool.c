#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_progress.h"
#include "proxy/cli_ui.h"
#include "proxy/host.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger.h"
#include "store/spool.h"

static const char help[] =
    "usage: culvert spool [-c FILE] check [--json]|rebuild\n\n"
    "  check     read every record, open every seal, name what is damaged\n"
    "  rebuild   write ledger.db anew from what the spool holds; the old one\n"
    "            is kept beside it\n\n"
    "The daemon must not run: it holds the spool's lock. It rebuilds a lost\n"
    "ledger by itself at its next start, and while it runs. What root runs "
    "works as\n"
    "the user to whom records.path belongs.\n\n"
    "examples:\n"
    "  systemctl stop culvert && culvert spool check\n"
    "  culvert spool -c edge.yaml rebuild\n";

/* A check that runs. */
struct checking {
	struct cli_progress progress;
	json_t *damage; /* lines; NULL without --json */
};

static void on_damage(void *arg, const char *line)
{
	struct checking *c = arg;

	cli_progress_end(&c->progress);
	if (c->damage != NULL)
		json_array_append_new(c->damage, json_string(line));
	else
		printf("damage  %s\n", line);
}

static void on_progress(void *arg, uint64_t bytes)
{
	struct checking *c = arg;

	cli_progress_to(&c->progress, bytes);
}

/* Takes the reference of damage. */
static int print_json(const struct spool_check_report *r, json_t *damage)
{
	json_t *j = json_pack(
	    "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "segments",
	    (json_int_t)r->segments, "bytes", (json_int_t)r->bytes, "instances",
	    (json_int_t)r->instances, "chunks", (json_int_t)r->chunks,
	    "outcomes", (json_int_t)r->outcomes, "unfinished",
	    (json_int_t)r->unfinished, "partial", (json_int_t)r->partials,
	    "partial_chunks", (json_int_t)r->partial_chunks, "torn",
	    (json_int_t)r->torn, "damaged", (json_int_t)r->damaged, "findings",
	    damage);
	int rc = cli_json(j);

	return rc != CLI_OK || r->damaged == 0 ? rc : CLI_FAILED;
}

static int check(struct spool *spool, bool json)
{
	struct checking c = {.damage = json ? json_array() : NULL};
	struct spool_check_report r;
	struct spool_stats st;
	char text[32];
	enum err e;

	spool_stats(spool, &st);
	cli_progress_begin(&c.progress, "checking spool",
			   st.stored_bytes > 0 ? st.stored_bytes : st.used,
			   CLI_PROGRESS_BYTES);
	e = spool_check_told(spool, on_damage, on_progress, &c, &r);
	cli_progress_end(&c.progress);
	if (e != ERR_OK) {
		json_decref(c.damage);
		fprintf(stderr, "culvert spool: not all was looked at: %s\n",
			err_text(e));
		return CLI_FAILED;
	}
	if (json)
		return print_json(&r, c.damage);
	printf("segments   %llu (%s)\n", (unsigned long long)r.segments,
	       cli_bytes(r.bytes, text, sizeof(text)));
	printf("instances  %llu in %llu chunks\n",
	       (unsigned long long)r.instances, (unsigned long long)r.chunks);
	printf("outcomes   %llu\n", (unsigned long long)r.outcomes);
	printf("unfinished %llu chunks of transfers that broke off (never "
	       "acknowledged)\n",
	       (unsigned long long)r.unfinished);
	printf("partial    %llu transfers of a link that may be gone on with, "
	       "%llu chunks (never delivered before they are whole)\n",
	       (unsigned long long)r.partials,
	       (unsigned long long)r.partial_chunks);
	printf("torn       %llu writes that a power cut stopped (never "
	       "acknowledged)\n",
	       (unsigned long long)r.torn);
	printf("damaged    %llu\n", (unsigned long long)r.damaged);
	return r.damaged == 0 ? CLI_OK : CLI_FAILED;
}

static int rebuild(const struct config *cfg, struct spool *spool)
{
	struct ledger_options o = {.path = cfg->records.path};
	char why[LEDGER_WHY_LEN] = "";
	uint64_t n = 0;
	enum err e = ledger_rebuild(&o, spool, &n, why);

	if (e != ERR_OK) {
		fprintf(stderr, "culvert spool: %s\n",
			why[0] != '\0' ? why : err_text(e));
		return CLI_FAILED;
	}
	printf("rebuilt: %llu instances\n", (unsigned long long)n);
	return CLI_OK;
}

static int run(const struct config *cfg, const char *action, bool json)
{
	struct spool_options o = {.path = cfg->spool.path,
				  .key_path = cfg->spool.key,
				  .quota = cfg->spool.quota,
				  .high_water = cfg->spool.high_water,
				  .low_water = cfg->spool.low_water,
				  .segment = (size_t)cfg->spool.segment};
	char why[SPOOL_WHY_LEN] = "";
	struct spool *spool;
	enum err e;
	int rc;

	log_set_level(LOG_WARN);
	e = spool_open(&o, &spool, why);
	if (e != ERR_OK) {
		fprintf(stderr, "culvert spool: %s\n",
			why[0] != '\0' ? why : err_text(e));
		return CLI_FAILED;
	}
	rc = strcmp(action, "check") == 0 ? check(spool, json)
					  : rebuild(cfg, spool);
	spool_close(spool);
	return rc;
}

int cli_spool(int argc, char **argv)
{
	char who[HOST_USER_LEN], why[512];
	const char *path;
	struct config *cfg;
	bool json;
	int rc;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	json = cli_take_json(&argc, argv);
	path = cli_take_config(&argc, argv);
	if (path == NULL || argc != 2 ||
	    (json && strcmp(argv[1], "check") != 0) ||
	    (strcmp(argv[1], "check") != 0 &&
	     strcmp(argv[1], "rebuild") != 0)) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	cfg = cli_config(path);
	if (cfg == NULL)
		return CLI_FAILED;
	if (host_become_owner(cfg, who, why, sizeof(why)) != ERR_OK) {
		fprintf(stderr, "culvert spool: %s\n", why);
		rc = CLI_FAILED;
	} else {
		rc = run(cfg, argv[1], json);
	}
	config_free(cfg);
	return rc;
}
