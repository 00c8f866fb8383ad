/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_topology.c - the places that CPUID gives to vCPUs are their own, and what an operating
 * system cuts out of an APIC ID is what was asked for.
 */
#include <errno.h>

#include "tests/unit/support.h"
#include "vmm/topology.h"

#define MAX_ENTRIES 32

/* What topology_patch_cpuid() takes, with room for MAX_ENTRIES. */
static struct kvm_cpuid2 *cpuid;

static void begin(void)
{
	cpuid = calloc(1, sizeof(*cpuid) + MAX_ENTRIES * sizeof(cpuid->entries[0]));
	ck_assert_ptr_nonnull(cpuid);
}

static void end(void)
{
	free(cpuid);
}

static struct kvm_cpuid_entry2 *add(uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *leaf = &cpuid->entries[cpuid->nent++];

	ck_assert_uint_le(cpuid->nent, MAX_ENTRIES);
	leaf->function = function;
	leaf->index = index;
	return leaf;
}

static struct kvm_cpuid_entry2 *get(uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *found = NULL;

	for (unsigned i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *leaf = &cpuid->entries[i];

		if (leaf->function != function || leaf->index != index)
			continue;
		ck_assert_msg(!found, "leaf %#x.%u is there twice", function, index);
		found = leaf;
	}
	ck_assert_msg(found, "no leaf %#x.%u", function, index);
	return found;
}

/* vendor - as KVM hands it out: with the host's numbers in some leaves. */
static void vendor(const char *name, uint32_t max)
{
	struct kvm_cpuid_entry2 *leaf = add(0, 0);

	leaf->eax = max;
	memcpy(&leaf->ebx, name, 4);
	leaf = add(1, 0);
	leaf->ebx = 0xab0c0800; /* APIC ID 0xab, 12 threads, CLFLUSH 8 */
	leaf->ecx = 1;
	leaf->edx = 1;
}

static void intel(void)
{
	struct kvm_cpuid_entry2 *leaf;

	vendor("Genu", 0x1f);
	for (uint32_t i = 0; i < 4; i++) {
		leaf = add(4, i);
		/* Data, code, L2, L3; as many cores and sharers as the fields hold. */
		leaf->eax = 0xffffc100 | (i < 2 ? 1 : i) << 5 | (i == 1 ? 2 : 1);
	}
	add(4, 4); /* the end */
	leaf = add(0xb, 0);
	leaf->ebx = 77;
	add(0x1f, 0);
}

static void amd(void)
{
	struct kvm_cpuid_entry2 *leaf;

	vendor("Auth", 0xd);
	leaf = add(0x80000001, 0);
	leaf->ecx = 1u << 22; /* TOPOEXT */
	leaf = add(0x80000008, 0);
	leaf->eax = 0x3030;
	leaf->ecx = 0x7fff;
	for (uint32_t i = 0; i < 4; i++) {
		leaf = add(0x8000001d, i);
		leaf->eax = 0x3ffc000 | (i < 2 ? 1 : i) << 5 | 1;
	}
	add(0x8000001e, 0);
}

static void patch(struct topology topology, unsigned index)
{
	topology.num_vcpus = topology.sockets * topology.cores * topology.threads;
	ck_assert_int_eq(topology_patch_cpuid(cpuid, MAX_ENTRIES, &topology, index), 0);
}

/* --- APIC IDs --- */

START_TEST(apic_ids_are_distinct_and_rise_for_every_shape)
{
	for (unsigned sockets = 1; sockets <= 64; sockets++)
		for (unsigned cores = 1; sockets * cores <= 64; cores++)
			for (unsigned threads = 1; sockets * cores * threads <= 64; threads++) {
				struct topology t = {sockets * cores * threads, sockets, cores,
						     threads};
				uint32_t last = 0;

				for (unsigned i = 0; i < t.num_vcpus; i++) {
					uint32_t id = topology_apic_id(&t, i);

					ck_assert(i == 0 ? id == 0 : id > last);
					ck_assert_uint_lt(id,
							  0xff); /* of one byte, not broadcast */
					last = id;
				}
			}
}
END_TEST

