#include "proxy/cli_pki.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/lib/mem.h"
#include "proxy/net/tls_inspect.h"
#include "proxy/net/tls_pki.h"

enum { EXIT_MISUSE = 2, CA_DAYS = 3650 };

static const char help[] =
    "culvert pki - make a small CA, issue and show certificates\n"
    "\n"
    "  culvert pki init DIR [--name NAME] [--days N]\n"
    "      Make DIR with ca.pem and ca.key. Give ca.pem to every peer; keep\n"
    "      ca.key where only you can read it. N: 3650.\n"
    "  culvert pki issue DIR NAME [--san DNS:host] [--san IP:address]\n"
    "                             [--server | --client | --both]\n"
    "                             [--days N | --not-after YYYY-MM-DD]\n"
    "      Issue DIR/NAME.pem and DIR/NAME.key. Without --san the name is\n"
    "      DNS:NAME. N: 825. --both is the default.\n"
    "  culvert pki show FILE...\n"
    "      Say what the certificate in each FILE is.\n"
    "\n"
    "Keys and certificates: EC P-256, SHA-256. No file is overwritten.\n"
    "\n"
    "Examples:\n"
    "  culvert pki init /etc/culvert/pki --name \"Clinic CA\"\n"
    "  culvert pki issue /etc/culvert/pki edge-01 --client\n"
    "  culvert pki issue /etc/culvert/pki archive --server \\\n"
    "      --san DNS:pacs.example.org --san IP:10.0.0.5\n"
    "  culvert pki show /etc/culvert/pki/edge-01.pem\n";

static int misuse(const char *what)
{
	fprintf(stderr,
		"culvert pki: %s; culvert pki --help shows how it is used\n",
		what);
	return EXIT_MISUSE;
}

static int done(enum err e, const char *why)
{
	if (e == ERR_OK)
		return EXIT_SUCCESS;
	fprintf(stderr, "culvert pki: %s\n", why);
	return EXIT_FAILURE;
}

static bool parse_days(const char *text, unsigned *days)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	*days = (unsigned)v;
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && v > 0 &&
	       v <= 36500;
}

static bool parse_date(const char *text, int64_t *when)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%Y-%m-%d", &tm);

	*when = (int64_t)timegm(&tm);
	return end != NULL && *end == '\0';
}

static int pki_init(int argc, char **argv)
{
	static const struct option options[] = {
	    {"name", required_argument, NULL, 'n'},
	    {"days", required_argument, NULL, 'd'},
	    {NULL, 0, NULL, 0},
	};
	const char *name = "Culvert CA";
	unsigned days = CA_DAYS;
	char why[TLS_WHY_LEN];
	enum err e;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'n')
			name = optarg;
		else if (c != 'd')
			return misuse("unknown option of init");
		else if (!parse_days(optarg, &days))
			return misuse("--days wants 1 to 36500");
	}
	if (argc - optind != 1)
		return misuse("init wants one directory");
	e = tls_pki_init(argv[optind], name, days, why);
	if (e == ERR_OK)
		printf("made %s/ca.pem and %s/ca.key\n", argv[optind],
		       argv[optind]);
	return done(e, why);
}

/* 0, or the exit status of a misuse. */
static int issue_option(struct tls_pki_request *r, int c)
{
	switch (c) {
	case 'a':
		if (r->n_sans == TLS_PKI_SANS_MAX)
			return misuse("too many --san");
		r->sans[r->n_sans++] = optarg;
		return 0;
	case 's':
		r->server = true;
		return 0;
	case 'c':
		r->client = true;
		return 0;
	case 'b':
		r->server = r->client = true;
		return 0;
	case 'd':
		return parse_days(optarg, &r->days)
			   ? 0
			   : misuse("--days wants 1 to 36500");
	case 'u':
		return parse_date(optarg, &r->not_after)
			   ? 0
			   : misuse("--not-after wants YYYY-MM-DD");
	}
	return misuse("unknown option of issue");
}

static int pki_issue(int argc, char **argv)
{
	static const struct option options[] = {
	    {"san", required_argument, NULL, 'a'},
	    {"server", no_argument, NULL, 's'},
	    {"client", no_argument, NULL, 'c'},
	    {"both", no_argument, NULL, 'b'},
	    {"days", required_argument, NULL, 'd'},
	    {"not-after", required_argument, NULL, 'u'},
	    {NULL, 0, NULL, 0},
	};
	struct tls_pki_request r = {0};
	char why[TLS_WHY_LEN];
	enum err e;
	int c, rc;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		rc = issue_option(&r, c);
		if (rc != 0)
			return rc;
	}
	if (argc - optind != 2)
		return misuse("issue wants a directory and a name");
	r.name = argv[optind + 1];
	e = tls_pki_issue(argv[optind], &r, why);
	if (e == ERR_OK)
		printf("issued %s/%s.pem and %s/%s.key\n", argv[optind], r.name,
		       argv[optind], r.name);
	return done(e, why);
}

static int pki_show(int argc, char **argv)
{
	int status = EXIT_SUCCESS;

	if (argc < 2)
		return misuse("show wants a file");
	for (int i = 1; i < argc; i++) {
		struct tls_certificate c;
		char why[TLS_WHY_LEN];
		enum err e = tls_certificate_read(argv[i], &c, why);

		if (e == ERR_OK) {
			printf("%sfile         %s\n", i > 1 ? "\n" : "",
			       argv[i]);
			tls_certificate_print(&c);
		}
		status |= done(e, why);
	}
	return status;
}

int cli_pki(int argc, char **argv)
{
	static const struct {
		const char *verb;
		int (*run)(int argc, char **argv);
	} verbs[] = {
	    {"init", pki_init}, {"issue", pki_issue}, {"show", pki_show}};

	if (argc >= 2 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
		fputs(help, stdout);
		return EXIT_SUCCESS;
	}
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0) {
			fputs(help, stdout);
			return EXIT_SUCCESS;
		}
	optind = 1;
	opterr = 0;
	for (size_t i = 0; argc >= 2 && i < ARRAY_LEN(verbs); i++)
		if (strcmp(argv[1], verbs[i].verb) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	return misuse(argc < 2 ? "init, issue or show?" : "unknown command");
}
