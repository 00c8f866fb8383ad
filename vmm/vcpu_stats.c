/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vcpu_stats.c - how often a vCPU left the guest and why, as counted here and as KVM counts.
 * VMM, main thread.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "vhost/base/util.h"
#include "vmm/vcpu_part.h"

/* A kernel that says more than this is not believed. */
#define MAX_COUNTERS   1024
#define MAX_NAME_BYTES 256

static const char *const exit_names[VCPU_NUM_EXITS] = {
	[KVM_EXIT_UNKNOWN] = "unknown",
	[KVM_EXIT_EXCEPTION] = "exception",
	[KVM_EXIT_IO] = "io",
	[KVM_EXIT_HYPERCALL] = "hypercall",
	[KVM_EXIT_DEBUG] = "debug",
	[KVM_EXIT_HLT] = "hlt",
	[KVM_EXIT_MMIO] = "mmio",
	[KVM_EXIT_IRQ_WINDOW_OPEN] = "irq_window_open",
	[KVM_EXIT_SHUTDOWN] = "shutdown",
	[KVM_EXIT_FAIL_ENTRY] = "fail_entry",
	[KVM_EXIT_INTR] = "intr",
	[KVM_EXIT_SET_TPR] = "set_tpr",
	[KVM_EXIT_TPR_ACCESS] = "tpr_access",
	[KVM_EXIT_NMI] = "nmi",
	[KVM_EXIT_INTERNAL_ERROR] = "internal_error",
	[KVM_EXIT_SYSTEM_EVENT] = "system_event",
	[KVM_EXIT_IOAPIC_EOI] = "ioapic_eoi",
	[KVM_EXIT_HYPERV] = "hyperv",
	[KVM_EXIT_X86_RDMSR] = "x86_rdmsr",
	[KVM_EXIT_X86_WRMSR] = "x86_wrmsr",
	[KVM_EXIT_DIRTY_RING_FULL] = "dirty_ring_full",
	[KVM_EXIT_AP_RESET_HOLD] = "ap_reset_hold",
	[KVM_EXIT_X86_BUS_LOCK] = "x86_bus_lock",
	[KVM_EXIT_XEN] = "xen",
	[KVM_EXIT_NOTIFY] = "notify",
};

/* to_user_space - what has happened at least once. Reasons without a name are summed up. */
static json_t *to_user_space(const struct vcpu *vcpu)
{
	json_t *object = json_object();
	uint64_t others = 0;

	for (uint32_t i = 0; i < VCPU_NUM_EXITS; i++) {
		uint64_t count = __atomic_load_n(&vcpu->exits[i], __ATOMIC_RELAXED);

		if (!exit_names[i])
			others += count;
		else if (count)
			json_object_set_new(object, exit_names[i], json_integer((json_int_t)count));
	}
	if (others)
		json_object_set_new(object, "others", json_integer((json_int_t)others));
	return object;
}

/* --- KVM's own, Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD --- */

/* read_at - all of it. Syscalls: pread64 */
static bool read_at(int fd, uint64_t offset, void *to, size_t bytes)
{
	return pread(fd, to, bytes, (off_t)offset) == (ssize_t)bytes;
}

/* add_counter - if it is a single number. */
static void add_counter(json_t *object, int fd, const struct kvm_stats_header *header,
			const struct kvm_stats_desc *desc)
{
	uint32_t type = desc->flags & KVM_STATS_TYPE_MASK;
	uint64_t value;

	if (desc->size != 1 || type > KVM_STATS_TYPE_PEAK)
		return;
	if (!memchr(desc->name, '\0', header->name_size) || desc->name[0] == '\0')
		return;
	if (read_at(fd, (uint64_t)header->data_offset + desc->offset, &value, sizeof(value)))
		json_object_set_new(object, desc->name, json_integer((json_int_t)value));
}

static json_t *in_kernel(int fd)
{
	struct kvm_stats_header header;
	json_t *object = json_object();
	struct kvm_stats_desc *descs;
	size_t one;

	if (fd < 0 || !read_at(fd, 0, &header, sizeof(header)) || header.name_size == 0 ||
	    header.name_size > MAX_NAME_BYTES || header.num_desc > MAX_COUNTERS)
		return object;
	one = sizeof(*descs) + header.name_size;
	if (one % _Alignof(struct kvm_stats_desc)) /* they follow each other */
		return object;
	descs = malloc(one * header.num_desc);
	if (descs && read_at(fd, header.desc_offset, descs, one * header.num_desc))
		for (uint32_t i = 0; i < header.num_desc; i++)
			add_counter(object, fd, &header, (void *)((char *)descs + i * one));
	free(descs);
	return object;
}

json_t *vcpu_stats(const struct vcpu *vcpu)
{
	return json_pack("{s:o, s:o}", "exits", to_user_space(vcpu), "kernel",
			 in_kernel(vcpu->stats_fd));
}
