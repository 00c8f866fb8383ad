/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vm.c - the machine put together and taken apart; vm_life.c has what happens between.
 * VMM, main thread with the board lock held.
 */
#include "vmm/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/base/affinity.h"
#include "vhost/base/clock.h"
#include "vhost/base/log.h"
#include "vmm/acpi.h"

/* --- what the board asks --- */

static void guest_resets(void *ctx, const char *how)
{
	vm_want_reset(ctx, how);
}

static void guest_powers_off(void *ctx)
{
	vm_want_poweroff(ctx);
}

static void on_console_key(void *ctx, enum console_key key)
{
	struct vm *vm = ctx;

	switch (key) {
	case CONSOLE_QUIT:
		vm_end(vm, VM_EXIT_OK);
		break;
	case CONSOLE_PAUSE:
		if (vm->state == VM_PAUSED)
			vm_resume(vm);
		else
			vm_pause(vm);
		break;
	}
}

/* The board is there before the console is. */
static bool serial_tx(void *ctx, uint8_t byte)
{
	struct vm *vm = ctx;

	return !vm->console || console_put(vm->console, byte);
}

/* --- parts --- */

static int create_board(struct vm *vm, char *error, size_t error_bytes)
{
	struct board_options board = {
		.ram_bytes = vm->ram.size,
		.serial_tx = serial_tx,
		.serial_ctx = vm,
		.events = {.reset = guest_resets, .poweroff = guest_powers_off, .ctx = vm},
	};
	struct console_options console = {
		.target = vm->opt->serial,
		.loop = vm->loop,
		.serial = &vm->board.serial,
		.on_key = on_console_key,
		.ctx = vm,
	};
	int ret = board_init(&vm->board, &vm->kvm.hv, &board);

	if (ret < 0) {
		snprintf(error, error_bytes, "the board cannot be made: %s", strerror(-ret));
		return ret;
	}
	return console_create(&vm->console, &console, error, error_bytes);
}

static int create_vcpus(struct vm *vm, char *error, size_t error_bytes)
{
	vm->vcpus = calloc(vm->opt->topology.num_vcpus, sizeof(*vm->vcpus));
	if (!vm->vcpus) {
		snprintf(error, error_bytes, "out of memory");
		return -ENOMEM;
	}
	for (unsigned i = 0; i < vm->opt->topology.num_vcpus; i++) {
		int ret = vcpu_create(&vm->vcpus[i], vm, i, &vm->opt->topology);

		if (ret < 0) {
			snprintf(error, error_bytes, "vCPU %u cannot be made: %s", i,
				 strerror(-ret));
			return ret;
		}
		vm->vcpus[i].cpu = affinity_pick(&vm->opt->cpus, i);
		vm->num_vcpus++;
	}
	return 0;
}

int vm_create(struct vm *vm, const struct options *opt, struct loop *loop, char *error,
	      size_t error_bytes)
{
	int ret;

	memset(vm, 0, sizeof(*vm));
	vm->opt = opt;
	vm->loop = loop;
	vm->count_kicks = opt->count_kicks;
	vm->files = (struct load_files){.kernel_fd = -1, .initrd_fd = -1};
	vm->kvm.fd = vm->kvm.vm_fd = -1;
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->vcpus_moved, NULL);
	pthread_mutex_lock(&vm->lock);
	loop_set_lock(loop, &vm->lock);

	/* What is wrong with a file is told before a second is spent on memory. */
	ret = load_open(&vm->files, &opt->load, error, error_bytes);
	if (ret == 0)
		ret = ram_create(&vm->ram, &opt->ram, error, error_bytes);
	if (ret == 0)
		ret = kvm_open(&vm->kvm, &vm->ram, error, error_bytes);
	if (ret == 0)
		ret = create_board(vm, error, error_bytes);
	if (ret == 0)
		ret = create_vcpus(vm, error, error_bytes);
	return ret;
}

void vm_destroy(struct vm *vm)
{
	if (!vm->loop)
		return;
	vm->vcpus_end = true;
	vm->vcpus_may_run = false;
	for (unsigned i = 0; i < vm->num_vcpus; i++)
		if (vm->vcpus[i].state == VCPU_RUNNING)
			vcpu_kick(&vm->vcpus[i]);
	pthread_cond_broadcast(&vm->vcpus_moved);
	pthread_mutex_unlock(&vm->lock);
	for (unsigned i = 0; i < vm->num_vcpus; i++)
		vcpu_destroy(&vm->vcpus[i]); /* joins its thread */
	loop_set_lock(vm->loop, NULL);
	loop_cancel_post(vm->loop, &vm->wanted_mail);
	loop_timer_cancel(vm->loop, &vm->reset_timer);
	for (unsigned i = 0; i < vm->num_devices; i++)
		virtio_pci_destroy(vm->devices[i].pci);
	if (vm->console)
		console_destroy(vm->console);
	free(vm->vcpus);
	kvm_close(&vm->kvm);
	ram_free(&vm->ram);
	load_close(&vm->files);
	pthread_cond_destroy(&vm->vcpus_moved);
	pthread_mutex_destroy(&vm->lock);
}

int vm_attach(struct vm *vm, struct vhost_user *backend)
{
	struct vm_device *device = &vm->devices[vm->num_devices];
	int ret;

	if (vm->num_devices == VMM_MAX_DEVICES)
		return -ENOSPC;
	ret = virtio_pci_create(&device->pci, &vm->board.pci, &vm->board.gsis, vm->loop,
				vhost_user_virtio(backend));
	if (ret < 0)
		return ret;
	device->backend = backend;
	if (vm->count_kicks)
		virtio_pci_count_kicks(device->pci, true);
	vm->num_devices++;
	return 0;
}
