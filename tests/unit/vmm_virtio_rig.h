/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vmm_virtio_rig.h - a PCI root with virtio-pci devices whose work a stand-in does, and the accesses
 * of a driver. Tests only.
 */
#ifndef RINGSIDE_TESTS_UNIT_VMM_VIRTIO_RIG_H
#define RINGSIDE_TESTS_UNIT_VMM_VIRTIO_RIG_H

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#include "tests/unit/support.h"
#include "tests/unit/vmm_recorder.h"
#include "vhost/wire/loop.h"
#include "vmm/memory_map.h"
#include "vmm/virtio_pci.h"

#define QUEUES   3u
#define MAX_SIZE 256u
#define CONFIG   24u /* bytes of device configuration */
#define FEATURES                                                                                   \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_RESET | 1ull << VIRTIO_F_RING_PACKED | \
	 1ull << 9)

#define ACK         VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER      VIRTIO_CONFIG_S_DRIVER
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define FAILED      VIRTIO_CONFIG_S_FAILED

#define ALL_SET (ACK | DRIVER | FEATURES_OK | DRIVER_OK)

/* Offsets in BAR 0, as the capabilities say (which a test checks). */
#define AT_ISR    0x1000u
#define AT_DEVICE 0x2000u
#define AT_NOTIFY 0x3000u

struct stand_in {
	struct virtio_device dev;
	bool slow; /* resets are done only when the test says so */
	unsigned starts, resets, queue_resets, queue_enables, config_writes;
	unsigned last_queue, last_offset, last_bytes;
	uint8_t last_data[8];
};

static struct recorder rec;
static struct bus bus;
static struct pci_root root;
static struct msix_gsis gsis;
static struct loop *loop;
static struct stand_in toy;
static struct virtio_pci *vpci;
static unsigned fds_before;

static inline struct stand_in *stand_in_of(struct virtio_device *dev)
{
	return container_of(dev, struct stand_in, dev);
}

static void on_start(struct virtio_device *dev)
{
	ck_assert_uint_eq(dev->status & DRIVER_OK, DRIVER_OK);
	stand_in_of(dev)->starts++;
}

static void on_reset(struct virtio_device *dev)
{
	stand_in_of(dev)->resets++;
	if (!stand_in_of(dev)->slow)
		dev->transport->reset_done(dev);
}

static void on_queue_reset(struct virtio_device *dev, unsigned index)
{
	stand_in_of(dev)->queue_resets++;
	stand_in_of(dev)->last_queue = index;
	if (!stand_in_of(dev)->slow)
		dev->transport->queue_reset_done(dev, index);
}

static void on_queue_enable(struct virtio_device *dev, unsigned index)
{
	ck_assert(dev->queues[index].enabled);
	stand_in_of(dev)->queue_enables++;
	stand_in_of(dev)->last_queue = index;
}

static void on_config_written(struct virtio_device *dev, unsigned offset, unsigned bytes,
			      const uint8_t *data)
{
	struct stand_in *s = stand_in_of(dev);

	ck_assert_uint_le(offset + bytes, dev->config_bytes);
	ck_assert_uint_le(bytes, sizeof(s->last_data));
	s->config_writes++;
	s->last_offset = offset;
	s->last_bytes = bytes;
	memcpy(s->last_data, data, bytes);
}

static const struct virtio_ops stand_in_ops = {
	.start = on_start,
	.reset = on_reset,
	.queue_reset = on_queue_reset,
	.queue_enable = on_queue_enable,
	.config_written = on_config_written,
};

static inline uint64_t config_get(unsigned offset, unsigned bytes)
{
	return bus_read(&bus, BUS_MMIO, PCI_ECAM_BEGIN + (1u << 15) + offset, bytes);
}

static inline void config_put(unsigned offset, unsigned bytes, uint64_t value)
{
	bus_write(&bus, BUS_MMIO, PCI_ECAM_BEGIN + (1u << 15) + offset, bytes, value);
}

static inline uint64_t bar_base(unsigned bar)
{
	return config_get(PCI_BASE_ADDRESS_0 + 4 * bar, 4) & ~15ull;
}

static inline uint64_t get(unsigned offset, unsigned bytes)
{
	return bus_read(&bus, BUS_MMIO, bar_base(0) + offset, bytes);
}

static inline void put(unsigned offset, unsigned bytes, uint64_t value)
{
	bus_write(&bus, BUS_MMIO, bar_base(0) + offset, bytes, value);
}

static inline void set_status(unsigned status)
{
	put(VIRTIO_PCI_COMMON_STATUS, 1, status);
}

