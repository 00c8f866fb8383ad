/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory_map.h - where everything is: guest-physical addresses, ports, interrupt lines.
 * VMM. Definitions only; what two files must agree on.
 */
#ifndef RINGSIDE_VMM_MEMORY_MAP_H
#define RINGSIDE_VMM_MEMORY_MAP_H

/* RAM lies at [0, 3 GiB) and, what does not fit there, from 4 GiB on. */
#define RAM_LOW_END    0xc0000000ull
#define RAM_HIGH_BEGIN 0x100000000ull

/* The PCI hole. */
#define PCI_WINDOW_BEGIN 0xc0000000ull /* BARs */
#define PCI_WINDOW_END   0xe0000000ull
#define PCI_ECAM_BEGIN   0xe0000000ull /* bus 0 only: 32 devices of 8 functions of 4 KiB */
#define PCI_ECAM_BYTES   0x100000ull
#define PCI_IO_BEGIN     0x1000u /* port BARs */
#define PCI_IO_END       0x10000u
#define IOAPIC_BASE      0xfec00000ull
#define LAPIC_BASE       0xfee00000ull
#define KVM_IDENTITY_MAP 0xfffbc000ull
#define KVM_TSS          0xfffbd000ull /* three pages */

/* Below 1 MiB. The map handed to the guest: usable up to LOW_RAM_END, reserved from there to 1 MiB. */
#define BOOT_INFO_BEGIN 0x6000ull /* GDT, start_info or boot_params, memory map, page tables */
#define BOOT_INFO_END   0x20000ull
#define CMDLINE_BEGIN   0x20000ull
#define CMDLINE_BYTES   0x10000ull /* the final zero included */
#define LOW_RAM_END     0x9fc00ull
#define ACPI_BEGIN      0xe0000ull /* RSDP first: here a scan finds it too */
#define ACPI_END        0x100000ull
#define KERNEL_BEGIN    0x100000ull

/* Ports. */
#define PORT_PCI_ADDRESS 0xcf8
#define PORT_PCI_DATA    0xcfc
#define PORT_RESET       0xcf9 /* FADT RESET_REG; 0x06 resets */
#define PORT_COM1        0x3f8
#define PORT_PM_BASE     0x600 /* ACPI fixed hardware, each at its PM_*_OFFSET */
#define PORT_RTC         0x70 /* index, data */

/* Blocks of the ACPI fixed hardware, and the SLP_TYP that \_S5 names. */
#define PM1_EVENT_OFFSET   0
#define PM1_EVENT_BYTES    4
#define PM1_CONTROL_OFFSET 4
#define PM1_CONTROL_BYTES  2
#define PM_TIMER_OFFSET    8
#define PM_TIMER_BYTES     4
#define PM_BYTES           12
#define PM_SLP_TYP_S5      5

#define CMOS_CENTURY 0x32 /* where FADT says the century is */

/* Interrupt lines, the same number on PIC and IOAPIC. */
#define IRQ_COM1 4
#define IRQ_SCI  9
/* INTx of all slots, swizzled over four lines that PIC and IOAPIC both have. */
#define IRQ_PCI_LINES        \
	{                    \
		5, 6, 10, 11 \
	}
#define IRQ_PCI_NUM_LINES 4

#define VMM_MAX_VCPUS   64
#define VMM_MAX_DEVICES 16 /* virtio-pci devices and e1000s together */

#endif
