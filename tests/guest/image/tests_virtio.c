/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests_virtio.c - how a driver and a device come to terms, and part: features, status, resets of a
 * queue and of the device. Test guest, the first CPU. Virtio 1.3, sections 2.1, 2.2, 2.6, 3.1, 4.1.4.
 */
#include "tests/guest/image/blk.h"
#include "tests/guest/image/clock.h"
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/interrupt.h"
#include "tests/guest/image/pci.h"

#define Q_RESET 58 /* queue_reset in the common configuration */

static struct blk blk;
static uint8_t data[MAX_REQUESTS][SECTOR_BYTES] __attribute__((aligned(16)));

static bool start(void)
{
	struct blk_options opt = blk_options_from_cmdline();

	return blk_start(&blk, &opt);
}

static bool reads_well(unsigned queue)
{
	return blk_do(&blk, queue, VIRTIO_BLK_T_IN, 0, data[0], SECTOR_BYTES) == VIRTIO_BLK_S_OK;
}

static bool open(void)
{
	int slot = pci_find_virtio(2, 0);

	return check(slot >= 0 && virtio_open(&blk.v, (unsigned)slot), "virtio: a disk");
}

/* --- features and status --- */

static void features(void)
{
	struct virtio *v = &blk.v;
	uint64_t offered;

	if (!open())
		return;
	check(virtio_reset(v), "virtio: reset");
	offered = virtio_offered(v);
	note("offered 0x%lx", offered);
	check(offered & FEATURE(VIRTIO_F_VERSION_1), "virtio: VERSION_1 is offered");
	write32(v->common + VIRTIO_PCI_COMMON_DFSELECT, 2);
	check_equal(read32(v->common + VIRTIO_PCI_COMMON_DF), 0, "virtio: no features beyond 63");
	check(virtio_negotiate(v, FEATURE(VIRTIO_F_VERSION_1)), "virtio: VERSION_1 is enough");
	check(virtio_negotiate(v, offered), "virtio: and so is all that is offered");
	check(virtio_reset(v) && virtio_status(v) == 0, "virtio: reset");
}

/* What a device need not refuse, but should. */
static void features_strict(void)
{
	struct virtio *v = &blk.v;

	if (!open())
		return;
	check(!virtio_negotiate(v, 0), "virtio: FEATURES_OK is refused without VERSION_1");
	check(!virtio_negotiate(v, FEATURE(VIRTIO_F_VERSION_1) | FEATURE(57)),
	      "virtio: FEATURES_OK is refused with what was not offered");
	check(virtio_negotiate(v, FEATURE(VIRTIO_F_VERSION_1)), "virtio: and granted after that");
	virtio_accept(v, 0);
	virtio_set_status(v, virtio_status(v) | VIRTIO_CONFIG_S_DRIVER_OK);
	check(virtio_status(v) & VIRTIO_CONFIG_S_DRIVER_OK,
	      "virtio: features written after FEATURES_OK are too late");
	check(virtio_reset(v), "virtio: reset");
	virtio_set_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				     VIRTIO_CONFIG_S_DRIVER_OK);
	check(!(virtio_status(v) & VIRTIO_CONFIG_S_DRIVER_OK) ||
		      virtio_status(v) & VIRTIO_CONFIG_S_NEEDS_RESET,
	      "virtio: DRIVER_OK without FEATURES_OK has no effect");
	virtio_reset(v);
}

static void status(void)
{
	static const uint8_t steps[] = {
		VIRTIO_CONFIG_S_ACKNOWLEDGE,
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER,
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK,
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |
			VIRTIO_CONFIG_S_FAILED,
	};
	struct virtio *v = &blk.v;

	if (!open())
		return;
	for (unsigned round = 0; round < 2; round++) {
		check(virtio_reset(v), "virtio: status is 0 after a reset");
		for (unsigned i = 0; i < sizeof(steps); i++) {
			virtio_accept(v, FEATURE(VIRTIO_F_VERSION_1));
			virtio_set_status(v, steps[i]);
			check_equal(virtio_status(v), steps[i], "virtio: status 0x%x", steps[i]);
		}
	}
	virtio_reset(v);
}

/* --- queue registers --- */

