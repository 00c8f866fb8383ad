/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * request.c - parse and check block requests (virtio 1.3, section 5.2.6).
 * Layer L5, I/O thread. Everything the driver wrote is copied here once and checked before use.
 */
#include "blk/request.h"

#include <string.h>

#include "blk/image.h"

static const char *const op_names[] = {
	[BLK_READ] = "read",
	[BLK_WRITE] = "write",
	[BLK_FLUSH] = "flush",
	[BLK_DISCARD] = "discard",
	[BLK_WRITE_ZEROES] = "write_zeroes",
	[BLK_GET_ID] = "get_id",
};
static_assert(ARRAY_SIZE(op_names) == BLK_OPS, "a name for every operation");

static const char *const cause_names[] = {
	[BLK_CAUSE_NONE] = "none",
	[BLK_CAUSE_BAD_CHAIN] = "bad_chain",
	[BLK_CAUSE_MALFORMED] = "malformed",
	[BLK_CAUSE_RANGE] = "out_of_range",
	[BLK_CAUSE_READ_ONLY] = "read_only",
	[BLK_CAUSE_UNSUPPORTED] = "unsupported",
	[BLK_CAUSE_NO_SPACE] = "no_space",
	[BLK_CAUSE_TRUNCATED] = "truncated",
	[BLK_CAUSE_IO] = "io",
};
static_assert(ARRAY_SIZE(cause_names) == BLK_CAUSES, "a name for every cause");

const char *blk_op_name(enum blk_op op)
{
	return op_names[op];
}

const char *blk_cause_name(enum blk_cause cause)
{
	return cause_names[cause];
}

bool blk_request_fail(struct blk_request *req, uint8_t status, enum blk_cause cause)
{
	req->status = status;
	req->cause = (uint8_t)cause;
	req->written_bytes = 0;
	return true;
}

bool blk_request_fail_errno(struct blk_request *req, int err)
{
	bool full = err == ENOSPC || err == EDQUOT;

	return blk_request_fail(req, VIRTIO_BLK_S_IOERR, full ? BLK_CAUSE_NO_SPACE : BLK_CAUSE_IO);
}

static bool malformed(struct blk_request *req)
{
	blk_request_fail(req, VIRTIO_BLK_S_IOERR, BLK_CAUSE_MALFORMED);
	return false;
}

static bool refused(struct blk_request *req, uint8_t status, enum blk_cause cause)
{
	blk_request_fail(req, status, cause);
	return false;
}

