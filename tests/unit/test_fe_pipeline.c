/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_fe_pipeline.c - requests that nobody waits for: they go out in order as the socket takes them,
 * their replies are matched in order, and whatever breaks a rule ends the session once. Tests
 * frontend/pipeline and messages. The peer is the other end of a socket pair.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "tests/unit/fe_peer.h"
#include "vhost/base/clock.h"
#include "vhost/base/util.h"
#include "vhost/frontend/pipeline.h"

#define MAX_DONE 4096

static struct loop *loop;
static struct fe_pipeline p;
static int peer;
static unsigned fds_before;

static char lost[256];
static unsigned num_lost;
static unsigned num_changes;

/* What functions were called with, in order. */
static struct {
	int error;
	unsigned number; /* the argument */
	uint32_t request;
	bool replied;
	uint64_t value;
} done[MAX_DONE];
static unsigned num_done;
static bool close_from_within;
static int taken_fd = -1;

static void on_lost(struct fe_pipeline *pipe, const char *reason)
{
	ck_assert_ptr_eq(pipe, &p);
	ck_assert(!fe_pipeline_is_open(&p));
	snprintf(lost, sizeof(lost), "%s", reason);
	num_lost++;
}

static void on_change(struct fe_pipeline *pipe)
{
	ck_assert_ptr_eq(pipe, &p);
	num_changes++;
	if (close_from_within)
		fe_pipeline_close(&p);
}

static const struct fe_pipeline_ops ops = {.lost = on_lost, .config_change = on_change};

static void on_done(struct fe_pipeline *pipe, int error, struct vu_msg *reply, void *arg)
{
	ck_assert_ptr_eq(pipe, &p);
	ck_assert_uint_lt(num_done, MAX_DONE);
	done[num_done].error = error;
	done[num_done].number = (unsigned)(uintptr_t)arg;
	done[num_done].request = pipe->finished;
	done[num_done].replied = reply != NULL;
	done[num_done].value = reply ? reply->payload.u64 : 0;
	num_done++;
	if (reply && reply->num_fds)
		taken_fd = vu_msg_take_fd(reply, 0);
	if (close_from_within)
		fe_pipeline_close(&p);
}

