/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile_ring.c - hostile inputs 10 to 15 and 25: ring messages with bad numbers, in a bad
 * order, again and again, and with fds that are not eventfds.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "tests/protocol/rig.h"

#define RUNNING (echo_count(rig.echo, starts) - echo_count(rig.echo, stops))

static struct vu_msg state(uint32_t number, uint32_t index, uint32_t num)
{
	struct vu_msg msg = request(number, sizeof(msg.payload.state));

	msg.payload.state.index = index;
	msg.payload.state.num = num;
	return msg;
}

static struct vu_msg address(uint64_t desc, uint64_t avail, uint64_t used)
{
	struct vu_msg msg = request(VU_SET_VRING_ADDR, sizeof(msg.payload.addr));

	msg.payload.addr.desc_uva = desc;
	msg.payload.addr.avail_uva = avail;
	msg.payload.addr.used_uva = used;
	return msg;
}

static struct vu_msg with_fd(uint32_t number, int fd)
{
	struct vu_msg msg = request(number, sizeof(uint64_t));

	msg.fds[0] = fd;
	msg.num_fds = 1;
	return msg;
}

/* Every ring message is covered by test_session_table; here, that no other ring is meant. */
START_TEST(h10_an_index_is_not_cut_to_16_bits)
{
	rig_ready(1);
	refused(state(VU_SET_VRING_ENABLE, 0x10000, 0));
	refused(state(VU_SET_VRING_NUM, 0x10001, 4));
	rig_echo(0);
	ck_assert_uint_eq(echo_count(rig.echo, stops), 0);
	closes(state(VU_GET_VRING_BASE, 0x10000, 0));
	rig_survived();
}
END_TEST

START_TEST(h11_queue_sizes)
{
	static const uint32_t bad[] = {0,     3,     100,     1023,    1025,       2048,
				       32768, 32769, 0x10000, 0x10040, 0x80000000, UINT32_MAX};

	rig_ready(1);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		refused(state(VU_SET_VRING_NUM, 0, bad[i]));
		rig_echo(0);
	}
	rig_survived();
}
END_TEST

START_TEST(h11_the_device_may_allow_smaller_or_larger_rings)
{
	rig_teardown();
	rig_setup(&(struct echo_options){.max_ring_size = VU_MAX_RING_SIZE});
	rig_negotiate();
	accepted(state(VU_SET_VRING_NUM, 0, VU_MAX_RING_SIZE));
	refused(state(VU_SET_VRING_NUM, 0, 2 * VU_MAX_RING_SIZE));
	rig_survived();
	rig_teardown();
	rig_setup(&(struct echo_options){.max_ring_size = 128});
	rig_negotiate();
	accepted(state(VU_SET_VRING_NUM, 0, 128));
	refused(state(VU_SET_VRING_NUM, 0, 256));
	rig_survived();
}
END_TEST

START_TEST(h12_the_same_messages_many_times)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);
	struct held with;

	rig_ready(1);
	rig_echo(0);
	with = held_now();
	for (unsigned i = 0; i < 300; i++) {
		ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, rig.ring[0].kick_fd), 0);
		ck_assert_int_eq(fe_set_vring_call(&rig.fe, 0, rig.ring[0].call_fd), 0);
		ck_assert_int_eq(fe_set_vring_err(&rig.fe, 0, rig.ring[0].err_fd), 0);
		ck_assert_int_eq(fe_set_vring_num(&rig.fe, 0, RIG_RING_SIZE), 0);
		ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
	}
	ck_assert_uint_eq(held_now().fds, with.fds);
	rig_echo(0);
	rig_survived();
}
END_TEST

START_TEST(h12_start_and_stop_many_times)
{
	rig_ready(1);
	for (unsigned i = 0; i < 100; i++) {
		rig_echo(0);
		ck_assert_int_eq(fe_ring_stop(&rig.fe, 0, &rig.ring[0]), 0);
		ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	}
	rig_survived();
}
END_TEST

