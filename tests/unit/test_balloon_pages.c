/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_pages.c - pages in the balloon come out sorted and merged, whole pages of the file each,
 * and none that was taken back or that a ring lies in. Tests balloon/pages, on tables without memory.
 */
#include "balloon/pages.h"
#include "tests/unit/support.h"

#define PAGE 4096ull
#define MIB  (1ull << 20)
#define GIB  (1ull << 30)
#define TIB  (1ull << 40)
#define HUGE (2 * MIB)
#define MOST (1ull << 62)

#define MAX_REGIONS 4

static struct mem_region regions[MAX_REGIONS];
static struct mem_table table;
static struct bal_pages pages;

/* Of regions 0 and 1, in the test against a list. */
#define MODEL_PAGES 4096

static void setup(void)
{
	memset(regions, 0, sizeof(regions));
	table = (struct mem_table){.regions = regions, .max_regions = MAX_REGIONS, .fault_fd = -1};
	memset(&pages, 0, sizeof(pages));
}

static void teardown(void)
{
	bal_pages_free(&pages);
	bal_pages_free(&pages);
}

static void region(uint64_t gpa, uint64_t size, uint64_t page_bytes, uint64_t file_offset)
{
	regions[table.num_regions++] = (struct mem_region){
		.gpa = gpa,
		.size = size,
		.page_bytes = page_bytes,
		.file_offset = file_offset,
		.fd = -1,
	};
}

static void begin(void)
{
	ck_assert_int_eq(bal_pages_init(&pages, &table), 0);
}

static void add(uint64_t gpa, uint64_t num)
{
	for (uint64_t i = 0; i < num; i++)
		ck_assert_int_eq(bal_pages_add(&pages, (uint32_t)(gpa / PAGE + i), true),
				 BAL_SKIP_NONE);
}

static enum bal_skip add_one(uint64_t gpa)
{
	return bal_pages_add(&pages, (uint32_t)(gpa / PAGE), true);
}

static void take_back(uint64_t gpa, uint64_t num)
{
	for (uint64_t i = 0; i < num; i++)
		bal_pages_remove(&pages, (uint32_t)(gpa / PAGE + i));
}

/* expect - the next stretch is guest [gpa, gpa + bytes) of region @r. */
static void expect(unsigned r, uint64_t gpa, uint64_t bytes)
{
	struct bal_run run;

	ck_assert(bal_pages_next(&pages, MOST, &run));
	ck_assert_ptr_eq(run.region, &regions[r]);
	ck_assert_uint_eq(run.region->gpa + run.offset, gpa);
	ck_assert_uint_eq(run.bytes, bytes);
	ck_assert_uint_eq((run.region->file_offset + run.offset) % run.region->page_bytes, 0);
}

static void expect_nothing(void)
{
	struct bal_run run;

	ck_assert_uint_eq(pages.num_due, 0);
	ck_assert(!bal_pages_next(&pages, MOST, &run));
}

/* --- small pages --- */

START_TEST(pages_are_sorted_and_merged)
{
	region(GIB, 64 * MIB, PAGE, 0);
	begin();
	add(GIB + 9 * PAGE, 1);
	add(GIB + 1 * PAGE, 1);
	add(GIB + 8 * PAGE, 1);
	add(GIB + 2 * PAGE, 1);
	add(GIB + 2 * PAGE, 1);
	ck_assert_uint_eq(pages.num_due, 4);
	expect(0, GIB + 1 * PAGE, 2 * PAGE);
	expect(0, GIB + 8 * PAGE, 2 * PAGE);
	expect_nothing();
	/* Given back is given back; what comes then is new. */
	add(GIB + 1 * PAGE, 1);
	expect(0, GIB + PAGE, PAGE);
	expect_nothing();
}
END_TEST

START_TEST(what_is_taken_back_stays)
{
	region(0, 64 * MIB, PAGE, 0);
	begin();
	add(0, 16);
	take_back(3 * PAGE, 2);
	take_back(0, 1);
	take_back(15 * PAGE, 1);
	take_back(15 * PAGE, 1);
	take_back(32 * PAGE, 1);
	take_back(128 * MIB, 1);
	ck_assert_uint_eq(pages.num_due, 12);
	expect(0, PAGE, 2 * PAGE);
	expect(0, 5 * PAGE, 10 * PAGE);
	expect_nothing();
}
END_TEST

