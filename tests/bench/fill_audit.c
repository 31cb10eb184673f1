/* fill_audit.c - rows of the audit by the daemon's own writer: chained,
 * committed, with identifiers of queries sealed, and signed heads. */
#include <stdio.h>
#include <string.h>

#include "store/audit.h"
#include "store/audit_row.h"
#include "store/seal_sign.h"
#include "tests/bench/fill.h"

enum { SYNC_EVERY = 50, SEALED_MAX = 512 };

static struct seal *sealer;
static uint8_t sealed[SEALED_MAX];

/* ---- what was asked for: implicit VR little endian ------------------------
 */

static size_t put_element(uint8_t *out, uint16_t group, uint16_t element,
			  const char *value)
{
	size_t n = strlen(value), even = n + n % 2;

	out[0] = (uint8_t)group;
	out[1] = (uint8_t)(group >> 8);
	out[2] = (uint8_t)element;
	out[3] = (uint8_t)(element >> 8);
	out[4] = (uint8_t)even;
	memset(out + 5, 0, 3);
	memcpy(out + 8, value, n);
	if (n < even)
		out[8 + n] = ' ';
	return 8 + even;
}

static void seal_query(struct audit_event *e)
{
	struct ledger_identity id;
	uint8_t plain[SEALED_MAX];
	uint64_t patient = below(1 + wish.audit / 400);
	size_t n = 0;

	if (sealer == NULL)
		return;
	identity_of(patient, patient * 3, &id);
	n += put_element(plain + n, 0x0008, 0x0005, "ISO_IR 192");
	n += put_element(plain + n, 0x0008, 0x0050, id.accession);
	n += put_element(plain + n, 0x0010, 0x0010, id.patient_name);
	n += put_element(plain + n, 0x0010, 0x0020, id.patient_id);
	if (ledger_identifier_lock(sealer, plain, n, sealed, e->commitment) !=
	    ERR_OK)
		fail("seal");
	e->sealed = sealed;
	e->sealed_len = (uint16_t)(n + AUDIT_SALT_LEN + SEAL_BLOB_EXTRA);
}

/* ---- one event ----------------------------------------------------------- */

struct visit {
	uint64_t number;
	unsigned device;
	uint64_t instances, bytes;
};

static const enum audit_kind course[] = {
    AUDIT_ASSOCIATION_ACCEPTED, AUDIT_INSTANCES_BEGIN,
    AUDIT_INSTANCES_RECEIVED,   AUDIT_ASSOCIATION_ENDED,
    AUDIT_TLS_ACCEPTED,         AUDIT_INSTANCES_TRANSFERRED,
    AUDIT_ASSOCIATION_ACCEPTED, AUDIT_QUERY,
    AUDIT_ASSOCIATION_ENDED,    AUDIT_INSTANCES_TRANSFERRED};
enum { COURSE = sizeof(course) / sizeof(course[0]) };

/* What happens now and then, one in so many rows. */
static const struct {
	uint64_t in;
	enum audit_kind kind;
	enum audit_outcome outcome;
} rare[] = {{2000, AUDIT_ASSOCIATION_REFUSED, AUDIT_MINOR},
	    {2500, AUDIT_MANUAL_ACTION, AUDIT_SUCCESS},
	    {5000, AUDIT_TLS_FAILED, AUDIT_MINOR},
	    {100000, AUDIT_QUARANTINE, AUDIT_SERIOUS},
	    {200000, AUDIT_CONFIG_CHANGED, AUDIT_SUCCESS},
	    {500000, AUDIT_START, AUDIT_SUCCESS}};

#define SET(field, ...) snprintf((field), sizeof(field), __VA_ARGS__)
#define ULL(v)          (unsigned long long)(v)

static void from_device(struct audit_event *e, const struct visit *v)
{
	char name[NAME_LEN], ae[NAME_LEN];

	names_of(v->device, name, ae);
	SET(e->device, "%.31s", name);
	SET(e->calling_ae, "%.16s", ae);
	SET(e->called_ae, "ARCHIVE");
	SET(e->listener, "modalities");
	SET(e->peer, "10.1.%u.20:%llu", v->device,
	    ULL(49152 + v->number % 999));
	SET(e->local, "10.1.0.1:104");
}

static void to_destination(struct audit_event *e, const struct visit *v)
{
	SET(e->destination, "%s", destinations[v->number % 10 == 9]);
	SET(e->peer, "10.9.9.9:2762");
	SET(e->fingerprint, "5f2c1e%058llx", ULL(v->number / 100000));
}

