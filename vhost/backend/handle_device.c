/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handle_device.c - handlers of messages about the whole device: features, memory, configuration.
 * Layer L4, control thread. The rings that a change concerns have been taken back already.
 */
#include <inttypes.h>
#include <string.h>

#include "vhost/backend/session.h"

#define UNUSED __attribute__((unused))

/* reply_u64 - answer with one number. Return: 0. */
static int reply_u64(struct vu_msg *reply, uint64_t value)
{
	reply->payload.u64 = value;
	reply->hdr.size = sizeof(value);
	return 0;
}

int vu_accept(struct vu_session *s UNUSED, struct vu_msg *msg UNUSED, struct vu_ring *ring UNUSED,
	      struct vu_msg *reply UNUSED)
{
	return 0;
}

int vu_get_features(struct vu_session *s, struct vu_msg *msg UNUSED, struct vu_ring *ring UNUSED,
		    struct vu_msg *reply)
{
	return reply_u64(reply, s->dev->features);
}

/* Dirty logging is switched under a running device; nothing else may change there. */
int vu_check_features(struct vu_session *s, const struct vu_msg *msg, struct vu_ring *ring UNUSED)
{
	uint64_t features = msg->payload.u64;
	uint64_t changed = (features ^ s->features) & ~VU_BIT(VU_F_LOG_ALL);

	if (features & ~s->dev->features)
		return vu_refuse(s, -EINVAL, "features 0x%" PRIx64 ", offered are 0x%" PRIx64,
				 features, s->dev->features);
	for (unsigned i = 0; changed && i < s->num_rings; i++) {
		if (s->rings[i]->state == VU_RING_RUNNING)
			return vu_refuse(s, -EBUSY,
					 "features 0x%" PRIx64 " would replace 0x%" PRIx64
					 " while ring %u runs",
					 features, s->features, i);
	}
	return 0;
}

int vu_set_features(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring UNUSED,
		    struct vu_msg *reply UNUSED)
{
	s->features = msg->payload.u64;
	s->features_set = true;
	/* Without protocol features there is no SET_VRING_ENABLE, and rings begin enabled. */
	for (unsigned i = 0; i < s->num_rings; i++) {
		if (!(s->features & VU_BIT(VU_F_PROTOCOL_FEATURES)))
			s->rings[i]->enabled = true;
	}
	if (log_limited(&s->log_limit, s->dev->name)) /* a guest can reset its driver at any rate */
		log_info(s->dev->name, "features 0x%" PRIx64, s->features);
	s->dev->ops->set_features(s->dev, s->features);
	return 0;
}

uint64_t vu_protocol_features_offered(const struct vu_device *dev)
{
	uint64_t offered = VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_REPLY_ACK) | VU_BIT(VU_PF_BACKEND_REQ) |
			   VU_BIT(VU_PF_BACKEND_SEND_FD) | VU_BIT(VU_PF_CONFIGURE_MEM_SLOTS) |
			   VU_BIT(VU_PF_LOG_SHMFD) | VU_BIT(VU_PF_INFLIGHT_SHMFD);

	/*
	 * Left out, beside those whose rows in the table say why: XEN_MMAP (guests of KVM only) and
	 * HOST_NOTIFIER (for doorbells of hardware). RESET_DEVICE, STATUS and in-band notifications
	 * cost nothing where a front-end takes them and makes no use of them.
	 */
	offered |= VU_BIT(VU_PF_RESET_DEVICE) | VU_BIT(VU_PF_STATUS) |
		   VU_BIT(VU_PF_INBAND_NOTIFICATIONS);
	if (dev->config_bytes)
		offered |= VU_BIT(VU_PF_CONFIG);
	if (dev->ops->save_state && dev->ops->load_state)
		offered |= VU_BIT(VU_PF_DEVICE_STATE);
	if (dev->ops->send_rarp)
		offered |= VU_BIT(VU_PF_RARP);
	if (dev->ops->set_mtu)
		offered |= VU_BIT(VU_PF_MTU);
	return offered;
}

int vu_get_protocol_features(struct vu_session *s, struct vu_msg *msg UNUSED,
			     struct vu_ring *ring UNUSED, struct vu_msg *reply)
{
	return reply_u64(reply, vu_protocol_features_offered(s->dev));
}

