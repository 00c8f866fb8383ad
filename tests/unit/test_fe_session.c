/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_fe_session.c - a front-end session takes a reply only when it is one to its request, keeps
 * to its timeout, answers the back-end channel, and leaks nothing. Tests frontend/frontend,
 * requests and channel. The peer is the other end of a socket pair: a request waits for nothing
 * that was not written there before it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "tests/unit/fe_peer.h"
#include "vhost/base/clock.h"
#include "vhost/base/util.h"
#include "vhost/frontend/frontend.h"

static struct fe fe;
static int peer;

static void open_session(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(fe_adopt(&fe, pair[0]), 0);
	peer = pair[1];
	fe.timeout_ms = 50;
}

static void close_session(void)
{
	fe_close(&fe);
	close_fd(&peer);
}

static void reply_u64(uint32_t request, uint64_t value)
{
	say_to(peer, request, REPLY_FLAGS, sizeof(value), &value, 0);
}

START_TEST(a_reply_is_taken)
{
	uint64_t features = 0;

	open_session();
	reply_u64(VU_GET_FEATURES, 0x140000000ull);
	ck_assert_int_eq(fe_get_features(&fe, &features), 0);
	ck_assert_uint_eq(features, 0x140000000ull);
	ck_assert_uint_eq(fe.offered, features);
	ck_assert_uint_eq(heard(peer).hdr.request, VU_GET_FEATURES);
	close_session();
}
END_TEST

static const struct {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
	unsigned num_fds;
	int expected;
} wrong_replies[] = {
	{VU_GET_QUEUE_NUM, REPLY_FLAGS, 8, 0, -EPROTO},
	{VU_GET_FEATURES, VU_VERSION, 8, 0, -EPROTO},
	{VU_GET_FEATURES, REPLY_FLAGS | VU_FLAG_NEED_REPLY, 8, 0, -EPROTO},
	{VU_GET_FEATURES, VU_FLAG_REPLY | 2, 8, 0, -EPROTO},
	{VU_GET_FEATURES, REPLY_FLAGS, 4, 0, -EPROTO},
	{VU_GET_FEATURES, REPLY_FLAGS, 16, 0, -EPROTO},
	{VU_GET_FEATURES, REPLY_FLAGS, 8, 1, -EPROTO},
	{VU_GET_FEATURES, REPLY_FLAGS, 0, 0, -EREMOTEIO},
};

START_TEST(a_reply_to_something_else_is_not)
{
	static const char payload[16] = "";
	unsigned fds = open_fds();
	uint64_t features = 77;

	open_session();
	say_to(peer, wrong_replies[_i].request, wrong_replies[_i].flags, wrong_replies[_i].size,
	       payload, wrong_replies[_i].num_fds);
	ck_assert_int_eq(fe_get_features(&fe, &features), wrong_replies[_i].expected);
	ck_assert_uint_eq(features, 77);
	/* A refusal leaves the session as it was; anything else ends it. */
	reply_u64(VU_GET_FEATURES, 5);
	ck_assert_int_eq(fe_get_features(&fe, &features),
			 wrong_replies[_i].expected == -EREMOTEIO ? 0 : -EPROTO);
	close_session();
	ck_assert_uint_eq(open_fds(), fds);
}
END_TEST

START_TEST(a_silent_peer_costs_no_more_than_the_timeout)
{
	uint64_t start = clock_ns(), features;

	open_session();
	ck_assert_int_eq(fe_get_features(&fe, &features), -ETIMEDOUT);
	ck_assert_uint_ge(clock_ns() - start, 49000000);
	ck_assert_uint_lt(clock_ns() - start, 2000000000);
	ck_assert_int_eq(fe_set_owner(&fe), -ETIMEDOUT);
	close_session();
}
END_TEST

START_TEST(half_a_reply_is_none)
{
	static const struct vu_header half = {VU_GET_FEATURES, REPLY_FLAGS, 8};
	uint64_t features;

	open_session();
	ck_assert_int_eq(write(peer, &half, sizeof(half)), sizeof(half));
	ck_assert_int_eq(fe_get_features(&fe, &features), -ETIMEDOUT);
	close_session();
}
END_TEST

START_TEST(a_peer_that_is_gone_is_said_so)
{
	uint64_t features;

	open_session();
	close_fd(&peer);
	ck_assert_int_eq(fe_get_features(&fe, &features), -ECONNRESET);
	ck_assert_int_eq(fe_await_close(&fe, 10), 0);
	close_session();
}
END_TEST

