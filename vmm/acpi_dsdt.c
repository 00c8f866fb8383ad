/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * acpi_dsdt.c - the definition block: soft off, the PCI root, what lies outside of PCI, processors.
 * VMM, main thread. ACPI 6.3 chapters 6 to 9; PCI Firmware 3.2 section 4.
 */
#include <stdio.h>

#include "vmm/acpi_part.h"
#include "vmm/memory_map.h"
#include "vmm/pci.h"
#include "vmm/serial.h"

#define PCI_OSC_UUID "33db4d5b-1ff7-401c-9657-7441c03dd766"

#define OSC_BAD_UUID 0x04

/* named_integer, named_id - Name (@name, ...) */
static void named_integer(struct aml *aml, const char *name, uint64_t value)
{
	aml_name(aml, name);
	aml_integer(aml, value);
}

static void named_id(struct aml *aml, const char *name, const char *id)
{
	aml_name(aml, name);
	aml_eisa_id(aml, id);
}

static void soft_off(struct aml *aml)
{
	size_t package;

	aml_name(aml, "\\_S5");
	package = aml_package(aml, 4);
	aml_integer(aml, PM_SLP_TYP_S5);
	for (unsigned i = 0; i < 3; i++)
		aml_integer(aml, 0);
	aml_end(aml, package);
}

/* Bus 0; all ports but those that reach configuration space; one window of memory. */
static void pci_resources(struct aml *aml)
{
	size_t list;

	aml_name(aml, "_CRS");
	list = aml_resources(aml);
	aml_bus_window(aml, 0, 0);
	aml_io(aml, PORT_PCI_ADDRESS, 8);
	aml_io_window(aml, 0, PORT_PCI_ADDRESS);
	aml_io_window(aml, PORT_PCI_ADDRESS + 8, 0x10000 - (PORT_PCI_ADDRESS + 8));
	aml_memory_window(aml, PCI_WINDOW_BEGIN, PCI_WINDOW_END - PCI_WINDOW_BEGIN);
	aml_end_resources(aml, list);
}

/* Which global interrupt each pin of each slot raises: wired, so that there is no link device. */
static void pci_routing(struct aml *aml)
{
	size_t table, entry;

	aml_name(aml, "_PRT");
	table = aml_package(aml, PCI_NUM_SLOTS * 4);
	for (unsigned slot = 0; slot < PCI_NUM_SLOTS; slot++)
		for (unsigned pin = 0; pin < 4; pin++) {
			entry = aml_package(aml, 4);
			aml_integer(aml, slot << 16 | 0xffff);
			aml_integer(aml, pin);
			aml_integer(aml, 0);
			aml_integer(aml, pci_slot_line(slot, pin));
			aml_end(aml, entry);
		}
	aml_end(aml, table);
}

/* Whatever of PCI Express the guest asks for is its own: nobody here holds on to it. */
static void pci_osc(struct aml *aml)
{
	size_t method = aml_method(aml, "_OSC", 4), condition;

	condition = aml_if(aml);
	aml_op(aml, AML_LEQUAL);
	aml_op(aml, AML_ARG0);
	aml_uuid(aml, PCI_OSC_UUID);
	aml_op(aml, AML_RETURN);
	aml_op(aml, AML_ARG3);
	aml_end(aml, condition);
	aml_op(aml, AML_CREATE_DWORD_FIELD);
	aml_op(aml, AML_ARG3);
	aml_integer(aml, 0);
	aml_ref(aml, "STS");
	aml_op(aml, AML_OR);
	aml_ref(aml, "STS");
	aml_integer(aml, OSC_BAD_UUID);
	aml_ref(aml, "STS");
	aml_op(aml, AML_RETURN);
	aml_op(aml, AML_ARG3);
	aml_end(aml, method);
}

static void pci_root(struct aml *aml)
{
	size_t device = aml_device(aml, "PCI0");

	named_id(aml, "_HID", "PNP0A08"); /* PCI Express: configuration space by ECAM */
	named_id(aml, "_CID", "PNP0A03");
	named_integer(aml, "_UID", 0);
	named_integer(aml, "_SEG", 0);
	named_integer(aml, "_BBN", 0);
	pci_resources(aml);
	pci_routing(aml);
	pci_osc(aml);
	aml_end(aml, device);
}

/* motherboard - what no driver is to take: a guest believes MCFG only where this says the same. */
static void motherboard(struct aml *aml)
{
	size_t device = aml_device(aml, "MB"), list;

	named_id(aml, "_HID", "PNP0C02");
	named_integer(aml, "_UID", 0);
	aml_name(aml, "_CRS");
	list = aml_resources(aml);
	aml_memory(aml, PCI_ECAM_BEGIN, PCI_ECAM_BYTES);
	aml_io(aml, PORT_PM_BASE, PM_BYTES);
	aml_end_resources(aml, list);
	aml_end(aml, device);
}

static void serial_port(struct aml *aml)
{
	size_t device = aml_device(aml, "COM1"), list;

	named_id(aml, "_HID", "PNP0501");
	named_integer(aml, "_UID", 1);
	aml_name(aml, "_CRS");
	list = aml_resources(aml);
	aml_io(aml, PORT_COM1, SERIAL_PORTS);
	aml_irq(aml, IRQ_COM1);
	aml_end_resources(aml, list);
	aml_end(aml, device);
}

/* Without an interrupt: see board_rtc.c. */
static void clock(struct aml *aml)
{
	size_t device = aml_device(aml, "RTC"), list;

	named_id(aml, "_HID", "PNP0B00");
	aml_name(aml, "_CRS");
	list = aml_resources(aml);
	aml_io(aml, PORT_RTC, 2);
	aml_end_resources(aml, list);
	aml_end(aml, device);
}

static void processor(struct aml *aml, unsigned index)
{
	size_t device;
	char name[5];

	snprintf(name, sizeof(name), "C%03X", index & 0xfff);
	device = aml_device(aml, name);
	aml_name(aml, "_HID");
	aml_string(aml, "ACPI0007");
	named_integer(aml, "_UID", index);
	aml_end(aml, device);
}

void acpi_dsdt(struct aml *aml, unsigned num_vcpus)
{
	size_t system;

	soft_off(aml);
	system = aml_scope(aml, "\\_SB");
	pci_root(aml);
	motherboard(aml);
	serial_port(aml);
	clock(aml);
	for (unsigned i = 0; i < num_vcpus; i++)
		processor(aml, i);
	aml_end(aml, system);
}
