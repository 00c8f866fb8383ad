/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus.h - which device answers at a port or at an address outside RAM.
 * VMM; every call with the board lock held (vm.h). Knows nothing of KVM.
 *
 * A guest may access anything at any size, order and alignment. An access that lies within one
 * range reaches its handler whole; one that does not is made byte by byte. What nobody claims
 * reads as all ones and drops writes.
 */
#ifndef RINGSIDE_VMM_BUS_H
#define RINGSIDE_VMM_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/base/list.h"

enum bus_space { BUS_PIO, BUS_MMIO, BUS_NUM_SPACES };

/* @offset + @bytes is within the range; @bytes is 1..8, any number of them, and @offset need not be
 * aligned. A read's upper bytes are ignored, a write's are 0. Values are little-endian numbers. */
struct bus_handler {
	uint64_t (*read)(void *dev, uint64_t offset, unsigned bytes);
	void (*write)(void *dev, uint64_t offset, unsigned bytes, uint64_t value);
	bool byte_wide; /* registers of a byte: a wider access is made byte by byte */
};

/* A range somebody claims. Zero-initialise; embedded in its owner. */
struct bus_range {
	struct list node;
	bool active;
	enum bus_space space;
	uint64_t base;
	uint64_t size;
	const struct bus_handler *handler;
	void *dev;
};

struct bus {
	struct list ranges[BUS_NUM_SPACES]; /* by rising base */
};

void bus_init(struct bus *bus);

/* bus_add - claim [@base, @base + @size). Return: 0, -EEXIST (overlaps another range; a guest can
 * bring that about with BARs), -EINVAL (size 0, or beyond the end of the space). */
int bus_add(struct bus *bus, struct bus_range *range, enum bus_space space, uint64_t base,
	    uint64_t size, const struct bus_handler *handler, void *dev);

/* bus_del - harmless when not active. A handler may remove its own range. */
void bus_del(struct bus *bus, struct bus_range *range);

/* bus_read, bus_write - an access of the guest; @bytes is 1..8. */
uint64_t bus_read(struct bus *bus, enum bus_space space, uint64_t addr, unsigned bytes);
void bus_write(struct bus *bus, enum bus_space space, uint64_t addr, unsigned bytes,
	       uint64_t value);

#endif
