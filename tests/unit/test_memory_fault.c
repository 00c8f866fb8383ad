/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memory_fault.c - hostile input 8: memory whose file is cut short is survived, told of, and
 * forgotten in time; any other SIGBUS is still fatal. Tests memory/fault.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "tests/unit/support.h"
#include "vhost/memory/fault.h"
#include "vhost/memory/table.h"

#define PAGE   4096u
#define PAGES  4u
#define REGION (PAGE * PAGES)

static int told;

static void setup(void)
{
	told = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	mem_fault_init();
	mem_fault_init(); /* more than once is fine */
}

static void teardown(void)
{
	close_fd(&told);
}

static bool was_told(void)
{
	uint64_t count;

	return read(told, &count, sizeof(count)) == sizeof(count);
}

/* A mapping of PAGES pages; the file behind it is cut to @left of them. */
static volatile uint8_t *cut_mapping(unsigned left)
{
	int fd = test_memfd(REGION);
	void *base = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ck_assert_ptr_ne(base, MAP_FAILED);
	ck_assert_int_eq(ftruncate(fd, left * PAGE), 0);
	close(fd);
	return base;
}

static void forget(volatile uint8_t *base)
{
	mem_fault_remove((void *)base);
	munmap((void *)base, REGION);
}

START_TEST(a_covered_access_goes_on)
{
	volatile uint8_t *base = cut_mapping(1);

	ck_assert_int_eq(mem_fault_add((void *)base, REGION, told), 0);
	base[0] = 7; /* still there */
	ck_assert(!was_told());
	errno = 1234;
	ck_assert_uint_eq(base[REGION - 1], 0);
	ck_assert_int_eq(errno, 1234);
	ck_assert(was_told());
	/* All of it is ours now: no more faults. */
	for (unsigned i = 0; i < REGION; i += PAGE)
		base[i] = 1;
	ck_assert(!was_told());
	forget(base);
}
END_TEST

static void *write_all(void *arg)
{
	volatile uint8_t *base = arg;

	for (unsigned i = 0; i < REGION; i++)
		base[i] = (uint8_t)i;
	return NULL;
}

START_TEST(any_thread_may_fault)
{
	volatile uint8_t *base = cut_mapping(0);
	pthread_t threads[4];

	ck_assert_int_eq(mem_fault_add((void *)base, REGION, told), 0);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_all, (void *)base), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert(was_told());
	forget(base);
}
END_TEST

START_TEST(one_of_many_is_found)
{
	volatile uint8_t *base[200];

	for (unsigned i = 0; i < ARRAY_SIZE(base); i++) {
		base[i] = cut_mapping(0);
		ck_assert_int_eq(mem_fault_add((void *)base[i], REGION, told), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(base); i++) {
		base[i][PAGE] = 1;
		ck_assert(was_told());
		forget(base[i]);
	}
}
END_TEST

/* A table covers what it maps, across a replacement, and lets go of what it unmaps. */
START_TEST(a_table_covers_its_regions)
{
	struct vu_region region = {.gpa = 0, .uva = 0x1000000, .size = REGION};
	struct mem_table table;
	int fd = test_memfd(REGION);
	int copy = dup(fd);
	uint8_t *host;

	ck_assert_int_eq(mem_table_init(&table), 0);
	table.fault_fd = told;
	ck_assert_int_eq(mem_table_replace(&table, &region, 1, &fd), 0);
	fd = dup(copy);
	ck_assert_int_eq(mem_table_replace(&table, &region, 1, &fd), 0);
	host = table.regions[0].host;
	ck_assert_int_eq(ftruncate(copy, 0), 0);
	*(volatile uint8_t *)host = 1;
	ck_assert(was_told());
	mem_table_free(&table);
	close(copy);
}
END_TEST

START_TEST(an_access_that_is_not_covered_is_fatal)
{
	cut_mapping(0)[0] = 1;
}
END_TEST

START_TEST(a_mapping_that_was_removed_is_not_covered)
{
	volatile uint8_t *base = cut_mapping(0);

	ck_assert_int_eq(mem_fault_add((void *)base, REGION, told), 0);
	mem_fault_remove((void *)base);
	base[0] = 1;
}
END_TEST

START_TEST(only_the_mapping_itself_is_covered)
{
	volatile uint8_t *base = cut_mapping(0);

	ck_assert_int_eq(mem_fault_add((void *)base, REGION - PAGE, told), 0);
	base[REGION - PAGE] = 1;
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory_fault");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_covered_access_goes_on);
	tcase_add_test(tc, any_thread_may_fault);
	tcase_add_test(tc, one_of_many_is_found);
	tcase_add_test(tc, a_table_covers_its_regions);
	tcase_add_test_raise_signal(tc, an_access_that_is_not_covered_is_fatal, SIGBUS);
	tcase_add_test_raise_signal(tc, a_mapping_that_was_removed_is_not_covered, SIGBUS);
	tcase_add_test_raise_signal(tc, only_the_mapping_itself_is_covered, SIGBUS);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
