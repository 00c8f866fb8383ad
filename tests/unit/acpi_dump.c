/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * acpi_dump.c - write the ACPI tables of a board as files, for test_vmm_acpi_tables.
 * Tests only.
 *
 * acpi_dump DIR APIC_ID...   one vCPU for each ID. Writes DIR/SIGNATURE.dat for each table, and prints
 * which interrupt line each pin of each slot is wired to.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/acpi.h"
#include "vmm/acpi_tables.h"
#include "vmm/memory_map.h"
#include "vmm/pci.h"

static void write_table(const char *dir, const struct ram *ram, uint64_t gpa)
{
	const struct acpi_header *header = ram_host(ram, gpa, sizeof(*header));
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%.4s.dat", dir, header->signature);
	f = fopen(path, "wbe");
	if (!f || fwrite(header, header->length, 1, f) != 1 || fclose(f) != 0)
		err(1, "%s", path);
}

static void write_tables(const char *dir, const struct ram *ram, uint64_t rsdp_gpa)
{
	const struct acpi_rsdp *rsdp = ram_host(ram, rsdp_gpa, sizeof(*rsdp));
	const struct acpi_header *xsdt = ram_host(ram, rsdp->xsdt_gpa, sizeof(*xsdt));
	const struct acpi_fadt *fadt;

	for (size_t at = sizeof(*xsdt); at < xsdt->length; at += sizeof(uint64_t)) {
		const char *header;
		uint64_t gpa;

		memcpy(&gpa, (const char *)xsdt + at, sizeof(gpa));
		write_table(dir, ram, gpa);
		header = ram_host(ram, gpa, sizeof(struct acpi_header) + sizeof(*fadt));
		if (memcmp(header, "FACP", 4) != 0)
			continue;
		fadt = (const void *)(header + sizeof(struct acpi_header));
		write_table(dir, ram, fadt->facs_gpa);
		write_table(dir, ram, fadt->x_dsdt_gpa);
	}
	write_table(dir, ram, rsdp->xsdt_gpa);
}

int main(int argc, char **argv)
{
	uint32_t apic_ids[VMM_MAX_VCPUS];
	struct acpi_options opt = {.apic_ids = apic_ids};
	struct ram ram = {0};
	uint64_t rsdp_gpa;

	if (argc < 3 || argc - 2 > VMM_MAX_VCPUS)
		errx(2, "usage: acpi_dump DIR APIC_ID...");
	for (int i = 2; i < argc; i++)
		apic_ids[opt.num_vcpus++] = (uint32_t)strtoul(argv[i], NULL, 0);
	fe_memory_init(&ram.mem);
	if (fe_memory_add(&ram.mem, 0, ACPI_END, false) < 0 ||
	    acpi_write(&ram, &opt, &rsdp_gpa) < 0)
		errx(1, "no tables");
	write_tables(argv[1], &ram, rsdp_gpa);
	for (unsigned slot = 0; slot < PCI_NUM_SLOTS; slot++)
		for (unsigned pin = 0; pin < 4; pin++)
			printf("%u %u %u\n", slot, pin, pci_slot_line(slot, pin));
	fe_memory_free(&ram.mem);
	return 0;
}
