/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_user_frontends.c - drivers in a process without a virtual machine, DPDK's
 * virtio_user and SPDK's initiator: the order of their messages, what they leave out, the addresses
 * and bases they use; every one of them gets a ring that works.
 */
#include <linux/virtio_config.h>

#include "tests/protocol/tell.h"

#define PACKED_START 0x8000u /* position 0 with the wrap counter set, of one half only */
#define STATUS_READY \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

static void split_rings(void)
{
	rig_setup(&(struct echo_options){.num_queues = 2});
}

static void packed_rings(void)
{
	rig_setup(&(struct echo_options){.num_queues = 2, .packed = true});
}

static uint64_t ring_features(void)
{
	return RING_FEATURES | (rig.ring[0].packed ? VU_BIT(VIRTIO_F_RING_PACKED) : 0);
}

static uint32_t first_base(void)
{
	return rig.ring[0].packed ? PACKED_START : 0;
}

/* start_ring - in the order both of them have, which ends with the kick. */
static void start_ring(unsigned i)
{
	tell_state(VU_SET_VRING_NUM, i, RIG_RING_SIZE);
	tell_state(VU_SET_VRING_BASE, i, first_base());
	tell_addr(i);
	tell_fd(VU_SET_VRING_KICK, i, rig.ring[i].kick_fd);
}

/* stop_rings - the base that comes back says that @chains were served. Neither of them uses it. */
static void stop_rings(uint32_t chains)
{
	for (unsigned i = 0; i < 2; i++) {
		uint32_t base = ask_base(i);

		ck_assert_uint_eq(base, fe_ring_base(&rig.ring[i]));
		if (!rig.ring[i].packed)
			ck_assert_uint_eq(base, chains);
	}
}

static void tell_status(uint64_t protocol, uint8_t status)
{
	struct vu_msg msg = request(VU_SET_STATUS, sizeof(uint64_t));

	if (!(protocol & VU_BIT(VU_PF_STATUS)))
		return;
	msg.payload.u64 = status;
	tell_acked(msg);
	if (status)
		ck_assert_uint_eq(ask_u64(VU_GET_STATUS), status);
}

static void enable_both(uint32_t enable)
{
	tell_state(VU_SET_VRING_ENABLE, 0, enable);
	tell_state(VU_SET_VRING_ENABLE, 1, enable);
}

/* virtio_user: call fds before the features, the memory table with an answer, enabled last. When
 * memory comes or goes the rings are disabled and not stopped. Stops by disabling, and takes the
 * base. */
START_TEST(dpdk)
{
	uint64_t protocol;

	rig_connect();
	tell(request(VU_SET_OWNER, 0));
	ask_u64(VU_GET_FEATURES);
	protocol = ask_u64(VU_GET_PROTOCOL_FEATURES) &
		   (VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_REPLY_ACK) | VU_BIT(VU_PF_STATUS));
	tell_u64(VU_SET_PROTOCOL_FEATURES, protocol);
	ck_assert_uint_eq(ask_u64(VU_GET_QUEUE_NUM), 2);
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 2; i++) {
			fe_ring_reset(&rig.ring[i]);
			tell_fd(VU_SET_VRING_CALL, i, rig.ring[i].call_fd);
		}
		tell_u64(VU_SET_FEATURES, ring_features());
		tell_status(protocol, STATUS_READY);
		tell_acked(mem_table());
		start_ring(0);
		start_ring(1);
		enable_both(1);
		tell_status(protocol, STATUS_READY | VIRTIO_CONFIG_S_DRIVER_OK);
		rig_echo(0);
		rig_echo(1);

		enable_both(0);
		tell_acked(mem_table());
		enable_both(1);
		rig_echo(0);
		rig_echo(1);

		enable_both(0);
		stop_rings(2);
	}
}
END_TEST

