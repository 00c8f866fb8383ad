/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_tags.c - a guest's statistics are read whatever their order and wherever its buffers
 * end; what makes no sense changes nothing. Tests balloon/stats.
 */
#include <endian.h>
#include <errno.h>

#include "balloon/stats.h"
#include "tests/unit/support.h"
#include "vhost/base/util.h"

#define NOW 1234567890ull

static struct bal_stats stats;
static uint8_t buf[16384];
static size_t bytes;

static void setup(void)
{
	memset(&stats, 0, sizeof(stats));
	bytes = 0;
}

static void put(uint16_t tag, uint64_t value)
{
	tag = htole16(tag);
	value = htole64(value);
	memcpy(buf + bytes, &tag, sizeof(tag));
	memcpy(buf + bytes + 2, &value, sizeof(value));
	bytes += 10;
}

static int parse(void)
{
	struct iovec iov = {buf, bytes};

	return bal_stats_parse(&stats, &iov, 1, NOW);
}

START_TEST(all_tags_in_any_order)
{
	for (unsigned i = 0; i < BAL_STATS_TAGS; i++)
		put((uint16_t)(BAL_STATS_TAGS - 1 - i), 100 + i);
	ck_assert_int_eq(parse(), 0);
	ck_assert(stats.there);
	ck_assert_uint_eq(stats.taken_ns, NOW);
	for (unsigned i = 0; i < BAL_STATS_TAGS; i++)
		ck_assert_uint_eq(bal_stats_value(&stats, BAL_STATS_TAGS - 1 - i), 100 + i);
}
END_TEST

START_TEST(what_was_not_sent_is_not_there)
{
	put(BAL_STAT_FREE, 0);
	ck_assert_int_eq(parse(), 0);
	ck_assert_uint_eq(bal_stats_value(&stats, BAL_STAT_FREE), 0);
	ck_assert_uint_eq(bal_stats_value(&stats, BAL_STAT_TOTAL), UINT64_MAX);
	/* The next buffer says all anew. */
	bytes = 0;
	put(BAL_STAT_TOTAL, 7);
	ck_assert_int_eq(parse(), 0);
	ck_assert_uint_eq(bal_stats_value(&stats, BAL_STAT_FREE), UINT64_MAX);
}
END_TEST

START_TEST(unknown_tags_mean_nothing)
{
	put(BAL_STATS_TAGS, 1);
	put(UINT16_MAX, 2);
	ck_assert_int_eq(parse(), 0);
	ck_assert_uint_eq(stats.present, 0);
}
END_TEST

START_TEST(the_last_of_a_tag_counts)
{
	put(BAL_STAT_FREE, 1);
	put(BAL_STAT_FREE, 2);
	ck_assert_int_eq(parse(), 0);
	ck_assert_uint_eq(bal_stats_value(&stats, BAL_STAT_FREE), 2);
}
END_TEST

START_TEST(a_cut_off_entry_is_ignored)
{
	put(BAL_STAT_FREE, 1);
	put(BAL_STAT_TOTAL, UINT64_MAX);
	bytes -= 1 + (size_t)_i;
	ck_assert_int_eq(parse(), 0);
	ck_assert_uint_eq(stats.present, 1u << BAL_STAT_FREE);
}
END_TEST

START_TEST(no_whole_entry_changes_nothing)
{
	struct iovec none = {buf, 0};

	put(BAL_STAT_FREE, 5);
	ck_assert_int_eq(parse(), 0);
	bytes = (size_t)_i;
	memset(buf, 0xff, sizeof(buf));
	ck_assert_int_eq(parse(), -EBADMSG);
	ck_assert_int_eq(bal_stats_parse(&stats, &none, 1, NOW + 1), -EBADMSG);
	ck_assert_int_eq(bal_stats_parse(&stats, NULL, 0, NOW + 1), -EBADMSG);
	ck_assert_uint_eq(bal_stats_value(&stats, BAL_STAT_FREE), 5);
	ck_assert_uint_eq(stats.taken_ns, NOW);
}
END_TEST

/* Buffers of _i bytes each, at addresses that are aligned to nothing. */
START_TEST(buffers_may_end_anywhere)
{
	struct iovec iov[256];
	static uint8_t apart[16384];
	unsigned num = 0;
	size_t at = 0;

	put(BAL_STAT_SWAP_IN, 0x1122334455667788);
	put(BAL_STAT_AVAILABLE, 0x99aabbccddeeff00);
	while (at < bytes) {
		size_t part = min_of((size_t)_i, bytes - at);
		uint8_t *to = apart + num * 33 + 1;

		memcpy(to, buf + at, part);
		iov[num++] = (struct iovec){to, part};
		at += part;
	}
	ck_assert_int_eq(bal_stats_parse(&stats, iov, num, NOW), 0);
	ck_assert_uint_eq(bal_stats_value(&stats, BAL_STAT_SWAP_IN), 0x1122334455667788);
	ck_assert_uint_eq(bal_stats_value(&stats, BAL_STAT_AVAILABLE), 0x99aabbccddeeff00);
}
END_TEST

START_TEST(no_more_than_4_KiB_are_looked_at)
{
	for (unsigned i = 0; i < 409; i++)
		put(BAL_STAT_FREE, i);
	put(BAL_STAT_TOTAL, 1); /* it ends behind 4096 */
	ck_assert_int_eq(parse(), 0);
	ck_assert_uint_eq(bal_stats_value(&stats, BAL_STAT_FREE), 408);
	ck_assert_uint_eq(bal_stats_value(&stats, BAL_STAT_TOTAL), UINT64_MAX);
}
END_TEST

START_TEST(every_statistic_has_a_name_of_its_own)
{
	for (unsigned i = 0; i < BAL_STATS_TAGS; i++)
		for (unsigned j = 0; j < i; j++)
			ck_assert_str_ne(bal_stat_name(i), bal_stat_name(j));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_tags");
	TCase *tc = tcase_create("parse");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, all_tags_in_any_order);
	tcase_add_test(tc, what_was_not_sent_is_not_there);
	tcase_add_test(tc, unknown_tags_mean_nothing);
	tcase_add_test(tc, the_last_of_a_tag_counts);
	tcase_add_loop_test(tc, a_cut_off_entry_is_ignored, 0, 9);
	tcase_add_loop_test(tc, no_whole_entry_changes_nothing, 0, 10);
	tcase_add_loop_test(tc, buffers_may_end_anywhere, 1, 21);
	tcase_add_test(tc, no_more_than_4_KiB_are_looked_at);
	tcase_add_test(tc, every_statistic_has_a_name_of_its_own);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
