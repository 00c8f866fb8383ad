/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_codec.c - every message with its payload and fds survives the socket, in one piece or byte
 * by byte; what is malformed is refused and leaves no fd behind. Tests wire/codec.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "tests/unit/support.h"
#include "vhost/base/clock.h"
#include "vhost/base/util.h"
#include "vhost/wire/codec.h"

#define HEADER_BYTES sizeof(struct vu_header)

/* The shape of each message on the wire: bytes of payload, fds. */
struct shape {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
	unsigned num_fds;
};

#define U64    sizeof(uint64_t)
#define STATE  sizeof(struct vu_vring_state)
#define MEM(n) (8 + 32 * (n))

static const struct shape shapes[] = {
	{VU_GET_FEATURES, 0, 0, 0},
	{VU_GET_FEATURES, VU_FLAG_REPLY, U64, 0},
	{VU_SET_FEATURES, VU_FLAG_NEED_REPLY, U64, 0},
	{VU_SET_OWNER, 0, 0, 0},
	{VU_RESET_OWNER, 0, 0, 0},
	{VU_SET_MEM_TABLE, 0, MEM(1), 1},
	{VU_SET_MEM_TABLE, VU_FLAG_NEED_REPLY, MEM(8), 8},
	{VU_SET_MEM_TABLE, 0, MEM(VU_MAX_TABLE_SLOTS), VU_MAX_TABLE_SLOTS},
	{VU_SET_LOG_BASE, 0, sizeof(struct vu_log), 1},
	{VU_SET_LOG_FD, 0, 0, 1},
	{VU_SET_VRING_NUM, 0, STATE, 0},
	{VU_SET_VRING_ADDR, 0, sizeof(struct vu_vring_addr), 0},
	{VU_SET_VRING_BASE, 0, STATE, 0},
	{VU_GET_VRING_BASE, 0, STATE, 0},
	{VU_GET_VRING_BASE, VU_FLAG_REPLY, STATE, 0},
	{VU_SET_VRING_KICK, 0, U64, 1},
	{VU_SET_VRING_CALL, 0, U64, 1},
	{VU_SET_VRING_ERR, 0, U64, 1},
	{VU_GET_PROTOCOL_FEATURES, 0, 0, 0},
	{VU_SET_PROTOCOL_FEATURES, 0, U64, 0},
	{VU_GET_QUEUE_NUM, 0, 0, 0},
	{VU_SET_VRING_ENABLE, 0, STATE, 0},
	{VU_SEND_RARP, 0, U64, 0},
	{VU_NET_SET_MTU, 0, U64, 0},
	{VU_SET_BACKEND_REQ_FD, 0, 0, 1},
	{VU_IOTLB_MSG, 0, sizeof(struct vu_iotlb), 0},
	{VU_SET_VRING_ENDIAN, 0, STATE, 0},
	{VU_GET_CONFIG, 0, VU_CONFIG_HEADER_BYTES + 60, 0},
	{VU_GET_CONFIG, VU_FLAG_REPLY, 0, 0},
	{VU_SET_CONFIG, 0, VU_CONFIG_HEADER_BYTES + VU_MAX_CONFIG, 0},
	{VU_CREATE_CRYPTO_SESSION, 0, 1000, 0},
	{VU_CLOSE_CRYPTO_SESSION, 0, U64, 0},
	{VU_POSTCOPY_ADVISE, VU_FLAG_REPLY, 0, 1},
	{VU_POSTCOPY_LISTEN, 0, 0, 0},
	{VU_POSTCOPY_END, 0, 0, 0},
	{VU_GET_INFLIGHT_FD, VU_FLAG_REPLY, sizeof(struct vu_inflight), 1},
	{VU_SET_INFLIGHT_FD, 0, sizeof(struct vu_inflight), 1},
	{VU_GPU_SET_SOCKET, 0, 0, 1},
	{VU_RESET_DEVICE, 0, 0, 0},
	{VU_VRING_KICK, 0, STATE, 0},
	{VU_GET_MAX_MEM_SLOTS, 0, 0, 0},
	{VU_ADD_MEM_REG, 0, sizeof(struct vu_single_region), 1},
	{VU_REM_MEM_REG, 0, sizeof(struct vu_single_region), 1},
	{VU_SET_STATUS, 0, U64, 0},
	{VU_GET_STATUS, 0, 0, 0},
	{VU_GET_SHARED_OBJECT, 0, 16, 0},
	{VU_SET_DEVICE_STATE_FD, 0, sizeof(struct vu_device_state), 1},
	{VU_CHECK_DEVICE_STATE, 0, 0, 0},
	/* Not a message that exists: the largest that may. */
	{0xffffffff, 0, VU_MAX_PAYLOAD, VU_MAX_FDS},
};

