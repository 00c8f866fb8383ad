/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests_hostile.c - a driver that sets queues up wrongly, lays nonsense in them, and takes the steps
 * in the wrong order. The machine has to live, and a driver that comes after a reset finds the disk
 * well. Test guest, the first CPU. Virtio 1.3, sections 2.7, 3.1, 4.1.4.3.
 */
#include "tests/guest/image/blk.h"
#include "tests/guest/image/clock.h"
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/interrupt.h"
#include "tests/guest/image/pci.h"
#include "tests/guest/image/poke.h"

#define SETTLE_MS 5

static struct blk blk;
static uint8_t sector[SECTOR_BYTES] __attribute__((aligned(16)));

static bool open(void)
{
	int slot = pci_find_virtio(2, 0);

	return check(slot >= 0 && virtio_open(&blk.v, (unsigned)slot), "hostile: a disk");
}

static bool negotiate(void)
{
	uint64_t features = FEATURE(VIRTIO_F_VERSION_1);

	if (option_is("ring", "packed"))
		features |= FEATURE(VIRTIO_F_RING_PACKED);
	return virtio_negotiate(&blk.v, features & virtio_offered(&blk.v)) ||
	       check(false, "hostile: features are accepted");
}

/* --- addresses --- */

static void queue_addresses(void)
{
	static const uint64_t bad[] = {
		0,
		1,
		0xfff,
		0x0fffff8, /* the end of RAM below 256 MiB */
		0x10000000,
		0xc0000000,
		0xe0000000, /* ECAM */
		0xfee00000,
		0xfffffffff000,
		0x8000000000000000,
		0xfffffffffffff000,
		0xffffffffffffffff,
	};
	unsigned alive = 0, n = sizeof(bad) / sizeof(bad[0]);

	if (!open())
		return;
	for (unsigned i = 0; i < n; i++) {
		if (!negotiate())
			return;
		virtio_set_queue_addresses(&blk.v, 0, bad[i], bad[(i + 1) % n], bad[(i + 5) % n]);
		virtio_set_queue_register(&blk.v, 0, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
		virtio_driver_ok(&blk.v);
		write16(blk.v.notify, 0);
		wait_ms(SETTLE_MS);
		alive += virtio_reset(&blk.v);
	}
	check_equal(alive, n, "hostile: a reset after each queue at a bad address");
	poke_still_works("queues at bad addresses");
}

static void queue_sizes(void)
{
	static const uint16_t sizes[] = {0, 1, 3, 7, 255, 257, 1024, 0x7fff, 0x8000, 0xffff};
	unsigned alive = 0, n = sizeof(sizes) / sizeof(sizes[0]);

	if (!open())
		return;
	for (unsigned i = 0; i < n; i++) {
		struct queue *q = &blk.v.queues[0];

		if (!negotiate())
			return;
		queue_init(q, 0, 0, 8, option_is("ring", "packed"), false);
		virtio_set_queue_register(&blk.v, 0, VIRTIO_PCI_COMMON_Q_SIZE, sizes[i]);
		virtio_set_queue_addresses(&blk.v, 0, q->desc, q->driver, q->device);
		virtio_set_queue_register(&blk.v, 0, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
		virtio_driver_ok(&blk.v);
		write16(blk.v.notify, 0);
		wait_ms(SETTLE_MS);
		alive += virtio_reset(&blk.v);
	}
	check_equal(alive, n, "hostile: a reset after each queue of a bad size");
	poke_still_works("queues of bad sizes");
}

/* --- what is in a ring --- */

struct bad_chain {
	uint64_t addr;
	uint32_t bytes;
	uint16_t flags, next;
};

/* Good rings, one bad descriptor each. Whatever the back-end makes of it, a reset mends it. */
static void descriptors(void)
{
	static const struct bad_chain chains[] = {
		{0xffffffffffffffff, 16, 0, 0},
		{0x10000000, 0x1000, VRING_DESC_F_WRITE, 0},
		{0xfee00000, 16, 0, 0},
		{0x200000, 0xffffffff, 0, 0},
		{0x200000, 0, 0, 0},
		{0x200000, 16, VRING_DESC_F_NEXT, 0}, /* itself */
		{0x200000, 16, VRING_DESC_F_NEXT, 0xffff},
		{0x200000, 17, VRING_DESC_F_INDIRECT, 0},
		{0xffffffffffffff00, 0x1000, VRING_DESC_F_INDIRECT, 0},
		{0x200000, 16, 0xffff, 1},
	};
	struct blk_options opt = blk_options_from_cmdline();
	unsigned alive = 0, n = sizeof(chains) / sizeof(chains[0]);

	opt.num_queues = 1;
	for (unsigned i = 0; i < n; i++) {
		struct bad_chain *entry;
		struct queue *q = &blk.v.queues[0];
		uint16_t flags;

		if (!blk_start(&blk, &opt))
			return;
		blk_submit(&blk, 0, VIRTIO_BLK_T_IN, 0, sector, sizeof(sector), 0);
		/* The first entry is the header's; both formats begin with address and length. */
		entry = (struct bad_chain *)q->desc;
		entry->addr = chains[i].addr;
		entry->bytes = chains[i].bytes;
		flags = chains[i].flags;
		if (q->packed)
			entry->next = (uint16_t)(flags | entry->next); /* its flags come last */
		else {
			entry->flags = flags;
			entry->next = chains[i].next;
		}
		queue_kick(q);
		wait_ms(SETTLE_MS);
		alive += blk_stop(&blk);
	}
	check_equal(alive, n, "hostile: a reset after each bad descriptor");
	poke_still_works("bad descriptors");
}

/* The driver's index runs ahead, then backwards; ring entries point beyond. */
static void ring_indices(void)
{
	struct blk_options opt = blk_options_from_cmdline();
	unsigned alive = 0;

	opt.num_queues = 1;
	for (unsigned i = 0; i < 6; i++) {
		uint16_t *driver;

		if (!blk_start(&blk, &opt))
			return;
		driver = (uint16_t *)blk.v.queues[0].driver;
		driver[2] = i % 2 ? 0xffff : 0;
		driver[1] = (uint16_t)(i < 2 ? 0x8000 : i < 4 ? blk.v.queues[0].size + 1 : 1);
		driver[0] = i == 5 ? 0xffff : 0;
		queue_kick(&blk.v.queues[0]);
		wait_ms(SETTLE_MS);
		driver[1] = (uint16_t)(driver[1] - 2);
		queue_kick(&blk.v.queues[0]);
		alive += blk_stop(&blk);
	}
	check_equal(alive, 6, "hostile: a reset after each ring gone wrong");
	poke_still_works("rings gone wrong");
}

/* --- order --- */

static void wrong_order(void)
{
	struct virtio *v = &blk.v;

	if (!open())
		return;
	virtio_reset(v);
	for (unsigned i = 0; i < 8; i++)
		write16(v->notify + i * v->notify_multiplier, (uint16_t)i);
	virtio_set_status(v, VIRTIO_CONFIG_S_DRIVER_OK);
	virtio_set_queue_register(v, 0, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	virtio_set_status(v, 0xff);
	check(virtio_reset(v), "hostile: a reset after DRIVER_OK without anything before");

	/* Queues enabled and changed while the device runs, and ones that are not there. */
	if (!negotiate())
		return;
	virtio_driver_ok(v);
	for (unsigned i = 0; i < 6; i++) {
		virtio_set_queue_addresses(v, i, 0x200000, 0x201000, 0x202000);
		virtio_set_queue_register(v, i, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
		virtio_set_queue_register(v, i, VIRTIO_PCI_COMMON_Q_SIZE, 3);
		virtio_set_queue_addresses(v, i, ~0ull, 1, 2);
	}
	virtio_set_queue_register(v, 0xffff, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	check(virtio_reset(v), "hostile: a reset after queues that came late");

	/* Resets one upon the other, and a start in between. */
	for (unsigned i = 0; i < 20; i++) {
		virtio_set_status(v, 0);
		virtio_set_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
		virtio_accept(v, FEATURE(VIRTIO_F_VERSION_1));
		virtio_set_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
					     VIRTIO_CONFIG_S_FEATURES_OK |
					     VIRTIO_CONFIG_S_DRIVER_OK);
	}
	check(virtio_reset(v), "hostile: a reset after many");
	poke_still_works("steps in the wrong order");
}

/* --- MSI-X messages that lead nowhere --- */

static void messages(void)
{
	static const uint64_t addresses[] = {0,          1,          0x200000,    0xfee00001,
					     0xfeefffff, 0xfffffff0, 0x1fee00000, ~0ull};
	struct blk_options opt = blk_options_from_cmdline();
	bool done = true;

	opt.interrupts = BLK_MSIX;
	if (!blk_start(&blk, &opt))
		return;
	for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		uint64_t entry = blk.v.msix_table + 1 * PCI_MSIX_ENTRY_SIZE;

		/* Fixed delivery, a vector nobody minds. */
		write64(entry, addresses[i]);
		write32(entry + PCI_MSIX_ENTRY_DATA, 0xffff00f0 & (i % 2 ? ~0u : 0xff));
		blk_submit(&blk, 0, VIRTIO_BLK_T_IN, 0, sector, sizeof(sector), 0);
		queue_kick(&blk.v.queues[0]);
		done = blk_poll_all(&blk) && done;
	}
	check(done, "hostile: requests complete whatever the message is");
	blk_stop(&blk);
	poke_still_works("messages to nowhere");
}

const struct guest_test hostile_tests[] = {
	{"hostile-addresses", queue_addresses},
	{"hostile-sizes", queue_sizes},
	{"hostile-descriptors", descriptors},
	{"hostile-indices", ring_indices},
	{"hostile-order", wrong_order},
	{"hostile-messages", messages},
	{NULL, NULL},
};
