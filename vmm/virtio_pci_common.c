/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio_pci_common.c - the common configuration structure: features, status, queues, reset.
 * VMM; every call with the board lock held, on the main thread or a vCPU's. Virtio 1.3, 4.1.4.3.
 *
 * A read copies out of an image of all registers; a write is merged into each field that it touches
 * and the field is written whole, in rising order. So any size and alignment works, and half of an
 * address or of a feature word is no special case.
 */
#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "vmm/virtio_pci_internal.h"

struct common_regs {
	uint32_t device_feature_select;
	uint32_t device_feature;
	uint32_t driver_feature_select;
	uint32_t driver_feature;
	uint16_t config_vector;
	uint16_t num_queues;
	uint8_t status;
	uint8_t generation;
	uint16_t queue_select;
	uint16_t queue_size;
	uint16_t queue_vector;
	uint16_t queue_enable;
	uint16_t queue_notify_off;
	uint64_t queue_desc;
	uint64_t queue_driver;
	uint64_t queue_device;
	uint16_t queue_notify_data; /* VIRTIO_F_NOTIF_CONFIG_DATA is not offered: 0 */
	uint16_t queue_reset;
	uint16_t admin_queue_index; /* nor is VIRTIO_F_ADMIN_VQ */
	uint16_t admin_queue_num;
};
static_assert(sizeof(struct common_regs) == VPCI_COMMON_BYTES, "4.1.4.3");
static_assert(offsetof(struct common_regs, status) == VIRTIO_PCI_COMMON_STATUS, "4.1.4.3");
static_assert(offsetof(struct common_regs, queue_select) == VIRTIO_PCI_COMMON_Q_SELECT, "4.1.4.3");
static_assert(offsetof(struct common_regs, queue_desc) == VIRTIO_PCI_COMMON_Q_DESCLO, "4.1.4.3");
static_assert(offsetof(struct common_regs, queue_device) == VIRTIO_PCI_COMMON_Q_USEDLO, "4.1.4.3");
static_assert(offsetof(struct common_regs, queue_reset) == VIRTIO_PCI_COMMON_Q_RESET, "4.1.4.3");

/* --- features --- */

/* half - 32 of @features' bits; the spec has more than 64, of which we know none. */
static uint32_t half(uint64_t features, uint32_t select)
{
	return select < 2 ? (uint32_t)(features >> 32 * select) : 0;
}

static void write_device_feature_select(struct virtio_pci *vpci, uint64_t value)
{
	vpci->device_feature_select = (uint32_t)value;
}

static void write_driver_feature_select(struct virtio_pci *vpci, uint64_t value)
{
	vpci->driver_feature_select = (uint32_t)value;
}

static void write_driver_feature(struct virtio_pci *vpci, uint64_t value)
{
	struct virtio_device *dev = vpci->dev;
	unsigned shift = 32 * (vpci->driver_feature_select & 1);

	if (dev->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return; /* they are final */
	if (vpci->driver_feature_select > 1) {
		vpci->unknown_features |= value != 0;
		return;
	}
	dev->driver_features &= ~(0xffffffffull << shift);
	dev->driver_features |= value << shift;
}

static bool features_fit(struct virtio_pci *vpci)
{
	const struct virtio_device *dev = vpci->dev;

	if (!(dev->driver_features & ~dev->features) && !vpci->unknown_features &&
	    virtio_has(dev, VIRTIO_F_VERSION_1))
		return true;
	log_warn_limited(&vpci->limit, dev->name,
			 "the driver wants features %#llx%s, offered are %#llx, bit 32 is required",
			 (unsigned long long)dev->driver_features,
			 vpci->unknown_features ? " and some beyond" : "",
			 (unsigned long long)dev->features);
	return false;
}

/* --- status and reset, 2.1 --- */

static void reset_queue(struct virtio_pci *vpci, unsigned index)
{
	struct virtio_queue *queue = &vpci->dev->queues[index];

	if (queue->enabled)
		vpci_forget_signals(vpci, index);
	queue->enabled = queue->resetting = false;
	queue->size = queue->max_size;
	queue->vector = vpci_bind_queue(vpci, index, MSIX_NO_VECTOR);
	queue->desc_gpa = queue->driver_gpa = queue->device_gpa = 0;
}

void vpci_begin_reset(struct virtio_pci *vpci)
{
	if (vpci->resetting)
		return;
	vpci->resetting = true;
	vpci->dev->ops->reset(vpci->dev);
}

void vpci_reset_done(struct virtio_device *dev)
{
	struct virtio_pci *vpci = vpci_of(dev);

	if (!vpci->resetting)
		return;
	vpci->resetting = false;
	dev->status = 0;
	dev->driver_features = 0;
	vpci->unknown_features = false;
	vpci->device_feature_select = vpci->driver_feature_select = 0;
	vpci->queue_select = 0;
	vpci->config_pending = false;
	vpci->config_vector = vpci_bind_config(vpci, MSIX_NO_VECTOR);
	for (unsigned i = 0; i < dev->num_queues; i++)
		reset_queue(vpci, i);
	vpci_update_ioeventfds(vpci);
	vpci_clear_isr(vpci);
	vpci_update_interrupts(vpci);
}

static void driver_ok(struct virtio_pci *vpci)
{
	vpci->dev->status |= VIRTIO_CONFIG_S_DRIVER_OK;
	vpci_update_interrupts(vpci);
	vpci->dev->ops->start(vpci->dev);
	if (vpci->config_pending)
		vpci_config_interrupt(vpci);
}

/* A driver may not take a bit back (2.1.1), so a write only adds, but for 0. A step is made only
 * where those before it have been: a driver that finds its bit missing knows. */
static void write_status(struct virtio_pci *vpci, uint64_t value)
{
	struct virtio_device *dev = vpci->dev;
	uint64_t added = value & ~(uint64_t)dev->status;

	if (value == 0) {
		vpci_begin_reset(vpci);
		return;
	}
	dev->status |= added & (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				VIRTIO_CONFIG_S_FAILED);
	if (added & VIRTIO_CONFIG_S_FEATURES_OK && features_fit(vpci))
		dev->status |= VIRTIO_CONFIG_S_FEATURES_OK;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK && dev->status & VIRTIO_CONFIG_S_FEATURES_OK)
		driver_ok(vpci);
}