START_TEST(merged_across_words_and_chunks)
{
	region(0, 64 * MIB, PAGE, 0);
	begin();
	add(2 * MIB - 3 * PAGE, 1024 + 70);
	add(63 * MIB, 256); /* to the very end */
	expect(0, 2 * MIB - 3 * PAGE, (1024 + 70) * PAGE);
	expect(0, 63 * MIB, MIB);
	expect_nothing();
}
END_TEST

START_TEST(no_more_than_asked_for_at_once)
{
	struct bal_run run;

	region(0, 64 * MIB, PAGE, 0);
	begin();
	add(PAGE, 5);
	ck_assert(bal_pages_next(&pages, 2 * PAGE, &run));
	ck_assert_uint_eq(run.offset, PAGE);
	ck_assert_uint_eq(run.bytes, 2 * PAGE);
	ck_assert(bal_pages_next(&pages, 2 * PAGE + PAGE / 2, &run));
	ck_assert_uint_eq(run.offset, 3 * PAGE);
	ck_assert_uint_eq(run.bytes, 2 * PAGE);
	ck_assert(bal_pages_next(&pages, 0, &run)); /* one at least */
	ck_assert_uint_eq(run.bytes, PAGE);
	expect_nothing();
}
END_TEST

/* Neighbours for the guest, but not in the files. */
START_TEST(never_merged_across_regions)
{
	region(0, 4 * MIB, PAGE, 0);
	region(4 * MIB, 4 * MIB, PAGE, 4 * MIB);
	begin();
	add(4 * MIB - PAGE, 2);
	expect(0, 4 * MIB - PAGE, PAGE);
	expect(1, 4 * MIB, PAGE);
	expect_nothing();
}
END_TEST

START_TEST(outside_of_memory)
{
	region(MIB, MIB, PAGE, 0);
	region(4 * MIB, MIB, PAGE, 0);
	begin();
	ck_assert_int_eq(add_one(0), BAL_SKIP_UNMAPPED);
	ck_assert_int_eq(add_one(MIB - PAGE), BAL_SKIP_UNMAPPED);
	ck_assert_int_eq(add_one(2 * MIB), BAL_SKIP_UNMAPPED);
	ck_assert_int_eq(add_one(5 * MIB), BAL_SKIP_UNMAPPED);
	ck_assert_int_eq(bal_pages_add(&pages, UINT32_MAX, true), BAL_SKIP_UNMAPPED);
	ck_assert_int_eq(add_one(MIB), BAL_SKIP_NONE);
	ck_assert_int_eq(add_one(5 * MIB - PAGE), BAL_SKIP_NONE);
	bal_pages_remove(&pages, UINT32_MAX);
	expect(0, MIB, PAGE);
	expect(1, 5 * MIB - PAGE, PAGE);
}
END_TEST

START_TEST(nothing_is_set_up)
{
	struct bal_run run;
	uint64_t used;

	ck_assert_int_eq(bal_pages_add(&pages, 1, true), BAL_SKIP_UNMAPPED);
	bal_pages_remove(&pages, 1);
	bal_pages_forget(&pages);
	ck_assert(!bal_pages_next(&pages, MOST, &run));
	ck_assert_int_eq(bal_pages_clip(&pages, 0, 77, &run, &used), BAL_SKIP_UNMAPPED);
	ck_assert_uint_eq(used, 77);
}
END_TEST

/* A region may begin and end anywhere: only whole pages of guest and file go. */
START_TEST(pages_cut_by_the_ends_of_a_region)
{
	region(MIB + 512, 4 * PAGE, PAGE, 512);
	begin();
	ck_assert_int_eq(add_one(MIB), BAL_SKIP_UNMAPPED);
	ck_assert_int_eq(add_one(MIB + 4 * PAGE),
			 BAL_SKIP_UNMAPPED); /* 512 bytes of it are there */
	add(MIB + PAGE, 3);
	expect(0, MIB + PAGE, 3 * PAGE);
	expect_nothing();
}
END_TEST

START_TEST(pages_across_pages_of_the_file)
{
	region(MIB, MIB, PAGE, 512);
	region(4 * MIB + 1024, MIB, PAGE, 0);
	region(8 * MIB, PAGE, PAGE, PAGE - 1);
	begin();
	for (uint64_t gpa = MIB; gpa < 2 * MIB; gpa += PAGE)
		ck_assert_int_eq(add_one(gpa), BAL_SKIP_UNALIGNED);
	ck_assert_int_eq(add_one(4 * MIB + PAGE), BAL_SKIP_UNALIGNED);
	ck_assert_int_eq(add_one(8 * MIB), BAL_SKIP_UNALIGNED);
	expect_nothing();
}
END_TEST

