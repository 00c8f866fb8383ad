/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_user_negotiate.c - what a back-end can do, and whether that is what the guest was shown.
 * VMM, main thread with the board lock held.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <string.h>

#include "vmm/feature_names.h"
#include "vmm/vhost_user_part.h"

/* Of the transport's bits (virtio 1.3, section 6), those that concern guest and back-end only. Left out:
 * what needs something here (NOTIFICATION_DATA, ACCESS_PLATFORM, SR_IOV, ADMIN_VQ), and what is gone
 * (NOTIFY_ON_EMPTY, ANY_LAYOUT). */
#define TRANSPORT_BITS 0x000003ffff000000ull /* 24 to 49 */
#define PASSED_BITS                                                        \
	(VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_RING_F_EVENT_IDX) |    \
	 VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VU_BIT(VIRTIO_F_IN_ORDER) | \
	 VU_BIT(VIRTIO_F_ORDER_PLATFORM))

#define WANTED_PROTOCOL                                                      \
	(VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_REPLY_ACK) | VU_BIT(VU_PF_CONFIG) | \
	 VU_BIT(VU_PF_BACKEND_REQ) | VU_BIT(VU_PF_INFLIGHT_SHMFD) | VU_BIT(VU_PF_RESET_DEVICE))

uint64_t vhost_user_offer(const struct vhost_user *vu, uint64_t features)
{
	uint64_t passed = PASSED_BITS;

	if (vu->opt->packed)
		passed |= VU_BIT(VIRTIO_F_RING_PACKED);
	/* A queue is reset by GET_VRING_BASE, which every back-end has. */
	return (features & (passed | ~TRANSPORT_BITS)) | VU_BIT(VIRTIO_F_RING_RESET);
}

uint64_t vhost_user_missing(const struct vhost_user *vu, uint64_t features)
{
	return features & ~(vu->backend.features | vu->own_features | VU_BIT(VIRTIO_F_RING_RESET));
}

/* --- the outcome --- */

static bool is_fit(struct vhost_user *vu)
{
	/* A driver that is there uses what it accepted; one to come may take all that was offered. */
	uint64_t missing =
		vhost_user_missing(vu, vu->driver_ok ? vu->dev.driver_features : vu->dev.features);
	uint64_t lesser = vu->backend.features & ~vu->dev.features & vu->kind->takes_away;
	char names[256];

	if (lesser) {
		feature_names(vu->dev.device_id, lesser, names, sizeof(names));
		vhost_user_refuse(vu, "has %s, which the guest was not told of", names);
		return false;
	}
	if (missing) {
		feature_names(vu->dev.device_id, missing, names, sizeof(names));
		vhost_user_refuse(vu, "does not offer %s, which the guest was told of", names);
		return false;
	}
	if (!vu->kind->has_queues(vu)) {
		vhost_user_refuse(vu, "has fewer queues (%llu) than the guest was told of (%u)",
				  (unsigned long long)vu->backend.queue_num, vu->dev.num_queues);
		return false;
	}
	if (vu->config_bytes && !vu->backend.has_config) {
		vhost_user_refuse(vu, "has no configuration space of %u bytes any more",
				  vu->config_bytes);
		return false;
	}
	return true;
}

/* take_shape - the device that the guest is going to see. */
static bool take_shape(struct vhost_user *vu)
{
	uint16_t size = vu->opt->queue_size ? vu->opt->queue_size : VHOST_USER_QUEUE_SIZE;

	if (vu->kind->shape(vu) < 0)
		return false;
	for (unsigned i = 0; i < vu->dev.num_queues; i++)
		vu->dev.queues[i].size = vu->dev.queues[i].max_size = size;
	return true;
}

static void finish(struct vhost_user *vu)
{
	bool changed;

	if (!(vu->backend.features & VU_BIT(VIRTIO_F_VERSION_1))) {
		vhost_user_refuse(vu, "is for old drivers only: it does not offer "
				      "VIRTIO_F_VERSION_1");
		return;
	}
	if (vu->shaped ? !is_fit(vu) : !take_shape(vu))
		return;
	changed = vhost_user_apply_config(vu);
	if (!vu->shaped)
		memcpy(vu->initial_config, vu->dev.config, sizeof(vu->initial_config));
	else if (changed)
		virtio_config_changed(&vu->dev);
	vu->shaped = true;
	vhost_user_ready(vu);
}

/* --- the questions, in order --- */

