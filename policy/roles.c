/* The table of rights itself. Its order is that of the documentation. */
#include "policy/roles.h"

#include <string.h>

#include "proxy/lib/mem.h"

#define OPERATOR ROLE_OPERATOR
#define SECURITY ROLE_SECURITY
#define AUDITOR  ROLE_AUDITOR
#define ANY      ROLE_ANY

static const struct {
	unsigned bit;
	const char *name;
} roles[ROLE_COUNT] = {{ROLE_OPERATOR, "operator"},
		       {ROLE_SECURITY, "security"},
		       {ROLE_AUDITOR, "auditor"}};

static const struct right rights[] = {
    /* ---- reading how things stand ---------------------------------- */
    {RIGHT_OP, "status", ANY, false, "culvert status",
     "see queues, destinations, devices, limits and alerts"},
    {RIGHT_OP, "queue-list", OPERATOR | AUDITOR, false, "culvert queue list",
     "see what waits, and what was delivered"},
    {RIGHT_OP, "queue-show", OPERATOR | AUDITOR, false, "culvert queue show",
     "see all of one instance or message"},
    {RIGHT_OP, "transfers-search", OPERATOR | AUDITOR, false,
     "culvert transfers search",
     "find transfers; by patient or accession number the auditor only"},
    {RIGHT_OP, "transfers-show", OPERATOR | AUDITOR, false,
     "culvert transfers show", "see every instance of a study"},
    {RIGHT_OP, "association-list", ANY, false, "culvert association list",
     "see who connected, and where we did"},
    {RIGHT_OP, "association-show", ANY, false, "culvert association show",
     "see what a peer proposed and what it got"},
    {RIGHT_OP, "operation-list", ANY, false, "culvert association operations",
     "see what was relayed"},
    {RIGHT_OP, "refused-list", OPERATOR | SECURITY, false, "culvert refused",
     "see who was turned away, and why"},
    {RIGHT_OP, "device-list", ANY, false, "culvert status",
     "see when devices were seen last"},

    /* ---- steering queues -------------------------------------------- */
    {RIGHT_OP, "retry", OPERATOR, false, "culvert queue retry",
     "try deliveries now"},
    {RIGHT_OP, "hold", OPERATOR, false, "culvert queue hold",
     "keep deliveries from being sent"},
    {RIGHT_OP, "release", OPERATOR, false, "culvert queue release",
     "send what is held"},
    {RIGHT_OP, "redirect", OPERATOR, false, "culvert queue redirect",
     "send somewhere else instead"},
    {RIGHT_OP, "discard", OPERATOR, false, "culvert queue discard",
     "give up deliveries"},
    {RIGHT_OP, "export", OPERATOR, false, "culvert queue export",
     "write a waiting instance as a DICOM file"},

    /* ---- keys and rules ---------------------------------------------- */
    {RIGHT_OP, "reload", SECURITY, false, "culvert reload",
     "take up a changed configuration"},

    /* ---- records ------------------------------------------------------ */
    {RIGHT_OP, "audit-head", AUDITOR, false, "culvert audit head",
     "take the signed head of the audit"},
    {RIGHT_OP, "audit-heads", AUDITOR, false, "culvert audit head --of",
     "see the heads that came from a device"},
    {RIGHT_OP, "audit-key", AUDITOR, false, "culvert audit key",
     "see the public key that heads are signed with"},
    {RIGHT_OP, "audit-verify", AUDITOR, false, "culvert audit verify",
     "find out whether the audit is whole"},
    {RIGHT_OP, "audit-prune", AUDITOR, false, "culvert audit prune",
     "remove what is older than its retention"},
    {RIGHT_OP, "audit-hold", AUDITOR, false, "culvert audit hold",
     "keep records beyond their retention, or no longer"},
    {RIGHT_OP, "audit-erase", AUDITOR, false, "culvert audit erase",
     "erase a sealed value"},
    {RIGHT_OP, "audit-clock", AUDITOR, false, "culvert audit confirm-clock",
     "confirm the clock after a step"},
    {RIGHT_OP, "audit-export", AUDITOR, false, "culvert audit export",
     "export audit rows"},
    {RIGHT_OP, "transfers-export", OPERATOR | AUDITOR, false,
     "culvert transfers export",
     "export transfers; patients' values for the auditor only"},
    {RIGHT_OP, "search-key", AUDITOR, false, "culvert transfers search",
     "search by patient or accession number"},
    {RIGHT_OP, "receipt", OPERATOR | AUDITOR, false, "culvert receipt",
     "a signed receipt of a study"},
    {RIGHT_OP, "report", AUDITOR, false, "culvert report", "the ready reports"},

    /* ---- the page's own ----------------------------------------------- */
    {RIGHT_OP, "web-event", ROLE_NONE, false, "",
     "put log-ins to the page on record: the daemon's own user only"},
    {RIGHT_PAGE, "/healthz", ROLE_NONE, true, "", "whether the page runs"},
    {RIGHT_PAGE, "/readyz", ROLE_NONE, true, "", "whether images are taken in"},
    {RIGHT_PAGE, "/login", ROLE_NONE, true, "", "log in"},
    {RIGHT_PAGE, "/logout", ANY, false, "", "log out"},
    {RIGHT_PAGE, "/assets/", ROLE_NONE, true, "", "style, script, icons"},
    {RIGHT_PAGE, "/", ANY, false, "", "now"},
    {RIGHT_PAGE, "/wall", ANY, false, "", "now, on a wall"},
    {RIGHT_PAGE, "/events", ANY, false, "", "now, as it changes"},
    {RIGHT_PAGE, "/metrics", ANY, false, "", "metrics"},
    {RIGHT_PAGE, "/series", ANY, false, "", "figures of the charts"},
    {RIGHT_PAGE, "/transfers", OPERATOR | AUDITOR, false, "", "transfers"},
    {RIGHT_PAGE, "/transfers/", OPERATOR | AUDITOR, false, "",
     "a study, its receipt, downloads"},
    {RIGHT_PAGE, "/refused", OPERATOR | SECURITY, false, "",
     "who was turned away"},
    {RIGHT_PAGE, "/configuration", SECURITY | AUDITOR, false, "",
     "effective values, who may do what"},
    {RIGHT_PAGE, "/audit", AUDITOR, false, "", "the audit"},
    {RIGHT_PAGE, "/audit/", AUDITOR, false, "", "the audit's downloads"},
};

