/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * topology.h - sockets, cores and threads: APIC IDs, and what CPUID says of them.
 * VMM, main thread. Intel SDM vol. 2A CPUID leaves 1, 4, 0xb, 0x1f; AMD APM vol. 3 leaves
 * 0x8000_0008, 0x8000_001d, 0x8000_001e.
 */
#ifndef RINGSIDE_VMM_TOPOLOGY_H
#define RINGSIDE_VMM_TOPOLOGY_H

#include <linux/kvm.h>
#include <stdint.h>

struct topology {
	unsigned num_vcpus; /* sockets * cores * threads */
	unsigned sockets;
	unsigned cores; /* of a socket */
	unsigned threads; /* of a core */
};

/* topology_apic_id - of vCPU @index: thread, core, socket in bit fields each wide enough. */
uint32_t topology_apic_id(const struct topology *topology, unsigned index);

/* topology_patch_cpuid - make what KVM supports say where vCPU @index stands. @cpuid has room for
 * @max entries. Return: 0 or -E2BIG. */
int topology_patch_cpuid(struct kvm_cpuid2 *cpuid, unsigned max, const struct topology *topology,
			 unsigned index);

#endif