static void write_config_vector(struct virtio_pci *vpci, uint64_t value)
{
	vpci->config_vector = vpci_bind_config(vpci, (uint16_t)value);
}

/* --- queues --- */

static void write_queue_select(struct virtio_pci *vpci, uint64_t value)
{
	vpci->queue_select = (uint16_t)value;
}

static struct virtio_queue *selected(struct virtio_pci *vpci)
{
	return vpci->queue_select < vpci->dev->num_queues ? &vpci->dev->queues[vpci->queue_select]
							  : NULL;
}

/* selected_idle - the selected queue, if it may be set up: not one that a back-end works on. */
static struct virtio_queue *selected_idle(struct virtio_pci *vpci)
{
	struct virtio_queue *queue = selected(vpci);

	return queue && !queue->enabled ? queue : NULL;
}

/* size_fits - only packed rings may have any size (2.8.10.1 against 2.7). */
static bool size_fits(const struct virtio_pci *vpci, const struct virtio_queue *queue,
		      uint64_t size)
{
	return size != 0 && size <= queue->max_size &&
	       (!(size & (size - 1)) || virtio_has(vpci->dev, VIRTIO_F_RING_PACKED));
}

static void write_queue_size(struct virtio_pci *vpci, uint64_t value)
{
	struct virtio_queue *queue = selected_idle(vpci);

	if (queue && size_fits(vpci, queue, value))
		queue->size = (uint16_t)value;
}

static void write_queue_vector(struct virtio_pci *vpci, uint64_t value)
{
	struct virtio_queue *queue = selected(vpci);

	if (queue)
		queue->vector = vpci_bind_queue(vpci, vpci->queue_select, (uint16_t)value);
}

/* Features must be final: they say what a queue looks like. */
static void write_queue_enable(struct virtio_pci *vpci, uint64_t value)
{
	struct virtio_queue *queue = selected_idle(vpci);
	struct virtio_device *dev = vpci->dev;

	if (value != 1 || !queue || !(dev->status & VIRTIO_CONFIG_S_FEATURES_OK) ||
	    !size_fits(vpci, queue, queue->size))
		return;
	queue->enabled = true;
	vpci_update_ioeventfds(vpci);
	vpci_update_interrupts(vpci);
	if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		dev->ops->queue_enable(dev, vpci->queue_select);
}

static void write_queue_desc(struct virtio_pci *vpci, uint64_t value)
{
	struct virtio_queue *queue = selected_idle(vpci);

	if (queue)
		queue->desc_gpa = value;
}

static void write_queue_driver(struct virtio_pci *vpci, uint64_t value)
{
	struct virtio_queue *queue = selected_idle(vpci);

	if (queue)
		queue->driver_gpa = value;
}

