/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memory_dirty.c - hostile input 16, and the dirty log as the protocol lays it out: which bit a
 * page has, what a write spans, and that nothing beyond the log is touched. Tests memory/dirty.
 */
#include <errno.h>
#include <sys/eventfd.h>

#include "tests/unit/support.h"
#include "vhost/memory/dirty.h"
#include "vhost/memory/fault.h"

#define PAGE     4096ull
#define LOG_BITS (PAGE * 8)

static struct mem_dirty dirty;
static int fd;
static int told;

static void setup(void)
{
	mem_fault_init();
	told = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ck_assert_int_ge(told, 0);
	fd = test_memfd(4 * PAGE);
	dirty = (struct mem_dirty){0};
}

static void teardown(void)
{
	mem_dirty_unmap(&dirty);
	ck_assert_uint_eq(test_mappings(), 0);
	close_fd(&fd);
	close_fd(&told);
}

/* The file as someone else sees it: what was marked must be there. */
static uint8_t byte_at(uint64_t offset)
{
	uint8_t byte;

	ck_assert_int_eq(pread(fd, &byte, 1, (off_t)offset), 1);
	return byte;
}

/* marked - exactly the @num bits from page @first on, counted from file offset @base. */
static void marked(uint64_t base, uint64_t first, uint64_t num)
{
	for (uint64_t at = 0; at < 4 * PAGE; at++) {
		uint8_t expected = 0;

		for (uint64_t page = first; page < first + num; page++) {
			if (base + page / 8 == at)
				expected |= (uint8_t)(1u << (page % 8));
		}
		ck_assert_msg(byte_at(at) == expected, "byte %llu is 0x%02x, expected 0x%02x",
			      (unsigned long long)at, byte_at(at), expected);
	}
}

static void map(uint64_t offset, uint64_t bytes)
{
	ck_assert_int_eq(mem_dirty_map(&dirty, fd, offset, bytes, told), 0);
	ck_assert_uint_eq(dirty.pages, bytes * 8);
}

START_TEST(a_page_is_a_bit_of_a_byte)
{
	map(0, PAGE);
	mem_dirty_mark(&dirty, 0, 1);
	marked(0, 0, 1);
	mem_dirty_mark(&dirty, PAGE, 1);
	marked(0, 0, 2);
	mem_dirty_mark(&dirty, 7 * PAGE + 123, 100);
	ck_assert_uint_eq(byte_at(0), 0x83);
	mem_dirty_mark(&dirty, 8 * PAGE, PAGE);
	ck_assert_uint_eq(byte_at(1), 0x01);
	mem_dirty_mark(&dirty, (LOG_BITS - 1) * PAGE, 1);
	ck_assert_uint_eq(byte_at(PAGE - 1), 0x80);
}
END_TEST

START_TEST(a_write_marks_every_page_it_touches)
{
	static const struct {
		uint64_t gpa, bytes, first, num;
	} writes[] = {
		{3 * PAGE, PAGE, 3, 1},         {3 * PAGE, PAGE + 1, 3, 2},
		{3 * PAGE - 1, 1, 2, 1},        {3 * PAGE - 1, 2, 2, 2},
		{3 * PAGE - 1, PAGE + 2, 2, 3}, {100 * PAGE + 17, 20 * PAGE, 100, 21},
		{5 * PAGE + 4095, 1, 5, 1},     {5 * PAGE, 1ull << 20, 5, 256},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(writes); i++) {
		ck_assert_int_eq(ftruncate(fd, 0), 0);
		ck_assert_int_eq(ftruncate(fd, 4 * PAGE), 0);
		map(0, PAGE);
		mem_dirty_mark(&dirty, writes[i].gpa, writes[i].bytes);
		marked(0, writes[i].first, writes[i].num);
		mem_dirty_unmap(&dirty);
	}
}
END_TEST

START_TEST(no_bytes_mark_nothing)
{
	map(0, PAGE);
	mem_dirty_mark(&dirty, 5 * PAGE, 0);
	mem_dirty_mark(&dirty, UINT64_MAX, 0);
	marked(0, 0, 0);
}
END_TEST

/* What others marked, or clear, stays theirs. */
START_TEST(marks_are_added_to_what_is_there)
{
	uint8_t there = 0x40;

	map(0, PAGE);
	ck_assert_int_eq(pwrite(fd, &there, 1, 0), 1);
	mem_dirty_mark(&dirty, 0, 1);
	ck_assert_uint_eq(byte_at(0), 0x41);
	there = 0;
	ck_assert_int_eq(pwrite(fd, &there, 1, 0), 1);
	mem_dirty_mark(&dirty, PAGE, 1);
	ck_assert_uint_eq(byte_at(0), 0x02);
}
END_TEST

/* The log is in the middle of a page of a longer file: its neighbours are not its own. */
START_TEST(what_lies_beyond_the_log_is_not_marked)
{
	map(PAGE, 3);
	mem_dirty_mark(&dirty, 24 * PAGE, 1);
	mem_dirty_mark(&dirty, 1ull << 40, 1ull << 20);
	mem_dirty_mark(&dirty, UINT64_MAX, 1);
	mem_dirty_mark(&dirty, 0 - PAGE, PAGE);
	marked(PAGE, 0, 0);
	mem_dirty_mark(&dirty, 23 * PAGE, 1ull << 30);
	marked(PAGE, 23, 1);
}
END_TEST

