/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vcpu_exit.c - what takes a vCPU out of the guest, and what is done about it.
 * VMM, the vCPU's thread; it takes the board lock here.
 */
#include <string.h>

#include "vhost/base/log.h"
#include "vmm/vcpu_part.h"
#include "vmm/vm.h"

/* Others read the counters meanwhile; nobody else writes them. */
static void count(struct vcpu *vcpu)
{
	uint32_t reason = vcpu->run->exit_reason;

	if (reason < VCPU_NUM_EXITS)
		__atomic_store_n(&vcpu->exits[reason], vcpu->exits[reason] + 1, __ATOMIC_RELAXED);
}

/* access - one read or write of @bytes bytes (1..8) at @data. The board lock is held. */
static void access_bus(struct vcpu *vcpu, enum bus_space space, uint64_t addr, uint8_t *data,
		       unsigned bytes, bool write)
{
	struct bus *bus = &vcpu->vm->board.bus;
	uint64_t value = 0;

	if (write) {
		memcpy(&value, data, bytes);
		bus_write(bus, space, addr, bytes, value);
	} else {
		value = bus_read(bus, space, addr, bytes);
		memcpy(data, &value, bytes);
	}
}

/* handle_io - a string instruction brings several elements for the one port. */
static void handle_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	bool write = run->io.direction == KVM_EXIT_IO_OUT;

	pthread_mutex_lock(&vcpu->vm->lock);
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size)
		access_bus(vcpu, BUS_PIO, run->io.port, data, run->io.size, write);
	pthread_mutex_unlock(&vcpu->vm->lock);
}

static void handle_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	unsigned bytes = min_of(run->mmio.len, (uint32_t)sizeof(run->mmio.data));

	pthread_mutex_lock(&vcpu->vm->lock);
	access_bus(vcpu, BUS_MMIO, run->mmio.phys_addr, run->mmio.data, bytes, run->mmio.is_write);
	pthread_mutex_unlock(&vcpu->vm->lock);
}

/* handle_event - Return: false when it is one that only a crash brings about. */
static bool handle_event(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	uint32_t type = vcpu->run->system_event.type;

	if (type != KVM_SYSTEM_EVENT_RESET && type != KVM_SYSTEM_EVENT_SHUTDOWN)
		return false;
	pthread_mutex_lock(&vm->lock);
	if (type == KVM_SYSTEM_EVENT_RESET)
		vm_want_reset(vm, "KVM");
	else
		vm_want_poweroff(vm);
	pthread_mutex_unlock(&vm->lock);
	return true;
}

bool vcpu_handle_exit(struct vcpu *vcpu)
{
	count(vcpu);
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		handle_io(vcpu);
		return true;
	case KVM_EXIT_MMIO:
		handle_mmio(vcpu);
		return true;
	case KVM_EXIT_INTR:
		return false;
	case KVM_EXIT_SYSTEM_EVENT:
		if (handle_event(vcpu))
			return true;
		break;
	}
	vcpu_crash(vcpu, 0);
	return false;
}
