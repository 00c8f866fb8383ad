/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_quiesce.c - stop, change, start: what waits for requests in flight waits, and
 * nothing else does; a session may end at any moment of it.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/protocol/rig.h"

/* One request is popped and kept in flight. */
static void hold_one(void)
{
	rig_ready(1);
	rig_echo(0);
	echo_hold(rig.echo, true);
	rig_submit(0);
	rig_silence(0);
}

static struct vu_msg state(uint32_t number, uint32_t num)
{
	struct vu_msg msg = request(number, sizeof(msg.payload.state));

	msg.payload.state.num = num;
	return msg;
}

static void send_now(struct vu_msg msg)
{
	ck_assert_int_eq(fe_send(&rig.fe, &msg), 0);
}

/* no_reply_yet - a while passes without one. The stream is not lost by it. */
static void no_reply_yet(uint32_t number, uint32_t bytes)
{
	rig.fe.timeout_ms = 100;
	ck_assert_int_eq(fe_await_reply(&rig.fe, number, bytes, 0), -ETIMEDOUT);
	rig.fe.error = 0;
	rig.fe.timeout_ms = FE_TIMEOUT_MS;
}

START_TEST(get_vring_base_waits_for_what_is_in_flight)
{
	hold_one();
	send_now(state(VU_GET_VRING_BASE, 0));
	no_reply_yet(VU_GET_VRING_BASE, 8);
	echo_hold(rig.echo, false);
	ck_assert_int_eq(fe_await_reply(&rig.fe, VU_GET_VRING_BASE, 8, 0), 0);
	ck_assert_uint_eq(rig.fe.rx.msg.payload.state.num, 2);
	rig_answer(0); /* it had been answered by then */
}
END_TEST

START_TEST(other_sessions_go_on_meanwhile)
{
	struct fe other;
	uint64_t features;

	hold_one();
	send_now(state(VU_GET_VRING_BASE, 0));
	no_reply_yet(VU_GET_VRING_BASE, 8);
	rig_connect_fe(&other, &rig.daemon.echo[1]);
	ck_assert_int_eq(fe_get_features(&other, &features), 0);
	ck_assert_int_eq(fe_negotiate(&other, ALL_FEATURES, ALL_FEATURES), 0);
	fe_close(&other);
	echo_hold(rig.echo, false);
	ck_assert_int_eq(fe_await_reply(&rig.fe, VU_GET_VRING_BASE, 8, 0), 0);
}
END_TEST

/* Messages sent behind the one that waits are handled after it, in order. */
START_TEST(later_messages_wait_their_turn)
{
	hold_one();
	send_now(state(VU_GET_VRING_BASE, 0));
	send_now(request(VU_GET_FEATURES, 0));
	send_now(request(VU_GET_QUEUE_NUM, 0));
	no_reply_yet(VU_GET_VRING_BASE, 8);
	echo_hold(rig.echo, false);
	ck_assert_int_eq(fe_await_reply(&rig.fe, VU_GET_VRING_BASE, 8, 0), 0);
	ck_assert_int_eq(fe_await_reply(&rig.fe, VU_GET_FEATURES, 8, 0), 0);
	ck_assert_int_eq(fe_await_reply(&rig.fe, VU_GET_QUEUE_NUM, 8, 0), 0);
}
END_TEST

/* The change is made between stop and start, and the ring goes on where it was. */
START_TEST(changes_to_a_running_ring_are_made_by_quiescing)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);
	unsigned starts;

	rig_ready(1);
	rig_echo(0);
	starts = echo_count(rig.echo, starts);
	ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
	rig_echo(0);
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	rig_echo(0);
	ck_assert_int_eq(fe_set_vring_num(&rig.fe, 0, RIG_RING_SIZE), 0);
	ck_assert_int_eq(fe_set_vring_base(&rig.fe, 0, fe_ring_base(&rig.ring[0])), 0);
	ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, rig.ring[0].kick_fd), 0);
	rig_echo(0);
	ck_assert_uint_eq(echo_count(rig.echo, starts), starts + 5);
	ck_assert_uint_eq(echo_count(rig.echo, stops), 5);
}
END_TEST

