/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests_pci.c - configuration space, BARs. Test guest, the first CPU.
 */
#include "tests/guest/image/acpi.h"
#include "tests/guest/image/blk.h"
#include "tests/guest/image/clock.h"
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/intx.h"
#include "tests/guest/image/pci.h"

/* --- scan --- */

/* One device by both ways; the ISR-like registers of virtio's window are left alone. */
static bool same_by_both_ways(unsigned slot)
{
	for (unsigned at = 0; at < PCI_CONFIG_BYTES; at += 4) {
		uint32_t port = pci_read32(slot, at), ecam = read32(pci_ecam(slot, at));

		if (port != ecam) {
			note("slot %u, offset 0x%x: 0x%x by ports, 0x%x by ECAM", slot, at, port,
			     ecam);
			return false;
		}
	}
	return true;
}

/* A register by every size and alignment is the same bytes. */
static bool same_in_parts(unsigned slot)
{
	bool same = true;

	for (unsigned at = 0; at < PCI_STD_HEADER_SIZEOF; at += 4) {
		uint32_t whole = pci_read32(slot, at), bytes = 0, words = 0, ecam = 0;

		for (unsigned i = 0; i < 4; i++) {
			bytes |= (uint32_t)pci_read8(slot, at + i) << (i * 8);
			ecam |= (uint32_t)read8(pci_ecam(slot, at + i)) << (i * 8);
		}
		for (unsigned i = 0; i < 4; i += 2)
			words |= (uint32_t)pci_read16(slot, at + i) << (i * 8);
		same = same && whole == bytes && whole == words && whole == ecam;
	}
	return same;
}

static void scan(void)
{
	unsigned found = 0, virtio = 0;
	bool same = true, parts = true, empty = true;

	check(pci_read32(0, PCI_VENDOR_ID) != 0xffffffff, "pci: a host bridge in slot 0");
	check_equal(pci_read16(0, PCI_CLASS_DEVICE), 0x0600, "pci: it says that it is one");
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		if (pci_read32(slot, PCI_VENDOR_ID) == 0xffffffff) {
			empty = empty && read32(pci_ecam(slot, 0)) == 0xffffffff &&
				pci_read8(slot, PCI_HEADER_TYPE) == 0xff &&
				pci_port_read(slot, 3, 0, 4) == 0xffffffff;
			continue;
		}
		found++;
		same = same && same_by_both_ways(slot);
		parts = parts && same_in_parts(slot);
		if (pci_read16(slot, PCI_VENDOR_ID) == PCI_VENDOR_VIRTIO)
			virtio++;
		print("VALUE pci-%u %04x:%04x class %04x\n", slot, pci_read16(slot, PCI_VENDOR_ID),
		      pci_read16(slot, PCI_DEVICE_ID), pci_read16(slot, PCI_CLASS_DEVICE));
	}
	check(same, "pci: ports and ECAM show the same of %u devices", found);
	check(parts, "pci: registers are the same in parts of any size");
	check(empty, "pci: where no device is, all ones");
	check_equal(virtio, option_number("disks", 0), "pci: every virtio device is there");
}

static void read_only_registers(void)
{
	int slot = pci_find_virtio(2, 0);
	uint32_t id, class;

	if (!check(slot >= 0, "pci: a disk"))
		return;
	id = pci_read32((unsigned)slot, PCI_VENDOR_ID);
	class = pci_read32((unsigned)slot, PCI_CLASS_REVISION);
	pci_write32((unsigned)slot, PCI_VENDOR_ID, 0x12345678);
	write32(pci_ecam((unsigned)slot, PCI_CLASS_REVISION), 0);
	check(pci_read32((unsigned)slot, PCI_VENDOR_ID) == id &&
		      pci_read32((unsigned)slot, PCI_CLASS_REVISION) == class,
	      "pci: IDs and class cannot be written");
	check(pci_read16((unsigned)slot, PCI_VENDOR_ID) == PCI_VENDOR_VIRTIO &&
		      class >> 16 == 0x0100 && (class & 0xff) >= 1,
	      "pci: a modern virtio disk by its IDs");
	check_equal(pci_read8((unsigned)slot, PCI_INTERRUPT_PIN), 1, "pci: it has INTA");
	pci_write8((unsigned)slot, PCI_INTERRUPT_LINE, 0x5a);
	check_equal(pci_read8((unsigned)slot, PCI_INTERRUPT_LINE), 0x5a,
		    "pci: the interrupt line register keeps what is written");
}

/* --- BARs --- */

static void bar_sizes(void)
{
	int slot = pci_find_virtio(2, 0);
	unsigned bars = 0;
	bool sane = true;

	if (!check(slot >= 0, "pci: a disk"))
		return;
	for (unsigned i = 0; i < 6; i++) {
		struct pci_bar bar = pci_bar_get((unsigned)slot, i);

		if (!bar.size)
			continue;
		bars++;
		note("bar %u: %s 0x%lx + 0x%lx", i, bar.is_io ? "ports" : "memory", bar.base,
		     bar.size);
		sane = sane && !(bar.size & (bar.size - 1)) && bar.base % bar.size == 0;
		i += bar.is_64;
	}
	check(bars >= 1, "pci: the disk has BARs");
	check(sane, "pci: each a power of two, and aligned to it");
}

/* What reads give where nobody is: all ones on a PC, zeroes on QEMU. */
static uint16_t nothing(void)
{
	return read16(PCI_FREE_MEMORY + 0x8000000);
}

static struct blk blk;
static uint8_t sector[SECTOR_BYTES] __attribute__((aligned(16)));