START_TEST(apic_ids_have_fields_wide_enough)
{
	struct topology t = {3 * 3 * 2, 3, 3, 2};

	/* 1 bit of thread, 2 bits of core. */
	ck_assert_uint_eq(topology_apic_id(&t, 1), 1);
	ck_assert_uint_eq(topology_apic_id(&t, 2), 2);
	ck_assert_uint_eq(topology_apic_id(&t, 5), 5);
	ck_assert_uint_eq(topology_apic_id(&t, 6), 8);
	ck_assert_uint_eq(topology_apic_id(&t, 17), 16 + 4 + 1);
}
END_TEST

/* --- leaves --- */

START_TEST(leaf_1_has_the_id_the_count_and_a_hypervisor)
{
	intel();
	patch((struct topology){.sockets = 2, .cores = 3, .threads = 2}, 7);
	ck_assert_uint_eq(get(1, 0)->ebx, 0x09080800); /* socket 1, thread 1; 8 IDs; CLFLUSH kept */
	ck_assert_uint_eq(get(1, 0)->ecx, 1u << 31 | 1);
	ck_assert_uint_eq(get(1, 0)->edx, 1u << 28 | 1); /* HTT */
}
END_TEST

START_TEST(a_single_cpu_has_no_htt_bit)
{
	intel();
	get(1, 0)->edx |= 1u << 28;
	patch((struct topology){.sockets = 2, .cores = 1, .threads = 1}, 1);
	ck_assert_uint_eq(get(1, 0)->edx, 1);
	ck_assert_uint_eq(get(1, 0)->ebx, 0x01010800);
}
END_TEST

START_TEST(caches_are_shared_as_cores_and_sockets_are)
{
	intel();
	patch((struct topology){.sockets = 1, .cores = 3, .threads = 2}, 0);
	/* Cores 4 (in the ID's field); L1 and L2: 2 threads, L3: 8 IDs. */
	ck_assert_uint_eq(get(4, 0)->eax, 3u << 26 | 1 << 14 | 0x121);
	ck_assert_uint_eq(get(4, 1)->eax, 3u << 26 | 1 << 14 | 0x122);
	ck_assert_uint_eq(get(4, 2)->eax, 3u << 26 | 1 << 14 | 0x141);
	ck_assert_uint_eq(get(4, 3)->eax, 3u << 26 | 7 << 14 | 0x161);
	ck_assert_uint_eq(get(4, 4)->eax, 0); /* the end stays the end */
}
END_TEST

static void check_levels(uint32_t function, uint32_t id)
{
	ck_assert_uint_eq(get(function, 0)->eax, 1);
	ck_assert_uint_eq(get(function, 0)->ebx, 2);
	ck_assert_uint_eq(get(function, 0)->ecx, 1 << 8);
	ck_assert_uint_eq(get(function, 1)->eax, 3);
	ck_assert_uint_eq(get(function, 1)->ebx, 6);
	ck_assert_uint_eq(get(function, 1)->ecx, 2 << 8 | 1);
	ck_assert_uint_eq(get(function, 2)->eax, 0);
	ck_assert_uint_eq(get(function, 2)->ebx, 0);
	ck_assert_uint_eq(get(function, 2)->ecx, 2);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(get(function, i)->edx, id);
		ck_assert_uint_eq(get(function, i)->flags, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	}
}

START_TEST(leaves_b_and_1f_replace_what_kvm_had)
{
	intel();
	patch((struct topology){.sockets = 2, .cores = 3, .threads = 2}, 11);
	check_levels(0xb, 8 + 5);
	check_levels(0x1f, 8 + 5);
	ck_assert_uint_eq(get(0, 0)->eax, 0x1f);
}
END_TEST

START_TEST(leaf_b_is_reached_by_processors_that_end_before_it)
{
	vendor("Genu", 4);
	patch((struct topology){.sockets = 2, .cores = 3, .threads = 2}, 11);
	check_levels(0xb, 8 + 5);
	ck_assert_uint_eq(get(0, 0)->eax, 0xb);
	for (unsigned i = 0; i < cpuid->nent; i++)
		ck_assert_uint_ne(cpuid->entries[i].function, 0x1f);
}
END_TEST