START_TEST(forgotten_pages_stay)
{
	region(0, 64 * MIB, PAGE, 0);
	region(GIB, 64 * MIB, HUGE, 0);
	begin();
	add(0, 100);
	add(GIB, 512 + 511);
	bal_pages_forget(&pages);
	expect_nothing();
	add(GIB + HUGE + 511 * PAGE, 1); /* the others of that one are not in the balloon */
	expect_nothing();
	add(5 * PAGE, 1);
	expect(0, 5 * PAGE, PAGE);
}
END_TEST

/* --- hazards --- */

START_TEST(no_page_of_a_ring)
{
	region(0, 64 * MIB, PAGE, 0);
	begin();
	bal_pages_protect(&pages, 9 * PAGE, 1);
	bal_pages_protect(&pages, 3 * PAGE - 1, PAGE + 2); /* three pages */
	ck_assert_int_eq(add_one(1 * PAGE), BAL_SKIP_NONE);
	ck_assert_int_eq(add_one(2 * PAGE), BAL_SKIP_HAZARD);
	ck_assert_int_eq(add_one(3 * PAGE), BAL_SKIP_HAZARD);
	ck_assert_int_eq(add_one(4 * PAGE), BAL_SKIP_HAZARD);
	ck_assert_int_eq(add_one(5 * PAGE), BAL_SKIP_NONE);
	ck_assert_int_eq(add_one(9 * PAGE), BAL_SKIP_HAZARD);
	ck_assert_int_eq(add_one(8 * PAGE), BAL_SKIP_NONE);
	expect(0, PAGE, PAGE);
	expect(0, 5 * PAGE, PAGE);
	expect(0, 8 * PAGE, PAGE);
	bal_pages_unprotect(&pages);
	ck_assert_int_eq(add_one(3 * PAGE), BAL_SKIP_NONE);
}
END_TEST

START_TEST(a_ring_that_comes_later)
{
	region(0, 4 * MIB, PAGE, 0);
	region(4 * MIB, 4 * MIB, PAGE, 0);
	region(GIB, 8 * MIB, HUGE, 0);
	begin();
	add(0, 2048);
	add(GIB, 3 * 512);
	bal_pages_protect(&pages, 4 * MIB - 1, 2); /* the last page of one, the first of the next */
	bal_pages_protect(&pages, GIB + HUGE + 5, 1);
	bal_pages_protect(&pages, 100 * GIB, PAGE); /* nowhere */
	expect(0, 0, 4 * MIB - PAGE);
	expect(1, 4 * MIB + PAGE, 4 * MIB - PAGE);
	expect(2, GIB, HUGE);
	expect(2, GIB + 2 * HUGE, HUGE);
	expect_nothing();
}
END_TEST

START_TEST(as_many_hazards_as_there_may_be)
{
	region(0, 64 * MIB, PAGE, 0);
	begin();
	for (uint64_t i = 0; i < BAL_MAX_HAZARDS; i++)
		bal_pages_protect(&pages, 2 * i * PAGE, PAGE);
	for (uint64_t i = 0; i < 2 * BAL_MAX_HAZARDS; i++)
		ck_assert_int_eq(add_one(i * PAGE), i % 2 ? BAL_SKIP_NONE : BAL_SKIP_HAZARD);
}
END_TEST

/* --- huge pages --- */

START_TEST(a_huge_page_goes_when_it_is_whole)
{
	region(0, 8 * MIB, HUGE, 4 * HUGE);
	begin();
	for (uint64_t i = 1; i < 512; i++)
		add(HUGE + i * PAGE, 1);
	expect_nothing();
	add(HUGE + PAGE, 1); /* twice is once */
	expect_nothing();
	add(HUGE, 1);
	ck_assert_uint_eq(pages.num_due, 512);
	expect(0, HUGE, HUGE);
	expect_nothing();
	add(HUGE, 512); /* it has gone */
	expect_nothing();
	/* A part of it in use and back again: then it is there again, too. */
	take_back(HUGE + 7 * PAGE, 1);
	take_back(HUGE + 8 * PAGE, 1);
	add(HUGE + 7 * PAGE, 1);
	expect_nothing();
	add(HUGE + 8 * PAGE, 1);
	expect(0, HUGE, HUGE);
}
END_TEST

