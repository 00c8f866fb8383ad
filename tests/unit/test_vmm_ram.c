/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_ram.c - guest RAM is where it belongs, sealed, placed and populated as asked; what cannot be
 * had is refused with one line and leaves nothing. Tests vmm/ram and vmm/ram_populate.
 */
#include <errno.h>
#include <fcntl.h>
#include <numa.h>
#include <numaif.h>
#include <seccomp.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#include "tests/unit/support.h"
#include "vhost/base/util.h"
#include "vmm/memory_map.h"
#include "vmm/ram.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct ram ram;
static struct ram_options opt;
static char error[512];
static unsigned fds_before;

static void setup(void)
{
	fds_before = open_fds();
	opt = (struct ram_options){.size = 64 * MIB, .numa_node = -1};
}

static void teardown(void)
{
	ram_free(&ram);
	ck_assert_uint_eq(open_fds(), fds_before);
}

static void created(void)
{
	int ret = ram_create(&ram, &opt, error, sizeof(error));

	ck_assert_msg(ret == 0, "%d: %s", ret, error);
	ck_assert_uint_eq(ram.size, opt.size);
}

static void refused(int expected, const char *option, const char *word)
{
	int ret = ram_create(&ram, &opt, error, sizeof(error));

	ck_assert_msg(ret == expected, "%d, expected %d: %s", ret, expected, error);
	ck_assert_msg(!strncmp(error, option, strlen(option)), "%s", error);
	ck_assert_msg(strstr(error, word), "no '%s' in: %s", word, error);
	ck_assert_ptr_null(strchr(error, '\n'));
	ck_assert_uint_eq(open_fds(), fds_before);
	ck_assert_uint_eq(ram.mem.num_regions, 0);
}

static uint64_t bytes_there(void)
{
	uint64_t bytes = 0;
	struct stat st;

	for (unsigned i = 0; i < ram.mem.num_regions; i++) {
		ck_assert_int_eq(fstat(ram.mem.regions[i].fd, &st), 0);
		bytes += (uint64_t)st.st_blocks * 512;
	}
	return bytes;
}

static uint64_t host_bytes(void)
{
	struct sysinfo info;

	ck_assert_int_eq(sysinfo(&info), 0);
	return ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
}

static int overcommit_mode(void)
{
	FILE *file = fopen("/proc/sys/vm/overcommit_memory", "re");
	int mode = -1;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%d", &mode), 1);
	fclose(file);
	return mode;
}

/* --- where it is --- */

START_TEST(up_to_3_gib_it_is_one_region_from_0)
{
	created();
	ck_assert_uint_eq(ram.mem.num_regions, 1);
	ck_assert_uint_eq(ram.mem.regions[0].gpa, 0);
	ck_assert_uint_eq(ram.mem.regions[0].size, 64 * MIB);
	ck_assert_ptr_eq(ram_host(&ram, 0, 64 * MIB), ram.mem.regions[0].host);
	ck_assert_ptr_null(ram_host(&ram, 1, 64 * MIB));
	ck_assert_ptr_null(ram_host(&ram, 64 * MIB, 1));
}
END_TEST

START_TEST(what_does_not_fit_below_the_hole_is_above_it)
{
	if (host_bytes() < 5 * GIB) {
		fprintf(stderr, "not tried: this host has less than 5 GiB of memory\n");
		return;
	}
	opt.size = RAM_LOW_END;
	created();
	ck_assert_uint_eq(ram.mem.num_regions, 1);
	ram_free(&ram);
	opt.size = RAM_LOW_END + 4096;
	created();
	ck_assert_uint_eq(ram.mem.num_regions, 2);
	ck_assert_uint_eq(ram.mem.regions[0].gpa, 0);
	ck_assert_uint_eq(ram.mem.regions[0].size, RAM_LOW_END);
	ck_assert_uint_eq(ram.mem.regions[1].gpa, RAM_HIGH_BEGIN);
	ck_assert_uint_eq(ram.mem.regions[1].size, 4096);
	ck_assert_ptr_null(ram_host(&ram, RAM_LOW_END, 1));
	ck_assert_ptr_nonnull(ram_host(&ram, RAM_HIGH_BEGIN, 4096));
	ck_assert_uint_eq(bytes_there(), 0);
}
END_TEST

