/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_clock.c - the cheap tick measures the same time as CLOCK_MONOTONIC. Tests base/clock.
 */
#include "tests/unit/support.h"
#include "vhost/base/clock.h"

/* _i = 0 before clock_init(), when a tick is a nanosecond, 1 after it. */
START_TEST(ticks_agree_with_nanoseconds)
{
	struct timespec pause = {0, 30000000};
	uint64_t ticks, ns, measured;

	if (_i)
		clock_init();
	ns = clock_ns();
	ticks = clock_ticks();
	nanosleep(&pause, NULL);
	measured = clock_ticks_to_ns(clock_ticks() - ticks);
	ns = clock_ns() - ns;
	ck_assert_uint_ge(ns, 30000000);
	/* Within 2 %, and what a preemption between the two readings may cost. */
	ck_assert_uint_lt(measured > ns ? measured - ns : ns - measured, ns / 50 + 5000000);
}
END_TEST

START_TEST(conversion_goes_both_ways)
{
	clock_init();
	for (uint64_t ns = 1000; ns < 1000000000000000000ull; ns *= 10) {
		uint64_t back = clock_ticks_to_ns(clock_ns_to_ticks(ns));

		ck_assert_uint_le(back, ns);
		ck_assert_uint_le(ns - back, 2 + ns / 1000000);
	}
	ck_assert_uint_eq(clock_ticks_to_ns(0), 0);
	ck_assert_uint_eq(clock_ns_to_ticks(0), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("clock");
	TCase *tc = tcase_create("clock");

	tcase_add_loop_test(tc, ticks_agree_with_nanoseconds, 0, 2);
	tcase_add_test(tc, conversion_goes_both_ways);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
