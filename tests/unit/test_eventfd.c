/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_eventfd.c - a signal arrives, adds up, and never waits for the peer.
 */
#include <pthread.h>
#include <sys/eventfd.h>

#include "tests/unit/support.h"
#include "vhost/base/eventfd.h"
#include "vhost/base/util.h"

#define FULL (UINT64_MAX - 1)

static uint64_t take(int fd)
{
	uint64_t count;

	ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
	return count;
}

START_TEST(signals_add_up)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	/* More than the completions kept. */
	for (unsigned i = 0; i < 1000; i++)
		eventfd_signal(fd);
	ck_assert_uint_eq(take(fd), 1000);
	eventfd_signal(fd);
	ck_assert_uint_eq(take(fd), 1);
	close(fd);
}
END_TEST

START_TEST(a_full_counter_that_blocks_is_not_waited_for)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	uint64_t full = FULL;

	ck_assert_int_eq(write(fd, &full, sizeof(full)), sizeof(full));
	for (unsigned i = 0; i < 100; i++)
		eventfd_signal(fd); /* the test's timeout would end a wait */
	ck_assert_uint_ge(take(fd), FULL);
	close(fd);
}
END_TEST

START_TEST(draining_takes_everything_and_waits_for_nothing)
{
	int fd = eventfd(3, EFD_CLOEXEC); /* a read of it would wait */

	ck_assert(eventfd_drain(fd));
	ck_assert(!eventfd_drain(fd));
	eventfd_signal(fd);
	ck_assert(eventfd_drain(fd));
	close(fd);
	ck_assert(!eventfd_drain(-1));
}
END_TEST

START_TEST(nothing_is_signalled_without_an_fd)
{
	eventfd_signal(-1);
}
END_TEST

static void *signal_often(void *arg)
{
	for (unsigned i = 0; i < 500; i++)
		eventfd_signal(*(int *)arg);
	return NULL;
}

START_TEST(each_thread_can)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	pthread_t threads[4];

	for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, signal_often, &fd), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(take(fd), 2000);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("eventfd");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 10);
	tcase_add_test(tc, signals_add_up);
	tcase_add_test(tc, a_full_counter_that_blocks_is_not_waited_for);
	tcase_add_test(tc, draining_takes_everything_and_waits_for_nothing);
	tcase_add_test(tc, nothing_is_signalled_without_an_fd);
	tcase_add_test(tc, each_thread_can);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
