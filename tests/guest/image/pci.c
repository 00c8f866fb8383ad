/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.c - configuration space and BARs. Test guest. PCI Local Bus 3.0, sections 3.2.2.3 and 6.2.5.1.
 */
#include "tests/guest/image/pci.h"

#include "tests/guest/image/acpi.h"
#include "tests/guest/image/cpu.h"

static uint16_t select(unsigned slot, unsigned function, unsigned offset)
{
	outl(PCI_ADDRESS, PCI_ENABLE | slot << 11 | function << 8 | (offset & 0xfc));
	return (uint16_t)(PCI_DATA + (offset & 3));
}

uint32_t pci_port_read(unsigned slot, unsigned function, unsigned offset, unsigned bytes)
{
	uint16_t port = select(slot, function, offset);

	return bytes == 1 ? inb(port) : bytes == 2 ? inw(port) : inl(port);
}

void pci_port_write(unsigned slot, unsigned function, unsigned offset, unsigned bytes,
		    uint32_t value)
{
	uint16_t port = select(slot, function, offset);

	if (bytes == 1)
		outb(port, (uint8_t)value);
	else if (bytes == 2)
		outw(port, (uint16_t)value);
	else
		outl(port, value);
}

uint64_t pci_ecam(unsigned slot, unsigned offset)
{
	return acpi.ecam + (slot << 15) + offset;
}

uint8_t pci_read8(unsigned slot, unsigned offset)
{
	return (uint8_t)pci_port_read(slot, 0, offset, 1);
}

uint16_t pci_read16(unsigned slot, unsigned offset)
{
	return (uint16_t)pci_port_read(slot, 0, offset, 2);
}

uint32_t pci_read32(unsigned slot, unsigned offset)
{
	return pci_port_read(slot, 0, offset, 4);
}

void pci_write8(unsigned slot, unsigned offset, uint8_t value)
{
	pci_port_write(slot, 0, offset, 1, value);
}

void pci_write16(unsigned slot, unsigned offset, uint16_t value)
{
	pci_port_write(slot, 0, offset, 2, value);
}

void pci_write32(unsigned slot, unsigned offset, uint32_t value)
{
	pci_port_write(slot, 0, offset, 4, value);
}

int pci_find_virtio(unsigned type, unsigned index)
{
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		if (pci_read16(slot, PCI_VENDOR_ID) != PCI_VENDOR_VIRTIO ||
		    pci_read16(slot, PCI_DEVICE_ID) != 0x1040 + type)
			continue;
		if (index-- == 0)
			return (int)slot;
	}
	return -1;
}

unsigned pci_capability(unsigned slot, uint8_t id, unsigned after)
{
	unsigned at = pci_read8(slot, after ? after + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST);

	if (!after && !(pci_read16(slot, PCI_STATUS) & PCI_STATUS_CAP_LIST))
		return 0;
	for (unsigned i = 0; at >= PCI_STD_HEADER_SIZEOF && i < 48; i++) {
		if (pci_read8(slot, at) == id)
			return at;
		at = pci_read8(slot, at + PCI_CAP_LIST_NEXT) & 0xfc;
	}
	return 0;
}

/* --- BARs --- */

static uint16_t decoding_off(unsigned slot)
{
	uint16_t command = pci_read16(slot, PCI_COMMAND);

	pci_write16(slot, PCI_COMMAND, command & (uint16_t) ~(PCI_COMMAND_MEMORY | PCI_COMMAND_IO));
	return command;
}

struct pci_bar pci_bar_get(unsigned slot, unsigned bar)
{
	unsigned reg = PCI_BASE_ADDRESS_0 + bar * 4;
	uint16_t command = decoding_off(slot);
	uint32_t low = pci_read32(slot, reg), mask;
	struct pci_bar r = {
		.is_io = low & PCI_BASE_ADDRESS_SPACE_IO,
	};
	uint64_t size;

	r.is_64 =
		!r.is_io && (low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
	r.base = r.is_io ? low & ~3u : low & ~15u;
	if (r.is_64)
		r.base |= (uint64_t)pci_read32(slot, reg + 4) << 32;
	pci_write32(slot, reg, 0xffffffff);
	mask = pci_read32(slot, reg) & (r.is_io ? ~3u : ~15u);
	pci_write32(slot, reg, low);
	size = mask ? (uint32_t)(~mask + 1) : 0;
	/* Of a port BAR the upper half may be hardwired to zero. */
	r.size = r.is_io ? size & 0xffff : size;
	pci_write16(slot, PCI_COMMAND, command);
	return r;
}

void pci_bar_set(unsigned slot, unsigned bar, uint64_t base)
{
	unsigned reg = PCI_BASE_ADDRESS_0 + bar * 4;
	uint16_t command = decoding_off(slot);
	uint32_t low = pci_read32(slot, reg);

	pci_write32(slot, reg, (uint32_t)base);
	if (!(low & PCI_BASE_ADDRESS_SPACE_IO) &&
	    (low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64)
		pci_write32(slot, reg + 4, (uint32_t)(base >> 32));
	pci_write16(slot, PCI_COMMAND, command);
}

void pci_enable(unsigned slot)
{
	pci_write16(slot, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}
