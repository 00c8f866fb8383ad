/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_ring_states.c - started and enabled are independent, messages come in any order,
 * and a ring runs exactly while it is both and whole.
 */
#include <string.h>
#include <sys/eventfd.h>

#include "tests/protocol/rig.h"

#define RUNNING (echo_count(rig.echo, starts) - echo_count(rig.echo, stops))

static void with_memory(void)
{
	rig_negotiate();
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
}

static void set_up(unsigned ring)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[ring], ring);

	ck_assert_int_eq(fe_set_vring_num(&rig.fe, ring, RIG_RING_SIZE), 0);
	ck_assert_int_eq(fe_set_vring_base(&rig.fe, ring, fe_ring_base(&rig.ring[ring])), 0);
	ck_assert_int_eq(fe_set_vring_addr(&rig.fe, ring, &addr), 0);
	ck_assert_int_eq(fe_set_vring_call(&rig.fe, ring, rig.ring[ring].call_fd), 0);
}

static void kick(unsigned ring)
{
	ck_assert_int_eq(fe_set_vring_kick(&rig.fe, ring, rig.ring[ring].kick_fd), 0);
}

static void enable(unsigned ring, bool on)
{
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, ring, on), 0);
}

START_TEST(started_but_not_enabled_does_not_run)
{
	with_memory();
	set_up(0);
	kick(0);
	rig_submit(0);
	rig_silence(0);
	ck_assert_uint_eq(RUNNING, 0);
	enable(0, true); /* what was kicked before is not lost */
	rig_answer(0);
	ck_assert_uint_eq(RUNNING, 1);
}
END_TEST

START_TEST(enabled_but_not_started_does_not_run)
{
	with_memory();
	enable(0, true);
	set_up(0);
	rig_submit(0);
	rig_silence(0);
	ck_assert_uint_eq(RUNNING, 0);
	kick(0);
	rig_answer(0);
}
END_TEST

/* Each message that a ring needs may be the last. */
START_TEST(starts_with_the_last_thing_it_needs)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);

	rig_connect();
	ck_assert_int_eq(fe_set_protocol_features(&rig.fe, VU_BIT(VU_PF_REPLY_ACK)), 0);
	for (int i = 0; i < 6; i++) {
		int step = (i + _i + 1) % 6;

		ck_assert_uint_eq(RUNNING, 0);
		if (step == 0)
			ck_assert_int_eq(fe_set_features(&rig.fe,
							 VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(30) |
								 VU_BIT(VIRTIO_RING_F_EVENT_IDX)),
					 0);
		if (step == 1)
			ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
		if (step == 2)
			ck_assert_int_eq(fe_set_vring_num(&rig.fe, 0, RIG_RING_SIZE), 0);
		if (step == 3)
			ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
		if (step == 4)
			kick(0);
		if (step == 5)
			enable(0, true);
	}
	ck_assert_uint_eq(RUNNING, 1);
	ck_assert_int_eq(fe_set_vring_call(&rig.fe, 0, rig.ring[0].call_fd), 0);
	rig_echo(0);
}
END_TEST

START_TEST(disabling_takes_the_ring_back)
{
	rig_ready(1);
	rig_echo(0);
	enable(0, false);
	ck_assert_uint_eq(RUNNING, 0);
	rig_submit(0);
	rig_silence(0);
	enable(0, true);
	rig_answer(0);
}
END_TEST

START_TEST(enable_is_remembered_while_stopped)
{
	uint32_t base;

	rig_ready(1);
	rig_echo(0);
	ck_assert_int_eq(fe_get_vring_base(&rig.fe, 0, &base), 0);
	ck_assert_uint_eq(base, 1);
	ck_assert_uint_eq(RUNNING, 0);
	kick(0); /* enabled still, and everything else is as it was */
	ck_assert_uint_eq(RUNNING, 1);
	rig_echo(0);
}
END_TEST

START_TEST(disable_is_remembered_while_stopped)
{
	uint32_t base;

	rig_ready(1);
	ck_assert_int_eq(fe_get_vring_base(&rig.fe, 0, &base), 0);
	enable(0, false);
	kick(0);
	ck_assert_uint_eq(RUNNING, 0);
	enable(0, true);
	rig_echo(0);
}
END_TEST

