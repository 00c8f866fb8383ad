/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * messages.c - see messages.h. Beside L1 (front-end). Any thread.
 */
#include "vhost/frontend/messages.h"

#include <errno.h>
#include <string.h>

#include "vhost/base/util.h"

#define REPLY_FLAGS (VU_VERSION | VU_FLAG_REPLY)

void fe_msg_u64(struct vu_msg *msg, uint32_t request, uint64_t value)
{
	vu_msg_init(msg, request);
	msg->hdr.size = sizeof(value);
	msg->payload.u64 = value;
}

void fe_msg_state(struct vu_msg *msg, uint32_t request, unsigned index, uint32_t num)
{
	vu_msg_init(msg, request);
	msg->hdr.size = sizeof(msg->payload.state);
	msg->payload.state = (struct vu_vring_state){.index = index, .num = num};
}

void fe_msg_vring_fd(struct vu_msg *msg, uint32_t request, unsigned index, int fd)
{
	fe_msg_u64(msg, request, fd >= 0 ? index : index | VU_VRING_NO_FD);
	if (fd >= 0)
		msg->fds[msg->num_fds++] = fd;
}

void fe_msg_vring_addr(struct vu_msg *msg, unsigned index, const struct vu_vring_addr *addr)
{
	vu_msg_init(msg, VU_SET_VRING_ADDR);
	msg->hdr.size = sizeof(msg->payload.addr);
	msg->payload.addr = *addr;
	msg->payload.addr.index = index;
}

void fe_msg_fd(struct vu_msg *msg, uint32_t request, int fd)
{
	vu_msg_init(msg, request);
	msg->fds[msg->num_fds++] = fd;
}

int fe_msg_mem_table(struct vu_msg *msg, const struct fe_memory *mem)
{
	if (mem->num_regions > VU_MAX_TABLE_SLOTS)
		return -E2BIG;
	vu_msg_init(msg, VU_SET_MEM_TABLE);
	msg->hdr.size = (uint32_t)(offsetof(struct vu_mem_table, regions) +
				   mem->num_regions * sizeof(struct vu_region));
	msg->payload.mem.num_regions = mem->num_regions;
	msg->num_fds = mem->num_regions;
	for (unsigned i = 0; i < mem->num_regions; i++) {
		msg->payload.mem.regions[i] = fe_memory_describe(mem, i);
		msg->fds[i] = mem->regions[i].fd;
	}
	return 0;
}

void fe_msg_region(struct vu_msg *msg, uint32_t request, const struct fe_memory *mem,
		   unsigned index)
{
	vu_msg_init(msg, request);
	msg->hdr.size = sizeof(msg->payload.region);
	msg->payload.region.region = fe_memory_describe(mem, index);
	if (request == VU_ADD_MEM_REG)
		msg->fds[msg->num_fds++] = mem->regions[index].fd;
}

int fe_msg_config(struct vu_msg *msg, uint32_t offset, uint32_t size, uint32_t flags,
		  const void *data)
{
	if (size > VU_MAX_CONFIG)
		return -EINVAL;
	vu_msg_init(msg, data ? VU_SET_CONFIG : VU_GET_CONFIG);
	msg->hdr.size = VU_CONFIG_HEADER_BYTES + size;
	msg->payload.config.offset = offset;
	msg->payload.config.size = size;
	msg->payload.config.flags = flags;
	if (data)
		memcpy(msg->payload.config.data, data, size);
	return 0;
}

void fe_msg_get_inflight(struct vu_msg *msg, unsigned num_queues, unsigned queue_size)
{
	vu_msg_init(msg, VU_GET_INFLIGHT_FD);
	msg->hdr.size = sizeof(msg->payload.inflight);
	msg->payload.inflight.num_queues = (uint16_t)num_queues;
	msg->payload.inflight.queue_size = (uint16_t)queue_size;
}

void fe_msg_set_inflight(struct vu_msg *msg, const struct vu_inflight *region, int fd)
{
	fe_msg_fd(msg, VU_SET_INFLIGHT_FD, fd);
	msg->hdr.size = sizeof(msg->payload.inflight);
	msg->payload.inflight = *region;
	msg->payload.inflight.padding = 0;
}

int fe_check_reply(const struct vu_msg *reply, uint32_t request, uint32_t reply_bytes,
		   unsigned max_fds)
{
	if (reply->hdr.request != request || reply->hdr.flags != REPLY_FLAGS ||
	    reply->num_fds > max_fds)
		return -EPROTO;
	if (reply->hdr.size == 0 && reply_bytes)
		return -EREMOTEIO;
	return reply->hdr.size == reply_bytes ? 0 : -EPROTO;
}

int fe_check_vring_base(const struct vu_msg *reply, unsigned index)
{
	return reply->payload.state.index == index ? 0 : -EPROTO;
}

int fe_check_config(const struct vu_msg *reply, uint32_t offset, uint32_t size)
{
	const struct vu_config *got = &reply->payload.config;

	return got->offset == offset && got->size == size ? 0 : -EPROTO;
}

int fe_check_inflight(const struct vu_msg *reply, unsigned num_queues, unsigned queue_size)
{
	const struct vu_inflight *got = &reply->payload.inflight;
	uint64_t end;

	if (!got->mmap_size)
		return -EREMOTEIO; /* how back-ends say no without ending the session */
	if (reply->num_fds != 1 || !got->num_queues || got->num_queues != num_queues ||
	    got->queue_size != queue_size || got->mmap_size % got->num_queues ||
	    add_overflows(got->mmap_offset, got->mmap_size, &end) || end > INT64_MAX)
		return -EPROTO;
	return 0;
}

bool fe_check_channel(const struct vu_header *hdr)
{
	if (hdr->flags & VU_FLAG_REPLY)
		return false;
	switch (hdr->request) {
	case VU_BACKEND_IOTLB_MSG:
		return hdr->size == sizeof(struct vu_iotlb);
	case VU_BACKEND_CONFIG_CHANGE:
		return hdr->size == 0;
	case VU_BACKEND_HOST_NOTIFIER:
		return hdr->size == sizeof(struct vu_vring_area);
	case VU_BACKEND_VRING_CALL:
	case VU_BACKEND_VRING_ERR:
		return hdr->size == sizeof(struct vu_vring_state);
	default:
		return true; /* any size, for one we do not know */
	}
}

int fe_answer_channel(int fd, const struct vu_header *request, int result)
{
	struct vu_msg reply;

	if (!(request->flags & VU_FLAG_NEED_REPLY))
		return 0;
	fe_msg_u64(&reply, request->request, result ? 1 : 0);
	reply.hdr.flags = REPLY_FLAGS;
	return vu_send(fd, &reply);
}