START_TEST(a_range_that_wraps_marks_nothing)
{
	map(0, PAGE);
	mem_dirty_mark(&dirty, UINT64_MAX, 2);
	mem_dirty_mark(&dirty, UINT64_MAX - PAGE, UINT64_MAX);
	mem_dirty_mark(&dirty, 2, UINT64_MAX);
	marked(0, 0, 0);
}
END_TEST

START_TEST(an_offset_need_not_be_a_page)
{
	static const uint64_t offsets[] = {1, 8, 4095, 4097, 2 * PAGE + 100};

	for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++) {
		ck_assert_int_eq(ftruncate(fd, 0), 0);
		ck_assert_int_eq(ftruncate(fd, 4 * PAGE), 0);
		map(offsets[i], 100);
		mem_dirty_mark(&dirty, 9 * PAGE, 1);
		marked(offsets[i], 9, 1);
		mem_dirty_mark(&dirty, 799 * PAGE, 2 * PAGE);
		ck_assert_uint_eq(byte_at(offsets[i] + 99), 0x80);
		ck_assert_uint_eq(byte_at(offsets[i] + 100), 0);
		mem_dirty_unmap(&dirty);
	}
}
END_TEST

START_TEST(a_log_that_cannot_be_is_refused)
{
	static const struct {
		uint64_t offset, bytes;
	} bad[] = {
		{0, 0},
		{4 * PAGE, 0},
		{0, 4 * PAGE + 1},
		{1, 4 * PAGE},
		{4 * PAGE, 1},
		{UINT64_MAX, 1},
		{UINT64_MAX - 4095, PAGE},
		{PAGE, UINT64_MAX - 4095},
		{PAGE, UINT64_MAX},
		{0, UINT64_MAX},
		{0, 1ull << 61},
		{0, (1ull << 61) + 1},
		{1ull << 63, 1ull << 63},
	};
	int pipes[2];

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(mem_dirty_map(&dirty, fd, bad[i].offset, bad[i].bytes, told),
				 -EINVAL);
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(mem_dirty_map(&dirty, pipes[0], 0, 1, told), -EINVAL);
	ck_assert_int_eq(mem_dirty_map(&dirty, told, 0, 1, told), -EINVAL);
	close(pipes[0]);
	close(pipes[1]);
	ck_assert_int_eq(mem_dirty_map(&dirty, pipes[0], 0, 1, told), -EBADF);
	ck_assert_ptr_null(dirty.bits);
	mem_dirty_unmap(&dirty);
}
END_TEST

/* Whoever marks goes on, and the owner is told. */
START_TEST(a_log_cut_short_is_survived)
{
	uint64_t count;

	map(0, 2 * PAGE);
	ck_assert_int_eq(ftruncate(fd, (off_t)PAGE), 0);
	mem_dirty_mark(&dirty, 0, 1);
	ck_assert_uint_eq(byte_at(0), 1);
	ck_assert_int_lt(read(told, &count, sizeof(count)), 0);
	mem_dirty_mark(&dirty, LOG_BITS * PAGE, PAGE);
	ck_assert_int_eq(read(told, &count, sizeof(count)), sizeof(count));
	mem_dirty_mark(&dirty, 0, 2 * LOG_BITS * PAGE);
	ck_assert_int_lt(read(told, &count, sizeof(count)), 0);
}
END_TEST

/* The fd is the caller's, and the mapping does not need it. */
START_TEST(the_mapping_outlives_the_fd_and_goes_with_unmap)
{
	int other = dup(fd);
	unsigned fds = open_fds();

	ck_assert_int_eq(mem_dirty_map(&dirty, other, 0, PAGE, told), 0);
	ck_assert_uint_eq(open_fds(), fds);
	close(other);
	mem_dirty_mark(&dirty, 0, 1);
	ck_assert_uint_eq(byte_at(0), 1);
	mem_dirty_unmap(&dirty);
	ck_assert_uint_eq(test_mappings(), 0);
	ck_assert_ptr_null(dirty.bits);
	ck_assert_uint_eq(dirty.pages, 0);
	mem_dirty_mark(&dirty, 0, PAGE); /* an empty one marks nothing */
	mem_dirty_unmap(&dirty);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory_dirty");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_page_is_a_bit_of_a_byte);
	tcase_add_test(tc, a_write_marks_every_page_it_touches);
	tcase_add_test(tc, no_bytes_mark_nothing);
	tcase_add_test(tc, marks_are_added_to_what_is_there);
	tcase_add_test(tc, what_lies_beyond_the_log_is_not_marked);
	tcase_add_test(tc, a_range_that_wraps_marks_nothing);
	tcase_add_test(tc, an_offset_need_not_be_a_page);
	tcase_add_test(tc, a_log_that_cannot_be_is_refused);
	tcase_add_test(tc, a_log_cut_short_is_survived);
	tcase_add_test(tc, the_mapping_outlives_the_fd_and_goes_with_unmap);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
