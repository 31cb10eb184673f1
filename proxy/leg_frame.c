#include "proxy/leg_frame.h"

#include <string.h>

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool is_associate(enum pdu_type type)
{
	return type == PDU_ASSOCIATE_RQ || type == PDU_ASSOCIATE_AC;
}

/* The header is complete. False: this PDU cannot be. */
static bool begin(struct leg_frame *f)
{
	struct pdu_header h;
	bool ok = pdu_header_decode(f->head, PDU_HEADER_LEN, UINT32_MAX, &h) ==
		  ERR_OK;

	f->n_head = f->n_body = 0;
	if (!ok) {
		f->abort_reason = ABORT_UNRECOGNIZED_PDU;
		return false;
	}
	f->type = h.type;
	f->left = h.body_len;
	f->data = h.type == PDU_DATA_TF;
	memset(f->body, 0, sizeof(f->body));
	f->abort_reason = ABORT_INVALID_PARAMETER;
	return is_associate(h.type) ||
	       h.body_len <= (f->data ? PDU_PDATA_MAX : PDU_CONTROL_MAX);
}

/* Body bytes of a control PDU. Returns how many were taken. */
static size_t take_body(struct leg_frame *f, const uint8_t *p, size_t n)
{
	size_t k = least(f->left, n);
	size_t keep = least(k, (size_t)(LEG_BODY_LEN - f->n_body));

	memcpy(f->body + f->n_body, p, keep);
	f->n_body = (uint8_t)(f->n_body + keep);
	f->left -= (uint32_t)k;
	return k;
}

static size_t take_header(struct leg_frame *f, const uint8_t *p, size_t n)
{
	size_t k = least((size_t)(PDU_HEADER_LEN - f->n_head), n);

	memcpy(f->head + f->n_head, p, k);
	f->n_head = (uint8_t)(f->n_head + k);
	return k;
}

/* One control PDU, or a part of it. */
static size_t control(struct leg_frame *f, const uint8_t *p, size_t n,
		      enum leg_piece *piece)
{
	size_t used = 0;

	if (f->left > 0) {
		used = take_body(f, p, n);
	} else {
		used = take_header(f, p, n);
		if (f->n_head < PDU_HEADER_LEN)
			return used;
		if (!begin(f)) {
			*piece = LEG_PIECE_BAD;
			return used;
		}
		if (used < n && f->left > 0 && !is_associate(f->type))
			used += take_body(f, p + used, n - used);
	}
	if (f->left == 0 || is_associate(f->type))
		*piece = LEG_PIECE_CONTROL;
	return used;
}

/* Does P-DATA-TF go on, or begin, at byte? */
static bool is_data(const struct leg_frame *f, uint8_t byte)
{
	if (f->left > 0)
		return f->data;
	return (f->n_head > 0 ? f->head[0] : byte) == PDU_DATA_TF;
}

size_t leg_frame_next(struct leg_frame *f, const uint8_t *p, size_t n,
		      enum leg_piece *piece)
{
	size_t used = 0;

	*piece = LEG_PIECE_NONE;
	if (!is_data(f, p[0]))
		return control(f, p, n, piece);
	*piece = LEG_PIECE_DATA;
	while (used < n && is_data(f, p[used])) {
		size_t k = least(f->left, n - used);

		if (k > 0) {
			f->left -= (uint32_t)k;
			used += k;
			continue;
		}
		used += take_header(f, p + used, n - used);
		if (f->n_head == PDU_HEADER_LEN && !begin(f)) {
			*piece = LEG_PIECE_BAD;
			break;
		}
	}
	return used;
}
