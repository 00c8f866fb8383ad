/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * acpi.c - lay the ACPI tables into guest RAM, see acpi.h; acpi_dsdt.c has what the DSDT says.
 * VMM, main thread, while no vCPU runs.
 */
#include "vmm/acpi.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "vhost/base/util.h"
#include "vmm/acpi_part.h"
#include "vmm/acpi_tables.h"
#include "vmm/memory_map.h"

#define OEM_ID       "RINGSD"
#define OEM_TABLE_ID "RINGSIDE"
#define CREATOR_ID   "RING"

#define RESET_VALUE  0x06
#define TABLE_ALIGN  16
#define FACS_ALIGN   64
#define MAX_LAPIC_ID 254 /* 255 is all of them */

/* Where the next byte goes. */
struct layout {
	uint8_t *host;
	size_t room;
	size_t bytes;
	bool full;
};

static void put(struct layout *l, const void *data, size_t bytes)
{
	if (l->full || bytes > l->room - l->bytes) {
		l->full = true;
		return;
	}
	memcpy(l->host + l->bytes, data, bytes);
	l->bytes += bytes;
}

/* begin - Return: the offset of what is put next. */
static size_t begin(struct layout *l, size_t align)
{
	static const uint8_t zeros[FACS_ALIGN];

	put(l, zeros, align_up(l->bytes, align) - l->bytes);
	return l->bytes;
}

static uint64_t gpa_of(size_t offset)
{
	return ACPI_BEGIN + offset;
}

static uint8_t checksum(const uint8_t *data, size_t bytes)
{
	uint8_t sum = 0;

	while (bytes-- > 0)
		sum += *data++;
	return (uint8_t)-sum;
}

static size_t table_begin(struct layout *l, const char *signature, uint8_t revision)
{
	struct acpi_header header = {.revision = revision,
				     .oem_revision = 1,
				     .creator_revision = 1};
	size_t at = begin(l, TABLE_ALIGN);

	memcpy(header.signature, signature, sizeof(header.signature));
	memcpy(header.oem_id, OEM_ID, sizeof(header.oem_id));
	memcpy(header.oem_table_id, OEM_TABLE_ID, sizeof(header.oem_table_id));
	memcpy(header.creator_id, CREATOR_ID, sizeof(header.creator_id));
	put(l, &header, sizeof(header));
	return at;
}

/* table_end - length and checksum of the table at @at. Return: its address. */
static uint64_t table_end(struct layout *l, size_t at)
{
	struct acpi_header header;

	if (l->full)
		return 0;
	memcpy(&header, l->host + at, sizeof(header));
	header.length = (uint32_t)(l->bytes - at);
	memcpy(l->host + at, &header, sizeof(header));
	header.checksum = checksum(l->host + at, l->bytes - at);
	memcpy(l->host + at, &header, sizeof(header));
	return gpa_of(at);
}

static uint64_t put_facs(struct layout *l)
{
	struct acpi_facs facs = {.signature = "FACS", .length = sizeof(facs), .version = 2};
	size_t at = begin(l, FACS_ALIGN);

	put(l, &facs, sizeof(facs));
	return gpa_of(at);
}

static uint64_t put_dsdt(struct layout *l, unsigned num_vcpus)
{
	size_t at = table_begin(l, "DSDT", 2);
	struct aml aml;

	aml_init(&aml, l->host + l->bytes, l->room - l->bytes);
	acpi_dsdt(&aml, num_vcpus);
	l->bytes += aml.bytes;
	l->full |= aml.full;
	return table_end(l, at);
}

static struct acpi_gas ports(uint16_t port, unsigned bytes, unsigned access_bytes)
{
	return (struct acpi_gas){
		.space = ACPI_SPACE_IO,
		.bits = (uint8_t)(8 * bytes),
		.access = access_bytes == 4 ? 3 : (uint8_t)access_bytes,
		.address = port,
	};
}

static uint64_t put_fadt(struct layout *l, uint64_t facs_gpa, uint64_t dsdt_gpa)
{
	struct acpi_fadt fadt = {
		.facs_gpa = (uint32_t)facs_gpa,
		.dsdt_gpa = (uint32_t)dsdt_gpa,
		.x_dsdt_gpa = dsdt_gpa,
		.sci_irq = IRQ_SCI,
		/* No SMI port: the board is in ACPI mode from the start. */
		.pm1a_event = PORT_PM_BASE + PM1_EVENT_OFFSET,
		.pm1a_control = PORT_PM_BASE + PM1_CONTROL_OFFSET,
		.pm_timer = PORT_PM_BASE + PM_TIMER_OFFSET,
		.pm1_event_bytes = PM1_EVENT_BYTES,
		.pm1_control_bytes = PM1_CONTROL_BYTES,
		.pm_timer_bytes = PM_TIMER_BYTES,
		.x_pm1a_event = ports(PORT_PM_BASE + PM1_EVENT_OFFSET, PM1_EVENT_BYTES, 2),
		.x_pm1a_control = ports(PORT_PM_BASE + PM1_CONTROL_OFFSET, PM1_CONTROL_BYTES, 2),
		.x_pm_timer = ports(PORT_PM_BASE + PM_TIMER_OFFSET, PM_TIMER_BYTES, 4),
		.c2_latency_us = FADT_C2_NONE,
		.c3_latency_us = FADT_C3_NONE,
		.century = CMOS_CENTURY,
		.boot_arch = FADT_BOOT_LEGACY_DEVICES | FADT_BOOT_NO_VGA | FADT_BOOT_NO_ASPM,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLEEP_BUTTON | FADT_NO_FIXED_RTC |
			 FADT_TIMER_32 | FADT_RESET | FADT_HEADLESS,
		.reset = ports(PORT_RESET, 1, 1),
		.reset_value = RESET_VALUE,
		.minor_version = 3,
		.hypervisor = OEM_TABLE_ID,
	};
	size_t at = table_begin(l, "FACP", 6);

	put(l, &fadt, sizeof(fadt));
	return table_end(l, at);
}

