/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests_interrupts.c - which interrupt a disk raises, and when it may not: MSI-X vectors, masks and
 * pending bits, INTx, configuration changes. Test guest, the first CPU.
 * PCI Local Bus 3.0, section 6.8; Virtio 1.3, section 4.1.5.
 */
#include "tests/guest/image/blk.h"
#include "tests/guest/image/clock.h"
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/interrupt.h"
#include "tests/guest/image/intx.h"
#include "tests/guest/image/pci.h"

#define QUIET_MS     20 /* an interrupt that comes would have come */
#define INTERRUPT_MS 2000

static struct blk blk;
static uint8_t data[SECTOR_BYTES] __attribute__((aligned(16)));

static bool start(unsigned num_queues)
{
	struct blk_options opt = blk_options_from_cmdline();

	opt.num_queues = num_queues;
	return blk_start(&blk, &opt);
}

static volatile unsigned *count(unsigned vector)
{
	return &interrupt_counts[VECTOR_MSI + vector];
}

/* One read on @queue, seen through by polling. */
static void read_quietly(unsigned queue)
{
	blk_submit(&blk, queue, VIRTIO_BLK_T_IN, 0, data, sizeof(data), 0);
	queue_kick(&blk.v.queues[queue]);
	if (!blk_poll_all(&blk))
		check(false, "msix: a read on queue %u completes", queue);
}

/* --- vectors --- */

static void vectors(void)
{
	struct virtio *v = &blk.v;
	unsigned first, second;

	if (!start(2))
		return;
	first = *count(1);
	second = *count(2);
	read_quietly(1);
	check(wait_for(count(2), second + 1, INTERRUPT_MS), "msix: queue 1 raises its vector");
	wait_ms(QUIET_MS);
	check_equal(*count(1), first, "msix: and not queue 0's");

	virtio_set_queue_register(v, 1, VIRTIO_PCI_COMMON_Q_MSIX, 0x7ff);
	check_equal(virtio_queue_register(v, 1, VIRTIO_PCI_COMMON_Q_MSIX), NO_VECTOR,
		    "msix: a vector that is not there is refused");
	second = *count(2);
	read_quietly(1);
	wait_ms(QUIET_MS);
	check_equal(*count(2), second, "msix: a queue without a vector is silent");

	virtio_set_queue_register(v, 1, VIRTIO_PCI_COMMON_Q_MSIX, 1);
	first = *count(1);
	read_quietly(1);
	check(wait_for(count(1), first + 1, INTERRUPT_MS), "msix: two queues may share a vector");
	first = *count(1);
	read_quietly(0);
	check(wait_for(count(1), first + 1, INTERRUPT_MS), "msix: both raise it");
	blk_stop(&blk);
}

/* --- masks --- */

/* What @mask holds back shows as pending, and comes once when it is let go. */
static void held_back(const char *what, void (*mask)(bool masked))
{
	unsigned before;

	wait_ms(QUIET_MS);
	mask(true);
	before = *count(1);
	check(!virtio_msix_pending(&blk.v, 1), "msix: %s masked, nothing pending yet", what);
	for (unsigned i = 0; i < 3; i++)
		read_quietly(0);
	wait_ms(QUIET_MS);
	check_equal(*count(1), before, "msix: %s masked, no interrupt", what);
	check(virtio_msix_pending(&blk.v, 1), "msix: %s masked, the vector is pending", what);
	check(!virtio_msix_pending(&blk.v, 0), "msix: %s masked, no other is", what);
	mask(false);
	check(wait_for(count(1), before + 1, INTERRUPT_MS),
	      "msix: %s unmasked, the interrupt comes", what);
	wait_ms(QUIET_MS);
	check_equal(*count(1), before + 1, "msix: %s unmasked, once for three", what);
	check(!virtio_msix_pending(&blk.v, 1), "msix: %s unmasked, nothing pending any more", what);
	before = *count(1);
	read_quietly(0);
	check(wait_for(count(1), before + 1, INTERRUPT_MS), "msix: %s unmasked, the next comes too",
	      what);
}

static void mask_vector(bool masked)
{
	virtio_msix_mask(&blk.v, 1, masked);
}

static void mask_function(bool masked)
{
	virtio_msix_mask_function(&blk.v, masked);
}

/* Unmasked one after the other: the first changes nothing. */
static void mask_both(bool masked)
{
	unsigned before = *count(1);

	virtio_msix_mask(&blk.v, 1, masked);
	if (!masked) {
		wait_ms(QUIET_MS);
		check(*count(1) == before && virtio_msix_pending(&blk.v, 1),
		      "msix: the vector unmasked, the function not: still pending");
	}
	virtio_msix_mask_function(&blk.v, masked);
}

