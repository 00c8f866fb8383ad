/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * file.c - a regular file or block device through io_uring: the requests, step by step.
 * file_open.c opens it. Layer L5, I/O thread.
 *
 * A request is one submission, unless it goes through bounce buffers piece by piece, names
 * several ranges, came back short, or must be made durable by a sync at its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include "blk/bounce.h"
#include "blk/file.h"
#include "blk/uring.h"

/* What write-zeroes writes where the file system cannot do it by itself. */
static uint8_t zeroes[256 << 10] __attribute__((aligned(4096)));

static struct io_uring_sqe *file_sqe(struct blk_thread *thread, struct blk_request *req,
				     uint8_t opcode)
{
	struct io_uring_sqe *sqe = uring_sqe(thread, URING_REQUEST, req);

	sqe->opcode = opcode;
	uring_use_file(thread, sqe, req->image);
	return sqe;
}

/* --- data --- */

static bool needs_bounce(const struct blk_request *req)
{
	uint64_t bits = 0;
	unsigned i;

	if (!req->image->direct)
		return false;
	for (i = 0; i < req->num_data; i++)
		bits |= (uintptr_t)req->data[i].iov_base & (req->image->memory_align - 1);
	for (i = 0; i < req->num_data; i++)
		bits |= req->data[i].iov_len & (req->image->block_bytes - 1);
	return bits != 0;
}

static void submit_data(struct blk_thread *thread, struct blk_request *req)
{
	bool write = req->op == BLK_WRITE;
	struct io_uring_sqe *sqe;

	if (unlikely(req->bounce)) {
		uint64_t piece =
			min_of(req->data_bytes - req->done_bytes, (uint64_t)BLK_BOUNCE_BYTES);

		if (write)
			blk_data_from_guest(req, req->bounce->memory, piece);
		sqe = file_sqe(thread, req, write ? IORING_OP_WRITE : IORING_OP_READ);
		sqe->addr = (uintptr_t)req->bounce->memory;
		sqe->len = (uint32_t)piece;
	} else if (req->num_data == 1) {
		sqe = file_sqe(thread, req, write ? IORING_OP_WRITE : IORING_OP_READ);
		sqe->addr = (uintptr_t)req->data->iov_base;
		sqe->len = (uint32_t)req->data->iov_len;
	} else {
		sqe = file_sqe(thread, req, write ? IORING_OP_WRITEV : IORING_OP_READV);
		sqe->addr = (uintptr_t)req->data;
		sqe->len = req->num_data;
	}
	sqe->off = req->offset_bytes + req->done_bytes;
	if (write && req->write_through)
		sqe->rw_flags = RWF_DSYNC;
}

/* release_bounce - hand the buffer on to a request that waits for one. */
static void release_bounce(struct blk_thread *thread, struct blk_request *req)
{
	struct blk_request *next;

	if (likely(!req->bounce))
		return;
	next = bounce_give(thread, req);
	if (next)
		submit_data(thread, next);
}

static bool data_failed(struct blk_thread *thread, struct blk_request *req, int result)
{
	release_bounce(thread, req);
	if (!result)
		return blk_request_fail(req, VIRTIO_BLK_S_IOERR, BLK_CAUSE_TRUNCATED);
	return blk_request_fail_errno(req, -result);
}

static bool complete_data(struct blk_thread *thread, struct blk_request *req, int result)
{
	if (unlikely(result <= 0))
		return data_failed(thread, req, result);
	if (unlikely(req->bounce) && req->op == BLK_READ)
		blk_data_to_guest(req, req->bounce->memory, (uint64_t)result);
	req->done_bytes += (uint64_t)result;
	if (unlikely(req->done_bytes < req->data_bytes)) {
		blk_data_advance(req, (uint64_t)result);
		submit_data(thread, req);
		return false;
	}
	release_bounce(thread, req);
	if (req->op == BLK_READ)
		req->written_bytes = (uint32_t)req->data_bytes;
	return true;
}

/* --- sync --- */

static void submit_sync(struct blk_thread *thread, struct blk_request *req)
{
	struct io_uring_sqe *sqe = file_sqe(thread, req, IORING_OP_FSYNC);

	sqe->fsync_flags = IORING_FSYNC_DATASYNC;
	req->stage = BLK_STAGE_SYNC;
}

static bool complete_sync(struct blk_request *req, int result)
{
	return result < 0 ? blk_request_fail_errno(req, -result) : true;
}

/* --- discard and write-zeroes, range by range --- */