const struct right *right_at(size_t i)
{
	return i < ARRAY_LEN(rights) ? &rights[i] : NULL;
}

/* Length of a row that covers what is below it, when it covers name. */
static size_t covers(const struct right *r, const char *name)
{
	size_t n = strlen(r->name);

	return r->kind == RIGHT_PAGE && n > 1 && r->name[n - 1] == '/' &&
		       strncmp(r->name, name, n) == 0
		   ? n
		   : 0;
}

const struct right *right_find(enum right_kind kind, const char *name)
{
	const struct right *best = NULL;
	size_t longest = 0;

	for (size_t i = 0; i < ARRAY_LEN(rights); i++) {
		const struct right *r = &rights[i];

		if (r->kind != kind)
			continue;
		if (strcmp(r->name, name) == 0)
			return r;
		if (covers(r, name) > longest) {
			longest = covers(r, name);
			best = r;
		}
	}
	return best;
}

bool right_allows(enum right_kind kind, const char *name, unsigned held)
{
	const struct right *r = right_find(kind, name);

	return r != NULL && (r->open || (r->roles & held) != 0);
}

char *role_text(unsigned held, char out[ROLE_TEXT_LEN])
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ROLE_COUNT; i++) {
		if ((held & roles[i].bit) == 0)
			continue;
		n += (size_t)snprintf(out + n, ROLE_TEXT_LEN - n, "%s%s",
				      n > 0 ? "," : "", roles[i].name);
	}
	if (n == 0)
		memcpy(out, "none", sizeof("none"));
	return out;
}

unsigned role_parse(const char *name)
{
	for (size_t i = 0; i < ROLE_COUNT; i++) {
		if (strcmp(name, roles[i].name) == 0)
			return roles[i].bit;
	}
	return 0;
}

/* ---- printing ------------------------------------------------------------ */

static const char *mark(const struct right *r, unsigned bit)
{
	if (r->open)
		return "open";
	return (r->roles & bit) != 0 ? "yes" : "-";
}

static void print_row(FILE *out, const struct right *r, bool markdown)
{
	const char *format = markdown ? "| %s | %s | %s | %s | %s | %s |\n"
				      : "%-17s %-30s %-9s %-9s %-9s %s\n";

	fprintf(out, format, r->name, r->command, mark(r, ROLE_OPERATOR),
		mark(r, ROLE_SECURITY), mark(r, ROLE_AUDITOR), r->what);
}

static void print_head(FILE *out, bool markdown, const char *of)
{
	if (markdown)
		fprintf(out,
			"| %s | command | operator | security | auditor | for "
			"|\n| --- | --- | --- | --- | --- | --- |\n",
			of);
	else
		fprintf(out, "%-17s %-30s %-9s %-9s %-9s %s\n", of, "command",
			"operator", "security", "auditor", "for");
}

static void print_kind(FILE *out, enum right_kind kind, const char *of,
		       bool markdown)
{
	print_head(out, markdown, of);
	for (size_t i = 0; i < ARRAY_LEN(rights); i++) {
		if (rights[i].kind == kind)
			print_row(out, &rights[i], markdown);
	}
}

void rights_print(FILE *out, bool markdown)
{
	print_kind(out, RIGHT_OP, "operation", markdown);
	fputc('\n', out);
	print_kind(out, RIGHT_PAGE, "address", markdown);
}
