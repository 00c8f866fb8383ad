/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * msix.c - the MSI-X table, and irqfds that come and go with what it masks.
 * VMM; every call with the board lock held, on the main thread or a vCPU's.
 *
 * A vector may be raised while MSI-X is enabled, neither function nor vector are masked, and the
 * device may master the bus. Just then each of its sources is an irqfd. At any other time nobody
 * reads the eventfd, so a signal waits in its counter and no interrupt is lost.
 */
#include "vmm/msix.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/base/log.h"

#define PBA_OFFSET  4096 /* the table lies at 0; each has a page */
#define BAR_BYTES   8192
#define ENTRY_BYTES PCI_MSIX_ENTRY_SIZE
#define ENTRY_ADDR  (PCI_MSIX_ENTRY_LOWER_ADDR / 4)
#define ENTRY_UPPER (PCI_MSIX_ENTRY_UPPER_ADDR / 4)
#define ENTRY_DATA  (PCI_MSIX_ENTRY_DATA / 4)
#define ENTRY_CTRL  (PCI_MSIX_ENTRY_VECTOR_CTRL / 4)

#define NO_GSI 0 /* a pin's number, never an MSI route's */

struct vector {
	unsigned gsi; /* NO_GSI while no source is bound to it */
	unsigned num_sources;
	bool routed; /* gsi means @addr and @data */
	uint64_t addr;
	uint32_t data;
};

struct source {
	unsigned vector; /* or MSIX_NO_VECTOR */
	int fd;
	bool connected; /* as an irqfd of the vector's GSI */
};

struct msix {
	struct pci_device *dev;
	struct msix_gsis *gsis;
	unsigned cap;
	unsigned num_vectors;
	bool enabled; /* as last told */
	uint32_t table[MSIX_MAX_VECTORS][ENTRY_BYTES / 4];
	struct vector vectors[MSIX_MAX_VECTORS];
	struct source sources[MSIX_MAX_SOURCES];
	struct log_limit limit;
};

/* --- GSIs --- */

void msix_gsis_init(struct msix_gsis *gsis, struct hv *hv)
{
	memset(gsis, 0, sizeof(*gsis));
	gsis->hv = hv;
}

/* take_gsi - Return: its number, or NO_GSI when all are taken. */
static unsigned take_gsi(struct msix_gsis *gsis)
{
	for (unsigned gsi = HV_ISA_GSIS; gsi < HV_MAX_GSIS; gsi++) {
		if (gsis->used[gsi / 64] >> gsi % 64 & 1)
			continue;
		gsis->used[gsi / 64] |= 1ull << gsi % 64;
		return gsi;
	}
	return NO_GSI;
}

static void give_gsi_back(struct msix_gsis *gsis, unsigned gsi)
{
	gsis->used[gsi / 64] &= ~(1ull << gsi % 64);
}

/* --- what may be raised --- */

static uint16_t control(const struct msix *msix)
{
	uint16_t flags;

	memcpy(&flags, msix->dev->config + msix->cap + PCI_MSIX_FLAGS, sizeof(flags));
	return flags;
}

bool msix_enabled(const struct msix *msix)
{
	return control(msix) & PCI_MSIX_FLAGS_ENABLE;
}

unsigned msix_num_vectors(const struct msix *msix)
{
	return msix->num_vectors;
}

static bool may_raise(const struct msix *msix, unsigned vector)
{
	uint16_t flags = control(msix);

	return flags & PCI_MSIX_FLAGS_ENABLE && !(flags & PCI_MSIX_FLAGS_MASKALL) &&
	       !(msix->table[vector][ENTRY_CTRL] & PCI_MSIX_ENTRY_CTRL_MASKBIT) &&
	       pci_bus_master(msix->dev);
}

static void complain(struct msix *msix, unsigned vector, const char *what, int error)
{
	char name[32];

	snprintf(name, sizeof(name), "pci 00:%02x.0", msix->dev->slot);
	log_warn_limited(&msix->limit, name, "MSI-X vector %u stays masked: %s: %s", vector, what,
			 strerror(-error));
}