START_TEST(h13_misaligned_rings_are_refused)
{
	struct vu_vring_addr a = fe_ring_wire_addr(&rig.ring[0], 0);

	rig_ready(1);
	refused(address(a.desc_uva + 8, a.avail_uva, a.used_uva));
	refused(address(a.desc_uva, a.avail_uva + 1, a.used_uva));
	refused(address(a.desc_uva, a.avail_uva, a.used_uva + 2));
	rig_echo(0);
	rig_survived();
}
END_TEST

/* Aligned in the front-end's address, but not where it lies in the file. */
START_TEST(h13_rings_misaligned_by_their_region_are_not_started)
{
	struct vu_msg msg = request(VU_SET_MEM_TABLE, 8 + 32);

	rig_ready(1);
	msg.payload.mem.num_regions = 1;
	msg.payload.mem.regions[0] = fe_memory_describe(&rig.mem, 0);
	msg.payload.mem.regions[0].mmap_offset += 1;
	msg.payload.mem.regions[0].size -= 4096;
	msg.fds[0] = rig.mem.regions[0].fd;
	msg.num_fds = 1;
	accepted(msg);
	ck_assert_uint_eq(RUNNING, 0);
	rig_survived();
}
END_TEST

/* Each part in turn: outside, wrapping, or with its last byte beyond the region's end. */
START_TEST(h13_rings_that_leave_their_region_are_not_started)
{
	struct vu_vring_addr a = fe_ring_wire_addr(&rig.ring[0], 0);
	uint64_t end = (uintptr_t)rig.mem.regions[0].host + RIG_MEM_BYTES;
	uint64_t bad[3][5] = {
		{0, 16, end, end - RIG_RING_SIZE * 16 + 16, UINT64_MAX - 15},
		{0, 2, end, end - (6 + RIG_RING_SIZE * 2) + 2, UINT64_MAX - 1},
		{0, 4, end, align_up(end - (6 + RIG_RING_SIZE * 8) + 1, 4), UINT64_MAX - 3},
	};

	rig_ready(1);
	for (unsigned i = 0; i < 3 * 5; i++) {
		uint64_t part[3] = {a.desc_uva, a.avail_uva, a.used_uva};

		part[i / 5] = bad[i / 5][i % 5];
		accepted(address(part[0], part[1], part[2]));
		ck_assert_uint_eq(RUNNING, 0);
		accepted(address(a.desc_uva, a.avail_uva, a.used_uva));
		ck_assert_uint_eq(RUNNING, 1);
	}
	rig_survived();
}
END_TEST

/* The last possible place is a good one. */
START_TEST(h13_rings_that_end_with_their_region_are_started)
{
	struct vu_vring_addr a = fe_ring_wire_addr(&rig.ring[0], 0);
	uint64_t end = (uintptr_t)rig.mem.regions[0].host + RIG_MEM_BYTES;

	rig_ready(1);
	accepted(address(end - RIG_RING_SIZE * 16, a.avail_uva, a.used_uva));
	ck_assert_uint_eq(RUNNING, 1);
	accepted(address(a.desc_uva, end - (6 + RIG_RING_SIZE * 2), a.used_uva));
	ck_assert_uint_eq(RUNNING, 1);
	accepted(address(a.desc_uva, a.avail_uva, align_down(end - (6 + RIG_RING_SIZE * 8), 4)));
	ck_assert_uint_eq(RUNNING, 1);
	rig_survived();
}
END_TEST

START_TEST(h13_address_flags_are_refused)
{
	struct vu_vring_addr a = fe_ring_wire_addr(&rig.ring[0], 0);
	struct vu_msg msg = address(a.desc_uva, a.avail_uva, a.used_uva);

	rig_ready(1);
	msg.payload.addr.flags = 2;
	refused(msg);
	msg.payload.addr.flags = 0x80000000;
	refused(msg);
	rig_echo(0);
}
END_TEST

