/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_hugetlb.c - guest memory on huge pages returns to the host in huge pages: when all of
 * one is in the balloon, and not before. Skipped where the host gives no huge pages.
 * _i: 1 is with packed rings. The front-end against the real daemon.
 */
#include <stdio.h>
#include <string.h>

#include "tests/lib/huge_pool.h"
#include "tests/protocol/balloon_rig.h"

#define NUM_HUGE 3u /* besides the work area, which is one more */
#define NEEDED   (NUM_HUGE + 1)

static struct balloon guest;
static uint32_t pfns[NUM_HUGE * HUGE_PAGES];

static void start(void)
{
	blkd_start("");
}

static void stop(void)
{
	balloon_close(&guest);
	blkd_stop();
}

static void guest_comes(int packed, uint64_t without)
{
	struct guest_options opt = {
		.packed = packed,
		.without = without,
		.huge = true,
		.pages = NUM_HUGE * HUGE_PAGES,
	};

	balloon_open(&guest, BLKD_SOCKET, &opt);
}

static void say(enum bal_role role, unsigned first, unsigned num)
{
	for (unsigned i = 0; i < num; i++)
		pfns[i] = guest.pages[first + i].pfn;
	balloon_say(&guest, role, pfns, num);
}

/* back - the guest writes to a page that it took out of the balloon. The others of its huge page read
 * as zero, and that one is the guest's again. */
static void back(unsigned page)
{
	guest.pages[page].gone = false;
	balloon_write(&guest, page);
}

START_TEST(a_huge_page_goes_when_all_of_it_is_in)
{
	guest_comes(_i, 0);
	say(BAL_INFLATE, 0, HUGE_PAGES - 1);
	say(BAL_INFLATE, HUGE_PAGES, 7);
	balloon_stays(&guest);
	say(BAL_INFLATE, HUGE_PAGES - 1, 1);
	balloon_gone(&guest, 0, HUGE_PAGES, true);
	balloon_settles(&guest);
	balloon_stays(&guest);
	ck_assert_int_eq(balloon_number(0, "reclaimed_bytes"), HUGE_PAGES * PAGE_BYTES);
}
END_TEST

START_TEST(in_any_order)
{
	unsigned *order;

	guest_comes(_i, 0);
	order = shuffle(guest.num_pages, 1);
	balloon_inflate(&guest, order, guest.num_pages);
	balloon_settles(&guest);
	balloon_deflate(&guest, order, guest.num_pages);
	balloon_stays(&guest);
	free(order);
}
END_TEST

START_TEST(one_page_out_and_in_again)
{
	guest_comes(_i, 0);
	say(BAL_INFLATE, 0, HUGE_PAGES);
	balloon_gone(&guest, 0, HUGE_PAGES, true);
	balloon_settles(&guest);
	for (unsigned i = 0; i < 5; i++) {
		say(BAL_DEFLATE, 100, 1);
		back(100);
		balloon_stays(&guest);
		say(BAL_INFLATE, 100, 1);
		guest.pages[100].gone = true;
		balloon_settles(&guest);
	}
}
END_TEST

/* The page that is out is named once more, and is in once more; others twice do not count for it. */
START_TEST(pages_named_twice_are_one)
{
	guest_comes(_i, 0);
	say(BAL_INFLATE, 0, HUGE_PAGES - 1);
	say(BAL_INFLATE, 0, HUGE_PAGES - 1);
	say(BAL_DEFLATE, HUGE_PAGES - 1, 1);
	balloon_stays(&guest);
	say(BAL_DEFLATE, 3, 1);
	say(BAL_DEFLATE, 3, 1);
	say(BAL_INFLATE, HUGE_PAGES - 1, 1);
	balloon_stays(&guest);
	say(BAL_INFLATE, 3, 1);
	balloon_gone(&guest, 0, HUGE_PAGES, true);
	balloon_settles(&guest);
}
END_TEST

