/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_inband.c - kicks, calls and errors as messages, as User-Mode Linux wants them: rings
 * without an eventfd, and rings that change from one to the other while they run.
 */
#include <string.h>

#include "tests/protocol/rig.h"

#define RUNNING (echo_count(rig.echo, starts) - echo_count(rig.echo, stops))

static struct {
	unsigned calls[ECHO_MAX_QUEUES];
	unsigned errors[ECHO_MAX_QUEUES];
} told;

static int on_channel(struct fe *fe, struct vu_msg *msg, void *arg)
{
	unsigned *counts = msg->hdr.request == VU_BACKEND_VRING_CALL ? told.calls : told.errors;

	(void)fe;
	(void)arg;
	ck_assert(msg->hdr.request == VU_BACKEND_VRING_CALL ||
		  msg->hdr.request == VU_BACKEND_VRING_ERR);
	ck_assert_uint_lt(msg->payload.state.index, 2);
	ck_assert_uint_eq(msg->payload.state.num, 0);
	counts[msg->payload.state.index]++;
	return 0;
}

static void two_rings(void)
{
	memset(&told, 0, sizeof(told));
	rig_setup(&(struct echo_options){.num_queues = 2});
}

static void open_channel(void)
{
	ck_assert_int_eq(fe_open_channel(&rig.fe, on_channel, NULL), 0);
}

/* set_up - all that a ring needs but a start. */
static void set_up(unsigned ring)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[ring], ring);

	ck_assert_int_eq(fe_set_vring_num(&rig.fe, ring, RIG_RING_SIZE), 0);
	ck_assert_int_eq(fe_set_vring_base(&rig.fe, ring, fe_ring_base(&rig.ring[ring])), 0);
	ck_assert_int_eq(fe_set_vring_addr(&rig.fe, ring, &addr), 0);
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, ring, true), 0);
}

/* negotiated - two rings, memory and the channel; no ring is started. */
static void negotiated(void)
{
	rig_negotiate();
	open_channel();
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	set_up(0);
	set_up(1);
}

static void serve(void)
{
	while (fe_channel_serve(&rig.fe, 20) == 1)
		;
}

static void expect_used(unsigned ring)
{
	struct fe_used used = {0};

	ck_assert_int_eq(fe_ring_poll(&rig.ring[ring], &used, 1), 1);
	ck_assert_mem_eq(rig.in[ring].host, rig.out[ring].host, used.len);
}

static void submit(unsigned ring)
{
	fe_ring_interrupts_on(&rig.ring[ring]);
	rig_submit(ring);
	ck_assert_int_eq(fe_vring_kick(&rig.fe, ring), 0);
}

/* echo - kicked by message, and not looked at before the call came. */
static void echo(unsigned ring)
{
	unsigned before = told.calls[ring];

	submit(ring);
	wait_for(fe_channel_serve(&rig.fe, 10) >= 0 && told.calls[ring] > before);
	expect_used(ring);
}

START_TEST(rings_are_started_kicked_and_called_by_message)
{
	negotiated();
	ck_assert_uint_eq(RUNNING, 0);
	for (unsigned i = 0; i < 20; i++) {
		echo(0);
		echo(1);
	}
	ck_assert_uint_eq(echo_count(rig.echo, starts), 2);
	rig_survived();
}
END_TEST

START_TEST(get_vring_base_stops_and_a_kick_starts_again)
{
	uint32_t base;

	negotiated();
	for (unsigned i = 1; i < 5; i++) {
		echo(0);
		ck_assert_int_eq(fe_get_vring_base(&rig.fe, 0, &base), 0);
		ck_assert_uint_eq(base, i);
		ck_assert_uint_eq(RUNNING, 0);
	}
	rig_survived();
}
END_TEST

/* By the document "no fd" means polling even then; from the first message on there is none. */
START_TEST(no_fd_means_polling_until_the_first_kick_by_message)
{
	negotiated();
	ck_assert_int_eq(fe_set_vring_call(&rig.fe, 0, -1), 0);
	ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, -1), 0);
	ck_assert_int_lt(rig.echo->queues[0].vq->kick_fd, 0);
	fe_ring_interrupts_on(&rig.ring[0]);
	rig_submit(0); /* nobody is told */
	wait_for(fe_channel_serve(&rig.fe, 10) >= 0 && told.calls[0]);
	expect_used(0);
	echo(0);
	ck_assert_int_ge(rig.echo->queues[0].vq->kick_fd, 0);
	ck_assert_uint_eq(echo_count(rig.echo, starts), 2);
	echo(0);
	ck_assert_uint_eq(echo_count(rig.echo, starts), 2);
	rig_survived();
}
END_TEST

START_TEST(a_real_kick_fd_and_messages_go_together)
{
	negotiated();
	ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, rig.ring[0].kick_fd), 0);
	ck_assert_int_eq(fe_set_vring_call(&rig.fe, 0, rig.ring[0].call_fd), 0);
	rig_echo(0);
	ck_assert_int_eq(fe_vring_kick(&rig.fe, 0), 0);
	rig_echo(0);
	serve();
	ck_assert_uint_eq(told.calls[0], 0);
	rig_survived();
}
END_TEST

/* Under a running ring: a masked vector goes from one to the other. */
START_TEST(call_changes_between_message_and_eventfd)
{
	negotiated();
	echo(0);
	for (unsigned i = 0; i < 5; i++) {
		unsigned before;

		ck_assert_int_eq(fe_set_vring_call(&rig.fe, 0, rig.ring[0].call_fd), 0);
		serve(); /* one too many may have been on its way */
		before = told.calls[0];
		rig_submit(0);
		ck_assert_int_eq(fe_vring_kick(&rig.fe, 0), 0);
		rig_answer(0);
		serve();
		ck_assert_uint_eq(told.calls[0], before);
		ck_assert_int_eq(fe_set_vring_call(&rig.fe, 0, -1), 0);
		serve();
		ck_assert_uint_eq(told.calls[0], before + 1); /* to be sure that none was lost */
		echo(0);
	}
	ck_assert_uint_eq(echo_count(rig.echo, stops), 0);
	rig_survived();
}
END_TEST

