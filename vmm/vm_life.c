/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vm_life.c - boot, pause, reset, end: the states of a machine and the steps between them.
 * VMM, main thread with the board lock held, but for vm_want_*.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vhost/base/clock.h"
#include "vhost/base/log.h"
#include "vmm/acpi.h"
#include "vmm/vm.h"

#define RESET_POLL_MS 1
#define RESET_SAY_MS  5000 /* a reset that waits for a back-end says so this often */

static const char *const state_names[] = {
	[VM_STOPPED] = "stopped",     [VM_RUNNING] = "running", [VM_PAUSED] = "paused",
	[VM_RESETTING] = "resetting", [VM_ENDING] = "ending",
};
static_assert(sizeof(state_names) / sizeof(state_names[0]) == VM_NUM_STATES, "a name for each");

const char *vm_state_name(enum vm_state state)
{
	return state_names[state];
}

static void set_state(struct vm *vm, enum vm_state state)
{
	if (vm->state == state)
		return;
	log_debug("vm", "%s -> %s", state_names[vm->state], state_names[state]);
	vm->state = state;
}

/* --- vCPUs --- */

static bool any_vcpu_runs(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->num_vcpus; i++)
		if (vm->vcpus[i].state == VCPU_RUNNING)
			return true;
	return false;
}

/* take_vcpus_out - of the guest; those that wait go on waiting.
 * Syscalls: tgkill(tgid=self)
 * Syscalls (vcpu): tgkill(tgid=self) */
static void take_vcpus_out(struct vm *vm)
{
	vm->vcpus_may_run = false;
	for (unsigned i = 0; i < vm->num_vcpus; i++)
		if (vm->vcpus[i].state == VCPU_RUNNING)
			vcpu_kick(&vm->vcpus[i]);
}

/* stop_vcpus - and wait until none is in the guest; a kick takes one out of it at once. */
static void stop_vcpus(struct vm *vm)
{
	take_vcpus_out(vm);
	while (any_vcpu_runs(vm))
		pthread_cond_wait(&vm->vcpus_moved, &vm->lock);
}

static void run_vcpus(struct vm *vm)
{
	vm->vcpus_may_run = true;
	pthread_cond_broadcast(&vm->vcpus_moved);
}

int vm_pause(struct vm *vm)
{
	if (vm->state == VM_PAUSED)
		return 0;
	if (vm->state != VM_RUNNING)
		return -EBUSY;
	stop_vcpus(vm);
	vm->paused = true;
	set_state(vm, VM_PAUSED);
	log_info("vm", "paused");
	return 0;
}

int vm_resume(struct vm *vm)
{
	if (vm->state == VM_RUNNING)
		return 0;
	if (vm->state != VM_PAUSED)
		return -EBUSY;
	vm->paused = false;
	set_state(vm, VM_RUNNING);
	run_vcpus(vm);
	log_info("vm", "resumed");
	return 0;
}

/* --- boot and reset --- */

/* prepare_guest - tables and kernel into RAM, vCPUs to where they begin. No vCPU runs. */
static int prepare_guest(struct vm *vm, char *error, size_t error_bytes)
{
	uint32_t apic_ids[VMM_MAX_VCPUS];
	struct acpi_options acpi = {.num_vcpus = vm->num_vcpus, .apic_ids = apic_ids};
	struct load_entry entry;
	uint64_t rsdp_gpa;
	int ret;

	for (unsigned i = 0; i < vm->num_vcpus; i++)
		apic_ids[i] = vm->vcpus[i].apic_id;
	ret = acpi_write(&vm->ram, &acpi, &rsdp_gpa);
	if (ret < 0) {
		snprintf(error, error_bytes, "no room for the ACPI tables: %s", strerror(-ret));
		return ret;
	}
	ret = load_kernel(&vm->files, &vm->ram, rsdp_gpa, &entry, error, error_bytes);
	for (unsigned i = 0; ret == 0 && i < vm->num_vcpus; i++) {
		ret = vcpu_reset(&vm->vcpus[i], &entry);
		if (ret < 0)
			snprintf(error, error_bytes, "vCPU %u cannot be reset: %s", i,
				 strerror(-ret));
	}
	return ret;
}

int vm_boot(struct vm *vm, char *error, size_t error_bytes)
{
	int ret = prepare_guest(vm, error, error_bytes);

	for (unsigned i = 0; ret == 0 && i < vm->num_vcpus; i++) {
		ret = vcpu_start(&vm->vcpus[i]);
		if (ret < 0)
			snprintf(error, error_bytes, "vCPU %u has no thread: %s", i,
				 strerror(-ret));
	}
	if (ret < 0)
		return ret;
	ret = console_start(vm->console);
	if (ret < 0)
		snprintf(error, error_bytes, "--serial=%s: %s", vm->opt->serial, strerror(-ret));
	return ret;
}

