/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_frontends.c - the order of messages, the sizes and the flags that each front-end
 * we know really uses; every one of them gets a ring that works.
 */
#include <string.h>
#include <sys/eventfd.h>

#include "tests/protocol/rig.h"

#define RING_FEATURES                                                  \
	(VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VU_F_PROTOCOL_FEATURES) | \
	 VU_BIT(VIRTIO_RING_F_EVENT_IDX) | VU_BIT(VIRTIO_RING_F_INDIRECT_DESC))

/* tell - a message without NEED_REPLY. */
static void tell(struct vu_msg msg)
{
	ck_assert_int_eq(fe_send(&rig.fe, &msg), 0);
}

static void tell_u64(uint32_t number, uint64_t value)
{
	struct vu_msg msg = request(number, sizeof(value));

	msg.payload.u64 = value;
	tell(msg);
}

static void tell_state(uint32_t number, uint32_t index, uint32_t num)
{
	struct vu_msg msg = request(number, sizeof(msg.payload.state));

	msg.payload.state.index = index;
	msg.payload.state.num = num;
	tell(msg);
}

static void tell_fd(uint32_t number, uint32_t index, int fd)
{
	struct vu_msg msg = request(number, sizeof(uint64_t));

	msg.payload.u64 = fd >= 0 ? index : index | VU_VRING_NO_FD;
	msg.fds[0] = fd;
	msg.num_fds = fd >= 0;
	tell(msg);
}

static void tell_addr(uint32_t index)
{
	struct vu_msg msg = request(VU_SET_VRING_ADDR, sizeof(msg.payload.addr));

	msg.payload.addr = fe_ring_wire_addr(&rig.ring[index], index);
	tell(msg);
}

static struct vu_msg mem_table(void)
{
	struct vu_msg msg = request(VU_SET_MEM_TABLE, 8 + sizeof(struct vu_region));

	msg.payload.mem.num_regions = 1;
	msg.payload.mem.regions[0] = fe_memory_describe(&rig.mem, 0);
	msg.fds[0] = rig.mem.regions[0].fd;
	msg.num_fds = 1;
	return msg;
}

static uint64_t ask_u64(uint32_t number)
{
	struct vu_msg msg = request(number, 0);

	ck_assert_int_eq(fe_query(&rig.fe, &msg, sizeof(uint64_t), 0), 0);
	return rig.fe.rx.msg.payload.u64;
}

static uint32_t ask_base(uint32_t index)
{
	struct vu_msg msg = request(VU_GET_VRING_BASE, sizeof(msg.payload.state));

	msg.payload.state.index = index;
	ck_assert_int_eq(fe_query(&rig.fe, &msg, sizeof(msg.payload.state), 0), 0);
	ck_assert_uint_eq(rig.fe.rx.msg.payload.state.index, index);
	return rig.fe.rx.msg.payload.state.num;
}

static void ask_config(uint32_t size)
{
	struct vu_msg msg = request(VU_GET_CONFIG, VU_CONFIG_HEADER_BYTES + size);

	msg.payload.config.size = size;
	ck_assert_int_eq(fe_query(&rig.fe, &msg, VU_CONFIG_HEADER_BYTES + size, 0), 0);
	ck_assert_uint_eq(rig.fe.rx.msg.payload.config.size, size);
	ck_assert_uint_eq(rig.fe.rx.msg.payload.config.data[0], 1);
}

/* QEMU: everything in one order, call fds early and again, a reboot, a masked vector. */
static void qemu_starts_rings(unsigned n)
{
	struct vu_msg msg = mem_table();

	tell_u64(VU_SET_FEATURES, RING_FEATURES);
	msg.hdr.flags |= VU_FLAG_NEED_REPLY;
	ck_assert_int_eq(fe_query(&rig.fe, &msg, sizeof(uint64_t), 0), 0);
	ck_assert_uint_eq(rig.fe.rx.msg.payload.u64, 0);
	for (unsigned i = 0; i < n; i++) {
		tell_state(VU_SET_VRING_NUM, i, RIG_RING_SIZE);
		tell_state(VU_SET_VRING_BASE, i, fe_ring_base(&rig.ring[i]));
		tell_addr(i);
		tell_fd(VU_SET_VRING_KICK, i, rig.ring[i].kick_fd);
		tell_fd(VU_SET_VRING_CALL, i, rig.ring[i].call_fd);
	}
	for (unsigned i = 0; i < n; i++)
		tell_state(VU_SET_VRING_ENABLE, i, 1);
}