START_TEST(a_request_waits_for_its_ack_only_when_negotiated)
{
	struct vu_msg msg;

	open_session();
	ck_assert_int_eq(fe_set_owner(&fe), 0);
	ck_assert_uint_eq(heard(peer).hdr.flags, VU_VERSION);
	fe.protocol = VU_BIT(VU_PF_REPLY_ACK);
	reply_u64(VU_SET_VRING_NUM, 0);
	ck_assert_int_eq(fe_set_vring_num(&fe, 2, 256), 0);
	msg = heard(peer);
	ck_assert_uint_eq(msg.hdr.flags, VU_VERSION | VU_FLAG_NEED_REPLY);
	ck_assert_uint_eq(msg.payload.state.index, 2);
	ck_assert_uint_eq(msg.payload.state.num, 256);
	reply_u64(VU_SET_VRING_NUM, 1);
	ck_assert_int_eq(fe_set_vring_num(&fe, 2, 3), -EREMOTEIO);
	ck_assert_int_eq(fe.error, 0);
	close_session();
}
END_TEST

START_TEST(an_fd_of_minus_one_is_the_no_fd_bit)
{
	struct vu_msg msg;

	open_session();
	ck_assert_int_eq(fe_set_vring_kick(&fe, 5, -1), 0);
	msg = heard(peer);
	ck_assert_uint_eq(msg.payload.u64, 5 | VU_VRING_NO_FD);
	ck_assert_uint_eq(msg.num_fds, 0);
	ck_assert_int_eq(fe_set_vring_call(&fe, 5, STDERR_FILENO), 0);
	msg = heard(peer);
	ck_assert_uint_eq(msg.payload.u64, 5);
	ck_assert_uint_eq(msg.num_fds, 1);
	vu_msg_close_fds(&msg);
	close_session();
}
END_TEST

START_TEST(a_ring_base_of_another_ring_is_refused)
{
	struct vu_vring_state state = {.index = 1, .num = 7};
	uint32_t base = 0;

	open_session();
	say_to(peer, VU_GET_VRING_BASE, REPLY_FLAGS, sizeof(state), &state, 0);
	ck_assert_int_eq(fe_get_vring_base(&fe, 0, &base), -EPROTO);
	say_to(peer, VU_GET_VRING_BASE, REPLY_FLAGS, sizeof(state), &state, 0);
	ck_assert_int_eq(fe_get_vring_base(&fe, 1, &base), 0);
	ck_assert_uint_eq(base, 7);
	close_session();
}
END_TEST

START_TEST(config_is_what_was_asked_for)
{
	struct vu_config config = {.offset = 0, .size = 8};
	uint8_t data[8];

	open_session();
	config.data[7] = 42;
	say_to(peer, VU_GET_CONFIG, REPLY_FLAGS, VU_CONFIG_HEADER_BYTES + 8, &config, 0);
	ck_assert_int_eq(fe_get_config(&fe, 0, 8, data), 0);
	ck_assert_uint_eq(data[7], 42);
	say_to(peer, VU_GET_CONFIG, REPLY_FLAGS, VU_CONFIG_HEADER_BYTES + 8, &config, 0);
	ck_assert_int_eq(fe_get_config(&fe, 4, 8, data), -EPROTO);
	ck_assert_int_eq(fe_get_config(&fe, 0, VU_MAX_CONFIG + 1, data), -EINVAL);
	close_session();
}
END_TEST

static int refuse_errors(struct fe *session, struct vu_msg *msg, void *arg)
{
	ck_assert_ptr_eq(session, &fe);
	++*(unsigned *)arg;
	return msg->hdr.request == VU_BACKEND_VRING_ERR ? -EINVAL : 0;
}

/* Return: the back-end's end of the channel. */
static int open_channel(unsigned *calls)
{
	struct vu_msg msg;
	int fd;

	open_session();
	ck_assert_int_eq(fe_open_channel(&fe, refuse_errors, calls), 0);
	msg = heard(peer);
	ck_assert_uint_eq(msg.hdr.request, VU_SET_BACKEND_REQ_FD);
	ck_assert_uint_eq(msg.num_fds, 1);
	fd = vu_msg_take_fd(&msg, 0);
	vu_msg_close_fds(&msg);
	return fd;
}

START_TEST(the_channel_is_answered)
{
	struct vu_vring_state state = {0};
	unsigned calls = 0;
	struct vu_msg answer;
	int chan = open_channel(&calls);

	ck_assert_int_eq(fe_channel_serve(&fe, 0), 0);
	say_to(chan, VU_BACKEND_CONFIG_CHANGE, VU_VERSION | VU_FLAG_NEED_REPLY, 0, "", 1);
	ck_assert_int_eq(fe_channel_serve(&fe, 1000), 1);
	answer = heard(chan);
	ck_assert_uint_eq(answer.hdr.flags, REPLY_FLAGS);
	ck_assert_uint_eq(answer.hdr.request, VU_BACKEND_CONFIG_CHANGE);
	ck_assert_uint_eq(answer.payload.u64, 0);
	ck_assert_uint_eq(fe.config_changes, 1);
	say_to(chan, VU_BACKEND_VRING_ERR, VU_VERSION | VU_FLAG_NEED_REPLY, sizeof(state), &state,
	       0);
	ck_assert_int_eq(fe_channel_serve(&fe, 1000), 1);
	ck_assert_uint_ne(heard(chan).payload.u64, 0);
	ck_assert_uint_eq(calls, 2);
	close_fd(&chan);
	ck_assert_int_eq(fe_channel_serve(&fe, 1000), -ECONNRESET);
	close_session();
}
END_TEST

