/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * acpi_part.h - the DSDT's contents, for acpi.c only. VMM, main thread.
 */
#ifndef RINGSIDE_VMM_ACPI_PART_H
#define RINGSIDE_VMM_ACPI_PART_H

#include "vmm/aml.h"

/* acpi_dsdt - all that stands behind the header. */
void acpi_dsdt(struct aml *aml, unsigned num_vcpus);

#endif