/* A request that was in flight when the change came is completed before, not lost or doubled. */
START_TEST(an_address_change_waits_for_what_is_in_flight)
{
	struct vu_msg msg = request(VU_SET_VRING_ADDR, sizeof(msg.payload.addr));

	hold_one();
	msg.payload.addr = fe_ring_wire_addr(&rig.ring[0], 0);
	msg.hdr.flags |= VU_FLAG_NEED_REPLY;
	send_now(msg);
	no_reply_yet(VU_SET_VRING_ADDR, 8);
	echo_hold(rig.echo, false);
	ck_assert_int_eq(fe_await_reply(&rig.fe, VU_SET_VRING_ADDR, 8, 0), 0);
	rig_answer(0);
	rig_echo(0);
}
END_TEST

START_TEST(every_ring_is_quiesced_for_memory)
{
	rig_teardown();
	rig_setup(&(struct echo_options){.num_queues = 4});
	rig_ready(4);
	for (unsigned i = 0; i < 4; i++)
		rig_echo(i);
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	ck_assert_uint_eq(echo_count(rig.echo, stops), 4);
	for (unsigned i = 0; i < 4; i++)
		rig_echo(i);
}
END_TEST

/* vu_queue_stopped may come before queue_stop has returned. */
START_TEST(a_device_may_answer_at_once)
{
	uint32_t base;

	rig_teardown();
	rig_setup(&(struct echo_options){.num_queues = 2, .stop_inside = true});
	rig_ready(2);
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	ck_assert_int_eq(fe_get_vring_base(&rig.fe, 1, &base), 0);
	rig_hangup();
	ck_assert_uint_eq(echo_count(rig.echo, starts), 4);
	ck_assert_uint_eq(echo_count(rig.echo, stops), 4);
}
END_TEST

/* The next front-end waits in the backlog until the drain of the one before is over. */
START_TEST(a_disconnect_drains_before_the_next_front_end)
{
	struct fe next;
	struct vu_msg msg = request(VU_GET_FEATURES, 0);

	hold_one();
	fe_close(&rig.fe);
	rig_connect_fe(&next, rig.echo);
	ck_assert_int_eq(fe_send(&next, &msg), 0);
	next.timeout_ms = 100;
	ck_assert_int_eq(fe_await_reply(&next, VU_GET_FEATURES, 8, 0), -ETIMEDOUT);
	ck_assert_uint_eq(echo_count(rig.echo, disconnects), 0);
	next.error = 0;
	next.timeout_ms = FE_TIMEOUT_MS;
	echo_hold(rig.echo, false);
	ck_assert_int_eq(fe_await_reply(&next, VU_GET_FEATURES, 8, 0), 0);
	ck_assert_uint_eq(echo_count(rig.echo, disconnects), 1);
	fe_close(&next);
}
END_TEST

START_TEST(a_disconnect_while_a_message_waits_is_safe)
{
	hold_one();
	send_now(state(VU_GET_VRING_BASE, 0));
	no_reply_yet(VU_GET_VRING_BASE, 8);
	fe_close(&rig.fe);
	usleep(20000);
	echo_hold(rig.echo, false);
	rig_survived();
}
END_TEST

START_TEST(a_message_with_fds_that_waits_leaks_none)
{
	hold_one();
	rig.fe.protocol = 0; /* not waiting for the acknowledgement */
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	usleep(20000);
	fe_close(&rig.fe);
	usleep(20000);
	echo_hold(rig.echo, false);
	rig_survived();
}
END_TEST

/* A protocol error ends a session like a disconnect does: drained, then closed. */
START_TEST(a_protocol_error_drains_before_it_closes)
{
	hold_one();
	send_now(request(99, 0));
	ck_assert_int_eq(fe_await_close(&rig.fe, 100), -ETIMEDOUT);
	echo_hold(rig.echo, false);
	rig_closed();
	rig_answer(0); /* completed before the socket was closed */
	rig_survived();
}
END_TEST

static void closed(struct vu_device *dev)
{
	struct echo *e = container_of(dev, struct echo, dev);

	__atomic_store_n(&e->closed, 1, __ATOMIC_RELEASE);
}

static void close_device(void *arg)
{
	vu_device_close(&((struct echo *)arg)->dev, closed);
}

START_TEST(closing_the_device_drains_first)
{
	hold_one();
	daemon_call(&rig.daemon, close_device, rig.echo);
	usleep(50000);
	ck_assert_uint_eq(echo_count(rig.echo, closed), 0);
	echo_hold(rig.echo, false);
	wait_for(echo_count(rig.echo, closed));
	rig_closed();
	rig_answer(0);
	ck_assert_int_lt(access(rig.echo->path, F_OK), 0); /* its socket is gone */
}
END_TEST