static bool unmaps(const struct blk_request *req)
{
	return req->op == BLK_DISCARD ||
	       (req->ranges[req->range].flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
}

static void submit_zeroes(struct blk_thread *thread, struct blk_request *req)
{
	const struct virtio_blk_discard_write_zeroes *range = &req->ranges[req->range];
	uint64_t bytes = (uint64_t)range->num_sectors * BLK_SECTOR_BYTES;
	struct io_uring_sqe *sqe = file_sqe(thread, req, IORING_OP_WRITE);

	sqe->addr = (uintptr_t)zeroes;
	sqe->len = (uint32_t)min_of(bytes - req->done_bytes, (uint64_t)sizeof(zeroes));
	sqe->off = range->sector * BLK_SECTOR_BYTES + req->done_bytes;
	req->stage = BLK_STAGE_ZEROES;
}

static void submit_fallocate(struct blk_thread *thread, struct blk_request *req)
{
	const struct virtio_blk_discard_write_zeroes *range = &req->ranges[req->range];
	struct io_uring_sqe *sqe = file_sqe(thread, req, IORING_OP_FALLOCATE);

	sqe->off = range->sector * BLK_SECTOR_BYTES;
	sqe->addr = (uint64_t)range->num_sectors * BLK_SECTOR_BYTES;
	sqe->len =
		FALLOC_FL_KEEP_SIZE | (unmaps(req) ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
	req->stage = BLK_STAGE_RANGE;
}

/* next_range - begin req->range, or what comes after the last. Return: true when all is done. */
static bool next_range(struct blk_thread *thread, struct blk_request *req)
{
	while (req->range < req->num_ranges && !req->ranges[req->range].num_sectors)
		req->range++;
	req->done_bytes = 0;
	if (req->range == req->num_ranges) {
		if (!req->write_through)
			return true;
		submit_sync(thread, req);
		return false;
	}
	if (!unmaps(req) && __atomic_load_n(&req->image->zero_range_refused, __ATOMIC_RELAXED))
		submit_zeroes(thread, req);
	else
		submit_fallocate(thread, req);
	return false;
}

static bool complete_range(struct blk_thread *thread, struct blk_request *req, int result)
{
	if (result == -EOPNOTSUPP && req->op == BLK_WRITE_ZEROES) {
		if (!unmaps(req))
			__atomic_store_n(&req->image->zero_range_refused, true, __ATOMIC_RELAXED);
		submit_zeroes(thread, req);
		return false;
	}
	if (result == -EOPNOTSUPP)
		return blk_request_fail(req, VIRTIO_BLK_S_UNSUPP, BLK_CAUSE_UNSUPPORTED);
	if (result < 0)
		return blk_request_fail_errno(req, -result);
	req->range++;
	return next_range(thread, req);
}

static bool complete_zeroes(struct blk_thread *thread, struct blk_request *req, int result)
{
	uint64_t bytes = (uint64_t)req->ranges[req->range].num_sectors * BLK_SECTOR_BYTES;

	if (result <= 0)
		return blk_request_fail_errno(req, result ? -result : EIO);
	req->done_bytes += (uint64_t)result;
	if (req->done_bytes < bytes) {
		submit_zeroes(thread, req);
		return false;
	}
	req->range++;
	return next_range(thread, req);
}

/* --- the table's two entries --- */

bool blk_file_start(struct blk_thread *thread, struct blk_request *req)
{
	switch ((enum blk_stage)req->stage) {
	case BLK_STAGE_DATA:
		req->bounce = NULL;
		if (likely(!needs_bounce(req))) {
			submit_data(thread, req);
			return false;
		}
		vq_count_add(&req->queue->stats->bounced, 1);
		if (bounce_take(thread, req))
			submit_data(thread, req);
		return false;
	case BLK_STAGE_SYNC:
		submit_sync(thread, req);
		return false;
	default:
		return next_range(thread, req);
	}
}

/* again - the same step once more: the kernel was interrupted or short of memory. */
static void again(struct blk_thread *thread, struct blk_request *req)
{
	switch ((enum blk_stage)req->stage) {
	case BLK_STAGE_DATA:
		submit_data(thread, req);
		break;
	case BLK_STAGE_RANGE:
		submit_fallocate(thread, req);
		break;
	case BLK_STAGE_ZEROES:
		submit_zeroes(thread, req);
		break;
	case BLK_STAGE_SYNC:
		submit_sync(thread, req);
		break;
	}
}

bool blk_file_complete(struct blk_thread *thread, struct blk_request *req, int result)
{
	if (unlikely(result == -EINTR || result == -EAGAIN)) {
		again(thread, req);
		return false;
	}
	switch ((enum blk_stage)req->stage) {
	case BLK_STAGE_DATA:
		return complete_data(thread, req, result);
	case BLK_STAGE_RANGE:
		return complete_range(thread, req, result);
	case BLK_STAGE_ZEROES:
		return complete_zeroes(thread, req, result);
	default:
		return complete_sync(req, result);
	}
}