static void queue_registers(void)
{
	struct virtio *v = &blk.v;
	unsigned queues, sizes_ok = 0;

	if (!open())
		return;
	virtio_negotiate(v, FEATURE(VIRTIO_F_VERSION_1));
	queues = virtio_num_queues(v);
	check_equal(queues, option_number("device-queues", queues), "virtio: number of queues");
	for (unsigned i = 0; i < queues; i++) {
		uint16_t size = virtio_queue_register(v, i, VIRTIO_PCI_COMMON_Q_SIZE);

		sizes_ok += size && !(size & (size - 1)) &&
			    !virtio_queue_register(v, i, VIRTIO_PCI_COMMON_Q_ENABLE);
	}
	check_equal(sizes_ok, queues, "virtio: each has a size and is not enabled");
	check_equal(virtio_queue_register(v, queues, VIRTIO_PCI_COMMON_Q_SIZE), 0,
		    "virtio: a queue that is not there has size 0");
	check_equal(virtio_queue_register(v, 0xffff, VIRTIO_PCI_COMMON_Q_SIZE), 0,
		    "virtio: nor is there one with the highest number");
	virtio_set_queue_addresses(v, 0, 0x1122334455667780, 0x2233445566778890,
				   0x33445566778899a0);
	check(read32(v->common + VIRTIO_PCI_COMMON_Q_DESCLO) == 0x55667780 &&
		      read32(v->common + VIRTIO_PCI_COMMON_Q_DESCHI) == 0x11223344 &&
		      read32(v->common + VIRTIO_PCI_COMMON_Q_USEDHI) == 0x33445566,
	      "virtio: queue addresses read back");
	virtio_set_queue_register(v, 0, VIRTIO_PCI_COMMON_Q_SIZE, 8);
	check_equal(virtio_queue_register(v, 0, VIRTIO_PCI_COMMON_Q_SIZE), 8,
		    "virtio: a smaller size is taken");
	virtio_reset(v);
	check(virtio_queue_register(v, 0, VIRTIO_PCI_COMMON_Q_SIZE) > 8 &&
		      read32(v->common + VIRTIO_PCI_COMMON_Q_DESCLO) == 0,
	      "virtio: a reset forgets both");
}

/* --- reset of a queue --- */

static bool reset_queue(unsigned index)
{
	uint64_t deadline = clock_after_ms(2000);

	virtio_set_queue_register(&blk.v, index, Q_RESET, 1);
	while (virtio_queue_register(&blk.v, index, Q_RESET))
		if (clock_is_past(deadline))
			return false;
	return virtio_queue_register(&blk.v, index, VIRTIO_PCI_COMMON_Q_ENABLE) == 0;
}

static void queue_reset(void)
{
	unsigned last;

	if (!start())
		return;
	last = blk.num_queues - 1;
	if (!check(blk.v.features & FEATURE(VIRTIO_F_RING_RESET), "virtio: RING_RESET is offered"))
		return;
	for (unsigned round = 0; round < 3; round++) {
		check(reads_well(last), "virtio: queue %u reads", last);
		check(reset_queue(last), "virtio: it can be reset, and is disabled then");
		if (last)
			check(reads_well(0), "virtio: queue 0 goes on");
		check(virtio_queue_start(&blk.v, last, (uint16_t)(16 << round % 2),
					 blk_vector(last)),
		      "virtio: queue %u is set up again, with another size", last);
		blk.seen[last] = blk_interrupts(&blk, last);
	}
	check(reads_well(last), "virtio: queue %u reads", last);
	blk_stop(&blk);
}

/* --- reset of the device --- */

/* With requests in the back-end's hands. Once the status is 0 no byte of memory may change. */
static bool reset_in_flight(unsigned round)
{
	bool untouched = true;
	unsigned n = 0;

	while (n < 8 && blk_submit(&blk, n % blk.num_queues, VIRTIO_BLK_T_IN, n, data[n],
				   SECTOR_BYTES, 0) >= 0)
		n++;
	for (unsigned i = 0; i < blk.num_queues; i++)
		queue_kick(&blk.v.queues[i]);
	if (!blk_stop(&blk))
		return check(false, "virtio: round %u: the device becomes idle", round);
	for (unsigned i = 0; i < n; i++)
		pattern_fill(data[i], SECTOR_BYTES, i, 0xabc);
	wait_ms(10);
	for (unsigned i = 0; i < n; i++)
		untouched = untouched && pattern_check(data[i], SECTOR_BYTES, i, 0xabc);
	return untouched || check(false, "virtio: round %u: memory is left alone", round);
}

