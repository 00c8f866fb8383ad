/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * topology.c - see topology.h. VMM, main thread.
 *
 * An APIC ID is socket, core, thread in bit fields; the guest's kernel cuts it up again by what the
 * leaves below say of the fields' widths. KVM hands out these leaves with nothing in them, or with
 * what is true of the host.
 */
#include "vmm/topology.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "vhost/base/util.h"

#define LEAF_MAX       0x0u
#define LEAF_FEATURES  0x1u
#define LEAF_CACHES    0x4u
#define LEAF_X2APIC    0xbu
#define LEAF_X2APIC_V2 0x1fu
#define LEAF_AMD_MAX   0x80000000u
#define LEAF_AMD_FLAGS 0x80000001u
#define LEAF_AMD_SIZES 0x80000008u
#define LEAF_AMD_CACHE 0x8000001du
#define LEAF_AMD_PLACE 0x8000001eu

#define FEATURES_ECX_HYPERVISOR (1u << 31)
#define FEATURES_EDX_HTT        (1u << 28)
#define AMD_ECX_CMP_LEGACY      (1u << 1)
#define AMD_ECX_TOPOEXT         (1u << 22)

/* Leaf 0xb: what the level of a sub-leaf is. */
#define LEVEL_THREAD (1u << 8)
#define LEVEL_CORE   (2u << 8)

/* Widths of the bit fields, and where this vCPU stands. */
struct place {
	uint32_t apic_id;
	unsigned thread_bits;
	unsigned core_bits;
	unsigned in_socket; /* vCPUs of a socket */
	unsigned core; /* in its socket */
	unsigned socket;
	unsigned threads; /* of a core */
};

/* width - bits that hold the numbers below @count. */
static unsigned width(unsigned count)
{
	unsigned bits = 0;

	while (1u << bits < count)
		bits++;
	return bits;
}

static struct place place_of(const struct topology *topology, unsigned index)
{
	struct place place = {
		.thread_bits = width(topology->threads),
		.core_bits = width(topology->cores),
		.in_socket = topology->cores * topology->threads,
		.core = index / topology->threads % topology->cores,
		.socket = index / topology->threads / topology->cores,
		.threads = topology->threads,
	};

	place.apic_id = (place.socket << place.core_bits | place.core) << place.thread_bits |
			index % topology->threads;
	return place;
}

uint32_t topology_apic_id(const struct topology *topology, unsigned index)
{
	return place_of(topology, index).apic_id;
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *cpuid, uint32_t function)
{
	for (unsigned i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function)
			return &cpuid->entries[i];
	return NULL;
}

static bool is_amd(struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *leaf = find(cpuid, LEAF_MAX);

	return leaf && (memcmp(&leaf->ebx, "Auth", 4) == 0 || memcmp(&leaf->ebx, "Hygo", 4) == 0);
}

static void drop(struct kvm_cpuid2 *cpuid, uint32_t function)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function != function)
			cpuid->entries[kept++] = cpuid->entries[i];
	cpuid->nent = kept;
}

static int add(struct kvm_cpuid2 *cpuid, unsigned max, const struct kvm_cpuid_entry2 *entry)
{
	if (cpuid->nent >= max)
		return -E2BIG;
	cpuid->entries[cpuid->nent++] = *entry;
	return 0;
}

static void patch_features(struct kvm_cpuid_entry2 *leaf, const struct place *place, bool amd)
{
	/* AMD counts the threads of a package, Intel the numbers set aside for them. */
	uint32_t count = amd ? place->in_socket : 1u << (place->core_bits + place->thread_bits);

	leaf->ebx = (leaf->ebx & 0xffff) | count << 16 | place->apic_id << 24;
	leaf->ecx |= FEATURES_ECX_HYPERVISOR;
	if (place->in_socket > 1)
		leaf->edx |= FEATURES_EDX_HTT;
	else
		leaf->edx &= ~FEATURES_EDX_HTT;
}

/* patch_cache - L1 and L2 are a core's, L3 is its socket's. */
static void patch_cache(struct kvm_cpuid_entry2 *leaf, const struct place *place)
{
	unsigned type = leaf->eax & 0x1f;
	unsigned level = leaf->eax >> 5 & 7;
	bool amd = leaf->function == LEAF_AMD_CACHE;
	uint32_t sharing, cores;

	if (type == 0)
		return;
	if (amd)
		sharing = level < 3 ? place->threads : place->in_socket;
	else
		sharing = 1u << (place->thread_bits + (level < 3 ? 0 : place->core_bits));
	cores = amd ? 0 : (1u << place->core_bits) - 1; /* AMD: reserved */
	leaf->eax = (leaf->eax & 0x3fff) | (sharing - 1) << 14 | cores << 26;
}