/* What in-band notifications do not work without; who leaves it out is to be hung up on. */
#define INBAND_NEEDS (VU_BIT(VU_PF_BACKEND_REQ) | VU_BIT(VU_PF_REPLY_ACK))

int vu_check_protocol_features(struct vu_session *s, const struct vu_msg *msg,
			       struct vu_ring *ring UNUSED)
{
	uint64_t offered = vu_protocol_features_offered(s->dev);

	if (msg->payload.u64 & ~offered)
		return vu_refuse(s, -EINVAL,
				 "protocol features 0x%" PRIx64 ", offered are 0x%" PRIx64,
				 msg->payload.u64, offered);
	if (msg->payload.u64 & VU_BIT(VU_PF_INBAND_NOTIFICATIONS) &&
	    INBAND_NEEDS & ~msg->payload.u64)
		return vu_refuse(s, VU_OUT_OF_STEP,
				 "INBAND_NOTIFICATIONS without REPLY_ACK and BACKEND_REQ");
	return 0;
}

int vu_set_protocol_features(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring UNUSED,
			     struct vu_msg *reply UNUSED)
{
	s->protocol_features = msg->payload.u64;
	s->protocol_features_set = true;
	return 0;
}

int vu_get_queue_num(struct vu_session *s, struct vu_msg *msg UNUSED, struct vu_ring *ring UNUSED,
		     struct vu_msg *reply)
{
	bool in_pairs = s->dev->pairs && s->protocol_features & VU_BIT(VU_PF_RARP);

	return reply_u64(reply, in_pairs ? s->dev->pairs : s->num_rings);
}

int vu_check_mem_table(struct vu_session *s, const struct vu_msg *msg, struct vu_ring *ring UNUSED)
{
	uint32_t n = msg->payload.mem.num_regions;

	if (n == 0 || n > VU_MAX_TABLE_SLOTS)
		return vu_refuse(s, -EINVAL, "%u regions, expected 1 to %u", n, VU_MAX_TABLE_SLOTS);
	if (msg->num_fds != n)
		return vu_refuse(s, -EINVAL, "%u fds for %u regions", msg->num_fds, n);
	if (msg->hdr.size != offsetof(struct vu_mem_table, regions) + n * sizeof(struct vu_region))
		return vu_refuse(s, VU_OUT_OF_STEP, "payload of %u bytes for %u regions",
				 msg->hdr.size, n);
	return 0;
}

/* memory_changed - the device is told. Return: 0. */
static int memory_changed(struct vu_session *s)
{
	if (s->dev->ops->memory_changed)
		s->dev->ops->memory_changed(s->dev);
	return 0;
}

int vu_set_mem_table(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring UNUSED,
		     struct vu_msg *reply UNUSED)
{
	const struct vu_mem_table *mem = &msg->payload.mem;
	int rc = mem_table_replace(&s->mem, mem->regions, mem->num_regions, msg->fds);

	if (rc)
		return vu_refuse(s, rc, "%u regions: %s; the table before stays", mem->num_regions,
				 mem_map_why(rc));
	return memory_changed(s);
}

int vu_get_max_mem_slots(struct vu_session *s UNUSED, struct vu_msg *msg UNUSED,
			 struct vu_ring *ring UNUSED, struct vu_msg *reply)
{
	return reply_u64(reply, VU_MAX_MEM_SLOTS);
}

static int refuse_region(struct vu_session *s, int rc, const struct vu_region *region)
{
	return vu_refuse(s, rc,
			 "region gpa 0x%" PRIx64 ", size 0x%" PRIx64 ", uva 0x%" PRIx64
			 ", offset 0x%" PRIx64 ": %s",
			 region->gpa, region->size, region->uva, region->mmap_offset,
			 mem_map_why(rc));
}

int vu_add_mem_reg(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring UNUSED,
		   struct vu_msg *reply UNUSED)
{
	int rc = mem_table_add(&s->mem, &msg->payload.region.region, &msg->fds[0]);

	return rc ? refuse_region(s, rc, &msg->payload.region.region) : memory_changed(s);
}

