/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memory_hugetlb.c - guest memory on huge pages: offsets and lengths that are no multiple of
 * a huge page are mapped right and unmapped whole. Tests memory/table.
 * Skipped where the host gives no huge pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>

#include "tests/lib/huge_pool.h"
#include "tests/unit/support.h"
#include "vhost/base/util.h"
#include "vhost/memory/table.h"

#define HUGE_BYTES (2ull << 20)
#define NEEDED     4
#define UVA        0x7f0000000000ull
#define SKIPPED    77

static struct mem_table table;
static struct mem_cache cache;

static int huge_memfd(uint64_t bytes)
{
	int fd = memfd_create(TEST_MEMFD_NAME, MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

static void setup(void)
{
	ck_assert_int_eq(mem_table_init(&table), 0);
	memset(&cache, 0, sizeof(cache));
}

static void teardown(void)
{
	mem_table_free(&table);
	/* A munmap(2) of a part of a huge page fails and leaves the mapping behind. */
	ck_assert_uint_eq(test_mappings(), 0);
}

START_TEST(offset_and_size_are_rounded_to_huge_pages)
{
	static const struct vu_region regions[] = {
		{0, NEEDED * HUGE_BYTES, UVA, 0},
		{0, HUGE_BYTES, UVA, HUGE_BYTES},
		{0, 4096, UVA, 4096},
		{0x100000, HUGE_BYTES, UVA, HUGE_BYTES - 4096},
		{0xc0000, NEEDED * HUGE_BYTES - 0xc0000, UVA + 0xc0000, 0xc0000},
	};
	const struct vu_region *in = &regions[_i];
	int fd = huge_memfd(NEEDED * HUGE_BYTES), kept = dup(fd);
	const struct mem_region *r;
	uint8_t *probe;

	ck_assert_int_eq(mem_table_add(&table, in, &fd), 0);
	r = mem_find(&table, in->gpa);
	ck_assert_uint_eq(r->page_bytes, HUGE_BYTES);
	ck_assert_uint_eq(r->map_bytes % HUGE_BYTES, 0);
	ck_assert_uint_eq((uint64_t)(r->host - (uint8_t *)r->map_base),
			  in->mmap_offset % HUGE_BYTES);

	*mem_at(&table, &cache, in->gpa, 1) = 0x11;
	*mem_at(&table, &cache, in->gpa + in->size - 1, 1) = 0x22;
	probe = mmap(NULL, NEEDED * HUGE_BYTES, PROT_READ, MAP_SHARED, kept, 0);
	ck_assert_ptr_ne(probe, MAP_FAILED);
	ck_assert_uint_eq(probe[in->mmap_offset], 0x11);
	ck_assert_uint_eq(probe[in->mmap_offset + in->size - 1], 0x22);
	munmap(probe, NEEDED * HUGE_BYTES);
	close_fd(&kept);
	ck_assert_int_eq(mem_table_remove(&table, in), 0);
}
END_TEST

START_TEST(beyond_the_end_of_the_file_is_refused)
{
	struct vu_region region = {0, HUGE_BYTES + 1, UVA, 0};
	int fd = huge_memfd(HUGE_BYTES);

	ck_assert_int_eq(mem_table_add(&table, &region, &fd), -EINVAL);
	region.size = HUGE_BYTES;
	region.mmap_offset = 1;
	ck_assert_int_eq(mem_table_add(&table, &region, &fd), -EINVAL);
	close_fd(&fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory on huge pages");
	TCase *tc = tcase_create("memory on huge pages");
	long before;
	int status;

	if (!huge_pool_raise(NEEDED, &before))
		return SKIPPED;
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, offset_and_size_are_rounded_to_huge_pages, 0, 5);
	tcase_add_test(tc, beyond_the_end_of_the_file_is_refused);
	suite_add_tcase(suite, tc);
	status = run_suite(suite);
	huge_pool_restore(before);
	return status;
}
