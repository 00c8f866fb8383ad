/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * acpi.h - the tables that tell the guest what this board has: RSDP, XSDT, FADT, FACS, MADT, MCFG,
 * DSDT. VMM, main thread. ACPI 6.3.
 */
#ifndef RINGSIDE_VMM_ACPI_H
#define RINGSIDE_VMM_ACPI_H

#include <stdint.h>

#include "vmm/ram.h"

struct acpi_options {
	unsigned num_vcpus;
	const uint32_t *apic_ids; /* of each vCPU */
};

/* acpi_write - lay all tables at ACPI_BEGIN.. of @ram. Return: 0 and the RSDP's address in *@rsdp_gpa,
 * or -ENOSPC (they end before ACPI_END). */
int acpi_write(const struct ram *ram, const struct acpi_options *opt, uint64_t *rsdp_gpa);

#endif
