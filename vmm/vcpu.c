/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vcpu.c - a vCPU is made, and its thread runs the guest until it is told to stop.
 * VMM; create, start, destroy on the main thread.
 *
 * How a vCPU is stopped. Whoever wants it out of the guest holds the board lock, says so in struct
 * vm, sets run->immediate_exit and sends SIGUSR1 (vcpu_kick). A vCPU in the guest is interrupted by
 * the signal. One that is about to enter KVM_RUN, where a signal alone would have come too early,
 * finds immediate_exit set and returns at once. Only the thread clears it, under the lock, when it
 * then looks what is wanted; so no kick is lost.
 *
 * It stops only where KVM_RUN has said EINTR. An access that a device has answered is completed by
 * KVM at the next KVM_RUN, before that looks at immediate_exit: on EINTR nothing is half done, and
 * registers may be read, saved or replaced.
 */
#include "vmm/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vhost/base/affinity.h"
#include "vhost/base/eventfd.h"
#include "vhost/base/log.h"
#include "vmm/vcpu_part.h"
#include "vmm/vm.h"

#define KICK_SIGNAL SIGUSR1

struct vcpu_name vcpu_name(const struct vcpu *vcpu)
{
	struct vcpu_name name;

	snprintf(name.text, sizeof(name.text), "vcpu%u", vcpu->index);
	return name;
}

/* --- the thread --- */

/* set_state - the board lock is held. */
static void set_state(struct vcpu *vcpu, enum vcpu_state state)
{
	if (vcpu->state == state)
		return;
	vcpu->state = state;
	pthread_cond_broadcast(&vcpu->vm->vcpus_moved);
}

/*
 * may_run - wait until the guest may run. The board lock is held. Return: false to end.
 * The guest's clock is told that it stood, lest its watchdogs take that for a hang; one that does not
 * use KVM's clock cannot be told.
 * Syscalls (vcpu): ioctl(request=KVM_KVMCLOCK_CTRL)
 */
static bool may_run(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_RELAXED);
	if (vm->vcpus_may_run && !vm->vcpus_end && vcpu->state == VCPU_RUNNING)
		return true;
	while (!vm->vcpus_may_run && !vm->vcpus_end) {
		set_state(vcpu, VCPU_STOPPED);
		pthread_cond_wait(&vm->vcpus_moved, &vm->lock);
	}
	if (vm->vcpus_end)
		return false;
	ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0);
	set_state(vcpu, VCPU_RUNNING);
	return true;
}

/* run_guest - until something is wanted of the vCPU. Board lock not held.
 * Syscalls (vcpu): ioctl(request=KVM_RUN) */
static void run_guest(struct vcpu *vcpu)
{
	bool go_on = true;

	while (go_on) {
		if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
			go_on = vcpu_handle_exit(vcpu);
		} else if (errno == EINTR) {
			vcpu->run->exit_reason = KVM_EXIT_INTR;
			go_on = vcpu_handle_exit(vcpu);
		} else if (errno != EAGAIN) { /* which a vCPU says that INIT or SIPI has reached */
			vcpu_crash(vcpu, -errno);
			go_on = false;
		}
	}
}

/* prepare - what has to be done by the thread itself before the guest runs. */
static int prepare(struct vcpu *vcpu)
{
	int ret;

	if (vcpu->cpu >= 0) {
		ret = affinity_pin_self(vcpu->cpu);
		if (ret < 0)
			log_warn(vcpu_name(vcpu).text, "cannot be pinned to CPU %d: %s", vcpu->cpu,
				 strerror(-ret));
	}
	eventfd_prepare(); /* a notification that leaves the guest is passed on from here */
	return vm_enter_vcpu_sandbox(vcpu->vm);
}

/* What the C library does in a thread, its end and pthread_kill() included:
 * Syscalls (vcpu): futex, rt_sigreturn, rt_sigprocmask, restart_syscall, getpid, gettid, exit, brk,
 *	munmap, madvise, tgkill(tgid=self), mmap(prot!PROT_EXEC), mremap, clock_gettime,
 *	exit_group, write */
