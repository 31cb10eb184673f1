#include "tests/bench/scu.h"

#include <stdio.h>
#include <string.h>

enum { BODY_CAP = 8192 };

bool scu_fail(struct scu *s, const char *why)
{
	if (!s->why[0])
		snprintf(s->why, sizeof(s->why), "%s", why);
	return false;
}

/* The next PDU: its type, and its body in body[0..*n). */
static bool read_pdu(struct scu *s, uint8_t *type, uint8_t *body, size_t *n)
{
	uint8_t h[DCM_PDU_HEADER];

	if (!wire_read(s->wire, h, sizeof(h)))
		return scu_fail(s, "connection closed");
	*type = h[0];
	*n = dcm_be32(h + 2);
	if (*n > BODY_CAP)
		return scu_fail(s, "answer too long");
	if (!wire_read(s->wire, body, *n))
		return scu_fail(s, "connection closed inside a PDU");
	return true;
}

static bool take_ac(struct scu *s, const uint8_t *body, size_t n, uint32_t ours)
{
	struct dcm_ac ac;

	if (!dcm_ac_decode(body, n, &ac))
		return scu_fail(s, "no A-ASSOCIATE-AC");
	if (ac.result != 0)
		return scu_fail(s, "presentation context refused");
	s->max_pdu = ours;
	if (ac.max_pdu && ac.max_pdu < s->max_pdu)
		s->max_pdu = ac.max_pdu;
	if (s->max_pdu < 1024)
		return scu_fail(s, "peer's maximum PDU is below 1024");
	return true;
}

bool scu_open(struct scu *s, const struct scu_options *o)
{
	uint8_t b[DCM_SMALL], body[BODY_CAP], type;
	char why[256];
	size_t n;

	s->wire = wire_connect(o->host, o->port, o->tls, why);
	if (!s->wire)
		return scu_fail(s, why);
	n = dcm_associate_rq(b, o->called, o->calling, o->abstract,
			     (uint32_t)o->pdu);
	if (!wire_write(s->wire, b, n))
		return scu_fail(s, "cannot send A-ASSOCIATE-RQ");
	if (!read_pdu(s, &type, body, &n))
		return false;
	if (type == DCM_RJ && n == 4) {
		snprintf(why, sizeof(why), "rejected: %u/%u/%u", body[1],
			 body[2], body[3]);
		return scu_fail(s, why);
	}
	if (type != DCM_AC)
		return scu_fail(s, "no A-ASSOCIATE-AC");
	if (!take_ac(s, body, n, (uint32_t)o->pdu))
		return false;
	snprintf(s->info, sizeof(s->info), "%s", wire_info(s->wire));
	return true;
}

/* One P-DATA with one PDV; flags are its message control header. */
static bool read_pdata(struct scu *s, uint8_t *body, size_t *n, uint8_t *flags)
{
	char why[64];
	uint8_t type;

	if (!read_pdu(s, &type, body, n))
		return false;
	if (type == DCM_ABORT && *n == 4) {
		snprintf(why, sizeof(why), "aborted: source %u reason %u",
			 body[2], body[3]);
		return scu_fail(s, why);
	}
	if (type != DCM_PDATA || *n < DCM_PDV_HEADER)
		return scu_fail(s, "no P-DATA");
	*flags = body[5];
	return true;
}

bool scu_response(struct scu *s, uint16_t field, struct dcm_command *out)
{
	uint8_t body[BODY_CAP], flags = 0;
	size_t n;

	if (!read_pdata(s, body, &n, &flags))
		return false;
	if ((flags & 3) != 3 ||
	    !dcm_command_decode(body + DCM_PDV_HEADER, n - DCM_PDV_HEADER,
				out) ||
	    out->field != field)
		return scu_fail(s, "not the response that was expected");
	if (out->data_set == DCM_NO_DATA_SET)
		return true;
	do {
		if (!read_pdata(s, body, &n, &flags))
			return false;
	} while ((flags & 2) == 0);
	return true;
}

bool scu_release(struct scu *s)
{
	static const uint8_t rq[10] = {DCM_RELEASE_RQ, 0, 0, 0, 0, 4};
	uint8_t body[BODY_CAP], type;
	size_t n;

	if (!wire_write(s->wire, rq, sizeof(rq)))
		return scu_fail(s, "cannot send A-RELEASE-RQ");
	if (!read_pdu(s, &type, body, &n))
		return false;
	return type == DCM_RELEASE_RP || scu_fail(s, "no A-RELEASE-RP");
}

void scu_close(struct scu *s)
{
	wire_close(s->wire);
	s->wire = NULL;
}
