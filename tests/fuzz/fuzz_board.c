/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_board.c - any accesses, of any size and alignment and in any order, to a whole board without
 * KVM: with virtio-pci devices whose work a stand-in does, back-ends that finish when they like, and a
 * hypervisor that refuses. What it is asked for must fit what the registers say, and nothing of it may
 * be left at the end.
 *
 * Input: struct step, again and again.
 */
#include <assert.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/vmm_recorder.h"
#include "vhost/base/log.h"
#include "vhost/wire/loop.h"
#include "vmm/board.h"
#include "vmm/memory_map.h"
#include "vmm/virtio_pci.h"

#define DEVICES   3u
#define MAX_STEPS 400u
#define CONFIG    20u

#define BAR_BYTES      0x4000u
#define MSIX_BAR_BYTES 0x2000u
#define AT_NOTIFY      0x3000u

#define FEATURES (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_PACKED | 1ull << 5)
#define ALL_SET                                                                               \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_DRIVER_OK)

enum { WRITE, READ, DEVICE, TURN, SIGNAL, REFUSE, RESET, DRIVE, OUTSIDE, COUNT, NUM_ACTIONS };
enum { BAR0, BAR1, ECAM, PORT, ANYWHERE, COMMON, CF8, KNOWN_PORT, NUM_PLACES };

struct step {
	uint8_t action; /* the lower four bits, modulo NUM_ACTIONS; the upper four: which device */
	uint8_t place; /* modulo NUM_PLACES */
	uint8_t bytes; /* 1 + modulo 8 */
	uint16_t offset;
	uint64_t value;
} __attribute__((packed));

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned action_of(const struct step *step)
{
	return (step->action & 15) % NUM_ACTIONS;
}

struct stand_in {
	struct virtio_device dev;
	struct virtio_pci *vpci;
	bool slow, resetting, started, counts_kicks;
};

static struct recorder rec;
static struct board board;
static struct loop *loop;
static struct stand_in devices[DEVICES];

/* --- the stand-in: what the transport promises a device --- */

static struct stand_in *stand_in_of(struct virtio_device *dev)
{
	return container_of(dev, struct stand_in, dev);
}

static void on_start(struct virtio_device *dev)
{
	struct stand_in *s = stand_in_of(dev);

	assert(!s->started && !s->resetting);
	assert(!(dev->driver_features & ~dev->features) && virtio_has(dev, VIRTIO_F_VERSION_1));
	s->started = true;
}

static void finish_reset(struct stand_in *s)
{
	s->resetting = s->started = false;
	s->dev.transport->reset_done(&s->dev);
}

static void on_reset(struct virtio_device *dev)
{
	struct stand_in *s = stand_in_of(dev);

	assert(!s->resetting);
	s->resetting = true;
	if (!s->slow)
		finish_reset(s);
}

static void on_queue_reset(struct virtio_device *dev, unsigned index)
{
	struct stand_in *s = stand_in_of(dev);

	assert(s->started && !s->resetting && index < dev->num_queues);
	assert(dev->queues[index].enabled && dev->queues[index].resetting);
	if (!s->slow)
		dev->transport->queue_reset_done(dev, index);
}

static void on_queue_enable(struct virtio_device *dev, unsigned index)
{
	assert(stand_in_of(dev)->started && !stand_in_of(dev)->resetting);
	assert(index < dev->num_queues && dev->queues[index].enabled);
}

static void on_config_written(struct virtio_device *dev, unsigned offset, unsigned bytes,
			      const uint8_t *data)
{
	assert(bytes >= 1 && bytes <= 8 && offset + bytes <= dev->config_bytes);
	memcpy(dev->config + offset, data, bytes);
}

static const struct virtio_ops stand_in_ops = {
	.start = on_start,
	.reset = on_reset,
	.queue_reset = on_queue_reset,
	.queue_enable = on_queue_enable,
	.config_written = on_config_written,
};

/* --- what must hold after every step --- */

static struct pci_device *pci_of(unsigned index)
{
	return board.pci.slots[1 + index];
}

static uint16_t command_of(const struct pci_device *pci)
{
	return (uint16_t)(pci->config[PCI_COMMAND] | pci->config[PCI_COMMAND + 1] << 8);
}

