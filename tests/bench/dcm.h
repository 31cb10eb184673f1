/* dcm.h - just enough DICOM for the bench tools (PS3.8 section 9.3, PS3.7
 * section 9.3): written on its own, so that it checks the proxy's codecs
 * instead of repeating their mistakes.
 *
 * Pure: bytes in, bytes out. Encoders write at most DCM_SMALL bytes. */
#ifndef TESTS_BENCH_DCM_H
#define TESTS_BENCH_DCM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DCM_VERIFICATION "1.2.840.10008.1.1"
#define DCM_CT_STORAGE   "1.2.840.10008.5.1.4.1.1.2"
#define DCM_WORKLIST     "1.2.840.10008.5.1.4.31"
#define DCM_EXPLICIT_LE  "1.2.840.10008.1.2.1"

enum {
	DCM_SMALL = 1024,
	DCM_PDU_HEADER = 6,
	DCM_PDV_HEADER = 6,
	DCM_MAX_BODY = 1 << 20, /* of anything that is not P-DATA */

	DCM_RQ = 1,
	DCM_AC,
	DCM_RJ,
	DCM_PDATA,
	DCM_RELEASE_RQ,
	DCM_RELEASE_RP,
	DCM_ABORT,

	DCM_C_STORE_RQ = 0x0001,
	DCM_C_STORE_RSP = 0x8001,
	DCM_C_FIND_RQ = 0x0020,
	DCM_C_FIND_RSP = 0x8020,
	DCM_C_ECHO_RQ = 0x0030,
	DCM_C_ECHO_RSP = 0x8030,
	DCM_NO_DATA_SET = 0x0101,
	DCM_PENDING = 0xff00,
};

uint32_t dcm_be32(const uint8_t *p);
void dcm_put_be32(uint8_t *p, uint32_t v);

/* P-DATA with one PDV of n payload bytes: the 12 bytes before them. */
void dcm_pdata_header(uint8_t out[12], uint32_t n, uint8_t context,
		      bool command, bool last);

/* A whole A-ASSOCIATE-RQ with one context (id 1): the abstract syntax in
 * explicit VR little endian. Returns its length. */
size_t dcm_associate_rq(uint8_t out[DCM_SMALL], const char *called,
			const char *calling, const char *abstract,
			uint32_t max_pdu);

/* What an A-ASSOCIATE-AC said. */
struct dcm_ac {
	uint32_t max_pdu; /* 0: no limit, or not named */
	uint8_t result;   /* of context 1; 0xff: not answered */
};
bool dcm_ac_decode(const uint8_t *body, size_t n, struct dcm_ac *out);

/* The AC that takes every context of the RQ with its first transfer syntax.
 * out has room for cap bytes. Returns the whole PDU's length, 0 when the RQ
 * makes no sense. */
size_t dcm_accept_all(const uint8_t *rq, size_t n, uint32_t max_pdu,
		      uint8_t *out, size_t cap);

/* The whole P-DATA PDU of a C-STORE-RQ on context 1. */
size_t dcm_store_rq(uint8_t out[DCM_SMALL], uint16_t message,
		    const char *sop_class, const char *sop_instance);

/* The whole P-DATA PDU of a C-ECHO-RQ on context 1. */
size_t dcm_echo_rq(uint8_t out[DCM_SMALL], uint16_t message);

/* Two P-DATA PDUs: a C-FIND-RQ for the modality worklist on context 1, and its
 * identifier, which asks for a day's CT steps. */
size_t dcm_find_rq(uint8_t out[DCM_SMALL], uint16_t message);

struct dcm_command {
	uint16_t field, message, answered, data_set, status;
	char sop_class[65], sop_instance[65];
};
bool dcm_command_decode(const uint8_t *p, size_t n, struct dcm_command *out);

/* The whole P-DATA PDU of the response to rq. */
size_t dcm_response(uint8_t out[DCM_SMALL], uint8_t context,
		    const struct dcm_command *rq, uint16_t status);

/* Two P-DATA PDUs: the pending response to a C-FIND, and its one match. */
size_t dcm_find_match(uint8_t out[DCM_SMALL], uint8_t context,
		      const struct dcm_command *rq);

/* The data set of every instance: CT-like, explicit VR little endian, ending in
 * the header of Pixel Data (7FE0,0010). UIDs have a fixed width, so that the
 * length never changes. */
struct dcm_head {
	uint8_t b[DCM_SMALL];
	size_t n;
	char sop_instance[65], study[65], series[65];
};

/* UIDs are made of prefix (at most 40 characters), the association's number
 * and the instance's; per_study instances share a study and series. */
void dcm_head_make(struct dcm_head *h, const char *prefix, unsigned association,
		   uint32_t instance, uint32_t per_study, uint32_t pixel_bytes);

/* Preamble, DICM and group 2 for a Part 10 file of h. */
size_t dcm_file_meta(uint8_t out[DCM_SMALL], const struct dcm_head *h);

#endif