/* copy_out - move the first @bytes of the readable buffers at *iov to @to, and go past them. */
static bool copy_out(struct iovec **iov, uint16_t *num, void *to, size_t bytes)
{
	uint8_t *dst = to;

	while (bytes) {
		size_t part;

		if (!*num)
			return false;
		part = min_of((*iov)->iov_len, bytes);
		memcpy(dst, (*iov)->iov_base, part);
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + part;
		(*iov)->iov_len -= part;
		if (!(*iov)->iov_len) {
			(*iov)++;
			(*num)--;
		}
		dst += part;
		bytes -= part;
	}
	/* From here on the copy counts: the compiler may not go back to the source. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return true;
}

struct blk_header {
	uint32_t type;
	uint64_t sector;
};

/* take_header - read the 16-byte header, whatever its framing; *out is what is left behind it. */
static bool take_header(struct iovec **out, uint16_t *num_out, struct blk_header *header)
{
	struct virtio_blk_outhdr raw;
	struct iovec *first = *out;

	if (likely(*num_out && first->iov_len == sizeof(raw))) {
		header->type = (uint32_t)guest_load64(first->iov_base);
		header->sector = guest_load64((uint8_t *)first->iov_base + 8);
		(*out)++;
		(*num_out)--;
		return true;
	}
	if (!copy_out(out, num_out, &raw, sizeof(raw)))
		return false;
	header->type = le32toh(raw.type);
	header->sector = le64toh(raw.sector);
	return true;
}

/* take_status - the last writable byte is the status; it leaves the buffers. */
static bool take_status(struct blk_request *req, struct iovec *in, uint16_t *num_in)
{
	struct iovec *last;

	if (!*num_in)
		return false;
	last = &in[*num_in - 1];
	last->iov_len--;
	req->status_at = (uint8_t *)last->iov_base + last->iov_len;
	if (!last->iov_len)
		(*num_in)--;
	return true;
}

static bool in_range(const struct blk_limits *limits, uint64_t sector, uint64_t sectors)
{
	/* Grows while the queue runs when the disk is resized. */
	uint64_t capacity = __atomic_load_n(&limits->capacity_sectors, __ATOMIC_RELAXED);

	return sector <= capacity && sectors <= capacity - sector;
}

static bool parse_data(struct blk_request *req, const struct blk_limits *limits, uint64_t sector)
{
	if (unlikely((req->data_bytes & (BLK_SECTOR_BYTES - 1)) || req->data_bytes > BLK_DATA_MAX))
		return malformed(req);
	if (unlikely(!in_range(limits, sector, req->data_bytes / BLK_SECTOR_BYTES)))
		return refused(req, VIRTIO_BLK_S_IOERR, BLK_CAUSE_RANGE);
	req->offset_bytes = sector * BLK_SECTOR_BYTES;
	if (unlikely((req->offset_bytes | req->data_bytes) & limits->block_mask))
		return malformed(req);
	req->done_bytes = 0;
	req->stage = BLK_STAGE_DATA;
	return req->data_bytes != 0;
}

/* parse_ranges - the segments of a discard or write-zeroes (5.2.6.1), copied and checked. */
static bool parse_ranges(struct blk_request *req, const struct blk_limits *limits,
			 struct iovec *out, uint16_t num_out, uint64_t bytes)
{
	uint32_t allowed = req->op == BLK_WRITE_ZEROES ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	unsigned i;

	if (!bytes || bytes % sizeof(req->ranges[0]))
		return malformed(req);
	if (bytes / sizeof(req->ranges[0]) > BLK_MAX_RANGES)
		return refused(req, VIRTIO_BLK_S_IOERR, BLK_CAUSE_RANGE);
	req->num_ranges = (uint8_t)(bytes / sizeof(req->ranges[0]));
	if (!copy_out(&out, &num_out, req->ranges, bytes))
		return malformed(req);
	for (i = 0; i < req->num_ranges; i++) {
		struct virtio_blk_discard_write_zeroes *range = &req->ranges[i];

		range->sector = le64toh(range->sector);
		range->num_sectors = le32toh(range->num_sectors);
		range->flags = le32toh(range->flags);
		if (range->flags & ~allowed)
			return refused(req, VIRTIO_BLK_S_UNSUPP, BLK_CAUSE_UNSUPPORTED);
		if (range->num_sectors > BLK_RANGE_SECTORS ||
		    !in_range(limits, range->sector, range->num_sectors))
			return refused(req, VIRTIO_BLK_S_IOERR, BLK_CAUSE_RANGE);
		req->data_bytes += (uint64_t)range->num_sectors * BLK_SECTOR_BYTES;
	}
	req->range = 0;
	req->done_bytes = 0;
	req->stage = BLK_STAGE_RANGE;
	return true;
}

static bool parse_get_id(struct blk_request *req, const struct blk_limits *limits)
{
	req->written_bytes = (uint32_t)min_of(req->data_bytes, (uint64_t)BLK_ID_BYTES);
	blk_data_to_guest(req, limits->serial, req->written_bytes);
	return false;
}

/* The types of 5.2.6 that are served, and what each needs. */
static const struct blk_type {
	bool known;
	uint8_t op;
	bool changes; /* refused on a read-only disk */
	bool reads_driver; /* has readable data */
	bool writes_driver; /* has writable data */
	uint8_t feature; /* bit that must have been negotiated; 0: none */
} types[] = {
	[VIRTIO_BLK_T_IN] = {.known = true, .op = BLK_READ, .writes_driver = true},
	[VIRTIO_BLK_T_OUT] = {.known = true,
			      .op = BLK_WRITE,
			      .changes = true,
			      .reads_driver = true},
	[VIRTIO_BLK_T_FLUSH] = {.known = true, .op = BLK_FLUSH},
	[VIRTIO_BLK_T_GET_ID] = {.known = true, .op = BLK_GET_ID, .writes_driver = true},
	[VIRTIO_BLK_T_DISCARD] = {.known = true,
				  .op = BLK_DISCARD,
				  .changes = true,
				  .reads_driver = true,
				  .feature = VIRTIO_BLK_F_DISCARD},
	[VIRTIO_BLK_T_WRITE_ZEROES] = {.known = true,
				       .op = BLK_WRITE_ZEROES,
				       .changes = true,
				       .reads_driver = true,
				       .feature = VIRTIO_BLK_F_WRITE_ZEROES},
};

static bool parse_typed(struct blk_request *req, const struct blk_limits *limits,
			const struct blk_type *type, uint64_t sector)
{
	if (unlikely(type->changes && limits->read_only))
		return refused(req, VIRTIO_BLK_S_IOERR, BLK_CAUSE_READ_ONLY);
	switch (req->op) {
	case BLK_READ:
	case BLK_WRITE:
		return parse_data(req, limits, sector);
	case BLK_FLUSH:
		req->stage = BLK_STAGE_SYNC;
		return true;
	case BLK_GET_ID:
		return parse_get_id(req, limits);
	default:
		return parse_ranges(req, limits, req->data, req->num_data,
				    req->chain.out_bytes - sizeof(struct virtio_blk_outhdr));
	}
}

bool blk_request_parse(struct blk_request *req, const struct blk_limits *limits)
{
	struct iovec *out = req->chain.iov;
	struct iovec *in = req->chain.iov + req->chain.num_out;
	uint16_t num_out = req->chain.num_out;
	uint16_t num_in = req->chain.num_in;
	uint64_t out_bytes, in_bytes;
	const struct blk_type *type;
	struct blk_header header;

	req->op = BLK_OPS;
	req->status = VIRTIO_BLK_S_OK;
	req->cause = BLK_CAUSE_NONE;
	req->written_bytes = 0;
	req->data_bytes = 0;
	req->status_at = NULL;
	if (unlikely(req->chain.error)) {
		req->status_at = req->chain.last_byte;
		return refused(req, VIRTIO_BLK_S_IOERR, BLK_CAUSE_BAD_CHAIN);
	}
	if (unlikely(!take_status(req, in, &num_in) || !take_header(&out, &num_out, &header)))
		return malformed(req);
	out_bytes = req->chain.out_bytes - sizeof(struct virtio_blk_outhdr);
	in_bytes = req->chain.in_bytes - 1;

	type = header.type < ARRAY_SIZE(types) ? &types[header.type] : NULL;
	if (unlikely(!type || !type->known))
		return refused(req, VIRTIO_BLK_S_UNSUPP, BLK_CAUSE_UNSUPPORTED);
	if (unlikely(type->feature && !(limits->features & (1ull << type->feature))))
		return refused(req, VIRTIO_BLK_S_UNSUPP, BLK_CAUSE_UNSUPPORTED);
	req->op = type->op;
	if (unlikely((out_bytes && !type->reads_driver) || (in_bytes && !type->writes_driver)))
		return malformed(req);
	req->write_through = limits->write_through;
	if (type->writes_driver) {
		req->data = in;
		req->num_data = num_in;
		req->data_bytes = in_bytes;
	} else {
		req->data = out;
		req->num_data = num_out;
		req->data_bytes = type->op == BLK_WRITE ? out_bytes : 0;
	}
	return parse_typed(req, limits, type, header.sector);
}

void blk_data_advance(struct blk_request *req, uint64_t bytes)
{
	while (bytes && req->num_data) {
		size_t part = min_of(req->data->iov_len, (size_t)bytes);

		req->data->iov_base = (uint8_t *)req->data->iov_base + part;
		req->data->iov_len -= part;
		bytes -= part;
		if (!req->data->iov_len) {
			req->data++;
			req->num_data--;
		}
	}
}

void blk_data_to_guest(struct blk_request *req, const void *buffer, uint64_t bytes)
{
	const uint8_t *src = buffer;
	unsigned i;

	for (i = 0; i < req->num_data && bytes; i++) {
		size_t part = min_of(req->data[i].iov_len, (size_t)bytes);

		memcpy(req->data[i].iov_base, src, part);
		src += part;
		bytes -= part;
	}
}

void blk_data_from_guest(struct blk_request *req, void *buffer, uint64_t bytes)
{
	uint8_t *dst = buffer;
	unsigned i;

	for (i = 0; i < req->num_data && bytes; i++) {
		size_t part = min_of(req->data[i].iov_len, (size_t)bytes);

		memcpy(dst, req->data[i].iov_base, part);
		dst += part;
		bytes -= part;
	}
}