/* An ioeventfd is an enabled queue's, where the BAR is now, and not while kicks are counted. */
static unsigned check_queues(const struct stand_in *s, const struct pci_device *pci)
{
	const struct bus_range *bar = &pci->bars[0].range;
	unsigned found = 0;

	for (unsigned i = 0; i < s->dev.num_queues; i++) {
		const struct virtio_queue *queue = &s->dev.queues[i];
		uint64_t gpa = bar->base + AT_NOTIFY + 4 * i;
		bool possible = queue->enabled && bar->active && !s->counts_kicks;
		int fd = bar->active ? recorder_kick_fd(&rec, gpa) : -1;

		assert(fd == -1 || (fd == queue->kick_fd && possible));
		found += fd != -1;
		if (!queue->enabled)
			continue;
		assert(s->dev.status & VIRTIO_CONFIG_S_FEATURES_OK);
		assert(queue->size && queue->size <= queue->max_size);
		assert(virtio_has(&s->dev, VIRTIO_F_RING_PACKED) ||
		       !(queue->size & (queue->size - 1)));
	}
	return found;
}

static void check_device(const struct stand_in *s, const struct pci_device *pci)
{
	bool may_msi = s->vpci && pci_bus_master(pci);

	assert(!(s->dev.status & VIRTIO_CONFIG_S_DRIVER_OK) == !s->started);
	assert(pci->intx_asserted == (pci->intx && !(command_of(pci) & PCI_COMMAND_INTX_DISABLE)));
	for (unsigned i = 0; i < s->dev.num_queues; i++)
		assert(may_msi || !recorder_gsi_of(&rec, s->dev.queues[i].call_fd));
}

static void check_lines(void)
{
	bool wanted[HV_ISA_GSIS] = {false};

	for (unsigned i = 0; i < DEVICES; i++)
		wanted[pci_slot_line(1 + i, 0)] |= pci_of(i)->intx_asserted;
	for (unsigned i = 0; i < DEVICES; i++)
		assert(rec.lines[pci_slot_line(1 + i, 0)] == wanted[pci_slot_line(1 + i, 0)]);
}

static bool gsi_used(unsigned gsi)
{
	return board.gsis.used[gsi / 64] >> gsi % 64 & 1;
}

static void check(void)
{
	unsigned found = 0;

	for (unsigned i = 0; i < DEVICES; i++) {
		found += check_queues(&devices[i], pci_of(i));
		check_device(&devices[i], pci_of(i));
	}
	assert(found == rec.num_ioeventfds);
	for (unsigned i = 0; i < rec.num_irqfds; i++)
		assert(gsi_used(rec.irqfds[i].gsi));
	check_lines();
}

/* --- accesses --- */

static bool claimed(enum bus_space space, uint64_t addr, unsigned bytes)
{
	struct list *pos;

	list_for_each (pos, &board.bus.ranges[space]) {
		const struct bus_range *range = list_entry(pos, struct bus_range, node);

		if (addr <= range->base + (range->size - 1) && addr + (bytes - 1) >= range->base)
			return true;
	}
	return false;
}

static void do_access(const struct step *step, enum bus_space space, uint64_t addr)
{
	unsigned bytes = 1 + step->bytes % 8;
	uint64_t ones = UINT64_MAX >> (64 - 8 * bytes), value;
	bool nobodys = addr <= UINT64_MAX - bytes && !claimed(space, addr, bytes);

	if (action_of(step) == WRITE) {
		bus_write(&board.bus, space, addr, bytes, step->value & ones);
		return;
	}
	value = bus_read(&board.bus, space, addr, bytes);
	assert(!(value & ~ones));
	assert(!nobodys || value == ones);
}

static uint64_t known_port(const struct step *step)
{
	static const uint16_t ports[] = {PORT_COM1,  PORT_PM_BASE,     0x70, 0x60, 0x64, 0x92,
					 PORT_RESET, PORT_PCI_ADDRESS, 0x80, 0xb2};

	return ports[step->offset % ARRAY_SIZE(ports)] + (step->offset >> 8) % 16;
}

