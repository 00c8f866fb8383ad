/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile_state.c - hostile inputs 22 and 26, device status and device state: bad numbers, bad
 * files, and pipes that are never closed, never read, or made to block.
 */
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/protocol/state_rig.h"

static struct vu_msg number(uint32_t request_number, uint64_t value)
{
	struct vu_msg msg = request(request_number, sizeof(value));

	msg.payload.u64 = value;
	return msg;
}

START_TEST(h22_a_status_of_more_than_8_bits)
{
	static const uint64_t bad[] = {0x100, 0x10f, 0xffff, 1ull << 32, 1ull << 63, UINT64_MAX};
	uint8_t status;

	rig_ready(1);
	ck_assert_int_eq(fe_set_status(&rig.fe, 3), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		refused(number(VU_SET_STATUS, bad[i]));
		ck_assert_int_eq(fe_get_status(&rig.fe, &status), 0);
		ck_assert_uint_eq(status, 3);
	}
	rig_echo(0);
	closes(number(VU_SET_STATUS, 0x100));
	rig_survived();
}
END_TEST

/* An error, and never an fd of the back-end's. */
static void expect_error(uint64_t reply)
{
	ck_assert_uint_ne(reply & 0xff, 0);
	ck_assert_uint_eq(reply & ~0xffull, VU_VRING_NO_FD);
}

START_TEST(h22_device_state_while_running)
{
	int pipes[2];

	rig_ready(1);
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
		expect_error(state_transfer(STATE_SAVE, 0, pipes[1]));
		expect_error(state_transfer(STATE_LOAD, 0, pipes[0]));
		ck_assert_uint_ne(state_check(), 0);
		close(pipes[0]);
		close(pipes[1]);
	}
	rig_echo(0);
	rig_survived();
}
END_TEST

START_TEST(h22_directions_and_phases)
{
	static const uint32_t bad[] = {2, 3, 0x100, 0x10000, 0x80000000, UINT32_MAX};
	int pipes[2];

	rig_negotiate();
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		expect_error(state_transfer(bad[i], 0, pipes[0]));
		expect_error(state_transfer(STATE_LOAD, bad[i], pipes[0]));
	}
	expect_error(state_transfer(STATE_LOAD, 1, pipes[0]));
	expect_error(state_transfer(STATE_LOAD, 0, -1));
	close(pipes[0]);
	close(pipes[1]);
	rig_survived();
}
END_TEST

/* What cannot be read or written without waiting, or only the other way round. */
START_TEST(h22_files_of_other_kinds)
{
	struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
	int bad[10], n = 0, pipes[2];

	rig_negotiate();
	bad[n++] = rig.mem.regions[0].fd;
	bad[n++] = open("/dev/null", O_RDWR | O_CLOEXEC);
	bad[n++] = open("/", O_RDONLY | O_CLOEXEC);
	bad[n++] = open("/", O_PATH | O_CLOEXEC);
	bad[n++] = eventfd(0, EFD_CLOEXEC);
	bad[n++] = epoll_create1(EPOLL_CLOEXEC);
	bad[n++] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bad[n++] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bad[n++] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (int i = 0; i < n; i++) {
		ck_assert_int_ge(bad[i], 0);
		expect_error(state_transfer(STATE_SAVE, 0, bad[i]));
		expect_error(state_transfer(STATE_LOAD, 0, bad[i]));
	}
	for (int i = 1; i < n; i++)
		close(bad[i]);
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	expect_error(state_transfer(STATE_SAVE, 0, pipes[0]));
	expect_error(state_transfer(STATE_LOAD, 0, pipes[1]));
	close(pipes[0]);
	close(pipes[1]);
	/* Sockets that are good for nothing: the transfer fails, whenever. */
	for (unsigned listening = 0; listening < 2; listening++) {
		int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		ck_assert_int_eq(
			bind(sock, (struct sockaddr *)&unnamed, sizeof(unnamed.sun_family)), 0);
		if (listening)
			ck_assert_int_eq(listen(sock, 1), 0);
		for (uint32_t direction = 0; direction < 2; direction++) {
			state_transfer(direction, 0, sock);
			ck_assert_uint_ne(state_check(), 0);
		}
		close(sock);
	}
	rig_others_go_on();
	rig_survived();
}
END_TEST

static void load(const uint8_t *data, size_t size, bool good)
{
	int fd = state_load_begin();

	for (size_t at = 0; at < size;) {
		ssize_t n = write(fd, data + at, size - at);

		if (n < 0) {
			ck_assert_int_eq(errno, EPIPE); /* enough was seen */
			break;
		}
		at += (size_t)n;
	}
	close(fd);
	ck_assert_uint_eq(state_check() == 0, good);
}

START_TEST(h22_a_garbage_blob)
{
	static uint8_t blob[3 * 65536];
	unsigned seed = 1;

	rig_negotiate();
	state_set(rig.echo, 77, 5);
	for (unsigned i = 0; i < 100; i++) {
		size_t size = (size_t)rand_r(&seed) % 300;

		for (size_t k = 0; k < size; k++)
			blob[k] = (uint8_t)rand_r(&seed);
		blob[0] = 'e';
		load(blob, size, false);
	}
	load(blob, 0, false);
	for (size_t i = 0; i < sizeof(blob); i++)
		blob[i] = echo_state_byte(7, i);
	load(blob, 65537, false); /* right, but too long: by a byte, by far */
	load(blob, 65538, false);
	load(blob, sizeof(blob), false);
	ck_assert_uint_eq(echo_count(rig.echo, loads), 0);
	ck_assert_uint_eq(echo_count(rig.echo, state_seed), 5);
	load(blob, 65536, true);
	rig_survived();
}
END_TEST

