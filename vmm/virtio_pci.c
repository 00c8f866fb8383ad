/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio_pci.c - a virtio device as a PCI function: capabilities, BARs, the window in configuration
 * space. VMM; every call with the board lock held. Virtio 1.3, 4.1.4.
 */
#include "vmm/virtio_pci.h"

#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/memory_map.h"
#include "vmm/virtio_pci_internal.h"

#define VENDOR        0x1af4
#define FIRST_DEVICE  0x1040 /* and the virtio device number */
#define REVISION      1 /* no legacy interface */
#define SUBSYSTEM     0x1100
#define CLASS_NET     0x020000
#define CLASS_STORAGE 0x010000
#define CLASS_OTHER   0x00ff00

/* Capabilities as in linux/virtio_pci.h; their first two bytes are pci_add_capability()'s. */
#define CAP_BODY 2

static_assert(VMM_MAX_DEVICES * (VIRTIO_MAX_QUEUES + 1) <= HV_MAX_GSIS - HV_ISA_GSIS,
	      "a vector for each queue of each device, and for its configuration");

/* --- device configuration, 4.1.4.6 --- */

static uint64_t device_config_read(const struct virtio_device *dev, uint64_t offset, unsigned bytes)
{
	uint64_t value = 0;

	if (offset < dev->config_bytes)
		memcpy(&value, dev->config + offset,
		       min_of((uint64_t)bytes, dev->config_bytes - offset));
	return value;
}

