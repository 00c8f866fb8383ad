/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_reset.c - RESET_DEVICE: rings as before they were set up, the device as after
 * start-up; memory, channel and what was negotiated stay.
 */
#include "tests/protocol/rig.h"

#define RUNNING (echo_count(rig.echo, starts) - echo_count(rig.echo, stops))

static void two_rings(void)
{
	rig_setup(&(struct echo_options){.num_queues = 2});
}

static void start_again(unsigned num_rings)
{
	for (unsigned i = 0; i < num_rings; i++) {
		fe_ring_reset(&rig.ring[i]);
		ck_assert_int_eq(fe_ring_start(&rig.fe, i, &rig.ring[i]), 0);
		rig_echo(i);
	}
}

START_TEST(stops_every_ring_and_resets_the_device)
{
	uint32_t base;

	rig_ready(2);
	rig_echo(0);
	rig_echo(1);
	ck_assert_uint_eq(RUNNING, 2);
	ck_assert_int_eq(fe_reset_device(&rig.fe), 0);
	ck_assert_uint_eq(RUNNING, 0);
	ck_assert_uint_eq(echo_count(rig.echo, resets), 1);
	rig_submit(0);
	rig_silence(0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(fe_get_vring_base(&rig.fe, i, &base), 0);
		ck_assert_uint_eq(base, 0);
	}
	ck_assert_uint_eq(echo_count(rig.echo, disconnects), 0);
}
END_TEST

/* No features, memory or channel are sent again. */
START_TEST(what_was_negotiated_stays)
{
	uint64_t features;

	rig_ready(2);
	rig_echo(0);
	features = echo_count(rig.echo, features);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(fe_reset_device(&rig.fe), 0);
		start_again(2);
	}
	ck_assert_uint_eq(echo_count(rig.echo, resets), 3);
	ck_assert_uint_eq(echo_count(rig.echo, features), features);
	rig_survived();
}
END_TEST

static void change(void *arg)
{
	vu_device_config_changed(arg);
}

START_TEST(the_channel_stays)
{
	rig_ready(1);
	ck_assert_int_eq(fe_open_channel(&rig.fe, NULL, NULL), 0);
	ck_assert_int_eq(fe_reset_device(&rig.fe), 0);
	daemon_call(&rig.daemon, change, &rig.echo->dev);
	ck_assert_int_eq(fe_channel_serve(&rig.fe, 5000), 1);
	ck_assert_uint_eq(rig.fe.config_changes, 1);
}
END_TEST

/* QEMU sends the call fd once, and not again after a reset. */
START_TEST(the_call_fd_stays)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);

	rig_ready(1);
	rig_echo(0);
	ck_assert_int_eq(fe_reset_device(&rig.fe), 0);
	fe_ring_reset(&rig.ring[0]);
	ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
	ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, rig.ring[0].kick_fd), 0);
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, true), 0);
	rig_echo(0); /* sleeps until it is interrupted */
}
END_TEST

START_TEST(address_and_enabled_are_forgotten)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);

	rig_ready(1);
	ck_assert_int_eq(fe_reset_device(&rig.fe), 0);
	fe_ring_reset(&rig.ring[0]);
	ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, rig.ring[0].kick_fd), 0);
	ck_assert_uint_eq(RUNNING, 0);
	ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
	ck_assert_uint_eq(RUNNING, 0);
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, true), 0);
	ck_assert_uint_eq(RUNNING, 1);
	ck_assert_int_eq(fe_reset_device(&rig.fe), 0);
	ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, rig.ring[0].kick_fd), 0);
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, true), 0);
	ck_assert_uint_eq(RUNNING, 0);
	ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
	ck_assert_uint_eq(RUNNING, 1);
}
END_TEST

/* Without bit 30 there is no SET_VRING_ENABLE, and rings begin enabled: after a reset too. */
START_TEST(rings_that_are_never_enabled_by_message_stay_enabled)
{
	rig_negotiate();
	ck_assert_int_eq(fe_set_features(&rig.fe, VU_BIT(VIRTIO_F_VERSION_1) |
							  VU_BIT(VIRTIO_RING_F_EVENT_IDX)),
			 0);
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	start_again(1);
	ck_assert_int_eq(fe_reset_device(&rig.fe), 0);
	start_again(1);
}
END_TEST

START_TEST(waits_for_requests_in_flight)
{
	struct vu_msg msg = request(VU_RESET_DEVICE, 0);
	struct fe_used used = {0};

	rig_ready(1);
	echo_hold(rig.echo, true);
	rig_submit(0);
	usleep(20000);
	msg.hdr.flags |= VU_FLAG_NEED_REPLY;
	ck_assert_int_eq(fe_send(&rig.fe, &msg), 0);
	usleep(50000);
	ck_assert_uint_eq(echo_count(rig.echo, resets), 0);
	echo_hold(rig.echo, false);
	ck_assert_int_eq(fe_await_reply(&rig.fe, VU_RESET_DEVICE, 8, 0), 0);
	ck_assert_uint_eq(rig.fe.rx.msg.payload.u64, 0);
	ck_assert_uint_eq(echo_count(rig.echo, resets), 1);
	ck_assert_int_eq(fe_ring_poll(&rig.ring[0], &used, 1), 1);
}
END_TEST

START_TEST(mends_a_broken_ring)
{
	uint8_t status = 0;

	rig_ready(1);
	rig_break(0);
	wait_for(fe_get_status(&rig.fe, &status) == 0 && status & VIRTIO_CONFIG_S_NEEDS_RESET);
	ck_assert_int_eq(fe_set_status(&rig.fe, VIRTIO_CONFIG_S_FAILED), 0);
	ck_assert_int_eq(fe_reset_device(&rig.fe), 0);
	ck_assert_int_eq(fe_get_status(&rig.fe, &status), 0);
	ck_assert_uint_eq(status, 0);
	start_again(1);
	rig_survived();
}
END_TEST

START_TEST(a_device_without_anything_to_reset_is_reset_too)
{
	rig_teardown();
	rig_setup(&(struct echo_options){.plain = true, .num_queues = 2});
	rig_ready(2);
	ck_assert_int_eq(fe_reset_device(&rig.fe), 0);
	ck_assert_uint_eq(RUNNING, 0);
	start_again(2);
}
END_TEST

START_TEST(before_anything_was_set_up)
{
	rig_connect();
	ck_assert_int_eq(fe_reset_device(&rig.fe), 0);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
	rig_survived();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_reset");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, two_rings, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, stops_every_ring_and_resets_the_device);
	tcase_add_test(tc, what_was_negotiated_stays);
	tcase_add_test(tc, the_channel_stays);
	tcase_add_test(tc, the_call_fd_stays);
	tcase_add_test(tc, address_and_enabled_are_forgotten);
	tcase_add_test(tc, rings_that_are_never_enabled_by_message_stay_enabled);
	tcase_add_test(tc, waits_for_requests_in_flight);
	tcase_add_test(tc, mends_a_broken_ring);
	tcase_add_test(tc, a_device_without_anything_to_reset_is_reset_too);
	tcase_add_test(tc, before_anything_was_set_up);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
