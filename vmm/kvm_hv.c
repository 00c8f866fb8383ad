/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kvm_hv.c - what the board asks of KVM while the guest runs: eventfds, MSI routes, interrupt lines.
 * VMM; main thread or a vCPU's, with the board lock held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vhost/base/log.h"
#include "vmm/kvm.h"

#define PIC_PINS     8 /* of each of the two */
#define PIC_CASCADE  2 /* where the second is connected to the first */
#define IOAPIC_TIMER 2 /* the IOAPIC pin that the PC's timer (GSI 0) is connected to */
#define MAX_ENTRIES  (2 * HV_ISA_GSIS + HV_MAX_GSIS)

static struct kvm *to_kvm(struct hv *hv)
{
	return container_of(hv, struct kvm, hv);
}

/* call - ioctl(2), with the error as it is returned here. */
static int call(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument) < 0 ? -errno : 0;
}

/* --- notifications of the guest --- */

/* Syscalls: ioctl(request=KVM_IOEVENTFD)
 * Syscalls (vcpu): ioctl(request=KVM_IOEVENTFD) */
static int set_ioeventfd(struct kvm *kvm, uint64_t gpa, unsigned bytes, int fd, uint32_t flags)
{
	struct kvm_ioeventfd request = {
		.addr = gpa,
		.len = bytes ? bytes : (kvm->any_length ? 0 : 2), /* 2: as drivers notify */
		.fd = fd,
		.flags = flags,
	};

	return call(kvm->vm_fd, KVM_IOEVENTFD, &request);
}

static int ioeventfd_add(struct hv *hv, uint64_t gpa, unsigned bytes, int fd)
{
	return set_ioeventfd(to_kvm(hv), gpa, bytes, fd, 0);
}

static void ioeventfd_del(struct hv *hv, uint64_t gpa, unsigned bytes, int fd)
{
	int ret = set_ioeventfd(to_kvm(hv), gpa, bytes, fd, KVM_IOEVENTFD_FLAG_DEASSIGN);

	if (ret < 0)
		log_debug("kvm", "ioeventfd at %#llx was not there: %s", (unsigned long long)gpa,
			  strerror(-ret));
}

/* --- interrupts --- */

/* Syscalls: ioctl(request=KVM_IRQFD)
 * Syscalls (vcpu): ioctl(request=KVM_IRQFD) */
static int set_irqfd(struct kvm *kvm, unsigned gsi, int fd, uint32_t flags)
{
	struct kvm_irqfd request = {.fd = (uint32_t)fd, .gsi = gsi, .flags = flags};

	return call(kvm->vm_fd, KVM_IRQFD, &request);
}

/* irqfd_add - KVM raises the interrupt once if the counter is not 0 already. It leaves the counter as
 * it is, but takes it all on KVM_IRQFD_FLAG_DEASSIGN: what it holds after irqfd_del() is new. */
static int irqfd_add(struct hv *hv, unsigned gsi, int fd)
{
	return set_irqfd(to_kvm(hv), gsi, fd, 0);
}

static void irqfd_del(struct hv *hv, unsigned gsi, int fd)
{
	int ret = set_irqfd(to_kvm(hv), gsi, fd, KVM_IRQFD_FLAG_DEASSIGN);

	if (ret < 0)
		log_debug("kvm", "irqfd of GSI %u was not there: %s", gsi, strerror(-ret));
}

static void add_pin(struct kvm_irq_routing *table, unsigned gsi, unsigned chip, unsigned pin)
{
	table->entries[table->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = {.irqchip = chip, .pin = pin},
	};
}

/* add_lines - the ISA lines go to PIC and IOAPIC, the others to the IOAPIC alone. */
static void add_lines(struct kvm_irq_routing *table)
{
	for (unsigned gsi = 0; gsi < HV_ISA_GSIS; gsi++) {
		if (gsi < PIC_PINS && gsi != PIC_CASCADE)
			add_pin(table, gsi, KVM_IRQCHIP_PIC_MASTER, gsi);
		else if (gsi >= PIC_PINS && gsi < 2 * PIC_PINS)
			add_pin(table, gsi, KVM_IRQCHIP_PIC_SLAVE, gsi - PIC_PINS);
		if (gsi == 0)
			add_pin(table, gsi, KVM_IRQCHIP_IOAPIC, IOAPIC_TIMER);
		else if (gsi != IOAPIC_TIMER)
			add_pin(table, gsi, KVM_IRQCHIP_IOAPIC, gsi);
	}
}

/* send_routes - KVM knows the table only as a whole.
 * Syscalls: ioctl(request=KVM_SET_GSI_ROUTING)
 * Syscalls (vcpu): ioctl(request=KVM_SET_GSI_ROUTING) */
static int send_routes(struct kvm *kvm)
{
	struct kvm_irq_routing *table = kvm->table;

	table->nr = table->flags = 0;
	add_lines(table);
	for (unsigned gsi = HV_ISA_GSIS; gsi < HV_MAX_GSIS; gsi++) {
		const struct kvm_route *route = &kvm->routes[gsi];

		if (!route->used)
			continue;
		table->entries[table->nr++] = (struct kvm_irq_routing_entry){
			.gsi = gsi,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = {.address_lo = (uint32_t)route->addr,
				  .address_hi = (uint32_t)(route->addr >> 32),
				  .data = route->data},
		};
	}
	return call(kvm->vm_fd, KVM_SET_GSI_ROUTING, table);
}

static int msi_route(struct hv *hv, unsigned gsi, uint64_t addr, uint32_t data)
{
	struct kvm *kvm = to_kvm(hv);
	struct kvm_route before;
	int ret;

	if (gsi < HV_ISA_GSIS || gsi >= HV_MAX_GSIS)
		return -EINVAL;
	before = kvm->routes[gsi];
	if (before.used && before.addr == addr && before.data == data)
		return 0;
	kvm->routes[gsi] = (struct kvm_route){.used = true, .addr = addr, .data = data};
	ret = send_routes(kvm);
	if (ret < 0)
		kvm->routes[gsi] = before;
	return ret;
}

/* Syscalls: ioctl(request=KVM_IRQ_LINE)
 * Syscalls (vcpu): ioctl(request=KVM_IRQ_LINE) */
static void irq_line(struct hv *hv, unsigned gsi, bool level)
{
	struct kvm_irq_level line = {.irq = gsi, .level = level};
	int ret = call(to_kvm(hv)->vm_fd, KVM_IRQ_LINE, &line);

	if (ret < 0)
		log_debug("kvm", "interrupt line %u: %s", gsi, strerror(-ret));
}

static const struct hv_ops ops = {
	.ioeventfd_add = ioeventfd_add,
	.ioeventfd_del = ioeventfd_del,
	.irqfd_add = irqfd_add,
	.irqfd_del = irqfd_del,
	.msi_route = msi_route,
	.irq_line = irq_line,
};

int kvm_hv_init(struct kvm *kvm)
{
	kvm->hv.ops = &ops;
	kvm->table = calloc(1, sizeof(*kvm->table) + MAX_ENTRIES * sizeof(kvm->table->entries[0]));
	return kvm->table ? send_routes(kvm) : -ENOMEM;
}
