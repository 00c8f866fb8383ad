/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memory_table.c - what a front-end may share is mapped and found again to the byte; what it
 * may not is refused and changes nothing. Tests memory/table.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/unit/support.h"
#include "vhost/base/util.h"
#include "vhost/memory/table.h"

#define PAGE 4096ull
#define MIB  (1ull << 20)
#define UVA  0x7f0000000000ull

static struct mem_table table;
static struct mem_cache cache;
static unsigned fds_before;

static void setup(void)
{
	ck_assert_int_eq(mem_table_init(&table), 0);
	memset(&cache, 0, sizeof(cache));
	fds_before = open_fds();
}

static void teardown(void)
{
	mem_table_free(&table);
	ck_assert_uint_eq(open_fds(), fds_before);
	ck_assert_uint_eq(test_mappings(), 0);
}

/* add_fd - add a region; @fd is closed when it is refused. Return: of mem_table_add. */
static int add_fd(uint64_t gpa, uint64_t size, uint64_t uva, uint64_t offset, int fd)
{
	struct vu_region region = {gpa, size, uva, offset};
	int given = fd;
	int ret = mem_table_add(&table, &region, &fd);

	ck_assert_int_eq(fd, ret == 0 ? -1 : given);
	close_fd(&fd);
	return ret;
}

/* add - a region of a memfd that is exactly long enough. */
static int add(uint64_t gpa, uint64_t size, uint64_t uva)
{
	return add_fd(gpa, size, uva, 0, test_memfd(size));
}

START_TEST(an_empty_table_finds_nothing)
{
	struct iovec iov[1];

	ck_assert_ptr_null(mem_find(&table, 0));
	ck_assert_ptr_null(mem_find_uva(&table, 0));
	ck_assert_ptr_null(mem_from_uva(&table, 0, 0));
	ck_assert_ptr_null(mem_at(&table, &cache, 0, 0));
	ck_assert_ptr_null(mem_at(&table, &cache, UINT64_MAX, 1));
	ck_assert_int_eq(mem_iov(&table, &cache, 0, 1, iov, 1), -EFAULT);
	ck_assert_int_eq(mem_iov(&table, &cache, 0, 0, iov, 1), 0);
	mem_table_clear(&table);
}
END_TEST

START_TEST(lookups_are_exact_at_the_edges)
{
	const struct mem_region *r;

	ck_assert_int_eq(add(MIB, MIB, UVA), 0);
	r = mem_find(&table, MIB);
	ck_assert_ptr_nonnull(r);
	ck_assert_ptr_eq(mem_find(&table, 2 * MIB - 1), r);
	ck_assert_ptr_null(mem_find(&table, MIB - 1));
	ck_assert_ptr_null(mem_find(&table, 2 * MIB));
	ck_assert_ptr_null(mem_find(&table, UINT64_MAX));

	ck_assert_ptr_eq(mem_find_uva(&table, UVA), r);
	ck_assert_ptr_eq(mem_find_uva(&table, UVA + MIB - 1), r);
	ck_assert_ptr_null(mem_find_uva(&table, UVA - 1));
	ck_assert_ptr_null(mem_find_uva(&table, UVA + MIB));
	ck_assert_ptr_eq(mem_from_uva(&table, UVA, MIB), r->host);
	ck_assert_ptr_eq(mem_from_uva(&table, UVA + 5, MIB - 5), r->host + 5);
	ck_assert_ptr_null(mem_from_uva(&table, UVA, MIB + 1));
	ck_assert_ptr_null(mem_from_uva(&table, UVA + 5, MIB - 4));
	ck_assert_ptr_null(mem_from_uva(&table, UVA + 5, UINT64_MAX));
	ck_assert_ptr_null(mem_from_uva(&table, UVA + MIB, 0));
}
END_TEST

/* _i = 0 asks with an empty cache each time, 1 with a filled one. */
START_TEST(translation_is_exact_at_the_edges)
{
	static const struct {
		uint64_t gpa, bytes;
		bool mapped;
	} cases[] = {
		{MIB, 0, true},
		{MIB, 1, true},
		{MIB, MIB, true},
		{MIB, MIB + 1, false},
		{MIB, UINT64_MAX, false},
		{MIB - 1, 1, false},
		{MIB - 1, 0, false},
		{2 * MIB - 1, 1, true},
		{2 * MIB - 1, 2, false},
		{2 * MIB - 1, UINT64_MAX, false},
		{2 * MIB, 0, false},
		{2 * MIB, 1, false},
		{0, 1, false},
		{UINT64_MAX, 1, false},
		{UINT64_MAX, 2, false},
	};
	uint8_t *host;

	ck_assert_int_eq(add(MIB, MIB, UVA), 0);
	host = mem_find(&table, MIB)->host;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(&cache, 0, sizeof(cache));
		if (_i)
			ck_assert_ptr_eq(mem_at(&table, &cache, MIB, 1), host);
		ck_assert_ptr_eq(mem_at(&table, &cache, cases[i].gpa, cases[i].bytes),
				 cases[i].mapped ? host + (cases[i].gpa - MIB) : NULL);
	}
}
END_TEST

