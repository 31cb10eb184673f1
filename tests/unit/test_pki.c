#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/cli_pki.h"
#include "proxy/lib/mem.h"
#include "proxy/net/tls_inspect.h"
#include "proxy/net/tls_pki.h"
#include "tests/unit/net_fixture.h"

static int sh(const char *fmt, const char *a, const char *b)
{
	char command[2048];

	snprintf(command, sizeof(command), fmt, a, b);
	return system(command);
}

static void openssl_accepts_what_is_issued(void **state)
{
	(void)state;
	if (!net_have_openssl())
		skip();
	assert_int_equal(sh("openssl verify -x509_strict -purpose sslserver "
			    "-verify_hostname localhost -verify_ip 127.0.0.1 "
			    "-CAfile %s %s >/dev/null",
			    net_file("ca.pem"), net_file("server.pem")),
			 0);
	assert_int_equal(sh("openssl verify -x509_strict -purpose sslclient "
			    "-CAfile %s %s >/dev/null",
			    net_file("ca.pem"), net_file("client-only.pem")),
			 0);
	assert_int_not_equal(
	    sh("openssl verify -purpose sslserver -CAfile %s %s "
	       ">/dev/null 2>&1",
	       net_file("ca.pem"), net_file("client-only.pem")),
	    0);
	assert_int_not_equal(sh("openssl verify -CAfile %s %s >/dev/null 2>&1",
				net_file("ca.pem"), net_file("expired.pem")),
			     0);
	assert_int_equal(sh("openssl pkey -in %s -noout -check >/dev/null%s",
			    net_file("server.key"), ""),
			 0);
	assert_int_equal(sh("openssl x509 -in %s -noout -text | "
			    "grep -q 'Basic Constraints: critical'%s",
			    net_file("ca.pem"), ""),
			 0);
}

static void facts_are_read_from_a_certificate(void **state)
{
	struct tls_certificate c;
	char why[TLS_WHY_LEN];

	(void)state;
	assert_int_equal(tls_certificate_read(net_file("server.pem"), &c, why),
			 ERR_OK);
	assert_string_equal(c.subject, "CN=server");
	assert_string_equal(c.issuer, "CN=Test CA");
	assert_string_equal(c.sans, "DNS:localhost, IP:127.0.0.1");
	assert_string_equal(c.key_type, "EC");
	assert_int_equal(c.key_bits, 256);
	assert_in_range(c.days_left, 28, 30); /* cut to the CA's end */
	assert_false(c.is_ca);
	assert_int_equal(strlen(c.serial), 32);
	assert_int_equal(strlen(c.fingerprint), 64);
	assert_int_equal(tls_certificate_read(net_file("ca.pem"), &c, why),
			 ERR_OK);
	assert_true(c.is_ca);
	assert_int_equal(tls_certificate_read(net_file("expired.pem"), &c, why),
			 ERR_OK);
	assert_int_equal(c.days_left, -2);
	assert_int_equal(tls_certificate_read(net_file("none.pem"), &c, why),
			 ERR_NOTFOUND);
	assert_int_equal(tls_certificate_read(net_file("ca.key"), &c, why),
			 ERR_INVAL);
	assert_non_null(strstr(why, "no certificate"));
}

static void keys_are_private_and_nothing_is_overwritten(void **state)
{
	struct tls_pki_request r = {.name = "server"};
	struct stat before, after;
	char why[TLS_WHY_LEN];

	(void)state;
	assert_int_equal(stat(net_file("ca.key"), &before), 0);
	assert_int_equal(before.st_mode & 07777, 0600);
	assert_int_equal(stat(net_file("server.key"), &before), 0);
	assert_int_equal(before.st_mode & 07777, 0600);
	assert_int_equal(tls_pki_issue(net_file("."), &r, why), ERR_EXISTS);
	assert_non_null(strstr(why, "not overwritten"));
	assert_int_equal(tls_pki_init(net_file("."), "X", 1, why), ERR_EXISTS);
	assert_int_equal(stat(net_file("server.key"), &after), 0);
	assert_int_equal(before.st_mtime, after.st_mtime);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_size, after.st_size);
}