START_TEST(a_huge_page_in_use_stays)
{
	region(0, 8 * MIB, HUGE, 0);
	begin();
	add(0, 3 * 512);
	take_back(HUGE + 100 * PAGE, 1);
	ck_assert_uint_eq(pages.num_due, 2 * 512);
	take_back(HUGE + 101 * PAGE, 1);
	ck_assert_uint_eq(pages.num_due, 2 * 512);
	expect(0, 0, HUGE);
	expect(0, 2 * HUGE, HUGE);
	expect_nothing();
}
END_TEST

START_TEST(huge_pages_are_merged_and_cut)
{
	struct bal_run run;

	region(0, 64 * MIB, HUGE, 0);
	begin();
	add(0, 5 * 512);
	ck_assert(bal_pages_next(&pages, 2 * HUGE + MIB, &run));
	ck_assert_uint_eq(run.offset, 0);
	ck_assert_uint_eq(run.bytes, 2 * HUGE);
	ck_assert(bal_pages_next(&pages, PAGE, &run)); /* one at least */
	ck_assert_uint_eq(run.offset, 2 * HUGE);
	ck_assert_uint_eq(run.bytes, HUGE);
	expect(0, 3 * HUGE, 2 * HUGE);
	expect_nothing();
}
END_TEST

START_TEST(a_huge_page_with_a_ring_in_it_stays)
{
	region(0, 8 * MIB, HUGE, 0);
	begin();
	bal_pages_protect(&pages, HUGE + 300 * PAGE, 16);
	for (uint64_t i = 0; i < 512; i++)
		ck_assert_int_eq(add_one(HUGE + i * PAGE), BAL_SKIP_HAZARD);
	add(2 * HUGE, 512);
	expect(0, 2 * HUGE, HUGE);
	expect_nothing();
}
END_TEST

START_TEST(huge_pages_need_a_driver_that_tells)
{
	region(0, 8 * MIB, HUGE, 0);
	region(GIB, 8 * MIB, PAGE, 0);
	begin();
	ck_assert_int_eq(bal_pages_add(&pages, 0, false), BAL_SKIP_UNSAFE);
	ck_assert_int_eq(bal_pages_add(&pages, GIB / PAGE, false), BAL_SKIP_NONE);
}
END_TEST

/* The file's huge pages count, wherever the guest has them. */
START_TEST(huge_pages_cut_by_the_ends_of_a_region)
{
	region(GIB + MIB, 4 * MIB, HUGE, MIB);
	begin();
	ck_assert_int_eq(add_one(GIB + MIB), BAL_SKIP_UNALIGNED);
	ck_assert_int_eq(add_one(GIB + 2 * MIB - PAGE), BAL_SKIP_UNALIGNED);
	ck_assert_int_eq(add_one(GIB + 4 * MIB), BAL_SKIP_UNALIGNED);
	add(GIB + 2 * MIB, 512);
	expect(0, GIB + 2 * MIB, HUGE);
	expect_nothing();
}
END_TEST

START_TEST(pages_of_a_gigabyte)
{
	region(0, 2 * GIB, GIB, 0);
	begin();
	add(GIB, GIB / PAGE);
	expect(0, GIB, GIB);
	add(0, GIB / PAGE - 1);
	expect_nothing();
}
END_TEST

/* --- all at random, against a list --- */

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