START_TEST(qemu)
{
	int masked = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t protocol;

	rig_connect();
	ask_u64(VU_GET_FEATURES);
	protocol = ask_u64(VU_GET_PROTOCOL_FEATURES);
	tell_u64(VU_SET_PROTOCOL_FEATURES, protocol);
	ck_assert_uint_eq(ask_u64(VU_GET_QUEUE_NUM), 2);
	ck_assert_uint_eq(ask_u64(VU_GET_MAX_MEM_SLOTS), VU_MAX_MEM_SLOTS);
	tell(request(VU_SET_OWNER, 0));
	ask_u64(VU_GET_FEATURES);
	for (unsigned i = 0; i < 2; i++) {
		tell_fd(VU_SET_VRING_CALL, i, masked);
		tell_fd(VU_SET_VRING_ERR, i, rig.ring[i].err_fd);
	}
	ask_config(60);

	qemu_starts_rings(2);
	rig_echo(0);
	rig_echo(1);
	/* The guest masks a vector, and unmasks it. */
	tell_fd(VU_SET_VRING_CALL, 0, masked);
	tell_fd(VU_SET_VRING_CALL, 0, rig.ring[0].call_fd);
	rig_echo(0);

	/* The guest reboots. */
	for (unsigned i = 0; i < 2; i++)
		tell_state(VU_SET_VRING_ENABLE, i, 0);
	ck_assert_uint_eq(ask_base(0), 2);
	ck_assert_uint_eq(ask_base(1), 1);
	fe_ring_reset(&rig.ring[0]);
	fe_ring_reset(&rig.ring[1]);
	qemu_starts_rings(2);
	rig_echo(0);
	rig_echo(1);
	close_fd(&masked);
}
END_TEST

/* QEMU's net devices enable before SET_FEATURES. */
START_TEST(qemu_enables_before_set_features)
{
	rig_connect();
	ask_u64(VU_GET_FEATURES);
	tell_u64(VU_SET_PROTOCOL_FEATURES, ask_u64(VU_GET_PROTOCOL_FEATURES));
	tell_state(VU_SET_VRING_ENABLE, 0, 1);
	qemu_starts_rings(1);
	rig_echo(0);
}
END_TEST

/* DPDK virtio_user: call fds first, then memory; stops by disabling, takes the base. */
START_TEST(dpdk)
{
	rig_connect();
	tell(request(VU_SET_OWNER, 0));
	ask_u64(VU_GET_FEATURES);
	tell_u64(VU_SET_PROTOCOL_FEATURES,
		 ask_u64(VU_GET_PROTOCOL_FEATURES) & (VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_REPLY_ACK)));
	ask_u64(VU_GET_QUEUE_NUM);
	for (int round = 0; round < 2; round++) {
		struct vu_msg msg = mem_table();

		for (unsigned i = 0; i < 2; i++)
			tell_fd(VU_SET_VRING_CALL, i, rig.ring[i].call_fd);
		tell_u64(VU_SET_FEATURES, RING_FEATURES);
		msg.hdr.flags |= VU_FLAG_NEED_REPLY;
		ck_assert_int_eq(fe_query(&rig.fe, &msg, sizeof(uint64_t), 0), 0);
		for (unsigned i = 0; i < 2; i++) {
			fe_ring_reset(&rig.ring[i]);
			tell_state(VU_SET_VRING_NUM, i, RIG_RING_SIZE);
			tell_state(VU_SET_VRING_BASE, i, 0);
			tell_addr(i);
			tell_fd(VU_SET_VRING_KICK, i, rig.ring[i].kick_fd);
		}
		tell_state(VU_SET_VRING_ENABLE, 0, 1);
		tell_state(VU_SET_VRING_ENABLE, 1, 1);
		rig_echo(0);
		rig_echo(1);
		tell_state(VU_SET_VRING_ENABLE, 0, 0);
		tell_state(VU_SET_VRING_ENABLE, 1, 0);
		ck_assert_uint_eq(ask_base(0), 1);
		ck_assert_uint_eq(ask_base(1), 1);
	}
}
END_TEST

