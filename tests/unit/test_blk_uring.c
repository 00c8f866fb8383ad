/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_uring.c - an I/O thread's io_uring takes the requests that the daemon makes, and no
 * others: they would not pass the system call filter.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#include "blk/uring.h"
#include "tests/unit/support.h"

#define RESTRICTED true

static struct blk_thread thread;

static void make(bool restricted)
{
	memset(&thread, 0, sizeof(thread));
	memcpy(thread.name, "blk-io0", 8);
	thread.opt.restricted = restricted;
	ck_assert_int_eq(uring_setup(&thread), 0);
}

/* result - submit what was prepared, and wait. */
static int result(void)
{
	struct io_uring_cqe *cqe;
	int res;

	ck_assert_int_ge(io_uring_submit_and_wait(&thread.ring, 1), 0);
	ck_assert_int_eq(io_uring_peek_cqe(&thread.ring, &cqe), 0);
	res = cqe->res;
	io_uring_cqe_seen(&thread.ring, cqe);
	return res;
}

static struct io_uring_sqe *sqe_of(uint8_t opcode, int fd)
{
	struct io_uring_sqe *sqe = uring_sqe(&thread, URING_REQUEST, NULL);

	sqe->opcode = opcode;
	sqe->fd = fd;
	return sqe;
}

static const uint8_t allowed[] = {
	IORING_OP_READ,  IORING_OP_WRITE,     IORING_OP_READV,    IORING_OP_WRITEV,
	IORING_OP_FSYNC, IORING_OP_FALLOCATE, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL,
};

static bool is_allowed(unsigned opcode)
{
	for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++)
		if (allowed[i] == opcode)
			return true;
	return false;
}

START_TEST(ours_are_taken)
{
	make(RESTRICTED);
	/* The kernel looks at the fd after the restrictions. */
	for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++) {
		sqe_of(allowed[i], -1);
		ck_assert_int_ne(result(), -EACCES);
	}
	uring_teardown(&thread);
}
END_TEST

START_TEST(every_other_is_refused)
{
	make(RESTRICTED);
	for (unsigned opcode = 0; opcode < 64; opcode++) {
		if (is_allowed(opcode))
			continue;
		sqe_of((uint8_t)opcode, -1);
		if (opcode < IORING_OP_LAST)
			ck_assert_int_eq(result(), -EACCES);
		else
			ck_assert_int_lt(result(), 0);
	}
	uring_teardown(&thread);
}
END_TEST

START_TEST(a_file_cannot_be_opened)
{
	for (int restricted = 0; restricted < 2; restricted++) {
		struct io_uring_sqe *sqe;
		int fd;

		make(restricted);
		sqe = sqe_of(IORING_OP_OPENAT, AT_FDCWD);
		sqe->addr = (uintptr_t) "/dev/null";
		fd = result();
		/* The other half shows that the request itself is in order. */
		if (restricted)
			ck_assert_int_eq(fd, -EACCES);
		else
			ck_assert_int_ge(fd, 0);
		close_fd(&fd);
		uring_teardown(&thread);
	}
}
END_TEST

START_TEST(flags_of_requests_are_limited)
{
	make(RESTRICTED);
	sqe_of(IORING_OP_FSYNC, -1)->flags = IOSQE_IO_DRAIN;
	ck_assert_int_eq(result(), -EACCES);
	sqe_of(IORING_OP_FSYNC, -1)->flags = IOSQE_ASYNC;
	ck_assert_int_eq(result(), -EACCES);
	uring_teardown(&thread);
}
END_TEST

START_TEST(nothing_more_can_be_registered)
{
	struct io_uring_restriction rule = {.opcode = IORING_RESTRICTION_SQE_OP};
	int fd = 0;

	make(RESTRICTED);
	ck_assert_int_eq(io_uring_register_files(&thread.ring, &fd, 1), -EACCES);
	ck_assert_int_eq(io_uring_register_eventfd(&thread.ring, 0), -EACCES);
	ck_assert_int_lt(io_uring_register_restrictions(&thread.ring, &rule, 1), 0);
	uring_teardown(&thread);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_uring");
	TCase *tcase = tcase_create("restrictions");
	struct io_uring ring;
	int ret = io_uring_queue_init(4, &ring, IORING_SETUP_R_DISABLED);

	if (ret < 0) {
		printf("SKIP: no io_uring that can be restricted here: %s\n", strerror(-ret));
		return 77;
	}
	io_uring_queue_exit(&ring);
	tcase_add_test(tcase, ours_are_taken);
	tcase_add_test(tcase, every_other_is_refused);
	tcase_add_test(tcase, a_file_cannot_be_opened);
	tcase_add_test(tcase, flags_of_requests_are_limited);
	tcase_add_test(tcase, nothing_more_can_be_registered);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
