/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile_inband.c - hostile inputs 10 and 23 with in-band notifications: kicks of rings there
 * are not, and a channel that nobody reads while calls pile up.
 */
#include <poll.h>

#include "tests/protocol/rig.h"

static struct vu_msg kick(uint32_t index, uint32_t num)
{
	struct vu_msg msg = request(VU_VRING_KICK, sizeof(msg.payload.state));

	msg.payload.state.index = index;
	msg.payload.state.num = num;
	return msg;
}

START_TEST(h10_kicks_of_rings_there_are_not)
{
	rig_ready(1);
	refused(kick(1, 0));
	refused(kick(0x100, 0));
	refused(kick(0x10000, 0));
	refused(kick(UINT32_MAX, 0));
	refused(kick(0, 1)); /* reserved */
	rig_echo(0);
	closes(kick(1, 0));
	rig_survived();
}
END_TEST

/* in_band - ring 0 runs with messages only, and the channel's other end is in our hands alone. */
static int in_band(void)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);
	int channel;

	rig_negotiate();
	ck_assert_int_eq(fe_open_channel(&rig.fe, NULL, NULL), 0);
	channel = rig.fe.channel_fd;
	rig.fe.channel_fd = -1; /* or the library would read it while it waits */
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	ck_assert_int_eq(fe_set_vring_num(&rig.fe, 0, RIG_RING_SIZE), 0);
	ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, true), 0);
	ck_assert_int_eq(fe_vring_kick(&rig.fe, 0), 0);
	return channel;
}

/* called_for - one request for which the device signals its call eventfd. */
static void called_for(void)
{
	struct fe_used used = {0};

	fe_ring_interrupts_on(&rig.ring[0]);
	rig_submit(0);
	ck_assert_int_eq(fe_vring_kick(&rig.fe, 0), 0);
	wait_for(fe_ring_poll(&rig.ring[0], &used, 1) == 1);
}

/* calls_in - take everything out of the channel. Return: VRING_CALL messages. */
static unsigned calls_in(int channel)
{
	struct vu_receiver rx;
	unsigned calls = 0;
	struct pollfd pfd = {.fd = channel, .events = POLLIN};

	vu_receiver_init(&rx);
	while (poll(&pfd, 1, 50) == 1 && vu_receive(channel, &rx) == 1) {
		calls += rx.msg.hdr.request == VU_BACKEND_VRING_CALL;
		vu_receiver_reset(&rx);
	}
	return calls;
}

START_TEST(h23_a_channel_never_drained_while_calls_pile_up)
{
	int channel = in_band();
	unsigned calls;

	for (unsigned i = 0; i < 2000; i++)
		called_for();
	ck_assert_uint_lt(rig_loop_cpu_us(), 50000); /* full, and nobody spins */
	rig_others_go_on();
	calls = calls_in(channel);
	ck_assert_uint_ge(calls, 1);
	ck_assert_uint_lt(calls, 2000); /* the rest fell into the last one */
	called_for();
	ck_assert_uint_ge(calls_in(channel), 1);
	close(channel);
	rig_survived();
}
END_TEST

START_TEST(h23_a_full_channel_that_is_closed_or_replaced)
{
	int channel = in_band();

	for (unsigned i = 0; i < 1000; i++)
		called_for();
	close(channel);
	called_for();
	ck_assert_int_eq(fe_open_channel(&rig.fe, NULL, NULL), 0);
	channel = rig.fe.channel_fd;
	rig.fe.channel_fd = -1;
	ck_assert_uint_ge(calls_in(channel), 1);
	called_for();
	ck_assert_uint_ge(calls_in(channel), 1);
	close(channel);
	ck_assert_uint_lt(rig_loop_cpu_us(), 50000);
	rig_survived();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile_inband");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, rig_default, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, h10_kicks_of_rings_there_are_not);
	tcase_add_test(tc, h23_a_channel_never_drained_while_calls_pile_up);
	tcase_add_test(tc, h23_a_full_channel_that_is_closed_or_replaced);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