START_TEST(a_region_shows_the_bytes_of_its_file_at_its_offset)
{
	static const uint64_t offsets[] = {0, PAGE, PAGE + 8, 3 * PAGE - 1};
	uint64_t offset = offsets[_i];
	int fd = test_memfd(16 * PAGE), kept = dup(fd);
	uint32_t word = 0xfeedface, seen;
	const struct mem_region *r;

	ck_assert_int_eq(pwrite(fd, &word, 4, (off_t)offset + 100), 4);
	ck_assert_int_eq(add_fd(0, 4 * PAGE, UVA, offset, fd), 0);
	memcpy(&seen, mem_at(&table, &cache, 100, 4), 4);
	ck_assert_uint_eq(seen, word);
	/* Shared, not private. */
	memset(mem_at(&table, &cache, 4 * PAGE - 1, 1), 0x5a, 1);
	ck_assert_int_eq(pread(kept, &seen, 1, (off_t)(offset + 4 * PAGE - 1)), 1);
	ck_assert_uint_eq(seen & 0xff, 0x5a);

	r = mem_find(&table, 0);
	ck_assert_uint_eq(r->file_offset, offset);
	ck_assert_uint_eq(r->page_bytes, PAGE);
	ck_assert_uint_eq((uint64_t)(r->host - (uint8_t *)r->map_base), offset % PAGE);
	ck_assert_uint_ge(r->map_bytes, offset % PAGE + 4 * PAGE);
	close_fd(&kept);
}
END_TEST

START_TEST(wrapping_and_empty_regions_are_refused)
{
	static const struct vu_region bad[] = {
		{0, 0, UVA, 0}, /* empty */
		{0, 0, UVA, 8},
		{0 - PAGE, 2 * PAGE, UVA, 0}, /* gpa */
		{0 - PAGE, PAGE, UVA, 0}, /* gpa, to 2^64 exactly */
		{0, 2 * PAGE, 0 - PAGE, 0}, /* uva */
		{0, 2 * PAGE, UVA, 0 - PAGE}, /* offset */
		{0, UINT64_MAX, 0, 0}, /* far longer than the file */
		{0, PAGE, UVA, 1ull << 63},
		{0, UINT64_MAX, 1, 0},
	};

	ck_assert_int_eq(add_fd(bad[_i].gpa, bad[_i].size, bad[_i].uva, bad[_i].mmap_offset,
				test_memfd(4 * PAGE)),
			 -EINVAL);
	ck_assert_uint_eq(table.num_regions, 0);
}
END_TEST

/* A device has no size to compare with, so these reach the rounding to pages. */
START_TEST(rounding_that_wraps_is_refused)
{
	static const struct vu_region bad[] = {
		{0, UINT64_MAX, 0, 0}, /* length rounds up to 0 */
		{0, UINT64_MAX - PAGE + 2, 0, 0},
		{0, PAGE - 1, UVA, 0 - PAGE}, /* beyond what mmap(2) can say */
		{0, PAGE, UVA, INT64_MAX - PAGE + 1},
	};
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(add_fd(bad[_i].gpa, bad[_i].size, bad[_i].uva, bad[_i].mmap_offset, fd),
			 -EINVAL);
}
END_TEST

START_TEST(a_character_device_may_be_mapped)
{
	ck_assert_int_eq(add_fd(0, 3 * PAGE, UVA, 0, open("/dev/zero", O_RDWR | O_CLOEXEC)), 0);
	memset(mem_at(&table, &cache, 0, 3 * PAGE), 1, 3 * PAGE);
}
END_TEST