static void guest_access(const struct step *step, unsigned index)
{
	const struct pci_device *pci = pci_of(index);
	uint64_t ecam = PCI_ECAM_BEGIN + (uint64_t)(1 + index) * 8 * PCI_ECAM_FUNCTION;

	switch (step->place % NUM_PLACES) {
	case BAR0:
		do_access(step, BUS_MMIO, pci->bars[0].range.base + step->offset % BAR_BYTES);
		break;
	case BAR1:
		do_access(step, BUS_MMIO, pci->bars[1].range.base + step->offset % MSIX_BAR_BYTES);
		break;
	case COMMON:
		do_access(step, BUS_MMIO, pci->bars[0].range.base + step->offset % 64);
		break;
	case ECAM:
		do_access(step, BUS_MMIO, ecam + step->offset % 0x110);
		break;
	case CF8:
		bus_write(&board.bus, BUS_PIO, PORT_PCI_ADDRESS, 4,
			  0x80000000u | (1 + index) << 11 | (step->offset & 0xfc));
		do_access(step, BUS_PIO, PORT_PCI_DATA + (step->offset >> 8) % 4);
		break;
	case PORT:
		do_access(step, BUS_PIO, step->offset);
		break;
	case KNOWN_PORT:
		do_access(step, BUS_PIO, known_port(step));
		break;
	case ANYWHERE:
		do_access(step, BUS_MMIO, step->offset & 1 ? step->value : step->value >> 32);
		break;
	}
}

/* --- what is not the guest --- */

static void device_event(const struct step *step, struct stand_in *s)
{
	switch (step->place % 6) {
	case 0:
		s->slow = step->value & 1;
		break;
	case 1:
		if (s->resetting)
			finish_reset(s);
		break;
	case 2: /* whether it was asked for or not */
		s->dev.transport->queue_reset_done(&s->dev, step->offset % s->dev.num_queues);
		break;
	case 3:
		s->dev.transport->config_changed(&s->dev);
		break;
	case 4:
		s->dev.transport->needs_reset(&s->dev);
		break;
	case 5:
		if (!s->resetting)
			s->dev.transport->reset_done(&s->dev); /* nobody asked */
		break;
	}
}

static void stop_loop(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(loop);
}

static void run_loop(void)
{
	struct loop_timer timer = {0};

	loop_timer_set(loop, &timer, 0, stop_loop);
	loop_run(loop);
}

static void signal_fd(const struct step *step, const struct stand_in *s)
{
	const struct virtio_queue *queue = &s->dev.queues[step->offset % s->dev.num_queues];
	const uint64_t one = 1;

	if (write(step->place & 1 ? queue->call_fd : queue->kick_fd, &one, sizeof(one)) < 0)
		return;
}

static void refuse(const struct step *step)
{
	rec.ioeventfd_error = step->place & 1 ? -ENOSPC : 0;
	rec.irqfd_error = step->place & 2 ? -ENOMEM : 0;
	rec.route_error = step->place & 4 ? -EINVAL : 0;
	rec.no_any_length = step->place & 8;
}

static void reset_machine(void)
{
	for (unsigned i = 0; i < DEVICES; i++) {
		virtio_pci_reset(devices[i].vpci);
		if (devices[i].resetting)
			finish_reset(&devices[i]);
		assert(devices[i].dev.status == 0);
	}
	assert(rec.num_ioeventfds == 0 && rec.num_irqfds == 0);
	board_reset(&board);
}

static void put(unsigned index, unsigned offset, unsigned bytes, uint64_t value)
{
	bus_write(&board.bus, BUS_MMIO, pci_of(index)->bars[0].range.base + offset, bytes, value);
}

