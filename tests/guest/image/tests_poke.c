/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests_poke.c - every register of everything, read and written in every size, at any alignment, with
 * values that make no sense. The machine has to live, and after a reset of the device to work.
 * Test guest, the first CPU; in the last test all of them.
 */
#include "tests/guest/image/acpi.h"
#include "tests/guest/image/blk.h"
#include "tests/guest/image/clock.h"
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/interrupt.h"
#include "tests/guest/image/pci.h"
#include "tests/guest/image/poke.h"
#include "tests/guest/image/smp.h"

#define PORT_SIZES 3

static struct blk blk;
static uint8_t sector[SECTOR_BYTES] __attribute__((aligned(16)));

/* --- configuration space --- */

struct saved {
	uint32_t bars[6];
	uint16_t command;
};

static void save(unsigned slot, struct saved *s)
{
	s->command = pci_read16(slot, PCI_COMMAND);
	for (unsigned i = 0; i < 6; i++)
		s->bars[i] = pci_read32(slot, PCI_BASE_ADDRESS_0 + i * 4);
}

static void restore(unsigned slot, const struct saved *s)
{
	unsigned msix = pci_capability(slot, PCI_CAP_ID_MSIX, 0);

	pci_write16(slot, PCI_COMMAND, 0);
	for (unsigned i = 0; i < 6; i++)
		pci_write32(slot, PCI_BASE_ADDRESS_0 + i * 4, s->bars[i]);
	if (msix)
		pci_write16(slot, msix + PCI_MSIX_FLAGS, 0);
	pci_write16(slot, PCI_COMMAND, s->command);
}

static void poke_function(unsigned slot)
{
	uint32_t id = pci_read32(slot, PCI_VENDOR_ID);
	struct saved s;

	save(slot, &s);
	for (unsigned at = 0; at < PCI_CONFIG_BYTES; at++) {
		for (unsigned log2 = 0; log2 < PORT_SIZES; log2++) {
			outl(PCI_ADDRESS, PCI_ENABLE | slot << 11 | (at & 0xfc));
			/* Beyond the end of the data port too. */
			if (log2 == 0)
				outb((uint16_t)(PCI_DATA + (at & 3)), (uint8_t)poke_value(at % 3));
			else if (log2 == 1)
				outw((uint16_t)(PCI_DATA + (at & 3)), (uint16_t)poke_value(at % 3));
			else
				outl((uint16_t)(PCI_DATA + (at & 3)), (uint32_t)poke_value(at % 3));
			outl(PCI_ADDRESS, PCI_ENABLE | slot << 11 | (at & 0xfc));
			inl((uint16_t)(PCI_DATA + (at & 3)));
		}
	}
	poke_memory(pci_ecam(slot, 0), PCI_CONFIG_BYTES, 1);
	poke_memory(pci_ecam(slot, PCI_CONFIG_BYTES), 4096 - PCI_CONFIG_BYTES, 509);
	restore(slot, &s);
	check_equal(pci_read32(slot, PCI_VENDOR_ID), id, "poke: slot %u still has its ID", slot);
}

static void config(void)
{
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++)
		if (pci_read32(slot, PCI_VENDOR_ID) != 0xffffffff)
			poke_function(slot);
	/* Other functions and devices that are not there. */
	for (unsigned function = 0; function < 8; function++) {
		pci_port_write(30, function, 0, 4, ~0u);
		poke_memory(pci_ecam(30, 0) + (function << 12), 16, 3);
	}
	outl(PCI_ADDRESS, ~0u);
	outb(PCI_ADDRESS + 2, 0x55);
	inl(PCI_DATA);
	outl(PCI_ADDRESS, 0);
	outl(PCI_DATA, ~0u);
	poke_still_works("its configuration space was written over");
}

/* --- BARs --- */