/* have_place - the leaf that tells threads from cores, which a host without threads has not got.
 * Return: 0 or -E2BIG. */
static int have_place(struct kvm_cpuid2 *cpuid, unsigned max)
{
	const struct kvm_cpuid_entry2 place = {.function = LEAF_AMD_PLACE};
	struct kvm_cpuid_entry2 *highest = find(cpuid, LEAF_AMD_MAX);
	struct kvm_cpuid_entry2 *flags = find(cpuid, LEAF_AMD_FLAGS);

	if (!highest || !flags)
		return 0;
	if (highest->eax < LEAF_AMD_PLACE)
		highest->eax = LEAF_AMD_PLACE;
	flags->ecx |= AMD_ECX_TOPOEXT;
	return find(cpuid, LEAF_AMD_PLACE) ? 0 : add(cpuid, max, &place);
}

static void patch_amd(struct kvm_cpuid2 *cpuid, const struct place *place)
{
	struct kvm_cpuid_entry2 *flags = find(cpuid, LEAF_AMD_FLAGS);
	struct kvm_cpuid_entry2 *sizes = find(cpuid, LEAF_AMD_SIZES);
	struct kvm_cpuid_entry2 *leaf = find(cpuid, LEAF_AMD_PLACE);

	if (flags && place->in_socket > 1)
		flags->ecx |= AMD_ECX_CMP_LEGACY;
	else if (flags)
		flags->ecx &= ~AMD_ECX_CMP_LEGACY;
	if (sizes)
		sizes->ecx = (place->in_socket - 1) | (place->core_bits + place->thread_bits) << 12;
	if (leaf && flags && flags->ecx & AMD_ECX_TOPOEXT) {
		leaf->eax = place->apic_id;
		leaf->ebx = place->core | (place->threads - 1) << 8;
		leaf->ecx = place->socket; /* each is one node */
		leaf->edx = 0;
	}
}

/* add_levels - the leaf @function with a sub-leaf for threads, one for cores, and the end. */
static int add_levels(struct kvm_cpuid2 *cpuid, unsigned max, uint32_t function,
		      const struct place *place)
{
	struct kvm_cpuid_entry2 levels[] = {
		{.eax = place->thread_bits, .ebx = place->threads, .ecx = LEVEL_THREAD},
		{.eax = place->thread_bits + place->core_bits,
		 .ebx = place->in_socket,
		 .ecx = LEVEL_CORE},
		{.eax = 0},
	};

	drop(cpuid, function);
	for (unsigned i = 0; i < ARRAY_SIZE(levels); i++) {
		int ret;

		levels[i].function = function;
		levels[i].index = i;
		levels[i].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		levels[i].ecx |= i;
		levels[i].edx = place->apic_id;
		ret = add(cpuid, max, &levels[i]);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int topology_patch_cpuid(struct kvm_cpuid2 *cpuid, unsigned max, const struct topology *topology,
			 unsigned index)
{
	struct place place = place_of(topology, index);
	struct kvm_cpuid_entry2 *highest = find(cpuid, LEAF_MAX);
	bool amd = is_amd(cpuid);
	int ret = amd && place.threads > 1 ? have_place(cpuid, max) : 0;

	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *leaf = &cpuid->entries[i];

		if (leaf->function == LEAF_FEATURES)
			patch_features(leaf, &place, amd);
		else if (leaf->function == LEAF_CACHES || leaf->function == LEAF_AMD_CACHE)
			patch_cache(leaf, &place);
	}
	if (amd)
		patch_amd(cpuid, &place);
	if (!highest)
		return 0;
	/* Leaves in between that KVM says nothing of read as zeroes: not there. */
	if (highest->eax < LEAF_X2APIC)
		highest->eax = LEAF_X2APIC;
	if (highest->eax >= LEAF_X2APIC_V2) {
		ret = add_levels(cpuid, max, LEAF_X2APIC_V2, &place);
		if (ret < 0)
			return ret;
	}
	return add_levels(cpuid, max, LEAF_X2APIC, &place);
}
