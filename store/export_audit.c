#include "store/export_audit.h"

#include <string.h>

#include "proxy/lib/mem.h"

/* In the order of the columns. */
enum column {
	C_SEQ,
	C_TIME,
	C_EVENT,
	C_OUTCOME,
	C_ASSOCIATION,
	C_LISTENER,
	C_DEVICE,
	C_DESTINATION,
	C_PEER,
	C_LOCAL,
	C_CALLING,
	C_CALLED,
	C_FINGERPRINT,
	C_STUDY,
	C_USER,
	C_DETAIL,
	C_MONO,
	C_BOOT,
	C_SEALED,
	C_ERASED_BY,
	C_COMMITMENT,
	C_SEALED_HASH,
	C_PREV,
	C_KIND,
	C_CHAIN,
	C_SALT,
	C_PLAIN,
	C_ACCESSION,
	C_PATIENT_ID,
	C_PATIENT_NAME,
	C_OPENED,
	C_N
};

_Static_assert((int)C_N == (int)EXPORT_AUDIT_COLUMNS, "columns");
_Static_assert((int)C_CHAIN == (int)EXPORT_AUDIT_CHAIN, "chain");

static const struct export_column columns[C_N] = {
    [C_SEQ] = {"seq", EXPORT_NUMBER, false,
	       "Number of the row in the audit; counts up by one."},
    [C_TIME] = {"time", EXPORT_TIME, false, "Wall time of the event, UTC."},
    [C_EVENT] = {"event", EXPORT_TEXT, false,
		 "What happened, as a word; unknown where it is of a newer "
		 "version of the program."},
    [C_OUTCOME] = {"outcome", EXPORT_NUMBER, false,
		   "0 success, 4 minor failure, 8 serious, 12 major "
		   "(PS3.15 A.5, EventOutcomeIndicator)."},
    [C_ASSOCIATION] = {"association", EXPORT_UNSIGNED, false,
		       "Number of the association in the ledger."},
    [C_LISTENER] = {"listener", EXPORT_TEXT, false,
		    "Listener that the peer came to."},
    [C_DEVICE] = {"device", EXPORT_TEXT, false, "Declared device."},
    [C_DESTINATION] = {"destination", EXPORT_TEXT, false,
		       "Destination that it went to."},
    [C_PEER] = {"peer", EXPORT_TEXT, false,
		"Address and port of the other side."},
    [C_LOCAL] = {"local", EXPORT_TEXT, false, "Our address and port."},
    [C_CALLING] = {"calling_ae", EXPORT_TEXT, false, "Calling AE title."},
    [C_CALLED] = {"called_ae", EXPORT_TEXT, false, "Called AE title."},
    [C_FINGERPRINT] = {"fingerprint", EXPORT_TEXT, false,
		       "SHA-256 of the peer's certificate."},
    [C_STUDY] = {"study", EXPORT_TEXT, false, "Study Instance UID."},
    [C_USER] = {"user", EXPORT_TEXT, false, "Who did it, by hand."},
    [C_DETAIL] = {"detail", EXPORT_JSON, false,
		  "The rest, by the kind of event."},
    [C_MONO] = {"mono_ns", EXPORT_UNSIGNED, false,
		"Monotonic time of the event, nanoseconds since boot."},
    [C_BOOT] = {"boot", EXPORT_TEXT, false, "Which boot mono_ns counts in."},
    [C_SEALED] = {"sealed", EXPORT_TEXT, false,
		  "sealed, erased (on record) or missing: an identifying value "
		  "that belongs to the row; empty: there never was one."},
    [C_ERASED_BY] = {"erased_by", EXPORT_NUMBER, false,
		     "Number of the row that says why it was erased."},
    [C_COMMITMENT] = {"commitment", EXPORT_HEX, false,
		      "SHA-256(0x03 || salt || sealed_value): what is sealed, "
		      "without saying what it is."},
    [C_SEALED_HASH] = {"sealed_hash", EXPORT_HEX, false,
		       "SHA-256 of the sealed value as it is stored."},
    [C_PREV] = {"prev_chain", EXPORT_HEX, false,
		"Chain of the row before this one."},
    [C_KIND] = {"kind", EXPORT_NUMBER, false,
		"Number of the event's kind, as it goes into the chain."},
    [C_CHAIN] = {"chain", EXPORT_HEX, false,
		 "SHA-256(0x02 || prev_chain || the row); empty in rows from "
		 "before there was a chain."},
    [C_SALT] = {"salt", EXPORT_HEX, true,
		"Random bytes that the commitment begins with."},
    [C_PLAIN] = {"sealed_value", EXPORT_HEX, true,
		 "What was sealed, byte for byte: the DICOM identifier of a "
		 "query."},
    [C_ACCESSION] = {"accession", EXPORT_TEXT, true,
		     "Accession number found in it."},
    [C_PATIENT_ID] = {"patient_id", EXPORT_TEXT, true,
		      "Patient ID found in it."},
    [C_PATIENT_NAME] = {"patient_name", EXPORT_TEXT, true,
			"Patient's name found in it."},
    [C_OPENED] = {"opened", EXPORT_TEXT, true,
		  "yes, or no where the value is sealed but did not open."},
};

