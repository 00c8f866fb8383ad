/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_user_other.c - a device of which nothing is known here but what the operator says
 * (--vhost-user): its number of queues and the size of its configuration space.
 * VMM, main thread with the board lock held; may_write on any thread.
 */
#include <errno.h>

#include "vmm/vhost_user_part.h"

static unsigned config_bytes(const struct vhost_user *vu)
{
	return vu->opt->config_bytes;
}

/* A back-end that does not say how many it has is believed to have what it was started with. */
static bool has_queues(const struct vhost_user *vu)
{
	return !(vu->backend.protocol & VU_BIT(VU_PF_MQ)) ||
	       vu->backend.queue_num >= vu->opt->queues;
}

static int shape(struct vhost_user *vu)
{
	if (vu->config_bytes && !vu->backend.has_config) {
		vhost_user_refuse(vu, "has no configuration space of %u bytes; see config-size",
				  vu->config_bytes);
		return -EPROTONOSUPPORT;
	}
	if (!has_queues(vu)) {
		vhost_user_refuse(vu, "has %llu queues, and queues=%u is asked for",
				  (unsigned long long)vu->backend.queue_num, vu->opt->queues);
		return -EPROTONOSUPPORT;
	}
	vu->dev.num_queues = vu->opt->queues;
	vu->dev.config_bytes = vu->config_bytes;
	vu->dev.features = vhost_user_offer(vu, vu->backend.features);
	return 0;
}

static void merge_config(const struct vhost_user *vu, uint8_t *config)
{
	(void)vu;
	(void)config;
}

static bool may_write(const struct vhost_user *vu, unsigned offset, unsigned bytes)
{
	(void)vu;
	(void)offset;
	return bytes > 0; /* it lies in the space; the back-end says what may be written */
}

const struct vhost_user_kind vhost_user_other = {
	.program = "the device's back-end",
	.config_bytes = config_bytes,
	.shape = shape,
	.has_queues = has_queues,
	.merge_config = merge_config,
	.may_write = may_write,
};