static void write_queue_device(struct virtio_pci *vpci, uint64_t value)
{
	struct virtio_queue *queue = selected_idle(vpci);

	if (queue)
		queue->device_gpa = value;
}

/* 2.6.1 */
static void write_queue_reset(struct virtio_pci *vpci, uint64_t value)
{
	struct virtio_queue *queue = selected(vpci);
	struct virtio_device *dev = vpci->dev;

	if (value != 1 || !virtio_has(dev, VIRTIO_F_RING_RESET) || !queue || !queue->enabled ||
	    queue->resetting)
		return;
	queue->resetting = true;
	if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		dev->ops->queue_reset(dev, vpci->queue_select);
	else
		vpci_queue_reset_done(dev, vpci->queue_select);
}

void vpci_queue_reset_done(struct virtio_device *dev, unsigned index)
{
	struct virtio_pci *vpci = vpci_of(dev);

	if (!dev->queues[index].resetting)
		return;
	reset_queue(vpci, index);
	vpci_update_ioeventfds(vpci);
	vpci_update_interrupts(vpci);
}

/* --- the register file --- */

static const struct field {
	uint8_t offset;
	uint8_t bytes;
	bool in_reset; /* may be written while a reset goes on: where reads look, nothing else */
	void (*write)(struct virtio_pci *vpci, uint64_t value);
} fields[] = {
#define FIELD(name, in_reset)                                                                \
	{                                                                                    \
		offsetof(struct common_regs, name), sizeof(((struct common_regs *)0)->name), \
			in_reset, write_##name                                               \
	}
	FIELD(device_feature_select, true),
	FIELD(driver_feature_select, true),
	FIELD(driver_feature, false),
	FIELD(config_vector, false),
	FIELD(status, false),
	FIELD(queue_select, true),
	FIELD(queue_size, false),
	FIELD(queue_vector, false),
	FIELD(queue_enable, false),
	FIELD(queue_desc, false),
	FIELD(queue_driver, false),
	FIELD(queue_device, false),
	FIELD(queue_reset, false),
#undef FIELD
};

static void make_image(struct virtio_pci *vpci, struct common_regs *regs)
{
	const struct virtio_device *dev = vpci->dev;
	const struct virtio_queue *queue = selected(vpci);

	*regs = (struct common_regs){
		.device_feature_select = vpci->device_feature_select,
		.device_feature = half(dev->features, vpci->device_feature_select),
		.driver_feature_select = vpci->driver_feature_select,
		.driver_feature = half(dev->driver_features, vpci->driver_feature_select),
		.config_vector = vpci->config_vector,
		.num_queues = (uint16_t)dev->num_queues,
		.status = dev->status,
		.generation = vpci->generation,
		.queue_select = vpci->queue_select,
		.queue_vector = MSIX_NO_VECTOR,
	};
	if (!queue)
		return; /* size 0: no such queue, 4.1.4.3.1 */
	regs->queue_size = queue->size;
	regs->queue_vector = queue->vector;
	regs->queue_enable = queue->enabled;
	regs->queue_notify_off = vpci->queue_select;
	regs->queue_desc = queue->desc_gpa;
	regs->queue_driver = queue->driver_gpa;
	regs->queue_device = queue->device_gpa;
	regs->queue_reset = queue->resetting;
}

uint64_t vpci_common_read(struct virtio_pci *vpci, uint64_t offset, unsigned bytes)
{
	struct common_regs regs;
	uint64_t value = 0;

	if (offset >= sizeof(regs))
		return 0;
	make_image(vpci, &regs);
	memcpy(&value, (const uint8_t *)&regs + offset,
	       min_of((uint64_t)bytes, sizeof(regs) - offset));
	return value;
}

/* write_field - with those of the written bytes that lie in it, and what it holds for the others. */
static void write_field(struct virtio_pci *vpci, const struct field *field, uint64_t offset,
			unsigned bytes, uint64_t value)
{
	uint64_t merged = vpci_common_read(vpci, field->offset, field->bytes);

	for (unsigned i = 0; i < bytes; i++) {
		uint64_t at = offset + i;

		if (at >= field->offset && at < field->offset + field->bytes)
			((uint8_t *)&merged)[at - field->offset] = (uint8_t)(value >> 8 * i);
	}
	field->write(vpci, merged);
}

void vpci_common_write(struct virtio_pci *vpci, uint64_t offset, unsigned bytes, uint64_t value)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct field *field = &fields[i];

		if (offset < field->offset + field->bytes && offset + bytes > field->offset &&
		    (field->in_reset || !vpci->resetting))
			write_field(vpci, field, offset, bytes, value);
	}
}