static void setup(void)
{
	int pair[2];

	fds_before = open_fds();
	ck_assert_int_eq(loop_create(&loop), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	peer = pair[1];
	fe_pipeline_init(&p, loop, &ops);
	p.timeout_ms = 100;
	p.stop_timeout_ms = 300;
	ck_assert_int_eq(fe_pipeline_open(&p, pair[0]), 0);
}

static void teardown(void)
{
	fe_pipeline_close(&p);
	close_fd(&peer);
	close_fd(&taken_fd);
	loop_destroy(loop);
	ck_assert_uint_eq(open_fds(), fds_before);
}

static void on_turns_over(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(loop);
}

static void turn(unsigned ms)
{
	struct loop_timer timer = {0};

	loop_timer_set(loop, &timer, ms, on_turns_over);
	ck_assert_int_eq(loop_run(loop), 0);
	loop_timer_cancel(loop, &timer);
}

static void query(unsigned number)
{
	struct vu_msg msg;

	vu_msg_init(&msg, VU_GET_FEATURES);
	fe_pipeline_query(&p, &msg, 8, 0, on_done, (void *)(uintptr_t)number);
}

static void tell(unsigned number)
{
	struct vu_msg msg;

	fe_msg_state(&msg, VU_SET_VRING_NUM, number, 256);
	fe_pipeline_request(&p, &msg, on_done, (void *)(uintptr_t)number);
}

static void say_u64(uint32_t request, uint64_t value)
{
	say_to(peer, request, REPLY_FLAGS, sizeof(value), &value, 0);
}

static bool silent(int sock)
{
	char byte;

	return recv(sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

/* --- what works --- */

START_TEST(requests_go_out_in_order_and_replies_come_back_in_order)
{
	query(1);
	query(2);
	tell(3);
	query(4);
	ck_assert(silent(peer)); /* from the loop only */
	turn(1);
	ck_assert_uint_eq(heard(peer).hdr.request, VU_GET_FEATURES);
	ck_assert_uint_eq(heard(peer).hdr.request, VU_GET_FEATURES);
	ck_assert_uint_eq(heard(peer).hdr.request, VU_SET_VRING_NUM);
	ck_assert_uint_eq(heard(peer).hdr.request, VU_GET_FEATURES);
	ck_assert_uint_eq(num_done, 0);
	ck_assert(!fe_pipeline_idle(&p));
	say_u64(VU_GET_FEATURES, 11);
	say_u64(VU_GET_FEATURES, 12);
	say_u64(VU_GET_FEATURES, 14);
	turn(1);
	ck_assert_uint_eq(num_done, 4);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(done[i].number, i + 1);
		ck_assert_int_eq(done[i].error, 0);
		ck_assert_uint_eq(done[i].value, i == 2 ? 0 : 11 + i);
		ck_assert_uint_eq(done[i].request, i == 2 ? VU_SET_VRING_NUM : VU_GET_FEATURES);
	}
	ck_assert(fe_pipeline_idle(&p));
	turn(250); /* nobody's time runs any more */
	ck_assert_uint_eq(num_lost, 0);
}
END_TEST

START_TEST(without_reply_ack_sent_is_done)
{
	tell(1);
	turn(1);
	ck_assert_uint_eq(num_done, 1);
	ck_assert_uint_eq(heard(peer).hdr.flags, VU_VERSION);
}
END_TEST

START_TEST(with_reply_ack_a_request_wants_its_answer)
{
	p.protocol = VU_BIT(VU_PF_REPLY_ACK);
	tell(1);
	tell(2);
	query(3);
	turn(1);
	ck_assert_uint_eq(num_done, 0);
	ck_assert_uint_eq(heard(peer).hdr.flags, VU_VERSION | VU_FLAG_NEED_REPLY);
	ck_assert_uint_eq(heard(peer).hdr.flags, VU_VERSION | VU_FLAG_NEED_REPLY);
	ck_assert_uint_eq(heard(peer).hdr.flags, VU_VERSION); /* it has a reply of its own */
	say_u64(VU_SET_VRING_NUM, 0);
	say_u64(VU_SET_VRING_NUM, 22);
	say_u64(VU_GET_FEATURES, 33);
	turn(1);
	ck_assert_uint_eq(num_done, 3);
	ck_assert_int_eq(done[0].error, 0);
	ck_assert(!done[0].replied);
	ck_assert_int_eq(done[1].error, -EREMOTEIO);
	ck_assert_int_eq(done[2].error, 0); /* a refusal is not the end */
	ck_assert_uint_eq(done[2].value, 33);
}
END_TEST

START_TEST(an_empty_reply_is_a_refusal)
{
	query(1);
	turn(1);
	say_to(peer, VU_GET_FEATURES, REPLY_FLAGS, 0, "", 0);
	turn(1);
	ck_assert_uint_eq(num_done, 1);
	ck_assert_int_eq(done[0].error, -EREMOTEIO);
	ck_assert(!done[0].replied);
	ck_assert(fe_pipeline_is_open(&p));
}
END_TEST

/* The caller may close its own at once; none is kept once it is sent. */
START_TEST(fds_are_duplicated_until_they_are_sent)
{
	int mem = test_memfd(4096);
	struct stat st, sent;
	struct vu_msg msg, got;
	unsigned fds;

	ck_assert_int_eq(fstat(mem, &st), 0);
	p.protocol = VU_BIT(VU_PF_REPLY_ACK); /* it is not done yet when it is sent */
	fe_msg_vring_fd(&msg, VU_SET_VRING_KICK, 3, mem);
	fe_pipeline_request(&p, &msg, on_done, NULL);
	close_fd(&mem);
	fds = open_fds();
	turn(1);
	ck_assert_uint_eq(open_fds(), fds - 1);
	got = heard(peer);
	ck_assert_uint_eq(got.num_fds, 1);
	ck_assert_int_eq(fstat(got.fds[0], &sent), 0);
	ck_assert_uint_eq(sent.st_ino, st.st_ino);
	vu_msg_close_fds(&got);
}
END_TEST

START_TEST(fds_of_what_was_never_sent_are_closed)
{
	struct vu_msg msg;
	unsigned fds = open_fds();

	fe_msg_vring_fd(&msg, VU_SET_VRING_KICK, 3, STDERR_FILENO);
	for (unsigned i = 0; i < 100; i++)
		fe_pipeline_request(&p, &msg, on_done, NULL);
	ck_assert_uint_eq(open_fds(), fds + 100);
	fe_pipeline_close(&p);
	ck_assert_uint_eq(open_fds(), fds - 1); /* the socket's */
	ck_assert_uint_eq(num_done, 0);
	ck_assert_uint_eq(num_lost, 0);
}
END_TEST

START_TEST(fds_of_a_reply_can_be_taken_and_the_rest_are_closed)
{
	struct vu_inflight in = {.mmap_size = 8};
	struct vu_msg msg;
	unsigned fds = open_fds();

	fe_msg_get_inflight(&msg, 1, 256);
	fe_pipeline_query(&p, &msg, sizeof(in), 2, on_done, NULL);
	turn(1);
	say_to(peer, VU_GET_INFLIGHT_FD, REPLY_FLAGS, sizeof(in), &in, 2);
	turn(1);
	ck_assert_uint_eq(num_done, 1);
	ck_assert_int_ge(taken_fd, 0);
	ck_assert_uint_eq(open_fds(), fds + 1);
}
END_TEST

START_TEST(a_socket_that_takes_nothing_is_waited_for)
{
	const unsigned many = 2000;
	unsigned read = 0;

	for (unsigned i = 0; i < many; i++)
		tell(i);
	turn(1);
	ck_assert_uint_lt(num_done, many);
	while (read < many) {
		while (!silent(peer)) {
			struct vu_msg msg = heard(peer);

			ck_assert_uint_eq(msg.payload.state.index, read++);
		}
		turn(0);
	}
	ck_assert_uint_eq(num_done, many);
	ck_assert_uint_eq(num_lost, 0);
}
END_TEST

/* answer_all - as a back-end that is faster than we are; it does not wait for room. */
static void answer_all(void)
{
	while (!silent(peer)) {
		struct vu_msg msg = heard(peer);

		say_u64(msg.hdr.request, 0);
	}
}

/* The rings of a device with many queues come at once. */
START_TEST(there_is_room_for_the_replies_to_all_that_is_sent)
{
	const unsigned many = 1000;
	uint64_t end = clock_ns() + 10000000000ull;

	p.timeout_ms = 5000;
	p.protocol = VU_BIT(VU_PF_REPLY_ACK);
	for (unsigned i = 0; i < many; i++)
		tell(i);
	while (num_done < many && !num_lost && clock_ns() < end) {
		turn(1);
		answer_all();
	}
	ck_assert_uint_eq(num_lost, 0);
	ck_assert_uint_eq(num_done, many);
	for (unsigned i = 0; i < many; i++)
		ck_assert_uint_eq(done[i].number, i);
}
END_TEST

START_TEST(a_reply_in_pieces_is_put_together)
{
	struct {
		struct vu_header hdr;
		uint64_t value;
	} __attribute__((packed)) reply = {{VU_GET_FEATURES, REPLY_FLAGS, 8}, 77};

	query(1);
	turn(1);
	for (size_t i = 0; i < sizeof(reply); i++) {
		ck_assert_uint_eq(num_done, 0);
		ck_assert_int_eq(write(peer, (char *)&reply + i, 1), 1);
		turn(0);
	}
	turn(1);
	ck_assert_uint_eq(num_done, 1);
	ck_assert_uint_eq(done[0].value, 77);
}
END_TEST

START_TEST(it_can_be_closed_from_within_a_function)
{
	close_from_within = true;
	query(1);
	query(2);
	turn(1);
	say_u64(VU_GET_FEATURES, 1);
	say_u64(VU_GET_FEATURES, 2);
	turn(10);
	ck_assert_uint_eq(num_done, 1);
	ck_assert_uint_eq(num_lost, 0);
	ck_assert(!fe_pipeline_is_open(&p));
}
END_TEST

START_TEST(a_closed_one_can_be_opened_again)
{
	int pair[2];

	query(1);
	fe_pipeline_close(&p);
	close_fd(&peer);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	peer = pair[1];
	ck_assert_int_eq(fe_pipeline_open(&p, pair[0]), 0);
	query(2);
	turn(1);
	ck_assert_uint_eq(heard(peer).hdr.request, VU_GET_FEATURES);
	say_u64(VU_GET_FEATURES, 5);
	turn(1);
	ck_assert_uint_eq(num_done, 1);
	ck_assert_uint_eq(done[0].number, 2);
}
END_TEST

/* --- what breaks a rule --- */

static const struct {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
	unsigned num_fds;
} wrong_replies[] = {
	{VU_GET_QUEUE_NUM, REPLY_FLAGS, 8, 0},
	{VU_GET_FEATURES, VU_VERSION, 8, 0},
	{VU_GET_FEATURES, REPLY_FLAGS | VU_FLAG_NEED_REPLY, 8, 0},
	{VU_GET_FEATURES, REPLY_FLAGS | 0x10, 8, 0},
	{VU_GET_FEATURES, VU_FLAG_REPLY | 2, 8, 0},
	{VU_GET_FEATURES, REPLY_FLAGS, 4, 0},
	{VU_GET_FEATURES, REPLY_FLAGS, 16, 0},
	{VU_GET_FEATURES, REPLY_FLAGS, 8, 1},
	{VU_GET_FEATURES, REPLY_FLAGS, 0, 1},
	{0xffffffff, REPLY_FLAGS, 8, 0},
};

START_TEST(a_reply_to_something_else_ends_the_session_once)
{
	static const char payload[16] = "";

	query(1);
	query(2);
	turn(1);
	say_to(peer, wrong_replies[_i].request, wrong_replies[_i].flags, wrong_replies[_i].size,
	       payload, wrong_replies[_i].num_fds);
	say_u64(VU_GET_FEATURES, 5);
	turn(150);
	ck_assert_uint_eq(num_lost, 1);
	ck_assert_uint_eq(num_done, 0);
	query(3); /* has no effect, and does no harm */
	tell(4);
	turn(1);
	ck_assert_uint_eq(num_lost, 1);
}
END_TEST

START_TEST(a_reply_that_nobody_asked_for_ends_the_session)
{
	say_u64(VU_GET_FEATURES, 5);
	turn(1);
	ck_assert_uint_eq(num_lost, 1);
	ck_assert_ptr_nonnull(strstr(lost, "nobody asked"));
}
END_TEST

/* The request is queued, but the socket is full: this is no reply to it. */
START_TEST(a_reply_before_its_request_ends_the_session)
{
	static const char fill[4096];

	while (send(p.sock, fill, sizeof(fill), MSG_DONTWAIT) > 0)
		;
	query(1);
	turn(1);
	ck_assert(!fe_pipeline_idle(&p));
	say_u64(VU_GET_FEATURES, 5);
	turn(1);
	ck_assert_uint_eq(num_lost, 1);
	ck_assert_uint_eq(num_done, 0);
}
END_TEST

static void junk_bytes(void)
{
	ck_assert_int_eq(write(peer, "no message at all", 16), 16);
}

static void too_long(void)
{
	struct vu_header hdr = {VU_GET_FEATURES, REPLY_FLAGS, VU_MAX_PAYLOAD + 1};

	ck_assert_int_eq(write(peer, &hdr, sizeof(hdr)), sizeof(hdr));
}

static void hang_up(void)
{
	close_fd(&peer);
}

static void hang_up_within(void)
{
	struct vu_header hdr = {VU_GET_FEATURES, REPLY_FLAGS, 8};

	ck_assert_int_eq(write(peer, &hdr, sizeof(hdr) - 1), sizeof(hdr) - 1);
	close_fd(&peer);
}

static void (*const ends[])(void) = {junk_bytes, too_long, hang_up, hang_up_within};

START_TEST(what_is_no_message_ends_the_session)
{
	query(1);
	turn(1);
	ends[_i]();
	turn(10);
	ck_assert_uint_eq(num_lost, 1);
	ck_assert_uint_eq(num_done, 0);
}
END_TEST

START_TEST(a_peer_that_is_gone_before_the_first_request)
{
	close_fd(&peer);
	query(1);
	turn(10);
	ck_assert_uint_eq(num_lost, 1);
}
END_TEST

/* --- time --- */

START_TEST(silence_ends_the_session_in_time)
{
	uint64_t start = clock_ns();

	query(1);
	while (!num_lost && clock_ns() - start < 2000000000)
		turn(5);
	ck_assert_uint_eq(num_lost, 1);
	ck_assert_ptr_nonnull(strstr(lost, "has not answered GET_FEATURES"));
	ck_assert_uint_ge(clock_ns() - start, 99000000);
}
END_TEST

START_TEST(half_a_reply_is_no_answer)
{
	struct vu_header hdr = {VU_GET_FEATURES, REPLY_FLAGS, 8};

	query(1);
	turn(1);
	ck_assert_int_eq(write(peer, &hdr, sizeof(hdr)), sizeof(hdr));
	turn(150);
	ck_assert_uint_eq(num_lost, 1);
	ck_assert_ptr_nonnull(strstr(lost, "has not answered"));
}
END_TEST

START_TEST(a_peer_that_reads_nothing_loses_the_session_in_time)
{
	for (unsigned i = 0; i < 2000; i++)
		tell(i);
	turn(200);
	ck_assert_uint_eq(num_lost, 1);
	ck_assert_ptr_nonnull(strstr(lost, "has not read"));
}
END_TEST

/* GET_VRING_BASE waits for requests of the guest; what is queued behind has its own time after. */
START_TEST(the_end_of_a_ring_has_more_time_and_others_wait_their_turn)
{
	struct vu_vring_state base = {.index = 1, .num = 9};
	struct vu_msg msg;

	p.stop_timeout_ms = 1000;
	fe_msg_state(&msg, VU_GET_VRING_BASE, 1, 0);
	fe_pipeline_query(&p, &msg, sizeof(base), 0, on_done, NULL);
	query(2);
	turn(200); /* longer than the query alone would have */
	ck_assert_uint_eq(num_lost, 0);
	say_to(peer, VU_GET_VRING_BASE, REPLY_FLAGS, sizeof(base), &base, 0);
	turn(50);
	ck_assert_uint_eq(num_done, 1);
	ck_assert_uint_eq(num_lost, 0);
	turn(100);
	ck_assert_uint_eq(num_lost, 1);
}
END_TEST

/* --- the back-end channel --- */

static int open_channel(void)
{
	struct vu_msg msg;
	int fd;

	ck_assert_int_eq(fe_pipeline_open_channel(&p, on_done, NULL), 0);
	turn(1);
	msg = heard(peer);
	ck_assert_uint_eq(msg.hdr.request, VU_SET_BACKEND_REQ_FD);
	ck_assert_uint_eq(msg.num_fds, 1);
	fd = vu_msg_take_fd(&msg, 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

START_TEST(a_change_is_reported_and_answered)
{
	auto_close int chan = open_channel();
	struct vu_msg answer;

	say_to(chan, VU_BACKEND_CONFIG_CHANGE, VU_VERSION, 0, "", 0);
	say_to(chan, VU_BACKEND_CONFIG_CHANGE, VU_VERSION | VU_FLAG_NEED_REPLY, 0, "", 1);
	turn(1);
	ck_assert_uint_eq(num_changes, 2);
	answer = heard(chan);
	ck_assert_uint_eq(answer.hdr.request, VU_BACKEND_CONFIG_CHANGE);
	ck_assert_uint_eq(answer.hdr.flags, REPLY_FLAGS);
	ck_assert_uint_eq(answer.payload.u64, 0);
	ck_assert(silent(chan)); /* one wanted an answer */
}
END_TEST

START_TEST(other_requests_are_answered_with_failure)
{
	static const struct {
		uint32_t request, size;
	} others[] = {
		{VU_BACKEND_IOTLB_MSG, sizeof(struct vu_iotlb)},
		{VU_BACKEND_HOST_NOTIFIER, sizeof(struct vu_vring_area)},
		{VU_BACKEND_VRING_CALL, sizeof(struct vu_vring_state)},
		{77, 40},
	};
	static const char payload[64] = "";
	auto_close int chan = open_channel();

	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		say_to(chan, others[i].request, VU_VERSION | VU_FLAG_NEED_REPLY, others[i].size,
		       payload, 1);
		turn(1);
		ck_assert_uint_ne(heard(chan).payload.u64, 0);
	}
	ck_assert_uint_eq(num_changes, 0);
	ck_assert(fe_pipeline_is_open(&p));
}
END_TEST

START_TEST(nonsense_on_the_channel_costs_the_channel_only)
{
	auto_close int chan = open_channel();
	char byte;

	if (_i == 0)
		say_to(chan, VU_BACKEND_CONFIG_CHANGE, VU_VERSION, 8, "12345678", 1);
	else if (_i == 1)
		say_to(chan, VU_BACKEND_CONFIG_CHANGE, REPLY_FLAGS, 0, "", 0);
	else
		ck_assert_int_eq(write(chan, "not a message at all", 20), 20);
	turn(1);
	ck_assert(recv(chan, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
	ck_assert_int_eq(p.channel_fd, -1);
	ck_assert_uint_eq(num_lost, 0);
	query(1);
	turn(1);
	say_u64(VU_GET_FEATURES, 5);
	turn(1);
	ck_assert_uint_eq(done[num_done - 1].value, 5);
}
END_TEST

START_TEST(a_flooded_channel_holds_nobody_up)
{
	auto_close int chan = open_channel();
	struct vu_header hdr = {VU_BACKEND_CONFIG_CHANGE, VU_VERSION, 0};
	unsigned sent = 0;
	uint64_t start;

	while (write(chan, &hdr, sizeof(hdr)) == sizeof(hdr))
		sent++;
	ck_assert_uint_gt(sent, 200);
	turn(0);
	ck_assert_uint_gt(num_changes, 0);
	ck_assert_uint_le(num_changes, 64); /* of them in one turn or two */
	query(1);
	turn(1);
	say_u64(VU_GET_FEATURES, 5);
	turn(1);
	ck_assert_uint_lt(num_changes, sent);
	ck_assert_uint_eq(done[num_done - 1].value, 5);
	start = clock_ns();
	while (num_changes < sent && clock_ns() - start < 5000000000)
		turn(5);
	ck_assert_uint_eq(num_changes, sent); /* none is lost */
}
END_TEST

START_TEST(a_back_end_that_reads_no_answers_loses_the_channel)
{
	auto_close int chan = open_channel();
	struct vu_header hdr = {VU_BACKEND_CONFIG_CHANGE, VU_VERSION | VU_FLAG_NEED_REPLY, 0};
	uint64_t start = clock_ns();

	while (p.channel_fd >= 0 && clock_ns() - start < 5000000000) {
		if (write(chan, &hdr, sizeof(hdr)) < 0 && errno == EPIPE)
			break;
		turn(0);
	}
	ck_assert_int_eq(p.channel_fd, -1);
	ck_assert_uint_eq(num_lost, 0);
}
END_TEST

START_TEST(the_session_may_end_while_a_change_is_reported)
{
	auto_close int chan = open_channel();

	close_from_within = true;
	say_to(chan, VU_BACKEND_CONFIG_CHANGE, VU_VERSION | VU_FLAG_NEED_REPLY, 0, "", 0);
	say_to(chan, VU_BACKEND_CONFIG_CHANGE, VU_VERSION | VU_FLAG_NEED_REPLY, 0, "", 0);
	turn(20);
	ck_assert_uint_eq(num_changes, 1);
	ck_assert_int_eq(p.channel_fd, -1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fe_pipeline");
	TCase *tc = tcase_create("pipeline");

	signal(SIGPIPE, SIG_IGN);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, requests_go_out_in_order_and_replies_come_back_in_order);
	tcase_add_test(tc, without_reply_ack_sent_is_done);
	tcase_add_test(tc, with_reply_ack_a_request_wants_its_answer);
	tcase_add_test(tc, an_empty_reply_is_a_refusal);
	tcase_add_test(tc, fds_are_duplicated_until_they_are_sent);
	tcase_add_test(tc, fds_of_what_was_never_sent_are_closed);
	tcase_add_test(tc, fds_of_a_reply_can_be_taken_and_the_rest_are_closed);
	tcase_add_test(tc, a_socket_that_takes_nothing_is_waited_for);
	tcase_add_test(tc, there_is_room_for_the_replies_to_all_that_is_sent);
	tcase_add_test(tc, a_reply_in_pieces_is_put_together);
	tcase_add_test(tc, it_can_be_closed_from_within_a_function);
	tcase_add_test(tc, a_closed_one_can_be_opened_again);
	tcase_add_loop_test(tc, a_reply_to_something_else_ends_the_session_once, 0,
			    ARRAY_SIZE(wrong_replies));
	tcase_add_test(tc, a_reply_that_nobody_asked_for_ends_the_session);
	tcase_add_test(tc, a_reply_before_its_request_ends_the_session);
	tcase_add_loop_test(tc, what_is_no_message_ends_the_session, 0, ARRAY_SIZE(ends));
	tcase_add_test(tc, a_peer_that_is_gone_before_the_first_request);
	tcase_add_test(tc, silence_ends_the_session_in_time);
	tcase_add_test(tc, half_a_reply_is_no_answer);
	tcase_add_test(tc, a_peer_that_reads_nothing_loses_the_session_in_time);
	tcase_add_test(tc, the_end_of_a_ring_has_more_time_and_others_wait_their_turn);
	tcase_add_test(tc, a_change_is_reported_and_answered);
	tcase_add_test(tc, other_requests_are_answered_with_failure);
	tcase_add_loop_test(tc, nonsense_on_the_channel_costs_the_channel_only, 0, 3);
	tcase_add_test(tc, a_flooded_channel_holds_nobody_up);
	tcase_add_test(tc, a_back_end_that_reads_no_answers_loses_the_channel);
	tcase_add_test(tc, the_session_may_end_while_a_change_is_reported);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