/* Each processor's UID is its _UID in the DSDT. */
static void put_local_apic(struct layout *l, unsigned uid, uint32_t apic_id)
{
	struct acpi_madt_lapic lapic = {
		.type = MADT_LAPIC,
		.length = sizeof(lapic),
		.uid = (uint8_t)uid,
		.apic_id = (uint8_t)apic_id,
		.flags = MADT_ENABLED,
	};
	struct acpi_madt_x2apic x2apic = {
		.type = MADT_X2APIC,
		.length = sizeof(x2apic),
		.uid = uid,
		.apic_id = apic_id,
		.flags = MADT_ENABLED,
	};

	if (apic_id <= MAX_LAPIC_ID && uid < UINT8_MAX)
		put(l, &lapic, sizeof(lapic));
	else
		put(l, &x2apic, sizeof(x2apic));
}

static void put_override(struct layout *l, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	struct acpi_madt_override entry = {
		.type = MADT_OVERRIDE,
		.length = sizeof(entry),
		.irq = irq,
		.gsi = gsi,
		.flags = flags,
	};

	put(l, &entry, sizeof(entry));
}

/* put_nmis - LINT1 of every processor is NMI. */
static void put_nmis(struct layout *l)
{
	struct acpi_madt_lapic_nmi lapic = {
		.type = MADT_LAPIC_NMI,
		.length = sizeof(lapic),
		.uid = UINT8_MAX,
		.lint = 1,
	};
	struct acpi_madt_x2apic_nmi x2apic = {
		.type = MADT_X2APIC_NMI,
		.length = sizeof(x2apic),
		.uid = UINT32_MAX,
		.lint = 1,
	};

	put(l, &lapic, sizeof(lapic));
	put(l, &x2apic, sizeof(x2apic));
}

static uint64_t put_madt(struct layout *l, const struct acpi_options *opt)
{
	static const uint8_t pci_lines[] = IRQ_PCI_LINES;
	struct acpi_madt madt = {.lapic_gpa = LAPIC_BASE, .flags = MADT_PCAT_COMPAT};
	struct acpi_madt_ioapic ioapic = {
		.type = MADT_IOAPIC,
		.length = sizeof(ioapic),
		.gpa = IOAPIC_BASE,
	};
	size_t at = table_begin(l, "APIC", 5);

	put(l, &madt, sizeof(madt));
	for (unsigned i = 0; i < opt->num_vcpus; i++)
		put_local_apic(l, i, opt->apic_ids[i]);
	put(l, &ioapic, sizeof(ioapic));
	put_override(l, 0, 2, MADT_AS_BUS); /* the timer; pin 0 is the PICs' */
	put_override(l, IRQ_SCI, IRQ_SCI, MADT_LEVEL | MADT_ACTIVE_HIGH);
	/* As PCI has them, so that this says the same as _PRT, which cannot name a polarity. */
	for (unsigned i = 0; i < IRQ_PCI_NUM_LINES; i++)
		put_override(l, pci_lines[i], pci_lines[i], MADT_LEVEL | MADT_ACTIVE_LOW);
	put_nmis(l);
	return table_end(l, at);
}

static uint64_t put_mcfg(struct layout *l)
{
	struct acpi_mcfg mcfg = {.ecam_gpa = PCI_ECAM_BEGIN};
	size_t at = table_begin(l, "MCFG", 1);

	put(l, &mcfg, sizeof(mcfg));
	return table_end(l, at);
}

static struct acpi_rsdp rsdp_for(uint64_t xsdt_gpa)
{
	struct acpi_rsdp rsdp = {
		.signature = "RSD PTR ",
		.oem_id = OEM_ID,
		.revision = 2,
		.length = sizeof(rsdp),
		.xsdt_gpa = xsdt_gpa,
	};

	rsdp.checksum = checksum((uint8_t *)&rsdp, offsetof(struct acpi_rsdp, length));
	rsdp.extended_checksum = checksum((uint8_t *)&rsdp, sizeof(rsdp));
	return rsdp;
}

int acpi_write(const struct ram *ram, const struct acpi_options *opt, uint64_t *rsdp_gpa)
{
	struct layout l = {.room = ACPI_END - ACPI_BEGIN};
	struct acpi_rsdp rsdp = {0};
	uint64_t tables[3], facs_gpa, dsdt_gpa;
	size_t xsdt;

	l.host = ram_host(ram, ACPI_BEGIN, l.room);
	if (!l.host)
		return -ENOSPC;
	put(&l, &rsdp, sizeof(rsdp)); /* its place */
	facs_gpa = put_facs(&l);
	dsdt_gpa = put_dsdt(&l, opt->num_vcpus);
	tables[0] = put_fadt(&l, facs_gpa, dsdt_gpa);
	tables[1] = put_madt(&l, opt);
	tables[2] = put_mcfg(&l);
	xsdt = table_begin(&l, "XSDT", 1);
	put(&l, tables, sizeof(tables));
	rsdp = rsdp_for(table_end(&l, xsdt));
	if (l.full)
		return -ENOSPC;
	memcpy(l.host, &rsdp, sizeof(rsdp));
	*rsdp_gpa = ACPI_BEGIN;
	return 0;
}
