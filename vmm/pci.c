/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.c - the PCI root, its devices' configuration space and what follows from it: decoding, INTx.
 * VMM; every call with the board lock held. Nothing here trusts an offset, a size or a value.
 */
#include "vmm/pci.h"

#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "vhost/base/util.h"
#include "vmm/memory_map.h"

#define ALL_ONES ((uint64_t)-1)

#define FUNCTION_SHIFT 12 /* of an offset in the ECAM: function, slot */
#define SLOT_SHIFT     15
#define FIRST_CAP      0x40
#define BAR_ALIGNMENT  4096 /* no two memory BARs share a page, as firmware would have it */

/* Red Hat's number for a host bridge on no board in particular: no kernel has quirks for it. */
#define HOST_BRIDGE_VENDOR 0x1b36
#define HOST_BRIDGE_DEVICE 0x0008
#define HOST_BRIDGE_CLASS  0x060000

#define ADDRESS_ENABLE   0x80000000u /* CF8 */
#define ADDRESS_BUS      0x00ff0000u
#define ADDRESS_WRITABLE 0x80fffffcu

/* --- registers --- */

static uint16_t get16(const uint8_t *config, unsigned offset)
{
	uint16_t value;

	memcpy(&value, config + offset, sizeof(value));
	return value;
}

static uint32_t get32(const uint8_t *config, unsigned offset)
{
	uint32_t value;

	memcpy(&value, config + offset, sizeof(value));
	return value;
}

static void put16(uint8_t *config, unsigned offset, uint16_t value)
{
	memcpy(config + offset, &value, sizeof(value));
}

static void put32(uint8_t *config, unsigned offset, uint32_t value)
{
	memcpy(config + offset, &value, sizeof(value));
}

static unsigned bar_register(unsigned bar)
{
	return PCI_BASE_ADDRESS_0 + 4 * bar;
}

bool pci_bus_master(const struct pci_device *dev)
{
	return get16(dev->config, PCI_COMMAND) & PCI_COMMAND_MASTER;
}

/* --- interrupt lines --- */

unsigned pci_slot_line(unsigned slot, unsigned pin)
{
	static const uint8_t lines[] = IRQ_PCI_LINES;

	static_assert(sizeof(lines) == IRQ_PCI_NUM_LINES, "as many as are said");
	return lines[(slot + pin) % IRQ_PCI_NUM_LINES];
}

static bool line_level(const struct pci_root *root, unsigned line)
{
	for (unsigned i = 0; i < PCI_NUM_SLOTS; i++) {
		const struct pci_device *dev = root->slots[i];

		if (dev && dev->intx_asserted && pci_slot_line(i, 0) == line)
			return true;
	}
	return false;
}

