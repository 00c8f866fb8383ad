/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests_blk.c - a disk in use: requests of every kind, one by one and many at once, on one queue and
 * on several. Test guest, the first CPU.
 */
#include "tests/guest/image/blk.h"
#include "tests/guest/image/clock.h"
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/interrupt.h"
#include "tests/guest/image/intx.h"
#include "tests/guest/image/pci.h"
#include "tests/guest/image/serial.h"

#define MANY_SECTORS 2
#define ID_BYTES     20

static struct blk blk;
static uint8_t data[MAX_REQUESTS][MANY_SECTORS * SECTOR_BYTES] __attribute__((aligned(4096)));

static bool start(void)
{
	struct blk_options opt = blk_options_from_cmdline();

	return blk_start(&blk, &opt);
}

/* Write, flush, read into other memory, compare. */
static void write_and_read(unsigned queue, uint64_t sector, uint32_t bytes, uint32_t piece)
{
	uint8_t *out = data[0], *in = data[1];
	int number;

	pattern_fill(out, bytes, sector, queue + 1);
	number = blk_submit(&blk, queue, VIRTIO_BLK_T_OUT, sector, out, bytes, piece);
	queue_kick(&blk.v.queues[queue]);
	check_equal((unsigned)blk_wait(&blk, number), VIRTIO_BLK_S_OK,
		    "blk: queue %u writes %u bytes in pieces of %u", queue, bytes, piece);
	pattern_fill(in, bytes, 0, 0);
	number = blk_submit(&blk, queue, VIRTIO_BLK_T_IN, sector, in, bytes, piece);
	queue_kick(&blk.v.queues[queue]);
	check(blk_wait(&blk, number) == VIRTIO_BLK_S_OK &&
		      pattern_check(in, bytes, sector, queue + 1),
	      "blk: queue %u reads it back", queue);
	check_equal(blk.requests[number].used_bytes, bytes + 1, "blk: used length of the read");
}

static void identity(void)
{
	const char *serial = option("serial");
	size_t bytes = 0;
	int status;

	while (serial && serial[bytes] && serial[bytes] != ' ')
		bytes++;
	data[0][bytes] = 1;
	status = blk_do(&blk, 0, VIRTIO_BLK_T_GET_ID, 0, data[0], ID_BYTES);
	check(status == VIRTIO_BLK_S_OK && text_equal((const char *)data[0], serial ?: "", bytes) &&
		      data[0][bytes] == 0,
	      "blk: its serial number");
}

static void refusals(void)
{
	uint64_t capacity = blk_capacity(&blk);

	check_equal((unsigned)blk_do(&blk, 0, VIRTIO_BLK_T_IN, capacity, data[0], SECTOR_BYTES),
		    VIRTIO_BLK_S_IOERR, "blk: a read beyond the end fails");
	check_equal((unsigned)blk_do(&blk, 0, 0x12345, 0, data[0], SECTOR_BYTES),
		    VIRTIO_BLK_S_UNSUPP, "blk: an unknown request is not supported");
	check_equal((unsigned)blk_do(&blk, 0, VIRTIO_BLK_T_IN, capacity - 1, data[0], SECTOR_BYTES),
		    VIRTIO_BLK_S_OK, "blk: the last sector can be read");
}

static void use(void)
{
	if (!start())
		return;
	check_equal(blk_capacity(&blk), option_number("sectors", 0), "blk: capacity");
	identity();
	for (unsigned i = 0; i < blk.num_queues; i++) {
		unsigned before = blk_interrupts(&blk, i);

		write_and_read(i, 64 + i * 16, 2048, 0);
		write_and_read(i, 64 + i * 16 + 4, 2048, 512);
		check_equal((unsigned)blk_do(&blk, i, VIRTIO_BLK_T_FLUSH, 0, NULL, 0),
			    VIRTIO_BLK_S_OK, "blk: queue %u flushes", i);
		if (blk.opt.interrupts != BLK_POLL)
			check(blk_interrupts(&blk, i) > before, "blk: queue %u interrupted", i);
	}
	refusals();
	if (blk.opt.interrupts == BLK_INTX)
		print("VALUE intx-pin %d\nVALUE intx-line %u\n", intx_pin(),
		      pci_read8(blk.v.slot, PCI_INTERRUPT_LINE));
	check_equal(blk.strange, 0, "blk: nothing completed that was not asked");
	check(blk_stop(&blk), "blk: device reset");
}

/* Fill every queue, kick once each, wait for all; until the rings have wrapped a few times. Then read
 * all of it back the same way. */