static void bad_requests_are_refused_in_words(void **state)
{
	static const char *const names[] = {
	    "",
	    ".hidden",
	    "-x",
	    "a/b",
	    "ca",
	    "a b",
	    "0123456789012345678901234567890123456789012345678901234567890123"};
	struct tls_pki_request r = {.name = "ok"};
	char why[TLS_WHY_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		r.name = names[i];
		assert_int_equal(tls_pki_issue(net_file("."), &r, why),
				 ERR_INVAL);
	}
	r.name = "ok";
	r.n_sans = 1;
	r.sans[0] = "IP:300.1.1.1";
	assert_int_equal(tls_pki_issue(net_file("."), &r, why), ERR_INVAL);
	assert_non_null(strstr(why, "IP:300.1.1.1"));
	r.sans[0] = "localhost";
	assert_int_equal(tls_pki_issue(net_file("."), &r, why), ERR_INVAL);
	r.n_sans = 0;
	assert_int_equal(tls_pki_issue(net_file("nowhere"), &r, why),
			 ERR_NOTFOUND);
	assert_non_null(strstr(why, "culvert pki init"));
	assert_int_not_equal(access(net_file("ok.pem"), F_OK), 0);
	assert_int_not_equal(access(net_file("ok.key"), F_OK), 0);
	assert_int_equal(tls_pki_init(net_file("x"), "", 1, why), ERR_INVAL);
	assert_int_equal(tls_pki_init(net_file("x"), "X", 0, why), ERR_INVAL);
}

/* Every length of the extension block, across the steps of DER's lengths. */
static void certificates_of_any_size_are_well_formed(void **state)
{
	char sans[TLS_PKI_SANS_MAX][64], why[TLS_WHY_LEN], path[128];

	(void)state;
	for (unsigned n = 1; n <= TLS_PKI_SANS_MAX; n++) {
		struct tls_pki_request r = {.n_sans = n};
		struct tls_certificate c;
		char name[32];

		for (unsigned i = 0; i < n; i++) {
			snprintf(sans[i], sizeof(sans[i]), "DNS:%.*s%u.example",
				 (int)i * 2,
				 "abcdefghijklmnopqrstuvwxyzabcdefghij", i);
			r.sans[i] = sans[i];
		}
		snprintf(name, sizeof(name), "size-%u", n);
		r.name = name;
		assert_int_equal(tls_pki_issue(net_file("."), &r, why), ERR_OK);
		snprintf(path, sizeof(path), "%s.pem", name);
		assert_int_equal(tls_certificate_read(net_file(path), &c, why),
				 ERR_OK);
		assert_non_null(strstr(c.sans, sans[0]));
		if (net_have_openssl())
			assert_int_equal(
			    sh("openssl verify -x509_strict -CAfile %s %s "
			       ">/dev/null",
			       net_file("ca.pem"), net_file(path)),
			    0);
	}
}

static void cas_with_names_of_any_length_are_well_formed(void **state)
{
	char name[64] = "", dir[64], why[TLS_WHY_LEN];

	(void)state;
	for (int n = 1; n < 64; n += 3) {
		struct tls_certificate c;

		memset(name, 'N', (size_t)n);
		snprintf(dir, sizeof(dir), "len-%d", n);
		assert_int_equal(tls_pki_init(net_file(dir), name, 100, why),
				 ERR_OK);
		snprintf(dir, sizeof(dir), "len-%d/ca.pem", n);
		assert_int_equal(tls_certificate_read(net_file(dir), &c, why),
				 ERR_OK);
		if (n % 9 == 1 && net_have_openssl())
			assert_int_equal(
			    sh("openssl verify -x509_strict -CAfile %s %s "
			       ">/dev/null",
			       net_file(dir), net_file(dir)),
			    0);
	}
}

/* ---- inspection ------------------------------------------------------- */

static struct tls_findings *inspect(const char *ca, const char *cert,
				    const char *key, bool server)
{
	static struct tls_findings f;

	memset(&f, 0, sizeof(f));
	tls_inspect(ca != NULL ? net_file(ca) : NULL,
		    cert != NULL ? net_file(cert) : NULL,
		    key != NULL ? net_file(key) : NULL, server, &f);
	return &f;
}

