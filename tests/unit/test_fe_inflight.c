/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_fe_inflight.c - a front-end believes nothing a back-end says of the in-flight region or the
 * dirty log before it has looked. Tests frontend/inflight. The peer is the other end of a socket
 * pair, and has written its reply before the request is made.
 */
#include <errno.h>
#include <sys/socket.h>

#include "tests/unit/fe_peer.h"
#include "vhost/base/util.h"
#include "vhost/frontend/frontend.h"

#define FILE_BYTES 16384u

static struct fe fe;
static struct fe_inflight region;
static int peer;
static int file;

static void setup(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(fe_adopt(&fe, pair[0]), 0);
	fe.timeout_ms = 50;
	peer = pair[1];
	file = test_memfd(FILE_BYTES);
}

static void teardown(void)
{
	fe_close(&fe);
	close_fd(&peer);
	close_fd(&file);
	ck_assert_uint_eq(test_mappings(), 0);
}

/* say - the reply, with @fd or none (-1). */
static void say(uint32_t request, const void *payload, uint32_t size, int fd)
{
	struct vu_msg msg;

	vu_msg_init(&msg, request);
	msg.hdr.flags = REPLY_FLAGS;
	msg.hdr.size = size;
	memcpy(msg.payload.bytes, payload, size);
	msg.fds[0] = fd;
	msg.num_fds = fd >= 0;
	ck_assert_int_eq(vu_send(peer, &msg), 0);
}

/* ask - two queues of 64 entries, answered with @in. */
static int ask(struct vu_inflight in, int fd)
{
	struct vu_msg msg;
	int ret;

	say(VU_GET_INFLIGHT_FD, &in, sizeof(in), fd);
	ret = fe_get_inflight(&fe, 2, 64, &region);
	msg = heard(peer);
	ck_assert_uint_eq(msg.hdr.request, VU_GET_INFLIGHT_FD);
	ck_assert_uint_eq(msg.payload.inflight.num_queues, 2);
	ck_assert_uint_eq(msg.payload.inflight.queue_size, 64);
	return ret;
}

START_TEST(a_region_is_mapped_and_given_back)
{
	struct vu_inflight in = {
		.mmap_size = 4096, .mmap_offset = 4096 + 64, .num_queues = 2, .queue_size = 64};
	struct vu_msg msg;
	uint8_t byte = 0;

	ck_assert_int_eq(ask(in, file), 0);
	ck_assert_uint_eq(region.mmap_size, 4096);
	((uint8_t *)region.map)[4095] = 7;
	ck_assert_int_eq(pread(file, &byte, 1, 4096 + 64 + 4095), 1);
	ck_assert_uint_eq(byte, 7);
	ck_assert_int_eq(fe_set_inflight(&fe, &region), 0);
	msg = heard(peer);
	ck_assert_mem_eq(&msg.payload.inflight, &in, sizeof(in));
	ck_assert_uint_eq(msg.num_fds, 1);
	vu_msg_close_fds(&msg);
	fe_inflight_free(&region);
	fe_inflight_free(&region);
}
END_TEST

static const struct vu_inflight wrong[] = {
	{.mmap_size = 4096, .num_queues = 1, .queue_size = 64},
	{.mmap_size = 4096, .num_queues = 0, .queue_size = 64},
	{.mmap_size = 4096, .num_queues = 2, .queue_size = 65},
	{.mmap_size = 4097, .num_queues = 2, .queue_size = 64},
	{.mmap_size = FILE_BYTES + 2, .num_queues = 2, .queue_size = 64},
	{.mmap_size = 4096, .mmap_offset = FILE_BYTES - 4094, .num_queues = 2, .queue_size = 64},
	{.mmap_size = 4096, .mmap_offset = UINT64_MAX - 64, .num_queues = 2, .queue_size = 64},
	{.mmap_size = 1ull << 63, .mmap_offset = 1, .num_queues = 2, .queue_size = 64},
	{.mmap_size = UINT64_MAX - 1, .num_queues = 2, .queue_size = 64},
};

START_TEST(numbers_that_make_no_sense_are_refused)
{
	unsigned fds = open_fds();

	ck_assert_int_eq(ask(wrong[_i], file), -EPROTO);
	ck_assert_ptr_null(region.map);
	ck_assert_int_eq(region.fd, -1);
	ck_assert_int_eq(fe.error, 0); /* the session goes on */
	ck_assert_int_eq(ask((struct vu_inflight){.mmap_size = 0}, -1), -EREMOTEIO);
	ck_assert_uint_eq(open_fds(), fds);
}
END_TEST

START_TEST(a_region_comes_with_one_file_of_memory)
{
	struct vu_inflight in = {.mmap_size = 4096, .num_queues = 2, .queue_size = 64};
	unsigned fds = open_fds();

	ck_assert_int_eq(ask(in, -1), -EPROTO);
	ck_assert_int_eq(ask(in, peer), -EPROTO);
	fe_sync(&fe); /* drops what the last reply brought */
	ck_assert_uint_eq(open_fds(), fds);
}
END_TEST

/* No is a reply without bytes, or a region without any. */
START_TEST(a_back_end_may_have_none)
{
	ck_assert_int_eq(ask((struct vu_inflight){.num_queues = 2, .queue_size = 64}, -1),
			 -EREMOTEIO);
	say(VU_GET_INFLIGHT_FD, "", 0, -1);
	ck_assert_int_eq(fe_get_inflight(&fe, 2, 64, &region), -EREMOTEIO);
	fe_inflight_free(&region);
	ck_assert_int_eq(fe.error, 0);
}
END_TEST

START_TEST(a_log_is_echoed)
{
	struct vu_log log = {.mmap_size = 8192, .mmap_offset = 40};
	struct vu_msg msg;

	say(VU_SET_LOG_BASE, &log, sizeof(log), -1);
	ck_assert_int_eq(fe_set_log_base(&fe, file, 8192, 40), 0);
	msg = heard(peer);
	ck_assert_mem_eq(&msg.payload.log, &log, sizeof(log));
	ck_assert_uint_eq(msg.num_fds, 1);
	vu_msg_close_fds(&msg);
	say(VU_SET_LOG_BASE, &log, sizeof(log), -1);
	ck_assert_int_eq(fe_set_log_base(&fe, file, 4096, 40), -EPROTO);
	ck_assert_int_eq(fe.error, 0);
	say(VU_SET_LOG_BASE, &log, 8, -1);
	ck_assert_int_eq(fe_set_log_base(&fe, file, 8192, 40), -EPROTO);
	ck_assert_int_eq(fe.error, -EPROTO); /* of another size: out of step */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fe_inflight");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_region_is_mapped_and_given_back);
	tcase_add_loop_test(tc, numbers_that_make_no_sense_are_refused, 0, ARRAY_SIZE(wrong));
	tcase_add_test(tc, a_region_comes_with_one_file_of_memory);
	tcase_add_test(tc, a_back_end_may_have_none);
	tcase_add_test(tc, a_log_is_echoed);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
