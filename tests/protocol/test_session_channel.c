/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_channel.c - the back-end channel: configuration changes reach the front-end, and
 * nothing the front-end does with the channel holds the back-end up.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/protocol/rig.h"

static void change(void *arg)
{
	vu_device_config_changed(arg);
}

static void changes(unsigned times)
{
	while (times--)
		daemon_call(&rig.daemon, change, &rig.echo->dev);
}

/* serve - take what the channel brings. Return: CONFIG_CHANGE messages so far. */
static unsigned serve(void)
{
	while (fe_channel_serve(&rig.fe, 100) == 1)
		;
	return rig.fe.config_changes;
}

START_TEST(a_change_is_told)
{
	rig_ready(1);
	ck_assert_int_eq(fe_open_channel(&rig.fe, NULL, NULL), 0);
	ck_assert_uint_eq(serve(), 0);
	changes(1);
	ck_assert_uint_eq(serve(), 1);
	changes(1);
	ck_assert_uint_eq(serve(), 2);
	rig_echo(0);
	rig_survived();
}
END_TEST

START_TEST(without_a_channel_or_a_front_end_nothing_happens)
{
	changes(3);
	rig_ready(1);
	changes(3);
	rig_echo(0);
}
END_TEST

START_TEST(a_new_channel_replaces_the_old_one)
{
	rig_ready(1);
	ck_assert_int_eq(fe_open_channel(&rig.fe, NULL, NULL), 0);
	fe_channel_close(&rig.fe);
	ck_assert_int_eq(fe_open_channel(&rig.fe, NULL, NULL), 0);
	changes(1);
	ck_assert_uint_eq(serve(), 1);
	rig_survived();
}
END_TEST

/* Hostile input 23. Full: changes fall into one, which is told when there is room. */
START_TEST(a_channel_that_is_never_drained_is_no_deadlock)
{
	unsigned told;

	rig_ready(1);
	ck_assert_int_eq(fe_open_channel(&rig.fe, NULL, NULL), 0);
	changes(5000);
	rig_echo(0);
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	told = serve();
	ck_assert_uint_ge(told, 1);
	ck_assert_uint_lt(told, 5000);
	changes(1);
	ck_assert_uint_eq(serve(), told + 1);
	rig_survived();
}
END_TEST

/* The front-end keeps a copy of the back-end's end and makes it blocking. */
START_TEST(a_channel_made_blocking_is_no_deadlock)
{
	struct vu_msg msg = request(VU_SET_BACKEND_REQ_FD, 0);
	int pair[2];

	rig_ready(1);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	msg.fds[0] = pair[1];
	msg.num_fds = 1;
	accepted(msg);
	ck_assert_int_eq(fcntl(pair[1], F_SETFL, 0), 0);
	changes(5000);
	rig_echo(0);
	close(pair[0]);
	close(pair[1]);
	rig_survived();
}
END_TEST

START_TEST(a_channel_closed_by_the_front_end_is_let_go)
{
	struct held with;

	rig_ready(1);
	with = held_now();
	ck_assert_int_eq(fe_open_channel(&rig.fe, NULL, NULL), 0);
	fe_channel_close(&rig.fe);
	wait_for(held_now().fds == with.fds);
	changes(3);
	rig_echo(0);
	rig_survived();
}
END_TEST

START_TEST(what_comes_back_on_the_channel_is_dropped)
{
	char noise[4096];
	int fd;

	memset(noise, 0xff, sizeof(noise));
	rig_ready(1);
	ck_assert_int_eq(fe_open_channel(&rig.fe, NULL, NULL), 0);
	fd = rig.fe.channel_fd;
	for (unsigned i = 0; i < 1000; i++) {
		if (send(fd, noise, sizeof(noise), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			ck_assert_int_eq(errno, EAGAIN);
	}
	rig_echo(0);
	changes(1);
	ck_assert_uint_eq(serve(), 1);
	rig_survived();
}
END_TEST

START_TEST(fds_that_come_back_on_the_channel_are_closed)
{
	struct held with;

	rig_ready(1);
	ck_assert_int_eq(fe_open_channel(&rig.fe, NULL, NULL), 0);
	with = held_now();
	for (unsigned i = 0; i < 20; i++) {
		struct vu_msg msg = request(VU_BACKEND_CONFIG_CHANGE, 0);

		msg.fds[0] = rig.mem.regions[0].fd;
		msg.num_fds = 1;
		ck_assert_int_eq(vu_send(rig.fe.channel_fd, &msg), 0);
	}
	changes(1);
	ck_assert_uint_eq(serve(), 1);
	ck_assert_uint_eq(held_now().fds, with.fds);
	rig_survived();
}
END_TEST

/* Only a unix stream socket will do. */
START_TEST(other_files_are_refused_as_channel)
{
	struct vu_msg msg = request(VU_SET_BACKEND_REQ_FD, 0);
	int pair[2], pipes[2];
	int inet = socket(AF_INET, SOCK_STREAM, 0);

	rig_ready(1);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	ck_assert_int_eq(pipe(pipes), 0);
	msg.num_fds = 1;
	msg.fds[0] = pair[0];
	refused(msg);
	msg.fds[0] = pipes[1];
	refused(msg);
	msg.fds[0] = inet;
	refused(msg);
	msg.fds[0] = rig.mem.regions[0].fd;
	refused(msg);
	msg.num_fds = 0;
	refused(msg);
	close(pair[0]);
	close(pair[1]);
	close(pipes[0]);
	close(pipes[1]);
	close_fd(&inet);
	rig_survived();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_channel");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, rig_default, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_change_is_told);
	tcase_add_test(tc, without_a_channel_or_a_front_end_nothing_happens);
	tcase_add_test(tc, a_new_channel_replaces_the_old_one);
	tcase_add_test(tc, a_channel_that_is_never_drained_is_no_deadlock);
	tcase_add_test(tc, a_channel_made_blocking_is_no_deadlock);
	tcase_add_test(tc, a_channel_closed_by_the_front_end_is_let_go);
	tcase_add_test(tc, what_comes_back_on_the_channel_is_dropped);
	tcase_add_test(tc, fds_that_come_back_on_the_channel_are_closed);
	tcase_add_test(tc, other_files_are_refused_as_channel);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