START_TEST(a_waiting_request_serves_the_channel)
{
	unsigned calls = 0;
	int chan = open_channel(&calls);
	uint64_t features;

	say_to(chan, VU_BACKEND_CONFIG_CHANGE, VU_VERSION, 0, "", 0);
	ck_assert_int_eq(fe_get_features(&fe, &features), -ETIMEDOUT);
	ck_assert_uint_eq(calls, 1);
	close_fd(&chan);
	close_session();
}
END_TEST

START_TEST(a_malformed_channel_request_closes_the_channel)
{
	unsigned calls = 0, fds = open_fds();
	int chan = open_channel(&calls);

	say_to(chan, VU_BACKEND_HOST_NOTIFIER, VU_VERSION, 8, "12345678", 2);
	ck_assert_int_eq(fe_channel_serve(&fe, 1000), -EPROTO);
	ck_assert_uint_eq(calls, 0);
	ck_assert_int_eq(fe.channel_fd, -1);
	close_fd(&chan);
	close_session();
	ck_assert_uint_eq(open_fds(), fds);
}
END_TEST

START_TEST(memory_is_sealed_and_described)
{
	struct fe_memory mem;
	struct vu_region region;
	struct fe_mem piece;
	struct vu_msg msg;

	fe_memory_init(&mem);
	ck_assert_int_eq(fe_memory_add(&mem, 0, 0, false), -EINVAL);
	ck_assert_int_eq(fe_memory_add(&mem, 0, 100, false), -EINVAL);
	ck_assert_int_eq(fe_memory_add(&mem, UINT64_MAX - 4095 - 4096, 3 * 4096, false), -EINVAL);
	ck_assert_int_eq(fe_memory_add(&mem, 0x10000, 0x10000, false), 0);
	ck_assert_int_eq(fe_memory_add(&mem, 0x1f000, 0x1000, false), -EEXIST);
	ck_assert_int_eq(fe_memory_add(&mem, FE_GPA_IDENTITY, 0x4000, false), 0);
	ck_assert_int_ne(ftruncate(mem.regions[0].fd, 0), 0);
	ck_assert_int_ne(ftruncate(mem.regions[0].fd, 1 << 20), 0);
	region = fe_memory_describe(&mem, 1);
	ck_assert_uint_eq(region.gpa, region.uva);

	ck_assert_int_eq(fe_alloc(&mem, 1, 1, &piece), 0);
	ck_assert_int_eq(fe_alloc(&mem, 0xf000, 0x1000, &piece), 0);
	ck_assert_uint_eq(piece.gpa, 0x11000);
	ck_assert_ptr_eq(fe_memory_host(&mem, 0x11000, 0xf000), piece.host);
	ck_assert_ptr_null(fe_memory_host(&mem, 0x11000, 0xf001));
	ck_assert_int_eq(fe_alloc_in(&mem, 0, 1, 1, &piece), -ENOSPC);
	ck_assert_int_eq(fe_alloc(&mem, 0x4000, 16, &piece), 0); /* the other region */

	open_session();
	ck_assert_int_eq(fe_share_memory(&fe, &mem), 0);
	msg = heard(peer);
	ck_assert_uint_eq(msg.hdr.request, VU_SET_MEM_TABLE);
	ck_assert_uint_eq(msg.hdr.size, 8 + 2 * 32);
	ck_assert_uint_eq(msg.num_fds, 2);
	ck_assert_uint_eq(msg.payload.mem.regions[0].gpa, 0x10000);
	vu_msg_close_fds(&msg);
	close_session();
	fe_memory_free(&mem);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fe_session");
	TCase *tc = tcase_create("session");

	tcase_add_test(tc, a_reply_is_taken);
	tcase_add_loop_test(tc, a_reply_to_something_else_is_not, 0, ARRAY_SIZE(wrong_replies));
	tcase_add_test(tc, a_silent_peer_costs_no_more_than_the_timeout);
	tcase_add_test(tc, half_a_reply_is_none);
	tcase_add_test(tc, a_peer_that_is_gone_is_said_so);
	tcase_add_test(tc, a_request_waits_for_its_ack_only_when_negotiated);
	tcase_add_test(tc, an_fd_of_minus_one_is_the_no_fd_bit);
	tcase_add_test(tc, a_ring_base_of_another_ring_is_refused);
	tcase_add_test(tc, config_is_what_was_asked_for);
	tcase_add_test(tc, the_channel_is_answered);
	tcase_add_test(tc, a_waiting_request_serves_the_channel);
	tcase_add_test(tc, a_malformed_channel_request_closes_the_channel);
	tcase_add_test(tc, memory_is_sealed_and_described);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
