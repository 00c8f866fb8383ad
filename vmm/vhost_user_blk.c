/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_user_blk.c - what is particular to a disk (virtio 1.3, section 5.2).
 * VMM, main thread with the board lock held; may_write on any thread.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <string.h>

#include "vmm/vhost_user_part.h"

/* Not in every version of the header. */
#define BLK_F_ZONED 17

#define ZONED_END 96u /* of the configuration space with all that is specified */

/* A back-end may know less than all of it, and say no to more than it knows. */
static unsigned config_bytes(const struct vhost_user *vu)
{
	if (vu->backend.features & VU_BIT(BLK_F_ZONED))
		return ZONED_END;
	if (vu->backend.features & VU_BIT(VIRTIO_BLK_F_SECURE_ERASE))
		return 72;
	return 60;
}

static unsigned queues_there(const struct vhost_user *vu)
{
	if (!(vu->backend.features & VU_BIT(VIRTIO_BLK_F_MQ)) ||
	    !(vu->backend.protocol & VU_BIT(VU_PF_MQ)))
		return 1;
	return (unsigned)min_of(vu->backend.queue_num, (uint64_t)VIRTIO_MAX_QUEUES);
}

static bool has_queues(const struct vhost_user *vu)
{
	return queues_there(vu) >= vu->dev.num_queues;
}

static int shape(struct vhost_user *vu)
{
	unsigned wanted = vu->opt->queues ? vu->opt->queues : vu->num_vcpus;

	if (!vu->backend.has_config) {
		vhost_user_refuse(vu, "is no disk: it has no configuration space of %u bytes",
				  vu->config_bytes);
		return -EPROTONOSUPPORT;
	}
	if (!queues_there(vu)) {
		vhost_user_refuse(vu, "has no queues");
		return -EPROTONOSUPPORT;
	}
	if (vu->opt->queues > queues_there(vu))
		log_warn(vu->name,
			 "has %u queues, since the back-end has no more; asked for were %u",
			 queues_there(vu), vu->opt->queues);
	vu->dev.num_queues = min_of(wanted, queues_there(vu));
	vu->dev.config_bytes = vu->config_bytes;
	vu->dev.features = vhost_user_offer(vu, vu->backend.features);
	return 0;
}

static void merge_config(const struct vhost_user *vu, uint8_t *config)
{
	uint16_t num_queues = htole16((uint16_t)vu->dev.num_queues);

	memcpy(config + offsetof(struct virtio_blk_config, num_queues), &num_queues,
	       sizeof(num_queues));
}

/* 5.2.4: the cache mode is all that a driver may set. */
static bool may_write(const struct vhost_user *vu, unsigned offset, unsigned bytes)
{
	return virtio_has(&vu->dev, VIRTIO_BLK_F_CONFIG_WCE) && bytes == 1 &&
	       offset == offsetof(struct virtio_blk_config, wce);
}

const struct vhost_user_kind vhost_user_blk = {
	.program = "ringside-blk",
	.config_bytes = config_bytes,
	.shape = shape,
	.has_queues = has_queues,
	.merge_config = merge_config,
	.may_write = may_write,
	.takes_away = VU_BIT(VIRTIO_BLK_F_RO),
};