/* 2.5.1: a driver may read before FEATURES_OK, and not write. */
static void device_config_write(struct virtio_pci *vpci, uint64_t offset, unsigned bytes,
				uint64_t value)
{
	struct virtio_device *dev = vpci->dev;

	if (offset >= dev->config_bytes || vpci->resetting ||
	    !(dev->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	bytes = (unsigned)min_of((uint64_t)bytes, dev->config_bytes - offset);
	dev->ops->config_written(dev, (unsigned)offset, bytes, (const uint8_t *)&value);
}

/* --- the BAR: what begins in a part stays in it --- */

static uint64_t bar_read(void *ctx, uint64_t offset, unsigned bytes)
{
	struct virtio_pci *vpci = ctx;
	uint64_t in_part = offset % VPCI_PART_BYTES;

	switch (offset / VPCI_PART_BYTES) {
	case VPCI_COMMON:
		return vpci_common_read(vpci, in_part, bytes);
	case VPCI_ISR:
		return in_part == 0 ? vpci_read_isr(vpci) : 0;
	case VPCI_DEVICE:
		return device_config_read(vpci->dev, in_part, bytes);
	default:
		return 0;
	}
}

static void bar_write(void *ctx, uint64_t offset, unsigned bytes, uint64_t value)
{
	struct virtio_pci *vpci = ctx;
	uint64_t in_part = offset % VPCI_PART_BYTES;

	switch (offset / VPCI_PART_BYTES) {
	case VPCI_COMMON:
		vpci_common_write(vpci, in_part, bytes, value);
		break;
	case VPCI_DEVICE:
		device_config_write(vpci, in_part, bytes, value);
		break;
	case VPCI_NOTIFY:
		vpci_notify(vpci, in_part);
		break;
	default:
		break;
	}
}

static const struct bus_handler bar_handler = {.read = bar_read, .write = bar_write};

/* --- the window in configuration space, 4.1.4.9 --- */

/* window_bar - what the window shows, if it is all of it within a BAR; the guest writes these
 * registers as it likes. Return: NULL where there is nothing. */
static const struct pci_bar *window_bar(const struct virtio_pci *vpci, uint32_t *offset,
					uint32_t *bytes)
{
	const uint8_t *cap = vpci->pci.config + vpci->window_cap;
	uint8_t bar = cap[VIRTIO_PCI_CAP_BAR];

	memcpy(offset, cap + VIRTIO_PCI_CAP_OFFSET, sizeof(*offset));
	memcpy(bytes, cap + VIRTIO_PCI_CAP_LENGTH, sizeof(*bytes));
	if (bar >= PCI_NUM_BARS || (*bytes != 1 && *bytes != 2 && *bytes != 4) ||
	    *offset % *bytes || vpci->pci.bars[bar].size < *bytes ||
	    *offset > vpci->pci.bars[bar].size - *bytes)
		return NULL;
	return &vpci->pci.bars[bar];
}

static bool in_window(const struct virtio_pci *vpci, unsigned offset, unsigned bytes)
{
	unsigned data = vpci->window_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);

	return offset < data + 4 && offset + bytes > data;
}

static void window_read(struct virtio_pci *vpci)
{
	uint32_t offset, bytes, value = UINT32_MAX;
	const struct pci_bar *bar = window_bar(vpci, &offset, &bytes);

	if (bar)
		value = (uint32_t)bar->handler->read(bar->ctx, offset, bytes);
	memcpy(vpci->pci.config + vpci->window_cap +
		       offsetof(struct virtio_pci_cfg_cap, pci_cfg_data),
	       &value, sizeof(value));
}

static void window_write(struct virtio_pci *vpci)
{
	uint32_t offset, bytes, value;
	const struct pci_bar *bar = window_bar(vpci, &offset, &bytes);

	memcpy(&value,
	       vpci->pci.config + vpci->window_cap +
		       offsetof(struct virtio_pci_cfg_cap, pci_cfg_data),
	       sizeof(value));
	if (bar)
		bar->handler->write(bar->ctx, offset, bytes,
				    value & UINT32_MAX >> (32 - 8 * bytes));
}

/* --- what the PCI root tells us --- */

static struct virtio_pci *of_pci(struct pci_device *pci)
{
	return container_of(pci, struct virtio_pci, pci);
}

static void on_bar_mapped(struct pci_device *pci, unsigned bar)
{
	struct virtio_pci *vpci = of_pci(pci);

	if (bar != VPCI_BAR)
		return;
	vpci->bar_mapped = true;
	vpci_update_ioeventfds(vpci);
}

static void on_bar_unmapping(struct pci_device *pci, unsigned bar)
{
	struct virtio_pci *vpci = of_pci(pci);

	if (bar != VPCI_BAR)
		return;
	vpci->bar_mapped = false;
	vpci_update_ioeventfds(vpci);
}

static void on_config_reading(struct pci_device *pci, unsigned offset, unsigned bytes)
{
	struct virtio_pci *vpci = of_pci(pci);

	if (in_window(vpci, offset, bytes))
		window_read(vpci);
}

static void on_config_written(struct pci_device *pci, unsigned offset, unsigned bytes)
{
	struct virtio_pci *vpci = of_pci(pci);

	if (msix_config_written(vpci->msix, offset, bytes))
		vpci_update_interrupts(vpci);
	if (in_window(vpci, offset, bytes))
		window_write(vpci);
}

static const struct pci_ops pci_ops = {
	.bar_mapped = on_bar_mapped,
	.bar_unmapping = on_bar_unmapping,
	.config_reading = on_config_reading,
	.config_written = on_config_written,
};

/* --- what the device tells us --- */

static void on_config_changed(struct virtio_device *dev)
{
	struct virtio_pci *vpci = vpci_of(dev);

	vpci->generation++;
	vpci_config_interrupt(vpci);
}

/* 2.1.2: DRIVER_OK being set, the driver is notified. */
static void on_needs_reset(struct virtio_device *dev)
{
	struct virtio_pci *vpci = vpci_of(dev);

	if (vpci->resetting || dev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	vpci_config_interrupt(vpci);
}

static const struct virtio_transport_ops transport_ops = {
	.reset_done = vpci_reset_done,
	.queue_reset_done = vpci_queue_reset_done,
	.config_changed = on_config_changed,
	.needs_reset = on_needs_reset,
};

/* --- making one --- */

static uint32_t class_of(uint16_t device_id)
{
	switch (device_id) {
	case VIRTIO_ID_NET:
		return CLASS_NET;
	case VIRTIO_ID_BLOCK:
		return CLASS_STORAGE;
	default:
		return CLASS_OTHER;
	}
}

static void add_part(struct virtio_pci *vpci, uint8_t type, unsigned part, uint32_t bytes)
{
	struct virtio_pci_notify_cap cap = {
		.cap = {.cfg_type = type,
			.cap_len = sizeof(cap.cap),
			.bar = VPCI_BAR,
			.offset = part * VPCI_PART_BYTES,
			.length = bytes},
		.notify_off_multiplier = VPCI_NOTIFY_STEP,
	};

	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		cap.cap.cap_len = sizeof(cap);
	pci_add_capability(&vpci->pci, PCI_CAP_ID_VNDR, (const uint8_t *)&cap + CAP_BODY, NULL,
			   cap.cap.cap_len - CAP_BODY);
}

static void add_window(struct virtio_pci *vpci)
{
	const struct virtio_pci_cfg_cap cap = {
		.cap = {.cfg_type = VIRTIO_PCI_CAP_PCI_CFG, .cap_len = sizeof(cap)},
	};
	struct virtio_pci_cfg_cap writable = {
		.cap = {.bar = 0xff, .offset = UINT32_MAX, .length = UINT32_MAX},
	};

	memset(writable.pci_cfg_data, 0xff, sizeof(writable.pci_cfg_data));
	vpci->window_cap =
		pci_add_capability(&vpci->pci, PCI_CAP_ID_VNDR, (const uint8_t *)&cap + CAP_BODY,
				   (const uint8_t *)&writable + CAP_BODY, sizeof(cap) - CAP_BODY);
}

static void init_pci(struct virtio_pci *vpci)
{
	const struct virtio_device *dev = vpci->dev;
	const struct pci_ids ids = {
		.vendor = VENDOR,
		.device = (uint16_t)(FIRST_DEVICE + dev->device_id),
		.subsystem_vendor = VENDOR,
		.subsystem = SUBSYSTEM,
		.class_code = class_of(dev->device_id),
		.revision = REVISION,
	};

	pci_device_init(&vpci->pci, &ids, &pci_ops);
	add_part(vpci, VIRTIO_PCI_CAP_COMMON_CFG, VPCI_COMMON, VPCI_COMMON_BYTES);
	add_part(vpci, VIRTIO_PCI_CAP_ISR_CFG, VPCI_ISR, 1);
	if (dev->config_bytes)
		add_part(vpci, VIRTIO_PCI_CAP_DEVICE_CFG, VPCI_DEVICE, dev->config_bytes);
	add_part(vpci, VIRTIO_PCI_CAP_NOTIFY_CFG, VPCI_NOTIFY, dev->num_queues * VPCI_NOTIFY_STEP);
	add_window(vpci);
	pci_add_bar(&vpci->pci, VPCI_BAR, VPCI_NUM_PARTS * VPCI_PART_BYTES, false, &bar_handler,
		    vpci);
}

int virtio_pci_create(struct virtio_pci **out, struct pci_root *root, struct msix_gsis *gsis,
		      struct loop *loop, struct virtio_device *dev)
{
	struct virtio_pci *vpci = calloc(1, sizeof(*vpci));
	int ret;

	assert(dev->num_queues <= VIRTIO_MAX_QUEUES && dev->config_bytes <= VIRTIO_CONFIG_BYTES);
	if (!vpci)
		return -ENOMEM;
	vpci->dev = dev;
	vpci->loop = loop;
	vpci->transport = transport_ops;
	vpci->config_vector = MSIX_NO_VECTOR;
	dev->transport = &vpci->transport;
	dev->status = 0;
	dev->driver_features = 0;
	for (unsigned i = 0; i < dev->num_queues; i++) {
		dev->queues[i].size = dev->queues[i].max_size;
		dev->queues[i].vector = MSIX_NO_VECTOR;
	}
	ret = vpci_init_notify(vpci);
	if (ret < 0)
		goto err;
	init_pci(vpci);
	ret = msix_create(&vpci->msix, &vpci->pci, VPCI_MSIX_BAR, dev->num_queues + 1, gsis);
	if (ret < 0)
		goto err;
	ret = pci_attach(root, &vpci->pci);
	if (ret < 0)
		goto err;
	*out = vpci;
	return 0;

err:
	virtio_pci_destroy(vpci);
	return ret;
}

void virtio_pci_destroy(struct virtio_pci *vpci)
{
	if (!vpci)
		return;
	pci_detach(&vpci->pci);
	msix_destroy(vpci->msix);
	vpci_end_notify(vpci);
	vpci->dev->transport = NULL;
	free(vpci);
}

void virtio_pci_reset(struct virtio_pci *vpci)
{
	msix_reset(vpci->msix);
	vpci_clear_isr(vpci);
	vpci_begin_reset(vpci);
	vpci_update_interrupts(vpci);
}

void virtio_pci_count_kicks(struct virtio_pci *vpci, bool count)
{
	vpci->count_kicks = count;
	vpci_update_ioeventfds(vpci);
}
