/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vcpu.h - a vCPU: its thread in the KVM_RUN loop, its state at reset, what it reports.
 * VMM. The thread runs the guest without the board lock and takes it for each exit it handles.
 */
#ifndef RINGSIDE_VMM_VCPU_H
#define RINGSIDE_VMM_VCPU_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/kvm.h"
#include "vmm/load.h"
#include "vmm/topology.h"

#define VCPU_NUM_EXITS 48 /* reasons up to this number are counted by number */

struct vm;

enum vcpu_state { VCPU_STOPPED, VCPU_RUNNING, VCPU_ENDED };

struct vcpu {
	struct vm *vm;
	unsigned index;
	uint32_t apic_id;
	int fd;
	int stats_fd; /* -1: none */
	struct kvm_run *run;
	pthread_t thread;
	bool started; /* the thread is there, to be joined */
	bool ready; /* it has done what precedes the guest; board lock */
	int start_error; /* with ready: why it ended, or 0 */
	int cpu; /* host CPU it is pinned to, or -1 */
	enum vcpu_state state; /* board lock */
	uint64_t exits[VCPU_NUM_EXITS]; /* to user space, by KVM_EXIT_*; written by the thread */
	struct vcpu_saved *saved; /* as created */
};

/* vcpu_create - with CPUID for its place in @topology. Main thread. Return: 0, or -errno, and nothing
 * stays. */
int vcpu_create(struct vcpu *vcpu, struct vm *vm, unsigned index, const struct topology *topology);

/* vcpu_destroy - wait for its thread, which vm->vcpus_end ends, and free all. Board lock not held. */
void vcpu_destroy(struct vcpu *vcpu);

/* vcpu_start - the thread, named vcpuN, pinned, in its sandbox; the guest does not run before
 * vm_run(). Main thread, board lock held (and released while it waits for the thread to be ready).
 * Return: 0 or -errno. */
int vcpu_start(struct vcpu *vcpu);

/* vcpu_reset - registers, MSRs, FPU, local APIC as created; the first begins at @entry, the others
 * wait for INIT-SIPI. The vCPU is stopped. Return: 0 or -errno. */
int vcpu_reset(struct vcpu *vcpu, const struct load_entry *entry);

/* vcpu_kick - have it leave the guest and look what is wanted of it. Board lock. */
void vcpu_kick(struct vcpu *vcpu);

/* vcpu_stats - exits by reason: to user space as counted here, and in the kernel as KVM's statistics
 * have them. Return: a new JSON object, or NULL (no memory). */
json_t *vcpu_stats(const struct vcpu *vcpu);

/* vcpu_describe - registers, for the report of a crash: on stderr, a few lines. The vCPU is stopped
 * or the caller is its thread. */
void vcpu_describe(struct vcpu *vcpu);

#endif