START_TEST(agrees_with_a_list)
{
	static bool due[MODEL_PAGES];
	uint64_t seed = 0x9e3779b97f4a7c15ull + (uint64_t)_i;
	uint64_t expected = 0, got;
	struct bal_run run;

	region(0, MODEL_PAGES / 2 * PAGE, PAGE, 0);
	region(MODEL_PAGES / 2 * PAGE, MODEL_PAGES / 2 * PAGE, PAGE, 77 * PAGE);
	begin();
	memset(due, 0, sizeof(due));
	for (unsigned round = 0; round < 200; round++) {
		uint64_t page = next_random(&seed) % MODEL_PAGES;
		uint64_t n = next_random(&seed) % 200;
		bool on = next_random(&seed) % 3;

		for (; n && page < MODEL_PAGES; n--, page++) {
			due[page] = on;
			if (on)
				add(page * PAGE, 1);
			else
				take_back(page * PAGE, 1);
		}
		if (round % 10)
			continue;
		/* Some of it is cut out; each stretch was due, and neither end could go on. */
		for (unsigned i = 0; i < 5; i++) {
			if (!bal_pages_next(&pages, 64 * PAGE, &run))
				break;
			page = (run.region->gpa + run.offset) / PAGE;
			ck_assert(page == 0 || page == MODEL_PAGES / 2 || !due[page - 1]);
			for (got = run.bytes / PAGE; got; got--, page++) {
				ck_assert(due[page]);
				due[page] = false;
			}
		}
	}
	for (unsigned i = 0; i < MODEL_PAGES; i++)
		expected += due[i];
	ck_assert_uint_eq(pages.num_due, expected);
	for (got = 0; bal_pages_next(&pages, MOST, &run); got += run.bytes / PAGE)
		;
	ck_assert_uint_eq(got, expected);
}
END_TEST

/* --- what it costs --- */

static uint64_t resident_bytes(uint64_t *total_bytes)
{
	unsigned long total, resident;
	FILE *file = fopen("/proc/self/statm", "re");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%lu %lu", &total, &resident), 2);
	fclose(file);
	*total_bytes = total * PAGE;
	return resident * PAGE;
}

/* A front-end may share any amount of memory that is not there. */
START_TEST(a_huge_guest_costs_little)
{
	uint64_t total, total_before, before = resident_bytes(&total_before);

	region(0, 4 * TIB, PAGE, 0);
	region(8 * TIB, 100 * TIB, PAGE, 0);
	region(1000 * TIB, 1000 * TIB, PAGE, 0);
	begin();
	add(TIB, 1);
	add(16 * TIB - PAGE, 1); /* the last page that has a number */
	expect(0, TIB, PAGE);
	expect(1, 16 * TIB - PAGE, PAGE);
	expect_nothing();
	ck_assert_uint_le(resident_bytes(&total) - before, 2 * MIB);
	ck_assert_uint_le(total - total_before, 512 * MIB);
}
END_TEST

/* --- ranges: free page reporting --- */

static void clip(uint64_t gpa, uint64_t bytes, enum bal_skip skip, uint64_t used)
{
	struct bal_run run;
	uint64_t got;

	ck_assert_int_eq(bal_pages_clip(&pages, gpa, bytes, &run, &got), skip);
	ck_assert_uint_eq(got, used);
}

static void clip_run(uint64_t gpa, uint64_t bytes, uint64_t from, uint64_t to, uint64_t used)
{
	struct bal_run run;
	uint64_t got;

	ck_assert_int_eq(bal_pages_clip(&pages, gpa, bytes, &run, &got), BAL_SKIP_NONE);
	ck_assert_uint_eq(run.region->gpa + run.offset, from);
	ck_assert_uint_eq(run.bytes, to - from);
	ck_assert_uint_eq(got, used);
}

START_TEST(a_range_is_cut_to_whole_pages)
{
	region(0, 8 * MIB, PAGE, 0);
	begin();
	clip_run(MIB, MIB, MIB, 2 * MIB, MIB);
	clip_run(1, 2 * PAGE, PAGE, 2 * PAGE, 2 * PAGE - 1);
	clip(1, PAGE, BAL_SKIP_UNALIGNED, PAGE);
	clip(PAGE, PAGE - 1, BAL_SKIP_UNALIGNED, PAGE - 1);
	clip_run(7 * MIB, 2 * MIB, 7 * MIB, 8 * MIB, MIB);
	clip(8 * MIB, MIB, BAL_SKIP_UNMAPPED, MIB);
}
END_TEST

START_TEST(a_range_over_regions_and_gaps)
{
	region(0, MIB, PAGE, 0);
	region(MIB, MIB, PAGE, 0);
	region(4 * MIB, MIB, PAGE, 0);
	begin();
	clip_run(0, 16 * MIB, 0, MIB, MIB);
	clip_run(MIB, 15 * MIB, MIB, 2 * MIB, MIB);
	clip(2 * MIB, 14 * MIB, BAL_SKIP_UNMAPPED, 2 * MIB);
	clip_run(4 * MIB, 12 * MIB, 4 * MIB, 5 * MIB, MIB);
	clip(5 * MIB, 11 * MIB, BAL_SKIP_UNMAPPED, 11 * MIB);
	clip(2 * MIB, 64, BAL_SKIP_UNMAPPED, 64);
}
END_TEST