/* The message is dropped with its fd. */
START_TEST(closing_the_device_while_a_message_waits_is_safe)
{
	hold_one();
	rig.fe.protocol = 0; /* not waiting for the acknowledgement */
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	usleep(50000);
	daemon_call(&rig.daemon, close_device, rig.echo);
	echo_hold(rig.echo, false);
	wait_for(echo_count(rig.echo, closed));
	rig_closed();
	fe_close(&rig.fe);
	ck_assert_uint_eq(held_now().fds, rig.before.fds - 1); /* its listener */
	ck_assert_uint_eq(held_now().maps, rig.before.maps);
}
END_TEST

static uint64_t cpu_us(void)
{
	struct timespec used;
	clockid_t clock;

	ck_assert_int_eq(pthread_getcpuclockid(rig.daemon.thread, &clock), 0);
	ck_assert_int_eq(clock_gettime(clock, &used), 0);
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

/* Neither messages that wait nor a hang-up keep the loop busy. */
START_TEST(a_drain_costs_no_cpu)
{
	uint64_t before;

	hold_one();
	send_now(state(VU_GET_VRING_BASE, 0));
	send_now(request(VU_GET_FEATURES, 0));
	usleep(50000);
	before = cpu_us();
	usleep(200000);
	fe_close(&rig.fe);
	usleep(200000);
	ck_assert_uint_lt(cpu_us() - before, 50000);
	echo_hold(rig.echo, false);
	rig_survived();
}
END_TEST

static void ask_connected(void *arg)
{
	*(bool *)arg = vu_device_connected(&rig.echo->dev);
}

START_TEST(connected_means_a_front_end_is_there)
{
	bool there = true;

	daemon_call(&rig.daemon, ask_connected, &there);
	ck_assert(!there);
	hold_one();
	daemon_call(&rig.daemon, ask_connected, &there);
	ck_assert(there);
	fe_close(&rig.fe);
	usleep(20000);
	daemon_call(&rig.daemon, ask_connected, &there);
	ck_assert(!there); /* draining still, but nobody is there */
	echo_hold(rig.echo, false);
}
END_TEST

/* Contract 1: a drain of more than 5 s names the ring and what it waits for. */
START_TEST(a_long_drain_is_logged)
{
	int saved = dup(STDERR_FILENO);
	char line[4096] = "";
	FILE *log = tmpfile();
	size_t n;

	log_set_level("warn");
	hold_one();
	ck_assert_int_ge(dup2(fileno(log), STDERR_FILENO), 0);
	send_now(state(VU_GET_VRING_BASE, 0));
	usleep(5300000);
	echo_hold(rig.echo, false);
	ck_assert_int_eq(fe_await_reply(&rig.fe, VU_GET_VRING_BASE, 8, 0), 0);
	ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
	rewind(log);
	n = fread(line, 1, sizeof(line) - 1, log);
	line[n] = '\0';
	ck_assert_msg(strstr(line, "echo0/q0: GET_VRING_BASE waits 5 s for 1 request") != NULL,
		      "logged: %s", line);
	fclose(log);
	close_fd(&saved);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_quiesce");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, rig_default, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, get_vring_base_waits_for_what_is_in_flight);
	tcase_add_test(tc, other_sessions_go_on_meanwhile);
	tcase_add_test(tc, later_messages_wait_their_turn);
	tcase_add_test(tc, changes_to_a_running_ring_are_made_by_quiescing);
	tcase_add_test(tc, an_address_change_waits_for_what_is_in_flight);
	tcase_add_test(tc, every_ring_is_quiesced_for_memory);
	tcase_add_test(tc, a_device_may_answer_at_once);
	tcase_add_test(tc, a_disconnect_drains_before_the_next_front_end);
	tcase_add_test(tc, a_disconnect_while_a_message_waits_is_safe);
	tcase_add_test(tc, a_message_with_fds_that_waits_leaks_none);
	tcase_add_test(tc, a_protocol_error_drains_before_it_closes);
	tcase_add_test(tc, closing_the_device_drains_first);
	tcase_add_test(tc, closing_the_device_while_a_message_waits_is_safe);
	tcase_add_test(tc, a_drain_costs_no_cpu);
	tcase_add_test(tc, connected_means_a_front_end_is_there);
	tcase_add_test(tc, a_long_drain_is_logged);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
