/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * image.h - what a disk's data lives in, behind one small table: file.c, null.c, ram.c.
 * Layer L5. Opened and closed on the control thread; start and complete run on the I/O thread
 * that owns the request.
 */
#ifndef RINGSIDE_BLK_IMAGE_H
#define RINGSIDE_BLK_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLK_SECTOR_BYTES 512

struct blk_image;
struct blk_request;
struct blk_thread;

enum blk_direct { BLK_DIRECT_AUTO, BLK_DIRECT_ON, BLK_DIRECT_OFF };

struct blk_image_options {
	const char *file; /* path, null:SIZE or ram:SIZE */
	bool read_only;
	enum blk_direct direct; /* AUTO: where the file allows it */
	unsigned lock_wait_s; /* how long another holder of the image is waited for */
};

struct blk_backend {
	const char *kind;

	/*
	 * open - fill in @image from @opt. On failure nothing is left open and nothing changed.
	 * Return: 0, or -1 with the operator's line in @error.
	 */
	int (*open)(struct blk_image *image, const struct blk_image_options *opt, char *error,
		    size_t error_bytes);

	/* close - all queues are stopped. */
	void (*close)(struct blk_image *image);

	/* resize - look at the size again. Return: 0 or -errno. NULL: never changes. */
	int (*resize)(struct blk_image *image, uint64_t *capacity_bytes);

	/*
	 * start - carry out a checked request.
	 * Return: true when it is done, with req->status set; false when it is under way, and
	 * complete is called for each of its completions.
	 */
	bool (*start)(struct blk_thread *thread, struct blk_request *req);

	/* complete - @result of one submission. Return: as start. NULL when start always ends. */
	bool (*complete)(struct blk_thread *thread, struct blk_request *req, int result);
};

/* Geometry and limits in bytes, as virtio-blk's configuration will tell them. */
struct blk_image {
	const struct blk_backend *backend;
	uint64_t capacity_bytes;
	uint32_t block_bytes; /* logical block */
	uint32_t physical_bytes; /* physical block */
	uint32_t alignment_bytes; /* of the first aligned logical block */
	uint32_t min_io_bytes;
	uint32_t opt_io_bytes;
	uint32_t discard_align_bytes;
	bool read_only;
	bool can_discard;
	bool can_write_zeroes;

	/* Of the backends. */
	int fd; /* -1 when there is none */
	unsigned file_slot; /* index among registered files, the same in every thread */
	bool direct;
	uint32_t memory_align; /* direct I/O: of buffers */
	bool is_block_device;
	bool zero_range_refused; /* told once by the kernel; relaxed atomic */
	uint8_t *ram;
};

extern const struct blk_backend blk_backend_file;
extern const struct blk_backend blk_backend_null;
extern const struct blk_backend blk_backend_ram;

/* blk_image_open - choose the backend by opt->file and open it. Return: as blk_backend.open. */
int blk_image_open(struct blk_image *image, const struct blk_image_options *opt, char *error,
		   size_t error_bytes);

void blk_image_close(struct blk_image *image);

#endif