const struct export_table export_table_audit = {
    .name = "audit", .columns = columns, .n = C_N};

/* ---- texts that are copied as they are ----------------------------------- */

static const struct {
	enum column column;
	size_t at, size;
} texts[] = {
#define X(column, field)                                                       \
	{                                                                      \
		column, offsetof(struct audit_row, field),                     \
		    sizeof(((struct audit_row *)0)->field)                     \
	}
    X(C_LISTENER, listener),
    X(C_DEVICE, device),
    X(C_DESTINATION, destination),
    X(C_PEER, peer),
    X(C_LOCAL, local),
    X(C_CALLING, calling_ae),
    X(C_CALLED, called_ae),
    X(C_FINGERPRINT, fingerprint),
    X(C_STUDY, study),
    X(C_USER, user),
    X(C_DETAIL, detail),
    X(C_BOOT, boot),
#undef X
};

static const struct {
	enum audit_sealed is;
	const char *text;
} sealed_words[] = {
    {AUDIT_SEALED_NONE, ""},
    {AUDIT_SEALED_HERE, "sealed"},
    {AUDIT_SEALED_ERASED, "erased"},
    {AUDIT_SEALED_MISSING, "missing"},
};

static const struct {
	int32_t kind;
	const char *text;
} kinds[] = {
#define X(number, name, text) {(number), text},
    AUDIT_EVENT_MAP(X)
#undef X
};

/* ---- out ------------------------------------------------------------------
 */

/* A newer program's is left to the number. */
static struct export_cell event_cell(int32_t kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].kind == kind)
			return export_text(kinds[i].text);
	}
	return export_text("unknown");
}

static bool is_zero(const uint8_t p[AUDIT_CHAIN_LEN])
{
	static const uint8_t zero[AUDIT_CHAIN_LEN];

	return memcmp(p, zero, AUDIT_CHAIN_LEN) == 0;
}

static struct export_cell hash_cell(const uint8_t p[AUDIT_CHAIN_LEN], bool is)
{
	return is && !is_zero(p) ? export_bytes(p, AUDIT_CHAIN_LEN)
				 : export_none();
}

static void opened_cells(const struct audit_row *r,
			 const struct export_opened *o,
			 struct export_cell *cells)
{
	for (size_t i = C_SALT; i < C_N; i++)
		cells[i] = export_none();
	if (r->sealed_is == AUDIT_SEALED_HERE)
		cells[C_OPENED] = export_text("no");
	if (o == NULL || o->salted == NULL || o->len < AUDIT_SALT_LEN)
		return;
	cells[C_SALT] = export_bytes(o->salted, AUDIT_SALT_LEN);
	cells[C_PLAIN] =
	    export_bytes(o->salted + AUDIT_SALT_LEN, o->len - AUDIT_SALT_LEN);
	cells[C_ACCESSION] = export_text(o->identity.accession);
	cells[C_PATIENT_ID] = export_text(o->identity.patient_id);
	cells[C_PATIENT_NAME] = export_text(o->identity.patient_name);
	cells[C_OPENED] = export_text("yes");
}

void export_audit_cells(const struct audit_row *r,
			const struct export_opened *opened,
			struct export_cell cells[EXPORT_AUDIT_COLUMNS])
{
	cells[C_SEQ] = export_number(r->seq);
	cells[C_TIME] = export_number(r->wall_ms);
	cells[C_EVENT] = event_cell(r->kind);
	cells[C_OUTCOME] = export_number(r->outcome);
	cells[C_ASSOCIATION] = r->association != 0
				   ? export_number((int64_t)r->association)
				   : export_none();
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		cells[texts[i].column] =
		    export_text((const char *)r + texts[i].at);
	cells[C_MONO] = export_number((int64_t)r->mono_ns);
	cells[C_SEALED] = export_text(sealed_words[r->sealed_is].text);
	cells[C_ERASED_BY] =
	    r->erased_by != 0 ? export_number(r->erased_by) : export_none();
	cells[C_COMMITMENT] = hash_cell(r->commitment, true);
	cells[C_SEALED_HASH] = hash_cell(r->sealed_hash, true);
	cells[C_PREV] = hash_cell(r->prev_chain, r->has_chain);
	cells[C_KIND] = export_number(r->kind);
	cells[C_CHAIN] = hash_cell(r->chain, r->has_chain);
	opened_cells(r, opened, cells);
}