/* Which BAR holds the common configuration, and where in it. */
static unsigned common_bar(unsigned slot, uint64_t *offset)
{
	for (unsigned i = 0; i < 6; i++) {
		struct pci_bar bar = pci_bar_get(slot, i);

		if (!bar.is_io && bar.size && blk.v.common - bar.base < bar.size) {
			*offset = blk.v.common - bar.base;
			return i;
		}
		i += bar.is_64;
	}
	return 6;
}

static bool reads_well(void)
{
	return blk_do(&blk, 0, VIRTIO_BLK_T_IN, 0, sector, sizeof(sector)) == VIRTIO_BLK_S_OK;
}

/* A doorbell that has moved rings nobody where it was. */
static void doorbell_is_gone(uint64_t old_doorbell)
{
	int number;

	wait_ms(20); /* the daemon may still be looking for more, and then needs no bell */
	number = blk_submit(&blk, 0, VIRTIO_BLK_T_IN, 0, sector, sizeof(sector), 0);
	write16(old_doorbell, 0);
	wait_ms(20);
	blk_reap(&blk);
	check(number >= 0 && blk.requests[number].busy, "pci: the old doorbell rings nobody");
	queue_kick(&blk.v.queues[0]);
	check_equal((unsigned)blk_wait(&blk, number), VIRTIO_BLK_S_OK,
		    "pci: the new one rings for what waited");
}

/* Registers and doorbells at a new address, while the disk is in use. */
static void bar_moves(void)
{
	struct blk_options opt = blk_options_from_cmdline();
	uint64_t offset, there, old;
	unsigned bar;

	if (!blk_start(&blk, &opt))
		return;
	check(reads_well(), "pci: the disk reads before its BAR moves");
	bar = common_bar(blk.v.slot, &offset);
	if (!check(bar < 6, "pci: the common configuration is in a memory BAR"))
		return;
	old = blk.v.common - offset;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t new = i == 2 ? old : PCI_FREE_MEMORY + i * 0x1000000;
		uint64_t notify = blk.v.queues[0].notify - (blk.v.common - offset);

		there = blk.v.common;
		pci_bar_set(blk.v.slot, bar, new);
		check_equal(read16(there + VIRTIO_PCI_COMMON_NUMQ), nothing(),
			    "pci: nobody answers at the old address");
		if (!virtio_open(&blk.v, blk.v.slot) ||
		    !check_equal(blk.v.common, new + offset, "pci: the BAR is at the new address"))
			return;
		if (blk.opt.interrupts == BLK_INTX)
			intx_claim(blk.v.slot, blk.v.isr); /* the register it reads has moved */
		check(virtio_status(&blk.v) & VIRTIO_CONFIG_S_DRIVER_OK,
		      "pci: its registers answer there");
		blk.v.queues[0].notify = new + notify;
		check(reads_well(), "pci: and so does its doorbell");
		doorbell_is_gone(there - offset + notify);
	}
	blk_stop(&blk);
}

/* Decoding off and on again. */
static void bar_off(void)
{
	struct blk_options opt = blk_options_from_cmdline();

	if (!blk_start(&blk, &opt))
		return;
	pci_write16(blk.v.slot, PCI_COMMAND, PCI_COMMAND_MASTER);
	check_equal(read16(blk.v.common + VIRTIO_PCI_COMMON_NUMQ), nothing(),
		    "pci: without memory decoding nobody answers");
	pci_enable(blk.v.slot);
	check(virtio_num_queues(&blk.v) != nothing(), "pci: with it again the registers do");
	check(reads_well(), "pci: and the disk reads");
	blk_stop(&blk);
}

/* --- virtio's own window onto its BARs --- */

static void config_window(void)
{
	unsigned cap = 0;
	uint32_t through;
	int slot = pci_find_virtio(2, 0);
	uint64_t offset;

	if (!check(slot >= 0 && virtio_open(&blk.v, (unsigned)slot), "pci: a disk"))
		return;
	while ((cap = pci_capability((unsigned)slot, PCI_CAP_ID_VNDR, cap)) != 0)
		if (pci_read8((unsigned)slot, cap + VIRTIO_PCI_CAP_CFG_TYPE) ==
		    VIRTIO_PCI_CAP_PCI_CFG)
			break;
	if (!check(cap != 0, "pci: virtio's window is among the capabilities"))
		return;
	pci_write8((unsigned)slot, cap + VIRTIO_PCI_CAP_BAR,
		   (uint8_t)common_bar((unsigned)slot, &offset));
	pci_write32((unsigned)slot, cap + VIRTIO_PCI_CAP_OFFSET,
		    (uint32_t)offset + VIRTIO_PCI_COMMON_NUMQ);
	pci_write32((unsigned)slot, cap + VIRTIO_PCI_CAP_LENGTH, 2);
	through = pci_read16((unsigned)slot, cap + sizeof(struct virtio_pci_cap));
	check_equal(through, virtio_num_queues(&blk.v), "pci: the window reads a register");
	pci_write32((unsigned)slot, cap + VIRTIO_PCI_CAP_OFFSET,
		    (uint32_t)offset + VIRTIO_PCI_COMMON_Q_SELECT);
	pci_write16((unsigned)slot, cap + sizeof(struct virtio_pci_cap), 0x0102);
	check_equal(read16(blk.v.common + VIRTIO_PCI_COMMON_Q_SELECT), 0x0102,
		    "pci: and writes one");
}

const struct guest_test pci_tests[] = {
	{"pci-scan", scan},
	{"pci-registers", read_only_registers},
	{"pci-bars", bar_sizes},
	{"pci-move", bar_moves},
	{"pci-off", bar_off},
	{"pci-window", config_window},
	{NULL, NULL},
};