/* route - have the vector's GSI mean what its table entry says. Return: 0 or -errno. */
static int route(struct msix *msix, unsigned vector)
{
	struct hv *hv = msix->gsis->hv;
	struct vector *v = &msix->vectors[vector];
	const uint32_t *entry = msix->table[vector];
	uint64_t addr = (uint64_t)entry[ENTRY_UPPER] << 32 | entry[ENTRY_ADDR];
	int ret;

	if (v->routed && v->addr == addr && v->data == entry[ENTRY_DATA])
		return 0;
	ret = hv->ops->msi_route(hv, v->gsi, addr, entry[ENTRY_DATA]);
	if (ret < 0) {
		complain(msix, vector, "no route for its message", ret);
		return ret;
	}
	v->routed = true;
	v->addr = addr;
	v->data = entry[ENTRY_DATA];
	return 0;
}

/* connect_source - make it an irqfd: what waits in its counter raises the vector.
 * Return: 0 or -errno. */
static int connect_source(struct msix *msix, struct source *source)
{
	struct hv *hv = msix->gsis->hv;
	int ret;

	if (source->connected)
		return 0;
	ret = hv->ops->irqfd_add(hv, msix->vectors[source->vector].gsi, source->fd);
	if (ret < 0)
		complain(msix, source->vector, "no irqfd for it", ret);
	source->connected = ret == 0;
	return ret;
}

static void disconnect_source(struct msix *msix, struct source *source)
{
	struct hv *hv = msix->gsis->hv;

	if (!source->connected)
		return;
	hv->ops->irqfd_del(hv, msix->vectors[source->vector].gsi, source->fd);
	source->connected = false;
}

/* update - a mask, the message or the sources of @vector may have changed. What failed before is
 * tried again. */
static void update(struct msix *msix, unsigned vector)
{
	bool raise;

	if (!msix->vectors[vector].num_sources)
		return;
	raise = may_raise(msix, vector) && route(msix, vector) == 0;
	for (unsigned i = 0; i < MSIX_MAX_SOURCES; i++) {
		if (msix->sources[i].vector != vector)
			continue;
		if (raise)
			connect_source(msix, &msix->sources[i]);
		else
			disconnect_source(msix, &msix->sources[i]);
	}
}

static void update_all(struct msix *msix)
{
	for (unsigned i = 0; i < msix->num_vectors; i++)
		update(msix, i);
}

bool msix_config_written(struct msix *msix, unsigned offset, unsigned bytes)
{
	unsigned flags = msix->cap + PCI_MSIX_FLAGS;
	bool enabled = msix_enabled(msix), changed = enabled != msix->enabled;

	/* Whether the device may master the bus stands in COMMAND. */
	if ((offset < flags + 2 && offset + bytes > flags) ||
	    (offset < PCI_COMMAND + 2 && offset + bytes > PCI_COMMAND))
		update_all(msix);
	msix->enabled = enabled;
	return changed;
}

/* --- sources --- */

static void unbind(struct msix *msix, struct source *source)
{
	struct vector *v;

	if (source->vector == MSIX_NO_VECTOR)
		return;
	v = &msix->vectors[source->vector];
	disconnect_source(msix, source);
	source->vector = MSIX_NO_VECTOR;
	source->fd = -1;
	if (--v->num_sources == 0) {
		give_gsi_back(msix->gsis, v->gsi);
		v->gsi = NO_GSI;
		v->routed = false;
	}
}

int msix_bind(struct msix *msix, unsigned source, unsigned vector, int fd)
{
	struct source *s = &msix->sources[source];
	struct vector *v;
	int ret = 0;

	if (s->vector != MSIX_NO_VECTOR && s->vector == vector && s->fd == fd)
		return 0;
	unbind(msix, s);
	if (vector == MSIX_NO_VECTOR)
		return 0;
	if (vector >= msix->num_vectors)
		return -EINVAL;
	v = &msix->vectors[vector];
	/* Taken already while the vector is masked: now is when a driver can be told there is none,
	 * and makes do with fewer. */
	if (v->gsi == NO_GSI)
		v->gsi = take_gsi(msix->gsis);
	if (v->gsi == NO_GSI) {
		complain(msix, vector, "no MSI route left", -ENOSPC);
		return -ENOSPC;
	}
	v->num_sources++;
	s->vector = vector;
	s->fd = fd;
	if (may_raise(msix, vector)) {
		ret = route(msix, vector);
		if (ret == 0)
			ret = connect_source(msix, s);
	}
	if (ret < 0)
		unbind(msix, s);
	return ret;
}

