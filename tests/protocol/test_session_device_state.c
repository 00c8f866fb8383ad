/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_device_state.c - the device's state out of one back-end and into another, through
 * pipes and sockets, while the device is suspended.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/protocol/state_rig.h"

START_TEST(a_state_is_saved_and_loaded)
{
	uint8_t state[200];

	rig_negotiate();
	state_set(&rig.daemon.echo[0], 100, 7);
	ck_assert_int_eq(fe_save_state(&rig.fe, state, sizeof(state)), 100);
	state_expect(state, 100, 7);
	state_set(&rig.daemon.echo[0], 5, 99);
	ck_assert_int_eq(fe_load_state(&rig.fe, state, 100), 0);
	ck_assert_uint_eq(echo_count(rig.echo, loads), 1);
	ck_assert_uint_eq(echo_count(rig.echo, state_seed), 7);
	ck_assert_uint_eq(echo_count(rig.echo, state_bytes), 100);
	rig_survived();
}
END_TEST

START_TEST(from_one_back_end_to_another)
{
	struct echo *other = &rig.daemon.echo[1];
	uint8_t state[200];
	struct fe fe;

	rig_ready(1);
	rig_echo(0);
	ck_assert_int_eq(fe_ring_stop(&rig.fe, 0, &rig.ring[0]), 0);
	state_set(rig.echo, 150, 33);
	ck_assert_int_eq(fe_save_state(&rig.fe, state, sizeof(state)), 150);
	rig_connect_fe(&fe, other);
	ck_assert_int_eq(fe_negotiate(&fe, ALL_FEATURES, ALL_FEATURES), 0);
	ck_assert_int_eq(fe_load_state(&fe, state, 150), 0);
	ck_assert_uint_eq(echo_count(other, state_seed), 33);
	ck_assert_int_eq(fe_set_mem_table(&fe, &rig.mem), 0);
	ck_assert_int_eq(fe_ring_start(&fe, 0, &rig.ring[0]), 0);
	rig_echo(0);
	ck_assert_int_eq(fe_ring_stop(&fe, 0, &rig.ring[0]), 0);
	fe_close(&fe);
}
END_TEST

START_TEST(sizes_up_to_the_limit)
{
	static const size_t sizes[] = {2, 4095, 4096, 4097, 65535, 65536};
	static uint8_t state[65536 + 10];

	rig_negotiate();
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		state_set(rig.echo, sizes[i], (uint8_t)i);
		ck_assert_int_eq(fe_save_state(&rig.fe, state, sizeof(state)), sizes[i]);
		state_expect(state, sizes[i], (uint8_t)i);
		state_set(rig.echo, 0, 0);
		ck_assert_int_eq(fe_load_state(&rig.fe, state, sizes[i]), 0);
		ck_assert_uint_eq(echo_count(rig.echo, state_bytes), sizes[i]);
		ck_assert_uint_eq(echo_count(rig.echo, state_seed), i);
	}
	state_set(rig.echo, 0, 0);
	ck_assert_int_eq(fe_save_state(&rig.fe, state, sizeof(state)), 0);
	state_set(rig.echo, 65537, 0);
	ck_assert_int_eq(fe_save_state(&rig.fe, state, sizeof(state)), -EREMOTEIO);
	state_set(rig.echo, 500, 0);
	ck_assert_int_eq(fe_save_state(&rig.fe, state, 499), -EFBIG);
	ck_assert_int_eq(fe_save_state(&rig.fe, state, 500), 500);
	rig_survived();
}
END_TEST

/* The phase is the one in which all rings are stopped; disabled is not stopped. */
START_TEST(not_while_a_ring_is_started)
{
	uint8_t state[200] = {0};

	rig_ready(1);
	ck_assert_int_eq(fe_save_state(&rig.fe, state, sizeof(state)), -EREMOTEIO);
	rig_echo(0);
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, false), 0);
	ck_assert_int_eq(fe_save_state(&rig.fe, state, sizeof(state)), -EREMOTEIO);
	ck_assert_int_eq(fe_load_state(&rig.fe, state, sizeof(state)), -EREMOTEIO);
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, true), 0);
	rig_echo(0);
	ck_assert_int_eq(fe_ring_stop(&rig.fe, 0, &rig.ring[0]), 0);
	ck_assert_int_eq(fe_save_state(&rig.fe, state, sizeof(state)), 100);
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	rig_echo(0);
	rig_survived();
}
END_TEST

/* A migration that fails goes on at the source: the start counts, not the transfer. */
START_TEST(a_ring_that_starts_ends_the_transfer)
{
	int fd;

	rig_negotiate();
	fd = state_load_begin();
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	ck_assert_int_eq(write(fd, "E", 1), 1);
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	state_let_go(fd);
	ck_assert_uint_ne(state_check(), 0);
	rig_echo(0);
	close(fd);
	rig_survived();
}
END_TEST

START_TEST(a_reset_ends_the_transfer)
{
	int fd;

	rig_negotiate();
	fd = state_load_begin();
	ck_assert_int_eq(fe_reset_device(&rig.fe), 0);
	state_let_go(fd);
	ck_assert_uint_ne(state_check(), 0);
	close(fd);
	rig_survived();
}
END_TEST

START_TEST(a_new_transfer_replaces_the_one_before)
{
	uint8_t state[200];
	int fd;

	rig_negotiate();
	fd = state_load_begin();
	ck_assert_int_eq(fe_save_state(&rig.fe, state, sizeof(state)), 100);
	state_let_go(fd);
	close(fd);
	ck_assert_uint_eq(echo_count(rig.echo, loads), 0);
	rig_survived();
}
END_TEST