/* Another size under a running ring: taken back, checked against memory, started again. */
START_TEST(h14_num_and_base_of_a_running_ring)
{
	rig_ready(1);
	rig_echo(0);
	accepted(state(VU_SET_VRING_NUM, 0, 4));
	accepted(state(VU_SET_VRING_NUM, 0, 1024)); /* reaches into what is not a ring */
	accepted(state(VU_SET_VRING_NUM, 0, RIG_RING_SIZE));
	accepted(state(VU_SET_VRING_BASE, 0, 12345)); /* not where the ring stands */
	accepted(state(VU_SET_VRING_BASE, 0, 0xffff));
	refused(state(VU_SET_VRING_BASE, 0, 0x10000));
	rig_survived();
}
END_TEST

/* An available index far from the base breaks the ring; setting it up anew mends it. */
START_TEST(h14_a_ring_broken_by_its_base_works_after_a_good_one)
{
	uint64_t count;

	rig_ready(1);
	rig_echo(0);
	accepted(state(VU_SET_VRING_BASE, 0, 30000));
	rig_submit(0);
	rig_silence(0);
	wait_for(read(rig.ring[0].err_fd, &count, sizeof(count)) == sizeof(count));
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0); /* no cure */
	ck_assert_uint_eq(RUNNING, 0);
	accepted(state(VU_SET_VRING_BASE, 0, 1));
	rig_answer(0);
	rig_echo(0);
	rig_survived();
}
END_TEST

START_TEST(h14_address_of_a_running_ring_with_a_request_in_flight)
{
	struct vu_vring_addr a = fe_ring_wire_addr(&rig.ring[0], 0);
	struct vu_msg msg = address(a.desc_uva, a.avail_uva, a.used_uva);

	rig_ready(1);
	echo_hold(rig.echo, true);
	rig_submit(0);
	rig_silence(0);
	ck_assert_int_eq(fe_send(&rig.fe, &msg), 0);
	echo_hold(rig.echo, false);
	rig_answer(0);
	rig_echo(0);
	rig_survived();
}
END_TEST

/* All orders that leave something out: no access, and nothing breaks. */
START_TEST(h15_kick_before_what_a_ring_needs)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);

	for (unsigned missing = 0; missing < 8; missing++) {
		rig_negotiate();
		if (!(missing & 1))
			ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
		if (!(missing & 2))
			ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
		if (!(missing & 4))
			ck_assert_int_eq(fe_set_vring_num(&rig.fe, 0, RIG_RING_SIZE), 0);
		ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, true), 0);
		ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, rig.ring[0].kick_fd), 0);
		fe_ring_notify(&rig.ring[0]);
		ck_assert_int_eq(fe_sync(&rig.fe), 0);
		ck_assert_uint_eq(RUNNING, missing == 0);
		rig_survived();
	}
}
END_TEST

START_TEST(h15_before_any_negotiation)
{
	rig_connect();
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, true), 0);
	ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, rig.ring[0].kick_fd), 0);
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
	ck_assert_uint_eq(RUNNING, 0);
	rig_survived();
}
END_TEST

/* The three fds of a ring; _i chooses one. */
static uint32_t fd_message(int i)
{
	static const uint32_t numbers[] = {VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR};

	return numbers[i];
}

START_TEST(h25_files_that_are_not_eventfds_are_refused)
{
	int file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	int null = open("/dev/null", O_RDWR);
	int dir = open("/tmp", O_RDONLY | O_DIRECTORY);
	int pipes[2], pair[2];

	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	rig_ready(1);
	refused(with_fd(fd_message(_i), file));
	refused(with_fd(fd_message(_i), null));
	refused(with_fd(fd_message(_i), dir));
	refused(with_fd(fd_message(_i), pipes[0]));
	refused(with_fd(fd_message(_i), pipes[1]));
	refused(with_fd(fd_message(_i), pair[0]));
	refused(with_fd(fd_message(_i), rig.mem.regions[0].fd));
	rig_echo(0);
	close_fd(&file);
	close_fd(&null);
	close_fd(&dir);
	close(pipes[0]);
	close(pipes[1]);
	close(pair[0]);
	close(pair[1]);
	rig_survived();
}
END_TEST