/* --- table and pending bits --- */

/* Syscalls: poll
 * Syscalls (vcpu): poll */
static bool pending(const struct msix *msix, unsigned vector)
{
	for (unsigned i = 0; i < MSIX_MAX_SOURCES; i++) {
		const struct source *source = &msix->sources[i];
		struct pollfd pfd = {.fd = source->fd, .events = POLLIN};

		if (source->vector == vector && !source->connected && poll(&pfd, 1, 0) == 1 &&
		    pfd.revents & POLLIN)
			return true;
	}
	return false;
}

static uint8_t pba_byte(const struct msix *msix, uint64_t byte)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t vector = 8 * byte + i;

		if (vector < msix->num_vectors && msix->vectors[vector].num_sources)
			bits |= (unsigned)pending(msix, (unsigned)vector) << i;
	}
	return (uint8_t)bits;
}

static uint64_t bar_read(void *ctx, uint64_t offset, unsigned bytes)
{
	const struct msix *msix = ctx;
	const uint8_t *table = (const uint8_t *)msix->table;
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++) {
		uint64_t at = offset + i;
		uint64_t byte = 0;

		if (at < (uint64_t)msix->num_vectors * ENTRY_BYTES)
			byte = table[at];
		else if (at >= PBA_OFFSET)
			byte = pba_byte(msix, at - PBA_OFFSET);
		value |= byte << 8 * i;
	}
	return value;
}

static void bar_write(void *ctx, uint64_t offset, unsigned bytes, uint64_t value)
{
	struct msix *msix = ctx;
	uint64_t end = (uint64_t)msix->num_vectors * ENTRY_BYTES;

	if (offset >= end)
		return;
	end = offset + bytes < end ? offset + bytes : end;
	for (uint64_t at = offset; at < end; at++)
		((uint8_t *)msix->table)[at] = (uint8_t)(value >> 8 * (at - offset));
	for (uint64_t vector = offset / ENTRY_BYTES; vector <= (end - 1) / ENTRY_BYTES; vector++) {
		msix->table[vector][ENTRY_CTRL] &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
		update(msix, (unsigned)vector);
	}
}

static const struct bus_handler bar_handler = {.read = bar_read, .write = bar_write};

/* --- life --- */

static void mask_all(struct msix *msix)
{
	memset(msix->table, 0, sizeof(msix->table));
	for (unsigned i = 0; i < msix->num_vectors; i++)
		msix->table[i][ENTRY_CTRL] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

int msix_create(struct msix **out, struct pci_device *dev, unsigned bar, unsigned num_vectors,
		struct msix_gsis *gsis)
{
	struct {
		uint16_t flags;
		uint32_t table, pba;
	} __attribute__((packed)) body =
		{
			.flags = (uint16_t)(num_vectors - 1), /* PCI_MSIX_FLAGS_QSIZE */
			.table = bar,
			.pba = PBA_OFFSET | bar,
		},
				  writable = {
					  .flags = PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL,
				  };
	struct msix *msix = calloc(1, sizeof(*msix));

	if (!msix)
		return -ENOMEM;
	msix->dev = dev;
	msix->gsis = gsis;
	msix->num_vectors = num_vectors;
	for (unsigned i = 0; i < MSIX_MAX_SOURCES; i++)
		msix->sources[i] = (struct source){.vector = MSIX_NO_VECTOR, .fd = -1};
	mask_all(msix);
	msix->cap = pci_add_capability(dev, PCI_CAP_ID_MSIX, &body, &writable, sizeof(body));
	pci_add_bar(dev, bar, BAR_BYTES, false, &bar_handler, msix);
	*out = msix;
	return 0;
}

void msix_reset(struct msix *msix)
{
	for (unsigned i = 0; i < MSIX_MAX_SOURCES; i++)
		unbind(msix, &msix->sources[i]);
	mask_all(msix);
	msix->dev->config[msix->cap + PCI_MSIX_FLAGS + 1] &=
		(uint8_t) ~((PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8);
	msix->enabled = false;
}

void msix_destroy(struct msix *msix)
{
	if (!msix)
		return;
	for (unsigned i = 0; i < MSIX_MAX_SOURCES; i++)
		unbind(msix, &msix->sources[i]);
	free(msix);
}