START_TEST(nobody_can_shrink_grow_or_unseal_it)
{
	created();
	ck_assert_int_eq(fcntl(ram.mem.regions[0].fd, F_GET_SEALS),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	ck_assert_int_eq(ftruncate(ram.mem.regions[0].fd, 4096), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(ftruncate(ram.mem.regions[0].fd, (off_t)GIB), -1);
	ck_assert_int_eq(errno, EPERM);
}
END_TEST

START_TEST(large_pages_can_be_mapped)
{
	opt.size += 4096; /* a kernel that aligns by itself does so for whole large pages */
	created();
	ck_assert_uint_eq((uintptr_t)ram.mem.regions[0].host % (2 * MIB), 0);
}
END_TEST

/* --- populated --- */

START_TEST(nothing_is_there_before_it_is_used)
{
	created();
	ck_assert_uint_eq(bytes_there(), 0);
}
END_TEST

/* Of several pieces, the last of which is a part of one. */
START_TEST(prealloc_makes_every_page)
{
	opt.size = 100 * MIB + 4096;
	opt.prealloc = true;
	created();
	ck_assert_uint_eq(bytes_there(), opt.size);
	for (uint64_t at = 0; at < opt.size; at += 4096)
		ck_assert_uint_eq(*(uint64_t *)ram_host(&ram, at, 8), 0);
}
END_TEST

static void deny(int call, int number)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	ck_assert_ptr_nonnull(filter);
	ck_assert_int_eq(seccomp_rule_add(filter, SCMP_ACT_ERRNO(number), call, 0), 0);
	ck_assert_int_eq(seccomp_load(filter), 0);
	seccomp_release(filter);
}

START_TEST(prealloc_does_without_madvise)
{
	opt.size = 100 * MIB + 4096;
	opt.prealloc = true;
	deny(SCMP_SYS(madvise), EINVAL);
	created();
	ck_assert_uint_eq(bytes_there(), opt.size);
}
END_TEST

START_TEST(prealloc_that_fails_is_one_line)
{
	opt.prealloc = true;
	deny(SCMP_SYS(madvise), ENOMEM);
	refused(-ENOMEM, "--memory=64M,prealloc=on: ", "Cannot allocate memory");
}
END_TEST

START_TEST(a_broken_page_is_one_line)
{
	opt.prealloc = true;
	deny(SCMP_SYS(madvise), EHWPOISON);
	refused(-EHWPOISON, "--memory=64M,prealloc=on: ", "hardware");
}
END_TEST

START_TEST(prealloc_of_more_than_is_available_is_refused)
{
	if (overcommit_mode() == 2)
		return;
	opt.size = align_down(host_bytes() - 4096, 4096);
	opt.prealloc = true;
	refused(-ENOMEM, "--memory=", "available");
}
END_TEST

/* --- NUMA --- */

START_TEST(it_is_bound_to_its_node)
{
	unsigned long nodes[16] = {0};
	int mode = -1, node = -1;

	if (numa_available() < 0 || !numa_bitmask_isbitset(numa_all_nodes_ptr, 0)) {
		fprintf(stderr, "not tried: this host has no NUMA node 0\n");
		return;
	}
	opt.numa_node = 0;
	opt.prealloc = _i;
	created();
	ck_assert_int_eq(get_mempolicy(&mode, nodes, sizeof(nodes) * 8,
				       ram.mem.regions[0].host + 4096, MPOL_F_ADDR),
			 0);
	ck_assert_int_eq(mode, MPOL_BIND);
	ck_assert_uint_eq(nodes[0], 1);
	*ram.mem.regions[0].host = 1;
	ck_assert_int_eq(get_mempolicy(&node, NULL, 0, ram.mem.regions[0].host,
				       MPOL_F_NODE | MPOL_F_ADDR),
			 0);
	ck_assert_int_eq(node, 0);
}
END_TEST

START_TEST(a_node_that_is_not_there_is_refused)
{
	if (numa_available() < 0)
		return;
	opt.numa_node = numa_max_node() + 1;
	refused(-ENODEV, "--memory=64M,numa-node=", "no such node");
	opt.numa_node = 4096;
	refused(-ENODEV, "--memory=64M,numa-node=4096: ", "no such node");
	opt.numa_node = INT32_MAX;
	refused(-ENODEV, "--memory=64M,numa-node=", "no such node");
}
END_TEST

START_TEST(more_than_the_node_has_is_refused)
{
	if (numa_available() < 0 || overcommit_mode() == 2)
		return;
	opt.numa_node = 0;
	opt.size = (uint64_t)align_up((uint64_t)numa_node_size64(0, NULL) + 1, GIB);
	refused(-ENOMEM, "--memory=", "the node has only");
}
END_TEST

/* --- sizes --- */

START_TEST(sizes_that_make_no_sense_are_refused)
{
	static const struct {
		uint64_t size;
		const char *option, *word;
	} bad[] = {
		{0, "--memory=0: ", "at least 2M"},
		{1, "--memory=1: ", "at least 2M"},
		{2 * MIB - 4096, "--memory=2044K: ", "at least 2M"},
		{4 * MIB + 1, "--memory=4194305: ", "multiple of 4K"},
		{64 * MIB + 2048, "--memory=65538K: ", "multiple of 4K"},
		{1ull << 62, "--memory=4194304T: ", "at most"},
		{UINT64_MAX, "--memory=18446744073709551615: ", "at most"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		opt.size = bad[i].size;
		refused(-EINVAL, bad[i].option, bad[i].word);
	}
	opt.size = RAM_MIN_BYTES;
	created();
	ram_free(&ram);
	opt.hugepages = true;
	opt.size = 5 * MIB;
	refused(-EINVAL, "--memory=5M,hugepages=on: ", "multiple of 2M");
}
END_TEST

START_TEST(more_than_the_host_has_is_refused)
{
	opt.size = align_up(host_bytes(), GIB) + GIB;
	if (overcommit_mode() == 1) {
		created();
		return;
	}
	refused(-ENOMEM, "--memory=", "overcommit_memory");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guest RAM");
	TCase *tc = tcase_create("guest RAM");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, up_to_3_gib_it_is_one_region_from_0);
	tcase_add_test(tc, what_does_not_fit_below_the_hole_is_above_it);
	tcase_add_test(tc, nobody_can_shrink_grow_or_unseal_it);
	tcase_add_test(tc, large_pages_can_be_mapped);
	tcase_add_test(tc, nothing_is_there_before_it_is_used);
	tcase_add_test(tc, prealloc_makes_every_page);
	tcase_add_test(tc, prealloc_does_without_madvise);
	tcase_add_test(tc, prealloc_that_fails_is_one_line);
	tcase_add_test(tc, a_broken_page_is_one_line);
	tcase_add_test(tc, prealloc_of_more_than_is_available_is_refused);
	tcase_add_loop_test(tc, it_is_bound_to_its_node, 0, 2);
	tcase_add_test(tc, a_node_that_is_not_there_is_refused);
	tcase_add_test(tc, more_than_the_node_has_is_refused);
	tcase_add_test(tc, sizes_that_make_no_sense_are_refused);
	tcase_add_test(tc, more_than_the_host_has_is_refused);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