START_TEST(a_slow_reader_gets_it_all_and_holds_nobody_up)
{
	struct fe other = {0};
	uint8_t state[60000];
	size_t got = 0;
	uint8_t end;
	int pipes[2];

	rig_negotiate();
	rig_ready_fe(&other, &rig.daemon.echo[1], 1);
	state_set(rig.echo, sizeof(state), 3);
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	ck_assert_int_eq(fcntl(pipes[0], F_SETPIPE_SZ, 4096), 4096);
	ck_assert_uint_eq(state_transfer(STATE_SAVE, 0, pipes[1]), VU_VRING_NO_FD);
	close(pipes[1]);
	while (got < sizeof(state)) {
		ssize_t n = read(pipes[0], state + got, min_of(sizeof(state) - got, (size_t)999));

		ck_assert_int_gt(n, 0);
		got += (size_t)n;
		if (got % 7 == 0)
			rig_echo(0);
		ck_assert_int_eq(fe_sync(&rig.fe), 0);
	}
	ck_assert_int_eq(read(pipes[0], &end, 1), 0);
	state_expect(state, sizeof(state), 3);
	ck_assert_uint_eq(state_check(), 0);
	close(pipes[0]);
	fe_close(&other);
}
END_TEST

START_TEST(a_slow_writer_is_waited_for)
{
	int fd;

	rig_negotiate();
	fd = state_load_begin();
	for (unsigned i = 0; i < 100; i++) {
		uint8_t byte = echo_state_byte(9, i);

		ck_assert_int_eq(write(fd, &byte, 1), 1);
		ck_assert_int_eq(fe_sync(&rig.fe), 0);
	}
	close(fd);
	ck_assert_uint_eq(state_check(), 0);
	ck_assert_uint_eq(echo_count(rig.echo, state_seed), 9);
	ck_assert_uint_eq(state_check(), 0); /* asked again, told again */
	rig_survived();
}
END_TEST

START_TEST(through_a_socket)
{
	uint8_t state[200];
	int pair[2];

	rig_negotiate();
	state_set(rig.echo, 120, 44);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_uint_eq(state_transfer(STATE_SAVE, 0, pair[1]), VU_VRING_NO_FD);
	/* Our copy of its end stays open; the stream ends all the same. */
	ck_assert_int_eq(recv(pair[0], state, sizeof(state), MSG_WAITALL), 120);
	state_expect(state, 120, 44);
	ck_assert_uint_eq(state_check(), 0);
	close(pair[0]);
	close(pair[1]);
	state_set(rig.echo, 0, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_uint_eq(state_transfer(STATE_LOAD, 0, pair[1]), VU_VRING_NO_FD);
	close(pair[1]);
	ck_assert_int_eq(send(pair[0], state, 120, 0), 120);
	close(pair[0]);
	ck_assert_uint_eq(state_check(), 0);
	ck_assert_uint_eq(echo_count(rig.echo, state_seed), 44);
	rig_survived();
}
END_TEST

/* What lies in the pipe is what was saved, whatever the back-end does afterwards. */
START_TEST(a_saved_state_does_not_change_in_the_pipe)
{
	uint8_t state[200];
	int pipes[2];

	rig_negotiate();
	state_set(rig.echo, 180, 1);
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	ck_assert_uint_eq(state_transfer(STATE_SAVE, 0, pipes[1]), VU_VRING_NO_FD);
	close(pipes[1]);
	ck_assert_uint_eq(state_check(), 0);
	state_set(rig.echo, 180, 2);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(fe_save_state(&rig.fe, state, sizeof(state)), 180);
	ck_assert_int_eq(read(pipes[0], state, sizeof(state)), 180);
	state_expect(state, 180, 1);
	close(pipes[0]);
}
END_TEST

START_TEST(a_check_without_a_transfer_is_an_error)
{
	rig_negotiate();
	ck_assert_uint_ne(state_check(), 0);
	rig_survived();
}
END_TEST

START_TEST(a_device_without_a_state_does_not_offer_it)
{
	rig_teardown();
	rig_setup(&(struct echo_options){.plain = true});
	rig_negotiate();
	ck_assert(!fe_has(&rig.fe, VU_PF_DEVICE_STATE));
	closes(request(VU_CHECK_DEVICE_STATE, 0));
	rig_survived();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_device_state");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, rig_default, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_state_is_saved_and_loaded);
	tcase_add_test(tc, from_one_back_end_to_another);
	tcase_add_test(tc, sizes_up_to_the_limit);
	tcase_add_test(tc, not_while_a_ring_is_started);
	tcase_add_test(tc, a_ring_that_starts_ends_the_transfer);
	tcase_add_test(tc, a_reset_ends_the_transfer);
	tcase_add_test(tc, a_new_transfer_replaces_the_one_before);
	tcase_add_test(tc, a_slow_reader_gets_it_all_and_holds_nobody_up);
	tcase_add_test(tc, a_slow_writer_is_waited_for);
	tcase_add_test(tc, through_a_socket);
	tcase_add_test(tc, a_saved_state_does_not_change_in_the_pipe);
	tcase_add_test(tc, a_check_without_a_transfer_is_an_error);
	tcase_add_test(tc, a_device_without_a_state_does_not_offer_it);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