START_TEST(an_error_is_told)
{
	negotiated();
	echo(0);
	echo(1);
	rig_break(1);
	ck_assert_int_eq(fe_vring_kick(&rig.fe, 1), 0);
	wait_for(fe_channel_serve(&rig.fe, 10) >= 0 && told.errors[1]);
	ck_assert_uint_eq(told.errors[0], 0);
	echo(0);
	rig_survived();
}
END_TEST

START_TEST(err_changes_between_message_and_eventfd)
{
	uint64_t count;

	negotiated();
	echo(0);
	ck_assert_int_eq(fe_set_vring_err(&rig.fe, 0, rig.ring[0].err_fd), 0);
	rig_break(0);
	ck_assert_int_eq(fe_vring_kick(&rig.fe, 0), 0);
	wait_for(read(rig.ring[0].err_fd, &count, sizeof(count)) == sizeof(count));
	serve();
	ck_assert_uint_eq(told.errors[0], 0);
	ck_assert_int_eq(fe_set_vring_err(&rig.fe, 0, -1), 0);
	ck_assert_uint_eq(echo_count(rig.echo, stops), 0);
	rig_survived();
}
END_TEST

START_TEST(a_call_waits_for_the_channel_to_be_opened)
{
	negotiated();
	fe_channel_close(&rig.fe);
	submit(0);
	usleep(50000);
	expect_used(0);
	open_channel();
	wait_for(fe_channel_serve(&rig.fe, 10) >= 0 && told.calls[0]);
	echo(0);
}
END_TEST

/* What a ring signalled before it stopped is told before the front-end hears that it did. */
START_TEST(a_stopped_ring_has_told_all)
{
	uint32_t base;

	negotiated();
	for (unsigned i = 1; i < 50; i++) {
		unsigned before = told.calls[0];

		submit(0);
		ck_assert_int_eq(fe_get_vring_base(&rig.fe, 0, &base), 0);
		while (fe_channel_serve(&rig.fe, 0) == 1)
			;
		if (base == fe_ring_base(&rig.ring[0]) && base == i) {
			expect_used(0);
			ck_assert_uint_gt(told.calls[0], before);
		} else {
			ck_abort_msg("base %u, expected %u", base, i);
		}
	}
}
END_TEST

/* A suspended device sends nothing: what could not be told is told once it runs again. */
START_TEST(a_call_that_could_not_be_told_outlives_a_stop)
{
	uint32_t base;

	negotiated();
	fe_channel_close(&rig.fe);
	submit(0);
	wait_for(fe_ring_base(&rig.ring[0]) == 1);
	ck_assert_int_eq(fe_get_vring_base(&rig.fe, 0, &base), 0);
	ck_assert_uint_eq(base, 1);
	open_channel();
	serve();
	ck_assert_uint_eq(told.calls[0], 0);
	ck_assert_int_eq(fe_vring_kick(&rig.fe, 0), 0);
	wait_for(fe_channel_serve(&rig.fe, 10) >= 0 && told.calls[0]);
	expect_used(0);
}
END_TEST

START_TEST(a_reset_forgets_calls)
{
	negotiated();
	fe_channel_close(&rig.fe);
	submit(0);
	wait_for(fe_ring_base(&rig.ring[0]) == 1);
	ck_assert_int_eq(fe_reset_device(&rig.fe), 0);
	open_channel();
	fe_ring_reset(&rig.ring[0]);
	set_up(0);
	ck_assert_int_eq(fe_vring_kick(&rig.fe, 0), 0);
	serve();
	ck_assert_uint_eq(told.calls[0], 0);
	echo(0);
	rig_survived();
}
END_TEST

/* The document: an error that is answered by hanging up. */
START_TEST(not_without_reply_ack_and_channel)
{
	static const uint64_t bad[] = {
		VU_BIT(VU_PF_INBAND_NOTIFICATIONS),
		VU_BIT(VU_PF_INBAND_NOTIFICATIONS) | VU_BIT(VU_PF_REPLY_ACK),
		VU_BIT(VU_PF_INBAND_NOTIFICATIONS) | VU_BIT(VU_PF_BACKEND_REQ),
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vu_msg msg = request(VU_SET_PROTOCOL_FEATURES, 8);

		rig_negotiate();
		msg.hdr.flags |= VU_FLAG_NEED_REPLY;
		msg.payload.u64 = bad[i];
		closes(msg);
		rig_hangup();
	}
	rig_survived();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_inband");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, two_rings, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, rings_are_started_kicked_and_called_by_message);
	tcase_add_test(tc, get_vring_base_stops_and_a_kick_starts_again);
	tcase_add_test(tc, no_fd_means_polling_until_the_first_kick_by_message);
	tcase_add_test(tc, a_real_kick_fd_and_messages_go_together);
	tcase_add_test(tc, call_changes_between_message_and_eventfd);
	tcase_add_test(tc, an_error_is_told);
	tcase_add_test(tc, err_changes_between_message_and_eventfd);
	tcase_add_test(tc, a_call_waits_for_the_channel_to_be_opened);
	tcase_add_test(tc, a_stopped_ring_has_told_all);
	tcase_add_test(tc, a_call_that_could_not_be_told_outlives_a_stop);
	tcase_add_test(tc, a_reset_forgets_calls);
	tcase_add_test(tc, not_without_reply_ack_and_channel);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