START_TEST(enabling_twice_changes_nothing)
{
	unsigned starts;

	rig_ready(1);
	starts = echo_count(rig.echo, starts);
	enable(0, true);
	enable(0, true);
	ck_assert_uint_eq(echo_count(rig.echo, starts), starts);
	rig_echo(0);
}
END_TEST

/* SPDK sends the queue size. */
START_TEST(any_value_but_zero_enables)
{
	struct vu_msg msg = request(VU_SET_VRING_ENABLE, 8);

	with_memory();
	set_up(0);
	kick(0);
	msg.payload.state.num = 0x80000000;
	accepted(msg);
	rig_echo(0);
}
END_TEST

START_TEST(features_without_bit_30_enable_all_rings)
{
	rig_connect();
	ck_assert_int_eq(fe_set_features(&rig.fe, VU_BIT(VIRTIO_F_VERSION_1) |
							  VU_BIT(VIRTIO_RING_F_EVENT_IDX)),
			 0);
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	set_up(0);
	kick(0);
	rig_echo(0);
}
END_TEST

START_TEST(base_says_where_the_ring_stands_and_is_where_it_goes_on)
{
	rig_ready(1);
	for (unsigned i = 0; i < 5; i++)
		rig_echo(0);
	ck_assert_int_eq(fe_ring_stop(&rig.fe, 0, &rig.ring[0]), 0); /* checks the base: 5 */
	rig_submit(0);
	rig_silence(0);
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	rig_answer(0);
	rig_echo(0);
}
END_TEST

START_TEST(base_of_a_ring_that_never_ran_is_what_was_set)
{
	uint32_t base;

	with_memory();
	ck_assert_int_eq(fe_set_vring_base(&rig.fe, 0, 0xffff), 0);
	ck_assert_int_eq(fe_get_vring_base(&rig.fe, 0, &base), 0);
	ck_assert_uint_eq(base, 0xffff);
}
END_TEST

/* A guest that reboots: other features, other ring, same connection. */
START_TEST(a_stopped_device_takes_other_features)
{
	rig_ready(1);
	rig_echo(0);
	ck_assert_int_eq(fe_ring_stop(&rig.fe, 0, &rig.ring[0]), 0);
	ck_assert_int_eq(fe_set_features(&rig.fe, VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(30)), 0);
	rig.ring[0].event_idx = false;
	fe_ring_reset(&rig.ring[0]);
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	rig_echo(0);
}
END_TEST

START_TEST(features_of_a_running_device_do_not_change)
{
	struct vu_msg msg = request(VU_SET_FEATURES, 8);

	rig_ready(1);
	msg.payload.u64 = rig.fe.features;
	accepted(msg);
	rig_echo(0);
	msg.payload.u64 &= ~VU_BIT(VIRTIO_RING_F_EVENT_IDX);
	refused(msg);
	rig_echo(0);
}
END_TEST

/* QEMU changes the call fd whenever the guest masks a vector: without taking the ring back. */
START_TEST(call_fd_is_switched_under_a_running_ring)
{
	int other = eventfd(0, EFD_NONBLOCK);
	unsigned starts;
	uint64_t count;

	rig_ready(1);
	rig_echo(0);
	starts = echo_count(rig.echo, starts);
	ck_assert_int_eq(fe_set_vring_call(&rig.fe, 0, other), 0);
	/* One for an interrupt that might have gone to the old fd. */
	ck_assert_int_eq(read(other, &count, sizeof(count)), sizeof(count));
	close_fd(&rig.ring[0].call_fd);
	rig.ring[0].call_fd = other;
	rig_echo(0);
	ck_assert_uint_eq(echo_count(rig.echo, starts), starts);
}
END_TEST

START_TEST(call_fd_comes_and_goes)
{
	uint64_t count;

	rig_ready(1);
	ck_assert_int_eq(fe_set_vring_call(&rig.fe, 0, -1), 0);
	if (read(rig.ring[0].call_fd, &count, sizeof(count)) < 0)
		ck_assert_int_eq(errno, EAGAIN);
	fe_ring_interrupts_on(&rig.ring[0]);
	rig_submit(0);
	wait_for(rig.in[0].host[1] == rig.out[0].host[1]);
	usleep(20000);
	ck_assert_int_lt(read(rig.ring[0].call_fd, &count, sizeof(count)), 0); /* nobody told */
	ck_assert_int_eq(fe_set_vring_call(&rig.fe, 0, rig.ring[0].call_fd), 0);
	rig_answer(0);
	rig_echo(0);
}
END_TEST

