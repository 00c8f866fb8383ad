/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hv.h - what the board asks of the hypervisor while the guest runs.
 * VMM; called with the board lock held. KVM stands behind it in a virtual machine (kvm.c); in unit
 * tests and fuzzers a recorder does, so that PCI and virtio run without KVM.
 */
#ifndef RINGSIDE_VMM_HV_H
#define RINGSIDE_VMM_HV_H

#include <stdbool.h>
#include <stdint.h>

#define HV_ISA_GSIS 24 /* pins of the IOAPIC; numbers from here on are MSI routes */
/* MSI routes included: as many as VMM_MAX_DEVICES with VIRTIO_MAX_QUEUES take; KVM has 4096. */
#define HV_MAX_GSIS 2112

struct hv;

struct hv_ops {
	/* A guest's write of @bytes bytes (0: of any size) at @gpa adds 1 to @fd instead of leaving
	 * the guest. Return: 0 or -errno (-EEXIST: something is there already). */
	int (*ioeventfd_add)(struct hv *hv, uint64_t gpa, unsigned bytes, int fd);
	void (*ioeventfd_del)(struct hv *hv, uint64_t gpa, unsigned bytes, int fd);

	/* A signal on @fd raises @gsi as an edge. What the counter holds already raises it once, and is
	 * gone after irqfd_del() at the latest: what the counter holds then is new.
	 * Return: 0 or -errno. */
	int (*irqfd_add)(struct hv *hv, unsigned gsi, int fd);
	void (*irqfd_del)(struct hv *hv, unsigned gsi, int fd);

	/* What raising @gsi (HV_ISA_GSIS..) means from now on: the MSI message @data to @addr.
	 * Return: 0 or -errno; the old route then stays. */
	int (*msi_route)(struct hv *hv, unsigned gsi, uint64_t addr, uint32_t data);

	/* Level of an IOAPIC/PIC pin (0..HV_ISA_GSIS-1). */
	void (*irq_line)(struct hv *hv, unsigned gsi, bool level);
};

struct hv {
	const struct hv_ops *ops;
};

#endif
