/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * disk.c - features and configuration space of a disk (virtio 1.3, sections 5.2.3 to 5.2.5), and
 * which thread a queue goes to. Layer L5, control thread.
 */
#include "blk/disk.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/base/log.h"

#define BIT(n) (1ull << (n))

static struct blk_disk *disk_of(struct vu_device *dev)
{
	return container_of(dev, struct blk_disk, dev);
}

static uint64_t offered_features(const struct blk_disk *disk)
{
	uint64_t features = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_PACKED) |
			    BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) |
			    BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_SEG_MAX) |
			    BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_TOPOLOGY) |
			    BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_CONFIG_WCE) |
			    BIT(VIRTIO_BLK_F_MQ);

	if (disk->opt->in_order)
		features |= BIT(VIRTIO_F_IN_ORDER);
	if (disk->image.read_only)
		features |= BIT(VIRTIO_BLK_F_RO);
	if (disk->image.can_discard)
		features |= BIT(VIRTIO_BLK_F_DISCARD);
	if (disk->image.can_write_zeroes)
		features |= BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	return features;
}

static uint8_t log2_of(uint32_t power_of_two)
{
	return (uint8_t)__builtin_ctz(power_of_two);
}

/* make_config - the configuration space. Fields in blocks are in logical blocks. */
static void make_config(const struct blk_disk *disk, struct virtio_blk_config *config)
{
	const struct blk_image *image = &disk->image;
	uint32_t block = image->block_bytes;

	memset(config, 0, sizeof(*config));
	config->capacity = htole64(image->capacity_bytes / BLK_SECTOR_BYTES);
	config->size_max = htole32(BLK_SIZE_MAX);
	config->seg_max = htole32(BLK_SEG_MAX);
	config->blk_size = htole32(block);
	config->physical_block_exp = log2_of(image->physical_bytes / block);
	config->alignment_offset = (uint8_t)(image->alignment_bytes / block);
	config->min_io_size = htole16((uint16_t)min_of(image->min_io_bytes / block, 65535u));
	config->opt_io_size = htole32(image->opt_io_bytes / block);
	config->wce = disk->writeback;
	config->num_queues = htole16((uint16_t)disk->opt->num_queues);
	if (image->can_discard) {
		config->max_discard_sectors = htole32(BLK_RANGE_SECTORS);
		config->max_discard_seg = htole32(BLK_MAX_RANGES);
		config->discard_sector_alignment =
			htole32(image->discard_align_bytes / BLK_SECTOR_BYTES);
	}
	if (image->can_write_zeroes) {
		config->max_write_zeroes_sectors = htole32(BLK_RANGE_SECTORS);
		config->max_write_zeroes_seg = htole32(BLK_MAX_RANGES);
		config->write_zeroes_may_unmap = image->can_discard;
	}
}

static void disk_get_config(struct vu_device *dev, uint32_t offset, uint32_t size, uint8_t *data)
{
	struct virtio_blk_config config;

	make_config(disk_of(dev), &config);
	memcpy(data, (uint8_t *)&config + offset, size);
}

/* disk_set_config - only the cache mode (5.2.5, writeback) can change; front-ends that write the
 * whole space write the rest as they read it. */
static int disk_set_config(struct vu_device *dev, uint32_t offset, uint32_t size,
			   const uint8_t *data)
{
	const uint32_t wce_at = offsetof(struct virtio_blk_config, wce);
	struct blk_disk *disk = disk_of(dev);
	struct virtio_blk_config config;
	uint8_t *bytes = (uint8_t *)&config;
	uint8_t wce;
	uint32_t i;

	make_config(disk, &config);
	wce = config.wce;
	for (i = 0; i < size; i++) {
		if (offset + i == wce_at)
			wce = data[i];
		else if (bytes[offset + i] != data[i])
			return -EPERM;
	}
	if (wce > 1)
		return -EINVAL;
	/* The guest's doing, so it may come at any rate. */
	if (disk->writeback != wce && log_limited(&disk->log_limit, disk->name))
		log_info(disk->name, "cache mode is now %s", wce ? "writeback" : "writethrough");
	disk->writeback = wce;
	return 0;
}

static void disk_set_features(struct vu_device *dev, uint64_t features)
{
	disk_of(dev)->features = features;
}

/* A driver that cannot flush, or whose cache mode is write-through, finds every write durable
 * when it completes (5.2.6.2). */
static bool write_through(const struct blk_disk *disk)
{
	bool can_flush = disk->features & (BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_CONFIG_WCE));

	return !can_flush || !disk->writeback;
}

static void make_limits(const struct blk_disk *disk, struct blk_limits *limits)
{
	const struct blk_image *image = &disk->image;

	memset(limits, 0, sizeof(*limits));
	limits->capacity_sectors = image->capacity_bytes / BLK_SECTOR_BYTES;
	limits->features = disk->features;
	limits->block_mask = (image->direct ? image->block_bytes : BLK_SECTOR_BYTES) - 1;
	limits->read_only = image->read_only;
	limits->write_through = write_through(disk);
	memcpy(limits->serial, disk->opt->serial, strnlen(disk->opt->serial, BLK_ID_BYTES));
}

