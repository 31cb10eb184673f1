#include "proxy/rows.h"

#include <stdio.h>
#include <string.h>

#include "proxy/cli_table.h"
#include "proxy/lib/condition.h"
#include "proxy/lib/log.h"
#include "store/export_manifest.h"
#include "store/export_transfers.h"
#include "store/ledger_search.h"

void row_text(json_t *j, const char *key, const char *text)
{
	json_t *s = json_string(text);
	char escaped[1024];

	if (s == NULL)
		s = json_string(log_esc(text, escaped, sizeof(escaped)));
	(void)json_object_set_new(j, key, s);
}

static void number(json_t *j, const char *key, uint64_t n)
{
	(void)json_object_set_new(j, key, json_integer((json_int_t)n));
}

static void status(json_t *j, int32_t status)
{
	char text[8];

	snprintf(text, sizeof(text), "%04X", (unsigned)status & 0xffff);
	(void)json_object_set_new(j, "status",
				  status < 0 ? json_null() : json_string(text));
}

/* The condition that a text of ours names. */
static void condition(json_t *j, const struct condition *c)
{
	(void)json_object_set_new(
	    j, "code", c != NULL ? json_string(c->code) : json_null());
}

json_t *row_delivery(const struct view_delivery *d)
{
	char id[TRANSFER_TEXT_LEN], hash[65], message[CLI_MESSAGE_LEN];
	json_t *j = json_object();

	number(j, "id", d->delivery);
	row_text(j, "transfer", transfer_id_text(&d->transfer, id));
	row_text(j, "state", delivery_state_text(d->state));
	row_text(j, "destination", d->destination);
	row_text(j, "device", d->device);
	row_text(j, "listener", d->listener);
	row_text(j, "peer", d->peer);
	row_text(j, "calling_ae", d->calling_ae);
	row_text(j, "called_ae", d->called_ae);
	row_text(j, "message", cli_message(d->command, message));
	number(j, "type", d->type);
	row_text(j, "sop_class", d->sop_class);
	row_text(j, "sop_instance", d->sop_instance);
	row_text(j, "transfer_syntax", d->transfer_syntax);
	row_text(j, "study", d->study);
	row_text(j, "series", d->series);
	row_text(j, "modality", d->modality);
	row_text(j, "transaction", d->transaction);
	number(j, "association", d->association);
	number(j, "length", d->length);
	number(j, "chunks", d->chunks);
	row_text(j, "hash", cli_hex(d->root, hash));
	number(j, "attempts", d->attempts);
	number(j, "received_ms", (uint64_t)d->received_ms);
	number(j, "changed_ms", (uint64_t)d->changed_ms);
	number(j, "next_attempt_ms", (uint64_t)d->next_attempt_ms);
	status(j, d->remote_status);
	row_text(j, "error", d->last_error);
	condition(j, condition_in_text(d->last_error));
	return j;
}

json_t *row_sent(const struct view_delivery *d, const struct view_outgoing *out)
{
	json_t *j = row_delivery(d), *over;

	if (out == NULL || out->association == 0)
		return j;
	over = json_object();
	number(over, "association", out->association);
	row_text(over, "peer", out->peer);
	row_text(over, "tls", out->tls_version);
	row_text(over, "suite", out->tls_suite);
	row_text(over, "group", out->tls_group);
	row_text(over, "fingerprint", out->fingerprint);
	row_text(over, "subject", out->subject);
	(void)json_object_set_new(j, "over", over);
	return j;
}

/* ---- as in an export --------------------------------------------------------
 */

static void put_cell(json_t *j, const struct export_column *c,
		     const struct export_cell *cell)
{
	char text[1024], hex[2 * 64 + 1];

	if (cell->none) {
		(void)json_object_set_new(j, c->name, json_null());
		return;
	}
	switch (c->type) {
	case EXPORT_TEXT:
	case EXPORT_JSON:
		snprintf(text, sizeof(text), "%.*s", (int)cell->len,
			 (const char *)cell->p);
		row_text(j, c->name, text);
		return;
	case EXPORT_NUMBER:
	case EXPORT_UNSIGNED:
		number(j, c->name, (uint64_t)cell->number);
		return;
	case EXPORT_TIME:
		row_text(j, c->name, cli_time(cell->number, text));
		return;
	case EXPORT_HEX:
		if (cell->len <= 64)
			row_text(j, c->name,
				 export_hex(cell->p, cell->len, hex));
		return;
	}
}

json_t *row_transfer(const struct view_delivery *d)
{
	struct export_cell cells[EXPORT_TRANSFERS_COLUMNS];
	struct export_transfer_room room;
	json_t *j = json_object();
	size_t n = export_n_columns(&export_table_transfers, false);

	export_transfer_cells(d, NULL, &room, cells);
	for (size_t i = 0; i < n; i++)
		if (i != EXPORT_TRANSFERS_CHAIN)
			put_cell(j, &export_table_transfers.columns[i],
				 &cells[i]);
	return j;
}

