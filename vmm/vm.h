/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vm.h - the machine as a whole: parts, life, and the lock over its board.
 * VMM.
 *
 * Threads: one for each vCPU, and the main thread with the event loop. All state of the board and of
 * its devices is under one lock. The main thread holds it except while it waits for events, so every
 * callback of the loop runs under it; a vCPU's thread takes it for the exits it handles. Nothing
 * done under it waits for a guest or a back-end.
 */
#ifndef RINGSIDE_VMM_VM_H
#define RINGSIDE_VMM_VM_H

#include <pthread.h>

#include "vhost/base/log.h"
#include "vhost/base/sandbox.h"
#include "vhost/wire/loop.h"
#include "vmm/board.h"
#include "vmm/console.h"
#include "vmm/kvm.h"
#include "vmm/load.h"
#include "vmm/options.h"
#include "vmm/ram.h"
#include "vmm/vcpu.h"
#include "vmm/vhost_user.h"
#include "vmm/virtio_pci.h"

/* What the program ends with. */
enum vm_exit {
	VM_EXIT_OK = 0, /* powered off, or told to end */
	VM_EXIT_START = 1, /* it could not begin */
	VM_EXIT_USAGE = 2,
	VM_EXIT_CRASHED = 3, /* triple fault, or KVM could not go on */
};

enum vm_state {
	VM_STOPPED, /* not booted yet */
	VM_RUNNING,
	VM_PAUSED,
	VM_RESETTING, /* vCPUs stand, devices are being stopped */
	VM_ENDING,
	VM_NUM_STATES
};

struct vm_device {
	struct vhost_user *backend;
	struct virtio_pci *pci;
};

struct vm {
	const struct options *opt;
	const struct sandbox_filter *vcpu_filter; /* NULL: none */
	pthread_mutex_t lock; /* the board's */
	pthread_cond_t vcpus_moved; /* a vCPU's state changed, or it may run */
	struct loop *loop;
	struct ram ram;
	struct kvm kvm;
	struct board board;
	struct console *console;
	struct load_files files;
	struct vcpu *vcpus;
	unsigned num_vcpus;
	struct vm_device devices[VMM_MAX_DEVICES];
	unsigned num_devices;
	bool count_kicks; /* notifications leave the guest and are counted */

	enum vm_state state;
	bool vcpus_may_run;
	bool vcpus_end; /* their threads are to return */
	bool paused; /* what a reset goes back to */
	enum vm_exit exit_code;
	uint64_t boot_ns; /* CLOCK_MONOTONIC of vm_run() */
	uint64_t resets;
	struct loop_timer reset_timer;
	unsigned reset_waits;

	/* What a vCPU's thread wants of the main thread. */
	struct mail wanted_mail;
	bool wanted_posted;
	bool wanted_reset, wanted_poweroff, wanted_crash;
	struct log_limit reset_limit; /* a guest may do nothing else */
};

const char *vm_state_name(enum vm_state state);

/* vm_create - files, RAM, KVM, board, console, vCPUs, in that order. The caller holds the board lock
 * from here on, as the loop does. Return: 0, or -errno with the one line for the operator in @error;
 * vm_destroy() then frees what is there. */
int vm_create(struct vm *vm, const struct options *opt, struct loop *loop, char *error,
	      size_t error_bytes);

/* vm_destroy - vCPU threads end first; back-ends are the caller's. Harmless when zero-initialised. */
void vm_destroy(struct vm *vm);

/* vm_attach - give @backend, whose features are known, a virtio-pci slot. Return: 0 or -errno. */
int vm_attach(struct vm *vm, struct vhost_user *backend);

/* vm_boot - load the kernel, start the vCPUs' threads, make the console ready. Nothing runs yet.
 * Return: 0, or -errno with the one line for the operator in @error. */
int vm_boot(struct vm *vm, char *error, size_t error_bytes);

/* vm_run - let the guest begin. After vm_boot(). */
void vm_run(struct vm *vm);

/* vm_enter_vcpu_sandbox - for a vCPU's thread, before it runs the guest. Return: 0 or -errno. */
static inline int vm_enter_vcpu_sandbox(const struct vm *vm)
{
	return vm->vcpu_filter ? sandbox_enter_thread(vm->vcpu_filter) : 0;
}

/* All below: main thread, board lock held (so: any callback of the loop). */

/* vm_pause, vm_resume - vCPUs out of the guest and back; devices go on. Return: 0, or -EBUSY where
 * the state has no such step; doing it twice is harmless. */
int vm_pause(struct vm *vm);
int vm_resume(struct vm *vm);

/* vm_reset - as the reset button: devices stop, the board is as at start, the kernel is loaded again.
 * Done later. Return: 0 or -EBUSY. */
int vm_reset(struct vm *vm);

/* vm_powerdown - press the power button. Return: 0 or -ENODEV (nobody in the guest listens). */
int vm_powerdown(struct vm *vm);

/* vm_end - leave the event loop; the program ends with @code. */
void vm_end(struct vm *vm, enum vm_exit code);

/* vm_want_reset, vm_want_poweroff, vm_want_crash - the guest brought it about; the main thread acts.
 * Any thread with the board lock. @how: for the log. */
void vm_want_reset(struct vm *vm, const char *how);
void vm_want_poweroff(struct vm *vm);
void vm_want_crash(struct vm *vm);

#endif