/* A ring that lies in the region is not started again: its addresses no longer translate. */
int vu_rem_mem_reg(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring UNUSED,
		   struct vu_msg *reply UNUSED)
{
	int rc = mem_table_remove(&s->mem, &msg->payload.region.region);

	return rc ? refuse_region(s, rc, &msg->payload.region.region) : memory_changed(s);
}

int vu_set_backend_req_fd(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring UNUSED,
			  struct vu_msg *reply UNUSED)
{
	int rc = vu_channel_open(&s->channel, msg->fds[0]);

	if (rc)
		return vu_refuse(s, rc, "not usable as back-end channel: %s", strerror(-rc));
	vu_msg_take_fd(msg, 0);
	return 0;
}

/* outside_window - offset + size beyond what a configuration space may have at most? */
static bool outside_window(const struct vu_config *config)
{
	return config->size > VU_MAX_CONFIG || config->offset > VU_MAX_CONFIG - config->size;
}

/*
 * The reply has the size asked for: front-ends ask for the structure they were built with, or
 * for the whole window, and what a device does not have reads as zero. An error is a reply
 * without payload.
 */
int vu_get_config(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring UNUSED,
		  struct vu_msg *reply)
{
	const struct vu_config *ask = &msg->payload.config;
	struct vu_config *config = &reply->payload.config;
	uint32_t have = s->dev->config_bytes;

	if (outside_window(ask)) {
		log_warn_limited(&s->log_limit, s->dev->name,
				 "GET_CONFIG refused: offset %u, size %u, the window is %u bytes",
				 ask->offset, ask->size, VU_MAX_CONFIG);
		return 0;
	}
	config->offset = ask->offset;
	config->size = ask->size;
	config->flags = ask->flags;
	memset(config->data, 0, sizeof(config->data));
	if (ask->offset < have)
		s->dev->ops->get_config(s->dev, ask->offset, min_of(ask->size, have - ask->offset),
					config->data);
	reply->hdr.size = VU_CONFIG_HEADER_BYTES + ask->size;
	return 0;
}

/* in_space - how many of the bytes written lie within the device's configuration space. */
static uint32_t in_space(const struct vu_session *s, const struct vu_config *config)
{
	uint32_t have = s->dev->config_bytes;

	return config->offset < have ? min_of(config->size, have - config->offset) : 0;
}

int vu_check_config(struct vu_session *s, const struct vu_msg *msg, struct vu_ring *ring UNUSED)
{
	const struct vu_config *config = &msg->payload.config;

	if (outside_window(config))
		return vu_refuse(s, -EINVAL, "offset %u, size %u, the window is %u bytes",
				 config->offset, config->size, VU_MAX_CONFIG);
	if (msg->hdr.size != VU_CONFIG_HEADER_BYTES + config->size)
		return vu_refuse(s, VU_OUT_OF_STEP, "payload of %u bytes for %u bytes of config",
				 msg->hdr.size, config->size);
	if (config->flags > 2)
		return vu_refuse(s, -EINVAL, "flags %u, expected 0 to 2", config->flags);
	/* A front-end that knows a longer structure writes the tail as it read it: zeroes. */
	for (uint32_t i = in_space(s, config); i < config->size; i++) {
		if (config->data[i])
			return vu_refuse(s, -EINVAL, "a value at offset %u, the space ends at %u",
					 config->offset + i, s->dev->config_bytes);
	}
	if (!s->dev->ops->set_config)
		return vu_refuse(s, -EPERM, "this device's configuration is read-only");
	return 0;
}

int vu_set_config(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring UNUSED,
		  struct vu_msg *reply UNUSED)
{
	const struct vu_config *config = &msg->payload.config;
	uint32_t bytes = in_space(s, config);
	int rc = 0;

	if (bytes)
		rc = s->dev->ops->set_config(s->dev, config->offset, bytes, config->data);
	if (rc)
		return vu_refuse(s, rc, "offset %u, size %u: %s", config->offset, config->size,
				 strerror(-rc));
	return 0;
}

bool vu_config_at_once(const struct vu_session *s, const struct vu_msg *msg UNUSED)
{
	return s->dev->config_at_once;
}