static int pair[2];
static unsigned fds_before;
static struct vu_msg out;
static struct vu_receiver rx;

static void set_blocking(int fd, bool blocking)
{
	int flags = fcntl(fd, F_GETFL);

	ck_assert_int_eq(fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK),
			 0);
}

static void setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	vu_receiver_init(&rx);
	fds_before = open_fds();
}

static void teardown(void)
{
	close_fd(&pair[0]);
	close_fd(&pair[1]);
}

/* build - @out as @shape says, each payload byte and each fd's inode distinct. */
static void build(const struct shape *shape)
{
	vu_msg_init(&out, shape->request);
	out.hdr.flags |= shape->flags;
	out.hdr.size = shape->size;
	for (uint32_t i = 0; i < shape->size; i++)
		out.payload.bytes[i] = (uint8_t)(i * 7 + 1);
	out.num_fds = shape->num_fds;
	for (unsigned i = 0; i < out.num_fds; i++)
		out.fds[i] = test_memfd(4096 + i);
}

static void check_same(const struct vu_msg *in)
{
	ck_assert_uint_eq(in->hdr.request, out.hdr.request);
	ck_assert_uint_eq(in->hdr.flags, out.hdr.flags);
	ck_assert_uint_eq(in->hdr.size, out.hdr.size);
	ck_assert_mem_eq(in->payload.bytes, out.payload.bytes, out.hdr.size);
	ck_assert_uint_eq(in->num_fds, out.num_fds);
	for (unsigned i = 0; i < in->num_fds; i++) {
		struct stat sent, received;

		ck_assert_int_eq(fstat(out.fds[i], &sent), 0);
		ck_assert_int_eq(fstat(in->fds[i], &received), 0);
		ck_assert_uint_eq(sent.st_ino, received.st_ino);
		ck_assert_int_eq(fcntl(in->fds[i], F_GETFD), FD_CLOEXEC);
	}
}

/* send_raw - bytes [from, to) of @out, with @num_fds fds of its first fd. */
static void send_raw(size_t from, size_t to, unsigned num_fds)
{
	static char bytes[HEADER_BYTES + VU_MAX_PAYLOAD];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 253)];
	} control;
	struct iovec iov = {bytes + from, to - from};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	memcpy(bytes, &out.hdr, HEADER_BYTES);
	memcpy(bytes + HEADER_BYTES, out.payload.bytes, VU_MAX_PAYLOAD);
	memset(&control, 0, sizeof(control));
	if (num_fds) {
		struct cmsghdr *c = &control.align;

		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		for (unsigned i = 0; i < num_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &out.fds[i < out.num_fds ? i : 0],
			       sizeof(int));
	}
	ck_assert_int_eq(sendmsg(pair[0], &mh, MSG_NOSIGNAL), (int)(to - from));
}

/* expect_refused - the next receive fails with @error and leaves no fd behind. */
static void expect_refused(int error)
{
	ck_assert_int_eq(vu_receive(pair[1], &rx), error);
	ck_assert_uint_eq(rx.received, 0);
	ck_assert_uint_eq(rx.msg.num_fds, 0);
	vu_msg_close_fds(&out);
	ck_assert_uint_eq(open_fds(), fds_before);
}

