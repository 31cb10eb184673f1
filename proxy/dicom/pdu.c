#include "proxy/dicom/pdu.h"

#include <assert.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/lib/rd.h"
#include "proxy/lib/wr.h"

const char *pdu_type_name(enum pdu_type type)
{
	switch (type) {
	case PDU_ASSOCIATE_RQ:
		return "A-ASSOCIATE-RQ";
	case PDU_ASSOCIATE_AC:
		return "A-ASSOCIATE-AC";
	case PDU_ASSOCIATE_RJ:
		return "A-ASSOCIATE-RJ";
	case PDU_DATA_TF:
		return "P-DATA-TF";
	case PDU_RELEASE_RQ:
		return "A-RELEASE-RQ";
	case PDU_RELEASE_RP:
		return "A-RELEASE-RP";
	case PDU_ABORT:
		return "A-ABORT";
	}
	return "unknown PDU";
}

enum err pdu_header_decode(const uint8_t *buf, size_t len, uint32_t max_body,
			   struct pdu_header *out)
{
	struct rd r = rd_init(buf, len);
	uint8_t type = rd_u8(&r);
	uint32_t body_len;

	(void)rd_u8(&r); /* reserved: not tested (PS3.8 9.3.1) */
	body_len = rd_u32(&r);
	if (!rd_ok(&r))
		return ERR_AGAIN;
	if (type < PDU_ASSOCIATE_RQ || type > PDU_ABORT)
		return ERR_PROTO;
	if (body_len > max_body)
		return ERR_LIMIT;
	*out = (struct pdu_header){.type = type, .body_len = body_len};
	return ERR_OK;
}

/* Beginnings of request lines (RFC 9110 methods, and HTTP/2's preface). */
static const char *const http[] = {
    "GET ", "HEAD", "POST", "PUT ", "DELE",
    "OPTI", "CONN", "TRAC", "PATC", "PRI ",
};

static enum pdu_first first_is_http(const uint8_t *bytes, size_t n)
{
	enum pdu_first is = PDU_FIRST_OTHER;

	for (size_t i = 0; i < ARRAY_LEN(http); i++) {
		if (memcmp(bytes, http[i], n < 4 ? n : 4) == 0)
			is = n < 4 ? PDU_FIRST_MORE : PDU_FIRST_HTTP;
	}
	return is;
}

enum pdu_first pdu_first_bytes(const uint8_t *bytes, size_t n)
{
	if (n == 0)
		return PDU_FIRST_MORE;
	if (bytes[0] >= PDU_ASSOCIATE_RQ && bytes[0] <= PDU_ABORT)
		return PDU_FIRST_DICOM;
	if (bytes[0] == 0x16) {
		if (n == 1)
			return PDU_FIRST_MORE;
		return bytes[1] == 0x03 ? PDU_FIRST_TLS : PDU_FIRST_OTHER;
	}
	return first_is_http(bytes, n);
}

struct pdu_reject pdu_reject_decode(const uint8_t *body, size_t len)
{
	struct rd r = rd_init(body, len);
	struct pdu_reject out;

	(void)rd_u8(&r);
	out.result = rd_u8(&r);
	out.source = rd_u8(&r);
	out.reason = rd_u8(&r);
	return out;
}

struct pdu_abort pdu_abort_decode(const uint8_t *body, size_t len)
{
	struct rd r = rd_init(body, len);
	struct pdu_abort out;

	(void)rd_u16(&r);
	out.source = rd_u8(&r);
	out.reason = rd_u8(&r);
	return out;
}

static const char *user_reject_text(uint8_t reason)
{
	static const char *const texts[] = {
	    [1] = "no reason given",
	    [2] = "application context name not supported",
	    [3] = "calling AE title not recognized",
	    [7] = "called AE title not recognized",
	};

	if (reason < ARRAY_LEN(texts) && texts[reason] != NULL)
		return texts[reason];
	return "refused by the application, reason unknown";
}

const char *pdu_reject_text(struct pdu_reject r)
{
	if (r.source == REJECT_USER)
		return user_reject_text(r.reason);
	if (r.source == REJECT_ACSE)
		return r.reason == REJECT_ACSE_VERSION
			   ? "protocol version not supported"
			   : "refused by the provider, no reason given";
	if (r.source == REJECT_PRESENTATION) {
		if (r.reason == REJECT_PRESENTATION_CONGESTION)
			return "temporary congestion";
		if (r.reason == REJECT_PRESENTATION_LIMIT)
			return "local limit exceeded";
	}
	return "refused, source and reason unknown";
}

const char *pdu_abort_text(struct pdu_abort a)
{
	static const char *const provider[] = {
	    [ABORT_NO_REASON] = "aborted by the provider, no reason given",
	    [ABORT_UNRECOGNIZED_PDU] = "unrecognized PDU",
	    [ABORT_UNEXPECTED_PDU] = "unexpected PDU",
	    [3] = "aborted by the provider, reason unknown",
	    [ABORT_UNRECOGNIZED_PARAMETER] = "unrecognized PDU parameter",
	    [ABORT_UNEXPECTED_PARAMETER] = "unexpected PDU parameter",
	    [ABORT_INVALID_PARAMETER] = "invalid PDU parameter value",
	};

	if (a.source == ABORT_USER)
		return "aborted by the application";
	if (a.source == ABORT_PROVIDER && a.reason < ARRAY_LEN(provider))
		return provider[a.reason];
	return "aborted, source and reason unknown";
}

static size_t control(uint8_t out[PDU_CONTROL_LEN], enum pdu_type type,
		      const uint8_t body[4])
{
	struct wr w = wr_init(out, PDU_CONTROL_LEN);

	wr_u8(&w, (uint8_t)type);
	wr_u8(&w, 0);
	wr_u32(&w, 4);
	wr_bytes(&w, body, 4);
	return w.len;
}

size_t pdu_reject_encode(uint8_t out[PDU_CONTROL_LEN], struct pdu_reject r)
{
	return control(out, PDU_ASSOCIATE_RJ,
		       (uint8_t[4]){0, r.result, r.source, r.reason});
}

size_t pdu_abort_encode(uint8_t out[PDU_CONTROL_LEN], struct pdu_abort a)
{
	return control(out, PDU_ABORT, (uint8_t[4]){0, 0, a.source, a.reason});
}

size_t pdu_release_rq_encode(uint8_t out[PDU_CONTROL_LEN])
{
	return control(out, PDU_RELEASE_RQ, (uint8_t[4]){0});
}

size_t pdu_release_rp_encode(uint8_t out[PDU_CONTROL_LEN])
{
	return control(out, PDU_RELEASE_RP, (uint8_t[4]){0});
}

size_t pdu_pdata_header(uint8_t out[PDU_PDATA_HEADER_LEN], uint32_t payload_len,
			uint8_t context_id, uint8_t mch)
{
	struct wr w = wr_init(out, PDU_PDATA_HEADER_LEN);

	assert(payload_len <= PDU_PDATA_MAX);
	wr_u8(&w, PDU_DATA_TF);
	wr_u8(&w, 0);
	wr_u32(&w, payload_len + 6);
	wr_u32(&w, payload_len + 2);
	wr_u8(&w, context_id);
	wr_u8(&w, mch);
	return w.len;
}

uint32_t pdu_payload_max(uint32_t peer_max, uint32_t our_max)
{
	uint32_t max = our_max;

	assert(our_max >= 8);
	if (max > PDU_PDATA_MAX)
		max = PDU_PDATA_MAX;
	if (peer_max != 0 && peer_max < max)
		max = peer_max;
	return max < 8 ? 0 : (max - 6) & ~(uint32_t)1;
}
