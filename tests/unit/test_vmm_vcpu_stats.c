/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_vcpu_stats.c - KVM's statistics of a vCPU, which come as a file that describes itself, are
 * read as far as they make sense. Needs no KVM; test_vmm_vcpu.c looks at real ones.
 */
#include <linux/kvm.h>

#include "tests/unit/support.h"
#include "vhost/base/util.h"
#include "vmm/vcpu.h"

#define FILE_BYTES   0x40000
#define NAME_BYTES   48
#define DESCRIPTIONS 64
#define DATA         0x30000

/* The file, and what is read of it. */
static struct vcpu vcpu;
static struct kvm_stats_header header;
static json_t *stats;

static void begin(void)
{
	vcpu.stats_fd = test_memfd(FILE_BYTES);
	header = (struct kvm_stats_header){
		.name_size = NAME_BYTES,
		.desc_offset = DESCRIPTIONS,
		.data_offset = DATA,
	};
}

static void end(void)
{
	json_decref(stats);
	close(vcpu.stats_fd);
}

static void put(uint64_t offset, const void *from, size_t bytes)
{
	ck_assert_int_eq(pwrite(vcpu.stats_fd, from, bytes, (off_t)offset), (ssize_t)bytes);
}

/* add - one more counter behind the others, and its value. */
static void add(const char *name, uint32_t type, uint16_t size, uint64_t value)
{
	struct kvm_stats_desc desc = {.flags = type, .size = size, .offset = 8 * header.num_desc};
	uint64_t at = DESCRIPTIONS + header.num_desc * (sizeof(desc) + header.name_size);

	put(at, &desc, sizeof(desc));
	put(at + sizeof(desc), name, strlen(name));
	put(DATA + desc.offset, &value, sizeof(value));
	header.num_desc++;
}

/* read_stats - Return: how many counters there are. */
static size_t read_stats(void)
{
	put(0, &header, sizeof(header));
	stats = vcpu_stats(&vcpu);
	ck_assert_ptr_nonnull(stats);
	return json_object_size(json_object_get(stats, "kernel"));
}

static json_int_t counter(const char *name)
{
	return json_integer_value(json_object_get(json_object_get(stats, "kernel"), name));
}

START_TEST(counters_that_are_one_number_are_told)
{
	add("exits", KVM_STATS_TYPE_CUMULATIVE, 1, 1234567890123);
	add("guest_mode", KVM_STATS_TYPE_INSTANT, 1, 1);
	add("most", KVM_STATS_TYPE_PEAK, 1, 7);
	add("buckets", KVM_STATS_TYPE_LOG_HIST, 1, 8);
	add("several", KVM_STATS_TYPE_CUMULATIVE, 2, 9);
	ck_assert_uint_eq(read_stats(), 3);
	ck_assert_int_eq(counter("exits"), 1234567890123);
	ck_assert_int_eq(counter("guest_mode"), 1);
	ck_assert_int_eq(counter("most"), 7);
}
END_TEST

START_TEST(names_that_are_none_are_left_out)
{
	char endless[NAME_BYTES + 1];

	memset(endless, 'x', NAME_BYTES);
	endless[NAME_BYTES] = '\0';
	add(endless, KVM_STATS_TYPE_CUMULATIVE, 1, 1);
	add("", KVM_STATS_TYPE_CUMULATIVE, 1, 2);
	add("\xff\xfe", KVM_STATS_TYPE_CUMULATIVE, 1, 3);
	add("good", KVM_STATS_TYPE_CUMULATIVE, 1, 4);
	ck_assert_uint_eq(read_stats(), 1);
	ck_assert_int_eq(counter("good"), 4);
}
END_TEST

START_TEST(values_beyond_the_end_are_left_out)
{
	add("first", KVM_STATS_TYPE_CUMULATIVE, 1, 1);
	header.data_offset = UINT32_MAX;
	ck_assert_uint_eq(read_stats(), 0);
}
END_TEST

START_TEST(descriptions_beyond_the_end_are_left_out)
{
	add("first", KVM_STATS_TYPE_CUMULATIVE, 1, 1);
	header.num_desc = 1000;
	header.desc_offset = FILE_BYTES - 1024;
	ck_assert_uint_eq(read_stats(), 0);
}
END_TEST

START_TEST(more_than_a_kernel_has_is_not_believed)
{
	for (unsigned i = 0; i < 1025; i++)
		add("same", KVM_STATS_TYPE_CUMULATIVE, 1, i);
	ck_assert_uint_eq(read_stats(), 0);
	json_decref(stats);
	header.num_desc = 1024;
	ck_assert_uint_eq(read_stats(), 1);
	ck_assert_int_eq(counter("same"), 1023);
}
END_TEST

START_TEST(names_longer_than_a_kernel_has_are_not_believed)
{
	header.name_size = 260;
	add("exits", KVM_STATS_TYPE_CUMULATIVE, 1, 1);
	ck_assert_uint_eq(read_stats(), 0);
}
END_TEST

START_TEST(headers_of_any_numbers_are_survived)
{
	static const uint32_t odd[] = {0, 1, 47, 4096, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(odd) * ARRAY_SIZE(odd); i++) {
		header = (struct kvm_stats_header){
			.name_size = odd[i % ARRAY_SIZE(odd)],
			.num_desc = odd[i / ARRAY_SIZE(odd)],
			.desc_offset = UINT32_MAX,
			.data_offset = UINT32_MAX,
		};
		ck_assert_uint_eq(read_stats(), 0);
		json_decref(stats);
	}
	header.name_size = 47;
	header.desc_offset = 0;
	ck_assert_uint_eq(read_stats(), 0);
}
END_TEST

START_TEST(without_a_file_there_are_our_own_counters)
{
	close(vcpu.stats_fd);
	vcpu.stats_fd = -1;
	vcpu.exits[KVM_EXIT_IO] = 3;
	vcpu.exits[KVM_EXIT_PAPR_HCALL] = 2; /* of another architecture: no name here */
	vcpu.exits[VCPU_NUM_EXITS - 1] = 1;
	stats = vcpu_stats(&vcpu);
	ck_assert_ptr_nonnull(stats);
	ck_assert_uint_eq(json_object_size(json_object_get(stats, "kernel")), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(stats, "exits"), "io")),
			 3);
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(stats, "exits"), "others")), 3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_vcpu_stats");
	TCase *tc = tcase_create("stats");

	tcase_add_checked_fixture(tc, begin, end);
	tcase_add_test(tc, counters_that_are_one_number_are_told);
	tcase_add_test(tc, names_that_are_none_are_left_out);
	tcase_add_test(tc, values_beyond_the_end_are_left_out);
	tcase_add_test(tc, descriptions_beyond_the_end_are_left_out);
	tcase_add_test(tc, more_than_a_kernel_has_is_not_believed);
	tcase_add_test(tc, names_longer_than_a_kernel_has_are_not_believed);
	tcase_add_test(tc, headers_of_any_numbers_are_survived);
	tcase_add_test(tc, without_a_file_there_are_our_own_counters);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