START_TEST(every_request_has_a_shape_and_a_name)
{
	bool seen[VU_REQUEST_END] = {false};

	for (unsigned i = 0; i < ARRAY_SIZE(shapes); i++) {
		if (shapes[i].request < VU_REQUEST_END)
			seen[shapes[i].request] = true;
	}
	for (unsigned i = 1; i < VU_REQUEST_END; i++) {
		ck_assert_msg(seen[i], "no shape for request %u", i);
		ck_assert_str_ne(vu_request_name(i), "unknown");
	}
	ck_assert_str_eq(vu_request_name(0), "unknown");
	ck_assert_str_eq(vu_request_name(VU_REQUEST_END), "unknown");
	ck_assert_str_eq(vu_request_name(UINT32_MAX), "unknown");
	ck_assert_str_eq(vu_backend_request_name(VU_BACKEND_CONFIG_CHANGE), "CONFIG_CHANGE");
	ck_assert_str_eq(vu_backend_request_name(VU_BACKEND_REQUEST_END), "unknown");
	ck_assert_str_eq(vu_protocol_feature_name(VU_PF_CONFIG), "CONFIG");
	ck_assert_str_eq(vu_protocol_feature_name(64), "unknown");
}
END_TEST

START_TEST(round_trip)
{
	build(&shapes[_i]);
	ck_assert_int_eq(vu_send(pair[0], &out), 0);
	ck_assert_int_eq(vu_receive(pair[1], &rx), 1);
	check_same(&rx.msg);
	ck_assert_int_eq(vu_receive(pair[1], &rx), 1); /* still the same, nothing more read */
	vu_receiver_reset(&rx);
	ck_assert_int_eq(vu_receive(pair[1], &rx), 0);
	vu_msg_close_fds(&out);
	ck_assert_uint_eq(open_fds(), fds_before);
}
END_TEST

START_TEST(round_trip_byte_by_byte)
{
	size_t whole = HEADER_BYTES + shapes[_i].size;

	build(&shapes[_i]);
	for (size_t i = 0; i < whole; i++) {
		ck_assert_int_eq(vu_receive(pair[1], &rx), 0);
		send_raw(i, i + 1, i == 0 ? out.num_fds : 0);
	}
	ck_assert_int_eq(vu_receive(pair[1], &rx), 1);
	check_same(&rx.msg);
	vu_receiver_reset(&rx);
	vu_msg_close_fds(&out);
	ck_assert_uint_eq(open_fds(), fds_before);
}
END_TEST

START_TEST(disconnect_after_every_byte)
{
	size_t whole = HEADER_BYTES + shapes[_i].size;
	size_t step = whole > 256 ? 61 : 1; /* the long ones in strides */

	for (size_t cut = 0; cut < whole; cut += step) {
		build(&shapes[_i]);
		if (cut > 0)
			send_raw(0, cut, out.num_fds);
		close_fd(&pair[0]);
		fds_before--;
		expect_refused(-ECONNRESET);
		close_fd(&pair[1]);
		setup();
	}
}
END_TEST

START_TEST(messages_back_to_back_stay_apart)
{
	static const struct shape first = {VU_SET_VRING_KICK, 0, U64, 1};
	static const struct shape second = {VU_SET_VRING_NUM, 0, STATE, 0};

	build(&first);
	ck_assert_int_eq(vu_send(pair[0], &out), 0);
	vu_msg_close_fds(&out);
	build(&second);
	ck_assert_int_eq(vu_send(pair[0], &out), 0);

	ck_assert_int_eq(vu_receive(pair[1], &rx), 1);
	ck_assert_uint_eq(rx.msg.hdr.request, VU_SET_VRING_KICK);
	ck_assert_uint_eq(rx.msg.num_fds, 1);
	vu_receiver_reset(&rx);
	ck_assert_int_eq(vu_receive(pair[1], &rx), 1);
	check_same(&rx.msg);
	vu_receiver_reset(&rx);
	ck_assert_uint_eq(open_fds(), fds_before);
}
END_TEST

START_TEST(fds_not_taken_are_closed_and_taken_ones_are_not)
{
	static const struct shape shape = {VU_SET_VRING_KICK, 0, U64, 5};
	int fd;

	build(&shape);
	ck_assert_int_eq(vu_send(pair[0], &out), 0);
	vu_msg_close_fds(&out);
	ck_assert_int_eq(vu_receive(pair[1], &rx), 1);
	ck_assert_uint_eq(open_fds(), fds_before + 5);
	fd = vu_msg_take_fd(&rx.msg, 2);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(vu_msg_take_fd(&rx.msg, 2), -1);
	ck_assert_int_eq(vu_msg_take_fd(&rx.msg, 5), -1);
	ck_assert_int_eq(vu_msg_take_fd(&rx.msg, UINT32_MAX), -1);
	vu_receiver_reset(&rx);
	ck_assert_uint_eq(open_fds(), fds_before + 1);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close_fd(&fd);
	ck_assert_int_eq(vu_msg_take_fd(&rx.msg, 0), -1);
}
END_TEST

