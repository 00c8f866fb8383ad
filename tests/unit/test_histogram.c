/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_histogram.c - every value falls into the bucket whose bounds hold it, within 12.5 %, and
 * percentiles and sums follow. Tests base/histogram.
 */
#include "tests/unit/support.h"
#include "vhost/base/histogram.h"

static struct histogram h;

static void setup(void)
{
	memset(&h, 0, sizeof(h));
}

START_TEST(buckets_adjoin_and_grow)
{
	for (unsigned i = 1; i < HIST_BUCKETS; i++)
		ck_assert_uint_gt(hist_bucket_upper_ns(i), hist_bucket_upper_ns(i - 1));
	for (unsigned i = 0; i + 1 < HIST_BUCKETS; i++) {
		ck_assert_uint_eq(hist_bucket(hist_bucket_upper_ns(i)), i);
		ck_assert_uint_eq(hist_bucket(hist_bucket_upper_ns(i) + 1), i + 1);
	}
	ck_assert_uint_eq(hist_bucket_upper_ns(HIST_BUCKETS - 1), UINT64_MAX);
	ck_assert_uint_eq(hist_bucket_upper_ns(HIST_BUCKETS), UINT64_MAX);
}
END_TEST

START_TEST(a_bucket_is_within_an_eighth)
{
	for (uint64_t ns = 1; ns < (1ull << 39); ns = ns * 17 / 16 + 1) {
		uint64_t upper = hist_bucket_upper_ns(hist_bucket(ns));

		ck_assert_uint_ge(upper, ns);
		ck_assert_uint_le(upper - ns, ns / 8);
	}
}
END_TEST

START_TEST(what_is_too_long_counts_in_the_last_bucket)
{
	ck_assert_uint_eq(hist_bucket(0), 0);
	ck_assert_uint_lt(hist_bucket((1ull << 40) - 1), HIST_BUCKETS);
	ck_assert_uint_eq(hist_bucket(1ull << 41), HIST_BUCKETS - 1);
	ck_assert_uint_eq(hist_bucket(UINT64_MAX), HIST_BUCKETS - 1);
	hist_add(&h, 1ull << 50, 1);
	ck_assert_uint_eq(hist_percentile_ns(&h, 50), 1ull << 50);
}
END_TEST

START_TEST(an_empty_histogram_has_no_percentiles)
{
	ck_assert_uint_eq(hist_percentile_ns(&h, 0), 0);
	ck_assert_uint_eq(hist_percentile_ns(&h, 50), 0);
	ck_assert_uint_eq(hist_percentile_ns(&h, 100), 0);
}
END_TEST

START_TEST(percentiles)
{
	/* 1 to 1000 µs, once each. */
	for (uint64_t us = 1; us <= 1000; us++)
		hist_add(&h, us * 1000, 1);
	ck_assert_uint_eq(h.count, 1000);
	ck_assert_uint_eq(h.sum_ns, 500500 * 1000ull);
	ck_assert_uint_eq(h.max_ns, 1000000);
	for (unsigned p = 1; p < 100; p++) {
		uint64_t ns = hist_percentile_ns(&h, p), exact = p * 10000ull;

		ck_assert_uint_ge(ns, exact);
		ck_assert_uint_le(ns, (exact + 1000) * 9 / 8);
	}
	ck_assert_uint_eq(hist_percentile_ns(&h, 100), 1000000);
	ck_assert_uint_eq(hist_percentile_ns(&h, 200), 1000000);
	ck_assert_uint_eq(hist_percentile_ns(&h, -1), hist_percentile_ns(&h, 0));
}
END_TEST

START_TEST(many_at_once_count_as_many_times_one)
{
	hist_add(&h, 5, 99);
	hist_add(&h, 1000000, 1);
	ck_assert_uint_eq(h.count, 100);
	ck_assert_uint_eq(h.sum_ns, 99 * 5 + 1000000);
	ck_assert_uint_eq(hist_percentile_ns(&h, 98), 5);
	ck_assert_uint_eq(hist_percentile_ns(&h, 99.5), 1000000);
}
END_TEST

START_TEST(merge_adds)
{
	static struct histogram sum;

	memset(&sum, 0, sizeof(sum));
	hist_add(&h, 10, 3);
	hist_add(&h, 7000, 1);
	hist_merge(&sum, &h);
	hist_merge(&sum, &h);
	ck_assert_uint_eq(sum.count, 8);
	ck_assert_uint_eq(sum.sum_ns, 2 * (30 + 7000));
	ck_assert_uint_eq(sum.max_ns, 7000);
	ck_assert_uint_eq(sum.buckets[hist_bucket(10)], 6);
	ck_assert_uint_eq(sum.buckets[hist_bucket(7000)], 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("histogram");
	TCase *tc = tcase_create("histogram");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, buckets_adjoin_and_grow);
	tcase_add_test(tc, a_bucket_is_within_an_eighth);
	tcase_add_test(tc, what_is_too_long_counts_in_the_last_bucket);
	tcase_add_test(tc, an_empty_histogram_has_no_percentiles);
	tcase_add_test(tc, percentiles);
	tcase_add_test(tc, many_at_once_count_as_many_times_one);
	tcase_add_test(tc, merge_adds);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
