/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_user_balloon.c - what is particular to a balloon (virtio 1.3, section 5.5).
 * VMM, main thread with the board lock held; may_write on any thread.
 */
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <stddef.h>
#include <string.h>

#include "vmm/vhost_user_part.h"

#define MAX_QUEUES 5 /* inflate, deflate, statistics, hinting, reporting */

#define FIELD_AT(field)  offsetof(struct virtio_balloon_config, field)
#define FIELD_END(field) (FIELD_AT(field) + sizeof(((struct virtio_balloon_config *)NULL)->field))

/* The space has grown with the features: a back-end that lacks the later ones may have less of it. */
static unsigned config_bytes(const struct vhost_user *vu)
{
	if (vu->backend.features & VU_BIT(VIRTIO_BALLOON_F_PAGE_POISON))
		return FIELD_END(poison_val);
	if (vu->backend.features & VU_BIT(VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		return FIELD_END(free_page_hint_cmd_id);
	return FIELD_END(actual);
}

/* queues_needed - by a driver that accepts all of @features and leaves no gaps between its queues, as
 * Linux does; the numbers of the specification need MAX_QUEUES. */
static unsigned queues_needed(uint64_t features)
{
	return 2u + !!(features & VU_BIT(VIRTIO_BALLOON_F_STATS_VQ)) +
	       !!(features & VU_BIT(VIRTIO_BALLOON_F_FREE_PAGE_HINT)) +
	       !!(features & VU_BIT(VIRTIO_BALLOON_F_REPORTING));
}

/* queues_there - one that does not say how many it has is believed to have them all. */
static unsigned queues_there(const struct vhost_user *vu)
{
	if (!(vu->backend.protocol & VU_BIT(VU_PF_MQ)))
		return MAX_QUEUES;
	return (unsigned)min_of(vu->backend.queue_num, (uint64_t)MAX_QUEUES);
}

static bool has_queues(const struct vhost_user *vu)
{
	return queues_there(vu) >= vu->dev.num_queues;
}

static int shape(struct vhost_user *vu)
{
	unsigned needed = queues_needed(vu->backend.features);

	if (!vu->backend.has_config) {
		vhost_user_refuse(vu, "is no balloon: it has no configuration space of %u bytes",
				  vu->config_bytes);
		return -EPROTONOSUPPORT;
	}
	if (queues_there(vu) < needed) {
		vhost_user_refuse(vu, "has %llu queues, and a balloon with its features needs %u",
				  (unsigned long long)vu->backend.queue_num, needed);
		return -EPROTONOSUPPORT;
	}
	vu->dev.num_queues = queues_there(vu);
	vu->dev.config_bytes = vu->config_bytes;
	vu->dev.features = vhost_user_offer(vu, vu->backend.features);
	return 0;
}

/* merge_config - how many pages a guest is to give up follows from its memory. A back-end that does not
 * know that yet, as after a restart, would have an empty balloon for a moment. */
static void merge_config(const struct vhost_user *vu, uint8_t *config)
{
	if (vu->shaped && !vu->told_memory)
		memcpy(config + FIELD_AT(num_pages), vu->dev.config + FIELD_AT(num_pages),
		       FIELD_END(num_pages) - FIELD_AT(num_pages));
}

/* 5.5.4: how large the balloon is, and what free pages are filled with. */
static bool may_write(const struct vhost_user *vu, unsigned offset, unsigned bytes)
{
	unsigned end = offset + bytes;

	if (offset >= FIELD_AT(actual) && end <= FIELD_END(actual))
		return bytes > 0;
	return virtio_has(&vu->dev, VIRTIO_BALLOON_F_PAGE_POISON) && bytes > 0 &&
	       offset >= FIELD_AT(poison_val) && end <= FIELD_END(poison_val);
}

const struct vhost_user_kind vhost_user_balloon = {
	.program = "ringside-balloon",
	.config_bytes = config_bytes,
	.shape = shape,
	.has_queues = has_queues,
	.merge_config = merge_config,
	.may_write = may_write,
	.config_needs_memory = true,
	.in_order = true,
};
