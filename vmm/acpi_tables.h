/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * acpi_tables.h - the ACPI tables as they lie in memory: ACPI 6.3 chapter 5; MCFG: PCI Firmware 3.2,
 * section 4.1.2. VMM. Definitions only.
 */
#ifndef RINGSIDE_VMM_ACPI_TABLES_H
#define RINGSIDE_VMM_ACPI_TABLES_H

#include <assert.h>
#include <stdint.h>

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt_gpa;
	uint32_t length;
	uint64_t xsdt_gpa;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));
static_assert(sizeof(struct acpi_rsdp) == 36, "5.2.5.3");

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));
static_assert(sizeof(struct acpi_header) == 36, "5.2.6");

/* An address of registers. */
struct acpi_gas {
	uint8_t space;
	uint8_t bits;
	uint8_t bit_offset;
	uint8_t access; /* 1: a byte, 2: 16 bits, 3: 32 bits */
	uint64_t address;
} __attribute__((packed));
static_assert(sizeof(struct acpi_gas) == 12, "5.2.3.2");

#define ACPI_SPACE_IO 1

/* FADT behind its header. */
struct acpi_fadt {
	uint32_t facs_gpa;
	uint32_t dsdt_gpa;
	uint8_t reserved;
	uint8_t pm_profile;
	uint16_t sci_irq;
	uint32_t smi_port;
	uint8_t acpi_enable, acpi_disable, s4bios_request, pstate_control;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer;
	uint32_t gpe0, gpe1;
	uint8_t pm1_event_bytes, pm1_control_bytes, pm2_control_bytes, pm_timer_bytes;
	uint8_t gpe0_bytes, gpe1_bytes, gpe1_base, cst_control;
	uint16_t c2_latency_us, c3_latency_us;
	uint16_t flush_size, flush_stride;
	uint8_t duty_offset, duty_width;
	uint8_t day_alarm, month_alarm, century; /* where in the CMOS; 0: nowhere */
	uint16_t boot_arch;
	uint8_t reserved2;
	uint32_t flags;
	struct acpi_gas reset;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_facs_gpa, x_dsdt_gpa;
	struct acpi_gas x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control;
	struct acpi_gas x_pm2_control, x_pm_timer, x_gpe0, x_gpe1;
	struct acpi_gas sleep_control, sleep_status;
	char hypervisor[8];
} __attribute__((packed));
static_assert(sizeof(struct acpi_header) + sizeof(struct acpi_fadt) == 276, "5.2.9");

#define FADT_BOOT_LEGACY_DEVICES (1u << 0)
#define FADT_BOOT_8042           (1u << 1)
#define FADT_BOOT_NO_VGA         (1u << 2)
#define FADT_BOOT_NO_ASPM        (1u << 4)
#define FADT_BOOT_NO_RTC         (1u << 5)

#define FADT_WBINVD           (1u << 0)
#define FADT_PROC_C1          (1u << 2)
#define FADT_NO_POWER_BUTTON  (1u << 4) /* as fixed hardware */
#define FADT_NO_SLEEP_BUTTON  (1u << 5) /* likewise */
#define FADT_NO_FIXED_RTC     (1u << 6) /* wakes nobody by fixed hardware */
#define FADT_TIMER_32         (1u << 8)
#define FADT_RESET            (1u << 10)
#define FADT_HEADLESS         (1u << 12)
#define FADT_HARDWARE_REDUCED (1u << 20)

#define FADT_C2_NONE 101 /* longer than this there is no C2 */
#define FADT_C3_NONE 1001

struct acpi_facs {
	char signature[4];
	uint32_t length;
	uint32_t hardware_signature;
	uint32_t waking_vector;
	uint32_t global_lock;
	uint32_t flags;
	uint64_t x_waking_vector;
	uint8_t version;
	uint8_t reserved[3];
	uint32_t ospm_flags;
	uint8_t reserved2[24];
} __attribute__((packed));
static_assert(sizeof(struct acpi_facs) == 64, "5.2.10");

/* MADT behind its header; then come entries, each with its type and length in front. */
struct acpi_madt {
	uint32_t lapic_gpa;
	uint32_t flags;
} __attribute__((packed));

#define MADT_PCAT_COMPAT 1 /* there are PICs too */

enum {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LAPIC_NMI = 4,
	MADT_X2APIC = 9,
	MADT_X2APIC_NMI = 10,
};

#define MADT_ENABLED 1

struct acpi_madt_lapic {
	uint8_t type, length;
	uint8_t uid;
	uint8_t apic_id;
	uint32_t flags;
} __attribute__((packed));
static_assert(sizeof(struct acpi_madt_lapic) == 8, "5.2.12.2");

struct acpi_madt_x2apic {
	uint8_t type, length;
	uint16_t reserved;
	uint32_t apic_id;
	uint32_t flags;
	uint32_t uid;
} __attribute__((packed));
static_assert(sizeof(struct acpi_madt_x2apic) == 16, "5.2.12.12");

struct acpi_madt_ioapic {
	uint8_t type, length;
	uint8_t id;
	uint8_t reserved;
	uint32_t gpa;
	uint32_t first_gsi;
} __attribute__((packed));
static_assert(sizeof(struct acpi_madt_ioapic) == 12, "5.2.12.3");

struct acpi_madt_override {
	uint8_t type, length;
	uint8_t bus;
	uint8_t irq;
	uint32_t gsi;
	uint16_t flags;
} __attribute__((packed));
static_assert(sizeof(struct acpi_madt_override) == 10, "5.2.12.5");

#define MADT_AS_BUS      0x0
#define MADT_ACTIVE_HIGH 0x1
#define MADT_ACTIVE_LOW  0x3
#define MADT_LEVEL       0xc

struct acpi_madt_lapic_nmi {
	uint8_t type, length;
	uint8_t uid;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));
static_assert(sizeof(struct acpi_madt_lapic_nmi) == 6, "5.2.12.7");

struct acpi_madt_x2apic_nmi {
	uint8_t type, length;
	uint16_t flags;
	uint32_t uid;
	uint8_t lint;
	uint8_t reserved[3];
} __attribute__((packed));
static_assert(sizeof(struct acpi_madt_x2apic_nmi) == 12, "5.2.12.13");

/* MCFG behind its header, with one entry. */
struct acpi_mcfg {
	uint8_t reserved[8];
	uint64_t ecam_gpa;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint8_t reserved2[4];
} __attribute__((packed));
static_assert(sizeof(struct acpi_header) + sizeof(struct acpi_mcfg) == 60, "4.1.2");

#endif
