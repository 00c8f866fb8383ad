/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * requests.c - a function for each request: build it (messages.c), send, check what comes back.
 * Beside L1 (front-end). The thread that owns the session.
 */
#include <errno.h>
#include <string.h>

#include "vhost/frontend/frontend.h"
#include "vhost/frontend/messages.h"

static int get_u64(struct fe *fe, uint32_t request, uint64_t *value)
{
	struct vu_msg msg;
	int ret;

	vu_msg_init(&msg, request);
	ret = fe_query(fe, &msg, sizeof(*value), 0);
	if (!ret)
		*value = fe->rx.msg.payload.u64;
	return ret;
}

static int set_u64(struct fe *fe, uint32_t request, uint64_t value)
{
	struct vu_msg msg;

	fe_msg_u64(&msg, request, value);
	return fe_request(fe, &msg);
}

static int set_nothing(struct fe *fe, uint32_t request)
{
	struct vu_msg msg;

	vu_msg_init(&msg, request);
	return fe_request(fe, &msg);
}

static int set_state(struct fe *fe, uint32_t request, unsigned index, uint32_t num)
{
	struct vu_msg msg;

	fe_msg_state(&msg, request, index, num);
	return fe_request(fe, &msg);
}

static int set_vring_fd(struct fe *fe, uint32_t request, unsigned index, int fd)
{
	struct vu_msg msg;

	fe_msg_vring_fd(&msg, request, index, fd);
	return fe_request(fe, &msg);
}

int fe_sync(struct fe *fe)
{
	uint64_t unused;

	return get_u64(fe, VU_GET_FEATURES, &unused);
}

int fe_get_features(struct fe *fe, uint64_t *features)
{
	int ret = get_u64(fe, VU_GET_FEATURES, features);

	if (!ret)
		fe->offered = *features;
	return ret;
}

int fe_set_features(struct fe *fe, uint64_t features)
{
	int ret = set_u64(fe, VU_SET_FEATURES, features);

	if (!ret)
		fe->features = features;
	return ret;
}

int fe_get_protocol_features(struct fe *fe, uint64_t *features)
{
	int ret = get_u64(fe, VU_GET_PROTOCOL_FEATURES, features);

	if (!ret)
		fe->protocol_offered = *features;
	return ret;
}

int fe_set_protocol_features(struct fe *fe, uint64_t features)
{
	int ret = set_u64(fe, VU_SET_PROTOCOL_FEATURES, features);

	if (!ret)
		fe->protocol = features;
	return ret;
}

int fe_negotiate(struct fe *fe, uint64_t wanted, uint64_t wanted_protocol)
{
	uint64_t offered, protocol_offered;
	int ret = fe_get_features(fe, &offered);

	if (ret)
		return ret;
	if (offered & VU_BIT(VU_F_PROTOCOL_FEATURES)) {
		ret = fe_get_protocol_features(fe, &protocol_offered);
		if (ret)
			return ret;
		ret = fe_set_protocol_features(fe, wanted_protocol & protocol_offered);
		if (ret)
			return ret;
	}
	ret = fe_set_owner(fe);
	if (ret)
		return ret;
	return fe_set_features(fe, (wanted | VU_BIT(VU_F_PROTOCOL_FEATURES)) & offered);
}

int fe_set_owner(struct fe *fe)
{
	return set_nothing(fe, VU_SET_OWNER);
}

int fe_reset_device(struct fe *fe)
{
	return set_nothing(fe, VU_RESET_DEVICE);
}

int fe_get_status(struct fe *fe, uint8_t *status)
{
	uint64_t value;
	int ret = get_u64(fe, VU_GET_STATUS, &value);

	if (ret)
		return ret;
	if (value > UINT8_MAX)
		return -EPROTO;
	*status = (uint8_t)value;
	return 0;
}

int fe_set_status(struct fe *fe, uint8_t status)
{
	return set_u64(fe, VU_SET_STATUS, status);
}

int fe_send_rarp(struct fe *fe, const uint8_t mac[6])
{
	uint64_t value = 0;

	memcpy(&value, mac, 6); /* the first six bytes, in their order */
	return set_u64(fe, VU_SEND_RARP, value);
}

int fe_set_mtu(struct fe *fe, uint64_t mtu)
{
	return set_u64(fe, VU_NET_SET_MTU, mtu);
}

int fe_get_queue_num(struct fe *fe, uint64_t *rings)
{
	return get_u64(fe, VU_GET_QUEUE_NUM, rings);
}

int fe_get_max_mem_slots(struct fe *fe, uint64_t *slots)
{
	return get_u64(fe, VU_GET_MAX_MEM_SLOTS, slots);
}

int fe_set_mem_table(struct fe *fe, const struct fe_memory *mem)
{
	struct vu_msg msg;
	int ret = fe_msg_mem_table(&msg, mem);

	return ret ? ret : fe_request(fe, &msg);
}

static int set_region(struct fe *fe, uint32_t request, const struct fe_memory *mem, unsigned index)
{
	struct vu_msg msg;

	fe_msg_region(&msg, request, mem, index);
	return fe_request(fe, &msg);
}

