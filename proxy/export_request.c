#include "proxy/export_request.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/audit.h"

static enum err bad(char why[256], const char *what)
{
	snprintf(why, 256, "%s", what);
	return ERR_INVAL;
}

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "";
}

static bool take_text(const json_t *j, const char *key, char *out, size_t size)
{
	const char *s = text_of(j, key);

	if (strlen(s) >= size)
		return false;
	memcpy(out, s, strlen(s) + 1);
	return true;
}

static int64_t number_of(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

/* ---- kinds of events
 * --------------------------------------------------------- */

static int32_t kind_of(const char *p, size_t n)
{
	static const struct {
		int32_t kind;
		const char *text;
	} kinds[] = {
#define X(number, name, text) {(number), text},
	    AUDIT_EVENT_MAP(X)
#undef X
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strlen(kinds[i].text) == n &&
		    memcmp(kinds[i].text, p, n) == 0)
			return kinds[i].kind;
	}
	return 0;
}

static enum err take_kinds(const char *list, struct export_request *r,
			   char why[256])
{
	while (*list != '\0') {
		size_t n = strcspn(list, ",");
		int32_t kind = kind_of(list, n);

		if (kind == 0) {
			snprintf(why, 256,
				 "no event is called '%.*s'; "
				 "culvert-audit(7) names them",
				 (int)(n < 60 ? n : 60), list);
			return ERR_INVAL;
		}
		if (r->n_kinds == EXPORT_KINDS_MAX)
			return bad(why, "too many events; leave some out");
		r->kinds[r->n_kinds++] = kind;
		list += n + (list[n] == ',');
	}
	return ERR_OK;
}

/* ---- outcomes
 * --------------------------------------------------------------- */

static const struct {
	int32_t outcome;
	const char *text;
} outcomes[] = {
    {AUDIT_MINOR, "minor"}, {AUDIT_SERIOUS, "serious"}, {AUDIT_MAJOR, "major"}};

static bool take_outcome(const char *text, int32_t *out)
{
	*out = 0;
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		if (strcmp(outcomes[i].text, text) == 0)
			*out = outcomes[i].outcome;
	return *out != 0 || text[0] == '\0';
}

static const char *outcome_name(int32_t outcome)
{
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		if (outcomes[i].outcome == outcome)
			return outcomes[i].text;
	return "";
}

/* ---- all
 * ---------------------------------------------------------------------- */

enum err export_request_parse(const json_t *j, struct export_request *out,
			      char why[256])
{
	struct export_request r = {0};
	const char *format = text_of(j, "format");
	const char *state = text_of(j, "state");

	if (format[0] != '\0' && !export_format_parse(format, &r.format))
		return bad(why, "no such format; csv, jsonl or dicom");
	r.bom = json_is_true(json_object_get(j, "bom"));
	r.reveal = json_is_true(json_object_get(j, "reveal"));
	r.zip = json_is_true(json_object_get(j, "zip"));
	r.from_ms = number_of(j, "from");
	r.to_ms = number_of(j, "to");
	r.from_seq = number_of(j, "from_seq");
	r.to_seq = number_of(j, "to_seq");
	if (!take_text(j, "device", r.device, sizeof(r.device)) ||
	    !take_text(j, "destination", r.destination,
		       sizeof(r.destination)) ||
	    !take_text(j, "study", r.study, sizeof(r.study)) ||
	    !take_text(j, "user", r.user, sizeof(r.user)))
		return bad(why, "a filter is longer than any such name");
	if (!take_outcome(text_of(j, "outcome"), &r.outcome_min))
		return bad(why, "no such outcome; minor, serious or major");
	if (r.bom && r.format != EXPORT_CSV)
		return bad(why, "a byte order mark is for CSV only; leave "
				"--bom out");
	if (state[0] != '\0') {
		if (!delivery_state_parse(state, &r.state))
			return bad(why, "no such state; see culvert transfers "
					"search --help");
		r.has_state = true;
	}
	*out = r;
	return take_kinds(text_of(j, "event"), out, why);
}

static void add_time(struct audit_json *j, const char *key, int64_t ms)
{
	char when[CLOCK_TEXT_LEN];

	if (ms != 0)
		audit_json_text(j, key, clock_text(ms, when));
}

static void add_text(struct audit_json *j, const char *key, const char *text)
{
	if (text[0] != '\0')
		audit_json_text(j, key, text);
}

static void add_kinds(struct audit_json *j, const struct export_request *r)
{
	char list[600];
	size_t len = 0;

	list[0] = '\0';
	for (size_t i = 0; i < r->n_kinds && len < sizeof(list) - 40; i++)
		len += (size_t)snprintf(
		    list + len, sizeof(list) - len, "%s%s", i > 0 ? "," : "",
		    audit_kind_text((enum audit_kind)r->kinds[i]));
	add_text(j, "event", list);
}

void export_request_filter(const struct export_request *r,
			   char out[EXPORT_FILTER_LEN])
{
	struct audit_json j = audit_json_begin(out, EXPORT_FILTER_LEN);

	add_time(&j, "from", r->from_ms);
	add_time(&j, "to", r->to_ms);
	if (r->from_seq != 0)
		audit_json_number(&j, "from_seq", r->from_seq);
	if (r->to_seq != 0)
		audit_json_number(&j, "to_seq", r->to_seq);
	add_text(&j, "device", r->device);
	add_text(&j, "destination", r->destination);
	add_text(&j, "study", r->study);
	add_text(&j, "user", r->user);
	if (r->has_state)
		add_text(&j, "state", delivery_state_text(r->state));
	add_text(&j, "outcome", outcome_name(r->outcome_min));
	add_kinds(&j, r);
	audit_json_end(&j);
}

bool export_request_is_range(const struct export_request *r)
{
	return r->device[0] == '\0' && r->destination[0] == '\0' &&
	       r->study[0] == '\0' && r->user[0] == '\0' && r->n_kinds == 0 &&
	       !r->has_state && r->outcome_min == 0;
}