static void finds(const struct tls_findings *f, enum tls_finding_level level,
		  const char *words)
{
	for (unsigned i = 0; i < f->n; i++)
		if (f->at[i].level == level &&
		    strstr(f->at[i].text, words) != NULL)
			return;
	for (unsigned i = 0; i < f->n; i++)
		print_message("%d %s\n", (int)f->at[i].level, f->at[i].text);
	fail_msg("not found: %s", words);
}

static void inspection_finds_what_is_wrong(void **state)
{
	struct tls_findings *f =
	    inspect("ca.pem", "server.pem", "server.key", true);

	(void)state;
	assert_int_equal(f->failed, 0);
	finds(f, TLS_FINDING_OK, "the key belongs to");
	finds(f, TLS_FINDING_OK, "its chain reaches");
	finds(f, TLS_FINDING_WARN, "days; renew it now"); /* a month's CA */
	f = inspect("ca.pem", "expired.pem", "expired.key", true);
	finds(f, TLS_FINDING_FAIL, "CN=expired expired on");
	f = inspect("ca.pem", "future.pem", "future.key", true);
	finds(f, TLS_FINDING_FAIL, "not valid before");
	f = inspect("ca.pem", "server.pem", "client.key", true);
	finds(f, TLS_FINDING_FAIL, "does not belong to the certificate");
	f = inspect("stranger/ca.pem", "server.pem", "server.key", true);
	finds(f, TLS_FINDING_WARN, "issuer CN=Test CA is not in");
	f = inspect("ca.pem", "client-only.pem", "client-only.key", true);
	finds(f, TLS_FINDING_FAIL, "not meant for a TLS server");
	f = inspect("ca.pem", "server-only.pem", "server-only.key", false);
	finds(f, TLS_FINDING_FAIL, "not meant for a TLS client");
	f = inspect("none.pem", NULL, NULL, false);
	finds(f, TLS_FINDING_FAIL, "No such file");
	f = inspect("server.pem", NULL, NULL, false);
	finds(f, TLS_FINDING_WARN, "not a CA certificate");
	f = inspect(NULL, "ca.pem", "ca.key", true);
	finds(f, TLS_FINDING_WARN, "this is a CA certificate");
	assert_int_equal(chmod(net_file("other-name.key"), 0644), 0);
	f = inspect("ca.pem", "other-name.pem", "other-name.key", true);
	finds(f, TLS_FINDING_FAIL, "mode 0644");
}

static void weak_certificates_are_found(void **state)
{
	struct tls_findings *f;

	(void)state;
	if (!net_have_openssl() ||
	    sh("openssl req -x509 -newkey rsa:1024 -nodes -sha1 -subj /CN=weak "
	       "-days 90 -keyout %s -out %s 2>/dev/null",
	       net_file("weak.key"), net_file("weak.pem")) != 0)
		skip();
	f = inspect(NULL, "weak.pem", "weak.key", true);
	finds(f, TLS_FINDING_FAIL, "RSA key of 1024 bits is not safe");
}

/* A chain with an intermediate, made by openssl, RSA. */
static void chains_with_intermediates_are_followed(void **state)
{
	struct tls_findings *f;
	char dir[128];

	(void)state;
	if (!net_have_openssl())
		skip();
	snprintf(dir, sizeof(dir), "%s", net_file("chain"));
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(
	    sh("cd %s && exec 2>/dev/null && "
	       "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=root "
	       "-days 90 -keyout root.key -out root.pem && "
	       "openssl req -newkey rsa:2048 -nodes -subj /CN=middle "
	       "-keyout mid.key -out mid.csr && "
	       "printf 'basicConstraints=critical,CA:TRUE' >ca.ext && "
	       "openssl x509 -req -in mid.csr -CA root.pem -CAkey root.key "
	       "-CAcreateserial -days 80 -extfile ca.ext -out mid.pem && "
	       "openssl req -newkey rsa:2048 -nodes -subj /CN=leaf "
	       "-keyout leaf.key -out leaf.csr && "
	       "openssl x509%s -req -in leaf.csr -CA mid.pem -CAkey mid.key "
	       "-CAcreateserial -days 80 -out leaf.crt && "
	       "cat leaf.crt mid.pem >leaf.pem",
	       dir, ""),
	    0);
	f = inspect("chain/root.pem", "chain/leaf.pem", "chain/leaf.key", true);
	finds(f, TLS_FINDING_OK, "its chain reaches");
	finds(f, TLS_FINDING_OK, "the key belongs to");
	assert_int_equal(f->failed, 0);
	f = inspect("chain/root.pem", "chain/leaf.crt", "chain/leaf.key", true);
	finds(f, TLS_FINDING_WARN, "issuer CN=middle is not in");
}

