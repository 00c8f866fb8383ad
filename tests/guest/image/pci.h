/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.h - configuration space of bus 0, by ports and by ECAM, and BARs. Test guest.
 */
#ifndef RINGSIDE_GUEST_PCI_H
#define RINGSIDE_GUEST_PCI_H

#include <linux/pci_regs.h>
#include <stdbool.h>
#include <stdint.h>

#define PCI_SLOTS         32
#define PCI_VENDOR_VIRTIO 0x1af4
#define PCI_ADDRESS       0xcf8
#define PCI_DATA          0xcfc
#define PCI_ENABLE        0x80000000u
#define PCI_CONFIG_BYTES  256
#define PCI_FREE_MEMORY   0xd0000000u /* for BARs: in the PCI hole of any board, used by nobody */

/* Access by ports: @bytes is 1, 2 or 4, and @offset aligned to it. */
uint32_t pci_port_read(unsigned slot, unsigned function, unsigned offset, unsigned bytes);
void pci_port_write(unsigned slot, unsigned function, unsigned offset, unsigned bytes,
		    uint32_t value);

/* pci_ecam - where a register of function 0 is in memory, by the MCFG. */
uint64_t pci_ecam(unsigned slot, unsigned offset);

/* Function 0, by ports. */
uint8_t pci_read8(unsigned slot, unsigned offset);
uint16_t pci_read16(unsigned slot, unsigned offset);
uint32_t pci_read32(unsigned slot, unsigned offset);
void pci_write8(unsigned slot, unsigned offset, uint8_t value);
void pci_write16(unsigned slot, unsigned offset, uint16_t value);
void pci_write32(unsigned slot, unsigned offset, uint32_t value);

/* pci_find_virtio - the slot of the @index-th virtio device of this type (2: block, 5: balloon).
 * Return: -1 when there are not so many. */
int pci_find_virtio(unsigned type, unsigned index);

/* pci_capability - the first capability @id behind offset @after (0: from the start).
 * Return: its offset, or 0. */
unsigned pci_capability(unsigned slot, uint8_t id, unsigned after);

struct pci_bar {
	bool is_io, is_64;
	uint64_t base;
	uint64_t size; /* 0: no such BAR */
};

/* pci_bar_get - where BAR @bar is and, by sizing it with decoding off, how large. */
struct pci_bar pci_bar_get(unsigned slot, unsigned bar);

/* pci_bar_set - move it, with decoding off while it moves. */
void pci_bar_set(unsigned slot, unsigned bar, uint64_t base);

/* pci_enable - decode memory and ports, be a bus master. */
void pci_enable(unsigned slot);

#endif