START_TEST(a_file_shorter_than_its_region_is_refused)
{
	ck_assert_int_eq(add_fd(0, 2 * PAGE, UVA, 0, test_memfd(2 * PAGE - 1)), -EINVAL);
	ck_assert_int_eq(add_fd(0, 2 * PAGE, UVA, 1, test_memfd(2 * PAGE)), -EINVAL);
	ck_assert_int_eq(add_fd(0, 2 * PAGE, UVA, PAGE, test_memfd(2 * PAGE)), -EINVAL);
	ck_assert_int_eq(add_fd(0, PAGE, UVA, 0, test_memfd(0)), -EINVAL);
	ck_assert_int_eq(add_fd(0, 2 * PAGE, UVA, 0, test_memfd(2 * PAGE)), 0);
}
END_TEST

START_TEST(what_is_no_memory_is_refused)
{
	int fds[2], sealed;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(add_fd(0, PAGE, UVA, 0, fds[0]), -EINVAL);
	close_fd(&fds[1]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(add_fd(0, PAGE, UVA, 0, fds[0]), -EINVAL);
	close_fd(&fds[1]);
	ck_assert_int_eq(add_fd(0, PAGE, UVA, 0, open("/", O_RDONLY | O_CLOEXEC)), -EINVAL);
	ck_assert_int_eq(add_fd(0, PAGE, UVA, 0, open("/dev/null", O_RDWR | O_CLOEXEC)), -ENODEV);
	ck_assert_int_eq(add_fd(0, PAGE, UVA, 0, -1), -EBADF);
	/* Readable only. */
	sealed = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(add_fd(0, PAGE, UVA, 0, sealed), -EACCES);
	ck_assert_uint_eq(table.num_regions, 0);
}
END_TEST

START_TEST(overlap_is_refused_in_either_address_space)
{
	static const uint64_t far_gpa = 1ull << 40, far_uva = UVA + (1ull << 40);

	ck_assert_int_eq(add(4 * MIB, MIB, UVA), 0);
	/* The first byte, the last byte, inside, around, the same. */
	ck_assert_int_eq(add(5 * MIB - 1, MIB, far_uva), -EEXIST);
	ck_assert_int_eq(add(3 * MIB + 1, MIB, far_uva), -EEXIST);
	ck_assert_int_eq(add(4 * MIB + PAGE, PAGE, far_uva), -EEXIST);
	ck_assert_int_eq(add(3 * MIB, 4 * MIB, far_uva), -EEXIST);
	ck_assert_int_eq(add(4 * MIB, MIB, far_uva), -EEXIST);
	ck_assert_int_eq(add(far_gpa, MIB, UVA + MIB - 1), -EEXIST);
	ck_assert_int_eq(add(far_gpa, MIB, UVA - MIB + 1), -EEXIST);
	ck_assert_int_eq(add(far_gpa, PAGE, UVA + PAGE), -EEXIST);
	ck_assert_int_eq(add(far_gpa, 3 * MIB, UVA - MIB), -EEXIST);
	ck_assert_uint_eq(table.num_regions, 1);
	ck_assert_uint_eq(test_mappings(), 1);
	/* Adjoining is no overlap. */
	ck_assert_int_eq(add(5 * MIB, MIB, UVA + MIB), 0);
	ck_assert_int_eq(add(3 * MIB, MIB, UVA - MIB), 0);
}
END_TEST

/* SPDK's client: guest addresses are its own virtual ones. */
START_TEST(guest_and_virtual_address_may_be_equal)
{
	ck_assert_int_eq(add(UVA, MIB, UVA), 0);
	ck_assert_ptr_eq(mem_from_uva(&table, UVA + 7, 1), mem_at(&table, &cache, UVA + 7, 1));
}
END_TEST

START_TEST(buffers_cross_adjoining_regions_and_nothing_else)
{
	struct iovec iov[4];
	uint8_t *a, *b, *c;

	/* Three that adjoin, added out of order; then a hole, then one more. */
	ck_assert_int_eq(add(2 * MIB, MIB, UVA), 0);
	ck_assert_int_eq(add(0, MIB, UVA + 8 * MIB), 0);
	ck_assert_int_eq(add(MIB, MIB, UVA + 4 * MIB), 0);
	ck_assert_int_eq(add(3 * MIB + PAGE, MIB, UVA + 16 * MIB), 0);
	a = mem_find(&table, 0)->host;
	b = mem_find(&table, MIB)->host;
	c = mem_find(&table, 2 * MIB)->host;

	ck_assert_int_eq(mem_iov(&table, &cache, 0, MIB, iov, 4), 1);
	ck_assert_ptr_eq(iov[0].iov_base, a);
	ck_assert_uint_eq(iov[0].iov_len, MIB);

	ck_assert_int_eq(mem_iov(&table, &cache, MIB - 1, 2, iov, 4), 2);
	ck_assert_ptr_eq(iov[0].iov_base, a + MIB - 1);
	ck_assert_uint_eq(iov[0].iov_len, 1);
	ck_assert_ptr_eq(iov[1].iov_base, b);
	ck_assert_uint_eq(iov[1].iov_len, 1);

	ck_assert_int_eq(mem_iov(&table, &cache, 5, 3 * MIB - 5, iov, 4), 3);
	ck_assert_ptr_eq(iov[0].iov_base, a + 5);
	ck_assert_uint_eq(iov[0].iov_len, MIB - 5);
	ck_assert_ptr_eq(iov[1].iov_base, b);
	ck_assert_uint_eq(iov[1].iov_len, MIB);
	ck_assert_ptr_eq(iov[2].iov_base, c);
	ck_assert_uint_eq(iov[2].iov_len, MIB);

	ck_assert_int_eq(mem_iov(&table, &cache, 5, 3 * MIB - 5, iov, 2), -E2BIG);
	ck_assert_int_eq(mem_iov(&table, &cache, 0, 1, iov, 0), -E2BIG);
	ck_assert_int_eq(mem_iov(&table, &cache, 3 * MIB - 1, 2, iov, 4), -EFAULT);
	ck_assert_int_eq(mem_iov(&table, &cache, 3 * MIB, 1, iov, 4), -EFAULT);
	ck_assert_int_eq(mem_iov(&table, &cache, 0, UINT64_MAX, iov, 4), -EFAULT);
	ck_assert_int_eq(mem_iov(&table, &cache, UINT64_MAX, 1, iov, 4), -EFAULT);
	ck_assert_int_eq(mem_iov(&table, &cache, UINT64_MAX, UINT64_MAX, iov, 4), -EFAULT);
	ck_assert_int_eq(mem_iov(&table, &cache, MIB, 0, iov, 4), 0);
	/* With the region in the cache too. */
	ck_assert_int_eq(mem_iov(&table, &cache, MIB, 1, iov, 4), 1);
	ck_assert_int_eq(mem_iov(&table, &cache, MIB, 0, iov, 4), 0);
	ck_assert_int_eq(mem_iov(&table, &cache, MIB, 1, iov, 0), -E2BIG);
	ck_assert_int_eq(mem_iov(&table, &cache, MIB + 1, UINT64_MAX, iov, 4), -EFAULT);
	/* One host address for a range in two regions there is not. */
	ck_assert_ptr_null(mem_at(&table, &cache, MIB - 1, 2));
}
END_TEST

START_TEST(a_region_at_the_top_of_the_address_space_works)
{
	struct iovec iov[2];
	uint64_t gpa = 0 - 2 * PAGE;

	/* The last byte of the space cannot be shared: the region's end would be 2^64. */
	ck_assert_int_eq(add_fd(gpa, 2 * PAGE - 1, gpa, 0, test_memfd(2 * PAGE)), 0);
	ck_assert_ptr_nonnull(mem_at(&table, &cache, UINT64_MAX - 1, 1));
	ck_assert_ptr_null(mem_at(&table, &cache, UINT64_MAX, 1));
	ck_assert_ptr_null(mem_at(&table, &cache, UINT64_MAX - 1, 2));
	ck_assert_int_eq(mem_iov(&table, &cache, UINT64_MAX - 1, 4, iov, 2), -EFAULT);
	ck_assert_ptr_nonnull(mem_from_uva(&table, UINT64_MAX - 1, 1));
	ck_assert_ptr_null(mem_from_uva(&table, UINT64_MAX - 1, 2));
}
END_TEST

START_TEST(as_many_regions_as_slots_are_told_apart)
{
	int file = test_memfd(VU_MAX_MEM_SLOTS * PAGE);
	struct vu_region region;

	/* From both ends to the middle, with a page between each two. */
	for (unsigned i = 0; i < VU_MAX_MEM_SLOTS; i++) {
		uint64_t n = i % 2 ? VU_MAX_MEM_SLOTS - 1 - i / 2 : i / 2;

		ck_assert_int_eq(
			add_fd(2 * n * PAGE, PAGE, UVA + 2 * n * PAGE, n * PAGE, dup(file)), 0);
	}
	ck_assert_int_eq(add_fd(1ull << 40, PAGE, UVA + (1ull << 40), 0, dup(file)), -ENOSPC);
	for (uint64_t n = 0; n < VU_MAX_MEM_SLOTS; n++) {
		const struct mem_region *r = mem_find(&table, 2 * n * PAGE);

		ck_assert_ptr_nonnull(r);
		ck_assert_uint_eq(r->file_offset, n * PAGE);
		ck_assert_ptr_eq(mem_find(&table, (2 * n + 1) * PAGE - 1), r);
		ck_assert_ptr_null(mem_find(&table, (2 * n + 1) * PAGE));
		ck_assert_ptr_null(mem_find(&table, (2 * n + 2) * PAGE - 1));
		ck_assert_ptr_eq(mem_find_uva(&table, UVA + 2 * n * PAGE), r);
	}
	/* Every second one goes; the others stay. */
	for (uint64_t n = 0; n < VU_MAX_MEM_SLOTS; n += 2) {
		region = (struct vu_region){2 * n * PAGE, PAGE, UVA + 2 * n * PAGE, 0};
		ck_assert_int_eq(mem_table_remove(&table, &region), 0);
	}
	for (uint64_t n = 0; n < VU_MAX_MEM_SLOTS; n++) {
		if (n % 2)
			ck_assert_uint_eq(mem_find(&table, 2 * n * PAGE)->file_offset, n * PAGE);
		else
			ck_assert_ptr_null(mem_find(&table, 2 * n * PAGE));
	}
	close_fd(&file);
}
END_TEST

START_TEST(remove_wants_an_exact_match_but_no_offset)
{
	struct vu_region region = {MIB, MIB, UVA, 12345};
	struct vu_region wrong;

	ck_assert_int_eq(add(MIB, MIB, UVA), 0);
	wrong = region;
	wrong.gpa++;
	ck_assert_int_eq(mem_table_remove(&table, &wrong), -ENOENT);
	wrong = region;
	wrong.size--;
	ck_assert_int_eq(mem_table_remove(&table, &wrong), -ENOENT);
	wrong = region;
	wrong.uva += PAGE;
	ck_assert_int_eq(mem_table_remove(&table, &wrong), -ENOENT);
	ck_assert_uint_eq(table.num_regions, 1);

	ck_assert_int_eq(mem_table_remove(&table, &region), 0);
	ck_assert_uint_eq(table.num_regions, 0);
	ck_assert_uint_eq(test_mappings(), 0);
	ck_assert_uint_eq(open_fds(), fds_before);
	ck_assert_int_eq(mem_table_remove(&table, &region), -ENOENT);
	ck_assert_int_eq(add(MIB, MIB, UVA), 0);
}
END_TEST

START_TEST(replace_swaps_the_whole_table)
{
	struct vu_region next[] = {
		{8 * MIB, MIB, UVA + MIB, 0},
		{4 * MIB, MIB, UVA, 0},
	};
	int fds[] = {test_memfd(MIB), test_memfd(MIB)};

	/* Overlaps with what goes away do not matter. */
	ck_assert_int_eq(add(8 * MIB, MIB, UVA), 0);
	ck_assert_int_eq(add(0, MIB, UVA + 4 * MIB), 0);
	ck_assert_int_eq(mem_table_replace(&table, next, 2, fds), 0);
	ck_assert_int_eq(fds[0], -1);
	ck_assert_int_eq(fds[1], -1);
	ck_assert_uint_eq(table.num_regions, 2);
	ck_assert_uint_eq(test_mappings(), 2);
	ck_assert_uint_eq(open_fds(), fds_before + 2);
	ck_assert_ptr_null(mem_find(&table, 0));
	ck_assert_uint_eq(mem_find(&table, 8 * MIB)->uva, UVA + MIB);
	ck_assert_uint_eq(mem_find(&table, 4 * MIB)->uva, UVA);
}
END_TEST

/* What is wrong with the last of three regions; the old table must not notice. */
START_TEST(replace_is_all_or_nothing)
{
	static const struct {
		struct vu_region last;
		uint64_t file_bytes;
		int error;
	} cases[] = {
		{{4 * MIB - 1, MIB, UVA + 8 * MIB, 0}, MIB, -EEXIST},
		{{8 * MIB, MIB, UVA, 0}, MIB, -EEXIST},
		{{8 * MIB, MIB, UVA + 8 * MIB, 0}, MIB - 1, -EINVAL},
		{{8 * MIB, 0, UVA + 8 * MIB, 0}, MIB, -EINVAL},
		{{0 - PAGE, 2 * PAGE, UVA + 8 * MIB, 0}, MIB, -EINVAL},
	};
	struct vu_region next[] = {
		{2 * MIB, MIB, UVA, 0},
		{3 * MIB, MIB, UVA + MIB, 0},
		cases[_i].last,
	};
	int fds[] = {test_memfd(MIB), test_memfd(MIB), test_memfd(cases[_i].file_bytes)};
	struct mem_region *old;

	ck_assert_int_eq(add(2 * MIB, MIB, UVA), 0);
	ck_assert_int_eq(add(16 * MIB, MIB, UVA + 16 * MIB), 0);
	memset(mem_at(&table, &cache, 2 * MIB, MIB), 0x77, MIB);
	old = table.regions;

	ck_assert_int_eq(mem_table_replace(&table, next, 3, fds), cases[_i].error);
	ck_assert_ptr_eq(table.regions, old);
	ck_assert_uint_eq(table.num_regions, 2);
	ck_assert_uint_eq(test_mappings(), 2);
	ck_assert_uint_eq(*mem_at(&table, &cache, 3 * MIB - 1, 1), 0x77);
	ck_assert_ptr_null(mem_find(&table, 3 * MIB));
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_ge(fcntl(fds[i], F_GETFD), 0);
		close_fd(&fds[i]);
	}
}
END_TEST