/* ---- and back -------------------------------------------------------------
 */

static bool take_text(const struct export_cell *c, char *to, size_t size)
{
	size_t n = c->none ? 0 : c->len;

	if (n >= size || (n > 0 && memchr(c->p, '\0', n) != NULL))
		return false;
	if (n > 0)
		memcpy(to, c->p, n);
	to[n] = '\0';
	return true;
}

static bool take_hash(const struct export_cell *c, uint8_t to[AUDIT_CHAIN_LEN])
{
	if (c->none)
		return true;
	if (c->len != AUDIT_CHAIN_LEN)
		return false;
	memcpy(to, c->p, AUDIT_CHAIN_LEN);
	return true;
}

static bool take_int32(const struct export_cell *c, int32_t *to)
{
	if (c->none || c->number < INT32_MIN || c->number > INT32_MAX)
		return false;
	*to = (int32_t)c->number;
	return true;
}

static bool take_sealed(const struct export_cell *c, enum audit_sealed *to)
{
	char word[16];

	if (!take_text(c, word, sizeof(word)))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(sealed_words); i++) {
		if (strcmp(word, sealed_words[i].text) == 0) {
			*to = sealed_words[i].is;
			return true;
		}
	}
	return false;
}

/* The name is for people, the number counts: both must say the same. */
static bool event_agrees(const struct export_cell *cells, int32_t kind)
{
	struct export_cell is = event_cell(kind);

	return !cells[C_EVENT].none && cells[C_EVENT].len == is.len &&
	       memcmp(cells[C_EVENT].p, is.p, is.len) == 0;
}

static const char *take_opened(const struct export_cell *cells, uint8_t *salted,
			       size_t *len)
{
	const struct export_cell *salt = &cells[C_SALT],
				 *plain = &cells[C_PLAIN];

	*len = 0;
	if (salt->none)
		return plain->none ? NULL : columns[C_SALT].name;
	if (salt->len != AUDIT_SALT_LEN || plain->len > EXPORT_CELL_MAX)
		return columns[C_SALT].name;
	memcpy(salted, salt->p, AUDIT_SALT_LEN);
	if (!plain->none)
		memcpy(salted + AUDIT_SALT_LEN, plain->p, plain->len);
	*len = AUDIT_SALT_LEN + (plain->none ? 0 : plain->len);
	return NULL;
}

const char *export_audit_row(const struct export_cell *cells, bool reveal,
			     struct audit_row *out, uint8_t *salted,
			     size_t *len)
{
	*out = (struct audit_row){0};
	*len = 0;
	if (cells[C_SEQ].none || cells[C_TIME].none || cells[C_MONO].none)
		return columns[C_SEQ].name;
	out->seq = cells[C_SEQ].number;
	out->wall_ms = cells[C_TIME].number;
	out->mono_ns = (uint64_t)cells[C_MONO].number;
	if (!take_int32(&cells[C_KIND], &out->kind) ||
	    !event_agrees(cells, out->kind))
		return columns[C_EVENT].name;
	if (!take_int32(&cells[C_OUTCOME], &out->outcome))
		return columns[C_OUTCOME].name;
	out->association = (uint64_t)cells[C_ASSOCIATION].number;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (!take_text(&cells[texts[i].column],
			       (char *)out + texts[i].at, texts[i].size))
			return columns[texts[i].column].name;
	}
	out->erased_by = cells[C_ERASED_BY].number;
	if (!take_sealed(&cells[C_SEALED], &out->sealed_is))
		return columns[C_SEALED].name;
	if (!take_hash(&cells[C_COMMITMENT], out->commitment))
		return columns[C_COMMITMENT].name;
	if (!take_hash(&cells[C_SEALED_HASH], out->sealed_hash))
		return columns[C_SEALED_HASH].name;
	if (!take_hash(&cells[C_PREV], out->prev_chain))
		return columns[C_PREV].name;
	if (!take_hash(&cells[C_CHAIN], out->chain))
		return columns[C_CHAIN].name;
	out->has_chain = !cells[C_CHAIN].none;
	return reveal ? take_opened(cells, salted, len) : NULL;
}