/* All of what is small, and where there is much of the same, a part of it. */
static void bars(void)
{
	int slot = pci_find_virtio(2, 0);
	struct blk_options opt = blk_options_from_cmdline();

	for (unsigned i = 0; slot >= 0 && i < 6; i++) {
		struct pci_bar bar = pci_bar_get((unsigned)slot, i);

		i += bar.is_64;
		if (!bar.size || bar.is_io)
			continue;
		pci_enable((unsigned)slot);
		poke_memory(bar.base, 0x80, 1);
		poke_memory(bar.base, bar.size, bar.size > 0x1000 ? 37 : 7);
		poke_memory(bar.base + bar.size - 8, 8, 1);
		virtio_open(&blk.v, (unsigned)slot);
		check(virtio_reset(&blk.v), "poke: BAR %u written over, the disk can be reset", i);
	}
	poke_still_works("its BARs were written over");
	/* Now while it is in use. */
	for (unsigned round = 0; round < 2; round++) {
		if (!blk_start(&blk, &opt))
			return;
		blk_submit(&blk, 0, VIRTIO_BLK_T_IN, 0, sector, sizeof(sector), 0);
		queue_kick(&blk.v.queues[0]);
		poke_memory(blk.v.common, 64, round ? 1 : 3);
		if (blk.v.msix)
			pci_write16(blk.v.slot, blk.v.msix + PCI_MSIX_FLAGS, 0);
		check(blk_stop(&blk), "poke: written over in use, the disk can be reset");
	}
	poke_still_works("its registers were written over in use");
}

/* --- what nobody claims --- */

static void holes(void)
{
	static const uint64_t addresses[] = {
		PCI_FREE_MEMORY + 0x8000000,
		0xdffffff0,
		0xe0100000,
		0xfec10000,
		0xfed00000,
		0xff000000,
		0xfffffff8,
		0x120000000,
	};
	uint64_t wrong = 0;

	for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		for (unsigned odd = 0; odd < 4; odd++) {
			uint64_t at = addresses[i] - odd;

			poke_memory(at, 1, 1);
			if (read64(at) != ~0ull)
				wrong = at;
		}
	}
	check_equal(wrong, 0, "poke: memory that nobody claims reads all ones");
	outl(0x5000, 0);
	check(inb(0x5000) == 0xff && inw(0x5001) == 0xffff && inl(0x5003) == 0xffffffff,
	      "poke: and so do ports");
}

/* --- everything at once --- */

static volatile bool enough;

static void hammer(unsigned index)
{
	for (unsigned i = 0; !enough; i++) {
		uint64_t at = blk.v.common + (i * 7 + index) % 64;

		switch (i % 6) {
		case 0:
			write32(at, (uint32_t)i * 0x1010101);
			break;
		case 1:
			read64(at);
			break;
		case 2:
			write16(blk.v.notify + (i % 8) * blk.v.notify_multiplier, (uint16_t)i);
			break;
		case 3:
			write32(pci_ecam(blk.v.slot, PCI_BASE_ADDRESS_0 + i % 6 * 4),
				PCI_FREE_MEMORY + (i & 0xff) * 0x10000);
			break;
		case 4:
			write16(pci_ecam(blk.v.slot, PCI_COMMAND), (uint16_t)(i % 8));
			break;
		default:
			read32(pci_ecam(blk.v.slot, i % 256 & ~3u));
			break;
		}
	}
}

/* While the other CPUs do, this one takes the disk up and down. */
static void hammers(void)
{
	struct saved s;
	int slot = pci_find_virtio(2, 0);

	if (!check(smp_start() > 1, "poke: there are several CPUs") ||
	    !check(slot >= 0 && virtio_open(&blk.v, (unsigned)slot), "poke: a disk"))
		return;
	save((unsigned)slot, &s);
	enough = false;
	smp_work(hammer);
	for (unsigned i = 0; i < 200; i++) {
		virtio_set_status(&blk.v, (uint8_t)poke_random());
		virtio_set_status(&blk.v, 0);
		pci_write16((unsigned)slot, blk.v.msix + PCI_MSIX_FLAGS,
			    (uint16_t)(poke_random() & PCI_MSIX_FLAGS_MASKALL));
	}
	enough = true;
	check(smp_wait(5000), "poke: the other CPUs come back");
	restore((unsigned)slot, &s);
	poke_still_works("several CPUs poked at it");
}

const struct guest_test poke_tests[] = {
	{"poke-config", config},    {"poke-bars", bars}, {"poke-holes", holes},
	{"poke-together", hammers}, {NULL, NULL},
};
