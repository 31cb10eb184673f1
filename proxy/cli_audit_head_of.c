/* cli_audit_head_of.c - heads of other audits, out of this one. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_audit.h"
#include "store/audit_head.h"
#include "store/audit_read.h"

/* The row's detail as it came. False: it is not one. */
static bool head_text(const char *detail, char text[AUDIT_HEAD_FILE_LEN])
{
	const char *node, *log, *chain, *time, *key, *sig;
	json_int_t number, seq;
	struct audit_head h;
	json_t *j = json_loads(detail, 0, NULL);
	bool good;
	int n;

	good = json_unpack(j, "{s:s,s:s,s:I,s:I,s:s,s:s,s:s,s:s}", "node",
			   &node, "log", &log, "number", &number, "seq", &seq,
			   "chain", &chain, "time", &time, "key", &key,
			   "signature", &sig) == 0;
	if (good) {
		n = snprintf(text, AUDIT_HEAD_FILE_LEN,
			     "culvert audit head 1\nnode: %s\nlog: %s\n"
			     "number: %" JSON_INTEGER_FORMAT
			     "\nseq: %" JSON_INTEGER_FORMAT
			     "\nchain: %s\ntime: %s\nkey: %s\n"
			     "signature: %s\n",
			     node, log, number, seq, chain, time, key, sig);
		good = n > 0 && n < AUDIT_HEAD_FILE_LEN &&
		       audit_head_parse(text, (size_t)n, &h) == ERR_OK;
	}
	json_decref(j);
	return good;
}

static int fail(const char *what, const char *text)
{
	fprintf(stderr, "culvert audit head: %s: %s\n", what, text);
	return CLI_FAILED;
}

static int print_all(struct audit_reader *r, const char *device)
{
	char text[AUDIT_HEAD_FILE_LEN];
	const struct audit_row *row;
	uint64_t n = 0;
	enum err e;

	while ((e = audit_read_next(r, &row)) == ERR_OK && row != NULL) {
		if (!head_text(row->detail, text)) {
			fprintf(stderr,
				"culvert audit head: row %" PRId64
				" holds no head\n",
				row->seq);
			continue;
		}
		fputs(text, stdout);
		n++;
	}
	if (e != ERR_OK)
		return fail(audit_read_file(r), audit_read_why(r));
	if (n == 0)
		return fail(device, "no head has come from it over a link");
	return fflush(stdout) == 0 ? CLI_OK
				   : fail("standard output", "cannot write");
}

int cli_audit_head_of(const struct config *cfg, const char *device)
{
	static const int32_t kinds[] = {AUDIT_HEAD_RECEIVED};
	struct audit_filter filter = {
	    .device = device, .kinds = kinds, .n_kinds = 1};
	char why[AUDIT_WHY_LEN] = "";
	struct audit_reader *r;
	enum err e = audit_read_open(cfg->records.path, &filter, &r, why);
	int rc;

	if (e != ERR_OK)
		return fail(cfg->records.path,
			    why[0] != '\0' ? why : err_text(e));
	rc = print_all(r, device);
	audit_read_close(r);
	return rc;
}