/* drive - what a driver does until DRIVER_OK: a guess does not get there. */
static void drive(const struct step *step, unsigned index)
{
	uint64_t ecam = PCI_ECAM_BEGIN + (uint64_t)(1 + index) * 8 * PCI_ECAM_FUNCTION;

	bus_write(&board.bus, BUS_MMIO, ecam + PCI_COMMAND, 2,
		  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	if (!pci_of(index)->bars[0].range.active)
		return;
	for (unsigned i = 0; i < 2; i++) {
		put(index, VIRTIO_PCI_COMMON_GFSELECT, 4, i);
		put(index, VIRTIO_PCI_COMMON_GF, 4, devices[index].dev.features >> 32 * i);
	}
	put(index, VIRTIO_PCI_COMMON_STATUS, 1, ALL_SET & ~VIRTIO_CONFIG_S_DRIVER_OK);
	for (unsigned i = 0; i < devices[index].dev.num_queues; i++) {
		put(index, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		put(index, VIRTIO_PCI_COMMON_Q_MSIX, 2, step->value >> 4 * i & 15);
		put(index, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	}
	put(index, VIRTIO_PCI_COMMON_STATUS, 1, ALL_SET);
}

static void outside(const struct step *step)
{
	switch (step->place % 3) {
	case 0:
		serial_rx(&board.serial, (const uint8_t *)&step->value, 1 + step->bytes % 8);
		break;
	case 1:
		board_power_button(&board);
		break;
	case 2:
		serial_tx_ready(&board.serial);
		break;
	}
}

static void run(const struct step *step)
{
	unsigned index = (step->action >> 4) % DEVICES;

	switch (action_of(step)) {
	case WRITE:
	case READ:
		guest_access(step, index);
		break;
	case DEVICE:
		device_event(step, &devices[index]);
		break;
	case TURN:
		run_loop();
		break;
	case SIGNAL:
		signal_fd(step, &devices[index]);
		break;
	case REFUSE:
		refuse(step);
		break;
	case RESET:
		reset_machine();
		break;
	case DRIVE:
		drive(step, index);
		break;
	case OUTSIDE:
		outside(step);
		break;
	case COUNT:
		devices[index].counts_kicks = step->value & 1;
		virtio_pci_count_kicks(devices[index].vpci, step->value & 1);
		break;
	}
}

/* --- the whole --- */

static bool tx(void *ctx, uint8_t byte)
{
	(void)ctx;
	return byte & 1;
}

static void on_board_reset(void *ctx, const char *how)
{
	(void)ctx;
	assert(how);
}

static void on_poweroff(void *ctx)
{
	(void)ctx;
}

static void set_up(void)
{
	static const struct {
		uint16_t device_id;
		unsigned num_queues, config_bytes;
		uint64_t features;
	} kinds[DEVICES] = {
		{2, 3, CONFIG, FEATURES | 1ull << VIRTIO_F_RING_RESET},
		{1, 2, VIRTIO_CONFIG_BYTES, FEATURES},
		{5, 1, 0, 1ull << VIRTIO_F_VERSION_1},
	};
	const struct board_options opt = {
		.ram_bytes = 1ull << 30,
		.serial_tx = tx,
		.events = {.reset = on_board_reset, .poweroff = on_poweroff},
	};
	int ret;

	recorder_init(&rec);
	ret = loop_create(&loop);
	assert(ret == 0);
	ret = board_init(&board, &rec.hv, &opt);
	assert(ret == 0);
	memset(devices, 0, sizeof(devices));
	for (unsigned i = 0; i < DEVICES; i++) {
		struct virtio_device *dev = &devices[i].dev;

		dev->name = "fuzz";
		dev->device_id = kinds[i].device_id;
		dev->ops = &stand_in_ops;
		dev->features = kinds[i].features;
		dev->num_queues = kinds[i].num_queues;
		dev->config_bytes = kinds[i].config_bytes;
		for (unsigned q = 0; q < dev->num_queues; q++)
			dev->queues[q].max_size = 256;
		ret = virtio_pci_create(&devices[i].vpci, &board.pci, &board.gsis, loop, dev);
		assert(ret == 0);
	}
}

static void tear_down(void)
{
	for (unsigned i = 0; i < DEVICES; i++)
		virtio_pci_destroy(devices[i].vpci);
	loop_destroy(loop);
	assert(rec.num_ioeventfds == 0 && rec.num_irqfds == 0);
	for (unsigned gsi = 0; gsi < HV_MAX_GSIS; gsi++)
		assert(!gsi_used(gsi));
}

static int lowest_free_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int free_fd = lowest_free_fd();

	log_set_level("error");
	set_up();
	for (unsigned i = 0; i < MAX_STEPS && (i + 1) * sizeof(struct step) <= size; i++) {
		struct step step;

		memcpy(&step, data + i * sizeof(step), sizeof(step));
		run(&step);
		check();
	}
	tear_down();
	assert(lowest_free_fd() == free_fd);
	return 0;
}