START_TEST(too_many_fds_are_refused_and_closed)
{
	static const unsigned counts[] = {VU_MAX_FDS + 1, VU_MAX_FDS + 2, 253};
	static const struct shape shape = {VU_SET_MEM_TABLE, 0, MEM(1), 1};

	build(&shape);
	send_raw(0, HEADER_BYTES + out.hdr.size, counts[_i]);
	expect_refused(-EMSGSIZE);
}
END_TEST

START_TEST(control_data_cut_short_is_refused_and_closed)
{
	static const struct shape shape = {VU_SET_MEM_TABLE, 0, MEM(8), 8};
	struct rlimit limit;
	rlim_t old;

	build(&shape);
	send_raw(0, HEADER_BYTES + out.hdr.size, 8);
	/* Room for three of the eight. */
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	old = limit.rlim_cur;
	for (limit.rlim_cur = 3; fcntl((int)limit.rlim_cur - 3, F_GETFD) >= 0;)
		limit.rlim_cur++;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(vu_receive(pair[1], &rx), -EMSGSIZE);
	limit.rlim_cur = old;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	vu_msg_close_fds(&out);
	ck_assert_uint_eq(open_fds(), fds_before);
}
END_TEST

/* Cut points in the header, at its end and in the payload. */
START_TEST(fds_after_the_first_byte_are_refused_and_closed)
{
	static const size_t cuts[] = {1, 11, 12, 13, 40};
	static const struct shape shape = {VU_SET_MEM_TABLE, 0, MEM(1), 1};

	build(&shape);
	send_raw(0, cuts[_i], 1);
	ck_assert_int_eq(vu_receive(pair[1], &rx), 0);
	send_raw(cuts[_i], HEADER_BYTES + out.hdr.size, 1);
	expect_refused(-EBADMSG);
}
END_TEST

/* lingering - a socket whose close(2) waits for data to be sent that never will be. @reader: its peer. */
static int lingering(int *reader)
{
	const struct linger linger = {.l_onoff = 1, .l_linger = 20};
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	static char bytes[65536];
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	*reader = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(*reader, 0);
	close_fd(&listener);
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	return fd;
}

/* In a message, one of too many, behind the first byte, and never read. */
START_TEST(no_fd_of_the_peers_is_waited_for)
{
	static const struct shape shape = {VU_SET_MEM_TABLE, 0, MEM(1), 0};
	uint64_t start;
	int reader;

	build(&shape);
	out.fds[0] = lingering(&reader);
	out.num_fds = 1;
	if (_i == 2) {
		send_raw(0, 5, 0);
		ck_assert_int_eq(vu_receive(pair[1], &rx), 0);
	}
	send_raw(_i == 2 ? 5 : 0, HEADER_BYTES + out.hdr.size, _i == 1 ? VU_MAX_FDS + 1 : 1);
	close(out.fds[0]); /* not the last copy */
	out.num_fds = 0;
	start = clock_ns();
	if (_i == 0)
		ck_assert_int_eq(vu_receive(pair[1], &rx), 1);
	else if (_i < 3)
		ck_assert_int_lt(vu_receive(pair[1], &rx), 0);
	vu_receiver_reset(&rx);
	vu_hang_up(&pair[1]);
	ck_assert_uint_lt(clock_ns() - start, 2000000000);
	ck_assert_int_eq(pair[1], -1);
	close_fd(&reader);
	ck_assert_uint_eq(open_fds(), fds_before - 1);
}
END_TEST

START_TEST(wrong_version_is_refused)
{
	static const uint32_t flags[] = {0, 2, 3, VU_FLAG_NEED_REPLY, 0xfffffffe};
	static const struct shape shape = {VU_SET_VRING_KICK, 0, U64, 1};

	build(&shape);
	out.hdr.flags = flags[_i];
	send_raw(0, HEADER_BYTES + out.hdr.size, 1);
	expect_refused(-EBADMSG);
}
END_TEST