START_TEST(replace_by_nothing_or_too_much_is_refused)
{
	static struct vu_region many[VU_MAX_MEM_SLOTS + 1];
	static int fds[VU_MAX_MEM_SLOTS + 1];
	int file = test_memfd(PAGE);

	ck_assert_int_eq(add(0, MIB, UVA), 0);
	ck_assert_int_eq(mem_table_replace(&table, NULL, 0, NULL), -EINVAL);
	for (unsigned i = 0; i <= VU_MAX_MEM_SLOTS; i++) {
		many[i] = (struct vu_region){i * PAGE, PAGE, UVA + i * PAGE, 0};
		fds[i] = file;
	}
	ck_assert_int_eq(mem_table_replace(&table, many, VU_MAX_MEM_SLOTS + 1, fds), -ENOSPC);
	ck_assert_uint_eq(table.num_regions, 1);
	ck_assert_uint_eq(test_mappings(), 1);
	ck_assert_int_ge(fcntl(file, F_GETFD), 0);
	close_fd(&file);
}
END_TEST

START_TEST(replace_again_and_again_leaks_nothing)
{
	struct vu_region region = {0, MIB, UVA, 0};

	for (unsigned i = 0; i < 1000; i++) {
		int fd = test_memfd(MIB);

		ck_assert_int_eq(mem_table_replace(&table, &region, 1, &fd), 0);
	}
	ck_assert_uint_eq(open_fds(), fds_before + 1);
	ck_assert_uint_eq(test_mappings(), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory table");
	TCase *tc = tcase_create("memory table");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, an_empty_table_finds_nothing);
	tcase_add_test(tc, lookups_are_exact_at_the_edges);
	tcase_add_loop_test(tc, translation_is_exact_at_the_edges, 0, 2);
	tcase_add_loop_test(tc, a_region_shows_the_bytes_of_its_file_at_its_offset, 0, 4);
	tcase_add_loop_test(tc, wrapping_and_empty_regions_are_refused, 0, 9);
	tcase_add_loop_test(tc, rounding_that_wraps_is_refused, 0, 4);
	tcase_add_test(tc, a_character_device_may_be_mapped);
	tcase_add_test(tc, a_file_shorter_than_its_region_is_refused);
	tcase_add_test(tc, what_is_no_memory_is_refused);
	tcase_add_test(tc, overlap_is_refused_in_either_address_space);
	tcase_add_test(tc, guest_and_virtual_address_may_be_equal);
	tcase_add_test(tc, buffers_cross_adjoining_regions_and_nothing_else);
	tcase_add_test(tc, a_region_at_the_top_of_the_address_space_works);
	tcase_add_test(tc, as_many_regions_as_slots_are_told_apart);
	tcase_add_test(tc, remove_wants_an_exact_match_but_no_offset);
	tcase_add_test(tc, replace_swaps_the_whole_table);
	tcase_add_loop_test(tc, replace_is_all_or_nothing, 0, 5);
	tcase_add_test(tc, replace_by_nothing_or_too_much_is_refused);
	tcase_add_test(tc, replace_again_and_again_leaks_nothing);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