/* An eventfd that blocks, and whose counter is full. */
START_TEST(h25_an_eventfd_that_blocks_holds_nothing_up)
{
	uint64_t full = UINT64_MAX - 1, one = 1;
	int fd = eventfd(0, EFD_CLOEXEC);

	ck_assert_int_eq(write(fd, &full, sizeof(full)), sizeof(full));
	rig_ready(1);
	accepted(with_fd(fd_message(_i), fd));
	/* The back-end may have made it non-blocking; the flag is ours as much as its. */
	ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
	fe_ring_interrupts_on(&rig.ring[0]);
	rig_submit(0);
	if (fd_message(_i) != VU_SET_VRING_KICK)
		wait_for(rig.in[0].host[1] == rig.out[0].host[1]);
	ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
	/* As a kick: the counter is full, or has been read by now. */
	if (write(fd, &one, sizeof(one)) < 0)
		ck_assert_int_eq(errno, EAGAIN);
	wait_for(rig.in[0].host[1] == rig.out[0].host[1]);
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	rig_hangup();
	close_fd(&fd);
	rig_survived();
}
END_TEST

/* A file without a type that is no eventfd: some of these are readable for ever. */
START_TEST(h25_another_anonymous_file_is_refused)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	rig_ready(1);
	refused(with_fd(fd_message(_i), fd));
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	rig_hangup();
	close_fd(&fd);
	rig_survived();
}
END_TEST

/* Any size will do, up to the device's limit. */
START_TEST(h11_packed_queue_sizes)
{
	static const uint32_t bad[] = {0, 1025, 32769, 0x10000, 0x10040, 0x80000000, UINT32_MAX};

	rig_ready(1);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		refused(state(VU_SET_VRING_NUM, 0, bad[i]));
		rig_echo(0);
	}
	accepted(state(VU_SET_VRING_NUM, 0, 3));
	accepted(state(VU_SET_VRING_NUM, 0, 1023));
	rig_survived();
}
END_TEST

static TCase *in_format(const char *name, void (*setup)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, h10_an_index_is_not_cut_to_16_bits);
	tcase_add_test(tc, h12_the_same_messages_many_times);
	tcase_add_test(tc, h12_start_and_stop_many_times);
	tcase_add_test(tc, h13_misaligned_rings_are_refused);
	tcase_add_test(tc, h13_rings_misaligned_by_their_region_are_not_started);
	tcase_add_test(tc, h13_address_flags_are_refused);
	tcase_add_test(tc, h14_address_of_a_running_ring_with_a_request_in_flight);
	tcase_add_test(tc, h15_kick_before_what_a_ring_needs);
	tcase_add_loop_test(tc, h25_files_that_are_not_eventfds_are_refused, 0, 3);
	tcase_add_loop_test(tc, h25_an_eventfd_that_blocks_holds_nothing_up, 0, 3);
	tcase_add_loop_test(tc, h25_another_anonymous_file_is_refused, 0, 3);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("hostile_ring");
	TCase *tc = in_format("split", rig_default);

	tcase_add_test(tc, h11_queue_sizes);
	tcase_add_test(tc, h11_the_device_may_allow_smaller_or_larger_rings);
	tcase_add_test(tc, h13_rings_that_leave_their_region_are_not_started);
	tcase_add_test(tc, h13_rings_that_end_with_their_region_are_started);
	tcase_add_test(tc, h14_num_and_base_of_a_running_ring);
	tcase_add_test(tc, h14_a_ring_broken_by_its_base_works_after_a_good_one);
	tcase_add_test(tc, h15_before_any_negotiation);
	suite_add_tcase(suite, tc);
	tc = in_format("packed", rig_packed); /* bases and extents: test_session_packed.c */
	tcase_add_test(tc, h11_packed_queue_sizes);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