START_TEST(oversize_is_refused)
{
	static const uint32_t sizes[] = {VU_MAX_PAYLOAD + 1, 0x7fffffff, 0xfffffff4, 0xffffffff};
	static const struct shape shape = {VU_SET_CONFIG, 0, 16, 2};

	build(&shape);
	out.hdr.size = sizes[_i];
	send_raw(0, HEADER_BYTES + 16, 2);
	expect_refused(-EMSGSIZE);
}
END_TEST

START_TEST(an_error_of_the_socket_is_passed_on)
{
	int file = test_memfd(4096);

	ck_assert_int_eq(vu_receive(file, &rx), -ENOTSOCK);
	close_fd(&file);
	ck_assert_int_eq(vu_receive(-1, &rx), -EBADF);
}
END_TEST

static void *send_in_two_pieces(void *arg)
{
	(void)arg;
	send_raw(0, 5, out.num_fds);
	usleep(20000);
	send_raw(5, HEADER_BYTES + out.hdr.size, 0);
	return NULL;
}

START_TEST(a_blocking_socket_waits_for_the_whole_message)
{
	static const struct shape shape = {VU_GET_INFLIGHT_FD, VU_FLAG_REPLY, 24, 1};
	pthread_t sender;

	build(&shape);
	set_blocking(pair[1], true);
	ck_assert_int_eq(pthread_create(&sender, NULL, send_in_two_pieces, NULL), 0);
	ck_assert_int_eq(vu_receive(pair[1], &rx), 1);
	pthread_join(sender, NULL);
	check_same(&rx.msg);
	vu_receiver_reset(&rx);
	vu_msg_close_fds(&out);
}
END_TEST

START_TEST(an_empty_message_is_all_zero)
{
	struct vu_msg msg;
	static const struct vu_msg zero;

	memset(&msg, 0xa5, sizeof(msg));
	vu_msg_init(&msg, VU_SET_OWNER);
	ck_assert_uint_eq(msg.hdr.request, VU_SET_OWNER);
	ck_assert_uint_eq(msg.hdr.flags, VU_VERSION);
	ck_assert_uint_eq(msg.hdr.size, 0);
	ck_assert_uint_eq(msg.num_fds, 0);
	ck_assert_mem_eq(&msg.payload, &zero.payload, sizeof(msg.payload));
}
END_TEST

START_TEST(send_to_a_full_socket_does_not_wait)
{
	static const struct shape shape = {VU_GET_FEATURES, VU_FLAG_REPLY, U64, 0};
	unsigned sent = 0, received = 0;
	int ret;

	build(&shape);
	while ((ret = vu_send(pair[0], &out)) == 0)
		sent++;
	ck_assert_int_eq(ret, -EAGAIN);
	ck_assert_uint_gt(sent, 0);
	/* Nothing of the refused one was written. */
	while ((ret = vu_receive(pair[1], &rx)) == 1) {
		check_same(&rx.msg);
		vu_receiver_reset(&rx);
		received++;
	}
	ck_assert_int_eq(ret, 0);
	ck_assert_uint_eq(rx.received, 0);
	ck_assert_uint_eq(sent, received);
}
END_TEST

/*
 * fill_until_cut - in the smallest send buffer a large message takes two pieces. Fill it a little
 * more each time, until there is room for one of them.
 */
static unsigned fill_until_cut(void)
{
	static const struct shape filler = {VU_SET_OWNER, 0, 0, 0};
	static const struct shape large = {VU_SET_CONFIG, 0, VU_MAX_PAYLOAD, 0};
	int small = 1;

	for (unsigned fill = 0; fill < 32; fill++) {
		teardown();
		setup();
		ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)),
				 0);
		build(&filler);
		for (unsigned i = 0; i < fill; i++)
			ck_assert_int_eq(vu_send(pair[0], &out), 0);
		build(&large);
		if (vu_send(pair[0], &out) == -EPIPE)
			return fill;
	}
	ck_abort_msg("no message was ever cut");
}

START_TEST(send_cut_in_the_middle_says_so)
{
	fill_until_cut();
}
END_TEST

static void on_alarm(int signal)
{
	(void)signal;
}