/* On lines of its own: the next queue's may be another thread's. */
static struct blk_stats *new_stats(void)
{
	struct blk_stats *stats = aligned_alloc(CACHELINE_BYTES, sizeof(*stats));

	if (stats)
		memset(stats, 0, sizeof(*stats));
	return stats;
}

static void disk_queue_start(struct vu_device *dev, struct virtqueue *vq)
{
	struct blk_disk *disk = disk_of(dev);
	unsigned t = (disk->first_thread + vq->index) % disk->num_threads;
	struct blk_limits limits;

	make_limits(disk, &limits);
	vq->device_data = NULL;
	if (!disk->stats[vq->index])
		disk->stats[vq->index] = new_stats();
	if (!disk->stats[vq->index] || blk_queue_start(&disk->threads[t], vq, &disk->image, &limits,
						       disk->stats[vq->index]) < 0)
		log_error(vq->name, "out of memory: this queue is not served");
}

static void disk_queue_stop(struct vu_device *dev, struct virtqueue *vq)
{
	(void)dev;
	if (vq->device_data)
		blk_queue_stop(vq->device_data);
	else
		vu_queue_stopped(vq);
}

static void disk_reset(struct vu_device *dev)
{
	struct blk_disk *disk = disk_of(dev);

	disk->writeback = disk->opt->writeback;
}

static void disk_disconnected(struct vu_device *dev)
{
	disk_reset(dev);
	disk_of(dev)->features = 0;
}

static ssize_t disk_save_state(struct vu_device *dev, uint8_t *out, size_t max)
{
	return blk_state_save(disk_of(dev), out, max);
}

static int disk_load_state(struct vu_device *dev, const uint8_t *data, size_t size)
{
	return blk_state_load(disk_of(dev), data, size);
}

static const struct vu_device_ops disk_ops = {
	.get_config = disk_get_config,
	.set_config = disk_set_config,
	.set_features = disk_set_features,
	.queue_start = disk_queue_start,
	.queue_stop = disk_queue_stop,
	.disconnected = disk_disconnected,
	.reset = disk_reset,
	.save_state = disk_save_state,
	.load_state = disk_load_state,
};

int blk_disk_open(struct blk_disk *disk, unsigned index, const struct blk_disk_options *opt,
		  char *error, size_t error_bytes)
{
	memset(disk, 0, sizeof(*disk));
	disk->opt = opt;
	disk->writeback = opt->writeback;
	snprintf(disk->name, sizeof(disk->name), "blk%u", index);
	if (blk_image_open(&disk->image, &opt->image, error, error_bytes) < 0)
		return -1;
	disk->image.file_slot = index;
	return 0;
}

int blk_disk_serve(struct blk_disk *disk, struct loop *loop, struct blk_thread *threads,
		   unsigned num_threads, unsigned first_thread)
{
	disk->stats = calloc(disk->opt->num_queues, sizeof(*disk->stats));
	if (!disk->stats)
		return -ENOMEM;
	disk->threads = threads;
	disk->num_threads = num_threads;
	disk->first_thread = first_thread;
	disk->dev.name = disk->name;
	disk->dev.ops = &disk_ops;
	disk->dev.features = offered_features(disk);
	disk->dev.num_queues = disk->opt->num_queues;
	disk->dev.max_iov = BLK_MAX_IOV;
	disk->dev.config_bytes = offsetof(struct virtio_blk_config, max_secure_erase_sectors);
	vu_device_init(&disk->dev, loop);
	return 0;
}

static void tell_queue(struct virtqueue *vq, const char *state, bool enabled, void *arg)
{
	const struct blk_disk *disk = arg;

	(void)enabled;
	if (vq->device_data && !strcmp(state, "running"))
		blk_queue_set_capacity(vq->device_data,
				       disk->image.capacity_bytes / BLK_SECTOR_BYTES);
}

int blk_disk_resize(struct blk_disk *disk)
{
	uint64_t bytes;
	int ret;

	if (!disk->image.backend->resize)
		return -ENOTSUP;
	ret = disk->image.backend->resize(&disk->image, &bytes);
	if (ret < 0)
		return ret;
	if (bytes < disk->image.capacity_bytes)
		return -EINVAL;
	disk->image.capacity_bytes = bytes;
	vu_device_each_queue(&disk->dev, tell_queue, disk);
	vu_device_config_changed(&disk->dev);
	log_info(disk->name, "is %llu bytes now", (unsigned long long)bytes);
	return 0;
}

void blk_disk_close(struct blk_disk *disk)
{
	unsigned i;

	for (i = 0; disk->stats && i < disk->opt->num_queues; i++)
		free(disk->stats[i]);
	free(disk->stats);
	disk->stats = NULL;
	blk_image_close(&disk->image);
}