/* ---- the others -------------------------------------------------------------
 */

json_t *row_device(const struct view_device *d)
{
	json_t *j = json_object();

	row_text(j, "name", d->name);
	number(j, "last_seen_ms", (uint64_t)d->last_seen_ms);
	number(j, "instances", d->instances);
	number(j, "bytes", d->bytes);
	number(j, "associations", d->associations);
	return j;
}

static void tls_of(json_t *j, const struct ledger_association *a)
{
	json_t *t = json_object();

	if (a->tls_version[0] == '\0') {
		json_decref(t);
		(void)json_object_set_new(j, "tls", json_null());
		return;
	}
	row_text(t, "version", a->tls_version);
	row_text(t, "suite", a->tls_suite);
	row_text(t, "group", a->tls_group);
	row_text(t, "subject", a->subject);
	row_text(t, "fingerprint", a->fingerprint);
	(void)json_object_set_new(j, "tls", t);
}

json_t *row_association(const struct view_association *v)
{
	const struct ledger_association *a = &v->a;
	json_t *j = json_object();

	number(j, "id", a->id);
	row_text(j, "direction", a->direction == LEDGER_IN ? "in" : "out");
	row_text(j, "party", a->party);
	row_text(j, "device", a->device);
	row_text(j, "peer", a->peer);
	row_text(j, "local", a->local);
	row_text(j, "calling_ae", a->calling_ae);
	row_text(j, "called_ae", a->called_ae);
	row_text(j, "implementation_class", a->impl_class);
	row_text(j, "implementation_version", a->impl_version);
	number(j, "max_pdu", a->max_pdu);
	tls_of(j, a);
	row_text(j, "result", a->result);
	number(j, "contexts", a->n_contexts);
	number(j, "instances", v->instances);
	number(j, "begun_ms", (uint64_t)a->begun_ms);
	(void)json_object_set_new(j, "ended", json_boolean(v->ended));
	if (!v->ended)
		return j;
	number(j, "ended_ms", (uint64_t)v->end.ended_ms);
	number(j, "duration_ms", v->end.duration_ns / 1000000);
	number(j, "bytes_in", v->end.bytes_in);
	number(j, "bytes_out", v->end.bytes_out);
	number(j, "stores", v->end.stores);
	number(j, "echos", v->end.echos);
	number(j, "others", v->end.others);
	number(j, "failures", v->end.failures);
	row_text(j, "why", v->end.why);
	return j;
}

json_t *row_context(const struct ledger_context *c)
{
	json_t *j = json_object();

	number(j, "id", c->id);
	number(j, "result", c->result);
	row_text(j, "abstract_syntax", c->abstract);
	row_text(j, "transfer_syntax", c->accepted);
	row_text(j, "proposed", c->proposed != NULL ? c->proposed : "");
	return j;
}

json_t *row_operation(const struct view_operation *v)
{
	const struct ledger_operation *o = &v->o;
	char message[CLI_MESSAGE_LEN];
	json_t *j = json_object();

	number(j, "id", v->id);
	number(j, "association", o->association);
	row_text(j, "destination", o->destination);
	row_text(j, "device", o->device);
	row_text(j, "message", cli_message(o->command, message));
	row_text(j, "from", o->from_destination ? "destination" : "device");
	row_text(j, "sop_class", o->sop_class);
	row_text(j, "sop_instance", o->sop_instance);
	status(j, o->status);
	number(j, "responses", o->responses);
	number(j, "count", o->count > 0 ? o->count : 1);
	number(j, "bytes", o->bytes);
	number(j, "begun_ms", (uint64_t)o->begun_ms);
	number(j, "duration_ms", o->duration_ns / 1000000);
	return j;
}

json_t *row_refusal(const struct view_refusal *r)
{
	const struct condition *c = condition_of_event(r->first.reason);
	json_t *j = json_object();

	number(j, "id", r->id);
	number(j, "count", r->count);
	number(j, "first_ms", (uint64_t)r->first.at_ms);
	number(j, "last_ms", (uint64_t)r->last_ms);
	row_text(j, "listener", r->first.listener);
	row_text(j, "peer", r->first.peer);
	row_text(j, "calling_ae", r->first.calling_ae);
	row_text(j, "called_ae", r->first.called_ae);
	row_text(j, "reason", r->first.reason);
	condition(j, c);
	row_text(j, "cause", c != NULL ? c->cause[CONDITION_EN] : "");
	row_text(j, "remedy", r->first.remedy);
	return j;
}