static void *read_a_little_later(void *arg)
{
	char drain[HEADER_BYTES];

	usleep(50000);
	set_blocking(pair[1], true);
	for (unsigned i = *(unsigned *)arg; i > 0; i--)
		ck_assert_int_eq(recv(pair[1], drain, HEADER_BYTES, 0), HEADER_BYTES);
	ck_assert_int_eq(vu_receive(pair[1], &rx), 1);
	return NULL;
}

/* A blocked send that a signal cuts short goes on where it was, and sends the fds once. */
START_TEST(send_goes_on_after_a_signal)
{
	static const struct shape filler = {VU_SET_OWNER, 0, 0, 0};
	static const struct shape large = {VU_SET_CONFIG, 0, VU_MAX_PAYLOAD, 3};
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval soon = {.it_value = {0, 10000}};
	unsigned fill = fill_until_cut();
	pthread_t reader;
	sigset_t set;
	int small = 1;

	teardown();
	setup();
	ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	set_blocking(pair[0], true);
	build(&filler);
	for (unsigned i = 0; i < fill; i++)
		ck_assert_int_eq(vu_send(pair[0], &out), 0);
	build(&large);
	/* The signal is for the sender. */
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_a_little_later, &fill), 0);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	ck_assert_int_eq(vu_send(pair[0], &out), 0);
	pthread_join(reader, NULL);
	check_same(&rx.msg);
	vu_receiver_reset(&rx);
	vu_msg_close_fds(&out);
	ck_assert_uint_eq(open_fds(), fds_before);
}
END_TEST

START_TEST(send_to_a_closed_socket_raises_no_signal)
{
	static const struct shape shape = {VU_SET_VRING_CALL, 0, U64, 1};

	build(&shape);
	close_fd(&pair[1]);
	ck_assert_int_eq(vu_send(pair[0], &out), -EPIPE);
	vu_msg_close_fds(&out);
	ck_assert_uint_eq(open_fds(), fds_before - 1);
}
END_TEST

START_TEST(send_refuses_what_no_receiver_takes)
{
	vu_msg_init(&out, VU_SET_CONFIG);
	out.hdr.size = VU_MAX_PAYLOAD + 1;
	ck_assert_int_eq(vu_send(pair[0], &out), -EMSGSIZE);
	vu_msg_init(&out, VU_SET_CONFIG);
	out.num_fds = VU_MAX_FDS + 1;
	ck_assert_int_eq(vu_send(pair[0], &out), -EMSGSIZE);
	ck_assert_int_eq(vu_receive(pair[1], &rx), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("codec");
	TCase *tc = tcase_create("codec");
	int all = (int)ARRAY_SIZE(shapes);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_request_has_a_shape_and_a_name);
	tcase_add_loop_test(tc, round_trip, 0, all);
	tcase_add_loop_test(tc, round_trip_byte_by_byte, 0, all);
	tcase_add_loop_test(tc, disconnect_after_every_byte, 0, all);
	tcase_add_test(tc, messages_back_to_back_stay_apart);
	tcase_add_test(tc, fds_not_taken_are_closed_and_taken_ones_are_not);
	tcase_add_loop_test(tc, too_many_fds_are_refused_and_closed, 0, 3);
	tcase_add_test(tc, control_data_cut_short_is_refused_and_closed);
	tcase_add_loop_test(tc, fds_after_the_first_byte_are_refused_and_closed, 0, 5);
	tcase_add_loop_test(tc, no_fd_of_the_peers_is_waited_for, 0, 4);
	tcase_add_loop_test(tc, wrong_version_is_refused, 0, 5);
	tcase_add_loop_test(tc, oversize_is_refused, 0, 4);
	tcase_add_test(tc, an_error_of_the_socket_is_passed_on);
	tcase_add_test(tc, a_blocking_socket_waits_for_the_whole_message);
	tcase_add_test(tc, an_empty_message_is_all_zero);
	tcase_add_test(tc, send_to_a_full_socket_does_not_wait);
	tcase_add_test(tc, send_cut_in_the_middle_says_so);
	tcase_add_test(tc, send_goes_on_after_a_signal);
	tcase_add_test(tc, send_to_a_closed_socket_raises_no_signal);
	tcase_add_test(tc, send_refuses_what_no_receiver_takes);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