/* drive_intx - a line is high while any of its devices asserts it. */
static void drive_intx(struct pci_device *dev)
{
	bool asserted = dev->intx && !(get16(dev->config, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
	struct pci_root *root = dev->root;
	unsigned line = pci_slot_line(dev->slot, 0);
	bool before = line_level(root, line), after;

	dev->intx_asserted = asserted;
	after = line_level(root, line);
	if (after != before)
		root->hv->ops->irq_line(root->hv, line, after);
}

void pci_set_intx(struct pci_device *dev, bool level)
{
	uint16_t status = get16(dev->config, PCI_STATUS);

	if (dev->intx == level)
		return;
	dev->intx = level;
	status = level ? status | PCI_STATUS_INTERRUPT : status & ~PCI_STATUS_INTERRUPT;
	put16(dev->config, PCI_STATUS, status);
	drive_intx(dev);
}

/* --- decoding --- */

/*
 * bar_wanted - does the guest want @bar decoded, and where? Only within the windows that the root
 * forwards, as the DSDT says. So a BAR never lies over RAM, the ECAM or an interrupt controller, and
 * the all-ones of BAR sizing, where decoding is left on meanwhile, map nothing.
 */
static bool bar_wanted(const struct pci_device *dev, unsigned bar, uint64_t *base)
{
	const struct pci_bar *b = &dev->bars[bar];
	uint16_t command = get16(dev->config, PCI_COMMAND);
	uint64_t begin = b->is_io ? PCI_IO_BEGIN : PCI_WINDOW_BEGIN;
	uint64_t end = b->is_io ? PCI_IO_END : PCI_WINDOW_END;

	if (!b->size || !(command & (b->is_io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return false;
	*base = get32(dev->config, bar_register(bar)) &
		(uint32_t)(b->is_io ? PCI_BASE_ADDRESS_IO_MASK : PCI_BASE_ADDRESS_MEM_MASK);
	return *base >= begin && *base < end && b->size <= end - *base;
}

static void unmap_bar(struct pci_device *dev, unsigned bar)
{
	if (!dev->bars[bar].range.active)
		return;
	if (dev->ops->bar_unmapping)
		dev->ops->bar_unmapping(dev, bar);
	bus_del(dev->root->bus, &dev->bars[bar].range);
}

static void try_to_map_bar(struct pci_device *dev, unsigned bar)
{
	struct pci_bar *b = &dev->bars[bar];
	uint64_t base;

	if (b->range.active || !bar_wanted(dev, bar, &base))
		return;
	/* What overlaps stays unmapped; it is tried again whenever a BAR moves. */
	if (bus_add(dev->root->bus, &b->range, b->is_io ? BUS_PIO : BUS_MMIO, base, b->size,
		    b->handler, b->ctx) < 0)
		return;
	if (dev->ops->bar_mapped)
		dev->ops->bar_mapped(dev, bar);
}

/* update_decoding - COMMAND or a BAR of @dev changed. What it gives up may be what another waits
 * for, so all are looked at. */
static void update_decoding(struct pci_device *dev)
{
	struct pci_root *root = dev->root;
	uint64_t base;

	for (unsigned bar = 0; bar < PCI_NUM_BARS; bar++)
		if (!bar_wanted(dev, bar, &base) || base != dev->bars[bar].range.base)
			unmap_bar(dev, bar);
	for (unsigned slot = 0; slot < PCI_NUM_SLOTS; slot++)
		for (unsigned bar = 0; root->slots[slot] && bar < PCI_NUM_BARS; bar++)
			try_to_map_bar(root->slots[slot], bar);
}

/* --- configuration space, by the dword --- */

static bool overlaps(unsigned offset, unsigned bytes, unsigned begin, unsigned end)
{
	return offset < end && offset + bytes > begin;
}

/* [@offset, @offset + @bytes) lies within an aligned dword. */
static uint32_t device_read(struct pci_device *dev, unsigned offset, unsigned bytes)
{
	uint32_t value = 0;

	if (offset >= PCI_CONFIG_BYTES)
		return 0; /* no extended capabilities */
	if (dev->ops->config_reading)
		dev->ops->config_reading(dev, offset, bytes);
	memcpy(&value, dev->config + offset, bytes);
	return value;
}

static void device_write(struct pci_device *dev, unsigned offset, unsigned bytes, uint32_t value)
{
	if (offset >= PCI_CONFIG_BYTES)
		return;
	for (unsigned i = 0; i < bytes; i++) {
		uint8_t writable = dev->writable[offset + i];
		uint8_t *reg = &dev->config[offset + i];

		*reg = (uint8_t)((*reg & ~writable) | (value >> 8 * i & writable));
	}
	if (overlaps(offset, bytes, PCI_COMMAND, PCI_COMMAND + 2))
		drive_intx(dev);
	if (overlaps(offset, bytes, PCI_COMMAND, PCI_COMMAND + 2) ||
	    overlaps(offset, bytes, PCI_BASE_ADDRESS_0, bar_register(PCI_NUM_BARS)))
		update_decoding(dev);
	if (dev->ops->config_written)
		dev->ops->config_written(dev, offset, bytes);
}

/* device_at - the device whose registers lie at @offset of the ECAM, or NULL. There are only
 * functions 0. */
static struct pci_device *device_at(const struct pci_root *root, uint64_t offset)
{
	if (offset >> FUNCTION_SHIFT & 7 || offset >= PCI_ECAM_BYTES)
		return NULL;
	return root->slots[offset >> SLOT_SHIFT];
}

/* in_dword - how much of an access of @bytes at @offset lies within its first aligned dword. */
static unsigned in_dword(uint64_t offset, unsigned bytes)
{
	return min_of(bytes, 4 - (unsigned)(offset & 3));
}

static uint64_t ecam_read(void *ctx, uint64_t offset, unsigned bytes)
{
	struct pci_root *root = ctx;
	uint64_t value = 0;
	unsigned n;

	for (unsigned done = 0; done < bytes; done += n) {
		struct pci_device *dev = device_at(root, offset + done);
		uint32_t part = (uint32_t)ALL_ONES;

		n = in_dword(offset + done, bytes - done);
		if (dev)
			part = device_read(dev, (offset + done) % PCI_ECAM_FUNCTION, n);
		value |= (part & ALL_ONES >> (64 - 8 * n)) << 8 * done;
	}
	return value;
}

static void ecam_write(void *ctx, uint64_t offset, unsigned bytes, uint64_t value)
{
	struct pci_root *root = ctx;
	unsigned n;

	for (unsigned done = 0; done < bytes; done += n) {
		struct pci_device *dev = device_at(root, offset + done);

		n = in_dword(offset + done, bytes - done);
		if (dev)
			device_write(dev, (offset + done) % PCI_ECAM_FUNCTION, n,
				     (uint32_t)(value >> 8 * done));
	}
}

static const struct bus_handler ecam_handler = {.read = ecam_read, .write = ecam_write};

/* --- ports CF8..CFF: offsets 0..3 the address, 4..7 the data --- */

/* data_offset - where in the ECAM the data ports lead to; false: nowhere. */
static bool data_offset(const struct pci_root *root, uint64_t port, uint64_t *offset)
{
	if (!(root->address & ADDRESS_ENABLE) || root->address & ADDRESS_BUS)
		return false;
	*offset = (uint64_t)(root->address >> 8 & 0xff) << FUNCTION_SHIFT;
	*offset += (root->address & 0xfc) + (port - 4);
	return true;
}

static uint64_t ports_read(void *ctx, uint64_t port, unsigned bytes)
{
	struct pci_root *root = ctx;
	uint64_t offset;

	if (port == 0 && bytes == 4)
		return root->address;
	if (port == PORT_RESET - PORT_PCI_ADDRESS && bytes == 1 && root->reset_port)
		return root->reset_port->read(root->reset_port_ctx, 0, 1);
	if (port >= 4 && data_offset(root, port, &offset))
		return ecam_read(root, offset, bytes);
	return ALL_ONES;
}

static void ports_write(void *ctx, uint64_t port, unsigned bytes, uint64_t value)
{
	struct pci_root *root = ctx;
	uint64_t offset;

	if (port == 0 && bytes == 4)
		root->address = (uint32_t)value & ADDRESS_WRITABLE;
	else if (port == PORT_RESET - PORT_PCI_ADDRESS && bytes == 1 && root->reset_port)
		root->reset_port->write(root->reset_port_ctx, 0, 1, value);
	else if (port >= 4 && data_offset(root, port, &offset))
		ecam_write(root, offset, bytes, value);
}

static const struct bus_handler ports_handler = {.read = ports_read, .write = ports_write};

void pci_root_set_reset_port(struct pci_root *root, const struct bus_handler *handler, void *ctx)
{
	root->reset_port = handler;
	root->reset_port_ctx = ctx;
}

/* --- making devices --- */

void pci_device_init(struct pci_device *dev, const struct pci_ids *ids, const struct pci_ops *ops)
{
	memset(dev, 0, sizeof(*dev));
	dev->ops = ops;
	dev->next_cap = FIRST_CAP;
	put16(dev->config, PCI_VENDOR_ID, ids->vendor);
	put16(dev->config, PCI_DEVICE_ID, ids->device);
	put32(dev->config, PCI_CLASS_REVISION, ids->class_code << 8 | ids->revision);
	put16(dev->config, PCI_SUBSYSTEM_VENDOR_ID, ids->subsystem_vendor);
	put16(dev->config, PCI_SUBSYSTEM_ID, ids->subsystem);
	put16(dev->writable, PCI_COMMAND,
	      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	dev->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	dev->writable[PCI_INTERRUPT_LINE] = 0xff;
}

void pci_add_bar(struct pci_device *dev, unsigned bar, uint64_t size, bool is_io,
		 const struct bus_handler *handler, void *ctx)
{
	struct pci_bar *b = &dev->bars[bar];

	assert(!dev->root && bar < PCI_NUM_BARS && !b->size && size <= UINT32_MAX / 2);
	b->size = is_io ? 4 : 16;
	while (b->size < size)
		b->size *= 2;
	b->is_io = is_io;
	b->handler = handler;
	b->ctx = ctx;
	/* The bits below the size, the kind of BAR among them, are fixed: that is how a guest finds
	 * out the size. */
	put32(dev->config, bar_register(bar),
	      is_io ? PCI_BASE_ADDRESS_SPACE_IO : PCI_BASE_ADDRESS_SPACE_MEMORY);
	put32(dev->writable, bar_register(bar), (uint32_t) ~(b->size - 1));
}

unsigned pci_add_capability(struct pci_device *dev, uint8_t id, const void *body,
			    const void *writable, unsigned bytes)
{
	unsigned cap = dev->next_cap, link = PCI_CAPABILITY_LIST;

	assert(!dev->root && cap + 2 + bytes <= PCI_CONFIG_BYTES);
	while (dev->config[link])
		link = dev->config[link] + PCI_CAP_LIST_NEXT;
	dev->config[link] = (uint8_t)cap;
	dev->config[cap + PCI_CAP_LIST_ID] = id;
	memcpy(dev->config + cap + 2, body, bytes);
	if (writable)
		memcpy(dev->writable + cap + 2, writable, bytes);
	put16(dev->config, PCI_STATUS, get16(dev->config, PCI_STATUS) | PCI_STATUS_CAP_LIST);
	dev->next_cap = (unsigned)align_up(cap + 2 + bytes, 4);
	return cap;
}

/* place_bar - where it starts out. Return: 0 or -ENOSPC. */
static int place_bar(struct pci_root *root, struct pci_device *dev, unsigned bar)
{
	struct pci_bar *b = &dev->bars[bar];
	uint64_t *next = b->is_io ? &root->next_io : &root->next_mmio;
	uint64_t end = b->is_io ? PCI_IO_END : PCI_WINDOW_END;

	if (!b->size)
		return 0;
	b->reset_base =
		align_up(*next, b->is_io ? b->size : max_of(b->size, (uint64_t)BAR_ALIGNMENT));
	if (b->reset_base >= end || b->size > end - b->reset_base)
		return -ENOSPC;
	*next = b->reset_base + b->size;
	put32(dev->config, bar_register(bar),
	      get32(dev->config, bar_register(bar)) | (uint32_t)b->reset_base);
	return 0;
}

static void put_into_slot(struct pci_root *root, struct pci_device *dev, unsigned slot)
{
	dev->root = root;
	dev->slot = slot;
	memcpy(dev->reset_config, dev->config, sizeof(dev->reset_config));
	root->slots[slot] = dev;
}

int pci_attach(struct pci_root *root, struct pci_device *dev)
{
	uint64_t next_mmio = root->next_mmio, next_io = root->next_io;
	unsigned slot = 0;

	while (slot < PCI_NUM_SLOTS && root->slots[slot])
		slot++;
	if (slot == PCI_NUM_SLOTS)
		return -ENOSPC;
	for (unsigned bar = 0; bar < PCI_NUM_BARS; bar++) {
		if (place_bar(root, dev, bar) < 0) {
			root->next_mmio = next_mmio;
			root->next_io = next_io;
			return -ENOSPC;
		}
	}
	dev->config[PCI_INTERRUPT_PIN] = 1; /* INTA */
	dev->config[PCI_INTERRUPT_LINE] = (uint8_t)pci_slot_line(slot, 0);
	put_into_slot(root, dev, slot);
	return 0;
}

static void stop_decoding(struct pci_device *dev)
{
	for (unsigned bar = 0; bar < PCI_NUM_BARS; bar++)
		unmap_bar(dev, bar);
}

void pci_detach(struct pci_device *dev)
{
	if (!dev->root)
		return;
	stop_decoding(dev);
	pci_set_intx(dev, false);
	dev->root->slots[dev->slot] = NULL;
	dev->root = NULL;
}

static const struct pci_ops host_bridge_ops;

int pci_root_init(struct pci_root *root, struct bus *bus, struct hv *hv)
{
	static const struct pci_ids ids = {
		.vendor = HOST_BRIDGE_VENDOR,
		.device = HOST_BRIDGE_DEVICE,
		.class_code = HOST_BRIDGE_CLASS,
	};
	int ret;

	memset(root, 0, sizeof(*root));
	root->bus = bus;
	root->hv = hv;
	root->next_mmio = PCI_WINDOW_BEGIN;
	root->next_io = PCI_IO_BEGIN;
	pci_device_init(&root->host_bridge, &ids, &host_bridge_ops);
	put_into_slot(root, &root->host_bridge, 0);
	ret = bus_add(bus, &root->ports, BUS_PIO, PORT_PCI_ADDRESS, 8, &ports_handler, root);
	if (ret < 0)
		return ret;
	ret = bus_add(bus, &root->ecam, BUS_MMIO, PCI_ECAM_BEGIN, PCI_ECAM_BYTES, &ecam_handler,
		      root);
	if (ret < 0)
		bus_del(bus, &root->ports);
	return ret;
}

void pci_reset(struct pci_root *root)
{
	for (unsigned slot = 0; slot < PCI_NUM_SLOTS; slot++) {
		struct pci_device *dev = root->slots[slot];

		if (!dev)
			continue;
		stop_decoding(dev);
		pci_set_intx(dev, false);
		memcpy(dev->config, dev->reset_config, sizeof(dev->config));
	}
	root->address = 0;
}
