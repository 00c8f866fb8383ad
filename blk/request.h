/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * request.h - one block request from the ring to its status byte (virtio 1.3, section 5.2.6).
 * Layer L5, I/O thread.
 */
#ifndef RINGSIDE_BLK_REQUEST_H
#define RINGSIDE_BLK_REQUEST_H

#include <linux/virtio_blk.h>

#include "vhost/base/list.h"
#include "vhost/ring/virtqueue.h"

#define BLK_ID_BYTES VIRTIO_BLK_ID_BYTES

/* Data buffers of a request, as offered in seg_max; header, status and a few buffers that cross
 * regions come on top. */
#define BLK_SEG_MAX       126
#define BLK_MAX_IOV       (BLK_SEG_MAX + 10)
#define BLK_SIZE_MAX      (4u << 20) /* bytes in one data buffer */
#define BLK_DATA_MAX      ((uint64_t)BLK_SEG_MAX * BLK_SIZE_MAX) /* bytes in one request */
#define BLK_MAX_RANGES    32 /* segments of one discard or write-zeroes */
#define BLK_RANGE_SECTORS (1u << 22) /* sectors (2 GiB) in one of them */

/* What is counted and timed apart. */
enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES, BLK_GET_ID, BLK_OPS };

/* Why a request failed, for the counters. */
enum blk_cause {
	BLK_CAUSE_NONE,
	BLK_CAUSE_BAD_CHAIN, /* the ring refused it */
	BLK_CAUSE_MALFORMED, /* header or status missing, wrong direction or length */
	BLK_CAUSE_RANGE, /* outside the disk */
	BLK_CAUSE_READ_ONLY,
	BLK_CAUSE_UNSUPPORTED, /* type, flag or feature */
	BLK_CAUSE_NO_SPACE, /* ENOSPC, EDQUOT from below */
	BLK_CAUSE_TRUNCATED, /* the file ended early */
	BLK_CAUSE_IO, /* any other error from below */
	BLK_CAUSES
};

const char *blk_op_name(enum blk_op op);
const char *blk_cause_name(enum blk_cause cause);

struct blk_queue;
struct blk_bounce;
struct blk_image;

/* What a multi-step request does next. */
enum blk_stage { BLK_STAGE_DATA, BLK_STAGE_RANGE, BLK_STAGE_ZEROES, BLK_STAGE_SYNC };

struct blk_request {
	struct vq_chain chain; /* first: the free list is a list of chains */
	struct blk_queue *queue;
	struct blk_image *image;
	uint8_t *status_at; /* in guest memory; NULL: nowhere to say it */
	struct iovec *data; /* data buffers, in iov[] */
	uint16_t num_data;
	uint8_t op; /* enum blk_op */
	uint8_t status; /* VIRTIO_BLK_S_* */
	uint8_t cause; /* enum blk_cause */
	uint8_t stage; /* enum blk_stage */
	bool write_through; /* durable before it completes */
	uint8_t num_ranges;
	uint8_t range; /* the one under way */
	uint32_t written_bytes; /* to guest memory, without the status */
	uint64_t offset_bytes; /* on the disk */
	uint64_t data_bytes;
	uint64_t done_bytes; /* of data_bytes, or of the range under way */
	uint64_t start_ticks;
	struct blk_bounce *bounce;
	struct list waiting; /* for a bounce buffer */
	struct iovec iov[BLK_MAX_IOV];
	struct virtio_blk_discard_write_zeroes ranges[BLK_MAX_RANGES];
} cacheline_aligned;

static_assert(offsetof(struct blk_request, chain) == 0, "the free list holds chains");

/* What a request is checked against: constant while the queue runs. */
struct blk_limits {
	uint64_t capacity_sectors;
	uint64_t features; /* negotiated */
	uint32_t block_mask; /* direct I/O: offset and length granularity - 1, at least 511 */
	bool read_only;
	bool write_through;
	char serial[BLK_ID_BYTES];
};

/*
 * blk_request_parse - make a popped chain a checked request.
 *
 * Copies the header and the ranges once; takes any framing. After it, only data buffers of
 * guest memory are touched, and the status byte.
 *
 * Return: true when it is to be carried out; false when it is answered already: req->status and
 * cause say how (GET_ID, an empty read, every refusal).
 */
bool blk_request_parse(struct blk_request *req, const struct blk_limits *limits);

/* blk_request_fail - set status and cause. Return: true (done), for tail calls. */
bool blk_request_fail(struct blk_request *req, uint8_t status, enum blk_cause cause);

/* blk_request_fail_errno - the same from an errno of the I/O below. */
bool blk_request_fail_errno(struct blk_request *req, int err);

/* blk_data_advance - drop the first @bytes of the data buffers (a short transfer). */
void blk_data_advance(struct blk_request *req, uint64_t bytes);

/* blk_data_copy - copy @bytes between @buffer and the start of the data buffers. */
void blk_data_to_guest(struct blk_request *req, const void *buffer, uint64_t bytes);
void blk_data_from_guest(struct blk_request *req, void *buffer, uint64_t bytes);

#endif
