/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * acpi.h - the tables, found from the RSDP that the PVH start info names, and the fixed hardware they
 * tell of. Test guest, the first CPU. ACPI 6.3.
 */
#ifndef RINGSIDE_GUEST_ACPI_H
#define RINGSIDE_GUEST_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/guest/image/cpu.h"

#define PM1_TMR_STS    (1u << 0)
#define PM1_PWRBTN     (1u << 8) /* in the status and in the enable register */
#define PM1_SCI_EN     (1u << 0)
#define PM1_SLP_EN     (1u << 13)
#define PM_TIMER_HZ    3579545u
#define FADT_RESET_SUP (1u << 10)

struct acpi_header {
	char signature[4];
	uint32_t bytes;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));

struct acpi_override {
	bool present;
	uint8_t irq;
	uint32_t gsi;
	uint16_t flags;
};

/* What the tables say. Without tables everything is where a PC has it. */
struct acpi {
	uint64_t rsdp, xsdt;
	const struct acpi_header *fadt, *madt, *mcfg, *dsdt;
	uint64_t facs;
	unsigned num_tables;

	uint16_t pm_event, pm_control, pm_timer, smi_command;
	uint8_t pm_event_bytes, acpi_enable;
	uint16_t sci;
	uint32_t fadt_flags;
	uint16_t reset_port;
	uint8_t reset_value;
	bool has_s5;
	uint8_t s5_type;

	uint64_t lapic, ioapic;
	unsigned num_cpus;
	uint8_t apic_ids[MAX_CPUS];
	struct acpi_override overrides[16];
	uint64_t ecam;
	uint8_t ecam_last_bus;
};

extern struct acpi acpi;

/* acpi_init - read the tables that @rsdp leads to (0: none) into acpi. */
void acpi_init(uint64_t rsdp);

/* acpi_sum - of all bytes; 0 for a table that is whole. */
uint8_t acpi_sum(const void *table, uint64_t bytes);

/* acpi_find - where in the DSDT's bytes @bytes of @what are. Return: NULL when they are not. */
const uint8_t *acpi_find(const void *what, unsigned bytes);

/* acpi_irq - where ISA interrupt @irq comes in at the IOAPIC, and how. */
void acpi_irq(uint8_t irq, unsigned *pin, bool *level, bool *active_low);

/* acpi_enable - into ACPI mode where the board is not yet. Return: is SCI_EN set? */
bool acpi_enable(void);

/* acpi_poweroff - S5. Comes back when nothing happens. */
void acpi_poweroff(void);

#endif
