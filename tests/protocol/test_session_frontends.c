/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_frontends.c - the order of messages, the sizes and the flags that each virtual
 * machine we know really uses; every one of them gets a ring that works.
 */
#include <sys/eventfd.h>

#include "tests/protocol/tell.h"

/* QEMU: everything in one order, call fds early and again, a reboot, a masked vector. */
static void qemu_starts_rings(unsigned n)
{
	tell_u64(VU_SET_FEATURES, RING_FEATURES);
	tell_acked(mem_table());
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

/* ch_negotiates - every message is answered from here on. */
static void ch_negotiates(void)
{
	uint64_t protocol;

	rig_connect();
	tell(request(VU_SET_OWNER, 0));
	ask_u64(VU_GET_FEATURES);
	protocol = ask_u64(VU_GET_PROTOCOL_FEATURES);
	tell_u64(VU_SET_PROTOCOL_FEATURES, protocol);
	rig.fe.protocol = protocol;
}

/* ch_starts_rings - all sizes, the region, then ADDR before BASE, which is the available index; no
 * call fd for ring 1; the channel at last. */
static void ch_starts_rings(struct fe_inflight *region)
{
	ck_assert_int_eq(fe_set_features(&rig.fe, RING_FEATURES), 0);
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(fe_set_vring_num(&rig.fe, i, RIG_RING_SIZE), 0);
	if (region->fd < 0)
		ck_assert_int_eq(fe_get_inflight(&rig.fe, 2, RIG_RING_SIZE, region), 0);
	ck_assert_int_eq(fe_set_inflight(&rig.fe, region), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct fe_ring *ring = &rig.ring[i];
		struct vu_vring_addr addr = fe_ring_wire_addr(ring, i);

		ck_assert_int_eq(fe_set_vring_addr(&rig.fe, i, &addr), 0);
		ck_assert_int_eq(fe_set_vring_base(&rig.fe, i, ring->published), 0);
		if (i == 0)
			ck_assert_int_eq(fe_set_vring_call(&rig.fe, i, ring->call_fd), 0);
		ck_assert_int_eq(fe_set_vring_kick(&rig.fe, i, ring->kick_fd), 0);
	}
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, true), 0);
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 1, true), 0);
	ck_assert_int_eq(fe_open_channel(&rig.fe, NULL, NULL), 0);
}

static void echo_uncalled(unsigned ring)
{
	struct fe_used used = {0};

	rig_submit(ring);
	wait_for(fe_ring_poll(&rig.ring[ring], &used, 1) == 1);
}

/* cloud-hypervisor: a guest that pauses and goes on, a device that resets, both by enabling and
 * disabling; a connection that is lost, and the next that begins with the region of the last. */
START_TEST(cloud_hypervisor)
{
	struct fe_inflight region = {.fd = -1};
	uint8_t byte;

	ch_negotiates();
	ask_u64(VU_GET_QUEUE_NUM);
	ask_config(60);
	ch_starts_rings(&region);
	for (int connection = 0; connection < 3; connection++) {
		rig_echo(0);
		echo_uncalled(1);
		ck_assert_int_eq(fe_get_config(&rig.fe, 0, 1, &byte), 0);
		for (unsigned enable = 0; enable < 2; enable++)
			for (unsigned i = 0; i < 2; i++)
				ck_assert_int_eq(fe_set_vring_enable(&rig.fe, i, enable), 0);
		rig_echo(0);
		echo_uncalled(1);
		rig_hangup();
		ch_negotiates();
		ch_starts_rings(&region);
	}
	/* The guest resets the device; newer versions ask for the bases. */
	for (unsigned i = 0; i < 2; i++) {
		uint32_t base;

		ck_assert_int_eq(fe_set_vring_enable(&rig.fe, i, false), 0);
		ck_assert_int_eq(fe_get_vring_base(&rig.fe, i, &base), 0);
		ck_assert_uint_eq(base, 6);
		fe_ring_reset(&rig.ring[i]);
	}
	fe_channel_close(&rig.fe);
	fe_inflight_free(&region);
	ch_starts_rings(&region);
	rig_echo(0);
	echo_uncalled(1);
	fe_inflight_free(&region);
}
END_TEST

/* crosvm: the channel before the features, the features once for each half the driver writes, no
 * answers asked for, ADDR before BASE; sleeps and wakes by stopping all rings. */
START_TEST(crosvm)
{
	uint8_t byte;

	rig_connect();
	tell(request(VU_SET_OWNER, 0));
	ask_u64(VU_GET_FEATURES);
	tell_u64(VU_SET_PROTOCOL_FEATURES,
		 ask_u64(VU_GET_PROTOCOL_FEATURES) &
			 (VU_BIT(VU_PF_CONFIG) | VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_BACKEND_REQ) |
			  VU_BIT(VU_PF_DEVICE_STATE) | VU_BIT(VU_PF_REPLY_ACK)));
	rig.fe.protocol = VU_BIT(VU_PF_BACKEND_REQ) | VU_BIT(VU_PF_CONFIG);
	ck_assert_int_eq(fe_open_channel(&rig.fe, NULL, NULL), 0);
	ck_assert_uint_eq(ask_u64(VU_GET_QUEUE_NUM), 2);
	ck_assert_int_eq(fe_get_config(&rig.fe, 59, 1, &byte), 0);
	tell_u64(VU_SET_FEATURES, RING_FEATURES & UINT32_MAX);
	tell_u64(VU_SET_FEATURES, RING_FEATURES);
	for (int round = 0; round < 3; round++) {
		tell(mem_table());
		for (unsigned i = 0; i < 2; i++) {
			tell_state(VU_SET_VRING_NUM, i, RIG_RING_SIZE);
			tell_addr(i);
			tell_state(VU_SET_VRING_BASE, i, fe_ring_base(&rig.ring[i]));
			tell_fd(VU_SET_VRING_CALL, i, rig.ring[i].call_fd);
			tell_fd(VU_SET_VRING_KICK, i, rig.ring[i].kick_fd);
			tell_state(VU_SET_VRING_ENABLE, i, 1);
		}
		rig_echo(0);
		rig_echo(1);
		for (unsigned i = 0; i < 2; i++) {
			tell_state(VU_SET_VRING_ENABLE, i, 0);
			ck_assert_uint_eq(ask_base(i), fe_ring_base(&rig.ring[i]));
		}
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
	tcase_add_test(tc, cloud_hypervisor);
	tcase_add_test(tc, crosvm);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
