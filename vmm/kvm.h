/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kvm.h - the virtual machine as KVM has it: memory slots, in-kernel irqchip, routes, eventfds.
 * VMM, main thread; the hv_ops with the board lock held. Linux Documentation/virt/kvm/api.rst.
 */
#ifndef RINGSIDE_VMM_KVM_H
#define RINGSIDE_VMM_KVM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/hv.h"
#include "vmm/ram.h"

#define KVM_MAX_CPUID 256 /* entries; what the kernel takes at most */

struct kvm_route {
	bool used;
	uint64_t addr;
	uint32_t data;
};

struct kvm {
	struct hv hv;
	int fd; /* /dev/kvm */
	int vm_fd;
	size_t run_bytes; /* of a vCPU's struct kvm_run mapping */
	bool any_length; /* KVM_CAP_IOEVENTFD_ANY_LENGTH */
	bool has_stats; /* KVM_CAP_BINARY_STATS_FD */
	struct kvm_route routes[HV_MAX_GSIS];
	struct kvm_irq_routing *table; /* as KVM is told it; made anew for every change */
	struct kvm_irqchip irqchips[3]; /* as created: what a reset puts back */
	struct kvm_pit_state2 pit;
	struct kvm_cpuid2 *cpuid; /* what KVM supports, before a vCPU's place is written into it */
	struct kvm_msr_list *msrs; /* what a vCPU's state consists of beside its registers */
};

/* What KVM must be able to do for us, and what we gain by what it need not; the doctor shows both. */
struct kvm_capability {
	int number; /* for KVM_CHECK_EXTENSION */
	const char *name;
	bool required;
};
extern const struct kvm_capability kvm_capabilities[];
extern const size_t kvm_num_capabilities;

/* kvm_open - /dev/kvm, API version, the capabilities we need; the VM with irqchip, PIT and the RAM's
 * slots. On failure @error has the one line for the operator, with what to type (ringside-vmm
 * doctor); kvm_close() frees what is there. Return: 0 or -errno. */
int kvm_open(struct kvm *kvm, const struct ram *ram, char *error, size_t error_bytes);

/* kvm_close - harmless when nothing is open (fd and vm_fd -1). */
void kvm_close(struct kvm *kvm);

/* kvm_reset - irqchip and PIT as they were created; MSI routes stay. Return: 0 or -errno. */
int kvm_reset(struct kvm *kvm);

/* kvm_hv_init - the hv_ops, and the routes of the ISA lines. Within kvm_open(). Return: 0 or -errno. */
int kvm_hv_init(struct kvm *kvm);

#endif