/* Whether or not the huge page had gone by then, what is written after the answer stays. */
START_TEST(a_deflate_right_behind_an_inflate_loses_nothing)
{
	guest_comes(_i, 0);
	for (unsigned round = 0; round < 60; round++) {
		say(BAL_INFLATE, 0, HUGE_PAGES);
		usleep(round * 60);
		say(BAL_DEFLATE, 0, HUGE_PAGES);
		for (unsigned i = 0; i < HUGE_PAGES; i++)
			back(i);
	}
	balloon_stays(&guest);
}
END_TEST

/* It takes a page back before it says so, and the huge page would go under its hands. */
START_TEST(a_driver_that_does_not_tell_keeps_its_huge_pages)
{
	guest_comes(_i, OWN(MUST_TELL_HOST));
	say(BAL_INFLATE, 0, HUGE_PAGES);
	balloon_stays(&guest);
	ck_assert_int_eq(balloon_number(0, "counters/skipped/unsafe"), HUGE_PAGES);
}
END_TEST

START_TEST(a_huge_page_with_a_ring_in_it_stays)
{
	guest_comes(_i, 0);
	for (unsigned i = 0; i < WORK_PAGES; i++)
		pfns[i] = (uint32_t)(GUEST_GPA / PAGE_BYTES + i);
	balloon_say(&guest, BAL_INFLATE, pfns, WORK_PAGES);
	balloon_stays(&guest);
	ck_assert_int_eq(balloon_number(0, "counters/skipped/hazard"), WORK_PAGES);
	say(BAL_INFLATE, 0, HUGE_PAGES);
	balloon_gone(&guest, 0, HUGE_PAGES, true);
	balloon_settles(&guest);
}
END_TEST

START_TEST(reports_free_the_huge_pages_in_them)
{
	guest_comes(_i, 0);
	balloon_report(&guest, 10, HUGE_PAGES);
	balloon_report(&guest, 0, HUGE_PAGES - 1);
	balloon_stays(&guest);
	balloon_report(&guest, HUGE_PAGES - 50, HUGE_PAGES + 100);
	balloon_gone(&guest, HUGE_PAGES, HUGE_PAGES, true);
	balloon_settles(&guest);
	ck_assert_int_eq(balloon_number(0, "reported_bytes"), HUGE_PAGES * PAGE_BYTES);
}
END_TEST

/* Two blocks of a guest with small pages are one of ours. */
START_TEST(reports_that_touch_are_merged)
{
	struct fe_buf bufs[2];
	uint64_t gpa;

	guest_comes(_i, 0);
	gpa = (uint64_t)guest.pages[0].pfn * PAGE_BYTES;
	bufs[0] = (struct fe_buf){gpa + HUGE_PAGES / 2 * PAGE_BYTES, HUGE_PAGES / 2 * PAGE_BYTES};
	bufs[1] = (struct fe_buf){gpa, HUGE_PAGES / 2 * PAGE_BYTES};
	ck_assert_uint_eq(balloon_chain(&guest, BAL_REPORTING, bufs, 0, 2), 0);
	balloon_gone(&guest, 0, HUGE_PAGES, true);
	balloon_settles(&guest);
}
END_TEST

/* --- */

static Suite *hugetlb_suite(void)
{
	Suite *suite = suite_create("balloon_hugetlb");
	TCase *tcase = tcase_create("all");
	const TTest *const tests[] = {
		a_huge_page_goes_when_all_of_it_is_in,
		in_any_order,
		one_page_out_and_in_again,
		pages_named_twice_are_one,
		a_deflate_right_behind_an_inflate_loses_nothing,
		a_driver_that_does_not_tell_keeps_its_huge_pages,
		a_huge_page_with_a_ring_in_it_stays,
		reports_free_the_huge_pages_in_them,
		reports_that_touch_are_merged,
	};

	tcase_add_checked_fixture(tcase, start, stop);
	tcase_set_timeout(tcase, 30);
	for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_loop_test(tcase, tests[i], 0, 2);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	int status;
	long before;

	if (!huge_pool_raise(NEEDED, &before))
		return SKIPPED;
	status = run_balloon_suite(hugetlb_suite());
	huge_pool_restore(before);
	return status;
}