START_TEST(without_a_kick_fd_the_ring_is_polled)
{
	with_memory();
	set_up(0);
	enable(0, true);
	ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, -1), 0);
	rig_echo(0);
}
END_TEST

START_TEST(rings_are_started_and_stopped_apart)
{
	rig_teardown();
	rig_setup(&(struct echo_options){.num_queues = 3});
	rig_ready(3);
	for (unsigned i = 0; i < 3; i++)
		rig_echo(i);
	ck_assert_int_eq(fe_ring_stop(&rig.fe, 1, &rig.ring[1]), 0);
	rig_echo(0);
	rig_echo(2);
	ck_assert_uint_eq(RUNNING, 2);
	ck_assert_int_eq(fe_ring_start(&rig.fe, 1, &rig.ring[1]), 0);
	rig_echo(1);
}
END_TEST

/* Firmware sets up one ring of several: the others are no obstacle. */
START_TEST(one_ring_of_several_is_enough)
{
	rig_teardown();
	rig_setup(&(struct echo_options){.num_queues = 4});
	rig_ready(0);
	for (unsigned i = 0; i < 4; i++)
		enable(i, true);
	ck_assert_int_eq(fe_ring_start(&rig.fe, 2, &rig.ring[2]), 0);
	rig_echo(2);
	ck_assert_uint_eq(RUNNING, 1);
}
END_TEST

struct seen {
	unsigned queues;
	char state[16];
	bool enabled;
};

static void note(struct virtqueue *vq, const char *state, bool enabled, void *arg)
{
	struct seen *seen = arg;

	ck_assert_uint_eq(vq->index, 0);
	seen->queues++;
	seen->enabled = enabled;
	strcpy(seen->state, state);
}

static void look(void *arg)
{
	vu_device_each_queue(&rig.echo->dev, note, arg);
}

static struct seen each_queue(void)
{
	struct seen seen = {0};

	daemon_call(&rig.daemon, look, &seen);
	return seen;
}

START_TEST(the_device_sees_its_queues)
{
	struct seen seen = each_queue();

	ck_assert_uint_eq(seen.queues, 0);
	with_memory();
	set_up(0);
	ck_assert_uint_eq(each_queue().queues, 0);
	kick(0);
	seen = each_queue();
	ck_assert_uint_eq(seen.queues, 1);
	ck_assert_str_eq(seen.state, "started");
	ck_assert(!seen.enabled);
	enable(0, true);
	seen = each_queue();
	ck_assert_str_eq(seen.state, "running");
	ck_assert(seen.enabled);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_ring_states");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, rig_default, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, started_but_not_enabled_does_not_run);
	tcase_add_test(tc, enabled_but_not_started_does_not_run);
	tcase_add_loop_test(tc, starts_with_the_last_thing_it_needs, 0, 6);
	tcase_add_test(tc, disabling_takes_the_ring_back);
	tcase_add_test(tc, enable_is_remembered_while_stopped);
	tcase_add_test(tc, disable_is_remembered_while_stopped);
	tcase_add_test(tc, enabling_twice_changes_nothing);
	tcase_add_test(tc, any_value_but_zero_enables);
	tcase_add_test(tc, features_without_bit_30_enable_all_rings);
	tcase_add_test(tc, base_says_where_the_ring_stands_and_is_where_it_goes_on);
	tcase_add_test(tc, base_of_a_ring_that_never_ran_is_what_was_set);
	tcase_add_test(tc, a_stopped_device_takes_other_features);
	tcase_add_test(tc, features_of_a_running_device_do_not_change);
	tcase_add_test(tc, call_fd_is_switched_under_a_running_ring);
	tcase_add_test(tc, call_fd_comes_and_goes);
	tcase_add_test(tc, without_a_kick_fd_the_ring_is_polled);
	tcase_add_test(tc, rings_are_started_and_stopped_apart);
	tcase_add_test(tc, one_ring_of_several_is_enough);
	tcase_add_test(tc, the_device_sees_its_queues);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