/* ---- the command ------------------------------------------------------ */

static int cli(const char *const args[])
{
	char *argv[16] = {(char *)(uintptr_t) "pki"};
	int argc = 1, out = dup(1), err = dup(2), null, rc;

	for (; args[argc - 1] != NULL; argc++)
		argv[argc] = (char *)(uintptr_t)args[argc - 1];
	fflush(stdout);
	null = open("/dev/null", O_WRONLY);
	dup2(null, 1);
	dup2(null, 2);
	rc = cli_pki(argc, argv);
	fflush(stdout);
	dup2(out, 1);
	dup2(err, 2);
	close(out);
	close(err);
	close(null);
	return rc;
}

#define CLI(...) cli((const char *const[]){__VA_ARGS__, NULL})

static void the_command_makes_and_shows(void **state)
{
	const char *dir = net_file("cli");
	struct tls_certificate c;
	char why[TLS_WHY_LEN];

	(void)state;
	assert_int_equal(CLI("init", dir, "--name", "Clinic CA"), 0);
	assert_int_equal(CLI("init", dir), 1);
	assert_int_equal(CLI("issue", dir, "edge", "--client", "--days", "9"),
			 0);
	assert_int_equal(CLI("issue", dir, "pacs", "--san", "DNS:pacs.example",
			     "--san", "IP:::1", "--server", "--not-after",
			     "2027-01-31"),
			 0);
	assert_int_equal(CLI("issue", dir, "edge"), 1);
	assert_int_equal(
	    tls_certificate_read(net_file("cli/pacs.pem"), &c, why), ERR_OK);
	assert_string_equal(c.sans, "DNS:pacs.example, IP:::1");
	assert_int_equal(c.not_after, 1801353600);
	assert_int_equal(
	    tls_certificate_read(net_file("cli/edge.pem"), &c, why), ERR_OK);
	assert_in_range(c.days_left, 8, 9);
	assert_int_equal(
	    CLI("show", net_file("cli/ca.pem"), net_file("cli/edge.pem")), 0);
	assert_int_equal(CLI("show", net_file("cli/edge.key")), 1);
	assert_int_equal(CLI("--help"), 0);
	assert_int_equal(CLI("issue", "--help"), 0);
}

static void misuse_of_the_command_is_told(void **state)
{
	(void)state;
	assert_int_equal(cli((const char *const[]){NULL}), 2);
	assert_int_equal(CLI("make"), 2);
	assert_int_equal(CLI("init"), 2);
	assert_int_equal(CLI("init", "a", "b"), 2);
	assert_int_equal(CLI("init", "a", "--days", "0"), 2);
	assert_int_equal(CLI("issue", "a"), 2);
	assert_int_equal(CLI("issue", "a", "b", "--wrong"), 2);
	assert_int_equal(CLI("issue", "a", "b", "--not-after", "soon"), 2);
	assert_int_equal(CLI("show"), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(openssl_accepts_what_is_issued),
	    cmocka_unit_test(facts_are_read_from_a_certificate),
	    cmocka_unit_test(keys_are_private_and_nothing_is_overwritten),
	    cmocka_unit_test(bad_requests_are_refused_in_words),
	    cmocka_unit_test(certificates_of_any_size_are_well_formed),
	    cmocka_unit_test(cas_with_names_of_any_length_are_well_formed),
	    cmocka_unit_test(inspection_finds_what_is_wrong),
	    cmocka_unit_test(weak_certificates_are_found),
	    cmocka_unit_test(chains_with_intermediates_are_followed),
	    cmocka_unit_test(the_command_makes_and_shows),
	    cmocka_unit_test(misuse_of_the_command_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