START_TEST(h22_a_pipe_never_closed)
{
	struct held with;
	int fd;

	rig_negotiate();
	with = held_now();
	fd = state_load_begin();
	ck_assert_int_eq(write(fd, "E", 1), 1);
	usleep(20000);
	ck_assert_uint_lt(rig_loop_cpu_us(), 50000);
	rig_others_go_on();
	ck_assert_uint_ne(state_check(), 0); /* at once */
	state_let_go(fd);
	close(fd);
	wait_for(held_now().fds == with.fds);
	fd = state_load_begin();
	rig_hangup(); /* with the transfer under way */
	state_let_go(fd);
	close(fd);
	rig_survived();
}
END_TEST

START_TEST(h22_a_save_that_nobody_reads)
{
	struct held with;
	int pipes[2];

	rig_negotiate();
	state_set(rig.echo, 60000, 1);
	with = held_now();
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
		ck_assert_int_eq(fcntl(pipes[0], F_SETPIPE_SZ, 4096), 4096);
		ck_assert_uint_eq(state_transfer(STATE_SAVE, 0, pipes[1]), VU_VRING_NO_FD);
		close(pipes[1]);
		ck_assert_uint_lt(rig_loop_cpu_us(), 50000);
		rig_others_go_on();
		if (i == 1)
			close(pipes[0]); /* gone in the middle */
		ck_assert_uint_ne(state_check(), 0);
		if (i != 1)
			close(pipes[0]);
		wait_for(held_now().fds == with.fds);
	}
	rig_survived();
}
END_TEST

/* made_blocking - the front-end keeps a copy of what it sent, and clears the flag they share. */
static void made_blocking(uint32_t direction, int theirs, int ours)
{
	ck_assert_int_eq(fcntl(theirs, F_SETFL, O_NONBLOCK), 0);
	ck_assert_uint_eq(state_transfer(direction, 0, theirs), VU_VRING_NO_FD);
	ck_assert_int_eq(fcntl(theirs, F_SETFL, 0), 0);
	for (unsigned i = 0; i < 20; i++) {
		if (direction == STATE_LOAD)
			ck_assert_int_eq(write(ours, "E", 1),
					 1); /* woken, and then there is no more */
		rig_others_go_on();
	}
	ck_assert_uint_ne(state_check(), 0);
	rig_others_go_on();
	close(theirs);
	close(ours);
}

START_TEST(h22_a_pipe_made_to_block)
{
	int fds[2];

	rig_negotiate();
	state_set(rig.echo, 60000, 1);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	made_blocking(STATE_LOAD, fds[0], fds[1]);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(fcntl(fds[0], F_SETPIPE_SZ, 4096), 4096);
	made_blocking(STATE_SAVE, fds[1], fds[0]);
	rig_survived();
}
END_TEST

START_TEST(h22_a_socket_made_to_block)
{
	int fds[2], bytes = 1;

	rig_negotiate();
	state_set(rig.echo, 60000, 1);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	made_blocking(STATE_LOAD, fds[0], fds[1]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
	made_blocking(STATE_SAVE, fds[1], fds[0]);
	rig_survived();
}
END_TEST

START_TEST(h22_transfers_over_and_over)
{
	struct held with;

	rig_negotiate();
	with = held_now();
	for (unsigned i = 0; i < 300; i++) {
		int fd = state_load_begin();

		if (i % 3 == 0)
			state_check();
		close(fd);
	}
	state_check();
	wait_for(held_now().fds == with.fds);
	rig_survived();
}
END_TEST

START_TEST(h26_what_was_not_offered)
{
	struct vu_msg msgs[] = {
		request(VU_CHECK_DEVICE_STATE, 0),
		request(VU_SET_DEVICE_STATE_FD, sizeof(struct vu_device_state)),
		request(VU_SEND_RARP, 8),
		number(VU_NET_SET_MTU, 1500),
	};

	rig_teardown();
	rig_setup(&(struct echo_options){.plain = true});
	for (unsigned i = 0; i < ARRAY_SIZE(msgs); i++) {
		msgs[i].fds[0] = rig.ring[0].kick_fd;
		for (msgs[i].num_fds = 0; msgs[i].num_fds < 2; msgs[i].num_fds++) {
			rig_ready(1);
			rig_echo(0);
			closes(msgs[i]);
			rig_survived();
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile_state");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, rig_default, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, h22_a_status_of_more_than_8_bits);
	tcase_add_test(tc, h22_device_state_while_running);
	tcase_add_test(tc, h22_directions_and_phases);
	tcase_add_test(tc, h22_files_of_other_kinds);
	tcase_add_test(tc, h22_a_garbage_blob);
	tcase_add_test(tc, h22_a_pipe_never_closed);
	tcase_add_test(tc, h22_a_save_that_nobody_reads);
	tcase_add_test(tc, h22_a_pipe_made_to_block);
	tcase_add_test(tc, h22_a_socket_made_to_block);
	tcase_add_test(tc, h22_transfers_over_and_over);
	tcase_add_test(tc, h26_what_was_not_offered);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