/* The message may change while it is held back. */
static void new_message(void)
{
	uint64_t entry = blk.v.msix_table + 1 * PCI_MSIX_ENTRY_SIZE;
	volatile unsigned *other = &interrupt_counts[VECTOR_MSI + 0x20];
	unsigned before = *count(1), there = *other;

	mask_vector(true);
	read_quietly(0);
	write32(entry + PCI_MSIX_ENTRY_DATA, VECTOR_MSI + 0x20);
	check_equal(read32(entry + PCI_MSIX_ENTRY_DATA), VECTOR_MSI + 0x20,
		    "msix: the table keeps what is written");
	mask_vector(false);
	check(wait_for(other, there + 1, INTERRUPT_MS), "msix: a message changed while masked");
	check_equal(*count(1), before, "msix: and the old one is not sent");
	write32(entry + PCI_MSIX_ENTRY_DATA, VECTOR_MSI + 1);
}

static void masks(void)
{
	if (!start(1))
		return;
	held_back("vector", mask_vector);
	held_back("function", mask_function);
	held_back("both", mask_both);
	new_message();
	write64(blk.v.msix_pba, ~0ull);
	check_equal(read64(blk.v.msix_pba), 0, "msix: pending bits cannot be written");
	blk_stop(&blk);
}

/* --- INTx --- */

static void intx(void)
{
	unsigned slot, before;

	if (!start(1))
		return;
	slot = blk.v.slot;
	pci_write16(slot, PCI_COMMAND, pci_read16(slot, PCI_COMMAND) | PCI_COMMAND_INTX_DISABLE);
	before = intx_count();
	read_quietly(0);
	wait_ms(QUIET_MS);
	check_equal(intx_count(), before, "intx: disabled in COMMAND, no interrupt");
	check(pci_read16(slot, PCI_STATUS) & PCI_STATUS_INTERRUPT,
	      "intx: the status register tells of it");
	pci_write16(slot, PCI_COMMAND,
		    pci_read16(slot, PCI_COMMAND) & (uint16_t)~PCI_COMMAND_INTX_DISABLE);
	wait_ms(QUIET_MS);
	check(intx_count() > before, "intx: enabled again, it comes");
	check(!(pci_read16(slot, PCI_STATUS) & PCI_STATUS_INTERRUPT),
	      "intx: reading the ISR took it back");
	check_equal(read8(blk.v.isr), 0, "intx: and the ISR is clear");
	blk_stop(&blk);
	intx_release();
}

/* MSI-X off and on again while the queues run. */
static void change_over(void)
{
	unsigned before;

	if (!start(1))
		return;
	virtio_msix_disable(&blk.v);
	intx_claim(blk.v.slot, blk.v.isr);
	before = intx_count();
	read_quietly(0);
	wait_ms(QUIET_MS);
	check(intx_count() > before, "intx: with MSI-X switched off the disk uses INTx");
	virtio_msix_enable(&blk.v);
	before = *count(1);
	read_quietly(0);
	check(wait_for(count(1), before + 1, INTERRUPT_MS),
	      "msix: switched on again it uses its vector");
	before = intx_count();
	wait_ms(QUIET_MS);
	check_equal(intx_count(), before, "intx: and not INTx");
	blk_stop(&blk);
	intx_release();
}

/* --- configuration changes --- */

/* The host makes the disk larger when it is told so. */
static void config_change(void)
{
	uint64_t sectors = option_number("sectors", 0), new_sectors = option_number("grown", 0);
	bool by_intx = option_is("interrupts", "intx");
	uint64_t deadline;
	uint8_t generation;
	unsigned before;

	if (!start(1))
		return;
	check_equal(blk_capacity(&blk), sectors, "config: capacity before");
	generation = virtio_generation(&blk.v);
	before = *count(0);
	if (!by_intx)
		virtio_msix_mask(&blk.v, 0, true);
	step("resize");
	if (!by_intx) {
		deadline = clock_after_ms(5000);
		while (!virtio_msix_pending(&blk.v, 0) && !clock_is_past(deadline))
			cpu_pause();
		check(virtio_msix_pending(&blk.v, 0) && *count(0) == before,
		      "config: masked, the change is pending");
		virtio_msix_mask(&blk.v, 0, false);
		check(wait_for(count(0), before + 1, 1000), "config: unmasked, it interrupts");
	} else {
		deadline = clock_after_ms(5000);
		while (!intx_config_count() && !clock_is_past(deadline))
			cpu_pause();
		check(intx_config_count() == 1, "config: a change interrupts by INTx");
	}
	check(virtio_generation(&blk.v) != generation, "config: a new generation");
	check_equal(blk_capacity(&blk), new_sectors, "config: the new capacity");
	check_equal((unsigned)blk_do(&blk, 0, VIRTIO_BLK_T_IN, new_sectors - 1, data, sizeof(data)),
		    VIRTIO_BLK_S_OK, "config: its new end can be read");
	blk_stop(&blk);
}

const struct guest_test interrupt_tests[] = {
	{"msix-vectors", vectors},
	{"msix-masks", masks},
	{"intx", intx},
	{"change-over", change_over},
	{"config-change", config_change},
	{NULL, NULL},
};
