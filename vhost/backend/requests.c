/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * requests.c - the one table of front-end requests, and the one gate in front of their handlers.
 * Layer L4, control thread. A handler may rely on all that is checked here.
 */
#include "vhost/backend/session.h"

/* Payload of exactly this type, or none. */
#define SIZE(type)      .min_bytes = sizeof(type), .max_bytes = sizeof(type)
#define SIZES(min, max) .min_bytes = (min), .max_bytes = (max)
#define FDS(min, max)   .min_fds = (min), .max_fds = (max)

/*
 * Rows in the order of the protocol. A row without a handler is a message of a feature we know
 * and do not offer; its feature keeps it out. Sizes are checked for rows with a handler only.
 */
static const struct vu_request_info requests[VU_REQUEST_END] = {
	[VU_GET_FEATURES] =
		{
			.reply = VU_REPLY_OWN,
			.handle = vu_get_features,
		},
	[VU_SET_FEATURES] =
		{
			SIZE(uint64_t),
			.quiesce = VU_QUIESCE_ALL,
			.check = vu_check_features,
			.handle = vu_set_features,
		},
	[VU_SET_OWNER] =
		{
			.handle = vu_accept,
		},
	/* Deprecated: no front-end that means it is left, and none expects an answer. */
	[VU_RESET_OWNER] =
		{
			.handle = vu_accept,
		},
	[VU_SET_MEM_TABLE] =
		{
			SIZES(offsetof(struct vu_mem_table, regions), VU_MAX_PAYLOAD),
			FDS(0, VU_MAX_FDS),
			.quiesce = VU_QUIESCE_ALL,
			.check = vu_check_mem_table,
			.handle = vu_set_mem_table,
		},
	[VU_SET_LOG_BASE] =
		{
			SIZE(struct vu_log),
			FDS(1, 1),
			.needs = VU_NEEDS(VU_PF_LOG_SHMFD),
			.quiesce = VU_QUIESCE_ALL,
			.reply = VU_REPLY_OWN,
			.handle = vu_set_log_base,
		},
	/* An eventfd that a back-end may signal when it has logged something. A front-end finds that
	 * out from the log itself, and a signal would be a system call for each request: the fd is
	 * closed with the message. */
	[VU_SET_LOG_FD] =
		{
			FDS(1, 1),
			.needs = VU_NEEDS(VU_PF_LOG_SHMFD),
			.check = vu_check_vring_fd,
			.handle = vu_accept,
		},
	[VU_SET_VRING_NUM] =
		{
			SIZE(struct vu_vring_state),
			.index_at = VU_INDEX_STATE,
			.quiesce = VU_QUIESCE_RING,
			.check = vu_check_vring_num,
			.handle = vu_set_vring_num,
		},
	[VU_SET_VRING_ADDR] =
		{
			SIZE(struct vu_vring_addr),
			.index_at = VU_INDEX_ADDR,
			.quiesce = VU_QUIESCE_RING,
			.check = vu_check_vring_addr,
			.handle = vu_set_vring_addr,
		},
	[VU_SET_VRING_BASE] =
		{
			SIZE(struct vu_vring_state),
			.index_at = VU_INDEX_STATE,
			.quiesce = VU_QUIESCE_RING,
			.check = vu_check_vring_base,
			.handle = vu_set_vring_base,
		},
	[VU_GET_VRING_BASE] =
		{
			SIZE(struct vu_vring_state),
			.index_at = VU_INDEX_STATE,
			.quiesce = VU_QUIESCE_RING,
			.reply = VU_REPLY_OWN,
			.handle = vu_get_vring_base,
			.answered = vu_inflight_settle,
		},
	[VU_SET_VRING_KICK] =
		{
			SIZE(uint64_t),
			FDS(0, 1),
			.index_at = VU_INDEX_U64,
			.quiesce = VU_QUIESCE_RING,
			.check = vu_check_vring_fd,
			.handle = vu_set_vring_kick,
		},
	[VU_SET_VRING_CALL] =
		{
			SIZE(uint64_t),
			FDS(0, 1),
			.index_at = VU_INDEX_U64,
			.quiesce = VU_QUIESCE_RING,
			.check = vu_check_vring_fd,
			.at_once = vu_call_at_once,
			.handle = vu_set_vring_call,
		},
	[VU_SET_VRING_ERR] =
		{
			SIZE(uint64_t),
			FDS(0, 1),
			.index_at = VU_INDEX_U64,
			.quiesce = VU_QUIESCE_RING,
			.check = vu_check_vring_fd,
			.at_once = vu_err_at_once,
			.handle = vu_set_vring_err,
		},
	[VU_GET_PROTOCOL_FEATURES] =
		{
			.needs = VU_NEEDS_PROTOCOL_FEATURES,
			.reply = VU_REPLY_OWN,
			.handle = vu_get_protocol_features,
		},
	[VU_SET_PROTOCOL_FEATURES] =
		{
			SIZE(uint64_t),
			.needs = VU_NEEDS_PROTOCOL_FEATURES,
			.check = vu_check_protocol_features,
			.handle = vu_set_protocol_features,
		},
	[VU_GET_QUEUE_NUM] =
		{
			.needs = VU_NEEDS(VU_PF_MQ),
			.reply = VU_REPLY_OWN,
			.handle = vu_get_queue_num,
		},
	/* Needs bit 30 by the letter; front-ends send it before SET_FEATURES, so it always may. */
	[VU_SET_VRING_ENABLE] =
		{
			SIZE(struct vu_vring_state),
			.index_at = VU_INDEX_STATE,
			.quiesce = VU_QUIESCE_RING,
			.at_once = vu_enable_at_once,
			.handle = vu_set_vring_enable,
		},
	[VU_SEND_RARP] =
		{
			SIZE(uint64_t),
			.needs = VU_NEEDS(VU_PF_RARP),
			.handle = vu_send_rarp,
		},
	[VU_NET_SET_MTU] =
		{
			SIZE(uint64_t),
			.needs = VU_NEEDS(VU_PF_MTU),
			.check = vu_check_mtu,
			.handle = vu_net_set_mtu,
		},
	[VU_SET_BACKEND_REQ_FD] =
		{
			FDS(1, 1),
			.needs = VU_NEEDS(VU_PF_BACKEND_REQ),
			.handle = vu_set_backend_req_fd,
		},
	/* Off: its feature is VIRTIO_F_ACCESS_PLATFORM, and guest memory is translated by regions
	 * alone. */
	[VU_IOTLB_MSG] = {.reply = VU_REPLY_OWN},
	/* Off: for legacy devices; ours are VIRTIO_F_VERSION_1, which is little-endian. */
	[VU_SET_VRING_ENDIAN] = {.needs = VU_NEEDS(VU_PF_CROSS_ENDIAN)},
	[VU_GET_CONFIG] =
		{
			SIZES(VU_CONFIG_HEADER_BYTES, VU_CONFIG_HEADER_BYTES + VU_MAX_CONFIG),
			.needs = VU_NEEDS(VU_PF_CONFIG),
			.reply = VU_REPLY_OWN,
			.handle = vu_get_config,
		},
	[VU_SET_CONFIG] =
		{
			SIZES(VU_CONFIG_HEADER_BYTES, VU_CONFIG_HEADER_BYTES + VU_MAX_CONFIG),
			.needs = VU_NEEDS(VU_PF_CONFIG),
			.quiesce = VU_QUIESCE_ALL,
			.check = vu_check_config,
			.at_once = vu_config_at_once,
			.handle = vu_set_config,
		},
	/* Off: for crypto devices. */
	[VU_CREATE_CRYPTO_SESSION] =
		{
			.needs = VU_NEEDS(VU_PF_CRYPTO_SESSION),
			.reply = VU_REPLY_OWN,
		},
	[VU_CLOSE_CRYPTO_SESSION] = {.needs = VU_NEEDS(VU_PF_CRYPTO_SESSION)},
	/* Off: it lets the front-end hold any thread of ours in the middle of an access. */
	[VU_POSTCOPY_ADVISE] = {.needs = VU_NEEDS(VU_PF_PAGEFAULT), .reply = VU_REPLY_OWN},
	[VU_POSTCOPY_LISTEN] = {.needs = VU_NEEDS(VU_PF_PAGEFAULT)},
	[VU_POSTCOPY_END] = {.needs = VU_NEEDS(VU_PF_PAGEFAULT), .reply = VU_REPLY_OWN},
	/* Some front-ends leave the padding out. */
	[VU_GET_INFLIGHT_FD] =
		{
			SIZES(offsetof(struct vu_inflight, padding), sizeof(struct vu_inflight)),
			.needs = VU_NEEDS(VU_PF_INFLIGHT_SHMFD),
			.reply = VU_REPLY_OWN,
			.handle = vu_get_inflight_fd,
		},
	[VU_SET_INFLIGHT_FD] =
		{
			SIZES(offsetof(struct vu_inflight, padding), sizeof(struct vu_inflight)),
			FDS(1, 1),
			.needs = VU_NEEDS(VU_PF_INFLIGHT_SHMFD),
			.quiesce = VU_QUIESCE_ALL,
			.check = vu_check_inflight_fd,
			.handle = vu_set_inflight_fd,
		},
	[VU_GPU_SET_SOCKET] = {.needs = VU_NEEDS_NOTHING}, /* GPU devices only */
	[VU_RESET_DEVICE] =
		{
			.needs = VU_NEEDS(VU_PF_RESET_DEVICE),
			.quiesce = VU_QUIESCE_ALL,
			.handle = vu_reset_device,
		},
	[VU_VRING_KICK] =
		{
			SIZE(struct vu_vring_state),
			.needs = VU_NEEDS(VU_PF_INBAND_NOTIFICATIONS),
			.index_at = VU_INDEX_STATE,
			.quiesce = VU_QUIESCE_RING,
			.check = vu_check_vring_kick,
			.at_once = vu_kick_at_once,
			.handle = vu_vring_kick,
		},
	[VU_GET_MAX_MEM_SLOTS] =
		{
			.needs = VU_NEEDS(VU_PF_CONFIGURE_MEM_SLOTS),
			.reply = VU_REPLY_OWN,
			.handle = vu_get_max_mem_slots,
		},
	[VU_ADD_MEM_REG] =
		{
			SIZE(struct vu_single_region),
			FDS(1, 1),
			.needs = VU_NEEDS(VU_PF_CONFIGURE_MEM_SLOTS),
			.quiesce = VU_QUIESCE_ALL,
			.handle = vu_add_mem_reg,
		},
	/* Some front-ends pass the region's fd once more; it is closed with the message. */
	[VU_REM_MEM_REG] =
		{
			SIZE(struct vu_single_region),
			FDS(0, 1),
			.needs = VU_NEEDS(VU_PF_CONFIGURE_MEM_SLOTS),
			.quiesce = VU_QUIESCE_ALL,
			.handle = vu_rem_mem_reg,
		},
	[VU_SET_STATUS] =
		{
			SIZE(uint64_t),
			.needs = VU_NEEDS(VU_PF_STATUS),
			.check = vu_check_status,
			.handle = vu_set_status,
		},
	[VU_GET_STATUS] =
		{
			.needs = VU_NEEDS(VU_PF_STATUS),
			.reply = VU_REPLY_OWN,
			.handle = vu_get_status,
		},
	/* Off: for devices that export dma-bufs. */
	[VU_GET_SHARED_OBJECT] =
		{
			.needs = VU_NEEDS(VU_PF_SHARED_OBJECT),
			.reply = VU_REPLY_OWN,
		},
	[VU_SET_DEVICE_STATE_FD] =
		{
			SIZE(struct vu_device_state),
			FDS(0, 1), /* one; none is answered as an error */
			.needs = VU_NEEDS(VU_PF_DEVICE_STATE),
			.reply = VU_REPLY_OWN,
			.handle = vu_set_device_state_fd,
		},
	[VU_CHECK_DEVICE_STATE] =
		{
			.needs = VU_NEEDS(VU_PF_DEVICE_STATE),
			.reply = VU_REPLY_OWN,
			.handle = vu_check_device_state,
		},
};