/* SPDK: enables first and with the queue size, asks for 256 bytes of config, sends the memory
 * table for every ring again. Its one region has its own address as GPA. */
START_TEST(spdk)
{
	uint64_t gpa = (uintptr_t)rig.mem.regions[0].host;

	rig.mem.regions[0].gpa = gpa;
	for (unsigned i = 0; i < 2; i++) {
		rig.out[i].gpa = (uintptr_t)rig.out[i].host;
		rig.in[i].gpa = (uintptr_t)rig.in[i].host;
	}

	rig_connect();
	tell(request(VU_SET_OWNER, 0));
	ask_u64(VU_GET_FEATURES);
	tell_u64(VU_SET_PROTOCOL_FEATURES,
		 ask_u64(VU_GET_PROTOCOL_FEATURES) & (VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_CONFIG)));
	ask_config(VU_MAX_CONFIG);
	ask_u64(VU_GET_QUEUE_NUM);
	tell_u64(VU_SET_FEATURES, RING_FEATURES);
	ask_config(VU_MAX_CONFIG);
	tell_state(VU_SET_VRING_ENABLE, 0, RIG_RING_SIZE);
	tell_state(VU_SET_VRING_ENABLE, 1, RIG_RING_SIZE);
	tell(mem_table());
	for (unsigned i = 0; i < 2; i++) {
		tell_fd(VU_SET_VRING_CALL, i, -1);
		tell(mem_table());
		tell_state(VU_SET_VRING_NUM, i, RIG_RING_SIZE);
		tell_state(VU_SET_VRING_BASE, i, 0);
		tell_addr(i);
		tell_fd(VU_SET_VRING_KICK, i, rig.ring[i].kick_fd);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct fe_used used = {0};

		rig_submit(i);
		wait_for(fe_ring_poll(&rig.ring[i], &used, 1) == 1);
		ck_assert_mem_eq(rig.in[i].host, rig.out[i].host, 100);
	}
	ck_assert_uint_eq(ask_base(0), 1);
	ck_assert_uint_eq(ask_base(1), 1);
}
END_TEST

/* cloud-hypervisor: ADDR before BASE, no call fd for a ring, the channel after ENABLE, memory by
 * REPLY_ACK; resets by GET_VRING_BASE without disabling. */
START_TEST(cloud_hypervisor)
{
	uint8_t byte;

	rig_connect();
	tell(request(VU_SET_OWNER, 0));
	ask_u64(VU_GET_FEATURES);
	tell_u64(VU_SET_FEATURES, RING_FEATURES);
	rig.fe.protocol = ask_u64(VU_GET_PROTOCOL_FEATURES);
	tell_u64(VU_SET_PROTOCOL_FEATURES, rig.fe.protocol);
	ask_u64(VU_GET_QUEUE_NUM);
	ask_config(60);
	for (int round = 0; round < 2; round++) {
		struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);
		uint32_t base;

		fe_ring_reset(&rig.ring[0]);
		ck_assert_int_eq(fe_set_features(&rig.fe, RING_FEATURES), 0);
		ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
		ck_assert_int_eq(fe_set_vring_num(&rig.fe, 0, RIG_RING_SIZE), 0);
		ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
		ck_assert_int_eq(fe_set_vring_base(&rig.fe, 0, 0), 0);
		ck_assert_int_eq(fe_set_vring_call(&rig.fe, 0, rig.ring[0].call_fd), 0);
		ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, rig.ring[0].kick_fd), 0);
		ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, true), 0);
		ck_assert_int_eq(fe_open_channel(&rig.fe, NULL, NULL), 0);
		rig_echo(0);
		ck_assert_int_eq(fe_get_config(&rig.fe, 0, 1, &byte), 0);
		ck_assert_int_eq(fe_get_vring_base(&rig.fe, 0, &base), 0);
		ck_assert_uint_eq(base, 1);
		fe_channel_close(&rig.fe);
	}
}
END_TEST

static void two_rings(void)
{
	rig_setup(&(struct echo_options){.num_queues = 2});
}

int main(void)
{
	Suite *suite = suite_create("session_frontends");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, two_rings, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, qemu);
	tcase_add_test(tc, qemu_enables_before_set_features);
	tcase_add_test(tc, dpdk);
	tcase_add_test(tc, spdk);
	tcase_add_test(tc, cloud_hypervisor);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
