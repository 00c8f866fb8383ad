/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * disk.h - one disk: an image, served as a virtio-blk device at an endpoint.
 * Layer L5, control thread.
 */
#ifndef RINGSIDE_BLK_DISK_H
#define RINGSIDE_BLK_DISK_H

#include "blk/image.h"
#include "blk/options.h"
#include "blk/queue.h"
#include "vhost/backend/device.h"

struct blk_disk {
	struct vu_device dev;
	const struct blk_disk_options *opt;
	char name[16]; /* "blk0" */
	struct blk_image image;
	bool writeback; /* the cache mode in force, as the configuration space tells */
	uint64_t features; /* negotiated */
	struct blk_thread *threads;
	unsigned num_threads;
	unsigned first_thread; /* of queue 0: disks begin at different threads */
	struct blk_stats **stats; /* one for each queue ever used; they outlive connections */
	struct log_limit log_limit;
};

/* blk_disk_open - open the image of disk @index as @opt says. Return: 0, or -1 with the
 * operator's line in @error. */
int blk_disk_open(struct blk_disk *disk, unsigned index, const struct blk_disk_options *opt,
		  char *error, size_t error_bytes);

/* blk_disk_serve - make it a device whose queues go to @threads. The endpoint is the caller's
 * to open. Return: 0 or -ENOMEM. */
int blk_disk_serve(struct blk_disk *disk, struct loop *loop, struct blk_thread *threads,
		   unsigned num_threads, unsigned first_thread);

/* blk_disk_resize - look at the image's size again and tell the guest. Return: 0, -ENOTSUP (a
 * backend of fixed size), -EINVAL (smaller, or no multiple of a block), -errno. */
int blk_disk_resize(struct blk_disk *disk);

/* blk_state_save, blk_state_load - for a migration; see the operations save_state and load_state of
 * device.h. Return: bytes, or 0; -ENOBUFS, -EBADMSG (no state of a disk like this). */
ssize_t blk_state_save(const struct blk_disk *disk, uint8_t *out, size_t max);
int blk_state_load(struct blk_disk *disk, const uint8_t *data, size_t size);

/* blk_disk_close - after vu_device_close. */
void blk_disk_close(struct blk_disk *disk);

#endif
