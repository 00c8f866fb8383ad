/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * acpi.c - the tables. Test guest, the first CPU. ACPI 6.3, section 5.2.
 */
#include "tests/guest/image/acpi.h"

#include "tests/guest/image/clock.h"
#include "tests/guest/image/print.h"

#define ENABLE_MS 1000

struct acpi acpi = {
	.lapic = 0xfee00000,
	.ioapic = 0xfec00000,
	.num_cpus = 1,
};

/* Tables are not aligned. */
static uint64_t get(const void *table, unsigned offset, unsigned bytes)
{
	const uint8_t *p = (const uint8_t *)table + offset;
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)p[i] << (i * 8);
	return value;
}

uint8_t acpi_sum(const void *table, uint64_t bytes)
{
	const uint8_t *p = table;
	uint8_t sum = 0;

	for (uint64_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + p[i]);
	return sum;
}

const uint8_t *acpi_find(const void *what, unsigned bytes)
{
	const uint8_t *p = (const uint8_t *)acpi.dsdt;

	if (!acpi.dsdt)
		return NULL;
	for (uint32_t i = sizeof(struct acpi_header); i + bytes <= acpi.dsdt->bytes; i++)
		if (p[i] == *(const uint8_t *)what && text_equal((const char *)p + i, what, bytes))
			return p + i;
	return NULL;
}

/* Name (_S5, Package () {SLP_TYPa, SLP_TYPb, ...}): the name, 0x12, a length, how many, the first. */
static void find_s5(void)
{
	const uint8_t *p = acpi_find("_S5_", 4);

	if (!p || p[4] != 0x12)
		return;
	p += 5;
	p += (*p >> 6) + 2; /* the length has up to four bytes; then the number of elements */
	if (*p == 0x0a)
		p++;
	acpi.has_s5 = true;
	acpi.s5_type = *p; /* ZeroOp and OneOp are their own values */
}

static void read_fadt(const struct acpi_header *fadt)
{
	uint64_t facs = get(fadt, 36, 4), dsdt = get(fadt, 40, 4);

	acpi.fadt = fadt;
	acpi.sci = (uint16_t)get(fadt, 46, 2);
	acpi.smi_command = (uint16_t)get(fadt, 48, 4);
	acpi.acpi_enable = (uint8_t)get(fadt, 52, 1);
	acpi.pm_event = (uint16_t)get(fadt, 56, 4);
	acpi.pm_control = (uint16_t)get(fadt, 64, 4);
	acpi.pm_timer = (uint16_t)get(fadt, 76, 4);
	acpi.pm_event_bytes = (uint8_t)get(fadt, 88, 1);
	acpi.fadt_flags = (uint32_t)get(fadt, 112, 4);
	if (acpi.fadt_flags & FADT_RESET_SUP && get(fadt, 116, 1) == 1) {
		acpi.reset_port = (uint16_t)get(fadt, 120, 8);
		acpi.reset_value = (uint8_t)get(fadt, 128, 1);
	}
	if (fadt->bytes >= 148) {
		facs = get(fadt, 132, 8) ?: facs;
		dsdt = get(fadt, 140, 8) ?: dsdt;
	}
	acpi.facs = facs;
	acpi.dsdt = (const struct acpi_header *)dsdt;
	find_s5();
}

static void read_madt(const struct acpi_header *madt)
{
	const uint8_t *p = (const uint8_t *)madt;

	acpi.madt = madt;
	acpi.lapic = get(madt, 36, 4);
	acpi.num_cpus = 0;
	for (uint32_t i = 44; i + 2 <= madt->bytes && p[i + 1]; i += p[i + 1]) {
		if (p[i] == 0 && get(p, i + 4, 4) & 1 && acpi.num_cpus < MAX_CPUS)
			acpi.apic_ids[acpi.num_cpus++] = p[i + 3];
		if (p[i] == 1)
			acpi.ioapic = get(p, i + 4, 4);
		if (p[i] == 2 && p[i + 3] < 16)
			acpi.overrides[p[i + 3]] = (struct acpi_override){
				.present = true,
				.irq = p[i + 3],
				.gsi = (uint32_t)get(p, i + 4, 4),
				.flags = (uint16_t)get(p, i + 8, 2),
			};
	}
}

static void read_table(const struct acpi_header *table)
{
	acpi.num_tables++;
	if (text_equal(table->signature, "FACP", 4))
		read_fadt(table);
	if (text_equal(table->signature, "APIC", 4))
		read_madt(table);
	if (text_equal(table->signature, "MCFG", 4)) {
		acpi.mcfg = table;
		acpi.ecam = get(table, 44, 8);
		acpi.ecam_last_bus = (uint8_t)get(table, 55, 1);
	}
}

void acpi_init(uint64_t rsdp)
{
	const void *r = (const void *)rsdp;
	const struct acpi_header *root;
	unsigned entry = 4;

	if (!rsdp || !text_equal(r, "RSD PTR ", 8))
		return;
	acpi.rsdp = rsdp;
	root = (const struct acpi_header *)get(r, 16, 4);
	if (get(r, 15, 1) >= 2) {
		acpi.xsdt = get(r, 24, 8);
		root = (const struct acpi_header *)acpi.xsdt;
		entry = 8;
	}
	for (uint32_t i = sizeof(*root); i + entry <= root->bytes; i += entry)
		read_table((const struct acpi_header *)get(root, i, entry));
}

void acpi_irq(uint8_t irq, unsigned *pin, bool *level, bool *active_low)
{
	const struct acpi_override *o = &acpi.overrides[irq & 15];

	*pin = o->present ? o->gsi : irq;
	*level = o->present && (o->flags >> 2 & 3) == 3;
	*active_low = o->present && (o->flags & 3) == 3;
}

bool acpi_enable(void)
{
	uint64_t deadline = clock_after_ms(ENABLE_MS);

	if (!(inw(acpi.pm_control) & PM1_SCI_EN) && acpi.smi_command)
		outb(acpi.smi_command, acpi.acpi_enable);
	while (!(inw(acpi.pm_control) & PM1_SCI_EN))
		if (clock_is_past(deadline))
			return false;
	return true;
}

void acpi_poweroff(void)
{
	if (acpi.pm_control)
		outw(acpi.pm_control, (uint16_t)((acpi.s5_type & 7) << 10 | PM1_SLP_EN));
}
