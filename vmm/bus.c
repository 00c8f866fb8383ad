/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus.c - find the device behind a port or an address, see bus.h.
 * VMM; every call with the board lock held. Knows nothing of KVM.
 */
#include "vmm/bus.h"

#include <assert.h>
#include <errno.h>

#define MAX_ACCESS_BYTES 8

/* The last address there is in each space. */
static const uint64_t space_end[BUS_NUM_SPACES] = {
	[BUS_PIO] = UINT16_MAX,
	[BUS_MMIO] = UINT64_MAX,
};

void bus_init(struct bus *bus)
{
	for (unsigned i = 0; i < BUS_NUM_SPACES; i++)
		list_init(&bus->ranges[i]);
}

/* last_of - the range's last address: unlike its end, it always fits. */
static uint64_t last_of(const struct bus_range *range)
{
	return range->base + (range->size - 1);
}

int bus_add(struct bus *bus, struct bus_range *range, enum bus_space space, uint64_t base,
	    uint64_t size, const struct bus_handler *handler, void *dev)
{
	struct list *pos;

	assert(!range->active);
	if (size == 0 || base > space_end[space] || size - 1 > space_end[space] - base)
		return -EINVAL;
	/* To the first that begins behind this one; those in front of it must end before. */
	list_for_each (pos, &bus->ranges[space]) {
		const struct bus_range *other = list_entry(pos, struct bus_range, node);

		if (other->base > base + (size - 1))
			break;
		if (last_of(other) >= base)
			return -EEXIST;
	}
	*range = (struct bus_range){
		.active = true,
		.space = space,
		.base = base,
		.size = size,
		.handler = handler,
		.dev = dev,
	};
	list_add_tail(pos, &range->node);
	return 0;
}

void bus_del(struct bus *bus, struct bus_range *range)
{
	(void)bus;
	if (!range->active)
		return;
	list_del(&range->node);
	range->active = false;
}

static struct bus_range *find(struct bus *bus, enum bus_space space, uint64_t addr)
{
	struct list *pos;

	list_for_each (pos, &bus->ranges[space]) {
		struct bus_range *range = list_entry(pos, struct bus_range, node);

		if (range->base > addr)
			break;
		if (addr <= last_of(range))
			return range;
	}
	return NULL;
}

/* takes_whole - is this access one call of its handler? */
static bool takes_whole(const struct bus_range *range, uint64_t addr, unsigned bytes)
{
	return bytes - 1 <= last_of(range) - addr && (bytes == 1 || !range->handler->byte_wide);
}

static uint64_t ones(unsigned bytes)
{
	return UINT64_MAX >> (64 - 8 * bytes);
}

/* bytes_in_space - how many bytes at @addr there are addresses for: none wraps around. */
static unsigned bytes_in_space(enum bus_space space, uint64_t addr, unsigned bytes)
{
	if (addr > space_end[space])
		return 0;
	return bytes - 1 <= space_end[space] - addr ? bytes
						    : (unsigned)(space_end[space] - addr) + 1;
}

uint64_t bus_read(struct bus *bus, enum bus_space space, uint64_t addr, unsigned bytes)
{
	struct bus_range *range = find(bus, space, addr);
	unsigned present;
	uint64_t value;

	assert(bytes >= 1 && bytes <= MAX_ACCESS_BYTES);
	if (range && takes_whole(range, addr, bytes))
		return range->handler->read(range->dev, addr - range->base, bytes) & ones(bytes);
	present = bytes_in_space(space, addr, bytes);
	value = ones(bytes);
	for (unsigned i = 0; i < present; i++) {
		range = find(bus, space, addr + i);
		if (!range)
			continue;
		value &= ~(0xffull << (8 * i));
		value |= (range->handler->read(range->dev, addr + i - range->base, 1) & 0xff)
			 << (8 * i);
	}
	return value;
}

void bus_write(struct bus *bus, enum bus_space space, uint64_t addr, unsigned bytes, uint64_t value)
{
	struct bus_range *range = find(bus, space, addr);
	unsigned present;

	assert(bytes >= 1 && bytes <= MAX_ACCESS_BYTES);
	if (range && takes_whole(range, addr, bytes)) {
		range->handler->write(range->dev, addr - range->base, bytes, value & ones(bytes));
		return;
	}
	present = bytes_in_space(space, addr, bytes);
	for (unsigned i = 0; i < present; i++) {
		range = find(bus, space, addr + i); /* a handler may have moved what follows */
		if (range)
			range->handler->write(range->dev, addr + i - range->base, 1,
					      (value >> (8 * i)) & 0xff);
	}
}