/*
 * check_feature - was what the message needs negotiated? Front-ends talk before they are done
 * negotiating, so until SET_FEATURES what is offered counts.
 */
static int check_feature(struct vu_session *s, uint8_t needs)
{
	uint64_t features;
	unsigned bit;

	if (needs == VU_NEEDS_NOTHING)
		return 0;
	if (needs == VU_NEEDS_PROTOCOL_FEATURES) {
		if (!s->features_set || s->features & VU_BIT(VU_F_PROTOCOL_FEATURES))
			return 0;
		return vu_refuse(s, -EPERM, "needs feature bit %u, which was not negotiated",
				 VU_F_PROTOCOL_FEATURES);
	}
	bit = needs - 1u;
	features = s->protocol_features;
	if (!s->protocol_features_set && !s->features_set)
		features = vu_protocol_features_offered(s->dev);
	if (features & VU_BIT(bit))
		return 0;
	return vu_refuse(s, -EPERM, "needs protocol feature %s, which was not %s",
			 vu_protocol_feature_name(bit),
			 s->protocol_features_set || s->features_set ? "negotiated" : "offered");
}

/* check_index - the one place where a ring index of the front-end's becomes a ring. */
static int check_index(struct vu_session *s, const struct vu_msg *msg)
{
	uint64_t index = 0;
	unsigned want_fds;

	switch (s->info->index_at) {
	case VU_INDEX_NONE:
		return 0;
	case VU_INDEX_STATE:
		index = msg->payload.state.index;
		break;
	case VU_INDEX_ADDR:
		index = msg->payload.addr.index;
		break;
	case VU_INDEX_U64:
		/* All bits but "no fd" count, so that nothing unknown is taken for ring 0. */
		index = msg->payload.u64 & ~(uint64_t)VU_VRING_NO_FD;
		want_fds = msg->payload.u64 & VU_VRING_NO_FD ? 0 : 1;
		if (msg->num_fds != want_fds)
			return vu_refuse(s, -EINVAL, "%u fds, expected %u", msg->num_fds, want_fds);
		break;
	}
	if (index >= s->num_rings)
		return vu_refuse(s, -EINVAL, "ring index %llu, there are %u rings",
				 (unsigned long long)index, s->num_rings);
	s->ring = s->rings[index];
	return 0;
}