static void device_reset(void)
{
	unsigned rounds = (unsigned)option_number("rounds", 5);

	for (unsigned round = 0; round < rounds; round++) {
		if (!start())
			return;
		/* Every second time the rings have been used before. */
		if (round % 2 && !reads_well(0)) {
			check(false, "virtio: round %u: the disk reads", round);
			return;
		}
		if (!reset_in_flight(round))
			return;
	}
	check(true, "virtio: %u resets with requests in flight", rounds);
	check(start() && reads_well(blk.num_queues - 1), "virtio: and the disk reads after that");
	check(blk_stop(&blk), "virtio: reset");
}

/* The host stops the back-end at the first word and, at the second, lets it go on or ends it. */
static void reset_while_hung(void)
{
	uint64_t deadline;

	if (!start())
		return;
	step_answered("hang");
	for (unsigned i = 0; i < 4; i++)
		blk_submit(&blk, 0, VIRTIO_BLK_T_IN, i, data[i], SECTOR_BYTES, 0);
	queue_kick(&blk.v.queues[0]);
	virtio_set_status(&blk.v, 0);
	wait_ms(200);
	check(virtio_status(&blk.v) != 0, "virtio: a device that still works is not reset yet");
	step_answered("let-go");
	deadline = clock_after_ms(8000);
	while (virtio_status(&blk.v) && !clock_is_past(deadline))
		cpu_pause();
	check_equal(virtio_status(&blk.v), 0, "virtio: and is, when nobody works any more");
	check(start() && reads_well(0), "virtio: the disk reads after that");
	blk_stop(&blk);
}

/* --- all there can be --- */

#define RINGS        0x2000000 /* far from everything else */
#define RING_BYTES   0x1000
#define DEVICE_BYTES 0x100000
#define RING_SIZE    4

/* Return: did the queue take its vector and its rings? */
static bool enable_queue(const struct virtio *v, unsigned index, uint64_t rings)
{
	virtio_set_queue_register(v, index, VIRTIO_PCI_COMMON_Q_SIZE, RING_SIZE);
	virtio_set_queue_register(v, index, VIRTIO_PCI_COMMON_Q_MSIX, (uint16_t)(index + 1));
	virtio_set_queue_addresses(v, index, rings, rings + RING_BYTES / 4, rings + RING_BYTES / 2);
	virtio_set_queue_register(v, index, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	return virtio_queue_register(v, index, VIRTIO_PCI_COMMON_Q_MSIX) == index + 1 &&
	       virtio_queue_register(v, index, VIRTIO_PCI_COMMON_Q_ENABLE) == 1;
}

/* Every queue of every device at once, each with a vector of its own; then decoding goes off and on
 * again, and with it all doorbells. */
static void all_queues(void)
{
	unsigned good = 0, all = 0, reset = 0, n = (unsigned)option_number("disks", 1);
	static struct virtio v[PCI_SLOTS];

	for (unsigned i = 0; i < n; i++) {
		int slot = pci_find_virtio(2, i);

		if (!check(slot >= 0 && virtio_open(&v[i], (unsigned)slot), "virtio: disk %u", i))
			return;
		virtio_negotiate(&v[i], virtio_offered(&v[i]) & (FEATURE(VIRTIO_F_VERSION_1) |
								 FEATURE(VIRTIO_BLK_F_MQ)));
		virtio_msix_enable(&v[i]);
		for (unsigned q = 0; q < virtio_num_queues(&v[i]); q++, all++)
			good += enable_queue(&v[i], q, RINGS + i * DEVICE_BYTES + q * RING_BYTES);
		virtio_driver_ok(&v[i]);
	}
	check_equal(good, all, "virtio: every queue has its vector and runs");
	step_answered("all-run");
	for (unsigned i = 0; i < n; i++) {
		pci_write16(v[i].slot, PCI_COMMAND, PCI_COMMAND_MASTER);
		pci_write16(v[i].slot, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
		virtio_msix_disable(&v[i]);
		reset += virtio_reset(&v[i]);
	}
	check_equal(reset, n, "virtio: and every device can be reset");
}

const struct guest_test virtio_tests[] = {
	{"all-queues", all_queues},
	{"features", features},
	{"features-strict", features_strict},
	{"status", status},
	{"queue-registers", queue_registers},
	{"queue-reset", queue_reset},
	{"device-reset", device_reset},
	{"reset-while-hung", reset_while_hung},
	{NULL, NULL},
};