static void *vcpu_main(void *arg)
{
	struct vcpu *vcpu = arg;
	struct vm *vm = vcpu->vm;
	int ret = prepare(vcpu);

	pthread_mutex_lock(&vm->lock);
	vcpu->start_error = ret;
	vcpu->ready = true;
	pthread_cond_broadcast(&vm->vcpus_moved);
	while (ret == 0 && may_run(vcpu)) {
		pthread_mutex_unlock(&vm->lock);
		run_guest(vcpu);
		pthread_mutex_lock(&vm->lock);
	}
	set_state(vcpu, VCPU_ENDED);
	pthread_mutex_unlock(&vm->lock);
	return NULL;
}

/* --- from outside --- */

/* Nothing is left to do: that it came is what matters. */
static void on_kick(int signal)
{
	(void)signal;
}

/* start_thread - with all signals blocked but the kick and those that tell of a fault. */
static int start_thread(struct vcpu *vcpu)
{
	static const int wanted[] = {KICK_SIGNAL, SIGSYS, SIGSEGV, SIGBUS,
				     SIGILL,      SIGFPE, SIGABRT, SIGTRAP};
	struct sigaction action = {.sa_handler = on_kick}; /* no SA_RESTART */
	sigset_t blocked, before;
	int ret;

	if (sigaction(KICK_SIGNAL, &action, NULL) < 0)
		return -errno;
	sigfillset(&blocked);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		sigdelset(&blocked, wanted[i]);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	ret = -pthread_create(&vcpu->thread, NULL, vcpu_main, vcpu);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret;
}

int vcpu_start(struct vcpu *vcpu)
{
	int ret = start_thread(vcpu);

	if (ret < 0)
		return ret;
	vcpu->started = true;
	pthread_setname_np(vcpu->thread, vcpu_name(vcpu).text);
	while (!vcpu->ready)
		pthread_cond_wait(&vcpu->vm->vcpus_moved, &vcpu->vm->lock);
	return vcpu->start_error;
}

/* Syscalls: tgkill(tgid=self), rt_sigprocmask, getpid, gettid */
void vcpu_kick(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
	pthread_kill(vcpu->thread, KICK_SIGNAL);
}

/* set_cpuid - what KVM supports, and where this vCPU stands. */
static int set_cpuid(struct vcpu *vcpu, const struct topology *topology)
{
	const struct kvm *kvm = &vcpu->vm->kvm;
	size_t bytes = sizeof(*kvm->cpuid) + KVM_MAX_CPUID * sizeof(kvm->cpuid->entries[0]);
	struct kvm_cpuid2 *cpuid = malloc(bytes);
	int ret;

	if (!cpuid)
		return -ENOMEM;
	memcpy(cpuid, kvm->cpuid, bytes);
	ret = topology_patch_cpuid(cpuid, KVM_MAX_CPUID, topology, vcpu->index);
	if (ret == 0 && ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
		ret = -errno;
	free(cpuid);
	return ret;
}

static int create(struct vcpu *vcpu, const struct topology *topology)
{
	const struct kvm *kvm = &vcpu->vm->kvm;
	void *run;
	int ret;

	vcpu->fd = ioctl(kvm->vm_fd, KVM_CREATE_VCPU, (unsigned long)vcpu->apic_id);
	if (vcpu->fd < 0)
		return -errno;
	run = mmap(NULL, kvm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	vcpu->run = run;
	if (kvm->has_stats)
		vcpu->stats_fd = ioctl(vcpu->fd, KVM_GET_STATS_FD, 0);
	ret = set_cpuid(vcpu, topology);
	return ret ? ret : vcpu_save(vcpu);
}

int vcpu_create(struct vcpu *vcpu, struct vm *vm, unsigned index, const struct topology *topology)
{
	int ret;

	*vcpu = (struct vcpu){
		.vm = vm,
		.index = index,
		.apic_id = topology_apic_id(topology, index),
		.fd = -1,
		.stats_fd = -1,
		.cpu = -1,
	};
	ret = create(vcpu, topology);
	if (ret < 0)
		vcpu_destroy(vcpu);
	return ret;
}

/* Syscalls: munmap, close, futex: joins the thread */
void vcpu_destroy(struct vcpu *vcpu)
{
	if (vcpu->started)
		pthread_join(vcpu->thread, NULL);
	vcpu->started = false;
	if (vcpu->run)
		munmap(vcpu->run, vcpu->vm->kvm.run_bytes);
	vcpu->run = NULL;
	vcpu_saved_free(vcpu->saved);
	vcpu->saved = NULL;
	close_fd(&vcpu->stats_fd);
	close_fd(&vcpu->fd);
}