static inline unsigned status(void)
{
	return (unsigned)get(VIRTIO_PCI_COMMON_STATUS, 1);
}

static inline void select_queue(unsigned index)
{
	put(VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
}

static inline void accept_features(uint64_t features)
{
	for (unsigned i = 0; i < 2; i++) {
		put(VIRTIO_PCI_COMMON_GFSELECT, 4, i);
		put(VIRTIO_PCI_COMMON_GF, 4, features >> 32 * i & 0xffffffff);
	}
}

/* negotiate - up to FEATURES_OK. */
static inline void negotiate(uint64_t features)
{
	set_status(ACK);
	set_status(ACK | DRIVER);
	accept_features(features);
	set_status(ACK | DRIVER | FEATURES_OK);
}

static inline void enable_queue(unsigned index)
{
	select_queue(index);
	put(VIRTIO_PCI_COMMON_Q_DESCLO, 8, 0x100000 + index * 0x10000);
	put(VIRTIO_PCI_COMMON_Q_AVAILLO, 8, 0x104000 + index * 0x10000);
	put(VIRTIO_PCI_COMMON_Q_USEDLO, 8, 0x108000 + index * 0x10000);
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

/* drive - everything a driver does until DRIVER_OK. */
static inline void drive(void)
{
	negotiate(FEATURES);
	for (unsigned i = 0; i < QUEUES; i++)
		enable_queue(i);
	set_status(ALL_SET);
	ck_assert_uint_eq(status(), ALL_SET);
}

static inline unsigned find_cap(uint8_t id, uint8_t type)
{
	unsigned cap = (unsigned)config_get(PCI_CAPABILITY_LIST, 1);

	for (unsigned i = 0; cap && i < 48; i++) {
		if (config_get(cap, 1) == id &&
		    (id != PCI_CAP_ID_VNDR || config_get(cap + VIRTIO_PCI_CAP_CFG_TYPE, 1) == type))
			return cap;
		cap = (unsigned)config_get(cap + 1, 1);
	}
	return 0;
}

static inline void enable_msix(void)
{
	unsigned cap = find_cap(PCI_CAP_ID_MSIX, 0);

	config_put(cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned i = 0; i <= QUEUES; i++)
		bus_write(&bus, BUS_MMIO, bar_base(1) + 16 * i + 12, 4, 0);
}

static void stop_loop(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(loop);
}

/* run_loop - the main thread's turn: mail, then what it brings about. */
static inline void run_loop(void)
{
	struct loop_timer timer = {0};

	for (unsigned i = 0; i < 3; i++) {
		loop_timer_set(loop, &timer, 0, stop_loop);
		ck_assert_int_eq(loop_run(loop), 0);
	}
}

/* counter - what the eventfd holds, taken. */
static inline uint64_t counter(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static inline void signal_fd(int fd)
{
	const uint64_t one = 1;

	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
}

static inline bool line(void)
{
	return rec.lines[pci_slot_line(1, 0)];
}

static inline void rig_setup(void)
{
	fds_before = open_fds();
	recorder_init(&rec);
	bus_init(&bus);
	ck_assert_int_eq(loop_create(&loop), 0);
	ck_assert_int_eq(pci_root_init(&root, &bus, &rec.hv), 0);
	msix_gsis_init(&gsis, &rec.hv);
	memset(&toy, 0, sizeof(toy));
	toy.dev = (struct virtio_device){
		.name = "toy0",
		.device_id = 2,
		.ops = &stand_in_ops,
		.features = FEATURES,
		.num_queues = QUEUES,
		.config_bytes = CONFIG,
	};
	for (unsigned i = 0; i < QUEUES; i++)
		toy.dev.queues[i].max_size = MAX_SIZE;
	for (unsigned i = 0; i < sizeof(toy.dev.config); i++)
		toy.dev.config[i] = (uint8_t)(i + 1);
	ck_assert_int_eq(virtio_pci_create(&vpci, &root, &gsis, loop, &toy.dev), 0);
	config_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static inline void rig_teardown(void)
{
	virtio_pci_destroy(vpci);
	loop_destroy(loop);
	ck_assert_uint_eq(rec.num_ioeventfds, 0);
	ck_assert_uint_eq(rec.num_irqfds, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(gsis.used); i++)
		ck_assert_uint_eq(gsis.used[i], 0);
	for (unsigned i = 0; i < HV_ISA_GSIS; i++)
		ck_assert(!rec.lines[i]);
	ck_assert_uint_eq(open_fds(), fds_before);
}

#endif
