/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tell.c - messages as a front-end words them, sent one by one.
 * Tests only.
 */
#include "tests/protocol/tell.h"

void tell(struct vu_msg msg)
{
	ck_assert_int_eq(fe_send(&rig.fe, &msg), 0);
}

void tell_u64(uint32_t number, uint64_t value)
{
	struct vu_msg msg = request(number, sizeof(value));

	msg.payload.u64 = value;
	tell(msg);
}

void tell_state(uint32_t number, uint32_t index, uint32_t num)
{
	struct vu_msg msg = request(number, sizeof(msg.payload.state));

	msg.payload.state.index = index;
	msg.payload.state.num = num;
	tell(msg);
}

void tell_fd(uint32_t number, uint32_t index, int fd)
{
	struct vu_msg msg = request(number, sizeof(uint64_t));

	msg.payload.u64 = fd >= 0 ? index : index | VU_VRING_NO_FD;
	msg.fds[0] = fd;
	msg.num_fds = fd >= 0;
	tell(msg);
}

void tell_addr(uint32_t index)
{
	struct vu_msg msg = request(VU_SET_VRING_ADDR, sizeof(msg.payload.addr));

	msg.payload.addr = fe_ring_wire_addr(&rig.ring[index], index);
	tell(msg);
}

struct vu_msg mem_table(void)
{
	struct vu_msg msg = request(VU_SET_MEM_TABLE, 8 + sizeof(struct vu_region));

	msg.payload.mem.num_regions = 1;
	msg.payload.mem.regions[0] = fe_memory_describe(&rig.mem, 0);
	msg.fds[0] = rig.mem.regions[0].fd;
	msg.num_fds = 1;
	return msg;
}

void tell_acked(struct vu_msg msg)
{
	msg.hdr.flags |= VU_FLAG_NEED_REPLY;
	ck_assert_int_eq(fe_query(&rig.fe, &msg, sizeof(uint64_t), 0), 0);
	ck_assert_uint_eq(rig.fe.rx.msg.payload.u64, 0);
}

uint64_t ask_u64(uint32_t number)
{
	struct vu_msg msg = request(number, 0);

	ck_assert_int_eq(fe_query(&rig.fe, &msg, sizeof(uint64_t), 0), 0);
	return rig.fe.rx.msg.payload.u64;
}

uint32_t ask_base(uint32_t index)
{
	struct vu_msg msg = request(VU_GET_VRING_BASE, sizeof(msg.payload.state));

	msg.payload.state.index = index;
	ck_assert_int_eq(fe_query(&rig.fe, &msg, sizeof(msg.payload.state), 0), 0);
	ck_assert_uint_eq(rig.fe.rx.msg.payload.state.index, index);
	return rig.fe.rx.msg.payload.state.num;
}

void ask_config(uint32_t size)
{
	struct vu_msg msg = request(VU_GET_CONFIG, VU_CONFIG_HEADER_BYTES + size);

	msg.payload.config.size = size;
	ck_assert_int_eq(fe_query(&rig.fe, &msg, VU_CONFIG_HEADER_BYTES + size, 0), 0);
	ck_assert_uint_eq(rig.fe.rx.msg.payload.config.size, size);
	ck_assert_uint_eq(rig.fe.rx.msg.payload.config.data[0], 1);
}