START_TEST(amd_leaves_count_what_there_is)
{
	amd();
	patch((struct topology){.sockets = 2, .cores = 3, .threads = 2}, 11);
	ck_assert_uint_eq(get(1, 0)->ebx, 0x0d060800); /* 6 threads, not 8 */
	ck_assert_uint_eq(get(0x80000001, 0)->ecx, 1u << 22 | 2); /* CmpLegacy */
	ck_assert_uint_eq(get(0x80000008, 0)->eax, 0x3030);
	ck_assert_uint_eq(get(0x80000008, 0)->ecx, 3 << 12 | 5); /* 3 bits of ID, 6 threads */
	ck_assert_uint_eq(get(0x8000001d, 0)->eax, 1 << 14 | 0x21);
	ck_assert_uint_eq(get(0x8000001d, 2)->eax, 1 << 14 | 0x41);
	ck_assert_uint_eq(get(0x8000001d, 3)->eax, 5 << 14 | 0x61);
	ck_assert_uint_eq(get(0x8000001e, 0)->eax, 8 + 5);
	ck_assert_uint_eq(get(0x8000001e, 0)->ebx, 1 << 8 | 2); /* 2 threads, core 2 */
	ck_assert_uint_eq(get(0x8000001e, 0)->ecx, 1); /* one node a socket, the second */
	check_levels(0xb, 8 + 5);
}
END_TEST

START_TEST(amd_threads_are_told_where_the_host_has_none)
{
	vendor("Auth", 0xd);
	add(0x80000000, 0)->eax = 0x8000001a;
	add(0x80000001, 0);
	patch((struct topology){.sockets = 1, .cores = 2, .threads = 2}, 3);
	ck_assert_uint_eq(get(0x80000000, 0)->eax, 0x8000001e);
	ck_assert_uint_eq(get(0x80000001, 0)->ecx, 1u << 22 | 2);
	ck_assert_uint_eq(get(0x8000001e, 0)->eax, 3);
	ck_assert_uint_eq(get(0x8000001e, 0)->ebx, 1 << 8 | 1);
}
END_TEST

START_TEST(amd_leaves_mean_nothing_on_intel)
{
	intel();
	add(0x80000008, 0)->eax = 0x3027;
	patch((struct topology){.sockets = 1, .cores = 4, .threads = 1}, 2);
	ck_assert_uint_eq(get(0x80000008, 0)->ecx, 0);
}
END_TEST

START_TEST(no_room_is_an_error_and_nothing_is_written_beyond)
{
	struct topology t = {2, 1, 2, 1};
	unsigned before;

	vendor("Genu", 0xb);
	before = cpuid->nent;
	for (unsigned max = before; max < before + 3; max++) {
		cpuid->nent = before;
		cpuid->entries[max].function = 0xdead;
		ck_assert_int_eq(topology_patch_cpuid(cpuid, max, &t, 0), -E2BIG);
		ck_assert_uint_eq(cpuid->entries[max].function, 0xdead);
	}
	cpuid->nent = before;
	ck_assert_int_eq(topology_patch_cpuid(cpuid, before + 3, &t, 0), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_topology");
	TCase *tc = tcase_create("topology");

	tcase_add_checked_fixture(tc, begin, end);
	tcase_add_test(tc, apic_ids_are_distinct_and_rise_for_every_shape);
	tcase_add_test(tc, apic_ids_have_fields_wide_enough);
	tcase_add_test(tc, leaf_1_has_the_id_the_count_and_a_hypervisor);
	tcase_add_test(tc, a_single_cpu_has_no_htt_bit);
	tcase_add_test(tc, caches_are_shared_as_cores_and_sockets_are);
	tcase_add_test(tc, leaves_b_and_1f_replace_what_kvm_had);
	tcase_add_test(tc, leaf_b_is_reached_by_processors_that_end_before_it);
	tcase_add_test(tc, amd_leaves_count_what_there_is);
	tcase_add_test(tc, amd_threads_are_told_where_the_host_has_none);
	tcase_add_test(tc, amd_leaves_mean_nothing_on_intel);
	tcase_add_test(tc, no_room_is_an_error_and_nothing_is_written_beyond);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
