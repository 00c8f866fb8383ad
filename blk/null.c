/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * null.c - "null:SIZE", a disk that answers everything and keeps nothing: what is left of a
 * request is the cost of the ring. A read leaves the driver's buffers as they are.
 * Layer L5.
 */
#include "blk/memory_image.h"
#include "blk/request.h"

static int null_open(struct blk_image *image, const struct blk_image_options *opt, char *error,
		     size_t error_bytes)
{
	return blk_memory_image_size(image, opt->file, error, error_bytes);
}

static void null_close(struct blk_image *image)
{
	(void)image;
}

static bool null_start(struct blk_thread *thread, struct blk_request *req)
{
	(void)thread;
	if (req->op == BLK_READ)
		req->written_bytes = (uint32_t)req->data_bytes;
	return true;
}

const struct blk_backend blk_backend_null = {
	.kind = "null",
	.open = null_open,
	.close = null_close,
	.start = null_start,
};
