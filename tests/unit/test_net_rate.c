/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_rate.c - the most a port may send or receive: never more than the rate and one burst,
 * never much less, however many lcores share it. Tests net/rate.
 */
#include <errno.h>

#include "net/port.h"
#include "net/rate.h"
#include "tests/unit/net_eal_rig.h"

#define RATE  10000000ull /* bytes a second */
#define BURST (2 * NET_MAX_FRAME_BYTES) /* the least there is */
#define FRAME 1500u

static struct net_rate *rate;
static uint64_t now;

static void setup(void)
{
	start_eal();
	ck_assert_int_eq(net_rate_create(&rate, RATE, 1), 0);
	now = clock_ticks() + clock_ns_to_ticks(1000000);
}

/* offer - 40 MB/s by @lcores in turn for @ms. Return: bytes that passed. */
static uint64_t offer(unsigned lcores, unsigned ms, uint32_t frame_bytes)
{
	uint64_t passed = 0, step = clock_ns_to_ticks(frame_bytes * 25ull);
	uint64_t n = 40000ull * ms / frame_bytes;

	for (uint64_t i = 0; i < n; i++) {
		if (net_rate_pass(rate, (unsigned)(i % lcores), now, frame_bytes))
			passed += frame_bytes;
		now += step;
	}
	return passed;
}

START_TEST(a_burst_passes_at_once)
{
	uint64_t passed = 0;

	for (unsigned i = 0; i < 1000; i++)
		if (net_rate_pass(rate, 0, now, FRAME))
			passed += FRAME;
	ck_assert_uint_le(passed, BURST);
	ck_assert_uint_gt(passed, BURST - FRAME);
}
END_TEST

START_TEST(the_rate_is_kept)
{
	uint64_t passed = offer(1, 2000, FRAME);

	ck_assert_uint_le(passed, 2 * RATE + BURST);
	ck_assert_uint_ge(passed, 2 * RATE * 99 / 100);
}
END_TEST

/* Each lcore may keep a millisecond's bytes of what it leased. */
START_TEST(lcores_share_it)
{
	uint64_t passed = offer(4, 2000, FRAME);

	ck_assert_uint_le(passed, 2 * RATE + BURST);
	ck_assert_uint_ge(passed, 2 * RATE * 99 / 100);
}
END_TEST

START_TEST(the_largest_frame_passes)
{
	uint64_t passed = offer(1, 2000, NET_MAX_FRAME_BYTES);

	ck_assert_uint_le(passed, 2 * RATE + BURST);
	ck_assert_uint_ge(passed, 2 * RATE * 95 / 100);
}
END_TEST

/* Passes of two lcores begin when they do: time goes back a little from one to the other. */
START_TEST(time_that_goes_back_gives_nothing)
{
	uint64_t passed = 0;

	offer(1, 100, FRAME);
	for (unsigned i = 0; i < 10000; i++)
		if (net_rate_pass(rate, i & 1, now - (i & 1) * 1000, FRAME))
			passed += FRAME;
	ck_assert_uint_le(passed, 2 * FRAME + 2 * RATE / 1000);
}
END_TEST

/* A quiet hour gives a burst, and no more. */
START_TEST(silence_is_not_saved_up)
{
	uint64_t passed = 0;

	offer(1, 100, FRAME);
	now += clock_ns_to_ticks(3600ull * 1000000000);
	for (unsigned i = 0; i < 10000; i++)
		if (net_rate_pass(rate, 0, now, FRAME))
			passed += FRAME;
	ck_assert_uint_le(passed, BURST + RATE / 1000);
	ck_assert_uint_ge(passed, BURST - FRAME);
}
END_TEST

START_TEST(slowest_and_fastest)
{
	struct net_rate *other;

	ck_assert_int_eq(net_rate_create(&other, 16384, 0), 0);
	ck_assert(net_rate_pass(other, 0, now, NET_MAX_FRAME_BYTES));
	net_rate_free(other);
	ck_assert_int_eq(net_rate_create(&other, 1ull << 40, 0), 0);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert(net_rate_pass(other, 0, now, NET_MAX_FRAME_BYTES));
	net_rate_free(other);
	net_rate_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net_rate");
	TCase *tc = tcase_create("rate");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_burst_passes_at_once);
	tcase_add_test(tc, the_rate_is_kept);
	tcase_add_test(tc, lcores_share_it);
	tcase_add_test(tc, the_largest_frame_passes);
	tcase_add_test(tc, time_that_goes_back_gives_nothing);
	tcase_add_test(tc, silence_is_not_saved_up);
	tcase_add_test(tc, slowest_and_fastest);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