static bool round_of(uint32_t type, unsigned round, unsigned per_queue)
{
	for (unsigned i = 0; i < per_queue * blk.num_queues; i++) {
		unsigned queue = i % blk.num_queues;
		uint64_t sector = 256 + (round * 64 + i) * MANY_SECTORS;

		if (type == VIRTIO_BLK_T_OUT)
			pattern_fill(data[i], sizeof(data[i]), sector, 7);
		if (blk_submit(&blk, queue, type, sector, data[i], sizeof(data[i]),
			       i % 3 ? 0 : SECTOR_BYTES) < 0)
			return check(false, "blk: room for request %u of round %u", i, round);
	}
	for (unsigned i = 0; i < blk.num_queues; i++)
		queue_kick(&blk.v.queues[i]);
	if (!blk_wait_all(&blk))
		return check(false, "blk: round %u: %u requests never completed", round,
			     blk.in_flight);
	for (unsigned i = 0; i < per_queue * blk.num_queues; i++) {
		uint64_t sector = 256 + (round * 64 + i) * MANY_SECTORS;

		if (blk.requests[i].status != VIRTIO_BLK_S_OK)
			return check(false, "blk: round %u: request %u failed", round, i);
		if (type == VIRTIO_BLK_T_IN && !pattern_check(data[i], sizeof(data[i]), sector, 7))
			return check(false, "blk: round %u: request %u read it back", round, i);
	}
	return true;
}

static void many(void)
{
	unsigned rounds = (unsigned)option_number("rounds", 5), per_queue;

	if (!start())
		return;
	per_queue = blk.v.queues[0].size / (blk.opt.indirect ? 1 : 6);
	if (per_queue * blk.num_queues > MAX_REQUESTS / 2)
		per_queue = MAX_REQUESTS / 2 / blk.num_queues;
	for (unsigned round = 0; round < rounds; round++)
		if (!round_of(VIRTIO_BLK_T_OUT, round, per_queue))
			return;
	check(true, "blk: %u rounds of %u writes at once", rounds, per_queue * blk.num_queues);
	for (unsigned round = 0; round < rounds; round++)
		if (!round_of(VIRTIO_BLK_T_IN, round, per_queue))
			return;
	check(true, "blk: and all of it read back");
	check_equal(blk.strange, 0, "blk: nothing completed that was not asked");
	blk_stop(&blk);
}

/* Requests without end while something happens to the machine or the daemon, until the host types a
 * byte. Each sector carries the version that was written last. */
#define STORM_SLOTS 8

static void storm(void)
{
	static uint32_t versions[STORM_SLOTS];
	unsigned passes = 0, writes = 0;
	char byte = 0;
	bool sound = true;

	if (!start())
		return;
	step("storm");
	while (sound && byte == 0) {
		for (unsigned i = 0; i < STORM_SLOTS; i++) {
			pattern_fill(data[i], 2 * SECTOR_BYTES, 64 + i * 2, ++versions[i]);
			sound = sound && blk_submit(&blk, i % blk.num_queues, VIRTIO_BLK_T_OUT,
						    64 + i * 2, data[i], 2 * SECTOR_BYTES, 0) >= 0;
		}
		for (unsigned i = 0; i < blk.num_queues; i++)
			queue_kick(&blk.v.queues[i]);
		sound = sound && blk_wait_all(&blk);
		for (unsigned i = 0; sound && i < STORM_SLOTS; i++) {
			writes++;
			sound = blk.requests[i].status == VIRTIO_BLK_S_OK &&
				blk_do(&blk, i % blk.num_queues, VIRTIO_BLK_T_IN, 64 + i * 2,
				       data[i], 2 * SECTOR_BYTES) == VIRTIO_BLK_S_OK &&
				pattern_check(data[i], 2 * SECTOR_BYTES, 64 + i * 2, versions[i]);
		}
		if (++passes == 1)
			step("first-pass");
		if (!serial_take(&byte))
			byte = 0;
	}
	check(sound, "blk: every request of the storm completed, and read what was written");
	check_equal(blk.strange, 0, "blk: nothing completed that was not asked");
	note("%u passes, %u writes", passes, writes);
	print("VALUE passes %u\n", passes);
	blk_stop(&blk);
}

/* Every disk there is, one after the other; the N-th has the serial number DISKN. */
static void each(void)
{
	struct blk_options opt = blk_options_from_cmdline();
	unsigned disks = (unsigned)option_number("disks", 0);
	char id[ID_BYTES + 1];

	for (opt.index = 0; opt.index < disks; opt.index++) {
		if (!blk_start(&blk, &opt))
			return;
		id[0] = 0;
		blk_do(&blk, 0, VIRTIO_BLK_T_GET_ID, 0, id, ID_BYTES);
		id[ID_BYTES] = 0;
		check(text_equal(id, "DISK", 4) && text_number(id + 4) == opt.index,
		      "blk: disk %u in slot %u answers by its own vectors", opt.index, blk.v.slot);
		blk_stop(&blk);
	}
}

const struct guest_test blk_tests[] = {
	{"blk", use}, {"blk-each", each}, {"blk-many", many}, {"blk-storm", storm}, {NULL, NULL},
};