START_TEST(a_range_with_rings_in_it)
{
	region(0, 8 * MIB, PAGE, 0);
	begin();
	bal_pages_protect(&pages, 6 * PAGE, 64);
	bal_pages_protect(&pages, 2 * PAGE, PAGE + 1); /* two pages */
	clip_run(0, 8 * PAGE, 0, 2 * PAGE, 2 * PAGE);
	clip(2 * PAGE, 6 * PAGE, BAL_SKIP_HAZARD, 2 * PAGE);
	clip_run(4 * PAGE, 4 * PAGE, 4 * PAGE, 6 * PAGE, 2 * PAGE);
	clip(6 * PAGE, 2 * PAGE, BAL_SKIP_HAZARD, PAGE);
	clip_run(7 * PAGE, PAGE, 7 * PAGE, 8 * PAGE, PAGE);
}
END_TEST

START_TEST(a_range_of_huge_pages)
{
	region(0, 16 * MIB, HUGE, 0);
	begin();
	bal_pages_protect(&pages, 4 * HUGE + 5 * PAGE, PAGE);
	clip(PAGE, HUGE, BAL_SKIP_UNALIGNED, HUGE);
	clip_run(MIB, 4 * MIB, HUGE, 2 * HUGE, HUGE + MIB);
	clip_run(2 * HUGE, 4 * HUGE, 2 * HUGE, 4 * HUGE, 2 * HUGE);
	clip(4 * HUGE, 2 * HUGE, BAL_SKIP_HAZARD, HUGE);
	clip(4 * HUGE, HUGE - 1, BAL_SKIP_UNALIGNED, HUGE - 1);
}
END_TEST

START_TEST(every_reason_has_a_name_of_its_own)
{
	for (unsigned i = 0; i < BAL_SKIPS; i++)
		for (unsigned j = 0; j < i; j++)
			ck_assert_str_ne(bal_skip_name(i), bal_skip_name(j));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_pages");
	TCase *small = tcase_create("small pages");
	TCase *huge = tcase_create("huge pages");
	TCase *range = tcase_create("ranges");

	tcase_add_checked_fixture(small, setup, teardown);
	tcase_add_test(small, pages_are_sorted_and_merged);
	tcase_add_test(small, what_is_taken_back_stays);
	tcase_add_test(small, merged_across_words_and_chunks);
	tcase_add_test(small, no_more_than_asked_for_at_once);
	tcase_add_test(small, never_merged_across_regions);
	tcase_add_test(small, outside_of_memory);
	tcase_add_test(small, nothing_is_set_up);
	tcase_add_test(small, pages_cut_by_the_ends_of_a_region);
	tcase_add_test(small, pages_across_pages_of_the_file);
	tcase_add_test(small, forgotten_pages_stay);
	tcase_add_test(small, no_page_of_a_ring);
	tcase_add_test(small, a_ring_that_comes_later);
	tcase_add_test(small, as_many_hazards_as_there_may_be);
	tcase_add_loop_test(small, agrees_with_a_list, 0, 20);
	tcase_add_test(small, a_huge_guest_costs_little);
	suite_add_tcase(suite, small);
	tcase_add_checked_fixture(huge, setup, teardown);
	tcase_add_test(huge, a_huge_page_goes_when_it_is_whole);
	tcase_add_test(huge, a_huge_page_in_use_stays);
	tcase_add_test(huge, huge_pages_are_merged_and_cut);
	tcase_add_test(huge, a_huge_page_with_a_ring_in_it_stays);
	tcase_add_test(huge, huge_pages_need_a_driver_that_tells);
	tcase_add_test(huge, huge_pages_cut_by_the_ends_of_a_region);
	tcase_add_test(huge, pages_of_a_gigabyte);
	suite_add_tcase(suite, huge);
	tcase_add_checked_fixture(range, setup, teardown);
	tcase_add_test(range, a_range_is_cut_to_whole_pages);
	tcase_add_test(range, a_range_over_regions_and_gaps);
	tcase_add_test(range, a_range_with_rings_in_it);
	tcase_add_test(range, a_range_of_huge_pages);
	tcase_add_test(range, every_reason_has_a_name_of_its_own);
	suite_add_tcase(suite, range);
	return run_suite(suite);
}
