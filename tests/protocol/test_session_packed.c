/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_packed.c - packed rings through a session: bases with wrap counters, sizes that
 * are no power of two, and the same stop, change, start.
 */
#include "tests/protocol/rig.h"

#define SIZE    50
#define RUNNING (echo_count(rig.echo, starts) - echo_count(rig.echo, stops))

static void packed(void)
{
	rig_setup(&(struct echo_options){.packed = true, .ring_size = SIZE, .num_queues = 2});
}

static struct vu_msg state(uint32_t number, uint32_t num)
{
	struct vu_msg msg = request(number, sizeof(msg.payload.state));

	msg.payload.state.num = num;
	return msg;
}

START_TEST(serves_round_after_round)
{
	rig_ready(2);
	ck_assert(rig.fe.features & VU_BIT(VIRTIO_F_RING_PACKED));
	for (unsigned i = 0; i < 5 * SIZE; i++)
		rig_echo(i % 2);
	rig_survived();
}
END_TEST

/* Stopped and started at every place of the ring, in both rounds. */
START_TEST(base_says_where_the_ring_stands_and_is_where_it_goes_on)
{
	uint32_t base;

	rig_ready(1);
	for (unsigned i = 0; i < 2 * SIZE; i++) {
		rig_echo(0);
		ck_assert_int_eq(fe_get_vring_base(&rig.fe, 0, &base), 0);
		ck_assert_uint_eq(base, fe_ring_base(&rig.ring[0]));
		ck_assert_uint_eq(base >> 16, base & 0xffff);
		accepted(state(VU_SET_VRING_BASE, base));
		ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, rig.ring[0].kick_fd), 0);
	}
	rig_survived();
}
END_TEST

/* DPDK sends only the lower half. */
START_TEST(half_a_base_is_enough)
{
	rig_ready(1);
	for (unsigned i = 0; i < 2 * SIZE + 7; i++) {
		uint32_t base;

		rig_echo(0);
		rig_echo(0);
		rig_echo(0);
		ck_assert_int_eq(fe_get_vring_base(&rig.fe, 0, &base), 0);
		if (!(base & 0xffff))
			break; /* a half of 0 says nothing of the other */
		accepted(state(VU_SET_VRING_BASE, base & 0xffff));
		ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, rig.ring[0].kick_fd), 0);
	}
}
END_TEST

START_TEST(changes_are_made_by_quiescing)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);

	rig_ready(1);
	for (unsigned i = 0; i < 2 * SIZE; i++) {
		rig_echo(0);
		if (i % 2)
			ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
		else
			ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
	}
	ck_assert_uint_eq(echo_count(rig.echo, stops), 2 * SIZE);
	rig_survived();
}
END_TEST

START_TEST(a_request_in_flight_is_drained)
{
	rig_ready(1);
	rig_echo(0);
	echo_hold(rig.echo, true);
	rig_submit(0);
	rig_silence(0);
	fe_close(&rig.fe);
	usleep(20000);
	ck_assert_uint_eq(echo_count(rig.echo, disconnects), 0);
	echo_hold(rig.echo, false);
	rig_answer(0);
	rig_survived();
}
END_TEST

START_TEST(bases_outside_the_ring_do_not_start_it)
{
	static const uint32_t bad[] = {SIZE,   0x8000 | SIZE,    0xffffffff,
				       0x7fff, (SIZE << 16) | 1, 0x80018000};

	rig_ready(1);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		accepted(state(VU_SET_VRING_BASE, bad[i]));
		ck_assert_uint_eq(RUNNING, 0);
	}
	accepted(state(VU_SET_VRING_BASE, fe_ring_base(&rig.ring[0])));
	rig_echo(0);
	rig_survived();
}
END_TEST

/* The event areas are parts of the ring too. */
START_TEST(rings_that_leave_their_region_are_not_started)
{
	uint64_t end = (uintptr_t)rig.mem.regions[0].host + RIG_MEM_BYTES;

	rig_ready(1);
	for (unsigned part = 0; part < 3; part++) {
		struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);
		uint64_t *uva = part == 0   ? &addr.desc_uva
				: part == 1 ? &addr.avail_uva
					    : &addr.used_uva;

		*uva = end - (part == 0 ? SIZE * 16 - 16 : 0);
		ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
		ck_assert_uint_eq(RUNNING, 0);
		*uva = end - (part == 0 ? SIZE * 16 : 4);
		ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
		ck_assert_uint_eq(RUNNING, 1);
	}
	rig_survived();
}
END_TEST

/* A device that could do packed, and a driver that does not want it. */
START_TEST(split_is_still_there)
{
	rig_negotiate();
	ck_assert_int_eq(fe_set_features(&rig.fe, VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(30)), 0);
	refused(state(VU_SET_VRING_NUM, SIZE));
	accepted(state(VU_SET_VRING_NUM, 64));
	refused(state(VU_SET_VRING_BASE, 0x80008000));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_packed");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, packed, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, serves_round_after_round);
	tcase_add_test(tc, base_says_where_the_ring_stands_and_is_where_it_goes_on);
	tcase_add_test(tc, half_a_base_is_enough);
	tcase_add_test(tc, changes_are_made_by_quiescing);
	tcase_add_test(tc, a_request_in_flight_is_drained);
	tcase_add_test(tc, bases_outside_the_ring_do_not_start_it);
	tcase_add_test(tc, rings_that_leave_their_region_are_not_started);
	tcase_add_test(tc, split_is_still_there);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