static void of_study(struct audit_event *e, const struct visit *v)
{
	SET(e->study, "1.2.826.0.1.3680043.8.498.%llu", ULL(v->number));
	SET(e->detail, "{\"instances\":%llu,\"bytes\":%llu}", ULL(v->instances),
	    ULL(v->bytes));
}

static void fill_event(struct audit_event *e, const struct visit *v)
{
	switch ((int)e->kind) {
	case AUDIT_INSTANCES_TRANSFERRED:
		to_destination(e, v);
		of_study(e, v);
		return;
	case AUDIT_TLS_ACCEPTED:
	case AUDIT_TLS_FAILED:
		to_destination(e, v);
		SET(e->detail, "{\"side\":\"client\",\"version\":\"TLSv1.3\","
			       "\"suite\":\"TLS_AES_256_GCM_SHA384\",\"group\":"
			       "\"x25519\",\"verdict\":\"verified\"}");
		return;
	case AUDIT_INSTANCES_BEGIN:
	case AUDIT_INSTANCES_RECEIVED:
	case AUDIT_QUARANTINE:
		of_study(e, v);
		break;
	case AUDIT_QUERY:
		SET(e->detail, "{\"message\":\"C-FIND\",\"sop_class\":"
			       "\"1.2.840.10008.5.1.4.31\",\"responses\":3}");
		seal_query(e);
		break;
	case AUDIT_MANUAL_ACTION:
		SET(e->user, "uid %llu operator%llu", ULL(1000 + below(9)),
		    ULL(below(9)));
		SET(e->detail, "{\"action\":\"queue release\"}");
		return;
	}
	from_device(e, v);
}

static void make_event(struct audit_event *e, struct visit *v, uint64_t i,
		       uint64_t ms)
{
	if (i % COURSE == 0)
		*v = (struct visit){
		    .number = i / COURSE + 1,
		    .device = pick_device((double)i / (double)wish.audit),
		    .instances = 1 + below(900),
		    .bytes = below(1 << 30)};
	*e = (struct audit_event){.kind = course[i % COURSE],
				  .wall_ms = (int64_t)ms,
				  .mono_ns = i + 1,
				  .association = v->number};
	for (size_t k = 0; k < sizeof(rare) / sizeof(rare[0]); k++) {
		if (below(rare[k].in) == 0) {
			e->kind = rare[k].kind;
			e->outcome = rare[k].outcome;
			break;
		}
	}
	fill_event(e, v);
}

/* ---- all ----------------------------------------------------------------- */

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

static void commit(struct audit *a)
{
	static uint64_t n;
	enum err e = audit_commit(a);

	if (e == ERR_OK)
		e = audit_sign_now(a);
	if (e == ERR_OK && n++ % SYNC_EVERY == 0)
		e = audit_sync(a);
	if (e != ERR_OK)
		fail(audit_why(a));
}

static void begin(struct audit **a, struct seal_signer **signer)
{
	struct seal_key *key = data_key();
	char why[SEAL_WHY_LEN];

	if (key != NULL &&
	    ledger_identity_key(key, spool_of_ledger(), &sealer) != ERR_OK)
		fail("key");
	seal_key_close(key);
	if (audit_open(wish.dir, a, why) != ERR_OK)
		fail(why);
	*signer = NULL;
	if (wish.signing_key == NULL)
		return;
	if (seal_signer_open(wish.signing_key, false, signer, why) != ERR_OK)
		fail(why);
	audit_identify(*a, "bench", *signer);
}

void fill_audit(void)
{
	static struct audit_event e;
	uint64_t begin_ms = now_ms() - wish.days * DAY_MS;
	struct seal_signer *signer;
	struct visit v = {0};
	struct audit *a;

	begin(&a, &signer);
	for (uint64_t i = 0; i < wish.audit; i++) {
		make_event(&e, &v, i, time_of(i, wish.audit, begin_ms));
		append(a, &e);
		if (i % wish.heads == wish.heads - 1)
			commit(a);
		if (i % 500000 == 499999)
			fprintf(stderr, "\rfill: %llu audit rows", ULL(i + 1));
	}
	commit(a);
	audit_close(a);
	seal_signer_close(signer);
	seal_free(sealer);
	fprintf(stderr, "\n");
}