static int check_sizes(struct vu_session *s, const struct vu_msg *msg)
{
	const struct vu_request_info *info = s->info;

	if (msg->hdr.size < info->min_bytes || msg->hdr.size > info->max_bytes)
		return vu_refuse(s, VU_OUT_OF_STEP, "payload of %u bytes, expected %u to %u",
				 msg->hdr.size, info->min_bytes, info->max_bytes);
	if (msg->num_fds < info->min_fds || msg->num_fds > info->max_fds)
		return vu_refuse(s, -EINVAL, "%u fds, expected %u to %u", msg->num_fds,
				 info->min_fds, info->max_fds);
	return 0;
}

int vu_request_check(struct vu_session *s, const struct vu_msg *msg)
{
	int rc;

	s->info = NULL;
	s->ring = NULL;
	if (msg->hdr.flags & VU_FLAG_REPLY)
		return vu_refuse(s, VU_OUT_OF_STEP, "flags 0x%x: a reply, expected a request",
				 msg->hdr.flags);
	if (msg->hdr.request == 0 || msg->hdr.request >= VU_REQUEST_END)
		return vu_refuse(s, -ENOTSUP, "request %u, known are 1 to %u", msg->hdr.request,
				 VU_REQUEST_END - 1);
	s->info = &requests[msg->hdr.request];
	rc = check_feature(s, s->info->needs);
	if (rc)
		return rc;
	if (!s->info->handle)
		return vu_refuse(s, -ENOTSUP, "belongs to a feature that is not offered");
	rc = check_sizes(s, msg);
	if (rc)
		return rc;
	rc = check_index(s, msg);
	if (rc)
		return rc;
	return s->info->check ? s->info->check(s, msg, s->ring) : 0;
}