void vm_run(struct vm *vm)
{
	vm->boot_ns = clock_ns();
	set_state(vm, VM_RUNNING);
	run_vcpus(vm);
}

static bool devices_idle(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->num_devices; i++)
		if (vhost_user_virtio(vm->devices[i].backend)->status ||
		    !vhost_user_idle(vm->devices[i].backend))
			return false;
	return true;
}

static void finish_reset(struct vm *vm)
{
	char error[512];
	int ret;

	board_reset(&vm->board);
	ret = kvm_reset(&vm->kvm);
	if (ret < 0)
		snprintf(error, sizeof(error), "the interrupt controllers cannot be reset: %s",
			 strerror(-ret));
	else
		ret = prepare_guest(vm, error, sizeof(error));
	if (ret < 0) {
		log_error("vm", "reset: %s", error);
		vm_end(vm, VM_EXIT_START);
		return;
	}
	vm->resets++;
	vm->wanted_reset = false; /* of a vCPU that asked while the others were being stopped */
	set_state(vm, vm->paused ? VM_PAUSED : VM_RUNNING);
	if (!vm->paused)
		run_vcpus(vm);
}

/* Each back-end is given its time, by requests that end it; none can hold a reset up for good. */
static void on_reset_timer(struct loop_timer *timer)
{
	struct vm *vm = container_of(timer, struct vm, reset_timer);

	if (vm->state != VM_RESETTING)
		return;
	if (devices_idle(vm)) {
		finish_reset(vm);
		return;
	}
	if (++vm->reset_waits % (RESET_SAY_MS / RESET_POLL_MS) == 0)
		log_warn("vm", "reset waits for a device to stop; device.list tells which");
	loop_timer_set(vm->loop, timer, RESET_POLL_MS, on_reset_timer);
}

int vm_reset(struct vm *vm)
{
	if (vm->state != VM_RUNNING && vm->state != VM_PAUSED)
		return -EBUSY;
	stop_vcpus(vm);
	set_state(vm, VM_RESETTING);
	for (unsigned i = 0; i < vm->num_devices; i++)
		virtio_pci_reset(vm->devices[i].pci);
	vm->reset_waits = 0;
	loop_timer_set(vm->loop, &vm->reset_timer, 0, on_reset_timer);
	return 0;
}

int vm_powerdown(struct vm *vm)
{
	return board_power_button(&vm->board) ? 0 : -ENODEV;
}

void vm_end(struct vm *vm, enum vm_exit code)
{
	if (vm->state == VM_ENDING)
		return;
	stop_vcpus(vm);
	set_state(vm, VM_ENDING);
	vm->exit_code = code;
	loop_quit(vm->loop);
}

/* --- what the guest brings about --- */

static void on_wanted(struct mail *mail)
{
	struct vm *vm = container_of(mail, struct vm, wanted_mail);
	bool reset = vm->wanted_reset;

	vm->wanted_posted = vm->wanted_reset = false;
	if (vm->wanted_crash)
		vm_end(vm, VM_EXIT_CRASHED);
	else if (vm->wanted_poweroff || (reset && !vm->opt->reboot))
		vm_end(vm, VM_EXIT_OK);
	else if (reset)
		vm_reset(vm);
}

/* want - have the main thread act, and let no vCPU run on meanwhile: behind the instruction that asks
 * for a reset there may be nothing.
 * Syscalls (vcpu): write: the main thread is woken */
static void want(struct vm *vm)
{
	if (vm->wanted_posted)
		return;
	take_vcpus_out(vm);
	vm->wanted_posted = true;
	loop_post(vm->loop, &vm->wanted_mail, on_wanted);
}

void vm_want_reset(struct vm *vm, const char *how)
{
	if (!vm->wanted_reset && log_limited(&vm->reset_limit, "vm"))
		log_info("vm", "the guest resets (%s)", how);
	vm->wanted_reset = true;
	want(vm);
}

void vm_want_poweroff(struct vm *vm)
{
	if (!vm->wanted_poweroff)
		log_info("vm", "the guest powers off");
	vm->wanted_poweroff = true;
	want(vm);
}

void vm_want_crash(struct vm *vm)
{
	vm->wanted_crash = true;
	want(vm);
}