/* Versions before 19.05 reset the owner instead of stopping, and own the device again. */
START_TEST(old_dpdk)
{
	rig_connect();
	tell(request(VU_SET_OWNER, 0));
	ask_u64(VU_GET_FEATURES);
	for (int round = 0; round < 2; round++) {
		tell(request(VU_SET_OWNER, 0));
		for (unsigned i = 0; i < 2; i++)
			tell_fd(VU_SET_VRING_CALL, i, rig.ring[i].call_fd);
		tell_u64(VU_SET_FEATURES, ring_features());
		tell(mem_table());
		start_ring(0);
		start_ring(1);
		enable_both(1);
		rig_echo(0);
		rig_echo(1);
		enable_both(0);
		tell(request(VU_RESET_OWNER, 0));
		/* It never asks for the base; we do, to know that the rings may be reset. */
		stop_rings(1);
		fe_ring_reset(&rig.ring[0]);
		fe_ring_reset(&rig.ring[1]);
	}
}
END_TEST

/* spdk_memory - the table, and any question for an answer, since SPDK has no REPLY_ACK. */
static void spdk_memory(void)
{
	tell(mem_table());
	ask_u64(VU_GET_FEATURES);
}

/* use_own_addresses - the region's GPA is where this process has mapped it. */
static void use_own_addresses(void)
{
	struct fe_region *region = &rig.mem.regions[0];

	region->gpa = (uintptr_t)region->host;
	for (unsigned i = 0; i < 2; i++) {
		rig.out[i].gpa = (uintptr_t)rig.out[i].host;
		rig.in[i].gpa = (uintptr_t)rig.in[i].host;
	}
}

/* spdk_echo - it polls, and wants no calls. */
static void spdk_echo(unsigned i)
{
	struct fe_used used = {0};

	rig_submit(i);
	wait_for(fe_ring_poll(&rig.ring[i], &used, 1) == 1);
	ck_assert_mem_eq(rig.in[i].host, rig.out[i].host, 100);
}

/* SPDK: features before protocol features, 256 bytes of config, rings enabled (some versions: with
 * the queue size as value) before there is memory, the table once for each of its regions and
 * again when all rings are stopped. */
static void spdk_session(uint32_t enable)
{
	use_own_addresses();
	rig_connect();
	tell(request(VU_SET_OWNER, 0));
	ask_u64(VU_GET_FEATURES);
	tell_u64(VU_SET_FEATURES, ring_features());
	tell_u64(VU_SET_PROTOCOL_FEATURES,
		 ask_u64(VU_GET_PROTOCOL_FEATURES) & (VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_CONFIG)));
	ask_config(VU_MAX_CONFIG);
	ask_config(VU_MAX_CONFIG);
	for (int round = 0; round < 2; round++) {
		fe_ring_reset(&rig.ring[0]);
		fe_ring_reset(&rig.ring[1]);
		enable_both(enable);
		ck_assert_uint_eq(ask_u64(VU_GET_QUEUE_NUM), 2);
		tell_fd(VU_SET_VRING_CALL, 0, rig.ring[0].call_fd);
		tell_fd(VU_SET_VRING_CALL, 1, -1);
		spdk_memory();
		spdk_memory();
		start_ring(0);
		start_ring(1);
		spdk_echo(0);
		spdk_echo(1);
		stop_rings(1);
		spdk_memory();
	}
}

START_TEST(spdk)
{
	spdk_session(1);
}
END_TEST

START_TEST(spdk_enables_with_the_queue_size)
{
	spdk_session(RIG_RING_SIZE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_user_frontends");
	TCase *split = tcase_create("split"), *packed = tcase_create("packed");

	tcase_add_checked_fixture(split, split_rings, rig_teardown);
	tcase_add_checked_fixture(packed, packed_rings, rig_teardown);
	tcase_set_timeout(split, 60);
	tcase_set_timeout(packed, 60);
	tcase_add_test(split, dpdk);
	tcase_add_test(split, old_dpdk);
	tcase_add_test(split, spdk);
	tcase_add_test(split, spdk_enables_with_the_queue_size);
	tcase_add_test(packed, dpdk);
	tcase_add_test(packed, spdk);
	suite_add_tcase(suite, split);
	suite_add_tcase(suite, packed);
	return run_suite(suite);
}