static void on_config(struct fe_pipeline *p, int error, struct vu_msg *reply, void *arg)
{
	struct vhost_user *vu = arg;

	/* What it was asked is asked again as it was the first time. */
	if (!error && fe_check_config(reply, 0, vu->config_bytes)) {
		fe_pipeline_fail(p, "its reply to GET_CONFIG is about something else");
		return;
	}
	if (!error) {
		memcpy(vu->backend.config, reply->payload.config.data, vu->config_bytes);
		vu->backend.has_config = true;
	}
	finish(vu);
}

static void ask_config(struct vhost_user *vu)
{
	struct vu_msg msg;

	if (!vu->shaped)
		vu->config_bytes = vu->kind->config_bytes(vu);
	if (!(vu->backend.protocol & VU_BIT(VU_PF_CONFIG)) || !vu->config_bytes) {
		finish(vu);
		return;
	}
	fe_msg_config(&msg, 0, vu->config_bytes, 0, NULL);
	fe_pipeline_query(&vu->pipe, &msg, msg.hdr.size, 0, on_config, vu);
}

static void on_queue_num(struct fe_pipeline *p, int error, struct vu_msg *reply, void *arg)
{
	struct vhost_user *vu = arg;

	(void)p;
	if (!error)
		vu->backend.queue_num = reply->payload.u64;
	ask_config(vu);
}

static void on_channel(struct fe_pipeline *p, int error, struct vu_msg *reply, void *arg)
{
	struct vhost_user *vu = arg;

	(void)p;
	(void)reply;
	if (error)
		log_debug(vu->name, "the back-end takes no channel");
}

static void on_owned(struct fe_pipeline *p, int error, struct vu_msg *reply, void *arg)
{
	struct vhost_user *vu = arg;
	struct vu_msg msg;

	(void)p;
	(void)reply;
	if (error) {
		vhost_user_refuse(vu, "refuses to be ours (SET_OWNER)");
		return;
	}
	if (vu->backend.protocol & VU_BIT(VU_PF_BACKEND_REQ) &&
	    fe_pipeline_open_channel(&vu->pipe, on_channel, vu) < 0)
		log_warn_limited(&vu->limit, vu->name,
				 "no channel: changes of its configuration "
				 "are not seen");
	if (!(vu->backend.protocol & VU_BIT(VU_PF_MQ))) {
		ask_config(vu);
		return;
	}
	vu_msg_init(&msg, VU_GET_QUEUE_NUM);
	fe_pipeline_query(&vu->pipe, &msg, sizeof(uint64_t), 0, on_queue_num, vu);
}

static void set_owner(struct vhost_user *vu)
{
	struct vu_msg msg;

	vu_msg_init(&msg, VU_SET_OWNER);
	fe_pipeline_request(&vu->pipe, &msg, on_owned, vu);
}

/* REPLY_ACK counts from the request after SET_PROTOCOL_FEATURES, which is not answered. */
static void on_protocol_features(struct fe_pipeline *p, int error, struct vu_msg *reply, void *arg)
{
	struct vhost_user *vu = arg;
	struct vu_msg msg;

	if (error) {
		vhost_user_refuse(vu, "has protocol features and does not say which");
		return;
	}
	vu->backend.protocol = reply->payload.u64 & WANTED_PROTOCOL;
	if (!(vu->backend.protocol & VU_BIT(VU_PF_CONFIG)))
		vu->backend.protocol &= ~VU_BIT(VU_PF_BACKEND_REQ); /* it would have no news */
	fe_msg_u64(&msg, VU_SET_PROTOCOL_FEATURES, vu->backend.protocol);
	fe_pipeline_request(p, &msg, NULL, NULL);
	p->protocol = vu->backend.protocol;
	set_owner(vu);
}

static void on_features(struct fe_pipeline *p, int error, struct vu_msg *reply, void *arg)
{
	struct vhost_user *vu = arg;
	struct vu_msg msg;

	if (error) {
		vhost_user_refuse(vu, "does not say what it can do (GET_FEATURES)");
		return;
	}
	vu->backend.features = reply->payload.u64;
	if (!(vu->backend.features & VU_BIT(VU_F_PROTOCOL_FEATURES))) {
		set_owner(vu);
		return;
	}
	vu_msg_init(&msg, VU_GET_PROTOCOL_FEATURES);
	fe_pipeline_query(p, &msg, sizeof(uint64_t), 0, on_protocol_features, vu);
}

void vhost_user_negotiate(struct vhost_user *vu)
{
	struct vu_msg msg;

	vhost_user_set_state(vu, VHOST_USER_NEGOTIATING);
	memset(&vu->backend, 0, sizeof(vu->backend));
	vu_msg_init(&msg, VU_GET_FEATURES);
	fe_pipeline_query(&vu->pipe, &msg, sizeof(uint64_t), 0, on_features, vu);
}