int fe_add_region(struct fe *fe, const struct fe_memory *mem, unsigned index)
{
	return set_region(fe, VU_ADD_MEM_REG, mem, index);
}

int fe_remove_region(struct fe *fe, const struct fe_memory *mem, unsigned index)
{
	return set_region(fe, VU_REM_MEM_REG, mem, index);
}

int fe_share_memory(struct fe *fe, const struct fe_memory *mem)
{
	unsigned i;
	int ret;

	if (!fe_has(fe, VU_PF_CONFIGURE_MEM_SLOTS))
		return fe_set_mem_table(fe, mem);
	for (i = 0; i < mem->num_regions; i++) {
		ret = fe_add_region(fe, mem, i);
		if (ret)
			return ret;
	}
	return 0;
}

int fe_set_vring_num(struct fe *fe, unsigned index, uint32_t num)
{
	return set_state(fe, VU_SET_VRING_NUM, index, num);
}

int fe_set_vring_base(struct fe *fe, unsigned index, uint32_t base)
{
	return set_state(fe, VU_SET_VRING_BASE, index, base);
}

int fe_set_vring_addr(struct fe *fe, unsigned index, const struct vu_vring_addr *addr)
{
	struct vu_msg msg;

	fe_msg_vring_addr(&msg, index, addr);
	return fe_request(fe, &msg);
}

int fe_set_vring_kick(struct fe *fe, unsigned index, int fd)
{
	return set_vring_fd(fe, VU_SET_VRING_KICK, index, fd);
}

int fe_set_vring_call(struct fe *fe, unsigned index, int fd)
{
	return set_vring_fd(fe, VU_SET_VRING_CALL, index, fd);
}

int fe_set_vring_err(struct fe *fe, unsigned index, int fd)
{
	return set_vring_fd(fe, VU_SET_VRING_ERR, index, fd);
}

int fe_set_vring_enable(struct fe *fe, unsigned index, bool enable)
{
	return set_state(fe, VU_SET_VRING_ENABLE, index, enable);
}

int fe_vring_kick(struct fe *fe, unsigned index)
{
	return set_state(fe, VU_VRING_KICK, index, 0);
}

int fe_get_vring_base(struct fe *fe, unsigned index, uint32_t *base)
{
	struct vu_msg msg;
	int ret;

	fe_msg_state(&msg, VU_GET_VRING_BASE, index, 0);
	ret = fe_query(fe, &msg, sizeof(msg.payload.state), 0);
	if (!ret)
		ret = fe_check_vring_base(&fe->rx.msg, index);
	if (!ret)
		*base = fe->rx.msg.payload.state.num;
	return ret;
}

int fe_ring_start(struct fe *fe, unsigned index, const struct fe_ring *ring)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(ring, index);
	int ret = fe_set_vring_num(fe, index, ring->size);

	/* The first failure ends it: what comes after would be about a half-made ring. */
	if (!ret)
		ret = fe_set_vring_base(fe, index, fe_ring_base(ring));
	if (!ret)
		ret = fe_set_vring_addr(fe, index, &addr);
	if (!ret)
		ret = fe_set_vring_err(fe, index, ring->err_fd);
	if (!ret)
		ret = fe_set_vring_call(fe, index, ring->call_fd);
	if (!ret)
		ret = fe_set_vring_kick(fe, index, ring->kick_fd);
	if (!ret && (fe->features & VU_BIT(VU_F_PROTOCOL_FEATURES)))
		ret = fe_set_vring_enable(fe, index, true);
	return ret;
}

int fe_ring_stop(struct fe *fe, unsigned index, const struct fe_ring *ring)
{
	uint32_t base, expected;
	int ret = 0;

	if (fe->features & VU_BIT(VU_F_PROTOCOL_FEATURES))
		ret = fe_set_vring_enable(fe, index, false);
	if (!ret)
		ret = fe_get_vring_base(fe, index, &base);
	if (ret)
		return ret;
	expected = fe_ring_base(ring);
	/* Some back-ends know only the lower half of a packed ring's base. */
	if (base == expected || (ring->packed && base == (uint16_t)expected))
		return 0;
	return -EPROTO;
}

int fe_get_config(struct fe *fe, uint32_t offset, uint32_t size, void *data)
{
	struct vu_msg msg;
	int ret = fe_msg_config(&msg, offset, size, 0, NULL);

	if (!ret)
		ret = fe_query(fe, &msg, msg.hdr.size, 0);
	if (!ret)
		ret = fe_check_config(&fe->rx.msg, offset, size);
	if (!ret)
		memcpy(data, fe->rx.msg.payload.config.data, size);
	return ret;
}

int fe_set_config(struct fe *fe, uint32_t offset, uint32_t size, uint32_t flags, const void *data)
{
	struct vu_msg msg;
	int ret = fe_msg_config(&msg, offset, size, flags, data);

	return ret ? ret : fe_request(fe, &msg);
}
