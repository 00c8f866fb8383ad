/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_ram_hugepages.c - guest RAM on huge pages has all of them from the start; where there are
 * too few, the line says what to type, and that helps. Tests vmm/ram.
 * Skipped where the host gives no huge pages.
 */
#include <errno.h>
#include <sys/stat.h>

#include "tests/lib/huge_pool.h"
#include "tests/unit/support.h"
#include "vmm/ram.h"

#define HUGE_BYTES (2ull << 20)
#define RAM_PAGES  4
#define SKIPPED    77

static struct ram ram;
static struct ram_options opt;
static char error[512];

static void setup(void)
{
	opt = (struct ram_options){.size = RAM_PAGES * HUGE_BYTES,
				   .hugepages = true,
				   .numa_node = -1};
}

static void teardown(void)
{
	ram_free(&ram);
}

static void created(void)
{
	int ret = ram_create(&ram, &opt, error, sizeof(error));

	ck_assert_msg(ret == 0, "%d: %s", ret, error);
}

START_TEST(they_are_reserved_at_once)
{
	long before = huge_pool_available(),
	     free_before = huge_pool_read(HUGE_POOL "free_hugepages");

	created();
	ck_assert_int_eq(huge_pool_available(), before - RAM_PAGES);
	ck_assert_int_eq(huge_pool_read(HUGE_POOL "free_hugepages"), free_before);
	ck_assert_uint_eq(ram.mem.regions[0].page_bytes, HUGE_BYTES);
	ram_free(&ram);
	ck_assert_int_eq(huge_pool_available(), before);
}
END_TEST

START_TEST(prealloc_takes_them)
{
	long before = huge_pool_read(HUGE_POOL "free_hugepages");

	opt.prealloc = true;
	created();
	ck_assert_int_eq(huge_pool_read(HUGE_POOL "free_hugepages"), before - RAM_PAGES);
}
END_TEST

/* Of a node only what is taken is sure. */
START_TEST(with_a_node_they_are_taken_too)
{
	long before = huge_pool_read(HUGE_POOL "free_hugepages");

	opt.numa_node = 0;
	created();
	ck_assert_int_eq(huge_pool_read(HUGE_POOL "free_hugepages"), before - RAM_PAGES);
}
END_TEST

/* _i: 0 reserved, 1 populated, 2 of a node. */
START_TEST(what_to_type_when_there_are_too_few_helps)
{
	long total = huge_pool_read(HUGE_POOL_PAGES), typed = 0;
	char path[256] = "", *advice;

	opt.prealloc = _i == 1;
	opt.numa_node = _i == 2 ? 0 : -1;
	opt.size = ((uint64_t)huge_pool_available() + 3) * HUGE_BYTES;
	ck_assert_int_eq(ram_create(&ram, &opt, error, sizeof(error)), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(error, "hugepages=on"));
	ck_assert_ptr_null(strchr(error, '\n'));
	ck_assert_uint_eq(ram.mem.num_regions, 0);
	advice = strstr(error, "echo ");
	ck_assert_msg(advice && sscanf(advice, "echo %ld > %255s", &typed, path) == 2, "%s", error);
	ck_assert_int_ge(typed, total + 3);
	if (huge_pool_write(path, typed) && huge_pool_available() >= (long)(opt.size / HUGE_BYTES))
		created();
	ram_free(&ram);
	huge_pool_write(HUGE_POOL_PAGES, total);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guest RAM on huge pages");
	TCase *tc = tcase_create("guest RAM on huge pages");
	long before;
	int status;

	if (!huge_pool_raise(RAM_PAGES, &before))
		return SKIPPED;
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, they_are_reserved_at_once);
	tcase_add_test(tc, prealloc_takes_them);
	tcase_add_test(tc, with_a_node_they_are_taken_too);
	tcase_add_loop_test(tc, what_to_type_when_there_are_too_few_helps, 0, 3);
	suite_add_tcase(suite, tc);
	status = run_suite(suite);
	huge_pool_restore(before);
	return status;
}
