#include "proxy/link/offer.h"

#include <string.h>

#include "proxy/lib/mem.h"

static void clear_local(struct instance *in)
{
	memset(in->listener, 0, sizeof(in->listener));
	memset(in->device, 0, sizeof(in->device));
	memset(in->peer, 0, sizeof(in->peer));
	in->association = 0;
	in->held = false;
	in->commit = 0;
	in->n_destinations = 0;
	memset(in->destinations, 0, sizeof(in->destinations));
	in->length = 0;
	in->chunks = 0;
	memset(in->root, 0, sizeof(in->root));
}

size_t link_offer_meta(const struct instance *in,
		       uint8_t out[INSTANCE_ENCODED_MAX])
{
	struct instance copy = *in;
	size_t len;

	clear_local(&copy);
	len = instance_encode(&copy, out);
	mem_wipe(&copy, sizeof(copy));
	return len;
}

/* Empty is fine. */
static bool uid_chars(const char *s)
{
	return s[strspn(s, ".0123456789")] == '\0';
}

static bool no_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static bool uids_good(const struct instance *in)
{
	if (in->sop_class[0] == '\0')
		return false;
	if (!instance_is_message(in->command) &&
	    (in->sop_instance[0] == '\0' || in->transfer_syntax[0] == '\0'))
		return false;
	return uid_chars(in->sop_class) && uid_chars(in->sop_instance) &&
	       uid_chars(in->transfer_syntax) && uid_chars(in->study) &&
	       uid_chars(in->series) && uid_chars(in->transaction);
}

static bool texts_good(const struct instance *in)
{
	return no_control(in->calling_ae) && no_control(in->called_ae) &&
	       no_control(in->modality) && no_control(in->accession) &&
	       no_control(in->patient_id) && no_control(in->patient_name) &&
	       no_control(in->move_originator);
}

enum err link_offer_take(const struct transfer_id *id, struct link_bytes meta,
			 struct instance *out)
{
	if (instance_decode(meta.p, meta.len, out) == ERR_OK &&
	    transfer_id_equal(&out->id, id) && uids_good(out) &&
	    texts_good(out)) {
		clear_local(out);
		return ERR_OK;
	}
	memset(out, 0, sizeof(*out));
	return ERR_PROTO;
}
